"""Statements about the random start and end of events with startafter (facts.md 6.4)."""

from __future__ import annotations

import pytest
from payloads import START, event
from vens import HOUR, MINUTE, Sent

SPAN = 10 * MINUTE


def offset(ven, event_id="e1"):
    return ven.state(event_id).start.timestamp() - START


def test_R01_the_start_is_drawn_evenly_within_startafter(ven):
    ven.take(*[event(f"e{i}", startafter="PT10M") for i in range(500)])
    offsets = sorted(state.start.timestamp() - START for state in ven.handler.get_states())
    assert offsets[0] >= 0
    assert offsets[-1] <= SPAN
    assert len(set(offsets)) > 490
    # Each tenth of the span gets its share: 50 expected, 5 standard deviations are 34.
    for tenth in range(10):
        share = sum(tenth <= each / MINUTE < tenth + 1 for each in offsets)
        assert 16 <= share <= 84


def test_R01_no_level_before_the_random_start(ven):
    ven.take(event(startafter="PT10M"))
    start = START + offset(ven)
    assert ven.at(START) == (0, None)
    assert ven.at(start - 0.001) == (0, None)
    assert ven.at(start) == (1.0, "e1")


def test_R01_each_VEN_draws_its_own(new_ven):
    vens = [new_ven(seed=None) for _ in range(4)]
    for ven in vens:
        ven.take(event(startafter="PT10M"))
    assert len({offset(ven) for ven in vens}) == 4


def test_R02_the_end_moves_with_the_start(ven):
    steps = [("PT15M", 1.0), ("PT15M", 2.0)]
    ven.take(event(startafter="PT10M", duration="PT30M", intervals=steps))
    r = offset(ven)
    assert 0 < r < SPAN
    assert ven.state().end.timestamp() == pytest.approx(START + r + 30 * MINUTE, abs=1e-6)
    times = ven.timeline(START + HOUR)
    assert [level for _, level in times] == [0, 1.0, 2.0, 0]
    expected = [r, r + 15 * MINUTE, r + 30 * MINUTE]
    assert [time for time, _ in times[1:]] == pytest.approx(expected, abs=1e-5)


def test_R03_the_offset_survives_modifications_that_leave_startafter_alone(ven):
    ven.take(event(startafter="PT10M"))
    first = offset(ven)
    for number, vary in enumerate(({}, {"level": 2.0}, {"duration": "PT3H"}, {"priority": 1}), 1):
        ven.take(event(number=number, startafter="PT10M", **vary))
        assert offset(ven) == first
    ven.take(event(number=5, startafter="PT600S"))  # as long, in other words
    assert offset(ven) == first
    ven.take(event(number=6, startafter="PT10M", dtstart=START + HOUR))
    assert offset(ven) == pytest.approx(first + HOUR, abs=1e-6)


def test_R03_a_changed_startafter_draws_anew(ven):
    drawn = set()
    for number in range(20):
        minutes = 10 + number % 2
        ven.take(event(number=number, startafter=f"PT{minutes}M"))
        assert 0 <= offset(ven) <= minutes * MINUTE
        drawn.add(offset(ven))
    assert len(drawn) > 15
    ven.take(event(number=20))
    assert offset(ven) == 0


@pytest.mark.parametrize("how", ["explicit", "implied"])
def test_R04_a_cancelled_running_event_ends_after_a_random_time(new_ven, how):
    now = START + 20 * MINUTE
    ends = []
    for seed in range(12):
        ven = new_ven(seed=seed)
        ven.take(event(startafter="PT10M", duration="PT3H"))
        assert ven.at(now) == (1.0, "e1")
        if how == "explicit":
            (answer,) = ven.take(event(number=1, status="cancelled", startafter="PT10M"))
            assert answer.opt == "optIn"
        else:
            ven.take()
        end = ven.state().end.timestamp()
        assert now <= end <= now + SPAN
        ends.append(end)
        assert (ven.state().phase, ven.held) == ("ending", {"e1": 0})
        # The end is drawn once, whatever comes after: the same again, and its going missing.
        ven.at(now + 0.001)
        for events in ((event(number=1, status="cancelled", startafter="PT10M"),), ()):
            ven.take(*events)
            assert ven.state().end.timestamp() == end
        ven.kinds()
        assert ven.at(end - 0.001) == (1.0, "e1")
        assert ven.at(end) == (0, None)
        assert ven.held == {}
        assert ven.kinds() == ["cancelled"]
    assert len(set(ends)) == len(ends)


def test_R04_an_event_never_runs_longer_for_being_cancelled(ven):
    ven.take(event(startafter="PT30M", duration="PT10M"))
    start, end = ven.state().start.timestamp(), ven.state().end
    ven.at(start + 9 * MINUTE)
    ven.take()
    assert ven.state().end <= end


@pytest.mark.parametrize("how", ["explicit", "implied"])
def test_R04_an_event_that_does_not_run_yet_goes_at_once(ven, how):
    ven.take(event(startafter="PT10M"))
    ven.take(*([event(number=1, status="cancelled")] if how == "explicit" else []))
    assert ven.held == {}


@pytest.mark.parametrize("startafter", [None, "PT0S", "P"])
def test_R05_without_startafter_the_start_is_exact(ven, startafter):
    ven.take(event(startafter=startafter))
    assert offset(ven) == 0
    assert ven.handler.next_deadline == START
    assert ven.timeline(START + 2 * HOUR) == [(-HOUR, 0), (0, 1.0), (HOUR, 0)]


def test_R06_the_event_kept_has_the_VTNs_times(ven):
    ven.take(event(startafter="PT10M"))
    kept = ven.handler.get_event("e1")
    assert kept.dtstart.timestamp() == START
    assert ven.state().start > kept.dtstart
    # Nothing the VEN sends holds a time at all.
    sent = Sent(ven.handler.set_opt("e1", "optOut"))
    assert b"2027" not in sent.data


def test_R04_an_event_that_is_taken_away_from_this_VEN_ends_so_as_well(ven):
    """A running event whose new version is for others: for this VEN it is cancelled by silence."""
    now = START + 20 * MINUTE
    ven.take(event(startafter="PT10M", duration="PT3H"))
    ven.at(now)
    away = event(number=1, startafter="PT10M", duration="PT3H", targets={"ven_id": "other"})
    (answer,) = ven.take(away)
    assert answer.refused
    end = ven.state().end.timestamp()
    assert now < end <= now + SPAN
    assert ven.take(away) == [answer]
    assert ven.state().end.timestamp() == end
    assert ven.at(end - 0.001) == (1.0, "e1")
    assert ven.at(end) == (0, None)
    assert ven.held == {}
