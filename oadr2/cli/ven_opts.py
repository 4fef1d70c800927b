"""The work of ``oadr2 ven opt-in``, ``opt-out``, ``cancel-opt`` and ``opts``, and of ``register`` and
``cancel-registration``."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.text import Text

from oadr2.cli.event_text import local_time, printable
from oadr2.cli.message_view import console_for, show
from oadr2.cli.ven_file import OPT_COLUMNS, open_ven_file, opts_in, table_with, vens_in
from oadr2.errors import ConfigurationError, LocalProtocolError
from oadr2.gateway.tables import read_seconds
from oadr2.model import OptType
from oadr2.orders import Order, Orders
from oadr2.services.opt import require_reason
from oadr2.store import EventStore

_PATIENCE_S: Final = 3.0
_LOOK_S: Final = 0.05
_CLOCK_TIME = re.compile(r"\d\d?:\d\d(:\d\d)?").fullmatch


def run(args: argparse.Namespace) -> int:
    """Show the opts, or give the order and see whether the VEN takes it; 0.

    Raises:
        LocalProtocolError: there is no such event or opt, or the VEN refuses.
        ConfigurationError: an option is wrong.
        StoreError: the file cannot be read or written; nothing was ordered.
    """
    with open_ven_file(args) as store:
        if args.action == "opts":
            return _show(store, args)
        name = _the_ven(store, args)
        orders = Orders(store, name)
        if args.action == "register":
            order = Order("register")
        elif args.action == "cancel-registration":
            order = Order("withdraw")
        elif args.action == "cancel-opt":
            order = _cancellation(store, name, args.opt_id)
        else:
            order = _opt(store, name, args)
        orders.give(order)
        taken = not args.no_wait and _is_taken(orders, order)
        _tell(order, store.path, taken, args)
    return 0


def _show(store: EventStore, args: argparse.Namespace) -> int:
    names = vens_in(store, args)
    found = {name: opts_in(store.get_values(name)) for name in names}
    if args.json:
        vens = [{"kept_as": name, "opts": rows} for name, rows in found.items()]
        print(json.dumps({"vens": vens}, indent=2))
        return 0
    console = console_for()
    for name, rows in found.items():
        if len(found) > 1:
            show(console, Text(f"VEN {printable(name)}", "bold"))
        show(console, table_with(rows, OPT_COLUMNS) if rows else Text("no opts"))
    return 0


def _the_ven(store: EventStore, args: argparse.Namespace) -> str:
    names = vens_in(store, args)
    if len(names) != 1:
        if not names:
            raise ConfigurationError(f"--db {store.path}: no VEN has kept anything there")
        raise ConfigurationError(f"--ven-id missing: {store.path} has {', '.join(names)}")
    return names[0]


def _cancellation(store: EventStore, name: str, opt_id: str) -> Order:
    rows = [row for row in opts_in(store.get_values(name)) if row["opt_id"] is not None]
    known = [row["opt_id"] for row in rows if not row["state"].startswith("refused")]
    if opt_id not in known:
        raise LocalProtocolError(f"there is no opt {opt_id}; there is {', '.join(known) or 'none'}")
    return Order("cancel", opt_id=opt_id)


def _opt(store: EventStore, name: str, args: argparse.Namespace) -> Order:
    opt_type: OptType = "optOut" if args.action == "opt-out" else "optIn"
    scheduled = bool(args.starts or args.lengths or args.market_context)
    if args.event_id is not None:
        if scheduled:
            raise ConfigurationError(
                "an EVENT has its own times and market: leave out --from, --for and --market-context"
            )
        _require_held(store, name, args.event_id, args.vtn_id)
        if not (args.resources or args.reason):
            return Order("event", opt_type, args.event_id, args.vtn_id)
        order = Order(
            "qualify",
            opt_type,
            args.event_id,
            args.vtn_id,
            reason=args.reason or ("notParticipating", "participating")[opt_type == "optIn"],
            resource_ids=tuple(args.resources),
        )
    elif not args.lengths:
        raise ConfigurationError("name an EVENT, or say --for how long (and --from when)")
    else:
        order = Order(
            "schedule",
            opt_type,
            periods=_periods(args.starts, args.lengths, time.time()),
            reason=args.reason or "x-schedule",
            market_context=args.market_context,
            resource_ids=tuple(args.resources),
        )
    require_reason(order.reason)
    if store.get_value(name, "registration") is None:
        raise LocalProtocolError(
            f"VEN {name} is not registered with a VTN of 2.0b, so it can only opt in and out of"
            " whole events"
        )
    return order


def _require_held(store: EventStore, name: str, event_id: str, vtn_id: str | None) -> None:
    held = [row for row in store.look(name) if row.phase == "held"]
    found = [row for row in held if row.event_id == event_id and vtn_id in (None, row.vtn_id)]
    if not found:
        known = ", ".join(row.event_id for row in held) or "none"
        raise LocalProtocolError(f"event {event_id!r} is not held; there is {known}")
    if len(found) > 1:
        vtns = ", ".join(row.vtn_id for row in found)
        raise ConfigurationError(f"--vtn-id missing: {vtns} have an event {event_id!r} each")


def _periods(
    starts: Sequence[str], lengths: Sequence[str], now: float
) -> tuple[tuple[float, float], ...]:
    starts = starts or ["now"]
    if len(starts) != len(lengths):
        raise ConfigurationError("--from and --for go together: give both for each period")
    found = []
    for start, length in zip(starts, lengths, strict=True):
        begin = _moment(start, now)
        try:
            seconds = read_seconds(length)
        except ConfigurationError as error:
            raise ConfigurationError(f"--for {length}: {error}") from None
        if seconds <= 0:
            raise ConfigurationError(f"--for {length}: it must be a time above 0")
        if begin + seconds <= now:
            raise ConfigurationError(
                f"--from {start} --for {length}: that was over at {_local(begin + seconds)}"
            )
        found.append((begin, begin + seconds))
    return tuple(found)


def _moment(text: str, now: float) -> float:
    if text == "now":
        return now
    try:
        if text.startswith("+"):
            return now + read_seconds(text[1:])
        if _CLOCK_TIME(text):
            today = datetime.fromtimestamp(now).date()  # noqa: DTZ006  what the clock on the wall says
            clock = text.zfill(5 if text.count(":") == 1 else 8)
            return datetime.fromisoformat(f"{today}T{clock}").timestamp()
        return datetime.fromisoformat(text).timestamp()
    except (ConfigurationError, ValueError, OverflowError, OSError):
        raise ConfigurationError(
            f"--from {text}: give now, a time such as 14:00 or 2030-07-01T14:00, or +90m"
        ) from None


def _is_taken(orders: Orders, order: Order) -> bool:
    """Wait a little for the VEN, which may not run. Raises LocalProtocolError when it refuses."""
    give_up = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up:
        found = orders.find(order)
        if found is None:
            return True
        if found.refused:
            raise LocalProtocolError(f"the VEN refuses it: {found.refused}")
        time.sleep(_LOOK_S)
    return False


def _tell(order: Order, path: str, taken: bool, args: argparse.Namespace) -> None:
    if args.json:
        fields: dict[str, Any] = {"order": args.action, "taken": taken}
        if order.kind not in ("register", "withdraw"):
            fields = _opt_fields(order, taken)
        sys.stdout.write(json.dumps(fields) + "\n")
        return
    outcome = "taken by the VEN" if taken else f"waits in {path} until the VEN runs"
    sys.stdout.write(f"{printable(_words(order))}: {outcome}\n")


def _opt_fields(order: Order, taken: bool) -> dict[str, Any]:
    return {
        "opt_id": None if order.kind == "event" else order.opt_id,
        "opt_type": None if order.kind == "cancel" else order.opt_type,
        "event_id": order.event_id or None,
        "cancelled": order.kind == "cancel",
        "taken": taken,
    }


def _words(order: Order) -> str:
    if order.kind == "register":
        return "registration"
    if order.kind == "withdraw":
        return "end of the registration"
    if order.kind == "cancel":
        return f"end of opt {order.opt_id}"
    if order.kind == "event":
        return f"{order.opt_type} of event {order.event_id}"
    about = f"of event {order.event_id}"
    if order.kind == "schedule":
        spans = (f"{_local(start)} to {_local(end)}" for start, end in order.periods)
        about = "from " + ", ".join(spans)
    return f"opt {order.opt_id}, {order.opt_type} {about}"


def _local(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=0)
    return local_time(moment, weekday=False)
