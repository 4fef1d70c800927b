"""One queue for each device: :class:`Device`. A device that hangs holds up itself and no other."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

from oadr2.errors import one_line
from oadr2.points.driver import DeviceError, Driver
from oadr2.points.point import Read, Write
from oadr2.points.rules import RELEASED

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_GRACE_S: Final = 1.0  # for a driver to notice that it was cancelled

Request: TypeAlias = Write | Read
#: ``done(owner, request, value read or None, what went wrong or "")``
Done: TypeAlias = Callable[[Any, Request, float | None, str], None]


class Device:
    """A driver and what waits for it.

    A task exists only while something waits. Writes go before reads, several at once where the
    driver can do that. When a batch fails as a whole, those in it go one by one and behind the
    others until they succeed: one address that hangs must not fail its neighbours for ever.

    Args:
        key: the driver's name and the device's key, for messages.
        driver: not connected yet.
        timeout: seconds for connecting, and for one batch.
        done: told of each request once, in the loop's thread.
    """

    def __init__(self, key: Hashable, driver: Driver[Any, Any], timeout: float, done: Done) -> None:
        self.key = key
        self.driver = driver
        self._timeout = timeout
        self._done = done
        self._writes: dict[Hashable, tuple[Hashable, Write]] = {}
        self._reads: dict[Hashable, Hashable] = {}
        self._suspects: dict[Hashable, None] = {}  # longest untried first
        self._silences = 0  # of single requests, in a row
        self._worker: asyncio.Task[None] | None = None
        self._stuck: asyncio.Future[Any] | None = None
        self._lock = asyncio.Lock()

    def put(self, owner: Hashable, address: Hashable, request: Request) -> None:
        """Have this done for somebody, who has nothing else under way here."""
        if isinstance(request, Write):
            self._writes[owner] = (address, request)
        else:
            self._reads[owner] = address
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name=f"device {self.key}")

    def drop(self, owner: Hashable) -> None:
        """Forget what waits for this owner; what is under way is told of all the same."""
        self._writes.pop(owner, None)
        self._reads.pop(owner, None)
        self._suspects.pop(owner, None)

    async def check(self, address: Hashable) -> str:
        """What is wrong with this address, or ""; writes nothing."""
        async with self._lock:
            try:
                await self._limited(self.driver.connect())
                await self._limited(self.driver.check(address))
            except DeviceError as error:
                return one_line(str(error))
        return ""

    async def close(self) -> None:
        """End what is under way without telling, and close the driver."""
        worker = self._worker
        if worker is not None:
            worker.cancel()
            await asyncio.wait((worker,))
        try:
            await self._limited(self.driver.close())
        except DeviceError as error:
            _log.warning("closing: %s", one_line(str(error)))

    async def _work(self) -> None:
        try:
            async with self._lock:
                while self._writes or self._reads:
                    await self._work_once()
        finally:
            self._worker = None

    async def _work_once(self) -> None:
        """One batch; every request taken is told of, however it ends."""
        try:
            if self._stuck is not None or not self.driver.is_connected():
                await self._limited(self.driver.connect())
        except DeviceError as error:
            await self._forget_connection()
            self._fail_all(one_line(str(error)))
            return
        if self._writes:
            await self._write_batch()
        else:
            await self._read_batch()

    def _fail_all(self, reason: str) -> None:
        writes, reads = self._writes, self._reads
        self._writes, self._reads = {}, {}
        for owner, (_, write) in writes.items():
            self._done(owner, write, None, reason)
        for owner in reads:
            self._done(owner, Read(), None, reason)

    def _next_owners(self, waiting: Mapping[Hashable, object]) -> list[Hashable]:
        """Whose requests go next: many that are above suspicion, or one that is not."""
        if not self._suspects:
            return list(islice(waiting, self.driver.largest_batch))
        plain = (owner for owner in waiting if owner not in self._suspects)
        owners = list(islice(plain, self.driver.largest_batch))
        return owners or [next(owner for owner in self._suspects if owner in waiting)]

    async def _write_batch(self) -> None:
        taken = [(owner, *self._writes.pop(owner)) for owner in self._next_owners(self._writes)]
        owners: list[Hashable] = []
        writes: list[Write] = []
        items: list[tuple[Hashable, float]] = []
        for owner, address, write in taken:
            if write.value is RELEASED:
                await self._release(owner, address, write)
            else:
                owners.append(owner)
                writes.append(write)
                items.append((address, write.value))
        if not items:
            return
        results = await self._batched(self.driver.write_many(items), owners)
        for owner, write, result in zip(owners, writes, results, strict=True):
            failed = isinstance(result, DeviceError)
            self._done(owner, write, None, one_line(str(result)) if failed else "")

    async def _release(self, owner: Hashable, address: Hashable, write: Write) -> None:
        try:
            await self._limited(self.driver.release(address))
        except DeviceError as error:
            self._done(owner, write, None, one_line(str(error)))
        else:
            self._done(owner, write, None, "")

    async def _read_batch(self) -> None:
        owners = self._next_owners(self._reads)
        addresses = [self._reads.pop(owner) for owner in owners]
        results = await self._batched(self.driver.read_many(addresses), owners)
        for owner, result in zip(owners, results, strict=True):
            if isinstance(result, DeviceError):
                self._done(owner, Read(), None, one_line(str(result)))
            elif result is None or isinstance(result, int | float):
                # A float register says NaN for "not available".
                found = None if result is None or not math.isfinite(result) else float(result)
                self._done(owner, Read(), found, "")
            else:
                broken = f"{self.key}: the driver gave a {type(result).__name__} for a number"
                self._done(owner, Read(), None, broken)

    async def _batched(
        self, call: Awaitable[Sequence[_Result]], owners: Sequence[Hashable]
    ) -> Sequence[_Result | DeviceError]:
        """The results of a call for these owners; an error of the whole is one of each."""
        count = len(owners)
        if self._suspects:
            for owner in owners:
                self._suspects.pop(owner, None)
        try:
            results = await self._limited(call)
        except DeviceError as error:
            self._suspects.update(dict.fromkeys(owners))
            self._silences += count == 1
            await self._forget_connection()
            if self._silences > 1:  # it is the device, and not this address
                self._silences = 0
                self._fail_all(one_line(str(error)))
            return [error] * count
        self._silences = 0
        if not isinstance(results, Sequence) or len(results) != count:
            given = len(results) if isinstance(results, Sequence) else "no"
            broken = DeviceError(f"{self.key}: the driver gave {given} results for {count}")
            return [broken] * count
        return results

    async def _forget_connection(self) -> None:
        try:
            await self._limited(self.driver.close())
        except DeviceError as error:
            _log.debug("closing after a failure: %s", error)

    async def _limited(self, call: Awaitable[_Result]) -> _Result:
        """The result within the time allowed, even from a driver that cannot be cancelled.

        Raises:
            DeviceError: whatever went wrong.
        """
        if self._stuck is not None and not self._stuck.done():
            if asyncio.iscoroutine(call):
                call.close()
            raise DeviceError(f"{self.key}: still busy with an earlier request")
        task = asyncio.ensure_future(call)
        try:
            await asyncio.wait((task,), timeout=self._timeout)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=_GRACE_S)
            if not task.done():
                self._stuck = task
            elif not task.cancelled():
                task.exception()  # looked at, so that it is not reported as lost
            raise DeviceError(f"{self.key}: no answer within {self._timeout:g} s")
        if task.cancelled():
            raise DeviceError(f"{self.key}: the driver gave up")
        error = task.exception()
        if error is None:
            return task.result()
        if isinstance(error, DeviceError):
            raise error
        # A fault of the driver must not take the other devices with it.
        _log.error("%s: the driver failed", self.key, exc_info=error)
        raise DeviceError(f"{self.key}: the driver failed: {type(error).__name__}: {error}")
