"""What every driver must do, as tests: inherit :class:`DriverConformance` in a test of your own.

Needs pytest. docs/drivers.md shows how it is used; tests/points/ uses it for every driver that comes
with oadr2. The device must be a real one or a real server, not a mock of the library: most of what
is asked here goes wrong between the library and the wire.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pytest

from oadr2.points.driver import DeviceError, Driver, Setting, SettingError

_Result = TypeVar("_Result")
_State = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A device under test and what is known about it.

    Attributes:
        table: keys of a ``[[point]]`` table that reads and writes it.
        others: tables of more points of the same device, for writing several at once.
        values: different values it takes.
        held: what the device itself holds for ``table``, found without the driver.
        refused: tables that are well-formed but mean nothing to the device.
        malformed: tables :meth:`Driver.parse` must refuse, each with the key at fault.
        silence: while it is open the device does not answer; None when it cannot be had.
        absence: while it is open the device cannot be reached; None when it cannot be had.
        patience: seconds in which a silent device must have been given up; give the tables a timeout
            well below.
    """

    table: Mapping[str, object]
    others: Sequence[Mapping[str, object]] = ()
    values: Sequence[float] = (1.0, 0.0)
    held: Callable[[], float | None]
    refused: Sequence[Mapping[str, object]] = ()
    malformed: Sequence[tuple[Mapping[str, object], str]] = ()
    silence: _State | None = None
    absence: _State | None = None
    patience: float = 10.0


