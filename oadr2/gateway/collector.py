"""Keeping Python's garbage collector out of the way of an event.

A full collection looks at every object there is: a seventh of a second in the middle of an event for
ten thousand points, in which no load is moved.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
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


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """No collection in here, which must be short; what became garbage is found afterwards."""
    if not gc.isenabled():  # by somebody else, who also ends it
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
