"""What one VEN weighs: resident memory over 10,000 of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from contenders import OADR2, OPENLEADR

from conftest import Aim, Record

SECTION = "Memory"
SCRIPT = Path(__file__).with_name("memory.py")
ROWS = [
    ("idle event table", OADR2, "table", 10_000, Aim(300)),
    ("event table with one event of 3 intervals (3.8 kB)", OADR2, "table-event", 10_000, Aim(500)),
    ("idle VEN object", OADR2, "handler", 10_000, None),
    ("VEN object with one event of 3 intervals (3.8 kB)", OADR2, "handler-event", 10_000, None),
    ("idle VEN object", OPENLEADR, "openleadr", 1_000, None),
]


@pytest.mark.parametrize(("work", "contender", "kind", "count", "aim"), ROWS)
def bench_memory(
    work: str,
    contender: str,
    kind: str,
    count: int,
    aim: Aim | None,
    record: Record,
    quick: bool,
) -> None:
    """oadr2's VEN object is the EventHandler, openleadr's the OpenADRClient."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc/self/statm")
    done = subprocess.run(
        [sys.executable, SCRIPT, kind, str(count // 10 if quick else count)],
        capture_output=True,
        text=True,
        check=True,
    )
    each = float(done.stdout)
    assert each > 0
    record(f"memory of one {work}", contender, each, "B", headline=True, aim=aim)
