"""Each safety rule of a point by itself, and in pairs, on a clock of its own."""

from __future__ import annotations

import pytest
from point_rig import FakeDevice, PointRig, demand

from oadr2.errors import ConfigurationError, LocalProtocolError
from oadr2.points.point import Memory
from oadr2.points.rules import RELEASED, Failsafe, PointRules

PLAIN = PointRules(normal=100.0, watch=None)


def rules(**changes: object) -> PointRules:
    return PointRules(**({"normal": 100.0, "watch": None} | changes))  # type: ignore[arg-type]


# -- writing and reading back ---------------------------------------------------------------------


def test_an_event_is_written_verified_and_undone() -> None:
    rig = PointRig(PLAIN)
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(10)
    assert rig.device.value == 40.0
    assert rig.point.settled
    rig.want(None)
    rig.run_for(10)
    assert rig.values == [40.0, 100.0]
    assert rig.kinds() == [
        "found", "control", "write", "verified", "control", "write", "verified"
    ]  # fmt: skip
    first, second = rig.story("write")
    assert (first.old, first.new, first.event_id) == (100.0, 40.0, "peak")
    assert (second.old, second.new, second.event_id) == (40.0, 100.0, "")
    assert rig.story("verified")[0].read_back == 40.0


def test_nothing_is_written_before_the_device_was_read() -> None:
    rig = PointRig(PLAIN, FakeDevice(10.0, latency=3.0))
    rig.want(demand(40.0))
    rig.run_for(2.9)
    assert rig.reads == [1000.0]
    assert rig.writes == []
    rig.run_for(10)
    assert rig.writes == [(1003.0, 40.0)]


@pytest.mark.parametrize("wanted", [None, 40.0])
def test_a_start_brings_the_load_to_the_schedule_once(wanted: float | None) -> None:
    rig = PointRig(PLAIN, FakeDevice(10.0))
    rig.want(None if wanted is None else demand(wanted))
    rig.run_for(600)
    assert rig.values == [100.0 if wanted is None else wanted]


def test_a_load_that_is_there_already_is_not_written() -> None:
    rig = PointRig(PLAIN, FakeDevice(40.0))
    rig.want(demand(40.0))
    rig.run_for(600)
    assert rig.writes == []
    assert rig.point.settled
    rig.want(None)
    assert rig.values == [100.0]


def test_a_device_that_lies_is_tried_again_and_then_reported() -> None:
    rig = PointRig(rules(retries=2, retry_least=1.0, retry_most=30.0), FakeDevice(lies=True))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(120)
    gaps = [round(b[0] - a[0], 3) for a, b in zip(rig.writes, rig.writes[1:], strict=False)]
    assert gaps[:5] == [1.5, 2.5, 4.5, 8.5, 16.5]
    assert max(gaps) == 30.5
    assert len(rig.story("alert")) == 1
    assert "not obeyed 3 times" in rig.story("alert")[0].reason
    rig.device.lies = False
    rig.run_for(31)
    assert rig.device.value == 40.0
    assert rig.story("verified")[-1].read_back == 40.0


def test_without_verify_nothing_is_read_back() -> None:
    rig = PointRig(rules(verify=None), FakeDevice(lies=True))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(600)
    assert rig.values == [40.0]
    assert len(rig.reads) == 1


def test_a_newer_wish_takes_the_place_of_a_read_back() -> None:
    rig = PointRig(rules(verify=5.0))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(1)
    rig.want(demand(70.0))
    assert rig.values == [40.0, 70.0]
    rig.run_for(10)
    assert [record.read_back for record in rig.story("verified")] == [70.0]


def test_the_value_read_back_may_be_off_by_the_tolerance() -> None:
    rig = PointRig(rules(tolerance=0.5))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.device.value = 40.4
    rig.run_for(60)
    assert rig.values == [40.0]
    assert rig.point.settled


# -- devices that fail ----------------------------------------------------------------------------


