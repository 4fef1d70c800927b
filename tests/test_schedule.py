"""oadr2.schedule: the functions EnerNOC's users know (facts.md 2.6, 5; field-notes.md 2)."""

import gc
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oadr2 import schedule
from oadr2.errors import LocalProtocolError, OadrError
from oadr2.schedule import Duration

START = datetime(2024, 6, 30, 12, 0, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


def test_bad_text_is_a_value_error_and_one_of_ours() -> None:
    assert issubclass(LocalProtocolError, ValueError)
    assert issubclass(LocalProtocolError, OadrError)


# --- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["PT3M", "+PT3M", "P0YT3M", "PT180S", "P0Y0M0DT0H3M0S", "P0D3M"])
def test_T04_parse_duration_reads_three_minutes(text: str) -> None:
    assert schedule.parse_duration(dur_str=text) == Duration(0, 180_000_000)


@pytest.mark.parametrize("text", ["PTS", "", "PT1D", "PX"])
def test_T07_parse_duration_refuses_what_is_none(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="is no duration"):
        schedule.parse_duration(text)


def test_T07_fractions_are_read_all_the_same() -> None:
    assert schedule.parse_duration("PT1.5S") == Duration(0, 1_500_000)


@pytest.mark.parametrize(
    ("text", "months", "minutes"),
    [
        ("P5M", Duration(5), Duration(0, 300_000_000)),
        ("-P5M", Duration(-5), Duration(0, -300_000_000)),
        ("P5M30S", Duration(5, 30_000_000), Duration(0, 330_000_000)),
    ],
)
def test_T08_months_without_t_are_warned_of_and_read_as_configured(
    text: str, months: Duration, minutes: Duration, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="oadr2.schedule"):
        assert schedule.parse_duration(text) == months
        assert schedule.parse_duration(text, months_without_t="minutes") == minutes
    assert [record.getMessage() for record in caplog.records] == [
        f"duration {text!r} has no T: read as months",
        f"duration {text!r} has no T: read as minutes",
    ]


def test_T08_other_months_are_months_under_either_reading(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for text in ("P1Y5M", "P5MT0S", "P5M1D"):
        assert schedule.parse_duration(text, months_without_t="minutes").months % 12 == 5
    assert not caplog.records


def test_parse_duration_takes_text_only() -> None:
    with pytest.raises(TypeError):
        schedule.parse_duration(b"PT5M")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "delta"),
    [
        ("PT3M", timedelta(minutes=3)),
        ("-PT2H", timedelta(hours=-2)),
        ("P12DT5H15M23S", timedelta(days=12, hours=5, minutes=15, seconds=23)),
        ("P1W", timedelta(weeks=1)),
        ("PT0.5S", timedelta(milliseconds=500)),
        ("P", timedelta()),
    ],
)
def test_duration_to_delta(text: str, delta: timedelta) -> None:
    assert schedule.duration_to_delta(duration_str=text) == delta
    assert schedule.duration_to_delta(text, start=START) == delta
    assert schedule.duration_to_delta(schedule.parse_duration(text)) == delta


def test_duration_to_delta_needs_a_start_for_calendar_months() -> None:
    with pytest.raises(LocalProtocolError, match=r"P1M has calendar months.*pass start="):
        schedule.duration_to_delta("P1M")
    february = datetime(2024, 2, 1, tzinfo=UTC)
    assert schedule.duration_to_delta("P1M", start=february) == timedelta(days=29)
    assert schedule.duration_to_delta("-P1M", february) == timedelta(days=-31)


@pytest.mark.parametrize(
    "text",
    ["2024-06-30T12:00:10Z", "2024-06-30T12:00:10.0000000Z", "2024-06-30T14:00:10+02:00"],
)
def test_T02_str_to_datetime(text: str) -> None:
    assert schedule.str_to_datetime(dt_str=text) == START
    assert schedule.str_to_datetime(text).tzinfo is UTC


def test_T02_str_to_datetime_reads_24_00_as_the_next_day() -> None:
    assert schedule.str_to_datetime("2024-06-30T24:00:00Z") == datetime(2024, 7, 1, tzinfo=UTC)


def test_T03_str_to_datetime_reads_no_zone_as_utc() -> None:
    assert schedule.str_to_datetime("2024-06-30T12:00:10") == START


