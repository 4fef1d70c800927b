"""A gateway in the test's own loop, one in a thread whose clocks the test moves, and one in a process
of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from oadr2.gateway.configuration import read_configuration
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.state import AuditEntry, StateFile

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # for what must come: long enough for a machine that is busy with other things


def write_file(
    folder: Path,
    vtn_url: str,
    points: Sequence[str],
    extra: str = "",
    *,
    device_timeout: float = 0.3,
) -> Path:
    """A gateway's file with these ``[[point]]`` tables, each given without its header.

    Args:
        device_timeout: seconds; short, for devices that hang. One that is to be well needs more on a
            busy machine.
    """
    path = folder / "gateway.toml"
    tables = "".join(f"\n[[point]]\n{point}\n" for point in points)
    path.write_text(
        f"""[gateway]
device_timeout = "{device_timeout}s"

[[ven]]
ven_id = "gw"
vtn_url = "{vtn_url}"
interval = "0.1s"
{extra}
{tables}"""
    )
    return path


def point(name: str, folder: str = "device", more: str = "") -> str:
    return f"""name = "{name}"
driver = "folder"
folder = "{folder}"
register = "{name}"
levels = {{ 0 = 100, 1 = 70, 2 = 40, 3 = 10 }}
verify = "10ms"
{more}"""


@contextlib.asynccontextmanager
async def running(path: Path, **options: Any) -> AsyncIterator[Gateway]:
    """The gateway of this file, at work."""
    gateway = Gateway(read_configuration(path), **options)
    task = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        gateway.stop()
        await asyncio.wait_for(task, PATIENCE)


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition()`` is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} never came")
        await asyncio.sleep(0.01)


def wait_for(condition: Callable[[], object], what: str) -> None:
    """The same, outside of a loop."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"{what} never came")
        time.sleep(0.02)


def audit(folder: Path, point: str | None = None) -> list[AuditEntry]:
    """The audit log of the gateway whose file is in this folder."""
    with StateFile(folder / "gateway.db", create=False) as state:
        return state.search(point=point)


def told(folder: Path, point: str) -> list[str]:
    """The story of one point: ``write 40.0 peak`` and the like."""
    return [
        " ".join(
            str(part) for part in (entry.kind, entry.new, entry.event_id) if part not in (None, "")
        )
        for entry in audit(folder, point)
    ]


class PassingTime:
    """The wall clock and the steady one, for a gateway and its VTN; the test has them run ahead."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def wall(self) -> float:
        return time.time() + self._ahead

    def steady(self) -> float:
        return time.monotonic() + self._ahead

    def passes(self, seconds: float) -> None:
        """So much later."""
        self._ahead += seconds


class GatewayThread:
    """A gateway in a thread of this process, by clocks of the test's; ended with the block."""

    def __init__(self, path: Path, passing: PassingTime) -> None:
        self.gateway = Gateway(
            read_configuration(path), clock=passing.wall, monotonic=passing.steady
        )
        self._loop = asyncio.new_event_loop()
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="gateway")

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self.gateway.run())
        except BaseException as error:  # whatever it is, the test is to know
            self._problem = error
        finally:
            self._loop.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def works(self) -> bool:
        """True; an AssertionError with what was wrong when it has ended."""
        if not self._thread.is_alive():
            raise AssertionError("the gateway has ended") from self._problem
        return True

    def end(self) -> None:
        """Stop it; an AssertionError when it did not end as it should."""
        with contextlib.suppress(RuntimeError):  # it has ended before
            self._loop.call_soon_threadsafe(self.gateway.stop)
        self._thread.join(PATIENCE)
        if self._thread.is_alive() or self._problem is not None:
            raise AssertionError("the gateway did not end well") from self._problem


class GatewayProcess:
    """``oadr2 gateway`` in a process of its own; killed at the end of the block."""

    def __init__(self, path: Path, plugin_folder: Path, *arguments: str) -> None:
        places = [str(ROOT), str(plugin_folder), str(Path(__file__).parent)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oadr2", "gateway", "-c", str(path), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def works(self) -> bool:
        """True; an AssertionError with what it said last when it has ended."""
        if self.process.poll() is not None:
            raise AssertionError(f"the gateway ended: {self.process.communicate()[1]}")
        return True

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()

    def end(self) -> tuple[int, str]:
        """SIGTERM; the exit code and standard error."""
        self.send(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors
