"""A device that hangs, with many points: found out once, tried at one pace, and back for all at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from fake_driver import FakeFolder
from gateway_rig import audit, eventually, point, running, write_file

from oadr2.gateway.devices import Device
from oadr2.points.driver import DeviceError, DeviceSilence, Driver, Setting
from oadr2.points.point import Read, Write
from oadr2.points.rules import RELEASED
from oadr2.points.rules import Setting as PointSetting
from oadr2.sim import SimulatedVtn, VtnServer

MANY = 50


class Line(Driver[str, str]):
    """A line of units ``u1``, ``u2``... that says who was silent at once, as if the time were over."""

    settings: ClassVar[Mapping[str, Setting]] = {}
    can_release: ClassVar[bool] = True
    largest_batch: ClassVar[int] = 20

    def __init__(self, device: str = "line") -> None:
        self.silent: Collection[str] = ()
        self.asked: list[str] = []
        self.closed = 0

    @classmethod
    def parse(cls, table: Mapping[str, object]) -> tuple[str, str]:
        raise NotImplementedError

    async def connect(self) -> None:
        pass

    async def _ask(self, address: str) -> None:
        self.asked.append(address)
        if address in self.silent:
            raise DeviceSilence(f"line, {address}: no answer")
        if address.startswith("refuses"):
            raise DeviceError(f"line, {address}: refused")

    async def read(self, address: str) -> float | None:
        await self._ask(address)
        return 1.0

    async def write(self, address: str, value: float) -> None:
        await self._ask(address)

    async def release(self, address: str) -> None:
        await self._ask(address)

    async def check(self, address: str) -> None:
        pass

    async def close(self) -> None:
        self.closed += 1


class Bench:
    """The line's queue, on a clock that the test moves."""

    def __init__(self, count: int = MANY) -> None:
        self.now = 0.0
        self.line = Line()
        self.units = [f"u{number}" for number in range(1, count + 1)]
        self.told: dict[str, list[str]] = {unit: [] for unit in self.units}
        self.gone: list[str] = []
        self.back: list[list[str]] = []
        self.device = Device(
            "line",
            self.line,
            30.0,
            self._done,
            on_gone=lambda device: self.gone.append(device.gone),
            on_back=lambda _device, owners: self.back.append(sorted(owners)),
            monotonic=lambda: self.now,
        )
        self.device.shared_by = count

    def _done(self, owner: str, _request: object, _value: float | None, problem: str) -> None:
        self.told.setdefault(owner, []).append(problem)

    async def ask(self, *units: str, write: PointSetting | None = None) -> list[str]:
        """Put a request for each, wait until all are told, and give what they were told."""
        asked = units or self.units
        before = {unit: len(self.told.setdefault(unit, [])) for unit in asked}
        for unit in asked:
            self.device.put(unit, unit, Read() if write is None else Write(write))
        await eventually(
            lambda: all(len(self.told[unit]) > before[unit] for unit in asked), "the answers"
        )
        assert all(len(self.told[unit]) == before[unit] + 1 for unit in asked)
        return [self.told[unit][-1] for unit in asked]


@pytest.mark.parametrize("value", [None, 1.0, RELEASED], ids=["read", "write", "release"])
def test_all_that_waits_for_a_hung_device_fails_after_two_silences(
    value: PointSetting | None,
) -> None:
    """The second one is another address, for the first may be silent for itself."""

    async def scenario() -> None:
        bench = Bench()
        bench.line.silent = bench.units
        told = await bench.ask(write=value)
        assert len(bench.line.asked) == len(set(bench.line.asked)) == 2
        assert told == ["line, u1: no answer", *["line: no answer to anything"] * (MANY - 1)]
        assert bench.gone == ["line: no answer to anything"]

    asyncio.run(scenario())


def test_a_device_that_answered_before_is_asked_where_it_answered_last() -> None:
    async def scenario() -> None:
        bench = Bench()
        assert set(await bench.ask()) == {""}
        bench.line.asked.clear()
        bench.line.silent = bench.units
        assert set(await bench.ask()) == {"line: no answer to anything"}
        assert bench.line.asked == ["u1", bench.units[-1]]

    asyncio.run(scenario())


@pytest.mark.parametrize("dead", [("u1",), ("u1", "u2"), ("u3", "u4", "u50"), ("u7", "u8", "u9")])
def test_units_that_hang_fail_alone(dead: tuple[str, ...]) -> None:
    """From the second look on, whoever they are; the line is there all the time."""

    async def scenario() -> None:
        bench = Bench()
        assert set(await bench.ask()) == {""}
        bench.line.silent = dead
        for _ in range(4):
            bench.line.asked.clear()
            told = dict(zip(bench.units, await bench.ask(), strict=True))
            assert {unit for unit, problem in told.items() if problem} == {*dead}
            assert all(told[unit] == f"line, {unit}: no answer" for unit in dead)
            assert sum(unit in dead for unit in bench.line.asked) == len(dead)
        # They alone are looked at, one after the other: that makes no dead line of it either.
        for _ in range(4):
            await bench.ask(*dead)
        assert bench.gone == []
        bench.line.silent = ()
        assert set(await bench.ask()) == {""}

    asyncio.run(scenario())


