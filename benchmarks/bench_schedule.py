"""Which interval holds now: ours against the same done with datetime and timedelta."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from contenders import OADR2
from payloads import START

import oadr2

FROM_TEXT = "choose_interval, 24 intervals as text, the last one holds"
PARSED = "choose_interval, 24 intervals parsed before, the last one holds"
INTERVALS = ["PT1H"] * 24
NOW = START + timedelta(hours=23, minutes=30)


def choose_with_timedelta(start: datetime, durations: list[timedelta], now: datetime) -> int | None:
    """Durations already parsed, none of them zero: a bound from below, not a replacement."""
    if now < start:
        return -1
    for index, duration in enumerate(durations):
        start += duration
        if now < start:
            return index
    return None


def bench_oadr2(benchmark: Any, label: Callable[[str, str], None]) -> None:
    label(FROM_TEXT, OADR2)
    assert benchmark(oadr2.schedule.choose_interval, START, INTERVALS, NOW) == 23


def bench_oadr2_parsed(benchmark: Any, label: Callable[[str, str], None]) -> None:
    label(PARSED, OADR2)
    parsed = [oadr2.schedule.parse_duration(text) for text in INTERVALS]
    assert benchmark(oadr2.schedule.choose_interval, START, parsed, NOW) == 23


def bench_timedelta(benchmark: Any, label: Callable[[str, str], None]) -> None:
    label(PARSED, "standard library")
    parsed = [timedelta(hours=1)] * 24
    assert benchmark(choose_with_timedelta, START, parsed, NOW) == 23
