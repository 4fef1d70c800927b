"""What the simulated VTN notes of what VENs asked and answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from oadr2.model import EiResponse, EventStatus, Message, OptType, Profile


@dataclass(frozen=True, slots=True)
class Answer:
    """One ``eventResponse`` a VEN sent.

    ``problem`` says why the VTN did not accept it, or is empty.
    """

    ven_id: str
    event_id: str
    modification_number: int
    opt_type: OptType
    response_code: int
    response_description: str | None
    request_id: str
    at: datetime
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An ``oadrCreatedEvent`` whose eiResponse is an error: the VEN refused the list as a whole."""

    ven_id: str
    response: EiResponse
    at: datetime


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """One line of a list that was sent."""

    event_id: str
    modification_number: int
    status: EventStatus


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what became of it, for ``on_message``.

    Attributes:
        request: the decoded message; None when it could not be read.
        response_code: what the VTN answered; 400 for a body that is not well-formed.
        problem: why it refused, or "".
        events: the list sent, for an oadrRequestEvent.
        answers: the answers received, for an oadrCreatedEvent.
    """

    at: datetime
    profile: Profile
    ven_id: str
    request: Message | None
    response_code: int
    problem: str = ""
    events: tuple[ListedEvent, ...] = ()
    answers: tuple[Answer, ...] = ()
