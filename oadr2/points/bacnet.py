"""BACnet/IP objects, on bacpypes3 (``pip install 'oadr2[bacnet]'``).

One driver is one device. Commands go to the present value with a priority, and release gives that
priority back with Null, so that whatever the building wants otherwise holds again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from bacpypes3.apdu import AbortPDU, ErrorPDU, ErrorRejectAbortNack, RejectPDU
from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import Address, IPv4Address
from bacpypes3.primitivedata import Null, ObjectIdentifier

from oadr2.errors import one_line
from oadr2.points.driver import DeviceError, DeviceSilence, Driver, Setting

_log = logging.getLogger("oadr2.points.bacnet")

_ANALOG: Final = ("analog-input", "analog-output", "analog-value")
_BINARY: Final = ("binary-input", "binary-output", "binary-value")
_MULTI_STATE: Final = ("multi-state-input", "multi-state-output", "multi-state-value")
_INPUTS: Final = ("analog-input", "binary-input", "multi-state-input")
_OWN_INSTANCE: Final = 4194302  # the highest there is; nobody asks us for it


@dataclass(frozen=True, slots=True)
class Device:
    """A device key: where a device is, and from where we talk to it."""

    host: str
    port: int
    local_address: str
    timeout: float

    def __str__(self) -> str:
        return f"bacnet {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BacnetObject:
    """The address of a point: an object's present value, and the priority of our commands.

    Attributes:
        kind, instance: the object identifier.
        priority: 1, the most important, to 16; None for an object without a priority array.
    """

    kind: str
    instance: int
    priority: int | None

    def __str__(self) -> str:
        return f"{self.kind} {self.instance}"


def _check_host(text: str) -> None:
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise ValueError(f"{one_line(text, 60)} is no IPv4 address such as 192.168.1.20")


class _Refusal(DeviceError):
    """The device answered that it will not."""


class BacnetDriver(Driver[Device, BacnetObject]):
    """Objects of one BACnet/IP device."""

    can_release: ClassVar[bool] = True
    settings: ClassVar[Mapping[str, Setting]] = {
        "host": Setting("device", str, "IPv4 address of the device", check=_check_host),
        "port": Setting(
            "device", int, "its UDP port, default 47808", default=47808, lowest=1, highest=65535
        ),
        "local_address": Setting(
            "device",
            str,
            "IPv4 address of our own to talk from, default: any",
            default="0.0.0.0",  # noqa: S104 - the system chooses by the route
            check=_check_host,
        ),
        "timeout": Setting(
            "device",
            float,
            "seconds for an answer, default 3; the request is sent twice in this time",
            default=3.0,
            lowest=0.1,
            highest=60,
        ),
        "object": Setting(
            "address",
            str,
            "object type, such as analog-value",
            choices=(*_ANALOG, *_BINARY, *_MULTI_STATE),
        ),
        "instance": Setting("address", int, "object instance", lowest=0, highest=4194302),
        "priority": Setting(
            "address",
            int,
            "of our commands, 1 to 16, default 10: above schedules, below an operator's (8)",
            default=10,
            lowest=1,
            highest=16,
        ),
        "commandable": Setting(
            "address",
            bool,
            "false for an object without a priority array; it cannot be released",
            default=True,
        ),
    }

    @classmethod
    def parse(cls, table: Mapping[str, object]) -> tuple[Device, BacnetObject]:
        device, address = cls.read_settings(table)
        priority = address["priority"] if address["commandable"] else None
        return Device(**device), BacnetObject(address["object"], address["instance"], priority)

    def __init__(self, device: Device) -> None:
        self.device = device
        self._stack: NormalApplication | None = None
        self._turn = asyncio.Lock()

    async def connect(self) -> None:
        """Find out whether the device answers; there is no connection over UDP."""
        if self._stack is None:
            with contextlib.suppress(_Refusal):  # an answer as well
                await self._read("device", ObjectIdentifier(("device", 4194303)), "object-name")

    async def read(self, address: BacnetObject) -> float | None:
        found = await self._read(str(address), _identifier(address), "present-value")
        if isinstance(found, Null):
            return None
        try:
            value = float(found)
        except (TypeError, ValueError):
            raise self._error(address, f"its present value is {one_line(str(found), 60)}") from None
        return value if math.isfinite(value) else None

    async def write(self, address: BacnetObject, value: float) -> None:
        if address.kind in _INPUTS:
            raise self._error(address, "an input can only be read")
        if not math.isfinite(value):
            raise self._error(address, f"{value:g} is no value a device can take")
        told: Any = value
        if address.kind in _BINARY:
            if value not in (0.0, 1.0):
                raise self._error(address, f"a binary object takes 0 or 1, not {value:g}")
            told = "active" if value else "inactive"
        elif address.kind in _MULTI_STATE:
            if value != int(value) or value < 1:
                raise self._error(address, f"a multi-state object takes 1, 2, 3..., not {value:g}")
            told = int(value)
        await self._write(address, told)

    async def release(self, address: BacnetObject) -> None:
        if address.priority is None:
            raise self._error(address, "without a priority array it cannot be released")
        await self._write(address, Null(()))

    async def check(self, address: BacnetObject) -> None:
        if address.kind in _INPUTS:
            raise self._error(address, "an input can only be read")
        await self.read(address)
        if address.priority is None:
            return
        try:
            slots = await self._read(str(address), _identifier(address), "priority-array")
        except DeviceError as error:
            raise self._error(
                address, f"no priority array; see the key commandable ({error})"
            ) from None
        for priority, slot in itertools.islice(enumerate(slots, 1), address.priority - 1):
            if getattr(slot, "null", None) is None:
                _log.warning(
                    "%s, %s: held at priority %d; commands at %d have no effect until that is released",
                    self.device,
                    address,
                    priority,
                    address.priority,
                )
                break

    async def close(self) -> None:
        self._drop()

    def _error(self, address: object, reason: str) -> DeviceError:
        return DeviceError(f"{self.device}, {address}: {reason}")

    async def _write(self, address: BacnetObject, value: Any) -> None:
        await self._exchange(
            str(address),
            lambda stack: stack.write_property(
                self._target(),
                _identifier(address),
                "present-value",
                value,
                priority=address.priority,
            ),
        )

    async def _read(self, name: str, identifier: ObjectIdentifier, prop: str) -> Any:
        return await self._exchange(
            name, lambda stack: stack.read_property(self._target(), identifier, prop)
        )

    async def _exchange(
        self, name: str, exchange: Callable[[NormalApplication], Awaitable[Any]]
    ) -> Any:
        async with self._turn:
            return await self._exchange_alone(name, exchange)

    async def _exchange_alone(
        self, name: str, exchange: Callable[[NormalApplication], Awaitable[Any]]
    ) -> Any:
        """Await an answer. An exchange given up takes its socket along, or it would be sent again."""
        ended = False
        try:
            async with asyncio.timeout(self.device.timeout):
                answer = await exchange(self._opened())
            ended = True
        except TimeoutError:
            raise self._silence(name) from None
        except ErrorRejectAbortNack as refusal:
            answer, ended = refusal, not isinstance(refusal, AbortPDU)
        except (OSError, ValueError, RuntimeError) as error:
            # What bacpypes3 makes of packets it does not understand.
            raise self._error(name, f"{type(error).__name__}: {one_line(str(error))}") from None
        finally:
            if not ended:
                self._drop()
        if isinstance(answer, AbortPDU):
            reason = str(answer.apduAbortRejectReason)
            if "tsm-timeout" in reason or "no-response" in reason:
                raise self._silence(name)
            raise self._error(name, f"the device broke off: {reason}")
        if isinstance(answer, RejectPDU):
            raise _Refusal(
                f"{self.device}, {name}: the device rejects it: {answer.apduAbortRejectReason}"
            )
        if isinstance(answer, ErrorPDU):
            raise _Refusal(
                f"{self.device}, {name}: the device refuses it: "
                f"{answer.errorClass}, {answer.errorCode}"
            )
        if isinstance(answer, str) and answer.startswith("-no "):
            raise self._error(name, "bacpypes3 does not know this type of object")
        return answer

    def _silence(self, name: str) -> DeviceSilence:
        return DeviceSilence(f"{self.device}, {name}: no answer within {self.device.timeout:g} s")

    def _target(self) -> Address:
        return IPv4Address(f"{self.device.host}:{self.device.port}")

    def _opened(self) -> NormalApplication:
        if self._stack is None:
            own = DeviceObject(
                objectIdentifier=("device", _OWN_INSTANCE),
                objectName="oadr2",
                vendorIdentifier=999,
                # Sent once more, and the answer to that awaited as long.
                apduTimeout=int(self.device.timeout * 500),
                numberOfApduRetries=1,
            )
            self._stack = NormalApplication(own, IPv4Address(f"{self.device.local_address}:0"))
        return self._stack

    def _drop(self) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.close()


def _identifier(address: BacnetObject) -> ObjectIdentifier:
    return ObjectIdentifier((address.kind, address.instance))
