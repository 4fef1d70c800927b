"""oadr2.schedule: choosing among 24 intervals, and reading and writing texts.

Run with ``pytest benchmarks/bench_schedule.py`` (pytest-benchmark).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from oadr2 import schedule

START = datetime(2024, 6, 30, tzinfo=UTC)
MINUTES = [10 + i % 9 for i in range(24)]
FORMS: dict[str, Sequence[schedule.DurationLike]] = {
    "texts": [f"PT{n}M" for n in MINUTES],
    "java texts": [f"P0Y0M0DT0H{n}M0.000S" for n in MINUTES],
    "Durations": [schedule.parse_duration(f"PT{n}M") for n in MINUTES],
    "timedeltas": [timedelta(minutes=n) for n in MINUTES],
}


@pytest.mark.parametrize("index", [0, 12, 23])
@pytest.mark.parametrize("intervals", FORMS.values(), ids=FORMS.keys())
def test_choose_interval(
    benchmark: BenchmarkFixture, intervals: Sequence[schedule.DurationLike], index: int
) -> None:
    now = START + timedelta(minutes=sum(MINUTES[:index]))
    assert benchmark(schedule.choose_interval, START, intervals, now) == index


def test_durations_to_dates(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(schedule.durations_to_dates, START, FORMS["texts"])) == 25


def test_parse_duration(benchmark: BenchmarkFixture) -> None:
    assert benchmark(schedule.parse_duration, "P1DT2H30M")


def test_str_to_datetime(benchmark: BenchmarkFixture) -> None:
    assert benchmark(schedule.str_to_datetime, "2024-06-30T00:00:00Z") == START


def test_dttm_to_str(benchmark: BenchmarkFixture) -> None:
    assert benchmark(schedule.dttm_to_str, START) == "2024-06-30T00:00:00Z"
