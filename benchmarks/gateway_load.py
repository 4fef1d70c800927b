"""One gateway process under load, for bench_gateway.py; tells one line of JSON and ends.

    python benchmarks/gateway_load.py FILE

It runs the gateway of FILE until its VTN's one event is over and every point verified, and notes for
each write how long after its deadline (the begin of the interval) it was handed to the driver, and
accepted by the device.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from oadr2.gateway.collector import freeze_when_ready
from oadr2.gateway.configuration import read_configuration
from oadr2.gateway.gateway import Gateway
from oadr2.points.driver import DeviceError, Driver
from oadr2.points.modbus import ModbusDriver
from oadr2.points.mqtt import MqttDriver

PATIENCE = 120.0


class Writes:
    """When each write was handed over and when accepted, by the wall clock, as (time, value)."""

    def __init__(self) -> None:
        self.issued: list[float] = []
        self.accepted: list[float] = []
        self.cpu: list[float] = []  # processor time of the process when each was issued
        self.failed = 0

    def watch(self, kind: type[Driver[Any, Any]]) -> None:
        write_many = kind.write_many

        async def watched(
            driver: Driver[Any, Any], items: Sequence[tuple[Any, float]]
        ) -> Sequence[DeviceError | None]:
            self.issued += [time.time()] * len(items)
            self.cpu += [time.process_time()] * len(items)
            results = await write_many(driver, items)
            self.accepted += [time.time()] * len(items)
            self.failed += sum(result is not None for result in results)
            return results

        kind.write_many = watched  # type: ignore[method-assign]


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def say(**figures: object) -> None:
    print(json.dumps(figures), flush=True)


def most_memory() -> int:
    """Bytes this process had in use at most.

    Not getrusage's: that is handed on by the process that started this one, with its own memory in it.
    """
    status = Path("/proc/self/status").read_text("ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


async def moved(gateway: Gateway, writes: Writes, deadline: float, first: int) -> dict[str, float]:
    """The figures of the interval that began at ``deadline``: every point written and verified."""
    count = len(gateway.points)
    await asyncio.sleep(max(0.0, deadline - 0.05 - time.time()))
    cpu = time.process_time()
    give_up = time.monotonic() + PATIENCE
    while len(writes.accepted) < first + count or not all(
        live.point.settled and not live.point.busy for live in gateway.points.values()
    ):
        if time.monotonic() > give_up:
            raise SystemExit(f"{len(writes.accepted) - first} of {count} written")
        await asyncio.sleep(0.02)
    verified = time.time() - deadline
    issued = [at - deadline for at in writes.issued[first : first + count]]
    accepted = [at - deadline for at in writes.accepted[first : first + count]]
    assert len(writes.issued) == first + count
    return {
        "issued_p50": percentile(issued, 0.5),
        "issued_p99": percentile(issued, 0.99),
        "issued_cpu": percentile(writes.cpu[first : first + count], 0.99) - cpu,
        "accepted_p99": percentile(accepted, 0.99),
        "verified": verified,
        "cpu": (time.process_time() - cpu) / (verified + 0.05),
    }


async def main(path: str) -> None:
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("oadr2.gateway.points").setLevel(logging.WARNING)
    settings = read_configuration(path)
    writes = Writes()
    for kind in (ModbusDriver, MqttDriver):
        writes.watch(kind)
    gateway = Gateway(settings)
    running = asyncio.create_task(gateway.run())
    while not gateway.ready or not all(live.point.settled for live in gateway.points.values()):
        if running.done():
            running.result()
        await asyncio.sleep(0.05)
    await freeze_when_ready(gateway)  # as the command does
    assert not writes.issued, "the devices are at normal already"
    before, cpu = time.monotonic(), time.process_time()
    await asyncio.sleep(2.0)
    idle = (time.process_time() - cpu) / (time.monotonic() - before)
    say(points=len(gateway.points), idle_cpu=idle)
    while not (planned := gateway.planner.events["gw"]):
        await asyncio.sleep(0.01)
    (event,) = planned.values()
    (steps,) = event.steps.values()
    figures = []
    for place, deadline in enumerate([*steps.begins, steps.end]):
        assert time.time() < deadline, "the machine is too slow for such short intervals"
        figures.append(await moved(gateway, writes, deadline, place * len(gateway.points)))
    gateway.stop()
    await running
    say(intervals=figures, failed=writes.failed, memory=most_memory())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
