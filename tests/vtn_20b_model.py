"""A plain VTN of 2.0b for one VEN, to hold :class:`oadr2.ven_20b.Ven20b` against.

It repeats what was not answered, but no list that it has sent, refuses ids that it did not give, and
raises AssertionError at what no VEN may send. It has no network and no clock: the test says what is
lost, and when it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from payloads import distribute_event, event

from oadr2 import decode, encode
from oadr2.model import (
    CanceledOpt,
    CanceledPartyRegistration,
    CanceledReport,
    CancelOpt,
    CancelPartyRegistration,
    CancelReport,
    CreatedEvent,
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
    ReportPayload,
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

METADATA = "METADATA"
PROFILES = (SupportedProfile("2.0b", ("simpleHttp",)),)


def seconds(number: float) -> Duration:
    return Duration(microseconds=round(number * 1e6))


@dataclass
class Listed:
    """An event of the VTN's list."""

    name: str
    number: int
    start: float
    required: bool
    wish: str  # what the VEN's application says when it is asked
    cancelled: bool = False
    answered: tuple[int, int, str] | None = None  # number, code, opt


@dataclass
class Wanted:
    """A report request. ``taken``, ``stopped``: when the VEN knew; seconds, as all times here."""

    request_id: str
    specifier: str
    points: tuple[str, ...]
    step: float
    back: float
    start: float | None
    length: float
    taken: float | None = None
    stopped: float | None = None
    latest: float = 0.0  # that a clock has shown until then
    end_confirmed: bool = False  # and nothing is to follow
    excused: bool = False  # whatever has not come need not come
    replaced: bool = False  # by new METADATA (D19)
    excused_at: set[float] = field(default_factory=set)
    reports: int = 0
    got: dict[tuple[float, str], tuple[float | None, str | None]] = field(default_factory=dict)

    @property
    def end(self) -> float:
        return self.start + self.length if self.start is not None and self.length else float("inf")

    def written(self) -> ReportRequest:
        period = None
        if self.start is not None:
            period = Period(datetime.fromtimestamp(self.start, UTC), seconds(self.length))
        payloads = tuple(SpecifierPayload(point) for point in self.points)
        specifier = ReportSpecifier(
            self.specifier, seconds(self.step), seconds(self.back), payloads, period
        )
        return ReportRequest(self.request_id, specifier)

    def moments(self, begin: float, end: float) -> Sequence[float]:
        """When a sample is due in ``begin < moment <= end``."""
        every = self.step or self.back
        if self.start is None or not every:
            return ()
        first = self.start if self.step else self.start + self.back
        count = max(0, int((begin - first) // every))
        found = []
        while (at := first + count * every) <= end:
            within = at < self.end if self.step else at <= self.end
            if at > begin and at >= first and within:
                found.append(at)
            count += 1
        return found


class VtnModel:
    """``reads``: every value that a point of the VEN has given."""

    def __init__(self, reads: set[float]) -> None:
        self.reads = reads
        self.ids = 0
        self.ven_id: str | None = None
        self.registration_id: str | None = None
        self.poll_freq = 10.0
        self.new_ids = False  # at the next registration, even if it has some
        self.ended = False  # by its word or the VEN's, and confirmed
        self.end_is_known = False  # to the VEN
        self.asked_to_register = self.must_register = False
        self.has_metadata = False
        self.wants_at_once: list[Wanted] = []
        self.cancels_with_next_report: str | None = None
        self.queue: list[Message] = []
        self.events: dict[str, Listed] = {}
        self.numbers: dict[str, int] = {}  # the last modificationNumber of each eventID
        self.list_seen = True
        self.opts: dict[str, CreateOpt] = {}
        self.wanted: dict[str, Wanted] = {}
        self.asked_by: dict[str, list[str]] = {}  # message id -> request ids
        self.changed_by_user: set[str] = set()
        self.request_ids: dict[str, bytes] = {}
        self.over: list[Wanted] = []  # by the METADATA that came last
        self.received: list[str] = []

    def new_id(self, kind: str) -> str:
        self.ids += 1
        return f"{kind}_{self.ids}"

    # -- what it decides --

    def list_message(self) -> bytes:
        self.list_seen = True
        return distribute_event(
            *(
                event(
                    e.name, e.number, status="cancelled" if e.cancelled else "far",
                    dtstart=e.start, duration="PT10H", vtn_comment=e.wish,
                    required="always" if e.required else "never",
                )
                for e in self.events.values()
            ),
            vtn_id="vtn", request_id=self.new_id("list"), profile="2.0b",
        )  # fmt: skip

    def ask(self, *wanted: Wanted, metadata: bool = False) -> None:
        message_id = self.new_id("ask")
        requests = [self.note(message_id, w).written() for w in wanted]
        if metadata:
            specifier = ReportSpecifier(
                METADATA, seconds(0), seconds(0), (SpecifierPayload(METADATA),)
            )
            requests.append(ReportRequest(self.new_id("metadata"), specifier))
        self.queue.append(CreateReport(tuple(requests), message_id, self.ven_id))

    def note(self, message_id: str, wanted: Wanted) -> Wanted:
        self.wanted[wanted.request_id] = wanted
        self.asked_by.setdefault(message_id, []).append(wanted.request_id)
        return wanted

    def cancel(self, request_id: str, to_follow: bool) -> None:
        self.queue.append(CancelReport((request_id,), to_follow, self.new_id("stop"), self.ven_id))

    def ask_to_register(self) -> None:
        self.queue.append(RequestReregistration(self.ven_id or ""))

    def end_registration(self) -> None:
        assert self.registration_id
        self.queue.append(
            CancelPartyRegistration(self.registration_id, self.new_id("end"), self.ven_id)
        )

    def forget(self) -> None:
        """Lose the VEN without a word."""
        self.ven_id = self.registration_id = None
        self.queue.clear()
        self.opts.clear()
        self.must_register = self.has_metadata = False
        for listed in self.events.values():
            listed.answered = None

    @property
    def pending(self) -> bytes | None:
        """What the VEN is to get next."""
        if self.queue:
            if isinstance(self.queue[0], RequestReregistration):
                self.asked_to_register = True
            return encode(self.queue[0])
        return None if self.list_seen else self.list_message()

    # -- what it is sent --

    def handle(self, data: bytes, now: float, *, pushed_to: bool = False) -> bytes:
        """A request, or what the VEN replied to a push, of which it is known whose it is."""
        message = decode(data)
        self.received.append(type(message).__name__)
        self._check_id(message, data)
        reply = self._handle(message, now, pushed_to)
        return reply if isinstance(reply, bytes) else encode(reply)

    def _check_id(self, message: Message, data: bytes) -> None:
        request_id = getattr(message, "request_id", None)
        if request_id:
            said = self.request_ids.setdefault(request_id, data)
            same = type(decode(said)) is type(message)
            assert said == data or (same and isinstance(message, CreateOpt | CancelOpt)), (
                f"requestID {request_id} has been used"
            )

    def _handle(self, message: Message, now: float, pushed_to: bool) -> Message | bytes:
        fine = EiResponse(200, "OK", getattr(message, "request_id", ""))
        if isinstance(message, QueryRegistration):
            return CreatedPartyRegistration("vtn", fine, profiles=PROFILES)
        if isinstance(message, CreatePartyRegistration):
            return self._register(message, fine)
        ven_id = getattr(message, "ven_id", None)
        if not pushed_to and (self.ven_id is None or ven_id != self.ven_id):
            return Response(EiResponse(463, "who is this?", fine.request_id), ven_id, "2.0b")
        if isinstance(message, Poll):
            return self.pending or Response(fine, self.ven_id, "2.0b")
        if isinstance(message, RequestEvent):
            return self.list_message()
        if isinstance(message, CreatedEvent):
            self._answered(message)
        elif isinstance(message, RegisterReport):
            return self._announced(message, fine)
        elif isinstance(message, UpdateReport):
            cancel = None
            (report,) = message.reports
            self._reported(report)
            if self.cancels_with_next_report == report.report_request_id:
                cancel = CancelReport((report.report_request_id,), False, self.new_id("stop"))
                self.cancels_with_next_report = None
                # It has been taken, even if the answer to that was lost; nobody asks once more.
                for message_id, names in self.asked_by.items():
                    if report.report_request_id in names:
                        self._drop(CreateReport, message_id)
            return UpdatedReport(fine, cancel, self.ven_id)
        elif isinstance(message, CreatedReport):
            self._drop(CreateReport, message.response.request_id)
        elif isinstance(message, CanceledReport):
            cancelled = self._drop(CancelReport, message.response.request_id)
            if isinstance(cancelled, CancelReport):
                for request_id in cancelled.report_request_ids:
                    if request_id in self.wanted and not cancelled.report_to_follow:
                        self.wanted[request_id].end_confirmed = True
        elif isinstance(message, CreateOpt):
            self.opts[message.opt_id] = message
            return CreatedOpt(message.opt_id, fine)
        elif isinstance(message, CancelOpt):
            known = self.opts.pop(message.opt_id, None)
            code = fine if known else EiResponse(452, "no such opt", fine.request_id)
            return CanceledOpt(code, message.opt_id)
        elif isinstance(message, CancelPartyRegistration):
            known = message.registration_id == self.registration_id
            assert known
            self._end()
            return CanceledPartyRegistration(fine, message.registration_id, message.ven_id)
        elif isinstance(message, CanceledPartyRegistration):
            known = self._drop(CancelPartyRegistration, message.response.request_id) is not None
            if known and message.response.ok:
                self._end()
        elif isinstance(message, Response):
            first = self.queue[0] if self.queue else None
            if self.asked_to_register and isinstance(first, RequestReregistration):
                del self.queue[0]
                self.asked_to_register, self.must_register = False, True
        else:
            assert isinstance(message, RegisteredReport | UpdatedReport), message
        return Response(fine, self.ven_id, "2.0b")

    def _drop(self, kind: type, message_id: str) -> Message | None:
        for waiting in self.queue:
            if isinstance(waiting, kind) and waiting.request_id == message_id:
                self.queue.remove(waiting)
                return waiting
        return None

    def _end(self) -> None:
        self.forget()
        self.ended = True
        for wanted in self.wanted.values():
            wanted.excused = wanted.end_confirmed = True

    def _register(self, message: CreatePartyRegistration, fine: EiResponse) -> Message:
        if message.registration_id not in (None, self.registration_id):
            return CreatedPartyRegistration(
                "vtn",
                EiResponse(452, "no such registration", fine.request_id),
                profiles=PROFILES,
            )
        if self.ven_id is None or self.new_ids:
            self.ven_id, self.registration_id = self.new_id("ven"), self.new_id("registration")
            self.new_ids = False
            # Those that wait carry the former id.
            self.queue = [m for m in self.queue if not isinstance(m, CancelPartyRegistration)]
        self.queue = [m for m in self.queue if not isinstance(m, RequestReregistration)]
        self.asked_to_register = False
        self.ended = self.end_is_known = self.must_register = self.has_metadata = False
        return CreatedPartyRegistration(
            "vtn", fine, registration_id=self.registration_id, ven_id=self.ven_id,
            profiles=PROFILES, requested_oadr_poll_freq=seconds(self.poll_freq),
        )  # fmt: skip

    def _answered(self, message: CreatedEvent) -> None:
        for answer in message.event_responses:
            listed = self.events.get(answer.event_id)
            if listed is None:
                continue  # it has vanished since
            code = answer.response_code
            assert answer.modification_number <= listed.number
            if answer.modification_number == listed.number:
                is_wanted = listed.required or listed.name in self.changed_by_user
                assert is_wanted, f"E02: no answer to {listed}"
                listed.answered = (listed.number, code, answer.opt_type)

    def _announced(self, message: RegisterReport, fine: EiResponse) -> Message:
        assert len(message.reports) == 2
        self.has_metadata = True
        self.queue = [m for m in self.queue if not isinstance(m, CreateReport)]
        self.over = list(self.wanted.values())
        wants, self.wants_at_once = self.wants_at_once, []
        for wanted in wants:
            self.note(fine.request_id, wanted)
        return RegisteredReport(fine, tuple(w.written() for w in wants), self.ven_id)

    def _reported(self, report: Report) -> None:
        wanted = self.wanted[report.report_request_id]
        assert not wanted.end_confirmed, f"{wanted.request_id} has been cancelled"
        wanted.reports += 1
        assert report.intervals, "D13"
        for at, r_id, said in _readings(report):
            assert said[0] in self.reads or said[1] is not None, "invented"
            assert r_id in wanted.points
            if len(report.intervals) > 1:
                assert at < wanted.end, f"{at} is after the end of {wanted.request_id}"
            if wanted.stopped is not None and wanted.step:
                # In a message times are whole microseconds.
                assert at <= wanted.latest + 1e-6, "sampled after it was cancelled"
            if len(report.intervals) > 1 or at in wanted.moments(at - 1, at):
                before = wanted.got.setdefault((at, r_id), said)
                assert before == said or not wanted.step, f"{at} was {before}, is {said}: {wanted}"

    def can_refuse(self, data: bytes) -> bool:
        """Not what it has taken, nor to take back what it does not have."""
        message = decode(data)
        if isinstance(message, CreateOpt):
            return message.opt_id not in self.opts
        return not isinstance(message, CancelOpt) or message.opt_id in self.opts

    def refuse(self, data: bytes) -> None:
        """The test has this message refused: what it says need not come again."""
        message = decode(data)
        if isinstance(message, UpdateReport):
            for report in message.reports:
                wanted = self.wanted[report.report_request_id]
                wanted.reports += 1
                wanted.excused_at |= {at for at, _, _ in _readings(report)}
        elif isinstance(message, CanceledPartyRegistration):
            self._end()  # its own affair
        elif isinstance(message, CreatedEvent):
            for answer in message.event_responses:
                if answer.event_id in self.events:
                    self.events[answer.event_id].answered = None
                    self.list_seen = False


def _readings(report: Report) -> list[tuple[float, str, tuple[float | None, str | None]]]:
    found = []
    for interval in report.intervals:
        assert interval.dtstart is not None
        for payload in interval.payloads:
            assert isinstance(payload, ReportPayload)
            said = (payload.value, payload.data_quality)
            found.append((interval.dtstart.timestamp(), payload.r_id, said))
    return found
