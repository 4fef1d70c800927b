"""Statements about which events a VEN holds, and when they end (facts.md 6.3)."""

from __future__ import annotations

import pytest
from payloads import START, event, response
from vens import BEFORE, HOUR, MINUTE, Answer

from oadr2.errors import RemoteProtocolError
from oadr2.policy import VtnPolicy


@pytest.mark.parametrize("status", ["none", "far", "near", "active"])
def test_E14_an_event_of_an_unknown_id_is_added(ven, status):
    assert ven.take(event("a")) == [Answer("a", 0, 200, "optIn")]
    assert ven.take(event("a"), event("b", 3, status=status))[1] == Answer("b", 3, 200, "optIn")
    assert ven.held == {"a": 0, "b": 3}
    assert ven.kinds() == ["new", "new"]


def test_E15_a_higher_number_replaces_the_stored_version(ven):
    for number, level in ((0, 1.0), (1, 2.0), (2, 3.0), (4, 1.0), (4294967294, 2.0)):
        assert ven.take(event(number=number, level=level)) == [Answer("e1", number, 200, "optIn")]
        assert ven.held == {"e1": number}
        assert ven.state().event.signals[0].intervals[0].value == level
    assert ven.kinds() == ["new", *["modified"] * 4]


def test_E15_a_new_version_of_a_running_event_counts_at_once(ven):
    ven.take(event())
    assert ven.at(START + MINUTE) == (1.0, "e1")
    ven.take(event(number=1, level=3.0, duration="PT10M"))
    assert ven.at(START + MINUTE) == (3.0, "e1")
    assert ven.timeline(START + HOUR) == [(MINUTE, 3.0), (10 * MINUTE, 0.0)]


def test_E15_a_new_version_that_is_over_or_in_the_future_stops_the_event(ven):
    ven.take(event(duration="PT2H"))
    assert ven.at(START + HOUR) == (1.0, "e1")
    ven.take(event(number=1, dtstart=START + 2 * HOUR))
    assert ven.at(START + HOUR) == (0, None)
    assert ven.state().phase == "pending"
    assert ven.at(START + 2 * HOUR) == (1.0, "e1")
    ven.take(event(number=2, duration="PT10M"))
    assert ven.at(START + 2 * HOUR) == (0, None)
    assert ven.held == {}
    assert ven.kinds() == ["new", "started", "modified", "started", "modified", "completed"]


@pytest.mark.parametrize("opt", ["optIn", "optOut"])
@pytest.mark.parametrize("status", ["none", "far", "near", "active", "completed", "cancelled"])
def test_E16_a_lower_number_is_refused_and_the_stored_version_stays(new_ven, status, opt):
    ven = new_ven(default_opt=opt)
    ven.take(event(number=5, level=2.0))
    before = ven.state()
    (answer,) = ven.take(event(number=4, status=status, level=3.0))
    assert answer == Answer("e1", 4, 450, opt)
    assert ven.held == {"e1": 5}
    assert ven.state() == before
    assert ven.at(START) == ((2.0, "e1") if opt == "optIn" else (0, None))


@pytest.mark.parametrize("opt", ["optIn", "optOut"])
def test_E17_an_equal_number_changes_nothing_and_is_answered_as_before(ven, opt):
    ven.take(event(number=3, startafter="PT30M"))
    ven.handler.set_opt("e1", opt)
    before = ven.state()
    ven.kinds()
    for status in ("near", "active", "far", "none", "completed"):
        # What else differs is no new version: the number says so.
        answers = ven.take(event(number=3, status=status, level=3.0, duration="PT2H"))
        assert answers == [Answer("e1", 3, 200, opt)]
    assert ven.state() == before
    assert ven.kinds() == []


@pytest.mark.parametrize("number", [3, 4, 9])
def test_E18_a_known_event_that_is_cancelled_is_forgotten(ven, number):
    ven.take(event("a", 3), event("b"))
    answers = ven.take(event("a", number, status="cancelled"), event("b"))
    assert answers[0] == Answer("a", number, 200, "optIn")
    assert ven.held == {"b": 0}
    assert ven.kinds() == ["new", "new", "cancelled"]


def test_E18_a_cancelled_event_that_runs_stops(ven):
    ven.take(event())
    assert ven.at(START + MINUTE) == (1.0, "e1")
    ven.take(event(number=1, status="cancelled"))
    assert ven.at(START + MINUTE) == (0, None)


