"""The compiled reader and writer of durations, and the calendar they go by (facts.md 5.2)."""

import pickle
import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oadr2._core import datetimes
from oadr2._core.datetimes import Duration
from oadr2.errors import LocalProtocolError

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MOST_MONTHS = 2**31 - 1
MOST_MICROSECONDS = 10**18


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type, misc]


DURATIONS = [
    # the "ok" rows of facts.md 5.2
    ("PT1H", 0, HOUR),
    ("PT90M", 0, 90 * MINUTE),
    ("PT3600S", 0, HOUR),
    ("P1DT2H", 0, 26 * HOUR),
    ("P1Y2M3DT4H5M6S", 14, 3 * DAY + 4 * HOUR + 5 * MINUTE + 6 * SECOND),
    ("PT0S", 0, 0),
    ("P0D", 0, 0),
    ("PT0M", 0, 0),
    ("P", 0, 0),
    ("PT", 0, 0),
    ("P1DT", 0, DAY),
    ("-PT5M", 0, -5 * MINUTE),
    ("+PT5M", 0, 5 * MINUTE),
    ("P12H", 0, 12 * HOUR),
    ("P1H2S", 0, HOUR + 2 * SECOND),
    ("P3D12M", 0, 3 * DAY + 12 * MINUTE),
    ("P5M", 5, 0),
    ("P10M", 10, 0),
    # more of the pattern's combinations
    ("P1Y", 12, 0),
    ("-P1Y2M", -14, 0),
    ("-P1M1D", -1, -DAY),
    ("-PT0S", 0, 0),
    ("P5MT", 5, 0),
    ("P5MT10M", 5, 10 * MINUTE),
    ("P5M10M", 5, 10 * MINUTE),
    ("P1Y10M", 22, 0),
    ("P1Y10M5M", 22, 5 * MINUTE),
    ("P1H30M", 0, 90 * MINUTE),
    ("P30S", 0, 30 * SECOND),
    ("P0Y0M0DT0H15M0S", 0, 15 * MINUTE),
    ("PT0000000000000000000000000000015M", 0, 15 * MINUTE),
    ("PT999999H", 0, 999_999 * HOUR),
    ("PT1000000H", 0, 1_000_000 * HOUR),
]


@pytest.mark.parametrize(("text", "months", "us"), DURATIONS, ids=[t for t, _, _ in DURATIONS])
@pytest.mark.parametrize("blanks", [("", ""), (" ", "\n"), ("\t\r\n ", "  ")], ids=repr)
def test_T04_every_allowed_duration_is_read(
    text: str, months: int, us: int, blanks: tuple[str, str]
) -> None:
    found, _ = datetimes.read_duration(blanks[0] + text + blanks[1])
    assert (found.months, found.microseconds) == (months, us)


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("3W", 21 * DAY),
        ("P3W", 21 * DAY),
        (" 3W ", 21 * DAY),
        ("-P3W", -21 * DAY),
        ("+P3W", 21 * DAY),
        ("0W", 0),
    ],
)
def test_T06_weeks_are_read_with_and_without_p(text: str, us: int) -> None:
    assert datetimes.read_duration(text) == (Duration(0, us), False)


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("PT1.000S", SECOND),
        ("PT0.5S", 500_000),
        ("PT1.5S", 1_500_000),
        ("PT.000S", 0),
        ("P0Y0M0DT0H15M0.000S", 15 * MINUTE),
        ("-PT0.25S", -250_000),
        ("PT0.1234567S", 123_456),
        ("PT0.999999999S", 999_999),
        ("P1.5S", 1_500_000),
    ],
)
def test_fractions_of_a_second_are_read(text: str, us: int) -> None:
    """field-notes.md 19; a wanted difference to facts.md T07, which refuses PT1.5S."""
    assert datetimes.read_duration(text) == (Duration(0, us), False)


NUMBERS = ["0", "7", "10", "59", "99", "007", "100", ""]
JAVA = "P0Y0M0DT1H30M5.000S"


def outcome(text: str) -> tuple[Duration, bool] | str:
    try:
        return datetimes.read_duration(text)
    except LocalProtocolError:
        return "refused"