def test_str_to_datetime_refuses_what_is_none() -> None:
    with pytest.raises(LocalProtocolError, match="'noon' is no date-time"):
        schedule.str_to_datetime("noon")
    with pytest.raises(TypeError):
        schedule.str_to_datetime(None)  # type: ignore[arg-type]


def test_T01_dttm_to_str() -> None:
    assert schedule.dttm_to_str(START) == "2024-06-30T12:00:10Z"
    late = START + timedelta(milliseconds=250)
    assert schedule.dttm_to_str(late) == "2024-06-30T12:00:10.25Z"
    assert schedule.dttm_to_str(late, include_msec=False) == "2024-06-30T12:00:10Z"
    east = late.astimezone(timezone(timedelta(hours=9)))
    assert schedule.dttm_to_str(dttm=east, include_msec=False) == "2024-06-30T12:00:10Z"
    assert schedule.dttm_to_str(START.replace(tzinfo=None)) == "2024-06-30T12:00:10Z"


# --- intervals -----------------------------------------------------------------------------------

INTERVALS = ("PT5M", "PT30S", "PT12H")
FORMS = {
    "texts": INTERVALS,
    "list": list(INTERVALS),
    "Durations": [schedule.parse_duration(text) for text in INTERVALS],
    "timedeltas": [schedule.duration_to_delta(text) for text in INTERVALS],
    "long texts": ["P0Y0M0DT0H5M0.000S", " PT30S ", "P12H"],
}


@pytest.mark.parametrize("intervals", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize(
    ("seconds", "index"),
    [
        (-1, -1),
        (-0.000001, -1),
        (0, 0),
        (299.999999, 0),
        (300, 1),
        (329.999999, 1),
        (330, 2),
        (330 + 12 * 3600 - 0.000001, 2),
        (330 + 12 * 3600, None),
        (10**9, None),
    ],
)
def test_choose_interval_is_half_open(
    intervals: list[schedule.DurationLike], seconds: float, index: int | None
) -> None:
    now = START + timedelta(seconds=seconds)
    assert schedule.choose_interval(start=START, interval_list=intervals, now=now) == index
    naive = START.replace(tzinfo=None)
    assert schedule.choose_interval(naive, intervals, now.replace(tzinfo=None)) == index
    assert schedule.choose_interval(naive, intervals, now) == index


@pytest.mark.parametrize("zero", ["PT0S", "P0D", "PT0M", "P", "P0M", Duration(), timedelta()])
def test_an_interval_of_zero_length_never_ends(zero: schedule.DurationLike) -> None:
    far = datetime(9999, 12, 31, tzinfo=UTC)
    assert schedule.choose_interval(START, [zero], START - SECOND) == -1
    assert schedule.choose_interval(START, [zero], START) == 0
    assert schedule.choose_interval(START, [zero], far) == 0
    assert schedule.choose_interval(START, ["PT1M", zero, "PT1M"], START) == 0
    assert schedule.choose_interval(START, ["PT1M", zero, "PT1M"], START + 60 * SECOND) == 1
    assert schedule.choose_interval(START, ["PT1M", zero, "PT1M"], far) == 1


def test_choose_interval_goes_by_the_calendar() -> None:
    start = datetime(2023, 1, 31, tzinfo=UTC)
    end = datetime(2023, 2, 28, tzinfo=UTC)
    for month in ("P1M", Duration(1)):
        assert schedule.choose_interval(start, [month, "PT1H"], end - MICROSECOND) == 0
        assert schedule.choose_interval(start, [month, "PT1H"], end) == 1


def test_an_interval_may_reach_beyond_the_last_year() -> None:
    for long in ("P9000Y", "P9000000D", Duration(0, 10**18)):
        assert schedule.choose_interval(START, ["PT1S", long], START + SECOND) == 1


def test_choose_interval_without_intervals() -> None:
    assert schedule.choose_interval(START, [], START - SECOND) == -1
    assert schedule.choose_interval(START, [], START) is None


def test_choose_interval_takes_the_present_when_not_told() -> None:
    hour = timedelta(hours=1)
    now = datetime.now(UTC)
    assert schedule.choose_interval(now - hour, ["PT30M", "P1D"]) == 1
    assert schedule.choose_interval(now + hour, ["PT30M", "P1D"]) == -1
    assert schedule.choose_interval(now - hour, ["PT30M", "PT1M"]) is None


def test_choose_interval_takes_any_sequence() -> None:
    class Steps(tuple[str, ...]):
        pass

    assert schedule.choose_interval(START, Steps(INTERVALS), START + 300 * SECOND) == 1
    assert schedule.choose_interval(START, dict.fromkeys(INTERVALS), START) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["PTX", "", "-PT5M", "-P1M", Duration(0, -1), "PT1M\u00e9"])
