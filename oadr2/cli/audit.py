"""``oadr2 audit``: what a gateway did, and why."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from oadr2.gateway.state import AuditEntry


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "audit",
        help="what a gateway did, and why",
        description=(
            "The audit log of a gateway, oldest line first: what was found, wanted, written and read\n"
            "back at each point, by which event, override or rule."
        ),
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="the gateway's file")
    parser.add_argument("--db", type=Path, metavar="FILE", help="its state file, in place of -c")
    parser.add_argument("--point", metavar="NAME", help="of this point only")
    parser.add_argument("--event", metavar="ID", help="of this event only")
    parser.add_argument(
        "--kind",
        metavar="KIND",
        help="of this kind only: found, control, waits, write, verified, disobeyed, drift, failed, "
        "answers or alert",
    )
    parser.add_argument(
        "--since", metavar="TIME", help="not before: 2h (ago) or 2026-05-01T12:00 (local)"
    )
    parser.add_argument("--until", metavar="TIME", help="before this time, written likewise")
    parser.add_argument("-n", "--last", type=int, metavar="N", help="only the last N lines")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """Print the lines asked for; 1 when there are none."""
    from oadr2.errors import ConfigurationError  # noqa: PLC0415
    from oadr2.gateway.configuration import read_db  # noqa: PLC0415 - it brings the drivers
    from oadr2.gateway.state import StateFile  # noqa: PLC0415
    from oadr2.points.spoken import Kind  # noqa: PLC0415

    if (args.db is None) is (args.config is None):
        raise ConfigurationError("give -c FILE, the gateway's file, or --db FILE, its state file")
    if args.kind is not None and args.kind not in get_args(Kind):
        raise ConfigurationError(
            f"--kind {args.kind}: it must be one of {', '.join(get_args(Kind))}"
        )
    if args.last is not None and args.last < 1:
        raise ConfigurationError(f"--last {args.last}: it must be above 0")
    path = args.db or read_db(args.config)
    now = time.time()
    with StateFile(path, create=False) as state:
        entries = state.search(
            point=args.point,
            event_id=args.event,
            kind=args.kind,
            since=_moment("--since", args.since, now),
            before=_moment("--until", args.until, now),
            limit=-1 if args.last is None else args.last,
        )
    for entry in entries:
        sys.stdout.write((_json(entry) if args.json else _text(entry)) + "\n")
    return 0 if entries else 1


def _moment(option: str, text: str | None, now: float) -> float | None:
    from oadr2.errors import ConfigurationError  # noqa: PLC0415
    from oadr2.gateway.tables import read_seconds  # noqa: PLC0415

    if text is None:
        return None
    try:
        return now - read_seconds(text)
    except ConfigurationError:
        pass  # then it is a date
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise ConfigurationError(
            f"{option} {text}: give a time ago such as 2h, or a date such as 2026-05-01T12:00"
        ) from None


def _text(entry: AuditEntry) -> str:
    from oadr2.cli.event_text import printable  # noqa: PLC0415
    from oadr2.gateway.texts import record_text  # noqa: PLC0415

    local = datetime.fromtimestamp(entry.at).astimezone()
    stamp = local.isoformat(sep=" ", timespec="milliseconds")
    return f"{stamp}  {printable(record_text(entry.point, entry))}"


def _json(entry: AuditEntry) -> str:
    def plain(value: object) -> object:
        return value if value is None or isinstance(value, int | float) else str(value)

    stamp = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds")
    fields = {
        "at": stamp.replace("+00:00", "Z"),
        "point": entry.point,
        "kind": entry.kind,
        "old": plain(entry.old),
        "new": plain(entry.new),
        "read_back": entry.read_back,
        "vtn_id": entry.vtn_id,
        "event_id": entry.event_id,
        "reason": entry.reason,
    }
    return json.dumps(fields)
