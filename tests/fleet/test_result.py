"""The JSON document, and the exact merge of parts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from results import a_result, histogram

from oadr2.errors import ConfigurationError
from oadr2.fleet.result import Result, merge_results, read_result
from oadr2.fleet.snapshot import Snapshot, merge_snapshots
from oadr2.fleet.thresholds import parse_threshold

# Issue of the fleet: programs read these.
PROMISED = {
    *("vens", "duration_s", "polls", "exchanges", "exchanges_per_second", "polls_per_second"),
    *("events_applied", "replies_sent", "errors", "late", "latency_ms", "latency_from_intended_ms"),
    *("propagation_ms", "rss_bytes", "rss_bytes_before_vens", "cpu_s", "generator_saturated"),
    "thresholds",
}


def merged(*parts: Result) -> Result:
    return merge_results([(f"{index}.json", part) for index, part in enumerate(parts)])


def test_the_promised_keys_are_there() -> None:
    data = json.loads(a_result(thresholds=["p99 < 1s", "errors < 0.1%"]).to_json())
    assert data.keys() >= PROMISED
    assert data["vens"] == 500
    assert data["exchanges_per_second"] == 60.0
    assert data["polls_per_second"] == 50.0
    assert data["errors"] == {"http_5xx": 60, "timeout": 30}
    assert set(data["latency_ms"]) == {"p50", "p90", "p99", "p999", "max"}
    assert data["latency_ms"]["max"] == 36.98
    assert data["propagation_ms"]["p50"] == pytest.approx(4980, rel=0.001)
    assert [entry["passed"] for entry in data["thresholds"]] == [True, False]
    assert data["generator_saturated"] is False


def test_what_was_not_measured_is_null() -> None:
    data = replace(a_result(), propagation={}).to_dict()
    assert data["propagation_ms"] is None


def test_what_was_never_answered_has_failed() -> None:
    """A VTN that fell silent near the end passes no threshold on errors; an interrupted run did not wait."""
    thresholds = tuple(
        map(parse_threshold, ("errors == 0", "errors < 0.1%", "errors timeout == 0"))
    )
    fine = replace(a_result(), errors={}, thresholds=thresholds)
    assert [verdict.passed for verdict in fine.verdicts] == [True, True, True]
    silent = replace(fine, counters={**fine.counters, "abandoned": 200})
    assert [(v.value, v.passed) for v in silent.verdicts] == [(200, False), (10, False), (0, True)]
    assert all(verdict.passed for verdict in replace(silent, interrupted=True).verdicts)
    nothing = replace(silent, counters={"abandoned": 20})
    assert [verdict.value for verdict in nothing.verdicts] == [20, 100, 0]


def test_the_document_reads_back(tmp_path: Path) -> None:
    result = a_result(thresholds=["p99 < 1s"])
    file = tmp_path / "a.json"
    file.write_text(result.to_json())
    assert read_result(file) == result


def test_merging_is_exact() -> None:
    parts = [a_result(index, 3, thresholds=["p99 < 1s"]) for index in range(3)]
    whole = merged(*parts)
    for kind in ("request_event", "created_event"):
        every = [value for part in parts for value in part.latency[kind].recorded()]
        assert whole.latency[kind].count == sum(count for _, _, count in every)
    together = histogram(value for part in range(3) for value in range(1000 + part, 37_000, 20))
    assert whole.latency["request_event"] == together
    assert whole.counters["exchanges"] == 5400
    assert whole.errors == {"timeout": 90, "http_5xx": 180}
    assert (whole.vens, whole.parts, whole.duration_s) == (1500, (0, 1, 2), 30.0)
    assert whole.started_at == parts[0].started_at
    assert len(whole.series) == 30
    assert whole.series[4].counters["polls"] == 150
    assert whole.series[4].latency.count == sum(part.series[4].latency.count for part in parts)
    assert len(whole.environment) == 3


def test_the_order_of_merging_does_not_matter() -> None:
    a, b, c = (a_result(index, 3) for index in range(3))
    assert merged(c, a, b).to_dict()["histograms_us"] == merged(a, b, c).to_dict()["histograms_us"]
    stepwise = merged(merged(a, b), c)
    assert replace(stepwise, environment=()) == replace(merged(a, b, c), environment=())


def test_one_part_is_itself() -> None:
    assert merged(a_result()) == a_result()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shards": 4}, "one is of a run in 2 parts, the other in 4"),
        (
            {"scenario": 'name = "other"\n'},
            'their scenarios differ: name = "<evening> & peak" against',
        ),
        ({"vtn": "http://other"}, "their VTNs differ: https://vtn.example against http://other"),
        ({"step": 5}, "their series have steps of 1 s and 5 s"),
        ({"started_at": 1_700_003_600.25}, "one began 3570 s after the other had ended"),
        ({"parts": (0,)}, "part 0 of 2 is both in 0.json and in 1.json"),
    ],
)
def test_strangers_are_not_merged(changes: dict[str, Any], reason: str) -> None:
    assert merged(a_result(0, 2), a_result(1, 2)).vens == 1000
    with pytest.raises(ConfigurationError) as error:
        merged(a_result(0, 2), replace(a_result(1, 2), **changes))
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[:500], "no JSON document"),
        (lambda text: "[]", "no result of oadr2 fleet"),
        (lambda text: "[" * 100_000, "no result of oadr2 fleet"),
        (lambda text: text.replace('"cpu_s": 6.0', '"cpu_s": NaN'), "NaN is no number"),
        (lambda text: text.replace('"parts": [0]', '"parts": [7]'), "it has the parts 7 of 1"),
        (lambda text: text.replace('"format": 1', '"format": 9'), "its format is 9"),
        (lambda text: text.replace('"cpu_s": 6.0', '"cpus": 6.0'), "'cpu_s' is missing"),
        (lambda text: text.replace('"count": 100', '"count": 99', 1), "changed or damaged"),
    ],
)
def test_a_damaged_document_is_refused(tmp_path: Path, change: Any, reason: str) -> None:
    file = tmp_path / "a.json"
    text = a_result().to_json()
    assert change(text) != text
    file.write_text(change(text))
    with pytest.raises(ConfigurationError, match=reason) as error:
        read_result(file)
    assert str(error.value).startswith(str(file))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("max < 1s", 36.98),
        ("mean < 1s", pytest.approx(18.97, rel=0.01)),
        ("errors < 1%", 100 * 90 / 1830),  # a timeout is an exchange begun and not answered
        ("errors < 1", 90),
        ("errors timeout < 1", 30),
        ("errors dns < 1", 0),
        ("late < 1%", 100 / 1500),
        ("polls_per_second > 1", 50),
        ("exchanges > 1", 1800),
        ("schedule_lag max < 1s", 0.099),
        ("acknowledged max < 1s", 9985.0),
    ],
)
def test_the_value_behind_a_threshold(text: str, value: float) -> None:
    (verdict,) = a_result(thresholds=[text]).verdicts
    assert verdict.value == value


def test_snapshots_of_processes_as_one() -> None:
    def part(vens: int, lag: float) -> Snapshot:
        counts = {"polls": vens}
        latency = {"request_event": histogram([vens])}
        return Snapshot(
            1.0, 2.0 + lag, vens, vens, 1, counts, {"dns": 1}, latency, {}, loop_lag=lag
        )

    whole = merge_snapshots([part(100, 0.5), part(50, 0.1)])
    assert (whole.vens, whole.elapsed, whole.loop_lag) == (150, 2.5, 0.5)
    assert (whole.counters, whole.errors) == ({"polls": 150}, {"dns": 2})
    assert whole.latency["request_event"] == histogram([100, 50])
    with pytest.raises(ValueError, match="no snapshot"):
        merge_snapshots([])
