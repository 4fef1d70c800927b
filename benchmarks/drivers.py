"""An event for many points: how long a driver takes to write them all and read them back.

    python benchmarks/drivers.py [--devices 200] [--points 50] [--rounds 5]

The Modbus devices are in another process. Every point is due at the same moment, the start of a round.
Two ways: neighbouring registers in one request, as the driver does by itself, and one request for each
point (function 6), which is what a device without function 16 gets.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from oadr2.points.modbus import ModbusDriver
from oadr2.points.modbus_register import Register

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def devices(count: int, points: int, start: int = 0) -> Iterator[list[int]]:
    """The ports of ``count`` simulated devices in a process of their own."""
    arguments = ["--count", str(count), "--port", "0", "--setpoints", str(points)]
    arguments += ["--start", str(start)]
    process = subprocess.Popen(
        [sys.executable, "-m", "oadr2.sim.modbus_devices", *arguments],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        word, *ports = process.stdout.readline().split()
        assert word == b"listening", "the devices did not start"
        yield [int(port) for port in ports]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


Park = list[tuple[ModbusDriver, list[Register]]]


async def one_round(park: Park, value: float) -> tuple[float, float, float, float]:
    """Seconds to the 99th percentile of the writes, to the last, to the last read back; CPU."""
    began, cpu = time.perf_counter(), time.process_time()
    written: list[float] = []

    async def write(driver: ModbusDriver, registers: list[Register]) -> None:
        results = await driver.write_many([(register, value) for register in registers])
        assert not any(results), results
        written.extend([time.perf_counter() - began] * len(registers))

    await asyncio.gather(*(write(*device) for device in park))
    last = time.perf_counter() - began

    async def read(driver: ModbusDriver, registers: list[Register]) -> None:
        assert list(await driver.read_many(registers)) == [value] * len(registers)

    await asyncio.gather(*(read(*device) for device in park))
    everything = time.perf_counter() - began
    percentile = sorted(written)[int(len(written) * 0.99) - 1]
    return percentile, last, everything, time.process_time() - cpu


async def measure(ports: list[int], points: int, rounds: int, single: bool) -> None:
    park: Park = []
    keys = {"function": 6} if single else {}
    for port in ports:
        parsed = [
            ModbusDriver.parse(
                {
                    "host": "127.0.0.1",
                    "port": port,
                    "register": register,
                    "timeout": 30,
                    **keys,
                }
            )
            for register in range(points)
        ]
        driver = ModbusDriver(parsed[0][0])
        await driver.connect()
        park.append((driver, [address for _, address in parsed]))
    try:
        figures = [await one_round(park, 10.0 + number) for number in range(rounds)]
    finally:
        for driver, _ in park:
            await driver.close()
    p99, last, everything, cpu = (
        statistics.median(column) for column in zip(*figures, strict=True)
    )
    way = "one request a point " if single else "neighbours in one   "
    print(
        f"{way}  writes: p99 {p99 * 1e3:6.0f} ms, last {last * 1e3:6.0f} ms; "
        f"all read back {everything * 1e3:6.0f} ms; CPU {cpu:5.2f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--points", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{options.devices} Modbus devices, {options.points} points each; median of rounds")
    with devices(options.devices, options.points) as ports:
        for single in (False, True):
            asyncio.run(measure(ports, options.points, options.rounds, single))


if __name__ == "__main__":
    main()
