"""Who decides about an event, now or later: :class:`Decisions` asks the application.

Until the decision is there, or the time limit is over, the VTN gets no answer to that event, and
this VEN runs it by the default. With a :class:`oadr2.services.state.ServiceState` that outlives the
process the event is undecided after a restart as well, and is asked about again.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from oadr2.errors import StoreError
from oadr2.event import EventState
from oadr2.model import Event, OptType
from oadr2.services.state import MemoryState, ServiceState

_log = logging.getLogger("oadr2.ven")

Decision: TypeAlias = OptType | Literal["later"] | None
OnEvent: TypeAlias = Callable[[Event], Decision | Awaitable[Decision]]

_OPTS: Final = get_args(OptType)
_PREFIX: Final = "decision/"


def decision_key(event_id: str, modification_number: int) -> str:
    """What an undecided event is kept under. One for each version: a new one is stored before the event."""
    return f"{_PREFIX}{modification_number}/{event_id}"


@dataclass(slots=True)
class _Pending:
    """An event without a decision; ``until`` in seconds since 1970.

    Attributes:
        default: that it is run by meanwhile.
        unasked: the event, when it was restored and nobody has been asked since.
        future: brings the decision.
    """

    event_id: str
    modification_number: int
    until: float
    default: OptType
    opt_type: OptType | None = None
    unasked: Event | None = None
    future: asyncio.Future[Decision] | None = None

    @property
    def key(self) -> str:
        """Where it is kept."""
        return decision_key(self.event_id, self.modification_number)

    def kept(self) -> str:
        """What is stored."""
        names = ("event_id", "modification_number", "until", "default")
        return json.dumps({name: getattr(self, name) for name in names})


class Decisions:
    """Asks ``on_event`` about each new or modified event. To be used on one event loop.

    Args:
        on_event: ``on_event(event)`` gives ``"optIn"`` or ``"optOut"``, None for the default, ``"later"``
            when :meth:`decide` is going to be called, or is a coroutine function that takes its time.
            What it raises is logged; the default counts then.
        time_limit: seconds until the default is answered, however late the decision comes.
        default: the opt without a decision.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        on_event: OnEvent,
        *,
        time_limit: float = 60.0,
        default: OptType = "optIn",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._on_event = on_event
        self._time_limit = time_limit
        self._default: OptType = default
        self._clock = clock
        self._pending: dict[str, _Pending] = {}
        self._replaced: list[_Pending] = []
        self._waiting: set[asyncio.Future[Decision]] = set()
        self._state: ServiceState = MemoryState()
        #: Called when there is something new for :attr:`due`.
        self.wake: Callable[[], object] = lambda: None

    def restore(self, state: ServiceState, held: Iterable[EventState]) -> None:
        """Remember in ``state`` from now on; what was undecided there is so again (facts.md 2.4).

        Nobody is asked yet, for there may be no event loop: :meth:`ask_again` does.

        Raises:
            StoreError: the state cannot be read.
        """
        self._state = state
        events = {found.event.event_id: found for found in held if found.phase != "ending"}
        over = []
        for key, text in state.load(_PREFIX).items():
            pending = _Pending(**json.loads(text))
            found = events.get(pending.event_id)
            if (
                found is None
                or found.event.modification_number != pending.modification_number
                or found.opt_type != pending.default  # decided a moment before the end
            ):
                over.append(key)
            else:
                pending.unasked = found.event
                self._pending[pending.event_id] = pending
        self._forget(over)

    def ask_again(self, now: float) -> None:
        """Ask about what :meth:`restore` found, for as long as is left of its time limit."""
        for pending in list(self._pending.values()):
            event, pending.unasked = pending.unasked, None
            if event is None:
                continue
            # The clock may have been set back while we were away.
            pending.until = min(pending.until, now + self._time_limit)
            if pending.until <= now:
                continue
            try:
                decision: Any = self._on_event(event)
            except Exception:  # the application's own code; the event counts all the same
                _log.exception("on_event failed for event %r: %s", event.event_id, self._default)
                decision = None
            if inspect.isawaitable(decision):
                self._await(pending, decision, pending.until - now)
            elif decision != "later":
                pending.opt_type = decision if decision in _OPTS else self._default

    def ask(self, event: Event) -> OptType | None:
        """For ``opt_callback`` of :class:`oadr2.event.EventHandler`: the opt, or None for the default.

        Raises:
            StoreError: it could not be remembered that the event is undecided.
        """
        before = self._pending.pop(event.event_id, None)
        if before is not None:
            self._replaced.append(before)
        decision: Any = self._on_event(event)
        if decision != "later" and not inspect.isawaitable(decision):
            return decision  # type: ignore[no-any-return]  # the handler checks it
        until = self._clock() + self._time_limit
        pending = _Pending(event.event_id, event.modification_number, until, self._default)
        self._pending[event.event_id] = pending
        if decision != "later":
            self._await(pending, decision, self._time_limit)
        # Before the event itself is stored, or it would seem decided to whoever comes after us.
        self._state.save({pending.key: pending.kept()})
        return None

    @contextlib.contextmanager
    def whole_or_not(self) -> Iterator[None]:
        """While a list of events is taken: when that fails, what was undecided is so still."""
        self._drop_replaced()
        before = dict(self._pending)
        try:
            yield
        except BaseException:
            asked = [p for p in self._pending.values() if before.get(p.event_id) is not p]
            self._pending = before
            self._replaced.clear()
            self._drop(asked)
            raise
        self._drop_replaced()

    def drop_gone(self, held: Iterable[EventState]) -> None:
        """Wait for no decision about what is cancelled or gone: the VTN is to be answered now (E01)."""
        versions = {
            found.event.event_id: found.event.modification_number
            for found in held
            if found.phase != "ending"
        }
        gone = [
            pending
            for event_id, pending in self._pending.items()
            if versions.get(event_id) != pending.modification_number
        ]
        for pending in gone:
            del self._pending[pending.event_id]
        self._drop(gone)

    def decide(self, event_id: str, opt_type: OptType) -> bool:
        """Decide about an event that waits; False when it does not wait, or no longer."""
        pending = self._pending.get(event_id)
        if pending is None or opt_type not in _OPTS:
            return False
        pending.opt_type = opt_type
        self.wake()
        return True

    @property
    def pending(self) -> frozenset[str]:
        """The events that the VTN is not to be answered yet."""
        return frozenset(self._pending)

    @property
    def next_deadline(self) -> float | None:
        """When :meth:`due` has something: seconds since 1970, or None."""
        times = (0.0 if p.opt_type or p.unasked else p.until for p in self._pending.values())
        return min(times, default=None)

    def due(self, now: float) -> list[tuple[str, OptType]]:
        """The events that are decided, or have waited long enough, and their opts.

        Each is due until :meth:`settled` is called for it.
        """
        due = []
        for event_id, pending in self._pending.items():
            if pending.opt_type is None and pending.until <= now:
                self._warn_of_none(event_id)
                pending.opt_type = self._default
            if pending.opt_type is not None:
                due.append((event_id, pending.opt_type))
        return due

    def shift(self, by: float) -> None:
        """The clock was set by so many seconds; what waits does so for as long as before."""
        for pending in self._pending.values():
            pending.until += by
        if self._pending:
            self._keep(self._pending.values())

    def settled(self, event_id: str) -> None:
        """The opt of this event is stored, or there is no such event any more."""
        pending = self._pending.pop(event_id, None)
        if pending is not None:
            self._drop((pending,))

    async def aclose(self) -> None:
        """Wait for no decision any more; what is undecided stays so."""
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            future.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _await(self, pending: _Pending, decision: Awaitable[Decision], seconds: float) -> None:
        future = pending.future = asyncio.ensure_future(decision)
        self._waiting.add(future)
        limit = future.get_loop().call_later(seconds, future.cancel)

        def done(future: asyncio.Future[Decision]) -> None:
            limit.cancel()
            if future not in self._waiting:
                return  # we are closed
            self._waiting.discard(future)
            # Decided otherwise by now, or out of time by the other clock: told of already.
            if self._pending.get(pending.event_id) is pending and pending.opt_type is None:
                pending.opt_type = self._outcome(pending.event_id, future)
                self.wake()

        future.add_done_callback(done)

    def _outcome(self, event_id: str, future: asyncio.Future[Decision]) -> OptType:
        if future.cancelled():
            self._warn_of_none(event_id)
            return self._default
        error = future.exception()
        if error is not None:  # the application's own code; the event counts all the same
            text = "on_event failed for event %r: %s"
            _log.error(text, event_id, self._default, exc_info=error)
            return self._default
        result = future.result()
        return result if result in ("optIn", "optOut") else self._default

    def _warn_of_none(self, event_id: str) -> None:
        _log.warning("no decision about event %r: %s", event_id, self._default)

    def _keep(self, changed: Iterable[_Pending]) -> None:
        try:
            self._state.save({pending.key: pending.kept() for pending in changed})
        except StoreError as error:
            _log.warning("time limits of decisions are stored by the former clock: %s", error)

    def _drop_replaced(self) -> None:
        replaced, self._replaced = self._replaced, []
        self._drop(replaced)

    def _drop(self, dropped: Iterable[_Pending]) -> None:
        keys = []
        for pending in dropped:
            keys.append(pending.key)
            if pending.future is not None:
                pending.future.cancel()
        self._forget(keys)

    def _forget(self, keys: Sequence[str]) -> None:
        """Unless they are of what is undecided now: the same version, asked about twice.

        What stays in the store by mistake is of no version that is held, and goes at the restart.
        """
        if not keys:
            return
        current = {pending.key: pending.kept() for pending in self._pending.values()}
        try:
            self._state.save({key: current.get(key) for key in keys})
        except StoreError as error:
            _log.warning("decisions that are over stay stored for now: %s", error)
