"""What messages of every service are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from oadr2.schedule import Duration

Profile: TypeAlias = Literal["2.0a", "2.0b"]
OptType: TypeAlias = Literal["optIn", "optOut"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong inside an event or a message that could otherwise be read.

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

    ``name`` is the element's name (``powerReal``, ``currencyPerKWh``, ...). ``feed`` is the raw
    ``atom:feed`` element of an ``oadrGBDataDescription``, which has nothing else; reports only.
    """

    name: str
    item_description: str | None = None
    item_units: str | None = None
    si_scale_code: str | None = None
    pulse_factor: float | None = None
    hertz: float | None = None
    voltage: float | None = None
    ac: bool | None = None
    feed: bytes | None = None


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
class QualifiedEventId:
    """``ei:qualifiedEventID``: one modification of one event."""

    event_id: str
    modification_number: int


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time with its ``xcal:properties`` (facts.md 1.7, 1.8), 2.0b only.

    What a report request asks for (``reportInterval``), or when a load is ``available``. A duration of
    zero has no end. The other attributes exist in the schema; no program is known to use them here.
    """

    dtstart: datetime
    duration: Duration
    startafter: Duration | None = None
    notification: Duration | None = None
    ramp_up: Duration | None = None
    recovery: Duration | None = None


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """A well-formed message this version has no class for; ``name`` is its element's local name.

    ``profile`` is None when the namespace is neither that of 2.0a nor that of 2.0b.
    """

    name: str
    namespace: str
    profile: Profile | None = None
    raw: bytes = field(default=b"", repr=False)
    signed: bool = field(default=False, compare=False)
