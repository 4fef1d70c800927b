"""A fleet of 2.0b in a process with the simulated VTN's services, without a network between them.

python fleet_20b.py COUNT   prints a JSON object: what happened, what it took of time and memory

Each VEN registers, announces a report, is asked for it, takes an event, opts in, polls, and delivers
twice. The figures of time are the fleet's alone: composing and receiving, not the VTN's work.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
from typing import Any

from oadr2._core.fleet import Fleet
from oadr2.fleet.endpoint import SERVICES
from oadr2.fleet.row_groups import announced
from oadr2.fleet.scenario import Reports
from oadr2.schedule import Duration
from oadr2.sim import SimulatedVtn
from oadr2.sim.services import VtnServices

SECOND = 1_000_000
BEGIN = 1_700_000_000 * SECOND
POLLS_S = 60
CURVE = (0.3, 0.2, 0.5, 0.9, 0.7, 1.4)


def resident() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def new_fleet(count: int) -> Fleet:
    fleet = Fleet(seed=1)
    fleet.add_group(
        count,
        ven_ids="house_{n}",
        profile="2.0b",
        register=True,
        poll_interval=POLLS_S * SECOND,
        reports=announced(Reports(points=2)),
        load_curve=CURVE,
        load_noise=0.1,
    )
    fleet.start(0, count, BEGIN, POLLS_S * SECOND)
    return fleet


class Talk:
    """The fleet and its VTN; ``spent`` is what the fleet took, in seconds of processor time."""

    def __init__(self, count: int) -> None:
        self.now = BEGIN
        vtn = SimulatedVtn(
            "vtn", "2.0b", clock=self.seconds, keep_answers=1000, remember_vens=False
        )
        self.services = VtnServices(
            vtn,
            poll_freq=Duration(microseconds=POLLS_S * SECOND),
            report_every=Duration(microseconds=2 * POLLS_S * SECOND),
            granularity=Duration(microseconds=POLLS_S * SECOND),
            keep_reports=10,
            remember_vens=False,
        )
        self.fleet = new_fleet(count)
        self.spent: dict[str, float] = {}
        self.exchanges: dict[str, int] = {}
        self.failed = 0

    def seconds(self) -> float:
        return self.now / SECOND

    def run(self, until: int) -> None:
        end = BEGIN + until * SECOND
        fleet = self.fleet
        while (due := fleet.next_due) is not None and due <= end:
            self.now = max(self.now, due)
            for row in fleet.take_due(self.now, 1000):
                while self.exchange(row) > 0:
                    pass
            fleet.advance(self.now, 100_000)
        self.now = end

    def exchange(self, row: int) -> int:
        fleet, clock = self.fleet, time.perf_counter
        began = clock()
        request = fleet.compose(row, self.now)
        service = SERVICES[fleet.service(row)]
        composed = clock()
        reply = self.services.handle(service, request)
        replied = clock()
        more = fleet.receive(row, reply, self.now)
        spent = clock() - replied + composed - began
        self.spent[service] = self.spent.get(service, 0.0) + spent
        self.exchanges[service] = self.exchanges.get(service, 0) + 1
        self.failed += more < 0
        return more


def measure(count: int) -> dict[str, Any]:
    talk = Talk(count)
    began = time.perf_counter()
    talk.run(POLLS_S)
    registering = time.perf_counter() - began
    registering_spent = sum(talk.spent.values())
    talk.services.vtn.add_event("peak", start=f"+{40 * POLLS_S}s", duration=3600)
    talk.run(5 * POLLS_S)
    counters = talk.fleet.counters
    spent, exchanges = sum(talk.spent.values()), sum(talk.exchanges.values())
    return {
        "vens": count,
        "registered": talk.fleet.registered,
        "exchanges": exchanges,
        "events_new": counters["events_new"],
        "replies_sent": counters["replies_sent"],
        "reports_sent": counters["reports_sent"],
        "failed": talk.failed,
        "us_per_exchange": round(1e6 * spent / exchanges, 3),
        "us_per_exchange_by_service": {
            name: round(1e6 * talk.spent[name] / talk.exchanges[name], 3) for name in talk.spent
        },
        "registrations_per_second": round(count / registering_spent),
        "registrations_per_second_with_the_vtn": round(count / registering),
        "seconds": round(time.perf_counter() - began, 1),
        "bytes_per_ven": bytes_per_ven(talk, count),
    }


def bytes_per_ven(talk: Talk, count: int) -> int:
    """What is given back when the fleet goes, with registrations, requests and an event each."""
    trim = ctypes.CDLL(None).malloc_trim
    gc.collect()
    trim(0)
    before = resident()
    del talk.fleet
    gc.collect()
    trim(0)
    return (before - resident()) // count


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1])), indent=2))
