"""Resident memory of one object, from many of them, in a process that does nothing else.

python memory.py table|table-event|handler|handler-event|fleet|fleet-event|openleadr COUNT   prints bytes
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from payloads import START, VEN_ID, distribute_event

NOW = START.timestamp() - 3600.0
EVENT = distribute_event("2.0a", 1, 3)


def table() -> Any:
    from oadr2._core.table import EventTable
    from oadr2.policy import VtnPolicy

    policy = VtnPolicy()
    return lambda: EventTable(VEN_ID, policy)


def table_with_event() -> Any:
    new = table()

    def make() -> Any:
        filled = new()
        filled.handle(EVENT, NOW, 1)
        assert len(filled) == 1
        return filled

    return make


def handler() -> Any:
    from oadr2.event import EventHandler

    return lambda: EventHandler(VEN_ID, clock=lambda: NOW)


def handler_with_event() -> Any:
    new = handler()

    def make() -> Any:
        filled = new()
        filled.handle_payload(EVENT)
        return filled

    return make


def openleadr() -> Any:
    warnings.simplefilter("ignore")  # openleadr 0.5.36 imports names that newer libraries deprecate
    from openleadr import OpenADRClient

    return lambda: OpenADRClient(ven_name=VEN_ID, vtn_url="http://127.0.0.1:1/OpenADR2/Simple/2.0b")


KINDS: dict[str, Callable[[], Any]] = {
    "table": table,
    "table-event": table_with_event,
    "handler": handler,
    "handler-event": handler_with_event,
    "openleadr": openleadr,
}
FLEETS = {"fleet": False, "fleet-event": True}


def resident() -> int:
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def fleet_rows(count: int, filled: bool) -> float:
    """Bytes of one VEN of a fleet, all of them polling every 300 s; with an event, answered."""
    from oadr2 import encode
    from oadr2._core.fleet import Fleet
    from oadr2.model import EiResponse, Response

    now = round(NOW * 1e6)
    event = EVENT.replace(f"<ei:venID>{VEN_ID}</ei:venID>".encode(), b"")
    assert event != EVENT
    accepted = encode(Response(EiResponse(200, "OK", ""), profile="2.0a"))
    fleet = Fleet(seed=1)
    before = resident()
    fleet.add_group(count, poll_interval=300_000_000)
    fleet.start(0, count, now, 300_000_000)
    if filled:
        for second in range(1, 331):  # the first polls have their jitter, too
            moment = now + second * 1_000_000
            for row in fleet.take_due(moment, count):
                fleet.compose(row, moment)
                assert fleet.receive(row, event, moment) == 1
                fleet.compose(row, moment)
                assert fleet.receive(row, accepted, moment) == 0
        assert fleet.counters["events_new"] == count
    return (resident() - before) / count


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] not in (*KINDS, *FLEETS):
        print(f"usage: {sys.argv[0]} {'|'.join((*KINDS, *FLEETS))} COUNT", file=sys.stderr)
        return 2
    if sys.argv[1] in FLEETS:
        print(fleet_rows(int(sys.argv[2]), filled=FLEETS[sys.argv[1]]))
        return 0
    make = KINDS[sys.argv[1]]()
    count = int(sys.argv[2])
    first = [
        make() for _ in range(10)
    ]  # what is there once for all, and the allocators' first room
    kept = [None] * count
    before = resident()
    for number in range(count):
        kept[number] = make()
    print((resident() - before) / count)
    assert not any(made is None for made in kept)
    del first
    return 0


if __name__ == "__main__":
    sys.exit(main())
