"""Statements about what is answered to a list of events, and in which form (facts.md 6.3)."""

from __future__ import annotations

import pytest
from payloads import START, event, response
from vens import MINUTE, Answer, Sent

from oadr2.errors import RemoteProtocolError
from oadr2.policy import VtnPolicy


def test_E01_each_event_that_wants_an_answer_gets_one_every_time(ven):
    assert ven.take(event()) == [Answer("e1", 0, 200, "optIn")]
    assert ven.take(event()) == [Answer("e1", 0, 200, "optIn")]
    assert ven.take(event(number=1, level=2.0)) == [Answer("e1", 1, 200, "optIn")]
    assert ven.take(event(number=2, status="cancelled")) == [Answer("e1", 2, 200, "optIn")]


NOT_ANSWERED = {
    "a new event": {},
    "a modification": {"number": 8},
    "a lower number": {"number": 3},
    "a cancellation": {"number": 8, "status": "cancelled"},
    "a completed event": {"status": "completed"},
    "a wrong level": {"number": 8, "level": 9.0},
    "no date": {"number": 8, "dtstart": "soon"},
    "no signals": {"number": 8, "signals": []},
    "an unreadable number": {"number": "x"},
    "another VEN's event": {"number": 8, "targets": {"ven_id": "other"}},
    "another market's event": {"number": 8, "market_context": "http://elsewhere"},
}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("what", NOT_ANSWERED)
def test_E02_an_event_with_never_is_not_answered_whatever_is_wrong(new_ven, what, known):
    ven = new_ven(market_contexts="http://market")
    if known:
        ven.take(event(number=5))
    unanswered = event(required="never", **NOT_ANSWERED[what])
    assert ven.deliver(ven.message(unanswered)) is None
    assert what != "a cancellation" or ven.held == {}
    # Beside one that is answered it stays unmentioned.
    answers = ven.take(unanswered, event("other"))
    assert [answer.event_id for answer in answers] == ["other"]


def test_E03_nothing_is_sent_when_no_event_wants_an_answer(ven):
    assert ven.deliver(ven.message()) is None
    assert (
        ven.deliver(ven.message(event("a", required="never"), event("b", required="never"))) is None
    )
    assert sorted(ven.held) == ["a", "b"]
    assert ven.deliver(ven.message()) is None
    assert ven.held == {}


def test_E04_one_message_holds_all_answers_of_a_list(ven):
    sent = ven.answer_to(
        event("a"),
        event("b", status="cancelled"),
        event("c", level=5.0),
        event("d", required="never"),
    )
    assert sent.answers == [
        Answer("a", 0, 200, "optIn"),
        Answer("b", 0, 200, "optIn"),
        Answer("c", 0, 454, "optOut"),
    ]


def test_E05_each_answer_carries_the_requestID_of_the_list(ven):
    sent = ven.answer_to(event("a"), event("b", level=5.0), request_id="a&lt;b> 1")
    assert [answer.request_id for answer in sent.answers] == ["a<b> 1", "a<b> 1"]
    assert sent.text(".//ei:venID") == "ven"


def test_E06_a_later_change_of_opt_carries_the_requestID_of_the_list(ven):
    ven.take(event("a"), event("b"), request_id="first")
    ven.take(event("a"), event("b"), request_id="a much longer second one")
    sent = Sent(ven.handler.set_opt("b", "optOut"))
    assert sent.answers == [Answer("b", 0, 200, "optOut", "a much longer second one")]
    assert sent.response == (200, "")


def test_E07_the_eiResponse_beside_answers_has_an_empty_requestID(ven):
    assert ven.answer_to(event("a"), request_id="r1").response == (200, "")
    assert ven.answer_to(event("b", level=7.0), request_id="r2").response == (200, "")


def test_E08_eventResponses_is_there_unless_eiResponse_reports_an_error(new_ven):
    ven = new_ven(vtn_ids="vtn")
    assert ven.answer_to(event("a")).text(".//ei:eventResponses") is not None
    assert ven.answer_to(event("a", level=7.0)).text(".//ei:eventResponses") is not None
    refusal = ven.answer_to(event("a"), vtn_id="stranger")
    assert refusal.text(".//ei:eventResponses") is None
    assert refusal.response[0] // 100 == 4


def test_E09_the_failure_of_one_event_leaves_eiResponse_at_200(ven):
    sent = ven.answer_to(event(level=5.0))
    assert sent.response[0] == 200
    assert sent.answers[0].refused


@pytest.mark.parametrize("request_id", ["same", "0", "", None])
def test_E10_a_requestID_may_repeat_and_need_not_be_there(ven, request_id):
    for number in range(3):
        (answer,) = ven.take(event(number=number), request_id=request_id)
        assert answer == Answer("e1", number, 200, "optIn", request_id or "")
    assert ven.held == {"e1": 2}


def test_E11_the_answer_names_the_event_and_the_number_received(ven):
    ven.take(event("007", 4))
    assert ven.take(event("007", 4)) == [Answer("007", 4, 200, "optIn")]
    assert ven.take(event("007", 4294967294)) == [Answer("007", 4294967294, 200, "optIn")]
    (lower,) = ven.take(event("007", 2))
    assert (lower.event_id, lower.number) == ("007", 2)


def test_E12_good_events_are_taken_beside_bad_ones(ven):
    answers = ven.take(
        event("no date", dtstart="yesterday"),
        event("good 1"),
        event("no number", number="many"),
        event("bad level", level=4.0),
        event("bad status", status="perhaps"),
        event("no market", market_context=None),
        event("good 2"),
    )
    assert [a.event_id for a in answers if a.code == 200] == ["good 1", "good 2"]
    assert [a.opt for a in answers if a.refused] == ["optOut"] * 5
    assert sorted(ven.held) == ["good 1", "good 2"]


