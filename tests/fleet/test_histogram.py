"""The histogram against HdrHistogram's own Python port and against sorted lists."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oadr2._core.histogram import HIGHEST, Histogram

PERCENTILES = (0, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 100)
durations = st.one_of(
    st.integers(0, 5000),
    st.integers(0, HIGHEST),
    st.integers(0, 31).flatmap(lambda power: st.sampled_from([1 << power, (1 << power) - 1])),
)
many = st.lists(durations, max_size=200)


def histogram_of(values: list[int]) -> Histogram:
    made = Histogram()
    for value in values:
        made.record(value)
    return made


def reference() -> Any:
    module = pytest.importorskip("hdrh.histogram", reason="hdrhistogram is not installed")
    return module.HdrHistogram(1, HIGHEST, 3)


@given(many)
@settings(deadline=None)
def test_every_counter_is_where_hdrhistogram_has_it(values: list[int]) -> None:
    other = reference()
    for value in values:
        assert other.record_value(value)
    counters = {
        low: (other.get_highest_equivalent_value(low), other.get_count_at_index(index))
        for index in range(other.counts_len)
        if other.get_count_at_index(index)
        for low in [other.get_value_from_index(index)]
    }
    found = {low: (high, count) for low, high, count in histogram_of(values).recorded()}
    assert found == counters


@given(many.filter(bool))
@settings(deadline=None)
def test_percentiles_are_those_of_the_sorted_list_to_a_thousandth(values: list[int]) -> None:
    histogram = histogram_of(values)
    ordered = sorted(values)
    for percent in PERCENTILES:
        rank = max(1, math.ceil(round(percent * 100) * len(values) / 10_000))
        exact = ordered[rank - 1]
        assert exact <= histogram.percentile(percent) <= exact + exact / 1000


@pytest.mark.parametrize("count", [1, 2, 3, 10, 100, 1000, 10_000])
def test_percentiles_are_hdrhistograms_where_ranks_are_whole(count: int) -> None:
    other = reference()
    values = [n * n + n for n in range(count)]
    for value in values:
        other.record_value(value)
    histogram = histogram_of(values)
    for percent in (50, 90, 99, 99.9):
        if (percent * 10 * count) % 1000 == 0:
            expected = min(other.get_value_at_percentile(percent), values[-1])
            assert histogram.percentile(percent) == expected, percent


@given(many)
@settings(deadline=None)
def test_count_sum_min_max_and_mean_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram.count == len(values)
    assert histogram.sum == sum(values)
    assert histogram.min == min(values, default=0)
    assert histogram.max == max(values, default=0)
    assert histogram.mean == (sum(values) / len(values) if values else 0)


@given(many, many)
@settings(deadline=None)
def test_merging_is_recording_together(left: list[int], right: list[int]) -> None:
    merged = histogram_of(left)
    merged.merge(histogram_of(right))
    assert merged == histogram_of(left + right)


@given(many, many)
@settings(deadline=None)
def test_since_a_copy_is_what_was_recorded_after_it(before: list[int], after: list[int]) -> None:
    histogram = histogram_of(before)
    copy = histogram.copy()
    for value in after:
        histogram.record(value)
    assert copy == histogram_of(before)
    later = histogram.since(copy)
    assert later.recorded() == histogram_of(after).recorded()
    assert (later.count, later.sum) == (len(after), sum(after))
    if after:
        assert later.min <= min(after) <= max(after) <= later.max


def test_since_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="no later state"):
        histogram_of([1]).since(histogram_of([2]))


@given(many)
@settings(deadline=None)
def test_plain_data_and_pickles_lose_nothing(values: list[int]) -> None:
    histogram = histogram_of([*values, HIGHEST + 5] if len(values) % 2 else values)
    assert Histogram.from_dict(histogram.to_dict()) == histogram
    assert pickle.loads(pickle.dumps(histogram)) == histogram


def test_more_than_an_hour_counts_as_an_hour_and_is_noted() -> None:
    histogram = histogram_of([HIGHEST, HIGHEST + 1, 2**63 - 1])
    assert (histogram.count, histogram.beyond) == (3, 2)
    assert histogram.max == histogram.percentile(50) == HIGHEST
    assert histogram.sum == 3 * HIGHEST


def test_a_negative_duration_counts_as_none() -> None:
    histogram = histogram_of([-1, -(2**63)])
    assert histogram.recorded() == [(0, 0, 2)]


def test_an_empty_histogram_says_nought() -> None:
    histogram = Histogram()
    assert (histogram.count, histogram.min, histogram.max, histogram.mean) == (0, 0, 0, 0)
    assert histogram.percentile(99) == 0
    assert histogram.recorded() == []


def test_clear_forgets() -> None:
    histogram = histogram_of([1, 2, HIGHEST + 1])
    histogram.clear()
    assert histogram == Histogram()


@given(many, durations)
@settings(deadline=None)
def test_count_up_to_a_value(values: list[int], bound: int) -> None:
    histogram = histogram_of(values)
    sure = sum(value <= bound for value in values)
    at_most = sum(value <= bound + bound / 1000 for value in values)
    assert sure <= histogram.count_up_to(bound) <= at_most
    assert histogram.count_up_to(-1) == 0
    assert histogram.count_up_to(HIGHEST) == len(values)


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan])
def test_a_percentile_is_between_0_and_100(percent: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 100"):
        Histogram().percentile(percent)


GOOD = {"count": 3, "sum": 5000, "min": 1000, "max": 3000, "beyond": 0}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {**GOOD, "counts": None},
        {**GOOD, "counts": [[1000, 2, 3]]},
        {**GOOD, "counts": [[1000, 3], [999, 1]]},
        {**GOOD, "counts": [[1000, 2], [3001, 1]]},  # no counter begins there
        {**GOOD, "counts": [[1000, 2], [3000, 0]]},
        {**GOOD, "counts": [[1000, 2], [3000, 2]]},
        {**GOOD, "counts": [[1000, 2], [-1, 1]]},
        {**GOOD, "counts": [[1000, 2], [HIGHEST * 2, 1]]},
        {**GOOD, "counts": [[1000, 2], [3000, 1]], "max": 4000},
        {**GOOD, "counts": [[1000, 2], [3000, 1]], "min": 5},
        {**GOOD, "counts": [[1000, 2], [3000, 1]], "beyond": 4},
        {**GOOD, "counts": [[1000, 2], [3000, 1]], "sum": -1},
    ],
)
def test_a_wrong_description_is_refused(data: dict[str, Any]) -> None:
    assert Histogram.from_dict({**GOOD, "counts": [[1000, 2], [3000, 1]]}).count == 3
    with pytest.raises(ValueError, match="histogram"):
        Histogram.from_dict(data)
