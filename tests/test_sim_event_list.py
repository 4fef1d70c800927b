"""What the simulated VTN lists, to whom and when."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from vtn_asking import PROFILES, START, Clock, answer, ask, listed, names

from oadr2.errors import LocalProtocolError
from oadr2.model import (
    EiResponse,
    EventResponse,
    Interval,
    Profile,
    Signal,
    Targets,
)
from oadr2.schedule import Duration
from oadr2.sim import SimulatedVtn
from oadr2.sim.event_list import KEEP_CANCELLED
from oadr2.sim.event_spec import read_moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vtn(clock: Clock) -> SimulatedVtn:
    return SimulatedVtn(clock=clock)


# The list


@pytest.mark.parametrize("profile", PROFILES)
def test_list_carries_the_ids_of_both_sides(vtn: SimulatedVtn, profile: Profile) -> None:
    vtn.add_event("e", duration="PT1M")
    first = ask(vtn, profile=profile, request_id="q-1")
    second = ask(vtn, profile=profile, request_id="q-2")
    assert first.profile == profile
    assert first.vtn_id == "vtn"
    assert first.response == EiResponse(200, "OK", "q-1")
    assert second.response == EiResponse(200, "OK", "q-2")
    assert first.request_id != second.request_id
    assert first.events == second.events
    assert names(first) == ["e"]


@pytest.mark.parametrize("request_id", ["", "a<b&c\"d'e>", "ütf 8", " blanks "])
def test_any_request_id_comes_back(vtn: SimulatedVtn, request_id: str) -> None:
    vtn.add_event("e", duration=60)
    response = ask(vtn, request_id=request_id).response
    assert response is not None
    assert response.request_id == request_id


def test_list_ids_can_be_given() -> None:
    vtn = SimulatedVtn(request_ids=lambda: "<same>")
    assert ask(vtn).request_id == "<same>"


@pytest.mark.parametrize(
    ("seconds", "status", "value"),
    [
        (0, "far", 0),
        (49.9, "far", 0),
        (50, "near", 0),
        (59.9, "near", 0),
        (60, "active", 1),
        (69.9, "active", 1),
        (70, "active", 2.5),
        (99.9, "active", 2.5),
        (100, "completed", 0),
        (104.9, "completed", 0),
    ],
)
@pytest.mark.parametrize("asked_before", [False, True])
def test_status_and_current_value_follow_the_clock(
    vtn: SimulatedVtn,
    clock: Clock,
    seconds: float,
    status: str,
    value: float,
    asked_before: bool,
) -> None:
    vtn.add_event(
        "e",
        start="+60s",
        levels=[("PT10S", 1), ("PT30S", 2.5)],
        ramp_up="PT10S",
        startafter="PT5S",
    )
    if asked_before:  # a prepared list must not outlive its time
        for earlier in (0, 49.95, 59.95, 69.95, 99.95):
            if earlier < seconds:
                clock.seconds = earlier
                ask(vtn)
    clock.seconds = seconds
    (event,) = ask(vtn).events
    assert event.event_status == status
    assert event.signals[0].current_value == value
    assert event.dtstart == START + timedelta(seconds=60)
    assert event.duration == Duration(microseconds=40_000_000)


def test_event_leaves_the_list_after_start_duration_and_startafter(
    vtn: SimulatedVtn, clock: Clock
) -> None:
    vtn.add_event("e", duration="PT10S", startafter="PT5S")
    clock.seconds = 14.999
    assert names(ask(vtn)) == ["e"]
    clock.seconds = 15
    assert names(ask(vtn)) == []
    assert vtn.get_event("e") is None


def test_open_ended_event_stays_active(vtn: SimulatedVtn, clock: Clock) -> None:
    vtn.add_event("e", duration="PT0S", level=3)
    clock.seconds = 10**7
    (event,) = ask(vtn).events
    assert (event.event_status, event.duration) == ("active", Duration())
    assert event.signals[0].current_value == 3


def test_active_come_first_then_priority_then_start(vtn: SimulatedVtn) -> None:
    vtn.add_event("late", start="+30s", duration=60)
    vtn.add_event("zero", start="+10s", duration=60, priority=0)
    vtn.add_event("two", start="+20s", duration=60, priority=2)
    vtn.add_event("one", start="+40s", duration=60, priority=1)
    vtn.add_event("running", start="-10s", duration=60, priority=9)
    assert names(ask(vtn)) == ["running", "one", "two", "zero", "late"]
    assert [event.event_id for event in vtn.events] == names(ask(vtn))


def test_reply_limit_is_kept(vtn: SimulatedVtn) -> None:
    for index in range(4):
        vtn.add_event(f"e{index}", start=f"+{index}s", duration=60)
    assert names(ask(vtn, limit=2)) == ["e0", "e1"]
    assert names(ask(vtn, limit=0)) == []
    assert len(ask(vtn).events) == 4


def test_event_has_what_was_set(vtn: SimulatedVtn) -> None:
    vtn.add_event(
        "007",
        start=START + timedelta(hours=1),
        duration=timedelta(minutes=10),
        level=2,
        market_context="http://m.example/<1>",
        targets=Targets(ven_ids=("ven-1",), group_ids=("g",)),
        priority=4,
        notification="PT5M",
        ramp_up="-PT1M",
        recovery="PT2M",
        response_required="never",
        test_event="true",
        vtn_comment="a & b",
        signal_name="x-load",
        signal_type="delta",
        signal_id="s",
    )
    (event,) = ask(vtn).events
    assert event.event_id == "007"
    assert event.market_context == "http://m.example/<1>"
    assert event.targets == Targets(ven_ids=("ven-1",), group_ids=("g",))
    assert (event.priority, event.response_required) == (4, "never")
    assert event.notification == Duration(microseconds=300_000_000)
    assert event.ramp_up == Duration(microseconds=-60_000_000)
    assert event.recovery == Duration(microseconds=120_000_000)
    assert (event.test_event, event.vtn_comment) == ("true", "a & b")
    assert event.created_date_time == START
    (signal,) = event.signals
    assert (signal.signal_name, signal.signal_type, signal.signal_id) == ("x-load", "delta", "s")
    assert [(i.uid, i.value) for i in signal.intervals] == [("0", 2)]
    assert event.problems == ()


def test_signals_are_sent_as_given(vtn: SimulatedVtn) -> None:
    """Sums are not checked, so that tests can play a VTN that is wrong."""
    interval = Interval("7", Duration(microseconds=1_000_000), 1.0)
    vtn.add_event("e", duration="PT1M", signals=[Signal("simple", "level", "s", (interval,))])
    (event,) = ask(vtn).events
    assert event.signals[0].intervals == (interval,)


# Changes


def test_modification_raises_the_number_and_keeps_the_rest(vtn: SimulatedVtn, clock: Clock) -> None:
    vtn.add_event("e", start="+60s", duration=60, priority=3)
    ask(vtn)
    clock.seconds = 1
    assert vtn.modify_event("e", duration="PT2M", priority=None, modification_reason="more") == 1
    (event,) = ask(vtn, profile="2.0b").events
    assert (event.modification_number, event.priority) == (1, None)
    assert event.duration == Duration(microseconds=120_000_000)
    assert event.dtstart == START + timedelta(seconds=60)
    assert event.created_date_time == START
    assert event.modification_date_time == START + timedelta(seconds=1)
    assert event.modification_reason == "more"


def test_failed_change_leaves_everything(vtn: SimulatedVtn) -> None:
    vtn.add_event("e", duration=60, levels=[(60, 1)])
    before = ask(vtn).events
    for changes in (
        {"duration": "PT2M"},  # the interval is one minute
        {"priority": -1},
        {"vtn_comment": "\x00"},  # cannot be sent
        {"nonsense": 1},
    ):
        with pytest.raises(LocalProtocolError):
            vtn.modify_event("e", **changes)
    assert ask(vtn).events == before


def test_cancelled_event_stays_until_each_ven_acknowledged_it(vtn: SimulatedVtn) -> None:
    vtn.add_event("e", duration=60)
    assert vtn.cancel_event("e") == 1
    assert listed(ask(vtn, "ven-1")) == [("e", 1, "cancelled")]
    assert listed(ask(vtn, "ven-2")) == [("e", 1, "cancelled")]
    answer(vtn, EventResponse("e", 0, "optIn"))  # still the answer to number 0
    assert names(ask(vtn, "ven-1")) == ["e"]
    answer(vtn, EventResponse("e", 1, "optOut", 454))  # an error is no acknowledgement
    assert names(ask(vtn, "ven-1")) == ["e"]
    answer(vtn, EventResponse("e", 1, "optIn"))
    assert names(ask(vtn, "ven-1")) == []
    assert names(ask(vtn, "ven-2")) == ["e"]


def test_cancelled_event_leaves_the_list_when_it_is_over(vtn: SimulatedVtn, clock: Clock) -> None:
    vtn.add_event("closed", start="+10s", duration=60)
    vtn.add_event("open", duration=0)
    vtn.cancel_event("closed")
    vtn.cancel_event("open")
    clock.seconds = 69
    assert set(names(ask(vtn))) == {"open", "closed"}
    clock.seconds = 70
    assert names(ask(vtn)) == ["open"]
    clock.seconds = KEEP_CANCELLED.total_seconds()
    assert names(ask(vtn)) == []


def test_current_value_of_a_cancelled_event_is_zero(vtn: SimulatedVtn) -> None:
    vtn.add_event("e", duration=60, level=2)
    vtn.cancel_event("e")
    (event,) = ask(vtn).events
    assert event.signals[0].current_value == 0


def test_removed_event_vanishes(vtn: SimulatedVtn) -> None:
    vtn.add_event("e", duration=60)
    vtn.add_event("f", duration=60)
    vtn.remove_event("e")
    assert names(ask(vtn)) == ["f"]


def test_event_that_comes_back_has_a_higher_number(vtn: SimulatedVtn) -> None:
    vtn.add_event("e", duration=60)
    vtn.cancel_event("e")
    answer(vtn, EventResponse("e", 1, "optIn"))
    vtn.add_event("e", duration=60)
    assert listed(ask(vtn)) == [("e", 2, "active")]
    vtn.remove_event("e")
    vtn.add_event("e", duration=60)
    assert listed(ask(vtn)) == [("e", 3, "active")]


def test_changes_of_what_is_not_there_are_refused(vtn: SimulatedVtn, clock: Clock) -> None:
    vtn.add_event("e", duration=60)
    with pytest.raises(LocalProtocolError, match="'e' is listed already"):
        vtn.add_event("e", duration=60)
    with pytest.raises(LocalProtocolError, match="'x' is not known"):
        vtn.modify_event("x", priority=1)
    vtn.cancel_event("e")
    with pytest.raises(LocalProtocolError, match="'e' is cancelled"):
        vtn.modify_event("e", priority=1)
    with pytest.raises(LocalProtocolError, match="'e' is cancelled"):
        vtn.cancel_event("e")
    clock.seconds = 60
    with pytest.raises(LocalProtocolError, match="'e' is over or removed"):
        vtn.remove_event("e")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "duration: missing"),
        ({"duration": "soon"}, "duration: 'soon' is no duration"),
        ({"duration": "-PT5S"}, "duration: .* is negative"),
        ({"duration": True}, "duration: True is no duration"),
        ({"duration": "PT5S", "levels": [("PT4S", 1)]}, "duration: PT5S, but .* PT4S"),
        ({"duration": "P9999Y"}, "duration: .*9999"),
        ({"levels": []}, "levels: "),
        ({"levels": [("PT1S",)]}, "levels: "),
        ({"levels": [("PT1S", "1")]}, "levels: '1' is no number"),
        ({"signals": []}, "signals: "),
        ({"duration": 1, "start": "tomorrow"}, "start: 'tomorrow' is no time"),
        ({"duration": 1, "start": datetime(2030, 1, 1)}, "start: .* time zone"),  # noqa: DTZ001
        ({"duration": 1, "start": 5}, "start: 5 is no time"),
        ({"duration": 1, "priority": 1.5}, "priority: 1.5"),
        ({"duration": 1, "response_required": "maybe"}, "response_required: 'maybe'"),
        ({"duration": 1, "targets": "ven-1"}, "targets: 'ven-1'"),
        ({"duration": 1, "market_context": 5}, "market_context: 5 is no text"),
        ({"duration": 1, "market_context": None}, "market_context: None is no text"),
        ({"duration": 1, "colour": "red"}, "colour: no such setting"),
    ],
)
def test_wrong_setting_is_named(
    vtn: SimulatedVtn, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        vtn.add_event("e", **settings)  # type: ignore[arg-type]
    assert vtn.events == ()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("now", 0),
        ("+5s", 5),
        ("+0.5s", 0.5),
        ("-10s", -10),
        ("+1d2h3m4s", 93784),
        ("+1h30m", 5400),
        ("+PT5S", 5),
        ("-PT1M", -60),
        ("2030-01-31T12:00:07Z", 7),
    ],
)
def test_moments(text: str, seconds: float) -> None:
    assert read_moment("start", text, START) == START + timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "+", "+5", "5s", "+5x", "+5s3m", "-999999999d", "+P1X"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(LocalProtocolError, match=r"^start: "):
        read_moment("start", text, START)


# Which VEN gets what


def test_targets_choose_the_vens(vtn: SimulatedVtn) -> None:
    vtn.add_ven("north-1", Targets(group_ids=("north",), resource_ids=("r",)))
    vtn.add_ven("south-1", Targets(group_ids=("south",)))
    vtn.add_event("all", duration=60)
    vtn.add_event("one", duration=60, targets=Targets(ven_ids=("south-1", "x")))
    vtn.add_event("group", duration=60, targets=Targets(group_ids=("north", "west")))
    vtn.add_event("mixed", duration=60, targets=Targets(ven_ids=("x",), resource_ids=("r",)))
    assert set(names(ask(vtn, "north-1"))) == {"all", "group", "mixed"}
    assert set(names(ask(vtn, "south-1"))) == {"all", "one"}
    # Of a VEN nobody described, only the venID is known: the rest may be meant for it.
    assert set(names(ask(vtn, "who"))) == {"all", "group", "mixed"}


@pytest.mark.parametrize(("profile", "code"), [("2.0a", 404), ("2.0b", 463)])
def test_unknown_ven_gets_an_error_and_no_events(clock: Clock, profile: Profile, code: int) -> None:
    vtn = SimulatedVtn(clock=clock, known_vens=["ven-1"])
    vtn.add_event("e", duration=60)
    assert names(ask(vtn, "ven-1", profile=profile)) == ["e"]
    refused = ask(vtn, "ven-2", profile=profile, request_id="q")
    assert refused.response is not None
    assert (refused.response.response_code, refused.response.request_id) == (code, "q")
    assert list(refused.events) == []
    reply = answer(vtn, EventResponse("e", 0, "optIn"), ven_id="ven-2", profile=profile)
    assert reply.response.response_code == code
    assert vtn.answers[0].problem
    vtn.set_known_vens(None)
    assert names(ask(vtn, "ven-2", profile=profile)) == ["e"]


def test_one_text_is_no_list_of_vens() -> None:
    with pytest.raises(LocalProtocolError, match=r"'ven-1' is one text"):
        SimulatedVtn(known_vens="ven-1")
