"""``oadr2 vtn`` in one terminal, a VEN in another: an event is pushed, answered, run and cancelled."""

import json
import socket

import pytest
from pushed_ven import Certificates
from test_cli_poll import Polling

from oadr2.cli import main

# Nothing before the VEN has said that it is there; then an event that runs, until it is cancelled.
NOTHING = "# no events yet\n"
PEAK = """
[[event]]
event_id = "peak"
start = "-1s"
intervals = [{duration = "PT1H", level = 2}]
"""


class Vtn(Polling):
    verb = "vtn"


class Push(Polling):
    verb = "push"


@pytest.fixture
def events(tmp_path):
    file = tmp_path / "events.toml"
    file.write_text(NOTHING)
    return file


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return unused.getsockname()[1]


def play(vtn, ven, events, ven_id="ven-1", ven_errors=""):
    """Add an event and take it away again; what both sides tell of it must fit.

    ``ven_errors`` is looked for in what the VEN writes to standard error; "" means nothing at all.
    """
    events.write_text(PEAK)
    assert vtn.wait_for(kind="script", action="added")["event_id"] == "peak"
    # In which order they come, and what a VEN asks in between, is anybody's guess.
    told = {}
    while told.keys() != {"pushed", "answer"}:
        record = vtn.record()
        if record["kind"] in {"pushed", "answer"}:
            told[record["kind"]] = record
    assert (told["pushed"]["ven_id"], told["pushed"]["problem"]) == (ven_id, "")
    (answer,) = told["answer"]["answers"]
    assert (answer["event_id"], answer["opt_type"]) == ("peak", "optIn")
    assert (answer["response_code"], told["answer"]["response_code"]) == (200, 200)
    assert ven.wait_for(kind="event", change="new")["event_id"] == "peak"
    assert ven.wait_for(kind="signal")["level"] == 2.0
    events.write_text(NOTHING)
    assert vtn.wait_for(kind="script", action="cancelled")["event_id"] == "peak"
    while answer["modification_number"] == 0:
        (answer,) = vtn.wait_for(kind="answer")["answers"]
    assert (answer["event_id"], answer["modification_number"]) == ("peak", 1)
    ven.wait_for(kind="event", change="cancelled")
    assert ven.wait_for(kind="signal")["level"] == 0.0
    for program, words in ((ven, ven_errors), (vtn, "")):
        code, rest, errors = program.end()
        assert code == 0
        assert words in errors
        assert bool(words) == bool(errors)
        assert json.loads(rest[-1])["kind"] == "stop"


@pytest.mark.parametrize(
    ("profile", "spoken", "ven_errors"),
    [("2.0a", "both", ""), ("2.0b", "2.0b", ""), ("2.0b", "both", "2.0b/EiEvent")],
)
def test_over_http_push(events, profile, spoken, ven_errors):
    """A VTN of both profiles finds out which one the VEN has; the VEN notes the wrong path."""
    port = free_port()
    with Push(
        *("--listen", "127.0.0.1:0", "--plaintext", "--vtn-url", f"http://127.0.0.1:{port}"),
        *("--ven-id", "ven-1", "--profile", profile, "--no-ask", "--json"),
    ) as ven:
        address = ven.wait_for(kind="start")["listen"]
        with Vtn(
            *("--port", port, "--events", events, "--push", f"ven-1={address}"),
            *("--log-format", "json", "--profile", spoken),
        ) as vtn:
            assert vtn.wait_for(kind="start")["vens"] == ["ven-1"]
            play(vtn, ven, events, ven_errors=ven_errors)


def test_over_http_push_with_certificates_on_both_sides(events, tmp_path, capsys):
    port = free_port()
    certificates = Certificates(tmp_path)
    files = {name: certificates.issue(name, "127.0.0.1", "localhost") for name in ("ven", "vtn")}
    assert main(["fingerprint", str(files["vtn"])]) == 0
    fingerprint = capsys.readouterr().out.splitlines()[1].split()[-1]
    with Push(
        *("--listen", "127.0.0.1:0", "--vtn-url", f"https://127.0.0.1:{port}"),
        *("--ven-id", "ven-1", "--no-ask", "--json", "--vtn-fingerprint", fingerprint),
        *("--cert", files["ven"], "--ca-certs", certificates.ca_file),
    ) as ven:
        address = ven.wait_for(kind="start")["listen"]
        with Vtn(
            *("--port", port, "--events", events, "--push", address, "--log-format", "json"),
            *("--cert", files["vtn"], "--ca-certs", certificates.ca_file),
        ) as vtn:
            assert vtn.wait_for(kind="start")["url"].startswith("https:")
            play(vtn, ven, events, ven_id=address)


def test_a_ven_that_is_not_there_is_told_again_when_it_is(events):
    events.write_text(PEAK)
    port, listen = free_port(), f"127.0.0.1:{free_port()}"
    with Vtn(
        *("--port", port, "--events", events, "--push", f"ven-1=http://{listen}"),
        *("--log-format", "json"),
    ) as vtn:
        assert "Connection refused" in vtn.wait_for(kind="pushed")["problem"]
        with Push(
            *("--listen", listen, "--plaintext", "--vtn-url", f"http://127.0.0.1:{port}"),
            *("--ven-id", "ven-1", "--no-ask", "--json"),
        ) as ven:
            assert ven.wait_for(kind="event", change="new")["event_id"] == "peak"
            assert vtn.wait_for(kind="pushed")["problem"] == ""
