"""The ``[[report]]`` tables of a settings file: what a VEN can report, and where it reads it.

[[report]]
id = "meter"

[[report.point]]
r_id = "power"
unit = "powerReal"
scale = "k"
sampling = 10
source = "random:1..3"
"""

from __future__ import annotations

import importlib
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from oadr2.errors import ConfigurationError
from oadr2.model import ResourceStatus, SamplingRate, Unit
from oadr2.schedule import Duration
from oadr2.services.report_source import RESOURCE_STATUS, Reading, ReportPoint, ReportSource
from oadr2.services.units import unit
from oadr2.toml_file import kind_of, path_beside
from oadr2.whole_file import read_whole

_REPORT_KEYS: Final = frozenset(("id", "name", "history", "point"))
#: What only some units have.
_UNIT_DETAILS: Final = ("description", "hertz", "voltage", "ac", "pulse_factor")
#: The keys of a point, and what their values are; ``r_id`` and ``source`` may be several things.
_POINT_KINDS: Final[Mapping[str, type[Any]]] = {
    **dict.fromkeys(("unit", "scale", "symbol", "description"), str),
    **dict.fromkeys(("hertz", "voltage", "pulse_factor"), float),
    "ac": bool,
    "sampling": int,
    **dict.fromkeys(("report_type", "reading_type", "resource_id", "market_context"), str),
}
_POINT_KEYS: Final = frozenset(("r_id", "source", *_POINT_KINDS))
_MOST_OF_A_VALUE: Final = 4096  # bytes of a file with a number in it
_NAMES: Final = ("TELEMETRY_USAGE", "TELEMETRY_STATUS", "HISTORY_USAGE")
_STATUS: Final = {
    "online": ResourceStatus(online=True, manual_override=False),
    "offline": ResourceStatus(online=False, manual_override=False),
}

#: What reads a point, by its rID and whether it is its status that is wanted.
ReaderOf: TypeAlias = Callable[[str, bool], Callable[[], Reading]]


@dataclass(frozen=True, slots=True)
class ReportTable:
    """One ``[[report]]`` table as it was written, and the folder that its paths begin in."""

    table: Mapping[str, Any]
    folder: Path


def report_tables(value: object, folder: Path) -> tuple[ReportTable, ...]:
    """Check the keys of ``[[report]]`` tables; nothing is opened or imported yet.

    Raises:
        ValueError: what is wrong, in words.
    """
    if not isinstance(value, list) or not all(isinstance(table, dict) for table in value):
        raise ValueError("write each report below [[report]]")
    for number, table in enumerate(value, 1):
        where = f"report {table.get('id', number)!r}"
        _check_keys(table, _REPORT_KEYS, where)
        if not str(table.get("id") or ""):
            raise ValueError(f"{where}: it needs an id")
        points = table.get("point")
        if not isinstance(points, list) or not points:
            raise ValueError(f"{where}: it needs points, each below [[report.point]]")
        for point in points:
            _check_keys(point, _POINT_KEYS, f"{where}, point {point.get('r_id')!r}")
    return tuple(ReportTable(table, folder) for table in value)


def report_sources(
    tables: Sequence[ReportTable], reader_of: ReaderOf | None = None
) -> tuple[ReportSource, ...]:
    """What the tables describe.

    Args:
        tables: from :func:`report_tables`.
        reader_of: what reads the points that have no ``source``, by rID and whether it is a status
            that is wanted; None: every point has to say it.

    Raises:
        ConfigurationError: a value is wrong, or a function cannot be found; says which.
    """
    return tuple(_source(table.table, table.folder, reader_of) for table in tables)


def load_function(text: str) -> Callable[..., Any]:
    """The function ``module:function``; modules in the working folder are found too.

    Raises:
        ConfigurationError: there is none.
    """
    module_name, colon, name = text.partition(":")
    if not colon or not module_name or not name:
        raise ConfigurationError(f"{text!r}: it must be module:function")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), name)
    except ImportError as error:
        raise ConfigurationError(f"{text}: {error}") from None
    except AttributeError:
        raise ConfigurationError(f"{text}: {module_name} has no {name}") from None
    if not callable(found):
        raise ConfigurationError(f"{text}: {name} is no function")
    return found  # type: ignore[no-any-return]


