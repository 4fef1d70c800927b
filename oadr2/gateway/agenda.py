"""Which point wants to be looked at next: :class:`Agenda`."""

from __future__ import annotations

import heapq
from math import inf

from oadr2.gateway.live_point import LivePoint


class Agenda:
    """The deadlines of points, the earliest first.

    A point whose deadline moves to an earlier moment is put in once more; its older entry is passed
    over when it comes up.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, LivePoint]] = []
        self._entries = 0

    @property
    def next_due(self) -> float:
        """When :meth:`take` may find something; ``inf``: never."""
        return self._heap[0][0] if self._heap else inf

    def put(self, live: LivePoint) -> bool:
        """Have the point looked at when it wants to be, which is before ``live.due``; whether it is
        the next one now."""
        live.due = live.point.deadline
        self._entries += 1
        heapq.heappush(self._heap, (live.due, self._entries, live))
        return self._heap[0][2] is live

    def take(self, now: float) -> LivePoint | None:
        """A point that is due, taken out; None: there is none."""
        while self._heap and self._heap[0][0] <= now:
            due, _, live = heapq.heappop(self._heap)
            if due == live.due:
                live.due = inf
                return live
        return None
