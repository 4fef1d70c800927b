"""The parent of a load test: starts its processes, gathers what they say, makes one result of it."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final

from oadr2.errors import ConfigurationError, OadrError
from oadr2.fleet.failures import Failure
from oadr2.fleet.messages import Begin, Done, Failed, Listening, Ready, Stop
from oadr2.fleet.part import PartPlan, RunMaker, run_part
from oadr2.fleet.result import Result, merge_results
from oadr2.fleet.scenario import Scenario
from oadr2.fleet.simulated import serve
from oadr2.fleet.snapshot import Snapshot, merge_snapshots

_START_S: Final = 120.0  # a million VENs take some seconds to be made
_HEAD_START_S: Final = 0.3  # between the word to begin and the begin, so that all begin together
_STOP_S: Final = 15.0
_LEAVE_S: Final = 5.0


class RunFailedError(OadrError):
    """The load test itself failed; what it measured is void."""


@dataclass(slots=True)
class _Part:
    index: int
    process: BaseProcess
    connection: Connection
    ready: bool = False
    snapshot: Snapshot | None = None
    result: Result | None = None


class LoadTest:
    """A load test in processes of its own: ``with LoadTest(scenario) as test: test.run(...)``.

    Args:
        scenario: what to do. Without a VTN URL a simulated VTN is started, too.
        vtn_url: address to use instead of the scenario's, such as one with credentials.
        processes: how many processes share the VENs of this machine.
        shard: (i, n): this machine is part i of n.
        make_run: makes the run of one process; picklable by name.
        on_failure: called with each failure that is worth keeping.
        check: look first whether the machine and the VTN are fit for the run.

    Attributes:
        warnings: after :meth:`start`, what may spoil the run, for people.

    Raises:
        ConfigurationError: shards without a VTN they could share.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        make_run: RunMaker,
        vtn_url: str | None = None,
        processes: int = 1,
        shard: tuple[int, int] = (0, 1),
        on_failure: Callable[[Failure], None] = lambda failure: None,
        check: bool = True,
    ) -> None:
        index, shards = shard
        if not 0 <= index < shards:
            raise ConfigurationError(f"shard {index}/{shards}: parts count from 0 to {shards - 1}")
        if processes < 1:
            raise ConfigurationError(f"{processes} processes: there is at least one")
        if shards > 1 and scenario.vtn_url is None:
            raise ConfigurationError("a shard needs a VTN URL: all shards talk to one VTN")
        parts = shards * processes
        if parts > scenario.vens:
            raise ConfigurationError(f"{parts} parts for {scenario.vens} VENs: some would be empty")
        self.scenario = scenario
        self._url = vtn_url or scenario.vtn_url
        self._make_run = make_run
        self._shards = [(index * processes + number, parts) for number in range(processes)]
        self._on_failure = on_failure
        self._check = check
        self.warnings: list[str] = []
        self._spawn = multiprocessing.get_context("spawn")
        self._parts: list[_Part] = []
        self._vtn: tuple[BaseProcess, Connection] | None = None
        self._stop_by: float | None = None

    def __enter__(self) -> LoadTest:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    @property
    def snapshot(self) -> Snapshot | None:
        """What all processes see together; None until one has said something."""
        seen = [part.snapshot for part in self._parts if part.snapshot is not None]
        return merge_snapshots(seen) if seen else None

    def start(self) -> None:
        """Start the processes, wait until all are ready, and tell them when to begin.

        Raises RunFailedError when one cannot.
        """
        if self._url is None:
            self._url = self._start_vtn()
        for shard in self._shards:
            plan = PartPlan(
                scenario=self.scenario,
                vtn_url=self._url,
                shard=shard,
                simulated=self._vtn is not None,
                make_run=self._make_run,
                check=self._check,
            )
            ours, theirs = self._spawn.Pipe()
            process = self._spawn.Process(
                target=run_part, args=(theirs, plan), name=f"oadr2-part-{shard[0]}", daemon=True
            )
            process.start()
            theirs.close()
            self._parts.append(_Part(shard[0], process, ours))
        deadline = time.monotonic() + _START_S
        while not all(part.ready for part in self._parts) and self._stop_by is None:
            if time.monotonic() > deadline:
                raise RunFailedError(f"the processes were not ready within {_START_S:.0f} s")
            self.pump(0.2)
        begin = Begin(time.time() + _HEAD_START_S)
        for connection in self._connections():
            _tell(connection, begin)

    def pump(self, timeout: float) -> None:
        """Take what the processes say within ``timeout`` seconds.

        Raises RunFailedError when one of them fails or dies.
        """
        running = {part.connection: part for part in self._parts if part.result is None}
        waited = list(running)
        if self._vtn is not None:
            waited.append(self._vtn[1])
        for found in wait(waited, timeout):
            part = running.get(found) if isinstance(found, Connection) else None
            if part is not None:
                self._take(part)
            elif self._vtn is not None:
                self._take_from_vtn(self._vtn)
        if self._stop_by is not None and time.monotonic() > self._stop_by and not self.done:
            raise RunFailedError(f"the processes did not end within {_STOP_S:.0f} s")

    @property
    def done(self) -> bool:
        """Every part has ended and told its result."""
        return bool(self._parts) and all(part.result is not None for part in self._parts)

    def stop(self) -> None:
        """Tell all parts to come to an end; :meth:`pump` until :attr:`done`."""
        self._stop_by = time.monotonic() + _STOP_S
        for part in self._parts:
            _tell(part.connection, Stop())

    def result(self) -> Result:
        """What this machine's parts found together. Raises RunFailedError when they are not done."""
        found = [
            (f"part {part.index}", part.result) for part in self._parts if part.result is not None
        ]
        if not self.done:
            raise RunFailedError("the run has not ended")
        return merge_results(found)

    def _connections(self) -> Iterable[Connection]:
        yield from (part.connection for part in self._parts)
        if self._vtn is not None:
            yield self._vtn[1]

    def _start_vtn(self) -> str:
        ours, theirs = self._spawn.Pipe()
        process = self._spawn.Process(
            target=serve, args=(theirs, self.scenario), name="oadr2-vtn", daemon=True
        )
        process.start()
        theirs.close()
        self._vtn = process, ours
        if not ours.poll(_START_S):
            raise RunFailedError("the simulated VTN did not start")
        message = self._receive(ours, process, "the simulated VTN")
        if isinstance(message, Failed):
            raise RunFailedError(message.reason)
        if not isinstance(message, Listening):
            raise RunFailedError(f"the simulated VTN said {message!r}")
        return message.url

    def _take(self, part: _Part) -> None:
        name = "the generator"
        if len(self._parts) > 1:
            name = f"part {part.index} of {len(self._parts)}"
        message = self._receive(part.connection, part.process, name)
        match message:
            case Snapshot():
                part.snapshot = message
            case Failure():
                self._on_failure(message)
            case Ready():
                part.ready = True
                self.warnings += [text for text in message.warnings if text not in self.warnings]
            case Done():
                part.result = message.result
            case Failed():
                raise RunFailedError(message.reason)

    def _take_from_vtn(self, vtn: tuple[BaseProcess, Connection]) -> None:
        message = self._receive(vtn[1], vtn[0], "the simulated VTN")
        if isinstance(message, Failed):
            raise RunFailedError(message.reason)

    def _receive(self, connection: Connection, process: BaseProcess, name: str) -> object:
        try:
            return connection.recv()
        except (EOFError, OSError):
            process.join(_LEAVE_S)
            raise RunFailedError(f"{name} {_how_it_died(process.exitcode)}") from None

    def _leave(self) -> None:
        """End every process that still runs."""
        processes = [part.process for part in self._parts]
        for connection in self._connections():
            _tell(connection, Stop())
        if self._vtn is not None:
            processes.append(self._vtn[0])
        deadline = time.monotonic() + _LEAVE_S
        if not self.done:
            deadline = time.monotonic()
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            process.close()
        for connection in self._connections():
            connection.close()
        self._parts.clear()
        self._vtn = None


def _tell(connection: Connection, message: object) -> None:
    with contextlib.suppress(OSError):  # it has ended already; pump() says so where it matters
        connection.send(message)


def _how_it_died(code: int | None) -> str:
    if code is None:
        return "closed its pipe and hangs"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with code {code} before its time; its own message stands above"
