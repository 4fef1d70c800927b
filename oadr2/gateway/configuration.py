"""The gateway's TOML file: :func:`read_configuration`. docs/gateway.md lists every key."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from oadr2.errors import ConfigurationError
from oadr2.gateway.tables import (
    Table,
    a_count,
    a_number,
    a_string,
    a_switch,
    a_time,
    an_address,
    read_seconds,
    some_strings,
)
from oadr2.gateway.ven_settings import VenSettings, complete_vens, read_ven
from oadr2.points.concern import PointNames
from oadr2.points.driver import Driver, SettingError
from oadr2.points.drivers import find_driver
from oadr2.points.expression import Expression
from oadr2.points.mapping import SignalMap
from oadr2.points.rules import RELEASED, Failsafe, PointRules, Released, Setting
from oadr2.toml_file import TomlFile, path_beside

DriverClass: TypeAlias = type[Driver[Any, Any]]


@dataclass(frozen=True, slots=True)
class PointSettings:
    """One ``[[point]]``.

    Attributes:
        vens: names of the VENs it listens to.
        driver, device, address: the driver's class and what its ``parse`` made of the table.
        place: file and line, for messages.
    """

    name: str
    vens: tuple[str, ...]
    names: PointNames
    map: SignalMap
    rules: PointRules
    driver_name: str
    driver: DriverClass
    device: Hashable
    address: Hashable
    place: str = field(compare=False)  # lines move when something above them is edited


@dataclass(frozen=True, slots=True)
class PageSettings:
    """Where the status page is, and who may change something there.

    Attributes:
        host, port: on this machine only; port 0 takes a free one.
        token_file, token_env: where the token for overrides is; with neither there are none.
        hosts: further names the page goes by, behind a proxy.
    """

    host: str
    port: int
    token_file: Path | None = None
    token_env: str | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """The whole file.

    Attributes:
        db: what the gateway remembers: overrides, the points' state, the audit log.
        audit_keep: seconds after which a line of the audit log may go; None: never.
        device_timeout: seconds a device may take for one request.
        page: the status page; None: there is none.
    """

    path: Path
    vens: tuple[VenSettings, ...]
    points: tuple[PointSettings, ...]
    db: Path
    audit_keep: float | None = None
    device_timeout: float = 10.0
    page: PageSettings | None = None


def read_configuration(path: str | os.PathLike[str]) -> GatewaySettings:
    """Read and check the file; opens no device.

    Raises:
        ConfigurationError: the file cannot be read, or something in it is wrong; the message names
            file, line, table and key.
    """
    file = TomlFile(path)
    top = Table(file, (), file.data, "the file")
    top.take(("gateway", "ven", "point"))
    top.finish()
    own = file.data.get("gateway", {})
    if not isinstance(own, dict):
        top.fail("it must be a table: write its settings below [gateway]", "gateway")
    table = Table(file, ("gateway",), own, "[gateway]")
    db = table.path("db", "gateway.db")
    keep = table.read("audit_keep", a_time, None)
    timeout = table.read("device_timeout", a_time, 10.0)
    page = _page(table)
    table.finish()
    vens = [read_ven(file, index, data) for index, data in enumerate(_tables(top, "ven"))]
    _unique([ven.name for ven in vens], top, "ven", "name")
    known = {ven.name for ven in vens}
    tables = _tables(top, "point")
    lines = file.lines_of_tables("point") or [file.line_of("point")] * len(tables)
    points = [_point(file, index, data, known, lines[index]) for index, data in enumerate(tables)]
    _unique([point.name for point in points], top, "point", "name")
    _one_point_a_local_address(points, file)
    points = _share_maps(points)
    return GatewaySettings(
        file.path,
        complete_vens(file, vens, points),
        tuple(points),
        cast(Path, db),
        keep,
        timeout,
        page,
    )


def _page(table: Table) -> PageSettings | None:
    if "page_token" in table.data:
        table.fail("it does not belong in this file: use page_token_file", "page_token")
    place = table.read("page", _a_local_address)
    token_file, token_env = table.path("page_token_file"), table.read("page_token_env", a_string)
    hosts = table.read("page_hosts", some_strings, ())
    if place is not None:
        host, port = place
        return PageSettings(host, port, token_file, token_env, hosts)
    for key in ("page_token_file", "page_token_env", "page_hosts"):
        if key in table.data:
            table.fail('there is no page: give page = "127.0.0.1:8099"', key)
    return None


def _one_point_a_local_address(points: list[PointSettings], file: TomlFile) -> None:
    """Two points that write to one place would undo each other's work for ever."""
    seen: dict[object, PointSettings] = {}
    for index, point in enumerate(points):
        first = seen.setdefault((point.driver, point.device, point.address), point)
        if first is not point:
            reason = f"it writes to the same address as {first.name}"
            raise file.error(f"[[point]] {point.name}: {reason}", "point", index)


