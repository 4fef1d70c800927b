"""The gateway in one loop: events, several points, devices in every mood, overrides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_driver import FakeFolder
from gateway_rig import audit, eventually, point, running, told, write_file

from oadr2.errors import LocalProtocolError, StoreError
from oadr2.gateway.configuration import read_configuration
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.state import StateFile, StoredOverride
from oadr2.model import Targets
from oadr2.points.rules import RELEASED
from oadr2.sim import SimulatedVtn, VtnServer


class Clock:
    """A wall clock that can be set."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def run(scenario: Callable[[], object]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def test_an_event_comes_runs_and_ends(vtn: SimulatedVtn, server: VtnServer, tmp_path: Path) -> None:
    device = FakeFolder(tmp_path / "device", chiller=90.0)
    path = write_file(tmp_path, server.url, [point("chiller")])
    vtn.add_event("peak", start="+1s", levels=[("PT1S", 1), ("PT1S", 2)])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: device.writes() == [100.0, 70.0, 40.0, 100.0], "the event")
            await eventually(lambda: gateway.view().points[0].settled, "the last read-back")

    run(scenario)
    assert told(tmp_path, "chiller") == [
        "found",
        "write 100.0",
        "verified 100.0",
        "control 70.0 peak",
        "write 70.0 peak",
        "verified 70.0 peak",
        "control 40.0 peak",
        "write 40.0 peak",
        "verified 40.0 peak",
        "control 100.0",
        "write 100.0",
        "verified 100.0",
    ]
    reasons = [entry.reason for entry in audit(tmp_path) if entry.kind == "control"]
    assert reasons == ["SIMPLE 1", "SIMPLE 2", "nothing is wanted"]


def test_targets_choose_the_points(vtn: SimulatedVtn, server: VtnServer, tmp_path: Path) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0, b=100.0, c=100.0)
    path = write_file(
        tmp_path,
        server.url,
        [
            point("a", more='resource_id = "res-a"\ngroup_id = "north"'),
            point("b", more='resource_id = "res-b"\ngroup_id = ["north", "all"]'),
            point("c"),
        ],
    )

    async def scenario() -> None:
        async with running(path):
            for event_id, targets, level, expected in (
                ("one", Targets(resource_ids=("res-a",)), 1, (70.0, 100.0, 100.0)),
                ("group", Targets(group_ids=("north",)), 2, (40.0, 40.0, 100.0)),
                (
                    "ven and one",
                    Targets(ven_ids=("gw",), resource_ids=("res-b",)),
                    3,
                    (100, 10, 100),
                ),
                ("all", Targets(), 1, (70.0, 70.0, 70.0)),
                ("ven", Targets(ven_ids=("gw",)), 2, (40.0, 40.0, 40.0)),
            ):
                vtn.add_event(event_id, start="now", duration="PT1H", level=level, targets=targets)
                await eventually(lambda e=expected: tuple(device.values().values()) == e, event_id)  # type: ignore[misc]
                vtn.cancel_event(event_id)
                await eventually(
                    lambda: set(device.values().values()) == {100.0}, f"end of {event_id}"
                )

    run(scenario)


def test_of_two_events_the_more_important_rules_each_point(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0, b=100.0)
    path = write_file(tmp_path, server.url, [point("a", more='resource_id = "res-a"'), point("b")])
    vtn.add_event("base", start="now", duration="PT1H", level=1, priority=5)

    async def scenario() -> None:
        async with running(path):
            await eventually(lambda: device.values() == {"a": 70.0, "b": 70.0}, "the first")
            only_a = Targets(resource_ids=("res-a",))
            vtn.add_event(
                "urgent",
                start="now",
                duration="PT1S",
                level=3,
                priority=1,
                targets=only_a,
                market_context="http://example.org/other",
            )
            await eventually(lambda: device["a"] == 10.0, "the second")
            assert device["b"] == 70.0
            vtn.add_event(
                "idle",
                start="now",
                duration="PT1H",
                level=2,
                priority=9,
                market_context="http://example.org/third",
            )
            await eventually(lambda: device["a"] == 70.0, "the end of the second")

    run(scenario)
    assert device.writes("b") == [70.0]
    assert [line for line in told(tmp_path, "a") if line.startswith("write")] == [
        "write 70.0 base",
        "write 10.0 urgent",
        "write 70.0 base",
    ]


