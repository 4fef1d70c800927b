"""What an event was asked to be, and what it is at a given moment.

:class:`EventSpec` holds the settings of one simulated event after reading;
:meth:`EventSpec.event` makes the :class:`oadr2.model.Event` a VTN would list at a time.
Nothing here knows a clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, TypedDict, get_args

from oadr2.errors import LocalProtocolError, RemoteProtocolError
from oadr2.model import (
    Event,
    EventStatus,
    Interval,
    Profile,
    ResponseRequired,
    Signal,
    Targets,
)
from oadr2.schedule import Duration, parse_duration, str_to_datetime

DurationLike: TypeAlias = str | Duration | timedelta | int | float
"""``"PT10S"``, a Duration, a timedelta, or a number of seconds."""

MomentLike: TypeAlias = str | datetime
"""``"now"``, ``"+5s"``, ``"-1h30m"``, ``"+PT5S"``, an ISO date-time, or an aware datetime."""

MARKET_CONTEXT: Final = "http://example.org/market"

_RELATIVE = re.compile(
    r"([+-])(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII
)
_UNITS_S = (86400, 3600, 60, 1)


class EventSettings(TypedDict, total=False):
    """The settings of an event, for ``add_event`` and ``modify_event``; each has a default.

    ``levels`` are (duration, level) pairs, one interval each; without it there is one interval
    of ``duration`` at ``level``. ``signals`` replaces both and is sent as given, sums unchecked, so
    that illogical events can be played. A duration of zero is an open end (facts.md H47).
    """

    start: MomentLike
    duration: DurationLike | None
    level: float
    levels: Sequence[tuple[DurationLike, float]] | None
    signals: Sequence[Signal] | None
    signal_name: str
    signal_type: str
    signal_id: str
    market_context: str
    targets: Targets
    priority: int | None
    startafter: DurationLike | None
    notification: DurationLike | None
    ramp_up: DurationLike | None
    recovery: DurationLike | None
    response_required: ResponseRequired
    test_event: str | None
    vtn_comment: str | None
    modification_reason: str | None


class SettingError(LocalProtocolError):
    """A setting of an event has a wrong value. ``setting`` is its name, ``reason`` what is wrong."""

    def __init__(self, setting: str, reason: str) -> None:
        self.setting = setting
        self.reason = reason
        super().__init__(f"{setting}: {reason}")


def read_duration(setting: str, value: object) -> Duration:
    """Read a :data:`DurationLike`; SettingError names ``setting`` when it is none."""
    if isinstance(value, Duration):
        return value
    if isinstance(value, timedelta):
        return Duration(microseconds=value // timedelta(microseconds=1))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Duration(microseconds=round(value * 1_000_000))
    if isinstance(value, str):
        try:
            return parse_duration(value)
        except (LocalProtocolError, RemoteProtocolError, ValueError):
            raise SettingError(setting, f"{value!r} is no duration like PT30M or PT10S") from None
    raise SettingError(setting, f"{value!r} is no duration: give text like PT10S, or seconds")


def read_moment(setting: str, value: object, base: datetime) -> datetime:
    """Read a :data:`MomentLike`; relative ones count from ``base``."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise SettingError(setting, f"{value.isoformat()} has no time zone: add Z")
        return value.astimezone(UTC)
    if not isinstance(value, str):
        raise SettingError(setting, f'{value!r} is no time: give "+5s" or 2030-01-31T12:00:00Z')
    text = value.strip()
    if text == "now":
        return base
    try:
        match = _RELATIVE.fullmatch(text)
        if match:
            sign, *amounts = match.groups()
            seconds = sum(float(n) * unit for n, unit in zip(amounts, _UNITS_S, strict=True) if n)
            return base + timedelta(seconds=-seconds if sign == "-" else seconds)
        if text[:2] in ("+P", "-P"):
            return base + parse_duration(text)
        return str_to_datetime(text)
    except (LocalProtocolError, RemoteProtocolError, ValueError, OverflowError):
        raise SettingError(
            setting, f'{value!r} is no time like "now", "+5s", "+1h30m" or 2030-01-31T12:00:00Z'
        ) from None


def _read_text(setting: str, value: object, _base: datetime) -> str:
    if not isinstance(value, str):
        raise SettingError(setting, f"{value!r} is no text")
    return value


def _read_number(setting: str, value: object, _base: datetime) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SettingError(setting, f"{value!r} is no number")
    return float(value)


