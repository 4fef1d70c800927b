"""The BACnet driver against a bacpypes3 device in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys

import pytest

from oadr2.points.bacnet import BacnetDriver
from oadr2.points.conformance import Bench, DriverConformance
from oadr2.points.driver import DeviceError
from oadr2.sim.bacnet_device import RELINQUISH_DEFAULT

TIMEOUT = 1.0


class DeviceProcess:
    """``python -m oadr2.sim.bacnet_device``."""

    def __init__(self):
        self.port = 0
        self.start()

    def start(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "oadr2.sim.bacnet_device", "--port", str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        word, port = self._process.stdout.readline().split()
        assert word == "listening"
        self.port = int(port)

    def held(self, name):
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    @contextlib.contextmanager
    def frozen(self):
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def gone(self):
        self.kill()
        try:
            yield
        finally:
            self.start()


@pytest.fixture(scope="module")
def device():
    device = DeviceProcess()
    yield device
    device.kill()


@pytest.fixture
def tables(device):
    def table(kind="analog-output", instance=1, **keys):
        near = {"host": "127.0.0.1", "port": device.port, "timeout": TIMEOUT}
        return {**near, "object": kind, "instance": instance, **keys}

    return table


def run(table, work, *more):
    """Await ``work(driver, address, ...)`` with the addresses of the tables."""
    device, address = BacnetDriver.parse(table)
    addresses = [address, *(BacnetDriver.parse(each)[1] for each in more)]

    async def session():
        driver = BacnetDriver(device)
        try:
            await driver.connect()
            return await work(driver, *addresses)
        finally:
            await driver.close()

    return asyncio.run(session())


class TestBacnet(DriverConformance):
    driver = BacnetDriver

    @pytest.fixture
    def bench(self, device, tables):
        return Bench(
            table=tables(),
            others=[tables(instance=2), tables(instance=3)],
            values=(55.0, 70.5),
            held=lambda: device.held("analog-output 1"),
            refused=[tables(instance=99), tables("analog-input")],
            malformed=[
                (tables("device"), "object"),
                (tables(instance=-1), "instance"),
                (tables(priority=0), "priority"),
                (tables(priority=17), "priority"),
                (tables(host="building.example"), "host"),
                (tables(host="10.0.0.256"), "host"),
                (tables(local_address="eth0"), "local_address"),
            ],
            silence=device.frozen,
            absence=device.gone,
        )


@pytest.mark.parametrize(
    ("kind", "instance", "value", "default"),
    [
        ("analog-output", 4, 33.25, RELINQUISH_DEFAULT),
        ("binary-output", 1, 1.0, 0.0),
        ("multi-state-output", 1, 3.0, 1.0),
    ],
)
def test_a_command_and_its_release(device, tables, kind, instance, value, default):
    async def work(driver, address):
        await driver.check(address)
        await driver.write(address, value)
        assert await driver.read(address) == value
        assert device.held(f"{kind} {instance}") == value
        await driver.release(address)
        return await driver.read(address)

    assert run(tables(kind, instance, priority=5), work) == default


def test_the_priority_decides(device, tables, caplog):
    async def work(driver, ours, operator):
        await driver.write(ours, 40)
        await driver.write(operator, 90)
        assert await driver.read(ours) == 90
        await driver.check(ours)
        await driver.release(ours)
        assert device.held("analog-output 4") == 90
        await driver.write(ours, 40)
        await driver.release(operator)
        assert await driver.read(ours) == 40
        await driver.release(ours)
        assert await driver.read(ours) == RELINQUISH_DEFAULT

    caplog.set_level("WARNING", logger="oadr2.points.bacnet")
    run(tables(instance=4), work, tables(instance=4, priority=8))
    assert "analog-output 4: held at priority 8; commands at 10 have no effect" in caplog.text


def test_an_object_without_a_priority_array(device, tables):
    async def work(driver, plain, commandable):
        with pytest.raises(DeviceError, match="no priority array; see the key commandable"):
            await driver.check(commandable)
        await driver.check(plain)
        await driver.write(plain, 12)
        assert await driver.read(plain) == 12
        with pytest.raises(DeviceError, match="without a priority array it cannot be released"):
            await driver.release(plain)

    run(tables("analog-value", commandable=False), work, tables("analog-value"))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("binary-output", 0.5),
        ("multi-state-output", 0),
        ("multi-state-output", 1.5),
        ("analog-output", float("nan")),
        ("analog-input", 1.0),
    ],
)
def test_a_value_that_does_not_fit_never_leaves(device, tables, kind, value):
    before = device.held(f"{kind} 1")

    async def work(driver, address):
        with pytest.raises(DeviceError, match=f"{kind} 1: "):
            await driver.write(address, value)

    run(tables(kind), work)
    assert device.held(f"{kind} 1") == before


def test_a_missing_object_is_named_with_the_words_of_the_device(tables):
    async def work(driver, address):
        with pytest.raises(
            DeviceError, match="analog-output 99: the device refuses it: object, unk"
        ):
            await driver.read(address)

    run(tables(instance=99), work)


def test_the_simulated_device_needs_nobody_at_its_standard_input():
    command = [sys.executable, "-m", "oadr2.sim.bacnet_device", "--port", "0"]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        port = int(process.stdout.readline().split()[1])
        table = {"host": "127.0.0.1", "port": port, "object": "analog-output", "instance": 1}
        assert run(table, lambda driver, address: driver.read(address)) == RELINQUISH_DEFAULT
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert errors == ""


def test_a_line_that_names_no_object_does_not_end_the_simulated_device():
    device = DeviceProcess()
    try:
        device._process.stdin.write("\nfan\nanalog-output x\n")
        device._process.stdin.flush()
        assert [device._process.stdout.readline() for _ in range(3)] == ["none\n"] * 3
        assert device.held("analog-output 1") == RELINQUISH_DEFAULT
    finally:
        device.kill()
