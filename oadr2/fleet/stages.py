"""What a scenario's stages do to the VENs, and when: open loop, known before the run begins.

The moments do not depend on what the VTN answers or how fast. Which VEN begins when within a ramp, and
the jitter of every poll, come from the engine's seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from oadr2.fleet.row_groups import RowGroup
from oadr2.fleet.scenario import Stage

Action: TypeAlias = Literal["start", "stop", "interval", "herd"]

_SLICE = 0.1  # seconds between two steps of a ramp downwards


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done to ``count`` rows from ``first`` on, ``at`` seconds after the run's begin.

    ``start``: they begin to poll, spread over ``seconds``; None: they go on as if they had polled for ever.
    ``stop``: they stop. ``interval``: they poll every ``seconds`` from now on, as if they always had.
    ``herd``: all poll at this moment.
    """

    at: float
    action: Action
    first: int
    count: int
    seconds: float | None = 0.0


def steps(stages: Iterable[Stage], groups: Sequence[RowGroup]) -> tuple[Step, ...]:
    """All steps of a run in the order of time.

    A run that does not begin with a ramp begins with all VENs, as if they had polled for ever; a herd has
    them all at once.
    """
    found: list[Step] = []
    share, at = 0.0, 0.0
    for number, stage in enumerate(stages):
        if number == 0 and stage.kind != "ramp":
            found += _begin_all(groups, stage)
            share = 1.0
        if stage.kind == "ramp":
            for group in groups:
                found += _ramp(group, at, stage.duration, share, stage.vens)
            share = stage.vens
        elif stage.kind == "spike":
            for group in groups:
                count = _rows(group, share)
                found += [
                    Step(at, "interval", group.first, count, group.poll_interval / stage.factor),
                    Step(at + stage.duration, "interval", group.first, count, group.poll_interval),
                ]
        elif stage.kind == "herd":
            found += [Step(at, "herd", group.first, _rows(group, share)) for group in groups]
        at += stage.duration
    return tuple(sorted((step for step in found if step.count), key=lambda step: step.at))


def _rows(group: RowGroup, share: float) -> int:
    return round(group.count * share)


def _begin_all(groups: Sequence[RowGroup], stage: Stage) -> Iterator[Step]:
    for group in groups:
        yield Step(0.0, "start", group.first, group.count, 0.0 if stage.kind == "herd" else None)


def _ramp(
    group: RowGroup, at: float, duration: float, before: float, after: float
) -> Iterator[Step]:
    low, high = sorted((_rows(group, before), _rows(group, after)))
    if after >= before:
        yield Step(at, "start", group.first + low, high - low, duration)
        return
    slices = max(1, min(high - low, int(duration / _SLICE)))
    end = high
    for number in range(slices):  # the last ones go first, evenly
        begin = high - (high - low) * (number + 1) // slices
        yield Step(at + duration * (number + 1) / slices, "stop", group.first + begin, end - begin)
        end = begin
