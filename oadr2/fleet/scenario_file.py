"""Scenarios read from TOML; :mod:`oadr2.fleet.scenario_text` writes them.

::

    name = "evening peak"
    seed = 1
    vtn_url = "https://vtn.example"          # without it: a simulated VTN
    duration = "5m"                          # or [[stage]] tables
    thresholds = ["p99 < 500ms", "errors < 0.1%"]

    [[group]]
    count = 10000
    poll_interval = "10s"

    [[stage]]
    kind = "ramp"
    duration = "30s"

Durations are texts such as ``"10s"``, ``"1m30s"``, ``"250ms"``, or numbers of seconds; shares are texts
such as ``"5%"``, or numbers from 0 to 1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from oadr2.errors import ConfigurationError
from oadr2.fleet.scenario import (
    ConnectionPlan,
    EventChange,
    FailureLimits,
    Group,
    Opts,
    Reports,
    Scenario,
    ScenarioError,
    SimulatedServices,
    Stage,
    Timeouts,
    Tls,
    default_events,
    default_stages,
    ids_digest,
    numbered,
)
from oadr2.fleet.thresholds import Threshold, parse_threshold
from oadr2.policy import VtnPolicy
from oadr2.toml_file import Keys, TomlFile, kind_of, nearest, path_beside
from oadr2.whole_file import read_whole

_Made = TypeVar("_Made")

DEFAULT_DURATION: Final = 60.0

_DURATION: Final = re.compile(
    r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?",
    re.ASCII,
)
_UNITS_S: Final = (86400.0, 3600.0, 60.0, 1.0, 0.001)


# --- values --------------------------------------------------------------------


def read_duration(value: object) -> float:
    """``"1m30s"``, ``"250ms"`` or a number of seconds, as seconds. Raises ValueError."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(_text(value))
    match = _DURATION.fullmatch(text.replace(" ", ""))
    if match is None or not any(match.groups()):
        raise ValueError(f'{value!r} is no duration like "10s", "1m30s" or "250ms"')
    parts = zip(match.groups(), _UNITS_S, strict=True)
    return sum(float(amount) * unit for amount, unit in parts if amount)


def read_connections(text: object) -> ConnectionPlan:
    """``"per-ven"``, ``"pool:100"``, ``"per-poll"``. Raises ValueError."""
    if text in ("per-ven", "per-poll"):
        return ConnectionPlan("per-ven" if text == "per-ven" else "per-poll")
    match = re.fullmatch(r"pool(?::(\d{1,7}))?", text, re.ASCII) if isinstance(text, str) else None
    if match is None or (match[1] and int(match[1]) == 0):
        raise ValueError(f'it must be "per-ven", "pool:N" or "per-poll", not {text!r}')
    return ConnectionPlan("pool", int(match[1])) if match[1] else ConnectionPlan("pool")


def read_base_url(text: object) -> str:
    """An http or https address without ``/OpenADR2`` and without a password. Raises ValueError."""
    text = str(_text(text))
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises ValueError when the port is no number
    except ValueError:
        raise ValueError("it is no address such as https://vtn.example") from None
    if "@" in parts.netloc:
        raise ValueError("a user name or password does not belong in an address")
    if parts.query or parts.fragment or re.search(r"\s", text):
        raise ValueError("it is no address such as https://vtn.example")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("it must start with http:// or https:// and name a host")
    return text


def _share(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", value, re.ASCII) if isinstance(value, str) else None
    if match is None:
        raise ValueError('it must be a share like "5%" or 0.05')
    return float(match[1]) / 100


def _of_type(kind: type | tuple[type, ...], words: str) -> Callable[[object], Any]:
    def read(value: object) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"it must be {words}, not {kind_of(value)}")
        return value

    return read


_whole = _of_type(int, "a whole number")
_number = _of_type((int, float), "a number")
_text = _of_type(str, "a string")
_flag = _of_type(bool, "true or false")


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError("it must be a list of strings that are not empty")
    return tuple(value)


def _ven_ids(value: object) -> str | tuple[str, ...]:
    if isinstance(value, list):
        return _texts(value)
    return str(_text(value))


