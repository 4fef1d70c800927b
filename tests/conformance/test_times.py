"""Statements about date-times and durations (facts.md 6.2, 5.1, 5.2)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from payloads import START, event, signal
from vens import HOUR, Ven

import oadr2
from oadr2 import model
from oadr2.policy import VtnPolicy
from oadr2.schedule import Duration, dttm_to_str, parse_duration, str_to_datetime

UTC_TEXT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"


def only_event(ven: Ven, **of_event) -> model.Event:
    (found,) = oadr2.decode(ven.message(event(**of_event))).events
    return found


def test_T01_times_are_written_in_UTC_with_Z(profile):
    east = timezone(timedelta(hours=5, minutes=30))
    start = datetime(2027, 1, 15, 2, 30, 0, 500_000, tzinfo=east)
    assert dttm_to_str(start) == "2027-01-14T21:00:00.5Z"
    interval = model.Interval("0", Duration(microseconds=3_600_000_000), 1.0)
    written = oadr2.encode(
        model.DistributeEvent(
            "vtn",
            profile=profile,
            events=(
                model.Event(
                    "e1",
                    0,
                    "http://market",
                    created_date_time=start,
                    event_status="far",
                    dtstart=start,
                    duration=Duration(microseconds=3_600_000_000),
                    notification=Duration(),
                    signals=(model.Signal("SIMPLE", "level", "s", (interval,), 0.0),),
                ),
            ),
        )
    ).decode()
    times = re.findall(r"(?:date-time|createdDateTime)>([^<]*)<", written)
    times = [time for time in times if time]
    assert len(times) == 2
    assert all(re.fullmatch(UTC_TEXT, time) for time in times)
    assert all(str_to_datetime(time) == start for time in times)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-15T08:00:00Z", START),
        ("2027-01-15T08:00:00.5Z", START + 0.5),
        ("2027-01-15T08:00:00.25Z", START + 0.25),
        ("2027-01-15T08:00:00.123Z", START + 0.123),
        ("2027-01-15T08:00:00.1234567Z", START + 0.123456),
        ("2027-01-15T08:00:00.123456789Z", START + 0.123456),
        ("2027-01-15T24:00:00Z", START + 16 * HOUR),
        ("2028-02-29T00:00:00Z", 1_835_395_200),
        ("1969-12-31T23:59:59Z", -1),
    ],
)
def test_T02_date_times_with_any_fraction_and_at_24_hours(ven, text, expected):
    found = only_event(ven, dtstart=text)
    assert found.problems == ()
    assert found.dtstart.timestamp() == pytest.approx(expected, abs=1e-6)
    if expected >= START:
        assert ven.take(event(dtstart=text))[0].code == 200
        assert ven.state().start.timestamp() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-15",
        "2027-01-15 08:00:00Z",
        "20270115T080000Z",
        "2027-01-15t08:00:00z",
        "2027-01-15T08:00:00.Z",
        "2027-01-15T23:59:60Z",
        "2027-13-15T08:00:00Z",
        "2027-02-29T08:00:00Z",
        "2027-01-15T24:00:01Z",
        "+2027-01-15T08:00:00Z",
        "0000-01-15T08:00:00Z",
        "soon",
        "",
    ],
)
def test_T02_other_texts_are_no_date_times(ven, text):
    assert ven.take(event(dtstart=text))[0].refused
    assert ven.held == {}


@pytest.mark.parametrize("text", ["2027-01-15T08:00:00", "2027-01-15T08:00:00.000"])
def test_T03_a_date_time_without_a_zone_is_UTC(ven, text):
    assert ven.take(event(dtstart=text))[0].code == 200
    assert ven.timeline(START + 2 * HOUR) == [(-HOUR, 0), (0, 1.0), (HOUR, 0)]
    assert any(not problem.fatal for problem in only_event(ven, dtstart=text).problems)


SECONDS = {
    "PT1H": 3600,
    "PT90M": 5400,
    "PT3600S": 3600,
    "P1DT2H": 93_600,
    "PT0S": 0,
    "P0D": 0,
    "PT0M": 0,
    "P": 0,
    "PT": 0,
    "P1DT": 86_400,
    "+PT5M": 300,
    "-PT5M": -300,
    "P12H": 43_200,
    "P1H2S": 3602,
    "P3D12M": 3 * 86_400 + 720,
}


@pytest.mark.parametrize("text", SECONDS)
def test_T04_every_form_of_a_duration_is_read(ven, text):
    expected = Duration(microseconds=SECONDS[text] * 1_000_000)
    assert parse_duration(text) == expected
    found = only_event(ven, ramp_up=text, recovery=text)
    assert (found.ramp_up, found.recovery) == (expected, expected)
    assert found.problems == ()


def test_T04_years_and_months_follow_the_calendar(ven):
    assert parse_duration("P1Y2M3DT4H5M6S") == Duration(
        months=14, microseconds=(3 * 86_400 + 4 * 3600 + 5 * 60 + 6) * 1_000_000
    )
    january = datetime(2028, 1, 31, tzinfo=UTC)
    assert january + parse_duration("P1M") == datetime(2028, 2, 29, tzinfo=UTC)
    ven.take(event(duration="P1M"))
    assert ven.state().end == datetime(2027, 2, 15, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("PT90M", "PT1H30M"),
        ("P0D", "PT0S"),
        ("P", "PT0S"),
        ("3W", "P21D"),
        ("P1DT25H61M61S", "P2DT2H2M1S"),
        ("P12H", "PT12H"),
    ],
)
def test_T05_durations_are_written_in_days_hours_minutes_and_seconds(profile, text, written):
    duration = parse_duration(text)
    assert str(duration) == written
    whole = model.Interval("0", Duration(), 1.0)
    data = oadr2.encode(
        model.DistributeEvent(
            "vtn",
            profile=profile,
            events=(
                model.Event(
                    "e",
                    0,
                    "m",
                    datetime(2027, 1, 1, tzinfo=UTC),
                    "far",
                    datetime(2027, 1, 1, tzinfo=UTC),
                    duration,
                    notification=Duration(),
                    signals=(model.Signal("SIMPLE", "level", "s", (whole,), 0.0),),
                ),
            ),
        )
    ).decode()
    texts = re.findall(r"duration>([^<]+)<", data)
    assert written in texts
    assert set(texts) <= {written, "PT0S"}


@pytest.mark.parametrize("text", ["3W", "P3W"])
def test_T06_weeks_in_both_spellings(ven, text):
    assert parse_duration(text) == Duration(microseconds=21 * 86_400_000_000)
    assert ven.take(event(duration=text))[0].code == 200
    assert ven.at(START + 21 * 24 * HOUR - 1) == (1.0, "e1")
    assert ven.at(START + 21 * 24 * HOUR) == (0, None)


@pytest.mark.parametrize("text", ["PTS", "", "0", "pt1h", "P1M1Y", "PT1D", "PX", "P-1D", "1H"])
def test_T07_what_is_no_duration_is_invalid_data(ven, text):
    for wrong in ({"duration": text}, {"startafter": text}, {"intervals": [(text, 1.0)]}):
        (answer,) = ven.take(event(**wrong))
        assert answer.code == 454
        assert answer.opt == "optOut"
    assert ven.held == {}


def test_T08_months_without_T_are_noted_and_read_as_configured(new_ven):
    text = {"duration": "P5M"}
    as_months = new_ven()
    as_months.take(event(**text))
    assert as_months.state().end == datetime(2027, 6, 15, 8, tzinfo=UTC)
    assert any("P5M" in problem.reason for problem in only_event(as_months, **text).problems)
    as_minutes = new_ven(policy=VtnPolicy(months_without_t="minutes"))
    as_minutes.take(event(**text))
    assert as_minutes.state().end.timestamp() == START + 300
    # Where hours follow, minutes are minutes.
    assert only_event(as_months, duration="PT5M", signals=[signal([("PT5M", 1)])]).problems == ()