def test_durations_as_java_writes_them_are_read_like_all_others() -> None:
    """They have a way of their own; a sign in front takes the general one."""
    texts = [f"P0Y0M0DT{h}H{m}M{s}.000S" for h in NUMBERS for m in NUMBERS for s in NUMBERS]
    for place in range(len(JAVA)):
        before, after = JAVA[:place], JAVA[place + 1 :]
        texts += [before + after, *(before + other + after for other in "019HMSDTYPW.-/: é")]
        texts += [before + other + JAVA[place:] for other in "0159."]
    found = {text: outcome(text) for text in texts}
    assert found["P0Y0M0DT10H59M7.000S"] == (
        Duration(0, 10 * HOUR + 59 * MINUTE + 7 * SECOND),
        False,
    )
    assert found["P0Y0M0DT99H99M99.000S"] == (Duration(0, 99 * (HOUR + MINUTE + SECOND)), False)
    assert found == {text: outcome("+" + text) for text in texts}


REFUSED_DURATIONS = [
    # the "rejected" row of facts.md 5.2
    "PTS",
    "PT1D",
    "P1M1Y",
    "pt1h",
    "",
    "0",
    # and what lies near it
    " ",
    "-",
    "+",
    "T",
    "1H",
    "1",
    "PT1h",
    "PX",
    "P1",
    "PT1",
    "P-1D",
    "-+PT1H",
    "--PT1H",
    "- PT1H",
    "PT 1H",
    "P T1H",
    "PTT1H",
    "PT1HT1M",
    "P1HT1M",
    "P1S1H",
    "P1D1Y",
    "P1D1D",
    "PT1M1M",
    "PT1M1H",
    "PT1S1S",
    "PT1S1M",
    "P1DD",
    "P1YY",
    "PT1.5H",
    "PT1.5M",
    "P1.5D",
    "P0.5Y",
    "P1.5W",
    "PT1.S",
    "PT.S",
    "PT1..5S",
    "PT1.5",
    "PT1,5S",
    "W",
    "PW",
    "-3W",
    "+3W",
    "3WW",
    "3W1D",
    "1D3W",
    "P1W1D",
    "P1D1W",
    "PT1W",
    "P1WT1H",
    "P1WT",
    "3",
    "1D",
    "1HP3W",
    "PT1H PT1H",
    "PT15M\0",
    "\0PT15M",
    "PT15M\u00a0",
    "PT\uff11\uff15M",
    "\ud800",
    "PT1/M",
    "PT1:M",
    "PT:M",
    "PT/M",
]


@pytest.mark.parametrize("text", REFUSED_DURATIONS, ids=ascii)
def test_T07_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="is no duration: write it like PT15M"):
        datetimes.read_duration(text)


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("P5M", True),
        ("P10M", True),
        ("-P5M", True),
        ("+P5M", True),
        (" P5M ", True),
        ("P5M30S", True),
        ("P0M", False),
        ("PT5M", False),
        ("P5MT", False),
        ("P5MT0S", False),
        ("P1Y5M", False),
        ("P5M3D", False),
        ("P3D5M", False),
        ("P5M1H", False),
        ("P5M10M", False),
        ("P1H5M", False),
        ("P1Y", False),
    ],
)
def test_T08_months_that_may_mean_minutes_are_told(text: str, bare: bool) -> None:
    assert datetimes.read_duration(text)[1] is bare


@pytest.mark.parametrize(
    ("text", "months", "us"),
    [
        ("P2147483647M", MOST_MONTHS, 0),
        ("-P2147483647M", -MOST_MONTHS, 0),
        ("P178956970Y7M", MOST_MONTHS, 0),
        ("PT1000000000000S", 0, MOST_MICROSECONDS),
        ("PT999999999999.999999S", 0, MOST_MICROSECONDS - 1),
        ("P11574074DT1H46M40S", 0, MOST_MICROSECONDS),
    ],
)
def test_the_longest_durations(text: str, months: int, us: int) -> None:
    assert datetimes.read_duration(text)[0] == Duration(months, us)


