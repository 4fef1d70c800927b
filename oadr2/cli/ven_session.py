"""A VEN on the command line: make it from the options, run its transport, report what happens."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from rich.console import Group, RenderableType
from rich.text import Text

from oadr2.cli.event_text import level_text, local_time, printable
from oadr2.cli.line_writer import Fields, LineWriter
from oadr2.cli.message_parts import table_of
from oadr2.cli.message_view import console_for, level_style, show
from oadr2.cli.service_ven import VenParts, opt_callback_of
from oadr2.cli.ven_lines import (
    LogLines,
    activity_fields,
    change_fields,
    error_fields,
    held_fields,
    line_text,
    signal_fields,
)
from oadr2.client import end_tasks
from oadr2.control import EventController
from oadr2.event import Change, EventHandler, EventState
from oadr2.model import Event, OptType
from oadr2.orders import Orders, carry_out_orders
from oadr2.policy import VtnPolicy
from oadr2.security import watch_expiry
from oadr2.services.activity import Activity


class Client(Protocol):
    """A transport's client."""

    @property
    def next_poll_in(self) -> float | None:
        """Seconds to the next try, as of the last error."""

    async def run(self) -> None:
        """Talk to the VTN until closed."""

    async def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event and tell the VTN."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Transport:
    """What differs between the verbs.

    Attributes:
        make_client: makes the client of the parts.
        ask_once: ask a VTN for its events once, and answer.
        start_fields: of the first line, beside what every VEN says there.
        is_hopeless: whether an error is to end the program rather than to be tried again.
    """

    make_client: Callable[[VenParts], Client]
    ask_once: Callable[[VenParts], Coroutine[Any, Any, None]]
    start_fields: Fields
    is_hopeless: Callable[[Exception], bool] = lambda _error: False


def run_ven(args: argparse.Namespace, make_transport: Callable[[], Transport]) -> int:
    """Talk to the VTN until Ctrl-C or SIGTERM, or once; 0 unless asking once failed."""
    writer = LineWriter(sys.stdout, args.log_format, line_text)
    with _log_to_standard_error(args):
        transport = make_transport()
        opt_callback, decisions = opt_callback_of(args)
        handler = _event_handler(args, opt_callback)
        parts = VenParts(handler, decisions)
        try:
            if args.once:
                asyncio.run(transport.ask_once(parts))
                _show_held(args, handler, writer)
            else:
                asyncio.run(_follow(transport, parts, writer, args.cert))
        finally:
            handler.close()
    if writer.broken is not None:
        raise writer.broken
    return 0


def _event_handler(
    args: argparse.Namespace, opt_callback: Callable[[Event], OptType | None] | None
) -> EventHandler:
    """The VEN that the options describe."""
    return EventHandler(
        args.ven_id or args.ven_name,
        vtn_ids=args.vtn_ids,
        market_contexts=args.market_contexts,
        group_id=args.group_id,
        resource_id=args.resource_id,
        party_id=args.party_id,
        oadr_profile_level=args.profile,
        db_path=args.db,
        default_opt=args.opt,
        opt_callback=opt_callback,
        policy=VtnPolicy(
            implied_cancel=not args.no_implied_cancel,
            priority=args.priority,
            months_without_t="minutes" if args.months_as_minutes else "months",
            run_test_events=args.run_test_events,
            strict=args.strict,
        ),
    )


@contextlib.contextmanager
def _log_to_standard_error(args: argparse.Namespace) -> Iterator[None]:
    """The package's own log, in the chosen format, on standard error."""
    logger = logging.getLogger("oadr2")
    lines = LogLines(LineWriter(sys.stderr, args.log_format, line_text))
    if not args.once:
        lines.addFilter(_is_no_poll_error)
    # slixmpp tells of failures too, in its own words and without saying what comes of them.
    silenced = logging.getLogger("slixmpp")
    before = logger.level, logger.propagate, silenced.level
    logger.addHandler(lines)
    logger.setLevel(args.log_level.upper())
    logger.propagate = False
    silenced.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        silenced.setLevel(before[2])


