"""A VTN in a process of its own, so that the client's processor time can be told from the server's.

    python loopback_vtn.py canned       the cheapest server there is: sixteen lists in turn, whatever is asked
    python loopback_vtn.py simulated    oadr2.sim with one event

It prints its port, serves on the loopback address, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from payloads import START, distribute_event

from oadr2.sim.http import VtnServer
from oadr2.sim.vtn import SimulatedVtn


class Canned(asyncio.Protocol):
    """Answers each request as soon as its Content-Length is there."""

    def __init__(self, replies: cycle[bytes]) -> None:
        self.replies = replies
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(None, 1)[0])
        if len(body) >= length:
            self.received = body[length:]
            self.transport.write(next(self.replies))


def lists() -> list[bytes]:
    """Lists that differ in their requestID and want no answer: a poll is one request, one reply."""
    data = distribute_event("2.0a", 1, 3).replace(
        b"<oadr:oadrResponseRequired>always<", b"<oadr:oadrResponseRequired>never<"
    )
    return [data.replace(b">request-1<", b">request-%02d<" % number) for number in range(16)]


async def serve_canned() -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: %d\r\n\r\n"
    replies = cycle([head % len(data) + data for data in lists()])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Canned(replies), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def serve_simulated() -> None:
    vtn = SimulatedVtn(clock=lambda: START.timestamp() - 3600.0)
    vtn.add_event(
        "event-1",
        start=START,
        levels=[("PT1H", 1), ("PT1H", 2), ("PT1H", 3)],
        response_required="never",
    )
    with VtnServer(vtn) as server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1:] == ["canned"]:
        asyncio.run(serve_canned())
    elif sys.argv[1:] == ["simulated"]:
        serve_simulated()
    else:
        sys.exit(f"usage: {sys.argv[0]} canned|simulated")