@pytest.mark.parametrize(
    "text",
    [
        "P2147483648M",
        "P178956970Y8M",
        "P178956971Y",
        "P4294967297M",
        "PT1000000000001S",
        "PT1000000000000.000001S",
        "P11574074DT1H46M41S",
        "P11574075D",
        "P1653440W",
        "PT277777778H",
        "PT16666666667M",
        "PT18446744073709551616S",
        "PT18446744073709551617M",
        "P18446744073709551617M",
        "P" + "9" * 50 + "D",
        "PT" + "9" * 5000 + "S",
        "9" * 30 + "W",
    ],
    ids=lambda text: text[:30],
)
def test_longer_ones_are_refused_and_do_not_wrap(text: str) -> None:
    with pytest.raises(LocalProtocolError):
        datetimes.read_duration(text)


DURATION_ORACLE = re.compile(
    r"[ \t\r\n]*(?:(?P<sign>[+-])?P(?:(?P<Y>\d+)Y)?(?:(?P<M>\d+)M)?(?:(?P<D>\d+)D)?(?P<T>T)?"
    r"(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+|\d*\.\d+)S)?"
    r"|(?P<W1>\d+)W|(?P<sign2>[+-])?P(?P<W2>\d+)W)[ \t\r\n]*",
    re.ASCII,
)


def duration_oracle(text: str) -> tuple[Duration, bool] | None:
    match = DURATION_ORACLE.fullmatch(text)
    if match is None:
        return None
    part = match.groupdict()

    def number(name: str) -> int:
        return int(part[name] or 0)

    whole, _, fraction = (part["s"] or "0").partition(".")
    months = number("Y") * 12 + number("M")
    us = int(fraction[:6].ljust(6, "0")) + int(whole or 0) * SECOND
    us += number("m") * MINUTE + number("h") * HOUR + number("D") * DAY
    us += (number("W1") + number("W2")) * 7 * DAY
    if months > MOST_MONTHS or us > MOST_MICROSECONDS:
        return None
    bare = months > 0 and not any(part[name] for name in "YDThm")
    sign = -1 if "-" in (part["sign"], part["sign2"]) else 1
    return Duration(sign * months, sign * us), bare


def read_duration_or_none(text: str) -> tuple[Duration, bool] | None:
    try:
        return datetimes.read_duration(text)
    except LocalProtocolError:
        return None


def test_the_oracle_agrees_with_the_tables() -> None:
    for text, months, us in DURATIONS:
        found = duration_oracle(text)
        assert found is not None
        assert found[0] == Duration(months, us)
    assert all(duration_oracle(text) is None for text in REFUSED_DURATIONS)


@given(st.text(alphabet="PPPTTYMMDHSW0159.+- ", max_size=14))
def test_durations_of_random_letters_agree_with_the_oracle(text: str) -> None:
    assert read_duration_or_none(text) == duration_oracle(text)


@given(
    st.from_regex(
        r"\A[+-]?P?([0-9]{1,9}Y)?([0-9]{1,11}M)?([0-9]{1,9}D)?T?([0-9]{1,9}H)?([0-9]{1,12}M)?"
        r"([0-9]{1,13}(\.[0-9]{1,8})?S)?([0-9]W)?\Z"
    )
)
def test_durations_that_look_right_agree_with_the_oracle(text: str) -> None:
    assert read_duration_or_none(text) == duration_oracle(text)


@pytest.mark.parametrize("text", [text for text, _, _ in DURATIONS])
def test_durations_cut_or_spoiled_anywhere_agree_with_the_oracle(text: str) -> None:
    for i in range(len(text)):
        for other in (text[:i], text[i:], text[:i] + text[i + 1 :]):
            assert read_duration_or_none(other) == duration_oracle(other), other
        for char in "0PTYMDHSW.- \x00/:":
            spoiled = text[:i] + char + text[i + 1 :]
            assert read_duration_or_none(spoiled) == duration_oracle(spoiled), spoiled


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (Duration(), "PT0S"),
        (Duration(0, SECOND), "PT1S"),
        (Duration(0, 90 * MINUTE), "PT1H30M"),
        (Duration(0, HOUR), "PT1H"),
        (Duration(0, DAY), "P1D"),
        (Duration(0, 21 * DAY), "P21D"),
        (Duration(0, DAY + HOUR + MINUTE + SECOND), "P1DT1H1M1S"),
        (Duration(0, DAY + SECOND), "P1DT1S"),
        (Duration(0, -5 * MINUTE), "-PT5M"),
        (Duration(0, 500_000), "PT0.5S"),
        (Duration(0, MINUTE + 1), "PT1M0.000001S"),
        (Duration(5), "P5M"),
        (Duration(-14, -HOUR), "-P14MT1H"),
        (Duration(MOST_MONTHS, MOST_MICROSECONDS), "P2147483647M11574074DT1H46M40S"),
    ],
)
def test_T05_durations_are_written_without_weeks_and_zero_as_pt0s(
    duration: Duration, text: str
) -> None:
    assert str(duration) == text
    assert datetimes.read_duration(text)[0] == duration