def test_a_device_that_comes_back_is_read_before_it_is_written() -> None:
    rig = PointRig(rules(retry_least=1.0, retry_most=8.0))
    rig.run_for(1)
    rig.device.fails = True
    rig.want(demand(40.0))
    rig.run_for(100)
    assert rig.values == [40.0]  # tried once; after that only reads
    alerts = rig.story("alert")
    assert len(alerts) == 1
    assert "failed 4 times" in alerts[0].reason
    rig.device.fails = False
    before = len(rig.reads)
    rig.run_for(8)
    assert rig.values == [40.0, 40.0]
    assert rig.reads[before] <= rig.writes[-1][0]
    assert rig.device.value == 40.0
    assert "answers" in rig.kinds()


def test_a_write_that_went_through_before_the_silence_is_not_repeated() -> None:
    rig = PointRig(PLAIN)
    rig.run_for(1)
    rig.device.fails = True
    rig.want(demand(40.0))
    rig.device.set(rig.now, 40.0)  # the answer was lost, the command was not
    rig.device.fails = False
    rig.run_for(60)
    assert rig.values == [40.0]
    assert rig.point.settled


def test_a_load_gone_at_the_end_of_its_event_is_put_back_when_it_returns() -> None:
    rig = PointRig(PLAIN)
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(10)
    rig.device.fails = True
    rig.want(None)
    rig.run_for(3600)
    rig.device.fails = False
    rig.run_for(31)
    assert rig.device.value == 100.0
    assert rig.point.settled


def test_a_load_gone_while_nothing_is_wanted_belongs_to_its_owner() -> None:
    rig = PointRig(rules(watch=10.0))
    rig.run_for(20)
    rig.device.fails = True
    rig.run_for(60)
    rig.device.fails = False
    rig.device.value = 80.0
    rig.run_for(60)
    assert rig.writes == []


def test_an_error_twice_is_one_line() -> None:
    rig = PointRig(PLAIN, FakeDevice(fails=True))
    rig.run_for(300)
    assert len(rig.reads) > 5
    assert rig.kinds().count("failed") == 1


# -- changed by somebody else ---------------------------------------------------------------------


def test_under_control_a_change_is_put_back() -> None:
    rig = PointRig(rules(watch=60.0))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(5)
    rig.device.value = 90.0
    rig.run_for(61)
    assert rig.values == [40.0, 40.0]
    assert rig.story("drift")[0].read_back == 90.0


def test_at_normal_a_change_is_left_alone() -> None:
    rig = PointRig(rules(watch=60.0))
    rig.run_for(1)
    rig.device.value = 90.0
    rig.run_for(600)
    assert rig.writes == []
    assert len(rig.story("drift")) == 1
    assert rig.point.written == 90.0


# -- min_on, min_off ------------------------------------------------------------------------------


def test_min_on_and_min_off_hold_a_switch() -> None:
    rig = PointRig(rules(normal=1.0, min_on=300.0, min_off=120.0), FakeDevice(1.0))
    rig.run_for(1)
    rig.want(demand(0.0))
    assert rig.values == [0.0]  # nothing is known of before the start
    off_at = rig.now
    rig.run_for(10)
    rig.want(None)
    rig.run_for(600)
    assert rig.writes[1] == (off_at + 120.0, 1.0)
    assert "min_off is 120 s" in rig.story("waits")[0].reason
    rig.want(demand(0.0))
    on_at = rig.writes[1][0]
    rig.run_for(600)
    assert rig.writes[2] == (max(on_at + 300.0, off_at + 610.0), 0.0)


def test_between_two_values_that_are_on_nothing_is_held() -> None:
    rig = PointRig(rules(min_on=300.0, min_off=300.0))
    rig.run_for(1)
    rig.want(demand(70.0))
    rig.run_for(1)
    rig.want(demand(40.0))
    assert rig.values == [70.0, 40.0]


