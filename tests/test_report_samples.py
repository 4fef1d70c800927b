"""What a periodic report has gathered between two deliveries survives the process."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from oadr2.errors import StoreError
from oadr2.model import (
    Period,
    ReportRequest,
    ReportSpecifier,
    ResourceStatus,
    SpecifierPayload,
)
from oadr2.schedule import Duration
from oadr2.services.report import Reports
from oadr2.services.report_source import RESOURCE_STATUS, Reading, ReportPoint, ReportSource
from oadr2.services.state import MemoryState
from oadr2.services.units import unit

BEGIN = 1_800_000_000.0


class FailingState(MemoryState):
    """Its disk is full while ``full`` is set."""

    full = False

    def save(self, changes: Mapping[str, str | None]) -> None:
        if self.full:
            raise StoreError("ven.db: cannot grow: free some disk space")
        super().save(changes)


class Ven:
    """The reports of a VEN that counts its readings; ``kill`` begins it anew from what was stored."""

    def __init__(self) -> None:
        self.state = FailingState()
        self.readings = itertools.count(1)
        self.now = BEGIN
        self.kill()

    def kill(self) -> None:
        def read() -> Reading:
            return float(next(self.readings))

        power = ReportPoint("power", read, unit=unit("powerReal"))
        other = ReportPoint("other", lambda: 7.0, unit=unit("voltage"))
        pump = ReportPoint("pump", lambda: ResourceStatus(True, False), RESOURCE_STATUS)
        sources = (
            ReportSource("meter", [power, other]),
            ReportSource("state", [pump], "TELEMETRY_STATUS"),
        )
        self.reports = Reports(sources, self.state)

    def ask(
        self, name: str, source: str, *points: str, lasts: int = 0, step: int = 10, back: int = 60
    ) -> None:
        """Every 10 s, to be delivered each minute, unless told otherwise."""
        specifier = ReportSpecifier(
            source,
            Duration(microseconds=step * 1_000_000),
            Duration(microseconds=back * 1_000_000),
            tuple(map(SpecifierPayload, points)),
            Period(datetime.fromtimestamp(BEGIN, UTC), Duration(microseconds=lasts * 1_000_000)),
        )
        outcome = self.reports.request((ReportRequest(name, specifier),), self.now)
        assert outcome.response_code == 200

    def until(self, seconds: float) -> None:
        """Let time pass, as long after the begin, with nothing left out."""
        while (deadline := self.reports.next_deadline) is not None and deadline <= BEGIN + seconds:
            self.now = max(self.now, deadline)
            self.reports.advance(self.now)
        self.now = BEGIN + seconds

    def delivered(self) -> list[tuple[float, float | None]]:
        """(seconds after the begin, reading) of all that waits for the VTN; it has it now."""
        found: list[tuple[float, float | None]] = []
        while (delivery := self.reports.due()) is not None:
            for interval in delivery.report.intervals:
                assert interval.dtstart is not None
                at = interval.dtstart.timestamp() - BEGIN
                found += [(at, getattr(p, "value", None)) for p in interval.payloads]
            self.reports.delivered(delivery.number)
        return found

    @property
    def stored(self) -> int:
        return len(self.state.load("report/sample/"))


@pytest.fixture
def ven() -> Ven:
    return Ven()


def test_no_reading_is_lost_and_none_is_there_twice(ven: Ven) -> None:
    ven.ask("a", "meter", "power")
    ven.until(34)
    assert ven.stored == 4
    ven.kill()
    ven.until(39)  # in the span of the last one
    ven.kill()
    ven.until(60)
    assert ven.delivered() == [(at, at / 10 + 1) for at in range(0, 70, 10)]
    assert ven.stored == 0
    ven.until(85)
    ven.kill()
    ven.until(120)
    assert [at for at, _ in ven.delivered()] == [70, 80, 90, 100, 110, 120]


def test_while_it_was_away_there_is_a_gap_and_nothing_else(ven: Ven) -> None:
    ven.ask("a", "meter", "power", "other")
    ven.until(25)
    ven.kill()
    ven.now = BEGIN + 47
    ven.reports.advance(ven.now)
    ven.until(60)
    assert [at for at, value in ven.delivered() if value == 7.0] == [0, 10, 20, 40, 50, 60]


def test_each_request_gets_its_own_back(ven: Ven) -> None:
    ven.ask("a", "meter", "power")
    ven.ask("b", "state", "pump")
    ven.until(15)
    ven.kill()
    ven.until(60)
    kept = [ven.reports.due()]
    ven.reports.delivered(kept[0].number)  # type: ignore[union-attr]
    kept.append(ven.reports.due())
    assert {d.report.report_request_id: len(d.report.intervals) for d in kept if d} == {
        "a": 7,
        "b": 7,
    }
    status = [p.resource_status for i in kept[1].report.intervals for p in i.payloads]  # type: ignore
    assert status == [ResourceStatus(True, False)] * 7


def test_the_last_report_brings_what_was_gathered_before(ven: Ven) -> None:
    ven.ask("a", "meter", "power", lasts=25)
    ven.until(15)
    ven.kill()
    ven.until(25)
    assert [at for at, _ in ven.delivered()] == [0, 10, 20]
    assert (ven.stored, ven.reports.pending) == (0, ())
    ven.kill()
    assert ven.reports.pending == ()


@pytest.mark.parametrize("how", ["cancelled", "with a last report", "announced", "ended", "anew"])
def test_nothing_is_left_behind_by_a_request_that_ends(ven: Ven, how: str) -> None:
    ven.ask("a", "meter", "power")
    ven.until(15)
    assert ven.stored == 2
    if how == "announced":
        ven.reports.announced()
    elif how == "ended":
        ven.state.save(dict.fromkeys(ven.reports.to_forget()))
        ven.reports.forgotten()
    elif how == "anew":
        ven.ask("a", "meter", "other")
    else:
        ven.reports.cancel(["a"], how == "with a last report", ven.now)
    assert ven.stored == 0
    assert len(ven.delivered()) == (2 if how == "with a last report" else 0)


def test_readings_that_cannot_be_stored_are_kept_in_memory_and_that_is_said_once(
    ven: Ven, caplog: pytest.LogCaptureFixture
) -> None:
    ven.ask("a", "meter", "power")
    ven.until(5)
    ven.state.full = True
    ven.until(35)
    assert len(caplog.records) == 1
    assert "readings are kept in memory only for now: ven.db" in caplog.text
    ven.state.full = False
    ven.until(45)
    assert ven.stored == 2
    ven.until(60)
    assert [at for at, _ in ven.delivered()] == [0, 10, 20, 30, 40, 50, 60]


def test_a_report_that_cannot_be_stored_is_made_again_whole_and_once(ven: Ven) -> None:
    ven.ask("a", "meter", "power")
    ven.until(55)
    ven.state.full = True
    for _ in range(2):
        with pytest.raises(StoreError):
            ven.until(60)
    assert ven.reports.waiting == 0
    ven.state.full = False
    ven.until(60)
    assert [at for at, _ in ven.delivered()] == [0, 10, 20, 30, 40, 50, 60]


def test_while_one_report_cannot_be_stored_the_others_are_read_on_time(ven: Ven) -> None:
    ven.ask("a", "meter", "power")
    ven.until(5)
    ven.ask("b", "state", "pump")  # from 10 s on, and due at 60 s as well
    ven.until(55)
    ven.state.full = True
    for now in (60, 70, 80):
        ven.now = BEGIN + now
        with pytest.raises(StoreError):
            ven.reports.advance(ven.now)
    ven.state.full = False
    ven.reports.advance(ven.now)
    at: dict[str, list[float]] = {}
    while (delivery := ven.reports.due()) is not None:
        moments = [i.dtstart.timestamp() - BEGIN for i in delivery.report.intervals if i.dtstart]
        at[delivery.report.report_request_id] = moments
        ven.reports.delivered(delivery.number)
    assert at == {"a": [0, *range(10, 90, 10)], "b": list(range(10, 90, 10))}


def test_a_long_report_that_waits_survives_the_process(ven: Ven) -> None:
    ven.ask("a", "meter", "power", "other", step=1, back=3600)
    ven.until(3600)
    ven.kill()
    assert len(ven.delivered()) == 2 * 3601


def test_the_reply_to_a_report_that_was_cancelled_meanwhile_is_not_taken_for_another(
    ven: Ven,
) -> None:
    ven.ask("a", "meter", "power")
    ven.until(60)
    under_way = ven.reports.due()
    assert under_way is not None
    ven.reports.cancel(["a"], False, ven.now)
    ven.ask("b", "meter", "power")
    ven.until(120)
    ven.reports.delivered(under_way.number)
    assert [at for at, _ in ven.delivered()] == [60, 70, 80, 90, 100, 110, 120]
