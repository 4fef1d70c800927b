"""What besides the VTN held polls back: the generator's own process, or its plan of connections.

Where the process was at its limit, the run says little about the VTN. Where the plan was, it says how
the VTN does with so many connections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from oadr2.fleet.scenario import MAX_OPENING
from oadr2.fleet.series import Point
from oadr2.fleet.snapshot import Snapshot

LATE_SHARE: Final = 0.001
"""More late polls than this share of all: the generator did not keep its schedule."""

FEW: Final = 10
"""So few polls say nothing: any machine is busy with something else for a moment."""

LAG_US: Final = 100_000
"""A 99th percentile of the schedule's lag above this."""

HELD_UP_S: Final = 1.0
"""An event loop that was late by more."""

BUSY: Final = 0.95
"""A process that used more of its core than this in a step was busy all the time."""

BUSY_STEPS: Final = 0.1
"""So many busy steps are too many."""


WAITED: Final = 0.05
"""A process that waited for a core for more of the time shared it with something else."""


def saturation_of(snapshot: Snapshot, series: Sequence[Point], step: int) -> Iterator[str]:
    """Each sign that one process was at its limit, as a sentence with the figure; and whose doing it was."""
    signs = list(_signs(snapshot, series, step))
    yield from signs
    waited = snapshot.core_wait_s
    if signs and waited > WAITED * snapshot.elapsed:
        yield f"it waited {waited:.1f} s of {snapshot.elapsed:.0f} s for a core: the machine had other work"


def _signs(snapshot: Snapshot, series: Sequence[Point], step: int) -> Iterator[str]:
    polls, late, by_plan = _counts(snapshot)
    own = late - by_plan
    if own > LATE_SHARE * polls and own > FEW:
        yield f"{own:,} polls were late, {polls:,} were sent"
    lag = snapshot.schedule_lag.percentile(99)
    if lag > LAG_US and snapshot.schedule_lag.count > 100 * FEW and by_plan <= own:
        yield f"1 % of the polls were sent more than {lag / 1000:.0f} ms after they were due"
    held_up = max((point.loop_lag for point in series), default=snapshot.loop_lag)
    if held_up > HELD_UP_S:
        yield f"a process stood still for {held_up:.1f} s at once"
    busy = sum(point.cpu_s > BUSY * point.seconds for point in series)
    if busy > BUSY_STEPS * max(len(series), 1):
        yield f"a process used its whole core in {busy} of {len(series)} steps of {step} s"


def plan_limit_of(snapshot: Snapshot, pool: int | None) -> Iterator[str]:
    """That polls waited for a connection though the process had time for them, as a sentence.

    ``pool`` is how many connections it had to share, None when each VEN had its own.
    """
    polls, late, by_plan = _counts(snapshot)
    if by_plan <= LATE_SHARE * polls or by_plan <= FEW:
        return
    waited = f"{by_plan:,} of {late:,} late polls waited for a connection"
    if pool is not None:
        yield f"{waited}: all {pool:,} of the pool were in use"
    else:
        yield f"{waited}: {MAX_OPENING:,} were being opened at a time, and no more are"


def _counts(snapshot: Snapshot) -> tuple[int, int, int]:
    counters = snapshot.counters
    return counters.get("polls", 0), counters.get("late", 0), counters.get("late_by_plan", 0)
