"""Modbus over TCP and serial lines, on pymodbus (``pip install 'oadr2[modbus]'``).

One driver is one connection or one serial line, with all units behind it. Requests on it go one
after the other, as the protocol wants; neighbouring registers go in one request.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.constants import ExcCodes
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from oadr2.points.driver import DeviceError, DeviceSilence, Driver, Setting, SettingError
from oadr2.points.modbus_register import (
    FORMATS,
    FUNCTIONS,
    TABLES,
    Cells,
    LastRuns,
    Register,
    Table,
)

# It reports at length what becomes a DeviceError here; whoever wants it can set a level of its own.
_library_log = logging.getLogger("pymodbus.logging")
if _library_log.level == logging.NOTSET:
    _library_log.setLevel(logging.CRITICAL)

_Client = AsyncModbusTcpClient | AsyncModbusSerialClient

# What one request may carry (Modbus application protocol 1.1b3, 6.1 to 6.12).
_MOST_WORDS_READ: Final = 125
_MOST_WORDS_WRITTEN: Final = 123
_MOST_BITS_READ: Final = 2000
_MOST_BITS_WRITTEN: Final = 1968

_REFUSALS: Final[Mapping[int, str]] = {
    ExcCodes.ILLEGAL_FUNCTION: "it does not know the function {function}; see the key function",
    ExcCodes.ILLEGAL_ADDRESS: "the device has no such address",
    ExcCodes.ILLEGAL_VALUE: "the device refuses the value",
    ExcCodes.DEVICE_FAILURE: "the device reports a failure of its own",
    ExcCodes.ACKNOWLEDGE: "the device needs more time and has not said that it is done",
    ExcCodes.DEVICE_BUSY: "the device is busy",
    ExcCodes.NEGATIVE_ACKNOWLEDGE: "the device cannot do it",
    ExcCodes.MEMORY_PARITY_ERROR: "the device reports a memory error",
    ExcCodes.GATEWAY_PATH_UNAVIABLE: "the gateway has no way to this unit",
    ExcCodes.GATEWAY_NO_RESPONSE: "the gateway gets no answer from this unit",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A device key: how to reach a bus.

    Attributes:
        host, port: of a Modbus TCP device or gateway; None and 0 for a serial line.
        serial: path of the serial line's device file, or None.
        framing: ``tcp``, or ``rtu`` for a serial line and for gateways that pass RTU frames.
        timeout: seconds for connecting and for each answer.
    """

    host: str | None
    port: int
    serial: str | None
    framing: Literal["tcp", "rtu"]
    baudrate: int
    parity: str
    stopbits: int
    timeout: float

    def __str__(self) -> str:
        return f"modbus {self.serial or f'{self.host}:{self.port}'}"


class _Heard:
    """Who has answered in one call for several, and who has not.

    Attributes:
        anyone: somebody has.
        silent: the units that have not.
    """

    def __init__(self) -> None:
        self.anyone = False
        self.silent: dict[int, DeviceSilence] = {}

    def spared(self, unit: int) -> DeviceSilence | None:
        """Why this unit is not asked, if it is not."""
        if (known := self.silent.get(unit)) is not None:
            return known
        if self.silent and (len(self.silent) > 1 or not self.anyone):
            return next(reversed(self.silent.values())).passed_on()
        return None


