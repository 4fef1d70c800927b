"""The event loop of simulated devices ends, whatever runs on it."""

from __future__ import annotations

import asyncio
import contextlib

from oadr2.sim.loop_thread import LoopThread


def test_a_task_that_lost_a_cancellation_is_cancelled_again():
    tasks = []

    async def hard_of_hearing() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    async def begin() -> None:
        tasks.append(asyncio.create_task(hard_of_hearing()))
        await asyncio.sleep(0)

    thread = LoopThread("devices")
    thread.start()
    thread.call(begin())
    thread.stop()
    assert tasks[0].cancelled()
