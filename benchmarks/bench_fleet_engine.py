"""The engine of a fleet without a network: one poll of one VEN, and the queues at a million VENs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contenders import OADR2
from payloads import START, VEN_ID, distribute_event

import oadr2
from conftest import Aim, Label, Record
from oadr2._core.fleet import Fleet
from oadr2.model import EiResponse, Response

SECTION = "Fleet engine"
SECOND = 1_000_000
NOW = round(START.timestamp() * 1e6) - 3600 * SECOND  # before every event
INTERVAL = 300 * SECOND
LIST = distribute_event("2.0a", 1, 3).replace(f"<ei:venID>{VEN_ID}</ei:venID>".encode(), b"")
WITHOUT_ANSWER = LIST.replace(b">always<", b">never<")
ACCEPTED = oadr2.encode(Response(EiResponse(200, "OK", ""), profile="2.0a"))
VENS = 1000
MILLION = 1_000_000
SCRIPT = Path(__file__).with_name("memory.py")


def poll_all(fleet: Fleet, rows: Any, payload: bytes, now: int) -> None:
    """Compose and receive for each row until its exchange has ended."""
    compose, receive = fleet.compose, fleet.receive
    for row in rows:
        compose(row, now)
        if receive(row, payload, now) > 0:
            compose(row, now)
            receive(row, ACCEPTED, now)


def taken(count: int = VENS) -> tuple[Fleet, int]:
    """A fleet all of whose VENs are due, and the moment."""
    fleet = Fleet(seed=1)
    fleet.add_group(count, poll_interval=INTERVAL)
    fleet.start(0, count, NOW, 0)
    return fleet, NOW


@pytest.mark.parametrize(
    ("work", "payload", "again", "aim"),
    [
        ("1,000 polls, a new event", WITHOUT_ANSWER, False, None),
        ("1,000 polls, an unchanged event", WITHOUT_ANSWER, True, Aim(4e-3)),
        ("1,000 polls, a new event answered", LIST, False, None),
        ("1,000 polls, an unchanged event answered", LIST, True, None),
    ],
    ids=["new", "unchanged", "new-always", "unchanged-always"],
)
def bench_poll(
    benchmark: Any, label: Label, work: str, payload: bytes, again: bool, aim: Aim | None
) -> None:
    """Compose and receive a list of 3.8 kB, decoded each time."""
    label(work, OADR2, headline=again, aim=aim)
    held: list[Fleet] = []

    def setup() -> tuple[tuple[Any, ...], dict[str, Any]]:
        if held and again:
            fleet = held[0]
        else:
            fleet, _ = taken()
            if again:
                poll_all(fleet, fleet.take_due(NOW, VENS), payload, NOW)
                held.append(fleet)
        fleet.poll_at(0, VENS, NOW)
        rows = list(fleet.take_due(NOW, VENS))
        assert len(rows) == VENS
        if not again:
            held[:] = [fleet]
        return (fleet, rows, payload, NOW), {}

    benchmark.pedantic(poll_all, setup=setup, rounds=20)
    assert held[0].counters["events_new"] == VENS
    assert held[0].errors == {}


def seconds_of(call: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    found = call()
    return time.perf_counter() - begin, found


def bench_queues_of_a_million(record: Record, quick: bool) -> None:
    """Rows taken as they come due, spread over their interval; a start of every event at once."""
    count = MILLION // 10 if quick else MILLION
    batch = count // 100
    fleet, _ = taken(count)
    fleet.start(0, count, NOW, INTERVAL - SECOND)
    took = received = 0.0
    number = 0
    for step in range(100):
        now = NOW + (step + 1) * INTERVAL // 100
        seconds, rows = seconds_of(lambda now=now: fleet.take_due(now, 2 * batch))
        took += seconds
        number += len(rows)
        seconds, _ = seconds_of(
            lambda now=now, rows=rows: poll_all(fleet, rows, WITHOUT_ANSWER, now)
        )
        received += seconds
    assert number == count
    assert fleet.counters["events_new"] == count
    scale = 10_000 / count
    record("10,000 rows taken as they come due, of 1,000,000", OADR2, took * scale, "s")
    record("10,000 polls with a new event, of 1,000,000 VENs", OADR2, received * scale, "s")
    begin = NOW + 3600 * SECOND + INTERVAL  # every event has started, whatever its random offset
    seconds, advanced = seconds_of(lambda: fleet.advance(begin, count))
    assert advanced == count == fleet.counters["events_started"]
    record("10,000 events started, of 1,000,000", OADR2, seconds * scale, "s")


@pytest.mark.parametrize(
    ("work", "kind", "aim"),
    [
        ("idle VEN of a fleet", "fleet", Aim(300)),
        ("VEN of a fleet with one event of 3 intervals (3.8 kB)", "fleet-event", Aim(500)),
    ],
)
def bench_memory(work: str, kind: str, aim: Aim, record: Record, quick: bool) -> None:
    """Resident memory over a million VENs in a process of their own."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc/self/statm")
    count = MILLION // 10 if quick else MILLION
    done = subprocess.run(
        [sys.executable, SCRIPT, kind, str(count)], capture_output=True, text=True, check=True
    )
    each = float(done.stdout)
    assert each > 0
    record(f"memory of one {work}", OADR2, each, "B", headline=True, aim=aim)
