"""Points of a series are what was added in a step; saturation is read from them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from results import histogram

from oadr2.fleet.saturation import plan_limit_of, saturation_of
from oadr2.fleet.series import Point, SeriesRecorder, merge_series, step_for
from oadr2.fleet.snapshot import Snapshot


def snapshot(elapsed: float, polls: int, latencies: list[int], **more: object) -> Snapshot:
    return Snapshot(
        at=1000 + elapsed,
        elapsed=elapsed,
        vens=10,
        vens_active=more.pop("vens_active", 5),  # type: ignore[arg-type]
        connections=2,
        counters={"polls": polls, "late": 0},
        errors={"dns": polls // 10} if polls >= 10 else {},
        latency={"request_event": histogram(latencies)},
        latency_from_intended={},
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("duration", "step"), [(1, 1), (300, 1), (301, 2), (3600, 15), (86_400, 300), (10**9, 3600)]
)
def test_a_run_has_no_more_than_300_points(duration: float, step: int) -> None:
    assert step_for(duration) == step


def test_points_hold_what_was_added() -> None:
    recorder = SeriesRecorder(1)
    recorder.add(snapshot(1.0, 10, [5, 6], cpu_s=0.5))
    recorder.note(snapshot(1.5, 15, [5, 6, 7], loop_lag=0.3))
    recorder.add(snapshot(2.25, 40, [5, 6, 7, 8], cpu_s=0.75))
    recorder.finish(snapshot(2.5, 40, [5, 6, 7, 8]))  # nothing new: no point
    first, second = recorder.points
    assert (first.t, first.seconds, first.counters["polls"], first.errors) == (
        1,
        1.0,
        10,
        {"dns": 1},
    )
    assert (second.t, second.seconds, second.counters["polls"], second.errors) == (
        2,
        1.25,
        30,
        {"dns": 3},
    )
    assert second.latency.recorded() == histogram([7, 8]).recorded()
    assert (second.loop_lag, second.cpu_s) == (0.3, 0.25)
    recorder.finish(snapshot(2.8, 41, [5, 6, 7, 8, 9]))
    assert (recorder.points[2].t, recorder.points[2].counters["polls"]) == (3, 1)


def test_a_short_rest_belongs_to_the_step_before_it() -> None:
    recorder = SeriesRecorder(1)
    recorder.add(snapshot(1.0, 10, [5]))
    recorder.finish(snapshot(1.25, 12, [5, 6], vens_active=0))
    (point,) = recorder.points
    assert (point.t, point.seconds, point.vens_active) == (1, 1.25, 5)
    assert point.counters["polls"] == 12
    assert point.latency.recorded() == histogram([5, 6]).recorded()


def test_a_point_reads_back() -> None:
    recorder = SeriesRecorder(1)
    recorder.add(snapshot(1.0, 10, [5, 6], cpu_s=0.5))
    (point,) = recorder.points
    assert Point.from_dict(point.to_dict()) == point


def test_series_are_aligned_by_time() -> None:
    long = [Point(t, 1.0, counters={"polls": t}) for t in (1, 2, 3)]
    short = [Point(t, 1.0, counters={"polls": 10 * t}) for t in (1, 2)]
    assert [point.counters["polls"] for point in merge_series([short, long])] == [11, 22, 3]


def test_a_generator_that_keeps_up_is_not_saturated() -> None:
    points = [Point(t, 1.0, cpu_s=0.9) for t in range(1, 11)]
    assert list(saturation_of(snapshot(10.0, 1000, [5]), points, 1)) == []


def test_every_sign_of_saturation() -> None:
    busy = [Point(t, 1.0, cpu_s=0.99 if t < 3 else 0.1) for t in range(1, 11)]
    slow = snapshot(10.0, 1000, [5], schedule_lag=histogram([250_000] * 1001))
    late = replace(slow, counters={"polls": 1000, "late": 11})
    reasons = list(saturation_of(late, busy, 1))
    assert reasons[0] == "11 polls were late, 1,000 were sent"
    assert "250 ms after they were due" in reasons[1]
    assert reasons[2] == "a process used its whole core in 2 of 10 steps of 1 s"


def test_a_few_late_polls_say_nothing() -> None:
    few = snapshot(10.0, 100, [5], schedule_lag=histogram([250_000] * 1000))
    assert list(saturation_of(replace(few, counters={"polls": 100, "late": 10}), (), 1)) == []


def test_polls_that_waited_for_a_connection_do_not_count_against_the_process() -> None:
    slow = snapshot(10.0, 1000, [5], schedule_lag=histogram([250_000] * 1001))
    late = replace(slow, counters={"polls": 1000, "late": 42, "late_by_plan": 31})
    assert list(saturation_of(late, (), 1)) == ["11 polls were late, 1,000 were sent"]
    assert list(plan_limit_of(late, 20)) == [
        "31 of 42 late polls waited for a connection: all 20 of the pool were in use"
    ]
    assert list(plan_limit_of(late, None)) == [
        "31 of 42 late polls waited for a connection: 1,000 were being opened at a time, and no more are"
    ]
    mixed = replace(slow, counters={"polls": 1000, "late": 41, "late_by_plan": 10})
    assert list(plan_limit_of(mixed, 20)) == []
    assert len(list(saturation_of(mixed, (), 1))) == 2


def test_a_machine_with_other_work_is_named_beside_a_sign_and_not_without() -> None:
    late = snapshot(60.0, 1000, [5], core_wait_s=6.0)
    late = replace(late, counters={"polls": 1000, "late": 20})
    assert list(saturation_of(late, (), 1)) == [
        "20 polls were late, 1,000 were sent",
        "it waited 6.0 s of 60 s for a core: the machine had other work",
    ]
    assert len(list(saturation_of(replace(late, core_wait_s=1.0), (), 1))) == 1
    assert list(saturation_of(replace(late, counters={"polls": 1000}), (), 1)) == []
