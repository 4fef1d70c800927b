"""The simulated VTN: who asked, what is sent, who answered what.

:class:`SimulatedVtn` is sans-I/O: :meth:`SimulatedVtn.handle` takes the bytes of a request and
returns the bytes of the reply. It plays the VTN's side of the EiEvent service (facts.md 2), in both
profiles.
"""

from __future__ import annotations

import itertools
import logging
import re
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal, TypeAlias, Unpack
from xml.parsers import expat

from oadr2 import decode, encode
from oadr2.errors import RESPONSE_CODES, LocalProtocolError, RemoteProtocolError
from oadr2.model import (
    CreatedEvent,
    DistributeEvent,
    EiResponse,
    Event,
    EventResponse,
    Message,
    Profile,
    RequestEvent,
    Response,
    Targets,
)
from oadr2.services.seal import PayloadSigner, PayloadVerifier
from oadr2.sim.event_list import EventList
from oadr2.sim.event_spec import EventSettings
from oadr2.sim.exchange import Answer, Exchange, ListedEvent, Refusal

logger = logging.getLogger(__name__)

Profiles: TypeAlias = Literal["2.0a", "2.0b", "both"]

# Ids that need no escaping are put into a prepared reply as they are.
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.:@/+=-]*").fullmatch


@dataclass(frozen=True, slots=True)
class _Codes:
    """The response codes used for each kind of refusal (facts.md 2.9)."""

    unknown_ven: int
    unknown_event: int
    modification_number: int
    not_recognized: int
    invalid: int


_CODES: Final[dict[Profile, _Codes]] = {
    "2.0a": _Codes(404, 404, 406, 400, 400),
    "2.0b": _Codes(463, 452, 450, 453, 454),
}


def _is_well_formed(data: bytes) -> bool:
    """Whether a body the decoder refused is XML at all. A document type counts as no."""
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_: object) -> None:
        raise expat.ExpatError("document type")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError):  # also unknown and multi-byte encodings
        return False
    return True


