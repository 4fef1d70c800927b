"""The callback driver, which calls functions of this module."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from oadr2.points.callback import CallbackDriver
from oadr2.points.conformance import Bench, DriverConformance
from oadr2.points.driver import DeviceError

HELD = {}
QUIET = threading.Event()
QUIET.set()
TIMEOUT = 0.3


@pytest.fixture(autouse=True)
def _fresh():
    HELD.clear()


class Plant:
    """An object with plain methods."""

    def write(self, load, value):
        QUIET.wait(30)
        if load == "none":
            raise KeyError(load)
        HELD[load] = value

    def read(self, load):
        QUIET.wait(30)
        return HELD[load]

    def release(self, load):
        HELD[load] = -1.0


class AsyncPlant:
    """The same with coroutines."""

    async def write(self, load, value):
        await self._quiet()
        if load == "none":
            raise KeyError(load)
        HELD[load] = value

    async def read(self, load):
        await self._quiet()
        return HELD[load]

    async def _quiet(self):
        while not QUIET.is_set():
            await asyncio.sleep(0.01)


plant = Plant()
async_plant = AsyncPlant()
not_callable = 5
threads = []


def function(load, value):
    threads.append(threading.current_thread())
    HELD[load] = value


def odd_state(load):
    return "warm"


async def says_nothing(load, value):
    raise RuntimeError("two\nlines")


def stops(load, value):
    raise StopIteration


@contextlib.contextmanager
def silence():
    QUIET.clear()
    try:
        yield
    finally:
        QUIET.set()


def table(name, load="a", **keys):
    return {"call": f"{__name__}:{name}", "load": load, "timeout": TIMEOUT, **keys}


class CallbackConformance(DriverConformance):
    driver = CallbackDriver
    name = ""

    @pytest.fixture
    def bench(self):
        HELD.update(a=0.0, b=0.0)
        return Bench(
            table=table(self.name),
            others=[table(self.name, "b")],
            values=(5.0, 7.0),
            held=lambda: HELD["a"],
            refused=[table(self.name, "none")],
            malformed=[
                ({"load": "a"}, "call"),
                (table(self.name, call="os.path"), "call"),
                (table(self.name, call="os:path join"), "call"),
                (table(self.name, read_call=":x"), "read_call"),
            ],
            silence=silence,
        )


class TestPlainObject(CallbackConformance):
    name = "plant"


class TestCoroutines(CallbackConformance):
    name = "async_plant"
    test_release_means_something_or_is_refused = None  # it has no release; see below


def run(keys, work):
    device, address = CallbackDriver.parse(keys)

    async def session():
        driver = CallbackDriver(device)
        try:
            await driver.connect()
            return await work(driver, address)
        finally:
            await driver.close()

    return asyncio.run(session())


def test_a_function_that_cannot_be_read_reads_as_written():
    async def work(driver, address):
        assert await driver.read(address) is None
        await driver.write(address, 3)
        return await driver.read(address)

    assert run(table("function"), work) == 3
    assert HELD == {"a": 3}
    assert threads[-1] is not threading.main_thread()


def test_what_cannot_be_released_says_so():
    async def work(driver, address):
        with pytest.raises(DeviceError, match="it has no method release"):
            await driver.release(address)

    run(table("async_plant"), work)


@pytest.mark.parametrize(
    ("keys", "trouble"),
    [
        (table("missing"), "AttributeError"),
        ({"call": "no_such_module_anywhere:f"}, "ModuleNotFoundError"),
        (table("not_callable"), "neither a function nor has it a method write"),
        (table("function", read_call=f"{__name__}:not_callable"), "cannot be called"),
    ],
)
def test_what_is_not_there_is_found_when_connecting(keys, trouble):
    async def work(driver, address):
        pytest.fail("it connected")

    with pytest.raises(DeviceError, match=trouble):
        run(keys, work)


@pytest.mark.parametrize(
    ("keys", "trouble"),
    [
        (table("says_nothing"), "RuntimeError: two lines"),
        (table("stops"), "StopIteration"),
    ],
)
def test_what_a_function_raises_is_one_line(keys, trouble):
    async def work(driver, address):
        with pytest.raises(DeviceError, match=trouble) as caught:
            await driver.write(address, 1)
        assert "\n" not in str(caught.value)

    run(keys, work)


def test_a_state_that_is_no_number():
    async def work(driver, address):
        with pytest.raises(DeviceError, match="read returned 'warm'"):
            await driver.read(address)

    run(table("function", read_call=f"{__name__}:odd_state"), work)


def test_a_call_nobody_waits_for_any_more_is_not_made():
    """The first hangs; the second gives up before its turn comes, and must not act later."""

    async def work(driver, address):
        with silence():
            for value in (1.0, 2.0):
                with pytest.raises(DeviceError, match=r"not done within 0\.3 s"):
                    await driver.write(address, value)
        await driver.write(address, 3.0)

    run(table("plant"), work)
    assert HELD["a"] == 3.0