def _check_keys(table: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ValueError(f"{where}: unknown key {key}; there are {', '.join(sorted(known))}")


def _source(table: Mapping[str, Any], folder: Path, reader_of: ReaderOf | None) -> ReportSource:
    name = table.get("name", "TELEMETRY_USAGE")
    where = f"report {table['id']!r}"
    if name not in _NAMES:
        raise ConfigurationError(f"{where}: name is one of {', '.join(_NAMES)}")
    points = [
        _point(point, folder, f"{where}, point {point.get('r_id')!r}", name, reader_of)
        for point in table["point"]
    ]
    history = _whole_seconds(table.get("history", 3600), f"{where}: history")
    return ReportSource(str(table["id"]), points, name, history)


def _point(
    point: Mapping[str, Any],
    folder: Path,
    where: str,
    report_name: str,
    reader_of: ReaderOf | None,
) -> ReportPoint:
    for key in ("r_id", "source"):
        if key not in point and (key == "r_id" or reader_of is None):
            raise ConfigurationError(f"{where}: {key} is missing")
    _check_kinds(point, where)
    status = report_name == "TELEMETRY_STATUS"
    try:
        measured = None if status or "unit" not in point else _unit(point)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    sampling = _whole_seconds(point.get("sampling", 1), f"{where}: sampling")
    return ReportPoint(
        str(point["r_id"]),
        _reader(point, folder, where, status, reader_of),
        point.get("report_type", RESOURCE_STATUS if status else "usage"),
        point.get("reading_type", "x-notApplicable" if status else "Direct Read"),
        unit=measured,
        sampling_rate=SamplingRate(
            sampling, Duration(microseconds=max(sampling.microseconds, 3_600_000_000))
        ),
        resource_id=point.get("resource_id"),
        market_context=point.get("market_context"),
    )


def _check_kinds(point: Mapping[str, Any], where: str) -> None:
    for key, kind in _POINT_KINDS.items():
        value = point.get(key)
        found = float if kind is float and type(value) is int else type(value)
        if value is not None and found is not kind:
            raise ConfigurationError(
                f"{where}: {key} must be {kind_of(kind())}, not {kind_of(value)}"
            )


def _unit(point: Mapping[str, Any]) -> Unit:
    details = {key: point[key] for key in _UNIT_DETAILS if key in point}
    return unit(point["unit"], point.get("scale", "none"), point.get("symbol"), **details)


def _whole_seconds(value: object, what: str) -> Duration:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{what} must be a whole number of seconds, 1 or more")
    return Duration(microseconds=value * 1_000_000)


def _reader(
    point: Mapping[str, Any],
    folder: Path,
    where: str,
    status: bool,
    reader_of: ReaderOf | None,
) -> Callable[[], Reading]:
    """What reads a point: a number, ``random:A..B``, ``file:PATH``, a state, or ``module:function``."""
    if reader_of is not None and "source" not in point:
        try:
            return reader_of(str(point["r_id"]), status)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from None
    source = point["source"]
    if isinstance(source, int | float) and not isinstance(source, bool):
        number = float(source)
        return lambda: number
    if not isinstance(source, str):
        raise ConfigurationError(f"{where}: source must be a number or a string")
    if status and source in _STATUS:
        state = _STATUS[source]
        return lambda: state
    kind, _, rest = source.partition(":")
    if kind == "random":
        low, _, high = rest.partition("..")
        try:
            bounds = float(low), float(high)
        except ValueError:
            raise ConfigurationError(f"{where}: source must be like random:1.5..3") from None
        return lambda: random.uniform(*bounds)  # noqa: S311  to try things with
    if kind == "file":
        try:
            path = path_beside(folder, rest)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: source {error}") from None
        return lambda: float(read_whole(path, _MOST_OF_A_VALUE))
    try:
        return load_function(source)
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: source {error}") from None
