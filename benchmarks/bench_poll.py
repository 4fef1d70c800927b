"""Polls over HTTP on the loopback address, the server in a process of its own."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import pytest
from contenders import OADR2
from payloads import START, VEN_ID

import oadr2
from conftest import Aim, Label, Record
from oadr2.sim.vtn import SimulatedVtn

SECTION = "HTTP"
SERVER = Path(__file__).with_name("loopback_vtn.py")
SERVICE = "/OpenADR2/Simple/EiEvent"
POLLS, ROUNDS, CONNECTIONS = 200, 7, 8
NOW = START.timestamp() - 3600.0
CLIENT_WORK = "one poll over HTTP, the client's processor time"


@contextmanager
def loopback_vtn(kind: str) -> Iterator[int]:
    """The port of a server that runs as long as the block does."""
    with subprocess.Popen(
        [sys.executable, SERVER, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


async def processor_time(poll: Callable[[], Awaitable[object]], polls: int) -> float:
    """Seconds of this process, system time included, that one poll takes; the median of rounds."""
    seconds = []
    for _ in range(ROUNDS + 1):
        before = time.process_time()
        for _ in range(polls):
            await poll()
        seconds.append((time.process_time() - before) / polls)
    return statistics.median(seconds[1:])  # the first one connects, and fills caches


def bench_poll_client(record: Record, quick: bool) -> None:
    """Request built, sent, reply read, decoded and applied: a list under a new requestID."""
    handler = oadr2.event.EventHandler(VEN_ID, clock=lambda: NOW)

    async def main(port: int) -> float:
        uri = f"http://127.0.0.1:{port}"
        async with oadr2.poll.PollClient(handler, uri) as client:
            return await processor_time(client.poll_once, 5 if quick else POLLS)

    with loopback_vtn("canned") as port:
        seconds = asyncio.run(main(port))
    assert [event.event_id for event in handler.get_active_events()] == ["event-00000"]
    record(CLIENT_WORK, OADR2, seconds, "s", headline=True, aim=Aim(16e-6))


def bench_plain_httpx(record: Record, quick: bool) -> None:
    """The same bytes posted and read, and nothing made of them."""
    request = oadr2.event.EventHandler(VEN_ID).build_request_payload()
    headers = {"Content-Type": "application/xml"}
    replies: set[bytes] = set()

    async def main(port: int) -> float:
        async with httpx.AsyncClient(trust_env=False) as client:

            async def poll() -> None:
                url = f"http://127.0.0.1:{port}{SERVICE}"
                reply = await client.post(url, content=request, headers=headers)
                replies.add(reply.content)

            return await processor_time(poll, 5 if quick else POLLS)

    with loopback_vtn("canned") as port:
        seconds = asyncio.run(main(port))
    assert {oadr2.decode(reply).events[0].event_id for reply in replies} == {"event-00000"}
    contender = f"httpx {version('httpx')} (bytes only)"
    record(CLIENT_WORK, contender, seconds, "s", headline=True)


class Poller(asyncio.Protocol):
    """Sends one request after the other and hardly looks at the replies."""

    def __init__(self, request: bytes, polls: int, done: asyncio.Future[bytes]) -> None:
        self.request = request
        self.left = polls
        self.done = done
        self.received = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.received.endswith(b"DistributeEvent>") or self.done.done():
            return
        self.left -= 1
        if self.left:
            self.received = b""
            self.transport.write(self.request)
        else:
            self.done.set_result(self.received)
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the simulated VTN hung up"))


def bench_simulated_vtn_over_http(record: Record, quick: bool) -> None:
    body = oadr2.event.EventHandler(VEN_ID).build_request_payload()
    head = (
        f"POST {SERVICE} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    polls = 5 if quick else 500

    async def main(port: int) -> float:
        loop = asyncio.get_running_loop()

        async def poll_all() -> list[bytes]:
            replies = [loop.create_future() for _ in range(CONNECTIONS)]
            for reply in replies:
                await loop.create_connection(
                    lambda reply=reply: Poller(head.encode() + body, polls, reply),
                    "127.0.0.1",
                    port,
                )
            return await asyncio.gather(*replies)

        await poll_all()
        before = time.perf_counter()
        replies = await poll_all()
        elapsed = time.perf_counter() - before
        for reply in replies:
            assert reply.startswith(b"HTTP/1.1 200 ")
            assert len(oadr2.decode(reply.partition(b"\r\n\r\n")[2]).events) == 1
        return CONNECTIONS * polls / elapsed

    with loopback_vtn("simulated") as port:
        rate = asyncio.run(main(port))
    work = f"polls that the simulated VTN serves over HTTP, {CONNECTIONS} connections"
    record(work, OADR2, rate, "1/s", headline=True)


@pytest.mark.parametrize("events", [1, 100])
def bench_simulated_vtn(events: int, benchmark: Any, label: Label) -> None:
    label(f"a poll taken by the simulated VTN, {events} event{'s' * (events > 1)} listed", OADR2)
    vtn = SimulatedVtn(clock=lambda: NOW)
    for number in range(events):
        vtn.add_event(f"event-{number}", start=START, levels=[("PT1H", 1), ("PT1H", 2)])
    request = oadr2.event.EventHandler(VEN_ID).build_request_payload()
    reply = benchmark(vtn.handle, request, "2.0a")
    assert len(oadr2.decode(reply).events) == events
