"""The work of ``oadr2 vtn``: play the events file, tell VENs of what changed, print what they do."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from contextlib import AbstractContextManager
from typing import Any, Final, NoReturn

from oadr2.cli.line_writer import Fields, LineWriter
from oadr2.cli.signatures import signatures_of
from oadr2.cli.vtn_lines import Repetitions, exchange_fields, push_fields, step_fields, words
from oadr2.cli.vtn_links import Link, Outcome, http_link, xmpp_link
from oadr2.cli.vtn_services import Registrations, pushed_fields, services_of, told_fields
from oadr2.sim import Exchange, Pushed, SimulatedVtn, VtnServices
from oadr2.sim.events_file import EventsScript
from oadr2.sim.services import Told

_LOOK_S: Final = 1.0  # how often the events file is looked at
_AGAIN_S: Final = 5.0  # from a push that failed to the next try
_COUNT_S: Final = 60.0  # how often it is told what was not shown


def run_session(args: argparse.Namespace, stop: threading.Event) -> int:
    """Serve until Ctrl-C, SIGTERM or ``stop``; returns 0. Raises as :func:`oadr2.cli.vtn.run`."""
    lines = LineWriter(sys.stdout, args.log_format, words, stop.set)
    signer, verifier = signatures_of(args)
    vtn = SimulatedVtn(args.vtn_id, args.profile, signer=signer, verifier=verifier, keep_answers=1)
    script = None if args.events is None else EventsScript(vtn, args.events)
    services = services_of(args, vtn)
    session = _Session(vtn, script, lines)
    vtn.on_message = session.heard
    if services is not None:
        session.follow(services, args)
    link: AbstractContextManager[Link]
    if args.xmpp:
        link = xmpp_link(args, vtn, session.in_trouble, services, session.pushed)
    else:
        link = http_link(args, vtn, services, session.pushed)
    # slixmpp tells of failures too, in its own words and without saying what comes of them.
    logging.getLogger("slixmpp").setLevel(logging.CRITICAL + 1)
    before = _end_on_sigterm()
    try:
        with link as open_link:
            start = {"vtn_id": args.vtn_id, "profiles": list(vtn.profiles)}
            events = None if args.events is None else str(args.events)
            session.report(
                {"kind": "start", "url": open_link.url, **start, "events": events}
                | {"vens": list(open_link.vens)}
            )
            for command in open_link.commands:
                session.report({"kind": "try", "command": command})
            session.play(open_link, stop)
    except KeyboardInterrupt:
        pass  # the way a person ends it
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
    if lines.broken is not None:
        raise lines.broken
    session.report({"kind": "stop", "reason": "ended"})
    return 0


class _Session:
    """What was said, and which VENs are still to be told."""

    def __init__(self, vtn: SimulatedVtn, script: EventsScript | None, lines: LineWriter) -> None:
        self._vtn = vtn
        self._script = script
        self._lines = lines
        self._lock = threading.Lock()  # VENs speak on threads of the servers
        self._repetitions = Repetitions()
        self._count_at = time.monotonic() + _COUNT_S
        self._outcomes: dict[str, Outcome] = {}  # of the last push to each VEN
        self._again_at = 0.0
        self._trouble = ""
        self._last_failure = ""
        self._registrations: Registrations | None = None

    def follow(self, services: VtnServices, args: argparse.Namespace) -> None:
        """Print what the services are told, and do to registrations what the options say."""

        def told(told: Told) -> None:
            fields = told_fields(told, services)
            if fields is not None:
                self.report(fields)

        services.on_message = told
        self._registrations = Registrations(
            services, args.reregister_after, args.cancel_after, self.report
        )

    def pushed(self, pushed: Pushed) -> None:
        """Print what a registered VEN was sent; a failure once."""
        key = f"{pushed.ven_id} {pushed.message} {pushed.problem}"
        with self._lock:
            known = bool(pushed.problem) and key == self._last_failure
            self._last_failure = key if pushed.problem else ""
        if not known:
            self.report(pushed_fields(pushed))

    def report(self, fields: Fields) -> None:
        """Print a line."""
        self._lines.write(self._vtn.now(), fields)

    def heard(self, exchange: Exchange) -> None:
        """Print what a VEN did, unless a person has read the same before."""
        fields = exchange_fields(exchange)
        with self._lock:
            known = self._lines.line_format == "text" and self._repetitions.has(fields)
        if not known:
            self.report(fields)

    def in_trouble(self, trouble: str) -> None:
        """Print why the XMPP server is not there, once."""
        if trouble != self._trouble:
            self._trouble = trouble
            self.report({"kind": "error", "reason": f"{trouble}; trying again"})

    def play(self, link: Link, stop: threading.Event) -> None:
        """Do what the script says and push what changed, until stopped."""
        while not stop.is_set():
            wait = _LOOK_S
            changed = False
            if self._script is not None:
                for step in self._script.step():
                    self.report(step_fields(step))
                    changed = changed or step.action not in ("failed", "read")
                if self._script.next_change is not None:
                    left = (self._script.next_change - self._vtn.now()).total_seconds()
                    wait = min(wait, max(left, 0.0))
            self._push(link, changed)
            if self._registrations is not None:
                self._registrations.step()
            self._tell_count()
            stop.wait(wait)

    def _push(self, link: Link, changed: bool) -> None:
        now = time.monotonic()
        if changed:
            due = list(link.vens)
        elif now >= self._again_at:
            due = [ven_id for ven_id, outcome in self._outcomes.items() if outcome.again]
        else:
            return
        if not due:
            return
        for ven_id, outcome in link.push(due).items():
            if changed or outcome.problem != self._outcomes[ven_id].problem:
                self.report(push_fields(ven_id, outcome.problem))
            self._outcomes[ven_id] = outcome
        self._again_at = time.monotonic() + _AGAIN_S

    def _tell_count(self) -> None:
        if time.monotonic() < self._count_at:
            return
        self._count_at += _COUNT_S
        with self._lock:
            fields = self._repetitions.take_fields()
        if fields is not None:
            self.report(fields)


def _end_on_sigterm() -> Any:
    """Make SIGTERM do what Ctrl-C does; returns the former handler, None off the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    return signal.signal(signal.SIGTERM, interrupt)
