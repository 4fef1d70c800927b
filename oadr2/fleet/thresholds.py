"""What must hold at the end of a load test: ``p99 < 500ms``, ``errors < 0.1%``.

A threshold is ``[METRIC] [STATISTIC] OPERATOR LIMIT``; :data:`METRICS` and :data:`STATISTICS` have all of
them. Durations want a unit (us, ms, s, m), shares a ``%``; a plain number limits a count or a rate.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from oadr2._core.fleet import ERROR_NAMES
from oadr2.errors import ConfigurationError

Kind: TypeAlias = Literal["duration", "count", "rate"]

STATISTICS: Final[Mapping[str, float | None]] = {
    "p50": 50.0,
    "p90": 90.0,
    "p95": 95.0,
    "p99": 99.0,
    "p999": 99.9,
    "max": 100.0,
    "mean": None,
}
"""Of a duration: the percentile it is; the mean is none."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Something a threshold can be about.

    Attributes:
        kind: ``duration`` wants a statistic; ``count`` takes a number, or a ``%`` of ``share_of``;
            ``rate`` takes a number a second.
        meaning: for people.
        share_of: which count a percentage is a share of.
    """

    kind: Kind
    meaning: str
    share_of: str = ""


METRICS: Final[Mapping[str, Metric]] = {
    "latency": Metric("duration", "from sending a message to the end of its answer"),
    "intended": Metric("duration", "the same from the moment the message should have been sent"),
    "propagation": Metric("duration", "from an event's change at the VTN until a VEN has it"),
    "acknowledged": Metric("duration", "the same until the VTN has taken the VEN's answer"),
    "schedule_lag": Metric("duration", "from the moment a poll is due until it is sent"),
    "errors": Metric("count", "failed exchanges of every class, and unanswered ones", "attempts"),
    "late": Metric("count", "polls that could not be sent in time", "polls"),
    "skipped": Metric("count", "polls left out: their VEN still waited for an answer", "polls"),
    "late_by_generator": Metric("count", "those that waited for no connection", "polls"),
    "polls": Metric("count", "polls sent"),
    "exchanges": Metric("count", "HTTP requests answered"),
    "events_applied": Metric("count", "events taken by VENs, modifications included"),
    "replies_sent": Metric("count", "answers to events sent"),
    "registrations": Metric("count", "registrations with the VTN"),
    "reports_sent": Metric("count", "reports taken by the VTN"),
    "opts_sent": Metric("count", "opts taken by the VTN"),
    "polls_per_second": Metric("rate", "polls sent a second"),
    "exchanges_per_second": Metric("rate", "HTTP requests answered a second"),
}

_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_UNITS_MS: Final = {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}

_CLASSES: Final = tuple(name for name in ERROR_NAMES if name not in ("", "oadr"))

_SHAPE: Final = re.compile(
    r"\s*([a-z_]+[a-z_0-9]*)(?:\s+([a-z0-9_]+))?\s*(<=|>=|==|<|>)\s*"
    r"(\d+(?:\.\d+)?)\s*(%|/s|[a-zµ]+)?\s*",
    re.ASCII | re.IGNORECASE,
)
_EXAMPLE: Final = 'a threshold is like "p99 < 500ms", "errors < 0.1%" or "propagation p99 < 30s"'


@dataclass(frozen=True, slots=True)
class Threshold:
    """One condition.

    Attributes:
        text: as it was written, with blanks where they belong.
        metric: a key of :data:`METRICS`; for ``errors`` of one class also that class.
        statistic: a key of :data:`STATISTICS`, or "" for counts and rates.
        comparison: ``<``, ``<=``, ``>``, ``>=`` or ``==``.
        limit: milliseconds, a count, a rate a second, or per cent.
        unit: ``ms``, ``%``, ``/s`` or "".
        error_class: of ``errors timeout < 5``: ``timeout``; else "".
    """

    text: str
    metric: str
    statistic: str
    comparison: str
    limit: float
    unit: str
    error_class: str = ""

    def holds(self, value: float | None) -> bool:
        """Whether ``value``, in the threshold's unit, keeps it; nothing measured does not."""
        return value is not None and _OPERATORS[self.comparison](value, self.limit)


def parse_threshold(text: str) -> Threshold:
    """Read one threshold. Raises ConfigurationError, which says what there is."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"{text!r}: {_EXAMPLE}")
    first, second, comparison, number, unit = (part or "" for part in match.groups())
    shown = f"{first} {second}".strip() + f" {comparison} {number}{unit}"
    if first in STATISTICS and not second:
        first, second = "latency", first
    metric = METRICS.get(first)
    if metric is None:
        raise ConfigurationError(f"{text!r}: no metric {first}; {_either(METRICS)}")
    limit = float(number)
    statistic = error_class = ""
    if metric.kind == "duration":
        statistic = second
        if statistic not in STATISTICS:
            which = f"no statistic {statistic}" if statistic else f"{first} needs a statistic"
            raise ConfigurationError(f"{text!r}: {which}; {_either(STATISTICS)}")
        if unit not in _UNITS_MS:
            raise ConfigurationError(f"{text!r}: {first} needs a unit; {_either(_UNITS_MS)}")
        limit, unit = limit * _UNITS_MS[unit], "ms"
    else:
        if first == "errors":
            error_class = second
            _check_class(text, error_class)
        elif second:
            raise ConfigurationError(f"{text!r}: {first} is one number and has no {second}")
        allowed = _units_of(metric)
        if unit not in allowed:
            units = " or ".join(f'"{word}"' if word else "no unit" for word in allowed)
            raise ConfigurationError(f'{text!r}: {first} takes {units}, not "{unit}"')
        if metric.kind == "rate":
            unit = "/s"
    return Threshold(shown, first, statistic, comparison, limit, unit, error_class)


def _check_class(text: str, name: str) -> None:
    """A class that there is not would never have an error, and the threshold always hold."""
    if name and name not in _CLASSES and not re.fullmatch(r"oadr_\d{1,3}", name, re.ASCII):
        classes = _either((*_CLASSES, "oadr_463 and the like"))
        raise ConfigurationError(f"{text!r}: no class of errors {name}; {classes}")


def _units_of(metric: Metric) -> tuple[str, ...]:
    if metric.kind == "rate":
        return ("", "/s")
    return ("", "%") if metric.share_of else ("",)


def _either(names: Iterable[str]) -> str:
    return f"there is {', '.join(names)}"
