"""A driver without a device: values kept in this process, to try a gateway out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from oadr2.points.driver import Driver, Setting


class MemoryDriver(Driver[str, tuple[str, float | None]]):
    """Keeps the last value written to each register; forgotten when the process ends."""

    can_release: ClassVar[bool] = True
    settings: ClassVar[Mapping[str, Setting]] = {
        "device": Setting("device", str, "name of the simulated device", default="memory"),
        "register": Setting("address", str, "name of the value within the device"),
        "start": Setting("address", float, "value before the first write", default=None),
    }

    @classmethod
    def parse(cls, table: Mapping[str, object]) -> tuple[str, tuple[str, float | None]]:
        device, address = cls.read_settings(table)
        return device["device"], (address["register"], address["start"])

    def __init__(self, device: str) -> None:
        self.device = device
        #: The value of each register that was written.
        self.values: dict[str, float | None] = {}

    async def connect(self) -> None:
        pass

    async def read(self, address: tuple[str, float | None]) -> float | None:
        register, start = address
        return self.values.get(register, start)

    async def write(self, address: tuple[str, float | None], value: float) -> None:
        self.values[address[0]] = value

    async def release(self, address: tuple[str, float | None]) -> None:
        self.values[address[0]] = None

    async def check(self, address: tuple[str, float | None]) -> None:
        pass  # every register exists

    async def close(self) -> None:
        pass
