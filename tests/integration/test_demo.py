"""``oadr2 demo --fast`` from start to end, without a terminal and in one."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

import pytest
from oadr2_program import PATIENCE, ROOT, Program

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9])")


def test_without_a_terminal() -> None:
    with Program("demo", "--fast") as demo:
        code = demo.wait()
        assert demo.errors == ""
        assert "\x1b" not in demo.output
        assert "took demo-event and answered optIn" in demo.output
        for step in ("0 normal -> 1 moderate", "1 moderate -> 2 high", "3 special -> 0 normal"):
            assert step in demo.output
        # Late on a busy machine is reported by the exit code; nothing else may go wrong.
        assert code == (0 if "Every change came on time" in demo.output else 1)
        assert ("Not everything came as it was due" in demo.output) == (code == 1)


def test_for_a_program() -> None:
    with Program("demo", "--fast", "--json") as demo:
        code = demo.wait()
        assert demo.errors == ""
        summary = json.loads(demo.output)
        assert summary["opt_type"] == "optIn"
        assert summary["response_code"] == 200
        assert [change["level"] for change in summary["changes"]] == [1, 2, 3, 0]
        assert all(change["late_ms"] >= -50 for change in summary["changes"])
        assert summary["succeeded"] is (code == 0)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 12)])
def test_in_a_terminal(columns: int, rows: int) -> None:
    parent, child = pty.openpty()
    ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "oadr2", "demo", "--fast"],
        stdin=child,
        stdout=child,
        stderr=child,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
    )
    os.close(child)
    try:
        screen = read_until_closed(parent)
        code = process.wait(PATIENCE)
    finally:
        os.close(parent)
        if process.poll() is None:
            process.kill()
            process.wait()
    assert "Traceback" not in screen
    assert "\x1b[?25l" in screen  # the cursor was hidden
    assert screen.rindex("\x1b[?25h") > screen.rindex("\x1b[?25l")  # and shown again
    text = _ESCAPES.sub("", screen)
    assert max(len(line) for line in re.split("[\r\n]", text)) <= columns
    summary = " ".join(text.split())
    assert "took demo-event and answered optIn" in summary
    assert code == (0 if "Every change came on time." in summary else 1)


def read_until_closed(descriptor: int) -> str:
    """Everything written to a pseudo-terminal until its other side is closed."""
    pieces = []
    end = time.monotonic() + 2 * PATIENCE
    while select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # Linux says EIO when the other side is closed
            piece = b""
        if not piece:
            return b"".join(pieces).decode()
        pieces.append(piece)
    raise AssertionError("the demo never ended")
