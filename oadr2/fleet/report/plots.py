"""The plots of the report as plain data; ``script.js`` draws them at the width they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from oadr2._core.histogram import Histogram
from oadr2.fleet.result import Result
from oadr2.fleet.scenario import Scenario
from oadr2.fleet.series import Point
from oadr2.fleet.words import span

Plot = dict[str, Any]

_PERCENTILES: Final = (
    ("p50", 50.0, "--p1"),
    ("p90", 90.0, "--p2"),
    ("p99", 99.0, "--p3"),
    ("p99.9", 99.9, "--p4"),
)
_ERROR_COLORS: Final = ("--e1", "--e2", "--e3", "--e4", "--e5")
_CURVE_POINTS: Final = 160
_POINTS_PER_TENFOLD: Final = 24


def plots_of(result: Result, scenario: Scenario | None) -> dict[str, Plot]:
    """Every plot there is something to show in, by the id of its place in the page."""
    points = result.series
    found: dict[str, Plot] = {}
    if points:
        times = _over_time(result, scenario)
        found["throughput"] = times | _throughput(points)
        found["active"] = times | _active(points)
        if any(point.latency.count for point in points):
            found["latency"] = times | _latency(points)
        if any(point.errors or point.counters.get("late") for point in points):
            found["errors"] = times | _errors(points, result.step)
    if result.durations("latency").count:
        found["distribution"] = _distribution(result)
    if result.durations("propagation").count:
        found["propagation"] = _propagation(result)
    return found


def _over_time(result: Result, scenario: Scenario | None) -> Plot:
    """What all plots over time share: the axis, the stages, the changes of events."""
    points = result.series
    bands, marks = [], []
    if scenario is not None:
        begin = 0.0
        for stage in scenario.stages:
            bands.append({"at": begin, "label": stage.kind})
            begin += stage.duration
        if result.vtn == "simulated":
            words = {"add": "announced", "modify": "changed", "cancel": "called off"}
            marks = [
                {"at": change.at, "label": f"{change.event_id} {words[change.action]}"}
                for change in scenario.events
                if change.at <= points[-1].t
            ]
    ends = [round(point.t - result.step + point.seconds, 3) for point in points[-1:]]
    xs = [*(point.t for point in points[:-1]), min(ends[0], points[-1].t)]
    return {"x": "time", "xs": xs, "range": [0, max(xs[-1], 1)], "bands": bands, "marks": marks}


def _line(name: str, color: str, values: Sequence[float | None], **more: Any) -> dict[str, Any]:
    shown = [value if value is None else round(value, 3) for value in values]
    return {"name": name, "color": color, "values": shown, **more}


def _rates(points: Sequence[Point], counter: str) -> list[float | None]:
    return [
        point.counters.get(counter, 0) / point.seconds if point.seconds > 0 else None
        for point in points
    ]


def _throughput(points: Sequence[Point]) -> Plot:
    exchanges, polls = _rates(points, "exchanges"), _rates(points, "polls")
    top = max((rate for rate in exchanges if rate is not None), default=0.0)
    return {
        "unit": "rate",
        "summary": f"Exchanges and polls a second over time, at most {top:,.0f} exchanges a second",
        "series": [
            _line("exchanges/s", "--s1", exchanges, area=True),
            _line("polls/s", "--s2", polls),
        ],
    }


def _active(points: Sequence[Point]) -> Plot:
    vens = [float(point.vens_active) for point in points]
    return {
        "unit": "count",
        "summary": f"VENs that poll and open connections over time, at most {max(vens):,.0f} VENs",
        "series": [
            _line("VENs polling", "--s3", vens, area=True),
            _line("connections", "--s2", [float(point.connections) for point in points]),
        ],
    }


def _latency(points: Sequence[Point]) -> Plot:
    def values(percent: float) -> list[float | None]:
        return [
            float(point.latency.percentile(percent)) if point.latency.count else None
            for point in points
        ]

    worst = max(point.latency.percentile(99) for point in points)
    return {
        "unit": "us",
        "y": "log",
        "labels": True,
        "summary": f"Percentiles of latency over time, p99 at worst {span(worst)}",
        "series": [_line(name, color, values(percent)) for name, percent, color in _PERCENTILES],
    }


def _errors(points: Sequence[Point], step: int) -> Plot:
    """The most frequent classes each, the rest together."""
    total: Counter[str] = Counter()
    for point in points:
        total.update(point.errors)
        total.update({"late polls": point.counters.get("late", 0)})
    ranked = [name for name, count in total.most_common() if count]
    named = ranked if len(ranked) <= len(_ERROR_COLORS) else ranked[: len(_ERROR_COLORS) - 1]
    rest = [name for name in ranked if name not in named]

    def count(name: str, point: Point) -> int:
        if name == "late polls":
            return point.counters.get("late", 0)
        return point.errors.get(name, 0)

    series = [
        _line(name, color, [float(count(name, point)) for point in points])
        for name, color in zip(named, _ERROR_COLORS, strict=False)
    ]
    if rest:
        sums = [float(sum(count(name, point) for name in rest)) for point in points]
        series.append(_line(f"{len(rest)} others", "--e6", sums))
    words = ", ".join(f"{name} {total[name]:,}" for name in ranked)
    return {
        "unit": "count",
        "stacked": True,
        "step": step,
        "summary": f"Errors by class in each {step} s: {words}",
        "series": series,
    }


def _distribution(result: Result) -> Plot:
    latency, intended = result.durations("latency"), result.durations("intended")
    most = max(latency.count, intended.count, 10)
    xs, x = [], 1.0
    while x < most:
        xs.append(x)
        x *= 10 ** (1 / _POINTS_PER_TENFOLD)
    xs.append(float(most))

    def values(histogram: Histogram) -> list[float | None]:
        return [
            float(histogram.percentile(100 * (1 - 1 / x))) if x <= histogram.count else None
            for x in xs
        ]

    series = [_line("from sending", "--s1", values(latency))]
    if intended.count:
        series.append(_line("from the intended moment", "--s2", values(intended)))
    p99 = latency.percentile(99)
    return {
        "x": "percentile",
        "xs": [round(x, 4) for x in xs],
        "range": [1, most],
        "unit": "us",
        "y": "log",
        "summary": f"Latency by percentile, p99 {span(p99)}, maximum {span(latency.max)}",
        "series": series,
    }


def _propagation(result: Result) -> Plot:
    seen, acknowledged = result.durations("propagation"), result.durations("acknowledged")
    longest = max(seen.max, acknowledged.max, 1000)
    xs = [longest * index / _CURVE_POINTS for index in range(_CURVE_POINTS + 1)]

    def values(histogram: Histogram) -> list[float | None]:
        return [100 * histogram.count_up_to(round(x)) / seen.count for x in xs]

    series = [_line("seen", "--s1", values(seen), area=True)]
    if acknowledged.count:
        series.append(_line("acknowledged", "--s3", values(acknowledged)))
    reached: Callable[[float], str] = lambda percent: span(seen.percentile(percent))  # noqa: E731
    return {
        "x": "us",
        "xs": [round(x) for x in xs],
        "range": [0, longest],
        "unit": "share",
        "top": 100,
        "summary": f"Half of the VENs had a change within {reached(50)}, 99 % within {reached(99)}",
        "series": series,
    }


def legend_of(plot: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and colour variable of each series."""
    return [(series["name"], series["color"]) for series in plot["series"]]
