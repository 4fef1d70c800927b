"""The EiEvent service (facts.md 1.2 to 1.5, 2), and the answer that every service uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from oadr2.model.parts import EiResponse, OptType, Problem, Profile, Targets, Unit
from oadr2.schedule import Duration

EventStatus: TypeAlias = Literal["none", "far", "near", "active", "completed", "cancelled"]
ResponseRequired: TypeAlias = Literal["always", "never"]


@dataclass(frozen=True, slots=True)
class Interval:
    """``ei:interval``: one step of a signal.

    ``value`` is the payloadFloat; ``uid`` is the text sent (a number counted from 0, facts.md O2).
    """

    uid: str | None
    duration: Duration | None
    value: float | None
    dtstart: datetime | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """``ei:eiEventSignal``. ``targets`` narrows by device class (2.0b only)."""

    signal_name: str
    signal_type: str
    signal_id: str
    intervals: Sequence[Interval] = ()
    current_value: float | None = None
    targets: Targets = field(default_factory=Targets)
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """``ei:eiEventBaseline`` (2.0b only)."""

    baseline_id: str
    baseline_name: str
    dtstart: datetime | None
    duration: Duration | None
    intervals: Sequence[Interval] = ()
    resource_ids: tuple[str, ...] = ()
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """``oadr:oadrEvent`` with its ``ei:eiEvent`` (facts.md 1.3, 1.5).

    Times are the VTN's own, never the randomised ones (facts.md R06). ``test_event`` is the text sent;
    :attr:`is_test` reads it. ``raw`` is a document of its own that holds this event alone and decodes
    to it again. ``problems`` lists what was wrong inside; an event with a fatal one is refused.
    """

    event_id: str
    modification_number: int
    market_context: str | None
    created_date_time: datetime | None
    event_status: EventStatus | None
    dtstart: datetime | None
    duration: Duration | None
    signals: Sequence[Signal] = ()
    targets: Targets = field(default_factory=Targets)
    response_required: ResponseRequired = "always"
    priority: int | None = None
    test_event: str | None = None
    vtn_comment: str | None = None
    modification_date_time: datetime | None = None
    modification_reason: str | None = None
    startafter: Duration | None = None
    notification: Duration | None = None
    ramp_up: Duration | None = None
    recovery: Duration | None = None
    baseline: Baseline | None = None
    problems: tuple[Problem, ...] = field(default=(), compare=False)
    raw: bytes = field(default=b"", compare=False, repr=False)

    @property
    def is_test(self) -> bool:
        """True unless testEvent is absent, blank or "false" in any case (facts.md E44)."""
        return (self.test_event or "").strip().lower() not in ("", "false")


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """``oadr:oadrRequestEvent``, VEN to VTN."""

    ven_id: str
    request_id: str = ""
    reply_limit: int | None = None
    profile: Profile = "2.0a"
    signed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class DistributeEvent:
    """``oadr:oadrDistributeEvent``, VTN to VEN: always the complete list of events (facts.md 2.1)."""

    vtn_id: str
    request_id: str = ""
    events: Sequence[Event] = ()
    response: EiResponse | None = None
    profile: Profile = "2.0a"
    signed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class EventResponse:
    """``ei:eventResponse``: the answer to one event."""

    event_id: str
    modification_number: int
    opt_type: OptType
    response_code: int = 200
    response_description: str | None = None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class CreatedEvent:
    """``oadr:oadrCreatedEvent``, VEN to VTN."""

    ven_id: str
    event_responses: Sequence[EventResponse] = ()
    response: EiResponse = field(default_factory=EiResponse)
    profile: Profile = "2.0a"
    signed: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Response:
    """``oadr:oadrResponse``, either way. ``ven_id`` exists in 2.0b only."""

    response: EiResponse = field(default_factory=EiResponse)
    ven_id: str | None = None
    profile: Profile = "2.0a"
    signed: bool = field(default=False, compare=False)
