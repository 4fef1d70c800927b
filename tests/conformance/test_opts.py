"""Statements about EiOpt (facts.md 6.8), played message by message."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from conversation import NOTHING, OK, Conversation, created, seconds
from payloads import distribute_event, event
from vens import BEFORE

import oadr2
from oadr2.decisions import Decisions
from oadr2.errors import LocalProtocolError, RemoteProtocolError
from oadr2.event import EventHandler
from oadr2.model import (
    CanceledOpt,
    CanceledPartyRegistration,
    CancelOpt,
    CancelPartyRegistration,
    CreatedEvent,
    CreatedOpt,
    CreateOpt,
    CreatePartyRegistration,
    EiResponse,
    Period,
    RegisteredReport,
    RegisterReport,
    RequestEvent,
    Response,
    Targets,
)
from oadr2.schedule import Duration
from oadr2.services.state import MemoryState


@pytest.fixture
def talk():
    conversation = Conversation()
    conversation.registers()
    conversation.polls(distribute_event(event(), profile="2.0b"))
    conversation.hears(CreatedEvent)
    conversation.says(b"")
    return conversation


@pytest.fixture
def period(talk):
    return Period(datetime.fromtimestamp(talk.now + 3600, UTC), seconds(7200))


def test_O01_an_event_is_qualified(talk):
    held = talk.handler.get_event("e1")
    opt_id = talk.ven.create_opt(held, "optOut", talk.now, targets=Targets(resource_ids=("pump",)))
    message = talk.hears(CreateOpt, "EiOpt")
    assert (message.opt_id, message.opt_type, message.ven_id) == (opt_id, "optOut", "ven_9")
    assert message.qualified_event_id.event_id == "e1"
    assert message.qualified_event_id.modification_number == held.modification_number
    assert message.targets.resource_ids == ("pump",)


def test_O02_an_event_or_a_schedule(talk, period):
    talk.ven.create_opt(talk.handler.get_event("e1"), "optOut", talk.now)
    message = talk.hears(CreateOpt)
    assert (message.qualified_event_id is None, message.vavailability is None) == (False, True)
    talk.says(CreatedOpt(message.opt_id, OK))
    talk.ven.create_availability("optOut", [period], talk.now)
    message = talk.hears(CreateOpt)
    assert (message.qualified_event_id is None, message.vavailability is None) == (True, False)


def test_O03_the_target_is_there_even_when_empty(talk):
    talk.ven.create_opt(talk.handler.get_event("e1"), "optIn", talk.now)
    talk.hears(CreateOpt)
    assert b"eiTarget" in talk.action.data


def test_O04_a_schedule_has_spans_and_a_reason(talk, period):
    talk.ven.create_availability("optOut", [period], talk.now, market_context="http://m")
    message = talk.hears(CreateOpt, "EiOpt")
    assert message.opt_reason == "x-schedule"
    assert message.market_context == "http://m"
    assert message.vavailability.available == (period,)


@pytest.mark.parametrize(
    ("periods", "reason"),
    [((), "x-schedule"), ((0,), "x-schedule"), ((60,), "because")],
    ids=["none", "no length", "no such reason"],
)
def test_O04_others_are_refused_and_nothing_is_sent(talk, periods, reason):
    start = datetime.fromtimestamp(talk.now, UTC)
    spans = [Period(start, seconds(length) if length else Duration()) for length in periods]
    with pytest.raises(LocalProtocolError):
        talk.ven.create_availability("optOut", spans, talk.now, reason=reason)
    assert talk.ven.opts.held == ()
    assert talk.next() is None


def test_O05_open_opts_are_remembered_and_matched():
    state = MemoryState()
    talk = Conversation(state=state)
    talk.registers()
    start = datetime.fromtimestamp(talk.now, UTC)
    opt_id = talk.ven.create_availability("optOut", [Period(start, seconds(60))], talk.now)
    assert talk.hears(CreateOpt).opt_id == opt_id

    again = Conversation(state=state)  # killed before the VTN had replied
    again.registers()
    assert again.hears(CreateOpt, "EiOpt").opt_id == opt_id
    again.says(CreatedOpt(opt_id, OK))
    assert [opt.opt_id for opt in again.ven.opts.held] == [opt_id]
    again.polls()

    once_more = Conversation(state=state)
    once_more.registers()
    once_more.polls()  # nothing is sent a second time
    once_more.goes_on(3600)
    once_more.next()
    assert once_more.ven.opts.held == ()  # and over is over


def test_O05_a_refused_opt_is_not_held(talk):
    talk.ven.create_opt(talk.handler.get_event("e1"), "optOut", talk.now)
    message = talk.hears(CreateOpt)
    with pytest.raises(RemoteProtocolError, match="452"):
        talk.says(CreatedOpt(message.opt_id, EiResponse(452, "no such event", "r")))
    assert talk.ven.opts.held == ()
    talk.goes_on(5)
    talk.polls()


@pytest.mark.parametrize("named", [True, False])
def test_O06_an_opt_is_taken_back(talk, named):
    opt_id = talk.ven.create_opt(talk.handler.get_event("e1"), "optOut", talk.now)
    talk.hears(CreateOpt)
    talk.says(CreatedOpt(opt_id, OK))
    talk.ven.cancel_opt(opt_id)
    message = talk.hears(CancelOpt, "EiOpt")
    assert (message.opt_id, message.ven_id) == (opt_id, "ven_9")
    talk.says(CanceledOpt(OK, opt_id if named else None))
    assert talk.ven.opts.held == ()
    with pytest.raises(LocalProtocolError, match="not held"):
        talk.ven.cancel_opt(opt_id)


def register_anew(talk: Conversation) -> None:
    """The VTN has forgotten everything."""
    with pytest.raises(RemoteProtocolError, match="463"):
        talk.polls(Response(EiResponse(463, "who?", ""), None, "2.0b"))
    talk.goes_on(5)
    talk.hears(CreatePartyRegistration)
    talk.says(created(registration_id="reg_2", ven_id="ven_11"))
    talk.hears(RegisterReport)
    talk.says(RegisteredReport(OK))
    talk.hears(RequestEvent)
    talk.says(NOTHING)


def test_O05_a_VTN_that_forgot_us_is_told_of_our_opts_again(talk, period):
    opt_id = talk.ven.create_availability("optOut", [period], talk.now, market_context="http://m")
    before = talk.hears(CreateOpt)
    talk.says(CreatedOpt(opt_id, OK))
    register_anew(talk)
    message = talk.hears(CreateOpt, "EiOpt")
    assert message == replace(before, ven_id="ven_11")
    talk.says(CreatedOpt(opt_id, OK))
    assert [opt.opt_id for opt in talk.ven.opts.held] == [opt_id]
    talk.polls()  # and once is enough


def test_O05_an_opt_is_not_lost_on_a_VTN_that_forgot_us_over_it(talk, period):
    opt_id = talk.ven.create_availability("optOut", [period], talk.now)
    talk.hears(CreateOpt)
    with pytest.raises(RemoteProtocolError, match="463"):
        talk.says(Response(EiResponse(463, "who?", ""), None, "2.0b"))
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    talk.hears(RegisterReport)
    talk.says(RegisteredReport(OK))
    talk.hears(RequestEvent)
    talk.says(NOTHING)
    talk.goes_on(5)
    assert talk.hears(CreateOpt).opt_id == opt_id


def test_O05_an_opt_refused_with_an_oadrResponse_is_not_held(talk):
    talk.ven.create_opt(talk.handler.get_event("e1"), "optOut", talk.now)
    talk.hears(CreateOpt)
    with pytest.raises(RemoteProtocolError, match="451"):
        talk.says(Response(EiResponse(451, "not allowed", "r"), None, "2.0b"))
    assert talk.ven.opts.held == ()


def test_O05_what_answers_no_oadrCreateOpt_ends_no_opt(talk):
    opt_id = talk.ven.create_opt(talk.handler.get_event("e1"), "optOut", talk.now)
    talk.hears(CreateOpt)
    with pytest.raises(
        RemoteProtocolError, match="expected an oadrCreatedOpt, got oadrCanceledOpt"
    ):
        talk.says(CanceledOpt(OK, opt_id))
    assert [opt.opt_id for opt in talk.ven.opts.held] == [opt_id]
    talk.goes_on(5)
    assert talk.hears(CreateOpt).opt_id == opt_id
    talk.says(CreatedOpt(opt_id, OK))
    assert talk.ven.opts.waiting == 0


def test_O05_an_opt_whose_reply_cannot_be_read_holds_up_no_other(talk, period):
    ids = [talk.ven.create_availability("optOut", [period], talk.now) for _ in range(2)]
    asked = []
    for _ in range(3):
        asked.append(talk.hears(CreateOpt).opt_id)
        with pytest.raises(RemoteProtocolError):
            talk.says(b"<html>")
        talk.goes_on(9)  # not until the next poll
    assert set(asked) == set(ids)


def test_O05_opts_end_with_the_registration(talk, period):
    talk.ven.create_availability("optOut", [period], talk.now)
    talk.hears(CreateOpt)
    talk.says(CreatedOpt(talk.ven.opts.held[0].opt_id, OK))
    talk.ven.cancel_registration()
    talk.hears(CancelPartyRegistration)
    talk.says(CanceledPartyRegistration(OK, "reg_1", "ven_9"))
    assert talk.ven.opts.held == ()


def test_O05_the_reply_to_an_opt_of_a_former_registration_is_about_no_later_one(talk, period):
    talk.ven.create_availability("optOut", [period], talk.now)
    first = talk.hears(CreateOpt)
    end = oadr2.encode(CancelPartyRegistration("reg_1", "c1", "ven_9"))
    talk.ven.receive_push(end, "EiRegisterParty", talk.now)
    talk.ven.register()
    second = talk.ven.create_availability("optOut", [period], talk.now)
    talk.says(CreatedOpt(first.opt_id, OK))
    talk.registers()
    assert talk.hears(CreateOpt).opt_id == second


def test_E02_an_event_that_wants_no_answer_gets_none_when_it_is_decided_late():
    decisions = Decisions(lambda event: "later", time_limit=60.0, clock=lambda: BEFORE)
    handler = EventHandler(
        "ven_local", oadr_profile_level="2.0b", clock=lambda: BEFORE, opt_callback=decisions.ask
    )
    talk = Conversation(handler, decisions=decisions)
    talk.registers()
    wanted, unwanted = event("e1"), event("e2", required="never")
    talk.polls(distribute_event(wanted, unwanted, profile="2.0b"))
    decisions.decide("e1", "optOut")
    decisions.decide("e2", "optOut")
    (answer,) = talk.hears(CreatedEvent).event_responses
    assert (answer.event_id, answer.opt_type) == ("e1", "optOut")
    talk.says(NOTHING)
    assert talk.next() is None
    assert [state.opt_type for state in handler.get_states()] == ["optOut", "optOut"]


@pytest.fixture
def ending(talk):
    """The optID of an opt that the VTN is just asked to end."""
    opt_id = talk.ven.create_opt(talk.handler.get_event("e1"), "optOut", talk.now)
    talk.hears(CreateOpt)
    talk.says(CreatedOpt(opt_id, OK))
    talk.ven.cancel_opt(opt_id)
    talk.hears(CancelOpt)
    return opt_id


@pytest.mark.parametrize(("code", "held"), [(200, 0), (452, 0), (469, 1)])
def test_O06_an_oadrResponse_says_what_becomes_of_an_opt(talk, ending, code, held):
    with pytest.raises(RemoteProtocolError):
        talk.says(Response(EiResponse(code, "in short", "r"), None, "2.0b"))
    assert len(talk.ven.opts.held) == held
    assert talk.ven.opts.waiting == 0


def test_O06_what_answers_no_oadrCancelOpt_leaves_it_unanswered(talk, ending):
    with pytest.raises(
        RemoteProtocolError, match="expected an oadrCanceledOpt, got oadrCreatedOpt"
    ):
        talk.says(CreatedOpt(ending, OK))
    talk.goes_on(5)
    assert talk.hears(CancelOpt).opt_id == ending
    talk.says(CanceledOpt(OK, ending))
    assert talk.ven.opts.held == ()


def test_O06_an_opt_is_taken_back_once_more_when_the_reply_cannot_be_read(talk):
    opt_id = talk.ven.create_opt(talk.handler.get_event("e1"), "optOut", talk.now)
    talk.hears(CreateOpt)
    talk.says(CreatedOpt(opt_id, OK))
    talk.ven.cancel_opt(opt_id)
    talk.hears(CancelOpt)
    with pytest.raises(RemoteProtocolError):
        talk.says(b"<html>")
    assert talk.next() is None
    talk.goes_on(5)
    talk.hears(CancelOpt)
    talk.says(CanceledOpt(OK, opt_id))
    assert talk.ven.opts.held == ()