def _read_priority(setting: str, value: object, _base: datetime) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 32:
        raise SettingError(setting, f"{value!r} is no whole number from 0 to 4294967295")
    return value


def _read_length(setting: str, value: object, _base: datetime) -> Duration:
    duration = read_duration(setting, value)
    if str(duration).startswith("-"):
        raise SettingError(setting, f"{duration} is negative")
    return duration


def _read_span(setting: str, value: object, _base: datetime) -> Duration:
    return read_duration(setting, value)


def _read_response_required(setting: str, value: object, _base: datetime) -> ResponseRequired:
    if value not in get_args(ResponseRequired):
        raise SettingError(setting, f'{value!r} is neither "always" nor "never"')
    required: Literal["always", "never"] = "always" if value == "always" else "never"
    return required


def _read_levels(setting: str, value: object, base: datetime) -> tuple[tuple[Duration, float], ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise SettingError(setting, f"{value!r} is no list of (duration, level) pairs")
    levels = []
    for pair in value:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise SettingError(setting, f"{pair!r} is no (duration, level) pair")
        levels.append((_read_length(setting, pair[0], base), _read_number(setting, pair[1], base)))
    return tuple(levels)


def _read_signals(setting: str, value: object, _base: datetime) -> tuple[Signal, ...]:
    if isinstance(value, Sequence) and value and all(isinstance(item, Signal) for item in value):
        return tuple(value)
    raise SettingError(setting, "give at least one oadr2.model.Signal")


def _read_targets(setting: str, value: object, _base: datetime) -> Targets:
    if not isinstance(value, Targets):
        raise SettingError(setting, f"{value!r} is no oadr2.model.Targets")
    return value


_READERS: Final[dict[str, Callable[[str, object, datetime], Any]]] = {
    "start": read_moment,
    "duration": _read_length,
    "level": _read_number,
    "levels": _read_levels,
    "signals": _read_signals,
    "signal_name": _read_text,
    "signal_type": _read_text,
    "signal_id": _read_text,
    "market_context": _read_text,
    "targets": _read_targets,
    "priority": _read_priority,
    "startafter": _read_length,
    "notification": _read_length,
    "ramp_up": _read_span,
    "recovery": _read_span,
    "response_required": _read_response_required,
    "test_event": _read_text,
    "vtn_comment": _read_text,
    "modification_reason": _read_text,
}


def _total(durations: Sequence[Duration]) -> Duration:
    """The sum; zero, an open end, when one of them is zero."""
    if not all(durations):
        return Duration()
    return Duration(
        months=sum(d.months for d in durations),
        microseconds=sum(d.microseconds for d in durations),
    )


@dataclass(frozen=True, slots=True)
class EventSpec:
    """The settings of one event, read and checked. See :class:`EventSettings` for their meaning."""

    start: datetime
    duration: Duration | None = None
    level: float = 1.0
    levels: tuple[tuple[Duration, float], ...] | None = None
    signals: tuple[Signal, ...] | None = None
    signal_name: str = "SIMPLE"
    signal_type: str = "level"
    signal_id: str = "0"
    market_context: str = MARKET_CONTEXT
    targets: Targets = field(default_factory=Targets)
    priority: int | None = None
    startafter: Duration | None = None
    # 2.0a's schema and rule V105 of 2.0b want the element, so it is there unless taken away.
    notification: Duration | None = field(default_factory=Duration)
    ramp_up: Duration | None = None
    recovery: Duration | None = None
    response_required: ResponseRequired = "always"
    test_event: str | None = None
    vtn_comment: str | None = None
    modification_reason: str | None = None

    def changed(self, settings: EventSettings, base: datetime) -> EventSpec:
        """This spec with ``settings`` read over it; ``None`` takes an optional setting away.

        Raises:
            SettingError: a setting is unknown or wrong, or intervals and duration disagree.
        """
        values: dict[str, Any] = {}
        for name, value in settings.items():
            reader = _READERS.get(name)
            if reader is None:
                raise SettingError(name, f"no such setting; there are {', '.join(_READERS)}")
            missing = value is None and name in _OPTIONAL
            values[name] = None if missing else reader(name, value, base)
        spec = replace(self, **values)
        spec._check()
        return spec

    def _check(self) -> None:
        if self.duration is None and self.levels is None and self.signals is None:
            raise SettingError("duration", "missing: give a duration, levels or signals")
        if self.duration and self.levels is not None and self.signals is None:
            total = _total([duration for duration, _ in self.levels])
            if total != self.duration:  # facts.md O8
                raise SettingError(
                    "duration", f"{self.duration}, but the intervals add up to {total}"
                )
        try:
            self.over  # noqa: B018  computed for its errors
        except (OverflowError, ValueError):
            raise SettingError("duration", "the event would end after the year 9999") from None

    @property
    def length(self) -> Duration:
        """The duration of the active period; zero is an open end."""
        if self.duration is not None:
            return self.duration
        intervals = self._signals()[0].intervals
        return _total([interval.duration or Duration() for interval in intervals])

    @property
    def end(self) -> datetime | None:
        """When the active period is over; None for an open end."""
        return self.start + self.length if self.length else None

    @property
    def over(self) -> datetime | None:
        """Until when a VTN lists the event: dtstart + duration + startafter (facts.md H66)."""
        end = self.end
        return end + self.startafter if end is not None and self.startafter else end

    @property
    def near(self) -> datetime:
        """From when the event is near: dtstart - ramp-up (facts.md 2.5)."""
        if self.ramp_up is None or str(self.ramp_up).startswith("-"):
            return self.start
        return self.start - self.ramp_up

    def borders(self) -> Iterator[datetime]:
        """Every moment at which what a VTN says of the event changes."""
        yield self.near
        yield self.start
        for signal in self._signals():
            for _, end in self._running(signal):
                if end is not None:
                    yield end
        for moment in (self.end, self.over):
            if moment is not None:
                yield moment

    def status(self, now: datetime) -> EventStatus:
        """far, near, active or completed at ``now`` (facts.md 2.5)."""
        end = self.end
        if now >= self.start:
            return "active" if end is None or now < end else "completed"
        return "near" if now >= self.near else "far"

    def event(
        self,
        event_id: str,
        modification_number: int,
        *,
        now: datetime,
        created: datetime,
        modified: datetime | None = None,
        cancelled: bool = False,
        profile: Profile = "2.0a",
    ) -> Event:
        """The event as a VTN lists it at ``now``. ``created`` is createdDateTime."""
        status = "cancelled" if cancelled else self.status(now)
        active = status == "active"
        signals = tuple(
            replace(signal, current_value=self._value(signal, now) if active else 0.0)
            for signal in self._signals()
        )
        later = profile == "2.0b"  # two elements that 2.0a does not have (facts.md 1.5)
        return Event(
            event_id=event_id,
            modification_number=modification_number,
            market_context=self.market_context,
            created_date_time=created,
            event_status=status,
            dtstart=self.start,
            duration=self.length,
            signals=signals,
            targets=self.targets,
            response_required=self.response_required,
            priority=self.priority,
            test_event=self.test_event,
            vtn_comment=self.vtn_comment,
            modification_date_time=modified if later else None,
            modification_reason=self.modification_reason if later else None,
            startafter=self.startafter,
            notification=self.notification,
            ramp_up=self.ramp_up,
            recovery=self.recovery,
        )

    def _signals(self) -> tuple[Signal, ...]:
        if self.signals is not None:
            return self.signals
        levels = self.levels
        if levels is None:
            levels = ((self.duration or Duration(), self.level),)
        intervals = tuple(
            Interval(uid=str(index), duration=duration, value=level)
            for index, (duration, level) in enumerate(levels)
        )
        return (Signal(self.signal_name, self.signal_type, self.signal_id, intervals),)

    def _running(self, signal: Signal) -> Iterator[tuple[Interval, datetime | None]]:
        """Each interval with its end; None when it never ends, which ends the list too."""
        end = self.start
        for interval in signal.intervals:
            if not interval.duration:
                yield interval, None
                return
            end = end + interval.duration
            yield interval, end

    def _value(self, signal: Signal, now: datetime) -> float:
        """The value of the interval running at ``now``; 0 when none is (facts.md O14)."""
        for interval, end in self._running(signal):
            if end is None or now < end:
                return interval.value or 0.0
        return 0.0


_OPTIONAL: Final = frozenset(f.name for f in fields(EventSpec) if "None" in str(f.type))


def setting_defaults() -> dict[str, Any]:
    """The default of every setting that has one, by name."""
    blank = EventSpec(start=datetime(1970, 1, 1, tzinfo=UTC))
    return {f.name: getattr(blank, f.name) for f in fields(EventSpec) if f.name != "start"}


def new_spec(settings: EventSettings, base: datetime) -> EventSpec:
    """Read the settings of a new event. Relative times count from ``base``, the default start."""
    return EventSpec(start=base).changed(settings, base)