@st.composite
def any_duration(
    draw: st.DrawFn, months: int = MOST_MONTHS, us: int = MOST_MICROSECONDS
) -> Duration:
    sign = draw(st.sampled_from([1, -1]))
    return Duration(sign * draw(st.integers(0, months)), sign * draw(st.integers(0, us)))


T05 = re.compile(r"-?P(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")


@given(any_duration())
def test_T05_durations_come_back_as_written(duration: Duration) -> None:
    text = str(duration)
    assert T05.fullmatch(text)
    assert datetimes.read_duration(text)[0] == duration


# --- Duration ------------------------------------------------------------------------------------


def test_duration_behaves_like_a_frozen_value() -> None:
    duration = Duration(months=1, microseconds=2)
    assert duration == Duration(1, 2)
    assert duration not in (Duration(1, 3), Duration(2, 2), "P1M", None)
    assert hash(duration) == hash(Duration(1, 2))
    assert repr(duration) == "Duration(months=1, microseconds=2)"
    assert pickle.loads(pickle.dumps(duration)) == duration
    with pytest.raises(AttributeError):
        duration.months = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        duration.seconds = 2  # type: ignore[attr-defined]
    match duration:
        case Duration(months, microseconds):
            assert (months, microseconds) == (1, 2)


def test_a_day_is_24_hours_and_a_month_is_no_number_of_days() -> None:
    assert datetimes.as_duration("P1D") == datetimes.as_duration("PT24H")
    assert datetimes.as_duration("P1M") != datetimes.as_duration("P30D")


@given(any_duration())
def test_duration_negation_and_truth(duration: Duration) -> None:
    negative = -duration
    assert (negative.months, negative.microseconds) == (-duration.months, -duration.microseconds)
    assert -negative == duration
    assert bool(duration) == (duration != Duration())


@pytest.mark.parametrize(
    ("months", "us"),
    [
        (MOST_MONTHS + 1, 0),
        (-MOST_MONTHS - 1, 0),
        (0, MOST_MICROSECONDS + 1),
        (0, -MOST_MICROSECONDS - 1),
        (2**64, 0),
        (0, 2**64),
        (1, -1),
        (-1, 1),
    ],
)
def test_durations_out_of_range_or_of_two_signs_are_refused(months: int, us: int) -> None:
    with pytest.raises(LocalProtocolError):
        Duration(months, us)


@pytest.mark.parametrize("number", [1.0, "1", None])
def test_duration_takes_whole_numbers_only(number: object) -> None:
    with pytest.raises(TypeError):
        Duration(number)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Duration(0, number)  # type: ignore[arg-type]


@given(st.integers(-MOST_MICROSECONDS, MOST_MICROSECONDS))
@example(-1)
@example(-DAY)
def test_duration_and_timedelta_convert_both_ways(us: int) -> None:
    delta = timedelta(microseconds=us)
    assert Duration(0, us).timedelta == delta
    assert datetimes.as_duration(delta) == Duration(0, us)


def test_calendar_months_have_no_timedelta() -> None:
    with pytest.raises(LocalProtocolError, match="P1M has calendar months"):
        _ = Duration(1).timedelta


@pytest.mark.parametrize("delta", [timedelta.max, timedelta.min, timedelta(days=11_574_075)])
def test_a_timedelta_that_is_too_long_is_refused(delta: timedelta) -> None:
    with pytest.raises(LocalProtocolError, match="too long"):
        datetimes.as_duration(delta)


@pytest.mark.parametrize("thing", [None, 5, 1.5, b"PT5M", utc(2024, 1, 1)])
def test_what_is_no_duration_at_all_is_a_type_error(thing: object) -> None:
    with pytest.raises(TypeError):
        datetimes.as_duration(thing)  # type: ignore[arg-type]


