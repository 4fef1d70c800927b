"""Who decides about an event, now or later: :class:`Decisions` asks the application.

Until the decision is there, or the time limit is over, the VTN gets no answer to that event, and
this VEN runs it by the default.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from oadr2.model import Event, OptType

_log = logging.getLogger("oadr2.ven")

Decision: TypeAlias = OptType | Literal["later"] | None
OnEvent: TypeAlias = Callable[[Event], Decision | Awaitable[Decision]]

_OPTS: Final = get_args(OptType)


@dataclass(slots=True)
class _Pending:
    """An event without a decision; ``until`` in seconds since 1970."""

    modification_number: int
    until: float
    opt_type: OptType | None = None


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
        self._tasks: set[asyncio.Task[None]] = set()
        #: Called when there is something new for :meth:`take_due`.
        self.wake: Callable[[], object] = lambda: None

    def ask(self, event: Event) -> OptType | None:
        """For ``opt_callback`` of :class:`oadr2.event.EventHandler`: the opt, or None for the default."""
        self._pending.pop(event.event_id, None)
        decision: Any = self._on_event(event)
        if decision == "later" or inspect.isawaitable(decision):
            until = self._clock() + self._time_limit
            pending = self._pending[event.event_id] = _Pending(event.modification_number, until)
            if decision != "later":
                task = asyncio.ensure_future(self._wait(event.event_id, pending, decision))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            return None
        return decision  # type: ignore[no-any-return]  # the handler checks it

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
        """When :meth:`take_due` has something: seconds since 1970, or None."""
        times = (0.0 if p.opt_type else p.until for p in self._pending.values())
        return min(times, default=None)

    def take_due(self, now: float) -> list[tuple[str, OptType]]:
        """The events that are decided, or have waited long enough, and their opts."""
        due = []
        for event_id, pending in tuple(self._pending.items()):
            if pending.opt_type is None and pending.until > now:
                continue
            if pending.opt_type is None:
                self._warn_of_none(event_id)
            due.append((event_id, pending.opt_type or self._default))
            del self._pending[event_id]
        return due

    def _warn_of_none(self, event_id: str) -> None:
        _log.warning("no decision about event %r: %s", event_id, self._default)

    async def aclose(self) -> None:
        """Wait for no decision any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _wait(self, event_id: str, pending: _Pending, decision: Awaitable[Decision]) -> None:
        opt_type: Decision = None
        try:
            async with asyncio.timeout(self._time_limit):
                opt_type = await decision
        except TimeoutError:
            if (
                self._pending.get(event_id) is pending
            ):  # else take_due was quicker, by its own clock
                self._warn_of_none(event_id)
        except Exception:  # the application's own code; the event counts all the same
            _log.exception("on_event failed for event %r: %s", event_id, self._default)
        if self._pending.get(event_id) is not pending:
            return  # it was modified meanwhile, and asked about again
        pending.opt_type = opt_type if opt_type in ("optIn", "optOut") else self._default
        self.wake()