def _share_maps(points: list[PointSettings]) -> list[PointSettings]:
    """Have points with equal maps share one, so that what comes of it is worked out once."""
    shared: dict[str, SignalMap] = {}
    return [replace(point, map=shared.setdefault(repr(point.map), point.map)) for point in points]


def read_db(path: str | os.PathLike[str]) -> Path:
    """Only where the gateway of this file keeps its state; the rest is not looked at."""
    file = TomlFile(path)
    own = file.data.get("gateway", {})
    table = Table(file, ("gateway",), own if isinstance(own, dict) else {}, "[gateway]")
    return cast(Path, table.path("db", "gateway.db"))


def _tables(top: Table, name: str) -> list[dict[str, Any]]:
    found = top.data.get(name)
    if found is None:
        raise ConfigurationError(f"{top.file.path}: there is no [[{name}]]: at least one is needed")
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        top.fail(f"write its settings below [[{name}]]", name)
    return found


def _unique(names: list[str], top: Table, kind: str, key: str) -> None:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            first = top.file.line_of(kind, seen[name])
            raise top.file.error(
                f"[[{kind}]] {name}: there is one of this {key} already, in line {first}",
                kind,
                index,
            )
        seen[name] = index


# -- [[point]] ------------------------------------------------------------------------------------

_POINT_KEYS: Final = frozenset(
    {
        "name",
        "driver",
        "ven",
        "resource_id",
        "group_id",
        "device_class",
        "signal",
        "signal_type",
        "signal_unit",
        "levels",
        "expression",
        "bounds",
        "value_unit",
        "normal",
        "failsafe",
        "off",
        "min_on",
        "min_off",
        "max_writes",
        "verify",
        "retries",
        "tolerance",
        "return_within",
        "max_control",
        "watch",
    }
)


def _point(
    file: TomlFile, index: int, data: Mapping[str, Any], vens: set[str], line: int
) -> PointSettings:
    table = Table(file, ("point", index), data, "[[point]]")
    name = table.need("name", a_string)
    table = Table(file, ("point", index), data, f"[[point]] {name}")
    driver_name = table.need("driver", a_string)
    try:
        driver = find_driver(driver_name)
    except ConfigurationError as error:
        table.fail(str(error), "driver")
    clash = _POINT_KEYS.intersection(driver.settings)
    if clash:
        table.fail(f"{driver_name} uses {min(clash)}, a key of every point", "driver")
    table.take(_POINT_KEYS)
    own = table.take(driver.settings)
    table.finish()
    for key, setting in driver.settings.items():
        if setting.kind is Path and isinstance(own.get(key), str):
            try:
                own[key] = str(path_beside(file.path.parent, own[key]))
            except ConfigurationError as error:
                table.fail(str(error), key)
    try:
        device, address = driver.parse(own)
    except SettingError as error:
        if error.key in data:
            table.fail(error.reason, error.key)
        table.fail(str(error))
    except ConfigurationError as error:
        table.fail(str(error))
    listens = table.read("ven", some_strings, tuple(sorted(vens)))
    for ven in listens:
        if ven not in vens:
            table.fail(f"there is no [[ven]] {ven}", "ven")
    normal = _normal(table)
    if isinstance(normal, Released) and not driver.can_release:
        table.fail(f"the driver {driver_name} cannot release: give a value", "normal")
    return PointSettings(
        name,
        listens,
        PointNames(
            frozenset(table.read("resource_id", some_strings, ())),
            frozenset(table.read("group_id", some_strings, ())),
            frozenset(table.read("device_class", some_strings, ())),
        ),
        _map(table, normal),
        _rules(table, normal),
        driver_name,
        driver,
        device,
        address,
        f"{file.path} line {line}: [[point]] {name}",
    )


