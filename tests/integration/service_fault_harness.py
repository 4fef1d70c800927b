"""Kills a registered, reporting 2.0b VEN again and again; what it told the VTN must be in its file.

No registration may be lost, no report request that it has accepted, no event that it has answered.
``OADR2_FAULT_KILLS`` and ``OADR2_FAULT_SEED`` are those of :mod:`fault_harness`.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from oadr2_program import PATIENCE, Program

from oadr2.model import CreatedReport, CreatePartyRegistration, UpdateReport
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
source = 42.5
"""


@dataclass
class Known:
    """What the VTN has been told, and may count on."""

    registrations: int = 0
    accepted: set[str] = field(default_factory=set)
    delivered: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)


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
                self.services.ask_for_report(
                    ven_id, "meter", ["power"], report_back_duration=second
                )
        if self.random.random() < 0.5:
            self.vtn.add_event(f"event-{number}", start="+1h", levels=[(3600, 1.0)])

    def _told(self, told: Told) -> None:
        message = told.message
        with self._lock:
            if isinstance(message, CreatePartyRegistration):
                self.known.registrations += 1
            elif isinstance(message, CreatedReport) and message.response.ok:
                self.known.accepted.update(message.pending_reports)
            elif isinstance(message, UpdateReport):
                self.known.delivered.update(r.report_request_id for r in message.reports)

    def _answered(self, exchange: Exchange) -> None:
        with self._lock:
            self.known.answered.update(answer.event_id for answer in exchange.answers)

    def _check(self, number: int) -> None:
        """Hold the file against what the VTN was told; nothing may be in motion."""
        with EventStore(self.db) as store:
            values = store.get_values(NAME)
            events = {row.event_id for row in store.look(NAME)}
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
        with self._ven(url) as ven:
            everything = self.services.wait_for(lambda: wanted <= self.known.delivered, PATIENCE)
            if not everything:
                missing = sorted(wanted - self.known.delivered)
                self.problems.append(f"not reported in the end: {missing}; {ven.errors}")
            ven.kill()
        if self.known.registrations != 1:
            self.problems.append(f"it registered {self.known.registrations} times")
