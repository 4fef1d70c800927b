"""Ctrl-C and SIGTERM end every verb cleanly, in the middle of a request too."""

from __future__ import annotations

import signal
from pathlib import Path

import faulty_vtn
import pytest
from faulty_vtn import FaultyVtn
from oadr2_program import PATIENCE, Program, poll_program

from oadr2.sim import SimulatedVtn, VtnServer
from oadr2.store import EventStore

SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)


@SIGNALS
def test_poll_ends(number: signal.Signals, tmp_path: Path) -> None:
    vtn = SimulatedVtn()
    vtn.add_event("running", duration="PT1H", level=2)
    db = tmp_path / "ven.db"
    with VtnServer(vtn) as server, poll_program(server.url, "--db", str(db)) as ven:
        ven.wait_for_record(kind="signal")
        ven.send(number)
        assert ven.wait() == 0
        assert ven.records()[-1]["kind"] == "stop"
        assert ven.records()[-1]["reason"] == number.name
        assert ven.errors == ""
    assert not Path(f"{db}-wal").exists()  # the file was closed
    with EventStore(db) as store:
        assert [event.event_id for event in store.load("ven-1")] == ["running"]


@SIGNALS
@pytest.mark.parametrize("fault", [faulty_vtn.silent, faulty_vtn.stalling])
def test_poll_ends_while_the_vtn_stalls(fault: faulty_vtn.Spoiler, number: signal.Signals) -> None:
    vtn = SimulatedVtn()
    with FaultyVtn(vtn) as server:
        server.spoil = lambda _poll: fault
        with poll_program(server.url) as ven:
            assert server.wait_for(lambda: server.spoiled, PATIENCE)
            ven.send(number)
            assert ven.wait() == 0
            assert [line["kind"] for line in ven.records()] == ["start", "stop"]
            assert ven.errors == ""


@SIGNALS
def test_poll_ends_while_nobody_listens(number: signal.Signals) -> None:
    with VtnServer(SimulatedVtn()) as server:
        pass  # its port is free again
    with poll_program(server.url) as ven:
        ven.wait_for_record(count=2, kind="error")
        ven.send(number)
        assert ven.wait() == 0
        assert ven.errors == ""


def test_a_single_poll_interrupted_says_so_by_its_exit_code() -> None:
    with FaultyVtn(SimulatedVtn()) as server:
        server.spoil = lambda _poll: faulty_vtn.silent
        with poll_program(server.url, "--once") as ven:
            assert server.wait_for(lambda: server.spoiled, PATIENCE)
            ven.send(signal.SIGINT)
            assert ven.wait() == 130
            assert (ven.output, ven.errors) == ("", "")


@SIGNALS
def test_vtn_ends_with_a_ven_connected(number: signal.Signals) -> None:
    with Program("vtn", "--port", "0", "--log-format", "json") as vtn:
        url = vtn.wait_for_record(kind="start")["url"]
        with poll_program(url) as ven:
            vtn.wait_for_record(count=2, kind="asked")
            vtn.send(number)
            assert vtn.wait() == 0
            assert vtn.records()[-1]["kind"] == "stop"
            assert vtn.errors == ""
            assert ven.wait_for_record(kind="error")["error"] == "TransportError"


@SIGNALS
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["lines", "json"])
def test_demo_ends(options: tuple[str, ...], number: signal.Signals) -> None:
    with Program("demo", *options) as demo:
        if options:
            demo.wait_until_it_listens()
        else:
            demo.wait_for(lambda: "VEN asks" in demo.output, "the first poll")
        demo.send(number)
        assert demo.wait() == 128 + number
        assert demo.errors == ""
        assert "succeeded" not in demo.output
