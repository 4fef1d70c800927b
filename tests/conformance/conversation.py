"""A whole VEN of 2.0b in conversation with a VTN that the test plays, message by message, on one clock."""

from __future__ import annotations

from typing import Any, TypeVar

from payloads import distribute_event
from vens import BEFORE, Clock

import oadr2
from oadr2.event import EventHandler
from oadr2.model import (
    CreatedPartyRegistration,
    CreatePartyRegistration,
    EiResponse,
    Message,
    Poll,
    QueryRegistration,
    RegisteredReport,
    RegisterReport,
    RequestEvent,
    Response,
    SupportedProfile,
)
from oadr2.schedule import Duration
from oadr2.services.registration import RegistrationSettings
from oadr2.ven_20b import Request, Ven20b

Kind = TypeVar("Kind")

OK = EiResponse(200, "OK", "r")
NOTHING = Response(OK, "ven_9", "2.0b")


def seconds(number: float) -> Duration:
    return Duration(microseconds=round(number * 1e6))


def created(**changes: Any) -> CreatedPartyRegistration:
    """The VTN's consent to a registration."""
    given: dict[str, Any] = {
        "response": OK,
        "registration_id": "reg_1",
        "ven_id": "ven_9",
        "profiles": (SupportedProfile("2.0b", ("simpleHttp", "xmpp")),),
        "requested_oadr_poll_freq": seconds(10),
        **changes,
    }
    return CreatedPartyRegistration("vtn_1", **given)


class Conversation:
    """``hears`` takes what the VEN sends next and checks its kind, ``says`` replies to that."""

    def __init__(self, handler: EventHandler | None = None, **options: Any) -> None:
        self.clock = Clock(BEFORE)
        self.told: list[str] = []
        if handler is None:
            handler = EventHandler(
                "ven_local",
                oadr_profile_level="2.0b",
                clock=self.clock,
                seed=1,
                default_opt="optIn",
            )
        self.handler = handler
        settings = options.pop("registration", RegistrationSettings(ven_name="house", query=False))
        self.ven = Ven20b(
            handler,
            registration=settings,
            on_activity=lambda activity: self.told.append(activity.kind),
            seed=1,
            **options,
        )
        self.action: Request | None = None

    @property
    def now(self) -> float:
        return self.clock.now

    def next(self) -> Message | None:
        """What the VEN sends now, or None."""
        self.action = self.ven.next_action(self.now)
        return None if self.action is None else oadr2.decode(self.action.data)

    def hears(self, kind: type[Kind], service: str | None = None) -> Kind:
        message = self.next()
        assert isinstance(message, kind), message
        assert self.action is not None
        if service is not None:
            assert self.action.service == service
        return message

    def says(self, reply: Message | bytes) -> None:
        assert self.action is not None
        data = reply if isinstance(reply, bytes) else oadr2.encode(reply)
        self.ven.receive(self.action, data, self.now)

    def goes_on(self, seconds: float) -> None:
        self.clock.now += seconds

    def polls(self, reply: Message | bytes = NOTHING) -> None:
        """Let the time of the next poll come, and answer it."""
        for _ in range(200):
            if self.next() is not None:
                break
            deadline = self.ven.next_deadline  # a sample may be due before
            assert deadline is not None
            self.clock.now = max(self.clock.now, deadline)
        self.hears(Poll, "OadrPoll")
        self.says(reply)

    def registers(self, reports: RegisteredReport | None = None) -> None:
        """Go through registration to the first poll."""
        if isinstance(self.next(), QueryRegistration):
            self.says(created(registration_id=None, ven_id=None))
        # After a restart the VTN has our ids and our METADATA.
        new = isinstance(self.next(), CreatePartyRegistration)
        if new:
            self.says(created())
        if new or isinstance(self.next(), RegisterReport):
            self.hears(RegisterReport, "EiReport")
            self.says(RegisteredReport(OK) if reports is None else reports)
        while not isinstance(self.next(), RequestEvent):
            self.says(NOTHING)
        self.says(distribute_event(profile="2.0b"))
