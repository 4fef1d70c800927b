"""Lines of a GPIO chip, such as a relay board's, on libgpiod v2 (``pip install 'oadr2[gpio]'``).

One driver is one chip. A line keeps the state it was found in until it is first written, and what is
written appears without a glitch. Calls run on a thread: a chip behind I2C may take its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, TypeVar

import gpiod
from gpiod.line import Direction, Value

from oadr2.errors import one_line
from oadr2.points.blocking import call_blocking
from oadr2.points.driver import DeviceError, Driver, Setting, SettingError

_Result = TypeVar("_Result")

_CONSUMER: Final = "oadr2"  # shown by gpioinfo


@dataclass(frozen=True, slots=True)
class Chip:
    """A device key: the path of a chip's device file."""

    path: str
    timeout: float

    def __str__(self) -> str:
        return f"gpio {self.path}"


@dataclass(frozen=True, slots=True)
class Line:
    """The address of a point: a line by its number or its name.

    Attributes:
        active_low: whether 1 is the low voltage, as on most relay boards.
    """

    line: int | str
    active_low: bool

    def __str__(self) -> str:
        return f"line {self.line}"


class GpioDriver(Driver[Chip, Line]):
    """Lines of one chip."""

    settings: ClassVar[Mapping[str, Setting]] = {
        "chip": Setting(
            "device",
            str,
            "device file of the chip, default /dev/gpiochip0",
            default="/dev/gpiochip0",
        ),
        "timeout": Setting(
            "device",
            float,
            "seconds for the chip to do what it is told, default 2",
            default=2.0,
            lowest=0.01,
            highest=60,
        ),
        "line": Setting("address", int, "number of the line on the chip", default=None, lowest=0),
        "line_name": Setting(
            "address", str, "name of the line, such as GPIO17, in place of its number", default=None
        ),
        "active_low": Setting(
            "address",
            bool,
            "whether 1 is the low voltage, as on most relay boards; default false",
            default=False,
        ),
    }

    @classmethod
    def parse(cls, table: Mapping[str, object]) -> tuple[Chip, Line]:
        device, address = cls.read_settings(table)
        if (address["line"] is None) == (address["line_name"] is None):
            raise SettingError("line", "give line or line_name, one of them")
        line = address["line_name"] if address["line"] is None else address["line"]
        return Chip(device["chip"], device["timeout"]), Line(line, address["active_low"])

    def __init__(self, device: Chip) -> None:
        self.device = device
        self._chip: gpiod.Chip | None = None
        self._requests: dict[int, tuple[gpiod.LineRequest, Line]] = {}
        # libgpiod's objects are for one thread at a time.
        self._turn = threading.Lock()

    async def connect(self) -> None:
        await self._do("", self._opened)

    async def read(self, address: Line) -> float | None:
        def read() -> float:
            offset, request = self._requested(address)
            return float(bool(request.get_value(offset)))

        return await self._do(f", {address}", read)

    async def write(self, address: Line, value: float) -> None:
        if value not in (0.0, 1.0):
            raise DeviceError(f"{self.device}, {address}: a line takes 0 or 1, not {value:g}")
        level = Value.ACTIVE if value else Value.INACTIVE

        def write() -> None:
            offset, request = self._requested(address)
            # The value comes with the direction, so that no other appears in between.
            settings = gpiod.LineSettings(
                direction=Direction.OUTPUT, active_low=address.active_low, output_value=level
            )
            request.reconfigure_lines({offset: settings})

        await self._do(f", {address}", write)

    async def check(self, address: Line) -> None:
        def check() -> str:
            chip = self._opened()
            offset = chip.line_offset_from_id(address.line)
            info = chip.get_line_info(offset)
            return info.consumer if info.used and offset not in self._requests else ""

        if consumer := await self._do(f", {address}", check):
            raise DeviceError(f"{self.device}, {address}: it is in use by {one_line(consumer)}")

    async def close(self) -> None:
        with contextlib.suppress(DeviceError):  # hanging, it cannot be closed either
            await self._do("", self._close)

    # On a thread.

    async def _do(self, where: str, work: Callable[[], _Result]) -> _Result:
        """Run ``work`` on a thread."""
        try:
            async with asyncio.timeout(self.device.timeout):
                return await call_blocking(work, self._turn)
        except TimeoutError:
            reason = f"not done within {self.device.timeout:g} s"
            raise DeviceError(f"{self.device}{where}: {reason}") from None
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) == errno.ENODEV:
                # Unplugged; should it come back, it is opened anew.
                self._chip, self._requests = None, {}
            reason = getattr(error, "strerror", None) or str(error)
            raise DeviceError(f"{self.device}{where}: {one_line(reason)}") from None

    def _opened(self) -> gpiod.Chip:
        if self._chip is None:
            self._chip = gpiod.Chip(self.device.path)
        return self._chip

    def _requested(self, address: Line) -> tuple[int, gpiod.LineRequest]:
        """The offset of the line, and our claim to it, made now if need be and changing nothing."""
        chip = self._opened()
        offset = chip.line_offset_from_id(address.line)
        if (known := self._requests.get(offset)) is not None:
            if known[1].active_low != address.active_low:
                raise ValueError("two points use this line, with different active_low")
            return offset, known[0]
        settings = gpiod.LineSettings(direction=Direction.AS_IS, active_low=address.active_low)
        request = chip.request_lines({offset: settings}, consumer=_CONSUMER)
        self._requests[offset] = request, address
        return offset, request

    def _close(self) -> None:
        requests, self._requests = self._requests, {}
        for request, _ in requests.values():
            request.release()
        chip, self._chip = self._chip, None
        if chip is not None:
            chip.close()
