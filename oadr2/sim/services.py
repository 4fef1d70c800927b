"""The 2.0b services of the simulated VTN beside EiEvent: registration, poll, reports and opts.

:class:`VtnServices` is sans-I/O, like the :class:`oadr2.sim.vtn.SimulatedVtn` it stands beside: bytes of a
request in, bytes of the reply out. What the VTN wants of a VEN waits in that VEN's queue until its next
poll (facts.md 3.2).
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from oadr2 import decode, encode
from oadr2.errors import RESPONSE_CODES, LocalProtocolError, RemoteProtocolError
from oadr2.model import (
    CanceledOpt,
    CanceledPartyRegistration,
    CanceledReport,
    CancelOpt,
    CancelPartyRegistration,
    CancelReport,
    CreatedOpt,
    CreatedPartyRegistration,
    CreatedReport,
    CreateOpt,
    CreatePartyRegistration,
    CreateReport,
    EiResponse,
    Message,
    Period,
    Poll,
    QueryRegistration,
    RegisteredReport,
    RegisterReport,
    Report,
    ReportRequest,
    ReportSpecifier,
    RequestEvent,
    RequestReregistration,
    Response,
    SpecifierPayload,
    SupportedProfile,
    UpdatedReport,
    UpdateReport,
)
from oadr2.schedule import Duration
from oadr2.sim.vtn import SimulatedVtn

logger = logging.getLogger(__name__)

_METADATA: Final = "METADATA_"
_INVALID_ID: Final = 452
_NOT_RECOGNIZED: Final = 453
_INVALID_DATA: Final = 454
_NOT_REGISTERED: Final = 463

#: Where a VEN sends what (facts.md 3.5).
_SERVICES: Final[dict[type, str]] = {
    QueryRegistration: "EiRegisterParty",
    CreatePartyRegistration: "EiRegisterParty",
    CancelPartyRegistration: "EiRegisterParty",
    CanceledPartyRegistration: "EiRegisterParty",
    RegisterReport: "EiReport",
    RegisteredReport: "EiReport",
    CreatedReport: "EiReport",
    UpdateReport: "EiReport",
    CanceledReport: "EiReport",
    CreateOpt: "EiOpt",
    CancelOpt: "EiOpt",
    Poll: "OadrPoll",
}


#: Where a VEN takes what a VTN pushes, if not at its EiReport service.
_PUSHED_TO: Final[dict[type, str]] = {
    CancelPartyRegistration: "EiRegisterParty",
    RequestReregistration: "EiRegisterParty",
}


@dataclass(slots=True)
class RegisteredVen:
    """A VEN as the VTN knows it.

    Attributes:
        metadata: the reports it has announced, by reportSpecifierID.
        requests: the report requests that run, by reportRequestID.
        opts: the opts it holds, by optID.
        reports_received: how many reports it has delivered; ``last_report`` is the newest.
        polls: whether it comes and asks; otherwise it is pushed to at ``transport_address``.
        queue: what it gets at its next polls.
        list_seen: which state of the list of events it has seen.
    """

    ven_id: str
    registration_id: str
    ven_name: str | None
    transport_address: str | None = None
    polls: bool = True
    metadata: dict[str, Report] = field(default_factory=dict)
    requests: dict[str, ReportRequest] = field(default_factory=dict)
    opts: dict[str, CreateOpt] = field(default_factory=dict)
    reports_received: int = 0
    last_report: Report | None = None
    queue: deque[Message] = field(default_factory=deque)
    list_seen: int = -1


@dataclass(frozen=True, slots=True)
class DuePush:
    """A message that a VEN is to be pushed: at which service, and its name."""

    ven: RegisteredVen
    service: str
    name: str
    data: bytes
    message: Message | None  # of its queue; None: its list of events
    revision: int


@dataclass(frozen=True, slots=True)
class Told:
    """One message of a VEN to a service other than EiEvent, for ``on_message``; ``code`` of the reply."""

    at: datetime
    ven_id: str
    message: Message
    code: int
    problem: str = ""


class VtnServices:
    """Registration, polls, reports and opts of one simulated VTN. Thread-safe.

    Args:
        vtn: holds the events; must speak 2.0b.
        poll_freq: what VENs are told to keep to.
        report_every: every TELEMETRY report that is announced is asked for, with this
            reportBackDuration; None asks for none.
        granularity: of those requests; None takes ``report_every``.
        register_strangers: register every VEN that asks; False refuses those not known to ``vtn``.
        keep_reports: how many reports ``reports`` keeps, of all VENs together.
        remember_vens: keep what each VEN announced, was asked for and reported last. False is for load
            tests: of a VEN its ids and its queue are left.
    """

    def __init__(
        self,
        vtn: SimulatedVtn,
        *,
        poll_freq: Duration = Duration(microseconds=10_000_000),  # noqa: B008  frozen
        report_every: Duration | None = None,
        granularity: Duration | None = None,
        register_strangers: bool = True,
        keep_reports: int = 1000,
        remember_vens: bool = True,
    ) -> None:
        if "2.0b" not in vtn.profiles:
            raise LocalProtocolError("these services are of 2.0b, which this VTN does not speak")
        self.vtn = vtn
        self.poll_freq = poll_freq
        self.report_every = report_every
        self.granularity = report_every if granularity is None else granularity
        self.register_strangers = register_strangers
        self._remember = remember_vens
        #: Called after each message, outside the lock; what it raises is logged.
        self.on_message: Callable[[Told], None] | None = None
        #: The newest reports, of all VENs, oldest first.
        self.reports: deque[tuple[str, Report]] = deque(maxlen=keep_reports)
        self._vens: dict[str, RegisteredVen] = {}
        self._names: dict[str, str] = {}  # venIDs by ven_name
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    # -- what the test or the user looks at and does --------------------------------------------

    @property
    def vens(self) -> dict[str, RegisteredVen]:
        """The registered VENs by venID: a copy of the dictionary, not of the VENs."""
        with self._lock:
            return dict(self._vens)

    def wait_for(self, predicate: Callable[[], object], timeout: float = 10.0) -> bool:
        """Wait until ``predicate()`` is true, asked after each message. False after ``timeout`` s."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: bool(predicate()), timeout))

    def ask_for_report(
        self,
        ven_id: str,
        report_specifier_id: str,
        r_ids: Sequence[str],
        *,
        granularity: Duration = Duration(),  # noqa: B008  frozen
        report_back_duration: Duration = Duration(),  # noqa: B008  frozen
        period: Period | None = None,
    ) -> str:
        """Have a VEN report; the reportRequestID. Zero durations and no period ask once (facts.md 3.3).

        Raises:
            LocalProtocolError: the VEN is not registered.
        """
        with self._lock:
            ven = self._find(ven_id)
            payloads = tuple(SpecifierPayload(r_id) for r_id in r_ids)
            specifier = ReportSpecifier(
                report_specifier_id, granularity, report_back_duration, payloads, period
            )
            request = ReportRequest(f"request-{next(self._numbers)}", specifier)
            ven.requests[request.report_request_id] = request
            ven.queue.append(CreateReport((request,), self._id(), ven_id))
            return request.report_request_id

    def cancel_report(
        self, ven_id: str, report_request_id: str, *, to_follow: bool = False
    ) -> None:
        """Have a VEN stop a report. Raises LocalProtocolError when the VEN is not registered."""
        with self._lock:
            ven = self._find(ven_id)
            ven.requests.pop(report_request_id, None)
            ven.queue.append(CancelReport((report_request_id,), to_follow, self._id(), ven_id))

    def ask_to_reregister(self, ven_id: str) -> None:
        """Have a VEN register again. Raises LocalProtocolError when it is not registered."""
        with self._lock:
            self._find(ven_id).queue.append(RequestReregistration(ven_id))

    def cancel_registration(self, ven_id: str) -> None:
        """End a VEN's registration. Raises LocalProtocolError when it is not registered."""
        with self._lock:
            ven = self._find(ven_id)
            ven.queue.append(CancelPartyRegistration(ven.registration_id, self._id(), ven_id))

    def forget(self, ven_id: str) -> None:
        """Lose a VEN without a word: it gets 463 from now on (facts.md 3.1)."""
        with self._lock:
            ven = self._vens.pop(ven_id, None)
            if ven is not None and ven.ven_name is not None:
                self._names.pop(ven.ven_name, None)

    # -- pushing --------------------------------------------------------------------------------

    def next_push(self, ven_id: str) -> DuePush | None:
        """What a VEN that does not poll is to get now, or None; :meth:`pushed` when it has it."""
        with self._lock:
            ven = self._vens.get(ven_id)
            if ven is None or ven.polls:
                return None
            revision = self.vtn.revision
            if ven.list_seen != revision:
                data = self._encode(self.vtn.list_message_for(ven_id, "2.0b"))
                return DuePush(ven, "EiEvent", "oadrDistributeEvent", data, None, revision)
            if not ven.queue:
                return None
            message = ven.queue[0]
            service = _PUSHED_TO.get(type(message), "EiReport")
            name = f"oadr{type(message).__name__}"
            return DuePush(ven, service, name, self._encode(message), message, revision)

    def pushed(self, push: DuePush, reply: bytes) -> None:
        """A VEN has replied to a push. Raises RemoteProtocolError when the reply cannot be read."""
        with self._changed:
            if push.message is None:
                push.ven.list_seen = push.revision
            elif push.ven.queue and push.ven.queue[0] is push.message:
                push.ven.queue.popleft()
            message = decode(self.vtn.opened(reply)) if reply.strip() else None
            if message is not None:
                self._answer_registered(push.ven, message)
            self._changed.notify_all()
        if message is not None and not isinstance(message, Response):
            self._tell(message, 200, "")

    # -- the services ---------------------------------------------------------------------------

    def handle(self, service: str | None, data: bytes) -> bytes:
        """Answer one request to a 2.0b service. Application errors are replies too.

        Args:
            service: where it came in; None where there is one place for all, as on XMPP.
            data: the request.

        Raises:
            RemoteProtocolError: the request is not well-formed XML, an error of the transport.
        """
        if service is None:
            service = self._service_of(data)
        try:
            data = self.vtn.opened(data)
        except RemoteProtocolError as error:
            self.vtn.require_well_formed(data, error)
            return self._encode(_refusal(error.response_code, str(error)))
        if service == "EiEvent":
            revision = self.vtn.revision  # what changes while we answer may not be in the answer
            reply = self.vtn.answer(data, "2.0b")
            self._note_synchronised(data, revision)
            return self.vtn.signed(reply)
        try:
            message = decode(data)
        except RemoteProtocolError as error:
            self.vtn.require_well_formed(data, error)
            return self._encode(_refusal(_INVALID_DATA, str(error)))
        if _SERVICES.get(type(message), service) != service or isinstance(message, RequestEvent):
            name = getattr(message, "name", f"oadr{type(message).__name__}")
            return self._encode(_refusal(_NOT_RECOGNIZED, f"{name} is not for {service}", message))
        with self._changed:
            reply_message = self._answer(message)
            self._changed.notify_all()
        response = getattr(reply_message, "response", None)
        code = 200 if response is None else response.response_code
        problem = "" if code == 200 or response is None else response.response_description or ""
        self._tell(message, code, problem)
        return self._encode(reply_message)

    def _service_of(self, data: bytes) -> str:
        try:
            return _SERVICES.get(type(decode(data)), "EiEvent")
        except RemoteProtocolError:
            return "EiRegisterParty"  # which says what is wrong

    def _answer(self, message: Message) -> Message:
        if isinstance(message, QueryRegistration):
            return self._offer(message.request_id)
        if isinstance(message, CreatePartyRegistration):
            return self._register(message)
        ven_id = getattr(message, "ven_id", None)
        ven = self._vens.get(ven_id) if ven_id else None
        if ven is None:
            return _refusal(_NOT_REGISTERED, f"venID {ven_id!r} is not registered here", message)
        return self._answer_registered(ven, message)

    def _answer_registered(self, ven: RegisteredVen, message: Message) -> Message:
        if isinstance(message, Poll):
            return self._next_for(ven)
        if isinstance(message, CancelPartyRegistration | CanceledPartyRegistration):
            return self._end(ven, message)
        if isinstance(message, CreateOpt | CancelOpt):
            return self._opt(ven, message)
        return self._report(ven, message)

    def _offer(
        self, request_id: str, registered: RegisteredVen | None = None
    ) -> CreatedPartyRegistration:
        return CreatedPartyRegistration(
            self.vtn.vtn_id,
            EiResponse(200, RESPONSE_CODES[200], request_id),
            registration_id=None if registered is None else registered.registration_id,
            ven_id=None if registered is None else registered.ven_id,
            profiles=tuple(
                SupportedProfile(profile, ("simpleHttp", "xmpp")) for profile in self.vtn.profiles
            ),
            requested_oadr_poll_freq=self.poll_freq,
        )

    def _register(self, message: CreatePartyRegistration) -> Message:
        known = self._vens.get(message.ven_id or self._names.get(message.ven_name or "", ""))
        if message.registration_id is not None and (
            known is None or known.registration_id != message.registration_id
        ):
            text = f"registrationID {message.registration_id!r} is not known here"
            return _refusal(_INVALID_ID, text, message)
        if (
            known is None
            and not self.register_strangers
            and not self.vtn.knows(message.ven_id or "")
        ):
            return _refusal(_NOT_REGISTERED, "this VEN is not known here", message)
        ven_id = known.ven_id if known else message.ven_id or f"ven_{next(self._numbers)}"
        ven = RegisteredVen(
            ven_id,
            known.registration_id if known else f"registration-{next(self._numbers)}",
            message.ven_name,
            message.transport_address,
            message.transport_name == "simpleHttp" and message.http_pull_model is not False,
        )
        if known is not None:
            ven.queue, ven.opts = known.queue, known.opts
        self._vens[ven_id] = ven
        if message.ven_name is not None:
            self._names[message.ven_name] = ven_id
        return self._offer(message.request_id, ven)

    def _end(
        self, ven: RegisteredVen, message: CancelPartyRegistration | CanceledPartyRegistration
    ) -> Message:
        ours = message.registration_id in (None, ven.registration_id)
        if isinstance(message, CanceledPartyRegistration):
            if message.response.ok and ours:
                self.forget(ven.ven_id)
            return _fine(message)
        if not ours:
            text = f"registrationID {message.registration_id!r} is not known here"
            response = EiResponse(_INVALID_ID, text, message.request_id)
            return CanceledPartyRegistration(response, message.registration_id, ven.ven_id)
        self.forget(ven.ven_id)
        response = EiResponse(200, RESPONSE_CODES[200], message.request_id)
        return CanceledPartyRegistration(response, ven.registration_id, ven.ven_id)

    def _next_for(self, ven: RegisteredVen) -> Message:
        revision = self.vtn.revision
        if ven.list_seen != revision:
            ven.list_seen = revision
            return self.vtn.list_message_for(ven.ven_id, "2.0b")
        if ven.queue:
            return ven.queue.popleft()
        return Response(EiResponse(200, RESPONSE_CODES[200], ""), ven.ven_id, "2.0b")

    def _report(self, ven: RegisteredVen, message: Message) -> Message:
        if isinstance(message, RegisterReport):
            ven.metadata = {report.report_specifier_id: report for report in message.reports}
            ven.requests.clear()
            response = EiResponse(200, RESPONSE_CODES[200], message.request_id)
            requests = self._requests_for(ven)
            if not self._remember:
                ven.metadata, ven.requests = {}, {}
            return RegisteredReport(response, requests, ven.ven_id)
        if isinstance(message, UpdateReport):
            for report in message.reports:
                ven.reports_received += 1
                if self._remember:
                    ven.last_report = report
                self.reports.append((ven.ven_id, report))
            response = EiResponse(200, RESPONSE_CODES[200], message.request_id)
            return UpdatedReport(response, None, ven.ven_id)
        return _fine(message)

    def _requests_for(self, ven: RegisteredVen) -> tuple[ReportRequest, ...]:
        if self.report_every is None or self.granularity is None:
            return ()
        for specifier_id, report in ven.metadata.items():
            if not (report.report_name or "").startswith(f"{_METADATA}TELEMETRY_"):
                continue
            payloads = tuple(
                SpecifierPayload(description.r_id, description.reading_type)
                for description in report.report_descriptions
            )
            period = Period(self.vtn.now(), Duration())
            specifier = ReportSpecifier(
                specifier_id, self.granularity, self.report_every, payloads, period
            )
            request = ReportRequest(f"request-{next(self._numbers)}", specifier)
            ven.requests[request.report_request_id] = request
        return tuple(ven.requests.values())

    def _opt(self, ven: RegisteredVen, message: CreateOpt | CancelOpt) -> Message:
        if isinstance(message, CancelOpt):
            known = ven.opts.pop(message.opt_id, None)
            code, text = (200, "OK") if known else (_INVALID_ID, f"no opt is {message.opt_id!r}")
            return CanceledOpt(EiResponse(code, text, message.request_id), message.opt_id)
        code, text = 200, RESPONSE_CODES[200]
        if (message.qualified_event_id is None) == (message.vavailability is None):
            code, text = _INVALID_DATA, "an opt names an event or a schedule, one of the two"
        else:
            ven.opts[message.opt_id] = message
        return CreatedOpt(message.opt_id, EiResponse(code, text, message.request_id))

    # -- inside ---------------------------------------------------------------------------------

    def _note_synchronised(self, data: bytes, revision: int) -> None:
        """A VEN that asks for its events at the start need not get the same list at its next poll.

        Later on another program may ask under its venID, and must not take its events away.
        """
        message = decode(data)
        if isinstance(message, RequestEvent):
            with self._lock:
                ven = self._vens.get(message.ven_id)
                if ven is not None and ven.list_seen < 0:
                    ven.list_seen = revision

    def _find(self, ven_id: str) -> RegisteredVen:
        ven = self._vens.get(ven_id)
        if ven is None:
            raise LocalProtocolError(f"VEN {ven_id!r} is not registered")
        return ven

    def _id(self) -> str:
        return f"message-{next(self._numbers)}"

    def _encode(self, message: Message) -> bytes:
        return self.vtn.signed(encode(message, wrap=self.vtn.wrap_20b))

    def _tell(self, message: Message, code: int, problem: str) -> None:
        if self.on_message is None:
            return
        ven_id = getattr(message, "ven_id", None) or ""
        try:
            self.on_message(Told(self.vtn.now(), ven_id, message, code, problem))
        except Exception:  # somebody else's code must not break the service
            logger.exception("on_message failed")


def _fine(message: Message) -> Response:
    return _refusal(200, RESPONSE_CODES[200], message)


def _refusal(code: int, text: str, message: Message | None = None) -> Response:
    """An oadrResponse to a message, or to what could not be read."""
    source = message if hasattr(message, "request_id") else getattr(message, "response", None)
    request_id = getattr(source, "request_id", "")
    return Response(EiResponse(code, text, request_id), getattr(message, "ven_id", None), "2.0b")
