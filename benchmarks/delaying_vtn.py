"""A VTN that takes its time, the same for everybody: request k gets its answer after the k-th of 1000 delays.

    python delaying_vtn.py LIST

Most of 20 ms, a tenth of 60 ms, one in fifty of 150 ms, each with some milliseconds more. It prints its
port and ends when its standard input does. Two clients of it must find the same latencies.
"""

from __future__ import annotations

import asyncio
import random
import sys
from itertools import cycle
from pathlib import Path


def delays() -> list[float]:
    chance = random.Random(1)
    found = [0.020] * 880 + [0.060] * 100 + [0.150] * 20
    chance.shuffle(found)
    return [delay + chance.uniform(0.0, 0.01) for delay in found]


class Delaying(asyncio.Protocol):
    def __init__(self, reply: bytes, waits: cycle[float]) -> None:
        self.reply = reply
        self.waits = waits
        self.received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0] or 0)
        if end and len(body) >= length:
            self.received = b""
            loop = asyncio.get_running_loop()
            loop.call_later(next(self.waits), self.transport.write, self.reply)


async def main(body: bytes) -> None:
    loop = asyncio.get_running_loop()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    waits = cycle(delays())
    server = await loop.create_server(lambda: Delaying(head + body, waits), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_bytes()))
