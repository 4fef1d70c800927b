"""A load test over time: what happened in each step of some seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from oadr2._core.histogram import Histogram
from oadr2.fleet.snapshot import Snapshot, sum_counts, sum_of

_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_POINTS: Final = 300


def step_for(duration: float) -> int:
    """Seconds of a step, so that a run of ``duration`` seconds has no more than 300 of them."""
    for step in _STEPS_S:
        if duration <= step * _MOST_POINTS:
            return step
    return _STEPS_S[-1]


@dataclass(frozen=True, slots=True)
class Point:
    """One step.

    Attributes:
        t: its end, seconds after the begin of the run; that of the last one may come earlier.
        seconds: how long it was.
        counters, errors: what was added in it, see :class:`oadr2.fleet.snapshot.Snapshot`.
        vens_active, connections: at its end.
        latency: of the exchanges that ended in it, from the moment of sending.
        loop_lag: the worst in it, seconds.
        cpu_s: processor seconds used in it.
    """

    t: int
    seconds: float
    vens_active: int = 0
    connections: int = 0
    counters: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    loop_lag: float = 0.0
    cpu_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "t": self.t,
            "seconds": round(self.seconds, 6),
            "vens_active": self.vens_active,
            "connections": self.connections,
            **self.counters,
            "errors": dict(self.errors),
            "loop_lag_ms": round(self.loop_lag * 1000, 3),
            "cpu_s": round(self.cpu_s, 3),
            "latency_us": self.latency.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Point:
        """What :meth:`to_dict` wrote. Raises KeyError, TypeError or ValueError when it did not."""
        known = {"t", "seconds", "vens_active", "connections"}
        known |= {"errors", "loop_lag_ms", "cpu_s", "latency_us"}
        return cls(
            t=int(data["t"]),
            seconds=float(data["seconds"]),
            vens_active=int(data["vens_active"]),
            connections=int(data["connections"]),
            counters={name: int(count) for name, count in data.items() if name not in known},
            errors={str(name): int(count) for name, count in data["errors"].items()},
            latency=Histogram.from_dict(data["latency_us"]),
            loop_lag=float(data["loop_lag_ms"]) / 1000,
            cpu_s=float(data["cpu_s"]),
        )


class SeriesRecorder:
    """Makes points from snapshots: call :meth:`add` at the end of each step."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.points: list[Point] = []
        self._before: Snapshot | None = None
        self._loop_lag = 0.0

    @property
    def next_end(self) -> float:
        """When the next step ends, seconds after the begin of the run."""
        return (len(self.points) + 1) * float(self.step)

    def note(self, snapshot: Snapshot) -> None:
        """Take a snapshot within a step: its loop lag counts, for the next one will not have it."""
        self._loop_lag = max(self._loop_lag, snapshot.loop_lag)

    def add(self, snapshot: Snapshot) -> None:
        """End a step with what ``snapshot`` has more than the one before it."""
        before = self._before
        total = snapshot.latency_of_all
        self.points.append(
            Point(
                t=(len(self.points) + 1) * self.step,
                seconds=snapshot.elapsed - (before.elapsed if before else 0.0),
                vens_active=snapshot.vens_active,
                connections=snapshot.connections,
                counters=_growth(snapshot.counters, before.counters if before else {}),
                errors=_growth(snapshot.errors, before.errors if before else {}, zeros=False),
                latency=total.since(before.latency_of_all) if before else total,
                loop_lag=max(self._loop_lag, snapshot.loop_lag),
                cpu_s=snapshot.cpu_s - (before.cpu_s if before else 0.0),
            )
        )
        self._before = snapshot
        self._loop_lag = 0.0

    def finish(self, snapshot: Snapshot) -> None:
        """End the series with the last snapshot: less than half a step is added to the step before."""
        before = self._before
        if before is not None and not _news(before, snapshot):
            return
        rest = snapshot.elapsed - (before.elapsed if before else 0.0)
        self.add(snapshot)
        if rest < self.step / 2 and len(self.points) > 1:
            last = self.points.pop()
            whole = merge_series([[self.points[-1]], [replace(last, t=self.points[-1].t)]])[0]
            self.points[-1] = replace(
                whole,
                seconds=self.points[-1].seconds + last.seconds,
                vens_active=self.points[-1].vens_active,
                connections=self.points[-1].connections,
            )


def _news(before: Snapshot, after: Snapshot) -> bool:
    return after.counters != before.counters or after.errors != before.errors


def _growth(
    now: Mapping[str, int], before: Mapping[str, int], *, zeros: bool = True
) -> dict[str, int]:
    growth = {name: count - before.get(name, 0) for name, count in now.items()}
    return growth if zeros else {name: count for name, count in growth.items() if count}


def merge_series(parts: Sequence[Sequence[Point]]) -> tuple[Point, ...]:
    """Series with the same step as one: points of the same time are summed."""
    times = sorted({point.t for part in parts for point in part})
    by_time = [{point.t: point for point in part} for part in parts]
    merged = []
    for t in times:
        points = [part[t] for part in by_time if t in part]
        merged.append(
            Point(
                t=t,
                seconds=max(point.seconds for point in points),
                vens_active=sum(point.vens_active for point in points),
                connections=sum(point.connections for point in points),
                counters=sum_counts(point.counters for point in points),
                errors=sum_counts(point.errors for point in points),
                latency=sum_of(point.latency for point in points),
                loop_lag=max(point.loop_lag for point in points),
                cpu_s=sum(point.cpu_s for point in points),
            )
        )
    return tuple(merged)