def test_a_wish_that_passes_while_it_is_held_is_never_written() -> None:
    rig = PointRig(rules(normal=1.0, min_off=120.0), FakeDevice(1.0))
    rig.run_for(1)
    rig.want(demand(0.0))
    rig.run_for(10)
    rig.want(None)
    rig.run_for(50)
    rig.want(demand(0.0))
    rig.run_for(600)
    assert rig.values == [0.0]


def test_a_device_that_did_not_obey_is_not_held_for_having_moved() -> None:
    device = FakeDevice(1.0, lies=True)
    rig = PointRig(rules(normal=1.0, min_on=300.0, min_off=300.0, retry_least=1.0), device)
    rig.run_for(1)
    rig.want(demand(0.0))
    rig.run_for(3)
    assert rig.values == [0.0, 0.0]


def test_min_off_goes_on_over_a_restart() -> None:
    rig = PointRig(rules(normal=1.0, min_off=120.0), FakeDevice(1.0))
    rig.run_for(1)
    rig.want(demand(0.0))
    off_at = rig.now
    rig.run_for(20)
    again = rig.restart()
    again.want(None)
    again.run_for(600)
    assert again.writes == [(off_at + 120.0, 1.0)]


def test_a_load_switched_while_nobody_looked_counts_as_switched_now() -> None:
    memory = Memory(1.0, 0.0, None)
    rig = PointRig(rules(normal=1.0, min_off=120.0), FakeDevice(0.0), memory=memory)
    rig.run_for(600)
    assert rig.writes == [(1120.0, 1.0)]


# -- writes a minute ------------------------------------------------------------------------------


def test_never_more_writes_a_minute_than_allowed_and_the_last_wish_wins() -> None:
    rig = PointRig(rules(max_writes=3, verify=None))
    rig.run_for(1)
    for step in range(30):
        rig.want(demand(10.0 + step))
        rig.run_for(1)
    assert rig.values == [10.0, 11.0, 12.0]
    rig.run_for(120)
    assert rig.values == [10.0, 11.0, 12.0, 39.0]
    assert rig.writes[3][0] == rig.writes[0][0] + 60.0
    assert "at most 3 writes a minute" in rig.story("waits")[0].reason


def test_repetitions_count_as_writes() -> None:
    rig = PointRig(rules(max_writes=2, retries=10, retry_least=0.1), FakeDevice(lies=True))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(59)
    assert len(rig.writes) == 2


# -- the VTN's silence ----------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "value"), [("release", 100.0), (55.0, 55.0), ("hold", 40.0)])
def test_failsafe_after_silence(action: float | str, value: float) -> None:
    rig = PointRig(rules(failsafe=Failsafe(30.0, action)))  # type: ignore[arg-type]
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(28.9)
    assert rig.device.value == 40.0
    rig.run_for(1)
    assert rig.device.value == value
    rig.want(None)  # the event ends by the clock while nobody speaks
    rig.run_for(600)
    assert rig.device.value == value
    assert "VTN silent for 30 s" in rig.story("control")[1].reason
    rig.hear()
    assert rig.device.value == 100.0


def test_a_vtn_that_speaks_keeps_the_failsafe_away() -> None:
    rig = PointRig(rules(failsafe=Failsafe(30.0, 55.0)))
    rig.want(demand(40.0))
    rig.run_for(600, hear_every=29.0)
    assert rig.values == [40.0]


def test_the_event_goes_on_when_the_vtn_is_back() -> None:
    rig = PointRig(rules(failsafe=Failsafe(30.0, "release")))
    rig.want(demand(40.0))
    rig.run_for(100)
    rig.hear()
    rig.run_for(5)
    assert rig.values == [40.0, 100.0, 40.0]


def test_hold_keeps_the_event_and_not_an_override() -> None:
    rig = PointRig(rules(failsafe=Failsafe(30.0, "hold")))
    rig.want(demand(40.0))
    rig.run_for(5)
    rig.override(90.0, 60.0)
    rig.run_for(59)
    assert rig.device.value == 90.0
    rig.run_for(10)
    assert rig.device.value == 40.0


