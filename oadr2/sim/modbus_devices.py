"""Simulated Modbus TCP devices: chillers and the like that follow what is written to them.

For examples, tests and load. Many devices run in one process, each on a port of its own::

    python -m oadr2.sim.modbus_devices --count 200 --port 5020

Needs pymodbus (``pip install 'oadr2[modbus]'``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from oadr2.errors import ConfigurationError
from oadr2.sim.first_order import FirstOrder
from oadr2.sim.loop_thread import LoopThread

try:
    from pymodbus.constants import ExcCodes
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice
except ModuleNotFoundError:
    reason = "simulated Modbus devices need pymodbus: pip install 'oadr2[modbus]'"
    if __name__ == "__main__":
        sys.exit(f"error: {reason}")
    raise ConfigurationError(reason) from None

# Function codes.
_READ_DISCRETE_INPUTS: Final = 2
_READ_HOLDING_REGISTERS: Final = 3
_READ_INPUT_REGISTERS: Final = 4
_WRITE_COILS: Final = (5, 15)


class ModbusDevice:
    """One simulated device with unit identifier ``unit``.

    Holding register n takes a setpoint, and input register n follows it; coil n takes a command, and
    discrete input n follows it at once. Numbers are uint16.

    Args:
        setpoints: how many of each there are, counted from 0.
        time_constant: of the input registers, in seconds.
        start: the setpoints at first.

    Attributes:
        obeys: False accepts every write and does nothing about it.
        silent: True takes requests and does not answer.
        refuses: functions answered with exception code 1, illegal function.
        asked: how many requests have come.
        writes: every write it was asked for: (function code, address, values).
    """

    def __init__(
        self,
        *,
        unit: int = 1,
        setpoints: int = 64,
        time_constant: float = 20.0,
        start: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unit = unit
        self.obeys = True
        self.silent = False
        self.refuses: set[int] = set()
        self.asked = 0
        self.writes: list[tuple[int, int, list[int]]] = []
        self._clock = clock
        self._states = [FirstOrder(start, time_constant) for _ in range(setpoints)]
        self._commands = [False] * setpoints
        bits = SimData(0, values=[False] * setpoints, datatype=DataType.BITS)
        words = SimData(0, values=[start] * setpoints, datatype=DataType.REGISTERS)
        self.description = SimDevice(
            id=unit, simdata=([bits], [bits], [words], [words]), action=self._act
        )

    def held(self, register: int) -> int:
        """The setpoint it follows."""
        return round(self._states[register].target)

    async def _act(  # noqa: PLR0917 - as pymodbus calls it
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:
        """Called by pymodbus before each read and write; ``registers`` begin at ``start``."""
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        if function in self.refuses:
            return ExcCodes.ILLEGAL_FUNCTION
        if values is not None:
            self._take(function, address, values)
        elif function == _READ_HOLDING_REGISTERS:  # also after it was off: a setpoint is kept
            for place in range(address, address + count):
                registers[place - start] = self.held(place)
        elif function == _READ_INPUT_REGISTERS:
            now = self._clock()
            for place in range(address, address + count):
                registers[place - start] = round(self._states[place].at(now))
        elif function == _READ_DISCRETE_INPUTS:
            for place, state in enumerate(self._commands):
                bit = 1 << place % 16
                registers[place // 16] = registers[place // 16] & ~bit | bit * state
        return None

    def _take(self, function: int, address: int, values: list[int] | list[bool]) -> None:
        """Do what a write says. What is left in ``values`` is stored, and read back later."""
        self.writes.append((function, address, [int(value) for value in values]))
        now = self._clock()
        for place, value in enumerate(values):
            if function in _WRITE_COILS:
                if self.obeys:
                    self._commands[address + place] = bool(value)
                values[place] = self._commands[address + place]
            else:
                if self.obeys:
                    self._states[address + place].aim(value, now)
                values[place] = self.held(address + place)  # type: ignore[call-overload]


class ModbusDevices:
    """Serves simulated devices, each on a TCP port of its own, in a thread; use it in a ``with``.

    Args:
        devices: what is served; those in a list of their own share a port, as behind a gateway.
        port: of the first, the others follow; 0 takes free ones.
    """

    def __init__(
        self, devices: Sequence[ModbusDevice | Sequence[ModbusDevice]], *, port: int = 0
    ) -> None:
        self._groups = [
            [entry] if isinstance(entry, ModbusDevice) else list(entry) for entry in devices
        ]
        #: The port of each entry of ``devices``, known after :meth:`start`.
        self.ports = [port + place if port else 0 for place in range(len(self._groups))]
        self._servers: dict[int, ModbusTcpServer] = {}
        self._thread = LoopThread("oadr2-modbus-devices")

    def start(self) -> None:
        """Listen on every port.

        Raises:
            OSError: a port is taken.
        """
        self._thread.start()
        try:
            self._thread.call(self.serve())
        except OSError:
            self.stop()
            raise

    def stop(self) -> None:
        """End all connections and servers."""
        for place in list(self._servers):
            self.switch_off(place)
        self._thread.stop()

    def switch_off(self, place: int = 0) -> None:
        """Take the device at ``place`` off the network: connections end, new ones are refused."""
        self._thread.call(self._switch_off(place))

    def switch_on(self, place: int = 0) -> None:
        """Bring it back on the port it had."""
        self._thread.call(self._switch_on(place))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def serve(self) -> None:
        """Listen on every port, in the running loop."""
        for place in range(len(self._groups)):
            await self._switch_on(place)

    async def _switch_on(self, place: int) -> None:
        server = ModbusTcpServer(
            [device.description for device in self._groups[place]],
            address=("127.0.0.1", self.ports[place]),
        )
        if not await server.listen():
            raise OSError(f"port {self.ports[place]} of 127.0.0.1 cannot be used")
        self._servers[place] = server
        self.ports[place] = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def _switch_off(self, place: int) -> None:
        server = self._servers.pop(place)
        # asyncio leaks a connection that it has accepted but not set up when its server is closed; so
        # take no more, and let those arrive.
        for listening in server.transport.sockets:  # type: ignore[attr-defined]
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        await server.shutdown()  # type: ignore[no-untyped-call]
        await asyncio.sleep(0)  # their transports end a round later


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve devices until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m oadr2.sim.modbus_devices")
    parser.add_argument("--count", type=int, default=1, help="how many (default: %(default)s)")
    parser.add_argument(
        "--port",
        type=int,
        default=5020,
        help="of the first; the others follow (default: %(default)s)",
    )
    parser.add_argument("--setpoints", type=int, default=64, help="registers of each")
    parser.add_argument("--start", type=int, default=0, help="what stands in them at first")
    parser.add_argument(
        "--time-constant",
        type=float,
        default=20.0,
        metavar="S",
        help="seconds in which the state has gone 63 %% of its way (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
    devices = ModbusDevices(
        [
            ModbusDevice(
                setpoints=options.setpoints,
                time_constant=options.time_constant,
                start=options.start,
            )
            for _ in range(options.count)
        ],
        port=options.port,
    )

    async def serve() -> None:
        await devices.serve()
        print("listening", *devices.ports, flush=True)
        await asyncio.Event().wait()

    with contextlib.suppress(KeyboardInterrupt):
        try:
            asyncio.run(serve())
        except OSError as error:
            sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
