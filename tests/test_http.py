"""Requests and replies as they stand on the wire, and every way a reply can go wrong."""

import base64
import gzip
import ssl
from types import SimpleNamespace

import pytest
import trustme
from scripted_vtn import (
    ANSWER,
    LIST,
    REQUEST,
    Close,
    Drip,
    FakeHandler,
    Reset,
    ScriptedVtn,
    Stall,
    failure,
    oadr_response,
    poll,
    reply,
)

import oadr2.http
import oadr2.poll
from oadr2.errors import (
    ConfigurationError,
    RemoteProtocolError,
    TransportError,
    one_line,
)
from oadr2.http import service_url
from oadr2.poll import PollClient
from oadr2.security import client_context
from oadr2.sim import SimulatedVtn, VtnServer

# Addresses


@pytest.mark.parametrize(
    ("base", "profile", "url"),
    [
        ("http://vtn", "2.0a", "http://vtn/OpenADR2/Simple/EiEvent"),
        ("http://vtn/", "2.0b", "http://vtn/OpenADR2/Simple/2.0b/EiEvent"),
        ("https://vtn:8443/a/b/", "2.0a", "https://vtn:8443/a/b/OpenADR2/Simple/EiEvent"),
        ("http://vtn/a%20b", "2.0b", "http://vtn/a%20b/OpenADR2/Simple/2.0b/EiEvent"),
        ("http://vtn/p/OpenADR2/Simple", "2.0a", "http://vtn/p/OpenADR2/Simple/EiEvent"),
        ("http://vtn/p/OpenADR2/Simple/", "2.0b", "http://vtn/p/OpenADR2/Simple/2.0b/EiEvent"),
        ("http://vtn/OpenADR2/Simple/EiEvent", "2.0a", "http://vtn/OpenADR2/Simple/EiEvent"),
        ("http://v/OpenADR2/Simple/2.0b/OadrPoll", "2.0b", "http://v/OpenADR2/Simple/2.0b/EiEvent"),
        (
            "http://vtn/OpenADR2/SimpleMind",
            "2.0a",
            "http://vtn/OpenADR2/SimpleMind/OpenADR2/Simple/EiEvent",
        ),
        (" http://u:p@[::1]:80/x ", "2.0a", "http://[::1]/x/OpenADR2/Simple/EiEvent"),
    ],
)
def test_H01_service_address(base, profile, url):
    assert service_url(base, profile, "EiEvent") == url


@pytest.mark.parametrize(
    "base",
    ["", "vtn", "ftp://vtn", "http://", "http://vtn:port", "http://vtn?x=1", "http://v/#f", None],
)
def test_a_base_that_is_no_http_address_names_the_argument(base):
    with pytest.raises(ConfigurationError, match="vtn_base_uri"):
        PollClient(FakeHandler(), base)


def test_no_message_about_the_address_holds_its_password():
    for base in ("http://me:se/cret@vtn", "ftp://me:secret@vtn", "http://me:secret@"):
        with pytest.raises(ConfigurationError) as caught:
            PollClient(FakeHandler(), base)
        assert "cret" not in str(caught.value)


# Requests


@pytest.mark.parametrize(
    ("profile", "path"),
    [("2.0a", "/pre/OpenADR2/Simple/EiEvent"), ("2.0b", "/pre/OpenADR2/Simple/2.0b/EiEvent")],
)
def test_H02_H03_the_request_as_it_stands_on_the_wire(profile, path):
    with ScriptedVtn(reply(LIST)) as vtn:
        handler = poll(vtn, FakeHandler(profile=profile), base=vtn.url + "/pre")
    (request,) = vtn.requests
    assert request.line == f"POST {path} HTTP/1.1"
    assert request.headers["content-type"] == "application/xml"
    assert request.headers["content-length"] == str(len(REQUEST))
    assert request.headers["host"] == f"127.0.0.1:{vtn.port}"
    assert request.headers["user-agent"].startswith("oadr2/")
    assert "expect" not in request.headers
    assert "transfer-encoding" not in request.headers
    assert "authorization" not in request.headers
    assert request.body == REQUEST
    assert handler.taken == [LIST]


