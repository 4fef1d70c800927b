"""oadr2.schedule: choosing among 24 intervals, and reading and writing texts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from contenders import OADR2
from payloads import START

from conftest import Label
from oadr2 import schedule

MINUTES = [10 + i % 9 for i in range(24)]
FORMS: dict[str, Sequence[schedule.DurationLike]] = {
    "texts": [f"PT{n}M" for n in MINUTES],
    "java texts": [f"P0Y0M0DT0H{n}M0.000S" for n in MINUTES],
    "Durations": [schedule.parse_duration(f"PT{n}M") for n in MINUTES],
    "timedeltas": [timedelta(minutes=n) for n in MINUTES],
}


def work(form: str, index: int) -> str:
    return f"choose_interval, 24 {form}, number {index} holds"


def choose_with_timedelta(start: datetime, durations: list[timedelta], now: datetime) -> int | None:
    """The same with the standard library, on durations parsed before, none of them zero."""
    if now < start:
        return -1
    for index, duration in enumerate(durations):
        start += duration
        if now < start:
            return index
    return None


@pytest.mark.parametrize("index", [0, 12, 23])
@pytest.mark.parametrize("form", FORMS)
def bench_choose_interval(form: str, index: int, benchmark: Any, label: Label) -> None:
    label(work(form, index), OADR2, headline=form == "timedeltas" and index == 23)
    now = START + timedelta(minutes=sum(MINUTES[:index]))
    assert benchmark(schedule.choose_interval, START, FORMS[form], now) == index


@pytest.mark.parametrize("index", [0, 12, 23])
def bench_choose_with_the_standard_library(index: int, benchmark: Any, label: Label) -> None:
    label(work("timedeltas", index), "standard library", headline=index == 23)
    now = START + timedelta(minutes=sum(MINUTES[:index]))
    assert benchmark(choose_with_timedelta, START, FORMS["timedeltas"], now) == index


def bench_durations_to_dates(benchmark: Any, label: Label) -> None:
    label("durations_to_dates, 24 texts", OADR2)
    assert len(benchmark(schedule.durations_to_dates, START, FORMS["texts"])) == 25


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
