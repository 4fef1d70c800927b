"""The work of ``oadr2 poll``: make a VEN from the options, run it, report what happens."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import ssl
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from oadr2.cli.configuration import read_secret
from oadr2.cli.event_text import level_text, local_time, printable
from oadr2.cli.line_writer import Fields, LineWriter
from oadr2.cli.message_view import console_for, level_style, show, table_of
from oadr2.cli.poll_lines import (
    LogLines,
    change_fields,
    error_fields,
    held_fields,
    line_text,
    signal_fields,
)
from oadr2.control import EventController
from oadr2.errors import ConfigurationError
from oadr2.event import Change, EventHandler, EventState
from oadr2.policy import VtnPolicy
from oadr2.poll import PollClient
from oadr2.security import client_context


def run_session(args: argparse.Namespace) -> int:
    """Poll until Ctrl-C or SIGTERM, or once; 0 unless polling once failed."""
    writer = LineWriter(sys.stdout, args.log_format, line_text)
    with _log_to_standard_error(args):
        password = _password(args)
        handler = _event_handler(args)
        try:
            if args.once:
                asyncio.run(_poll_once(args, handler, password))
                _show_held(args, handler, writer)
            else:
                asyncio.run(_follow(args, handler, password, writer))
        finally:
            handler.close()
    if writer.broken is not None:
        raise writer.broken
    return 0


# --- from options to parts ---------------------------------------------------


def _password(args: argparse.Namespace) -> str | None:
    password = read_secret(args, "password")
    if args.username is None:
        if args.password_file is not None:
            raise ConfigurationError("--password-file is of no use without --username")
        return None
    if password is None:
        raise ConfigurationError(
            f"--username needs a password: give --password-file FILE or set {args.password_env}"
        )
    return password


def _event_handler(args: argparse.Namespace) -> EventHandler:
    return EventHandler(
        args.ven_id,
        vtn_ids=args.vtn_ids,
        market_contexts=args.market_contexts,
        group_id=args.group_id,
        resource_id=args.resource_id,
        party_id=args.party_id,
        oadr_profile_level=args.profile,
        db_path=args.db,
        default_opt=args.opt,
        policy=VtnPolicy(
            implied_cancel=not args.no_implied_cancel,
            priority=args.priority,
            months_without_t="minutes" if args.months_as_minutes else "months",
            run_test_events=args.run_test_events,
            strict=args.strict,
        ),
    )


def _tls_context(args: argparse.Namespace) -> ssl.SSLContext | None:
    secured = args.vtn_url.startswith("https:")
    if not secured and (args.ca_certs or args.cert or args.key):
        raise ConfigurationError(
            "--ca-certs, --cert and --key need an https:// address in --vtn-url"
        )
    if not secured:
        return None
    return client_context(
        args.ca_certs,
        args.cert,
        args.key,
        read_secret(args, "key_passphrase"),
        not args.no_check_hostname,
        args.tls == "legacy",
    )


def _poll_client(
    args: argparse.Namespace, handler: EventHandler, password: str | None, **more: Any
) -> PollClient:
    return PollClient(
        handler,
        args.vtn_url,
        poll_interval=args.interval,
        username=args.username,
        password=password,
        ssl_context=_tls_context(args),
        **more,
    )


@contextlib.contextmanager
def _log_to_standard_error(args: argparse.Namespace) -> Iterator[None]:
    """The package's own log, in the chosen format, on standard error."""
    logger = logging.getLogger("oadr2")
    lines = LogLines(LineWriter(sys.stderr, args.log_format, line_text))
    if not args.once:
        lines.addFilter(_is_no_poll_error)
    before = logger.level, logger.propagate
    logger.addHandler(lines)
    logger.setLevel(args.log_level.upper())
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(lines)
        logger.level, logger.propagate = before


def _is_no_poll_error(record: logging.LogRecord) -> bool:
    """False for a failed poll, which has its line of kind ``error`` on standard output already."""
    return not getattr(record, "failed_poll", False)


# --- following a VTN ---------------------------------------------------------


async def _follow(
    args: argparse.Namespace, handler: EventHandler, password: str | None, writer: LineWriter
) -> None:
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

    def on_error(error: Exception) -> None:
        report(error_fields(error, client.next_poll_in))

    client = _poll_client(
        args,
        handler,
        password,
        on_error=on_error,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, signal.Signals(number).name)
    held = handler.get_states()
    report(_start_fields(args, held))
    for state in held:
        report(held_fields(state))
    handler.subscribe(on_changes)
    controller = EventController(handler, signal_changed_callback=on_level)
    try:
        async with client:
            polling = asyncio.create_task(client.run())
            await asyncio.wait((polling, stop), return_when=asyncio.FIRST_COMPLETED)
        await polling
    finally:
        controller.exit()
    report({"kind": "stop", "reason": stop.result()})


def _start_fields(args: argparse.Namespace, held: Sequence[EventState]) -> Fields:
    return {
        "kind": "start",
        "vtn_url": args.vtn_url,
        "ven_id": args.ven_id,
        "profile": args.profile,
        "interval": args.interval,
        "db": str(args.db) if args.db else None,
        "held": len(held),
    }


# --- polling once ------------------------------------------------------------


async def _poll_once(args: argparse.Namespace, handler: EventHandler, password: str | None) -> None:
    async with _poll_client(args, handler, password) as client:
        await client.poll_once()


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
