"""Stages as steps: which rows do what, and when."""

from __future__ import annotations

from itertools import pairwise

import pytest

from oadr2.fleet.row_groups import RowGroup
from oadr2.fleet.scenario import Stage
from oadr2.fleet.stages import Step, steps

ONE = (RowGroup(0, 100, 10.0),)


def test_a_run_begins_as_if_all_vens_had_polled_for_ever() -> None:
    assert steps([Stage("hold", 60)], ONE) == (Step(0.0, "start", 0, 100, None),)


def test_a_run_that_begins_with_a_herd_has_all_at_once() -> None:
    assert steps([Stage("herd", 60)], ONE) == (
        Step(0.0, "start", 0, 100, 0.0),
        Step(0.0, "herd", 0, 100),
    )


def test_ramps_go_on_from_one_another() -> None:
    stages = [Stage("ramp", 20, vens=0.25), Stage("hold", 5), Stage("ramp", 30, vens=1.0)]
    assert steps(stages, ONE) == (
        Step(0.0, "start", 0, 25, 20.0),
        Step(25.0, "start", 25, 75, 30.0),
    )


def test_a_ramp_takes_its_share_of_each_group() -> None:
    groups = (RowGroup(0, 100, 10.0), RowGroup(100, 10, 5.0))
    assert steps([Stage("ramp", 20, vens=0.5)], groups) == (
        Step(0.0, "start", 0, 50, 20.0),
        Step(0.0, "start", 100, 5, 20.0),
    )


@pytest.mark.parametrize(("count", "duration"), [(100, 2.0), (3, 60.0), (1000, 0.05)])
def test_a_ramp_downwards_stops_every_ven_once_and_evenly(count: int, duration: float) -> None:
    group = RowGroup(7, count, 10.0)
    found = [
        step
        for step in steps([Stage("hold", 5), Stage("ramp", duration, vens=0.0)], [group])
        if step.action == "stop"
    ]
    rows = [row for step in found for row in range(step.first, step.first + step.count)]
    assert sorted(rows) == list(range(7, 7 + count))
    assert len(rows) == len(set(rows))
    assert found[-1].at == pytest.approx(5 + duration)
    gaps = [after.at - before.at for before, after in pairwise(found)]
    assert all(gap == pytest.approx(duration / len(found)) for gap in gaps)
    largest, smallest = max(step.count for step in found), min(step.count for step in found)
    assert largest - smallest <= 1


def test_a_spike_ends_where_the_next_stage_begins() -> None:
    stages = [Stage("hold", 10), Stage("spike", 5, factor=4.0), Stage("hold", 10)]
    assert steps(stages, ONE)[1:] == (
        Step(10.0, "interval", 0, 100, 2.5),
        Step(15.0, "interval", 0, 100, 10.0),
    )


def test_a_herd_is_of_those_that_poll() -> None:
    stages = [Stage("ramp", 10, vens=0.3), Stage("herd", 5)]
    assert steps(stages, ONE)[-1] == Step(10.0, "herd", 0, 30)


def test_steps_are_in_the_order_of_time() -> None:
    stages = [Stage("spike", 5), Stage("ramp", 3, vens=0.1), Stage("herd", 1), Stage("ramp", 3)]
    moments = [step.at for step in steps(stages, [RowGroup(0, 50, 1.0), RowGroup(50, 50, 3.0)])]
    assert moments == sorted(moments)
