"""A VEN's part towards the simulated VTN: it asks for its list, reads it and answers it."""

from __future__ import annotations

from datetime import UTC, datetime

from oadr2 import decode, encode
from oadr2.model import (
    CreatedEvent,
    DistributeEvent,
    EiResponse,
    EventResponse,
    Profile,
    RequestEvent,
    Response,
)
from oadr2.sim import SimulatedVtn

START = datetime(2030, 1, 31, 12, tzinfo=UTC)
PROFILES: tuple[Profile, ...] = ("2.0a", "2.0b")


class Clock:
    """A clock that stands still until told otherwise; seconds after START."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return START.timestamp() + self.seconds


def ask(
    vtn: SimulatedVtn,
    ven_id: str = "ven-1",
    *,
    profile: Profile = "2.0a",
    request_id: str = "",
    limit: int | None = None,
) -> DistributeEvent:
    request = RequestEvent(ven_id, request_id, limit, profile)
    reply = decode(vtn.handle(encode(request), profile))
    assert isinstance(reply, DistributeEvent)
    return reply


def listed(message: DistributeEvent) -> list[tuple[str, int, str | None]]:
    return [(e.event_id, e.modification_number, e.event_status) for e in message.events]


def names(message: DistributeEvent) -> list[str]:
    return [event.event_id for event in message.events]


def answer(
    vtn: SimulatedVtn,
    *answers: EventResponse,
    ven_id: str = "ven-1",
    profile: Profile = "2.0a",
    response: EiResponse | None = None,
) -> Response:
    message = CreatedEvent(ven_id, answers, response or EiResponse(), profile)
    reply = decode(vtn.handle(encode(message), profile))
    assert isinstance(reply, Response)
    return reply
