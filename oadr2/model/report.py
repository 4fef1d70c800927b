"""The EiReport service (facts.md 1.7, 3.3), 2.0b only.

Words that the schema lists but lets parties add to (``report_type``, ``reading_type``, ``report_name``,
``data_quality``) are plain strings; one that is neither listed nor begins with ``x-`` stands in
``problems`` when it comes in, and is refused when it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from oadr2.model.parts import EiResponse, Period, Problem, Profile, Targets, Unit
from oadr2.schedule import Duration

# --- what a report says --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadControl:
    """One control of a load (``oadrCapacity`` and the like): where it stands and within which bounds."""

    current: float
    normal: float | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class LoadControlState:
    """``oadr:oadrLoadControlState``: the controls that a load has."""

    capacity: LoadControl | None = None
    level_offset: LoadControl | None = None
    percent_offset: LoadControl | None = None
    set_point: LoadControl | None = None


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """``oadr:oadrPayloadResourceStatus``: is the load there, and has somebody overridden it by hand?"""

    online: bool
    manual_override: bool
    load_control_state: LoadControlState | None = None


@dataclass(frozen=True, slots=True)
class ReportPayload:
    """``oadr:oadrReportPayload``: what one data point read, a ``value`` or a ``resource_status``.

    One of the two must be there to be sent; for a value that could not be read, ``data_quality`` says
    so (``No Quality - No Value``). ``confidence`` is in percent.
    """

    r_id: str
    value: float | None = None
    resource_status: ResourceStatus | None = None
    confidence: int | None = None
    accuracy: float | None = None
    data_quality: str | None = None


@dataclass(frozen=True, slots=True)
class GreenButtonPayload:
    """``oadr:oadrGBPayload``: Green Button data, the raw ``atom:feed`` element."""

    feed: bytes


@dataclass(frozen=True, slots=True)
class ReportInterval:
    """``ei:interval`` of a report: one reading of its points, at ``dtstart`` or over ``duration``."""

    payloads: Sequence[ReportPayload | GreenButtonPayload] = ()
    dtstart: datetime | None = None
    duration: Duration | None = None
    uid: str | None = None


@dataclass(frozen=True, slots=True)
class SamplingRate:
    """``oadr:oadrSamplingRate``: how often a point can be read."""

    min_period: Duration
    max_period: Duration
    on_change: bool = False


@dataclass(frozen=True, slots=True)
class ReportDescription:
    """``oadr:oadrReportDescription``: a point that can be reported (METADATA)."""

    r_id: str
    report_type: str
    reading_type: str
    unit: Unit | None = None
    report_subject: Targets = field(default_factory=Targets)
    report_data_source: Targets = field(default_factory=Targets)
    market_context: str | None = None
    sampling_rate: SamplingRate | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """``oadr:oadrReport``: data in ``intervals``, or METADATA in ``report_descriptions``.

    In METADATA ``duration`` is how much history can be kept and ``report_request_id`` is "0".
    """

    report_request_id: str
    report_specifier_id: str
    created_date_time: datetime
    report_name: str | None = None
    dtstart: datetime | None = None
    duration: Duration | None = None
    intervals: Sequence[ReportInterval] = ()
    report_id: str | None = None
    report_descriptions: Sequence[ReportDescription] = ()


# --- what is asked for ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpecifierPayload:
    """``ei:specifierPayload``: one point asked for."""

    r_id: str
    reading_type: str = "x-notApplicable"
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class ReportSpecifier:
    """``ei:reportSpecifier``: which points, how densely sampled, how often delivered, and when.

    Zero for ``granularity`` and ``report_back_duration`` and no ``report_interval`` ask for one report
    now (facts.md 3.3).
    """

    report_specifier_id: str
    granularity: Duration
    report_back_duration: Duration
    specifier_payloads: Sequence[SpecifierPayload]
    report_interval: Period | None = None


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """``oadr:oadrReportRequest``: one report asked for; the asking side chooses the id."""

    report_request_id: str
    report_specifier: ReportSpecifier


# --- messages ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RegisterReport:
    """``oadr:oadrRegisterReport``, either way: the reports that I can make.

    ``report_request_id`` answers a request for METADATA, and exists in the later edition only.
    """

    request_id: str = ""
    reports: Sequence[Report] = ()
    ven_id: str | None = None
    report_request_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class RegisteredReport:
    """``oadr:oadrRegisteredReport``: the answer to it, which may already ask for reports."""

    response: EiResponse = field(default_factory=EiResponse)
    report_requests: Sequence[ReportRequest] = ()
    ven_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class CreateReport:
    """``oadr:oadrCreateReport``, either way: send me these reports."""

    report_requests: Sequence[ReportRequest]
    request_id: str = ""
    ven_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class CreatedReport:
    """``oadr:oadrCreatedReport``: the answer to it. ``pending_reports`` are reportRequestIDs."""

    response: EiResponse = field(default_factory=EiResponse)
    pending_reports: Sequence[str] = ()
    ven_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """``oadr:oadrUpdateReport``, either way: here are the data."""

    request_id: str = ""
    reports: Sequence[Report] = ()
    ven_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class CancelReport:
    """``oadr:oadrCancelReport``, either way: no more of these.

    With ``report_to_follow`` one last report with what has been gathered is wanted.
    """

    report_request_ids: Sequence[str]
    report_to_follow: bool = False
    request_id: str = ""
    ven_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class UpdatedReport:
    """``oadr:oadrUpdatedReport``: the answer to data, which may cancel reports at the same time."""

    response: EiResponse = field(default_factory=EiResponse)
    cancel_report: CancelReport | None = None
    ven_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class CanceledReport:
    """``oadr:oadrCanceledReport``: the answer to a cancellation. ``pending_reports`` go on."""

    response: EiResponse = field(default_factory=EiResponse)
    pending_reports: Sequence[str] = ()
    ven_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"