class _Refusal(DeviceError):
    """The device answered with an exception code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class ModbusDriver(Driver[Line, Register]):
    """Coils and registers of the units on one connection."""

    settings: ClassVar[Mapping[str, Setting]] = {
        "host": Setting("device", str, "address of a Modbus TCP device or gateway", default=None),
        "port": Setting(
            "device", int, "its TCP port, default 502", default=502, lowest=1, highest=65535
        ),
        "serial": Setting(
            "device", str, "device file of a serial line, such as /dev/ttyUSB0", default=None
        ),
        "framing": Setting(
            "device",
            str,
            "tcp, or rtu for a gateway that passes RTU frames over TCP",
            default=None,
            choices=("tcp", "rtu"),
        ),
        "baudrate": Setting(
            "device", int, "of the serial line, default 19200", default=19200, lowest=50
        ),
        "parity": Setting(
            "device",
            str,
            "of the serial line: E (default), O or N",
            default="E",
            choices=("E", "O", "N"),
        ),
        "stopbits": Setting(
            "device",
            int,
            "of the serial line: 1 (default) or 2",
            default=1,
            choices=(1, 2),
        ),
        "timeout": Setting(
            "device",
            float,
            "seconds for connecting and for each answer, default 3",
            default=3.0,
            lowest=0.01,
            highest=60,
        ),
        "unit": Setting(
            "address", int, "unit identifier, default 1", default=1, lowest=0, highest=255
        ),
        "table": Setting(
            "address",
            str,
            "holding (default), coil, input or discrete",
            default="holding",
            choices=tuple(TABLES),
        ),
        "register": Setting(
            "address",
            int,
            "number of the register or coil in the protocol, counted from 0",
            lowest=0,
            highest=65535,
        ),
        "type": Setting(
            "address",
            str,
            "how a number is written in registers, default uint16",
            default="uint16",
            choices=tuple(FORMATS),
        ),
        "word_order": Setting(
            "address",
            str,
            "big (default): the high word first; or little",
            default="big",
            choices=("big", "little"),
        ),
        "byte_order": Setting(
            "address",
            str,
            "big (default), as the protocol says; or little",
            default="big",
            choices=("big", "little"),
        ),
        "scale": Setting(
            "address",
            float,
            "what one step of the register is worth, default 1",
            default=1.0,
        ),
        "function": Setting(
            "address",
            int,
            "function code to write with: 5 or 15 for coils, 6 or 16 for registers",
            default=None,
            choices=(5, 6, 15, 16),
        ),
        "read_table": Setting(
            "address",
            str,
            "where the state is read back, default: table",
            default=None,
            choices=tuple(TABLES),
        ),
        "read_register": Setting(
            "address",
            int,
            "where the state is read back, default: register",
            default=None,
            lowest=0,
            highest=65535,
        ),
    }

    @classmethod
    def parse(cls, table: Mapping[str, object]) -> tuple[Line, Register]:
        device, address = cls.read_settings(table)
        line = _line(device)
        return line, _register(address, line)

    def __init__(self, device: Line) -> None:
        self.device = device
        self._client: _Client | None = None
        # One exchange at a time, even if callers do not keep to it.
        self._turn = asyncio.Lock()
        self._waiting = False
        self._quiet_until = 0.0  # by the loop's clock
        # Units that do not know the functions 15 and 16, with the table.
        self._singles_only: set[tuple[int, str]] = set()
        self._runs_written = LastRuns(_MOST_WORDS_WRITTEN, _MOST_BITS_WRITTEN)
        self._runs_read = LastRuns(_MOST_WORDS_READ, _MOST_BITS_READ)

    def is_connected(self) -> bool:
        return self._client is not None and self._client.connected

    async def connect(self) -> None:
        async with self._turn:
            await self._connected()

    async def read(self, address: Register) -> float | None:
        return address.decode(await self._read(address.read_cells))

    async def write(self, address: Register, value: float) -> None:
        await self._write(address.cells, self._encode(address, value), address.function)

    async def check(self, address: Register) -> None:
        if address.cells.table in ("discrete", "input"):
            kind = TABLES[address.cells.table]
            raise DeviceError(f"{self.device}, {address}: a {kind} can only be read")
        await self._read(address.cells)
        if address.read_cells != address.cells:
            await self._read(address.read_cells)

    async def close(self) -> None:
        self._drop()

    async def write_many(
        self, items: Sequence[tuple[Register, float]]
    ) -> Sequence[DeviceError | None]:
        """Write several values; neighbouring registers in one request where the device takes it."""
        results: list[DeviceError | None] = [None] * len(items)
        cells = [address.cells for address, _ in items]
        words: dict[int, list[int]] = {}
        for index, (address, value) in enumerate(items):
            try:
                words[index] = self._encode(address, value)
            except DeviceError as error:
                results[index] = error

        async def write_group(group: list[int]) -> None:
            joined = [word for index in group for word in words[index]]
            await self._write(_whole(cells, group), joined, items[group[0]][0].function)

        alone: list[list[int]] = []
        together: list[int] = []
        for index in words:
            one = cells[index]
            if items[index][0].function in (5, 6) or (one.unit, one.table) in self._singles_only:
                alone.append([index])
            else:
                together.append(index)
        groups = [
            [together[place] for place in group]
            for group in self._runs_written([cells[index] for index in together])
        ]
        await self._each([*groups, *alone], cells, write_group, results)
        return results

    async def read_many(
        self, addresses: Sequence[Register]
    ) -> Sequence[float | DeviceError | None]:
        """Read several values; neighbouring registers in one request where the device takes it."""
        errors: list[DeviceError | None] = [None] * len(addresses)
        values: list[float | None] = [None] * len(addresses)
        cells = [address.read_cells for address in addresses]

        async def read_group(group: list[int]) -> None:
            whole = _whole(cells, group)
            words = await self._read(whole)
            for index in group:
                start = cells[index].first - whole.first
                values[index] = addresses[index].decode(words[start : start + cells[index].count])

        await self._each(self._runs_read(cells), cells, read_group, errors)
        return [
            value if error is None else error for value, error in zip(values, errors, strict=True)
        ]

    async def _each(
        self,
        groups: list[list[int]],
        cells: Sequence[Cells],
        exchange: Callable[[list[int]], Awaitable[None]],
        results: list[DeviceError | None],
        heard: _Heard | None = None,
    ) -> None:
        """Do each group's exchange; a refused group again one by one, so that only one is at fault.

        A unit that did not answer is not asked again for the rest of the call. Another unit is, once,
        if somebody on the line has answered in this call; else it may be the line that is silent.
        """
        heard = _Heard() if heard is None else heard
        for group in groups:
            unit = cells[group[0]].unit
            if (silence := heard.spared(unit)) is not None:
                for index in group:
                    results[index] = silence
                continue
            try:
                await exchange(group)
            except DeviceSilence as error:
                heard.silent[unit] = error
                for index in group:
                    results[index] = error
                continue
            except _Refusal as error:
                heard.anyone = True
                if len(group) == 1:
                    results[group[0]] = error
                    continue
                if error.code == ExcCodes.ILLEGAL_FUNCTION:
                    self._singles_only.add((unit, cells[group[0]].table))
                await self._each([[index] for index in group], cells, exchange, results, heard)
            except DeviceError as error:
                for index in group:
                    results[index] = error
            heard.anyone = True

    def _encode(self, address: Register, value: float) -> list[int]:
        if address.cells.table in ("discrete", "input"):
            kind = TABLES[address.cells.table]
            raise DeviceError(f"{self.device}, {address}: a {kind} can only be read")
        try:
            return address.encode(value)
        except ValueError as error:
            raise DeviceError(f"{self.device}, {address}: {error}") from None

    async def _read(self, cells: Cells) -> list[int]:
        unit, first, count = cells.unit, cells.first, cells.count

        def ask(client: _Client) -> Awaitable[ModbusPDU]:
            if cells.table == "coil":
                return client.read_coils(first, count=count, device_id=unit)
            if cells.table == "discrete":
                return client.read_discrete_inputs(first, count=count, device_id=unit)
            if cells.table == "holding":
                return client.read_holding_registers(first, count=count, device_id=unit)
            return client.read_input_registers(first, count=count, device_id=unit)

        function = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}[cells.table]
        answer = await self._exchange(ask, cells, function)
        found = [int(item) for item in (answer.bits if cells.is_bit else answer.registers)]
        if len(found) < count:
            raise DeviceError(f"{self.device}, {cells}: the device sent {len(found)} of {count}")
        return found[:count]

    async def _write(self, cells: Cells, words: list[int], function: int | None) -> None:
        unit, first = cells.unit, cells.first
        if function is None:
            single = cells.count == 1
            function = (5 if single else 15) if cells.is_bit else (6 if single else 16)

        def ask(client: _Client) -> Awaitable[ModbusPDU]:
            if function == 5:
                return client.write_coil(first, bool(words[0]), device_id=unit)
            if function == 15:
                return client.write_coils(first, [bool(word) for word in words], device_id=unit)
            if function == 6:
                return client.write_register(first, words[0], device_id=unit)
            return client.write_registers(first, words, device_id=unit)

        answer = await self._exchange(ask, cells, function)
        if answer.address != first:
            raise DeviceError(f"{self.device}, {cells}: the device wrote {answer.address} instead")

    async def _exchange(
        self, ask: Callable[[_Client], Awaitable[ModbusPDU]], cells: Cells, function: int
    ) -> ModbusPDU:
        """One request and its answer.

        When no answer came the connection is given up: the device may have lost it, and an answer
        that comes late could be taken for that to the next request. A serial line cannot be given
        up; there the next request waits until the time for this answer has passed.
        """
        async with self._turn:
            client = await self._connected()
            answered = False
            answer_due = asyncio.get_running_loop().time() + self.device.timeout
            self._waiting = True
            try:
                answer = await ask(client)
                answered = True
            except ConnectionException:
                raise DeviceSilence(f"{self.device}, {cells}: the connection was lost") from None
            except ModbusException:
                raise DeviceSilence(
                    f"{self.device}, {cells}: no answer within {self.device.timeout:g} s"
                ) from None
            finally:
                self._waiting = False
                if not answered:
                    self._drop()
                    self._quiet_until = answer_due
        if answer.isError():
            code = answer.exception_code
            reason = _REFUSALS.get(code, "the device refuses it")
            reason = reason.format(function=f"{function} ({FUNCTIONS[function]})")
            raise _Refusal(f"{self.device}, {cells}: {reason} (exception code {code})", code)
        if answer.function_code != function:
            raise DeviceError(
                f"{self.device}, {cells}: the device answered function {answer.function_code} "
                f"instead of {function}"
            )
        return answer

    async def _connected(self) -> _Client:
        if self._client is not None and self._client.connected:
            return self._client
        self._drop()
        if self.device.serial is not None:
            await asyncio.sleep(self._quiet_until - asyncio.get_running_loop().time())
        client = self._new_client()
        done = False
        try:
            done = await client.connect()
        finally:
            if not done:
                client.close()
        if not done:
            raise DeviceSilence(
                f"{self.device}: no connection within {self.device.timeout:g} s: it is off, "
                "refuses, or the address is wrong",
                whole=True,
            )
        self._client = client
        return client

    def _new_client(self) -> _Client:
        line = self.device
        framer = FramerType.RTU if line.framing == "rtu" else FramerType.SOCKET
        # Neither retries nor reconnection of the library: the point decides when to try again.
        if line.serial is not None:
            return AsyncModbusSerialClient(
                line.serial,
                framer=framer,
                baudrate=line.baudrate,
                parity=line.parity,
                stopbits=line.stopbits,
                timeout=line.timeout,
                retries=0,
                reconnect_delay=0,
                trace_connect=self._connection_changed,
            )
        return AsyncModbusTcpClient(
            line.host or "",
            port=line.port,
            framer=framer,
            timeout=line.timeout,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._connection_changed,
        )

    def _connection_changed(self, connected: bool) -> None:
        """End the wait for an answer that cannot come; pymodbus itself would wait on."""
        if connected or not self._waiting or self._client is None:
            return
        answer = self._client.ctx.response_future
        if not answer.done():
            answer.set_exception(ConnectionException("connection lost"))

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _whole(cells: Sequence[Cells], group: Sequence[int]) -> Cells:
    """One run of cells from neighbours in order."""
    first, last = cells[group[0]], cells[group[-1]]
    return (
        first
        if first is last
        else Cells(first.unit, first.table, first.first, last.end - first.first)
    )


def _line(settings: dict[str, Any]) -> Line:
    if (settings["host"] is None) == (settings["serial"] is None):
        raise SettingError(
            "host", "give host for Modbus TCP, or serial for a serial line; not both"
        )
    if settings["serial"] is not None:
        if settings["framing"] == "tcp":
            raise SettingError("framing", "a serial line has the framing rtu")
        return Line(**settings | {"port": 0, "framing": "rtu"})
    # What has no meaning over TCP must not make two devices of one.
    unused = {"baudrate": 0, "parity": "", "stopbits": 0}
    return Line(**settings | unused | {"framing": settings["framing"] or "tcp"})


def _register(settings: dict[str, Any], line: Line) -> Register:
    unit, table, kind = settings["unit"], settings["table"], settings["type"]
    if line.framing == "rtu" and not 1 <= unit <= 247:
        raise SettingError("unit", f"{unit} is no unit of a serial line: 1 to 247")
    if settings["scale"] == 0:
        raise SettingError("scale", "it must not be 0")
    cells = _cells("register", unit, table, settings["register"], kind)
    back = settings["read_register"]
    read_cells = _cells(
        "register" if back is None else "read_register",
        unit,
        settings["read_table"] or table,
        settings["register"] if back is None else back,
        kind,
    )
    function = settings["function"]
    fitting = (5, 15) if cells.is_bit else (6, 16)
    if function is not None and function not in fitting:
        raise SettingError(
            "function",
            f"{function} does not write a {TABLES[table]}; use {fitting[0]} or {fitting[1]}",
        )
    if function == 6 and cells.count > 1:
        raise SettingError("function", f"6 writes one register, and {kind} takes {cells.count}")
    return Register(
        cells=cells,
        read_cells=read_cells,
        type=kind,
        low_word_first=settings["word_order"] == "little",
        low_byte_first=settings["byte_order"] == "little",
        scale=settings["scale"],
        function=function,
    )


def _cells(key: str, unit: int, table: Table, first: int, kind: str) -> Cells:
    count = 1 if table in ("coil", "discrete") else struct.calcsize(FORMATS[kind]) // 2
    cells = Cells(unit, table, first, count)
    if cells.end > 65536:
        raise SettingError(key, f"a {kind} at {first} would end after register 65535")
    return cells