def test_failsafe_waits_for_min_off_unless_it_says_otherwise() -> None:
    for at_once, moment in ((False, 1201.0), (True, 1030.0)):
        rig = PointRig(
            rules(normal=1.0, min_off=200.0, failsafe=Failsafe(30.0, 1.0, at_once=at_once)),
            FakeDevice(1.0),
        )
        rig.run_for(1)
        rig.want(demand(0.0))
        rig.run_for(600)
        assert rig.writes[1] == (moment, 1.0)


def test_a_silent_device_is_reported_after_the_failsafe_time() -> None:
    rig = PointRig(rules(failsafe=Failsafe(30.0, "release"), retries=100))
    rig.run_for(1, hear_every=1)
    rig.device.fails = True
    rig.want(demand(40.0))
    rig.run_for(600, hear_every=10)
    alerts = [record.reason for record in rig.story("alert")]
    assert alerts == ["device silent for 30 s: fake device: no answer"]


def test_a_device_that_can_be_read_but_takes_no_write_is_left_longer_and_longer_and_reported() -> (
    None
):
    rig = PointRig(rules(retries=3))
    rig.run_for(1)
    rig.device.refuses_writes = True
    rig.want(demand(40.0))
    rig.run_for(600)
    (alert,) = rig.story("alert")
    assert alert.reason.startswith("failed 4 times, tried again all the same: ")
    assert len(rig.story("failed")) < 30
    rig.device.refuses_writes = False
    rig.run_for(60)
    assert rig.device.value == 40.0
    assert rig.point.settled


# -- return to normal -----------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [0.0, 0.25, 1.0])
def test_return_to_normal_is_spread(draw: float) -> None:
    rig = PointRig(rules(return_within=300.0), random=lambda: draw)
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(60)
    ended = rig.now
    rig.want(None)
    rig.run_for(400)
    assert rig.writes[1] == (ended + 300.0 * draw, 100.0)


def test_a_new_event_finds_a_load_that_has_not_returned_yet() -> None:
    rig = PointRig(rules(return_within=300.0))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(60)
    rig.want(None)
    rig.run_for(60)
    rig.want(demand(40.0, "next"))
    rig.run_for(600)
    assert rig.values == [40.0]
    assert rig.point.settled


def test_an_override_in_the_return_is_at_once() -> None:
    rig = PointRig(rules(return_within=300.0))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(60)
    rig.want(None)
    rig.run_for(1)
    rig.override(100.0, 60.0)
    assert rig.values == [40.0, 100.0]


def test_after_a_restart_in_the_return_it_is_spread_again() -> None:
    rig = PointRig(rules(return_within=300.0))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(60)
    again = rig.restart()
    started = again.now
    again.want(None)
    again.run_for(600)
    assert again.writes == [(started + 150.0, 100.0)]


def test_a_restart_between_the_event_and_the_return_does_not_end_the_wait() -> None:
    rig = PointRig(rules(return_within=300.0))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(60)
    rig.want(None)
    rig.run_for(60)
    assert rig.values == [40.0]
    again = rig.restart()
    started = again.now
    again.run_for(600)
    assert again.writes == [(started + 150.0, 100.0)]
    memory = again.point.memory
    assert memory is not None
    assert memory.controlled_since is None


def test_a_failsafe_release_is_spread_too() -> None:
    rig = PointRig(rules(return_within=300.0, failsafe=Failsafe(30.0, "release")))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(600)
    assert rig.writes[1] == (1030.0 + 150.0, 100.0)


# -- the longest time under control ---------------------------------------------------------------


def test_max_control_ends_an_event_that_does_not() -> None:
    rig = PointRig(rules(max_control=3600.0))
    rig.run_for(1)
    rig.want(demand(40.0))
    started = rig.now
    rig.run_for(1800)
    rig.want(demand(70.0))
    rig.run_for(3600)
    assert rig.writes[2] == (started + 3600.0, 100.0)
    assert rig.story("control")[-1].event_id == "peak"
    rig.want(demand(40.0))  # the same event goes on
    rig.run_for(3600)
    assert len(rig.writes) == 3
    rig.want(None)
    rig.run_for(1)
    rig.want(demand(40.0, "next"))
    assert rig.values[-1] == 40.0


