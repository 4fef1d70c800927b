"""The VENs of a program at a VTN, for as long as a block of ``async with`` lasts."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from oadr2.fleet.snapshot import Snapshot
from oadr2.fleet.traffic import Traffic


class HttpRun:
    """What :meth:`oadr2.fleet.engine.VenFleet.run_http` gives: ``async with vens.run_http(url) as run:``.

    The VENs poll, answer and register from the begin of the block to its end. Whatever fails between them and
    the VTN is counted and tried again; the block goes on.
    """

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._traffic.run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._traffic.stop()
        await self._task

    async def wait(self, seconds: float | None = None) -> Snapshot:
        """Let the VENs go on for so long (None: until this is cancelled); the figures then.

        Raises what a callback of ``on_failure`` raised.
        """
        await asyncio.wait([self._task], timeout=seconds)
        if self._task.done():
            self._task.result()
        return self.snapshot()

    def snapshot(self) -> Snapshot:
        """The figures so far: counters, errors by class, histograms of latency and propagation."""
        return self._traffic.snapshot()
