"""A VEN on a thread of its own: what every transport's ``OpenADR2`` has in common.

It is made of an event handler, a controller and the transport's client. The thread runs an event
loop, the loop runs the client, and other threads hand work to it and wait.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from oadr2.arguments import check_options
from oadr2.client import end_tasks
from oadr2.control import EventController
from oadr2.errors import LocalProtocolError, TransportError
from oadr2.event import EventHandler
from oadr2.model import OptType
from oadr2.security import PathLike, watch_expiry

_Result = TypeVar("_Result")
PATIENCE = 5.0  # seconds exit() waits for a callback that does not return


class VenClient(Protocol):
    """What a transport's client offers the thread it runs on."""

    async def run(self) -> None:
        """Talk to the VTN until closed."""

    async def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event and tell the VTN."""

    async def aclose(self) -> None:
        """Stop, and close the connection."""


_Client = TypeVar("_Client", bound=VenClient)


class BackgroundVen(Generic[_Client]):
    """Runs a client on a thread; the base of :class:`oadr2.poll.OpenADR2` and its like.

    Args:
        event_config: arguments of :class:`oadr2.event.EventHandler`.
        control_opts: arguments of :class:`oadr2.control.EventController`; None for the defaults.
        make_client: makes the transport's client of the event handler.
        name: of the transport, for the thread, the log and messages.
        cert: file of the certificate it shows, whose end is warned of daily; None: it shows none.
        start_thread: begin now; otherwise at :meth:`start`.

    Raises:
        ConfigurationError: an argument of the handler or the controller is unknown or wrong.
    """

    def __init__(
        self,
        event_config: Mapping[str, Any],
        control_opts: Mapping[str, Any] | None,
        make_client: Callable[[EventHandler], _Client],
        *,
        name: str,
        cert: PathLike | None,
        start_thread: bool,
    ) -> None:
        check_options("event_config", EventHandler, event_config)
        control_opts = {} if control_opts is None else control_opts
        check_options("control_opts", EventController, control_opts, first="event_handler")
        self.event_handler = EventHandler(**event_config)
        try:
            self.client = make_client(self.event_handler)
            self.event_controller = EventController(self.event_handler, **control_opts)
        except BaseException:
            self.event_handler.close()  # it may hold a database open
            raise
        self._name = name
        self._cert = cert
        self._log = logging.getLogger(f"oadr2.{name}")
        self._state = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._running: concurrent.futures.Future[None] | None = None
        self._exited = False
        self._close_on_thread = False
        if start_thread:
            try:
                self.start()
            except BaseException:
                self.exit()
                raise

    def start(self) -> None:
        """Begin to talk to the VTN in the background; a second call does nothing.

        Raises:
            LocalProtocolError: after :meth:`exit`.
        """
        with self._state:
            if self._running is None:
                self._running = self._submit(self.client.run())

    def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event and tell the VTN; see ``change_opt`` of the client."""
        self._call(lambda: self.client.change_opt(event_id, opt_type, vtn_id))

    def exit(self) -> None:
        """Stop, in the middle of a request too, then the controller, and close the store.

        A second call does nothing. Called from a callback on the VEN's own thread it returns at
        once, and that thread ends, and closes the rest, when the callback has returned.
        """
        with self._state:
            if self._exited:
                return
            self._exited = True
            thread, loop, stop = self._thread, self._loop, self._stop
            if loop is not None and stop is not None:
                loop.call_soon_threadsafe(stop.set)
            if thread is threading.current_thread():
                self._close_on_thread = True
                return
        if thread is not None:
            thread.join(PATIENCE)
            if thread.is_alive():
                self._log.warning(
                    "a callback still runs on the %s thread; not waiting for it", self._name
                )
        self._close()

    def _close(self) -> None:
        self.event_controller.exit()
        self.event_handler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.exit()

    def _call(self, begin: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
        """Run work on the VEN's thread and wait for what comes of it."""
        if threading.current_thread() is self._thread:
            raise LocalProtocolError(
                f"called on the {self._name} thread, which cannot wait for itself;"
                " use another thread"
            )
        future = self._submit(begin())
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise TransportError("stopped by exit() before the VTN had replied") from None
        except BaseException:
            future.cancel()  # the caller was interrupted: do not go on behind its back
            raise
        finally:
            # With an error that knows this frame it would be a ring, which keeps the VTN's reply too.
            del future

    def _submit(self, work: Coroutine[Any, Any, _Result]) -> concurrent.futures.Future[_Result]:
        with self._state:
            if self._exited:
                work.close()
                raise LocalProtocolError("this VEN has been stopped by exit(); make a new one")
            if self._loop is None:
                self._begin_thread()
            assert self._loop is not None  # noqa: S101 - for the type checker
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _begin_thread(self) -> None:
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()
        # A daemon: a program that forgets exit() can end all the same.
        thread = threading.Thread(
            target=self._serve, args=(loop, stop), name=f"oadr2.{self._name}", daemon=True
        )
        self._loop, self._stop, self._thread = loop, stop, thread
        thread.start()

    def _serve(self, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        try:
            loop.run_until_complete(self._until(stop))
        finally:
            loop.close()  # does not wait for a name look-up that hangs in the executor
            if self._close_on_thread:
                self._close()

    async def _until(self, stop: asyncio.Event) -> None:
        # Held in a name, as the loop itself holds no task that sleeps.
        watching = asyncio.create_task(watch_expiry(() if self._cert is None else (self._cert,)))
        await stop.wait()
        watching.cancel()
        # exit() let nothing in after the stop, so these are all there will be.
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        await end_tasks(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)  # whoever waits for them gets those
        await self.client.aclose()
