"""The GPIO driver.

Real lines need a kernel with gpio-sim and the right to configure it: then ``OADR2_GPIO_SIM`` names the
device file of a simulated chip with at least four lines. Without it the tests run against the class
``FakeChip`` below, which stands in for ``gpiod.Chip`` and does what libgpiod's documentation says of the
calls the driver makes. That is all the fake proves; only gpio-sim or a board shows the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

gpiod = pytest.importorskip("gpiod", reason="needs gpiod: pip install 'oadr2[gpio]'")

from gpiod.line import Direction, Value  # noqa: E402 - after the skip

from oadr2.points import gpio  # noqa: E402
from oadr2.points.conformance import Bench, DriverConformance  # noqa: E402
from oadr2.points.driver import DeviceError  # noqa: E402
from oadr2.points.gpio import GpioDriver  # noqa: E402

SIMULATED = os.environ.get("OADR2_GPIO_SIM")
TIMEOUT = 0.5


class Board:
    """What the fakes share: the lines' directions and physical levels, as a kernel would keep them."""

    def __init__(self, lines=8):
        self.path = "/dev/gpiochip-fake"
        self.names = [f"RELAY{number}" for number in range(lines)]
        self.levels = [0] * lines
        self.outputs = [False] * lines
        self.users = [""] * lines
        self.history = []
        self.present = True
        self.quiet = threading.Event()
        self.quiet.set()

    def open(self, path):
        self.quiet.wait(30)
        if not self.present or path != self.path:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return FakeChip(self)


class FakeChip:
    """The part of ``gpiod.Chip`` the driver uses."""

    def __init__(self, board):
        self.board = board

    def line_offset_from_id(self, line):
        self.board.quiet.wait(30)
        if isinstance(line, str):
            if line not in self.board.names:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory")
            return self.board.names.index(line)
        if line >= len(self.board.names):
            raise ValueError("line offset of out range")
        return line

    def get_line_info(self, offset):
        user = self.board.users[offset]
        return SimpleNamespace(used=bool(user), consumer=user)

    def request_lines(self, config, consumer):
        ((offset, settings),) = config.items()
        if self.board.users[offset]:
            raise OSError(errno.EBUSY, "Device or resource busy")
        assert settings.direction is Direction.AS_IS  # a claim changes nothing
        self.board.users[offset] = consumer
        return FakeRequest(self.board, settings.active_low)

    def close(self):
        pass


class FakeRequest:
    """The part of ``gpiod.LineRequest`` the driver uses."""

    def __init__(self, board, active_low):
        self.board = board
        self.active_low = active_low
        self.offsets = set()

    def get_value(self, offset):
        if not self.board.present:
            raise OSError(errno.ENODEV, "No such device")
        return Value.ACTIVE if self.board.levels[offset] != self.active_low else Value.INACTIVE

    def reconfigure_lines(self, config):
        if not self.board.present:
            raise OSError(errno.ENODEV, "No such device")
        ((offset, settings),) = config.items()
        self.offsets.add(offset)
        self.board.outputs[offset] = settings.direction is Direction.OUTPUT
        self.board.levels[offset] = int(
            (settings.output_value is Value.ACTIVE) != settings.active_low
        )
        self.board.history.append((offset, self.board.levels[offset]))

    def release(self):
        for offset, user in enumerate(self.board.users):
            if user == "oadr2":
                self.board.users[offset] = ""


@pytest.fixture
def board(monkeypatch):
    board = Board()
    monkeypatch.setattr(gpio.gpiod, "Chip", board.open)
    return board


def table(board, **keys):
    return {
        "chip": board.path,
        "timeout": TIMEOUT,
        **({} if "line_name" in keys else {"line": 2}),
        **keys,
    }


@contextlib.contextmanager
def hanging(board):
    board.quiet.clear()
    try:
        yield
    finally:
        board.quiet.set()


def run(keys, work):
    device, address = GpioDriver.parse(keys)

    async def session():
        driver = GpioDriver(device)
        try:
            await driver.connect()
            return await work(driver, address)
        finally:
            await driver.close()

    return asyncio.run(session())


class TestGpioOnTheFake(DriverConformance):
    driver = GpioDriver

    @pytest.fixture
    def bench(self, board):
        return Bench(
            table=table(board),
            others=[table(board, line=3), table(board, line_name="RELAY5")],
            held=lambda: float(board.levels[2]),
            refused=[table(board, line=99), table(board, line_name="RELAY99")],
            malformed=[
                ({"chip": board.path}, "line"),
                (table(board, line_name="RELAY1", line=1), "line"),
                (table(board, line=-1), "line"),
                (table(board, active_low=1), "active_low"),
            ],
            silence=lambda: hanging(board),
        )


@pytest.mark.skipif(not SIMULATED, reason="OADR2_GPIO_SIM names no chip of gpio-sim")
class TestGpioOnTheKernel(DriverConformance):
    driver = GpioDriver

    @pytest.fixture
    def bench(self):
        keys = {"chip": SIMULATED, "timeout": TIMEOUT}

        def held():
            files = Path("/sys/devices/platform").glob("gpio-sim.*/gpiochip*/sim_gpio0/value")
            return float(next(files).read_text())

        return Bench(table={**keys, "line": 0}, others=[{**keys, "line": 1}], held=held)


def test_a_line_keeps_its_state_until_it_is_written(board):
    board.levels[2] = 1

    async def work(driver, address):
        await driver.check(address)
        assert await driver.read(address) == 1
        assert board.history == []
        await driver.write(address, 0)

    run(table(board), work)
    assert board.history == [(2, 0)]
    assert board.outputs[2]


def test_active_low_turns_the_level_round(board):
    async def work(driver, address):
        assert await driver.read(address) == 1
        await driver.write(address, 1)
        assert board.levels[2] == 0
        await driver.write(address, 0)
        assert board.levels[2] == 1
        return await driver.read(address)

    assert run(table(board, active_low=True), work) == 0


def test_closing_changes_no_level(board):
    run(table(board), lambda driver, address: driver.write(address, 1))
    assert board.levels[2] == 1
    assert board.users[2] == ""


def test_a_line_somebody_else_uses_is_named(board):
    board.users[2] = "heater-daemon"

    async def work(driver, address):
        with pytest.raises(DeviceError, match="line 2: it is in use by heater-daemon"):
            await driver.check(address)
        with pytest.raises(DeviceError, match="line 2: Device or resource busy"):
            await driver.write(address, 1)

    run(table(board), work)


def test_a_line_takes_0_or_1(board):
    async def work(driver, address):
        with pytest.raises(DeviceError, match=r"a line takes 0 or 1, not 0\.5"):
            await driver.write(address, 0.5)

    run(table(board), work)
    assert board.history == []


def test_a_chip_that_is_not_there_is_named():
    async def work(driver, address):
        pytest.fail("it connected")

    with pytest.raises(DeviceError, match="gpio /dev/no-such-chip: No such file or directory"):
        run({"chip": "/dev/no-such-chip", "line": 1, "timeout": 5.0}, work)


def test_a_chip_that_is_unplugged_is_a_device_error(board):
    async def work(driver, address):
        await driver.write(address, 1)
        board.present = False
        with pytest.raises(DeviceError, match="line 2: No such device"):
            await driver.write(address, 0)
        with pytest.raises(DeviceError, match="line 2: No such file"):
            await driver.read(address)

    run(table(board), work)
