"""One process's part of a load test: runs it, and tells the parent what happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol

from oadr2 import __version__
from oadr2.errors import ConfigurationError, OadrError
from oadr2.fleet.failures import Failure, FailureGate
from oadr2.fleet.loop import run as run_loop
from oadr2.fleet.messages import Begin, Done, Failed, Ready, Stop
from oadr2.fleet.preflight import connections_needed, preflight
from oadr2.fleet.result import Result, result_of
from oadr2.fleet.scenario import Scenario
from oadr2.fleet.scenario_text import scenario_text
from oadr2.fleet.series import SeriesRecorder, step_for
from oadr2.fleet.simulated import PlannedChange, planned_changes
from oadr2.fleet.snapshot import Snapshot

_TICK_S: Final = 1.0
# Pickling a snapshot on its thread must not hold up the polls for Python's usual 5 ms.
SWITCH_S: Final = 0.0002


class Run(Protocol):
    """What a part needs of :class:`oadr2.fleet.run.FleetRun`."""

    def expect(self, changes: Iterable[PlannedChange]) -> None:
        """Know when which version of an event is set at the VTN."""

    async def run(self) -> None:
        """Play the stages to their end, or until :meth:`stop`."""

    def stop(self) -> None:
        """Come to an end within a second."""

    def snapshot(self) -> Snapshot:
        """The figures so far."""


class RunMaker(Protocol):
    """Makes the run of one part; the arguments are those of ``FleetRun``."""

    def __call__(
        self,
        scenario: Scenario,
        vtn_url: str,
        *,
        shard: tuple[int, int],
        on_failure: Callable[[Failure], None] | None,
    ) -> Run: ...


@dataclass(frozen=True, slots=True)
class PartPlan:
    """What a process is told before it begins."""

    scenario: Scenario
    vtn_url: str
    shard: tuple[int, int]
    simulated: bool
    make_run: RunMaker
    check: bool


class _Pipe:
    """The way to the parent. Sending happens on a thread: a full pipe must not stop the run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._send_all, name="to-parent", daemon=True)
        self._thread.start()

    def send(self, message: object) -> None:
        self._waiting.put(message)

    def close(self) -> None:
        """Return when everything is sent."""
        self._waiting.put(None)
        self._thread.join()

    def _send_all(self) -> None:
        while True:
            message = self._waiting.get()
            if message is None:
                return
            try:
                self._connection.send(message)
            except OSError:
                return  # the parent has gone; the reading thread ends the run


def run_part(connection: Connection, plan: PartPlan) -> None:
    """The whole life of a process of the load test."""
    # Signals for all processes of a terminal or a job come here, too; the parent says what is to be done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_S)
    pipe = _Pipe(connection)
    try:
        result = run_loop(_Part(connection, pipe, plan).run())
    except (OadrError, OSError) as error:
        pipe.send(Failed(str(error)))
    except MemoryError:
        pipe.send(
            Failed("there is not enough memory for so many VENs: fewer, or --shard i/n elsewhere")
        )
    else:
        pipe.send(Done(result))
    pipe.close()


class _Part:
    def __init__(self, connection: Connection, pipe: _Pipe, plan: PartPlan) -> None:
        self._connection = connection
        self._pipe = pipe
        self._plan = plan
        self._gate = FailureGate(plan.scenario.failures)
        self._stopped = False

    async def run(self) -> Result:
        plan = self._plan
        loop = asyncio.get_running_loop()
        warnings = await self._preflight() if plan.check else ()
        run = plan.make_run(
            plan.scenario, plan.vtn_url, shard=plan.shard, on_failure=self._note_failure
        )
        self._pipe.send(Ready(warnings))
        message = await loop.run_in_executor(None, self._receive)
        if isinstance(message, Begin):
            if plan.simulated:
                run.expect(planned_changes(plan.scenario.events, message.at))
            await asyncio.sleep(max(0.0, message.at - time.time()))
        else:
            self._stopped = True
            run.stop()
        listener = threading.Thread(
            target=self._listen, args=(loop, run), name="from-parent", daemon=True
        )
        listener.start()
        recorder = SeriesRecorder(step_for(plan.scenario.duration))
        watcher = asyncio.ensure_future(self._watch(run, recorder))
        try:
            await run.run()
        finally:
            watcher.cancel()
        snapshot = run.snapshot()
        recorder.finish(snapshot)
        self._pipe.send(snapshot)
        return result_of(
            snapshot,
            duration=plan.scenario.duration,
            scenario=scenario_text(plan.scenario),
            name=plan.scenario.name,
            shard=plan.shard,
            vtn=plan.scenario.vtn_url or "simulated",
            thresholds=plan.scenario.thresholds,
            step=recorder.step,
            series=recorder.points,
            environment=environment(),
            interrupted=self._stopped,
            pool=pool_of(plan.scenario, plan.shard),
        )

    async def _preflight(self) -> tuple[str, ...]:
        """What may spoil the run; raises ConfigurationError for what stands in its way."""
        plan = self._plan
        findings = await preflight(plan.scenario, plan.vtn_url, shard=plan.shard)
        errors = [finding.text for finding in findings if finding.severity == "error"]
        if errors:
            raise ConfigurationError("; ".join(errors))
        return tuple(finding.text for finding in findings)

    async def _watch(self, run: Run, recorder: SeriesRecorder) -> None:
        """A snapshot a second for the parent, and one at each end of a step for the series."""
        begun = time.monotonic()
        ticks = 0
        while True:
            ticks += 1
            await asyncio.sleep(max(0.0, begun + ticks * _TICK_S - time.monotonic()))
            snapshot = run.snapshot()
            self._pipe.send(snapshot)
            if ticks * _TICK_S >= recorder.next_end:
                recorder.add(snapshot)
            else:
                recorder.note(snapshot)

    def _note_failure(self, failure: Failure) -> None:
        taken = self._gate.take(failure)
        if taken is not None:
            self._pipe.send(taken)

    def _receive(self) -> object:
        try:
            return self._connection.recv()
        except (EOFError, OSError):  # the parent has gone
            return Stop()

    def _listen(self, loop: asyncio.AbstractEventLoop, run: Run) -> None:
        while not isinstance(self._receive(), Stop):
            pass
        self._stopped = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: the parent hung up at the end
            loop.call_soon_threadsafe(run.stop)


def pool_of(scenario: Scenario, shard: tuple[int, int] = (0, 1)) -> int | None:
    """How many connections a part shares; None when it has no pool."""
    if scenario.connections.kind != "pool":
        return None
    return connections_needed(scenario, shard)


def environment() -> dict[str, Any]:
    """Where a part ran: for the report, so that two of them can be compared."""
    return {
        "host": socket.gethostname(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "oadr2": __version__,
        "loop": "uvloop" if "uvloop" in sys.modules else "asyncio",
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:  # no Linux
        pass
    return platform.processor() or platform.machine()
