"""Reading the tables of a gateway's file; every error names file, line, table and key."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from oadr2.errors import ConfigurationError
from oadr2.toml_file import TomlFile, path_beside

_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_PARTS: Final = re.compile(
    "".join(rf"(?:{_NUMBER}{unit})?" for unit in ("d", "h", "m(?!s)", "s", "ms")), re.ASCII
)
_UNITS_S: Final = (86400.0, 3600.0, 60.0, 1.0, 0.001)


def read_seconds(value: object) -> float:
    """``"30s"``, ``"1h30m"``, ``"2d"``, ``"500ms"`` or a number of seconds.

    Raises:
        ConfigurationError: it is neither, or not finite, or negative.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        result = float(value)
    else:
        match = _PARTS.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None or not any(match.groups()):
            raise ConfigurationError('it must be a time such as "30s", "5m" or "1h30m"')
        result = sum(
            float(text) * unit
            for text, unit in zip(match.groups(), _UNITS_S, strict=True)
            if text is not None
        )
    if not 0 <= result < math.inf:
        raise ConfigurationError("it must be a time of 0 or more")
    return result


class Table:
    """One table of the file, read key by key; :meth:`finish` refuses what nobody asked for."""

    def __init__(
        self, file: TomlFile, place: tuple[str | int, ...], data: Mapping[str, Any], title: str
    ) -> None:
        self.file = file
        self.data = data
        self._place = place
        self._title = title
        self._asked: set[str] = set()

    def fail(self, message: str, *keys: str) -> NoReturn:
        """Raise ConfigurationError for this table, or one of its keys."""
        key = ".".join(keys)
        where = f"{self._title}: {key}" if key else self._title
        raise self.file.error(f"{where}: {message}", *self._place, *keys)

    def read(self, key: str, convert: Callable[[Any], Any], default: Any = None) -> Any:
        """``convert`` of the value of ``key``, or the default where it is absent."""
        self._asked.add(key)
        if key not in self.data:
            return default
        try:
            return convert(self.data[key])
        except ConfigurationError as error:
            self.fail(str(error), key)

    def need(self, key: str, convert: Callable[[Any], Any]) -> Any:
        """Like :meth:`read`, for a key that must be there."""
        if key not in self.data:
            self._asked.add(key)
            self.fail(f"{key} is missing")
        return self.read(key, convert)

    def path(self, key: str, default: str | None = None) -> Path | None:
        """A path, taken from the folder of the file when it is relative."""
        text = self.read(key, a_string, default)
        if text is None:
            return None
        try:
            return path_beside(self.file.path.parent, text)
        except ConfigurationError as error:
            self.fail(f"{key}: {error}", key)

    def take(self, keys: Collection[str]) -> dict[str, Any]:
        """What the table has of these keys, as it stands."""
        self._asked.update(keys)
        return {key: value for key, value in self.data.items() if key in keys}

    def knows(self, key: str) -> bool:
        """Whether somebody has asked for this key."""
        return key in self._asked

    def finish(self) -> None:
        """Refuse a key that was never asked for."""
        for key in self.data:
            if key not in self._asked:
                close = difflib.get_close_matches(key, self._asked, n=1)
                hint = f", did you mean {close[0]}?" if close else ""
                self.fail(f"unknown key{hint}", key)


# -- kinds of values ------------------------------------------------------------------------------


def a_string(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError("it must be a string that is not empty")
    return value


def some_strings(value: object) -> tuple[str, ...]:
    """One text or a list of them."""
    return tuple(a_string(item) for item in (value if isinstance(value, list) else [value]))


def a_number(value: object) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigurationError("it must be a number")
    return float(value)


def a_time(value: object) -> float:
    """Seconds above 0, written as :func:`read_seconds` takes them."""
    result = read_seconds(value)
    if result == 0:
        raise ConfigurationError("it must be above 0")
    return result


def a_port(value: object) -> int:
    """The port of a server."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
        raise ConfigurationError("it must be a port from 1 to 65535")
    return value


def an_address(value: object) -> tuple[str, int]:
    """``"127.0.0.1:8099"``, ``"[::1]:8099"``, or the port alone, on this machine; port 0: a free one."""
    host, _, port = (str(value) if isinstance(value, int) else a_string(value)).rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if isinstance(value, bool) or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigurationError('it must be an address and a port, such as "127.0.0.1:8099"')
    return host, int(port)


def a_count(value: object) -> int:
    """A whole number of 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError("it must be a whole number of 0 or more")
    return value


def a_switch(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ConfigurationError("it must be true or false")
    return value


def one_of(*choices: str) -> Callable[[object], str]:
    """One of these texts."""

    def convert(value: object) -> str:
        if value not in choices:
            raise ConfigurationError(f"it must be one of {', '.join(choices)}")
        return str(value)

    return convert
