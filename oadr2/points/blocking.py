"""Calls that may block, for drivers: each on a thread that keeps neither the loop nor the process."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


async def call_blocking(
    work: Callable[[], _Result], turn: threading.Lock, name: str = "oadr2 driver"
) -> _Result:
    """What ``work()`` returns or raises, found out on a thread of its own.

    A pool would not do: a call that hangs would take one of its few threads, and hold up the end of
    the process, which waits for them. Whoever stops waiting leaves the thread behind.

    Args:
        turn: held during the call, so that those that share it go one after the other. A call whose
            turn comes when nobody waits for it any more is not made: it would be out of date.
        name: of the thread.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def settle(give: Callable[[], None]) -> None:
        if not done.done():
            give()

    def run() -> None:
        with turn:
            if done.done():
                return
            give: Callable[[], None]
            try:
                result = work()
            except StopIteration as error:  # a future does not take it
                problem: Exception = RuntimeError(f"StopIteration: {error}")
                give = lambda: done.set_exception(problem)  # noqa: E731
            except Exception as error:  # whatever it is, the caller is to know
                problem = error
                give = lambda: done.set_exception(problem)  # noqa: E731
            else:
                give = lambda: done.set_result(result)  # noqa: E731
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, give)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done
