"""Statements about polling, HTTP and TLS (facts.md 6.6, 6.9), with a VTN that plays a script."""

from __future__ import annotations

import asyncio
import base64
import ssl
from itertools import pairwise

import pytest
import trustme
from payloads import distribute_event, document, event, response
from polling import poll, run_loop
from scripted_vtn import Close, Drip, Reset, ScriptedVtn, Stall, reply
from vens import Sent

import oadr2
from oadr2.errors import ConfigurationError, RemoteProtocolError, TransportError
from oadr2.model import (
    CancelReport,
    CreateReport,
    ReportRequest,
    ReportSpecifier,
    SpecifierPayload,
    UpdateReport,
)
from oadr2.poll import PollClient
from oadr2.schedule import Duration
from oadr2.security import client_context

SPECIFIER = ReportSpecifier("usage", Duration(), Duration(), (SpecifierPayload("power"),))
SERVICE_MESSAGES = {
    "oadrCreateReport": CreateReport((ReportRequest("r", SPECIFIER),), "q"),
    "oadrCancelReport": CancelReport(("r",), request_id="q"),
    "oadrUpdateReport": UpdateReport("q"),
}
PATHS = {
    "2.0a": "/OpenADR2/Simple/EiEvent",
    "2.0b": "/OpenADR2/Simple/2.0b/EiEvent",
}


def kinds(vtn):
    return [Sent(request.body).kind for request in vtn.requests]


# -- polling --------------------------------------------------------------------------------------


def test_L01_pull_needs_nothing_but_the_VTNs_address(handler, profile):
    script = [reply(distribute_event(event(), profile=profile)), reply(response(profile=profile))]
    with ScriptedVtn(*script) as vtn:
        poll(handler, vtn.url)
    assert kinds(vtn) == ["oadrRequestEvent", "oadrCreatedEvent"]
    assert Sent(vtn.requests[1].body).answers[0].opt == "optIn"
    assert handler.get_event("e1") is not None


@pytest.mark.parametrize("interval", [10.0, 300.0])
def test_L02_the_rate_is_as_configured_and_the_same_each_time(handler, profile, interval):
    with ScriptedVtn(reply(distribute_event(profile=profile))) as vtn:
        asked, errors = run_loop(handler, vtn, 6, poll_interval=interval, jitter=0.0)
    assert asked == [interval * i for i in range(6)]
    assert errors == []


def test_L02_with_jitter_the_average_is_never_exceeded(handler, profile):
    with ScriptedVtn(reply(distribute_event(profile=profile))) as vtn:
        asked, _ = run_loop(handler, vtn, 20, poll_interval=60.0, jitter=0.5)
    assert len(set(asked)) == 20
    for i, time in enumerate(asked):
        assert 60.0 * i <= time <= 60.0 * i + 30.0


def test_L02_no_retry_comes_faster_than_the_limit(handler, profile):
    with ScriptedVtn(reply(b"", "503 Busy")) as vtn:
        asked, errors = run_loop(
            handler, vtn, 15, poll_interval=60.0, min_poll_interval=7.0, back_off_base=0.1
        )
    assert len(errors) == len(asked) == 15
    assert min(b - a for a, b in pairwise(asked)) >= 7.0
    # Retries are extra polls, a few of them; then the rate is the configured one again.
    assert asked[-1] >= 60.0 * (len(asked) - 1 - 3) - 1e-6


def test_L02_a_rate_beyond_the_limit_is_refused(handler):
    with pytest.raises(ConfigurationError, match="min_poll_interval"):
        PollClient(handler, "http://vtn", poll_interval=5.0, min_poll_interval=10.0)


@pytest.mark.parametrize(
    "step", [reply(b""), reply(b"", content_type=None), b"HTTP/1.1 204 No Content\r\n\r\n"]
)
def test_L05_an_empty_reply_to_an_answer_is_fine(handler, profile, step):
    events = reply(distribute_event(event(), profile=profile))
    with ScriptedVtn(events, step, events, step) as vtn:
        poll(handler, vtn.url, times=2)
    assert kinds(vtn) == ["oadrRequestEvent", "oadrCreatedEvent"] * 2


FAILURES = {
    "HTTP 500": reply(b"<html>down</html>", "500 Internal Server Error", "text/html"),
    "HTTP 404 with a list": "list with 404",
    "closed": Close(),
    "broken off": Close(reply(b"<oadr", length=500)),
    "reset": Reset(),
    "empty": reply(b""),
    "HTML": reply(b"<html><body>Login</body></html>", content_type="text/html"),
    "cut short": reply(distribute_event()[:-5]),
    "an error code": reply(distribute_event(response_code=500)),
}


