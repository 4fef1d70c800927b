"""A whole VEN of 2.0b over HTTP: :class:`ServiceClient` sends what :class:`oadr2.ven_20b.Ven20b` says.

Registration, polling, reports and opts go out one at a time, in the VEN's order; whatever happens is one
line in the log (``oadr2.poll``) and a later try.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from oadr2.errors import LocalProtocolError, OadrError, TransportError, one_line
from oadr2.http import VtnConnection
from oadr2.model import OptType
from oadr2.ven_20b import Request, Ven20b

_log = logging.getLogger("oadr2.poll")

_LONGEST_SLEEP = 3600.0  # the clock may be set meanwhile


class ServiceClient:
    """Runs a VEN of 2.0b against one VTN over HTTP, polling or (with a push server beside it) pushed to.

    To be used on one event loop.

    Args:
        ven: what to send and what to make of replies.
        connection: to the VTN; closed by :meth:`aclose`.
        on_error: called with each error that is logged and survived.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        ven: Ven20b,
        connection: VtnConnection,
        *,
        on_error: Callable[[Exception], object] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.ven = ven
        self._connection = connection
        self._on_error = on_error
        self._clock = clock
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    def wake(self) -> None:
        """Look again what there is to send: after an opt, or when something was pushed."""
        self._wake.set()

    async def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event; the VTN is told as soon as it can be (facts.md E06).

        Raises:
            LocalProtocolError: no such event is held, or this client is closed.
            StoreError: it could not be stored; nothing has changed.
        """
        self._check_open()
        self.ven.change_opt(event_id, opt_type, vtn_id)
        self.wake()

    async def step(self) -> bool:
        """Send what is due now, if anything, and take the reply; False when nothing was due.

        Raises:
            TransportError: the VTN was not reached, or replied with something other than 2xx.
            RemoteProtocolError: its reply cannot be accepted, or refuses what we sent.
            StoreError: what came could not be stored.
        """
        async with self._turn:
            self._check_open()
            action = self.ven.next_action(self._clock())
            if action is None:
                return False
            await self._exchange(action)
            return True

    async def run(self) -> None:
        """Go on until cancelled or closed. Errors are logged, one line each, and never end it (L08).

        Raises:
            LocalProtocolError: it runs already, or this client is closed.
        """
        self._check_open()
        if self._runner is not None:
            raise LocalProtocolError("this client is running already; call run() once")
        # A task of its own, so that aclose() ends the work and not the caller's task.
        runner = self._runner = asyncio.create_task(self._run())
        try:
            await asyncio.wait((runner,))
        finally:
            self._runner = None
            runner.cancel()
            await asyncio.wait((runner,))
        if not runner.cancelled():
            runner.result()

    async def aclose(self) -> None:
        """Stop, in the middle of a request too, and close the connections."""
        self._closed = True
        runner = self._runner
        if runner is not None and runner is not asyncio.current_task():
            runner.cancel()
            await asyncio.wait((runner,))
        await self._connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _run(self) -> None:
        while not self._closed:
            self._wake.clear()
            try:
                sent = await self.step()
            # OadrError is expected; anything else is a fault in a callback or in here, which must not
            # leave the loads without their events.
            except Exception as error:
                self._report(error)
                sent = False
            if not sent:
                await self._sleep()

    async def _exchange(self, action: Request) -> None:
        try:
            data = await self._connection.post(action.service, action.data)
        except TransportError as error:
            self.ven.failed(action, error, self._clock())
            raise
        self.ven.receive(action, data, self._clock())

    async def _sleep(self) -> None:
        deadline = self.ven.next_deadline
        seconds = _LONGEST_SLEEP if deadline is None else deadline - self._clock()
        try:
            # Never at once: an error that left its cause in place would make a busy loop.
            async with asyncio.timeout(min(_LONGEST_SLEEP, max(0.01, seconds))):
                await self._wake.wait()
        except TimeoutError:
            return

    def _report(self, problem: Exception) -> None:
        deadline = self.ven.next_deadline
        delay = 0.0 if deadline is None else max(0.0, deadline - self._clock())
        failed = {"failed_poll": True}  # for a log handler that tells them otherwise
        if isinstance(problem, OadrError):
            _log.warning(
                "%s; next try in %.1f s", one_line(str(problem), 1000), delay, extra=failed
            )
        else:
            _log.error(
                "unexpected error; next try in %.1f s", delay, exc_info=problem, extra=failed
            )
        if self._on_error is None:
            return
        try:
            self._on_error(problem)
        except Exception:  # the caller's code; its fault must not end the loop
            _log.exception("on_error raised")

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("this client is closed; make a new one")
