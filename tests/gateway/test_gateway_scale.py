"""Many points in one process: who waits for whom, and how often a device is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from gateway_rig import PATIENCE, eventually, running, write_file

from oadr2.gateway.devices import Device
from oadr2.points.driver import DeviceError, Driver, Setting
from oadr2.points.memory import MemoryDriver
from oadr2.points.point import Read, Write
from oadr2.points.rules import RELEASED
from oadr2.points.rules import Setting as PointSetting
from oadr2.sim import SimulatedVtn, VtnServer


class CountingDriver(Driver[str, str]):
    """Notes the batches it is given; ``slow`` addresses never answer."""

    settings: ClassVar[Mapping[str, Setting]] = {}
    can_release: ClassVar[bool] = True

    @classmethod
    def parse(cls, table: Mapping[str, object]) -> tuple[str, str]:
        raise NotImplementedError

    def __init__(self, device: str = "") -> None:
        self.batches: list[tuple[str, ...]] = []
        self.slow: frozenset[str] = frozenset()
        self.unreachable = False
        self.closed = 0

    async def connect(self) -> None:
        if self.unreachable:
            raise DeviceError("counting: not there")

    async def read(self, address: str) -> float | None:
        if address in self.slow:
            await asyncio.sleep(3600)
        return float(len(address))

    async def write(self, address: str, value: float) -> None:
        if address in self.slow:
            await asyncio.sleep(3600)
        if value < 0:
            raise DeviceError(f"counting: {address} refuses {value:g}")

    async def release(self, address: str) -> None:
        self.batches.append((f"release {address}",))

    async def write_many(self, items: Sequence[tuple[str, float]]) -> Sequence[DeviceError | None]:
        self.batches.append(tuple(address for address, _ in items))
        return await super().write_many(items)

    async def check(self, address: str) -> None:
        pass

    async def close(self) -> None:
        self.closed += 1


class Bench:
    """A device and what it has told of each owner."""

    def __init__(self) -> None:
        self.driver = CountingDriver()
        self.told: dict[str, list[tuple[object, float | None, str]]] = {}
        self.device = Device("counting", self.driver, 0.05, self._done)

    def _done(self, owner: str, request: object, value: float | None, problem: str) -> None:
        self.told.setdefault(owner, []).append((request, value, problem))

    def write(self, owner: str, value: PointSetting) -> None:
        self.device.put(owner, owner, Write(value))

    async def told_of(self, count: int) -> None:
        await eventually(lambda: sum(map(len, self.told.values())) == count, f"{count} answers")


def test_writes_go_together_and_before_reads() -> None:
    async def scenario() -> None:
        bench = Bench()
        for index in range(100):
            bench.device.put(f"r{index}", f"r{index}", Read())
            bench.write(f"w{index}", -1.0 if index == 7 else 1.0)
        bench.write("x", RELEASED)
        await bench.told_of(201)
        assert [len(batch) for batch in bench.driver.batches if "release x" not in batch] == [
            64,
            36,
        ]
        order = list(bench.told)
        assert all(name.startswith("w") or name == "x" for name in order[:101])
        assert bench.told["w7"][0][2] == "counting: w7 refuses -1"
        assert bench.told["w8"][0][2] == ""
        assert bench.told["r5"][0][1] == 2.0
        await bench.device.close()

    asyncio.run(scenario())


def test_one_address_that_hangs_fails_alone_in_the_end() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.driver.slow = frozenset({"w3"})
        owners = [f"w{index}" for index in range(8)]
        for _ in range(5):
            before = sum(map(len, bench.told.values()))
            for owner in owners:
                bench.write(owner, 1.0)
            await bench.told_of(before + len(owners))
        failures = {owner: sum(bool(p) for _, _, p in bench.told[owner]) for owner in owners}
        assert failures["w3"] == 5
        assert {owner for owner, count in failures.items() if count == 1} == {*owners} - {"w3"}
        assert bench.told["w3"][0][2] == "counting: no answer within 0.05 s"
        assert bench.driver.closed  # it is connected anew after a silence
        await bench.device.close()

    asyncio.run(scenario())


def test_a_device_that_is_not_there_fails_all_that_waits_at_once() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.driver.unreachable = True
        for index in range(300):
            bench.write(f"w{index}", 1.0)
        await bench.told_of(300)
        assert {told[0][2] for told in bench.told.values()} == {"counting: not there"}
        assert bench.driver.batches == []
        await bench.device.close()

    asyncio.run(scenario())


def test_what_was_dropped_is_not_done() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.write("a", 1.0)
        bench.write("b", 1.0)
        bench.device.drop("a")
        await bench.told_of(1)
        assert list(bench.told) == ["b"]
        await bench.device.close()

    asyncio.run(scenario())


def test_many_points_follow_one_event(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every point of every device gets each value once, and the loop has no task per point."""
    written: list[tuple[float, str, float]] = []

    async def write(self: MemoryDriver, address: tuple[str, float | None], value: float) -> None:
        written.append((time.time(), f"{self.device} {address[0]}", value))
        self.values[address[0]] = value

    monkeypatch.setattr(MemoryDriver, "write", write)
    devices, each = 20, 50
    points = [
        f'name = "{device}-{index}"\ndriver = "memory"\ndevice = "d{device}"\nregister = "r{index}"\n'
        "levels = { 0 = 100, 1 = 70, 2 = 40 }\nstart = 100"
        for device in range(devices)
        for index in range(each)
    ]
    path = write_file(tmp_path, server.url, points)
    count = devices * each

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            assert written == []
            vtn.add_event("peak", start="+1s", levels=[("PT1S", 1), ("PT1H", 2)])
            await eventually(lambda: len(written) == count, "the first interval")
            assert len(asyncio.all_tasks()) < devices + 10
            await eventually(lambda: len(written) == 2 * count, "the second interval")
            async with asyncio.timeout(PATIENCE):
                while not all(seen.settled for seen in gateway.view().points):
                    await asyncio.sleep(0.05)

    asyncio.run(scenario())
    seen = {(place, value) for _, place, value in written}
    assert len(seen) == len(written) == 2 * count
    assert {value for _, _, value in written[:count]} == {70.0}
