"""What a VEN of 2.0b tells people of its talk with the VTN: a word, a line, and fields for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from oadr2.model import Report, ReportRequest
from oadr2.services.registration import Registered
from oadr2.services.report_source import ReportSource

ActivityKind: TypeAlias = Literal[
    "registered", "unregistered", "cancelled", "announced", "asked", "delivered", "opt"
]


@dataclass(frozen=True, slots=True)
class Activity:
    """Something worth telling a person: ``kind`` is a word, ``text`` one line, ``fields`` for programs."""

    kind: ActivityKind
    text: str
    fields: Mapping[str, object] = field(default_factory=dict)


def registered(found: Registered, *, again: bool, poll_interval: float | None) -> Activity:
    """The VTN has registered us; ``poll_interval`` in seconds, None where it comes to us."""
    how = (
        "no polls, it comes to us" if poll_interval is None else f"a poll every {poll_interval:g} s"
    )
    return Activity(
        "registered",
        f"registered{' again' if again else ''} with VTN {found.vtn_id!r} as {found.ven_id!r}, {how}",
        {
            "ven_id": found.ven_id,
            "vtn_id": found.vtn_id,
            "registration_id": found.registration_id,
            "poll_interval": poll_interval,
        },
    )


def unregistered() -> Activity:
    """The VTN has forgotten us."""
    return Activity("unregistered", "the VTN does not know us any more; registering again")


def cancelled() -> Activity:
    """The registration is over."""
    text = "the registration has ended; no more polls until it is asked for again"
    return Activity("cancelled", text)


def announced(sources: Mapping[str, ReportSource]) -> Activity:
    """The VTN has our METADATA."""
    names = tuple(sources)
    points = sum(len(source.points) for source in sources.values())
    text = f"{_count(len(names), 'report')} announced, {_count(points, 'point')}"
    return Activity("announced", text, {"reports": names, "points": points})


def asked(requests: Sequence[ReportRequest], response_code: int) -> Activity:
    """The VTN has asked for reports, and what we said to that."""
    verb = "taken" if 200 <= response_code <= 299 else f"refused with {response_code}"
    ids = [request.report_request_id for request in requests]
    text = f"{_count(len(ids), 'report request')} {verb}: {', '.join(ids)}"
    return Activity("asked", text, {"report_request_ids": ids, "response_code": response_code})


def delivered(report: Report, waiting: int) -> Activity:
    """The VTN has a report; so many more wait."""
    return Activity(
        "delivered",
        f"{report.report_specifier_id!r} delivered for request "
        f"{report.report_request_id!r}, {_count(len(report.intervals), 'interval')}",
        {
            "report": report.report_specifier_id,
            "report_request_id": report.report_request_id,
            "intervals": len(report.intervals),
            "waiting": waiting,
        },
    )


def opt_taken(opt_id: str) -> Activity:
    """The VTN has taken an opt."""
    return _opt(opt_id, "taken by the VTN", cancelled=False)


def opt_taken_back(opt_id: str) -> Activity:
    """An opt has ended."""
    return _opt(opt_id, "taken back", cancelled=True)


def _opt(opt_id: str, what: str, *, cancelled: bool) -> Activity:
    return Activity("opt", f"opt {opt_id!r} {what}", {"opt_id": opt_id, "cancelled": cancelled})


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
