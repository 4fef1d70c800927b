"""What a load test found, as everybody reads it: the JSON document, and how parts become a whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from oadr2._core.histogram import Histogram
from oadr2.errors import ConfigurationError
from oadr2.fleet.saturation import plan_limit_of, saturation_of
from oadr2.fleet.series import Point, merge_series
from oadr2.fleet.snapshot import Snapshot, sum_by_name, sum_counts, sum_of
from oadr2.fleet.thresholds import METRICS, STATISTICS, Threshold, parse_threshold
from oadr2.whole_file import read_whole

FORMAT: Final = 1
"""Raised when the document changes in a way that older readers would misread."""

# Errors of exchanges that got no answer; the others are counted among the answered exchanges, too.
UNANSWERED: Final = frozenset({"dns", "connect", "tls", "timeout", "closed"})

_PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one threshold; ``value`` is in its unit, None when nothing was measured."""

    threshold: Threshold
    value: float | None
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        value = None if self.value is None else round(self.value, 6)
        unit = self.threshold.unit
        return {
            "threshold": self.threshold.text,
            "value": value,
            "limit": self.threshold.limit,
            "unit": unit,
            "passed": self.passed,
        }


@dataclass(frozen=True, slots=True)
class Result:
    """A load test, or a part of one, after its end.

    Attributes:
        scenario: the scenario as TOML, whole: two parts of a run have the same.
        name: the scenario's.
        shards: how many parts the run was cut into; ``parts``: which of them are in here, from 0.
        vtn: the VTN's address, or "simulated".
        started_at: seconds since the epoch; duration_s: from there to the end.
        interrupted: it was ended before its time.
        step: seconds of a point in ``series``.
        saturation: why the generator was itself the bottleneck, in sentences; empty: it was not.
        plan_limit: how the plan of connections held polls back, in sentences; empty: it did not.
        environment: one entry for each process: host, processor, versions.

    The other attributes are those of :class:`oadr2.fleet.snapshot.Snapshot` at the end.
    """

    scenario: str
    name: str
    shards: int
    parts: tuple[int, ...]
    vtn: str
    started_at: float
    duration_s: float
    vens: int
    counters: Mapping[str, int]
    errors: Mapping[str, int]
    latency: Mapping[str, Histogram]
    latency_from_intended: Mapping[str, Histogram]
    propagation: Mapping[str, Histogram]
    schedule_lag: Histogram
    rss_bytes: int
    rss_bytes_before_vens: int
    cpu_s: float
    step: int
    series: tuple[Point, ...]
    thresholds: tuple[Threshold, ...] = ()
    saturation: tuple[str, ...] = ()
    plan_limit: tuple[str, ...] = ()
    environment: tuple[Mapping[str, Any], ...] = ()
    interrupted: bool = False

    def counter(self, name: str) -> int:
        """A counter, 0 when nothing was counted."""
        return self.counters.get(name, 0)

    def rate(self, name: str) -> float:
        """A counter a second over the whole run."""
        return self.counter(name) / self.duration_s if self.duration_s > 0 else 0.0

    @property
    def attempts(self) -> int:
        """Exchanges begun: answered ones and those that got no answer."""
        failed = sum(count for name, count in self.errors.items() if name in UNANSWERED)
        return self.counter("exchanges") + failed + self.unanswered

    @property
    def unanswered(self) -> int:
        """Exchanges that the VTN had not answered long after the time was up; an interrupted run
        does not wait for them, and says nothing of it.
        """
        return 0 if self.interrupted else self.counter("abandoned")

    @property
    def failed(self) -> int:
        """Exchanges that came to nothing: errors of every class, and those never answered."""
        return sum(self.errors.values()) + self.unanswered

    def durations(self, metric: str) -> Histogram:
        """The histogram behind a metric of kind ``duration``; see ``thresholds.METRICS``."""
        if metric == "latency":
            return sum_of(self.latency.values())
        if metric == "intended":
            return sum_of(self.latency_from_intended.values())
        if metric == "schedule_lag":
            return self.schedule_lag
        return self.propagation.get("seen" if metric == "propagation" else metric, Histogram())

    def value_of(self, threshold: Threshold) -> float | None:
        """What the threshold is about, in its unit; None when nothing was measured."""
        metric = METRICS[threshold.metric]
        if metric.kind == "duration":
            histogram = self.durations(threshold.metric)
            if not histogram.count:
                return None
            percent = STATISTICS[threshold.statistic]
            us = histogram.mean if percent is None else histogram.percentile(percent)
            return us / 1000
        if metric.kind == "rate":
            return self.rate(threshold.metric.removesuffix("_per_second"))
        if threshold.metric != "errors":
            value = self.counter(threshold.metric)
        elif threshold.error_class:
            value = self.errors.get(threshold.error_class, 0)
        else:
            value = self.failed
        if threshold.unit != "%":
            return float(value)
        whole = self.attempts if metric.share_of == "attempts" else self.counter(metric.share_of)
        return 100 * value / whole if whole else None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What became of each threshold."""
        found = []
        for threshold in self.thresholds:
            value = self.value_of(threshold)
            found.append(Verdict(threshold, value, threshold.holds(value)))
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """The JSON document; docs/load-testing.md explains its keys."""
        started = datetime.fromtimestamp(self.started_at, UTC)
        return {
            "format": FORMAT,
            "name": self.name,
            "vtn": self.vtn,
            "started_at": started.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "vens": self.vens,
            "duration_s": round(self.duration_s, 6),
            "polls": self.counter("polls"),
            "exchanges": self.counter("exchanges"),
            "exchanges_per_second": round(self.rate("exchanges"), 3),
            "polls_per_second": round(self.rate("polls"), 3),
            "events_applied": self.counter("events_applied"),
            "replies_sent": self.counter("replies_sent"),
            "registrations": self.counter("registrations"),
            "reports_sent": self.counter("reports_sent"),
            "opts_sent": self.counter("opts_sent"),
            "errors": dict(sorted(self.errors.items())),
            "late": self.counter("late"),
            "latency_ms": percentiles_ms(self.durations("latency")),
            "latency_from_intended_ms": percentiles_ms(self.durations("intended")),
            "propagation_ms": percentiles_ms(self.durations("propagation")),
            "acknowledged_ms": percentiles_ms(self.durations("acknowledged")),
            "schedule_lag_ms": percentiles_ms(self.schedule_lag),
            "latency_by_message_ms": {
                kind: percentiles_ms(histogram) for kind, histogram in self.latency.items()
            },
            "rss_bytes": self.rss_bytes,
            "rss_bytes_before_vens": self.rss_bytes_before_vens,
            "cpu_s": round(self.cpu_s, 3),
            "generator_saturated": bool(self.saturation),
            "saturation": list(self.saturation),
            "plan_limit": list(self.plan_limit),
            "thresholds": [verdict.to_dict() for verdict in self.verdicts],
            "interrupted": self.interrupted,
            "shards": {"count": self.shards, "parts": list(self.parts)},
            "scenario": self.scenario,
            "environment": [dict(entry) for entry in self.environment],
            "counters": dict(self.counters),
            "histograms_us": {
                "latency": _to_dicts(self.latency),
                "latency_from_intended": _to_dicts(self.latency_from_intended),
                "propagation": _to_dicts(self.propagation),
                "schedule_lag": self.schedule_lag.to_dict(),
            },
            "series": {"step_s": self.step, "points": [point.to_dict() for point in self.series]},
        }

    def to_json(self) -> str:
        """The JSON document as text: its head one key a line, the histograms in one line each."""
        lines = [
            f"  {json.dumps(key)}: {_value_text(key, value)}"
            for key, value in self.to_dict().items()
        ]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """What :meth:`to_dict` wrote. Raises KeyError, TypeError or ValueError when it did not."""
        histograms = data["histograms_us"]
        return cls(
            scenario=str(data["scenario"]),
            name=str(data["name"]),
            shards=int(data["shards"]["count"]),
            parts=tuple(int(part) for part in data["shards"]["parts"]),
            vtn=str(data["vtn"]),
            started_at=datetime.fromisoformat(data["started_at"]).timestamp(),
            duration_s=float(data["duration_s"]),
            vens=int(data["vens"]),
            counters={str(name): int(count) for name, count in data["counters"].items()},
            errors={str(name): int(count) for name, count in data["errors"].items()},
            latency=_from_dicts(histograms["latency"]),
            latency_from_intended=_from_dicts(histograms["latency_from_intended"]),
            propagation=_from_dicts(histograms["propagation"]),
            schedule_lag=Histogram.from_dict(histograms["schedule_lag"]),
            rss_bytes=int(data["rss_bytes"]),
            rss_bytes_before_vens=int(data["rss_bytes_before_vens"]),
            cpu_s=float(data["cpu_s"]),
            step=int(data["series"]["step_s"]),
            series=tuple(Point.from_dict(point) for point in data["series"]["points"]),
            thresholds=tuple(parse_threshold(entry["threshold"]) for entry in data["thresholds"]),
            saturation=tuple(str(reason) for reason in data["saturation"]),
            plan_limit=tuple(str(reason) for reason in data["plan_limit"]),
            environment=tuple(dict(entry) for entry in data["environment"]),
            interrupted=bool(data["interrupted"]),
        )


def percentiles_ms(histogram: Histogram) -> dict[str, float] | None:
    """``p50``, ``p90``, ``p99``, ``p999`` and ``max`` in milliseconds; None when nothing is in it."""
    if not histogram.count:
        return None
    found = {name: histogram.percentile(p) / 1000 for name, p in _PERCENTILES.items()}
    return found | {"max": histogram.max / 1000}


def result_of(
    snapshot: Snapshot,
    *,
    duration: float,
    scenario: str,
    name: str,
    shard: tuple[int, int],
    vtn: str,
    thresholds: tuple[Threshold, ...],
    step: int,
    series: Sequence[Point],
    environment: Mapping[str, Any],
    interrupted: bool,
    pool: int | None = None,
) -> Result:
    """The result of one process's part, from its last snapshot; ``duration`` is the planned one.

    ``pool`` is how many connections the part had to share, None when each VEN had its own.
    Rates count from the begin to the planned end: what was under way then may take some seconds more.
    """
    return Result(
        scenario=scenario,
        name=name,
        shards=shard[1],
        parts=(shard[0],),
        vtn=vtn,
        started_at=snapshot.at - snapshot.elapsed,
        duration_s=min(snapshot.elapsed, duration),
        vens=snapshot.vens,
        counters=snapshot.counters,
        errors=snapshot.errors,
        latency=snapshot.latency,
        latency_from_intended=snapshot.latency_from_intended,
        propagation=snapshot.propagation,
        schedule_lag=snapshot.schedule_lag,
        rss_bytes=snapshot.rss_bytes,
        rss_bytes_before_vens=snapshot.rss_bytes_before_vens,
        cpu_s=snapshot.cpu_s,
        step=step,
        series=tuple(series),
        thresholds=thresholds,
        saturation=tuple(saturation_of(snapshot, series, step)),
        plan_limit=tuple(plan_limit_of(snapshot, pool)),
        environment=(environment,),
        interrupted=interrupted,
    )


def read_result(path: str | Path) -> Result:
    """Read a document that ``--json`` wrote. Raises ConfigurationError, in one line."""
    try:
        data = json.loads(read_whole(path).decode("utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: no JSON document: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"{path}: no result of oadr2 fleet --json") from None
    if not isinstance(data, dict) or "format" not in data:
        raise ConfigurationError(f"{path}: no result of oadr2 fleet --json")
    if data["format"] != FORMAT:
        raise ConfigurationError(
            f"{path}: its format is {data['format']}, this oadr2 reads format {FORMAT}"
        )
    try:
        result = Result.from_dict(data)
    except KeyError as error:
        raise ConfigurationError(f"{path}: {error} is missing: it was cut or changed") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path}: it was changed or damaged: {error}") from None
    if not result.parts or not all(0 <= part < result.shards for part in result.parts):
        parts = ", ".join(map(str, result.parts)) or "none"
        raise ConfigurationError(
            f"{path}: it was changed or damaged: it has the parts {parts} of {result.shards}"
        )
    return result


def _no_number(text: str) -> None:
    """JSON has no NaN and no Infinity, and no figure of a run is one."""
    raise ValueError(f"{text} is no number")


def merge_results(parts: Sequence[tuple[str, Result]]) -> Result:
    """Parts of one run as the whole; each comes with the name that complaints call it by.

    Histograms and counters are summed, points of the series by their time; nothing is averaged.
    Raises ConfigurationError when the parts do not belong together.
    """
    (first_name, first), *others = parts
    holders = dict.fromkeys(first.parts, first_name)
    for name, part in others:
        reason = _stranger(first, part)
        if reason:
            raise ConfigurationError(f"{first_name} and {name} do not belong together: {reason}")
        for index in part.parts:
            if index in holders:
                raise ConfigurationError(
                    f"part {index} of {part.shards} is both in {holders[index]} and in {name}"
                )
            holders[index] = name
    results = [result for _, result in parts]
    start = min(result.started_at for result in results)
    reasons = [reason for result in results for reason in result.saturation]
    return Result(
        scenario=first.scenario,
        name=first.name,
        shards=first.shards,
        parts=tuple(sorted(holders)),
        vtn=first.vtn,
        started_at=start,
        duration_s=max(result.duration_s for result in results),
        vens=sum(result.vens for result in results),
        counters=sum_counts(result.counters for result in results),
        errors=sum_counts(result.errors for result in results),
        latency=sum_by_name(result.latency for result in results),
        latency_from_intended=sum_by_name(result.latency_from_intended for result in results),
        propagation=sum_by_name(result.propagation for result in results),
        schedule_lag=sum_of(result.schedule_lag for result in results),
        rss_bytes=sum(result.rss_bytes for result in results),
        rss_bytes_before_vens=sum(result.rss_bytes_before_vens for result in results),
        cpu_s=sum(result.cpu_s for result in results),
        step=first.step,
        series=merge_series([result.series for result in results]),
        thresholds=first.thresholds,
        saturation=tuple(dict.fromkeys(reasons)),
        plan_limit=tuple(dict.fromkeys(limit for result in results for limit in result.plan_limit)),
        environment=tuple(entry for result in results for entry in result.environment),
        interrupted=any(result.interrupted for result in results),
    )


def _stranger(first: Result, other: Result) -> str:
    """Why two results are no parts of one run; "" when they can be."""
    begin = max(first.started_at, other.started_at)
    end = min(first.started_at + first.duration_s, other.started_at + other.duration_s)
    reason = ""
    if first.shards != other.shards:
        reason = f"one is of a run in {first.shards} parts, the other in {other.shards}"
    elif first.scenario != other.scenario:
        reason = f"their scenarios differ{_first_difference(first.scenario, other.scenario)}"
    elif first.vtn != other.vtn:
        reason = f"their VTNs differ: {first.vtn} against {other.vtn}"
    elif first.step != other.step:
        reason = f"their series have steps of {first.step} s and {other.step} s"
    elif begin > end:
        gap = begin - end
        reason = f"they did not run together: one began {gap:.0f} s after the other had ended"
    return reason


def _first_difference(ours: str, theirs: str) -> str:
    for mine, his in zip(ours.splitlines(), theirs.splitlines(), strict=False):
        if mine != his:
            return f": {mine.strip()} against {his.strip()}"
    return " in length"


def _value_text(key: str, value: Any) -> str:
    if key in ("histograms_us", "series", "environment") and value:
        nested = value.items() if isinstance(value, dict) else None
        if nested is None:
            return "[\n" + ",\n".join(f"    {json.dumps(item)}" for item in value) + "\n  ]"
        rows = []
        for name, item in nested:
            if name == "points":
                points = ",\n".join(f"      {json.dumps(point)}" for point in item)
                rows.append(f'    "points": [\n{points}\n    ]')
            else:
                rows.append(f"    {json.dumps(name)}: {json.dumps(item)}")
        return "{\n" + ",\n".join(rows) + "\n  }"
    return json.dumps(value, allow_nan=False)


def _to_dicts(histograms: Mapping[str, Histogram]) -> dict[str, Any]:
    return {name: histogram.to_dict() for name, histogram in histograms.items()}


def _from_dicts(data: Mapping[str, Any]) -> dict[str, Histogram]:
    return {str(name): Histogram.from_dict(entry) for name, entry in data.items()}
