"""A simulated quantity that follows its target slowly, as a temperature does."""

from __future__ import annotations

import math


class FirstOrder:
    """A quantity that approaches its target by 63 % in each time constant.

    Args:
        value: where it starts, and its first target.
        time_constant: seconds; 0 follows at once.
    """

    def __init__(self, value: float, time_constant: float) -> None:
        self.time_constant = time_constant
        self.target = value
        self._from = value
        self._since = 0.0

    def at(self, now: float) -> float:
        """Its value at ``now``, in seconds of any clock."""
        if self.time_constant <= 0:
            return self.target
        gone = math.exp(-(now - self._since) / self.time_constant)
        return self.target + (self._from - self.target) * gone

    def aim(self, target: float, now: float) -> None:
        """Give it a new target."""
        self._from, self._since, self.target = self.at(now), now, target
