"""A fleet's VEN of 2.0b against a Ven20b: the same VTN, the same wishes at the same times.

Each has a simulated VTN of its own on a clock of its own. What they send must be the same, message for
message and value for value; only request ids, and the words beside a response code, are their own.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from service_conversation import (
    BEGIN,
    SECOND,
    Clock,
    FleetTalk,
    make_vtn,
    metadata,
    seconds,
    source,
    status_metadata,
    status_source,
)

from oadr2 import decode
from oadr2.event import EventHandler
from oadr2.model import EiResponse, Message, Period, Poll, Response
from oadr2.schedule import Duration
from oadr2.services.registration import RegistrationSettings
from oadr2.sim.services import VtnServices
from oadr2.ven_20b import Ven20b

INTERVAL = 10
POINTS = 2
Wish = tuple[Any, ...]
OWN_ID = re.compile(r"[0-9a-f]{16}")  # what both make, unlike their VTN


class VenTalk:
    """A Ven20b against services, on the grid of polls that a fleet keeps."""

    def __init__(self, services: VtnServices, clock: Clock, read: Any) -> None:
        self.services, self.clock = services, clock
        self.ven = Ven20b(
            EventHandler("ven_0", oadr_profile_level="2.0b", clock=clock.seconds),
            registration=RegistrationSettings(ven_name="ven_0", poll_interval=20.0),
            sources=[source(POINTS, lambda point: read(point, clock.now)), status_source()],
            seed=1,
        )
        self.said: list[tuple[str, Message, Message]] = []
        self._first = 0.0

    def run(self, until: float) -> None:
        end = BEGIN / SECOND + until
        while (due := self.ven.next_deadline) is not None and max(due, self.now) <= end:
            self.clock.now = round(max(self.now, due) * SECOND)
            while action := self.ven.next_action(self.now):
                reply = self.services.handle(action.service, action.data)
                self.ven.receive(action, reply, self.now)
                if action.purpose == "register":
                    self._first = self.now
                self._keep_to_the_grid(action.purpose)
                self.said.append((action.service, decode(action.data), decode(reply)))
        self.clock.now = round(end * SECOND)

    @property
    def now(self) -> float:
        return self.clock.seconds()

    def _keep_to_the_grid(self, purpose: str) -> None:
        if purpose in ("poll", "synchronise") and not self.ven._drained:
            place = (self.now + INTERVAL // 2 - self._first) // INTERVAL + 1
            self.ven._next_poll = self._first + place * INTERVAL


def plain(service: str, message: Message) -> tuple[str, object]:
    """The message without what is its sender's own."""
    changes: dict[str, Any] = {}
    if hasattr(message, "request_id"):
        changes["request_id"] = ""
    response = getattr(message, "response", None)
    if isinstance(response, EiResponse):
        changes["response"] = dataclasses.replace(
            response, response_description=None, request_id=OWN_ID.sub("ours", response.request_id)
        )
    return service, dataclasses.replace(message, **changes)  # type: ignore[type-var]


def without_idle_polls(said: list[tuple[str, Message, Message]]) -> list[tuple[str, object]]:
    return [
        plain(service, request)
        for service, request, reply in said
        if not (isinstance(request, Poll) and isinstance(reply, Response))
    ]


def wish(services: VtnServices, clock: Clock, what: Wish) -> None:
    kind, *rest = what
    if not services.vens:
        return
    ven_id, ven = next(iter(services.vens.items()))
    if kind == "event":
        if rest[0] in {event.event_id for event in services.vtn.events}:
            services.vtn.modify_event(rest[0], level=rest[1])
        else:
            services.vtn.add_event(rest[0], start="+60s", duration=600, level=rest[1])
    elif kind == "report":
        specifier, points, granularity, back, period = rest
        if period is not None:
            period = Period(services.vtn.now(), seconds(period))
        services.ask_for_report(
            ven_id,
            specifier,
            points,
            granularity=granularity,
            report_back_duration=back,
            period=period,
        )
    elif kind == "stop":
        for request_id in list(ven.requests)[: rest[0]]:
            services.cancel_report(ven_id, request_id, to_follow=rest[1])
    elif kind == "stop unknown":
        services.cancel_report(ven_id, "never asked for")
    elif kind == "register":
        services.ask_to_reregister(ven_id)
    else:
        services.cancel_registration(ven_id)


durations = st.sampled_from((0, 0, 3, 5, 10, 20)).map(seconds)
wishes = st.one_of(
    st.tuples(st.just("event"), st.sampled_from(("a", "b")), st.sampled_from((0.0, 1.0, 2.0))),
    st.tuples(
        st.just("report"),
        st.sampled_from(("load", "load", "load_status", "METADATA", "unheard of")),
        st.sampled_from((("point_0",), ("point_1", "point_0"), ("point_1", "point_1"), ("other",))),
        durations,
        st.one_of(durations, st.just(Duration(months=1))),
        st.sampled_from((None, None, 0, 30)),
    ),
    st.tuples(st.just("stop"), st.integers(1, 2), st.booleans()),
    st.just(("stop unknown",)),
    st.just(("register",)),
)
scripts = st.lists(st.tuples(st.integers(1, 25), wishes), max_size=6)
STATUS = ("report", "load_status", ("point_0",), seconds(5), seconds(10), None)
REPORT = ("report", "load", ("point_1", "point_0"), seconds(5), seconds(20), None)


@given(script=scripts, asks=st.booleans(), ends=st.booleans())
@example(script=[(3, REPORT), (20, REPORT), (25, ("stop", 1, True))], asks=True, ends=True)
@example(script=[(3, STATUS), (4, REPORT), (20, ("stop", 1, True))], asks=False, ends=False)
@example(script=[(3, ("register",)), (9, ("event", "a", 1.0))], asks=True, ends=False)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_fleet_says_what_a_ven_says(
    script: list[tuple[int, Wish]], asks: bool, ends: bool
) -> None:
    worlds = []
    for _ in range(2):
        clock = Clock()
        options = {"report_every": seconds(20), "granularity": seconds(10)} if asks else {}
        services = make_vtn(clock, **options)
        worlds.append((services, clock))
    fleet = FleetTalk(worlds[0][0], load_noise=0.3, reports=(metadata(), status_metadata()))
    fleet.clock = worlds[0][1]
    fleet.start()
    ven = VenTalk(*worlds[1], read=lambda point, now: fleet.fleet.load(0, point, now))
    at = 0.0
    for gap, what in [*script, *([(5, ("end",))] if ends else [])]:
        at += gap + 0.5
        fleet.run(at)
        ven.run(at)
        for services, clock in worlds:
            wish(services, clock, what)
    fleet.run(at + 60)
    ven.run(at + 60)
    said = [(service, decode(a), decode(b)) for _, service, a, b in fleet.said]
    assert without_idle_polls(said) == without_idle_polls(ven.said)
    assert (fleet.fleet.registration(0) is None) == (ven.ven.phase != "registered")
    assert len(said) > 5
    assert not fleet.errors
