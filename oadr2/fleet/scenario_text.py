"""Scenarios written as TOML that :func:`oadr2.fleet.scenario_file.read_scenario` reads back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from decimal import Decimal
from typing import Any, Final

from oadr2.fleet.scenario import (
    FailureLimits,
    Opts,
    Scenario,
    SimulatedServices,
    Timeouts,
    Tls,
    ids_digest,
)


def duration_text(seconds: float) -> str:
    """``90.0`` -> ``"1m30s"``: what :func:`~oadr2.fleet.scenario_file.read_duration` reads back."""
    if seconds < 1 and round(seconds * 1000, 6) == seconds * 1000:
        return f"{seconds * 1000:g}ms" if seconds else "0s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 1 or rest != int(rest):
        return f"{Decimal(repr(float(seconds))).normalize():f}s"
    hours, minutes = divmod(int(minutes), 60)
    parts = ((hours, "h"), (minutes, "m"), (int(rest), "s"))
    return "".join(f"{amount}{unit}" for amount, unit in parts if amount)


def scenario_text(scenario: Scenario, *, explain: bool = False) -> str:
    """The scenario as TOML that :func:`~oadr2.fleet.scenario_file.read_scenario` reads back.

    ``explain`` adds what else could be set, as comments: a file to start from.
    """
    lines = [
        *_entry("name", scenario.name, "", explain, "of the report"),
        *_entry("seed", scenario.seed, 0, explain, "the same seed sends the same at the same time"),
        *_entry("vtn_url", scenario.vtn_url or "", "", explain, "empty: a simulated VTN"),
    ]
    texts = [threshold.text for threshold in scenario.thresholds]
    if texts or explain:
        lines += ["", *_comment(explain, "Broken thresholds end the command with code 99.")]
        lines += ["thresholds = [", *(f"    {json.dumps(text)}," for text in texts), "]"]
    lines += ["", "[connections]"]
    lines += _entry("plan", str(scenario.connections), "", explain, "per-ven, pool:N or per-poll")
    lines += _entry("source_addresses", scenario.connections.source_addresses, (), explain, "")
    lines += _section("timeouts", scenario.timeouts, Timeouts(), explain)
    lines += _section("tls", scenario.tls, Tls(), explain)
    lines += _section("simulated", scenario.simulated, SimulatedServices(), explain)
    lines += _section("failures", scenario.failures, FailureLimits(), explain)
    for group in scenario.groups:
        lines += ["", "[[group]]", *_fields(group, _GROUP_NOTES, explain)]
        if group.profile == "2.0b" and not group.register:
            lines.append("register = false")
        policy = _fields(group.policy, {}, False)
        if policy:
            lines += ["", "[group.policy]", *policy]
        if group.reports is not None:
            lines += ["", "[group.reports]", *_fields(group.reports, _REPORT_NOTES, explain)]
        if group.opts is not None:
            lines += ["", "[group.opts]", *_fields(group.opts, _OPT_NOTES, explain)]
        elif explain and group.register:
            lines += ["", "# [group.opts]", *_fields(Opts(), _OPT_NOTES, explain)]
    for stage in scenario.stages:
        notes = {"vens": "share that polls at its end"} if stage.kind == "ramp" else {}
        lines += ["", "[[stage]]", *_fields(stage, notes, explain and stage.kind == "ramp")]
    if scenario.vtn_url is None:
        for change in scenario.events:
            lines += ["", "[[event]]", *_fields(change, {}, False)]
    return "\n".join(lines) + "\n"


_GROUP_NOTES: Final = {
    "ven_ids": "{n} is the number; or a list, or ven_ids_file",
    "jitter": "share of the interval",
    "answer_delay": "shortest and longest",
    "opt_in": "share that opts in",
    "silent": "share that never answers",
    "offline": "share that never polls",
    "duplicate": "share that answers twice",
    "stale": "share that answers an old modification number",
    "wrong_ids": "share that answers an unknown event",
    "register": "of 2.0b: false only asks for events",
    "query": "ask what the VTN offers first",
    "own_ids": "the ids are venIDs that the VTN knows",
}
_REPORT_NOTES: Final = {
    "curve": "kW over a day of UTC",
    "noise": "share of the value",
    "min_period": "between two readings",
    "status": "announce TELEMETRY_STATUS, too",
}
_OPT_NOTES: Final = {
    "every": "each VEN says that it takes no part, or takes it back",
    "share": "of the VENs",
    "length": "for how long it takes no part",
}
_IN_SECONDS: Final = frozenset(
    {
        "poll_interval",
        "duration",
        "connect",
        "answer",
        "answer_delay",
        "at",
        "starts_in",
        "min_period",
        "every",
        "length",
        "report_every",
        "granularity",
    }
)


def _comment(explain: bool, text: str) -> list[str]:
    return [f"# {text}"] if explain else []


def _section(name: str, value: Any, default: Any, explain: bool) -> list[str]:
    lines = _fields(value, {}, explain)
    if value == default:
        return ["", f"# [{name}]", *lines] if lines else []
    return ["", f"[{name}]", *lines]


def _fields(value: Any, notes: Mapping[str, str], explain: bool) -> list[str]:
    """A line for each field that is not at its default; with ``explain`` those too, as comments."""
    lines = []
    for item in fields(value):
        if item.name == "ven_ids" and value.ven_ids_file:
            lines.append(f'ven_ids_sha256 = "{ids_digest(value.ven_ids)}"')
        elif item.name not in ("policy", "reports", "opts", "codes_20a", "codes_20b", "limits"):
            note = notes.get(item.name, "")
            lines += _entry(item.name, getattr(value, item.name), _default(item), explain, note)
    return lines


def _default(item: Field[Any]) -> Any:
    if item.default is not MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not MISSING else MISSING


def _entry(name: str, value: Any, default: Any, explain: bool, note: str) -> list[str]:
    if value == default and not explain:
        return []
    remark = f"  # {note}" if explain and note else ""
    shown = '""' if value is None else _toml(name, value)
    return [f"{'# ' if value == default else ''}{name} = {shown}{remark}"]


def _toml(name: str, value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(name, item) for item in value) + "]"
    if name in _IN_SECONDS:
        return json.dumps(duration_text(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