class DriverConformance:
    """The tests. A subclass names its driver and has a fixture ``bench`` that gives a :class:`Bench`."""

    driver: ClassVar[type[Driver[Any, Any]]]

    def use(
        self,
        bench: Bench,
        work: Callable[[Driver[Any, Any], Any], Coroutine[Any, Any, _Result]],
    ) -> _Result:
        """Run ``work`` with a new driver and the address of ``bench.table``."""

        async def run() -> _Result:
            async with self.opened(bench) as (driver, address):
                return await work(driver, address)

        return asyncio.run(run())

    @contextlib.asynccontextmanager
    async def opened(self, bench: Bench) -> AsyncIterator[tuple[Driver[Any, Any], Any]]:
        """A new driver and the address of ``bench.table``; closed at the end."""
        device, address = self.driver.parse(bench.table)
        driver = self.driver(device)
        try:
            yield driver, address
        finally:
            await driver.close()

    # The table of a point.

    def test_equal_tables_mean_the_same_device_and_address(self, bench: Bench) -> None:
        first, second = self.driver.parse(bench.table), self.driver.parse(dict(bench.table))
        assert first == second
        assert len({first, second}) == 1  # hashable, both of them

    def test_points_of_one_device_share_its_key(self, bench: Bench) -> None:
        device, address = self.driver.parse(bench.table)
        for other in bench.others:
            other_device, other_address = self.driver.parse(other)
            assert other_device == device
            assert other_address != address

    def test_an_unknown_key_is_refused_by_name(self, bench: Bench) -> None:
        with pytest.raises(SettingError) as caught:
            self.driver.parse({**bench.table, "no_such_key": 1})
        assert caught.value.key == "no_such_key"

    def test_a_malformed_table_is_refused_with_the_key_at_fault(self, bench: Bench) -> None:
        for table, key in bench.malformed:
            with pytest.raises(SettingError) as caught:
                self.driver.parse(table)
            assert caught.value.key == key, table
            assert "\n" not in str(caught.value)

    def test_every_setting_says_what_it_is(self) -> None:
        assert self.driver.settings
        for key, setting in self.driver.settings.items():
            assert isinstance(setting, Setting)
            assert setting.help.strip(), key

    def test_a_new_driver_opens_nothing(self, bench: Bench) -> None:
        """It is made without a running loop, and a device that is away does not matter."""
        with bench.absence() if bench.absence is not None else contextlib.nullcontext():
            self.driver(self.driver.parse(bench.table)[0])

    # Reading and writing.

    def test_what_is_written_is_held_and_read(self, bench: Bench) -> None:
        async def work(driver: Driver[Any, Any], address: Any) -> None:
            for value in bench.values:
                await _works(driver, address, value)
                await _holds(bench, value)

        self.use(bench, work)

    def test_connect_may_be_repeated(self, bench: Bench) -> None:
        async def work(driver: Driver[Any, Any], address: Any) -> None:
            await _write(driver, address, bench.values[0])
            await driver.connect()
            assert await driver.read(address) == pytest.approx(bench.values[0])

        self.use(bench, work)

    def test_check_writes_nothing(self, bench: Bench) -> None:
        async def work(driver: Driver[Any, Any], address: Any) -> None:
            await _write(driver, address, bench.values[0])
            await _holds(bench, bench.values[0])
            await driver.check(address)
            await _holds(bench, bench.values[0])

        self.use(bench, work)

    def test_several_at_once_keep_their_order(self, bench: Bench) -> None:
        addresses = [self.driver.parse(table)[1] for table in (bench.table, *bench.others)]

        async def work(driver: Driver[Any, Any], address: Any) -> None:
            await driver.connect()
            for turn in range(2):
                values = [
                    bench.values[(place + turn) % len(bench.values)]
                    for place in range(len(addresses))
                ]
                written = await driver.write_many(list(zip(addresses, values, strict=True)))
                assert list(written) == [None] * len(addresses)
                assert list(await driver.read_many(addresses)) == pytest.approx(values)

        self.use(bench, work)

    def test_concurrent_calls_do_not_mix(self, bench: Bench) -> None:
        addresses = [self.driver.parse(table)[1] for table in (bench.table, *bench.others)]

        async def work(driver: Driver[Any, Any], address: Any) -> None:
            await driver.connect()
            pairs = [
                (each, bench.values[place % len(bench.values)])
                for place, each in enumerate(addresses)
            ]
            await asyncio.gather(*(driver.write(each, value) for each, value in pairs))
            found = await asyncio.gather(*(driver.read(each) for each in addresses))
            assert found == pytest.approx([value for _, value in pairs])

        self.use(bench, work)

    def test_release_means_something_or_is_refused(self, bench: Bench) -> None:
        async def work(driver: Driver[Any, Any], address: Any) -> None:
            await _write(driver, address, bench.values[0])
            if driver.can_release:
                await driver.release(address)
                assert bench.held() != pytest.approx(bench.values[0])
            else:
                with pytest.raises(DeviceError):
                    await driver.release(address)

        self.use(bench, work)

    # What goes wrong.

    def test_an_address_the_device_does_not_have_is_a_device_error(self, bench: Bench) -> None:
        if not bench.refused:
            pytest.skip("every address exists there")

        async def work(driver: Driver[Any, Any], address: Any) -> None:
            await driver.connect()
            for table in bench.refused:
                wrong = self.driver.parse(table)[1]
                with pytest.raises(DeviceError) as caught:
                    await driver.check(wrong)
                assert "\n" not in str(caught.value)
                written = await driver.write_many(
                    [(address, bench.values[0]), (wrong, bench.values[0])]
                )
                assert written[0] is None
                assert isinstance(written[1], DeviceError)
                assert await driver.read(address) == pytest.approx(bench.values[0])

        self.use(bench, work)

    def test_silence_ends_as_a_device_error_and_the_loop_runs_on(self, bench: Bench) -> None:
        silence = _given(bench.silence, "this device cannot fall silent")

        async def work(driver: Driver[Any, Any], address: Any) -> None:
            await _write(driver, address, bench.values[0])
            began = time.monotonic()
            ticks = asyncio.create_task(_ticks(bench.patience / 1000))
            with silence(), pytest.raises(DeviceError) as caught:
                # One of the two is enough: an MQTT broker takes writes while the device is silent.
                await driver.write(address, bench.values[1])
                await driver.read(address)
            assert time.monotonic() - began < bench.patience
            assert "\n" not in str(caught.value)
            ticks.cancel()
            assert await ticks >= 3
            await _works(driver, address, bench.values[1])

        self.use(bench, work)

    def test_a_device_that_goes_and_comes_back(self, bench: Bench) -> None:
        absence = _given(bench.absence, "this device cannot be taken away")

        async def work(driver: Driver[Any, Any], address: Any) -> None:
            await _write(driver, address, bench.values[0])
            with absence():
                with pytest.raises(DeviceError) as caught:
                    await driver.connect()
                    await driver.write(address, bench.values[1])
                assert "\n" not in str(caught.value)
                written = await driver.write_many([(address, bench.values[1])] * 2)
                assert all(isinstance(each, DeviceError) for each in written)
            await _works(driver, address, bench.values[1])

        self.use(bench, work)

    def test_a_device_that_is_away_at_first(self, bench: Bench) -> None:
        absence = _given(bench.absence, "this device cannot be taken away")

        async def work(driver: Driver[Any, Any], address: Any) -> None:
            with absence(), pytest.raises(DeviceError):
                await driver.connect()
            await _write(driver, address, bench.values[0])
            await _holds(bench, bench.values[0])

        self.use(bench, work)

    def test_a_call_cut_short_leaves_the_next_one_right(self, bench: Bench) -> None:
        silence = _given(bench.silence, "this device cannot fall silent")

        async def work(driver: Driver[Any, Any], address: Any) -> None:
            await _write(driver, address, bench.values[0])
            with silence():
                cut = asyncio.create_task(driver.write(address, bench.values[0]))
                await asyncio.sleep(0)
                cut.cancel()
                await asyncio.gather(cut, return_exceptions=True)
            await _works(driver, address, bench.values[1])

        self.use(bench, work)

    def test_close_may_be_repeated_and_undone(self, bench: Bench) -> None:
        async def work(driver: Driver[Any, Any], address: Any) -> None:
            await driver.close()
            await _write(driver, address, bench.values[0])
            await driver.close()
            await driver.close()
            await _write(driver, address, bench.values[1])
            await _holds(bench, bench.values[1])

        self.use(bench, work)


def _given(state: _State | None, reason: str) -> _State:
    """The state of the device a test is about; without it the test is skipped."""
    if state is None:
        pytest.skip(reason)
    return state


async def _write(driver: Driver[Any, Any], address: Any, value: float) -> None:
    await driver.connect()
    await driver.write(address, value)


async def _works(driver: Driver[Any, Any], address: Any, value: float) -> None:
    """It connects, writes, and reads what was written."""
    await _write(driver, address, value)
    assert await driver.read(address) == pytest.approx(value)


async def _holds(bench: Bench, value: float) -> None:
    """The device holds the value, once it has what was accepted on its behalf, by a broker perhaps."""
    give_up = time.monotonic() + bench.patience
    while (held := bench.held()) != pytest.approx(value) and time.monotonic() < give_up:
        await asyncio.sleep(0.01)
    assert held == pytest.approx(value)


async def _ticks(pause: float) -> int:
    """How often the loop came round until this was cancelled."""
    count = 0
    try:
        while True:
            await asyncio.sleep(pause)
            count += 1
    except asyncio.CancelledError:
        return count
