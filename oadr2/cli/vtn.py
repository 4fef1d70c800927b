"""``oadr2 vtn``: a VTN to try a VEN against. It prints what each VEN asked and answered."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from oadr2.cli.configuration import read_secret_file
from oadr2.cli.event_text import iso_time, local_time
from oadr2.cli.line_writer import LineWriter
from oadr2.errors import ConfigurationError
from oadr2.model import CreatedEvent, RequestEvent

if TYPE_CHECKING:
    from oadr2.sim.events_file import ScriptStep
    from oadr2.sim.vtn import Exchange

_LOOK_S: Final = 1.0  # how often the events file is looked at

_EXAMPLE: Final = """\
events file:
  [[event]]
  event_id = "peak"
  start = "+5s"
  intervals = [{duration = "PT10S", level = 1}, {duration = "PT20S", level = 2}]

  [[event.change]]
  at = "+20s"
  cancel = true

Edits take effect while it runs: an event changed is modified, one deleted is cancelled.
Ctrl-C ends it.\
"""


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Describe the verb and its options."""
    parser = subparsers.add_parser(
        "vtn",
        help="be a VTN to try a VEN against",
        description="A simulated VTN that serves the EiEvent service over HTTP.",
        epilog=_EXAMPLE,
    )
    parser.add_argument("--events", type=Path, metavar="FILE", help="TOML file with the events")
    parser.add_argument(
        "--port", type=int, default=8080, help="port, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--profile",
        choices=("2.0a", "2.0b", "both"),
        default="both",
        help="the profiles it speaks (default: %(default)s)",
    )
    parser.add_argument(
        "--vtn-id", default="vtn", metavar="ID", help="its vtnID (default: %(default)s)"
    )
    parser.add_argument("--prefix", default="", metavar="PATH", help="path before /OpenADR2")
    parser.add_argument("--basic", metavar="USER", help="user name that HTTP Basic must bring")
    parser.add_argument(
        "--basic-password-file", type=Path, metavar="FILE", help="file with that user's password"
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="how lines are printed (default: %(default)s)",
    )


def run(args: argparse.Namespace, stop: threading.Event | None = None) -> int:
    """Serve until Ctrl-C, SIGTERM or ``stop``; returns 0.

    Raises:
        ConfigurationError: an option or the events file is wrong.
        TransportError: the port cannot be had.
        OSError: nothing can be printed any more, as when its reader has gone.
    """
    # Here, because --help needs no web server.
    from oadr2.sim import SimulatedVtn, VtnServer  # noqa: PLC0415
    from oadr2.sim.events_file import EventsScript  # noqa: PLC0415

    stop = stop or threading.Event()
    lines = LineWriter(sys.stdout, args.log_format, _words, stop.set)
    vtn = SimulatedVtn(args.vtn_id, args.profile, keep_answers=1)
    script = None if args.events is None else EventsScript(vtn, args.events)
    server = VtnServer(vtn, args.host, args.port, prefix=args.prefix, basic=_basic(args))
    vtn.on_message = lambda exchange: lines.write(exchange.at, _exchange_fields(exchange))
    before = _end_on_sigterm()
    try:
        with server:
            lines.write(vtn.now(), _start_fields(server.url, vtn.profiles, args))
            while not stop.is_set():
                wait = _LOOK_S
                if script is not None:
                    for step in script.step():
                        lines.write(vtn.now(), _step_fields(step))
                    if script.next_change is not None:
                        left = (script.next_change - vtn.now()).total_seconds()
                        wait = min(wait, max(left, 0.0))
                stop.wait(wait)
    except KeyboardInterrupt:
        pass  # the way a person ends it
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
    if lines.broken is not None:
        raise lines.broken
    lines.write(vtn.now(), {"kind": "stop", "reason": "ended"})
    return 0


def _basic(args: argparse.Namespace) -> tuple[str, str] | None:
    path: Path | None = args.basic_password_file
    if args.basic is None and path is None:
        return None
    if args.basic is None or path is None:
        raise ConfigurationError("--basic and --basic-password-file go together")
    return args.basic, read_secret_file("--basic-password-file", path)


