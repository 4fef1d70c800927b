"""The command ``oadr2`` in a process of its own, and the lines it prints as they come."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
# For a condition that must come: long enough for a machine that is busy with other things.
PATIENCE = 30.0


class Program:
    """``python -m oadr2 ARGUMENTS``; what is left of it is killed at the end of the block."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | (environment or {})
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oadr2", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream, into), daemon=True)
            for stream, into in (
                (self.process.stdout, self._lines),
                (self.process.stderr, self._errors),
            )
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, into: list[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    into.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        """What it has printed so far."""
        with self._changed:
            return "".join(self._lines)

    @property
    def errors(self) -> str:
        """What it has written to standard error so far."""
        with self._changed:
            return "".join(self._errors)

    def records(self, **wanted: object) -> list[dict[str, Any]]:
        """The lines of JSON so far whose fields have these values."""
        with self._changed:
            return self._records(wanted)

    def _records(self, wanted: dict[str, object]) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self._lines if line.endswith("\n")]
        return [
            record
            for record in found
            if all(name in record and record[name] == value for name, value in wanted.items())
        ]

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until ``condition()`` is true; it is asked after each line."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: condition() or not self._is_reading(), timeout=PATIENCE
            )
            if not (came and condition()):
                raise AssertionError(
                    f"{what} never came; printed:\n{''.join(self._lines)}\n"
                    f"standard error:\n{''.join(self._errors)}"
                )

    def wait_for_record(self, count: int = 1, **wanted: object) -> dict[str, Any]:
        """Wait for the line of JSON number ``count`` with these fields, and return it."""
        self.wait_for(lambda: len(self._records(wanted)) >= count, f"{count} x {wanted}")
        return self.records(**wanted)[count - 1]

    def _is_reading(self) -> bool:
        return any(reader.is_alive() for reader in self._readers)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_until_it_listens(self) -> None:
        """Wait until it has a listening TCP socket, for verbs that say nothing about it."""
        end = time.monotonic() + PATIENCE
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"it never listened; standard error:\n{self.errors}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        sockets = set()
        for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                sockets.add(os.readlink(descriptor))
        lines = Path(f"/proc/{self.pid}/net/tcp").read_text("ascii").splitlines()[1:]
        listening = {
            f"socket:[{fields[9]}]" for fields in map(str.split, lines) if fields[3] == "0A"
        }
        return not listening.isdisjoint(sockets)

    def wait(self) -> int:
        """Wait for its end; the exit code. What it printed is complete then."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def kill(self) -> None:
        """SIGKILL: it gets no chance to put anything in order."""
        self.process.kill()
        self.wait()

    def kilobytes(self, what: str) -> int:
        """Memory it has in use now (``VmRSS``), or the most it ever had (``VmHWM``)."""
        status = Path(f"/proc/{self.pid}/status").read_text("ascii")
        line = next(line for line in status.splitlines() if line.startswith(f"{what}:"))
        return int(line.split()[1])

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
        self.wait()


def poll_program(url: str, *options: str, ven_id: str = "ven-1") -> Program:
    """``oadr2 poll`` with quick polls and lines of JSON."""
    return Program(
        "poll", "--vtn-url", url, "--ven-id", ven_id, "--interval", "0.1", "--json", *options
    )
