"""The messages of the EiEvent service and what they are made of: typed and immutable.

Attribute names are the schema's element names in snake_case. Date-times are aware ``datetime`` in UTC,
durations are :class:`oadr2.schedule.Duration`. An optional element that is absent is ``None`` (or an
empty tuple where the schema allows several). Ids are strings and stay as they were sent.

Element lists are tuples when you build a message yourself; :func:`oadr2.decode` gives sequences that
make their items when first asked for them, and that compare equal to tuples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from oadr2.schedule import Duration

Profile: TypeAlias = Literal["2.0a", "2.0b"]
OptType: TypeAlias = Literal["optIn", "optOut"]
EventStatus: TypeAlias = Literal["none", "far", "near", "active", "completed", "cancelled"]
ResponseRequired: TypeAlias = Literal["always", "never"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong inside an event that could otherwise be read.

    Attributes:
        reason: what is wrong, in one line.
        path: element path inside the message.
        offset: byte offset in the payload; for one in an encoding other than UTF-8, in the UTF-8 that
            was made of it.
        fatal: True when the event must be refused for it, False for a mere oddity.
    """

    reason: str
    path: str
    offset: int
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class EiResponse:
    """``ei:eiResponse``: the outcome of a request (facts.md 1.2, 2.9)."""

    response_code: int = 200
    response_description: str | None = None
    request_id: str = ""

    @property
    def ok(self) -> bool:
        """True for codes 200 to 299 (facts.md G12)."""
        return 200 <= self.response_code <= 299


@dataclass(frozen=True, slots=True)
class Unit:
    """An ``emix:itemBase``: the unit a signal's values are in (facts.md 1.9, 2.0b only).

    ``name`` is the element's name (``powerReal``, ``currencyPerKWh``, ...).
    """

    name: str
    item_description: str | None = None
    item_units: str | None = None
    si_scale_code: str | None = None
    pulse_factor: float | None = None
    hertz: float | None = None
    voltage: float | None = None
    ac: bool | None = None


@dataclass(frozen=True, slots=True)
class Targets:
    """``ei:eiTarget``. Nothing at all means "everyone who got the event" (facts.md E33).

    ``service_areas`` and ``service_locations`` hold the raw ``gml:FeatureCollection`` elements;
    ``transport_interfaces`` holds (point of receipt, point of delivery) pairs.
    """

    ven_ids: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()
    resource_ids: tuple[str, ...] = ()
    party_ids: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    aggregated_pnodes: tuple[str, ...] = ()
    end_device_assets: tuple[str, ...] = ()
    meter_assets: tuple[str, ...] = ()
    pnodes: tuple[str, ...] = ()
    service_areas: tuple[bytes, ...] = ()
    service_delivery_points: tuple[str, ...] = ()
    service_locations: tuple[bytes, ...] = ()
    transport_interfaces: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return self != _NO_TARGETS


_NO_TARGETS = Targets()


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


@dataclass(frozen=True, slots=True)
class DistributeEvent:
    """``oadr:oadrDistributeEvent``, VTN to VEN: always the complete list of events (facts.md 2.1)."""

    vtn_id: str
    request_id: str = ""
    events: Sequence[Event] = ()
    response: EiResponse | None = None
    profile: Profile = "2.0a"


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


@dataclass(frozen=True, slots=True)
class Response:
    """``oadr:oadrResponse``, either way. ``ven_id`` exists in 2.0b only."""

    response: EiResponse = field(default_factory=EiResponse)
    ven_id: str | None = None
    profile: Profile = "2.0a"


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A well-formed message this version has no class for; ``name`` is its element's local name.

    ``profile`` is None when the namespace is neither that of 2.0a nor that of 2.0b.
    """

    name: str
    namespace: str
    profile: Profile | None = None
    raw: bytes = field(default=b"", repr=False)


Message: TypeAlias = RequestEvent | DistributeEvent | CreatedEvent | Response | UnknownMessage
