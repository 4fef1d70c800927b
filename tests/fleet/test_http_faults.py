"""A VTN that dies and comes back, and one that talks rubbish to some.

The same with 50,000 VENs: benchmarks/fleet_faults.py.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from test_http_run import ALWAYS, NEVER, PLANS, RESPONSE, Server, ok, scenario, serve

from oadr2.fleet.loop import run as run_loop
from oadr2.fleet.run import FleetRun
from oadr2.fleet.scenario import Timeouts

VENS = 60


def ven_of(request: bytes) -> bytes:
    return request.partition(b"venID>")[2].partition(b"<")[0]


@pytest.mark.parametrize("kind", ["per-ven", "pool"])
def test_a_vtn_that_dies_and_comes_back(kind: str) -> None:
    """Every VEN gets the event that was made meanwhile, answers it, and none comes before its time."""
    listed = [NEVER]
    answered: Counter[bytes] = Counter()

    def answer(number: int, request: bytes) -> bytes:
        if b"oadrCreatedEvent" in request:
            answered[ven_of(request)] += 1
            return ok(RESPONSE)
        return ok(listed[0])

    server = Server(answer)
    interval = 1.5

    async def main() -> tuple[FleetRun, float, int]:
        url = await server.start()
        port = int(url.rpartition(":")[2])
        plan = scenario(VENS, interval, 60.0, connections=PLANS[kind])
        run = FleetRun(plan, url)
        task = asyncio.ensure_future(run.run())
        while len({ven_of(request) for request in server.requests}) < VENS:
            await asyncio.sleep(0.02)
        await server.stop()
        while sum(run.snapshot().errors.values()) < VENS:  # everybody has seen that it is gone
            await asyncio.sleep(0.02)
        listed[0] = ALWAYS.replace(b"event-1", b"event-2")
        asked_before = len(server.requests)
        await server.start(port)
        back = time.monotonic()
        while len(answered) < VENS:
            await asyncio.sleep(0.02)
        run.stop()
        await task
        await server.stop()
        return run, back, asked_before

    run, back, before = run_loop(main())
    seen = run.snapshot()
    assert set(seen.errors) <= {"connect", "closed"}
    assert {event.event_id for row in range(VENS) for event in run.fleet.events(row)} == {"event-2"}
    assert all(len(run.fleet.events(row)) == 1 for row in range(VENS))
    # No stampede: they come back over the interval, not together. Polls only, first of each VEN.
    first: dict[bytes, float] = {}
    requests = zip(server.requests[before:], server.arrived[before:], strict=True)
    for request, arrived in requests:
        first.setdefault(ven_of(request), arrived - back)
    assert len(first) == VENS
    in_the_first_tenth = sum(after < interval / 10 for after in first.values())
    assert in_the_first_tenth < VENS / 2


def test_rubbish_for_a_tenth_leaves_the_others_alone() -> None:
    """A tenth gets garbage in turn: no HTTP, no XML, half an answer, another message, far too much."""
    rubbish = [
        b"\xff\xfe\x00 garbage\r\n\r\n",
        ok(b"<not><xml>"),
        ok(NEVER)[:-40],
        ok(RESPONSE.replace(b"oadrResponse", b"oadrNothing")),
        ok(b"<a>" * 100_000),
        ok(b"\x00" * 1000),
        None,
    ]
    polls: Counter[bytes] = Counter()

    def answer(number: int, request: bytes) -> bytes | None:
        ven = ven_of(request)
        polls[ven] += 1
        if int(ven[4:]) % 10:
            return ok(NEVER)
        return rubbish[polls[ven] % len(rubbish)]

    plan = scenario(50, 0.2, 2.0, connections=PLANS["per-ven"], timeouts=Timeouts(answer=0.3))
    _, seen, failures = serve(plan, answer)
    assert {failure.ven_id for failure in failures} == {f"ven_{n}" for n in range(0, 50, 10)}
    assert seen.counters["events_applied"] == 45
    assert set(seen.errors) <= {"http_other", "xml", "schema", "closed", "timeout"}
    fine = sum(count for ven, count in polls.items() if int(ven[4:]) % 10)
    assert seen.counters["exchanges"] >= fine
    least = min(polls[b"ven_%d" % n] for n in range(50) if n % 10)
    assert least >= 3  # none of them had to wait for the others' troubles
