"""A VEN that pins its VTN's certificate talks to that one, and sends nothing to any other."""

import json
import socket
import ssl
import threading

import pytest
from pushed_ven import Certificates
from scripted_vtn import ScriptedVtn, reply

from oadr2.certificate import read_certificate
from oadr2.cli import main
from oadr2.errors import ConfigurationError, TransportError
from oadr2.event import EventHandler
from oadr2.poll import OpenADR2
from oadr2.security import client_context
from oadr2.sim import SimulatedVtn, VtnPusher

FORMS = {
    "2.0a": lambda certificate: certificate.fingerprint("2.0a"),
    "2.0b": lambda certificate: certificate.fingerprint("2.0b"),
    "another spelling": lambda c: c.fingerprint("2.0b").replace(":", " ").lower(),
}
PINNED = "00:11:22:33:44:55:66:77:88:99"


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path)


@pytest.fixture
def own(certificates):
    """The file of the VTN's certificate."""
    return certificates.issue("vtn", "127.0.0.1")


@pytest.fixture
def vtn(own):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own)
    with ScriptedVtn(reply(SimulatedVtn("vtn-a").list_for("ven-1", "2.0a")), tls=tls) as vtn:
        yield vtn


def explained(certificate):
    """What is said of it when another one is pinned."""
    return (
        f"the certificate has the fingerprint {certificate.fingerprint('2.0b')} (2.0b) or"
        f" {certificate.fingerprint('2.0a')} (2.0a), and {PINNED} is pinned"
    )


def ven(vtn, certificates, **more):
    return OpenADR2(
        {"ven_id": "ven-1"},
        vtn.url,
        vtn_ca_certs=certificates.ca_file,
        username="ven-1",
        password="open sesame",
        start_thread=False,
        **more,
    )


@pytest.mark.parametrize("form", FORMS)
def test_H09_the_pinned_certificate_of_either_profile_is_talked_to(vtn, own, certificates, form):
    fingerprint = FORMS[form](read_certificate(own))
    with ven(vtn, certificates, vtn_fingerprint=fingerprint) as polling:
        polling.query_vtn()
    assert len(vtn.requests) == 1


def test_H09_another_certificate_of_the_same_CA_gets_nothing(vtn, own, certificates):
    with (
        ven(vtn, certificates, vtn_fingerprint=PINNED) as polling,
        pytest.raises(TransportError) as refused,
    ):
        polling.query_vtn()
    assert explained(read_certificate(own)) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert vtn.requests == []


def test_the_chain_is_checked_as_well(vtn, own):
    fingerprint = read_certificate(own).fingerprint("2.0b")
    polling = OpenADR2(
        {"ven_id": "ven-1"}, vtn.url, vtn_fingerprint=fingerprint, start_thread=False
    )
    with polling, pytest.raises(TransportError, match="unable to get local issuer"):
        polling.query_vtn()
    assert vtn.requests == []


def test_a_blocking_connection_is_ended_before_a_byte_is_sent(own, certificates):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(own)
    listener = socket.create_server(("127.0.0.1", 0))
    got = []

    def serve():
        raw, _ = listener.accept()
        with raw, tls.wrap_socket(raw, server_side=True) as connection:
            try:
                got.append(connection.recv(1000))
            except OSError:
                got.append(b"")

    server = threading.Thread(target=serve)
    server.start()
    context = client_context(certificates.ca_file, fingerprint=PINNED)
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    with (
        VtnPusher(SimulatedVtn(), url, ssl_context=context) as pusher,
        pytest.raises(TransportError) as refused,
    ):
        pusher.push("ven-1", "2.0a")
    server.join(60)
    listener.close()
    assert explained(read_certificate(own)) in str(refused.value)
    assert got == [b""]


def test_one_context_for_each_fingerprint(certificates):
    contexts = {
        client_context(certificates.ca_file, fingerprint=text)
        for text in (PINNED, PINNED.replace(":", "").lower(), PINNED.replace("9", "8"), None)
    }
    assert len(contexts) == 3


def test_what_is_no_fingerprint_is_told():
    with pytest.raises(ConfigurationError, match="fingerprint: 'x' is not 20 hex digits"):
        client_context(fingerprint="x")
    with pytest.raises(ConfigurationError, match="given together"):
        OpenADR2(
            {"ven_id": "v"},
            "https://127.0.0.1:9",
            vtn_fingerprint=PINNED,
            ssl_context=client_context(),
            start_thread=False,
        )


def test_on_the_command_line(vtn, own, certificates, capsys, tmp_path):
    settings = tmp_path / "ven.toml"
    settings.write_text(
        f'[poll]\nvtn_url = "{vtn.url}"\nven_id = "ven-1"\nca_certs = "ca.pem"\n'
        f'vtn_fingerprint = "{read_certificate(own).fingerprint("2.0b")}"\n'
    )
    assert main(["poll", "-c", str(settings), "--once", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["events"] == []
    taken = len(vtn.requests)
    assert main(["poll", "-c", str(settings), "--once", "--vtn-fingerprint", PINNED]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("oadr2 poll: POST https://127.0.0.1:")
    assert captured.err.rstrip("\n").endswith(explained(read_certificate(own)))
    assert captured.err.count("\n") == 1
    assert len(vtn.requests) == taken


def test_plain_http_has_nothing_to_pin(capsys):
    arguments = ["--vtn-url", "http://127.0.0.1:9", "--ven-id", "v", "--vtn-fingerprint", PINNED]
    assert main(["poll", *arguments]) == 2
    assert "need an https:// address" in capsys.readouterr().err
    with pytest.raises(ConfigurationError, match="vtn_fingerprint: needs an https"):
        OpenADR2({"ven_id": "v"}, "http://127.0.0.1:9", vtn_fingerprint=PINNED)


def test_a_handler_is_not_left_open(monkeypatch):
    closed = []

    def note(self):
        closed.append(self)

    monkeypatch.setattr(EventHandler, "close", note)
    with pytest.raises(ConfigurationError, match="jitter"):
        OpenADR2({"ven_id": "v"}, "http://127.0.0.1:9", jitter=3)
    assert len(closed) == 1
