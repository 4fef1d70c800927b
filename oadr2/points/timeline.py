"""When the value of a signal holds, in seconds since 1970: :func:`steps_of`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from math import inf

from oadr2.model import Signal
from oadr2.schedule import Duration

_NO_TIME = Duration(0, 0)


class Steps:
    """The values of one signal over time, half-open intervals from the (randomised) start (E43).

    Attributes:
        begins: when each value begins, rising.
        values: the values.
        end: when the last one is over; ``inf``: never.
    """

    __slots__ = ("begins", "end", "values")

    def __init__(self, begins: Sequence[float], values: Sequence[float], end: float) -> None:
        self.begins = begins
        self.values = values
        self.end = end

    def value_at(self, now: float) -> float | None:
        """The value that holds at ``now``, None before and after."""
        index = bisect_right(self.begins, now) - 1
        return None if index < 0 or now >= self.end else self.values[index]

    def next_change(self, now: float) -> float:
        """The first moment after ``now`` at which the value changes; ``inf``: none."""
        if now >= self.end:
            return inf
        index = bisect_right(self.begins, now)
        return min(self.begins[index] if index < len(self.begins) else inf, self.end)


def steps_of(signal: Signal, start: datetime, end: datetime | None) -> Steps:
    """The steps of a signal of an event that runs from ``start`` to ``end`` (None: open-ended).

    An interval without a duration lasts as long as the event, one of zero length never ends (E42).
    """
    last = inf if end is None else end.timestamp()
    begins: list[float] = []
    values: list[float] = []
    moment: datetime | None = start
    for interval in signal.intervals:
        if moment is None or moment.timestamp() >= last:
            break
        if interval.duration is None:
            stop = end
        elif interval.duration == _NO_TIME:
            stop = None
        else:
            stop = moment + interval.duration
        if stop is None or stop > moment:
            begins.append(moment.timestamp())
            values.append(0.0 if interval.value is None else interval.value)
        moment = stop
    return Steps(begins, values, last if moment is None else min(moment.timestamp(), last))