def _delay(value: object) -> tuple[float, float]:
    if isinstance(value, list):
        if len(value) != 2:
            raise ValueError('it must be a duration, or two like ["1s", "5s"]')
        return read_duration(value[0]), read_duration(value[1])
    return read_duration(value), read_duration(value)


def _limit(value: object) -> int | None:
    number = int(_whole(value))
    if not 0 <= number < 1 << 31:
        raise ValueError("it is a whole number from 1 on, or 0 for no limit")
    return number or None


def _url_or_none(value: object) -> str | None:
    return None if value == "" else read_base_url(value)


def _curve(value: object) -> tuple[float, ...]:
    """Numbers over a day, or one for all of it. Raises ValueError."""
    values = value if isinstance(value, list) else [value]
    return tuple(float(_number(item)) for item in values)


_GROUP_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "name": _text,
    "count": _whole,
    "profile": _text,
    "ven_ids": _ven_ids,
    "first_number": _whole,
    "vtn_ids": _texts,
    "market_contexts": _texts,
    "signals": _texts,
    "group_ids": _texts,
    "resource_ids": _texts,
    "party_ids": _texts,
    "poll_interval": read_duration,
    "jitter": _share,
    "opt_in": _share,
    "answer_delay": _delay,
    "silent": _share,
    "offline": _share,
    "duplicate": _share,
    "stale": _share,
    "wrong_ids": _share,
    "register": _flag,
    "query": _flag,
    "own_ids": _flag,
}
_REPORT_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "specifier": _text,
    "points": _whole,
    "curve": _curve,
    "noise": _share,
    "min_period": read_duration,
    "status": _flag,
}
_OPT_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "every": read_duration,
    "share": _share,
    "length": read_duration,
}
_SIMULATED_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "report_every": read_duration,
    "granularity": read_duration,
}
_POLICY_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "implied_cancel": _flag,
    "priority": _text,
    "months_without_t": _text,
    "interval_sum": _text,
    "require_current_value_20a": _flag,
    "require_notification_20a": _flag,
    "opt_for_unknown_completed": _text,
    "run_test_events": _flag,
    "wrap_20b": _flag,
    "reply_limit": _limit,
}
_POLICY_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "priority": ("lower", "higher", "highest_level"),
    "months_without_t": ("months", "minutes"),
    "interval_sum": ("refuse", "note"),
    "opt_for_unknown_completed": ("optIn", "optOut"),
}
_STAGE_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "kind": _text,
    "duration": read_duration,
    "vens": _share,
    "factor": _number,
}
_EVENT_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "at": read_duration,
    "action": _text,
    "event_id": _text,
    "duration": read_duration,
    "starts_in": read_duration,
    "level": _number,
    "response_required": _text,
}
_TIMEOUT_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "connect": read_duration,
    "answer": read_duration,
}
_TLS_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "ca_file": _text,
    "cert_file": _text,
    "key_file": _text,
    "resumption": _flag,
    "check_hostname": _flag,
}
_FAILURE_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "per_class": _whole,
    "payload_bytes": _whole,
}
_TOP_KEYS: Final = (
    *("name", "seed", "vtn_url", "duration", "thresholds"),
    *("connections", "timeouts", "tls", "failures", "group", "stage", "event"),
    "simulated",
)


# --- reading -------------------------------------------------------------------


def read_scenario(path: str | os.PathLike[str]) -> Scenario:
    """Read and check a scenario file; relative file names in it count from its folder.

    Raises ConfigurationError: in one line, with file, line and key, and what is allowed.
    """
    return _Reader(TomlFile(path, "scenario")).scenario()


def parse_scenario(text: str, name: str = "scenario") -> Scenario:
    """The same for a text; ``name`` stands for the file in what is said about it."""
    return _Reader(TomlFile(name, text=text)).scenario()


