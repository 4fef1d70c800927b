"""A VEN process that is killed in the middle of things and started again from its file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_harness import FaultHarness, fault_seed, number_of_kills
from oadr2_program import PATIENCE, poll_program

from oadr2.sim import SimulatedVtn, VtnServer
from oadr2.store import EventStore, StoredEvent


def stored(path: Path, ven_id: str = "ven-1") -> dict[str, StoredEvent]:
    store = EventStore(path)
    try:
        return {event.event_id: event for event in store.load(ven_id)}
    finally:
        store.close()


@pytest.fixture
def vtn() -> SimulatedVtn:
    return SimulatedVtn()


@pytest.fixture
def server(vtn: SimulatedVtn) -> Iterator[VtnServer]:
    with VtnServer(vtn) as server:
        yield server


def answered(vtn: SimulatedVtn, event_id: str, number: int = 0) -> bool:
    def latest() -> int:
        answer = vtn.last_answer("ven-1", event_id)
        return -1 if answer is None else answer.modification_number

    return vtn.wait_for(lambda: latest() >= number, PATIENCE)


def test_a_running_event_comes_back_at_once_while_the_vtn_is_down(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    db = tmp_path / "ven.db"
    begin = datetime.fromtimestamp(time.time() - 60, UTC)
    # Running since before the largest offset was over, whatever offset is drawn.
    vtn.add_event("running", start=begin, duration="PT1H", level=2, startafter="PT10S", priority=1)
    vtn.add_event("plain", start="+1h", duration="PT1H", level=3)
    vtn.add_event("later", start="+1h", duration="PT1H", level=1, startafter="PT10M")
    with poll_program(server.url, "--db", str(db)) as ven:
        assert ven.wait_for_record(kind="signal")["level"] == 2
        assert answered(vtn, "later")
        ven.kill()
    server.stop()
    before = stored(db)
    assert set(before) == {"running", "plain", "later"}
    with poll_program(server.url, "--db", str(db), "--opt", "optOut") as ven:
        # Not one word from the VTN, and the load is where it was.
        assert ven.wait_for_record(kind="signal")["level"] == 2
        assert ven.wait_for_record(kind="error")["error"] == "TransportError"
        records = ven.records(kind="event", change="held")
        assert {record["event_id"] for record in records} == set(before)
        assert ven.records(kind="start")[0]["held"] == 3
        for record in records:
            event = before[record["event_id"]]
            listed = vtn.get_event(event.event_id)
            assert listed is not None
            offset = timedelta(microseconds=event.start_offset_us)
            assert listed.dtstart is not None
            assert datetime.fromisoformat(record["start"]) == listed.dtstart + offset
            assert record["opt_type"] == "optIn"
            assert record["modification_number"] == 0
        server.start()
        polls = vtn.polls["ven-1"]
        assert vtn.wait_for(lambda: vtn.polls["ven-1"] >= polls + 2, PATIENCE)
        # Nothing is news to it but that time goes on.
        changes = {record["change"] for record in ven.records(kind="event")}
        assert changes <= {"held", "started"}
        ven.kill()
    assert {k: e.start_offset_us for k, e in stored(db).items()} == {
        k: e.start_offset_us for k, e in before.items()
    }
    assert {answer.opt_type for answer in vtn.answers} == {"optIn"}


def test_what_changed_while_the_ven_was_dead_is_taken_up(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    db = tmp_path / "ven.db"
    for name in ("modified", "cancelled", "removed", "kept"):
        vtn.add_event(name, start="+1h", duration="PT1H", level=1, startafter="PT10M")
    with poll_program(server.url, "--db", str(db)) as ven:
        assert answered(vtn, "kept")
        ven.kill()
    before = stored(db)
    vtn.modify_event("modified", level=2)
    vtn.cancel_event("cancelled")
    vtn.remove_event("removed")
    vtn.add_event("added", start="+1h", duration="PT1H", level=3)
    with poll_program(server.url, "--db", str(db)) as ven:
        assert answered(vtn, "added")
        assert answered(vtn, "modified", 1)
        assert answered(vtn, "cancelled", 1)
        ven.wait_for_record(kind="event", change="vanished", event_id="removed")
        ven.wait_for_record(kind="event", change="cancelled", event_id="cancelled")
        ven.kill()
    after = stored(db)
    held = {name for name, event in after.items() if event.phase == "held"}
    assert held == {"modified", "kept", "added"}
    assert after["modified"].modification_number == 1
    for name in ("modified", "kept"):
        assert after[name].start_offset_us == before[name].start_offset_us


def test_an_event_that_ended_while_the_ven_was_dead_does_not_run_again(tmp_path: Path) -> None:
    db = tmp_path / "ven.db"
    vtn = SimulatedVtn(clock=lambda: time.time() - 3600)  # slow, so it lists the event for long
    end = time.time() + 2
    start = datetime.fromtimestamp(end - 60, UTC)
    vtn.add_event("short", start=start, duration="PT1M", level=2)
    with VtnServer(vtn) as server:
        with poll_program(server.url, "--db", str(db)) as ven:
            assert ven.wait_for_record(kind="signal")["level"] == 2
            assert answered(vtn, "short")
            ven.kill()
        while (left := end - time.time()) > 0:
            time.sleep(left)  # the end of the event is what is waited for
        with poll_program(server.url, "--db", str(db)) as ven:
            polls = vtn.polls["ven-1"]
            assert vtn.wait_for(lambda: vtn.polls["ven-1"] >= polls + 2, PATIENCE)
            assert vtn.get_event("short") is not None
            ven.kill()
            assert ven.records(kind="signal") == []
            assert ven.records(change="new") == []


def test_killed_at_random_moments_it_loses_and_invents_nothing(tmp_path: Path) -> None:
    harness = FaultHarness(tmp_path / "ven.db", seed=fault_seed())
    report: dict[str, Any] = harness.run(number_of_kills(default=10))
    assert report["problems"] == []
    # The run was worth something: events were acknowledged before kills, and held after them.
    assert report["acknowledged"] > 0
    assert report["restored"] > 0
