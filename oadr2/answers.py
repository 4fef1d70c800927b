"""Answers on their way to a VTN that pushed: in order, tried again, the newest of each event only.

A VTN that pushes does not ask again what became of an event, so an answer it could not be given is
kept here until it can be (facts.md E55).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from oadr2._core.encode import encode
from oadr2._core.objects import decode
from oadr2.client import end_tasks
from oadr2.errors import LocalProtocolError, OadrError, TransportError, one_line
from oadr2.model import CreatedEvent
from oadr2.pacing import BackOff
from oadr2.ven import Action

_log = logging.getLogger("oadr2.push")

_RETRY_AFTER_MAX: Final = 3600.0  # seconds; the longest Retry-After a VTN can ask for


class Sender(Protocol):
    """What an answer goes out by; :class:`oadr2.poll.PollClient` is the real one."""

    async def send(self, action: Action) -> None:
        """Send an answer and check the VTN's acknowledgement."""

    async def poll_once(self, outdated: Callable[[], bool] | None = None) -> None:
        """Ask the VTN for its events, and answer."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An oadrCreatedEvent that is not delivered, and what it answers."""

    message: CreatedEvent
    wrapped: bool
    action: Action

    @property
    def event_ids(self) -> frozenset[str]:
        return frozenset(answer.event_id for answer in self.message.event_responses)

    def without(self, event_ids: frozenset[str]) -> _Waiting | None:
        """What is left of it when these events have a newer answer; None: nothing."""
        if not self.event_ids & event_ids:
            return self
        left = [a for a in self.message.event_responses if a.event_id not in event_ids]
        if not left:
            return None
        message = replace(self.message, event_responses=left)
        data = encode(message, wrap=self.wrapped)
        return _Waiting(message, self.wrapped, Action(self.action.service, data))


class AnswerQueue:
    """Sends answers to one VTN, one at a time, in the order in which they were given (E13).

    Failures are logged, one line each, and tried again after a back-off with jitter for as long as
    it takes; what the VTN itself refuses is not sent twice. When an event gets a newer answer, an
    older one that still waits is never sent. To be used on one event loop.

    Args:
        sender: the connection to the VTN.
        wrap_20b: how 2.0b answers are wrapped when they have to be written anew.
        back_off_base, back_off_max: seconds; the first retry comes within the former, each further
            one within twice the time before, none later than the latter.
        max_waiting: messages kept; beyond them the oldest is dropped, with a line in the log.
        on_error: called with each error that is logged and survived.
        sleep, random: replaced in tests.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        wrap_20b: bool = True,
        back_off_base: float = 5.0,
        back_off_max: float = 300.0,
        max_waiting: int = 1000,
        on_error: Callable[[Exception], object] | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._sender = sender
        self._wrap_20b = wrap_20b
        self._back_off = BackOff(back_off_base, back_off_max, random)
        self._max_waiting = max_waiting
        self._on_error = on_error
        self._sleep = sleep
        self._waiting: deque[_Waiting] = deque()
        self._ask = False
        self._asking = False
        self._task: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False
        #: Lists that were pushed so far, see :meth:`list_taken`.
        self.lists_taken = 0
        #: Seconds from the error reported last to the next try.
        self.next_try_in: float | None = None

    def __len__(self) -> int:
        """Messages that wait, the one under way included."""
        return len(self._waiting)

    def put(self, action: Action) -> None:
        """Have an oadrCreatedEvent sent.

        Raises:
            LocalProtocolError: it is another message, or the queue is closed.
        """
        message = decode(action.data)
        if not isinstance(message, CreatedEvent):
            raise LocalProtocolError(f"{type(message).__name__} is no answer to events")
        added = _Waiting(message, self._wrap_20b, action)
        newer = added.event_ids
        kept = (waiting.without(newer) for waiting in self._waiting)
        self._waiting = deque(waiting for waiting in kept if waiting is not None)
        self._waiting.append(added)
        if len(self._waiting) > self._max_waiting:
            self._waiting.popleft()
            _log.error("too many answers wait for the VTN; the oldest is dropped")
        self._wake()

    def ask_for_events(self) -> None:
        """Ask the VTN for its list once, before the next answer; again until it replies.

        For the start: what was pushed while nobody listened comes with it. Answers do not wait for
        a VTN that knows only how to push.
        """
        self._ask = True
        self._wake()

    def list_taken(self) -> None:
        """Note that a list was pushed; one that is being asked for meanwhile may be the older one.

        Taken last it would cancel what only the newer one lists, so it is dropped and the VTN asked again.
        """
        self.lists_taken += 1
        if self._asking:
            self._ask = True

    async def wait_idle(self) -> None:
        """Return when nothing waits."""
        await self._idle.wait()

    async def aclose(self) -> None:
        """Stop, in the middle of a request too; what waits is not sent."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            await end_tasks((task,))
        self._idle.set()

    def _wake(self) -> None:
        if self._closed:
            raise LocalProtocolError("this queue of answers is closed")
        self._idle.clear()
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._ask or self._waiting:
            problem = await self._ask_once() if self._ask else None
            if self._waiting:
                problem = await self._send_first() or problem
            if problem is None:
                self._back_off.succeeded()
                continue
            delay = self._back_off.failed()
            if isinstance(problem, TransportError) and problem.retry_after is not None:
                delay = max(delay, min(problem.retry_after, _RETRY_AFTER_MAX))
            self._report(problem, delay)
            await self._sleep(delay)
        self._task = None
        self._idle.set()

    async def _ask_once(self) -> Exception | None:
        self._ask = False
        self._asking = True
        try:
            await self._sender.poll_once(lambda: self._ask)
        # As below; a fault in a callback must not keep the answers from the VTN.
        except Exception as error:
            self._ask = True
            return error
        finally:
            self._asking = False
        return None

    async def _send_first(self) -> Exception | None:
        """Send the oldest answer; the error that makes a later try worth while."""
        first = self._waiting[0]
        try:
            await self._sender.send(first.action)
        except TransportError as error:
            return error
        # OadrError is expected: the VTN has it and does not want it. Anything else is a fault in
        # here, and trying again would meet it again.
        except Exception as error:
            self._report(error, None)
        # It may have been replaced meanwhile, wholly or in part; then what is newer goes out too.
        if self._waiting and self._waiting[0] is first:
            self._waiting.popleft()
        return None

    def _report(self, problem: Exception, delay: float | None) -> None:
        self.next_try_in = delay
        then = "it is not sent again" if delay is None else f"next try in {delay:.1f} s"
        # failed_poll: for a log handler that shows errors by on_error already
        failed = {"failed_poll": True}
        if isinstance(problem, OadrError):
            _log.warning("%s; %s", one_line(str(problem), 1000), then, extra=failed)
        else:
            _log.error("unexpected error; %s", then, exc_info=problem, extra=failed)
        if self._on_error is None:
            return
        try:
            self._on_error(problem)
        except Exception:  # the caller's code; its fault must not end the sending
            _log.exception("on_error raised")
