"""Was the generator itself the bottleneck? Then the run says little about the VTN."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from oadr2.fleet.series import Point
from oadr2.fleet.snapshot import Snapshot

LATE_SHARE: Final = 0.001
"""More late polls than this share of all: the generator did not keep its schedule."""

FEW: Final = 10
"""So few polls say nothing: any machine is busy with something else for a moment."""

LAG_US: Final = 100_000
"""A 99th percentile of the schedule's lag above this."""

BUSY: Final = 0.95
"""A process that used more of its core than this in a step was busy all the time."""

BUSY_STEPS: Final = 0.1
"""So many busy steps are too many."""


def saturation_of(
    snapshot: Snapshot, series: Sequence[Point], step: int, *, pool: int | None = None
) -> Iterator[str]:
    """Each sign that one process was at its limit, as a sentence with the figure.

    ``pool`` is how many connections it had to share, None when each VEN had its own.
    """
    late = list(_late(snapshot))
    yield from late
    used = max((point.connections for point in series), default=snapshot.connections)
    if late and pool is not None and used >= pool:
        yield f"all {pool} connections of the pool were in use: a larger pool may help"
    busy = sum(point.cpu_s > BUSY * point.seconds for point in series)
    if busy > BUSY_STEPS * max(len(series), 1):
        yield f"a process used its whole core in {busy} of {len(series)} steps of {step} s"


def _late(snapshot: Snapshot) -> Iterator[str]:
    polls, late = snapshot.counters.get("polls", 0), snapshot.counters.get("late", 0)
    if late > LATE_SHARE * polls and late > FEW:
        yield f"{late:,} polls were late, {polls:,} were sent"
    lag = snapshot.schedule_lag.percentile(99)
    if lag > LAG_US and snapshot.schedule_lag.count > 100 * FEW:
        yield f"1 % of the polls were sent more than {lag / 1000:.0f} ms after they were due"
