"""Loads on real servers: a pymodbus server, water heaters on Mosquitto, a bacpypes3 device.

Each says what it is at, whatever the gateway believes; each can go and come back. A time-out is waited
for where a load goes without a word; one that is there answers within it on a busy machine, too.
"""

from __future__ import annotations

import abc
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Self

from oadr2.sim.mosquitto import MosquittoBroker
from oadr2.sim.mqtt_heaters import WaterHeaters


class Load(abc.ABC):
    """One load, in a ``with``.

    Attributes:
        name: of the point.
        normal: what it is at when nothing is wanted.
        levels: what events make of it.
        normal_key: how the file says what normal is.
    """

    name: str
    normal: float
    levels: Mapping[int, float]
    normal_key = ""

    @abc.abstractmethod
    def start(self) -> None: ...

    @abc.abstractmethod
    def stop(self) -> None: ...

    @property
    @abc.abstractmethod
    def held(self) -> float:
        """What the device itself says."""

    @abc.abstractmethod
    def address(self) -> str:
        """The driver's keys of the ``[[point]]`` table."""

    @abc.abstractmethod
    def obey(self, willing: bool) -> None:
        """Accept every write and stay as it is, unless it is willing."""

    def go(self) -> None:
        """Be gone from the network."""
        raise NotImplementedError

    def come_back(self) -> None:
        """Be there again; a device without a memory begins anew."""
        raise NotImplementedError

    def table(self, more: str = "") -> str:
        levels = ", ".join(f"{level} = {value}" for level, value in self.levels.items())
        return (
            f'name = "{self.name}"\nlevels = {{ {levels} }}\nverify = "50ms"\nwatch = "1s"\n'
            f"{self.normal_key}\n{self.address()}\n{more}"
        )

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


class Chiller(Load):
    """Holding register 3 of a pymodbus server."""

    name = "chiller"
    normal = 100.0
    levels = {0: 100.0, 1: 70.0, 2: 40.0, 3: 10.0}  # noqa: RUF012 - nobody changes it

    def start(self) -> None:
        # Not at the top: pymodbus is an extra.
        from oadr2.sim.modbus_devices import ModbusDevice, ModbusDevices  # noqa: PLC0415

        self.device = ModbusDevice(start=100, time_constant=0.0)
        self._server = ModbusDevices([self.device])
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    @property
    def held(self) -> float:
        return float(self.device.held(3))

    def address(self) -> str:
        port = self._server.ports[0]
        return f'driver = "modbus"\nhost = "127.0.0.1"\nport = {port}\nregister = 3'

    def obey(self, willing: bool) -> None:
        self.device.obeys = willing

    def go(self) -> None:
        self._server.switch_off()

    def come_back(self) -> None:
        self._server.switch_on()

    @property
    def writes(self) -> list[int]:
        return [values[0] for _, _, values in self.device.writes]


class Heater(Load):
    """A water heater on a Mosquitto of its own."""

    name = "heater"
    normal = 1.0
    levels = {0: 1.0, 1: 0.75, 2: 0.5, 3: 0.0}  # noqa: RUF012 - nobody changes it

    def start(self) -> None:
        self.broker = MosquittoBroker()
        self.broker.start()
        self.come_back()

    def stop(self) -> None:
        self._heaters.stop()
        self.broker.stop()

    @property
    def held(self) -> float:
        return self._heaters.levels[0]

    def address(self) -> str:
        return (
            f'driver = "mqtt"\nhost = "127.0.0.1"\nport = {self.broker.port}\ntimeout = 2\n'
            'topic = "heaters/0/set"\nstate_topic = "heaters/0/state"\njson_path = "level"\n'
            'availability_topic = "heaters/status"\nretain = false'
        )

    def obey(self, willing: bool) -> None:
        self._heaters.obeys = willing

    def go(self) -> None:
        self._heaters.stop()

    def come_back(self) -> None:
        self._heaters = WaterHeaters(self.broker.port, 1)
        self._heaters.start()
        assert self._heaters.wait_online()


class Valve(Load):
    """Analog output 1 of a bacpypes3 device; at normal it is released, and at its own 20 %."""

    name = "valve"
    normal = 20.0
    levels = {1: 70.0, 2: 40.0, 3: 10.0}  # noqa: RUF012 - nobody changes it
    normal_key = 'normal = "release"'

    def __init__(self) -> None:
        self._port = 0

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "oadr2.sim.bacnet_device", "--port", str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        word, port = self._out.readline().split()
        assert word == "listening"
        self._port = int(port)

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def _out(self) -> IO[str]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def held(self) -> float:
        return self._told("analog-output 1")

    def _told(self, line: str) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return float(self._out.readline())

    def obey(self, willing: bool) -> None:
        """Somebody of higher priority commands it to where it is, or lets it go."""
        self._told(f"analog-output 1 {'null' if willing else self.normal}")

    def address(self) -> str:
        return (
            f'driver = "bacnet"\nhost = "127.0.0.1"\nport = {self._port}\ntimeout = 2\n'
            'object = "analog-output"\ninstance = 1'
        )

    def go(self) -> None:
        self.stop()

    def come_back(self) -> None:
        self.start()
