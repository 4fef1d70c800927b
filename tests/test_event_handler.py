"""What a VEN does with event lists: the statements E, R and T, through handle_payload."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from payloads import START, distribute_event, event, interval, response, signal

from oadr2._core.objects import decode
from oadr2.errors import ConfigurationError, LocalProtocolError, RemoteProtocolError
from oadr2.event import Change, EventHandler
from oadr2.policy import VtnPolicy

HOUR = 3600.0
BEFORE = START - HOUR


class Clock:
    def __init__(self, now: float = BEFORE) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Ven(EventHandler):
    """A handler with a clock to set, and its answers read back."""

    def __init__(self, *args: Any, now: float = BEFORE, **settings: Any) -> None:
        self.clock = Clock(now)
        settings.setdefault("seed", 1)
        super().__init__(*(args or ("ven",)), clock=self.clock, **settings)
        self.changes: list[Change] = []
        self.subscribe(self.changes.extend)

    def take(self, *events: str, now: float | None = None, **of_list: Any) -> list[tuple[Any, ...]]:
        """The answers to a list: (event id, number, code, opt)."""
        if now is not None:
            self.clock.now = now
        reply = self.handle_payload(distribute_event(*events, **of_list))
        if reply is None:
            return []
        message = decode(reply)
        assert message.response.response_code == 200
        return [
            (a.event_id, a.modification_number, a.response_code, a.opt_type)
            for a in message.event_responses
        ]

    def held(self) -> dict[str, tuple[int, str, str]]:
        """Number, opt and phase of each event held, by id."""
        return {
            s.event.event_id: (s.event.modification_number, s.opt_type, s.phase)
            for s in self.get_states()
        }

    def kinds(self) -> list[str]:
        """What has happened since last asked."""
        kinds = [change.kind for change in self.changes]
        self.changes.clear()
        return kinds


def in_(event_id: str = "e1", number: int = 0, code: int = 200) -> tuple[Any, ...]:
    return (event_id, number, code, "optIn")


def out(event_id: str = "e1", number: int = 0, code: int = 454) -> tuple[Any, ...]:
    return (event_id, number, code, "optOut")


@pytest.fixture
def ven() -> Ven:
    return Ven()


# -- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_E01_every_event_with_always_is_answered_each_time(profile):
    ven = Ven()
    assert ven.take(event(), profile=profile) == [in_()]
    assert ven.take(event(), profile=profile) == [in_()]
    assert ven.take(event(number=1), profile=profile) == [in_(number=1)]
    assert ven.take(event(number=2, status="cancelled"), profile=profile) == [in_(number=2)]


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"status": "cancelled"},
        {"status": "completed"},
        {"level": 9},
        {"dtstart": "soon"},
        {"number": "x"},
        {"signals": []},
        {"targets": {"ven_id": "other"}},
    ],
)
def test_E02_never_is_not_answered_not_even_with_an_error(ven, what):
    assert ven.handle_payload(distribute_event(event(required="never", **what))) is None


def test_E02_never_is_not_answered_for_cancellation_or_lower_number(ven):
    ven.take(event(number=3))
    assert ven.take(event(number=2, required="never")) == []
    assert ven.take(event(number=4, status="cancelled", required="never")) == []
    assert ven.held() == {}


def test_E03_no_message_when_nothing_is_to_be_answered(ven):
    assert ven.handle_payload(distribute_event()) is None
    assert ven.handle_payload(distribute_event(event(required="never"))) is None


def test_E04_E08_E09_one_message_with_eiResponse_200_for_good_and_bad(ven):
    answers = ven.take(
        event("a"),
        event("b", level=7),
        event("c", status="cancelled"),
        event("d", required="never"),
    )
    assert answers == [in_("a"), out("b"), in_("c")]


def test_E05_E07_requestID_goes_into_each_answer_and_not_into_eiResponse(ven):
    data = distribute_event(event("a"), event("b"), request_id="r&lt;1>")
    message = decode(ven.handle_payload(data))
    assert [a.request_id for a in message.event_responses] == ["r<1>", "r<1>"]
    assert message.response.request_id == ""
    assert message.ven_id == "ven"


def test_E06_a_later_opt_carries_the_latest_requestID(ven):
    ven.take(event(), request_id="first")
    ven.take(event(), request_id="a much longer second one")
    message = decode(ven.set_opt("e1", "optOut"))
    (answer,) = message.event_responses
    assert (answer.event_id, answer.opt_type, answer.request_id) == (
        "e1",
        "optOut",
        "a much longer second one",
    )
    assert answer.modification_number == 0
    assert message.response.request_id == ""


def test_E10_requestID_may_repeat_or_be_missing(ven):
    assert ven.take(event(), request_id="x") == [in_()]
    assert ven.take(event(), event("e2"), request_id="x") == [in_(), in_("e2")]
    reply = ven.handle_payload(distribute_event(event(), event("e2"), request_id=None))
    assert [a.request_id for a in decode(reply).event_responses] == ["", ""]


def test_E11_the_number_received_is_echoed(ven):
    ven.take(event(number=7))
    assert ven.take(event(number=4294967294)) == [in_(number=4294967294)]


def test_E12_one_bad_event_spoils_only_itself(ven):
    answers = ven.take(event("a"), event("b", dtstart="soon"), event("c"))
    assert answers == [in_("a"), out("b"), in_("c")]
    assert set(ven.held()) == {"a", "c"}


def test_ids_are_opaque(ven):
    assert ven.take(event("007"), event("true"), event("&lt;&amp;&gt;")) == [
        in_("007"),
        in_("true"),
        in_("<&>"),
    ]
    assert ven.get_event("7") is None
    assert ven.get_event("007").event_id == "007"


@pytest.mark.parametrize(
    ("profile", "root"), [("2.0a", b"oadrCreatedEvent"), ("2.0b", b"oadrPayload")]
)
def test_G06_the_answer_is_in_the_profile_of_the_list(ven, profile, root):
    reply = ven.handle_payload(distribute_event(event(), profile=profile))
    assert decode(reply).profile == profile
    assert root in reply


def test_2_0b_answers_are_bare_when_the_policy_says_so():
    ven = Ven(policy=VtnPolicy(wrap_20b=False))
    reply = ven.handle_payload(distribute_event(event(), profile="2.0b"))
    assert b"oadrPayload" not in reply
    assert decode(reply).profile == "2.0b"


# -- new, modified, cancelled ---------------------------------------------------------------------


@pytest.mark.parametrize("status", ["none", "far", "near", "active"])
def test_E14_an_unknown_event_is_added(ven, status):
    assert ven.take(event(status=status)) == [in_()]
    assert ven.held() == {"e1": (0, "optIn", "pending")}
    assert ven.kinds() == ["new"]


def test_E15_a_higher_number_replaces_and_gaps_are_allowed(ven):
    ven.take(event(level=1))
    assert ven.take(event(number=5, level=2)) == [in_(number=5)]
    assert ven.get_event("e1").signals[0].intervals[0].value == 2
    assert ven.kinds() == ["new", "modified"]


@pytest.mark.parametrize("status", ["far", "active", "completed", "cancelled"])
def test_E16_a_lower_number_is_an_error_and_changes_nothing(ven, status):
    ven.take(event(number=3, level=2))
    before = ven.get_states()
    assert ven.take(event(number=2, level=3, status=status)) == [in_(number=2, code=450)]
    assert ven.get_states() == before


def test_E16_a_lower_number_repeats_the_stored_opt():
    ven = Ven(default_opt="optOut")
    ven.take(event(number=3))
    assert ven.take(event(number=2)) == [out(number=2, code=450)]


@pytest.mark.parametrize("status", ["far", "near", "active", "completed", "none"])
def test_E17_an_equal_number_changes_nothing_and_repeats_the_answer(ven, status):
    ven.take(event(level=1))
    ven.set_opt("e1", "optOut")
    before = ven.get_states()
    ven.kinds()
    assert ven.take(event(level=3, status=status)) == [out(code=200)]
    assert ven.get_states() == before
    assert ven.kinds() == []


@pytest.mark.parametrize(
    "change",
    [
        {"level": 3},
        {"dtstart": START + 60},
        {"duration": "PT30M", "intervals": [("PT30M", 1)]},
        {"intervals": [("PT10M", 1), ("PT50M", 1)]},
        {"startafter": "PT1M"},
    ],
)
def test_E17_other_content_under_an_equal_number_is_told_once(ven, caplog, change):
    ven.take(event(level=1))
    for _ in range(3):
        ven.take(event(**change))
    told = [r for r in caplog.records if "unchanged modificationNumber" in r.getMessage()]
    assert len(told) == 1
    caplog.clear()
    ven.take(event(level=1, status="active", vtn_comment="the same times and levels"))
    assert not caplog.records


@pytest.mark.parametrize("number", [0, 1, 9])
def test_E18_a_cancelled_event_is_forgotten(ven, number):
    ven.take(event())
    assert ven.take(event(number=number, status="cancelled")) == [in_(number=number)]
    assert ven.held() == {}
    assert ven.kinds() == ["new", "cancelled"]


def test_E18_a_running_event_is_cancelled_at_once_without_startafter(ven):
    ven.take(event(level=2), now=START + 60)
    assert ven.current_level() == (2.0, "e1")
    ven.take(event(number=1, status="cancelled"))
    assert ven.current_level() == (0, None)


@pytest.mark.parametrize(
    "broken", [{"dtstart": "soon"}, {"signals": []}, {"market_context": None}, {"level": 9}]
)
def test_E18_cancelling_needs_only_id_number_and_status(ven, broken):
    ven.take(event())
    assert ven.take(event(number=1, status="cancelled", **broken)) == [in_(number=1)]
    assert ven.held() == {}


def test_E19_an_unknown_cancelled_event_is_answered_and_not_stored(ven):
    assert ven.take(event(status="cancelled", number=4)) == [in_(number=4)]
    assert ven.held() == {}
    assert ven.kinds() == []


def test_E21_a_cancelled_event_is_mentioned_only_when_resent(ven):
    ven.take(event("a"), event("b"))
    ven.take(event("a", 1, status="cancelled"), event("b"))
    assert ven.take(event("b")) == [in_("b")]
    assert ven.take(event("a", 1, status="cancelled"), event("b")) == [in_("a", 1), in_("b")]


def test_E22_an_absent_event_is_cancelled(ven):
    ven.take(event("a"), event("b"))
    assert ven.take(event("b")) == [in_("b")]
    assert set(ven.held()) == {"b"}
    assert ven.kinds() == ["new", "new", "vanished"]


def test_E22_not_when_the_policy_says_that_lists_are_partial():
    ven = Ven(policy=VtnPolicy(implied_cancel=False))
    ven.take(event("a"))
    ven.take(event("b"))
    ven.take()
    assert set(ven.held()) == {"a", "b"}


def test_E24_an_empty_list_cancels_everything(ven):
    ven.take(event("a"), event("b"))
    assert ven.take(response_code=200) == []
    assert ven.held() == {}


def test_E24_only_of_that_VTN(ven):
    ven.take(event("a"), vtn_id="one")
    ven.take(event("a", level=3), vtn_id="two")
    assert len(ven.get_states()) == 2
    ven.take(vtn_id="one")
    assert [s.vtn_id for s in ven.get_states()] == ["two"]
    assert ven.get_event("a", "one") is None
    assert ven.get_event("a", "two") is not None


BAD = {
    "not XML": b"events, please",
    "cut": distribute_event(event())[:-9],
    "more after the end": distribute_event() + b"<x/>",
    "empty": b"",
    "HTML": b"<html><body>502</body></html>",
    "a request": distribute_event().replace(b"oadrDistributeEvent", b"oadrRequestEvent"),
    "a list with an error code": distribute_event(response_code=404),
    "an error": response(463, "who are you?"),
    "an error in 2.0b": response(500, profile="2.0b"),
    "a DTD": b"<!DOCTYPE x [<!ENTITY y 'z'>]>" + distribute_event().split(b"?>\n")[1],
}


@pytest.mark.parametrize("name", BAD)
def test_E25_E54_L08_what_is_no_good_list_changes_nothing(ven, name):
    ven.take(event("a"), event("b", startafter="PT5M"), now=START + 600)
    before, generation = ven.get_states(), ven.next_deadline
    ven.kinds()
    with pytest.raises(RemoteProtocolError):
        ven.handle_payload(BAD[name])
    assert ven.get_states() == before
    assert ven.next_deadline == generation
    assert ven.kinds() == []
    assert ven.take(event("a"), event("b", startafter="PT5M")) == [in_("a"), in_("b")]


def test_G12_code_and_description_of_an_error_are_exposed(ven):
    with pytest.raises(RemoteProtocolError, match="who are you") as caught:
        ven.handle_payload(response(463, "who are you?"))
    assert caught.value.response_code == 463
    with pytest.raises(RemoteProtocolError, match="no such VEN") as caught:
        ven.handle_payload(distribute_event(response_code=404, response_description="no such VEN"))
    assert caught.value.response_code == 404


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_L05_a_good_oadrResponse_needs_no_reply(ven, profile):
    ven.take(event())
    assert ven.handle_payload(response(profile=profile)) is None
    assert set(ven.held()) == {"e1"}


def test_an_oadrResponse_cancels_nothing(ven):
    ven.take(event())
    ven.handle_payload(response(200))
    assert ven.held() == {"e1": (0, "optIn", "pending")}


def test_E26_E28_completed_does_not_stop_a_running_event(ven):
    ven.take(event(level=2), now=START + 60)
    assert ven.take(event(level=2, status="completed")) == [in_()]
    assert ven.current_level() == (2.0, "e1")
    assert ven.take(event(number=1, status="completed", duration="PT1M")) == [in_(number=1)]
    assert ven.current_level() == (2.0, "e1")


def test_E26_a_version_first_seen_as_completed_is_taken_when_it_comes_otherwise(ven):
    ven.take(event(level=2))
    ven.take(event(number=1, level=3, status="completed"))
    assert ven.take(event(number=0, level=2)) == [in_(code=450)]
    assert ven.take(event(number=1, level=3)) == [in_(number=1)]
    assert ven.get_event("e1").signals[0].intervals[0].value == 3


@pytest.mark.parametrize(("opt", "expected"), [("optIn", in_()), ("optOut", out(code=200))])
def test_unknown_completed_event_is_not_started(opt, expected):
    ven = Ven(policy=VtnPolicy(opt_for_unknown_completed=opt), now=START + 60)
    assert ven.take(event(status="completed")) == [expected]
    assert ven.held() == {}


def test_E27_a_finished_event_is_dropped_and_not_taken_in_again(ven):
    ven.take(event(level=2))
    ven.kinds()
    ven.clock.now = START + HOUR
    assert [c.kind for c in ven.advance()] == ["completed"]
    assert ven.held() == {}
    assert ven.get_active_events() == []
    assert ven.get_event("e1") is None
    ven.kinds()
    assert ven.take(event(level=2, status="active")) == [in_()]
    assert ven.take(event(level=2, status="completed")) == [in_()]
    assert ven.kinds() == []
    assert ven.current_level() == (0, None)


def test_a_finished_event_that_left_the_list_is_judged_anew(ven):
    ven.take(event(), now=START)
    ven.take(event(), now=START + 2 * HOUR)
    ven.take()
    assert ven.take(event()) == [out()]  # E30: it is over


def test_a_finished_event_can_be_prolonged(ven):
    ven.take(event(level=2))
    ven.take(event(level=2), now=START + 2 * HOUR)
    ven.kinds()
    assert ven.take(event(number=1, duration="PT3H", level=3)) == [in_(number=1)]
    assert ven.current_level() == (3.0, "e1")
    assert ven.kinds() == ["modified", "started"]


def test_a_finished_event_is_forgotten_a_week_after_its_end():
    ven = Ven(policy=VtnPolicy(implied_cancel=False))
    ven.take(event())
    ven.advance(START + HOUR)
    assert ven.next_deadline == START + HOUR + 7 * 86400
    assert ven.advance(START + HOUR + 7 * 86400) == ()
    assert ven.next_deadline is None


def test_a_modification_that_is_already_over_ends_the_event(ven):
    ven.take(event(level=2), now=START + 1800)
    assert ven.take(event(number=1, duration="PT10M")) == [in_(number=1)]
    assert ven.held() == {}
    assert ven.kinds() == ["new", "started", "modified", "completed"]


def test_a_modification_into_the_future_stops_until_then(ven):
    ven.take(event(level=2), now=START + 60)
    ven.take(event(number=1, dtstart=START + HOUR))
    assert ven.current_level() == (0, None)
    assert ven.held() == {"e1": (1, "optIn", "pending")}
    ven.kinds()
    assert [c.kind for c in ven.advance(START + HOUR)] == ["started"]


def test_E29_an_event_already_running_is_joined_in_the_right_interval(ven):
    steps = [("PT10M", 1.0), ("PT20M", 2.0), ("PT30M", 3.0)]
    ven.take(event(intervals=steps, status="active"), now=START + 29 * 60 + 59)
    assert ven.current_level() == (2.0, "e1")
    assert ven.kinds() == ["new", "started"]
    assert ven.next_deadline == START + 30 * 60


def test_E30_a_new_event_that_is_over_is_refused(ven):
    assert ven.take(event(), now=START + HOUR) == [out()]
    assert ven.take(event(startafter="PT10M")) != [out()]  # may still be running
    ven.take()
    assert ven.take(event(startafter="PT10M"), now=START + HOUR + 600) == [out()]
    assert ven.held() == {}


# -- whose event ----------------------------------------------------------------------------------


@pytest.mark.parametrize("vtn_id", ["other", "", None])
@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_E31_a_wrong_vtnID_is_reported_and_changes_nothing(vtn_id, profile):
    ven = Ven(vtn_ids="vtn")
    ven.take(event("kept"))
    before = ven.get_states()
    reply = ven.handle_payload(
        distribute_event(event("new"), vtn_id=vtn_id, request_id="r9", profile=profile)
    )
    assert b"eventResponses" not in reply
    message = decode(reply)
    assert message.profile == profile
    assert message.response.response_code == 452
    assert message.response.request_id == "r9"
    assert message.response.response_description
    assert ven.get_states() == before


def test_E32_any_vtnID_will_do_when_none_is_configured(ven):
    assert ven.take(event(), vtn_id="whoever") == [in_()]
    assert decode(ven.handle_payload(distribute_event(vtn_id=""))).response.response_code == 452


@pytest.mark.parametrize("vtn_ids", ["a, vtn ,b", ["a", "vtn"], ("VTN",)])
def test_vtn_ids_as_text_or_sequence_and_in_another_case(vtn_ids):
    ven = Ven(vtn_ids=vtn_ids)
    assert ven.take(event()) == [in_()]
    assert ven.take(event(), vtn_id="Vtn") == [in_()]
    assert len(ven.get_states()) == 1


@pytest.mark.parametrize(
    "targets",
    [
        {},
        None,
        {"ven_id": ["x", "ven"]},
        {"group_id": "g2"},
        {"resource_id": ["r0", "r1"]},
        {"party_id": "p"},
        {"ven_id": "x", "group_id": "x", "party_id": "p"},
        {"meter_asset": "m", "ven_id": "ven"},
        {"group_name": "g1"},
    ],
)
def test_E33_E34_any_target_that_is_us(targets):
    ven = Ven(group_id=["g1", "g2"], resource_id="r1", party_id="p")
    assert ven.take(event(targets=targets), profile="2.0b") == [in_()]


@pytest.mark.parametrize(
    "targets",
    [
        {"ven_id": "VEN"},
        {"ven_id": "g1"},
        {"group_id": "ven"},
        {"group_id": "g"},
        {"resource_id": "r"},
        {"meter_asset": "ven"},
        {"group_name": "other"},
    ],
)
def test_E35_targets_that_are_others(targets):
    ven = Ven(group_id="g1", resource_id="r1", party_id="p")
    assert ven.take(event(targets=targets), profile="2.0b") == [out(code=462)]
    assert ven.held() == {}
    if "meter_asset" not in targets and "group_name" not in targets:
        assert ven.take(event(targets=targets), profile="2.0a") == [out(code=403)]


@pytest.mark.parametrize("contexts", ["http://a, http://market", ["http://market"], None, ""])
def test_E36_market_contexts_accepted(contexts):
    assert Ven(market_contexts=contexts).take(event()) == [in_()]


@pytest.mark.parametrize(("profile", "code"), [("2.0a", 405), ("2.0b", 453)])
def test_E36_a_foreign_market_context_is_refused(profile, code):
    ven = Ven(market_contexts="http://mark, http://market/")
    assert ven.take(event(), profile=profile) == [out(code=code)]
    assert ven.held() == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"targets": {"ven_id": "other"}}, 403),
        ({"market_context": "http://elsewhere"}, 405),
        ({"name": "ELECTRICITY_PRICE", "type": "price"}, 460),
    ],
)
def test_a_version_that_is_no_longer_for_us_removes_the_event(change, code):
    ven = Ven(market_contexts="http://market")
    ven.take(event(level=2), now=START + 60)
    ven.kinds()
    assert ven.take(event(number=1, **change)) == [out(number=1, code=code)]
    assert ven.held() == {}
    assert ven.current_level() == (0, None)
    assert [c.reason != "" for c in ven.changes if c.kind == "vanished"] == [True]
    assert sorted(ven.kinds()) == ["refused", "vanished"]
    assert ven.take(event(number=1, **change)) == [out(number=1, code=code)]


@pytest.mark.parametrize(
    "change", [{"dtstart": "soon"}, {"level": 9}, {"level": "NaN"}, {"duration": "PX"}]
)
def test_an_unreadable_version_leaves_the_stored_one(ven, change):
    ven.take(event(level=2), now=START + 60)
    before = ven.get_states()
    assert ven.take(event(number=1, **change)) == [out(number=1)]
    assert ven.get_states() == before
    assert ven.take(event(level=2)) == [in_()]


@pytest.mark.parametrize("broken", [{"number": None}, {"number": "-1"}, {"status": "canceled"}])
def test_an_event_with_unreadable_number_or_status_is_refused_and_not_taken_for_absent(ven, broken):
    ven.take(event("a"), event("b"))
    ((event_id, _, code, opt),) = ven.take(event("a", **broken))
    assert (event_id, code, opt) == ("a", 454, "optOut")
    assert set(ven.held()) == {"a"}  # b is absent, a is not


@pytest.mark.parametrize("event_id", [None, ""])
def test_a_list_with_an_unreadable_id_cancels_nothing_by_absence(ven, event_id):
    ven.take(event("a"), event("b"))
    assert ven.take(event(event_id), event("c")) == [in_("c")]
    assert set(ven.held()) == {"a", "b", "c"}


def test_the_first_of_two_events_with_one_id_counts(ven):
    assert ven.take(event(level=1), event(number=1, level=2)) == [in_(), out(number=1)]
    assert ven.held() == {"e1": (0, "optIn", "pending")}
    many = [event(f"e{i % 30}", level=i % 4) for i in range(60)]
    answers = ven.take(*many)
    assert [a[2] for a in answers] == [200] * 30 + [454] * 30


# -- signals --------------------------------------------------------------------------------------


def price(intervals=(("PT1H", 0.12),), **of_signal):
    return signal(intervals, name="ELECTRICITY_PRICE", type="price", **of_signal)


@pytest.mark.parametrize("name", ["SIMPLE", "simple", "Simple"])
@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_E38_simple_in_any_case(ven, name, profile):
    assert ven.take(event(name=name), profile=profile) == [in_()]


def test_E37_no_supported_signal(ven):
    assert ven.take(event(signals=[price()]), profile="2.0b") == [out(code=460)]
    assert ven.take(event(signals=[]), profile="2.0b")[0][2] in (454, 460)
    assert ven.held() == {}


def test_E37_one_supported_signal_is_enough(ven):
    assert ven.take(event(signals=[price(), signal([("PT1H", 2)])]), profile="2.0b") == [in_()]
    ven.advance(START)
    assert ven.current_level(START) == (2.0, "e1")


def test_a_price_alone_can_be_supported_and_gives_no_level():
    ven = Ven(supported_signals=["ELECTRICITY_PRICE"])
    steps = [("PT20M", 0.1), ("PT40M", 0.3)]
    assert ven.take(event(signals=[price(steps)]), now=START) == [in_()]
    assert ven.current_level() == (0, None)
    assert ven.kinds() == ["new", "started"]
    assert ven.next_deadline == START + 1200
    assert [c.kind for c in ven.advance(START + 1200)] == ["interval"]


@pytest.mark.parametrize("type_", ["price", "delta", "x-other"])
def test_E39_simple_that_is_no_level(ven, type_):
    ((_, _, code, opt),) = ven.take(event(type=type_), profile="2.0b")
    assert code in (454, 460)
    assert opt == "optOut"


@pytest.mark.parametrize("value", ["4", "-1", "1.5", "NaN", "INF", "-INF", "1e400", "x", "", None])
def test_E39_G15_values_of_simple_that_are_refused(ven, value):
    answers = ven.take(event("bad", level=value), event("good"))
    assert answers == [out("bad"), in_("good")]


@pytest.mark.parametrize("value", ["0", "1.0", "2.000", "3E0", " 3 "])
def test_E39_values_of_simple_that_are_taken(ven, value):
    ven.take(event(level=value), now=START)
    assert ven.current_level() == (float(value), "e1")


@pytest.mark.parametrize(
    ("dtstart", "duration", "steps"),
    [
        (START, "PT1H", ["PT30M", "PT30M"]),
        (START, "PT1H", ["PT60M"]),
        (START, "P1D", ["PT12H", "PT720M"]),
        ("2028-02-01T00:00:00Z", "P1M", ["P15D", "P14D"]),
        ("2027-02-01T00:00:00Z", "P1M", ["P15D", "P13D"]),
        (START, "PT0S", ["PT0S"]),
        (START, "PT0S", ["PT1H", "PT0S"]),
        (START, "PT1H", ["PT20M", None]),
        (START, "PT0S", [None]),
    ],
)
def test_E40_intervals_that_add_up(ven, dtstart, duration, steps):
    steps = [(each, 1.0) for each in steps]
    assert ven.take(event(dtstart=dtstart, duration=duration, intervals=steps), profile="2.0b") == [
        in_()
    ]


@pytest.mark.parametrize(
    ("dtstart", "duration", "steps"),
    [
        (START, "PT1H", ["PT30M", "PT29M59S"]),
        (START, "PT1H", ["PT0S"]),
        (START, "PT1H", ["PT2H"]),
        ("2028-02-01T00:00:00Z", "P1M", ["P15D", "P13D"]),
        (START, "PT0S", ["PT1H"]),
        (START, "PT1H", ["PT2H", "-PT1H"]),
    ],
)
def test_E40_intervals_that_do_not(dtstart, duration, steps):
    steps = [(each, 1.0) for each in steps]
    made = event(dtstart=dtstart, duration=duration, intervals=steps)
    assert Ven().take(made) == [out()]
    lenient = Ven(policy=VtnPolicy(interval_sum="note"))
    if "-PT1H" not in [each for each, _ in steps]:
        assert lenient.take(made) == [in_()]
        assert "add up" in lenient.changes[0].reason


@pytest.mark.parametrize("uids", [(0, 1), ("0", " 1 "), ("00", "01")])
def test_E41_uids_that_count(ven, uids):
    steps = [interval("PT30M", 1, uid) for uid in uids]
    assert ven.take(event(intervals=steps)) == [in_()]
    assert ven.changes[0].reason == ""


@pytest.mark.parametrize("uids", [(1, 2), (0, 0), ("a", "b"), (None, None)])
def test_E41_uids_that_do_not_are_noted(ven, uids):
    steps = [interval("PT30M", 1, uid) for uid in uids]
    assert ven.take(event(intervals=steps)) == [in_()]
    assert "uid" in ven.changes[0].reason


@pytest.mark.parametrize("zero", ["PT0S", "P0D", "PT0M", "P"])
def test_E42_duration_zero_is_open_ended(ven, zero):
    ven.take(event(duration=zero, level=3), now=START)
    assert ven.next_deadline is None
    assert ven.current_level(START + 1e8) == (3.0, "e1")
    (state,) = ven.get_states()
    assert state.end is None
    ven.take(event(number=1, status="cancelled"))
    assert ven.current_level() == (0, None)


def test_E43_levels_switch_at_the_borders_and_are_half_open(ven):
    steps = [("PT10M", 1.0), ("PT20M", 0.0), ("PT30M", 3.0)]
    ven.take(event(intervals=steps))
    seen = []
    while (deadline := ven.next_deadline) is not None and deadline < START + 2 * HOUR:
        before = ven.current_level(deadline - 1e-6)[0]
        changes = ven.advance(deadline)
        seen.append((deadline - START, before, *ven.current_level(deadline), changes[0].kind))
    assert seen == [
        (0, 0, 1.0, "e1", "started"),
        (600, 1.0, 0.0, "e1", "interval"),
        (1800, 0.0, 3.0, "e1", "interval"),
        (3600, 3.0, 0, None, "completed"),
    ]


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "any"])
def test_E44_a_test_event_is_answered_and_moves_nothing(text):
    ven = Ven(now=START)
    assert ven.take(event(test_event=text, level=3)) == [in_()]
    assert ven.current_level() == (0, None)
    willing = Ven(policy=VtnPolicy(run_test_events=True), now=START)
    willing.take(event(test_event=text, level=3))
    assert willing.current_level() == (3.0, "e1")


@pytest.mark.parametrize("text", ["false", "False", " FALSE ", "", " ", None])
def test_E44_what_is_no_test_event(text):
    ven = Ven(now=START)
    ven.take(event(test_event=text, level=3))
    assert ven.current_level() == (3.0, "e1")


@pytest.mark.parametrize(
    ("rule", "first", "second", "winner"),
    [
        ("lower", 1, 2, "a"),
        ("lower", 2, 1, "b"),
        ("lower", 0, 5, "b"),
        ("lower", None, 5, "b"),
        ("lower", None, 0, "a"),
        ("higher", 1, 2, "b"),
        ("higher", None, 2, "b"),
        ("highest_level", 9, 1, "b"),
    ],
)
def test_E45_E46_E47_which_of_two_running_events_rules(rule, first, second, winner):
    ven = Ven(policy=VtnPolicy(priority=rule), now=START + 60)
    answers = ven.take(
        event("a", priority=first, market_context="http://one", level=1),
        event("b", priority=second, market_context="http://two", level=2),
    )
    assert answers == [in_("a"), in_("b")]
    assert ven.current_level() == ({"a": 1.0, "b": 2.0}[winner], winner)


def test_E45_equal_priority_the_one_activated_first(ven):
    ven.take(event("late", dtstart=START, level=1), event("early", dtstart=START - 60, level=2))
    assert ven.current_level(START + 60) == (2.0, "early")
    assert ven.current_level(START - 30) == (2.0, "early")


def test_E45_the_other_takes_over_when_the_first_ends(ven):
    ven.take(event("a", priority=1, duration="PT10M", level=0), event("b", priority=2, level=3))
    assert ven.current_level(START) == (0.0, "a")
    assert ven.current_level(START + 600) == (3.0, "b")


def test_E48_notification_ramp_up_and_recovery_are_exposed(ven):
    ven.take(event(notification="PT1H", ramp_up="-PT5M", recovery="PT10M"))
    held = ven.get_event("e1")
    assert [str(d) for d in (held.notification, held.ramp_up, held.recovery)] == [
        "PT1H",
        "-PT5M",
        "PT10M",
    ]


def test_E51_currentValue(ven):
    assert ven.take(event(current_value=None), profile="2.0a") == [out()]
    assert ven.take(event(current_value=None), profile="2.0b") == [in_()]
    lenient = Ven(policy=VtnPolicy(require_current_value_20a=False), now=START)
    assert lenient.take(event(current_value=None)) == [in_()]
    assert lenient.take(event("e2", current_value=3, level=1)) == [in_("e2")]
    assert lenient.current_level() == (1.0, "e2")


def test_E52_notification(ven):
    assert ven.take(event(notification=None), profile="2.0a") == [out()]
    assert ven.take(event(notification=None), profile="2.0b") == [in_()]
    lenient = Ven(policy=VtnPolicy(require_notification_20a=False))
    assert lenient.take(event(notification=None)) == [in_()]


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_E53_the_request(profile):
    ven = Ven("v<1>", oadr_profile_level=profile, policy=VtnPolicy(reply_limit=99))
    message = decode(ven.build_request_payload())
    assert (message.ven_id, message.reply_limit, message.profile) == ("v<1>", 99, profile)
    assert decode(ven.build_request_payload()).request_id != message.request_id


# -- opt ------------------------------------------------------------------------------------------


def test_E50_each_event_keeps_its_own_opt():
    ven = Ven(opt_callback=lambda event: "optOut" if event.event_id == "b" else "optIn")
    assert ven.take(event("a"), event("b")) == [in_("a"), out("b", code=200)]
    assert ven.take(event("a"), event("b")) == [in_("a"), out("b", code=200)]


def test_the_callback_is_asked_for_new_and_modified_events_only():
    asked = []
    ven = Ven(opt_callback=lambda event: asked.append(event.modification_number))
    ven.take(event())
    ven.take(event())
    ven.take(event(number=2))
    ven.take(event("bad", level=9), event(number=2))
    assert asked == [0, 2]


def test_a_modified_event_keeps_its_opt_unless_the_callback_says_otherwise():
    ven = Ven()
    ven.take(event())
    ven.set_opt("e1", "optOut")
    assert ven.take(event(number=1)) == [out(number=1, code=200)]
    opts = ["optOut", None, "optIn"]
    ven = Ven(opt_callback=lambda _: opts.pop(0))
    assert ven.take(event()) == [out(code=200)]
    assert ven.take(event(number=1)) == [out(number=1, code=200)]
    assert ven.take(event(number=2)) == [in_(number=2)]


@pytest.mark.parametrize("wrong", ["yes", 1, ValueError("application error")])
def test_a_failing_opt_callback_leaves_the_default(wrong, caplog):
    def callback(_):
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    ven = Ven(opt_callback=callback)
    assert ven.take(event()) == [in_()]
    assert "'e1'" in caplog.text


def test_an_opt_callback_may_change_the_handler():
    ven = Ven()

    def callback(asked):
        if asked.event_id == "b":
            ven.remove_events("a")
        return "optOut"

    ven.take(event("a"))
    ven._opt_callback = callback
    assert ven.take(event("a"), event("b")) == [out("a", code=200), out("b", code=200)]


def test_an_opted_out_event_is_held_but_not_executed(ven):
    ven.take(event(level=3), now=START)
    ven.kinds()
    ven.set_opt("e1", "optOut")
    assert ven.kinds() == ["opt"]
    assert ven.current_level() == (0, None)
    assert ven.held() == {"e1": (0, "optOut", "running")}
    ven.set_opt("e1", "optIn")
    assert ven.kinds() == ["opt", "started"]
    assert ven.current_level() == (3.0, "e1")


def test_set_opt_refuses_what_cannot_be(ven):
    ven.take(event("a"), vtn_id="one")
    ven.take(event("a"), vtn_id="two")
    with pytest.raises(LocalProtocolError, match="several"):
        ven.set_opt("a", "optOut")
    with pytest.raises(LocalProtocolError, match="no event"):
        ven.set_opt("b", "optOut")
    with pytest.raises(LocalProtocolError, match="opt"):
        ven.set_opt("a", "maybe", "one")
    ven.set_opt("a", "optOut", "one")
    assert [s.opt_type for s in ven.get_states()] == ["optOut", "optIn"]


# -- randomisation --------------------------------------------------------------------------------


def offset(ven: Ven, event_id: str = "e1") -> float:
    (state,) = [s for s in ven.get_states() if s.event.event_id == event_id]
    return state.start.timestamp() - state.event.dtstart.timestamp()


def test_R01_R02_R06_the_start_is_randomised_and_the_end_follows():
    offsets = set()
    for seed in range(50):
        ven = Ven(seed=seed)
        ven.take(event(startafter="PT10M", level=2))
        r = offset(ven)
        assert 0 <= r <= 600
        offsets.add(r)
        (state,) = ven.get_states()
        assert state.end.timestamp() - state.start.timestamp() == pytest.approx(HOUR)
        assert state.event.dtstart == datetime.fromtimestamp(START, UTC)
        assert ven.next_deadline == state.start.timestamp()
        assert ven.current_level(START + r - 0.001) == (0, None)
        assert ven.current_level(START + r + 0.001) == (2.0, "e1")
    assert len(offsets) == 50
    assert min(offsets) < 150
    assert max(offsets) > 450


def test_R03_the_offset_survives_a_modification_but_not_a_new_startafter(ven):
    ven.take(event(startafter="PT10M"))
    r = offset(ven)
    ven.take(event(number=1, startafter="PT600S", dtstart=START + 60, duration="PT2H"))
    assert offset(ven) == r
    ven.take(event(number=2, startafter="PT20M", dtstart=START + 60))
    assert offset(ven) != r
    ven.take(event(number=3, dtstart=START + 60))
    assert offset(ven) == 0


def test_R04_a_cancelled_running_event_ends_after_a_random_time():
    ends = set()
    for seed in range(30):
        ven = Ven(seed=seed)
        ven.take(event(startafter="PT10M", level=2, duration="PT3H"))
        ven.take(event(startafter="PT10M", number=1, status="cancelled"), now=START + HOUR)
        assert ven.held() == {"e1": (0, "optIn", "ending")}
        assert ven.current_level() == (2.0, "e1")
        end = ven.next_deadline
        assert START + HOUR <= end <= START + HOUR + 600
        ven.take(event(startafter="PT10M", number=1, status="cancelled"), now=START + HOUR + 0.001)
        if end > START + HOUR + 0.001:
            assert ven.next_deadline == end  # not drawn again
        ends.add(end)
        ven.kinds()
        assert [c.kind for c in ven.advance(end)] == ["cancelled"]
        assert ven.current_level(end) == (0, None)
        ven.clock.now = end
        assert ven.held() == {}
    assert len(ends) == 30


def test_R04_also_when_the_cancellation_is_implied(ven):
    ven.take(event(startafter="PT10M", level=2, duration="PT3H"))
    ven.take(now=START + HOUR)
    assert ven.held() == {"e1": (0, "optIn", "ending")}
    ven.take(now=START + HOUR + 601)
    assert ven.held() == {}
    assert ven.kinds()[-1] == "cancelled"


def test_R04_pending_and_opted_out_events_go_at_once(ven):
    ven.take(event("a", startafter="PT10M"), event("b", startafter="PT10M", dtstart=START + 7200))
    ven.set_opt("a", "optOut")
    ven.take(now=START + 1800)
    assert ven.held() == {}


def test_an_ending_event_that_is_listed_again_is_revived(ven):
    made = event(startafter="PT10M", level=2, duration="PT3H")
    ven.take(made)
    ven.take(now=START + HOUR)
    assert ven.take(made) == [in_()]
    assert ven.held() == {"e1": (0, "optIn", "running")}
    ven.kinds()
    ven.advance(START + HOUR + 601)
    assert ven.kinds() == []


def test_an_ending_event_is_not_revived_by_an_older_version(ven):
    ven.take(event(startafter="PT10M", duration="PT3H"))
    ven.take(event(startafter="PT10M", number=1, status="cancelled"), now=START + HOUR)
    assert ven.take(event(startafter="PT10M", duration="PT3H")) == [in_(code=450)]
    assert ven.held() == {"e1": (0, "optIn", "ending")}
    assert ven.take(event(startafter="PT10M", number=1, duration="PT3H")) == [in_(number=1)]
    assert ven.held() == {"e1": (1, "optIn", "running")}


@pytest.mark.parametrize("startafter", [None, "PT0S", "P"])
def test_R05_without_startafter_the_start_is_exact(ven, startafter):
    ven.take(event(startafter=startafter))
    assert ven.next_deadline == START
    assert offset(ven) == 0


def test_T08_P5M_by_policy():
    made = event(duration="P5M", intervals=[("PT5M", 1.0)])
    assert Ven(policy=VtnPolicy(months_without_t="minutes")).take(made) == [in_()]
    assert Ven().take(made) == [out()]


# -- callbacks and threads ------------------------------------------------------------------------


def test_event_callback_gets_what_was_updated_and_removed():
    calls = []
    ven = Ven(event_callback=lambda updated, removed: calls.append((set(updated), set(removed))))
    ven.take(event("a"), event("b"))
    ven.take(event("a"), event("b"))
    ven.take(event("a", 1))
    ven.remove_events(["a", "nobody"])
    assert calls == [({"a", "b"}, set()), ({"a"}, {"b"}), (set(), {"a"})]


def test_removing_a_finished_event_is_no_second_end(ven):
    ven.take(event(), now=START)
    ven.clock.now = START + HOUR
    ven.advance()
    assert ven.kinds() == ["new", "started", "completed"]
    ven.remove_events("e1")
    assert ven.kinds() == []
    assert ven.take(event()) == [out()]  # forgotten, so it is judged anew: it is over


def test_callbacks_that_fail_break_nothing(caplog):
    def fail(*_):
        raise ValueError("application error")

    ven = Ven(event_callback=fail)
    ven.subscribe(fail)
    assert ven.take(event("the one")) == [in_("the one")]
    assert ven.kinds() == ["new"]
    assert caplog.text.count("'the one'") == 2


def test_callbacks_run_without_the_lock_and_see_the_new_state():
    seen = []

    def look(changes):
        thread = threading.Thread(target=lambda: seen.append(len(ven.get_active_events())))
        thread.start()
        thread.join(10)

    ven = Ven()
    ven.subscribe(look)
    ven.take(event())
    assert seen == [1]


def test_a_callback_may_use_the_handler_and_its_changes_come_after():
    ven = Ven()
    order = []

    def react(changes):
        for change in changes:
            order.append(change.kind)
            if change.kind == "new":
                ven.remove_events(change.event_id)
                order.append("back")

    ven.subscribe(react)
    ven.take(event())
    assert order == ["new", "back", "removed"]


def test_unsubscribe(ven):
    calls = []
    stop = ven.subscribe(calls.append)
    stop()
    stop()
    ven.take(event())
    assert calls == []


def test_each_refused_version_is_logged_once(ven, caplog):
    with caplog.at_level(logging.WARNING):
        for request_id in "123":
            ven.take(event("bad", dtstart="soon"), request_id=request_id)
        assert caplog.text.count("refused with 454") == 1
        assert "dtstart" in caplog.text or "date-time" in caplog.text
        ven.take(event("bad", 1, dtstart="soon"))
        assert caplog.text.count("refused with 454") == 2
    assert ven.kinds() == ["refused", "refused"]


def test_many_threads_one_handler(ven):
    lists = [distribute_event(*[event(f"e{k}", i) for k in range(5)]) for i in range(20)]
    errors = []

    def work():
        try:
            for data in lists:
                ven.handle_payload(data)
                ven.get_states()
                ven.current_level()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert {number for number, _, _ in ven.held().values()} == {19}


# -- kinds of payload, settings -------------------------------------------------------------------


def test_lxml_elements_in_and_out(ven):
    etree = pytest.importorskip("lxml.etree")
    reply = ven.handle_payload(etree.fromstring(distribute_event(event())))
    assert etree.QName(reply).localname == "oadrCreatedEvent"
    assert ven.handle_payload(etree.fromstring(distribute_event())) is None
    assert etree.QName(ven.build_request_payload(as_element=True)).localname == "oadrRequestEvent"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_like_payloads(ven, kind):
    assert ven.handle_payload(kind(distribute_event(event()))) is not None


def test_other_encodings(ven):
    data = distribute_event(event("caf\u00e9")).decode().replace("UTF-8", "ISO-8859-1")
    assert ven.handle_payload(data.encode("latin-1")) is not None
    assert ven.get_event("caf\u00e9") is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"oadr_profile_level": "2.0c"},
        {"default_opt": "perhaps"},
        {"vtn_ids": [1]},
        {"group_id": [b"g"]},
    ],
)
def test_wrong_settings_are_named(settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        EventHandler("ven", **settings)


@pytest.mark.parametrize("ven_id", ["", None, "a\x00b"])
def test_a_ven_id_that_cannot_be(ven_id):
    with pytest.raises(ConfigurationError, match="ven_id"):
        EventHandler(ven_id)


def test_the_unchanged_list_gives_the_same_reply_and_no_changes(ven):
    data = distribute_event(event("a"), event("b", level=9))
    replies = {ven.handle_payload(data) for _ in range(4)}
    replies.add(ven.handle_payload(bytes(bytearray(data))))
    assert len(replies) == 1
    assert sorted(ven.kinds()) == ["new", "refused"]


def test_the_unchanged_list_is_looked_at_again_once_state_or_time_has_moved(ven):
    data = distribute_event(event(level=2))
    for _ in range(3):
        ven.handle_payload(data)
    ven.set_opt("e1", "optOut")
    (answer,) = decode(ven.handle_payload(data)).event_responses
    assert answer.opt_type == "optOut"
    ven.set_opt("e1", "optIn")
    ven.handle_payload(data)
    ven.handle_payload(data)
    ven.kinds()
    ven.clock.now = START
    ven.handle_payload(data)
    assert ven.kinds() == ["started"]
    ven.remove_events("e1")
    ven.handle_payload(data)
    assert ven.kinds() == ["removed", "new", "started"]
