"""What a VTN asks of a VEN of 2.0b, in a poll's reply or by a push: done, and answered (facts.md 3.2)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from oadr2._core.encode import encode
from oadr2._core.objects import decode
from oadr2.decisions import Decisions
from oadr2.errors import RESPONSE_CODES, RemoteProtocolError
from oadr2.event import EventHandler
from oadr2.model import (
    CanceledReport,
    CancelPartyRegistration,
    CancelReport,
    CreatedEvent,
    CreatedReport,
    CreateReport,
    DistributeEvent,
    EiResponse,
    Message,
    RegisteredReport,
    RegisterReport,
    ReportRequest,
    RequestReregistration,
    Response,
    UpdatedReport,
    UpdateReport,
)
from oadr2.services.registration import Registration
from oadr2.services.report import Outcome, Reports
from oadr2.ven import Service

_log = logging.getLogger("oadr2.ven")

NOT_RECOGNIZED: Final = 453

#: At which service a VEN takes what a VTN sends, and answers it (facts.md 3.5).
SERVICE_OF: Final[dict[type, Service]] = {
    DistributeEvent: "EiEvent",
    CreateReport: "EiReport",
    RegisterReport: "EiReport",
    CancelReport: "EiReport",
    UpdateReport: "EiReport",
    CancelPartyRegistration: "EiRegisterParty",
    RequestReregistration: "EiRegisterParty",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message.

    Attributes:
        answer: that is owed; for events ready made.
        asked: report requests that it brought, and what became of them.
        announce: the VTN wants our METADATA again.
        register: it wants us to register again.
        ended: it has ended our registration.
    """

    answer: Message | bytes | None = None
    asked: tuple[tuple[ReportRequest, ...], Outcome] | None = None
    announce: bool = False
    register: bool = False
    ended: bool = False


class Inbox:
    """Takes the messages of one VTN; the arguments are those of :class:`oadr2.ven_20b.Ven20b`."""

    def __init__(
        self,
        handler: EventHandler,
        registration: Registration,
        reports: Reports,
        *,
        decisions: Decisions | None,
        on_report: Callable[[UpdateReport], object] | None,
        wrap: bool,
    ) -> None:
        self._handler = handler
        self._registration = registration
        self._reports = reports
        self._decisions = decisions
        self._on_report = on_report
        self._wrap = wrap

    def take(self, message: Message, body: bytes, now: float) -> Taken:
        """Do what the VTN asks.

        Raises:
            RemoteProtocolError: it is not for a VEN, or cannot be accepted; nothing was changed.
            StoreError: it could not be stored; nothing was changed.
        """
        if isinstance(message, DistributeEvent):
            return Taken(self.take_events(body))
        if isinstance(message, CreateReport):
            return self._create_report(message, now)
        if isinstance(message, CancelReport):
            outcome = self._reports.cancel(
                message.report_request_ids, message.report_to_follow, now
            )
            response = EiResponse(outcome.response_code, outcome.description, message.request_id)
            return Taken(CanceledReport(response, self._reports.pending, self._ven_id))
        if isinstance(message, RegisterReport | UpdateReport):
            return Taken(self._note_report(message))
        if isinstance(message, CancelPartyRegistration):
            answer = self._registration.cancelled_by_vtn(message)
            known = self._registration.registered is not None
            return Taken(answer, ended=known and answer.response.ok)
        if isinstance(message, RequestReregistration):
            self._registration.repeat()
            return Taken(Response(EiResponse(200, "OK", ""), self._ven_id, "2.0b"), register=True)
        name = getattr(message, "name", f"oadr{type(message).__name__}")
        raise RemoteProtocolError(f"{name} is not for a VEN", response_code=NOT_RECOGNIZED)

    def take_events(self, body: bytes) -> bytes | None:
        """Take a list; the answer to send now, without the events that nobody has decided about yet.

        Raises:
            RemoteProtocolError, StoreError: as for :meth:`take`.
        """
        if self._decisions is None:
            return self._handler.handle_payload(body)
        with self._decisions.whole_or_not():
            reply = self._handler.handle_payload(body)
        if self._decisions.pending:
            self._decisions.drop_gone(self._handler.get_states())
        pending = self._decisions.pending
        if reply is None or not pending:
            return reply
        answer = decode(reply)
        assert isinstance(answer, CreatedEvent)  # noqa: S101  a handler answers nothing else
        decided = [a for a in answer.event_responses if a.event_id not in pending]
        if not decided:
            return None
        return encode(replace(answer, event_responses=decided), wrap=self._wrap)

    @property
    def _ven_id(self) -> str:
        return self._registration.ven_id or self._handler.ven_id

    def _create_report(self, message: CreateReport, now: float) -> Taken:
        requests = tuple(message.report_requests)
        outcome = self._reports.request(requests, now)
        response = EiResponse(outcome.response_code, outcome.description, message.request_id)
        answer = CreatedReport(response, self._reports.pending, self._ven_id)
        return Taken(answer, (requests, outcome), announce=bool(outcome.metadata))

    def _note_report(self, message: RegisterReport | UpdateReport) -> Message:
        """The VTN's own reports: we ask for none, and the application may look at what comes."""
        response = EiResponse(200, RESPONSE_CODES[200], message.request_id)
        if isinstance(message, RegisterReport):
            return RegisteredReport(response, (), self._ven_id)
        if self._on_report is not None:
            try:
                self._on_report(message)
            except Exception:  # the application's own code
                _log.exception("on_report failed")
        return UpdatedReport(response, None, self._ven_id)
