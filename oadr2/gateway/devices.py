"""One queue for each device: :class:`Device`. A device that hangs holds up itself and no other."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar

from oadr2.errors import one_line
from oadr2.points.driver import DeviceError, DeviceSilence, Driver, spared
from oadr2.points.point import Read, Write
from oadr2.points.rules import PointRules, Released

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_GRACE_S: Final = 1.0  # for a driver to notice that it was cancelled
_PACE: Final = PointRules()  # a device that is gone is tried again at the pace of a point

Request: TypeAlias = Write | Read
#: ``done(owner, request, value read or None, what went wrong or "")``
Done: TypeAlias = Callable[[Any, Request, float | None, str], None]


class Device:
    """A driver and what waits for it.

    A task exists only while something waits. Writes go before reads, several at once where the
    driver can do that. When a batch fails as a whole, those in it go one by one and behind the
    others until they succeed: one address that hangs must not fail its neighbours for ever. Those
    that the driver calls silent go behind the others too, but together.

    When nobody in a batch has answered, the address that answered last is asked. If it says nothing
    either, it is the device, and not these addresses: the device is gone. All that waits fails at
    once, and so does what comes; one request at a time, at the pace of one back-off, finds out whether
    it answers again.

    Args:
        key: the driver's name and the device's key, for messages.
        driver: not connected yet.
        timeout: seconds for connecting, and for one batch.
        done: told of each request once, in the loop's thread.
        on_gone: called when the device is found to be gone.
        on_back: called when it answers again, with those who were failed meanwhile.
        monotonic: seconds of a clock that is never set.

    Attributes:
        gone: why nobody is answered here, in one line; "" while somebody is.
        shared_by: how many points it has.
    """

    def __init__(
        self,
        key: Hashable,
        driver: Driver[Any, Any],
        timeout: float,
        done: Done,
        *,
        on_gone: Callable[[Device], object] = lambda _device: None,
        on_back: Callable[[Device, Collection[Any]], object] = lambda _device, _owners: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.key = key
        self.driver = driver
        self.gone = ""
        self.shared_by = 1
        self._timeout = timeout
        self._done = done
        self._on_gone = on_gone
        self._on_back = on_back
        self._monotonic = monotonic
        self._writes: dict[Hashable, tuple[Hashable, Write]] = {}
        self._reads: dict[Hashable, tuple[Hashable, Read]] = {}
        # Those that go behind the others, longest untried first, and whether each goes alone.
        self._behind: dict[Hashable, bool] = {}
        self._heard: dict[Hashable, Hashable] = {}  # addresses that answer, the latest last
        self._silences = 0  # in a row, while none of those is known
        self._tries = 0  # since it is gone
        self._try_at = -math.inf
        self._failed: dict[Hashable, None] = {}  # since it is gone
        self._worker: asyncio.Task[None] | None = None
        self._stuck: asyncio.Future[Any] | None = None
        self._lock = asyncio.Lock()

    def put(self, owner: Hashable, address: Hashable, request: Request) -> None:
        """Have this done for somebody, who has nothing else under way here."""
        if self.gone and self._worker is None and self._monotonic() < self._try_at:
            self._fail(owner, request)
            return
        if isinstance(request, Write):
            self._writes[owner] = (address, request)
        else:
            self._reads[owner] = (address, request)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name=f"device {self.key}")

    def drop(self, owner: Hashable) -> None:
        """Forget what waits for this owner; what is under way is told of all the same."""
        self._writes.pop(owner, None)
        self._reads.pop(owner, None)
        self._behind.pop(owner, None)
        self._heard.pop(owner, None)
        self._failed.pop(owner, None)

    def try_now(self) -> None:
        """Something new is wanted here: a device that is gone need not wait for its time."""
        self._try_at = -math.inf

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
        """One batch; every request taken is told of or put back, however it ends."""
        try:
            if self._stuck is not None or not self.driver.is_connected():
                await self._limited(self.driver.connect())
        except DeviceError as error:
            await self._is_gone(one_line(str(error)))
            return
        if self._writes:
            await self._write_batch()
        else:
            await self._read_batch()

    def _next_owners(self, waiting: Mapping[Hashable, object]) -> list[Hashable]:
        """Whose requests go next: many that are above suspicion, else those that are not."""
        most = 1 if self.gone else self.driver.largest_batch
        if not self._behind:
            return list(islice(waiting, most))
        plain = (owner for owner in waiting if owner not in self._behind)
        if owners := list(islice(plain, most)):
            return owners
        first = next(owner for owner in self._behind if owner in waiting)
        if self._behind[first]:
            return [first]
        together = (one for one, alone in self._behind.items() if not alone and one in waiting)
        return list(islice(together, most))

    async def _write_batch(self) -> None:
        owners = self._next_owners(self._writes)
        released = isinstance(self._writes[owners[0]][1].value, Released)
        batch: dict[Hashable, tuple[Hashable, Request]] = {}
        items: list[tuple[Hashable, float]] = []
        for owner in owners:
            address, write = self._writes[owner]
            if isinstance(write.value, Released) is released:
                batch[owner] = self._writes.pop(owner)
                if not isinstance(write.value, Released):
                    items.append((address, write.value))
        if released:
            await self._settle(batch, await self._release([*batch.values()]))
        else:
            await self._ask(batch, self.driver.write_many(items))

    async def _release(
        self, batch: Sequence[tuple[Hashable, Request]]
    ) -> Sequence[DeviceError | None]:
        """One after the other, each with a time-out of its own, up to the first silence."""
        results: list[DeviceError | None] = []
        for address, _ in batch:
            try:
                await self._limited(self.driver.release(address))
            except DeviceSilence as silence:
                results.append(silence)
                break
            except DeviceError as error:
                results.append(error)
            else:
                results.append(None)
        return [*results, *spared(results, len(batch))]

    async def _read_batch(self) -> None:
        batch: dict[Hashable, tuple[Hashable, Request]] = {
            owner: self._reads.pop(owner) for owner in self._next_owners(self._reads)
        }
        await self._ask(batch, self.driver.read_many([address for address, _ in batch.values()]))

    async def _ask(
        self,
        batch: Mapping[Hashable, tuple[Hashable, Request]],
        call: Awaitable[Sequence[object]],
    ) -> None:
        """Settle the batch by the results of this call; an error of the whole is one of each."""
        count = len(batch)
        try:
            results = await self._limited(call)
        except DeviceError as error:
            await self._forget_connection()
            whole = isinstance(error, DeviceSilence) and error.whole
            silence = DeviceSilence(str(error), whole=whole)
            await self._settle(batch, [silence] * count, as_one=True)
            return
        if not isinstance(results, Sequence) or len(results) != count:
            given = len(results) if isinstance(results, Sequence) else "no"
            broken = DeviceError(f"{self.key}: the driver gave {given} results for {count}")
            results = [broken] * count
        await self._settle(batch, results)

    async def _settle(
        self,
        batch: Mapping[Hashable, tuple[Hashable, Request]],
        results: Sequence[object],
        *,
        as_one: bool = False,
    ) -> None:
        """See who has answered, and tell of each; who was not asked waits for the next batch.

        Args:
            as_one: the batch failed as a whole, so nobody knows whose fault it was.
        """
        answered, silence = False, None
        for (owner, (address, _)), result in zip(batch.items(), results, strict=True):
            if self._behind:
                self._behind.pop(owner, None)
            if not isinstance(result, DeviceSilence):
                answered = True
                self._heard.pop(owner, None)
                self._heard[owner] = address
            elif result.asked or silence is None:
                silence = result
                self._behind[owner] = as_one
                self._heard.pop(owner, None)
        if answered:
            self._is_heard()
        elif silence is not None:
            await self._mind_silence(silence, named=not as_one or len(batch) == 1)
        self._tell(batch, results)

    def _tell(
        self, batch: Mapping[Hashable, tuple[Hashable, Request]], results: Sequence[object]
    ) -> None:
        for (owner, (address, request)), result in zip(batch.items(), results, strict=True):
            if isinstance(result, DeviceSilence) and self.gone:
                self._fail(owner, request)
            elif isinstance(result, DeviceSilence) and owner not in self._behind:
                self.put(owner, address, request)
            elif isinstance(result, DeviceError):
                self._done(owner, request, None, one_line(str(result)))
            elif isinstance(request, Write):
                self._done(owner, request, None, "")
            elif result is None or isinstance(result, int | float):
                # A float register says NaN for "not available".
                found = None if result is None or not math.isfinite(result) else float(result)
                self._done(owner, request, found, "")
            else:
                broken = f"{self.key}: the driver gave a {type(result).__name__} for a number"
                self._done(owner, request, None, broken)

    async def _mind_silence(self, silence: DeviceSilence, *, named: bool) -> None:
        """Nobody in a batch has answered: is it the device?

        Args:
            named: it is known who was asked and said nothing.
        """
        if not self.gone and not silence.whole:
            if self._heard:
                witness = next(reversed(self._heard.values()))
                if await self._answers(witness):
                    self._silences = 0
                    return
            else:
                self._silences += named
                if self._silences < 2:  # the next batch has others in it, if there are any
                    return
        alone = silence.whole or self.shared_by == 1
        await self._is_gone(
            one_line(str(silence)) if alone else f"{self.key}: no answer to anything"
        )

    async def _answers(self, address: Hashable) -> bool:
        """Whether the device says anything when it is asked for this."""
        try:
            if self._stuck is not None or not self.driver.is_connected():
                await self._limited(self.driver.connect())
            await self._limited(self.driver.read(address))
        except DeviceSilence:
            return False
        except DeviceError:
            pass  # a refusal is an answer as well
        return True

    async def _is_gone(self, reason: str) -> None:
        """From now on, or still."""
        await self._forget_connection()
        first, self.gone = not self.gone, self.gone or reason
        self._tries = 1 if first else self._tries + 1
        pause = _PACE.retry_least * 2 ** min(self._tries - 1, 30)
        self._try_at = self._monotonic() + min(pause, _PACE.retry_most)
        if first:
            self._heard.clear()
            self._silences = 0
            self._on_gone(self)
        self._fail_waiting()

    def _is_heard(self) -> None:
        """Somebody has answered."""
        self._silences = 0
        if not self.gone:
            return
        self.gone = ""
        self._behind.clear()  # gathered while the whole device was silent
        failed, self._failed = self._failed, {}
        self._on_back(self, failed)

    def _fail_waiting(self) -> None:
        waiting: dict[Hashable, tuple[Hashable, Request]] = {**self._writes, **self._reads}
        self._writes.clear()
        self._reads.clear()
        for owner, (_, request) in waiting.items():
            self._fail(owner, request)

    def _fail(self, owner: Hashable, request: Request) -> None:
        self._failed[owner] = None
        self._done(owner, request, None, self.gone)

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
            raise DeviceSilence(f"{self.key}: still busy with an earlier request", whole=True)
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
            raise DeviceSilence(f"{self.key}: no answer within {self._timeout:g} s")
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
