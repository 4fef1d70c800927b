"""A decoded message on paper or in a terminal: headings, facts, and the intervals as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO, Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from oadr2.cli.event_text import (
    duration_brief,
    duration_words,
    event_end,
    interval_starts,
    later,
    level_text,
    local_time,
    number,
    printable,
    target_words,
    utc_time,
)
from oadr2.cli.message_data import element_name
from oadr2.cli.message_parts import (
    facts,
    moment_text,
    problem_lines,
    response_text,
    table_of,
    unit_words,
)
from oadr2.cli.service_view import service_parts
from oadr2.model import (
    Baseline,
    CreatedEvent,
    DistributeEvent,
    Event,
    Interval,
    Message,
    RequestEvent,
    Response,
    Signal,
    UnknownMessage,
)
from oadr2.schedule import Duration

LEVEL_STYLES: Final = {0: "green", 1: "yellow", 2: "dark_orange", 3: "red"}
_STATUS_STYLES: Final = {"active": "bold green", "cancelled": "red", "completed": "dim"}
# Wide enough that nothing is folded when nobody looks at it in a terminal.
_WIDTH_OF_A_FILE: Final = 1000


def console_for(stream: IO[str] | None = None) -> Console:
    """A console that never interprets what it prints, and never folds lines outside a terminal."""
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    return console


def show(console: Console, view: RenderableType) -> None:
    """Print ``view``; in a file or a pipe without the blanks that fill a terminal's lines."""
    if console.is_terminal:
        console.print(view)
        return
    with console.capture() as captured:
        console.print(view)
    console.file.write("\n".join(line.rstrip() for line in captured.get().split("\n")))


def level_style(level: float | None) -> str:
    """The colour of a SIMPLE level; levels above 3 look like 3."""
    return LEVEL_STYLES.get(min(int(level), 3), "") if level is not None and level >= 0 else ""


def message_view(message: Message, *, wrapped: bool, source: bytes = b"") -> RenderableType:
    """The whole message. ``source``, the bytes it came in, turns offsets into lines and columns."""
    profile = f"profile {message.profile}" if message.profile else "unknown profile"
    heading = Text(element_name(message), "bold")
    heading.append(f"  {profile}, {'wrapped in oadrPayload' if wrapped else 'bare'}", "dim")
    if message.signed:
        heading.append(", signed (the signature is not checked here)", "dim")
    parts: list[RenderableType] = [heading]
    match message:
        case DistributeEvent():
            count = len(message.events)
            parts.append(
                facts(
                    ("VTN", message.vtn_id),
                    ("request", message.request_id or "(empty)"),
                    ("response", response_text(message.response)),
                    ("events", str(count) if count else "none"),
                )
            )
            parts.extend(_event(event, source) for event in message.events)
        case RequestEvent():
            limit = message.reply_limit
            parts.append(
                facts(
                    ("VEN", message.ven_id),
                    ("request", message.request_id or "(empty)"),
                    ("reply limit", None if limit is None else str(limit)),
                )
            )
        case CreatedEvent():
            parts.append(
                facts(("VEN", message.ven_id), ("response", response_text(message.response)))
            )
            if message.event_responses:
                parts.extend((Text(), _answers(message)))
        case Response():
            parts.append(
                facts(("VEN", message.ven_id), ("response", response_text(message.response)))
            )
        case UnknownMessage():
            parts.append(facts(("namespace", message.namespace or "(none)")))
            parts.append(
                Text("  Well-formed, but its contents are not read by this version.", "dim")
            )
        case _:
            parts.extend(problem_lines(message.problems, source))
            parts.extend(service_parts(message))
    return Group(*parts)


def _answers(message: CreatedEvent) -> RenderableType:
    table = table_of("event", "modification", "answer", "code", "description", "request")
    for answer in message.event_responses:
        table.add_row(
            Text(printable(answer.event_id)),
            str(answer.modification_number),
            Text(answer.opt_type, "green" if answer.opt_type == "optIn" else "yellow"),
            str(answer.response_code),
            Text(printable(answer.response_description or "")),
            Text(printable(answer.request_id or "(empty)")),
        )
    return Padding.indent(table, 2)


