"""Statements about registration and OadrPoll (facts.md 6.5, 6.6), played message by message."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from conversation import NOTHING, OK, Conversation, created, seconds
from payloads import distribute_event, event

import oadr2
from oadr2.errors import ConfigurationError, LocalProtocolError, RemoteProtocolError, TransportError
from oadr2.event import EventHandler
from oadr2.model import (
    CanceledPartyRegistration,
    CanceledReport,
    CancelPartyRegistration,
    CancelReport,
    CreatedEvent,
    CreatedReport,
    CreatePartyRegistration,
    CreateReport,
    EiResponse,
    Extension,
    Info,
    Poll,
    QueryRegistration,
    RegisteredReport,
    RegisterReport,
    RequestEvent,
    RequestReregistration,
    Response,
    Service,
    UpdatedReport,
    UpdateReport,
)
from oadr2.policy import VtnPolicy
from oadr2.services.registration import RegistrationSettings
from oadr2.services.state import MemoryState

GONE = TransportError("no connection within 5 s")
REFUSED = EiResponse(451, "not now", "r")


def test_P01_a_query_does_not_register():
    talk = Conversation(registration=RegistrationSettings(query=True))
    talk.hears(QueryRegistration, "EiRegisterParty")
    talk.says(created(registration_id=None, ven_id=None))
    assert talk.ven.phase == "unregistered"
    talk.hears(CreatePartyRegistration, "EiRegisterParty")


def test_P01_a_VTN_that_knows_no_query_is_registered_with_all_the_same():
    talk = Conversation(registration=RegistrationSettings(query=True))
    talk.hears(QueryRegistration)
    with pytest.raises(RemoteProtocolError, match="451"):
        talk.says(Response(REFUSED, None, "2.0b"))
    talk.goes_on(300)
    talk.hears(CreatePartyRegistration)


@pytest.mark.parametrize("given", [None, "ven_given"])
def test_P02_the_first_registration_has_no_ids_but_a_venID_given_beforehand(given):
    talk = Conversation(registration=RegistrationSettings(ven_id=given, query=False))
    message = talk.hears(CreatePartyRegistration)
    assert message.registration_id is None
    assert message.ven_id == given


def test_P03_what_must_always_be_said():
    message = Conversation().hears(CreatePartyRegistration)
    assert message.profile_name == "2.0b"
    assert message.transport_name == "simpleHttp"
    assert message.http_pull_model is True
    assert message.report_only is False
    assert message.xml_signature is False
    assert message.ven_name == "house"


def test_P03_over_XMPP_there_is_no_pull_model():
    settings = RegistrationSettings(
        transport_name="xmpp", transport_address="ven@host/a", query=False
    )
    message = Conversation(registration=settings).hears(CreatePartyRegistration)
    assert (message.transport_name, message.http_pull_model) == ("xmpp", None)
    assert message.transport_address == "ven@host/a"


def test_P04_who_does_not_poll_gives_an_address():
    push = RegistrationSettings(http_pull_model=False, query=False)
    with pytest.raises(ConfigurationError, match="transport_address: missing"):
        Conversation(registration=push)
    address = "https://ven.example:8443"
    message = Conversation(registration=replace(push, transport_address=address)).hears(
        CreatePartyRegistration
    )
    assert (message.transport_address, message.http_pull_model) == (address, False)
    assert Conversation().hears(CreatePartyRegistration).transport_address is None


def test_P05_what_the_VTN_gave_is_known_after_a_restart():
    state = MemoryState()
    talk = Conversation(state=state)
    talk.registers()
    again = Conversation(state=state)
    assert again.ven.registration.registered == talk.ven.registration.registered
    assert again.ven.registration.poll_interval == 10
    assert again.handler.ven_id == "ven_9"
    assert again.hears(RequestEvent).ven_id == "ven_9"  # its reports are announced already


def test_P05_reports_are_announced_at_each_start_to_a_VTN_that_wants_it():
    state = MemoryState()
    Conversation(state=state).registers()
    policy = VtnPolicy(announce_at_start=True)
    handler = EventHandler("ven_local", oadr_profile_level="2.0b", policy=policy)
    Conversation(handler, state=state).hears(RegisterReport)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(created(registration_id=None), id="no registrationID"),
        pytest.param(created(ven_id=None), id="no venID"),
        pytest.param(created(response=REFUSED), id="another code"),
        pytest.param(Response(REFUSED, None, "2.0b"), id="an oadrResponse"),
        pytest.param(NOTHING, id="something else"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="no message"),
    ],
)
def test_P06_a_refusal_is_tried_again_later(reply):
    talk = Conversation()
    talk.hears(CreatePartyRegistration)
    with pytest.raises(RemoteProtocolError):
        talk.says(reply)
    assert talk.ven.phase == "unregistered"
    waits = talk.ven.next_deadline
    assert waits is not None
    assert talk.now < waits <= talk.now + 5
    assert talk.next() is None
    talk.goes_on(5)
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    assert talk.ven.phase == "registered"


def test_P07_registers_again_under_its_ids_when_asked_to():
    talk = Conversation()
    talk.registers()
    talk.polls(RequestReregistration("ven_9"))
    assert talk.hears(Response, "EiRegisterParty").response.ok
    talk.says(b"")
    message = talk.hears(CreatePartyRegistration, "EiRegisterParty")
    assert (message.registration_id, message.ven_id) == ("reg_1", "ven_9")
    talk.says(created(registration_id="reg_2", ven_id="ven_10"))
    assert talk.handler.ven_id == "ven_10"
    assert talk.hears(RegisterReport).ven_id == "ven_10"


def test_P08_reports_are_registered_after_every_registration():
    talk = Conversation()
    talk.registers()
    talk.ven.register()
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    talk.hears(RegisterReport, "EiReport")


def test_P09_the_VTN_can_end_it():
    talk = Conversation()
    talk.registers()
    talk.polls(CancelPartyRegistration("reg_1", "c1", "ven_9"))
    answer = talk.hears(CanceledPartyRegistration, "EiRegisterParty")
    assert (answer.response.response_code, answer.response.request_id) == (200, "c1")
    talk.says(b"")
    assert talk.ven.phase == "cancelled"
    assert talk.ven.next_deadline is None
    talk.goes_on(86400)
    assert talk.next() is None
    assert "cancelled" in talk.told


@pytest.mark.parametrize("ids", [("reg_2", "ven_9"), ("reg_1", "ven_8")])
def test_P10_ids_of_others_do_not_end_it(ids):
    talk = Conversation()
    talk.registers()
    talk.polls(CancelPartyRegistration(ids[0], "c1", ids[1]))
    assert talk.hears(CanceledPartyRegistration).response.response_code == 452
    talk.says(b"")
    assert talk.ven.phase == "registered"
    talk.polls()


def test_P11_the_VEN_can_end_it():
    talk = Conversation()
    with pytest.raises(LocalProtocolError, match="not registered"):
        talk.ven.cancel_registration()
    talk.registers()
    talk.ven.cancel_registration()
    message = talk.hears(CancelPartyRegistration, "EiRegisterParty")
    assert (message.registration_id, message.ven_id) == ("reg_1", "ven_9")
    talk.says(CanceledPartyRegistration(OK, "reg_1", "ven_9"))
    assert talk.ven.phase == "cancelled"
    assert talk.next() is None


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (RequestReregistration("ven_9"), Response),
        (CancelPartyRegistration("reg_1", "c"), CanceledPartyRegistration),
        (RegisterReport("q"), RegisteredReport),
        (CreateReport((), "q"), CreatedReport),
        (UpdateReport("q"), UpdatedReport),
        (CancelReport(("x",), False, "q"), CanceledReport),
    ],
)
def test_P12_the_venID_stands_in_every_reply(message, answer):
    talk = Conversation()
    talk.registers()
    if isinstance(message, CreateReport):
        message = asked_for_nothing()
    talk.polls(message)
    assert talk.hears(answer).ven_id == "ven_9"


def asked_for_nothing() -> CreateReport:
    from test_reports import one_shot  # noqa: PLC0415  one way of asking

    return CreateReport((one_shot("r", "unknown", "x"),), "q")


def test_P13_extensions_and_service_information_are_passed_over():
    talk = Conversation()
    talk.hears(CreatePartyRegistration)
    info = (Info("colour", "blue"),)
    talk.says(
        created(
            service_specific_info=(Service("EiEvent", info),),
            extensions=(Extension("x-tide", info),),
        )
    )
    assert talk.ven.phase == "registered"


# -- polling --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "interval"),
    [
        (seconds(7), 7),
        (seconds(60), 60),
        (seconds(0), 10),
        (None, 10),
        (seconds(10**6), 86400),
        (seconds(3), 5),
    ],
)
def test_L03_polls_no_more_often_than_asked(asked, interval):
    settings = RegistrationSettings(query=False, min_poll_interval=5)
    talk = Conversation(registration=settings)
    talk.hears(CreatePartyRegistration)
    talk.says(created(requested_oadr_poll_freq=asked))
    talk.hears(RegisterReport)
    talk.says(RegisteredReport(OK))
    talk.hears(RequestEvent)
    talk.says(distribute_event(profile="2.0b"))
    at = []
    for _ in range(3):
        talk.polls()
        at.append(talk.now)
    assert [later - earlier for earlier, later in itertools.pairwise(at)] == [interval] * 2


def test_L03_what_waits_at_the_VTN_is_fetched_at_once_but_not_for_ever():
    talk = Conversation(drain_spacing=1, drain_limit=3)
    talk.registers()
    at = []
    for _ in range(5):
        talk.polls(RegisterReport("q"))
        at.append(talk.now)
        talk.hears(RegisteredReport)
        talk.says(b"")
    assert [later - earlier for earlier, later in itertools.pairwise(at)] == [1, 1, 10, 1]


def test_L04_nothing():
    talk = Conversation()
    talk.registers()
    talk.polls(NOTHING)
    assert talk.next() is None


def test_L04_events():
    talk = Conversation()
    talk.registers()
    talk.polls(distribute_event(event(), profile="2.0b"))
    answer = talk.hears(CreatedEvent, "EiEvent")
    assert answer.ven_id == "ven_9"
    assert [response.event_id for response in answer.event_responses] == ["e1"]
    talk.says(NOTHING)
    talk.polls()


@pytest.mark.parametrize(
    ("message", "answer", "service"),
    [
        (RegisterReport("q"), RegisteredReport, "EiReport"),
        (UpdateReport("q"), UpdatedReport, "EiReport"),
        (CancelReport(("x",), False, "q"), CanceledReport, "EiReport"),
        (CancelPartyRegistration("reg_1", "q"), CanceledPartyRegistration, "EiRegisterParty"),
        (RequestReregistration("ven_9"), Response, "EiRegisterParty"),
    ],
)
def test_L04_the_other_messages(message, answer, service):
    talk = Conversation()
    talk.registers()
    talk.polls(message)
    heard = talk.hears(answer, service)
    if not isinstance(message, RequestReregistration):
        assert heard.response.request_id == "q"


def test_L04_report_requests():
    talk = Conversation()
    talk.registers()
    talk.polls(asked_for_nothing())
    assert talk.hears(CreatedReport, "EiReport").response.response_code == 452


def test_L06_events_are_asked_for_only_to_synchronise():
    talk = Conversation()
    talk.registers()
    for _ in range(3):
        talk.polls()  # each of these is an oadrPoll
    talk.ven.register()
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    talk.hears(RegisterReport)
    talk.says(RegisteredReport(OK))
    talk.hears(RequestEvent, "EiEvent")


def test_L07_who_is_pushed_to_does_not_poll():
    settings = RegistrationSettings(
        http_pull_model=False, transport_address="https://ven.example", query=False
    )
    talk = Conversation(registration=settings)
    talk.registers()
    talk.goes_on(86400)
    assert talk.next() is None
    assert talk.ven.next_deadline is None


# -- a VTN that forgets, and one that is gone -----------------------------------------------------


def test_a_VTN_that_forgot_us_is_registered_with_anew():
    talk = Conversation()
    talk.registers()
    with pytest.raises(RemoteProtocolError, match="463"):
        talk.polls(Response(EiResponse(463, "who?", ""), None, "2.0b"))
    talk.goes_on(300)
    message = talk.hears(CreatePartyRegistration)
    assert message.registration_id is None
    talk.says(created(ven_id="ven_11"))
    assert talk.handler.ven_id == "ven_11"


def test_an_hour_without_the_VTN_changes_nothing():
    talk = Conversation()
    talk.registers()
    deadline = talk.now + 3600
    tries = 0
    while talk.now < deadline:
        talk.clock.now = max(talk.now + 0.001, talk.ven.next_deadline or 0)
        if talk.next() is not None:
            assert talk.action is not None
            talk.ven.failed(talk.action, GONE, talk.now)
            tries += 1
    assert 12 < tries < 100
    talk.goes_on(300)
    talk.polls(distribute_event(event(), profile="2.0b"))
    talk.hears(CreatedEvent)


def test_an_answer_that_cannot_be_delivered_is_kept():
    talk = Conversation()
    talk.registers()
    talk.polls(distribute_event(event(), profile="2.0b"))
    talk.hears(CreatedEvent)
    assert talk.action is not None
    talk.ven.failed(talk.action, GONE, talk.now)
    assert talk.next() is None
    talk.goes_on(5)
    talk.hears(CreatedEvent)


def test_a_VTN_that_fails_over_reports_still_sends_its_events():
    talk = Conversation()
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    for _ in range(5):
        while not isinstance(talk.next(), RegisterReport):
            if talk.action is None:
                talk.clock.now = talk.ven.next_deadline
            elif talk.action.purpose == "synchronise":
                talk.says(distribute_event(event(), profile="2.0b"))
            else:
                talk.says(NOTHING)
        talk.ven.failed(talk.action, TransportError("HTTP 500", status=500), talk.now)
    assert talk.handler.get_event("e1") is not None
    talk.polls()


def test_an_answer_that_the_VTN_fails_over_does_not_hold_up_the_others():
    talk = Conversation()
    talk.registers()
    for one in (event("bad"), event("good")):
        talk.ven.receive_push(distribute_event(one, profile="2.0b"), None, talk.now)
    sent = []
    while len(sent) < 4:
        message = talk.next()
        if isinstance(message, CreatedEvent):
            about = [(a.event_id, a.modification_number) for a in message.event_responses]
            sent.append(about)
            if ("bad", 0) in about:
                talk.ven.failed(talk.action, TransportError("HTTP 500", status=500), talk.now)
                continue
        if len(sent) == 3:  # of what it fails over there is something newer
            newer = distribute_event(event("bad", 1), profile="2.0b")
            talk.ven.receive_push(newer, None, talk.now)
        if talk.action is None:
            talk.clock.now = talk.ven.next_deadline
        else:
            talk.says(NOTHING)
    assert sent == [[("bad", 0)], [("good", 0)], [("bad", 0)], [("bad", 1)]]
    assert talk.ven.is_settled


def test_an_answer_that_is_refused_is_not_sent_twice():
    talk = Conversation()
    talk.registers()
    talk.polls(distribute_event(event(), profile="2.0b"))
    talk.hears(CreatedEvent)
    with pytest.raises(RemoteProtocolError, match="450"):
        talk.says(Response(EiResponse(450, "too late", ""), None, "2.0b"))
    talk.goes_on(300)
    talk.hears(Poll)


@pytest.mark.parametrize("ven_id", ["007", "true", "1.2.3"])
def test_field_note_08_a_venID_given_at_registration_stays_a_text(ven_id):
    talk = Conversation()
    talk.hears(CreatePartyRegistration)
    talk.says(created(ven_id=ven_id))
    assert talk.handler.ven_id == ven_id
    assert talk.hears(RegisterReport).ven_id == ven_id


@pytest.mark.parametrize("polls_before", [0, 1, 5])
def test_field_note_21_registration_and_reports_at_any_poll(polls_before):
    talk = Conversation()
    talk.registers()
    for _ in range(polls_before):
        talk.polls()
    talk.polls(asked_for_nothing())
    talk.hears(CreatedReport)
    talk.says(b"")
    talk.polls(RequestReregistration("ven_9"))
    talk.hears(Response)
    talk.says(b"")
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    talk.hears(RegisterReport)
    talk.says(RegisteredReport(OK))
    talk.hears(RequestEvent)
    talk.says(distribute_event(profile="2.0b"))
    talk.polls(CancelPartyRegistration("reg_1", "c1", "ven_9"))
    assert talk.hears(CanceledPartyRegistration).response.ok


# -- push -----------------------------------------------------------------------------------------


def test_a_pushed_message_is_answered_in_the_reply():
    talk = Conversation()
    talk.registers()
    push = talk.ven.receive_push(
        oadr2.encode(CancelPartyRegistration("reg_2", "c1", "ven_9")), "EiRegisterParty", talk.now
    )
    assert oadr2.decode(push.reply).response.response_code == 452
    assert talk.next() is None


def test_a_pushed_list_is_acknowledged_and_answered_later():
    talk = Conversation()
    talk.registers()
    push = talk.ven.receive_push(distribute_event(event(), profile="2.0b"), "EiEvent", talk.now)
    assert isinstance(oadr2.decode(push.reply), Response)
    assert talk.hears(CreatedEvent, "EiEvent").event_responses


def test_a_message_at_the_wrong_service_is_not_recognized():
    talk = Conversation()
    talk.registers()
    push = talk.ven.receive_push(
        oadr2.encode(CancelPartyRegistration("reg_1", "c1", "ven_9")), "EiReport", talk.now
    )
    assert oadr2.decode(push.reply).response.response_code == 453
    assert talk.ven.phase == "registered"
