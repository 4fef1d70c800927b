"""Many XMPP VENs in one process that does nothing else.

    python xmpp_vens.py PORT COUNT

The VENs are ven-0@localhost, ven-1@localhost and so on, all with the password of PASSWORD, on a server
without TLS at 127.0.0.1:PORT. Prints {"seconds", "bytes"}, what it took until each had asked the VTN
for its events and what one weighs; then, when a line comes on standard input and each holds an event,
the same again, with "bytes" what one weighs by then. Ends with the next line.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from memory import resident

from oadr2.event import EventHandler
from oadr2.xmpp import XmppClient

PASSWORD = "of no secret"
VTN = "vtn@localhost/oadr2"
PATIENCE = 120.0  # seconds


def new_client(number: int, port: int) -> XmppClient:
    return XmppClient(
        EventHandler(f"ven-{number}"),
        f"ven-{number}@localhost/ven",
        PASSWORD,
        vtn_jid=VTN,
        server="127.0.0.1",
        port=port,
        plaintext=True,
        connect_timeout=PATIENCE,
        reply_timeout=PATIENCE,
    )


async def synchronise(clients: list[XmppClient]) -> list[asyncio.Task[None]]:
    running = [asyncio.create_task(client.run()) for client in clients]
    async with asyncio.timeout(PATIENCE):
        for client in clients:
            await client.wait_synchronised()
    return running


async def until_each_holds_an_event(clients: list[XmppClient]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not all(client.ven.handler.get_active_events() for client in clients):
            await asyncio.sleep(0.05)


async def main() -> None:
    port, count = map(int, sys.argv[1:])
    logging.getLogger().setLevel(logging.CRITICAL)
    running = await synchronise([new_client(count, port)])  # what is there once for all
    before = resident()

    def tell(seconds: float) -> None:
        print(json.dumps({"seconds": seconds, "bytes": (resident() - before) / count}), flush=True)

    began = time.perf_counter()
    clients = [new_client(number, port) for number in range(count)]
    running += await synchronise(clients)
    tell(time.perf_counter() - began)
    await asyncio.to_thread(sys.stdin.readline)
    began = time.perf_counter()
    await until_each_holds_an_event(clients)
    tell(time.perf_counter() - began)
    await asyncio.to_thread(sys.stdin.readline)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
