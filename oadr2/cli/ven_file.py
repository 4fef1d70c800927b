"""A VEN's file, for commands beside the VEN: which VENs are in it, and the opts of each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from oadr2 import decode
from oadr2.cli.event_text import iso_time, local_time, printable
from oadr2.cli.message_parts import table_of
from oadr2.errors import ConfigurationError
from oadr2.model import CancelOpt
from oadr2.store import EventStore

#: The table of :func:`opts_in`.
OPT_COLUMNS: Final = {
    "opt": "opt_id",
    "says": "opt_type",
    "event": "event_id",
    "when": "periods",
    "loads": "resource_ids",
    "state": "state",
}
# Kinds of orders, and the commands that give them.
_OF_THE_REGISTRATION: Final = {"register": "register", "withdraw": "cancel-registration"}


def open_ven_file(args: argparse.Namespace) -> EventStore:
    """The file of ``--db``.

    Raises:
        ConfigurationError: none is named, or there is no such file.
        StoreError: it cannot be read.
    """
    path: Path | None = args.db
    if path is None:
        raise ConfigurationError(
            "--db missing: give it as an option, or as db in the settings file of -c"
        )
    if path.is_dir():
        raise ConfigurationError(f"--db {path}: it is a folder: name the file of the VEN in it")
    if not path.is_file():
        what = "it is no file that a VEN could keep" if path.exists() else "no such file"
        raise ConfigurationError(f"--db {path}: {what}")
    return EventStore(path)


def vens_in(store: EventStore, args: argparse.Namespace) -> list[str]:
    """The names that VENs are kept under: that of ``--ven-id`` or ``--ven-name``, or all.

    Raises:
        ConfigurationError: it is not there.
    """
    names = store.ven_ids()
    wanted = args.ven_id or args.ven_name
    if wanted is None:
        return names
    if wanted not in names:
        known = ", ".join(names) or "none"
        option = "--ven-id" if args.ven_id else "--ven-name"
        raise ConfigurationError(f"{option} {wanted}: not in {store.path}; there is {known}")
    return [wanted]


def opts_in(values: Mapping[str, str]) -> list[dict[str, Any]]:
    """The opts among what is kept of a VEN, told and untold, and the orders that nobody took yet."""
    unsent: dict[str, str] = {}
    for kept in _under(values, "opt_unsent/"):
        taken_back = isinstance(decode(kept["data"].encode()), CancelOpt)
        unsent[kept["opt_id"]] = "to be taken back" if taken_back else "waits for the VTN"
    found = {
        kept["opt_id"]: _row(kept, unsent.get(kept["opt_id"], "told"))
        for kept in _under(values, "opt/")
    }
    rows = list(found.values())
    for order in _under(values, "order/"):
        if order["kind"] in _OF_THE_REGISTRATION:
            continue
        state = _state_of(order)
        known = found.get(order["opt_id"])
        if order["kind"] != "cancel":
            if known is None:
                rows.append(_row(order, state))
        elif known is not None and not order["refused"]:
            known["state"] = "to be taken back"
    return rows


def registration_in(values: Mapping[str, str]) -> tuple[dict[str, Any] | None, str]:
    """What the VTN has given the VEN, or None, and how it stands with that in words."""
    kept = values.get("registration")
    word = values.get("registration_word", "")
    if kept is not None:
        words = {"end": "to be ended", "register": "to be renewed"}
        return json.loads(kept), words.get(word, "registered")
    words = {"end": "ended by order", "ended": "ended by the VTN"}
    return None, words.get(word, "not registered")


def registration_orders_in(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The orders about the registration that nobody took yet."""
    return [
        {"order": _OF_THE_REGISTRATION[order["kind"]], "state": _state_of(order)}
        for order in _under(values, "order/")
        if order["kind"] in _OF_THE_REGISTRATION
    ]


def _state_of(order: Mapping[str, Any]) -> str:
    return f"refused: {order['refused']}" if order["refused"] else "waits for the VEN"


def _row(kept: Mapping[str, Any], state: str) -> dict[str, Any]:
    periods = [
        [iso_time(datetime.fromtimestamp(at, UTC)) for at in span] for span in kept["periods"]
    ]
    return {
        "opt_id": None if kept.get("kind") == "event" else kept["opt_id"],
        "opt_type": kept["opt_type"],
        "event_id": kept["event_id"] or None,
        "periods": [{"start": start, "end": end} for start, end in periods],
        "reason": kept["reason"] or None,
        "market_context": kept["market_context"],
        "resource_ids": list(kept["resource_ids"]),
        "state": state,
    }


def _under(values: Mapping[str, str], prefix: str) -> list[dict[str, Any]]:
    return [json.loads(text) for key, text in values.items() if key.startswith(prefix)]


def table_with(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> Table:
    """These rows under these headings; the values of ``columns`` are keys of the rows."""
    table = table_of(*columns)
    for row in rows:
        table.add_row(*(_cell(name, row[key]) for name, key in columns.items()))
    return table


def _cell(column: str, value: object) -> Text:
    if value is None or value == []:
        return Text("until cancelled" if column.startswith("to") else "-")
    if column.endswith("(local)"):
        return Text(_local(str(value)))
    if column == "when":
        spans = value if isinstance(value, list) else []
        return Text("\n".join(f"{_local(s['start'])} to {_local(s['end'])}" for s in spans))
    if isinstance(value, list):
        return Text(printable(", ".join(map(str, value))))
    return Text(printable(f"{value:g}" if isinstance(value, float) else str(value)))


def _local(text: str) -> str:
    return local_time(datetime.fromisoformat(text).replace(microsecond=0), weekday=False)