@pytest.mark.parametrize("what", FAILURES)
def test_L08_E25_after_an_error_polling_goes_on_and_no_event_is_lost(handler, profile, what):
    events = distribute_event(event("a"), event("b"), profile=profile)
    step = FAILURES[what]
    if step == "list with 404":
        step = reply(distribute_event(profile=profile), "404 Not Found")
    good = [reply(events), reply(response(profile=profile))]
    with ScriptedVtn(*good, step, step, *good) as vtn:
        asked, errors = run_loop(handler, vtn, 4, poll_interval=60.0, jitter=0.0)
    assert len(asked) == 4
    assert len(errors) == 2
    assert all(isinstance(error, TransportError | RemoteProtocolError) for error in errors)
    assert [e.event_id for e in handler.get_active_events()] == ["a", "b"]


def test_L08_retries_back_off(handler, profile):
    with ScriptedVtn(reply(b"", "502 Bad Gateway")) as vtn:
        asked, _ = run_loop(
            handler, vtn, 4, poll_interval=600.0, back_off_base=8.0, random=lambda: 0.5, jitter=0.0
        )
    assert [b - a for a, b in pairwise(asked)] == [4.0, 8.0, 16.0]


def test_E13_all_answers_are_sent_before_the_next_poll(handler, profile):
    events = distribute_event(event("a"), event("b"), event("c", level=7.0), profile=profile)
    script = [reply(events), reply(response(profile=profile))] * 2
    with ScriptedVtn(*script) as vtn:
        poll(handler, vtn.url, times=2)
    assert kinds(vtn) == ["oadrRequestEvent", "oadrCreatedEvent"] * 2
    assert len(Sent(vtn.requests[1].body).answers) == 3


def test_E13_polls_at_the_same_time_do_not_overtake_answers(handler, profile):
    async def main(vtn):
        async with PollClient(handler, vtn.url) as client:
            await asyncio.gather(*[client.poll_once() for _ in range(3)])

    script = [reply(distribute_event(event(), profile=profile)), reply(b"")] * 3
    with ScriptedVtn(*script) as vtn:
        asyncio.run(main(vtn))
    assert kinds(vtn) == ["oadrRequestEvent", "oadrCreatedEvent"] * 3


def test_E54_the_error_of_a_poll_reaches_the_application_with_its_code(handler, profile):
    script = [
        reply(distribute_event(event(), profile=profile)),
        reply(b""),
        reply(response(463, "who?", profile=profile)),
        reply(distribute_event(response_code=404, profile=profile)),
    ]
    with ScriptedVtn(*script) as vtn:
        asked, errors = run_loop(handler, vtn, 3, poll_interval=60.0, jitter=0.0)
    assert len(asked) == 3
    assert [error.response_code for error in errors] == [463, 404]
    assert handler.get_event("e1") is not None


@pytest.mark.parametrize("name", ["oadrCreateReport", "oadrCancelReport", "oadrUpdateReport"])
def test_G09_a_message_no_service_takes_is_an_error_and_not_answered(handler, profile, name):
    message = SERVICE_MESSAGES[name]
    body = document(name, "", profile=profile) if profile == "2.0a" else oadr2.encode(message)
    with ScriptedVtn(reply(body)) as vtn, pytest.raises(RemoteProtocolError, match=name) as caught:
        poll(handler, vtn.url)
    assert caught.value.response_code == 453
    assert len(vtn.requests) == 1


# -- HTTP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/", "/vtn/VEN_1", "/a%20b/"])
def test_H01_the_address_is_base_and_path_of_the_profile(handler, profile, prefix):
    with ScriptedVtn(reply(distribute_event(event(), profile=profile)), reply(b"")) as vtn:
        poll(handler, vtn.url + prefix)
    path = prefix.rstrip("/") + PATHS[profile]
    assert [request.line for request in vtn.requests] == [f"POST {path} HTTP/1.1"] * 2


def test_H02_H03_the_headers_of_a_request(handler, profile):
    with ScriptedVtn(reply(distribute_event(event(), profile=profile)), reply(b"")) as vtn:
        poll(handler, vtn.url)
    for request in vtn.requests:
        assert request.headers["host"] == f"127.0.0.1:{vtn.port}"
        assert request.headers["content-length"] == str(len(request.body))
        assert request.headers["content-type"] == "application/xml"
        assert "transfer-encoding" not in request.headers
        assert "expect" not in request.headers