def test_E18_a_cancellation_counts_whatever_else_is_wrong_in_it(ven):
    ven.take(event("a"), event("b"), event("c"))
    answers = ven.take(
        event("a", 1, status="cancelled", signals=[]),
        event("b", 1, status="cancelled", targets={"ven_id": "other"}),
        event("c", 1, status="cancelled", dtstart="never", level=9.0, market_context=None),
    )
    assert [(a.code, a.opt) for a in answers] == [(200, "optIn")] * 3
    assert ven.held == {}


def test_E19_an_unknown_cancelled_event_is_answered_and_not_kept(ven):
    assert ven.take(event("ghost", 2, status="cancelled")) == [Answer("ghost", 2, 200, "optIn")]
    assert ven.take(event("ghost", 2, status="cancelled", required="never")) == []
    assert ven.held == {}
    assert ven.kinds() == []


@pytest.mark.parametrize("opt", ["optIn", "optOut"])
def test_E20_a_cancellation_is_acknowledged_with_optIn(new_ven, opt):
    ven = new_ven(default_opt=opt)
    ven.take(event())
    assert ven.take(event(number=1, status="cancelled")) == [Answer("e1", 1, 200, "optIn")]


def test_E20_also_while_the_event_runs_out_its_random_time(ven):
    ven.take(event(startafter="PT10M"))
    ven.at(START + 20 * MINUTE)
    cancelled = event(number=1, status="cancelled", startafter="PT10M")
    assert ven.take(cancelled) == [Answer("e1", 1, 200, "optIn")]
    assert ven.take(cancelled) == [Answer("e1", 1, 200, "optIn")]


def test_E21_a_cancelled_event_is_mentioned_again_only_when_it_is_sent_again(ven):
    ven.take(event("a"), event("b"))
    gone = event("a", 1, status="cancelled")
    assert [answer.event_id for answer in ven.take(gone, event("b"))] == ["a", "b"]
    assert [answer.event_id for answer in ven.take(event("b"))] == ["b"]
    assert [answer.event_id for answer in ven.take(gone, event("b"))] == ["a", "b"]
    assert ven.kinds().count("cancelled") == 1


def test_E22_a_known_event_that_is_not_listed_is_cancelled(ven):
    ven.take(event("a"), event("b"))
    ven.at(START + MINUTE)
    assert ven.take(event("b")) == [Answer("b", 0, 200, "optIn")]
    assert ven.held == {"b": 0}
    assert ven.kinds()[-1] == "vanished"
    assert ven.at(START + MINUTE) == (1.0, "b")


def test_E22_an_event_listed_with_an_error_is_listed(ven):
    ven.take(event("a"), event("b"))
    ven.take(event("a", "?"), event("b", 1, status="?"))
    assert ven.held == {"a": 0, "b": 0}


def test_E23_an_absent_running_event_stops_at_once_unless_its_end_is_randomised(ven):
    """The permission to let it run on is not used: the core can stop any event."""
    ven.take(event("plain"), event("random", startafter="PT10M"))
    ven.at(START + 20 * MINUTE)
    ven.take()
    assert ven.held == {"random": 0}
    assert ven.state("random").phase == "ending"


def test_E24_an_empty_list_cancels_everything_of_that_VTN(ven):
    ven.take(event("a"), vtn_id="other")
    ven.take(event("b"), event("c"))
    assert ven.deliver(ven.message()) is None
    assert ven.held == {"a": 0}


def test_E24_also_when_it_comes_with_a_good_eiResponse(ven):
    ven.take(event())
    ven.take(response_code=200)
    assert ven.held == {}


NO_LISTS = {
    "cut short": lambda ven: ven.message()[:-9],
    "bytes after the end": lambda ven: ven.message() + b"<!doctype html>",
    "no XML": lambda ven: b"Service unavailable",
    "another vocabulary": lambda ven: b"<oadrDistributeEvent/>",
    "a DTD": lambda ven: ven.message().replace(b"?>", b"?><!DOCTYPE a [<!ENTITY b 'c'>]>", 1),
    "an error code in the list": lambda ven: ven.message(response_code=500),
    "an error code alone": lambda ven: response(403, profile=ven.profile),
    "an acknowledgement": lambda ven: response(200, profile=ven.profile),
    "an unreadable code": lambda ven: ven.message(response_code="fine"),
}


@pytest.mark.parametrize("what", NO_LISTS)
def test_E25_what_is_no_trustworthy_list_cancels_nothing(ven, what):
    ven.take(event("a"), event("b", startafter="PT5M"))
    before = ven.handler.get_states()
    try:
        assert ven.deliver(NO_LISTS[what](ven)) is None
    except RemoteProtocolError:
        assert what != "an acknowledgement"
    else:
        assert what == "an acknowledgement"
    assert ven.handler.get_states() == before


