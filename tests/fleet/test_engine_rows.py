"""The engine's rows: who they are, and when each has something to send."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from payloads import START, distribute_event

from oadr2._core.fleet import ERROR_CONNECT, ERROR_HTTP_5XX, ERROR_TIMEOUT, Fleet
from oadr2.errors import ConfigurationError
from oadr2.policy import VtnPolicy

SECOND = 1_000_000
NOW = int(START) * SECOND
NOTHING = distribute_event()


def poll(fleet: Fleet, now: int, limit: int = 1_000_000) -> list[int]:
    """Take what is due and let each exchange end well at once."""
    rows = list(fleet.take_due(now, limit))
    for row in rows:
        fleet.compose(row, now)
        assert fleet.receive(row, NOTHING, now) == 0
    return rows


# -- who ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "first", "expected"),
    [
        ("ven_{n}", 0, ["ven_0", "ven_1", "ven_2"]),
        ("{n}", 9, ["9", "10", "11"]),
        ("a{n:03}b", 99, ["a099b", "a100b", "a101b"]),
        ("größe-{n}", 10**15, [f"größe-{10**15 + i}" for i in range(3)]),
    ],
)
def test_ids_from_a_pattern_lead_back_to_their_rows(pattern, first, expected):
    fleet = Fleet()
    fleet.add_group(2, ven_ids="other-{n}", poll_interval=SECOND)
    begin = fleet.add_group(3, ven_ids=pattern, first_number=first, poll_interval=SECOND)
    assert [fleet.ven_id(begin + i) for i in range(3)] == expected
    assert [fleet.row_of(ven_id) for ven_id in expected] == [2, 3, 4]
    assert len(fleet) == 5


def test_ids_from_a_list():
    ids = [f"{n:x}-ven" for n in range(1000, 3000)]
    fleet = Fleet()
    fleet.add_group(len(ids), ven_ids=ids, poll_interval=SECOND)
    assert [fleet.ven_id(row) for row in range(len(ids))] == ids
    assert [fleet.row_of(ven_id) for ven_id in ids] == list(range(len(ids)))


@pytest.mark.parametrize(
    "unknown",
    ["", "ven_", "ven_3", "ven_03", "ven_-1", "ven_1x", "xven_1", "ven_99999999999999999999999"],
)
def test_an_id_that_nobody_has(unknown):
    fleet = Fleet()
    fleet.add_group(3, poll_interval=SECOND)
    with pytest.raises(KeyError):
        fleet.row_of(unknown)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"count": 0}, "count"),
        ({"ven_ids": "same"}, "{n}"),
        ({"ven_ids": "{n}-{n}"}, "more than one"),
        ({"ven_ids": ["a", "b"]}, "2 ids for 3"),
        ({"ven_ids": ["a", "b", "a"]}, "'a' is there twice"),
        ({"ven_ids": ["a", "", "b"]}, "empty"),
        ({"ven_ids": ["a", "\x00", "b"]}, "XML"),
        ({"ven_ids": "\ud800{n}"}, "XML"),
        ({"ven_ids": "held_{n}", "first_number": 2}, "'held_2' is in the fleet already"),
        ({"profile": "1.0"}, "profile"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"jitter": 1.5}, "jitter"),
        ({"opt_in": -0.1}, "opt_in"),
        ({"answer_delay": (5, 4)}, "answer_delay"),
        ({"policy": VtnPolicy(strict=True)}, "strict"),
    ],
)
def test_a_wrong_group_is_refused_and_adds_nothing(arguments, named):
    fleet = Fleet()
    fleet.add_group(3, ven_ids="held_{n}", poll_interval=SECOND)
    with pytest.raises(ConfigurationError) as refused:
        fleet.add_group(**{"count": 3, "poll_interval": SECOND} | arguments)
    assert named in str(refused.value)
    assert len(fleet) == 3
    assert fleet.add_group(3, poll_interval=SECOND) == 3


def test_rows_that_are_not_there():
    fleet = Fleet()
    fleet.add_group(3, poll_interval=SECOND)
    for call in (
        lambda: fleet.ven_id(3),
        lambda: fleet.compose(3, NOW),
        lambda: fleet.start(1, 3, NOW, 0),
        lambda: fleet.stop(0, 2**32 - 1),
        lambda: fleet.events(99),
    ):
        with pytest.raises(IndexError):
            call()


# -- when -----------------------------------------------------------------------------------------


def test_first_polls_are_spread_over_the_time_given():
    fleet = Fleet(seed=3)
    fleet.add_group(100, poll_interval=50 * SECOND)
    assert fleet.next_due is None
    fleet.start(0, 100, NOW, 10 * SECOND)
    per_second = [len(fleet.take_due(NOW + (i + 1) * SECOND - 1, 1000)) for i in range(10)]
    assert sum(per_second) == 100
    assert set(per_second) == {10}


def polls_by_second(fleet, begin, seconds):
    """How many polls fall due in each second, each answered at once."""
    found = [0] * seconds
    while (due := fleet.next_due) is not None and due < begin + seconds * SECOND:
        for row in fleet.take_due(due, len(fleet)):
            found[(due - begin) // SECOND] += 1
            fleet.compose(row, due)
            fleet.receive(row, NOTHING, due)
    return found


def test_the_rate_does_not_fall_where_a_ramp_ends():
    fleet = Fleet(seed=3)
    fleet.add_group(10_000, poll_interval=10 * SECOND)
    fleet.start(0, 10_000, NOW, 10 * SECOND)
    after = polls_by_second(fleet, NOW, 40)[1:]  # in the first second jitter holds some back
    assert min(after) > 900
    assert max(after) < 1100


def test_rows_may_begin_as_if_they_had_polled_for_ever():
    fleet = Fleet(seed=3)
    fleet.add_group(10_000, poll_interval=10 * SECOND)
    fleet.start(0, 10_000, NOW, None)
    assert fleet.next_due >= NOW
    rates = polls_by_second(fleet, NOW, 30)
    fleet.set_poll_interval(0, 10_000, 5 * SECOND)  # a spike
    fleet.start(0, 10_000, NOW + 30 * SECOND, None)
    spike = polls_by_second(fleet, NOW + 30 * SECOND, 10)
    assert min(rates) > 900
    assert max(rates) < 1100
    assert min(spike) > 1800
    assert max(spike) < 2200


def test_a_row_stays_on_its_grid_whatever_happens():
    fleet = Fleet(seed=4)
    fleet.add_group(1, poll_interval=10 * SECOND, jitter=0.2)
    fleet.start(0, 1, NOW, 0)
    late_by = []
    for k in range(200):
        due = fleet.next_due
        late_by.append(due - NOW - k * 10 * SECOND)
        assert list(fleet.take_due(due, 1)) == [0]
        fleet.compose(0, due)
        fleet.receive(0, NOTHING, due + 3 * SECOND)
    assert late_by[0] == 0
    assert all(0 <= late < 2 * SECOND for late in late_by)
    assert max(late_by) > 1.5 * SECOND
    assert len(set(late_by)) > 190


def test_places_missed_are_counted_and_not_made_up_for():
    fleet = Fleet()
    fleet.add_group(1, poll_interval=10 * SECOND, jitter=0.0)
    fleet.start(0, 1, NOW, 0)
    fleet.take_due(NOW, 1)
    fleet.compose(0, NOW)
    fleet.receive(0, NOTHING, NOW + 35 * SECOND)
    assert fleet.next_due == NOW + 40 * SECOND
    assert fleet.counters["skipped"] == 3


def test_places_missed_before_a_timeout_are_counted():
    fleet = Fleet()
    fleet.add_group(1, poll_interval=10 * SECOND, jitter=0.0)
    fleet.start(0, 1, NOW, 0)
    fleet.take_due(NOW, 1)
    fleet.compose(0, NOW)
    fleet.give_up(0, ERROR_TIMEOUT, NOW + 30 * SECOND)
    assert fleet.counters["skipped"] == 3
    due = fleet.next_due
    fleet.take_due(due, 1)
    fleet.give_up(0, ERROR_CONNECT, due + 5 * SECOND)  # nothing was sent
    fleet.take_due(fleet.next_due, 1)
    fleet.compose(0, due + 10 * SECOND)
    fleet.give_up(0, ERROR_HTTP_5XX, due + 10 * SECOND + 1000)
    assert fleet.counters["skipped"] == 3


def test_a_late_poll_is_counted():
    fleet = Fleet()
    fleet.add_group(2, poll_interval=10 * SECOND, jitter=0.0)
    fleet.start(0, 2, NOW, 0)
    fleet.late_after = 5000
    rows = fleet.take_due(NOW + 4000, 9)
    fleet.compose(rows[0], NOW + 5000)
    fleet.compose(rows[1], NOW + 5001)
    fleet.compose(rows[1], NOW + 9000)  # once more, on another connection
    assert fleet.counters["late"] == 1
    assert fleet.histograms["schedule_lag"].count == 2


def test_a_row_in_an_exchange_is_not_given_again():
    fleet = Fleet()
    fleet.add_group(3, poll_interval=SECOND)
    fleet.start(0, 3, NOW, 0)
    assert sorted(fleet.take_due(NOW, 10)) == [0, 1, 2]
    fleet.poll_at(0, 3, NOW)
    fleet.start(0, 3, NOW, 0)
    assert list(fleet.take_due(NOW + 100 * SECOND, 10)) == []
    fleet.compose(1, NOW)
    fleet.receive(1, NOTHING, NOW)
    assert list(fleet.take_due(NOW + 100 * SECOND, 10)) == [1]


def test_a_herd_comes_at_once_and_scatters_again():
    fleet = Fleet(seed=1)
    fleet.add_group(50, poll_interval=100 * SECOND)
    fleet.start(0, 50, NOW, 100 * SECOND)
    before = list(range(50))
    herd = NOW + 500 * SECOND
    fleet.poll_at(0, 50, herd)
    assert list(fleet.take_due(herd - 1, 99)) == []
    assert sorted(poll(fleet, herd)) == before
    spread = Counter()
    for second in range(1, 131):
        spread[second // 10] += len(poll(fleet, herd + second * SECOND))
    assert max(spread.values()) < 15


def test_offline_and_stopped_rows_do_not_poll():
    fleet = Fleet(seed=8)
    fleet.add_group(1000, poll_interval=10 * SECOND, offline=0.3)
    fleet.start(0, 1000, NOW, 0)
    fleet.poll_at(0, 1000, NOW)
    online = poll(fleet, NOW)
    assert 600 < len(online) < 800
    fleet.stop(0, 500)
    assert sorted(poll(fleet, NOW + 15 * SECOND)) == sorted(row for row in online if row >= 500)
    fleet.stop(500, 500)
    assert fleet.next_due is None


def test_a_new_interval_counts_from_the_next_poll_on():
    fleet = Fleet()
    fleet.add_group(1, poll_interval=10 * SECOND, jitter=0.0)
    fleet.start(0, 1, NOW, 0)
    fleet.set_poll_interval(0, 1, 3 * SECOND)
    assert poll(fleet, NOW) == [0]
    assert fleet.next_due == NOW + 3 * SECOND


def test_the_same_seed_gives_the_same_run_and_shards_are_parts_of_it():
    def run(seed: int, parts: list[tuple[int, int]]) -> list[tuple[bytes, int]]:
        found = []
        for first, count in parts:
            fleet = Fleet(seed=seed)
            fleet.add_group(
                count, first_number=first, first_place=first, poll_interval=7 * SECOND, offline=0.2
            )
            fleet.start(0, count, NOW, 0)
            for second in range(60):
                now = NOW + second * SECOND
                for row in fleet.take_due(now, 99):
                    found.append((fleet.compose(row, now), now))
                    fleet.receive(row, NOTHING, now)
        return sorted(found)

    whole = run(5, [(0, 40)])
    assert run(5, [(0, 40)]) == whole
    assert run(5, [(0, 13), (13, 27)]) == whole
    assert run(6, [(0, 40)]) != whole
    assert len({body for body, _ in whole}) == len(whole), "no two requests have the same requestID"


def test_failures_are_tried_again_within_the_interval_and_not_all_at_once():
    fleet = Fleet(seed=2)
    fleet.add_group(1000, poll_interval=100 * SECOND, jitter=0.1)
    fleet.start(0, 1000, NOW, 100 * SECOND)
    down = NOW + 300 * SECOND
    tries = Counter()
    for second in range(300):
        now = down + second * SECOND
        for row in fleet.take_due(now, 9999):
            if second:  # those that were due meanwhile come at once
                tries[second // 10] += 1
            fleet.compose(row, now)
            fleet.give_up(row, ERROR_CONNECT, now)
    # The usual rate is 100 in 10 s; a first failure adds one try to it, later ones none.
    assert max(tries.values()) < 300
    assert all(50 < tries[slot] < 160 for slot in range(15, 30))
    assert fleet.errors["connect"] == sum(tries.values()) + 1000


def test_what_the_server_asks_for_is_waited_for():
    fleet = Fleet(seed=2)
    fleet.add_group(1, poll_interval=10 * SECOND, jitter=0.5)
    fleet.start(0, 1, NOW, 0)
    fleet.take_due(NOW, 1)
    fleet.give_up(0, ERROR_CONNECT, NOW, 60 * SECOND)
    assert NOW + 60 * SECOND <= fleet.next_due <= NOW + 65 * SECOND
    due = fleet.next_due
    fleet.take_due(due, 1)
    fleet.give_up(0, ERROR_CONNECT, due, 10**15)
    assert fleet.next_due <= due + 3605 * SECOND


moments = st.integers(0, 50)
steps = st.one_of(
    st.tuples(st.just("start"), st.integers(0, 9), st.integers(0, 9), moments),
    st.tuples(st.just("stop"), st.integers(0, 9), st.integers(0, 9), moments),
    st.tuples(st.just("at"), st.integers(0, 9), st.integers(0, 9), moments),
    st.tuples(st.just("take"), st.integers(1, 10), st.just(0), moments),
)


@given(st.lists(steps, max_size=60))
@settings(max_examples=200, deadline=None)
def test_the_queue_against_a_dictionary(script):
    """Moments set in any order, by one row or by all: what is due comes, the earliest first, once."""
    fleet = Fleet()
    fleet.add_group(10, poll_interval=10**9 * SECOND, jitter=0.0)
    due: dict[int, int] = {}
    for kind, first, count, moment in script:
        rows = range(first, min(10, first + count))
        if kind == "take":
            taken = list(fleet.take_due(moment, first))
            expected = sorted((at, row) for row, at in due.items() if at <= moment)
            assert [due[row] for row in taken] == [at for at, _ in expected[:first]]
            for row in taken:
                del due[row]
                fleet.compose(row, moment)
                fleet.receive(row, NOTHING, moment)
                fleet.stop(row, 1)
        elif kind == "stop":
            fleet.stop(rows.start, len(rows))
            for row in rows:
                due.pop(row, None)
        else:
            call = (
                (lambda r, m: fleet.start(r.start, len(r), m, 0))
                if kind == "start"
                else (lambda r, m: fleet.poll_at(r.start, len(r), m))
            )
            call(rows, moment)
            due.update(dict.fromkeys(rows, moment))
        assert fleet.next_due == min(due.values(), default=None)
