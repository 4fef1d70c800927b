"""A run without an engine and without a network, with figures that can be foretold."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable

from oadr2._core.histogram import Histogram
from oadr2.errors import TransportError
from oadr2.fleet.failures import Failure
from oadr2.fleet.scenario import Scenario, shard_of
from oadr2.fleet.simulated import PlannedChange
from oadr2.fleet.snapshot import Snapshot


class FakeRun:
    """Each VEN polls once in each interval; every hundredth poll ends in a timeout."""

    def __init__(
        self,
        scenario: Scenario,
        vtn_url: str,
        *,
        shard: tuple[int, int] = (0, 1),
        on_failure: Callable[[Failure], None] | None = None,
    ) -> None:
        self.scenario = scenario
        self.vens = shard_of(scenario.vens, *shard)[1]
        self.begun = time.time()
        self.counters: Counter[str] = Counter(polls=0, exchanges=0, late=0)
        self.errors: Counter[str] = Counter()
        self.latency, self.intended = Histogram(), Histogram()
        self.seen, self.acknowledged, self.lag = Histogram(), Histogram(), Histogram()
        self._random = random.Random(scenario.seed + shard[0])
        self._on_failure = on_failure or (lambda failure: None)
        self._stopped = asyncio.Event()
        self._changes: list[PlannedChange] = []

    def expect(self, changes: Iterable[PlannedChange]) -> None:
        self._changes = list(changes)

    async def run(self) -> None:
        self.begun = time.time()
        end = self.begun + self.scenario.duration
        pause = 0.02
        while not self._stopped.is_set() and time.time() < end:
            self.poll(max(1, round(self.vens * pause / self.scenario.groups[0].poll_interval)))
            try:
                await asyncio.wait_for(self._stopped.wait(), pause)
            except TimeoutError:
                continue

    def poll(self, count: int) -> None:
        elapsed = time.time() - self.begun
        for _ in range(count):
            self.counters["polls"] += 1
            if self.counters["polls"] % 100 == 0:
                self.errors[
                    "timeout" if elapsed < 0.6 * self.scenario.duration else "http_5xx"
                ] += 1
                self._on_failure(
                    Failure(time.time(), "timeout", "no answer within 30 s", "ven_1", b"<a/>")
                )
                continue
            us = int(self._random.lognormvariate(8 + elapsed / 40, 0.6))
            self.latency.record(us)
            self.intended.record(us + 300)
            self.lag.record(us // 20)
            self.counters["exchanges"] += 1
            if self._changes and self.counters["polls"] % 3 == 0:
                self.seen.record(int(self._random.uniform(0, 1e7)))
                self.acknowledged.record(int(self._random.uniform(1e6, 1.2e7)))
                self.counters["events_applied"] += 1
                self.counters["replies_sent"] += 1

    def stop(self) -> None:
        self._stopped.set()

    def snapshot(self) -> Snapshot:
        now = time.time()
        elapsed = now - self.begun
        return Snapshot(
            at=now,
            elapsed=elapsed,
            vens=self.vens,
            vens_active=min(self.vens, int(self.vens * elapsed / 2)),
            connections=100,
            counters=dict(self.counters),
            errors=dict(self.errors),
            latency={"request_event": self.latency.copy()},
            latency_from_intended={"request_event": self.intended.copy()},
            propagation={"seen": self.seen.copy(), "acknowledged": self.acknowledged.copy()},
            schedule_lag=self.lag.copy(),
            loop_lag=0.002,
            rss_bytes=50_000_000,
            rss_bytes_before_vens=40_000_000,
            cpu_s=elapsed / 3,
        )


class DyingRun(FakeRun):
    """A process that is killed in the middle."""

    async def run(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class FailingRun(FakeRun):
    """A run that cannot go on."""

    async def run(self) -> None:
        raise TransportError("the VTN does not answer at all")
