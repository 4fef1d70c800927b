"""An event that moves many points at once: in which order they go, and what has to wait meanwhile."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from gateway_rig import eventually, running, write_file

from oadr2.gateway.collector import Calm
from oadr2.gateway.devices import Device
from oadr2.gateway.live_point import LivePoint, order_of_service
from oadr2.points.driver import DeviceError
from oadr2.points.memory import MemoryDriver
from oadr2.points.point import Read, Write
from oadr2.sim import SimulatedVtn, VtnServer


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Whatever a test does, the collector works after it."""
    yield
    gc.enable()


def test_each_device_gets_its_writes_in_one_batch_and_none_waits_for_the_collector(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices, each = 20, 45  # no slice of points ends where a device does
    batches: list[tuple[str, int, bool]] = []
    write_many = MemoryDriver.write_many

    async def watched(
        self: MemoryDriver, items: Sequence[tuple[tuple[str, float | None], float]]
    ) -> Sequence[DeviceError | None]:
        batches.append((self.device, len(items), gc.isenabled()))
        return await write_many(self, items)

    monkeypatch.setattr(MemoryDriver, "write_many", watched)
    points = [
        f'name = "{device}-{index}"\ndriver = "memory"\ndevice = "d{device}"\nregister = "r{index}"\n'
        "levels = { 0 = 100, 1 = 70 }\nstart = 100"
        for index in range(each)  # in the file the points of a device do not stand together
        for device in range(devices)
    ]
    path = write_file(tmp_path, server.url, points)

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            vtn.add_event("peak", start="+1s", levels=[("PT1H", 1)])
            await eventually(lambda: len(batches) >= devices, "the event")
            await eventually(
                lambda: all(live.point.settled for live in gateway.points.values()), "the end"
            )

    assert gc.isenabled()
    asyncio.run(scenario())
    assert sorted(batches) == sorted((f"d{device}", each, False) for device in range(devices))
    assert gc.isenabled()


class _Driver:
    def __init__(self, largest_batch: int) -> None:
        self.largest_batch = largest_batch


class _Device:
    def __init__(self, name: str, largest_batch: int) -> None:
        self.name = name
        self.driver = _Driver(largest_batch)


def test_devices_that_need_many_batches_first_then_small_ones() -> None:
    broker, bus, small, smaller = (
        _Device("broker", 1000),
        _Device("bus", 64),
        _Device("small", 64),
        _Device("smaller", 64),
    )
    points = []
    for count, device in ((900, broker), (200, bus), (45, small), (44, smaller)):
        points += [LivePoint(None, None, device) for _ in range(count)]  # type: ignore[arg-type]
    mixed = points[::2] + points[1::2]
    names = [live.device.name for live in order_of_service(mixed)]  # type: ignore[attr-defined]
    assert names == ["bus"] * 200 + ["smaller"] * 44 + ["small"] * 45 + ["broker"] * 900


def test_a_calm_ends_by_itself_and_is_prolonged() -> None:
    async def scenario() -> None:
        calm = Calm()
        calm.begin(3600)
        assert not gc.isenabled()
        calm.begin(0)
        await eventually(gc.isenabled, "the end of the calm")
        calm.begin(3600)
        calm.end()
        assert gc.isenabled()
        calm.end()
        gc.disable()  # by somebody else
        calm.begin(3600)
        calm.end()
        assert not gc.isenabled()

    asyncio.run(scenario())


class _Connected(MemoryDriver):
    """Says that it is connected until it is closed."""

    def __init__(self) -> None:
        super().__init__("d")
        self.connects = 0
        self.up = False

    def is_connected(self) -> bool:
        return self.up

    async def connect(self) -> None:
        self.connects += 1
        self.up = True

    async def read(self, address: tuple[str, float | None]) -> float | None:
        self.up = False
        raise DeviceError("lost")


def _has(items: list[str], count: int) -> bool:
    return len(items) == count


def test_who_says_that_it_is_connected_is_not_connected_again() -> None:
    async def scenario() -> None:
        told: list[str] = []
        driver = _Connected()
        device = Device("d", driver, 5.0, lambda _owner, _request, _value, why: told.append(why))
        requests: list[Read | Write] = [Write(1.0), Write(2.0), Read(), Write(3.0)]
        for request in requests:
            expected = len(told) + 1
            device.put("a", ("r", None), request)
            await eventually(partial(_has, told, expected), "an answer")
        assert told == ["", "", "lost", ""]
        assert driver.connects == 2
        await device.close()

    asyncio.run(scenario())
