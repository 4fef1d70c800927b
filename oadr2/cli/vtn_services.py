"""The 2.0b services of ``oadr2 vtn``: made from the options, and told of line by line."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from oadr2.cli.line_writer import Fields
from oadr2.model import (
    CanceledPartyRegistration,
    CancelOpt,
    CancelPartyRegistration,
    CreateOpt,
    CreatePartyRegistration,
    RegisterReport,
    ReportPayload,
    UpdateReport,
)
from oadr2.schedule import Duration
from oadr2.sim import Pushed, SimulatedVtn, VtnServices
from oadr2.sim.services import Told

_SHOWN_VALUES = 4


def services_of(args: argparse.Namespace, vtn: SimulatedVtn) -> VtnServices | None:
    """The services that the options describe; None when the VTN does not speak 2.0b."""
    if "2.0b" not in vtn.profiles:
        return None
    asked = args.ask_reports
    return VtnServices(
        vtn,
        poll_freq=_duration(args.poll_freq),
        report_every=None if asked is None else _duration(asked),
    )


def _duration(seconds: float) -> Duration:
    return Duration(microseconds=round(seconds) * 1_000_000)


class Registrations:
    """Ends registrations, or asks VENs to register again, so many seconds after they have registered."""

    def __init__(
        self,
        services: VtnServices,
        reregister_after: float | None,
        cancel_after: float | None,
        report: Callable[[Fields], None],
    ) -> None:
        self._services = services
        self._steps = [
            (after, words, do)
            for after, words, do in (
                (reregister_after, "is asked to register again", services.ask_to_reregister),
                (cancel_after, "has its registration ended", services.cancel_registration),
            )
            if after is not None
        ]
        self._report = report
        self._since: dict[str, float] = {}
        self._done: set[tuple[str, str]] = set()

    def step(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        vens = self._services.vens
        for ven_id in list(self._since):
            if ven_id not in vens:
                del self._since[ven_id]
                self._done = {done for done in self._done if done[0] != ven_id}
        for ven_id in vens:
            since = self._since.setdefault(ven_id, now)
            for after, words, do in self._steps:
                if now - since >= after and (ven_id, words) not in self._done:
                    self._done.add((ven_id, words))
                    do(ven_id)
                    self._report({"kind": "told", "ven_id": ven_id, "text": f"{ven_id} {words}"})


def told_fields(told: Told, services: VtnServices) -> Fields | None:  # noqa: PLR0911 - one for each kind
    """The line for a message of a VEN; None for what says nothing new, such as a poll."""
    message = told.message
    if told.problem:
        name = f"oadr{type(message).__name__}"
        fields: Fields = {"ven_id": told.ven_id, "response_code": told.code}
        text = f"{told.ven_id or 'somebody'} was answered {told.code}: {told.problem} ({name})"
        return {"kind": "refused", **fields, "problem": told.problem, "text": text}
    if isinstance(message, CreatePartyRegistration):
        return _registered(message, services)
    fields = {"ven_id": told.ven_id}
    who = told.ven_id
    if isinstance(message, CancelPartyRegistration | CanceledPartyRegistration):
        return {"kind": "left", **fields, "text": f"{who} is no longer registered"}
    if isinstance(message, RegisterReport):
        names = [report.report_specifier_id for report in message.reports]
        points = sum(len(report.report_descriptions) for report in message.reports)
        ven = services.vens.get(told.ven_id)
        asked = list(ven.requests) if ven is not None else []
        count = "1 point" if points == 1 else f"{points} points"
        text = f"{who} can report {', '.join(names) or 'nothing'}, {count}"
        if asked:
            text += f"; asked for {', '.join(asked)}"
        return {"kind": "reports", **fields, "reports": names, "requests": asked, "text": text}
    if isinstance(message, UpdateReport):
        return _delivered(message, who)
    if isinstance(message, CreateOpt):
        event = message.qualified_event_id
        about = f"event {event.event_id}" if event else "a schedule"
        text = f"{who} says {message.opt_type} for {about}, {message.opt_reason}: {message.opt_id}"
        return {"kind": "opt", **fields, "opt_id": message.opt_id, "text": text}
    if isinstance(message, CancelOpt):
        text = f"{who} takes back {message.opt_id}"
        return {"kind": "opt", **fields, "opt_id": message.opt_id, "text": text}
    return None


def _registered(message: CreatePartyRegistration, services: VtnServices) -> Fields | None:
    for ven in services.vens.values():
        if message.ven_id == ven.ven_id or (
            message.ven_id is None and message.ven_name == ven.ven_name
        ):
            how = "it polls" if ven.polls else f"pushed to at {ven.transport_address}"
            again = " again" if message.registration_id else ""
            return {
                "kind": "joined",
                "ven_id": ven.ven_id,
                "ven_name": ven.ven_name,
                "registration_id": ven.registration_id,
                "transport_address": ven.transport_address,
                "text": f"{ven.ven_name or 'a VEN'} registered{again} as {ven.ven_id}, {how}",
            }
    return None


def _delivered(message: UpdateReport, who: str) -> Fields:
    values = [
        {"r_id": payload.r_id, "value": payload.value}
        for report in message.reports
        for interval in report.intervals
        for payload in interval.payloads
        if isinstance(payload, ReportPayload)
    ]
    names = [report.report_specifier_id for report in message.reports]
    shown = ", ".join(
        f"{v['r_id']} {'status' if v['value'] is None else format(v['value'], 'g')}"
        for v in values[:_SHOWN_VALUES]
    )
    more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    return {
        "kind": "report",
        "ven_id": who,
        "reports": names,
        "values": values,
        "text": f"{who} reports {', '.join(names)}: {shown}{more}",
    }


def pushed_fields(pushed: Pushed) -> Fields:
    """The line for a message that was pushed to a registered VEN."""
    return {
        "kind": "pushed",
        "ven_id": pushed.ven_id,
        "message": pushed.message,
        "problem": pushed.problem,
    }