def _event(event: Event, source: bytes) -> RenderableType:
    heading = Text("Event ", "bold")
    heading.append(printable(event.event_id), "bold cyan")
    heading.append(f", modification {event.modification_number}", "bold")
    status = event.event_status
    if status:
        heading.append("  ")
        heading.append(status, _STATUS_STYLES.get(status, "cyan"))
    if event.is_test:
        heading.append("  test event", "bold magenta")
    notice = event.notification
    problems = problem_lines(event.problems, source)
    parts: list[RenderableType] = [
        Text(),
        heading,
        *problems,
        facts(
            ("market context", event.market_context),
            ("comment", event.vtn_comment or None),
            ("start", moment_text(event.dtstart)),
            ("end", _end(event)),
            ("duration", duration_words(event.duration) if event.duration else _open_ended(event)),
            ("start varies by", _optional(event.startafter, "up to {}")),
            ("notification", _optional(notice, "{} ahead") if notice else None),
            ("ramp-up", _around(event.ramp_up, "start")),
            ("recovery", _around(event.recovery, "end")),
            ("priority", _priority(event.priority)),
            ("targets", target_words(event.targets)),
            ("answer", "wanted" if event.response_required == "always" else "not wanted"),
            ("test event", f'"{event.test_event}"' if event.is_test else None),
            ("created", moment_text(event.created_date_time) if event.created_date_time else None),
            ("modified", _modified(event)),
        ),
    ]
    parts.extend(_signal(signal, event.dtstart) for signal in event.signals)
    if not event.signals:
        parts.append(Text("  no signals", "dim"))
    if event.baseline is not None:
        parts.append(_baseline(event.baseline))
    return Group(*parts)


def _end(event: Event) -> Text | None:
    end = event_end(event)
    return moment_text(end) if end is not None else None


def _open_ended(event: Event) -> str:
    return "missing" if event.duration is None else "open-ended: it lasts until it is cancelled"


def _optional(value: object, pattern: str) -> str | None:
    return pattern.format(duration_words(value)) if isinstance(value, Duration) and value else None


def _around(value: object, what: str) -> str | None:
    """A ramp-up or recovery: before or after (negative) the start or the end (facts.md 2.6)."""
    words = _optional(value, "{}")
    if words is None:
        return None
    minus = words.removeprefix("minus ")
    return f"{minus} {'after' if minus != words else 'before'} the {what}"


def _priority(priority: int | None) -> str | None:
    if priority is None:
        return None
    return "0 (none)" if priority == 0 else str(priority)


def _modified(event: Event) -> Text | None:
    if event.modification_date_time is None and event.modification_reason is None:
        return None
    text = moment_text(event.modification_date_time) if event.modification_date_time else Text()
    if event.modification_reason:
        text.append(f"  {printable(event.modification_reason)}".lstrip("" if text else " "))
    return text


def _signal(signal: Signal, dtstart: datetime | None) -> RenderableType:
    name = signal.signal_name
    heading = Text("signal ", "dim")
    heading.append(printable(name), "bold")
    heading.append(f" {printable(signal.signal_type)}")
    heading.append(f"  id {printable(signal.signal_id)}", "dim")
    if signal.unit is not None:
        heading.append(f"  in {unit_words(signal.unit)}", "dim")
    simple = name.upper() == "SIMPLE"
    if signal.current_value is not None:
        value = level_text(signal.current_value) if simple else number(signal.current_value)
        heading.append(f"  now {value}", "dim")
    parts: list[RenderableType] = [Text(), heading]
    if signal.targets:
        parts.append(facts(("for", target_words(signal.targets))))
    parts.append(_intervals(dtstart, signal.intervals, simple=simple))
    return Padding.indent(Group(*parts), 2)


def _intervals(
    dtstart: datetime | None, intervals: Iterable[Interval], *, simple: bool
) -> RenderableType:
    table = table_of("#", "from (local)", "from (UTC)", "lasts", "value")
    for interval, start in interval_starts(dtstart, intervals):
        value = interval.value
        table.add_row(
            Text(printable(interval.uid or "-")),
            local_time(start, weekday=False),
            utc_time(start),
            duration_brief(interval.duration) if interval.duration else _no_end(interval),
            Text(level_text(value), level_style(value)) if simple else Text(number(value)),
        )
    return Padding.indent(table if table.row_count else Text("no intervals", "dim"), 2)


def _no_end(interval: Interval) -> str:
    return "-" if interval.duration is None else "no end"


def _baseline(baseline: Baseline) -> RenderableType:
    heading = Text("baseline ", "dim")
    heading.append(printable(baseline.baseline_name), "bold")
    heading.append(f"  id {printable(baseline.baseline_id)}", "dim")
    if baseline.unit is not None:
        heading.append(f"  in {unit_words(baseline.unit)}", "dim")
    end = later(baseline.dtstart, baseline.duration) if baseline.duration else None
    resources: Sequence[str] = baseline.resource_ids
    return Padding.indent(
        Group(
            Text(),
            heading,
            facts(
                ("start", moment_text(baseline.dtstart)),
                ("end", moment_text(end) if end else None),
                ("resources", ", ".join(resources) or None),
            ),
            _intervals(baseline.dtstart, baseline.intervals, simple=False),
        ),
        2,
    )