@dataclass(slots=True)
class _Reader:
    file: TomlFile

    def scenario(self) -> Scenario:
        data = self.file.data
        self.check_keys((), data, _TOP_KEYS)
        groups = [self.group(keys, table) for keys, table in self.tables("group")]
        if not groups:
            raise self.file.error("there is no [[group]]: write one with count = 100")
        if not any("first_number" in table for _, table in self.tables("group")):
            groups = list(numbered(groups))
        stages = [
            self.make(Stage, _STAGE_READERS, keys, table, required=("kind", "duration"))
            for keys, table in self.tables("stage")
        ]
        duration = self.value((), data, "duration", read_duration, None)
        if stages and duration is not None:
            raise self.file.error(
                "duration does not go with [[stage]]: each has its own", "duration"
            )
        if not stages:
            whole = DEFAULT_DURATION if duration is None else duration
            longest = max(group.poll_interval for group in groups)
            stages = list(self.placed(("duration",), default_stages, whole, longest))
        events = [
            self.make(
                EventChange, _EVENT_READERS, keys, table, required=("at", "action", "event_id")
            )
            for keys, table in self.tables("event")
        ]
        lasts = sum(stage.duration for stage in stages)
        return self.placed(
            (),
            Scenario,
            groups=tuple(groups),
            stages=tuple(stages),
            name=self.value((), data, "name", _text, self.file.path.stem),
            seed=self.value((), data, "seed", _whole, 0),
            vtn_url=self.value((), data, "vtn_url", _url_or_none, None),
            connections=self.connections(),
            timeouts=self.table(Timeouts, _TIMEOUT_READERS, "timeouts"),
            tls=self.tls(),
            thresholds=self.thresholds(),
            events=tuple(events) or default_events(lasts),
            failures=self.table(FailureLimits, _FAILURE_READERS, "failures"),
            simulated=self.table(SimulatedServices, _SIMULATED_READERS, "simulated"),
        )

    def group(self, keys: Keys, table: dict[str, Any]) -> Group:
        special = ("ven_ids_file", "ven_ids_sha256", "policy", "reports", "opts")
        self.check_keys(keys, table, (*_GROUP_READERS, *special))
        if table.get("ven_ids_file") == "":  # as --print-scenario shows it
            table = {key: value for key, value in table.items() if key != "ven_ids_file"}
        plain = {k: v for k, v in table.items() if k not in special}
        more: dict[str, Any] = {}
        if "ven_ids_file" in table:
            if "ven_ids" in table:
                raise self.file.error(
                    "ven_ids_file does not go with ven_ids", *keys, "ven_ids_file"
                )
            ids = more["ven_ids"] = self.value(keys, table, "ven_ids_file", self.id_list, ())
            more["ven_ids_file"] = table["ven_ids_file"]
            if table.get("ven_ids_sha256", ids_digest(ids)) != ids_digest(ids):
                raise self.file.error(
                    f"{table['ven_ids_file']} holds other ids than when this was written:"
                    " leave out ven_ids_sha256 if they are meant",
                    *keys,
                    "ven_ids_sha256",
                )
            plain.setdefault("count", len(ids))
        if isinstance(plain.get("ven_ids"), list):
            plain.setdefault("count", len(plain["ven_ids"]))
        if "policy" in table:
            more["policy"] = self.policy((*keys, "policy"), table["policy"])
        of_services = (("reports", Reports, _REPORT_READERS), ("opts", Opts, _OPT_READERS))
        for name, make, readers in of_services:
            if name not in table:
                continue
            if not isinstance(table[name], dict):
                raise self.file.error(f"{name} is a table: write [group.{name}]", *keys, name)
            more[name] = self.make(make, readers, (*keys, name), table[name])
        if plain.get("profile") == "2.0b":
            plain.setdefault("register", True)
        return self.make(Group, _GROUP_READERS, keys, plain, required=("count",), more=more)

    def id_list(self, value: object) -> tuple[str, ...]:
        """The ids in a file, one a line."""
        path = path_beside(self.file.path.parent, _text(value))
        try:
            ids = read_whole(path).decode("utf-8").split("\n")
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path}: it is not UTF-8 text") from None
        found = tuple(line.strip() for line in ids if line.strip())
        if not found:
            raise ValueError(f"{path}: there is no id in it")
        return found

    def policy(self, keys: Keys, table: object) -> VtnPolicy:
        if not isinstance(table, dict):
            raise self.file.error("policy is a table: write [group.policy]", *keys)
        for name, words in _POLICY_WORDS.items():
            if name in table and table[name] not in words:
                raise self.file.error(f"{name}: it is one of {', '.join(words)}", *keys, name)
        return self.make(VtnPolicy, _POLICY_READERS, keys, table)

    def connections(self) -> ConnectionPlan:
        table = self.subtable("connections", ("plan", "source_addresses"))
        keys = ("connections",)
        plan = self.value(keys, table, "plan", read_connections, ConnectionPlan())
        addresses = self.value(keys, table, "source_addresses", _texts, ())
        return ConnectionPlan(plan.kind, plan.size, addresses)

    def tls(self) -> Tls:
        table = self.subtable("tls", _TLS_READERS)
        folder = self.file.path.parent
        for key in ("ca_file", "cert_file", "key_file"):
            if table.get(key) == "":  # as --print-scenario shows it
                del table[key]
            elif isinstance(table.get(key), str):
                table[key] = str(self.placed(("tls", key), path_beside, folder, table[key]))
        return self.make(Tls, _TLS_READERS, ("tls",), table)

    def thresholds(self) -> tuple[Threshold, ...]:
        texts = self.value((), self.file.data, "thresholds", _texts, ())
        return tuple(self.placed(("thresholds",), parse_threshold, text) for text in texts)

    # --- the same for every table ---

    def table(
        self, kind: type[_Made], readers: Mapping[str, Callable[[object], Any]], name: str
    ) -> _Made:
        return self.make(kind, readers, (name,), self.subtable(name, readers))

    def subtable(self, name: str, known: Iterable[str]) -> dict[str, Any]:
        table = self.file.data.get(name, {})
        if not isinstance(table, dict):
            raise self.file.error(f"{name} is a table: write [{name}]", name)
        self.check_keys((name,), table, known)
        return dict(table)

    def tables(self, name: str) -> Iterable[tuple[Keys, dict[str, Any]]]:
        found = self.file.data.get(name, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self.file.error(f"write [[{name}]], in two pairs of brackets", name)
        for index, table in enumerate(found):
            yield (name, index), table

    def make(
        self,
        kind: Callable[..., _Made],
        readers: Mapping[str, Callable[[object], Any]],
        keys: Keys,
        table: dict[str, Any],
        *,
        required: tuple[str, ...] = (),
        more: Mapping[str, Any] | None = None,
    ) -> _Made:
        """``kind`` with what the table says."""
        self.check_keys(keys, table, readers)
        for key in required:
            if key not in table:
                raise self.file.error(f"{key} is missing", *keys)
        values = {key: self.value(keys, table, key, readers[key], None) for key in table}
        return self.placed(keys, kind, **values, **(more or {}))

    def value(
        self,
        keys: Keys,
        table: Mapping[str, Any],
        key: str,
        read: Callable[[object], Any],
        default: Any,
    ) -> Any:
        if key not in table:
            return default
        try:
            return read(table[key])
        except ValueError as error:
            raise self.file.error(f"{key}: {error}", *keys, key) from None

    def placed(self, keys: Keys, make: Callable[..., _Made], *args: Any, **named: Any) -> _Made:
        """``make(...)``, with the place put before what is wrong."""
        try:
            return make(*args, **named)
        except ScenarioError as error:
            raise self.file.error(str(error), *keys, error.setting) from None
        except ConfigurationError as error:
            raise self.file.error(str(error), *keys) from None

    def check_keys(self, keys: Keys, table: Mapping[str, Any], known: Iterable[str]) -> None:
        names = list(known)
        for key in table:
            if key not in names:
                hint = nearest(key, names) or f"; there are {', '.join(names)}"
                names_of = ".".join(part for part in keys if isinstance(part, str))
                where = f" in [{names_of}]" if keys else ""
                raise self.file.error(f"unknown key {key}{where}{hint}", *keys, key)
