"""Many XMPP VENs in one process, on one Prosody: all log in, then all answer an event pushed to all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from contenders import OADR2
from xmpp_vens import PASSWORD, PATIENCE, VTN

from conftest import Record
from oadr2.sim import SimulatedVtn
from oadr2.sim.prosody import INSTALL, ProsodyServer, find_prosody
from oadr2.sim.xmpp import XmppVtn

SECTION = "XMPP"
SCRIPT = Path(__file__).with_name("xmpp_vens.py")


def told(vens: subprocess.Popen[str]) -> dict[str, Any]:
    assert vens.stdout is not None
    line = vens.stdout.readline()
    assert line, f"the VENs ended with {vens.wait(PATIENCE)}"
    found: dict[str, Any] = json.loads(line)
    return found


def bench_many_vens(record: Record, quick: bool) -> None:
    """In plain text; a login is a SCRAM exchange with 10,000 rounds on each side."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc/self/statm")
    if find_prosody() is None:
        if os.environ.get("OADR2_REQUIRE_PROSODY") == "1":
            pytest.fail(f"OADR2_REQUIRE_PROSODY is set, and {INSTALL}")
        pytest.skip(INSTALL)
    count = 20 if quick else 500
    names = [f"ven-{number}" for number in range(count + 1)]
    users = dict.fromkeys(("vtn", *names), PASSWORD)
    vtn = SimulatedVtn("vtn")
    jids = {name: f"{name}@localhost" for name in names}
    with (
        ProsodyServer(users) as server,
        XmppVtn(vtn, VTN, PASSWORD, jids, port=server.port, reply_timeout=PATIENCE) as side,
        subprocess.Popen(
            [sys.executable, SCRIPT, str(server.port), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as vens,
    ):
        try:
            logged_in = told(vens)
            vtn.add_event("peak", start="+1h", levels=[(60, 1.0), (60, 2.0), (60, 3.0)])
            began = time.perf_counter()
            outcomes = side.push(names[:count])
            answered = vtn.wait_for(
                lambda: all(vtn.last_answer(name, "peak") for name in names[:count]), PATIENCE
            )
            seconds = time.perf_counter() - began
            assert vens.stdin is not None
            print(file=vens.stdin, flush=True)
            loaded = told(vens)
            print(file=vens.stdin, flush=True)
            vens.wait(PATIENCE)
        finally:
            vens.kill()
    assert set(outcomes.values()) == {""}
    assert answered
    record(f"log in {count} VENs, each asks for its events", OADR2, logged_in["seconds"], "s")
    record(f"an event pushed to {count} VENs, until all have answered", OADR2, seconds, "s")
    record("memory of one XMPP VEN, logged in", OADR2, logged_in["bytes"], "B")
    record("memory of one XMPP VEN with an event", OADR2, loaded["bytes"], "B")
