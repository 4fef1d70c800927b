"""Results that were never run, with figures to recognise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from oadr2._core.histogram import Histogram
from oadr2.fleet.result import Result
from oadr2.fleet.scenario import Group, Scenario, Stage
from oadr2.fleet.scenario_text import scenario_text
from oadr2.fleet.series import Point
from oadr2.fleet.thresholds import parse_threshold

SCENARIO = Scenario(
    (Group(1000),),
    (Stage("ramp", 10.0), Stage("hold", 20.0)),
    name="<evening> & peak",
    vtn_url="https://vtn.example",
)


def histogram(values: Iterable[int]) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


def a_result(part: int = 0, shards: int = 1, *, thresholds: Iterable[str] = ()) -> Result:
    """A part of a run of 30 s with a timeout and two refusals in every step."""
    points = tuple(
        Point(
            t=t,
            seconds=1.0,
            vens_active=min(500, 50 * t),
            connections=20,
            counters={"polls": 50, "exchanges": 60, "late": int(t == 20)},
            errors={"timeout": 1, "http_5xx": 2},
            latency=histogram(range(1000 * t + part, 1000 * t + 6000, 100)),
            loop_lag=t / 1000,
            cpu_s=0.2,
        )
        for t in range(1, 31)
    )
    whole = histogram(range(1000 + part, 37_000, 20))
    read = tuple(parse_threshold(text) for text in thresholds)
    return Result(
        scenario=scenario_text(replace(SCENARIO, thresholds=read)),
        name=SCENARIO.name,
        shards=shards,
        parts=(part,),
        vtn="https://vtn.example",
        started_at=1_700_000_000.25 + part,
        duration_s=30.0,
        vens=500,
        counters={"polls": 1500, "exchanges": 1800, "late": 1, "events_applied": 500},
        errors={"timeout": 30, "http_5xx": 60},
        latency={"request_event": whole, "created_event": histogram([900, 1100])},
        latency_from_intended={"request_event": histogram(range(2000, 40_000, 20))},
        propagation={
            "seen": histogram(range(0, 10_000_000, 20_000)),
            "acknowledged": histogram(range(5000, 10_005_000, 20_000)),
        },
        schedule_lag=histogram(range(100)),
        rss_bytes=60_000_000,
        rss_bytes_before_vens=50_000_000,
        cpu_s=6.0,
        step=1,
        series=points,
        thresholds=read,
        environment=({"host": f"machine-{part}", "python": "3.11.7"},),
    )
