"""A gateway process that is killed in the middle of an event and started again."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fake_driver import FakeFolder
from gateway_rig import GatewayProcess, audit, point, told, wait_for, write_file

from oadr2.sim import SimulatedVtn, VtnServer


@pytest.mark.parametrize("moment", ["before the next interval", "in it", "after it"])
def test_killed_in_an_interval_and_started(
    moment: str, vtn: SimulatedVtn, server: VtnServer, tmp_path: Path, plugin_folder: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=100.0)
    path = write_file(tmp_path, server.url, [point("a")])
    # The first interval ends when the gateway is dead.
    first = {"before the next interval": 3600, "in it": 6, "after it": 4}[moment]
    second = {"before the next interval": 3600, "in it": 3600, "after it": 2}[moment]
    with GatewayProcess(path, plugin_folder) as gateway:
        wait_for(
            lambda: (tmp_path / "gateway.db").exists() and told(tmp_path, "a") == ["found"],
            "the first look",
        )
        begin = datetime.now(UTC)
        vtn.add_event("peak", start=begin, levels=[(first, 1), (second, 2)])
        wait_for(lambda: device["a"] == 70.0, "the first interval")
        wait_for(lambda: any(entry.kind == "verified" for entry in audit(tmp_path)), "the log")
        gateway.kill()
    first_run = told(tmp_path, "a")
    server.stop()  # the second process has not one word from the VTN
    if moment != "before the next interval":
        end = begin + timedelta(seconds=first + (second if moment == "after it" else 0) + 0.2)
        time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()))
    assert device["a"] == 70.0
    expected, wanted_by = {
        "before the next interval": (70.0, "peak"),
        "in it": (40.0, "peak"),
        "after it": (100.0, ""),
    }[moment]
    with GatewayProcess(path, plugin_folder) as gateway:
        wait_for(
            lambda: [entry.kind for entry in audit(tmp_path)].count("found") == 2, "the second look"
        )
        wait_for(lambda: device["a"] == expected, "what the schedule says now")
        code, errors = gateway.end()
    assert code == 0, errors
    # Once, and not at all where it was there already.
    assert device.writes() == [70.0] + ([] if expected == 70.0 else [expected])
    assert first_run == [
        "found", "control 70.0 peak", "write 70.0 peak", "verified 70.0 peak"
    ]  # fmt: skip
    second_run = told(tmp_path, "a")[len(first_run) :]
    writes = [line for line in second_run if line.startswith("write")]
    assert writes == ([] if expected == 70.0 else [f"write {expected} {wanted_by}".strip()])


def test_signals_and_the_command_line(
    vtn: SimulatedVtn, server: VtnServer, tmp_path: Path, plugin_folder: Path
) -> None:
    device = FakeFolder(tmp_path / "device", a=90.0, b=90.0)
    path = write_file(tmp_path, server.url, [point("a")])
    with GatewayProcess(path, plugin_folder) as gateway:
        wait_for(lambda: device["a"] == 100.0, "the start")
        write_file(tmp_path, server.url, [point("a"), point("b")])
        gateway.send(signal.SIGHUP)
        wait_for(lambda: device["b"] == 100.0, "the new point")
        path.write_text("nonsense")
        gateway.send(signal.SIGHUP)
        vtn.add_event("peak", start="now", duration="PT1H", level=1)
        wait_for(lambda: device["b"] == 70.0, "an event")
        code, errors = gateway.end()
    assert code == 0
    assert "the file was not taken, everything goes on as before" in errors
    assert "Traceback" not in errors
    assert device["a"] == 70.0  # loads stay as they are; the next start takes them up
