"""An event loop on a thread of its own, for simulated devices."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_CANCEL_AGAIN = 1.0  # seconds


class LoopThread:
    """Runs coroutines for callers on other threads, from :meth:`start` to :meth:`stop`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; once."""
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run ``work`` there, and wait for what it returns or raises."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """Cancel what still runs there, and end the thread; harmless when repeated."""
        if self._thread.is_alive():
            self.call(_cancel_the_rest())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        if not self._loop.is_closed():
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


async def _cancel_the_rest() -> None:
    """Until all have ended: a library may make something else of a cancellation, and go on."""
    while rest := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in rest:
            task.cancel()
        done, _ = await asyncio.wait(rest, timeout=_CANCEL_AGAIN)
        for task in done:
            if not task.cancelled():
                task.exception()  # it is nobody's concern any more
