"""``oadr2 demo --fast`` from start to end, without a terminal and in one."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from types import TracebackType
from typing import Self

import pytest
from oadr2_program import PATIENCE, ROOT, Program

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9])")
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    """``oadr2 demo --fast`` in a pseudo-terminal, and what it has written to it."""

    def __init__(self, columns: int, rows: int) -> None:
        self._parent, child = pty.openpty()
        ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            environment.pop(name, None)
        self._written = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oadr2", "demo", "--fast"],
            stdin=child,
            stdout=child,
            stderr=child,
            cwd=ROOT,
            env=environment,
            start_new_session=True,
        )
        os.close(child)

    @property
    def screen(self) -> str:
        return self._written.decode(errors="replace")

    def read_until(self, text: str | None) -> None:
        """Read until this was written; None: until the demo has ended."""
        end = time.monotonic() + PATIENCE
        while text is None or text not in self.screen:
            left = max(0.0, end - time.monotonic())
            assert select.select([self._parent], [], [], left)[0], self.screen
            try:
                piece = os.read(self._parent, 65536)
            except OSError:  # Linux says EIO when the other side is closed
                piece = b""
            if not piece:
                assert text is None, self.screen
                return
            self._written += piece

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._parent)


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


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 12)], ids=["80x24", "40x12"])
def test_in_a_terminal(columns: int, rows: int) -> None:
    with Terminal(columns, rows) as terminal:
        terminal.read_until(None)
        code = terminal.process.wait(PATIENCE)
        screen = terminal.screen
    assert "Traceback" not in screen
    assert _HIDE_CURSOR in screen
    assert screen.rindex(_SHOW_CURSOR) > screen.rindex(_HIDE_CURSOR)
    text = _ESCAPES.sub("", screen)
    assert max(len(line) for line in re.split("[\r\n]", text)) <= columns
    summary = " ".join(text.split())
    assert "took demo-event and answered optIn" in summary
    assert code == (0 if "Every change came on time." in summary else 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_interrupted_it_leaves_the_terminal_in_order(number: signal.Signals) -> None:
    with Terminal(80, 24) as terminal:
        terminal.read_until("asks: any events?")
        terminal.process.send_signal(number)
        terminal.read_until(None)
        assert terminal.process.wait(PATIENCE) == 128 + number
        screen = terminal.screen
    assert "Traceback" not in screen
    assert screen.rindex(_SHOW_CURSOR) > screen.rindex(_HIDE_CURSOR)
