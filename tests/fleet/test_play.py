"""A whole load test from Python."""

from __future__ import annotations

import pytest

from oadr2.errors import ConfigurationError
from oadr2.fleet.failures import Failure
from oadr2.fleet.play import play
from oadr2.fleet.processes import RunFailedError
from oadr2.fleet.scenario import Group, Scenario, Stage
from oadr2.fleet.snapshot import Snapshot
from oadr2.fleet.thresholds import parse_threshold
from oadr2.sim import SimulatedVtn, VtnServer


def test_a_scenario_is_played_and_judged() -> None:
    seen: list[Snapshot] = []
    failures: list[Failure] = []
    scenario = Scenario(
        (Group(20, poll_interval=0.3),),
        (Stage("hold", 1.2),),
        thresholds=(parse_threshold("polls >= 20"), parse_threshold("polls < 1")),
    )
    with VtnServer(SimulatedVtn("vtn", "2.0a")) as server:
        result = play(
            scenario, vtn_url=server.url, on_snapshot=seen.append, on_failure=failures.append
        )
    assert result.counter("polls") >= 60
    assert [verdict.passed for verdict in result.verdicts] == [True, False]
    assert seen[-1].counters["polls"] <= result.counter("polls")
    assert (result.errors, failures) == ({}, [])


def test_what_stands_in_its_way_is_said() -> None:
    scenario = Scenario((Group(2),), (Stage("hold", 1.0),), vtn_url="http://127.0.0.1:9")
    with pytest.raises(RunFailedError, match=r"127\.0\.0\.1 port 9 cannot be reached"):
        play(scenario)
    with pytest.raises(ConfigurationError, match="3 parts for 2 VENs"):
        play(scenario, processes=3)
