"""The steps of a run done to its engine, in parts: a million VENs that come in hold nobody up."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from oadr2._core.fleet import Fleet
from oadr2.fleet.stages import Step

_US: Final = 1_000_000
_ROWS_AT_ONCE: Final = 20_000  # rows that are changed in one go: a millisecond or two
_ALL: Final = 1 << 32
_AHEAD: Final = 10_000  # us; so long before its moment a VEN that comes in is given to the engine


class _Arrival:
    """VENs that come in one after the other, given to the engine as their moments approach."""

    __slots__ = ("begin", "count", "done", "first", "spread")

    def __init__(self, first: int, count: int, begin: int, spread: int) -> None:
        self.first = first
        self.count = count
        self.begin = begin
        self.spread = spread
        self.done = 0

    @property
    def next_moment(self) -> int:
        return self.begin + self.spread * self.done // self.count

    def come_in(self, fleet: Fleet, until: int, limit: int) -> int:
        """Start those whose moment is before ``until``, ``limit`` at most; how many."""
        before = -((self.begin - until) * self.count // self.spread)  # rounded up
        some = min(limit, min(self.count, before) - self.done)
        if some > 0:
            first = self.first + self.done
            fleet.start(first, some, self.begin, self.spread, place=self.done, of=self.count)
            self.done += some
        return max(0, some)


class StepPlayer:
    """Does steps to a fleet when their time comes, never so many rows at once that answers have to wait.

    What is done late, because there was so much of it, still bears its own moment: polls that go out late for
    it are counted as late.

    Args:
        steps: in the order of time.
    """

    def __init__(self, fleet: Fleet, steps: Iterable[Step]) -> None:
        self._fleet = fleet
        self._steps = deque(steps)
        self._done = 0  # rows of the first step that have been through it
        self._arrivals: list[_Arrival] = []
        self._begun = 0

    @property
    def rows_at_begin(self) -> int:
        """Rows that :meth:`begin` makes ready in one go."""
        steps = (step for step in self._steps if step.at <= 0 and not _is_arrival(step))
        return min(len(self._fleet), sum(step.count for step in steps))

    def begin(self, begun: int) -> None:
        """Say when the run begins, microseconds; what is to be ready then is made ready now."""
        self._begun = begun
        while self._steps and self._steps[0].at <= 0:
            self._go_on(_ALL)

    def play(self, now: int) -> None:
        """Do what is due; the rest of it with the next call if it is much."""
        left = _ROWS_AT_ONCE - self._come_in(now + _AHEAD, _ROWS_AT_ONCE)
        while left > 0 and self._is_due(now):
            left -= self._go_on(left)

    def finish(self, now: int) -> None:
        """Do all that was due by now, and forget the rest."""
        self._come_in(now, _ALL)
        while self._is_due(now):
            self._go_on(_ALL)
            self._come_in(now, _ALL)
        self._steps.clear()
        self._arrivals.clear()

    @property
    def next_moment(self) -> int | None:
        """When :meth:`play` has something to do; None: never again."""
        moments = [arrival.next_moment - _AHEAD // 2 for arrival in self._arrivals]
        if self._steps:
            moments.append(self._moment(self._steps[0]))
        return min(moments, default=None)

    def _moment(self, step: Step) -> int:
        return self._begun + round(step.at * _US)

    def _is_due(self, now: int) -> bool:
        return bool(self._steps) and self._moment(self._steps[0]) <= now

    def _come_in(self, until: int, limit: int) -> int:
        """Let those come in whose moment is before ``until``, ``limit`` at most; how many."""
        came = 0
        for arrival in self._arrivals:
            came += arrival.come_in(self._fleet, until, limit - came)
        if came:
            self._arrivals = [each for each in self._arrivals if each.done < each.count]
        return came

    def _go_on(self, limit: int) -> int:
        """Do the first step to ``limit`` more of its rows at most; to how many."""
        step, fleet = self._steps[0], self._fleet
        moment = self._moment(step)
        spread = None if step.seconds is None else round(step.seconds * _US)
        if _is_arrival(step):
            self._arrivals.append(_Arrival(step.first, step.count, moment, spread or 1))
            self._steps.popleft()
            return 0
        some = min(limit, step.count - self._done)
        first, place = step.first + self._done, self._done
        if step.action == "start":
            fleet.start(first, some, moment, spread, place=place, of=step.count)
        elif step.action == "stop":
            fleet.stop(first, some)
        elif step.action == "interval":
            fleet.set_poll_interval(first, some, max(1, spread or 0))
            # Their next polls are planned by the old interval; they do not wait for those.
            fleet.start(first, some, moment, None, place=place, of=step.count)
        else:
            fleet.poll_at(first, some, moment)
        self._done += some
        if self._done == step.count:
            self._steps.popleft()
            self._done = 0
        return some


def _is_arrival(step: Step) -> bool:
    return step.action == "start" and bool(step.seconds)
