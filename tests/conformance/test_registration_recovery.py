"""Registration (facts.md 6.5) when replies are lost, the VTN forgets, or the process is killed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from conversation import NOTHING, OK, Conversation, created, seconds
from payloads import distribute_event, event
from vens import BEFORE

import oadr2
from oadr2.errors import RemoteProtocolError, StoreError, TransportError
from oadr2.model import (
    CanceledPartyRegistration,
    CancelPartyRegistration,
    CreatedEvent,
    CreateOpt,
    CreatePartyRegistration,
    EiResponse,
    Period,
    Poll,
    QueryRegistration,
    RegisteredReport,
    RegisterReport,
    RequestEvent,
    RequestReregistration,
    Response,
)
from oadr2.services.registration import RegistrationSettings
from oadr2.services.state import MemoryState

GONE = TransportError("no connection within 5 s")
REFUSED = EiResponse(451, "not now", "r")
ASKED_AGAIN = RequestReregistration("ven_9")
WHO = EiResponse(463, "who?", "")


def forgotten(talk: Conversation) -> None:
    with pytest.raises(RemoteProtocolError, match="463"):
        talk.polls(Response(WHO, None, "2.0b"))


def test_P07_a_promise_to_register_again_outlives_the_process():
    state = MemoryState()
    talk = Conversation(state=state)
    talk.registers()
    talk.polls(ASKED_AGAIN)
    talk.hears(Response)
    talk.says(b"")
    again = Conversation(state=state)  # killed before it registered
    message = again.hears(CreatePartyRegistration)
    assert (message.registration_id, message.ven_id) == ("reg_1", "ven_9")
    again.says(created())
    Conversation(state=state).hears(RegisterReport)  # and once is enough


def test_P08_reports_are_registered_although_the_process_was_killed_after_the_registration():
    state = MemoryState()
    talk = Conversation(state=state)
    talk.registers()
    forgotten(talk)
    talk.goes_on(5)
    talk.hears(CreatePartyRegistration)
    talk.says(created(registration_id="reg_2", ven_id="ven_11"))
    Conversation(state=state).hears(RegisterReport, "EiReport")


def test_P08_reports_are_registered_although_the_reply_to_the_registration_was_lost():
    state = MemoryState()
    talk = Conversation(state=state)
    talk.registers()
    talk.ven.register()
    talk.hears(CreatePartyRegistration)  # the VTN has it, and the process is killed
    again = Conversation(state=state)
    again.hears(CreatePartyRegistration)
    again.says(created())
    again.hears(RegisterReport, "EiReport")


@pytest.mark.parametrize("push_again", [False, True])
def test_P09_an_end_that_is_repeated_is_confirmed_again(push_again):
    """The VTN has not got our answer."""
    talk = Conversation()
    talk.registers()
    data = oadr2.encode(CancelPartyRegistration("reg_1", "c1", "ven_9"))
    for _ in range(2):
        push = talk.ven.receive_push(data, "EiRegisterParty", talk.now)
        assert oadr2.decode(push.reply).response.response_code == 200
    assert talk.ven.phase == "cancelled"
    if push_again:  # and a late one does not end what begins anew
        talk.ven.register()
        talk.ven.receive_push(data, "EiRegisterParty", talk.now)
        talk.hears(CreatePartyRegistration)


def test_P09_an_end_that_is_repeated_after_a_restart_is_confirmed_again():
    state = MemoryState()
    talk = Conversation(state=state)
    talk.registers()
    data = oadr2.encode(CancelPartyRegistration("reg_1", "c1", "ven_9"))
    talk.ven.receive_push(data, "EiRegisterParty", talk.now)
    again = Conversation(state=state)
    push = again.ven.receive_push(data, "EiRegisterParty", again.now)
    assert oadr2.decode(push.reply).response.response_code == 200
    again.registers()
    later = oadr2.encode(CancelPartyRegistration("reg_0", "c2", "ven_9"))
    push = again.ven.receive_push(later, "EiRegisterParty", again.now)
    assert oadr2.decode(push.reply).response.response_code == 452
    assert not state.load("registration_ended")


def test_P09_a_registration_asked_for_before_the_end_does_not_outlive_it():
    state = MemoryState()
    talk = Conversation(state=state)
    talk.registers()
    talk.ven.register()
    talk.hears(CreatePartyRegistration)
    data = oadr2.encode(CancelPartyRegistration("reg_1", "c1", "ven_9"))
    talk.ven.receive_push(data, "EiRegisterParty", talk.now)
    talk.says(created())
    assert talk.ven.phase == "cancelled"
    assert talk.ven.registration.registered is None
    assert "registration" not in state.load("registration")


@pytest.mark.parametrize("code", [452, 463])
def test_P11_a_VTN_that_knows_of_no_registration_has_ended_it(code):
    """It had our oadrCancelPartyRegistration before, and its reply was lost."""
    talk = Conversation()
    talk.registers()
    talk.ven.cancel_registration()
    talk.hears(CancelPartyRegistration)
    talk.ven.failed(talk.action, GONE, talk.now)
    talk.goes_on(5)
    talk.hears(CancelPartyRegistration)
    talk.says(CanceledPartyRegistration(EiResponse(code, "unknown", "")))
    assert talk.ven.phase == "cancelled"
    assert talk.next() is None


def test_P11_it_does_not_register_to_cancel_that_when_a_poll_tells_of_the_end():
    talk = Conversation()
    talk.registers()
    talk.ven.cancel_registration()
    talk.hears(CancelPartyRegistration)
    talk.ven.failed(talk.action, TransportError("HTTP 500", status=500), talk.now)
    talk.goes_on(0.1)
    talk.ven._next_poll = talk.now
    forgotten(talk)
    assert talk.ven.phase == "cancelled"


def test_P11_who_registers_after_all_is_not_cancelled():
    talk = Conversation()
    talk.registers()
    talk.ven.cancel_registration()
    talk.ven.register()
    talk.registers()
    talk.goes_on(300)
    talk.hears(Poll)


@pytest.mark.parametrize("code", [452, 463])
def test_a_VTN_that_no_longer_knows_our_registrationID_is_registered_with_anew(code):
    talk = Conversation()
    talk.registers()
    talk.ven.register()
    assert talk.hears(CreatePartyRegistration).registration_id == "reg_1"
    with pytest.raises(RemoteProtocolError, match=str(code)):
        talk.says(Response(EiResponse(code, "no such registration", ""), None, "2.0b"))
    assert talk.next() is None  # not at once
    talk.goes_on(5)
    assert talk.hears(CreatePartyRegistration).registration_id is None


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        pytest.param(QueryRegistration, b"<html>", id="query"),
        pytest.param(RegisterReport, b"<html>", id="reports, unreadable"),
        pytest.param(RegisterReport, Response(REFUSED, None, "2.0b"), id="reports, refused"),
        pytest.param(RegisterReport, Response(WHO, None, "2.0b"), id="reports, unknown"),
    ],
)
def test_no_refusal_makes_it_ask_again_at_once(kind, reply):
    talk = Conversation(registration=RegistrationSettings(query=kind is QueryRegistration))
    sent = 0
    while talk.now < BEFORE + 60:
        message = talk.next()
        if message is None:
            talk.clock.now = talk.ven.next_deadline
            continue
        sent += 1
        assert sent < 100
        if isinstance(message, kind):
            with pytest.raises(RemoteProtocolError):
                talk.says(reply)
        elif isinstance(message, CreatePartyRegistration):
            talk.says(created())
        elif isinstance(message, RegisterReport):
            talk.says(RegisteredReport(OK))
        else:
            talk.says(NOTHING)


def test_what_has_waited_goes_out_under_the_venID_that_we_have_now():
    talk = Conversation()
    talk.registers()
    talk.polls(distribute_event(event(), profile="2.0b"))
    talk.hears(CreatedEvent)
    talk.ven.failed(talk.action, TransportError("HTTP 500", status=500), talk.now)
    talk.ven.create_opt(talk.handler.get_event("e1"), "optOut", talk.now)
    talk.ven.register()
    talk.ven._tries.failed("answer", talk.now, 10.0)
    talk.hears(CreatePartyRegistration)
    talk.says(created(ven_id="ven_10"))
    talk.hears(RegisterReport)
    talk.says(RegisteredReport(OK))
    talk.goes_on(20)
    assert talk.hears(CreatedEvent).ven_id == "ven_10"
    talk.says(NOTHING)
    talk.hears(RequestEvent)
    talk.says(NOTHING)
    assert talk.hears(CreateOpt).ven_id == "ven_10"


def test_L06_a_list_that_was_lost_with_the_reply_to_a_poll_is_asked_for():
    """Not every VTN sends it a second time."""
    talk = Conversation()
    talk.registers()
    talk.goes_on(10)
    talk.hears(Poll)
    talk.ven.failed(talk.action, GONE, talk.now)
    talk.polls()
    talk.hears(RequestEvent, "EiEvent")
    talk.says(distribute_event(event(), profile="2.0b"))
    talk.hears(CreatedEvent)
    talk.says(NOTHING)
    talk.polls()
    assert talk.next() is None  # and once is enough


# -- a disk that is full --------------------------------------------------------------------------


class FailingState(MemoryState):
    """Fails the writes from the ``good``-th on."""

    good: float = math.inf

    def save(self, changes: Mapping[str, str | None]) -> None:
        self.good -= 1
        if self.good < 0:
            raise StoreError("ven.db: cannot grow: free some disk space")
        super().save(changes)


def test_a_poll_whose_reply_cannot_be_stored_is_not_repeated_at_once():
    state = FailingState()
    talk = Conversation(state=state)
    talk.registers()
    state.good = 0
    with pytest.raises(StoreError):
        talk.polls(ASKED_AGAIN)
    assert talk.next() is None
    assert talk.ven.next_deadline >= talk.now + 1


def test_P09_an_end_that_cannot_be_stored_changes_nothing_and_comes_again():
    state = FailingState()
    talk = Conversation(state=state)
    talk.registers()
    period = Period(datetime.fromtimestamp(talk.now, UTC), seconds(60))
    opt_id = talk.ven.create_availability("optOut", [period], talk.now)
    end = oadr2.encode(CancelPartyRegistration("reg_1", "c1", "ven_9"))
    before = state.load("")
    state.good = 0
    with pytest.raises(StoreError):
        talk.ven.receive_push(end, "EiRegisterParty", talk.now)
    assert talk.ven.phase == "registered"
    assert [opt.opt_id for opt in talk.ven.opts.held] == [opt_id]
    assert state.load("") == before
    state.good = 1  # one write is all it takes
    talk.ven.receive_push(end, "EiRegisterParty", talk.now)
    assert talk.ven.phase == "cancelled"
    assert "registration" not in state.load("registration")


def test_D19_METADATA_whose_reply_cannot_be_stored_are_sent_again():
    """The VTN has ended what was asked for before, and we have not."""
    state = FailingState()
    talk = Conversation(state=state)
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    talk.hears(RegisterReport)
    state.good = 0
    with pytest.raises(StoreError):
        talk.says(RegisteredReport(OK))
    state.good = math.inf
    talk.hears(RequestEvent)
    talk.says(NOTHING)
    talk.goes_on(5)
    talk.hears(RegisterReport)
