"""What a driver is: :class:`Driver`, the base of everything that reads and writes a device.

A driver moves numbers and knows nothing of events, schedules or safety; those live in
:mod:`oadr2.points.point`, once for all drivers. One driver object stands for one device or bus.
Points whose :meth:`Driver.parse` gives an equal device key share it, and the gateway never calls two
of its methods at the same time; calls to different drivers run side by side.

A module may import the library it needs at its top: :mod:`oadr2.points.drivers` turns a missing one
into a line that says what to install.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar

from oadr2.errors import ConfigurationError, OadrError

DeviceT = TypeVar("DeviceT", bound=Hashable)
AddressT = TypeVar("AddressT", bound=Hashable)

#: The default of a setting that has none.
REQUIRED: Final = object()

_WORDS: Final[Mapping[type, str]] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a string with a path",
}


class DeviceError(OadrError):
    """The device did not do it: silent, refused, wrong address.

    The message is one line that names the device and the address.
    """


class DeviceSilence(DeviceError):
    """No answer came in time. Whoever asks the same device next may wait as long for nothing.

    Args:
        message: one line, as of any :class:`DeviceError`.
        whole: it is the device or line that is silent, and not this address alone.
        asked: False for what was left alone, because others before it had got no answer.
    """

    def __init__(self, message: str, *, whole: bool = False, asked: bool = True) -> None:
        super().__init__(message)
        self.whole = whole
        self.asked = asked

    def passed_on(self) -> DeviceSilence:
        """The same for an address that was not asked because of it."""
        return DeviceSilence(str(self), whole=self.whole, asked=False)


class SettingError(ConfigurationError):
    """A key of a point's table is missing or wrong.

    Attributes:
        key: the key at fault, so that the reader of the file can name the line.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.key = key
        self.reason = reason
        super().__init__(f"{key}: {reason}")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a ``[[point]]`` table that a driver reads.

    Attributes:
        part: ``device`` where it tells one device from another, ``address`` where it says what of
            the device is meant.
        kind: ``str``, ``int``, ``float``, ``bool`` or ``pathlib.Path``. A float may be written as a
            whole number; a relative path is taken from the folder of the file.
        help: one line, for the documentation and for error messages.
        default: what an absent key means; :data:`REQUIRED` when it must be there.
        choices: the only values allowed, or empty.
        lowest, highest: borders of a number, both allowed.
        check: raises ValueError, with the reason in words, for what the rest cannot say.
    """

    part: Literal["device", "address"]
    kind: type
    help: str
    default: Any = REQUIRED
    choices: tuple[Any, ...] = ()
    lowest: float | None = None
    highest: float | None = None
    check: Callable[[Any], object] | None = None

    def read(self, key: str, table: Mapping[str, object]) -> Any:
        """The value of ``key`` in ``table``, checked.

        Raises:
            SettingError: missing, of the wrong kind, or outside the borders.
        """
        if key not in table:
            if self.default is REQUIRED:
                raise SettingError(key, f"it is missing: {self.help}")
            return self.default
        value = table[key]
        if isinstance(value, bool) is not (self.kind is bool) or not isinstance(
            value,
            (int, float) if self.kind is float else (str, Path) if self.kind is Path else self.kind,
        ):
            raise SettingError(key, f"it must be {_WORDS[self.kind]}: {self.help}")
        result: Any = value if self.kind is bool else self.kind(value)
        if self.kind is float and not math.isfinite(result):
            raise SettingError(key, "it must be a finite number")
        if self.choices and result not in self.choices:
            words = ", ".join(str(choice) for choice in self.choices)
            raise SettingError(key, f"it must be one of {words}, not {result}")
        if self.lowest is not None and result < self.lowest:
            raise SettingError(key, f"{result} is below {self.lowest:g}")
        if self.highest is not None and result > self.highest:
            raise SettingError(key, f"{result} is above {self.highest:g}")
        if self.check is not None:
            try:
                self.check(result)
            except ValueError as error:
                raise SettingError(key, str(error)) from None
        return result


class Driver(abc.ABC, Generic[DeviceT, AddressT]):
    """One device or bus; points with an equal device key share one.

    Every coroutine may be cancelled when it takes too long, and :meth:`close` and :meth:`connect`
    come after that; so a driver must not rely on the end of an exchange it began. Whatever the
    library raises becomes a :class:`DeviceError`.

    Class attributes:
        settings: the keys of a ``[[point]]`` table this driver reads, by name.
        can_release: whether :meth:`release` means something, such as BACnet's Null.
        largest_batch: how many items :meth:`write_many` and :meth:`read_many` are given at most;
            more only where they go side by side, for a batch has the time of one request.
    """

    settings: ClassVar[Mapping[str, Setting]]
    largest_batch: ClassVar[int] = 64
    can_release: ClassVar[bool] = False

    @classmethod
    @abc.abstractmethod
    def parse(cls, table: Mapping[str, object]) -> tuple[DeviceT, AddressT]:
        """Which device, and what of it, a ``[[point]]`` table means; opens nothing.

        ``table`` holds the keys of :attr:`settings` only, as they stand in the file;
        :meth:`read_settings` checks them. Both results are hashable.

        Raises:
            SettingError: a key is missing or wrong (a ConfigurationError).
        """

    @classmethod
    def read_settings(cls, table: Mapping[str, object]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The keys of ``table`` checked by :attr:`settings`, those of device and of address.

        Raises:
            SettingError: a key is missing, unknown or wrong.
        """
        parts: dict[str, dict[str, Any]] = {"device": {}, "address": {}}
        for key in table:
            if key not in cls.settings:
                raise SettingError(key, f"unknown key of {cls.__name__}")
        for key, setting in cls.settings.items():
            parts[setting.part][key] = setting.read(key, table)
        return parts["device"], parts["address"]

    @abc.abstractmethod
    def __init__(self, device: DeviceT) -> None:
        """Keep the device key; nothing is opened before :meth:`connect`."""

    @abc.abstractmethod
    async def connect(self) -> None:
        """Be ready to read and write; does nothing when it is so already.

        Called before every use, unless :meth:`is_connected`, so that a lost connection comes back.

        Raises:
            DeviceError: the device cannot be reached.
        """

    def is_connected(self) -> bool:
        """Whether :meth:`connect` would do nothing; False where that is not known at once.

        Saves a task for each batch, which counts with hundreds of devices.
        """
        return False

    @abc.abstractmethod
    async def read(self, address: AddressT) -> float | None:
        """The present value, None where the device has none (never written, released).

        Raises:
            DeviceError: it cannot be read.
        """

    @abc.abstractmethod
    async def write(self, address: AddressT, value: float) -> None:
        """Have the device take ``value``; returns when it has accepted it.

        Raises:
            DeviceError: it refused, or said nothing.
        """

    async def release(self, address: AddressT) -> None:
        """Give control back to the device. Only called when :attr:`can_release`.

        Raises:
            DeviceError: it refused, or said nothing.
        """
        raise DeviceError(f"{type(self).__name__} cannot release {address}")

    @abc.abstractmethod
    async def check(self, address: AddressT) -> None:
        """Find out whether the address exists and is of the right type; writes nothing.

        Raises:
            DeviceError: it is not there, or cannot be written.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Give up connections; harmless when repeated. :meth:`connect` may follow."""

    async def write_many(
        self, items: Sequence[tuple[AddressT, float]]
    ) -> Sequence[DeviceError | None]:
        """Write several values; what went wrong for each, in the order given.

        Replace it where the device takes several writes at once, or side by side. After a
        :class:`DeviceSilence` the rest is not asked: each would wait as long.
        """
        results: list[DeviceError | None] = []
        for address, value in items:
            try:
                await self.write(address, value)
            except DeviceSilence as silence:
                results.append(silence)
                break
            except DeviceError as error:
                results.append(error)
            else:
                results.append(None)
        return [*results, *spared(results, len(items))]

    async def read_many(
        self, addresses: Sequence[AddressT]
    ) -> Sequence[float | DeviceError | None]:
        """Read several values; a value, None or what went wrong for each, in the order given.

        After a :class:`DeviceSilence` the rest is not asked.
        """
        results: list[float | DeviceError | None] = []
        for address in addresses:
            try:
                results.append(await self.read(address))
            except DeviceSilence as silence:
                results.append(silence)
                break
            except DeviceError as error:
                results.append(error)
        return [*results, *spared(results, len(addresses))]


def spared(results: Sequence[object], count: int) -> list[DeviceSilence]:
    """What is missing to ``count`` results where the last one is a silence: nobody else was asked."""
    last = results[-1] if results else None
    missing = count - len(results)
    return [last.passed_on() for _ in range(missing)] if isinstance(last, DeviceSilence) else []
