"""The work of ``oadr2 ven status``: read a VEN's file and show what is in it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from oadr2 import decode
from oadr2.cli.event_text import event_end, iso_time, printable
from oadr2.cli.message_view import console_for, show
from oadr2.cli.ven_file import (
    OPT_COLUMNS,
    open_ven_file,
    opts_in,
    registration_in,
    registration_orders_in,
    table_with,
    vens_in,
)
from oadr2.decisions import decision_key
from oadr2.model import DistributeEvent, Event, UpdateReport
from oadr2.store import EventStore, StoredEvent


@dataclass(frozen=True, slots=True)
class VenStatus:
    """What is kept of one VEN; ``kept_as`` is the id it was started with."""

    kept_as: str
    registration: dict[str, Any] | None
    registration_state: str
    registration_orders: list[dict[str, str]]
    events: list[dict[str, Any]]
    opts: list[dict[str, Any]]
    opts_unsent: int
    requests: list[dict[str, Any]]
    waiting: list[dict[str, Any]]

    @property
    def has_services(self) -> bool:
        """Whether anything is kept that no VEN of 2.0a has."""
        services = (
            self.registration_orders,
            self.opts,
            self.opts_unsent,
            self.requests,
            self.waiting,
        )
        ended = self.registration_state != "not registered"
        return self.registration is not None or ended or any(services)


def show_status(args: argparse.Namespace) -> int:
    """Print it for a person, or as JSON; 0."""
    with open_ven_file(args) as store:
        found = [_status(store, name) for name in vens_in(store, args)]
    if args.json:
        vens = [{name: getattr(ven, name) for name in VenStatus.__slots__} for ven in found]
        print(json.dumps({"vens": vens}, indent=2))
    elif not found:
        show(console_for(), Text("no VEN has kept anything there"))
    else:
        show(console_for(), Group(*(_view(ven) for ven in found)))
    return 0


def _status(store: EventStore, name: str) -> VenStatus:
    values = store.get_values(name)
    return VenStatus(
        name,
        *registration_in(values),
        registration_orders_in(values),
        [_event(row, values) for row in store.look(name)],
        opts_in(values),
        sum(key.startswith("opt_unsent/") for key in values),
        [_request(key, text) for key, text in values.items() if key.startswith("report/request/")],
        [_waiting(text) for key, text in values.items() if key.startswith("report/waiting/")],
    )


def _request(key: str, text: str) -> dict[str, Any]:
    kept = json.loads(text)
    return {
        "report_request_id": key.removeprefix("report/request/"),
        "report": kept["source"],
        "r_ids": kept["r_ids"],
        "every": kept["back"] or None,
        "next_delivery": iso_time(datetime.fromtimestamp(kept["next_delivery"], UTC)),
    }


def _waiting(text: str) -> dict[str, Any]:
    message = decode(text.encode())
    assert isinstance(message, UpdateReport)  # noqa: S101  nothing else is kept there
    report = message.reports[0]
    return {
        "report": report.report_specifier_id,
        "report_request_id": report.report_request_id,
        "created": iso_time(report.created_date_time),
        "intervals": len(report.intervals),
    }


def _event(row: StoredEvent, values: Mapping[str, str]) -> dict[str, Any]:
    message = decode(row.raw)
    event = message.events[0] if isinstance(message, DistributeEvent) and message.events else None
    start, end = (None, None) if event is None else _times(event, row)
    undecided = values.get(decision_key(row.event_id, row.modification_number))
    until = None if undecided is None else json.loads(undecided)["until"]
    return {
        "event_id": row.event_id,
        "modification_number": row.modification_number,
        "vtn_id": row.vtn_id,
        "opt_type": row.opt_type,
        "undecided_until": None if until is None else iso_time(datetime.fromtimestamp(until, UTC)),
        "phase": row.phase,
        "start": None if start is None else iso_time(start),
        "end": None if end is None else iso_time(end),
    }


def _times(event: Event, row: StoredEvent) -> tuple[datetime | None, datetime | None]:
    """From when to when this VEN runs it: randomised, or cut short by a cancellation."""
    later = timedelta(microseconds=row.start_offset_us)
    start = None if event.dtstart is None else event.dtstart + later
    end = event_end(event)
    end = None if end is None else end + later
    if row.terminate_at_us is not None:
        cut = datetime.fromtimestamp(row.terminate_at_us / 1e6, UTC)
        end = cut if end is None else min(end, cut)
    return start, end


def _view(ven: VenStatus) -> RenderableType:
    parts: list[RenderableType] = [Text(f"VEN {printable(ven.kept_as)}", "bold")]
    known = ven.registration
    if not ven.has_services:
        parts.append(Text("not registered with a VTN of 2.0b; 2.0a knows no registration", "dim"))
    elif known is None:
        state = ven.registration_state
        words = state if state == "not registered" else f"not registered: {state}"
        parts.append(Text(words, "yellow"))
    else:
        interval = known.get("poll_interval")
        every = f", a poll every {interval:g} s" if interval else ""
        address = known.get("transport_address")
        where = f", pushed to at {address}" if address else every
        state = ven.registration_state
        changes = "" if state == "registered" else f"; {state}"
        parts.append(
            Text(
                printable(
                    f"registered with VTN {known['vtn_id']} as {known['ven_id']}"
                    f" ({known['registration_id']}){where}{changes}"
                )
            )
        )
    parts += [
        Text(printable(f"order to {order['order']}: {order['state']}"))
        for order in ven.registration_orders
    ]
    undecided = {"undecided until (local)": "undecided_until"}
    tables: tuple[tuple[str, Sequence[dict[str, Any]], dict[str, str]], ...] = (
        (
            "events",
            ven.events,
            {
                "event": "event_id",
                "VTN": "vtn_id",
                "phase": "phase",
                "answer": "opt_type",
                **(undecided if any(event["undecided_until"] for event in ven.events) else {}),
                "from (local)": "start",
                "to (local)": "end",
            },
        ),
        ("opts", ven.opts, OPT_COLUMNS),
        (
            "report requests",
            ven.requests,
            {
                "request": "report_request_id",
                "report": "report",
                "points": "r_ids",
                "every (s)": "every",
                "next (local)": "next_delivery",
            },
        ),
        (
            "reports that wait for the VTN",
            ven.waiting,
            {"report": "report", "request": "report_request_id", "made (local)": "created"},
        ),
    )
    for title, rows, columns in tables if ven.has_services else tables[:1]:
        if not rows:
            parts.append(Text(f"no {title}", "dim"))
        else:
            parts += [Text(title), table_with(rows, columns)]
    if ven.opts_unsent:
        parts.append(Text(f"{ven.opts_unsent} opts wait to be told to the VTN"))
    return Group(*parts)
