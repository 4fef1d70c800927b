"""What a run looks like in a terminal, and in a log."""

from __future__ import annotations

from dataclasses import replace

import pytest
from results import SCENARIO, a_result, histogram
from rich.console import Console

from oadr2.cli.fleet_live import Progress, live_view, progress_line, summary_view
from oadr2.fleet.snapshot import Snapshot
from oadr2.fleet.words import clock, count, span


def snapshot(elapsed: float, polls: int, **more: object) -> Snapshot:
    values: dict[str, object] = {
        "at": 1000 + elapsed,
        "elapsed": elapsed,
        "vens": 1000,
        "vens_active": 600,
        "connections": 20,
        "counters": {"polls": polls, "exchanges": 2 * polls, "events_applied": 70},
        "errors": {},
        "latency": {"request_event": histogram([2000] * polls)},
        "latency_from_intended": {"request_event": histogram([3000] * polls)},
    }
    return Snapshot(**{**values, **more})  # type: ignore[arg-type]


def drawn(progress: Progress, *, ascii_only: bool = False) -> str:
    console = Console(width=100, file=None, color_system=None)
    with console.capture() as captured:
        console.print(live_view(progress, width=100, ascii_only=ascii_only))
    return captured.get()


def test_before_anything_is_known() -> None:
    progress = Progress(SCENARIO, "a simulated VTN")
    assert "making the VENs" in drawn(progress)
    assert progress_line(progress) == "making the VENs"


def test_the_picture_of_a_moment() -> None:
    progress = Progress(SCENARIO, "https://vtn.example")
    progress.add(snapshot(10.0, 1000))
    progress.add(
        snapshot(12.0, 1500, errors={"timeout": 7}, propagation={"seen": histogram([5_000_000])})
    )
    text = drawn(progress)
    for words in (
        "<evening> & peak  1,000 VENs on https://vtn.example",
        "12 s of 30 s  hold (2 of 2)",
        "latency, last 5 s       2.00 ms",
        "from intended         3.00 ms",
        "events reach VENs in     5.00 s",
        "events taken 70",
        "timeout 7",
    ):
        assert words in text, text
    assert "bottleneck" not in text
    figures = next(line for line in text.splitlines() if "600" in line)
    assert figures.split() == ["600", "250", "500", "20"]


def test_a_saturated_generator_is_told_at_once() -> None:
    progress = Progress(SCENARIO, "x")
    counters = {"polls": 1000, "exchanges": 1000, "late": 50}
    progress.add(snapshot(5.0, 1000, counters=counters))
    assert "the generator itself is the bottleneck: 50 polls were late, 1,000 were sent" in drawn(
        progress
    )
    assert "50 late" in progress_line(progress)


def test_an_ascii_terminal_gets_ascii() -> None:
    progress = Progress(SCENARIO, "x")
    progress.add(snapshot(5.0, 1000))
    progress.add(snapshot(6.0, 1200))
    assert drawn(progress, ascii_only=True).isascii()
    assert not drawn(progress).isascii()


def test_rates_are_those_of_the_last_five_seconds() -> None:
    progress = Progress(SCENARIO, "x")
    for second in range(1, 21):
        progress.add(snapshot(float(second), 100 * min(second, 10)))
    assert progress.rate("polls") == 0
    progress.add(snapshot(20.0, 99_999))  # nothing newer: passed over
    assert progress.rate("polls") == 0
    progress.add(snapshot(21.0, 2000))
    assert progress.rate("polls") == 200
    assert progress.recent_latency().count == 1000


def test_a_line_for_a_log() -> None:
    progress = Progress(SCENARIO, "x")
    progress.add(snapshot(10.0, 1000))
    assert progress_line(progress) == (
        "10 s of 30 s  hold (2 of 2)  600 VENs  100 polls/s  200 exchanges/s  "
        "p50 2.00 ms  p99 2.00 ms  0 errors"
    )


def test_what_vens_of_20b_do_besides_events() -> None:
    counters = {"polls": 1000, "exchanges": 3000, "registrations": 1010, "registrations_lost": 10}
    counters |= {"reports_sent": 1999, "opts_sent": 5, "report_requests": 1000}
    progress = Progress(SCENARIO, "x")
    progress.add(snapshot(5.0, 1000, counters=counters, vens_registered=1000))
    words = "1,010 registrations, 10 lost, 1,999 reports, 5 opts"
    assert f"registered now 1,000   {words}" in drawn(progress)
    assert words in progress_line(progress)
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(summary_view(replace(a_result(), counters=counters)))
    assert words in captured.get()


def test_the_end() -> None:
    console = Console(width=120, color_system=None)
    result = a_result(thresholds=["p99 < 1s", "errors < 0.1%", "errors dns == 0"])
    with console.capture() as captured:
        console.print(summary_view(replace(result, saturation=("it was slow",), interrupted=True)))
    text = captured.get()
    for words in (
        "500 for 30 s",
        "p50 19.0 ms  p90",
        "1,800, 60 a second",
        "http_5xx 60, timeout 30",
        "passed  p99 < 1s   it was 36.6 ms",
        "broken  errors < 0.1%   it was 4.92 %",
        "passed  errors dns == 0   it was 0",
        "The run was ended before its time.",
        "The generator was the bottleneck: it was slow.",
    ):
        assert words in text, text


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0 us"),
        (999, "999 us"),
        (1000, "1.00 ms"),
        (12_345, "12.3 ms"),
        (123_456, "123 ms"),
        (1_500_000, "1.50 s"),
        (60_000_000, "1:00"),
        (3_600_000_000, "1:00:00"),
    ],
)
def test_durations_in_words(us: int, text: str) -> None:
    assert span(us) == text


def test_numbers_in_words() -> None:
    assert (count(99_999), count(123_456), count(12_345_678)) == (
        "99,999",
        "123 thousand",
        "12.35 million",
    )
    assert (clock(0.0), clock(0.52), clock(0.97)) == ("0 s", "0.5 s", "1 s")
    assert (clock(59.4), clock(61), clock(3725)) == ("59 s", "1:01", "1:02:05")


def test_skipped_polls_are_in_the_summary() -> None:
    console = Console(width=100, file=None, color_system=None)
    with console.capture() as captured:
        console.print(summary_view(replace(a_result(), counters={"polls": 90, "skipped": 612})))
    assert "612 polls, while the VEN still waited" in captured.get()