def test_H10_basic_is_sent_with_the_first_request():
    with ScriptedVtn(reply(LIST)) as vtn:
        poll(vtn, username="me", password="öpen")
        poll(vtn, base=vtn.url.replace("//", "//me:%C3%B6pen@"))
    expected = "Basic " + base64.b64encode("me:öpen".encode()).decode()
    assert [request.headers["authorization"] for request in vtn.requests] == [expected] * 2


def test_H10_no_secret_reaches_an_error_even_if_the_vtn_echoes_it(caplog):
    token = base64.b64encode(b"me:s3cret!!").decode()
    page = f"<pre>Authorization: Basic {token} ({'s3cret!!'})</pre>".encode()
    with ScriptedVtn(reply(page, "401 Unauthorized", "text/html")) as vtn:
        base = vtn.url.replace("//", "//me:s3cret!!@")
        with pytest.raises(TransportError, match="check username and password") as caught:
            poll(vtn, base=base)
    assert caught.value.status == 401
    shown = str(caught.value) + caplog.text
    assert "s3cret" not in shown
    assert token not in shown


def test_further_headers_are_sent_and_the_framing_ones_refused():
    with ScriptedVtn(reply(LIST)) as vtn:
        poll(vtn, headers={"X-Site": "7"})
    assert vtn.requests[0].headers["x-site"] == "7"
    for name, value in [("Content-Length", "1"), ("X-A", "b\r\nX-B: c"), ("X A", "b")]:
        with pytest.raises(ConfigurationError, match="headers"):
            PollClient(FakeHandler(), "http://vtn", headers={name: value})


def test_cookies_are_not_kept():
    with ScriptedVtn(reply(LIST, headers=["Set-Cookie: a=b"])) as vtn:
        poll(vtn, times=2)
    assert [("cookie" in request.headers) for request in vtn.requests] == [False, False]


def test_the_environment_names_no_proxy(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with ScriptedVtn(reply(LIST)) as vtn:
        assert poll(vtn).taken == [LIST]


# Replies that are fine


def chunked(body, size=7):
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    "step",
    [
        reply(LIST),
        chunked(LIST),
        reply(gzip.compress(LIST), headers=["Content-Encoding: gzip"]),
        reply(
            gzip.compress(LIST[:9]) + gzip.compress(LIST[9:]), headers=["Content-Encoding: gzip"]
        ),
        Close(b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n" + LIST),
        b"HTTP/1.1 100 Continue\r\n\r\n" + reply(LIST),
    ],
    ids=["plain", "chunked", "gzip", "gzip members", "until close", "100 first"],
)
def test_forms_of_a_good_reply(step):
    with ScriptedVtn(step) as vtn:
        assert poll(vtn).taken == [LIST]


def test_poll_and_answer_share_a_connection():
    with ScriptedVtn(reply(LIST), reply(oadr_response())) as vtn:
        poll(vtn, FakeHandler(ANSWER))
    assert vtn.connections == 1


@pytest.mark.parametrize(
    ("content_type", "said"),
    [
        ("application/xml; charset=UTF-8", False),
        ("TEXT/XML", False),
        ("application/atom+xml", False),
        ("text/html", True),
        (None, True),
    ],
)
def test_H04_an_odd_content_type_is_said_once_and_the_body_read(content_type, said, caplog):
    with ScriptedVtn(reply(LIST, content_type=content_type)) as vtn:
        handler = poll(vtn, times=3)
    assert len(handler.taken) == 3
    warnings = [r for r in caplog.records if r.name == "oadr2.poll"]
    assert len(warnings) == (1 if said else 0)


# Replies that are not


@pytest.mark.parametrize("status", ["500 Internal Server Error", "404 Not Found", "503 Busy"])
def test_H05_E25_other_than_2xx_is_a_transport_error_whatever_the_body(status):
    error = failure(reply(LIST, status))
    assert error.status == int(status[:3])
    assert f"HTTP {status}: {LIST.decode()}" in str(error)
    assert error.retry_after is None


def test_H05_the_body_in_the_message_is_cut_and_escaped():
    error = failure(reply(b"a\x1b[2J\r\nb" + b"y" * 5000, "500 No", "text/html"))
    assert "HTTP 500 No: a\\x1b[2J byyy" in str(error)
    assert len(str(error)) < 320


def test_H05_a_stalling_error_page_does_not_hide_the_status():
    step = Stall(reply(b"<html>", "502 Bad Gateway", length=100))
    assert failure(step, read_timeout=0.2).status == 502


def test_redirects_are_not_followed():
    with ScriptedVtn(reply(LIST)) as other:
        step = reply(
            b"", "302 Found", headers=[f"Location: http://u:secret@127.0.0.1:{other.port}/"]
        )
        error = failure(step, username="me", password="longsecret")
    assert error.status == 302
    assert "redirects are not followed" in str(error)
    assert "secret" not in str(error)
    assert other.requests == []


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        ("503 Busy", ["Retry-After: 120"], 120.0),
        ("429 Too Many", ["Retry-After: 0"], 0.0),
        (
            "503 Busy",
            ["Date: Fri, 02 Jan 2026 10:00:00 GMT", "Retry-After: Fri, 02 Jan 2026 10:01:30 GMT"],
            90.0,
        ),
        ("503 Busy", ["Retry-After: Sat, 01 Jan 2000 00:00:00 GMT"], 0.0),
        ("503 Busy", ["Retry-After: soon"], None),
        ("503 Busy", ["Retry-After: " + "9" * 5000], 999999999999.0),
        ("500 Broken", ["Retry-After: 120"], None),
    ],
)
def test_retry_after_of_429_and_503(status, headers, seconds):
    assert failure(reply(b"", status, headers=headers)).retry_after == seconds


