"""oadr2.schedule: choosing among intervals, and reading and writing texts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

import pytest
from contenders import OADR2
from payloads import START

from conftest import Aim, Label
from oadr2 import schedule

SECTION = "Times"
MINUTES = [10 + i % 9 for i in range(96)]
FORMS: dict[str, Sequence[schedule.DurationLike]] = {
    "texts": [f"PT{n}M" for n in MINUTES],
    "java texts": [f"P0Y0M0DT0H{n}M0.000S" for n in MINUTES],
    "Durations": [schedule.parse_duration(f"PT{n}M") for n in MINUTES],
    "timedeltas": [timedelta(minutes=n) for n in MINUTES],
}
AIM = Aim(0.15e-6)
CASES = pytest.mark.parametrize(
    ("intervals", "index"), [(1, 0), (24, 0), (24, 12), (24, 23), (96, 95)]
)
INTERVALS = pytest.mark.parametrize("intervals", [1, 24, 96])


def counted(number: int, plural: str) -> str:
    return f"{number} {plural if number > 1 else plural[:-1]}"


def work(form: str, intervals: int, index: int) -> str:
    return f"choose_interval, {counted(intervals, form)}, number {index} holds"


def choose_with_timedelta(start: datetime, durations: list[timedelta], now: datetime) -> int | None:
    """The same with the standard library, on durations parsed before, none of them zero."""
    if now < start:
        return -1
    for index, duration in enumerate(durations):
        start += duration
        if now < start:
            return index
    return None


@CASES
@pytest.mark.parametrize("form", FORMS)
def bench_choose_interval(
    form: str, intervals: int, index: int, benchmark: Any, label: Label
) -> None:
    last_of_24 = (intervals, index) == (24, 23)
    label(
        work(form, intervals, index),
        OADR2,
        headline=form in ("texts", "timedeltas") and last_of_24,
        aim=AIM if last_of_24 else None,
    )
    now = START + timedelta(minutes=sum(MINUTES[:index]))
    assert benchmark(schedule.choose_interval, START, FORMS[form][:intervals], now) == index


@CASES
def bench_choose_with_the_standard_library(
    intervals: int, index: int, benchmark: Any, label: Label
) -> None:
    headline = (intervals, index) == (24, 23)
    label(work("timedeltas", intervals, index), "standard library", headline=headline)
    now = START + timedelta(minutes=sum(MINUTES[:index]))
    durations = FORMS["timedeltas"][:intervals]
    assert benchmark(choose_with_timedelta, START, durations, now) == index


@INTERVALS
@pytest.mark.parametrize("form", ["texts", "timedeltas"])
def bench_durations_to_dates(form: str, intervals: int, benchmark: Any, label: Label) -> None:
    label(f"durations_to_dates, {counted(intervals, form)}", OADR2)
    dates = benchmark(schedule.durations_to_dates, START, FORMS[form][:intervals])
    assert dates == list(accumulate(FORMS["timedeltas"][:intervals], initial=START))


@INTERVALS
def bench_accumulate(intervals: int, benchmark: Any, label: Label) -> None:
    label(f"durations_to_dates, {counted(intervals, 'timedeltas')}", "standard library")
    durations = FORMS["timedeltas"][:intervals]
    assert len(benchmark(lambda: list(accumulate(durations, initial=START)))) == intervals + 1


def bench_parse_duration(benchmark: Any, label: Label) -> None:
    label("parse_duration", OADR2)
    assert benchmark(schedule.parse_duration, "P1DT2H30M")


def bench_str_to_datetime(benchmark: Any, label: Label) -> None:
    label("str_to_datetime", OADR2)
    assert benchmark(schedule.str_to_datetime, "2026-06-01T14:00:00Z") == START


def bench_fromisoformat(benchmark: Any, label: Label) -> None:
    label("str_to_datetime", "standard library")
    assert benchmark(datetime.fromisoformat, "2026-06-01T14:00:00Z") == START


def bench_dttm_to_str(benchmark: Any, label: Label) -> None:
    label("dttm_to_str", OADR2)
    assert benchmark(schedule.dttm_to_str, START) == "2026-06-01T14:00:00Z"
