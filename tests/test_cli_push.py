"""``oadr2 push`` against a simulated VTN: the lines it prints, and how it ends."""

import signal
import socket

import pytest
from pushed_ven import Certificates
from test_cli_poll import Polling

from oadr2.cli import main
from oadr2.cli.configuration import listen_address
from oadr2.sim import SimulatedVtn, VtnPusher, VtnServer


class Pushed(Polling):
    verb = "push"


@pytest.fixture
def vtn():
    return SimulatedVtn("vtn-a")


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path)


def push_until_done(program, vtn, context=None):
    """Wait for the program to listen, push two versions of an event, and end it."""
    start = program.wait_for(kind="start")
    with VtnPusher(vtn, start["listen"], ssl_context=context) as pusher:
        assert pusher.push("ven-1", "2.0a").response.ok
        assert program.wait_for(kind="event", change="new")["event_id"] == "e1"
        assert vtn.wait_for(lambda: vtn.last_answer("ven-1", "e1"), 60)
        vtn.cancel_event("e1")
        assert pusher.push("ven-1", "2.0a").response.ok
        program.wait_for(kind="event", change="cancelled")
    code, lines, errors = program.end(signal.SIGTERM)
    assert (code, errors) == (0, "")
    assert '"kind": "stop"' in lines[-1].replace('":"', '": "')
    return start


def test_in_plain_text_on_this_machine(vtn):
    with (
        VtnServer(vtn) as server,
        Pushed(
            *("--listen", "127.0.0.1:0", "--plaintext", "--vtn-url", server.url),
            *("--ven-id", "ven-1", "--json"),
        ) as program,
    ):
        # The question at the start is answered before anything is pushed.
        assert vtn.wait_for(lambda: vtn.polls["ven-1"] == 1, 60)
        vtn.add_event("e1", duration="PT1H")
        start = push_until_done(program, vtn)
    assert start["listen"].startswith("http://127.0.0.1:")
    # Twice when the push overtook the reply to the question.
    assert vtn.polls["ven-1"] in {1, 2}


@pytest.mark.parametrize("by", ["name", "fingerprint", "host"])
def test_with_certificates_on_both_sides(vtn, certificates, by, capsys):
    own = certificates.issue("vtn", "127.0.0.1", "localhost", common_name="VTN 1")
    ven = certificates.issue("ven", "127.0.0.1", common_name="ven-1")
    known_by = []
    if by == "name":
        known_by = ["--vtn-name", "vtn 1"]
    elif by == "fingerprint":
        assert main(["fingerprint", str(own)]) == 0
        known_by = ["--vtn-fingerprint", capsys.readouterr().out.splitlines()[1].split()[-1]]
    tls = {"ssl_certfile": own, "ssl_ca_certs": certificates.ca_file}
    with (
        VtnServer(vtn, **tls, client_certificates="required") as server,
        Pushed(
            *("--listen", "127.0.0.1:0", "--ven-id", "ven-1", "--no-ask", "--json"),
            *("--vtn-url", server.url.replace("127.0.0.1", "localhost"), *known_by),
            *("--cert", ven, "--ca-certs", certificates.ca_file, "--prefix", "/site"),
        ) as program,
    ):
        vtn.add_event("e1", duration="PT1H")
        start = push_until_done(program, vtn, certificates.vtn_client(own))
    assert start["listen"].endswith("/site")
    assert vtn.polls["ven-1"] == 0


def test_a_VTN_that_cannot_be_reached_is_a_line_and_a_later_try():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Pushed(
        *("--listen", "127.0.0.1:0", "--plaintext", "--vtn-url", f"http://127.0.0.1:{port}"),
        *("--ven-id", "ven-1", "--json"),
    ) as program:
        error = program.wait_for(kind="error")
        assert error["error"] == "TransportError"
        assert error["next_poll_in"] >= 0
        assert program.end(signal.SIGINT)[0] == 0


NEEDED = ["push", "--listen", "127.0.0.1:0", "--vtn-url", "http://127.0.0.1:9", "--ven-id", "v"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--cert and --ca-certs are needed"),
        (["--plaintext", "--vtn-name", "x"], "of no use with --plaintext"),
        (["--plaintext", "--cert", "x"], "leave out --plaintext"),
        (["--plaintext", "--ca-certs", "x"], "leave out --plaintext"),
        (["--plaintext", "--key", "x"], "leave out --plaintext"),
        # There they serve the way to the VTN.
        (["--plaintext", "--cert", "/none", "--vtn-url", "https://vtn"], "cert: /none: No such"),
        (["--plaintext", "--cert", "/none", "--vtn-url", "HTTPS://vtn"], "cert: /none: No such"),
        (["--plaintext", "--listen", "0.0.0.0:0"], "plain HTTP"),
        (["--plaintext", "--listen", "8080"], "HOST:PORT"),
        (["--plaintext", "--prefix", "x"], "prefix"),
        (["--plaintext", "--password", "x"], "--password-file"),
    ],
)
def test_wrong_options(arguments, words, capsys):
    assert main([*NEEDED, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_port_that_is_taken(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main([*NEEDED, "--plaintext", "--listen", listen]) == 1
    assert "cannot listen on port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8443", ("0.0.0.0", 8443)),
        ("ven.example:0", ("ven.example", 0)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_listen_addresses(text, address):
    assert listen_address(text) == address


@pytest.mark.parametrize("text", ["", ":80", "host", "host:", "host:x", "host:65536", "::1:80"])
def test_what_is_no_listen_address(text):
    with pytest.raises(Exception, match=r"HOST:PORT|port"):
        listen_address(text)