@pytest.mark.parametrize(
    "step",
    [
        Close(),
        Close(b"HTTP/1.1 200 OK\r\n"),
        Close(reply(LIST, length=1000)),
        Close(chunked(LIST)[:-8]),
        Close(b"SMTP ready\r\n\r\n"),
        Close(reply(gzip.compress(LIST)[:-12], headers=["Content-Encoding: gzip"])),
        Close(reply(LIST, headers=["Content-Encoding: gzip"])),
        Close(reply(LIST, headers=["Content-Encoding: br"])),
        Close(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000),
        Reset(),
    ],
    ids=[
        "no byte",
        "half a head",
        "short body",
        "cut chunk",
        "no HTTP",
        "cut gzip",
        "not gzip",
        "brotli",
        "endless head",
        "reset",
    ],
)
def test_E25_a_reply_that_breaks_off_changes_nothing(step):
    error = failure(step)
    assert str(error).startswith("POST http://127.0.0.1:")


def test_H11_a_stalled_reply_ends_with_the_read_timeout():
    for step in (Stall(), Stall(reply(LIST, length=1000))):
        assert "no complete reply within" in str(failure(step, read_timeout=0.1))


def test_H11_a_dripping_reply_is_bounded_as_a_whole():
    step = Drip(reply(b"", length=1_000_000))
    assert "no complete reply within" in str(failure(step, read_timeout=0.2, connect_timeout=0.2))


def test_H11_nobody_listens():
    with ScriptedVtn(reply()) as vtn:
        pass
    with pytest.raises(TransportError, match="refused") as caught:
        poll(vtn)
    assert caught.value.status is None


@pytest.mark.parametrize("form", ["length", "chunked", "gzip", "gzip members"])
def test_a_reply_beyond_max_response_size_is_not_read(form):
    large = b"x" * 100_001
    step = {
        "length": Stall(reply(b"", length=100_001)),
        "chunked": chunked(large, 4096),
        "gzip": reply(gzip.compress(large), headers=["Content-Encoding: gzip"]),
        "gzip members": reply(gzip.compress(b"") * 6000, headers=["Content-Encoding: gzip"]),
    }[form]
    error = failure(step, max_response_size=100_000)
    assert "larger than max_response_size" in str(error)