@pytest.mark.parametrize("mood", ["hangs", "fails", "cannot be cancelled", "is broken"])
def test_a_bad_device_holds_up_no_other(
    mood: str, vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    good = FakeFolder(tmp_path / "good", a=100.0, b=100.0)
    bad = FakeFolder(tmp_path / "bad", c=100.0)
    points = [point("c", "bad"), point("a", "good"), point("b", "good")]
    path = write_file(tmp_path, server.url, points)
    bad.mood = mood

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            vtn.add_event("peak", start="now", duration="PT1H", level=2)
            await eventually(lambda: good.values() == {"a": 40.0, "b": 40.0}, "the event")
            assert bad["c"] == 100.0
            view = {seen.name: seen for seen in gateway.view().points}
            assert view["a"].problem == ""
            assert view["c"].problem
            assert str(tmp_path / "bad") in view["c"].problem
            bad.mood = ""
            await eventually(lambda: bad["c"] == 40.0, "the bad device's return")

    run(scenario)
    kinds = [entry.kind for entry in audit(tmp_path, "c")]
    assert kinds[0] in {"failed", "control"}
    assert kinds.index("failed") < kinds.index("answers") < kinds.index("found")
    assert kinds.index("found") < kinds.index("write")


def test_a_device_that_lies_is_found_out(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a", more="retries = 1")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            device.mood = "lies"
            vtn.add_event("peak", start="now", duration="PT1H", level=2)
            await eventually(lambda: gateway.view().counts.alerts == 1, "the alert")
            device.mood = ""
            await eventually(lambda: device["a"] == 40.0, "obedience")

    run(scenario)
    story = told(tmp_path, "a")
    assert story.count("disobeyed 40.0 peak") >= 2
    assert "alert 40.0 peak" in story
    wrong = [entry for entry in audit(tmp_path, "a") if entry.kind == "disobeyed"]
    assert wrong[0].read_back == 100.0


def test_the_vtn_gone_past_the_failsafe_time_and_back(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0, b=100.0)
    path = write_file(
        tmp_path,
        server.url,
        [
            point("a", more='failsafe = { after = "1s", action = 55 }'),
            point("b", more='failsafe = { after = "1s", action = "release" }'),
        ],
    )
    vtn.add_event("peak", start="now", duration="PT1H", level=2)

    async def scenario() -> None:
        async with running(path):
            await eventually(lambda: device.values() == {"a": 40.0, "b": 40.0}, "the event")
            server.stop()
            await eventually(lambda: device.values() == {"a": 55.0, "b": 100.0}, "the fail-safe")
            server.start()
            await eventually(lambda: device.values() == {"a": 40.0, "b": 40.0}, "the return")

    run(scenario)
    reasons = [entry.reason for entry in audit(tmp_path, "b") if entry.kind == "control"]
    assert reasons == ["SIMPLE 2", "VTN silent for 1 s: released", "SIMPLE 2"]


def test_an_override_during_an_event(vtn: SimulatedVtn, server: VtnServer, tmp_path: Path) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a", more="bounds = [0, 100]")])
    vtn.add_event("peak", start="now", duration="PT1H", level=2)

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: device["a"] == 40.0, "the event")
            # The device has it a moment before the gateway knows, and can write it down.
            await eventually(lambda: gateway.view().points[0].settled, "the read-back")
            with pytest.raises(LocalProtocolError, match="no point z"):
                gateway.override("z", 80.0, 60.0, "eve")
            with pytest.raises(LocalProtocolError, match=r"a: 120 is not within its bounds"):
                gateway.override("a", 120.0, 60.0, "eve")
            with pytest.raises(LocalProtocolError, match="time above 0"):
                gateway.override("a", 80.0, 0.0, "eve")
            gateway.override("a", 80.0, 3600.0, "eve")
            await eventually(lambda: device["a"] == 80.0, "the override")
            seen = gateway.view().points[0]
            assert (seen.cause, seen.override_by) == ("override", "eve")
            assert seen.override_until == pytest.approx(time.time() + 3600, abs=60)
        # After a restart it holds still, and the event waits beneath it.
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            await eventually(lambda: gateway.view().points[0].settled, "rest")
            assert gateway.view().points[0].cause == "override"
            assert gateway.end_override("a")
            await eventually(lambda: device["a"] == 40.0, "the event again")
            # From outside, as the command line does it.
            with StateFile(tmp_path / "gateway.db") as state:
                state.set_override(StoredOverride("a", RELEASED, time.time() + 1.0, "bob"))
            await eventually(lambda: device["a"] is None, "the override from outside")
            await eventually(lambda: device["a"] == 40.0, "its end")

    run(scenario)
    assert device.writes() == [40.0, 80.0, 40.0, None, 40.0]
    reasons = [entry.reason for entry in audit(tmp_path, "a") if entry.kind == "write"]
    assert reasons == [
        "SIMPLE 2", "override by eve", "SIMPLE 2", "override by bob", "SIMPLE 2"
    ]  # fmt: skip


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_the_clock_is_stepped_by_an_hour(
    step: float, vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a", more='min_off = "1h"\noff = 10')])
    vtn.add_event("now", start="now", duration="PT30M", level=1)
    vtn.add_event("later", start="+50m", duration="PT30M", level=2)
    vtn.add_event("earlier", start="+3h", duration="PT30M", level=2)
    clock = Clock()

    async def scenario() -> None:
        async with running(path, clock=clock):
            await eventually(lambda: device["a"] == 70.0, "the event")
            clock.ahead = step
            expected = 40.0 if step > 0 else 100.0
            await eventually(lambda: device["a"] == expected, "what holds an hour off")
            clock.ahead = 0.0
            if step < 0:
                await eventually(lambda: device["a"] == 70.0, "the event, again")

    run(scenario)
    events = [entry.event_id for entry in audit(tmp_path, "a") if entry.kind == "control"]
    assert events[:2] == (["now", "later"] if step > 0 else ["now", ""])


def test_a_dry_run_writes_nothing(vtn: SimulatedVtn, server: VtnServer, tmp_path: Path) -> None:
    device = FakeFolder(tmp_path / "device", a=90.0)
    path = write_file(tmp_path, server.url, [point("a")])
    vtn.add_event("peak", start="now", duration="PT1H", level=2)

    async def scenario() -> None:
        async with running(path, dry_run=True) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            await eventually(lambda: gateway.view().points[0].written == 40.0, "the event")
            assert gateway.view().dry_run

    run(scenario)
    assert device.log() == []
    assert {file.name for file in tmp_path.iterdir()} == {"device", "gateway.toml"}


def test_a_test_event_and_one_opted_out_move_nothing(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a")])
    vtn.add_event("exercise", start="now", duration="PT1H", level=3, test_event="true")

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.view().events, "the exercise")
            vtn.add_event(
                "real", start="now", duration="PT1H", level=1, market_context="http://example.org/b"
            )
            await eventually(lambda: device["a"] == 70.0, "the real one")
            gateway.links["gw"].handler.set_opt("real", "optOut")
            await eventually(lambda: device["a"] == 100.0, "the end of it")

    run(scenario)


def test_a_second_gateway_on_the_same_files_says_so(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            other = Gateway(read_configuration(path))
            with pytest.raises(StoreError, match="another gateway works with this file"):
                await other.run()

    run(scenario)