# --- calendar arithmetic -------------------------------------------------------------------------


def calendar_oracle(dttm: datetime, duration: Duration, sign: int) -> datetime | None:
    """Month by month with the standard library's calendar, then the rest with timedelta."""
    years, month = divmod(dttm.month - 1 + sign * duration.months, 12)
    year = dttm.year + years
    if not 1 <= year <= 9999:
        return None
    day = min(dttm.day, monthrange(year, month + 1)[1])
    try:
        return dttm.replace(year=year, month=month + 1, day=day) + sign * timedelta(
            microseconds=duration.microseconds
        )
    except OverflowError:
        return None


@pytest.mark.parametrize(
    ("start", "duration", "after"),
    [
        (utc(2023, 1, 31, 12), "P1M", utc(2023, 2, 28, 12)),
        (utc(2024, 1, 31, 12), "P1M", utc(2024, 2, 29, 12)),
        (utc(2024, 2, 29), "P1Y", utc(2025, 2, 28)),
        (utc(2024, 2, 29), "P4Y", utc(2028, 2, 29)),
        (utc(2024, 12, 31), "P2M", utc(2025, 2, 28)),
        (utc(2024, 3, 31), "-P1M", utc(2024, 2, 29)),
        (utc(2024, 1, 15), "-P1M", utc(2023, 12, 15)),
        (utc(2023, 1, 31), "P1M1D", utc(2023, 3, 1)),  # months first
        (utc(1900, 1, 31), "P1M", utc(1900, 2, 28)),
        (utc(1969, 12, 31, 23), "P1MT2H", utc(1970, 2, 1, 1)),
        (utc(2024, 1, 1), "PT0S", utc(2024, 1, 1)),
        (utc(1, 1, 1), "P9998Y", utc(9999, 1, 1)),
    ],
)
def test_months_are_added_as_calendars_do(start: datetime, duration: str, after: datetime) -> None:
    assert start + datetimes.as_duration(duration) == after
    assert start - -datetimes.as_duration(duration) == after


@given(
    st.datetimes(timezones=st.just(UTC)),
    any_duration(months=1500, us=400 * DAY),
    st.sampled_from([1, -1]),
)
@example(utc(2023, 3, 31), Duration(1), -1)
@example(utc(1, 1, 1), Duration(1), -1)
@example(utc(1, 1, 1), Duration(0, 1), -1)
@example(datetime.max.replace(tzinfo=UTC), Duration(0, 1), 1)
@example(utc(9999, 12, 1), Duration(1), 1)
@example(utc(2024, 1, 1), Duration(MOST_MONTHS, MOST_MICROSECONDS), 1)
@example(utc(2024, 1, 1), Duration(-MOST_MONTHS, -MOST_MICROSECONDS), 1)
def test_adding_and_taking_away_agree_with_the_calendar(
    dttm: datetime, duration: Duration, sign: int
) -> None:
    expected = calendar_oracle(dttm, duration, sign)
    if expected is None:
        with pytest.raises(LocalProtocolError, match="within the years 1 to 9999"):
            _ = dttm + duration if sign > 0 else dttm - duration
    else:
        assert (dttm + duration if sign > 0 else dttm - duration) == expected


def test_sums_are_aware_and_in_utc() -> None:
    local = datetime(2024, 1, 31, 23, tzinfo=timezone(timedelta(hours=-3)))  # 1 February in UTC
    found = local + Duration(1)
    assert found == utc(2024, 3, 1, 2)
    assert found.tzinfo is UTC
    assert (datetime(2024, 1, 1) + Duration(0, HOUR)) == utc(2024, 1, 1, 1)  # noqa: DTZ001


def test_durations_are_added_to_date_times_only() -> None:
    for other in (1, "PT1M", timedelta(1), utc(2024, 1, 1).date()):
        with pytest.raises(TypeError):
            _ = other + Duration(1)  # type: ignore[operator]
        with pytest.raises(TypeError):
            _ = other - Duration(1)  # type: ignore[operator]
    with pytest.raises(TypeError):
        _ = Duration(1) - utc(2024, 1, 1)  # type: ignore[operator]
