"""What one list of events makes of another, where the profiles leave it to the VEN.

What they ask for is in tests/conformance/, over every transport.
"""

from __future__ import annotations

import logging

import pytest
from clocked_handler import HOUR, Ven, in_, out
from payloads import START, distribute_event, event, response

from oadr2._core.objects import decode
from oadr2.errors import RemoteProtocolError
from oadr2.policy import VtnPolicy


@pytest.fixture
def ven() -> Ven:
    return Ven()


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


def test_each_refused_version_is_logged_once(ven, caplog):
    with caplog.at_level(logging.WARNING):
        for request_id in "123":
            ven.take(event("bad", dtstart="soon"), request_id=request_id)
        assert caplog.text.count("refused with 454") == 1
        assert "dtstart" in caplog.text or "date-time" in caplog.text
        ven.take(event("bad", 1, dtstart="soon"))
        assert caplog.text.count("refused with 454") == 2
    assert ven.kinds() == ["refused", "refused"]
