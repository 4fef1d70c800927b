"""Steps done to an engine in parts: at the right moments, never too much at once, nothing forgotten."""

from __future__ import annotations

import pytest

from oadr2._core.fleet import Fleet
from oadr2.fleet.stages import Step
from oadr2.fleet.step_player import StepPlayer

SECOND = 1_000_000
BEGIN = 1_700_000_000 * SECOND
MINUTE = 60 * SECOND


def fleet_of(count: int, interval: int = 300 * SECOND) -> Fleet:
    fleet = Fleet(seed=3)
    fleet.add_group(count, poll_interval=interval)
    return fleet


def moments(fleet: Fleet) -> dict[int, int]:
    """When each row polls first."""
    found = {}
    while (due := fleet.next_due) is not None:
        for row in fleet.take_due(due, 1):
            found[row] = due
    return found


@pytest.mark.parametrize("spread", [MINUTE, 700 * SECOND, None])
def test_in_parts_or_in_one_the_polls_are_the_same(spread: int | None) -> None:
    whole, parts = fleet_of(1000), fleet_of(1000)
    whole.start(0, 1000, BEGIN, spread)
    for first, count in ((0, 1), (1, 499), (500, 500)):
        parts.start(first, count, BEGIN, spread, place=first, of=1000)
    assert moments(parts) == moments(whole)
    with pytest.raises(ValueError, match="2 rows from place 3 on are more than the 4 that come in"):
        parts.start(0, 2, BEGIN, spread, place=3, of=4)


def test_vens_of_a_ramp_are_started_as_their_moments_approach() -> None:
    fleet = fleet_of(100_000)
    player = StepPlayer(fleet, (Step(0.0, "start", 0, 100_000, 100.0),))
    player.begin(BEGIN)
    assert (player.rows_at_begin, fleet.polling) == (0, 0)
    now = BEGIN
    while (moment := player.next_moment) is not None:
        now = max(moment, now + 1000)
        player.play(now)
        came_in = 1000 * (now - BEGIN) / SECOND
        assert came_in <= fleet.polling <= min(100_000, came_in + 11)
    assert fleet.polling == 100_000
    assert now == pytest.approx(BEGIN + 100 * SECOND, abs=SECOND // 100)
    whole = fleet_of(100_000)
    whole.start(0, 100_000, BEGIN, 100 * SECOND)
    assert moments(fleet) == moments(whole)


@pytest.mark.parametrize(
    ("step", "polling"),
    [
        (Step(1.0, "herd", 0, 70_000), 70_000),
        (Step(1.0, "start", 0, 70_000, None), 70_000),
        (Step(1.0, "stop", 0, 70_000), 0),
    ],
    ids=["herd", "start", "stop"],
)
def test_many_rows_take_several_goes(step: Step, polling: int) -> None:
    fleet = fleet_of(70_000)
    if step.action == "stop":
        fleet.start(0, 70_000, BEGIN, None)
    player = StepPlayer(fleet, (step, Step(1.0, "stop", 0, 1)))
    player.begin(BEGIN)
    assert player.next_moment == BEGIN + SECOND
    seen = [fleet.polling]
    for _ in range(4):
        player.play(BEGIN + SECOND)
        seen.append(fleet.polling)
    if step.action == "stop":
        assert seen == [70_000, 50_000, 30_000, 10_000, 0]
    else:
        assert seen == [0, 20_000, 40_000, 60_000, polling - 1]
    assert player.next_moment is None


def test_rows_that_go_on_later_bear_the_moment_of_their_step() -> None:
    fleet = fleet_of(30_000)
    player = StepPlayer(fleet, (Step(0.5, "herd", 0, 30_000),))
    player.begin(BEGIN)
    player.play(BEGIN + SECOND)
    player.play(BEGIN + 2 * SECOND)
    assert set(moments(fleet).values()) == {BEGIN + SECOND // 2}


def test_what_is_there_at_the_begin_is_made_ready_before() -> None:
    fleet = fleet_of(50_000)
    steps = (
        Step(0.0, "start", 0, 50_000, 0.0),
        Step(0.0, "herd", 0, 50_000),
        Step(9.0, "stop", 0, 1),
    )
    player = StepPlayer(fleet, steps)
    assert player.rows_at_begin == 50_000
    player.begin(BEGIN)
    assert (fleet.polling, player.next_moment) == (50_000, BEGIN + 9 * SECOND)


def test_at_the_end_nothing_that_was_due_is_forgotten() -> None:
    fleet = fleet_of(100_000)
    steps = (
        Step(0.0, "start", 0, 50_000, 10.0),
        Step(4.0, "herd", 50_000, 50_000),
        Step(6.0, "herd", 0, 100_000),
    )
    player = StepPlayer(fleet, steps)
    player.begin(BEGIN)
    player.play(BEGIN + 5 * SECOND)
    assert fleet.polling == 20_000
    player.finish(BEGIN + 5 * SECOND)
    assert (fleet.polling, player.next_moment) == (75_000, None)
    assert len(fleet.take_due(BEGIN + 5 * SECOND, 100_000)) == 75_000


def test_offline_and_stopped_rows_do_not_poll() -> None:
    fleet = Fleet(seed=5)
    fleet.add_group(1000, poll_interval=MINUTE, offline=0.25)
    fleet.start(0, 1000, BEGIN, 0)
    online = len(fleet.take_due(BEGIN, 1000))
    assert fleet.polling == online == pytest.approx(750, abs=60)
    fleet.start(0, 1000, BEGIN, 0)
    fleet.poll_at(0, 1000, BEGIN)
    assert fleet.polling == online
    fleet.stop(0, 1000)
    fleet.stop(0, 1000)
    assert fleet.polling == 0
