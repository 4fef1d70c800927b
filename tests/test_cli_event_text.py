"""How times, durations, levels and targets read."""

from datetime import UTC, datetime

import pytest

from oadr2.cli.event_text import (
    duration_brief,
    duration_words,
    event_end,
    interval_starts,
    iso_time,
    later,
    level_text,
    local_time,
    number,
    printable,
    span_words,
    target_words,
    utc_time,
)
from oadr2.model import Event, Interval, Targets
from oadr2.schedule import Duration

SECOND = 1_000_000
NOON = datetime(2030, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("duration", "words", "brief"),
    [
        (None, "-", "-"),
        (Duration(), "0 seconds", "0 s"),
        (Duration(0, SECOND), "1 second", "1 s"),
        (Duration(0, 1_500_000), "1.5 seconds", "1.5 s"),
        (Duration(0, 90 * 60 * SECOND), "1 hour 30 minutes", "1 h 30 min"),
        (Duration(0, 25 * 3600 * SECOND), "1 day 1 hour", "1 day 1 h"),
        (Duration(14, 2 * 86400 * SECOND), "1 year 2 months 2 days", "1 year 2 months 2 days"),
        (Duration(0, -300 * SECOND), "minus 5 minutes", "minus 5 min"),
        (Duration(-5, 0), "minus 5 months", "minus 5 months"),
    ],
)
def test_durations(duration, words, brief):
    assert duration_words(duration) == words
    assert duration_brief(duration) == brief


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (4.25, "4.2 s"), (185, "3 min 05 s"), (7380, "2 h 03 min")],
)
def test_spans(seconds, words):
    assert span_words(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0 normal"), (3.0, "3 special"), (4.0, "4"), (1.5, "1.5"), (None, "-")],
)
def test_levels(value, words):
    assert level_text(value) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e20, "1e+20"), (float("inf"), "inf"), (-0.25, "-0.25"), (-3.0, "-3")],
)
def test_numbers(value, text):
    assert number(value) == text


def test_what_a_terminal_could_obey_is_escaped():
    assert printable("a\x1b[2J\u202e\x9b\u00e9\u6771") == "a\\x1b[2J\\u202e\\x9b\u00e9\u6771"


def test_times():
    moment = NOON.replace(microsecond=250_000)
    assert utc_time(moment) == "2030-07-01 12:00:00.25Z"
    assert iso_time(moment) == "2030-07-01T12:00:00.250000Z"
    assert utc_time(None) == local_time(None) == "-"


def test_times_at_the_ends_of_the_calendar_do_not_fail():
    for moment in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        assert str(moment.year) in local_time(moment)


def test_a_sum_beyond_the_calendar_is_unknown():
    assert later(datetime.max.replace(tzinfo=UTC), Duration(1)) is None
    assert later(None, Duration(1)) is None
    assert later(NOON, Duration(1)) == NOON.replace(month=8)


def test_an_event_without_duration_has_no_end():
    event = Event("e", 0, None, None, None, NOON, Duration())
    assert event_end(event) is None


def test_intervals_run_back_to_back_unless_they_say_when():
    hour = Duration(0, 3600 * SECOND)
    intervals = (
        Interval("0", hour, 1.0),
        Interval("1", hour, 2.0),
        Interval("2", None, 3.0, NOON.replace(hour=20)),
        Interval("3", hour, 3.0),
    )
    starts = [start for _, start in interval_starts(NOON, intervals)]
    assert starts == [NOON, NOON.replace(hour=13), NOON.replace(hour=20), None]


def test_targets():
    assert target_words(Targets()) == "everyone who got the event"
    targets = Targets(
        ven_ids=("a", "b\x1b"), service_areas=(b"<x/>",), transport_interfaces=(("p", "q"),)
    )
    assert target_words(targets) == "VEN a, b\\x1b; transport p to q; 1 service area"
