"""What must hold at the end of a load test: ``p99 < 500ms``, ``errors < 0.1%``.

A threshold is ``METRIC [STATISTIC] OPERATOR LIMIT``. ``METRICS`` has every metric with its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threshold:
    """One condition. ``figure`` is the key among a result's figures; ``limit`` is in its unit."""

    text: str
    figure: str
    operator: str
    limit: float
