"""Ways in which rules that meet could leave a load in the wrong state; each was one once."""

from __future__ import annotations

import pytest
from point_rig import FakeDevice, PointRig, demand

from oadr2.points.point import Memory
from oadr2.points.rules import Failsafe, PointRules


def rules(**changes: object) -> PointRules:
    return PointRules(**({"normal": 100.0, "watch": None} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("who", ["override", "event", "fail-safe value"])
def test_a_load_its_owner_changed_obeys_whoever_wants_the_normal_value(who: str) -> None:
    failsafe = Failsafe(300.0, 100.0) if who == "fail-safe value" else None
    rig = PointRig(rules(watch=60.0, failsafe=failsafe))
    rig.run_for(1, hear_every=1)
    rig.device.value = 30.0
    rig.run_for(100, hear_every=10)
    assert rig.values == []  # at normal it is the owner's
    if who == "override":
        rig.override(100.0, 3600.0)
    elif who == "event":
        rig.want(demand(100.0))
    rig.run_for(320)
    assert rig.device.value == 100.0
    assert rig.values == [100.0]


def test_a_vtn_that_falls_silent_does_not_undo_what_the_owner_did() -> None:
    rig = PointRig(rules(watch=60.0, failsafe=Failsafe(300.0, "release")))
    rig.run_for(1, hear_every=1)
    rig.device.value = 30.0
    rig.run_for(100, hear_every=10)
    rig.run_for(400)
    assert rig.values == []


def test_a_device_that_is_off_but_for_rounding_rests_as_long_as_any_other() -> None:
    left_off_at = 990.0
    rig = PointRig(
        rules(normal=1.0, min_off=120.0),
        FakeDevice(0.004),
        memory=Memory(0.0, left_off_at, None),
    )
    rig.run_for(600)
    assert rig.writes == [(left_off_at + 120.0, 1.0)]


def test_an_override_does_not_give_an_event_its_time_again() -> None:
    rig = PointRig(rules(max_control=3600.0))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(3700)
    assert rig.device.value == 100.0
    rig.override(80.0, 60.0)
    rig.run_for(120)
    assert rig.values == [40.0, 100.0, 80.0, 100.0]
    again = rig.restart()
    again.want(demand(40.0))
    again.run_for(60)
    assert again.device.value == 100.0
    again.want(None)
    again.want(demand(40.0, "next"))
    assert again.device.value == 40.0


def test_a_failsafe_value_is_not_given_up_for_max_control() -> None:
    rig = PointRig(rules(max_control=600.0, failsafe=Failsafe(300.0, 55.0)))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(700, hear_every=10)
    assert rig.device.value == 100.0  # the event has used its time up
    rig.run_for(3600)
    assert rig.device.value == 55.0
    rig.hear()
    rig.run_for(1)
    assert rig.device.value == 100.0


def test_a_disobeyed_value_does_not_hold_up_the_one_wanted_now() -> None:
    rig = PointRig(rules(verify=0.5, retry_least=30.0), FakeDevice(lies=True, latency=0.1))
    rig.run_for(1)
    rig.want(demand(40.0))
    rig.run_for(0.65)  # the read-back is under way
    assert rig.point.busy
    rig.override(90.0, 3600.0)
    rig.run_for(0.5)
    assert rig.values == [40.0, 90.0]
