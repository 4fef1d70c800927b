"""Keeping Python's garbage collector out of the way of an event.

A full collection looks at every object there is: a seventh of a second in the middle of an event for
ten thousand points, in which no load is moved.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Protocol


class Starting(Protocol):
    """What is waited for; :class:`oadr2.gateway.gateway.Gateway` is the real one."""

    @property
    def ready(self) -> bool: ...


async def freeze_when_ready(gateway: Starting) -> None:
    """Once everything stands, keep it out of every collection to come.

    For a process that is a gateway and little else, since it concerns all objects of the process.
    """
    while not gateway.ready:
        await asyncio.sleep(1)
    gc.collect()
    gc.freeze()


class Calm:
    """A time without garbage collection; what became garbage in it is found afterwards.

    Where somebody else has switched the collector off, it is theirs to switch on again.
    """

    def __init__(self) -> None:
        self._ending: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> None:
        """No collection for so long from now on. Called in a running event loop."""
        if self._ending is not None:
            self._ending.cancel()
        elif gc.isenabled():
            gc.disable()
        else:
            return
        self._ending = asyncio.get_running_loop().call_later(seconds, self.end)

    def end(self) -> None:
        """Collect again; harmless when repeated."""
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
            gc.enable()