def test_E12_an_event_without_an_id_spoils_only_itself(ven):
    answers = ven.take(event(None), event(""), event("good"))
    assert [a for a in answers if a.code == 200] == [Answer("good", 0, 200, "optIn")]
    assert ven.held == {"good": 0}


@pytest.mark.parametrize("vtn_id", ["stranger", "", None])
def test_E31_a_wrong_vtnID_is_an_error_of_the_message_and_touches_nothing(new_ven, vtn_id):
    ven = new_ven(vtn_ids=["vtn", "vtn2"])
    ven.take(event())
    before = ven.state()
    sent = ven.answer_to(event("e2"), vtn_id=vtn_id, request_id="r9")
    assert (sent.kind, sent.profile) == ("oadrCreatedEvent", ven.profile)
    assert sent.response == (452, "r9")
    assert sent.text(".//ei:responseDescription")
    assert sent.answers == []
    assert ven.held == {"e1": 0}
    assert ven.state() == before


def test_E31_with_an_empty_list_of_a_stranger_nothing_is_cancelled(new_ven):
    ven = new_ven(vtn_ids="vtn")
    ven.take(event())
    assert ven.answer_to(vtn_id="stranger").response[0] == 452
    assert ven.held == {"e1": 0}


def test_E32_any_vtnID_will_do_when_none_is_configured(ven):
    assert ven.take(event("a"), vtn_id="one") == [Answer("a", 0, 200, "optIn")]
    assert ven.take(event("b"), vtn_id="two") == [Answer("b", 0, 200, "optIn")]
    assert ven.answer_to(vtn_id="").response[0] == 452
    assert ven.held == {"a": 0, "b": 0}


def test_E49_answers_do_not_depend_on_how_complete_the_list_is(new_ven):
    """The same events one by one and in one list; over every transport, as all scenarios here."""
    whole = new_ven()
    single = new_ven(policy=VtnPolicy(implied_cancel=False))
    for vary in ({}, {}, {"number": 1}, {"number": 0}, {"number": 1, "status": "cancelled"}):
        events = [event(name, **vary) for name in ("a", "b", "c")]
        answers = [answer for each in events for answer in single.take(each)]
        assert whole.take(*events) == answers
        assert len(answers) == 3


def test_E50_each_event_keeps_its_own_opt(new_ven):
    ven = new_ven(opt_callback=lambda e: "optOut" if e.event_id == "b" else None)
    expected = [Answer("a", 0, 200, "optIn"), Answer("b", 0, 200, "optOut")]
    assert ven.take(event("a"), event("b")) == expected
    assert ven.take(event("a"), event("b")) == expected
    ven.handler.set_opt("a", "optOut")
    ven.handler.set_opt("b", "optIn")
    assert [answer.opt for answer in ven.take(event("a"), event("b"))] == ["optOut", "optIn"]


def test_E53_the_request_holds_ids_and_a_limit_and_nothing_else(new_ven):
    ven = new_ven()
    sent = Sent(ven.handler.build_request_payload())
    assert sent.kind == "oadrRequestEvent"
    assert sent.profile == ven.profile
    request = sent.message[0]
    assert [sent.name(child) for child in request] == ["pyld:requestID", "ei:venID"]
    assert request[0].text
    assert request[1].text == "ven"
    again = Sent(ven.handler.build_request_payload()).message[0]
    assert again[0].text != request[0].text
    limited = Sent(new_ven(policy=VtnPolicy(reply_limit=99)).handler.build_request_payload())
    assert limited.text("pyld:eiRequestEvent/pyld:replyLimit") == "99"
    assert len(limited.message[0]) == 3


@pytest.mark.parametrize("form", ["oadrResponse", "oadrDistributeEvent"])
def test_E54_an_error_in_reply_to_the_request_is_taken_in_either_form(ven, form):
    ven.take(event())
    payload = (
        response(404, "who are you?", profile=ven.profile)
        if form == "oadrResponse"
        else ven.message(response_code=404, response_description="who are you?")
    )
    with pytest.raises(RemoteProtocolError, match=r"who are you\?") as caught:
        ven.deliver(payload)
    assert caught.value.response_code == 404
    assert ven.held == {"e1": 0}


def test_E56_a_restart_loses_nothing(new_ven, tmp_path):
    file = tmp_path / "ven.db"
    first = new_ven(db_path=file)
    first.take(event("a", startafter="PT20M"), event("b"), request_id="r7")
    first.handler.set_opt("b", "optOut")
    before = first.handler.get_states()
    first.handler.close()

    second = new_ven(db_path=file, seed=99)
    assert second.handler.get_states() == before
    assert [state.request_id for state in before] == ["r7", "r7"]
    (answer,) = Sent(second.handler.set_opt("a", "optOut")).answers
    assert answer.request_id == "r7"
    second.handler.set_opt("a", "optIn")
    # The list is known: same answers, same start, and a lower number is still lower.
    opts = [a.opt for a in second.take(event("a", startafter="PT20M"), event("b"))]
    assert opts == ["optIn", "optOut"]
    assert second.state("a").start == before[0].start


def test_E56_a_termination_under_way_survives_a_restart(new_ven, tmp_path):
    file = tmp_path / "ven.db"
    first = new_ven(db_path=file)
    first.take(event(startafter="PT20M"))
    first.at(START + 25 * MINUTE)
    first.take()
    state = first.state()
    assert state.phase == "ending"
    first.handler.close()

    second = new_ven(db_path=file, now=START + 25 * MINUTE)
    assert second.handler.get_states() == [state]
    second.at(START + 45 * MINUTE)
    assert second.held == {}