def test_units_that_hang_from_the_start_keep_no_other_from_answering() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.line.silent = ("u1",)
        told = await bench.ask()
        assert told == ["line, u1: no answer", *[""] * (MANY - 1)]
        assert bench.gone == []

    asyncio.run(scenario())


def test_a_refusal_is_an_answer() -> None:
    async def scenario() -> None:
        bench = Bench(2)
        assert await bench.ask("refuses") == ["line, refuses: refused"]
        bench.line.silent = ("u1",)
        for _ in range(4):
            assert await bench.ask("u1") == ["line, u1: no answer"]
        assert bench.gone == []

    asyncio.run(scenario())


def test_a_device_that_is_gone_is_tried_at_one_pace_and_by_one_request() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.line.silent = bench.units
        await bench.ask()
        tried: list[float] = []
        asked: list[str] = []
        while bench.now < 100:
            bench.line.asked.clear()
            bench.now += 0.5
            assert set(await bench.ask()) == {"line: no answer to anything"}
            assert len(bench.line.asked) <= 1
            if bench.line.asked:
                tried.append(bench.now)
                asked += bench.line.asked
        assert tried == [1, 3, 7, 15, 31, 61, 91]
        assert len(set(asked)) == len(asked)  # one after the other: the first may be dead for good
        assert len(bench.gone) == 1

    asyncio.run(scenario())


def test_something_new_is_tried_at_once() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.line.silent = bench.units
        await bench.ask()
        bench.line.silent = ()
        assert await bench.ask("u5") == ["line: no answer to anything"]
        bench.device.try_now()
        assert await bench.ask("u5") == [""]

    asyncio.run(scenario())


def test_all_who_were_failed_are_called_when_it_answers() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.line.silent = bench.units
        await bench.ask()
        bench.device.drop("u9")
        bench.line.silent = ()
        bench.now = 1.0
        bench.line.asked.clear()
        assert set(await bench.ask()) == {""}
        assert len(bench.line.asked) == MANY
        (called,) = bench.back
        assert called == sorted({*bench.units} - {"u1", "u9"})  # u1 was told for itself
        assert bench.device.gone == ""

    asyncio.run(scenario())


def modbus(number: int, port: int) -> str:
    return (
        f'name = "m{number}"\ndriver = "modbus"\nhost = "127.0.0.1"\nport = {port}\nunit = {number}\n'
        'register = 3\ntimeout = 1\nverify = "50ms"\nlevels = { 0 = 100, 1 = 70, 2 = 40 }\n'
    )


def test_a_line_that_accepts_and_says_nothing(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fifty units behind it, silent from the start; an event begins and ends, another begins meanwhile."""
    pytest.importorskip("pymodbus")
    from oadr2.sim.modbus_devices import ModbusDevice, ModbusDevices  # noqa: PLC0415 - an extra

    units = [ModbusDevice(unit=number, start=100) for number in range(1, MANY + 1)]
    for unit in units:
        unit.silent = True
    good = FakeFolder(tmp_path / "device", a=100.0)
    caplog.set_level(logging.WARNING)

    def problems_of_devices() -> list[str]:
        return [
            record.getMessage()
            for record in caplog.records
            if record.name == "oadr2.gateway" and "points" in record.getMessage()
        ]

    with ModbusDevices([units]) as line:
        port = line.ports[0]
        path = write_file(
            tmp_path, server.url, [*(modbus(n, port) for n in range(1, MANY + 1)), point("a")]
        )
        path.write_text(
            path.read_text().replace('device_timeout = "0.3s"', 'device_timeout = "10s"')
        )

        async def scenario() -> None:
            async with running(path) as gateway:

                def failing() -> int:
                    return sum(bool(live.point.problem) for live in gateway.points.values())

                await eventually(lambda: failing() == MANY, "the failure of all")
                # Two time-outs, and one for each try since: nothing near one for each unit.
                assert sum(unit.asked for unit in units) <= 6
                vtn.add_event("first", start="now", duration="PT1H", level=1)
                await eventually(lambda: good["a"] == 70.0, "the event at another device")
                vtn.cancel_event("first")
                await eventually(lambda: good["a"] == 100.0, "its end at another device")
                vtn.add_event("second", start="now", duration="PT1H", level=2)
                await eventually(lambda: good["a"] == 40.0, "the next event at another device")
                assert failing() == MANY
                for unit in units:
                    unit.silent = False
                await eventually(
                    lambda: all(unit.held(3) == 40 for unit in units), "what the schedule says now"
                )
                await eventually(
                    lambda: all(seen.settled for seen in gateway.view().points), "the read-backs"
                )

        asyncio.run(scenario())
    text = f"modbus 127.0.0.1:{port}"
    assert problems_of_devices() == [
        f"{text}: no answer to anything ({MANY} points, tried again until it answers)",
        f"{text}: answers again ({MANY} points)",
    ]
    told = [r.getMessage() for r in caplog.records if r.name == "oadr2.gateway.points"]
    assert len([line for line in told if " failed: " in line]) <= 2  # before it was known
    for number, unit in enumerate(units, 1):
        assert [values for _, _, values in unit.writes] == [[40]]
        kinds = [entry.kind for entry in audit(tmp_path, f"m{number}")]
        for kind in ("failed", "answers", "found", "write", "verified"):
            assert kind in kinds, (number, kinds)
    assert not [entry for entry in audit(tmp_path, "a") if entry.kind == "failed"]
