"""Events in words: how times, durations, levels and targets read to a person.

Pure functions from values to plain strings, no terminal and no colour; the views and the log lines
share them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from oadr2.errors import OadrError
from oadr2.model import Event, Interval, Targets
from oadr2.schedule import Duration

# facts.md O9: what the four levels of a SIMPLE signal mean.
LEVEL_NAMES: Final = {0: "normal", 1: "moderate", 2: "high", 3: "special"}

_UNITS: Final = (
    ("day", 86_400_000_000),
    ("hour", 3_600_000_000),
    ("minute", 60_000_000),
)


def printable(text: str) -> str:
    """``text`` with what a terminal could obey or hide escaped: control characters and the like."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def number(value: float | None) -> str:
    """A payload value without a needless ``.0``; "-" when there is none."""
    if value is None:
        return "-"
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(value)


def level_name(level: float | None) -> str:
    """The word for a SIMPLE level (facts.md O9), or "" when it has none."""
    if level is None or not math.isfinite(level) or level != int(level):
        return ""
    return LEVEL_NAMES.get(int(level), "")


def level_text(level: float | None) -> str:
    """The level with its word: ``2 high``."""
    return f"{number(level)} {level_name(level)}".rstrip()


def local_time(moment: datetime | None, *, weekday: bool = True) -> str:
    """Local wall-clock time with its zone: ``Sat 2026-03-07 14:00:00 CET``."""
    if moment is None:
        return "-"
    local = as_local(moment)
    day = local.strftime("%a ") if weekday else ""
    return f"{day}{local:%Y-%m-%d %H:%M:%S}{_fraction(local)} {local:%Z}"


def as_local(moment: datetime) -> datetime:
    """``moment`` in local time; in UTC where it has none, as in the years 1 and 9999."""
    try:
        return moment.astimezone()
    except (OverflowError, ValueError, OSError):
        return moment.astimezone(UTC)


def utc_time(moment: datetime | None) -> str:
    """``2026-03-07 13:00:00Z``."""
    if moment is None:
        return "-"
    utc = moment.astimezone(UTC)
    return utc.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + _fraction(utc) + "Z"


def iso_time(moment: datetime, *, timespec: str = "auto") -> str:
    """The ISO 8601 form for programs: ``2026-03-07T13:00:00Z``."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).removesuffix("+00:00") + "Z"


def _fraction(moment: datetime) -> str:
    return f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""


def duration_words(duration: Duration | None) -> str:
    """``1 hour 30 minutes``; "-" for None, ``0 seconds`` for nothing."""
    if duration is None:
        return "-"
    minus = "minus " if duration.months < 0 or duration.microseconds < 0 else ""
    years, months = divmod(abs(duration.months), 12)
    parts = [(years, "year"), (months, "month")]
    rest = abs(duration.microseconds)
    for name, size in _UNITS:
        count, rest = divmod(rest, size)
        parts.append((count, name))
    words = [f"{count} {name}{'s' if count != 1 else ''}" for count, name in parts if count]
    if rest or not words:
        amount = number(rest / 1_000_000)
        words.append(f"{amount} second{'s' if amount != '1' else ''}")
    return minus + " ".join(words)


def duration_brief(duration: Duration | None) -> str:
    """The same for a narrow column: ``1 h 30 min``."""
    text = duration_words(duration)
    for word, unit in (("hour", "h"), ("minute", "min"), ("second", "s")):
        text = text.replace(f"{word}s", unit).replace(word, unit)
    return text


def span_words(seconds: float) -> str:
    """A span of time for a countdown: ``4.2 s``, ``3 min 05 s``, ``2 h 03 min``."""
    if seconds < 60:
        return f"{max(seconds, 0.0):.1f} s"
    minutes, left = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {left:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def later(moment: datetime | None, duration: Duration | None) -> datetime | None:
    """``moment + duration``; None when either is missing or the sum lies outside the calendar."""
    if moment is None or duration is None:
        return None
    try:
        return moment + duration
    except (OverflowError, ValueError, OadrError):
        return None


def event_end(event: Event) -> datetime | None:
    """When the event ends by the VTN's own times; None when it is open-ended (facts.md H47)."""
    return later(event.dtstart, event.duration) if event.duration else None


def interval_starts(
    dtstart: datetime | None, intervals: Iterable[Interval]
) -> Iterator[tuple[Interval, datetime | None]]:
    """Each interval with its start: they run back to back from ``dtstart`` (facts.md 2.6)."""
    start = dtstart
    for interval in intervals:
        start = interval.dtstart or start
        yield interval, start
        start = later(start, interval.duration)


def target_words(targets: Targets) -> str:
    """The targets in one line; nothing at all means everyone (facts.md E33)."""
    named: tuple[tuple[str, Iterable[str]], ...] = (
        ("VEN", targets.ven_ids),
        ("group", targets.group_ids),
        ("resource", targets.resource_ids),
        ("party", targets.party_ids),
        ("group name", targets.group_names),
        ("aggregated pnode", targets.aggregated_pnodes),
        ("device class", targets.end_device_assets),
        ("meter", targets.meter_assets),
        ("pnode", targets.pnodes),
        ("delivery point", targets.service_delivery_points),
        ("transport", (f"{a} to {b}" for a, b in targets.transport_interfaces)),
    )
    parts = [f"{word} {', '.join(printable(i) for i in ids)}" for word, ids in named if ids]
    parts = [part for part in parts if not part.endswith(" ")]
    for word, areas in (
        ("service area", targets.service_areas),
        ("service location", targets.service_locations),
    ):
        if areas:
            parts.append(f"{len(areas)} {word}{'s' if len(areas) != 1 else ''}")
    return "; ".join(parts) or "everyone who got the event"


def moment_at(seconds: float) -> datetime:
    """The aware UTC date-time of ``seconds`` since the epoch."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
