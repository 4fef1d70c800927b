"""The 23 messages of OpenADR 2.0 and what they are made of: typed and immutable.

Attribute names are the schema's element names in snake_case, without the prefixes ``oadr`` and ``ei``.
Date-times are aware ``datetime`` in UTC, durations are :class:`oadr2.schedule.Duration`. An optional
element that is absent is ``None`` (or an empty tuple where the schema allows several). Ids are strings
and stay as they were sent. What the project has no use for (areas on the map, Green Button feeds) is the
raw XML element as bytes.

Each message has a ``profile`` ("2.0a" or "2.0b"), and ``signed``: whether it came with a ``ds:Signature``,
which says nothing about that signature's worth. Those of the 2.0b services also list in ``problems`` what
was odd in them without spoiling them.

Element lists are tuples when you build a message yourself; :func:`oadr2.decode` gives sequences that
compare equal to tuples.
"""

from __future__ import annotations

from typing import TypeAlias

from oadr2.model.event import (
    Baseline,
    CreatedEvent,
    DistributeEvent,
    Event,
    EventResponse,
    EventStatus,
    Interval,
    RequestEvent,
    Response,
    ResponseRequired,
    Signal,
)
from oadr2.model.opt import (
    CanceledOpt,
    CancelOpt,
    CreatedOpt,
    CreateOpt,
    Vavailability,
)
from oadr2.model.parts import (
    EiResponse,
    OptType,
    Period,
    Problem,
    Profile,
    QualifiedEventId,
    Targets,
    Unit,
    UnknownMessage,
)
from oadr2.model.registration import (
    CanceledPartyRegistration,
    CancelPartyRegistration,
    CreatedPartyRegistration,
    CreatePartyRegistration,
    Extension,
    Info,
    Poll,
    QueryRegistration,
    RequestReregistration,
    Service,
    SupportedProfile,
    TransportName,
)
from oadr2.model.report import (
    CanceledReport,
    CancelReport,
    CreatedReport,
    CreateReport,
    GreenButtonPayload,
    LoadControl,
    LoadControlState,
    RegisteredReport,
    RegisterReport,
    Report,
    ReportDescription,
    ReportInterval,
    ReportPayload,
    ReportRequest,
    ReportSpecifier,
    ResourceStatus,
    SamplingRate,
    SpecifierPayload,
    UpdatedReport,
    UpdateReport,
)

ServiceMessage: TypeAlias = (
    QueryRegistration
    | CreatePartyRegistration
    | CreatedPartyRegistration
    | CancelPartyRegistration
    | CanceledPartyRegistration
    | RequestReregistration
    | Poll
    | RegisterReport
    | RegisteredReport
    | CreateReport
    | CreatedReport
    | UpdateReport
    | CancelReport
    | UpdatedReport
    | CanceledReport
    | CreateOpt
    | CreatedOpt
    | CancelOpt
    | CanceledOpt
)
Message: TypeAlias = (
    RequestEvent | DistributeEvent | CreatedEvent | Response | ServiceMessage | UnknownMessage
)

__all__ = [
    "Baseline",
    "CancelOpt",
    "CancelPartyRegistration",
    "CancelReport",
    "CanceledOpt",
    "CanceledPartyRegistration",
    "CanceledReport",
    "CreateOpt",
    "CreatePartyRegistration",
    "CreateReport",
    "CreatedEvent",
    "CreatedOpt",
    "CreatedPartyRegistration",
    "CreatedReport",
    "DistributeEvent",
    "EiResponse",
    "Event",
    "EventResponse",
    "EventStatus",
    "Extension",
    "GreenButtonPayload",
    "Info",
    "Interval",
    "LoadControl",
    "LoadControlState",
    "Message",
    "OptType",
    "Period",
    "Poll",
    "Problem",
    "Profile",
    "QualifiedEventId",
    "QueryRegistration",
    "RegisterReport",
    "RegisteredReport",
    "Report",
    "ReportDescription",
    "ReportInterval",
    "ReportPayload",
    "ReportRequest",
    "ReportSpecifier",
    "RequestEvent",
    "RequestReregistration",
    "ResourceStatus",
    "Response",
    "ResponseRequired",
    "SamplingRate",
    "Service",
    "ServiceMessage",
    "Signal",
    "SpecifierPayload",
    "SupportedProfile",
    "Targets",
    "TransportName",
    "Unit",
    "UnknownMessage",
    "UpdateReport",
    "UpdatedReport",
    "Vavailability",
]
