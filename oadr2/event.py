"""Which events this VEN holds and what it answers: :class:`EventHandler`.

The decisions are made by the compiled event table (``oadr2._core.table``); this module gives it a
clock, a store, listeners and a log.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from os import PathLike
from typing import Any, Final, Literal, TypeAlias, get_args, overload

from oadr2._core.table import CHANGED, EventTable, as_bytes
from oadr2.changes import Change, ChangeKind, EventCallback, Listeners
from oadr2.errors import ConfigurationError, LocalProtocolError, RemoteProtocolError, StoreError
from oadr2.model import Event, OptType, Profile
from oadr2.policy import VtnPolicy
from oadr2.store import EventStore, StoredEvent

__all__ = ["Change", "ChangeKind", "EventHandler", "EventPhase", "EventState"]

log = logging.getLogger(__name__)

EventPhase: TypeAlias = Literal["pending", "running", "ending"]

# As the table gives them: vtnID, eventID, modificationNumber, response code, reason.
_Refusal: TypeAlias = tuple[str, str, int, int, str]
# The fields of StoredEvent.
_StoredRow: TypeAlias = tuple[str, str, int, OptType, str, bytes, int, int | None, str, int]

# How many refused event versions are remembered, so that each is logged once and not at each poll.
_REFUSALS_REMEMBERED: Final = 1000


@dataclass(frozen=True, slots=True)
class EventState:
    """One event the VEN holds, as it stands.

    Attributes:
        phase: ``ending`` is a cancelled event that runs until its random termination time (R04).
        start, end: with the random offset (R01, R02), in UTC; no ``end``: open-ended.
        level: of the SIMPLE signal while the event runs, whatever its opt, else None.
        request_id: of the VTN's list that carried the event last.
    """

    event: Event
    vtn_id: str
    opt_type: OptType
    phase: EventPhase
    start: datetime
    end: datetime | None
    level: float | None
    request_id: str


class EventHandler:
    """Takes the VTN's event lists, keeps the events, builds the answers.

    Thread-safe: every method holds :attr:`lock` while it works on the events. Callbacks run after
    the events were changed (and stored), without the lock, one at a time and in order; what they
    raise is logged and goes no further. ``opt_callback`` is the exception: it is asked before
    anything is changed, and with the lock held, so it must not wait for another thread that uses
    this handler.

    Args:
        ven_id: our id, as the VTN knows it.
        vtn_ids, market_contexts: those accepted, as a sequence or one text with commas; None: any.
        group_id, resource_id, party_id: our other names as a target, one text or a sequence.
        oadr_profile_level: ``"2.0a"`` or ``"2.0b"``, for requests; answers follow the list.
        event_callback: ``event_callback(updated, removed)``, two dictionaries of events by id.
        db_path: file that keeps events over a restart (see :class:`oadr2.store.EventStore`).
        policy: what the VTN does differently.
        supported_signals: names of the signals this VEN can follow; others are passed over.
        default_opt: the opt of a new event when ``opt_callback`` says nothing.
        opt_callback: ``opt_callback(event)`` gives ``"optIn"``, ``"optOut"`` or None; asked for new
            and modified events. A StoreError that it raises fails the whole list.
        clock: seconds since 1970.
        seed: makes request ids and random offsets repeatable, for tests.

    Raises:
        ConfigurationError: an argument is wrong; the message names it.
        StoreError: the file cannot be opened or read.
    """

    def __init__(  # noqa: PLR0917  the seed package's order
        self,
        ven_id: str,
        vtn_ids: str | Iterable[str] | None = None,
        market_contexts: str | Iterable[str] | None = None,
        group_id: str | Iterable[str] | None = None,
        resource_id: str | Iterable[str] | None = None,
        party_id: str | Iterable[str] | None = None,
        oadr_profile_level: str = "2.0a",
        event_callback: EventCallback | None = None,
        db_path: str | PathLike[str] | None = None,
        *,
        policy: VtnPolicy = VtnPolicy(),  # noqa: B008  frozen, so one instance may be shared
        supported_signals: str | Sequence[str] = ("SIMPLE",),
        default_opt: OptType = "optIn",
        opt_callback: Callable[[Event], OptType | None] | None = None,
        clock: Callable[[], float] = time.time,
        seed: int | None = None,
    ) -> None:
        if not isinstance(ven_id, str) or not ven_id:
            raise ConfigurationError(f"ven_id is {ven_id!r}: give the id the VTN knows this VEN by")
        if oadr_profile_level not in get_args(Profile):
            raise ConfigurationError(
                f'oadr_profile_level is {oadr_profile_level!r}: use "2.0a" or "2.0b"'
            )
        if default_opt not in get_args(OptType):
            raise ConfigurationError(f'default_opt is {default_opt!r}: use "optIn" or "optOut"')
        self.ven_id = ven_id
        self._kept_as = ven_id  # in the store, whatever the VTN calls us
        self.oadr_profile_level = oadr_profile_level
        self.policy = policy
        self.lock = threading.RLock()
        self._clock = clock
        self._opt_callback = opt_callback
        # Spreads loads and tells requests apart; nothing that an attacker gains by guessing.
        self._random = random.Random(seed)  # noqa: S311
        self._table = EventTable(
            ven_id,
            policy,
            vtn_ids=_split(vtn_ids, "vtn_ids"),
            market_contexts=_split(market_contexts, "market_contexts"),
            group_ids=_names(group_id, "group_id"),
            resource_ids=_names(resource_id, "resource_id"),
            party_ids=_names(party_id, "party_id"),
            signals=_names(supported_signals, "supported_signals"),
            default_opt=default_opt,
            seed=self._random.getrandbits(64),
        )
        try:
            self._table.request(oadr_profile_level)
        except LocalProtocolError as error:
            raise ConfigurationError(f"ven_id cannot be written into XML: {error}") from None
        self._listeners = Listeners(self.lock, event_callback)
        self._untold = self._listeners.waiting
        self._refused: dict[tuple[str, str], _Refusal] = {}
        # Rows that time has changed and the store has not been told of.
        self._unsaved: set[tuple[str, str]] = set()
        self._store: EventStore | None = None
        if db_path is not None:
            self._store = EventStore(db_path)
            try:
                self._restore(self._store)
            except BaseException:
                self._store.close()
                raise

    # -- what a transport calls -------------------------------------------------------------------

    @overload
    def handle_payload(self, payload: bytes | bytearray | memoryview) -> bytes | None: ...

    @overload
    def handle_payload(self, payload: Any) -> Any: ...

    def handle_payload(self, payload: Any) -> Any:
        """Take one message of the VTN; what to send back, or None when nothing is due.

        Bytes give bytes; an lxml element gives an lxml element. The reply to a list is one
        oadrCreatedEvent with an answer for each event that wants one (facts.md E01-E04), sent only
        once everything it promises is stored. An oadrResponse with a code of 2xx gives None.

        Raises:
            RemoteProtocolError: not a payload, not a message a VEN takes, or an answer of the VTN
                that reports an error (its code is ``response_code``); with ``policy.strict`` also a
                message that is not valid by the schema. Nothing was changed.
            StoreError: the events could not be stored. Nothing was changed.
            TypeError: the payload is neither bytes-like nor an element.
        """
        if type(payload) is not bytes:
            if hasattr(payload, "tag"):
                reply = self.handle_payload(_bytes_from_element(payload))
                return None if reply is None else _element_from_bytes(reply)
            payload = as_bytes(payload)
        # One call of the compiled core, in which no other thread runs: it needs no lock.
        reply = self._table.unchanged(payload, self._clock())
        if reply is CHANGED:
            with self.lock:
                reply = self._take(payload, self._clock())
        if self._untold:
            self._listeners.tell()
        return reply

    @overload
    def build_request_payload(self, as_element: Literal[False] = False) -> bytes: ...

    @overload
    def build_request_payload(self, as_element: Literal[True]) -> Any: ...

    @overload
    def build_request_payload(self, as_element: bool) -> Any: ...

    def build_request_payload(self, as_element: bool = False) -> Any:
        """An oadrRequestEvent with a fresh requestID, as bytes or lxml element (facts.md E53)."""
        data = self._table.request(self.oadr_profile_level, self.policy.reply_limit)
        return _element_from_bytes(data) if as_element else data

    # -- what is held -----------------------------------------------------------------------------

    def get_event(self, event_id: str, vtn_id: str | None = None) -> Event | None:
        """The event held under this id, of this VTN or of any; None also for a finished one."""
        with self.lock:
            return self._table.event(event_id, vtn_id)

    def get_active_events(self) -> list[Event]:
        """Every event held, pending or running, in order of arrival."""
        with self.lock:
            return self._table.events()

    def get_states(self, now: float | None = None) -> list[EventState]:
        """Every event held, with its times, opt and level at `now` (seconds since 1970)."""
        with self.lock:
            rows = self._table.states(self._clock() if now is None else now)
        return [EventState(*row) for row in rows]

    def current_level(self, now: float | None = None) -> tuple[float, str | None]:
        """(level, event id) of the event that rules at `now`, or (0, None) (facts.md E43-E46)."""
        with self.lock:
            return self._table.level(self._clock() if now is None else now)

    @property
    def next_deadline(self) -> float | None:
        """When :meth:`advance` has something to do next: seconds since 1970, or None for never."""
        with self.lock:
            return self._table.next_deadline

    # -- what the application does ----------------------------------------------------------------

    def advance(self, now: float | None = None) -> tuple[Change, ...]:
        """Let time pass: events start, step, end. What has changed; callbacks hear of it too."""
        with self.lock:
            changes = self._advance(self._clock() if now is None else now, wanted=True)
        if self._untold:
            self._listeners.tell()
        return changes

    def remove_events(self, ids: str | Iterable[str]) -> None:
        """Forget the events with these ids, of every VTN. One that is listed again comes as new.

        Raises:
            StoreError: nothing was changed.
        """
        with self.lock:
            keys = self._table.keys([ids] if isinstance(ids, str) else ids)
            if keys:
                self._save((), keys, ())
                self._table.remove(keys)
                self._collect()
        if self._untold:
            self._listeners.tell()

    def set_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> bytes:
        """Change our mind about one event; the oadrCreatedEvent to send to the VTN (facts.md E06).

        The message is made for events that ask for no response as well: whether to send it is the
        caller's choice then.

        Raises:
            LocalProtocolError: no such event (or several, without ``vtn_id``), no such opt, or the
                event is being cancelled. Nothing was changed.
            StoreError: nothing was changed.
        """
        with self.lock:
            now = self._clock()
            self._advance(now)
            row = self._table.opt_write(event_id, opt_type, vtn_id)
            self._save((row,), (), ())
            reply = self._table.set_opt(event_id, opt_type, now, vtn_id)
            self._collect()
            self._advance(now)  # joining in is a start
        if self._untold:
            self._listeners.tell()
        return reply

    def rename(self, ven_id: str) -> None:
        """Be known to the VTN by another id from now on (facts.md 3.1); the events stay as they are.

        The store goes on under the id this handler was made with.

        Raises:
            LocalProtocolError: the id is empty.
        """
        if not ven_id:
            raise LocalProtocolError("a venID cannot be empty")
        with self.lock:
            if ven_id != self.ven_id:
                self._table.rename(ven_id)
                self.ven_id = ven_id

    @property
    def store(self) -> tuple[EventStore, str] | None:
        """The store opened for ``db_path`` and the id it keeps this VEN under, for other services."""
        return None if self._store is None else (self._store, self._kept_as)

    def subscribe(self, function: Callable[[tuple[Change, ...]], object]) -> Callable[[], None]:
        """Have ``function(changes)`` called after every change; call the result to end that."""
        return self._listeners.subscribe(function)

    def close(self) -> None:
        """Close the store, if there is one; the handler is of no use afterwards."""
        with self.lock:
            if self._store is not None:
                self._store.close()

    # -- inside; the lock is held -----------------------------------------------------------------

    def _take(self, data: bytes, now: float) -> bytes | None:
        table = self._table
        if table.advance(now):
            self._time_has_changed()
        strict = self.policy.strict
        if self._store is None and self._opt_callback is None and not strict:
            reply = table.handle(data, now, self._random.getrandbits(64))
            refusals = table.refusals()
        else:
            seed = self._random.getrandbits(64)
            asked: dict[tuple[str, int], OptType] = {}
            plan = table.plan(data, now, seed)
            if strict:
                _require_valid(data)
            while self._ask(plan.questions(), plan.set_opt, asked) and not table.is_current(plan):
                plan = table.plan(data, now, seed)  # the callback has changed what we hold
            reply = table.reply(plan)
            if self._store is not None and plan.changes_state:
                self._save(*table.writes(plan))
            table.commit(plan)
            refusals = plan.refusals()
        if refusals or table.change_count:
            self._collect(self._new_refusals(refusals) if refusals else ())
        if table.advance(now):  # what is new may run already
            self._time_has_changed()
        return reply

    def _ask(
        self,
        questions: list[tuple[int, bool, Event, OptType]],
        set_opt: Callable[[int, OptType], None],
        asked: dict[tuple[str, int], OptType],
    ) -> bool:
        """Decide the opt of each event, asking once for each; True when somebody was asked."""
        if self._opt_callback is None:
            return False
        for index, _, event, default in questions:
            key = (event.event_id, event.modification_number)
            if key not in asked:
                asked[key] = default
                try:
                    opt = self._opt_callback(event)
                except StoreError:  # what was asked could not be remembered
                    raise
                except Exception:  # the application's own code; the event counts all the same
                    log.exception("opt_callback failed for event %r: %s", event.event_id, default)
                    opt = None
                if opt is not None and opt not in get_args(OptType):
                    log.error("opt_callback gave %r for event %r: %s", opt, event.event_id, default)
                elif opt is not None:
                    asked[key] = opt
            set_opt(index, asked[key])
        return bool(questions)

    def _advance(self, now: float, wanted: bool = False) -> tuple[Change, ...]:
        return self._time_has_changed(wanted) if self._table.advance(now) else ()

    def _time_has_changed(self, wanted: bool = False) -> tuple[Change, ...]:
        """Store and pass on what :meth:`EventTable.advance` has found; ``wanted``: in any case."""
        if not (wanted or self._store is not None or self._listeners.are_there()):
            self._table.drop_changes()
            return ()
        if self._store is not None:
            self._unsaved.update(self._table.ended())
            try:
                self._save((), (), ())
            except StoreError as error:
                # Time cannot be undone, and a restart finds out the same from the clock.
                log.warning("the end of an event is not stored yet: %s", error)
        changes = tuple(Change(*row) for row in self._table.take_changes())
        self._listeners.publish(changes)
        return changes

    def _collect(self, refused: tuple[Change, ...] = ()) -> None:
        """Pass on what the table has changed, if anybody listens."""
        if self._table.change_count:
            if self._listeners.are_there():
                rows = self._table.take_changes()
                refused = (*refused, *(Change(*row) for row in rows))
            else:
                self._table.drop_changes()
        self._listeners.publish(refused)

    def _new_refusals(self, refusals: Sequence[_Refusal]) -> tuple[Change, ...]:
        """Log what is refused or odd, once for each version of an event and not at each poll."""
        found = []
        for refusal in refusals:
            vtn_id, event_id, number, code, reason = refusal
            key = (vtn_id, event_id)
            if self._refused.get(key) == refusal:
                continue
            self._refused.pop(key, None)
            if len(self._refused) >= _REFUSALS_REMEMBERED:
                del self._refused[next(iter(self._refused))]
            self._refused[key] = refusal
            if code == 200:  # answered as usual, yet not what the VTN may think
                log.warning(
                    "event %r of VTN %r, modification %d: %s", event_id, vtn_id, number, reason
                )
            elif event_id:
                log.warning(
                    "event %r of VTN %r, modification %d, refused with %d: %s",
                    event_id,
                    vtn_id,
                    number,
                    code,
                    reason,
                )
                found.append(Change("refused", vtn_id, event_id, number, "optOut", None, reason))
            else:
                log.warning("list of VTN %r: %s, code %d", vtn_id, reason, code)
        return tuple(found)

    # -- the store --------------------------------------------------------------------------------

    def _save(
        self,
        put: Iterable[_StoredRow],
        delete: Iterable[tuple[str, str]],
        request_ids: Iterable[tuple[str, str, str]],
    ) -> None:
        """Write rows, and what earlier writes could not; StoreError and nothing written."""
        if self._store is None:
            return
        puts = [StoredEvent(*row) for row in put]
        deletes = list(delete)
        settled = {(row.vtn_id, row.event_id) for row in puts}.union(deletes)
        for key in self._unsaved - settled:
            row = self._table.row(*key)
            if row is None:
                deletes.append(key)
            else:
                puts.append(StoredEvent(*row))
        self._store.apply(self._kept_as, puts, deletes, request_ids)
        self._unsaved.clear()

    def _restore(self, store: EventStore) -> None:
        for stored in store.load(self._kept_as):
            try:
                self._table.restore(
                    stored.vtn_id,
                    stored.event_id,
                    stored.modification_number,
                    stored.opt_type,
                    stored.request_id,
                    stored.raw,
                    stored.start_offset_us,
                    stored.terminate_at_us,
                    stored.phase,
                    stored.sequence,
                )
            except (ValueError, KeyError, OverflowError, RemoteProtocolError) as error:
                log.error(  # noqa: TRY400  one line says it all
                    "event %r of VTN %r in %s cannot be restored and stays there: %s",
                    stored.event_id,
                    stored.vtn_id,
                    store.path,
                    error,
                )


def _names(value: str | Iterable[str] | None, setting: str) -> tuple[str, ...]:
    """One id or several; each without blanks around it, empty ones left out."""
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else list(value)
    for text in texts:
        if not isinstance(text, str):
            raise ConfigurationError(f"{setting} holds {text!r}: ids are texts")
    return tuple(text.strip() for text in texts if text.strip())


def _split(value: str | Iterable[str] | None, setting: str) -> tuple[str, ...]:
    """Like :func:`_names`, but one text may hold several ids with commas between."""
    return _names(value.split(",") if isinstance(value, str) else value, setting)


def _require_valid(data: bytes) -> None:
    from oadr2 import schema  # noqa: PLC0415  only who is strict needs lxml

    schema.require_valid(data)


def _bytes_from_element(element: Any) -> bytes:
    from lxml import etree  # noqa: PLC0415  only who uses elements needs lxml

    data: bytes = etree.tostring(element, encoding="UTF-8", with_tail=False)
    return data


def _element_from_bytes(data: bytes) -> Any:
    from lxml import etree  # noqa: PLC0415  only who uses elements needs lxml

    return etree.fromstring(data)
