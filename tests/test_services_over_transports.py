"""A whole 2.0b VEN over each transport, against the simulated VTN: everything the services do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import oadr2
from oadr2 import poll_20b, push_20b
from oadr2.errors import ConfigurationError, LocalProtocolError
from oadr2.model import (
    CanceledReport,
    CancelReport,
    Event,
    Poll,
    RequestReregistration,
    Response,
)
from oadr2.schedule import Duration
from oadr2.services.report_source import ReportPoint, ReportSource
from oadr2.services.units import unit
from oadr2.sim import HttpDelivery, ServicePusher, SimulatedVtn, VtnServer, VtnServices

PATIENCE = 30.0


def seconds(number: float) -> Duration:
    return Duration(microseconds=round(number * 1e6))


class World:
    """The VTN and its services on a transport, and VENs made for it."""

    def __init__(self, transport: str, wire: Any) -> None:
        self.vtn = SimulatedVtn("vtn_1", "2.0b")
        self.services = VtnServices(self.vtn, poll_freq=seconds(1))
        self.transport = transport
        self._wire = wire
        self._stack = ExitStack()

    def __enter__(self) -> World:
        if self.transport == "xmpp":
            from oadr2.sim.xmpp import XmppVtn  # noqa: PLC0415

            side = XmppVtn(
                self.vtn,
                "vtn@localhost/oadr",
                self._wire.password,
                {},
                port=self._wire.port,
                services=self.services,
            )
            self._stack.enter_context(side)
            self._stack.enter_context(ServicePusher(self.services, side.deliver))
            return self
        self._server = self._stack.enter_context(VtnServer(self.vtn, services=self.services))
        if self.transport == "push":
            delivery = HttpDelivery()
            self._stack.callback(delivery.close)
            self._stack.enter_context(ServicePusher(self.services, delivery))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ven(self, **options: Any) -> Any:
        """A VEN on a thread of its own."""
        options = {"ven_name": "house", "event_config": {}, **options}
        fast = {"min_poll_interval": 0.01, "poll_interval": 0.05}
        if self.transport == "poll":
            made: Any = poll_20b.OpenADR2(
                vtn_base_uri=self._server.url, registration=fast, drain_spacing=0.01, **options
            )
        elif self.transport == "push":
            made = push_20b.OpenADR2(vtn_base_uri=self._server.url, plaintext=True, **options)
        else:
            from oadr2 import xmpp_20b  # noqa: PLC0415

            made = xmpp_20b.OpenADR2(
                jid="ven@localhost/gateway",
                password=self._wire.password,
                server="127.0.0.1",
                port=self._wire.port,
                plaintext=True,
                vtn_jid="vtn@localhost/oadr",
                back_off_base=0.05,
                **options,
            )
        self._stack.callback(made.exit)
        self._made = made
        return made

    def until(self, what: Any) -> None:
        end = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < end, "it never came"
            time.sleep(0.01)

    @property
    def house(self) -> Any:
        (ven,) = self.services.vens.values()
        return ven

    def registered(self) -> Any:
        self.until(lambda: self.services.vens and self._made.client.ven.is_settled)
        return self.house


@contextmanager
def _prosody() -> Iterator[Any]:
    from oadr2.sim.prosody import ProsodyServer  # noqa: PLC0415

    with ProsodyServer({"vtn": "secret", "ven": "secret"}) as server:

        class Wire:
            port = server.port
            password = "secret"

        yield Wire


@pytest.fixture(params=["poll", "push", "xmpp"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        wire = None
        if request.param == "xmpp":
            request.getfixturevalue("prosody_installed")
            wire = stack.enter_context(_prosody())
        yield stack.enter_context(World(request.param, wire))


def power() -> ReportSource:
    point = ReportPoint("power", lambda: 42.5, unit=unit("powerReal"))
    return ReportSource("usage", (point,))


def test_it_registers_with_the_right_transport_and_announces_its_reports(world: World) -> None:
    ven = world.ven(reports=(power(),))
    house = world.registered()
    assert house.ven_name == "house"
    assert list(house.metadata) == ["usage"]
    assert house.polls == (world.transport == "poll")
    if world.transport == "push":
        assert house.transport_address == ven.client.url
    if world.transport == "xmpp":
        assert house.transport_address == "ven@localhost/gateway"
    assert ven.event_handler.ven_id == house.ven_id


def test_L07_only_a_VEN_that_polls_sends_polls(world: World) -> None:
    polls = []
    world.services.on_message = lambda told: (
        polls.append(told) if isinstance(told.message, Poll) else None
    )
    ven = world.ven()
    world.registered()
    world.vtn.add_event("peak", start="+1h", levels=[(3600, 2.0)])
    world.until(lambda: ven.event_handler.get_event("peak"))
    world.until(lambda: world.vtn.answers)
    assert bool(polls) == (world.transport == "poll")


@pytest.mark.parametrize("world", ["push"], indirect=True)
def test_H13_each_message_at_its_own_service_only(world: World) -> None:
    ven = world.ven(reports=(power(),))
    world.registered()

    def post(service: str, message: Any) -> Any:
        url = f"{ven.client.url}/OpenADR2/Simple/2.0b/{service}"
        data = message if isinstance(message, bytes) else oadr2.encode(message)
        headers = {"Content-Type": "application/xml"}
        return httpx.post(url, content=data, headers=headers, trust_env=False)

    ven_id = world.house.ven_id
    asked = RequestReregistration(ven_id)
    reply = oadr2.decode(post("EiRegisterParty", asked).content)
    assert isinstance(reply, Response)
    assert (reply.response.response_code, reply.ven_id) == (200, ven_id)
    for service in ("EiEvent", "EiReport", "EiOpt"):
        reply = oadr2.decode(post(service, asked).content)
        assert isinstance(reply, Response)
        assert reply.response.response_code == 453
    cancel = CancelReport(("no-such",), False, "r1", ven_id)
    refused = oadr2.decode(post("EiReport", cancel).content)
    assert isinstance(refused, CanceledReport)
    assert refused.response.response_code == 452
    assert post("OadrPoll", asked).status_code == 404
    assert post("EiReport", b"<no xml").status_code == 400
    refused = oadr2.decode(post("EiReport", b"<odd/>").content)
    assert isinstance(refused, Response)
    assert 400 <= refused.response.response_code <= 499


def test_an_event_comes_runs_is_answered_and_ends(world: World) -> None:
    ven = world.ven()
    world.registered()
    world.vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
    world.until(lambda: ven.event_handler.current_level()[0] == 2.0)
    world.until(lambda: world.vtn.answers)
    assert world.vtn.answers[-1].opt_type == "optIn"
    world.vtn.cancel_event("peak")
    world.until(lambda: ven.event_handler.current_level()[0] == 0.0)


def test_a_report_is_asked_for_delivered_and_stopped(world: World) -> None:
    world.ven(reports=(power(),))
    house = world.registered()
    number = world.services.ask_for_report(
        house.ven_id, "usage", ["power"], report_back_duration=seconds(1)
    )
    world.until(lambda: world.house.reports_received >= 2)
    assert world.house.last_report.report_request_id == number
    assert world.house.last_report.intervals[0].payloads[0].value == 42.5
    world.services.cancel_report(house.ven_id, number)
    world.until(lambda: not world.house.queue)


def test_the_VTN_has_it_register_again_and_then_ends_it(world: World) -> None:
    ven = world.ven(reports=(power(),))
    house = world.registered()
    before = house.registration_id
    world.services.ask_to_reregister(house.ven_id)
    world.until(lambda: world.house is not house and world.house.metadata)
    assert world.house.registration_id == before
    world.services.cancel_registration(house.ven_id)
    world.until(lambda: not world.services.vens)
    world.until(lambda: ven.client.ven.phase == "cancelled")
    ven.register()
    world.registered()
    world.until(lambda: ven.client.ven.phase == "registered")


def test_an_opt_qualifies_an_event_and_is_taken_back(world: World) -> None:
    ven = world.ven()
    world.registered()
    world.vtn.add_event("peak", start="+1h", levels=[(3600, 2.0)])
    world.until(lambda: ven.event_handler.get_event("peak"))
    opt_id = ven.create_opt("peak", "optOut", reason="economic")
    world.until(lambda: world.house.opts)
    assert world.house.opts[opt_id].qualified_event_id.event_id == "peak"
    ven.cancel_opt(opt_id)
    world.until(lambda: not world.house.opts)
    with pytest.raises(LocalProtocolError, match="not held"):
        ven.create_opt("none", "optOut")


def test_the_registration_is_ended_by_the_VEN(world: World) -> None:
    ven = world.ven()
    world.registered()
    ven.cancel_registration()
    world.until(lambda: not world.services.vens)


def test_the_application_decides_later(world: World) -> None:
    asked = []

    def on_event(event: Event) -> str:
        asked.append(event.event_id)
        return "later"

    ven = world.ven(on_event=on_event)
    world.registered()
    world.vtn.add_event("peak", start="+1h", levels=[(3600, 2.0)])
    world.until(lambda: ven.event_handler.get_event("peak"))
    assert not world.vtn.answers
    ven.change_opt("peak", "optOut")
    world.until(lambda: world.vtn.answers)
    assert [answer.opt_type for answer in world.vtn.answers] == ["optOut"]
    assert asked == ["peak"]


def test_the_default_is_answered_when_the_decision_takes_too_long(world: World) -> None:
    ven = world.ven(
        on_event=lambda _event: "later", decision_limit=0.1, event_config={"default_opt": "optOut"}
    )
    world.registered()
    world.vtn.add_event("peak", start="+1h", levels=[(3600, 2.0)])
    world.until(lambda: world.vtn.answers)
    assert world.vtn.answers[-1].opt_type == "optOut"
    assert ven.event_handler.get_states()[0].opt_type == "optOut"


def test_P05_a_restarted_VEN_keeps_its_registration_and_its_report_requests(
    world: World, tmp_path: Path
) -> None:
    config = {"db_path": str(tmp_path / "ven.db")}
    first = world.ven(reports=(power(),), event_config=config)
    house = world.registered()
    world.services.ask_for_report(house.ven_id, "usage", ["power"], report_back_duration=seconds(1))
    world.until(lambda: world.house.reports_received)
    registered = first.client.ven.registration.registered
    first.exit()
    received = world.house.reports_received
    again = world.ven(reports=(power(),), event_config=config)
    found = again.client.ven.registration.registered
    assert (found.registration_id, found.ven_id) == (registered.registration_id, registered.ven_id)
    if world.transport == "push":  # its address is another, so it registers again: as the same
        world.until(lambda: world.house.transport_address == again.client.url)
        assert world.house.registration_id == registered.registration_id
    else:
        world.until(lambda: world.house.reports_received > received)


def test_a_profile_that_has_no_services_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"2\.0b only"):
        poll_20b.OpenADR2({"ven_id": "v", "oadr_profile_level": "2.0a"}, "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="ven_name"):
        poll_20b.OpenADR2({}, "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="unknown field nonsense"):
        poll_20b.OpenADR2({}, "http://127.0.0.1:1", ven_name="v", registration={"nonsense": 1})
