"""The simulated VTN a load test runs against when it has no other: a process of its own.

Its events change at moments fixed beforehand, so that the generator can tell how long a change took to
reach each VEN.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from oadr2.errors import OadrError
from oadr2.fleet.messages import Begin, Failed, Listening, Stop
from oadr2.fleet.preflight import connections_needed, raise_file_limit
from oadr2.fleet.scenario import EventChange, Scenario
from oadr2.schedule import Duration
from oadr2.sim import SimulatedVtn, VtnServer
from oadr2.sim.services import VtnServices

_KEPT_ANSWERS = 1000
_SWITCH_S = 0.0002  # a change of an event must not hold up the answers for Python's usual 5 ms
_KEPT_REPORTS = 100


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """The moment, seconds since the epoch, at which an event is listed with a modification number."""

    at: float
    event_id: str
    modification_number: int


def planned_changes(events: Iterable[EventChange], begin: float) -> tuple[PlannedChange, ...]:
    """What the VTN will list when, for a run that begins at ``begin``."""
    numbers: dict[str, int] = {}
    planned = []
    for change in sorted(events, key=lambda change: change.at):
        number = numbers[change.event_id] = numbers.get(change.event_id, -1) + 1
        planned.append(PlannedChange(begin + change.at, change.event_id, number))
    return tuple(planned)


def carry_out(vtn: SimulatedVtn, change: EventChange) -> None:
    """Do to the VTN what ``change`` says, now."""
    settings = {
        "start": f"+{change.starts_in:f}s",
        "duration": change.duration,
        "level": change.level,
    }
    if change.action == "add":
        vtn.add_event(change.event_id, response_required=change.response_required, **settings)  # type: ignore[arg-type]
    elif change.action == "modify":
        vtn.modify_event(change.event_id, **settings)  # type: ignore[arg-type]
    else:
        vtn.cancel_event(change.event_id)


def services_for(vtn: SimulatedVtn, scenario: Scenario) -> VtnServices | None:
    """The services for VENs that register, who are told to poll as the quickest group does; or None."""
    intervals = [group.poll_interval for group in scenario.groups if group.register]
    if not intervals:
        return None
    wanted = scenario.simulated
    return VtnServices(
        vtn,
        poll_freq=_duration(max(1.0, float(round(min(intervals))))),
        report_every=_duration(wanted.report_every) if wanted.report_every else None,
        granularity=_duration(wanted.granularity) if wanted.granularity else None,
        keep_reports=_KEPT_REPORTS,
        remember_vens=False,
    )


def _duration(seconds: float) -> Duration:
    return Duration(microseconds=round(seconds * 1e6))


def serve(connection: Connection, scenario: Scenario) -> None:
    """The whole life of the process: listen, say where, play the events, end when told to."""
    # Signals for all processes of a terminal or a job come here, too; the parent says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.setswitchinterval(_SWITCH_S)
    raise_file_limit(connections_needed(scenario))
    vtn = SimulatedVtn(keep_answers=_KEPT_ANSWERS, remember_vens=False)
    try:
        with (
            VtnServer(vtn, services=services_for(vtn, scenario)) as server,
            contextlib.suppress(EOFError),
        ):
            connection.send(Listening(server.url))
            message = connection.recv()
            if isinstance(message, Begin):
                for change in sorted(scenario.events, key=lambda change: change.at):
                    wait = max(0.0, message.at + change.at - time.time())
                    if connection.poll(wait):
                        message = connection.recv()
                        break
                    carry_out(vtn, change)
            while not isinstance(message, Stop):
                message = connection.recv()
    except OadrError as error:
        connection.send(Failed(f"the simulated VTN: {error}"))
