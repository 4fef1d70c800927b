"""A whole VEN of 2.0b without I/O: :class:`Ven20b` says what to send next and takes what comes back.

It registers, announces its reports, synchronises its events, polls, answers whatever a poll brings at
the right service, reports and opts (facts.md 3). A transport asks :meth:`Ven20b.next_action`, sends it,
hands the reply to :meth:`Ven20b.receive` or the trouble to :meth:`Ven20b.failed`, and sleeps until
:attr:`Ven20b.next_deadline`. What a VTN pushes goes to :meth:`Ven20b.receive_push`. While it waits for a
reply, or has no way to the VTN, it calls :meth:`Ven20b.advance` at :attr:`Ven20b.next_advance`.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from oadr2._core.objects import decode
from oadr2.decisions import Decisions
from oadr2.errors import (
    RESPONSE_CODES,
    LocalProtocolError,
    OadrError,
    RemoteProtocolError,
    StoreError,
    TransportError,
)
from oadr2.event import EventHandler
from oadr2.model import (
    CancelOpt,
    CreatedPartyRegistration,
    CreatedReport,
    CreateOpt,
    DistributeEvent,
    EiResponse,
    Event,
    Message,
    OptType,
    Period,
    Poll,
    RegisteredReport,
    Response,
    Targets,
    UpdatedReport,
    UpdateReport,
)
from oadr2.pacing import BackOff
from oadr2.services import activity
from oadr2.services.activity import Activity
from oadr2.services.inbox import NOT_RECOGNIZED, SERVICE_OF, Inbox
from oadr2.services.opt_service import OptService
from oadr2.services.outbox import AnswersOwed
from oadr2.services.registration import Registration, RegistrationSettings
from oadr2.services.registration_service import Phase, RegistrationService
from oadr2.services.replies import accepted, expect
from oadr2.services.report import Reports
from oadr2.services.report_source import ReportSource
from oadr2.services.request import Purpose, Request
from oadr2.services.seal import PayloadSigner, PayloadVerifier, Seal
from oadr2.services.state import ServiceState, state_beside
from oadr2.services.tries import Tries
from oadr2.ven import Push, Service

__all__ = ["Activity", "Request", "Ven20b"]

_log = logging.getLogger("oadr2.ven")


class Ven20b:
    """One VEN of profile 2.0b and its one VTN. Not thread-safe: to be used on one event loop.

    Args:
        handler: its events; profile level 2.0b. Its ``ven_id`` follows what the VTN gives us.
        registration: how it presents itself.
        sources: what it can report.
        state: where ids, report requests, reports not taken yet and opts are remembered; None: beside
            the events of the handler, which forgets all when it has no ``db_path``.
        decisions: what to answer events; its ``ask`` is the ``opt_callback`` of the handler.
        signer, verifier: sign what is sent, and take only what is signed.
        on_activity: called with what is worth telling; must return soon and not raise.
        on_report: called with each oadrUpdateReport of the VTN's own reports.
        on_heard: called when the VTN has said something by which its events come: the reply to a poll
            or to our request for events, or anything that it pushed.
        drain_spacing: seconds between polls while the VTN has more for us (facts.md 3.2).
        drain_limit: how many polls in a row may come that close.
        back_off_base, back_off_max: seconds; a failed exchange is tried again within the former,
            then within twice that, never later than the latter.
        seed: makes request ids and waits repeatable, for tests.

    Raises:
        ConfigurationError: settings that cannot go together.
        StoreError: the state cannot be read.
    """

    def __init__(
        self,
        handler: EventHandler,
        *,
        registration: RegistrationSettings | None = None,
        sources: Sequence[ReportSource] = (),
        state: ServiceState | None = None,
        decisions: Decisions | None = None,
        signer: PayloadSigner | None = None,
        verifier: PayloadVerifier | None = None,
        on_activity: Callable[[Activity], object] | None = None,
        on_report: Callable[[UpdateReport], object] | None = None,
        on_heard: Callable[[], object] = lambda: None,
        drain_spacing: float = 1.0,
        drain_limit: int = 20,
        back_off_base: float = 5.0,
        back_off_max: float = 300.0,
        seed: int | None = None,
    ) -> None:
        self.handler = handler
        self._state = state_beside(handler.store) if state is None else state
        self.registration = Registration(registration or RegistrationSettings(), self._state)
        self.reports = Reports(
            sources,
            self._state,
            one_payload_per_interval=handler.policy.one_payload_per_interval,
        )
        self.decisions = decisions
        self._seal = Seal(handler.policy, signer, verifier)
        self.opts = OptService(
            self._state, self._seal, new_id=self._id, ven_id=lambda: self._ven_id
        )
        self._on_activity = on_activity
        self._on_heard = on_heard
        if decisions is not None:
            decisions.restore(self._state, handler.get_states())
        self._inbox = Inbox(
            handler,
            self.registration,
            self.reports,
            decisions=decisions,
            on_report=on_report,
            wrap=handler.policy.wrap_20b,
        )
        self._drain_spacing = drain_spacing
        self._drain_limit = drain_limit
        self._random = random.Random(seed)  # noqa: S311  ids and jitter, no secrets
        self._tries = Tries(back_off_base, back_off_max, self._random.random)
        self._standing = RegistrationService(
            self.registration, BackOff(back_off_base, back_off_max, self._random.random)
        )
        self._next_poll = 0.0
        self._drained = 0
        self._owed = AnswersOwed(wrap=handler.policy.wrap_20b)
        self._answer_numbers = itertools.count(1)
        self._turn = 0  # of the last request
        self._turn_over = 0  # of the last of which it is known what became of it
        # A list that was asked for may be older than one that was pushed meanwhile.
        self._lists_pushed = 0
        self._lists_asked_after = 0
        self._list_missed = False  # with the reply to a poll
        if self._standing.is_over:
            _log.warning(
                "VEN %r asks for nothing: its registration was ended by order (oadr2 ven register)",
                handler.ven_id,
            )
        # Announcing would end what was asked for before (D19).
        known = self.reports.is_announced and not handler.policy.announce_at_start
        self._announce = not self._standing.is_wanted and not known
        self._synchronise = not self._standing.is_wanted
        if self.registration.registered is not None:
            handler.rename(self.registration.registered.ven_id)

    # -- what to send ---------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        """``cancelled`` stays until :meth:`register` is called."""
        return self._standing.phase

    def next_action(self, now: float) -> Request | None:
        """What to send now, or None until :attr:`next_deadline`. One at a time, in the right order.

        Raises:
            StoreError: a report that is due, or a decision, could not be stored, and there is nothing
                to send; it is due still.
        """
        trouble: StoreError | None = None
        try:
            self.advance(now)
        except StoreError as error:  # a full disk makes nobody silent
            trouble = error
        action = None if now < self._tries.not_before else self._next(now)
        if action is None and trouble is not None:
            raise trouble
        if action is None:
            return None
        data = self._seal.signed(action.data)
        self._turn += 1
        return replace(action, data=data, turn=self._turn)

    def advance(self, now: float) -> None:
        """Read what is to be read now, and act on decisions; :meth:`next_action` begins with that.

        Raises:
            StoreError: a report that is due, or a decision, could not be stored; it is due still.
        """
        if self.phase == "registered":
            self.reports.advance(now)
            if self.opts.held:
                held = self.handler.get_active_events()
                self.opts.expire(now, [event.event_id for event in held])
        if self.decisions is not None:
            self.decisions.ask_again(now)
            for event_id, opt_type in self.decisions.due(now):
                self._answer_late(event_id, opt_type)

    def _next(self, now: float) -> Request | None:
        if self._owed and self._ready("answer", now):
            return self._owed.first
        if self._standing.is_wanted and self._ready("register", now):
            purpose, message = self._standing.request(self._id())
            return self._request("EiRegisterParty", message, purpose)
        if not self._standing.goes_on:
            return None
        if self._standing.is_to_end and self._ready("cancel", now):
            return self._request("EiRegisterParty", self.registration.cancel(self._id()), "cancel")
        return self._next_registered(now)

    def _next_registered(self, now: float) -> Request | None:
        if self._announce and self._ready("announce", now):
            message = self.reports.register(now, self._id(), self._ven_id)
            return self._request("EiReport", message, "announce")
        if self._synchronise and self._ready("synchronise", now):
            self._lists_asked_after = self._lists_pushed
            return Request("EiEvent", self.handler.build_request_payload(), "synchronise")
        opt = self.opts.due()
        if opt is not None and self._ready("opt", now):
            told = self._addressed(decode(opt.data))
            return self._request("EiOpt", told, "opt", str(opt.number))
        delivery = self.reports.due()
        if delivery is not None and self._ready("report", now):
            update = UpdateReport(self._id(), (delivery.report,), self._ven_id)
            return self._request("EiReport", update, "report", str(delivery.number))
        if self.registration.settings.polls and now >= self._next_poll:
            return self._request("OadrPoll", Poll(self._ven_id), "poll")
        return None

    @property
    def next_deadline(self) -> float | None:
        """Seconds since 1970 when :meth:`next_action` may have something, or None: only after a call."""
        times = [self._tries.ready_at("answer")] if self._owed else []
        if self._standing.is_wanted:
            times.append(self._tries.ready_at("register"))
        if self._standing.goes_on:
            wanted: tuple[tuple[Purpose, object], ...] = (
                ("cancel", self._standing.is_to_end),
                ("announce", self._announce),
                ("synchronise", self._synchronise),
                ("opt", self.opts.waiting),
                ("report", self.reports.waiting),
            )
            times += [self._tries.ready_at(purpose) for purpose, is_wanted in wanted if is_wanted]
            if self.registration.settings.polls:
                times.append(self._next_poll)
        if times:
            times = [max(self._tries.not_before, min(times))]
        if self.next_advance is not None:
            times.append(self.next_advance)
        return min(times, default=None)

    @property
    def next_advance(self) -> float | None:
        """When :meth:`advance` has something to do: seconds since 1970, or None.

        What is read and decided does not wait for a VTN that is away.
        """
        reading = self.reports.next_deadline if self.phase == "registered" else None
        deciding = None if self.decisions is None else self.decisions.next_deadline
        return min((time for time in (reading, deciding) if time is not None), default=None)

    def _ready(self, purpose: Purpose, now: float) -> bool:
        return now >= self._tries.ready_at(purpose)

    # -- what comes back ------------------------------------------------------------------------

    def receive(self, action: Request, data: bytes, now: float) -> None:
        """Take the reply to an action.

        One that comes a second time, or after the action was given up, counts for nothing: what it
        says may be older than what is known by now.

        Raises:
            RemoteProtocolError: it cannot be accepted, or refuses what we sent. What must be said
                is said again after a back-off; the rest is given up.
            StoreError: what came could not be stored; it counts as not received.
        """
        if not self._is_first_word(action):
            return
        self._tries.reached()
        try:
            self._receive(action, data, now)
        except RemoteProtocolError as error:
            if not self._standing.says_unknown(action.purpose, error):
                self._retry_or_drop(action, now)
                raise
            # What it has not taken is said again, and not at once if it forgets us over that.
            self._hold_back(action, now)
            if self._standing.is_to_end and not self._standing.is_wanted:  # else by newer ids
                self._end()  # which is all we wanted
            else:
                self._forgotten(now)
            raise
        except OadrError:
            self._hold_back(action, now)
            raise
        self._tries.succeeded(action.purpose)
        if action.purpose not in ("query", "register"):
            self._standing.known()
        if action.purpose in ("poll", "synchronise"):
            self._hear()

    def failed(self, action: Request, error: TransportError, now: float) -> None:
        """Note that an action could not be sent, or brought no 2xx reply: it is sent again later.

        A VTN that cannot be reached is left alone for a while; one that fails over this alone is not,
        for events must come whatever becomes of a report. Nothing is noted when its reply has come.
        """
        if not self._is_first_word(action):
            return
        if error.status is None:
            until = self._tries.not_reached(now)
        else:
            until = self._tries.failed(action.purpose, now, error.retry_after)
            if action.purpose == "report":
                self.reports.postpone(int(action.key))
            elif action.purpose == "answer":
                self._owed.postpone(action.key)
            elif action.purpose == "opt":
                self.opts.postpone(int(action.key))
        if action.purpose == "poll":
            self._list_missed = True
            soonest = now + self.registration.settings.min_poll_interval
            self._next_poll = max(until, soonest)

    def receive_push(self, data: bytes, service: str | None, now: float) -> Push:
        """Take what the VTN sends by itself; the reply to it. What is owed beyond that is queued.

        Args:
            data: the message.
            service: where it came in; None where there is one place for all, as on XMPP.
            now: seconds since 1970.

        Raises:
            RemoteProtocolError: it cannot be read, or is not signed as it must be.
            StoreError: it could not be stored.
        """
        body, message = self._seal.opened(data)
        wanted = SERVICE_OF.get(type(message))
        if wanted is None or service not in (None, wanted):
            name = getattr(message, "name", f"oadr{type(message).__name__}")
            where = "a VEN" if service is None else f"the {service} service of a VEN"
            text = f"{name} is not for {where}"
            return Push(self._sealed(self._response(NOT_RECOGNIZED, text, message)), ())
        reply = self._take(message, body, now)
        self._hear()
        if isinstance(message, DistributeEvent):
            self._lists_pushed += 1
            if isinstance(reply, bytes):
                self._owe("EiEvent", reply)
            return Push(self._sealed(self._response(200, RESPONSE_CODES[200], message)), ())
        return Push(b"" if reply is None or isinstance(reply, bytes) else self._sealed(reply), ())

    def refusal(self, code: int, text: str) -> bytes:
        """The oadrResponse that refuses a push which :meth:`receive_push` could not take."""
        return self._sealed(self._response(code, text, None))

    def _is_first_word(self, action: Request) -> bool:
        """Whether it was not known until now what became of this one, or of a later one."""
        if action.turn <= self._turn_over:
            _log.info("what came of our %s comes too late, or twice", action.purpose)
            return False
        self._turn_over = action.turn
        return True

    def _hold_back(self, action: Request, now: float) -> None:
        until = self._tries.failed(action.purpose, now)
        if action.purpose == "poll":
            self._list_missed = True
            self._next_poll = max(until, now + self.registration.settings.min_poll_interval)

    def _receive(self, action: Request, data: bytes, now: float) -> None:
        if not data.strip():
            self._take_nothing(action, now)
            return
        body, message = self._seal.opened(data)
        purpose = action.purpose
        if purpose == "poll":
            self._polled(message, body, now)
        elif purpose == "synchronise":
            self._expect_event_list(message, body, now)
        elif purpose == "register":
            self._registered(expect(message, CreatedPartyRegistration), now)
        elif purpose == "query":
            self._standing.queried()
            accepted(expect(message, CreatedPartyRegistration).response, "our query")
        elif purpose == "announce":
            self._announced(expect(message, RegisteredReport), now)
        elif purpose == "report":
            self._delivered(action, expect(message, UpdatedReport), now)
        elif purpose == "opt":
            asked = cast(CreateOpt | CancelOpt, decode(action.data))  # as we wrote it
            self._tell(self.opts.answered(int(action.key), asked, message))
        elif purpose == "cancel":
            self._end_answered(message)
        else:
            accepted(expect(message, Response).response, "our answer")
            self._owed.done(action.key)

    def _take_nothing(self, action: Request, now: float) -> None:
        """An empty body: fine where only an acknowledgement was due (facts.md 3.2, L05)."""
        if action.purpose == "answer":
            self._owed.done(action.key)
        elif action.purpose == "synchronise" and not self.registration.settings.polls:
            self._synchronised(now)  # the list comes by itself
        elif action.purpose == "report":
            self.reports.delivered(int(action.key))
        elif action.purpose == "opt":
            self.opts.taken(int(action.key))
        else:
            raise RemoteProtocolError(f"the reply to our {_NAMES[action.purpose]} is empty")

    def _polled(self, message: Message, body: bytes, now: float) -> None:
        if isinstance(message, Response):
            self._drained = 0
            self._next_poll = now + self._interval()
            accepted(message.response, "our poll")
            # The list in a reply that we never got is not sent again by every VTN.
            self._synchronise = self._synchronise or self._list_missed
            return
        self._drained += 1
        drains = self._drained < self._drain_limit
        reply = self._take(message, body, now)
        if reply is not None:
            service = SERVICE_OF.get(type(message), "EiEvent")
            data = reply if isinstance(reply, bytes) else self._seal.encoded(reply)
            self._owe(service, data)
        self._next_poll = now + (self._drain_spacing if drains else self._interval())
        if not drains:
            self._drained = 0

    def _take(self, message: Message, body: bytes, now: float) -> Message | bytes | None:
        """Do what the VTN asks; the answer that is owed, which for events is ready made."""
        taken = self._inbox.take(message, body, now)
        self._announce = self._announce or taken.announce
        if taken.register:
            self._standing.wants_again()
        if taken.ended:
            self._end(by_vtn=True)
        if taken.asked is not None:
            self._tell(activity.asked(taken.asked[0], taken.asked[1].response_code))
        return taken.answer

    def _answer_late(self, event_id: str, opt_type: OptType) -> None:
        event = self.handler.get_event(event_id)
        try:
            answer = self.handler.set_opt(event_id, opt_type)
        except LocalProtocolError as error:  # it has gone meanwhile, and needs no answer
            _log.info("no answer to event %r: %s", event_id, error)
        else:
            if event is None or event.response_required != "never":  # E02
                self._owe("EiEvent", answer)
        if self.decisions is not None:
            self.decisions.settled(event_id)

    # -- the replies, one by one ----------------------------------------------------------------

    def _expect_event_list(self, message: Message, body: bytes, now: float) -> None:
        if isinstance(message, Response):  # some say "nothing" this way
            accepted(message.response, "our request for events")
        else:
            expect(message, DistributeEvent)
            if self._lists_pushed != self._lists_asked_after:
                return  # asked again: taken now it would cancel what only the newer list has
            reply = self._inbox.take_events(body)
            if reply is not None:
                self._owe("EiEvent", reply)
        self._synchronised(now)

    def _synchronised(self, now: float) -> None:
        self._synchronise = self._list_missed = False
        self._next_poll = now + self._interval()

    def _registered(self, reply: CreatedPartyRegistration, now: float) -> None:
        before = self.registration.registered
        if before is None:
            self.opts.tell_again()
        found = self._standing.created(reply, also=self.reports.NOT_ANNOUNCED)
        if found is None:
            return
        self.handler.rename(found.ven_id)
        self._owed.readdress(self._addressed)
        self._announce = self._synchronise = True  # P08, L06
        self._next_poll = now + self._interval()
        interval = self._interval() if self.registration.settings.polls else None
        again = before is not None
        self._tell(activity.registered(found, again=again, poll_interval=interval))

    def _end_answered(self, message: Message) -> None:
        self._standing.end_answered(message)
        wanted = self._standing.is_to_end
        self._end()
        if not wanted:  # by now we are to register again
            self.register()

    def _announced(self, reply: RegisteredReport, now: float) -> None:
        self._announce = reply.response.ok  # until all that it brings is stored
        accepted(reply.response, "our reports")
        self.reports.announced()
        self._tell(activity.announced(self.reports.sources))
        outcome = self.reports.request(reply.report_requests, now, announced=True)
        self._announce = False
        if reply.report_requests:
            self._tell(activity.asked(reply.report_requests, outcome.response_code))
            # A request for METADATA in the reply to it has been fulfilled a moment ago.
            request_id = reply.response.request_id
            response = EiResponse(outcome.response_code, outcome.description, request_id)
            answer = CreatedReport(response, self.reports.pending, self._ven_id)
            self._owe("EiReport", self._seal.encoded(answer))

    def _delivered(self, action: Request, reply: UpdatedReport, now: float) -> None:
        delivery = self.reports.due()
        if reply.cancel_report is not None:
            cancel = reply.cancel_report
            self.reports.cancel(cancel.report_request_ids, cancel.report_to_follow, now)
        accepted(reply.response, "our report")
        self.reports.delivered(int(action.key))
        # Its request may have been cancelled by a push meanwhile, and the next report be the oldest.
        if delivery is not None and delivery.number == int(action.key):
            self._tell(activity.delivered(delivery.report, self.reports.waiting))

    # -- what the application asks --------------------------------------------------------------

    def register(self) -> None:
        """Register, or register again, for instance because our address has changed.

        Raises:
            StoreError: it could not be stored; nothing has changed.
        """
        self._standing.register()
        self._tries.forget()

    @property
    def is_settled(self) -> bool:
        """Whether we are registered, have the VTN's events, and owe it no answer."""
        asks = self._standing.is_wanted or self._announce or self._synchronise
        return self.phase == "registered" and not asks and not self._owed

    def reconnect(self) -> None:
        """There is a new way to the VTN: try at once."""
        self._tries.reached()

    def synchronise(self) -> None:
        """Ask the VTN for its events, soon: what it pushed may have been missed (L06)."""
        self._synchronise = self.registration.registered is not None

    def shift_clock(self, by: float) -> None:
        """The clock was set by so many seconds: what was to come keeps its distance, not its hour.

        Not so samples and reports, which the VTN wants at their hour.
        """
        self._next_poll += by
        self._tries.shift(by)
        if self.decisions is not None:
            self.decisions.shift(by)

    def cancel_registration(self) -> None:
        """Have the VTN end our registration (P11), as long as this process lasts.

        The next one registers, whether this came to its end or not; :meth:`withdraw` lasts.

        Raises:
            LocalProtocolError: we are not registered.
        """
        self._standing.end()

    def withdraw(self) -> None:
        """End our registration, and begin none until :meth:`register`, over a restart too (P11).

        We are registered until the VTN has said so, however long it takes to reach it.

        Raises:
            StoreError: it could not be stored; nothing has changed.
        """
        has_none = self._standing.withdraw()
        self._tries.forget()
        if has_none:
            self._end()

    def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event; an oadrCreatedEvent tells the VTN (facts.md E06).

        Raises:
            LocalProtocolError: no such event is held.
            StoreError: it could not be stored; nothing has changed.
        """
        self._owe("EiEvent", self.handler.set_opt(event_id, opt_type, vtn_id))
        if self.decisions is not None:
            self.decisions.settled(event_id)

    def create_opt(
        self,
        event: Event,
        opt_type: OptType,
        now: float,
        *,
        reason: str = "notParticipating",
        targets: Targets | None = None,
        opt_id: str | None = None,
    ) -> str:
        """Qualify an opt with an oadrCreateOpt (O01); the optID, which is ours to choose.

        Raises:
            LocalProtocolError: as for :meth:`oadr2.services.opt_service.OptService.create_for_event`.
            StoreError: it could not be stored; nothing is to be sent.
        """
        return self.opts.create_for_event(
            event, opt_type, now, reason=reason, targets=targets, opt_id=opt_id
        )

    def create_availability(
        self,
        opt_type: OptType,
        periods: Sequence[Period],
        now: float,
        *,
        reason: str = "x-schedule",
        market_context: str | None = None,
        targets: Targets | None = None,
        opt_id: str | None = None,
    ) -> str:
        """Say when the loads are available, or are not (O02, O04); the optID, which is ours to choose.

        Raises:
            LocalProtocolError: as for :meth:`oadr2.services.opt_service.OptService.create_schedule`.
            StoreError: it could not be stored; nothing is to be sent.
        """
        return self.opts.create_schedule(
            opt_type, periods, now,
            reason=reason, market_context=market_context, targets=targets, opt_id=opt_id,
        )  # fmt: skip

    def cancel_opt(self, opt_id: str) -> None:
        """Take an opt back with an oadrCancelOpt (O06).

        Raises:
            LocalProtocolError: there is no such opt.
            StoreError: it could not be stored; nothing has changed.
        """
        self.opts.cancel(opt_id)

    # -- inside ---------------------------------------------------------------------------------

    @property
    def _ven_id(self) -> str:
        return self.registration.ven_id or self.handler.ven_id

    def _interval(self) -> float:
        return self.registration.poll_interval

    def _id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    def _request(
        self, service: Service, message: Message, purpose: Purpose, key: str = ""
    ) -> Request:
        return Request(service, self._seal.encoded(message), purpose, key)

    def _addressed(self, message: Message) -> Message:
        """What has waited, under the venID that we have now."""
        if getattr(message, "ven_id", None) in (None, self._ven_id):
            return message
        has_one: Any = message
        addressed: Message = replace(has_one, ven_id=self._ven_id)
        return addressed

    def _owe(self, service: Service, data: bytes) -> None:
        """Queue an answer."""
        request = Request(service, data, "answer", str(next(self._answer_numbers)))
        if self._owed.put(request) is not None:
            _log.error("too many answers wait for the VTN; the oldest is dropped")

    def _sealed(self, message: Message) -> bytes:
        return self._seal.signed(self._seal.encoded(message))

    def _response(self, code: int, text: str, to: Message | None) -> Response:
        return Response(EiResponse(code, text, getattr(to, "request_id", "")), self._ven_id, "2.0b")

    def _retry_or_drop(self, action: Request, now: float) -> None:
        """After a refusal or an unreadable reply: an answer is given up, a question asked again."""
        if action.purpose == "answer":
            self._owed.done(action.key)
        elif action.purpose == "report":
            # The VTN has it and does not want it; another try would be refused as well.
            self.reports.delivered(int(action.key))
        elif action.purpose == "poll":
            self._list_missed = True
            self._next_poll = max(self._next_poll, now + self._interval())
        elif action.purpose == "query":
            self._standing.queried()
        elif action.purpose != "announce" or self._announce:
            if action.purpose == "opt":
                self.opts.postpone(int(action.key))
            self._tries.failed(action.purpose, now)

    def _forgotten(self, now: float) -> None:
        """The VTN does not know us any more (463): register anew, as if for the first time."""
        pause = self._standing.forgotten()
        self._owed.clear()  # the events are asked for again, and the rest was owed to nobody else
        if pause:
            self._tries.failed("register", now, pause)
        self._tell(activity.unregistered())

    def _end(self, *, by_vtn: bool = False) -> None:
        """The registration is over (P09)."""
        parts = (self.reports, self.opts)
        also = {key: None for part in parts for key in part.to_forget()}
        self._standing.ended(also, by_vtn=by_vtn)
        for part in parts:
            part.forgotten()
        self._owed.clear()
        self._tell(activity.cancelled())

    def _tell(self, told: Activity) -> None:
        _log.info("%s", told.text)
        if self._on_activity is None:
            return
        try:
            self._on_activity(told)
        # The application's own code; what it was told of has happened all the same.
        except Exception:
            _log.exception("on_activity failed")

    def _hear(self) -> None:
        try:
            self._on_heard()
        except Exception:  # likewise; the answers are owed all the same
            _log.exception("on_heard failed")


_NAMES: Final[dict[Purpose, str]] = {
    "query": "oadrQueryRegistration",
    "register": "oadrCreatePartyRegistration",
    "cancel": "oadrCancelPartyRegistration",
    "announce": "oadrRegisterReport",
    "synchronise": "oadrRequestEvent",
    "poll": "oadrPoll",
}