@pytest.mark.parametrize(
    "content_type",
    [
        "application/xml; charset=utf-8",
        'Application/XML;charset="UTF-8"',
        "text/xml",
        "text/html",
        None,
    ],
)
def test_H04_any_content_type_of_a_reply_will_do(handler, profile, content_type):
    body = distribute_event(event(), profile=profile)
    with ScriptedVtn(reply(body, content_type=content_type), reply(b"", content_type=None)) as vtn:
        poll(handler, vtn.url)
    assert handler.get_event("e1") is not None


@pytest.mark.parametrize("status", ["301 Moved", "400 Bad", "401 No", "403 No", "500 No", "503 No"])
def test_H05_an_HTTP_status_other_than_2xx_is_an_error_of_the_transport(handler, profile, status):
    cancels_everything = distribute_event(profile=profile)
    events = distribute_event(event(), profile=profile)
    with ScriptedVtn(reply(events), reply(b""), reply(cancels_everything, status)) as vtn:
        poll(handler, vtn.url)
        with pytest.raises(TransportError) as caught:
            poll(handler, vtn.url)
    assert caught.value.status == int(status[:3])
    assert handler.get_event("e1") is not None


def test_H05_errors_of_the_application_are_read_from_a_200(handler, profile):
    events = distribute_event(event(), profile=profile)
    script = [reply(events), reply(response(451, "too late", profile=profile))]
    with ScriptedVtn(*script) as vtn, pytest.raises(RemoteProtocolError, match="late") as caught:
        poll(handler, vtn.url)
    assert caught.value.response_code == 451


def test_H10_HTTP_Basic(handler, profile):
    with ScriptedVtn(reply(distribute_event(event(), profile=profile)), reply(b"")) as vtn:
        poll(handler, vtn.url, username="ven", password="geheim")
    expected = "Basic " + base64.b64encode(b"ven:geheim").decode()
    assert [request.headers["authorization"] for request in vtn.requests] == [expected] * 2


@pytest.mark.parametrize(
    "how", [Stall(), Stall(reply(b"", length=99)), Drip(reply(b"", length=9**9))]
)
def test_H11_the_time_for_a_reply_is_bounded(handler, how):
    with ScriptedVtn(how) as vtn, pytest.raises(TransportError):
        poll(handler, vtn.url, read_timeout=0.05, connect_timeout=0.05)


def test_H11_the_time_to_connect_is_bounded(handler):
    """A TLS server that never answers the greeting: the connection is made and goes no further."""
    context = client_context()
    with ScriptedVtn(Stall()) as vtn, pytest.raises(TransportError):
        poll(
            handler,
            vtn.url.replace("http:", "https:"),
            connect_timeout=0.05,
            read_timeout=0.05,
            ssl_context=context,
        )


# -- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A VTN's context that demands a client certificate, and the VEN's files."""
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    ca.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    ca.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    for name, kind in (("rsa", trustme.KeyType.RSA), ("ecc", trustme.KeyType.ECDSA)):
        file = folder / f"{name}.pem"
        ca.issue_cert("ven", key_type=kind).private_key_and_cert_chain_pem.write_to_path(file)
        file.chmod(0o600)
    return server, folder


@pytest.mark.parametrize("kind", ["rsa", "ecc"])
def test_H06_client_certificates_of_either_kind(handler, profile, tls, kind):
    server, files = tls
    with ScriptedVtn(reply(distribute_event(event(), profile=profile)), tls=server) as vtn:
        context = client_context(files / "ca.pem", files / f"{kind}.pem")
        with pytest.raises(RemoteProtocolError):  # the script answers our answer with a list
            poll(handler, vtn.url, ssl_context=context)
    assert handler.get_event("e1") is not None


def test_H06_the_servers_chain_is_verified(handler, tls):
    server, files = tls
    context = client_context(files / "other.pem", files / "ecc.pem")
    with (
        ScriptedVtn(reply(b""), tls=server) as vtn,
        pytest.raises(TransportError, match="certificate verify failed"),
    ):
        poll(handler, vtn.url, ssl_context=context)
    assert vtn.requests == []


def test_H07_the_default_suites_of_the_profiles_are_offered():
    offered = {suite["name"] for suite in client_context().get_ciphers()}
    assert {"AES128-SHA", "ECDHE-ECDSA-AES128-SHA"} <= offered  # 2.0a
    assert {"AES128-SHA256", "ECDHE-ECDSA-AES128-SHA256"} <= offered  # 2.0b


def test_H08_TLS_1_2_is_the_least_unless_asked_for_less():
    assert client_context().minimum_version == ssl.TLSVersion.TLSv1_2
    legacy = client_context(legacy=True)
    assert legacy.minimum_version < ssl.TLSVersion.TLSv1_2
    assert legacy.verify_mode == ssl.CERT_REQUIRED
