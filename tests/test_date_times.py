"""The compiled reader and writer of date-times (facts.md 5.1, field-notes.md 18)."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oadr2._core import datetimes
from oadr2.errors import LocalProtocolError


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type, misc]


DATE_TIMES = [
    ("2024-02-29T08:09:10Z", utc(2024, 2, 29, 8, 9, 10)),
    ("2024-02-29T08:09:10.5Z", utc(2024, 2, 29, 8, 9, 10, 500_000)),
    ("2024-02-29T08:09:10.123Z", utc(2024, 2, 29, 8, 9, 10, 123_000)),
    ("2024-02-29T08:09:10.000000Z", utc(2024, 2, 29, 8, 9, 10)),
    ("2024-02-29T08:09:10.1234567Z", utc(2024, 2, 29, 8, 9, 10, 123_456)),
    ("2024-02-29T08:09:10.999999999Z", utc(2024, 2, 29, 8, 9, 10, 999_999)),
    (f"2024-02-29T08:09:10.{'9' * 300}Z", utc(2024, 2, 29, 8, 9, 10, 999_999)),
    ("2024-02-28T24:00:00Z", utc(2024, 2, 29)),
    ("2023-12-31T24:00:00.000Z", utc(2024, 1, 1)),
    ("2024-02-29T23:59:59Z", utc(2024, 2, 29, 23, 59, 59)),
    ("1969-12-31T23:59:59.999999Z", utc(1969, 12, 31, 23, 59, 59, 999_999)),
    ("1900-02-28T24:00:00Z", utc(1900, 3, 1)),
    ("2000-02-29T00:00:00Z", utc(2000, 2, 29)),
    ("0001-01-01T00:00:00Z", utc(1, 1, 1)),
    ("9999-12-31T23:59:59.999999Z", utc(9999, 12, 31, 23, 59, 59, 999_999)),
    (" \t\r\n2024-02-29T08:09:10Z \n", utc(2024, 2, 29, 8, 9, 10)),
    # numeric offsets (field-notes.md 18)
    ("2024-02-29T08:09:10+01:00", utc(2024, 2, 29, 7, 9, 10)),
    ("2024-02-29T08:09:10-05:30", utc(2024, 2, 29, 13, 39, 10)),
    ("2024-02-29T08:09:10.25+00:00", utc(2024, 2, 29, 8, 9, 10, 250_000)),
    ("2024-02-29T08:09:10-00:00", utc(2024, 2, 29, 8, 9, 10)),
    ("2024-02-29T08:09:10+14:00", utc(2024, 2, 28, 18, 9, 10)),
    ("2024-02-29T08:09:10-14:00", utc(2024, 2, 29, 22, 9, 10)),
    ("0001-01-01T14:00:00+14:00", utc(1, 1, 1)),
    ("2024-02-29T24:00:00+01:00", utc(2024, 2, 29, 23)),
]


@pytest.mark.parametrize(("text", "expected"), DATE_TIMES, ids=[t[:40] for t, _ in DATE_TIMES])
def test_T02_date_times_that_are_read(text: str, expected: datetime) -> None:
    found, zoneless = datetimes.read_date_time(text)
    assert found == expected
    assert found.tzinfo is UTC
    assert not zoneless


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29T08:09:10", utc(2024, 2, 29, 8, 9, 10)),
        ("2024-02-29T08:09:10.75", utc(2024, 2, 29, 8, 9, 10, 750_000)),
        ("2024-02-29T24:00:00", utc(2024, 3, 1)),
        (" 2024-02-29T08:09:10\n", utc(2024, 2, 29, 8, 9, 10)),
    ],
)
def test_T03_no_zone_is_read_as_utc_and_told(text: str, expected: datetime) -> None:
    assert datetimes.read_date_time(text) == (expected, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "Z",
        "2024-02-29",
        "2024-02-29Z",
        "08:09:10Z",
        "2024-02-29 08:09:10Z",
        "20240229T080910Z",
        "2024-02-29t08:09:10Z",
        "2024-02-29T08:09:10z",
        "2024-02-29T08:09:10.Z",
        "2024-02-29T08:09:10.",
        "2024-02-29T08:09:10,5Z",
        "2024-02-29T08:09Z",
        "2024-02-29T8:09:10Z",
        "2024-2-29T08:09:10Z",
        "2024-02-29T08:09:10ZZ",
        "2024-02-29T08:09:10Z.5",
        "2024-02-29T08:09:10 Z",
        "2024-02-29T08:09:60Z",
        "2016-12-31T23:59:60Z",
        "2024-02-29T08:60:10Z",
        "2024-02-29T25:00:00Z",
        "2024-02-29T24:00:01Z",
        "2024-02-29T24:01:00Z",
        "2024-02-29T24:00:00.0000001Z",
        "2024-13-01T00:00:00Z",
        "2024-00-01T00:00:00Z",
        "2024-01-00T00:00:00Z",
        "2024-01-32T00:00:00Z",
        "2024-04-31T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "-0044-03-15T12:00:00Z",
        "+2024-02-29T08:09:10Z",
        "12024-02-29T08:09:10Z",
        "9999-12-31T24:00:00Z",
        "9999-12-31T23:00:00-02:00",
        "0001-01-01T00:00:00+00:01",
        "2024-02-29T08:09:10+1:00",
        "2024-02-29T08:09:10+0100",
        "2024-02-29T08:09:10+01",
        "2024-02-29T08:09:10+14:01",
        "2024-02-29T08:09:10+15:00",
        "2024-02-29T08:09:10-01:60",
        "2024-02-29T08:09:10+01:00Z",
        "2024-02-29T08:09:10Z\0",
        "2024-02-29T08:09:10\0",
        "\uff12\uff10\uff12\uff14-02-29T08:09:10Z",
        "2024-02-29T08:09:10Z\u00a0",
        "\ud800",
    ],
    ids=ascii,
)
def test_T02_what_is_no_date_time_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="is no date-time: write it like"):
        datetimes.read_date_time(text)


def test_long_texts_are_shortened_in_the_message() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        datetimes.read_date_time("\n" * 100_000 + "x" * 100_000)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


DATE_TIME_ORACLE = re.compile(
    r"[ \t\r\n]*(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?[ \t\r\n]*",
    re.ASCII,
)


def date_time_oracle(text: str) -> datetime | None:
    match = DATE_TIME_ORACLE.fullmatch(text)
    if match is None:
        return None
    *numbers, fraction, zone = match.groups()
    year, month, day, hour, minute, second = map(int, numbers)
    fraction = fraction or ""
    try:
        if hour == 24:
            if minute or second or fraction.strip("0"):
                return None
            found = utc(year, month, day) + timedelta(days=1)
        else:
            micro = int(fraction[:6].ljust(6, "0"))
            found = utc(year, month, day, hour, minute, second, micro)
        if zone is not None and zone != "Z":
            hours, minutes = int(zone[1:3]), int(zone[4:])
            offset = timedelta(hours=hours, minutes=minutes)
            if minutes > 59 or offset > timedelta(hours=14):
                return None
            found = found - offset if zone[0] == "+" else found + offset
    except (ValueError, OverflowError):
        return None
    return found


def read_or_none(text: str) -> datetime | None:
    try:
        return datetimes.read_date_time(text)[0]
    except LocalProtocolError:
        return None


@pytest.mark.parametrize("text", [text for text, _ in DATE_TIMES if len(text) < 60])
def test_date_times_cut_or_spoiled_anywhere_agree_with_the_oracle(text: str) -> None:
    for i in range(len(text)):
        for other in (text[:i], text[i:], text[:i] + text[i + 1 :]):
            assert read_or_none(other) == date_time_oracle(other), other
        for char in "0169TZ:-+. \x00\x7f":
            spoiled = text[:i] + char + text[i + 1 :]
            assert read_or_none(spoiled) == date_time_oracle(spoiled), spoiled


@given(
    year=st.integers(0, 9999),
    month=st.integers(0, 13),
    day=st.integers(0, 32),
    hour=st.integers(0, 25),
    minute=st.integers(0, 61),
    second=st.integers(0, 61),
    rest=st.from_regex(r"(\.[0-9]{0,9})?(Z|[+-](0[0-9]|1[0-5]):[0-6][0-9])?", fullmatch=True),
)
def test_date_times_by_fields_agree_with_the_oracle(
    year: int, month: int, day: int, hour: int, minute: int, second: int, rest: str
) -> None:
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{rest}"
    assert read_or_none(text) == date_time_oracle(text)


@pytest.mark.parametrize(
    ("dttm", "with_fraction", "without"),
    [
        (utc(2024, 2, 29, 8, 9, 10), "2024-02-29T08:09:10Z", "2024-02-29T08:09:10Z"),
        (utc(2024, 2, 29, 0, 0, 0, 500_000), "2024-02-29T00:00:00.5Z", "2024-02-29T00:00:00Z"),
        (utc(1969, 12, 31, 23, 59, 59, 1), "1969-12-31T23:59:59.000001Z", "1969-12-31T23:59:59Z"),
        (utc(2024, 1, 1, 0, 0, 0, 120_300), "2024-01-01T00:00:00.1203Z", "2024-01-01T00:00:00Z"),
        (utc(7, 1, 1), "0007-01-01T00:00:00Z", "0007-01-01T00:00:00Z"),
        (
            utc(9999, 12, 31, 23, 59, 59, 999_999),
            "9999-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59Z",
        ),
        (datetime(2024, 2, 29, 8, 9, 10), "2024-02-29T08:09:10Z", "2024-02-29T08:09:10Z"),  # noqa: DTZ001
        (
            datetime(2024, 2, 29, 8, 9, 10, tzinfo=timezone(timedelta(hours=-5, minutes=-30))),
            "2024-02-29T13:39:10Z",
            "2024-02-29T13:39:10Z",
        ),
    ],
)
def test_T01_date_times_are_written_in_utc_with_z(
    dttm: datetime, with_fraction: str, without: str
) -> None:
    assert datetimes.write_date_time(dttm, True) == with_fraction
    assert datetimes.write_date_time(dttm, False) == without


@given(st.datetimes(timezones=st.just(UTC)))
@example(utc(1, 1, 1))
@example(datetime.max.replace(tzinfo=UTC))
@example(utc(2000, 2, 29))
@example(utc(1900, 3, 1))
@example(utc(1969, 12, 31, 23, 59, 59, 999_999))
def test_date_times_come_back_as_written(dttm: datetime) -> None:
    text = datetimes.write_date_time(dttm, True)
    assert datetime.fromisoformat(text) == dttm
    assert datetimes.read_date_time(text) == (dttm, False)
    assert datetimes.read_date_time(datetimes.write_date_time(dttm, False))[0] == dttm.replace(
        microsecond=0
    )
    assert datetimes.to_utc(dttm) == dttm


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),  # noqa: DTZ001
    st.integers(-86_399_999_999, 86_399_999_999),
)
def test_other_zones_are_converted(naive: datetime, offset: int) -> None:
    aware = naive.replace(tzinfo=timezone(timedelta(microseconds=offset)))
    found = datetimes.to_utc(aware)
    assert found == aware
    assert found.tzinfo is UTC
    assert datetimes.to_utc(naive) == naive.replace(tzinfo=UTC)


def test_date_times_that_leave_the_calendar_when_converted_are_refused() -> None:
    early = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    late = datetime(9999, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-1)))
    for dttm in (early, late):
        with pytest.raises(LocalProtocolError, match="within the years 1 to 9999"):
            datetimes.to_utc(dttm)


@pytest.mark.parametrize("thing", [1_700_000_000, "2024-02-29T08:09:10Z", utc(2024, 1, 1).date()])
def test_what_is_no_datetime_is_a_type_error(thing: object) -> None:
    with pytest.raises(TypeError, match="a datetime is needed, not"):
        datetimes.to_utc(thing)  # type: ignore[arg-type]
