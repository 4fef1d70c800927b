"""The simulated VTN on a real port: HTTP's own errors, TLS, faults on order, and a clean end."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from oadr2 import decode, encode
from oadr2.errors import ConfigurationError, TransportError
from oadr2.model import DistributeEvent, RequestEvent
from oadr2.sim import Fault, SimulatedVtn, VtnApp, VtnServer
from oadr2.sim.http import HttpRequest

A = "/OpenADR2/Simple/EiEvent"
B = "/OpenADR2/Simple/2.0b/EiEvent"
XML = {"Content-Type": "application/xml"}


def body(profile: str = "2.0a") -> bytes:
    return encode(RequestEvent("ven-1", "q", profile="2.0b" if profile == "2.0b" else "2.0a"))


def client(**settings: object) -> httpx.Client:
    return httpx.Client(trust_env=False, timeout=30, **settings)  # type: ignore[arg-type]


@pytest.fixture
def vtn() -> SimulatedVtn:
    vtn = SimulatedVtn()
    vtn.add_event("e", start="+1h", duration=60)
    return vtn


@pytest.fixture
def server(vtn: SimulatedVtn) -> Iterator[VtnServer]:
    with VtnServer(vtn) as server:
        yield server


@pytest.fixture
def http(server: VtnServer) -> Iterator[httpx.Client]:
    with client(base_url=server.url, headers=XML) as http:
        yield http


@pytest.mark.parametrize(("path", "profile"), [(A, "2.0a"), (B, "2.0b")])
def test_one_server_speaks_both_profiles(http: httpx.Client, path: str, profile: str) -> None:
    reply = http.post(path, content=body(profile))
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/xml")
    assert int(reply.headers["content-length"]) == len(reply.content)
    message = decode(reply.content)
    assert isinstance(message, DistributeEvent)
    assert [event.event_id for event in message.events] == ["e"]


def test_message_at_the_wrong_path_is_an_application_error(http: httpx.Client) -> None:
    reply = http.post(B, content=body("2.0a"))
    assert reply.status_code == 200
    assert b">453<" in reply.content


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        (A.lower(), 404),
        (A + "/", 404),
        ("/vtn" + A, 404),
        ("/OpenADR2/Simple/2.0b/OadrPoll", 404),
    ],
)
def test_other_paths_are_not_found(http: httpx.Client, path: str, status: int) -> None:
    assert http.post(path, content=body()).status_code == status


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_other_methods_are_not_allowed(http: httpx.Client, method: str) -> None:
    reply = http.request(method, A)
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/xml", 200),
        ("Application/XML; charset=utf-8", 200),
        ("text/xml", 415),
        ("application/xml+x", 415),
        ("", 415),
    ],
)
def test_content_type_is_compared_by_media_type(
    http: httpx.Client, content_type: str, status: int
) -> None:
    reply = http.post(A, content=body(), headers={"Content-Type": content_type})
    assert reply.status_code == status


def test_what_is_no_xml_is_a_bad_request(http: httpx.Client, vtn: SimulatedVtn) -> None:
    reply = http.post(A, content=b"hello")
    assert (reply.status_code, reply.headers["content-type"]) == (400, "text/plain")
    assert not vtn.polls


def test_length_is_demanded_and_bounded(http: httpx.Client) -> None:
    assert http.post(A, content=iter([body()])).status_code == 411  # chunked
    assert http.post(A, content=b" " * ((1 << 20) + 1)).status_code == 413
    assert http.post(A, content=body()).status_code == 200


def test_only_the_profiles_asked_for_are_served() -> None:
    with VtnServer(SimulatedVtn(profile="2.0b")) as server, client(headers=XML) as http:
        assert http.post(server.url + A, content=body()).status_code == 404
        assert http.post(server.url + B, content=body("2.0b")).status_code == 200


@pytest.mark.parametrize("prefix", ["/vtn/007", "/vtn/007/"])
def test_prefix_is_part_of_the_address(vtn: SimulatedVtn, prefix: str) -> None:
    with VtnServer(vtn, prefix=prefix) as server, client(headers=XML) as http:
        assert server.url == f"http://127.0.0.1:{server.port}/vtn/007"
        assert http.post(server.url + A, content=body()).status_code == 200
        assert http.post(f"http://127.0.0.1:{server.port}{A}", content=body()).status_code == 404


def test_prefix_begins_with_a_slash(vtn: SimulatedVtn) -> None:
    with pytest.raises(ConfigurationError, match="'vtn' does not begin with /"):
        VtnApp(vtn, prefix="vtn")


def test_basic_authentication(vtn: SimulatedVtn) -> None:
    with VtnServer(vtn, basic=("user", "päss:word")) as server, client(headers=XML) as http:
        url = server.url + A
        refused = http.post(url, content=body())
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Basic ")
        assert http.post(url, content=body(), auth=("user", "wrong")).status_code == 401
        assert not vtn.polls
        assert http.post(url, content=body(), auth=("user", "päss:word")).status_code == 200


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> dict[str, Path]:
    """PEM files of a server at 127.0.0.1 and of the authority."""
    certificate = authority.issue_cert("127.0.0.1")
    names = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key", "authority")}
    certificate.cert_chain_pems[0].write_to_path(names["certificate"])
    certificate.private_key_pem.write_to_path(names["key"])
    authority.cert_pem.write_to_path(names["authority"])
    return names


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_https(vtn: SimulatedVtn, authority: trustme.CA, files: dict[str, Path]) -> None:
    server = VtnServer(vtn, ssl_certfile=files["certificate"], ssl_keyfile=files["key"])
    with server, client(verify=trusting(authority), headers=XML) as http:
        assert server.url.startswith("https://127.0.0.1:")
        assert http.post(server.url + A, content=body()).status_code == 200


def test_client_certificate_is_demanded(
    vtn: SimulatedVtn, authority: trustme.CA, files: dict[str, Path]
) -> None:
    server = VtnServer(
        vtn,
        ssl_certfile=files["certificate"],
        ssl_keyfile=files["key"],
        ssl_ca_certs=files["authority"],
        client_certificates="required",
    )
    with server:
        with (
            client(verify=trusting(authority), headers=XML) as http,
            pytest.raises(httpx.HTTPError),
        ):
            http.post(server.url + A, content=body())
        context = trusting(authority)
        authority.issue_cert("ven-1.example").configure_cert(context)
        with client(verify=context, headers=XML) as http:
            assert http.post(server.url + A, content=body()).status_code == 200
    assert vtn.polls == {"ven-1": 1}


def test_certificates_that_cannot_be_used_are_named(vtn: SimulatedVtn, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere\.pem"):
        VtnServer(vtn, ssl_certfile=tmp_path / "nowhere.pem").start()
    with pytest.raises(ConfigurationError, match="ssl_certfile is missing"):
        VtnServer(vtn, client_certificates="required")
    with pytest.raises(ConfigurationError, match="ssl_ca_certs is missing"):
        VtnServer(vtn, ssl_certfile=tmp_path / "x", client_certificates="required")


# Faults


def test_queued_faults_spoil_one_reply_each(
    server: VtnServer, http: httpx.Client, vtn: SimulatedVtn
) -> None:
    server.faults.append(Fault(status=503, body=b"", headers=(("Retry-After", "3"),)))
    server.faults.append(Fault(body=b"<html>Sorry</html>", content_type="text/html"))
    server.faults.append(Fault(status=500))
    first, second, third, fourth = (http.post(A, content=body()) for _ in range(4))
    assert (first.status_code, first.headers["retry-after"]) == (503, "3")
    assert (second.text, second.headers["content-type"]) == ("<html>Sorry</html>", "text/html")
    assert third.status_code == 500
    assert isinstance(decode(third.content), DistributeEvent)
    assert fourth.status_code == 200
    assert vtn.polls == {"ven-1": 2}  # a fault with its own body hides the request from the VTN


def test_truncated_reply_hangs_up(server: VtnServer, http: httpx.Client) -> None:
    server.faults.append(Fault(truncate=10))
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(A, content=body())
    assert http.post(A, content=body()).status_code == 200


def test_fault_function_sees_the_request(vtn: SimulatedVtn) -> None:
    seen: list[HttpRequest] = []

    def fault(request: HttpRequest) -> Fault | None:
        seen.append(request)
        return Fault(status=500) if len(seen) == 1 else None

    with VtnServer(vtn, fault=fault) as server, client(headers=XML) as http:
        assert http.post(server.url + A, content=body()).status_code == 500
        assert http.post(server.url + A, content=body()).status_code == 200
    assert (seen[0].method, seen[0].path, seen[0].body) == ("POST", A, body())
    assert seen[0].headers["content-type"] == "application/xml"


def test_stalled_reply_outlasts_the_client_and_the_server_still_stops(vtn: SimulatedVtn) -> None:
    with VtnServer(vtn) as server, client(headers=XML) as http:
        server.faults.append(Fault(stall=3600))
        with pytest.raises(httpx.ReadTimeout):
            http.post(server.url + A, content=body(), timeout=httpx.Timeout(30, read=0.1))
    assert vtn.polls == {"ven-1": 1}


# Beginning and end


def test_port_is_free_again_after_the_end(vtn: SimulatedVtn) -> None:
    with client(headers=XML) as http:  # its connection stays open across both servers
        with VtnServer(vtn) as server:
            port = server.port
            http.post(server.url + A, content=body())
        with VtnServer(vtn, port=port) as server:
            assert server.port == port
            assert http.post(server.url + A, content=body()).status_code == 200


def test_server_can_start_again(vtn: SimulatedVtn) -> None:
    server = VtnServer(vtn)
    for _ in range(2):
        with server, client(headers=XML) as http:
            assert http.post(server.url + A, content=body()).status_code == 200
    server.stop()  # nothing to do


def test_port_in_use_is_named(vtn: SimulatedVtn, server: VtnServer) -> None:
    with pytest.raises(TransportError, match=f"port {server.port} of 127.0.0.1: Address already"):
        VtnServer(vtn, port=server.port).start()


def test_place_that_cannot_be_had_is_named(vtn: SimulatedVtn) -> None:
    elsewhere = "192.0.2.1"  # kept for documentation, so it is no address of this machine
    with pytest.raises(TransportError, match=f"cannot listen on port 0 of {elsewhere}: "):
        VtnServer(vtn, elsewhere).start()
    with pytest.raises(ConfigurationError, match="port 70000 "):
        VtnServer(vtn, port=70000)


def test_replies_do_not_wait_for_acknowledgements(server: VtnServer) -> None:
    """asyncio sets TCP_NODELAY only on a socket that says it is TCP (else 40 ms a reply)."""
    with socket.create_connection((server.host, server.port), 10) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: vtn\r\n")  # not yet the end: it stays open
        state = server._server.server_state  # type: ignore[union-attr]
        while not state.connections:
            time.sleep(0.01)
        (connection,) = state.connections
        accepted = connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
