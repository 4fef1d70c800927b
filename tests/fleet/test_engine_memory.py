"""What the engine does with memory: events shared, nothing kept, and what one VEN weighs."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from payloads import START, distribute_event, event, response
from test_native_memory import LONG, SANITIZED, bytes_allocated, grown

from oadr2._core.fleet import ERROR_CLOSED, Fleet
from oadr2.errors import ConfigurationError

SECOND = 1_000_000
NOW = int(START) * SECOND
OK = response()
REPLIES = [
    distribute_event(event("a", 1, startafter="PT10M"), event("b", 2, required="never")),
    distribute_event(event("a", 1, startafter="PT10M"), request_id="a longer one than before"),
    distribute_event(event("a", 2), event("Größe-北京-🔌", vtn_comment="a &amp; b")),
    distribute_event(event("a", 3, status="cancelled")),
    distribute_event(event("a", 3, level=9)),
    distribute_event(*(event(f"e{i}", i) for i in range(12))),
    distribute_event(),
    response(463),
    b"<no xml",
    b"",
]


def exchange(fleet: Fleet, row: int, reply: bytes, now: int, lost: bool = False) -> None:
    """Let a row poll, and others send what they owe; each gets this reply. `lost`: not their answers."""
    fleet.poll_at(row, 1, now)
    for taken in fleet.take_due(now, 1000):
        fleet.compose(taken, now)
        more = fleet.receive(taken, reply, now)
        while more > 0:
            fleet.compose(taken, now)
            if lost:
                fleet.give_up(taken, ERROR_CLOSED, now)
                break
            more = fleet.receive(taken, OK, now)
    fleet.stop(row, 1)


def life() -> None:
    """A fleet that sees everything, and goes."""
    fleet = Fleet(seed=1)
    fleet.add_group(3, poll_interval=SECOND, stale=0.5, wrong_ids=0.5, duplicate=0.5)
    fleet.add_group(2, ven_ids=["x", "y"], group_ids=["g{n}", "h"], poll_interval=SECOND)
    with contextlib.suppress(ConfigurationError):
        fleet.add_group(2, ven_ids=["z", "y"], group_ids="g{n}", poll_interval=SECOND)
    told: list[object] = []
    fleet.hear(1, 2)
    fleet.listen(lambda *args: told.append(args), lambda row, event: "optOut")
    for i, reply in enumerate(REPLIES):
        for row in range(5):
            exchange(fleet, row, reply, NOW + i, lost=(i + row) % 3 == 0)
    exchange(fleet, 0, REPLIES[5], NOW)
    fleet.set_opt(0, "e1", "optOut", NOW)
    fleet.advance(NOW + 20 * 86400 * SECOND, 99)


def test_a_life_leaves_nothing():
    allocated = bytes_allocated()
    if allocated is None:
        pytest.skip("this C library does not say what it has allocated (mallinfo2)")
    for _ in range(20):
        life()
    rounds = 200
    attempts = [grown(life, rounds, allocated) for _ in range(3)]
    assert min(size for size, _ in attempts) < rounds * 16, attempts
    assert min(blocks for _, blocks in attempts) < rounds // 4, attempts


def test_a_hundred_thousand_exchanges_leave_nothing():
    allocated = bytes_allocated()
    if allocated is None:
        pytest.skip("this C library does not say what it has allocated (mallinfo2)")
    fleet = Fleet(seed=2)
    fleet.add_group(10, poll_interval=SECOND, duplicate=0.3, opt_in=0.5)
    chance = random.Random(1)
    now = NOW

    def work() -> None:
        nonlocal now
        now += SECOND
        exchange(fleet, chance.randrange(10), chance.choice(REPLIES), now, chance.random() < 0.2)
        fleet.advance(now, 10)

    for _ in range(500):
        work()
    rounds = 100_000 if LONG else 10_000
    attempts = [grown(work, rounds, allocated) for _ in range(2)]
    # What ten VENs hold at the end of a round is not the same each time.
    assert min(size for size, _ in attempts) < 200_000, attempts
    assert min(blocks for _, blocks in attempts) < 2000, attempts


def test_vens_that_got_the_same_share_it():
    allocated = bytes_allocated()
    if allocated is None:
        pytest.skip("this C library does not say what it has allocated (mallinfo2)")
    count = 2000

    def filled(payload_of) -> int:
        fleet = Fleet()
        fleet.add_group(count, poll_interval=SECOND)
        gc.collect()
        before = allocated()
        for row in range(count):
            exchange(fleet, row, payload_of(row), NOW)
        return allocated() - before

    padding = "x" * 3000
    shared = distribute_event(event(vtn_comment=padding))
    alike = filled(lambda row: shared)
    # Another list, another requestID, but the same bytes of the event: still shared.
    similar = filled(
        lambda row: distribute_event(event(vtn_comment=padding), request_id=f"r{row:04}")
    )
    different = filled(lambda row: distribute_event(event(vtn_comment=f"{row:04}" + padding)))
    assert alike < 600 * count
    assert similar < 600 * count
    assert different > 3000 * count


def test_the_reading_of_months_keeps_definitions_apart():
    from oadr2.policy import VtnPolicy  # noqa: PLC0415

    fleet = Fleet()
    for name, reading in (("a", "months"), ("b", "minutes")):
        fleet.add_group(
            1,
            ven_ids=name,
            poll_interval=SECOND,
            policy=VtnPolicy(months_without_t=reading),  # type: ignore[arg-type]
        )
    payload = distribute_event(event(duration="P5M"))
    for row in (0, 1):
        exchange(fleet, row, payload, NOW)
    assert str(fleet.events(0)[0].duration) != str(fleet.events(1)[0].duration)


def test_a_shared_event_outlives_the_fleet_that_made_it():
    fleet = Fleet()
    fleet.add_group(2, poll_interval=SECOND)
    for row in (0, 1):
        exchange(fleet, row, REPLIES[0], NOW)
    kept = fleet.events(0)
    exchange(fleet, 0, distribute_event(), NOW + 1)
    assert [e.event_id for e in fleet.events(1)] == ["a", "b"]
    del fleet
    gc.collect()
    assert [e.event_id for e in kept] == ["a", "b"]


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's own memory is weighed as well")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc/self/statm")
@pytest.mark.parametrize(("kind", "most"), [("fleet", 300), ("fleet-event", 500)])
def test_what_one_ven_weighs(repository, kind, most):
    script = repository / "benchmarks" / "memory.py"
    done = subprocess.run(
        [sys.executable, script, kind, "100000"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(repository)},
    )
    assert 50 < float(done.stdout) < most
