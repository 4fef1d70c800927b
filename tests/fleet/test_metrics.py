"""What Prometheus reads."""

from __future__ import annotations

import re
import urllib.error
import urllib.request

import pytest
from results import histogram

from oadr2.errors import TransportError
from oadr2.exposition import CONTENT_TYPE
from oadr2.fleet.metrics import MetricsServer, exposition
from oadr2.fleet.snapshot import Snapshot

SNAPSHOT = Snapshot(
    at=1000.0,
    elapsed=12.5,
    vens=100_000,
    vens_active=90_000,
    connections=100,
    counters={"polls": 5000, "exchanges": 6000, "late": 3, "registrations": 70, "opts_sent": 9},
    vens_registered=65,
    errors={"timeout": 4, "oadr_463": 1},
    latency={"request_event": histogram([400, 900, 20_000, 70_000_000])},
    latency_from_intended={},
    propagation={"seen": histogram([2_000_000])},
    loop_lag=0.004,
    rss_bytes=123_456_789_012,
)
LINE = re.compile(
    r'[a-z_0-9]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+0-9.e]+|# (HELP|TYPE) [a-z_0-9]+ .+'
)


def values(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_every_line_is_of_the_text_format() -> None:
    text = exposition(SNAPSHOT)
    assert text.endswith("\n")
    assert all(LINE.fullmatch(line) for line in text.splitlines())
    heads = re.findall(r"^# TYPE (\S+)", text, re.M)
    assert len(heads) == len(set(heads))


def test_figures_are_those_of_the_snapshot() -> None:
    found = values(exposition(SNAPSHOT))
    assert found["oadr2_fleet_polls_total"] == 5000
    assert found['oadr2_fleet_errors_total{class="timeout"}'] == 4
    assert found["oadr2_fleet_vens_active"] == 90_000
    assert found["oadr2_fleet_vens_registered"] == 65
    assert found["oadr2_fleet_registrations_total"] == 70
    assert found["oadr2_fleet_opts_sent_total"] == 9
    assert found["oadr2_fleet_reports_sent_total"] == 0
    assert found["oadr2_fleet_resident_memory_bytes"] == 123_456_789_012
    own = 'oadr2_fleet_latency_seconds_bucket{message="request_event",le='
    assert [found[f'{own}"{le}"}}'] for le in ("0.0005", "0.001", "0.025", "30", "+Inf")] == [
        1,
        2,
        3,
        3,
        4,
    ]
    assert found['oadr2_fleet_latency_seconds_count{message="request_event"}'] == 4
    assert found['oadr2_fleet_latency_seconds_sum{message="request_event"}'] == 70.0213


def test_the_number_of_series_does_not_depend_on_the_vens() -> None:
    text = exposition(SNAPSHOT)
    assert "ven_" not in text.replace("oadr2_fleet_ven", "")
    assert len(text.splitlines()) < 150


def test_before_the_first_snapshot() -> None:
    assert values(exposition(None)) == {"oadr2_fleet_running": 0}


def test_over_http() -> None:
    with MetricsServer(("127.0.0.1", 0), lambda: SNAPSHOT) as server:
        base = f"http://127.0.0.1:{server.address[1]}"
        with urllib.request.urlopen(f"{base}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            assert answer.read().decode() == exposition(SNAPSHOT)
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{base}/", timeout=10)
        with error.value:
            assert error.value.code == 404
        with pytest.raises(TransportError, match=f"--metrics 127.0.0.1:{server.address[1]}: "):
            MetricsServer(server.address, lambda: None)
