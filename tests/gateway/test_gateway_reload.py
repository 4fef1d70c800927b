"""The file read again while the gateway works: taken wholly or not at all, one at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_driver import FakeFolder, FolderDriver
from gateway_rig import eventually, point, running, write_file

from oadr2.errors import ConfigurationError, LocalProtocolError, StoreError
from oadr2.gateway.configuration import read_configuration
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.state import StateFile, StoredOverride
from oadr2.sim import SimulatedVtn, VtnServer


def run(scenario: Callable[[], object]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def raising(message: str) -> Callable[..., Any]:
    def call(*_: object) -> Any:
        raise StoreError(message)

    return call


def vens_at_work() -> int:
    return sum(task.get_name().startswith("ven ") for task in asyncio.all_tasks())


def test_a_reload_adds_changes_and_removes_points_and_drops_no_event(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0, b=100.0, c=100.0)
    path = write_file(tmp_path, server.url, [point("a"), point("b")])
    vtn.add_event("peak", start="now", duration="PT1H", level=2)

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: device.values() == {"a": 40.0, "b": 40.0, "c": 100.0}, "it")
            kept = gateway.points["a"].point
            server.stop()  # what comes now comes from the gateway's own memory
            deeper = point("b").replace("2 = 40", "2 = 30")
            write_file(
                tmp_path, server.url, [point("a"), deeper, point("c", more='group_id = "g"')]
            )
            await gateway.reload(read_configuration(path))
            await eventually(lambda: device.values() == {"a": 40.0, "b": 30.0, "c": 40.0}, "all")
            assert gateway.points["a"].point is kept
            write_file(tmp_path, server.url, [point("a")])
            await gateway.reload(read_configuration(path))
            assert set(gateway.points) == {"a"}
            server.start()
            vtn.cancel_event("peak")
            await eventually(lambda: device["a"] == 100.0, "the end")

    run(scenario)
    assert device.writes("a") == [40.0, 100.0]
    assert device.writes("b") == [40.0, 30.0]


def test_a_reload_that_cannot_work_changes_nothing(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            write_file(tmp_path, server.url, [point("a")], 'username = "u"\npassword_file = "none"')
            with pytest.raises(LocalProtocolError, match=r"password_file .*none"):
                await gateway.reload(read_configuration(path))
            vtn.add_event("peak", start="now", duration="PT1H", level=2)
            await eventually(lambda: device["a"] == 40.0, "an event after it")

    run(scenario)


@pytest.mark.parametrize("method", ["memories", "overrides"])
def test_a_state_file_that_cannot_be_read_leaves_every_point_at_work(
    method: str,
    vtn: SimulatedVtn,
    server: VtnServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            kept = gateway.links["gw"]
            write_file(tmp_path, server.url, [point("a"), point("b")], 'opt = "optOut"')
            with monkeypatch.context() as broken:
                broken.setattr(StateFile, method, raising("disk I/O error"))
                with pytest.raises(StoreError, match="disk I/O error"):
                    await gateway.reload(read_configuration(path))
            assert set(gateway.points) == {"a"}
            assert gateway.links["gw"] is kept
            vtn.add_event("peak", start="now", duration="PT1H", level=2)
            await eventually(lambda: device["a"] == 40.0, "an event after it")

    run(scenario)


def test_a_driver_that_does_not_begin_leaves_every_point_at_work(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a")])
    begin = FolderDriver.__init__

    def refuse(self: FolderDriver, folder: str) -> None:
        if folder.endswith("no-such-bus"):
            raise ConfigurationError("there is no such bus")
        begin(self, folder)

    monkeypatch.setattr(FolderDriver, "__init__", refuse)

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            kept = gateway.links["gw"]
            more = [point("a"), point("b", folder="other"), point("c", folder="no-such-bus")]
            write_file(tmp_path, server.url, more, 'opt = "optOut"')
            with pytest.raises(ConfigurationError, match="no such bus"):
                await gateway.reload(read_configuration(path))
            assert set(gateway.points) == {"a"}
            assert gateway.links["gw"] is kept
            vtn.add_event("peak", start="now", duration="PT1H", level=2)
            await eventually(lambda: device["a"] == 40.0, "an event after it")

    run(scenario)


def test_two_reloads_at_once_are_taken_one_after_the_other(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            reloads = []
            for opt in ("optOut", "optIn"):
                write_file(tmp_path, server.url, [point("a")], f'opt = "{opt}"\ngroup_ids = ["g"]')
                reloads.append(gateway.reload(read_configuration(path)))
            await asyncio.gather(*reloads)
            assert vens_at_work() == 1
            vtn.add_event("peak", start="now", duration="PT1H", level=2)
            await eventually(lambda: device["a"] == 40.0, "an event for the last one")
        assert vens_at_work() == 0

    run(scenario)


def test_a_reload_as_the_gateway_ends_opens_nothing(server: VtnServer, tmp_path: Path) -> None:
    FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            write_file(tmp_path, server.url, [point("a")], 'opt = "optOut"')
            gateway.stop()
            await gateway.reload(read_configuration(path))
        await gateway.reload(read_configuration(path))
        assert vens_at_work() == 0

    run(scenario)


def test_a_reload_before_the_start_is_what_it_starts_with(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("none")])
    vtn.add_event("peak", start="now", duration="PT1H", level=2)

    async def scenario() -> None:
        gateway = Gateway(read_configuration(path))
        write_file(tmp_path, server.url, [point("a")])
        await gateway.reload(read_configuration(path))
        assert not gateway.links
        task = asyncio.create_task(gateway.run())
        await eventually(lambda: device["a"] == 40.0, "the event")
        gateway.stop()
        await task

    run(scenario)


def test_a_VEN_that_comes_back_is_not_silent_since_it_went(
    server: VtnServer, tmp_path: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    safe = point("a", more='failsafe = { after = "1h", action = 55 }')
    path = write_file(tmp_path, server.url, [safe])
    steady = 0.0

    async def scenario() -> None:
        nonlocal steady
        async with running(path, monotonic=lambda: time.monotonic() + steady) as gateway:
            await eventually(lambda: gateway.ready and gateway.links["gw"].heard, "the VTN")
            whole = path.read_text()
            path.write_text(whole.replace('ven_id = "gw"', 'ven_id = "other"'))
            await gateway.reload(read_configuration(path))
            server.stop()
            steady = 7200.0
            path.write_text(whole)
            await gateway.reload(read_configuration(path))
            await eventually(lambda: gateway.ready, "the first look")
            assert gateway.silence("gw") < 3600
            assert gateway.view().points[0].cause == "normal"

    run(scenario)
    assert device.writes() == []


def test_an_override_from_outside_is_taken_up_once_the_file_can_be_read(
    server: VtnServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a")])
    refused = 0

    def broken(_: StateFile) -> Any:
        nonlocal refused
        refused += 1
        raise StoreError("disk I/O error")

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready, "the first look")
            with monkeypatch.context() as patch:
                patch.setattr(StateFile, "overrides", broken)
                with StateFile(tmp_path / "gateway.db") as state:
                    state.set_override(StoredOverride("a", 80.0, time.time() + 3600.0, "bob"))
                await eventually(lambda: refused > 1, "two looks in vain")
            await eventually(lambda: device["a"] == 80.0, "the override")

    run(scenario)
