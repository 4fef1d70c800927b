"""Messages of the 2.0b services on paper or in a terminal: registration, reports, opts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from oadr2.cli.event_text import duration_words, local_time, number, printable, target_words
from oadr2.cli.message_parts import facts, moment_text, response_text, table_of, unit_words
from oadr2.model import (
    CancelReport,
    CreatedPartyRegistration,
    CreateOpt,
    CreatePartyRegistration,
    GreenButtonPayload,
    Info,
    LoadControlState,
    Period,
    Report,
    ReportDescription,
    ReportInterval,
    ReportPayload,
    ReportRequest,
    ResourceStatus,
    ServiceMessage,
    Unit,
)
from oadr2.schedule import Duration

# Attributes that every message may have, and what they are called on paper.
_LABELS = (
    ("ven_id", "VEN"),
    ("vtn_id", "VTN"),
    ("registration_id", "registration"),
    ("opt_id", "opt"),
    ("report_request_id", "report request"),
)


def service_parts(message: ServiceMessage) -> list[RenderableType]:
    """What stands below the heading."""
    rows: list[tuple[str, str | Text | None]] = []
    request = getattr(message, "request_id", None)
    if request is not None:
        rows.append(("request", request or "(empty)"))
    rows += [(label, getattr(message, name, None)) for name, label in _LABELS]
    rows.append(("response", response_text(getattr(message, "response", None))))
    pending: Sequence[str] | None = getattr(message, "pending_reports", None)
    if pending is not None:
        rows.append(("pending reports", ", ".join(pending) or "none"))
    below: list[RenderableType] = []
    match message:
        case CreatePartyRegistration():
            rows += _application(message)
        case CreatedPartyRegistration():
            rows += _membership(message)
        case CancelReport():
            rows += _cancellation(message)
        case CreateOpt():
            rows += _choice(message)
            if message.vavailability is not None:
                below.append(_times(message.vavailability.available))
    cancel: CancelReport | None = getattr(message, "cancel_report", None)
    if cancel is not None:
        rows += _cancellation(cancel)
    requests: Sequence[ReportRequest] = getattr(message, "report_requests", ())
    reports: Sequence[Report] = getattr(message, "reports", ())
    below += [_request(each) for each in requests]
    below += [_report(each) for each in reports]
    return [facts(*rows), *below]


# --- registration --------------------------------------------------------------------------------


def _application(message: CreatePartyRegistration) -> list[tuple[str, str | Text | None]]:
    pull = message.http_pull_model
    ways = {True: " (polling)", False: " (pushed to)", None: ""}
    return [
        ("name", message.ven_name),
        ("profile asked for", message.profile_name),
        ("transport", f"{message.transport_name}{ways[pull]}"),
        ("address", message.transport_address),
        ("takes events", "no, reports only" if message.report_only else "yes"),
        ("signs", _yes(message.xml_signature)),
    ]


def _membership(message: CreatedPartyRegistration) -> list[tuple[str, str | Text | None]]:
    rows: list[tuple[str, str | Text | None]] = [
        ("speaks", f"{profile.profile_name} over {', '.join(profile.transports) or 'nothing'}")
        for profile in message.profiles
    ]
    rows.append(("poll every", _length(message.requested_oadr_poll_freq)))
    rows += [(each.service_name, _keys(each.info)) for each in message.service_specific_info]
    rows += [(f"extension {each.extension_name}", _keys(each.info)) for each in message.extensions]
    return rows


def _keys(infos: Iterable[Info]) -> str:
    return ", ".join(f"{info.key}={info.value}" for info in infos) or "(nothing)"


# --- reports -------------------------------------------------------------------------------------


def _cancellation(message: CancelReport) -> list[tuple[str, str | Text | None]]:
    return [
        ("cancels", ", ".join(message.report_request_ids)),
        ("one last report", _yes(message.report_to_follow)),
    ]


def _request(request: ReportRequest) -> RenderableType:
    specifier = request.report_specifier
    when = specifier.report_interval
    table = table_of("point", "unit", "reading")
    for payload in specifier.specifier_payloads:
        table.add_row(
            Text(printable(payload.r_id)),
            Text(_unit(payload.unit)),
            Text(printable(payload.reading_type)),
        )
    return Group(
        _heading("Report request", request.report_request_id),
        facts(
            ("report", specifier.report_specifier_id),
            ("sampled every", _length(specifier.granularity)),
            ("delivered every", _length(specifier.report_back_duration)),
            ("from", moment_text(when.dtstart) if when else "now, once"),
            ("for", _period_length(when) if when else None),
        ),
        Padding.indent(table, 2),
    )


def _report(report: Report) -> RenderableType:
    parts: list[RenderableType] = [
        _heading("Report", report.report_specifier_id),
        facts(
            ("name", report.report_name),
            ("id", report.report_id),
            ("report request", report.report_request_id),
            ("start", moment_text(report.dtstart) if report.dtstart else None),
            ("duration", _length(report.duration)),
            ("created", moment_text(report.created_date_time)),
        ),
    ]
    if report.report_descriptions:
        parts.append(_descriptions(report.report_descriptions))
    if report.intervals:
        parts.append(_readings(report.intervals))
    return Group(*parts)


def _descriptions(descriptions: Iterable[ReportDescription]) -> RenderableType:
    table = table_of("point", "of", "type", "reading", "unit", "sampled", "market context")
    for each in descriptions:
        named = each.report_data_source or each.report_subject
        rate = each.sampling_rate
        sampled = "" if rate is None else _between(rate.min_period, rate.max_period)
        if rate is not None and rate.on_change:
            sampled += ", on change"
        table.add_row(
            Text(printable(each.r_id)),
            Text(printable(target_words(named)) if named else ""),
            Text(printable(each.report_type)),
            Text(printable(each.reading_type)),
            Text(_unit(each.unit)),
            sampled,
            Text(printable(each.market_context or "")),
        )
    return Padding.indent(table, 2)


def _readings(intervals: Iterable[ReportInterval]) -> RenderableType:
    table = table_of("#", "from (local)", "lasts", "point", "value", "quality")
    for interval in intervals:
        place = (
            Text(printable(interval.uid or "-")),
            local_time(interval.dtstart, weekday=False) if interval.dtstart else "-",
            "-" if interval.duration is None else duration_words(interval.duration),
        )
        for payload in interval.payloads:
            table.add_row(*place, *_reading(payload))
            place = (Text(), "", "")
    return Padding.indent(table, 2)


def _reading(payload: ReportPayload | GreenButtonPayload) -> tuple[Text, Text, Text]:
    if isinstance(payload, GreenButtonPayload):
        return Text("Green Button", "dim"), Text(f"{len(payload.feed)} bytes of XML"), Text()
    value = "-" if payload.value is None else number(payload.value)
    if payload.resource_status is not None:
        value = _status(payload.resource_status)
    quality = [printable(payload.data_quality)] if payload.data_quality else []
    if payload.confidence is not None:
        quality.append(f"{payload.confidence} % sure")
    if payload.accuracy is not None:
        quality.append(f"accurate to {number(payload.accuracy)}")
    return Text(printable(payload.r_id)), Text(value), Text(", ".join(quality), "dim")


def _status(status: ResourceStatus) -> str:
    words = ["online" if status.online else "offline"]
    if status.manual_override:
        words.append("overridden by hand")
    state = status.load_control_state or LoadControlState()
    for name, control in (
        ("capacity", state.capacity),
        ("level offset", state.level_offset),
        ("percent offset", state.percent_offset),
        ("set point", state.set_point),
    ):
        if control is not None:
            words.append(f"{name} {number(control.current)}")
    return ", ".join(words)


# --- opts ----------------------------------------------------------------------------------------


def _choice(message: CreateOpt) -> list[tuple[str, str | Text | None]]:
    event = message.qualified_event_id
    named = f"{event.event_id}, modification {event.modification_number}" if event else None
    return [
        ("answer", Text(message.opt_type, "green" if message.opt_type == "optIn" else "yellow")),
        ("reason", message.opt_reason),
        ("event", named),
        ("market context", message.market_context),
        ("targets", target_words(message.targets)),
        ("devices", target_words(message.device_class) if message.device_class else None),
        ("created", moment_text(message.created_date_time)),
    ]


def _times(periods: Iterable[Period]) -> RenderableType:
    table = table_of("from", "lasts")
    for period in periods:
        table.add_row(moment_text(period.dtstart), _period_length(period))
    return Padding.indent(table if table.row_count else Text("no times", "dim"), 2)


# --- words ---------------------------------------------------------------------------------------


def _heading(what: str, name: str) -> RenderableType:
    heading = Text(f"\n{what} ", "bold")
    heading.append(printable(name), "bold cyan")
    return heading


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _length(duration: Duration | None) -> str | None:
    if duration is None:
        return None
    return duration_words(duration) if duration else "0"


def _period_length(period: Period) -> str:
    return duration_words(period.duration) if period.duration else "until cancelled"


def _between(least: Duration, most: Duration) -> str:
    ends = [_length(least) or "", _length(most) or ""]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _unit(unit: Unit | None) -> str:
    return "" if unit is None else unit_words(unit)