def test_a_zip_bomb_is_not_inflated(monkeypatch):
    inflated = 0
    inner = oadr2.http.zlib.decompressobj

    class Counting:
        def __init__(self, *args):
            self._inflater = inner(*args)

        def __getattr__(self, name):
            return getattr(self._inflater, name)

        def decompress(self, data, max_length=0):
            nonlocal inflated
            piece = self._inflater.decompress(data, max_length)
            inflated += len(piece)
            return piece

    monkeypatch.setattr(oadr2.http.zlib, "decompressobj", Counting)
    bomb = gzip.compress(bytes(50_000_000))
    failure(reply(bomb, headers=["Content-Encoding: gzip"]), max_response_size=100_000)
    assert 0 < inflated <= 100_001


def test_max_response_size_is_exact():
    for headers, body in [((), LIST), (("Content-Encoding: gzip",), gzip.compress(LIST))]:
        with ScriptedVtn(reply(body, headers=headers)) as vtn:
            assert poll(vtn, max_response_size=len(LIST)).taken == [LIST]


@pytest.mark.parametrize("step", [reply(b""), reply(b" \r\n"), b"HTTP/1.1 204 No Content\r\n\r\n"])
def test_E25_an_empty_reply_to_a_poll_is_an_error(step):
    assert "empty" in str(failure(step, error=RemoteProtocolError))


def test_E25_nonsense_in_a_200_is_the_handlers_to_refuse():
    failure(reply(b"<html>hello</html>", content_type="text/html"), error=RemoteProtocolError)


def test_E54_an_oadrResponse_error_to_a_poll_carries_its_code():
    error = failure(reply(oadr_response("463", "not registered")), error=RemoteProtocolError)
    assert error.response_code == 463


# TLS, end to end; the contexts themselves are tested in test_security.py


def test_H06_polling_over_mutual_tls(tmp_path):
    ca = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    ca.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    ca.issue_cert("ven").private_key_and_cert_chain_pem.write_to_path(tmp_path / "ven.pem")
    with ScriptedVtn(reply(LIST), tls=tls) as vtn:
        context = client_context(tmp_path / "ca.pem", tmp_path / "ven.pem")
        assert poll(vtn, ssl_context=context).taken == [LIST]
        for refused, words in [
            (client_context(tmp_path / "ca.pem"), None),  # no certificate of ours
            (client_context(None, tmp_path / "ven.pem"), "certificate verify failed"),
            (None, "certificate verify failed"),
        ]:
            with pytest.raises(TransportError, match=words):
                poll(vtn, ssl_context=refused)
    assert len(vtn.requests) == 1


def test_https_where_plain_http_is_spoken():
    with VtnServer(SimulatedVtn()) as server:
        vtn = SimpleNamespace(url=server.url.replace("http:", "https:"))
        with pytest.raises(TransportError, match=r"does the VTN speak plain http:// there\?$"):
            poll(vtn)


def test_plain_http_where_tls_is_spoken():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    with ScriptedVtn(reply(LIST), tls=tls) as server:
        vtn = SimpleNamespace(url=server.url.replace("https:", "http:"))
        with pytest.raises(TransportError, match=r"\w; does the VTN want https:// there\?$"):
            poll(vtn)


def test_a_vtn_that_has_answered_before_is_not_suspected_of_tls():
    handler = FakeHandler()
    with ScriptedVtn(reply(LIST), Close()) as vtn, pytest.raises(TransportError) as caught:
        poll(vtn, handler, times=2)
    assert handler.taken == [LIST]
    assert "https" not in str(caught.value)


def test_one_line():
    assert one_line(" a\r\n\tb\x00\u202ec ") == "a b\\x00\\u202ec"
    assert one_line("x" * 500, 10) == "x" * 10 + "..."
