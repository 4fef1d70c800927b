"""What the asyncio clients of all transports have in common: they run until closed, whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

from oadr2.errors import LocalProtocolError, OadrError, one_line

_LOST_S: Final = 0.2  # by then a cancellation has been taken, or was lost


class Client:
    """The base of :class:`oadr2.poll.PollClient` and its like, which have a ``_run`` and a ``_close``.

    Args:
        name: of the transport, for the log.
        on_error: called with each error that is logged and survived.
        on_heard: called when the VTN has said something by which its events come, or could have come.

    Attributes:
        next_poll_in: seconds from the error reported last to the next try; None before the first
            error, and when it stays at that.
    """

    def __init__(
        self,
        name: str,
        on_error: Callable[[Exception], object] | None,
        on_heard: Callable[[], object] | None = None,
    ) -> None:
        self.next_poll_in: float | None = None
        self._log = logging.getLogger(f"oadr2.{name}")
        self._on_error = on_error
        self._on_heard = on_heard
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    async def run(self) -> None:
        """Talk to the VTN until cancelled or closed.

        Errors are logged, one line each, and handed to ``on_error``; none ends this (facts.md L08).

        Raises:
            LocalProtocolError: it runs already, or this client is closed.
        """
        self._check_open()
        if self._runner is not None:
            raise LocalProtocolError("this client runs already; call run() once")
        # A task of its own, so that aclose() ends it and not the caller's task.
        runner = self._runner = asyncio.create_task(self._run())
        try:
            await asyncio.wait((runner,))
        finally:
            self._runner = None
            await end_tasks((runner,))
        if not runner.cancelled():
            runner.result()

    async def aclose(self) -> None:
        """Stop, in the middle of a request too, and close the connections."""
        self._closed = True
        runner = self._runner
        if runner is not None and runner is not asyncio.current_task():
            await end_tasks((runner,))
        await self._close()

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
        """The work of :meth:`run`."""
        raise NotImplementedError

    async def _close(self) -> None:
        """Close what is left when :meth:`_run` has ended."""
        raise NotImplementedError

    def _report(self, problem: Exception, next_step: str, delay: float | None = None) -> None:
        """Log a problem and what comes next, ``delay`` seconds later if it is a try, and tell on_error."""
        self.next_poll_in = delay
        failed = {"failed_poll": True}  # for a log handler that tells them otherwise
        if isinstance(problem, OadrError):
            self._log.warning("%s; %s", one_line(str(problem), 1000), next_step, extra=failed)
        else:
            self._log.error("unexpected error; %s", next_step, exc_info=problem, extra=failed)
        if self._on_error is None:
            return
        try:
            self._on_error(problem)
        except Exception:  # the caller's code; its fault must not end this
            self._log.exception("on_error raised")

    def _hear(self) -> None:
        """Tell on_heard."""
        if self._on_heard is None:
            return
        try:
            self._on_heard()
        except Exception:  # the caller's code; its fault must not keep the answers from the VTN
            self._log.exception("on_heard raised")

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("this client is closed; make a new one")


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended.

    Once each, for a second time would cancel the good-bye as well; but again when it was lost, as it
    can be inside anyio, below httpx, in the middle of a request.
    """
    left = set(tasks)
    while left:
        for task in left:
            if not task.cancelling():
                task.cancel()
        _, left = await asyncio.wait(left, timeout=_LOST_S)