def _is_no_poll_error(record: logging.LogRecord) -> bool:
    """False for a failed poll, which has its line of kind ``error`` on standard output already."""
    return not getattr(record, "failed_poll", False)


# --- following a VTN ---------------------------------------------------------


async def _follow(
    transport: Transport, parts: VenParts, writer: LineWriter, cert: Path | None
) -> None:
    handler = parts.handler
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def end(reason: str) -> None:
        if not stop.done():
            stop.set_result(reason)
        # The next Ctrl-C is not to be waited for.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    def report(fields: Fields) -> None:
        writer.write(datetime.now(UTC), fields)

    def on_changes(changes: Sequence[Change]) -> None:
        states = handler.get_states()
        for change in changes:
            # To a person the line for the level says it all.
            if change.kind != "interval" or writer.line_format == "json":
                report(change_fields(change, states))

    def on_level(previous: float | None, level: float | None) -> None:
        report(signal_fields(previous, level, handler.current_level()[1]))

    writer.when_broken = lambda: loop.call_soon_threadsafe(end, "the output is closed")
    hopeless: list[Exception] = []

    def on_error(error: Exception) -> None:
        if transport.is_hopeless(error):
            hopeless.append(error)
            end("hopeless")
        else:
            report(error_fields(error, client.next_poll_in))

    def on_activity(activity: Activity) -> None:
        report(activity_fields(activity))

    client = transport.make_client(replace(parts, on_error=on_error, on_activity=on_activity))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, signal.Signals(number).name)
    held = handler.get_states()
    report({"kind": "start", **transport.start_fields, "held": len(held)})
    for state in held:
        report(held_fields(state))
    handler.subscribe(on_changes)
    controller = EventController(handler, signal_changed_callback=on_level)
    try:
        async with client:
            talking = asyncio.create_task(client.run())
            watching = [asyncio.create_task(watch_expiry([cert] if cert else []))]
            if handler.store is not None:  # where oadr2 ven opt-out puts its orders
                orders = Orders(*handler.store)
                watching.append(asyncio.create_task(carry_out_orders(client, orders)))
            await asyncio.wait((talking, stop), return_when=asyncio.FIRST_COMPLETED)
            await end_tasks(watching)
        await talking
    finally:
        controller.exit()
    if hopeless:
        raise hopeless[0]
    report({"kind": "stop", "reason": stop.result()})


# --- asking once -------------------------------------------------------------


def _show_held(args: argparse.Namespace, handler: EventHandler, writer: LineWriter) -> None:
    """The events held, as a table or as one line of JSON."""
    states = handler.get_states()
    level, event_id = handler.current_level()
    if args.log_format == "json":
        events = [
            {
                key: value
                for key, value in held_fields(state).items()
                if key not in ("kind", "change")
            }
            for state in states
        ]
        fields: Fields = {"kind": "held", "level": level, "event_id": event_id, "events": events}
        writer.write(datetime.now(UTC), fields)
        return
    show(console_for(), _held_view(states, level, event_id))


def _held_view(
    states: Sequence[EventState], level: float, level_event: str | None
) -> RenderableType:
    now = Text("level now: ")
    now.append(level_text(level), f"bold {level_style(level)}")
    if level_event is not None:
        now.append(f", event {printable(level_event)}")
    if not states:
        return Group(Text("no events"), now)
    table = table_of("event", "VTN", "phase", "answer", "from (local)", "to (local)", "level now")
    for state in states:
        name = Text(printable(state.event.event_id))
        if state.event.is_test:
            name.append(" (test)", "magenta")
        table.add_row(
            name,
            Text(printable(state.vtn_id)),
            state.phase,
            state.opt_type,
            _to_the_second(state.start),
            _to_the_second(state.end) if state.end else "until cancelled",
            Text(level_text(state.level), level_style(state.level)),
        )
    return Group(table, now)


def _to_the_second(moment: datetime) -> str:
    return local_time(moment.replace(microsecond=0), weekday=False)