def test_max_control_counts_over_a_restart() -> None:
    rig = PointRig(rules(max_control=3600.0))
    rig.run_for(1)
    rig.want(demand(40.0))
    started = rig.now
    rig.run_for(1000)
    again = rig.restart()
    again.want(demand(40.0))
    again.run_for(3600)
    assert again.writes == [(started + 3600.0, 100.0)]


def test_max_control_ends_a_held_failsafe() -> None:
    rig = PointRig(rules(max_control=3600.0, failsafe=Failsafe(30.0, "hold")))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(7200)
    assert rig.writes[-1] == (1001.0 + 3600.0, 100.0)


# -- overrides ------------------------------------------------------------------------------------


def test_an_override_beats_the_event_until_it_ends() -> None:
    rig = PointRig(PLAIN)
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(10)
    rig.override(90.0, 60.0)
    overridden = rig.now
    rig.want(demand(10.0))  # the event goes on beneath
    rig.run_for(30)
    assert rig.device.value == 90.0
    rig.run_for(60)
    assert rig.writes[1:] == [(overridden, 90.0), (overridden + 60.0, 10.0)]
    assert [record.reason for record in rig.story("control")][1] == "override by eve"


def test_an_override_ended_early_gives_the_point_back() -> None:
    rig = PointRig(PLAIN)
    rig.run_for(1)
    rig.override(90.0, 3600.0)
    rig.run_for(10)
    rig.override(None)
    assert rig.values == [90.0, 100.0]


def test_an_override_beats_failsafe_min_on_and_max_control_but_not_the_limit_on_writes() -> None:
    rig = PointRig(
        rules(
            normal=1.0,
            min_on=300.0,
            min_off=300.0,
            max_control=60.0,
            max_writes=1,
            failsafe=Failsafe(30.0, 1.0),
        ),
        FakeDevice(1.0),
    )
    rig.run_for(1)
    rig.want(demand(0.0))
    rig.run_for(5)
    rig.override(1.0, 7200.0)
    rig.run_for(600)
    assert rig.writes == [(1001.0, 0.0), (1061.0, 1.0)]


def test_an_override_that_ends_at_the_start_gives_way_to_the_event() -> None:
    rig = PointRig(PLAIN, FakeDevice(90.0))
    rig.point.expect(demand(40.0))
    rig.override(90.0, 3600.0)
    rig.override(None)
    rig.run_for(5)
    assert rig.values == [40.0]


# -- release --------------------------------------------------------------------------------------


def test_a_point_whose_normal_is_released_is_released_once() -> None:
    rig = PointRig(PointRules(normal=RELEASED, watch=60.0))
    rig.run_for(600)
    assert rig.values == [RELEASED]
    rig.want(demand(40.0))
    rig.run_for(60)
    rig.want(None)
    rig.run_for(600)
    assert rig.values == [RELEASED, 40.0, RELEASED]
    assert rig.device.value is None
    assert rig.point.settled


# -- misuse ---------------------------------------------------------------------------------------


def test_an_answer_to_nothing_is_refused() -> None:
    rig = PointRig(PLAIN)
    rig.run_for(1)
    with pytest.raises(LocalProtocolError, match="no write is under way"):
        rig.point.was_written(rig.now)
    with pytest.raises(LocalProtocolError, match="no read is under way"):
        rig.point.was_read(rig.now, 1.0)
    with pytest.raises(LocalProtocolError, match="nothing is under way"):
        rig.point.has_failed(rig.now, "?")


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_on": -1.0},
        {"max_writes": 0},
        {"max_control": 0.0},
        {"retries": -1},
        {"watch": 0.0},
        {"verify": -1.0},
        {"failsafe": Failsafe(0.0, "hold")},
    ],
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        rules(**wrong)
