"""What a VTN may ask to be reported: whatever can be delivered, and nothing that grows without end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from oadr2.errors import ConfigurationError, StoreError
from oadr2.event import EventHandler
from oadr2.model import Period, ReportRequest, ReportSpecifier, SamplingRate, SpecifierPayload
from oadr2.schedule import Duration
from oadr2.services.report import Outcome, Reports
from oadr2.services.report_source import ReportPoint, ReportSource
from oadr2.services.state import MemoryState
from oadr2.services.units import unit
from oadr2.sim import SimulatedVtn, VtnServices
from oadr2.ven_20b import Ven20b

BEGIN = 1_800_000_000.0
DAY = 86400.0


def seconds(number: float) -> Duration:
    return Duration(microseconds=round(number * 1e6))


def reports(points: int, sampling: float = 1.0) -> Reports:
    rate = SamplingRate(seconds(sampling), seconds(3600))
    made = [
        ReportPoint(f"p{i}", lambda: 1.0, unit=unit("voltage"), sampling_rate=rate)
        for i in range(points)
    ]
    return Reports((ReportSource("meter", made),), MemoryState())


def ask(
    asked: Reports, step: float, back: float, length: float, *, ago: float = 0.0, points: int = 1
) -> Outcome:
    specifier = ReportSpecifier(
        "meter",
        seconds(step),
        seconds(back),
        tuple(SpecifierPayload(f"p{i}") for i in range(points)),
        Period(datetime.fromtimestamp(BEGIN - ago, UTC), seconds(length)),
    )
    return asked.request((ReportRequest("r", specifier),), BEGIN)


@pytest.mark.parametrize(
    ("step", "back", "length", "points"),
    [
        (900, 900, DAY, 20),
        (1, 3600, 3600, 20),
        (1, 3600, 0, 20),  # until it is cancelled
        (1, 60, 20 * 365 * DAY, 20),
        (1, 0, DAY, 1),
        (60, 7 * DAY, 0, 9),
        (0, 1, 0, 20),
        (0, 30 * DAY, 0, 20),
    ],
)
def test_what_can_be_delivered_is_taken(
    step: float, back: float, length: float, points: int
) -> None:
    assert ask(reports(points), step, back, length, points=points).response_code == 200


@pytest.mark.parametrize(
    ("step", "back", "length", "points"),
    [
        (1, 365 * DAY, 0, 1),
        (1, 0, 10 * 365 * DAY, 1),
        (1, DAY, 0, 2),
        (1, 365 * DAY, DAY, 2),
    ],
)
def test_what_nobody_could_deliver_is_refused(
    step: float, back: float, length: float, points: int
) -> None:
    asked = reports(points)
    outcome = ask(asked, step, back, length, points=points)
    assert outcome.response_code == 461
    assert "more than 100000 readings in one report" in outcome.description
    assert asked.pending == ()


def test_what_has_passed_already_counts_for_nothing() -> None:
    assert ask(reports(1), 1, 0, 10 * DAY, ago=9.5 * DAY).response_code == 200


def test_a_granularity_in_parts_of_a_second_is_refused() -> None:
    """The duration of its intervals could not be written: it would keep everything else back."""
    outcome = ask(reports(1), 1.5, 60, 0)
    assert outcome.response_code == 454
    assert "whole seconds" in outcome.description


@pytest.mark.parametrize(("step", "back"), [(1, 1e-3), (0, 0.5)])
def test_reports_without_a_breath_between_them_are_refused(step: float, back: float) -> None:
    outcome = ask(reports(1, sampling=0), step, back, 0)
    assert outcome.response_code == 461
    assert "reported every 1 s at most" in outcome.description


def test_a_report_of_one_reading_comes_no_more_often_than_the_point_is_read() -> None:
    assert ask(reports(1, sampling=30), 0, 30, 0).response_code == 200
    outcome = ask(reports(1, sampling=30), 0, 10, 0)
    assert outcome.response_code == 461
    assert "sampled every 30 s at most" in outcome.description


def test_a_rate_that_cannot_be_announced_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="point 'p0' must be in whole seconds"):
        reports(1, sampling=0.5)


class FullState(MemoryState):
    """Its disk is full while ``full`` is set."""

    full = False

    def save(self, changes: Mapping[str, str | None]) -> None:
        if self.full:
            raise StoreError("ven.db: cannot grow: free some disk space")
        super().save(changes)


def test_a_report_that_cannot_be_stored_silences_no_VEN() -> None:
    """It polls on (L02), and says what is wrong when there is nothing to send."""
    state, services = FullState(), VtnServices(SimulatedVtn("vtn", "2.0b"))
    handler = EventHandler("house", oadr_profile_level="2.0b", clock=lambda: BEGIN)
    point = ReportPoint("p0", lambda: 1.0, unit=unit("voltage"))
    ven = Ven20b(handler, sources=(ReportSource("meter", (point,)),), state=state)

    def purposes(now: float) -> list[str]:
        sent = []
        while (action := ven.next_action(now)) is not None:
            sent.append(action.purpose)
            ven.receive(action, services.handle(action.service, action.data), now)
        return sent

    assert purposes(BEGIN)[-2:] == ["announce", "synchronise"]
    assert ask(ven.reports, 0, 2, 0).response_code == 200
    state.full = True
    with pytest.raises(StoreError, match="cannot grow"):
        ven.next_action(BEGIN + 3)
    action = ven.next_action(BEGIN + 20)
    assert action is not None
    assert action.purpose == "poll"
    ven.receive(action, services.handle(action.service, action.data), BEGIN + 20)
    state.full = False
    assert purposes(BEGIN + 20) == ["report"]
