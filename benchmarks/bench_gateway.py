"""An event for thousands of points: one gateway process, Modbus devices and an MQTT broker.

The gateway, all Modbus devices, the water heaters, the broker and the VTN are five processes that
share the machine's processors, so their own work is in every figure.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from contenders import OADR2
from drivers import devices

from conftest import Aim, Record
from oadr2.sim import SimulatedVtn, VtnServer
from oadr2.sim.mosquitto import INSTALL, MosquittoBroker, find_mosquitto

SECTION = "Gateway"
ROOT = Path(__file__).parent.parent
SCRIPT = Path(__file__).with_name("gateway_load.py")

_LEVELS = "levels = { 0 = 100, 1 = 70, 2 = 40, 3 = 10 }"


def write_file(path: Path, url: str, ports: list[int], each: int, broker: int, heaters: int) -> int:
    """The gateway's file; how many points it has."""
    tables = [
        f'[[point]]\nname = "modbus-{port}-{register}"\ndriver = "modbus"\nhost = "127.0.0.1"\n'
        f"port = {port}\nregister = {register}\n{_LEVELS}\n"
        for port in ports
        for register in range(each)
    ] + [
        f'[[point]]\nname = "heater-{number}"\ndriver = "mqtt"\nhost = "127.0.0.1"\n'
        f'port = {broker}\ntopic = "heaters/{number}/set"\nstate_topic = "heaters/{number}/state"\n'
        'json_path = "level"\nretain = false\nsettle = 5\nlevels = { 0 = 1, 1 = 0.75, 2 = 0.5, 3 = 0.25 }\n'
        for number in range(heaters)
    ]
    head = f'[[ven]]\nven_id = "gw"\nvtn_url = "{url}"\ninterval = "1s"\n\n'
    path.write_text(head + "\n".join(tables))
    return len(tables)


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, f"it ended with {process.wait(60)}"
    found: dict[str, Any] = json.loads(line)
    return found


def bench_an_event_for_many_points(record: Record, quick: bool, tmp_path: Path) -> None:
    """Three changes: the begin, the second interval and the end; the median of the three."""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc/self/status")
    if find_mosquitto() is None:
        if os.environ.get("OADR2_REQUIRE_MOSQUITTO") == "1":
            pytest.fail(f"OADR2_REQUIRE_MOSQUITTO is set, and {INSTALL}")
        pytest.skip(INSTALL)
    count, each, heaters = (4, 20, 20) if quick else (200, 45, 1000)
    seconds = 3 if quick else 10
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    vtn = SimulatedVtn("vtn")
    with (
        devices(count, each, start=100) as ports,
        MosquittoBroker() as broker,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "oadr2.sim.mqtt_heaters"),
                *("--count", str(heaters), "--port", str(broker.port)),
            ],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as fleet,
        VtnServer(vtn) as server,
    ):
        assert fleet.stdout is not None
        path = tmp_path / "gateway.toml"
        try:
            assert "heaters at" in fleet.stdout.readline()
            points = write_file(path, server.url, ports, each, broker.port, heaters)
            with subprocess.Popen(
                [sys.executable, SCRIPT, str(path)], stdout=subprocess.PIPE, text=True
            ) as gateway:
                try:
                    begun = told(gateway)
                    assert begun["points"] == points
                    vtn.add_event("peak", start="+4s", levels=[(seconds, 1), (seconds, 2)])
                    ended = told(gateway)
                    assert gateway.wait(60) == 0
                finally:
                    gateway.kill()
        finally:
            fleet.kill()
    assert ended["failed"] == 0
    middle = {
        key: statistics.median(interval[key] for interval in ended["intervals"])
        for key in ended["intervals"][0]
    }
    what = f"an event for {points:,} points, {count} Modbus devices and one broker"
    aims = {} if quick else {"issued_p99": Aim(0.25), "verified": Aim(5.0), "cpu": Aim(1.0)}
    for key, words in (
        ("issued_p50", "writes issued after the deadline, median"),
        ("issued_p99", "writes issued after the deadline, 99th percentile"),
        ("accepted_p99", "writes accepted by the device, 99th percentile"),
        ("issued_cpu", "the gateway's processor time until 99 % were issued"),
        ("verified", "all read back and as wanted"),
        ("cpu", "processor time in each second of that"),
    ):
        record(f"{what}: {words}", OADR2, middle[key], "s", aim=aims.get(key))
    record(
        f"{points:,} points, nothing to do: processor time a second", OADR2, begun["idle_cpu"], "s"
    )
    record(f"memory of a gateway of {points:,} points", OADR2, ended["memory"], "B")
