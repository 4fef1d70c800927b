"""A fleet of 2.0b against OpenLEADR's VTN: register, take an event, opt in, report.

python openleadr_fleet.py COUNT   prints a JSON object of what happened and how long it took
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from openleadr_vtn import OpenleadrVtn

from oadr2.fleet.run import FleetRun
from oadr2.fleet.scenario import Group, Reports, Scenario, Stage
from oadr2.fleet.snapshot import Snapshot

PATIENCE = 120.0


def scenario(count: int, poll_every: float) -> Scenario:
    houses = Group(
        count,
        profile="2.0b",
        ven_ids="house_{n}",
        poll_interval=poll_every,
        register=True,
        # OpenLEADR fails over an interval with more than one payload.
        reports=Reports(points=1, curve=(0.4, 1.6), noise=0.1),
    )
    stages = (Stage("ramp", poll_every), Stage("hold", 10 * PATIENCE))
    return Scenario(groups=(houses,), stages=stages)


def who(vtn: OpenleadrVtn, **what: str) -> set[str]:
    """The venIDs that the VTN says have done this."""
    return {said["ven_id"] for said in vtn.said(**what)}


async def play(vtn: OpenleadrVtn, count: int, poll_every: float) -> dict[str, Any]:
    run = FleetRun(scenario(count, poll_every), vtn.url)
    playing = asyncio.create_task(run.run())
    took: dict[str, float] = {}

    async def until(name: str, done: Callable[[Snapshot], bool]) -> None:
        began = time.monotonic()
        while not done(snapshot := run.snapshot()):
            assert not playing.done(), playing
            late = time.monotonic() - began > PATIENCE
            assert not late, (name, snapshot.counters, snapshot.errors)
            await asyncio.sleep(0.05)
        took[name] = round(time.monotonic() - began, 2)

    try:
        await until("registered", lambda s: s.counters["registrations"] >= count)
        vtn.tell(add_event={"event_id": "peak", "starts_in": 600.0, "lasts": 600.0, "level": 1.0})
        await until("opted_in", lambda _: len(who(vtn, kind="response", opt="optIn")) == count)
        await until("reported", lambda _: len(who(vtn, kind="report")) == count)
    finally:
        run.stop()
        await playing
    last = run.snapshot()
    return {
        "seconds": took,
        "counters": last.counters,
        "errors": dict(last.errors),
        "p50_ms": {
            kind: each.percentile(50) / 1000 for kind, each in last.latency.items() if each.count
        },
    }


def measure(count: int, poll_every: float = 1.0, report_every: float = 1.0) -> dict[str, Any]:
    options = {"every_name": True, "poll_every": poll_every, "report_every": report_every}
    with OpenleadrVtn(**options) as vtn:
        found = asyncio.run(play(vtn, count, poll_every))
        found["registered"] = {said["ven_name"] for said in vtn.said(kind="registration")}
        found["opted_in"] = who(vtn, kind="response", opt="optIn")
        found["reported"] = who(vtn, kind="report")
    return found


if __name__ == "__main__":
    figures = measure(int(sys.argv[1]), poll_every=20.0, report_every=20.0)
    for name in ("registered", "opted_in", "reported"):
        figures[name] = len(figures[name])
    print(json.dumps(figures, indent=2))
