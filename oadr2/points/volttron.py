"""VOLTTRON's device registries as points of a gateway: :func:`read_registry`.

A registry is a CSV file with one row for each value of a device. VOLTTRON's Modbus and BACnet
drivers have each their own columns, in any order.
"""

from __future__ import annotations

import csv
import os
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from oadr2.errors import ConfigurationError
from oadr2.whole_file import read_whole

Kind = Literal["modbus", "bacnet"]

# A format of Python's struct module -> the driver's type.
_TYPES: Final[Mapping[str, str]] = {
    "h": "int16",
    "H": "uint16",
    "i": "int32",
    "l": "int32",
    "I": "uint32",
    "L": "uint32",
    "q": "int64",
    "Q": "uint64",
    "f": "float32",
    "d": "float64",
}
_NUMBER: Final = r"-?\d+(?:\.\d+)?"
_RANGE: Final = re.compile(rf"\s*({_NUMBER})\s*(?:to|-)\s*({_NUMBER})(?![\d.])")
_DEFAULT: Final = re.compile(rf"\((?:({_NUMBER})\s+default|default\s+({_NUMBER}))\)")
_YES: Final = frozenset({"true", "t", "yes", "y", "1"})


@dataclass(frozen=True, slots=True)
class RegistryPoint:
    """A row that can be written.

    Attributes:
        line: of the file.
        keys: of a ``[[point]]`` table, without those that name the device.
        unit, details: as the registry has them.
        normal: the default value the registry names, or None.
    """

    line: int
    name: str
    keys: Mapping[str, Any]
    unit: str
    details: str
    normal: float | None


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry.

    Attributes:
        skipped: names of the rows that can only be read.
    """

    kind: Kind
    points: tuple[RegistryPoint, ...]
    skipped: tuple[str, ...]


def read_registry(path: str | os.PathLike[str]) -> Registry:
    """Read a registry of VOLTTRON's Modbus or BACnet driver.

    Raises:
        ConfigurationError: it cannot be read, or is neither; the message names file, line and column.
    """
    path = Path(path)
    try:
        text = read_whole(path).decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: it is not UTF-8 text") from None
    rows = csv.DictReader(text.splitlines(keepends=True))
    try:
        columns = {_plain(name): name for name in rows.fieldnames or () if name}
        kind: Kind
        if "modbus register" in columns:
            kind = "modbus"
        elif "bacnet object type" in columns:
            kind = "bacnet"
        else:
            raise ConfigurationError(
                f"{path} line 1: neither a column Modbus Register nor BACnet Object Type: "
                "is it a registry of VOLTTRON's Modbus or BACnet driver?"
            )
        return _read_rows(path, kind, rows, columns)
    except csv.Error as error:
        raise ConfigurationError(f"{path} line {rows.line_num}: {error}") from None


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _read_rows(
    path: Path, kind: Kind, rows: csv.DictReader[str], columns: Mapping[str, str]
) -> Registry:
    points: list[RegistryPoint] = []
    skipped: list[str] = []
    names: set[str] = set()
    for row in rows:
        cells = {plain: (row.get(name) or "").strip() for plain, name in columns.items()}
        if not any(cells.values()):
            continue
        place = f"{path} line {rows.line_num}"
        name = _first(cells, ("volttron point name", "point name", "reference point name"))
        if not name:
            raise ConfigurationError(f"{place}: the column Volttron Point Name is empty")
        if cells.get("writable", "").casefold() not in _YES:
            skipped.append(name)
            continue
        if name in names:
            raise ConfigurationError(f"{place}: there is a {name} already")
        names.add(name)
        keys = _modbus(cells, place) if kind == "modbus" else _bacnet(cells, place)
        details = _first(cells, ("units details", "unit details"))
        bounds = _RANGE.match(details)
        if bounds and float(bounds[1]) <= float(bounds[2]):
            keys["bounds"] = [float(bounds[1]), float(bounds[2])]
        if cells.get("units"):
            keys["value_unit"] = cells["units"]
        normal = _default(cells.get("default value", ""), details)
        points.append(
            RegistryPoint(rows.line_num, name, keys, cells.get("units", ""), details, normal)
        )
    return Registry(kind, tuple(points), tuple(skipped))


def _first(cells: Mapping[str, str], names: Iterable[str]) -> str:
    return next((cells[name] for name in names if cells.get(name)), "")


def _default(cell: str, details: str) -> float | None:
    found = _DEFAULT.search(details)
    text = cell or (found and (found[1] or found[2])) or ""
    try:
        return float(text)
    except ValueError:
        return None


def _modbus(cells: Mapping[str, str], place: str) -> dict[str, Any]:
    address = _whole(cells, "point address", place)
    form = cells["modbus register"].strip("\"'")
    if form.upper() == "BOOL":
        return {"table": "coil", "register": address}
    try:
        struct.calcsize(form)
        order, letter = (form[0], form[1:]) if form[:1] in "<>!=@" and form else (">", form)
        kind = _TYPES[letter]
    except (struct.error, KeyError):
        raise ConfigurationError(
            f"{place}: Modbus Register {form!r}: it must be BOOL or the struct format of one number"
        ) from None
    keys: dict[str, Any] = {"register": address, "type": kind}
    if order == "<":
        keys["byte_order"] = keys["word_order"] = "little"
    if cells.get("mixed endian", "").casefold() in _YES:
        # VOLTTRON turns the order of the registers around, and leaves the bytes in each.
        keys["word_order"] = "big" if order == "<" else "little"
    return keys


def _bacnet(cells: Mapping[str, str], place: str) -> dict[str, Any]:
    prop = cells.get("property", "presentValue")
    if prop.casefold() not in ("", "presentvalue"):
        raise ConfigurationError(f"{place}: Property {prop}: only presentValue can be driven")
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cells["bacnet object type"]).lower()
    keys: dict[str, Any] = {"object": kind, "instance": _whole(cells, "index", place)}
    if cells.get("write priority"):
        keys["priority"] = _whole(cells, "write priority", place)
    return keys


def _whole(cells: Mapping[str, str], column: str, place: str) -> int:
    text = cells.get(column, "")
    try:
        return int(text, 0)
    except ValueError:
        raise ConfigurationError(
            f"{place}: {column.title()} is {text!r}: it must be a whole number"
        ) from None
