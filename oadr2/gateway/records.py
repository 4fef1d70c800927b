"""What happens to points, told to the log, counted, and handed to the journal: :class:`Records`."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from oadr2.gateway.journal import Journal, to_wall_clock
from oadr2.gateway.live_point import LivePoint
from oadr2.gateway.texts import record_text
from oadr2.points.point import Memory, Record

#: What happens to each point, as the audit log has it; warnings for what went wrong.
point_log = logging.getLogger("oadr2.gateway.points")

#: Alerts kept in memory, to be shown.
MOST_ALERTS: Final = 100
_DELAY: Final = 0.05
_RUSH: Final = 1000  # records; their writing would compete with the loads for the processor
_RUSH_LASTS: Final = 0.5
# Records after which what the point remembers may be something new.
_MEMORABLE: Final = frozenset({"found", "control", "write", "verified", "disobeyed", "drift"})
_WARNINGS: Final = frozenset({"failed", "disobeyed", "drift", "alert"})
_OF_DEVICE: Final = frozenset({"failed", "alert"})  # said once for all points of a device


@dataclass(frozen=True, slots=True)
class Alert:
    """A person should look; ``at`` in seconds since 1970."""

    at: float
    point: str
    reason: str


class Records:
    """Gathers what happened, and writes it when the loads have been served.

    Args:
        counts: where each kind is counted.
        clock: seconds since 1970.
        ahead: seconds by which the wall clock is ahead of the steady one.

    Attributes:
        journal: what writes the audit log; None: it is not written.
        alerts: the last of them, the oldest first.
    """

    def __init__(
        self, counts: Counter[str], clock: Callable[[], float], ahead: Callable[[], float]
    ) -> None:
        self.journal: Journal | None = None
        self.alerts: deque[Alert] = deque(maxlen=MOST_ALERTS)
        self._counts = counts
        self._clock = clock
        self._ahead = ahead
        self._waiting: list[tuple[float, LivePoint, Record]] = []

    def keep(self, live: LivePoint, record: Record, *, of_device: bool = False) -> None:
        """Something happened to this point; ``of_device``: its failures are not its own."""
        self._counts[record.kind] += 1
        name = live.settings.name
        if record.kind == "alert":
            self.alerts.append(Alert(self._clock(), name, record.reason))
        level = logging.WARNING if record.kind in _WARNINGS else logging.INFO
        if not (of_device and record.kind in _OF_DEVICE) and point_log.isEnabledFor(level):
            point_log.log(level, "%s", record_text(name, record))
        if self.journal is None:
            return
        if not self._waiting:  # later, for at the beginning of an event writes come first
            asyncio.get_running_loop().call_later(_DELAY, self._hand_over)
        self._waiting.append((self._clock(), live, record))

    def _hand_over(self) -> None:
        """Give the journal what has gathered; many at a time only when the rush is over."""
        gone = self._clock() - self._waiting[0][0] if self._waiting else 0.0
        # Below 0 the clock was set.
        if len(self._waiting) > _RUSH and 0 <= gone < _RUSH_LASTS:
            asyncio.get_running_loop().call_later(_DELAY, self._hand_over)
            return
        self.flush()

    def flush(self) -> None:
        """Give the journal what has gathered, now."""
        records, self._waiting = self._waiting, []
        if self.journal is None:
            return
        ahead = self._ahead()
        memories: dict[str, Memory] = {}
        for _, live, record in records:
            if record.kind in _MEMORABLE and live.settings.name not in memories:
                memory = live.point.memory
                if memory is not None:
                    memories[live.settings.name] = to_wall_clock(memory, ahead)
        self.journal.add(
            [(at, live.settings.name, record) for at, live, record in records], memories
        )
