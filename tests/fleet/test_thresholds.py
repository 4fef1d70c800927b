"""The grammar of thresholds, and what is said about what is none."""

from __future__ import annotations

import pytest

from oadr2.errors import ConfigurationError
from oadr2.fleet.thresholds import METRICS, parse_threshold


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p99 < 500ms", ("latency", "p99", "<", 500.0, "ms")),
        ("p99<500ms", ("latency", "p99", "<", 500.0, "ms")),
        ("max <= 2s", ("latency", "max", "<=", 2000.0, "ms")),
        ("latency mean < 250us", ("latency", "mean", "<", 0.25, "ms")),
        ("intended p999 < 1.5s", ("intended", "p999", "<", 1500.0, "ms")),
        ("propagation p99 < 1m", ("propagation", "p99", "<", 60_000.0, "ms")),
        ("errors < 0.1%", ("errors", "", "<", 0.1, "%")),
        ("errors == 0", ("errors", "", "==", 0.0, "")),
        ("late < 1 %", ("late", "", "<", 1.0, "%")),
        ("polls_per_second > 900", ("polls_per_second", "", ">", 900.0, "/s")),
        ("polls_per_second >= 900/s", ("polls_per_second", "", ">=", 900.0, "/s")),
    ],
)
def test_what_a_threshold_says(text: str, expected: tuple[object, ...]) -> None:
    read = parse_threshold(text)
    found = (read.metric, read.statistic, read.comparison, read.limit, read.unit)
    assert found == expected
    assert parse_threshold(read.text) == read


def test_one_class_of_errors() -> None:
    read = parse_threshold("errors timeout < 5")
    assert (read.metric, read.error_class, read.limit) == ("errors", "timeout", 5.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a threshold is like"),
        ("p99", "a threshold is like"),
        ("p99 < fast", "a threshold is like"),
        ("p99 < 500ms please", "a threshold is like"),
        ("speed < 5", "no metric speed; there is latency, intended"),
        ("latency < 5ms", "latency needs a statistic; there is p50"),
        ("latency p98 < 5ms", "no statistic p98; there is p50"),
        ("p99 < 500", "latency needs a unit; there is us"),
        ("errors timeuot == 0", "no class of errors timeuot; there is dns, connect"),
        ("errors http_404 == 0", "no class of errors http_404; there is dns, connect"),
        ("errors oadr == 0", "no class of errors oadr; there is dns, connect"),
        ("p99 < 5%", "latency needs a unit; there is us"),
        ("errors < 5ms", 'errors takes no unit or "%", not "ms"'),
        ("polls < 5%", 'polls takes no unit, not "%"'),
        ("late p99 < 5", "late is one number and has no p99"),
    ],
)
def test_what_is_said_of_a_wrong_one(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse_threshold(text)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_measured_holds_nothing() -> None:
    assert not parse_threshold("propagation p99 < 30s").holds(None)
    assert parse_threshold("errors < 1").holds(0)
    assert not parse_threshold("errors < 1").holds(1)


def test_every_metric_can_be_written() -> None:
    for name, metric in METRICS.items():
        ends = {"duration": " p50 < 1s", "count": " < 1", "rate": " > 1"}
        assert parse_threshold(name + ends[metric.kind]).metric == name
