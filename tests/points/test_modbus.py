"""The Modbus driver against a pymodbus server, over TCP and over a serial line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import threading
import tty

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer

from oadr2.points.conformance import Bench, DriverConformance
from oadr2.points.driver import DeviceError, SettingError
from oadr2.points.modbus import ModbusDriver
from oadr2.points.modbus_register import Cells, LastRuns, runs
from oadr2.sim.modbus_devices import ModbusDevice, ModbusDevices

TIMEOUT = 0.3


def make_device(unit=1):
    return ModbusDevice(unit=unit, setpoints=64, time_constant=0.0)


@pytest.fixture
def device():
    return make_device()


@pytest.fixture
def server(device):
    with ModbusDevices([device]) as devices:
        yield devices


@pytest.fixture
def tables(server):
    """Point tables of the device, by what differs."""

    def table(**keys):
        port = server.ports[0]
        return {"host": "127.0.0.1", "port": port, "timeout": TIMEOUT, "register": 10, **keys}

    return table


def run(table, work, *more):
    """Await ``work(driver, address, ...)`` with the addresses of the tables."""
    line, address = ModbusDriver.parse(table)
    addresses = [address, *(ModbusDriver.parse(each)[1] for each in more)]

    async def session():
        driver = ModbusDriver(line)
        try:
            await driver.connect()
            return await work(driver, *addresses)
        finally:
            await driver.close()

    return asyncio.run(session())


@contextlib.contextmanager
def silent(device):
    device.silent = True
    try:
        yield
    finally:
        device.silent = False


@contextlib.contextmanager
def switched_off(server, place=0):
    server.switch_off(place)
    try:
        yield
    finally:
        server.switch_on(place)


class TestModbusTcp(DriverConformance):
    driver = ModbusDriver

    @pytest.fixture
    def bench(self, device, server, tables):
        return Bench(
            table=tables(),
            others=[tables(register=11), tables(register=12), tables(register=40)],
            values=(55.0, 70.0, 3.0),
            held=lambda: float(device.held(10)),
            refused=[
                tables(register=200),
                tables(table="input"),
                tables(table="coil", register=90, read_table="coil"),
            ],
            malformed=[
                ({**tables(), "host": 5}, "host"),
                ({"register": 10}, "host"),
                ({**tables(), "serial": "/dev/ttyS0"}, "host"),
                ({"serial": "/dev/ttyS0", "framing": "tcp", "register": 1}, "framing"),
                ({"serial": "/dev/ttyS0", "unit": 0, "register": 1}, "unit"),
                ({"host": "127.0.0.1"}, "register"),
                (tables(register=65536), "register"),
                (tables(register=65535, type="float32"), "register"),
                (tables(register=0, read_register=65533, type="float64"), "read_register"),
                (tables(type="word"), "type"),
                (tables(scale=0), "scale"),
                (tables(function=5), "function"),
                (tables(function=6, type="int32"), "function"),
                (tables(table="coil", function=16), "function"),
                (tables(unit=256), "unit"),
                (tables(timeout=0), "timeout"),
            ],
            silence=lambda: silent(device),
            absence=lambda: switched_off(server),
        )


class SerialLine:
    """Two pseudo terminals with a wire between them, and a pymodbus server at one end."""

    def __init__(self, devices):
        self._devices = devices
        self._masters = []
        self._slaves = []
        for _ in range(2):
            master, slave = pty.openpty()
            tty.setraw(slave)
            self._masters.append(master)
            self._slaves.append(slave)
        self.near, self.far = (os.ttyname(slave) for slave in self._slaves)
        self._wires = [
            threading.Thread(target=self._carry, args=(here, there), daemon=True)
            for here, there in (self._masters, reversed(self._masters))
        ]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._ended = threading.Event()

    def _carry(self, here, there):
        while not self._ended.is_set():
            try:
                data = os.read(here, 1024)
            except OSError:  # the other end is closed
                return
            os.write(there, data)

    def __enter__(self):
        for wire in self._wires:
            wire.start()
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()
        return self

    async def _serve(self):
        self._server = ModbusSerialServer(
            [device.description for device in self._devices],
            framer=FramerType.RTU,
            port=self.far,
            baudrate=115200,
            # As the RTU servers of real lines: a unit that is not there says nothing.
            ignore_missing_devices=True,
        )
        await self._server.serve_forever(background=True)

    async def _leave(self):
        await self._server.shutdown()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._ended.set()
        for slave in self._slaves:  # wakes the wires
            os.write(slave, b"\0")
        for wire in self._wires:
            wire.join()
        for end in (*self._slaves, *self._masters):
            os.close(end)


class TestModbusRtu(DriverConformance):
    driver = ModbusDriver

    @pytest.fixture
    def bench(self):
        devices = [make_device(1), make_device(2)]
        with SerialLine(devices) as line:

            def table(**keys):
                near = {"serial": line.near, "baudrate": 115200, "parity": "N"}
                return {**near, "timeout": TIMEOUT, "register": 10, **keys}

            yield Bench(
                table=table(),
                others=[table(register=11), table(unit=2), table(unit=2, register=11)],
                values=(55.0, 70.0),
                held=lambda: float(devices[0].held(10)),
                refused=[table(register=200)],
                silence=lambda: silent(devices[0]),
            )


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        ({"type": "uint16"}, 65535, [0xFFFF]),
        ({"type": "int16"}, -2, [0xFFFE]),
        ({"type": "int16", "byte_order": "little"}, -2, [0xFEFF]),
        ({"type": "uint32"}, 0x12345678, [0x1234, 0x5678]),
        ({"type": "uint32", "word_order": "little"}, 0x12345678, [0x5678, 0x1234]),
        ({"type": "uint32", "byte_order": "little"}, 0x12345678, [0x3412, 0x7856]),
        ({"type": "int32"}, -2, [0xFFFF, 0xFFFE]),
        ({"type": "float32"}, 21.5, [0x41AC, 0x0000]),
        ({"type": "float32", "word_order": "little"}, 21.5, [0x0000, 0x41AC]),
        ({"type": "float64"}, 21.5, [0x4035, 0x8000, 0, 0]),
        ({"type": "uint64"}, 2**40, [0, 0x0100, 0, 0]),
        ({"type": "int64"}, -1, [0xFFFF] * 4),
        ({"type": "int16", "scale": 0.1}, 21.5, [215]),
        ({"type": "uint16", "scale": 0.1}, 21.44, [214]),
    ],
)
def test_how_a_number_is_written(tables, device, keys, value, words):
    async def work(driver, address):
        await driver.write(address, value)
        return await driver.read(address)

    expected = pytest.approx(value, abs=keys.get("scale", 0))
    assert run(tables(**keys), work) == expected
    assert device.writes[-1][2] == words


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ({"type": "uint16"}, 65536),
        ({"type": "uint16"}, -1),
        ({"type": "int16", "scale": 0.1}, 3276.8),
        ({"type": "float32"}, 1e300),
        ({"type": "uint16"}, float("nan")),
        ({"type": "uint16"}, float("inf")),
        ({"table": "coil"}, 2),
        ({"table": "coil"}, 0.5),
    ],
)
def test_a_value_that_does_not_fit_never_leaves(tables, device, keys, value):
    async def work(driver, address):
        with pytest.raises(DeviceError, match="unit 1, "):
            await driver.write(address, value)
        (result,) = await driver.write_many([(address, value)])
        assert isinstance(result, DeviceError)

    run(tables(**keys), work)
    assert device.writes == []


def test_a_register_that_holds_no_number_reads_as_none(tables):
    async def work(driver, words, number):
        await driver.write(words, 0x7FC00000)
        return await driver.read(number)

    assert run(tables(type="uint32"), work, tables(type="float32")) is None


@pytest.mark.parametrize(
    ("keys", "function"),
    [
        ({}, 6),
        ({"function": 16}, 16),
        ({"type": "int32"}, 16),
        ({"table": "coil"}, 5),
        ({"table": "coil", "function": 15}, 15),
    ],
)
def test_the_function_code_is_chosen(tables, device, keys, function):
    run(tables(**keys), lambda driver, address: driver.write(address, 1))
    assert [write[0] for write in device.writes] == [function]


def test_coils_and_the_inputs_that_follow_them(tables):
    relays = [tables(table="coil", read_table="discrete", register=n) for n in range(20)]

    async def work(driver, *addresses):
        pattern = [float(n % 3 == 0) for n in range(20)]
        assert (
            list(await driver.write_many(list(zip(addresses, pattern, strict=True)))) == [None] * 20
        )
        return pattern, list(await driver.read_many(addresses))

    written, found = run(relays[0], work, *relays[1:])
    assert found == written


def test_a_device_that_answers_but_does_not_obey_is_found_out_by_reading(tables, device):
    device.obeys = False

    async def work(driver, address):
        await driver.write(address, 55)
        return await driver.read(address)

    assert run(tables(read_table="input"), work) == 0
    assert run(tables(), work) == 0


def test_neighbours_go_in_one_request(tables, device):
    async def work(driver, *addresses):
        return await driver.write_many([(each, n) for n, each in enumerate(addresses)])

    registers = [tables(register=n) for n in (7, 5, 6, 9, 30)]
    assert list(run(registers[0], work, *registers[1:])) == [None] * 5
    assert sorted(device.writes) == [(6, 9, [3]), (6, 30, [4]), (16, 5, [1, 2, 0])]


def test_one_register_written_twice_keeps_the_last_value(tables, device):
    async def work(driver, address, neighbour):
        await driver.write_many([(address, 1), (neighbour, 2), (address, 3)])
        return await driver.read(address)

    assert run(tables(), work, tables(register=11)) == 3


def test_one_bad_address_among_neighbours_fails_alone(tables, device):
    async def work(driver, *addresses):
        return await driver.write_many([(each, 1) for each in addresses])

    results = run(tables(register=62), work, *(tables(register=n) for n in (63, 64, 65)))
    assert [result is None for result in results] == [True, True, False, False]
    assert "holding register 64: the device has no such address" in str(results[2])


def test_a_device_without_function_16_is_written_one_by_one(tables, device):
    device.refuses = {16}

    async def work(driver, *addresses):
        for _ in range(2):
            assert list(await driver.write_many([(each, 5) for each in addresses])) == [None] * 3

    run(tables(), work, tables(register=11), tables(register=12))
    assert [write[0] for write in device.writes] == [6] * 6


def test_function_6_is_never_joined(tables, device):
    async def work(driver, *addresses):
        return await driver.write_many([(each, 5) for each in addresses])

    run(tables(function=6), work, tables(function=6, register=11))
    assert [write[0] for write in device.writes] == [6, 6]


def test_a_function_the_device_does_not_know_is_named(tables, device):
    device.refuses = {6}

    async def work(driver, address):
        with pytest.raises(DeviceError, match=r"function 6 \(write single register\)"):
            await driver.write(address, 1)

    run(tables(), work)


def test_units_behind_one_connection():
    units = [make_device(unit) for unit in (1, 2, 3)]
    with ModbusDevices([units]) as server:

        def table(unit):
            line = {"host": "127.0.0.1", "port": server.ports[0], "timeout": TIMEOUT}
            return {**line, "unit": unit, "register": 10}

        async def work(driver, *addresses):
            await driver.write_many([(each, 10 * n) for n, each in enumerate(addresses, 1)])
            assert await driver.read_many(addresses) == [10, 20, 30]
            units[1].silent = True
            return await driver.read_many([*addresses, addresses[1]])

        found = run(table(1), work, table(2), table(3))
    assert [found[0], found[2]] == [10, 30]
    assert "unit 2, holding register 10: no answer within 0.3 s" in str(found[1])
    assert isinstance(found[3], DeviceError)


def test_a_unit_the_gateway_does_not_reach(tables):
    """A server without the unit answers as gateways do, with an exception code."""

    async def work(driver, address, missing):
        with pytest.raises(DeviceError, match="unit 9, "):
            await driver.read(missing)
        await driver.read(address)

    run(tables(), work, tables(unit=9))


def test_a_connection_that_ends_during_a_request_is_not_waited_for(tables, device, server):
    """The time-out of a minute would fail the test's patience; the end of the connection is seen."""
    device.silent = True

    async def work(driver, address):
        asked = asyncio.create_task(driver.read(address))
        while not device.asked:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.switch_off)
        with pytest.raises(DeviceError, match="the connection was lost"):
            await asyncio.wait_for(asked, 30)

    run(tables(timeout=60), work)
    server.switch_on()


