"""The polling client against a scripted VTN, once or in its loop with a clock of the test's own."""

from __future__ import annotations

import asyncio

from oadr2.poll import PollClient


def poll(handler, base, times=1, **options):
    async def main():
        async with PollClient(handler, base, **options) as client:
            for _ in range(times):
                await client.poll_once()

    asyncio.run(main())


class FakeTime:
    """A clock that moves when the polling loop sleeps, and stops it after so many sleeps."""

    def __init__(self, sleeps):
        self.now = 1000.0
        self.left = sleeps
        self.over = asyncio.Event()

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.left -= 1
        if self.left <= 0:
            self.over.set()
            await asyncio.Event().wait()
        self.now += seconds


def run_loop(handler, vtn, sleeps, **options):
    """Let the loop sleep so often; (when each poll was asked for, the errors met)."""
    errors = []

    async def main():
        time = FakeTime(sleeps)
        asked = []
        build = handler.build_request_payload

        def build_request_payload():
            asked.append(time.now - 1000.0)
            return build()

        handler.build_request_payload = build_request_payload
        client = PollClient(
            handler, vtn.url, clock=time.clock, sleep=time.sleep, on_error=errors.append, **options
        )
        running = asyncio.create_task(client.run())
        await time.over.wait()
        await client.aclose()
        await running
        return asked

    return asyncio.run(main()), errors