def test_choose_interval_refuses_bad_durations_where_it_looks(bad: schedule.DurationLike) -> None:
    assert schedule.choose_interval(START, ["PT1M", bad], START) == 0
    with pytest.raises(LocalProtocolError):
        schedule.choose_interval(START, ["PT1M", bad], START + 60 * SECOND)


@pytest.mark.parametrize("intervals", ["PT5M", None, 5, [None], [5], [b"PT5M"]], ids=repr)
def test_choose_interval_of_other_things_is_a_type_error(intervals: object) -> None:
    with pytest.raises(TypeError):
        schedule.choose_interval(START, intervals, START)  # type: ignore[arg-type]


def test_choose_interval_at_other_things_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        schedule.choose_interval(None, INTERVALS, START)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        schedule.choose_interval(START, INTERVALS, 0)  # type: ignore[arg-type]


def test_durations_to_dates_gives_the_start_and_every_end() -> None:
    dates = schedule.durations_to_dates(start=START, dur_list=INTERVALS)
    assert dates == [
        START,
        START + timedelta(minutes=5),
        START + timedelta(minutes=5, seconds=30),
        START + timedelta(hours=12, minutes=5, seconds=30),
    ]
    assert all(date.tzinfo is UTC for date in dates)
    assert schedule.durations_to_dates(START, []) == [START]


def test_durations_to_dates_goes_by_the_calendar_step_by_step() -> None:
    start = datetime(2023, 1, 31)  # noqa: DTZ001
    assert schedule.durations_to_dates(start, ["P1M", Duration(1), "-P1D"]) == [
        datetime(2023, 1, 31, tzinfo=UTC),
        datetime(2023, 2, 28, tzinfo=UTC),
        datetime(2023, 3, 28, tzinfo=UTC),
        datetime(2023, 3, 27, tzinfo=UTC),
    ]


def test_durations_to_dates_names_the_interval_that_is_wrong() -> None:
    with pytest.raises(LocalProtocolError, match=r"interval 1 \(P9000Y\)"):
        schedule.durations_to_dates(START, ["PT1M", "P9000Y"])
    with pytest.raises(LocalProtocolError, match="'PTX' is no duration"):
        schedule.durations_to_dates(START, ["PT1M", "PTX"])
    with pytest.raises(TypeError, match="not a single text"):
        schedule.durations_to_dates(START, "PT1M")


@given(
    st.lists(st.integers(1, 10**6), max_size=30),
    st.integers(-(10**6), 31 * 10**6),
    st.sampled_from(["text", "Duration", "timedelta"]),
)
def test_choose_interval_agrees_with_the_dates(seconds: list[int], offset: int, form: str) -> None:
    forms: dict[str, Callable[[int], schedule.DurationLike]] = {
        "text": lambda n: f"PT{n}S",
        "Duration": lambda n: Duration(0, n * 10**6),
        "timedelta": lambda n: timedelta(seconds=n),
    }
    intervals = [forms[form](n) for n in seconds]
    dates = schedule.durations_to_dates(START, intervals)
    now = START + offset * SECOND
    begun = sum(date <= now for date in dates)
    expected = None if begun == len(dates) else begun - 1
    assert schedule.choose_interval(START, intervals, now) == expected


# --- randomisation -------------------------------------------------------------------------------


def test_random_offset_without_tolerance_is_no_offset() -> None:
    assert schedule.random_offset(START, None, None) == START
    assert schedule.random_offset(START, "PT0S", "P") == START
    assert schedule.random_offset(START.replace(tzinfo=None), None, None) == START


