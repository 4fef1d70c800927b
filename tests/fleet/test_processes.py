"""A load test in processes of its own: parts, their sum, their deaths, and the simulated VTN."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
import time
import urllib.request
from dataclasses import replace

import pytest
from fake_run import DyingRun, FailingRun, FakeRun

from oadr2.errors import ConfigurationError
from oadr2.fleet.failures import Failure
from oadr2.fleet.part import PartPlan, _Part, _Pipe
from oadr2.fleet.processes import LoadTest, RunFailedError
from oadr2.fleet.result import Result
from oadr2.fleet.scenario import EventChange, Group, Scenario, Stage
from oadr2.fleet.simulated import PlannedChange, carry_out, planned_changes
from oadr2.sim import SimulatedVtn

URL = "http://vtn.invalid"


def scenario(duration: float = 0.6, **more: object) -> Scenario:
    group = Group(1000, poll_interval=1.0)
    return Scenario((group,), (Stage("hold", duration),), vtn_url=URL, **more)  # type: ignore[arg-type]


def played(test: LoadTest) -> Result:
    test.start()
    while not test.done:
        test.pump(0.2)
    return test.result()


def test_a_parent_that_hangs_up_after_the_end_is_no_news() -> None:
    ours, theirs = multiprocessing.Pipe()
    loop = asyncio.new_event_loop()
    loop.close()
    pipe = _Pipe(theirs)
    part = _Part(theirs, pipe, PartPlan(scenario(), URL, (0, 1), False, FakeRun, False))
    ours.close()
    part._listen(loop, FakeRun(scenario(), URL))
    assert part._stopped
    pipe.close()


@pytest.mark.parametrize("processes", [1, 3])
def test_parts_play_all_vens_and_sum_up(processes: int) -> None:
    failures: list[Failure] = []
    with LoadTest(
        scenario(), make_run=FakeRun, check=False, processes=processes, on_failure=failures.append
    ) as test:
        assert test.snapshot is None
        result = played(test)
        seen = test.snapshot
    assert (result.vens, result.parts, result.shards) == (1000, tuple(range(processes)), processes)
    assert result.counters["polls"] == seen.counters["polls"] > 0  # type: ignore[union-attr]
    assert result.latency["request_event"].count == result.counters["exchanges"]
    assert sum(point.counters["polls"] for point in result.series) == result.counters["polls"]
    assert len(result.environment) == processes
    assert result.vtn == URL
    assert not result.interrupted
    if result.errors:
        assert failures


def test_a_shard_plays_its_part_only() -> None:
    with LoadTest(scenario(), make_run=FakeRun, check=False, processes=2, shard=(1, 2)) as test:
        result = played(test)
    assert (result.vens, result.parts, result.shards) == (500, (2, 3), 4)


def test_stopping_gives_what_was_found_so_far() -> None:
    with LoadTest(scenario(duration=3600.0), make_run=FakeRun, check=False) as test:
        test.start()
        while test.snapshot is None:
            test.pump(0.2)
        test.stop()
        while not test.done:
            test.pump(0.2)
        result = test.result()
    assert result.interrupted
    assert 0 < result.duration_s < 3600
    assert result.counters["polls"] > 0


@pytest.mark.parametrize(
    ("make_run", "processes", "reason"),
    [
        (DyingRun, 1, "the generator was killed by SIGKILL"),
        (DyingRun, 2, "part [01] of 2 was killed by SIGKILL"),
        (FailingRun, 2, "the VTN does not answer at all"),
    ],
)
def test_a_part_that_fails_makes_the_run_fail(
    make_run: type[FakeRun], processes: int, reason: str
) -> None:
    with (
        pytest.raises(RunFailedError, match=reason),
        LoadTest(scenario(3600.0), make_run=make_run, processes=processes, check=False) as test,
    ):
        played(test)


def test_a_vtn_that_is_not_there_is_said_before_the_run() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        nobody = replace(scenario(), vtn_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with (
            pytest.raises(RunFailedError, match=r"127\.0\.0\.1 port \d+ cannot be reached"),
            LoadTest(nobody, make_run=FakeRun) as test,
        ):
            played(test)


def test_no_process_is_left_behind() -> None:
    with LoadTest(scenario(3600.0), make_run=FakeRun, check=False, processes=2) as test:
        test.start()
        processes = [part.process for part in test._parts]
        pids = [process.pid for process in processes]
    assert all(pids)
    for process in processes:
        with pytest.raises(ValueError, match="process object is closed"):
            process.is_alive()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"shard": (2, 2)}, "parts count from 0 to 1"),
        ({"processes": 0}, "there is at least one"),
        ({"processes": 2000}, "2000 parts for 1000 VENs"),
    ],
)
def test_parts_that_cannot_be(arguments: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        LoadTest(scenario(), make_run=FakeRun, check=False, **arguments)  # type: ignore[arg-type]


def test_shards_need_a_vtn_to_share() -> None:
    alone = Scenario((Group(10),), (Stage("hold", 1.0),))
    with pytest.raises(ConfigurationError, match="a shard needs a VTN URL"):
        LoadTest(alone, make_run=FakeRun, check=False, shard=(0, 2))


EVENTS = (
    EventChange(0.1, "add", "a"),
    EventChange(0.3, "cancel", "a"),
    EventChange(0.2, "modify", "a", level=2.0),
    EventChange(0.2, "add", "b"),
)


def test_when_which_version_will_be_listed() -> None:
    planned = planned_changes(EVENTS, 1000.0)
    assert planned == (
        PlannedChange(1000.1, "a", 0),
        PlannedChange(1000.2, "a", 1),
        PlannedChange(1000.2, "b", 0),
        PlannedChange(1000.3, "a", 2),
    )


def test_the_vtn_numbers_versions_as_planned() -> None:
    vtn = SimulatedVtn(clock=lambda: 1000.0)
    planned = iter(planned_changes(EVENTS, 0.0))
    for change in sorted(EVENTS, key=lambda change: change.at):
        carry_out(vtn, change)
        event = vtn.get_event(change.event_id)
        assert event is not None
        expected = next(planned)
        assert (event.event_id, event.modification_number) == (
            expected.event_id,
            expected.modification_number,
        )
        assert (event.event_status == "cancelled") is (change.action == "cancel")


REQUEST = (
    b'<oadr:oadrRequestEvent xmlns:oadr="http://openadr.org/oadr-2.0a/2012/07"'
    b' xmlns:pyld="http://docs.oasis-open.org/ns/energyinterop/201110/payloads"'
    b' xmlns:ei="http://docs.oasis-open.org/ns/energyinterop/201110"><pyld:eiRequestEvent>'
    b"<pyld:requestID>r</pyld:requestID><ei:venID>v</ei:venID></pyld:eiRequestEvent>"
    b"</oadr:oadrRequestEvent>"
)


def test_the_simulated_vtn_lists_its_events_when_the_run_has_begun() -> None:
    group = Group(10, poll_interval=1.0)
    events = (EventChange(0.0, "add", "the-event"),)
    alone = Scenario((group,), (Stage("hold", 30.0),), events=events)
    with LoadTest(alone, make_run=FakeRun, check=False) as test:
        test.start()
        url = f"{test._url}/OpenADR2/Simple/EiEvent"
        request = urllib.request.Request(url, REQUEST, {"Content-Type": "application/xml"})
        give_up = time.monotonic() + 20
        answer = b""
        while b"the-event" not in answer and time.monotonic() < give_up:
            with urllib.request.urlopen(request, timeout=10) as reply:
                answer = reply.read()
            test.pump(0.05)
        assert b"the-event" in answer
        test.stop()
        while not test.done:
            test.pump(0.2)
        assert test.result().vtn == "simulated"
