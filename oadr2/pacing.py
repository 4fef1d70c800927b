"""When to try next: a steady rate of polls with jitter, and back-off while the VTN fails.

No clock and no sleep in here: times are floats of whatever clock the caller reads, in seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable

# Every tenth good poll earns back one quick retry, so that a VTN that fails again and again is
# polled at most a tenth more often than configured.
_EARNED_PER_GOOD_POLL = 0.1


class BackOff:
    """How long to wait after a failure: a random time below ``base * 2**(failures - 1)`` seconds.

    At most ``longest`` (full jitter, so that VENs cut off together do not come back together).
    """

    def __init__(
        self, base: float, longest: float, random: Callable[[], float] = random.random
    ) -> None:
        self.base = base
        self.longest = longest
        self.failures = 0
        self._random = random

    def failed(self) -> float:
        """Count a failure; the seconds to wait before the next try."""
        self.failures += 1
        return self.delay()

    def succeeded(self) -> None:
        """Begin anew."""
        self.failures = 0

    def delay(self) -> float:
        """A random wait, in seconds, after the failures so far."""
        doublings = min(self.failures - 1, 64)  # beyond it the product may overflow
        return self._random() * min(self.longest, self.base * 2.0**doublings)


class PollPacing:
    """The times of the polls of one VEN (facts.md L02, L08).

    Good polls sit on a grid: ``first + k * interval``, each delayed by up to ``jitter * interval``.
    The delay does not add up, so the rate is the configured one on average and never drifts; slots
    missed by a slow VTN are skipped, never caught up.

    A failed poll is tried again after a random time below ``back_off_base * 2**(failures - 1)``, at
    most ``back_off_max`` (full jitter). Tries before the next slot of the grid are extra polls;
    there are ``quick_retries`` of them, earned back slowly by good polls. When they are used up, a
    failed poll waits for its slot like any other. After a success polling returns to the grid.
    """

    def __init__(
        self,
        interval: float,
        *,
        jitter: float,
        back_off_base: float,
        back_off_max: float,
        min_interval: float,
        retry_after_max: float,
        quick_retries: int = 3,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.interval = interval
        self.jitter = jitter
        self.min_interval = min_interval
        self.retry_after_max = retry_after_max
        self.quick_retries = quick_retries
        self._back_off = BackOff(back_off_base, back_off_max, random)
        self._random = random
        self._first: float | None = None
        self._purse = float(quick_retries)

    @property
    def failures(self) -> int:
        """Polls that failed since the last one that did not."""
        return self._back_off.failures

    def succeeded(self, started: float, now: float) -> float:
        """The time of the next poll after one that began at ``started`` and went well."""
        self._back_off.succeeded()
        self._purse = min(self.quick_retries, self._purse + _EARNED_PER_GOOD_POLL)
        return self._next_slot(started, now)

    def failed(self, started: float, now: float, retry_after: float | None = None) -> float:
        """The time of the next poll after one that brought no list of events."""
        slot = self._next_slot(started, now)
        at = now + max(self._back_off.failed(), self._asked(retry_after))
        if at < slot:
            at = self._quick(at, slot)
        return max(at, started + self.min_interval)

    def unanswered(self, started: float, now: float, retry_after: float | None = None) -> float:
        """The time of the next poll after one whose list came but whose answer could not be sent.

        This only ever brings the next poll forward: a VTN that takes no answers still gets its
        events executed in time.
        """
        self._back_off.succeeded()
        slot = self._next_slot(started, now)
        asked = self._asked(retry_after)
        at = now + max(self._back_off.failed(), asked)
        at = self._quick(at, slot) if at < slot else max(slot, now + asked)
        return max(at, started + self.min_interval)

    def _quick(self, at: float, slot: float) -> float:
        if self._purse < 1:
            return slot
        self._purse -= 1
        return at

    def _next_slot(self, started: float, now: float) -> float:
        if self._first is None:
            self._first = started
        # Half an interval, so that a retry that went well is not followed at once by the next slot.
        earliest = max(now, started + self.interval / 2)
        slot = (earliest - self._first) // self.interval + 1
        late = self._random() * self.jitter
        return max(self._first + (slot + late) * self.interval, started + self.min_interval)

    def _asked(self, retry_after: float | None) -> float:
        return 0.0 if retry_after is None else min(retry_after, self.retry_after_max)
