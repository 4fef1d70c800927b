"""Kills a registered, reporting 2.0b VEN again and again; what it told the VTN must be in its file.

No registration may be lost, no report request that it has accepted, no event that it has answered, no reading
that it has taken, no opt that a person has ordered.
``OADR2_FAULT_KILLS`` and ``OADR2_FAULT_SEED`` are those of :mod:`fault_harness`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from oadr2_program import PATIENCE, Program

from oadr2 import decode
from oadr2.model import (
    CreatedReport,
    CreateOpt,
    CreatePartyRegistration,
    Report,
    ReportPayload,
    UpdateReport,
)
from oadr2.orders import Order, Orders
from oadr2.schedule import Duration
from oadr2.sim import SimulatedVtn, VtnServer, VtnServices
from oadr2.sim.exchange import Exchange
from oadr2.sim.services import Told
from oadr2.store import EventStore

NAME = "house"
REPORTS = """
[[report]]
id = "meter"

[[report.point]]
r_id = "power"
unit = "powerReal"
source = "random:1..1000"
"""


Reading: TypeAlias = tuple[str, datetime]


def readings_in(report: Report) -> dict[Reading, float]:
    return {
        (report.report_request_id, interval.dtstart): payload.value
        for interval in report.intervals
        for payload in interval.payloads
        if interval.dtstart is not None
        and isinstance(payload, ReportPayload)
        and payload.value is not None
    }


@dataclass
class Known:
    """What the VTN has been told, and may count on.

    Attributes:
        gathered: readings that were in the file after a kill: (request, moment).
        readings: those that were delivered, and their values.
        ordered: the optIDs of the orders given; ``opted``: of the opts told.
    """

    registrations: int = 0
    accepted: set[str] = field(default_factory=set)
    delivered: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    gathered: set[Reading] = field(default_factory=set)
    readings: dict[Reading, float] = field(default_factory=dict)
    ordered: set[str] = field(default_factory=set)
    opted: set[str] = field(default_factory=set)


class ServiceFaultHarness:
    """One VTN, one VEN that dies again and again, and what is wrong, in words."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.db = folder / "ven.db"
        self.reports = folder / "reports.toml"
        self.reports.write_text(REPORTS)
        self.vtn = SimulatedVtn("vtn", "2.0b")
        second = Duration(microseconds=1_000_000)
        self.services = VtnServices(self.vtn, poll_freq=second)
        self.known = Known()
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self.services.on_message = self._told
        self.vtn.on_message = self._answered

    def run(self, kills: int) -> None:
        with VtnServer(self.vtn, services=self.services) as server:
            for number in range(kills):
                with self._ven(server.url) as ven:
                    if number == 0:
                        ven.wait_for_record(change="announced")
                        self._ask_for_something(number)
                        ven.wait_for_record(change="asked")
                    else:
                        ven.wait_for_record(kind="start")
                        self._ask_for_something(number)
                    time.sleep(self.random.uniform(0.0, 2.0))
                    ven.kill()
                self._check(number)
            self._end_well(server.url)

    def _ven(self, url: str) -> Program:
        return Program(
            "poll", "--profile", "2.0b", "--ven-name", NAME, "--vtn-url", url, "--interval", "1",
            "--reports", str(self.reports), "--db", str(self.db), "--json",
        )  # fmt: skip

    def _ask_for_something(self, number: int) -> None:
        """A new report, a new event, or neither."""
        for ven_id, ven in self.services.vens.items():
            if ven.metadata and (number == 0 or self.random.random() < 0.7):
                second = Duration(microseconds=1_000_000)
                back = Duration(microseconds=self.random.choice((1, 3, 5)) * 1_000_000)
                self.services.ask_for_report(
                    ven_id, "meter", ["power"], granularity=second, report_back_duration=back
                )
        if self.random.random() < 0.5:
            self.vtn.add_event(f"event-{number}", start="+1h", levels=[(3600, 1.0)])
        if self.random.random() < 0.5:
            begin = time.time() + 3600
            order = Order("schedule", "optOut", periods=((begin, begin + 60),), reason="x-schedule")
            with EventStore(self.db) as store:
                Orders(store, NAME).give(order)
            self.known.ordered.add(order.opt_id)

    def _told(self, told: Told) -> None:
        message = told.message
        with self._lock:
            if isinstance(message, CreatePartyRegistration):
                self.known.registrations += 1
            elif isinstance(message, CreatedReport) and message.response.ok:
                self.known.accepted.update(message.pending_reports)
            elif isinstance(message, UpdateReport):
                self.known.delivered.update(r.report_request_id for r in message.reports)
                for report in message.reports:
                    self._read(report)
            elif isinstance(message, CreateOpt):
                self.known.opted.add(message.opt_id)

    def _read(self, report: Report) -> None:
        """A report may come twice, when it was killed before it had our reply; never another reading."""
        for reading, value in readings_in(report).items():
            before = self.known.readings.setdefault(reading, value)
            if before != value:
                self.problems.append(f"two readings for {reading}: {before} and {value}")

    def _answered(self, exchange: Exchange) -> None:
        with self._lock:
            self.known.answered.update(answer.event_id for answer in exchange.answers)

    def _check(self, number: int) -> None:
        """Hold the file against what the VTN was told; nothing may be in motion."""
        with EventStore(self.db) as store:
            values = store.get_values(NAME)
            events = {row.event_id for row in store.look(NAME)}
        for key, text in values.items():
            if key.startswith(("report/sample/", "report/waiting/")):
                message = decode(text.encode())
                assert isinstance(message, UpdateReport)
                self.known.gathered.update(readings_in(message.reports[0]))
        requests = {key.removeprefix("report/request/") for key in values if "/request/" in key}
        with self._lock:
            for what, lost in (
                ("registration", set() if "registration" in values else {"it"}),
                ("accepted report request", self.known.accepted - requests),
                ("answered event", self.known.answered - events),
            ):
                if lost:
                    self.problems.append(f"after kill {number}: {what} lost: {sorted(lost)}")

    def _end_well(self, url: str) -> None:
        """Left alone, the VEN reports what it was asked for, and registers no second time."""
        with self._lock:
            self.known.delivered.clear()
            wanted = set(self.known.accepted)
        known = self.known
        left: tuple[tuple[str, Callable[[], Collection[object]]], ...] = (
            ("reported", lambda: wanted - known.delivered),
            ("delivered", lambda: known.gathered - known.readings.keys()),
            ("opted", lambda: known.ordered - known.opted),
        )
        with self._ven(url) as ven:
            for what, missing in left:
                if not self.services.wait_for(lambda: not missing(), PATIENCE):  # noqa: B023  at once
                    self.problems.append(f"not {what} in the end: {missing()}; {ven.errors}")
            ven.kill()
        if self.known.registrations != 1:
            self.problems.append(f"it registered {self.known.registrations} times")
