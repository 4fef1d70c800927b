"""What a VEN on the command line prints: one line for each thing that happens, as text or as JSON.

The fields of each kind of line, and the sentence they make for a person.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from oadr2.cli.event_text import (
    as_local,
    event_end,
    iso_time,
    level_text,
    moment_at,
)
from oadr2.cli.line_writer import Fields, LineWriter
from oadr2.errors import RemoteProtocolError, TransportError

if TYPE_CHECKING:
    from oadr2.event import Change, EventState
    from oadr2.services.activity import Activity, ActivityKind

_CHANGE_WORDS: Final[Mapping[str, str]] = {
    "vanished": "cancelled: no longer in the VTN's list",
    "interval": "next interval",
    "opt": "answer changed",
    "held": "still held from before",
}
# After these the event's times are of no interest to anybody.
_OVER: Final = frozenset({"cancelled", "vanished", "completed", "removed", "refused"})


def line_text(fields: Fields) -> str:
    """The fields of a line as a sentence of their kind."""
    match fields["kind"]:
        case "start":
            words = _start_words(fields)
        case "signal":
            words = f"{_level(fields['previous'])} -> {_level(fields['level'])}"
            if fields["event_id"] is not None:
                words += f", event {fields['event_id']}"
        case "event":
            words = _event_words(fields)
        case "log":
            words = f"{fields['severity']}: {fields['message']}"
        case "ven" | "report" | "opt":
            words = str(fields["text"])
        case "stop":
            words = str(fields["reason"])
        case "error":
            words = str(fields["reason"])
            if "next_poll_in" in fields:
                words += f"; next try in {fields['next_poll_in']} s"
        case _:
            words = str(fields.get("reason", ""))
    return words


def _level(value: object) -> str:
    return level_text(value) if isinstance(value, float | int) else "none"


def _start_words(fields: Fields) -> str:
    held = fields["held"]
    where = f"events kept in {fields['db']}" if fields["db"] else "events kept in memory only"
    if fields["db"]:
        where += f" ({held} held)"
    return f"{_way(fields)}, profile {fields['profile']}; {where}; Ctrl-C ends it"


def _way(fields: Fields) -> str:
    """How the VTN is reached, and as whom."""
    name = fields["ven_id"] or fields.get("ven_name")
    if "jid" in fields:
        vtn = fields["vtn_jid"] or "the server's EiEvent service"
        return f"{fields['jid']} on XMPP as VEN {name} of {vtn}"
    if "listen" in fields:
        ven = f"listening at {fields['listen']} as VEN {name}"
        return f"{ven} for {fields['vtn']}, answers to {fields['vtn_url']}"
    if fields.get("ven_name") or fields.get("registers"):
        return f"registering at {fields['vtn_url']} as VEN {name}, then polling as it asks"
    every = f"every {fields['interval']:g} s" if fields["interval"] else "once"
    return f"polling {fields['vtn_url']} as VEN {name} {every}"


def _event_words(fields: Fields) -> str:
    change = str(fields["change"])
    words = f"{fields['event_id']} {_CHANGE_WORDS.get(change, change)}"
    details = [f"modification {fields['modification_number']}"]
    if fields["vtn_id"]:
        details.append(f"from {fields['vtn_id']}")
    if fields["opt_type"]:
        details.append(str(fields["opt_type"]))
    if fields["test"]:
        details.append("test event")
    words += f" ({', '.join(details)})"
    if fields["start"] and change not in _OVER:
        words += f", {_span(str(fields['start']), fields['end'])}"
    reason = str(fields.get("reason", ""))
    return words if not reason or reason.startswith(change) else f"{words}: {reason}"


def _span(start: str, end: object) -> str:
    """``2030-07-01 14:00:00 to 16:00:00 CEST``: to the second, the date only where it changes."""
    begins = as_local(datetime.fromisoformat(start))
    if end is None:
        return f"{begins:%Y-%m-%d %H:%M:%S %Z} until cancelled"
    ends = as_local(datetime.fromisoformat(str(end)))
    if begins.date() != ends.date() or begins.tzname() != ends.tzname():
        return f"{begins:%Y-%m-%d %H:%M:%S %Z} to {ends:%Y-%m-%d %H:%M:%S %Z}"
    return f"{begins:%Y-%m-%d %H:%M:%S} to {ends:%H:%M:%S %Z}"


def signal_fields(previous: float | None, level: float | None, event_id: str | None) -> Fields:
    """The line for a change of level."""
    return {
        "kind": "signal",
        "level": float(level or 0),
        "previous": float(previous or 0),
        "event_id": event_id,
    }


_SUBJECTS: Final[Mapping[ActivityKind, str]] = {
    "registered": "ven",
    "unregistered": "ven",
    "cancelled": "ven",
    "announced": "report",
    "asked": "report",
    "delivered": "report",
    "opt": "opt",
}


def activity_fields(activity: Activity) -> Fields:
    """The line for what a whole 2.0b VEN does: kind "ven", "report" or "opt", and the change in it."""
    kind = _SUBJECTS[activity.kind]
    return {"kind": kind, "change": activity.kind, "text": activity.text, **activity.fields}


def change_fields(change: Change, states: Iterable[EventState]) -> Fields:
    """The line for a change of an event.

    ``start`` and ``end`` are the ones this VEN runs by (randomised) while it holds the event.
    """
    event = change.event
    state = next(
        (
            state
            for state in states
            if (state.event.event_id, state.vtn_id) == (change.event_id, change.vtn_id)
        ),
        None,
    )
    start = state.start if state else event.dtstart if event else None
    end = state.end if state else event_end(event) if event else None
    fields: Fields = {
        "kind": "event",
        "change": change.kind,
        "event_id": change.event_id,
        "modification_number": change.modification_number,
        "vtn_id": change.vtn_id,
        "opt_type": change.opt_type,
        "status": event.event_status if event else None,
        "phase": state.phase if state else None,
        "test": event.is_test if event else False,
        "start": iso_time(start) if start else None,
        "end": iso_time(end) if end else None,
    }
    if change.reason:
        fields["reason"] = change.reason
    return fields


def held_fields(state: EventState) -> Fields:
    """The line for an event the VEN holds already."""
    event = state.event
    return {
        "kind": "event",
        "change": "held",
        "event_id": event.event_id,
        "modification_number": event.modification_number,
        "vtn_id": state.vtn_id,
        "opt_type": state.opt_type,
        "status": event.event_status,
        "phase": state.phase,
        "test": event.is_test,
        "start": iso_time(state.start) if state.start else None,
        "end": iso_time(state.end) if state.end else None,
        "level": state.level,
    }


def error_fields(error: Exception, next_poll_in: float | None) -> Fields:
    """The line for what failed; the VTN is asked again in so many seconds."""
    fields: Fields = {
        "kind": "error",
        "reason": str(error),
        "error": type(error).__name__,
    }
    if next_poll_in is not None:
        fields["next_poll_in"] = round(next_poll_in, 1)
    if isinstance(error, RemoteProtocolError):
        fields["response_code"] = error.response_code
    if isinstance(error, TransportError) and error.status is not None:
        fields["http_status"] = error.status
    return fields


class LogLines(logging.Handler):
    """The package's log records as lines of kind ``log``."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            message += f": {type(error).__name__}: {error}"
        self.writer.write(
            moment_at(record.created),
            {
                "kind": "log",
                "severity": record.levelname.lower(),
                "logger": record.name,
                "message": message,
            },
        )