def _normal(table: Table) -> Setting:
    """What holds when nothing is wanted: ``normal``, else the level-0 value."""
    if "normal" in table.data:
        return cast(Setting, table.read("normal", _number_or(release=RELEASED)))
    levels = table.read("levels", _levels, {})
    if 0.0 not in levels:
        if "levels" in table.data:
            table.fail("level 0 is missing: the value that holds without an event", "levels")
        table.fail('normal is missing: a value, or "release"')
    return float(levels[0.0])


def _map(table: Table, normal: Setting) -> SignalMap:
    names = ["value"] if isinstance(normal, Released) else ["value", "normal"]
    bounds = table.read("bounds", _bounds, (-inf, inf))
    expression = table.read("expression", lambda text: Expression(a_string(text), names))
    if expression is not None and "bounds" not in table.data:
        table.fail("bounds is missing: [lowest, highest] of what the expression may write")
    levels = table.read("levels", _levels)
    try:
        return SignalMap(
            normal,
            table.read("signal", a_string, "SIMPLE"),
            table.read("signal_type", a_string, ""),
            table.read("signal_unit", a_string, ""),
            levels,
            expression,
            lowest=bounds[0],
            highest=bounds[1],
            unit=table.read("value_unit", a_string, ""),
        )
    except ConfigurationError as error:
        table.fail(str(error))


def _rules(table: Table, normal: Setting) -> PointRules:
    default = PointRules()
    rules: dict[str, Any] = {"normal": normal, "failsafe": table.read("failsafe", _failsafe)}
    rules["off"] = table.read("off", a_number, default.off)
    for key in ("min_on", "min_off", "return_within"):
        rules[key] = table.read(key, read_seconds, getattr(default, key))
    rules["max_writes"] = table.read("max_writes", a_count)
    rules["max_control"] = table.read("max_control", a_time)
    rules["verify"] = table.read("verify", _switch_or_time(default.verify), default.verify)
    rules["watch"] = table.read("watch", _switch_or_time(default.watch), default.watch)
    rules["retries"] = table.read("retries", a_count, default.retries)
    rules["tolerance"] = table.read("tolerance", a_number, default.tolerance)
    try:
        return PointRules(**rules)
    except ConfigurationError as error:
        table.fail(str(error))


def without_writing(rules: PointRules) -> PointRules:
    """The rules of a dry run: what is never written can be neither verified nor put back."""
    return replace(rules, verify=None, watch=None)


# -- kinds of values ------------------------------------------------------------------------------


def _a_local_address(value: object) -> tuple[str, int]:
    host, port = an_address(value)
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigurationError(
            f"{host} is not this machine's own address (127.0.0.1 or ::1): for others, put a web"
            " server with TLS in front of it"
        )
    return host, port


def _number_or(**words: Any) -> Any:
    def convert(value: object) -> Any:
        if isinstance(value, str):
            if value not in words:
                raise ConfigurationError(f'it must be a number or "{min(words)}"')
            return words[value]
        return a_number(value)

    return convert


def _switch_or_time(default: float | None) -> Any:
    def convert(value: object) -> float | None:
        if isinstance(value, bool):
            return default if value else None
        return read_seconds(value)

    return convert


def _levels(value: object) -> dict[float, float]:
    if not isinstance(value, dict) or not value:
        raise ConfigurationError("it must be a table such as { 0 = 100, 1 = 70 }")
    levels = {}
    for text, setting in value.items():
        try:
            level = a_number(float(text))
        except (ValueError, ConfigurationError):
            raise ConfigurationError(f"{text} is no level: it must be a number") from None
        levels[level] = a_number(setting)
    return levels


def _bounds(value: object) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigurationError("it must be [lowest, highest]")
    lowest, highest = a_number(value[0]), a_number(value[1])
    if lowest > highest:
        raise ConfigurationError("the first is above the second")
    return lowest, highest


def _failsafe(value: object) -> Failsafe:
    if not isinstance(value, dict) or not {"after", "action"} <= value.keys():
        raise ConfigurationError('it must be a table such as { after = "30s", action = "release" }')
    unknown = value.keys() - {"after", "action", "at_once"}
    if unknown:
        raise ConfigurationError(f"unknown key {min(unknown)}: it has after, action and at_once")
    try:
        after = a_time(value["after"])
    except ConfigurationError as error:
        raise ConfigurationError(f"after: {error}") from None
    action = value["action"]
    if action not in ("hold", "release"):
        try:
            action = a_number(action)
        except ConfigurationError:
            raise ConfigurationError('action: it must be a number, "hold" or "release"') from None
    return Failsafe(after, action, a_switch(value.get("at_once", False)))