def test_E25_the_list_of_another_VTN_cancels_nothing_here(ven):
    ven.take(event("a"), vtn_id="one")
    ven.take(event("a", 7), vtn_id="two")
    ven.take(vtn_id="two")
    assert ven.held == {"a": 0}


def test_E26_completed_does_not_stop_what_is_running(ven):
    ven.take(event(number=2))
    ven.at(START + MINUTE)
    for number in (2, 3):
        # One of them would be over, too.
        answers = ven.take(event(number=number, status="completed", duration="PT1S"))
        assert answers == [Answer("e1", number, 200, "optIn")]
        assert ven.at(START + MINUTE) == (1.0, "e1")
    assert ven.timeline(START + 2 * HOUR) == [(MINUTE, 1.0), (HOUR, 0.0)]


def test_E26_a_completed_event_never_seen_before_is_answered_and_not_started(ven):
    assert ven.take(event(status="completed"), now=START + MINUTE)[0].code == 200
    assert ven.at(START + MINUTE) == (0, None)
    assert ven.held == {}


def test_E27_an_event_is_dropped_at_its_end_without_being_told(ven):
    ven.take(event(startafter="PT10M", duration="PT30M"))
    end = ven.state().end.timestamp()
    assert START + 30 * MINUTE <= end <= START + 40 * MINUTE
    ven.at(end - 0.001)
    assert ven.held == {"e1": 0}
    ven.at(end)
    assert ven.held == {}
    assert ven.handler.get_event("e1") is None
    # While the VTN still lists it, it is answered and does not come back.
    for status in ("active", "completed"):
        listed = event(startafter="PT10M", duration="PT30M", status=status)
        assert ven.take(listed) == [Answer("e1", 0, 200, "optIn")]
        assert ven.held == {}
    assert ven.kinds() == ["new", "started", "completed"]


@pytest.mark.parametrize("status", ["none", "far", "near", "active", "completed"])
def test_E28_the_own_clock_rules_and_not_the_status(ven, status):
    ven.take(event(status="far"))
    for now, level in ((START - 1, 0), (START, 1.0), (START + HOUR - 1, 1.0), (START + HOUR, 0)):
        ven.take(event(status=status), now=now)
        assert ven.at(now)[0] == level


def test_E29_an_event_that_runs_already_is_joined_in_the_right_interval(ven):
    steps = [("PT10M", 1.0), ("PT20M", 2.0), ("PT30M", 3.0)]
    ven.take(event(status="active", intervals=steps), now=START + 15 * MINUTE)
    assert ven.kinds() == ["new", "started"]
    assert ven.timeline(START + 2 * HOUR) == [
        (15 * MINUTE, 2.0),
        (30 * MINUTE, 3.0),
        (60 * MINUTE, 0.0),
    ]


@pytest.mark.parametrize("status", ["none", "far", "near", "active"])
def test_E30_a_new_event_that_is_over_is_refused_and_never_runs(ven, status):
    (answer,) = ven.take(event(status=status), now=START + HOUR)
    assert answer.refused
    assert answer.opt == "optOut"
    assert ven.held == {}
    assert ven.at(START + HOUR) == (0, None)


def test_E30_not_before_its_last_possible_end(ven):
    (answer,) = ven.take(event(startafter="PT10M"), now=START + HOUR + 9 * MINUTE)
    assert answer.code == 200
    assert ven.take(event("late", startafter="PT10M"), now=START + HOUR + 10 * MINUTE)[0].refused


def test_E22_E24_only_where_the_policy_takes_lists_for_complete(new_ven):
    ven = new_ven(policy=VtnPolicy(implied_cancel=False))
    ven.take(event("a"), event("b"))
    ven.take(event("c"))
    ven.take()
    assert sorted(ven.held) == ["a", "b", "c"]
    ven.at(BEFORE)
    ven.take(event("a", 1, status="cancelled"))
    assert sorted(ven.held) == ["b", "c"]


def test_E22_E25_a_list_that_may_have_been_cut_cancels_nothing_by_silence(new_ven):
    """As many events as the replyLimit asked for: there may be more of them."""
    ven = new_ven(policy=VtnPolicy(reply_limit=2))
    ven.take(event("a"))
    ven.take(event("b"), event("c"))
    assert sorted(ven.held) == ["a", "b", "c"]
    ven.take(event("b"))
    assert sorted(ven.held) == ["b"]