def _end_on_sigterm() -> Any:
    """Make SIGTERM do what Ctrl-C does; returns the former handler, None off the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    return signal.signal(signal.SIGTERM, interrupt)


def _start_fields(
    url: str, profiles: tuple[str, ...], args: argparse.Namespace
) -> dict[str, object]:
    events = None if args.events is None else str(args.events)
    return {
        "kind": "start",
        "url": url,
        "vtn_id": args.vtn_id,
        "profiles": list(profiles),
        "events": events,
    }


def _step_fields(step: ScriptStep) -> dict[str, object]:
    return {
        "kind": "script",
        "action": step.action,
        "event_id": step.event_id,
        "detail": step.detail,
        "start": None if step.start is None else iso_time(step.start),
    }


def _exchange_fields(exchange: Exchange) -> dict[str, object]:
    """One exchange as a flat record: kind "asked", "answer" or "refused"."""
    fields: dict[str, object] = {"ven_id": exchange.ven_id, "profile": exchange.profile}
    if isinstance(exchange.request, RequestEvent) and not exchange.problem:
        listed = [
            {
                "event_id": event.event_id,
                "modification_number": event.modification_number,
                "status": event.status,
            }
            for event in exchange.events
        ]
        return {"kind": "asked", **fields, "events": listed}
    fields |= {"response_code": exchange.response_code, "problem": exchange.problem}
    if not isinstance(exchange.request, CreatedEvent):
        return {"kind": "refused", **fields}
    answers = [
        {
            "event_id": answer.event_id,
            "modification_number": answer.modification_number,
            "opt_type": answer.opt_type,
            "response_code": answer.response_code,
            "response_description": answer.response_description,
        }
        for answer in exchange.answers
    ]
    response = exchange.request.response
    return {
        "kind": "answer",
        **fields,
        "answers": answers,
        "ven_code": response.response_code,
        "ven_description": response.response_description,
    }


def _words(fields: dict[str, Any]) -> str:
    """The fields of a line in words."""
    match fields["kind"]:
        case "start":
            profiles = " and ".join(fields["profiles"])
            source = f"events from {fields['events']}" if fields["events"] else "no events"
            where = f"VTN {fields['vtn_id']} at {fields['url']}, profile {profiles}"
            return f"{where}; {source}; Ctrl-C ends it"
        case "script":
            return _script_words(fields)
        case "asked":
            listed = ", ".join(
                f"{event['event_id']}/{event['modification_number']} {event['status']}"
                for event in fields["events"]
            )
            return f"{fields['ven_id']} asked: {listed or 'no events'}"
        case "answer":
            return _answer_words(fields)
        case "refused":
            who = fields["ven_id"] or "somebody"
            return f"{who} was answered {fields['response_code']}: {fields['problem']}"
        case _:
            return str(fields["reason"])


def _script_words(fields: dict[str, Any]) -> str:
    words = f"{fields['event_id']} {fields['action']}: {fields['detail']}".lstrip()
    if fields["start"] is not None:
        start = datetime.fromisoformat(fields["start"]).replace(microsecond=0)
        words += f", from {local_time(start, weekday=False)}"
    return words


def _answer_words(fields: dict[str, Any]) -> str:
    parts = []
    for answer in fields["answers"]:
        text = (
            f"{answer['event_id']}/{answer['modification_number']} "
            f"{answer['opt_type']} {answer['response_code']}"
        )
        if answer["response_code"] != 200 and answer["response_description"]:
            text += f" {answer['response_description']}"
        parts.append(text)
    if not parts:
        described = fields["ven_description"] or ""
        parts.append(f"the whole list {fields['ven_code']} {described}".rstrip())
    words = f"{fields['ven_id']} answered: {', '.join(parts)}"
    if fields["problem"]:
        words += f"; it was answered {fields['response_code']}: {fields['problem']}"
    return words
