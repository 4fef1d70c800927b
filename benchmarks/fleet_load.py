"""One load of a fleet in a process of its own, for bench_fleet_http.py: prints its figures as JSON.

    python fleet_load.py URL VENS INTERVAL SECONDS [per-ven|per-poll|pool:N]
        [--group ID] [--certs FOLDER] [--prime LIST] [--ramp]

The processor time is that of the generator alone: whoever serves, serves from another process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from oadr2.fleet.failures import Failure
from oadr2.fleet.loop import run as run_loop
from oadr2.fleet.preflight import preflight
from oadr2.fleet.run import FleetRun
from oadr2.fleet.saturation import saturation_of
from oadr2.fleet.scenario import ConnectionPlan, Group, Scenario, Stage, Tls

_HALF = 2  # what is measured is the second half: all connected, all caches full


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("vens", type=int)
    parser.add_argument("interval", type=float)
    parser.add_argument("seconds", type=float)
    parser.add_argument("connections", nargs="?", default="pool:16")
    parser.add_argument("--group", default="")
    parser.add_argument("--certs", type=Path)
    parser.add_argument("--prime", type=Path, help="a list that every VEN has before the run")
    parser.add_argument("--ramp", action="store_true", help="all but a few come in later on")
    return parser.parse_args()


def scenario(options: argparse.Namespace) -> Scenario:
    kind, _, size = options.connections.partition(":")
    group_ids = (options.group,) if options.group else ()
    tls = Tls()
    if options.certs:
        tls = Tls(ca_file=f"{options.certs}/ca.pem", cert_file=f"{options.certs}/{{n}}.pem")
    return Scenario(
        groups=(Group(options.vens, poll_interval=options.interval, group_ids=group_ids),),
        stages=stages(options),
        connections=ConnectionPlan(kind, int(size or 100)),
        tls=tls,
        vtn_url=options.url,
    )


def stages(options: argparse.Namespace) -> tuple[Stage, ...]:
    if not options.ramp:
        return (Stage("hold", options.seconds),)
    begin = options.seconds / 4
    return Stage("ramp", begin, vens=0.001), Stage("ramp", 30 * options.seconds)


def prime(run: FleetRun, body: bytes) -> None:
    """Give every VEN the list, without a network, as if it had polled before."""
    fleet = run.fleet
    now = round(time.time() * 1e6)
    fleet.start(0, len(fleet), now, 0)
    for row in fleet.take_due(now, len(fleet)):
        fleet.compose(row, now)
        fleet.receive(row, body, now)
    fleet.stop(0, len(fleet))


async def main(options: argparse.Namespace) -> dict[str, object]:
    plan = scenario(options)
    for finding in await preflight(plan, options.url):
        if finding.severity == "error":
            sys.exit(finding.text)
    failures: list[Failure] = []
    run = FleetRun(plan, options.url, on_failure=failures.append)
    if options.prime:
        prime(run, options.prime.read_bytes())
    task = asyncio.ensure_future(run.run())
    await asyncio.sleep(options.seconds / _HALF)
    half = run.snapshot()
    await asyncio.sleep(max(0.0, options.seconds - half.elapsed - 0.05))
    end = run.snapshot()
    run.stop()
    await task
    done = run.snapshot()
    seconds = end.elapsed - half.elapsed
    exchanges = end.counters["exchanges"] - half.counters["exchanges"]
    latency = end.latency_of_all.since(half.latency_of_all)
    lag = end.schedule_lag.since(half.schedule_lag)
    return {
        "vens": plan.vens,
        "exchanges_per_second": exchanges / seconds,
        "polls_per_second": (end.counters["polls"] - half.counters["polls"]) / seconds,
        "cpu_per_exchange": (end.cpu_s - half.cpu_s) / max(1, exchanges),
        "cpu_share": (end.cpu_s - half.cpu_s) / seconds,
        "connections": end.connections,
        "latency_us": {str(p): latency.percentile(p) for p in (50, 90, 99)},
        "schedule_lag_us": {str(p): lag.percentile(p) for p in (50, 99)},
        "loop_lag": max(half.loop_lag, end.loop_lag),
        "saturation": list(saturation_of(done, (), 1)),
        "rss": end.rss_bytes,
        "rss_of_vens": end.rss_bytes - end.rss_bytes_before_vens,
        "counters": done.counters,
        "errors": done.errors,
        "failures": [f"{each.error_class}: {each.message}" for each in failures[:3]],
    }


if __name__ == "__main__":
    print(json.dumps(run_loop(main(read_arguments()))))
