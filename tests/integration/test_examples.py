"""Each gateway of examples/ runs with one command and does what its event asks."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from oadr2.sim.mosquitto import INSTALL, find_mosquitto

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


def lines_of(process):
    """What it prints, line by line, until it ends."""
    lines = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


@pytest.mark.parametrize(
    ("example", "awaited"),
    [
        ("modbus_chiller", r"chiller write, 100 -> 70\b"),
        ("mqtt_water_heaters", r"heater 19 found, read back 1"),
        ("raspberry_pi_relays", r"relay GPIO17: closed"),
    ],
)
def test_an_example_runs(example, awaited):
    if example.startswith("mqtt") and find_mosquitto() is None:
        if os.environ.get("OADR2_REQUIRE_MOSQUITTO") == "1":
            pytest.fail(f"OADR2_REQUIRE_MOSQUITTO is set, and {INSTALL}")
        pytest.skip(INSTALL)
    process = subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "examples" / "run.py"), example],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seen = []
    try:
        lines = lines_of(process)
        while not re.search(awaited, "".join(seen)):
            line = lines.get(timeout=PATIENCE)
            if line is None:
                pytest.fail(f"it ended: {''.join(seen)}")
            seen.append(line)
    except queue.Empty:
        pytest.fail(f"{awaited} does not come: {''.join(seen)}")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
        process.stdout.close()
    assert "Traceback" not in "".join(seen)


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGHUP])
def test_an_example_that_is_ended_leaves_nothing_running(ended_by):
    process = subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "examples" / "run.py"), "raspberry_pi_relays"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = lines_of(process)
    while "relay GPIO17: closed" not in (
        line := lines.get(timeout=PATIENCE) or pytest.fail("ended")
    ):
        pass
    process.send_signal(ended_by)
    process.wait(PATIENCE)
    while line is not None:  # the pipe ends when the last process that holds it has ended
        line = lines.get(timeout=PATIENCE)
    process.stdout.close()


@pytest.mark.parametrize("example", ["modbus_chiller", "raspberry_pi_relays"])
def test_check_reaches_the_devices_of_an_example(example):
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "run.py"), example, "--check"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "VTNs can be reached" in done.stdout


def test_the_fleet_s_file_is_what_its_script_writes():
    folder = ROOT / "examples" / "mqtt_water_heaters"
    made = subprocess.run(
        [sys.executable, str(folder / "make_gateway.py"), "20"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == (folder / "gateway.toml").read_text("utf-8")