def test_a_silent_device_holds_up_no_other():
    first, second = make_device(), make_device()
    first.silent = True
    with ModbusDevices([first, second]) as server:

        async def session():
            drivers = []
            for port in server.ports:
                line, address = ModbusDriver.parse(
                    {"host": "127.0.0.1", "port": port, "timeout": 30, "register": 1}
                )
                drivers.append(ModbusDriver(line))
            waiting = asyncio.create_task(drivers[0].read(address))
            for value in range(20):
                await drivers[1].connect()
                await drivers[1].write(address, value)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            for driver in drivers:
                await driver.close()

        asyncio.run(session())
    assert len(second.writes) == 20


def test_runs_of_cells():
    def cells(*firsts, count=1, unit=1, table="holding"):
        return [Cells(unit, table, first, count) for first in firsts]

    assert runs(cells(3, 1, 2, 7), 125, 2000) == [[1, 2, 0], [3]]
    assert runs(cells(0, 2, 4, count=2), 125, 2000) == [[0, 1, 2]]
    assert runs(cells(0, 1, 2), 2, 2000) == [[0, 1], [2]]
    assert runs(cells(0, 1, count=2), 125, 2000) == [[0], [1]]  # they overlap
    assert runs([*cells(0), *cells(1, unit=2), *cells(1, table="coil")], 125, 2000) == [
        [0],
        [1],
        [2],
    ]
    assert runs([], 125, 2000) == []
    last = LastRuns(125, 2000)
    for wanted in (cells(0, 1), cells(0, 1), cells(0, 2), cells(0, 1), [], cells(1, 0)):
        assert last(wanted) == runs(wanted, 125, 2000)


def test_a_wrong_table_says_what_would_be_right():
    with pytest.raises(
        SettingError, match="function: 5 does not write a holding register; use 6 or"
    ):
        ModbusDriver.parse({"host": "localhost", "register": 1, "function": 5})


def test_a_state_register_that_is_not_there_is_found_by_check(tables):
    async def work(driver, address):
        with pytest.raises(DeviceError, match="input register 300: the device has no such address"):
            await driver.check(address)

    run(tables(read_table="input", read_register=300), work)
