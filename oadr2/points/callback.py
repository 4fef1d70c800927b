"""Python functions in place of a device: for loads that no other driver knows.

One driver is one module's object, or a pair of functions. Plain functions run on a thread, so that one
that hangs holds up nobody else; coroutine functions run in the gateway's loop.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from oadr2.errors import one_line
from oadr2.points.blocking import call_blocking
from oadr2.points.driver import DeviceError, Driver, Setting


def _check_name(text: str) -> None:
    module, colon, path = text.partition(":")
    parts = [*module.split("."), *path.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise ValueError(f"{one_line(text, 60)} is no module:name")


@dataclass(frozen=True, slots=True)
class Target:
    """A device key: what is called.

    Attributes:
        call: ``module:name`` of a function called as ``f(load, value)``, or of an object with the
            methods ``write(load, value)`` and, if it can, ``read(load)`` and ``release(load)``.
        read_call: ``module:name`` of a function called as ``f(load)``, or None.
    """

    call: str
    read_call: str | None
    timeout: float

    def __str__(self) -> str:
        return f"callback {self.call}"


class CallbackDriver(Driver[Target, str]):
    """Calls Python. What cannot be read reads as what was last written."""

    can_release: ClassVar[bool] = True
    settings: ClassVar[Mapping[str, Setting]] = {
        "call": Setting(
            "device",
            str,
            "module:name of a function f(load, value), or of an object with write, read and release",
            check=_check_name,
        ),
        "read_call": Setting(
            "device",
            str,
            "module:name of a function f(load) that tells the present value",
            default=None,
            check=_check_name,
        ),
        "timeout": Setting(
            "device",
            float,
            "seconds for a call, default 5",
            default=5.0,
            lowest=0.01,
            highest=600,
        ),
        "load": Setting(
            "address", str, "what of it is meant: the first argument, default empty", default=""
        ),
    }

    @classmethod
    def parse(cls, table: Mapping[str, object]) -> tuple[Target, str]:
        device, address = cls.read_settings(table)
        return Target(**device), address["load"]

    def __init__(self, device: Target) -> None:
        self.device = device
        self._write: Callable[..., Any] | None = None
        self._read: Callable[..., Any] | None = None
        self._release: Callable[..., Any] | None = None
        self._written: dict[str, float | None] = {}
        # Plain functions one at a time: their authors need not think of threads.
        self._turn = threading.Lock()

    async def connect(self) -> None:
        if self._write is not None:
            return
        found = await self._call("", lambda: self._find(self.device.call))
        write, read, release = found, None, None
        if not callable(found) or hasattr(found, "write"):
            write, read, release = (getattr(found, n, None) for n in ("write", "read", "release"))
        if not callable(write):
            raise DeviceError(f"{self.device}: it is neither a function nor has it a method write")
        if self.device.read_call is not None:
            read_call = self.device.read_call
            read = await self._call("", lambda: self._find(read_call))
            if not callable(read):
                raise DeviceError(f"{self.device}: {self.device.read_call} cannot be called")
        self._write, self._read, self._release = write, read, release

    async def read(self, address: str) -> float | None:
        await self.connect()
        if self._read is None:
            return self._written.get(address)
        found = await self._call(address, self._read, address)
        try:
            return None if found is None else float(found)
        except (TypeError, ValueError):
            raise self._error(address, f"read returned {one_line(repr(found), 60)}") from None

    async def write(self, address: str, value: float) -> None:
        await self.connect()
        assert self._write is not None  # noqa: S101 - for the type checker
        await self._call(address, self._write, address, value)
        self._written[address] = value

    async def release(self, address: str) -> None:
        await self.connect()
        if self._release is None:
            raise self._error(address, "it has no method release")
        await self._call(address, self._release, address)
        self._written[address] = None

    async def check(self, address: str) -> None:
        await self.connect()
        await self.read(address)

    async def close(self) -> None:
        self._write = self._read = self._release = None

    def _error(self, address: str, reason: str) -> DeviceError:
        return DeviceError(f"{self.device}{f', {address}' if address else ''}: {reason}")

    @staticmethod
    def _find(name: str) -> Any:
        module, _, path = name.partition(":")
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
        return found

    async def _call(self, address: str, function: Callable[..., Any], *arguments: object) -> Any:
        """Call it where it belongs, and wait as long as allowed."""
        own = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
        try:
            async with asyncio.timeout(self.device.timeout):
                if inspect.iscoroutinefunction(own):
                    return await function(*arguments)
                found = await call_blocking(lambda: function(*arguments), self._turn)
                return await found if inspect.isawaitable(found) else found
        except TimeoutError:
            reason = f"not done within {self.device.timeout:g} s"
            raise self._error(address, reason) from None
        except Exception as error:  # whatever the user's function raises is the device's answer
            reason = f"{type(error).__name__}: {one_line(str(error))}"
            raise self._error(address, reason) from error
