"""Which driver a name means: the ones that come with oadr2, and others by entry point."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from oadr2.errors import ConfigurationError
from oadr2.points.driver import Driver

GROUP: Final = "oadr2.drivers"

# Name -> module, class, and the extra with its library ("" when it needs none).
_OWN: Final[Mapping[str, tuple[str, str, str]]] = {
    "bacnet": ("oadr2.points.bacnet", "BacnetDriver", "bacnet"),
    "callback": ("oadr2.points.callback", "CallbackDriver", ""),
    "gpio": ("oadr2.points.gpio", "GpioDriver", "gpio"),
    "memory": ("oadr2.points.memory", "MemoryDriver", ""),
    "modbus": ("oadr2.points.modbus", "ModbusDriver", "modbus"),
    "mqtt": ("oadr2.points.mqtt", "MqttDriver", "mqtt"),
}


def driver_names() -> tuple[str, ...]:
    """The names a point's ``driver`` may have here, in order."""
    return tuple(sorted({*_OWN, *entry_points(group=GROUP).names}))


def find_driver(name: str) -> type[Driver[Any, Any]]:
    """The class of the driver ``name``; its module is imported now.

    Raises:
        ConfigurationError: no such driver, or its library is not installed.
    """
    if name in _OWN:
        module, attribute, extra = _OWN[name]
        try:
            found = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            if not extra or (error.name or "").partition(".")[0] == "oadr2":
                raise
            raise ConfigurationError(
                f"the driver {name} needs {error.name}: pip install 'oadr2[{extra}]'"
            ) from None
    else:
        candidates = tuple(entry_points(group=GROUP, name=name))
        if not candidates:
            names = driver_names()
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(names)}"
            raise ConfigurationError(f"there is no driver {name}: {hint}")
        try:
            found = candidates[0].load()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                f"the driver {name} ({candidates[0].value}) cannot be loaded: {error}"
            ) from None
    if not (isinstance(found, type) and issubclass(found, Driver)):
        raise ConfigurationError(
            f"the driver {name} is {found!r}: it must be a class made from oadr2.points.driver.Driver"
        )
    return found
