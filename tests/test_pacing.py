"""When the next poll is due: the grid, its jitter, back-off and Retry-After (L02, L08)."""

import itertools
import random

import pytest

from oadr2.pacing import PollPacing


def pacing(rng=lambda: 0.0, **changes):
    settings = {
        "interval": 300.0,
        "jitter": 0.1,
        "back_off_base": 5.0,
        "back_off_max": 600.0,
        "min_interval": 1.0,
        "retry_after_max": 3600.0,
        "random": rng,
    }
    return PollPacing(**{**settings, **changes})


def drive(pace, outcomes, took=0.0, start=1000.0):
    """The start times of the polls that follow the outcomes: True for a good poll."""
    now, starts = start, [start]
    for good in outcomes:
        started, now = now, now + took
        now = pace.succeeded(started, now) if good else pace.failed(started, now)
        starts.append(now)
    return starts


def test_L02_good_polls_sit_on_a_grid_whatever_each_takes():
    assert drive(pacing(), [True] * 4, took=7.5) == [1000, 1300, 1600, 1900, 2200]


def test_L02_jitter_delays_each_poll_and_never_adds_up():
    rng = random.Random(1)
    starts = drive(pacing(rng.random), [True] * 200, took=1.0)
    late = [start - (1000 + 300 * k) for k, start in enumerate(starts)]
    assert all(0 <= delay <= 30 for delay in late)
    assert max(late) > 25
    assert min(late[1:]) < 5


def test_L02_slots_missed_by_a_slow_vtn_are_skipped():
    assert drive(pacing(), [True, True], took=650.0) == [1000, 1900, 2800]


def test_L08_back_off_doubles_and_is_full_jitter():
    pace = pacing(lambda: 0.5, interval=1.0, jitter=0.0, back_off_max=60.0)
    starts = drive(pace, [False] * 6, start=0.0)
    waits = [b - a for a, b in itertools.pairwise(starts)]
    # half of 5, 10, 20, 40, and of 60 from then on: on top of the interval, never under it
    assert waits == [2.5, 5.0, 10.0, 20.0, 30.0, 30.0]


def test_L08_quick_retries_come_before_the_next_slot_and_are_few():
    starts = drive(pacing(lambda: 0.5, jitter=0.0), [False] * 4)
    assert starts == [1000, 1002.5, 1007.5, 1017.5, 1300]


def test_L08_a_success_returns_to_the_grid():
    assert drive(pacing(lambda: 0.5, jitter=0.0), [False, True, True]) == [1000, 1002.5, 1300, 1600]


def test_L08_a_late_retry_that_succeeds_is_not_followed_at_once_by_the_next_slot():
    pace = pacing(lambda: 0.9, jitter=0.0, back_off_base=300.0)
    assert drive(pace, [False, True]) == [1000, 1270, 1600]


@pytest.mark.parametrize("good", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("interval", [1.0, 10.0, 300.0])
def test_L02_failures_never_make_polling_faster_on_average(good, interval):
    rng = random.Random(good * 7 + interval)
    pace = pacing(rng.random, interval=interval, min_interval=min(1.0, interval))
    outcomes = [rng.random() < good for _ in range(2000)]
    starts = drive(pace, outcomes, start=0.0)
    for k, start in enumerate(starts):
        slots = start / interval + 1
        assert k <= slots * 1.1 + pace.quick_retries
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    assert min(gaps) >= min(1.0, interval) - 1e-6


def test_L08_no_wait_is_longer_than_back_off_max_beside_the_grid():
    pace = pacing(lambda: 1.0, jitter=0.0)
    starts = drive(pace, [False] * 100)
    waits = [b - a for a, b in itertools.pairwise(starts)]
    assert max(waits) == 600.0


def test_retry_after_is_honoured_and_capped():
    assert pacing().failed(0.0, 1.0, retry_after=1000.0) == 1001.0
    assert pacing().failed(0.0, 1.0, retry_after=1e12) == 3601.0
    # shorter than the rate allows once the quick retries are used up
    assert pacing(quick_retries=0).failed(0.0, 1.0, retry_after=2.0) == 300.0


def test_E13_an_unsent_answer_brings_the_next_poll_forward_and_never_back():
    pace = pacing(lambda: 0.5, jitter=0.0)
    assert pace.unanswered(0.0, 1.0) == 3.5
    assert pace.unanswered(3.5, 4.0) == 6.5
    assert pace.unanswered(6.5, 7.0) == 9.5
    assert (
        pace.unanswered(9.5, 10.0) == 300.0
    )  # a VTN that takes no answers is still polled in time
    assert pace.unanswered(300.0, 301.0) == 600.0
    assert pace.unanswered(600.0, 601.0, retry_after=900.0) == 1501.0