class SimulatedVtn:
    """A VTN with a list of events. Thread-safe; every method may be called from any thread.

    Args:
        vtn_id: the vtnID it sends.
        profile: which profiles it speaks: "2.0a", "2.0b" or "both".
        clock: gives the time in seconds since the epoch.
        request_ids: gives the requestID of each list; "list-1", "list-2", ... without it.
        known_vens: the VENs it serves, with their groups and resources; None serves every VEN.
        reply_to_created: "response" answers an oadrCreatedEvent with an oadrResponse, "empty" with
            an empty body (field-notes.md 5).
        wrap_20b: put 2.0b messages inside oadrPayload.
        signer, verifier: sign what is sent in 2.0b, and take only what is signed (facts.md 3.6).
        keep_answers: how many ``answers`` and ``refusals`` are kept; None keeps all.
        remember_vens: keep how often each VEN polled and its last answers. False is for load tests:
            memory then does not grow with VENs, except by those that acknowledged a cancellation.
    """

    def __init__(
        self,
        vtn_id: str = "vtn",
        profile: Profiles = "both",
        *,
        clock: Callable[[], float] = time.time,
        request_ids: Callable[[], str] | None = None,
        known_vens: Mapping[str, Targets] | Iterable[str] | None = None,
        reply_to_created: Literal["response", "empty"] = "response",
        wrap_20b: bool = True,
        signer: PayloadSigner | None = None,
        verifier: PayloadVerifier | None = None,
        keep_answers: int | None = None,
        remember_vens: bool = True,
    ) -> None:
        if profile not in ("2.0a", "2.0b", "both"):
            raise LocalProtocolError(f'profile {profile!r} is none of "2.0a", "2.0b", "both"')
        if signer is not None and not wrap_20b:
            raise LocalProtocolError("only wrapped messages are signed: wrap_20b is off")
        self.vtn_id = vtn_id
        self.profiles: tuple[Profile, ...] = ("2.0a", "2.0b") if profile == "both" else (profile,)
        self.reply_to_created = reply_to_created
        self.wrap_20b = wrap_20b
        self._signer = signer
        self._verifier = verifier
        #: Called after each exchange, outside the lock; what it raises is logged.
        self.on_message: Callable[[Exchange], None] | None = None
        numbers = itertools.count(1)
        self._request_ids = request_ids or (lambda: f"list-{next(numbers)}")
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._list = EventList(vtn_id, self.profiles, self._encode, clock, remember_vens)
        self._remember = remember_vens
        self._answers: deque[Answer] = deque(maxlen=keep_answers)
        self._last: dict[tuple[str, str], Answer] = {}
        self._refusals: deque[Refusal] = deque(maxlen=keep_answers)
        self._polls: Counter[str] = Counter()
        self.set_known_vens(known_vens)

    # Events

    def add_event(self, event_id: str | None = None, **settings: Unpack[EventSettings]) -> str:
        """Add an event, see :class:`EventSettings`; returns its id. The start is now unless given.

        An id that was listed before goes on with the next modification number.

        Raises:
            LocalProtocolError: a setting is wrong, or the id is in use.
        """
        if event_id is None:
            event_id = f"event-{uuid.uuid4().hex[:12]}"
        if not event_id:
            raise LocalProtocolError("event_id is empty")
        with self._changing():
            self._list.add(event_id, settings)
        return event_id

    def modify_event(self, event_id: str, **changes: Unpack[EventSettings]) -> int:
        """Change settings of an event and raise its modification number, which is returned.

        Raises:
            LocalProtocolError: a setting is wrong, or the event is unknown, over or cancelled.
        """
        with self._changing():
            return self._list.modify(event_id, changes)

    def cancel_event(self, event_id: str) -> int:
        """Cancel an event: it stays listed until acknowledged or over (facts.md 2.1, H50, H52).

        Returns its modification number, one higher than before.

        Raises:
            LocalProtocolError: the event is unknown, over or cancelled already.
        """
        with self._changing():
            return self._list.cancel(event_id)

    def remove_event(self, event_id: str) -> None:
        """Drop an event from the list without a word: VENs see an implied cancel (facts.md H61).

        Raises:
            LocalProtocolError: the event is unknown or over.
        """
        with self._changing():
            self._list.remove(event_id)

    def get_event(self, event_id: str) -> Event | None:
        """The event as listed now; None when it is unknown or over."""
        with self._lock:
            return self._list.event(event_id)

    @property
    def events(self) -> tuple[Event, ...]:
        """Every event listed now, in the order of the list."""
        with self._lock:
            return self._list.events()

    @property
    def revision(self) -> int:
        """Grows with every change of an event or of who is known."""
        return self._list.revision

    def now(self) -> datetime:
        """The VTN's time."""
        return self._list.now()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """The lock; whoever waits for a change hears of it, unless it fails."""
        with self._changed:
            yield
            self._changed.notify_all()

    # VENs

    def set_known_vens(self, vens: Mapping[str, Targets] | Iterable[str] | None) -> None:
        """Serve these VENs and no others; None serves every VEN.

        The Targets of a VEN are what it belongs to: its groups, resources and parties.
        """
        with self._changing():
            self._list.set_vens(vens)

    def add_ven(self, ven_id: str, membership: Targets | None = None) -> None:
        """Say what a VEN belongs to; when only known VENs are served, serve it too."""
        with self._changing():
            self._list.add_ven(ven_id, membership or Targets())

    # What the VENs did

    @property
    def answers(self) -> list[Answer]:
        """The answers received, oldest first: a copy."""
        with self._lock:
            return list(self._answers)

    @property
    def refusals(self) -> list[Refusal]:
        """The lists VENs refused as a whole, oldest first: a copy."""
        with self._lock:
            return list(self._refusals)

    @property
    def polls(self) -> Counter[str]:
        """How often each VEN asked for its events: a copy."""
        with self._lock:
            return self._polls.copy()

    def last_answer(self, ven_id: str, event_id: str) -> Answer | None:
        """The latest answer of a VEN to an event."""
        with self._lock:
            return self._last.get((ven_id, event_id))

    def wait_for(self, predicate: Callable[[], object], timeout: float = 10.0) -> bool:
        """Wait until ``predicate()`` is true; it is asked after each message. False after ``timeout`` s."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: bool(predicate()), timeout))

    # The service

    def handle(self, data: bytes, profile: Profile) -> bytes:
        """Answer one request that came to the EiEvent service of ``profile``.

        Application errors are replies too. An empty reply is b"".

        Raises:
            RemoteProtocolError: the request is not well-formed XML, an error of the transport.
        """
        if profile != "2.0b":
            return self.answer(data, profile)
        try:
            body = self.opened(data)
        except RemoteProtocolError as error:
            self.require_well_formed(data, error)
            return self.signed(self._response(profile, "", error.response_code, str(error), ""))
        return self.signed(self.answer(body, profile))

    def opened(self, data: bytes) -> bytes:
        """What a message in 2.0b says for certain: all of it where nobody has to sign.

        Raises:
            RemoteProtocolError: it is not signed as it must be, or cannot be read.
        """
        if self._verifier is None:
            return data
        try:
            return self._verifier.verify(data)
        except RemoteProtocolError as error:
            self._tell("2.0b", "", None, error.response_code, error.reason)
            raise

    def signed(self, data: bytes) -> bytes:
        """What is to be sent in 2.0b, signed now if this VTN signs."""
        return data if self._signer is None or not data else self._signer.sign(data)

    def answer(self, data: bytes, profile: Profile) -> bytes:
        """The same as :meth:`handle` for a request that is to be believed; not signed."""
        codes = _CODES[profile]
        request: Message | None = None
        try:
            request = decode(data)
        except RemoteProtocolError as error:
            try:
                self.require_well_formed(data, error)
            except RemoteProtocolError:
                self._tell(profile, "", None, 400, error.reason)
                raise
            return self._refuse(profile, None, codes.invalid, str(error))
        if isinstance(request, RequestEvent | CreatedEvent):
            if request.profile != profile:
                reason = f"this is the {profile} service, the message is {request.profile}"
                return self._refuse(profile, request, codes.not_recognized, reason)
            if isinstance(request, RequestEvent):
                return self._distribute(request)
            return self._take_answers(request)
        name = getattr(request, "name", f"oadr{type(request).__name__}")
        reason = f"{name} is not for the EiEvent service of a VTN"
        return self._refuse(profile, request, codes.not_recognized, reason)

    @staticmethod
    def require_well_formed(data: bytes, error: RemoteProtocolError) -> None:
        """Raise the decoder's error again if the body is no XML at all, a fault of the transport."""
        if not _is_well_formed(data):
            raise error

    def knows(self, ven_id: str) -> bool:
        """Whether a VEN is served."""
        with self._lock:
            return self._list.serves(ven_id)

    def list_message_for(self, ven_id: str, profile: Profile) -> DistributeEvent:
        """A VEN's events as they are pushed to it, or polled; no request, so no eiResponse."""
        with self._changed:
            request_id = self._request_ids()
            message = self._list.prepared_for(ven_id, profile).message
        return replace(message, request_id=request_id, response=None)

    def list_for(self, ven_id: str, profile: Profile) -> bytes:
        """The bytes of :meth:`list_message_for`, to be sent now."""
        data = self._encode(self.list_message_for(ven_id, profile))
        return self.signed(data) if profile == "2.0b" else data

    def _distribute(self, request: RequestEvent) -> bytes:
        ven_id, profile = request.ven_id, request.profile
        with self._changed:
            list_id = self._request_ids()
            prepared = None
            if self._list.serves(ven_id):
                prepared = self._list.prepared_for(ven_id, profile, request.reply_limit)
            if self._remember:
                self._polls[ven_id] += 1
            self._changed.notify_all()
        if prepared is None:
            code = _CODES[profile].unknown_ven
            problem = f"venID {ven_id!r} is not known here"
            self._tell(profile, ven_id, request, code, problem)
            response = EiResponse(code, problem, request.request_id)
            return self._encode(DistributeEvent(self.vtn_id, list_id, (), response, profile))
        if self.on_message:
            self._tell(profile, ven_id, request, 200, events=prepared.listed)
        echo = request.request_id
        if _PLAIN_ID(echo) and _PLAIN_ID(list_id):
            return b"".join(
                (prepared.before, echo.encode(), prepared.between, list_id.encode(), prepared.after)
            )
        response = EiResponse(200, RESPONSE_CODES[200], echo)
        return self._encode(replace(prepared.message, request_id=list_id, response=response))

    def _take_answers(self, request: CreatedEvent) -> bytes:
        ven_id, profile, response = request.ven_id, request.profile, request.response
        codes = _CODES[profile]
        code, problem = 200, ""
        answers = []
        with self._changed:
            now = self._list.refreshed()
            if not self._list.serves(ven_id):
                code, problem = codes.unknown_ven, f"venID {ven_id!r} is not known here"
            elif not response.ok:
                self._refusals.append(Refusal(ven_id, response, now))
            elif not request.event_responses:  # facts.md H35
                code, problem = codes.invalid, "eventResponses is missing, eiResponse is no error"
            refused = problem
            for item in request.event_responses:
                wrong = refused
                if not refused:
                    number, wrong = self._check(codes, ven_id, item)
                    if wrong and not problem:
                        code, problem = number, wrong
                answer = Answer(
                    ven_id,
                    item.event_id,
                    item.modification_number,
                    item.opt_type,
                    item.response_code,
                    item.response_description,
                    item.request_id,
                    now,
                    wrong,
                )
                answers.append(answer)
                self._answers.append(answer)
                if self._remember:
                    self._last[ven_id, item.event_id] = answer
                if not answer.problem and 200 <= item.response_code <= 299:
                    self._list.acknowledge(ven_id, item.event_id, item.modification_number)
            self._changed.notify_all()
        self._tell(profile, ven_id, request, code, problem, answers=tuple(answers))
        if self.reply_to_created == "empty":
            return b""
        return self._response(profile, ven_id, code, problem, response.request_id)

    def _check(self, codes: _Codes, ven_id: str, item: EventResponse) -> tuple[int, str]:
        """Code 200, or another and why: a VTN checks id and number of each answer (facts.md H48).

        Any number that was ever listed will do, for the answer may cross a modification.
        """
        highest = self._list.number_sent(item.event_id, ven_id)
        if highest is None:
            return codes.unknown_event, f"eventID {item.event_id!r} is not known here"
        if item.modification_number > highest:
            return codes.modification_number, (
                f"modificationNumber {item.modification_number} of {item.event_id!r} "
                f"was never sent, {highest} was"
            )
        return 200, ""

    def _refuse(self, profile: Profile, request: Message | None, code: int, reason: str) -> bytes:
        ven_id = getattr(request, "ven_id", None) or ""
        request_id = getattr(request, "request_id", "")
        self._tell(profile, ven_id, request, code, reason)
        return self._response(profile, ven_id, code, reason, request_id)

    def _response(
        self, profile: Profile, ven_id: str, code: int, reason: str, request_id: str
    ) -> bytes:
        response = EiResponse(code, reason or RESPONSE_CODES[code], request_id)
        return self._encode(
            Response(response, ven_id if ven_id and profile == "2.0b" else None, profile)
        )

    def _encode(self, message: Message) -> bytes:
        return encode(message, wrap=self.wrap_20b)

    def _tell(
        self,
        profile: Profile,
        ven_id: str,
        request: Message | None,
        code: int,
        problem: str = "",
        *,
        events: tuple[ListedEvent, ...] = (),
        answers: tuple[Answer, ...] = (),
    ) -> None:
        if self.on_message is None:
            return
        exchange = Exchange(self.now(), profile, ven_id, request, code, problem, events, answers)
        try:
            self.on_message(exchange)
        except Exception:  # somebody else's code must not break the service
            logger.exception("on_message failed")