class Extremes(Random):
    """Gives the lower or the upper end of what it is asked for."""

    def __init__(self, upper: bool) -> None:
        super().__init__()
        self.upper = upper

    def randint(self, a: int, b: int) -> int:
        return b if self.upper else a


@pytest.mark.parametrize(
    ("before", "after", "earliest", "latest"),
    [
        ("PT3M", None, -180 * SECOND, 0 * SECOND),
        (None, "PT3M", 0 * SECOND, 180 * SECOND),
        ("PT1H", "P3D12M", timedelta(hours=-1), timedelta(days=3, minutes=12)),
        ("P1M", "P1M", timedelta(days=-31), timedelta(days=30)),  # 30 May, 30 July
        (timedelta(seconds=1), Duration(0, 1), -SECOND, MICROSECOND),
    ],
)
def test_random_offset_reaches_both_ends(
    before: schedule.DurationLike | None,
    after: schedule.DurationLike | None,
    earliest: timedelta,
    latest: timedelta,
) -> None:
    lower = schedule.random_offset(
        dttm=START, start_before=before, start_after=after, random=Extremes(upper=False)
    )
    assert lower == START + earliest
    assert schedule.random_offset(START, before, after, Extremes(upper=True)) == START + latest


def test_random_offset_is_uniform_to_the_microsecond() -> None:
    source = Random(1)
    drawn = [
        (schedule.random_offset(START, "PT1S", "PT3S", source) - START) // MICROSECOND
        for _ in range(4000)
    ]
    assert min(drawn) >= -1_000_000
    assert max(drawn) <= 3_000_000
    quarters = [
        sum((us + 1_000_000) // 1_000_001 == quarter for us in drawn) for quarter in range(4)
    ]
    assert sum(quarters) == 4000
    assert all(850 < count < 1150 for count in quarters)  # five sigma around 1000
    assert len({us % 1000 for us in drawn}) > 900  # not rounded to milliseconds


def test_random_offset_repeats_with_the_same_source_and_differs_without() -> None:
    assert schedule.random_offset(START, "P1D", "P1D", Random(7)) == schedule.random_offset(
        START, "P1D", "P1D", Random(7)
    )
    assert len({schedule.random_offset(START, "P9D", "P9D") for _ in range(8)}) > 1


def test_random_offset_refuses_what_makes_no_sense() -> None:
    with pytest.raises(LocalProtocolError, match="start_after is negative: -PT5M"):
        schedule.random_offset(START, None, "-PT5M")
    with pytest.raises(LocalProtocolError, match="start_before is negative"):
        schedule.random_offset(START, Duration(-1), None)
    with pytest.raises(LocalProtocolError, match="is no duration"):
        schedule.random_offset(START, "PTX", None)
    with pytest.raises(LocalProtocolError, match="within the years 1 to 9999"):
        schedule.random_offset(START, "P9000Y", None)


# --- memory --------------------------------------------------------------------------------------


def test_nothing_is_left_behind_by_success_or_failure() -> None:
    def once() -> None:
        dates = schedule.durations_to_dates(START, ["PT1M", Duration(1), timedelta(1)])
        schedule.choose_interval(START, iter(["PT1M", "P1M"]), dates[1])  # type: ignore[arg-type]
        schedule.str_to_datetime(schedule.dttm_to_str(dates[-1].astimezone(timezone(SECOND))))
        str(-schedule.parse_duration("P1DT2H"))
        attempts: list[Callable[[], object]] = [
            lambda: schedule.choose_interval(START, ["PTX"], START),
            lambda: schedule.choose_interval(START, [None], START),  # type: ignore[list-item]
            lambda: schedule.durations_to_dates(START, ["PT1M", "P9000Y"]),
            lambda: schedule.str_to_datetime("x" * 1000),
            lambda: schedule.dttm_to_str(datetime.max.replace(tzinfo=timezone(-SECOND))),
            lambda: Duration(2**40),
            lambda: Duration(1, -1),
            lambda: START + Duration(2**31 - 1),
        ]
        for attempt in attempts:
            with pytest.raises((LocalProtocolError, TypeError)):
                attempt()

    def blocks_after(times: int) -> int:
        for _ in range(times):
            once()
        gc.collect()
        return sys.getallocatedblocks()

    before = blocks_after(50)
    assert blocks_after(1000) - before < 500  # one object lost per round would make 1000
