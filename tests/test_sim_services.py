"""The simulated VTN's 2.0b services, with our own VEN on the other side and no network between."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import oadr2
from oadr2.errors import LocalProtocolError, RemoteProtocolError
from oadr2.event import EventHandler
from oadr2.model import (
    CreateOpt,
    DistributeEvent,
    EiResponse,
    Message,
    Period,
    Poll,
    Profile,
    QueryRegistration,
    RequestEvent,
    ResourceStatus,
    Response,
    Unit,
)
from oadr2.schedule import Duration
from oadr2.services.registration import RegistrationSettings
from oadr2.services.report_source import RESOURCE_STATUS, ReportPoint, ReportSource
from oadr2.sim.services import VtnServices
from oadr2.sim.vtn import SimulatedVtn
from oadr2.ven_20b import Ven20b

START = 1_800_000_000.0
SERVICES = ("EiRegisterParty", "EiReport", "EiOpt", "OadrPoll")


def seconds(number: float) -> Duration:
    return Duration(microseconds=round(number * 1e6))


class World:
    """A VTN, its services and the VENs that talk to it, all on one clock."""

    def __init__(self, **options: object) -> None:
        self.now = START
        self.vtn = SimulatedVtn("vtn_1", "2.0b", clock=lambda: self.now)
        self.services = VtnServices(self.vtn, **options)  # type: ignore[arg-type]
        self.vens: list[Ven20b] = []

    def add_ven(self, name: str = "house", **options: object) -> Ven20b:
        handler = EventHandler(name, oadr_profile_level="2.0b", clock=lambda: self.now, seed=1)
        settings = RegistrationSettings(ven_name=name)
        power = Unit("powerReal", "RealPower", "W", "none", hertz=60.0, voltage=220.0, ac=True)
        sources = (
            ReportSource("usage", (ReportPoint("power", lambda: 42.5, unit=power),)),
            ReportSource(
                "status",
                (
                    ReportPoint(
                        "state",
                        lambda: ResourceStatus(online=True, manual_override=False),
                        RESOURCE_STATUS,
                        "x-notApplicable",
                    ),
                ),
                "TELEMETRY_STATUS",
            ),
        )
        ven = Ven20b(handler, registration=settings, sources=sources, seed=1, **options)  # type: ignore[arg-type]
        self.vens.append(ven)
        return ven

    def settle(self) -> None:
        """Let every VEN send what it has to send now."""
        for ven in self.vens:
            for _ in range(100):
                action = ven.next_action(self.now)
                if action is None:
                    break
                ven.receive(action, self.services.handle(action.service, action.data), self.now)
            else:
                raise AssertionError("a VEN that never stops talking")

    def pass_time(self, length: float, step: float = 1.0) -> None:
        for _ in range(round(length / step)):
            self.now += step
            self.settle()

    def asks(self, service: str, message: Message) -> Message:
        return oadr2.decode(self.services.handle(service, oadr2.encode(message)))


@pytest.fixture
def world() -> World:
    return World()


def test_a_VEN_registers_and_gets_ids(world: World) -> None:
    ven = world.add_ven()
    world.settle()
    assert ven.phase == "registered"
    (known,) = world.services.vens.values()
    registered = ven.registration.registered
    assert registered is not None
    assert (known.ven_id, known.registration_id) == (registered.ven_id, registered.registration_id)
    assert registered.poll_interval == 10
    assert set(known.metadata) == {"usage", "status"}


def test_a_VEN_of_the_same_name_is_the_same_VEN(world: World) -> None:
    first = world.add_ven("house")
    world.settle()
    again = world.add_ven("house")
    world.settle()
    assert again.registration.registered == first.registration.registered
    other = world.add_ven("shop")
    world.settle()
    assert other.registration.ven_id != first.registration.ven_id


def test_an_event_comes_by_poll_and_is_answered(world: World) -> None:
    ven = world.add_ven()
    world.settle()
    world.vtn.add_event("e1", duration="PT1H")
    world.pass_time(12)
    assert ven.handler.get_event("e1") is not None
    ven_id = ven.handler.ven_id
    answer = world.vtn.last_answer(ven_id, "e1")
    assert answer is not None
    assert answer.opt_type == "optIn"
    world.vtn.cancel_event("e1")
    world.pass_time(12)
    assert ven.handler.get_event("e1") is None


def test_the_same_list_is_not_sent_at_every_poll(world: World) -> None:
    world.add_ven()
    world.vtn.add_event("e1", duration="PT1H")
    world.settle()
    ven_id = world.vens[0].handler.ven_id
    for _ in range(3):
        assert isinstance(world.asks("OadrPoll", Poll(ven_id)), Response)


def test_an_event_that_comes_while_a_VEN_asks_for_its_list_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = world.vtn.answer

    def answered_just_before(data: bytes, profile: Profile) -> bytes:
        reply = answer(data, profile)
        if b"oadrRequestEvent" in data:
            world.vtn.add_event("e1", duration="PT1H")
        return reply

    monkeypatch.setattr(world.vtn, "answer", answered_just_before)
    ven = world.add_ven()
    world.settle()
    world.pass_time(12)
    assert ven.handler.get_event("e1") is not None


def test_another_program_that_asks_takes_no_event_away_from_the_VEN(world: World) -> None:
    ven = world.add_ven()
    world.settle()
    world.vtn.add_event("e1", duration="PT1H")
    asked = world.asks("EiEvent", RequestEvent(ven.handler.ven_id, profile="2.0b"))
    assert isinstance(asked, DistributeEvent)
    world.pass_time(12)
    assert ven.handler.get_event("e1") is not None


def test_telemetry_is_asked_for_and_delivered() -> None:
    world = World(report_every=seconds(20), granularity=seconds(5))
    world.add_ven()
    world.settle()
    world.pass_time(61)
    (known,) = world.services.vens.values()
    assert known.reports_received == 6  # two reports, three times each
    usage = [r for _, r in world.services.reports if r.report_specifier_id == "usage"]
    assert [len(report.intervals) for report in usage][-1] == 4
    assert {p.value for r in usage for i in r.intervals for p in i.payloads} == {42.5}


def test_a_report_is_asked_for_once_and_one_is_cancelled(world: World) -> None:
    ven = world.add_ven()
    world.settle()
    ven_id = ven.handler.ven_id
    world.services.ask_for_report(ven_id, "status", ["state"])
    world.pass_time(12)
    assert world.services.vens[ven_id].reports_received == 1
    running = world.services.ask_for_report(
        ven_id, "usage", ["power"], report_back_duration=seconds(900)
    )
    world.pass_time(12)
    assert ven.reports.pending == (running,)
    world.services.cancel_report(ven_id, running, to_follow=True)
    world.pass_time(12)
    assert ven.reports.pending == ()
    assert world.services.vens[ven_id].reports_received == 2


def test_opts_come_and_go(world: World) -> None:
    ven = world.add_ven()
    world.vtn.add_event("e1", duration="PT1H")
    world.settle()
    event = ven.handler.get_event("e1")
    assert event is not None
    opt_id = ven.create_opt(event, "optOut", world.now)
    period = Period(datetime.fromtimestamp(world.now + 3600, UTC), seconds(3600))
    schedule = ven.create_availability("optOut", [period], world.now)
    world.settle()
    known = world.services.vens[ven.handler.ven_id]
    assert set(known.opts) == {opt_id, schedule}
    ven.cancel_opt(opt_id)
    world.settle()
    assert set(known.opts) == {schedule}


def test_a_registration_ends_from_either_side(world: World) -> None:
    one, other = world.add_ven("one"), world.add_ven("other")
    world.settle()
    one.cancel_registration()
    world.services.cancel_registration(other.handler.ven_id)
    world.pass_time(12)
    assert world.services.vens == {}
    assert (one.phase, other.phase) == ("cancelled", "cancelled")


def test_a_VEN_registers_again_when_asked_and_when_forgotten(world: World) -> None:
    ven = world.add_ven()
    world.settle()
    before = ven.registration.registered
    assert before is not None
    world.services.ask_to_reregister(before.ven_id)
    world.pass_time(12)
    assert ven.registration.registered == before
    world.services.forget(before.ven_id)
    world.now += 12
    with pytest.raises(RemoteProtocolError, match="463"):
        world.settle()
    world.pass_time(30)
    after = ven.registration.registered
    assert after is not None
    assert after.registration_id != before.registration_id
    assert set(world.services.vens) == {after.ven_id}


def test_strangers_can_be_turned_away() -> None:
    world = World(register_strangers=False)
    world.vtn.set_known_vens(["ven_known"])
    world.add_ven()
    with pytest.raises(RemoteProtocolError, match="463"):
        world.settle()


@pytest.mark.parametrize("service", SERVICES)
def test_who_is_not_registered_is_told_so(world: World, service: str) -> None:
    reply = world.asks("OadrPoll", Poll("nobody"))
    assert isinstance(reply, Response)
    assert reply.response.response_code == 463


@pytest.mark.parametrize("service", SERVICES)
def test_a_message_at_the_wrong_service_is_not_recognized(world: World, service: str) -> None:
    message = QueryRegistration("q1") if service != "EiRegisterParty" else Poll("x")
    reply = world.asks(service, message)
    assert isinstance(reply, Response)
    assert reply.response.response_code == 453
    reply = world.asks(service, RequestEvent("v", "r", None, "2.0b"))
    assert isinstance(reply, Response)
    assert reply.response.response_code == 453


def test_what_is_no_message_is_refused_and_what_is_no_xml_raises(world: World) -> None:
    data = oadr2.encode(Poll("v")).replace(b"venID", b"vanID")
    reply = oadr2.decode(world.services.handle("OadrPoll", data))
    assert isinstance(reply, Response)
    assert reply.response.response_code == 454
    with pytest.raises(RemoteProtocolError):
        world.services.handle("OadrPoll", b"<a")


def test_an_opt_of_both_kinds_or_none_is_refused(world: World) -> None:
    ven = world.add_ven()
    world.settle()
    both = CreateOpt(
        "o", "optOut", "economic", ven.handler.ven_id, datetime.fromtimestamp(START, UTC), "r"
    )
    reply = world.asks("EiOpt", both)
    response = getattr(reply, "response", EiResponse())
    assert response.response_code == 454


def test_these_services_are_of_20b() -> None:
    with pytest.raises(LocalProtocolError, match=r"2\.0b"):
        VtnServices(SimulatedVtn("v", "2.0a"))
