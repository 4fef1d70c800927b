"""Faults under many VENs, with figures: run by hand, for it takes minutes.

    python fleet_faults.py restart [--vens 50000] [--interval 30] [--down 10]
    python fleet_faults.py garbage [--vens 5000] [--interval 5] [--seconds 600]

``restart``: each VEN has its connection; nginx is killed, comes back with an event more, and every VEN
must get it, none sooner than its turn. ``garbage``: a tenth of the connections get no XML for an answer.
The memory of the generator is printed as it goes. Ends with 1 when what must hold does not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "fleet"))

from nginx_vtn import NginxVtn, stored_list

from oadr2.fleet.loop import run as run_loop
from oadr2.fleet.preflight import preflight
from oadr2.fleet.run import FleetRun
from oadr2.fleet.scenario import ConnectionPlan, Group, Scenario, Stage, Timeouts

_PER_ADDRESS = 25_000


def scenario(vens: int, interval: float, seconds: float) -> Scenario:
    addresses = tuple(f"127.0.0.{n + 1}" for n in range(-(-vens // _PER_ADDRESS)))
    return Scenario(
        groups=(Group(vens, poll_interval=interval),),
        stages=(Stage("hold", seconds),),
        connections=ConnectionPlan("per-ven", source_addresses=addresses),
        timeouts=Timeouts(connect=10.0, answer=10.0),
    )


async def checked(plan: Scenario, server: NginxVtn) -> FleetRun:
    for finding in await preflight(plan, server.url("list")):
        print(f"{finding.severity}: {finding.text}")
        if finding.severity == "error":
            sys.exit(1)
    return FleetRun(plan, server.url("list"))


async def restart(options: argparse.Namespace) -> bool:
    vens, interval = options.vens, options.interval
    with NginxVtn({"list": stored_list()}, connections=vens + 100) as server:
        run = await checked(scenario(vens, interval, 1e6), server)
        task = asyncio.ensure_future(run.run())

        async def until(what: str, key: str, amount: int) -> None:
            while run.snapshot().counters[key] < amount and not task.done():
                await asyncio.sleep(0.5)
            seen = run.snapshot()
            print(
                f"{seen.elapsed:6.1f} s  {what}; {seen.connections} connections, errors {seen.errors}"
            )

        await until("every VEN has its event", "events_applied", vens)
        server.stop()
        await asyncio.sleep(options.down)
        seen = run.snapshot()
        print(f"{seen.elapsed:6.1f} s  the VTN was down; errors {seen.errors}")
        server.lists["list"] = stored_list().replace(b"event-1", b"event-2")
        server.start()
        back = run.snapshot()
        # The old event vanishes and the new one comes: two changes for each VEN.
        per_second = []
        before, open_before = back.counters["events_new"], back.connections
        peak = 0
        while run.snapshot().counters["events_new"] < 2 * vens:
            await asyncio.sleep(1.0)
            now = run.snapshot()
            peak = max(peak, now.connections - open_before)
            per_second.append(now.counters["events_new"] - before)
            before, open_before = now.counters["events_new"], now.connections
            if now.elapsed - back.elapsed > 10 * interval or task.done():
                break
        end = run.snapshot()
        took = end.elapsed - back.elapsed
        print(
            f"{end.elapsed:6.1f} s  {end.counters['events_new'] - vens} of {vens} have recovered,"
            f" in {took:.1f} s"
        )
        print(
            f"reconnects a second at most: {peak}; evenly over the interval: {vens / interval:.0f}"
        )
        print(
            f"errors {end.errors}, late {end.counters['late']}, retried {end.counters['retried']}"
        )
        run.stop()
        await task
        return end.counters["events_new"] == 2 * vens and peak < 4 * vens / interval


async def garbage(options: argparse.Namespace) -> bool:
    vens, seconds = options.vens, options.seconds
    with NginxVtn({"list": stored_list()}, connections=vens + 100, garbage="10%") as server:
        run = await checked(scenario(vens, options.interval, seconds), server)
        task = asyncio.ensure_future(run.run())
        memory = []
        while not task.done():
            await asyncio.wait([task], timeout=seconds / 20)
            seen = run.snapshot()
            memory.append(seen.rss_bytes)
            polls, errors = seen.counters["polls"], sum(seen.errors.values())
            print(
                f"{seen.elapsed:6.1f} s  {polls} polls, {errors} errors, {seen.rss_bytes / 1e6:.1f} MB"
            )
        await task
        holding = sum(bool(run.fleet.events(row)) for row in range(vens))
        growth = (memory[-1] - memory[len(memory) // 2]) / 1e6
        print(
            f"{holding} of {vens} VENs hold the event; errors {seen.errors}; second half: {growth:+.1f} MB"
        )
        return set(seen.errors) == {"xml"} and holding > 0.85 * vens and growth < 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("fault", choices=["restart", "garbage"])
    parser.add_argument("--vens", type=int, default=0)
    parser.add_argument("--interval", type=float, default=0.0)
    parser.add_argument("--down", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args()
    restarting = options.fault == "restart"
    options.vens = options.vens or (50_000 if restarting else 5000)
    options.interval = options.interval or (30.0 if restarting else 5.0)
    held = run_loop(restart(options) if restarting else garbage(options))
    print("holds" if held else "DOES NOT HOLD")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
