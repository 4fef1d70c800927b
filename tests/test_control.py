"""oadr2.control: the level is reported when it changes, neither before nor late."""

import gc
import logging
import threading
import time
import weakref

import pytest

from oadr2 import control
from oadr2.control import EventController
from oadr2.errors import ConfigurationError, StoreError

PATIENCE = 1  # seconds; only ever waited for in full by a test that fails


class Handler:
    """A timetable of (time, level, event id) with the methods of EventHandler that are used."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.advanced_to = 0.0
        self.subscribers = []
        self.on_advance = lambda: None
        self.advanced = threading.Event()

    @property
    def next_deadline(self):
        return min((step[0] for step in self.steps if step[0] > self.advanced_to), default=None)

    def advance(self, now=None):
        self.advanced.set()
        self.on_advance()
        self.advanced_to = now
        return ()

    def current_level(self, now=None):
        past = [step for step in self.steps if step[0] <= now]
        return past[-1][1:] if past else (0, None)

    def subscribe(self, function):
        self.subscribers.append(function)

    def add(self, *steps):
        self.steps = sorted([*self.steps, *steps])

    def notify(self):
        for function in self.subscribers:
            function(())


class Recorder:
    """A signal_changed_callback that remembers, and can be waited for."""

    def __init__(self):
        self.calls = []
        self.times = []
        self.called = threading.Semaphore(0)

    def __call__(self, old, new):
        self.times.append(time.time())
        self.calls.append((old, new))
        self.called.release()

    def wait(self):
        assert self.called.acquire(timeout=PATIENCE), "signal_changed_callback was not called"


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def started():
    """Starts controllers with a thread and ends them with the test."""
    controllers = []

    def start(*args, **kwargs):
        controllers.append(EventController(*args, **kwargs))
        return controllers[-1]

    yield start
    for controller in controllers:
        controller.exit()


def by_hand(handler, recorder, now=0.0, **kwargs):
    return EventController(handler, recorder, start_thread=False, clock=lambda: now, **kwargs)


def test_every_change_is_reported_in_order(recorder):
    handler = Handler((100, 1.0, "e"), (200, 3.0, "e"), (300, 2.0, "e"), (400, 0.0, None))
    controller = by_hand(handler, recorder)
    deadline, seen = controller.update(0), []
    while deadline is not None:
        seen.append(deadline)
        before = list(recorder.calls)
        assert controller.update(deadline - 0.001) == deadline
        assert recorder.calls == before
        deadline = controller.update(deadline)
    assert seen == [100, 200, 300, 400]
    assert recorder.calls == [(0, 1), (1, 3), (3, 2), (2, 0)]


def test_levels_already_over_are_skipped(recorder):
    controller = by_hand(Handler((100, 1.0, "e"), (200, 3.0, "e"), (300, 2.0, "e")), recorder)
    assert controller.update(250) == 300
    assert recorder.calls == [(0, 3)]


def test_another_event_at_the_same_level_is_no_change(recorder):
    controller = by_hand(Handler((100, 2.0, "a"), (200, 2.0, "b"), (300, 0, None)), recorder)
    for now in (100, 200, 250, 300):
        controller.update(now)
    assert recorder.calls == [(0, 2), (2, 0)]


def test_update_without_a_time_reads_the_clock(recorder):
    by_hand(Handler((100, 1.0, "e")), recorder, now=99.0).update()
    assert recorder.calls == []
    by_hand(Handler((100, 1.0, "e")), recorder, now=100.0).update()
    assert recorder.calls == [(0, 1)]


@pytest.mark.parametrize(
    ("level", "expected"), [(2.0, 2), (0.0, 0), (-3.0, -3), (1, 1), (0.5, 0.5), (1e300, int(1e300))]
)
def test_whole_levels_are_ints(recorder, level, expected):
    controller = by_hand(Handler((100, level, "e")), recorder, now=100.0)
    found, event_id = controller.get_current_signal_level()
    assert (found, event_id) == (expected, "e")
    assert type(found) is type(expected)
    controller.update()
    assert recorder.calls == ([(0, expected)] if expected else [])


def test_current_level_without_events_and_before_any_update(recorder):
    assert by_hand(Handler(), recorder).get_current_signal_level() == (0, None)
    controller = by_hand(Handler((100, 2.0, "007")), recorder, now=150.0)
    assert controller.get_current_signal_level() == (2, "007")
    assert recorder.calls == []  # asking is not reporting


def test_a_failing_callback_is_logged_and_the_next_change_reported(caplog):
    calls = []

    def callback(old, new):
        calls.append((old, new))
        raise ZeroDivisionError("relay")

    controller = EventController(
        Handler((100, 1.0, "e"), (200, 2.0, "e")), callback, start_thread=False
    )
    controller.update(100)
    controller.update(200)
    assert calls == [(0, 1), (1, 2)]
    assert [r.message for r in caplog.records] == [
        "signal_changed_callback(0, 1) failed",
        "signal_changed_callback(1, 2) failed",
    ]
    assert "ZeroDivisionError: relay" in caplog.text


def test_a_change_is_logged_when_there_is_no_callback(caplog):
    caplog.set_level(logging.INFO, "oadr2.control")
    EventController(Handler((100, 1.0, "e")), start_thread=False).update(100)
    assert [r.message for r in caplog.records] == ["signal level changed from 0 to 1"]


def test_the_level_is_reported_although_the_store_fails(recorder):
    handler = Handler((100, 1.0, "e"))

    def fail():
        raise StoreError("ven.db: cannot grow")

    handler.on_advance = fail
    controller = by_hand(handler, recorder)
    with pytest.raises(StoreError, match="cannot grow"):
        controller.update(100)
    assert recorder.calls == [(0, 1)]


def test_a_callback_may_update_again():
    handler = Handler((100, 1.0, "e"), (200, 2.0, "e"))
    calls = []

    def callback(old, new):
        calls.append((old, new))
        controller.update(200)

    controller = EventController(handler, callback, start_thread=False)
    controller.update(100)
    assert calls == [(0, 1), (1, 2)]


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_control_loop_interval_must_be_positive(interval):
    with pytest.raises(ConfigurationError, match="control_loop_interval"):
        EventController(Handler(), start_thread=False, control_loop_interval=interval)


@pytest.mark.parametrize(
    ("interval", "deadline", "expected"),
    [
        (None, None, 60),
        (None, 1000 + 3600, 60),
        (None, 1000 + 7.5, 7.5),
        (300, None, 60),
        (5, None, 5),
        (5, 1000 + 7.5, 5),
        (5, 1000 + 2.5, 2.5),
    ],
)
def test_sleeps_until_the_deadline_and_never_beyond_a_minute(
    recorder, interval, deadline, expected
):
    controller = by_hand(Handler(), recorder, now=1000.0, control_loop_interval=interval)
    assert controller._sleep(1000.0, deadline) == expected


def test_sleeps_not_at_all_for_a_deadline_that_came_during_the_update(recorder):
    assert by_hand(Handler(), recorder, now=1000.0)._sleep(990.0, 995.0) == 0


def test_does_not_spin_on_a_deadline_that_stays_due(recorder):
    assert by_hand(Handler(), recorder, now=1000.0)._sleep(1000.0, 1000.0) > 0


def test_thread_reports_at_the_deadline_and_not_before(recorder, started):
    start = time.time() + 0.05
    end = start + 0.05
    handler = Handler((start, 2.0, "e"), (end, 0.0, None))
    started(handler, recorder)
    recorder.wait()
    recorder.wait()
    assert recorder.calls == [(0, 2), (2, 0)]
    assert recorder.times[0] >= start
    assert recorder.times[1] >= end


def test_thread_reports_an_event_that_runs_already(recorder, started):
    started(Handler((1.0, 3.0, "restored")), recorder)
    recorder.wait()
    assert recorder.calls == [(0, 3)]


@pytest.mark.parametrize("how", ["subscription", "events_updated"])
def test_thread_wakes_at_once_for_a_change(recorder, started, how):
    handler = Handler((time.time() + 3600, 1.0, "later"))
    controller = started(handler, recorder)
    assert handler.advanced.wait(PATIENCE)
    handler.add((time.time(), 2.0, "now"))
    handler.notify() if how == "subscription" else controller.events_updated()
    recorder.wait()
    assert recorder.calls == [(0, 2)]


def test_a_change_during_the_update_is_not_lost(recorder, started):
    class Blind(Handler):  # tells of no deadline, so that only the notification can wake the thread
        next_deadline = None

    handler = Blind()
    entered, go_on = threading.Event(), threading.Event()

    def on_advance():
        if not entered.is_set():
            entered.set()
            go_on.wait(PATIENCE)

    handler.on_advance = on_advance
    now = [0.0]
    started(handler, recorder, clock=lambda: now[0])
    assert entered.wait(PATIENCE)
    handler.add((5.0, 2.0, "e"))  # the update under way has read the clock: it cannot see this
    now[0] = 10.0
    handler.notify()
    go_on.set()
    recorder.wait()
    assert recorder.calls == [(0, 2)]


def test_thread_notices_a_stepped_clock(recorder, started):
    now = [1000.0]
    handler = Handler((5000.0, 2.0, "e"))
    started(handler, recorder, control_loop_interval=0.01, clock=lambda: now[0])
    assert handler.advanced.wait(PATIENCE)
    now[0] = 5000.0
    recorder.wait()
    assert recorder.calls == [(0, 2)]


@pytest.mark.parametrize(
    ("error", "text"), [(StoreError("ven.db: full"), "ven.db: full"), (KeyError("bug"), "KeyError")]
)
def test_thread_outlives_a_failing_handler(recorder, started, caplog, monkeypatch, error, text):
    monkeypatch.setattr(control, "RETRY_AFTER_ERROR", 0.01)
    handler = Handler((1.0, 1.0, "e"))
    failed = threading.Event()

    def on_advance():
        if not failed.is_set():
            failed.set()
            raise error
        handler.steps = [(2.0, 2.0, "e")]

    handler.on_advance = on_advance
    started(handler, recorder)
    recorder.wait()
    recorder.wait()
    assert recorder.calls == [(0, 1), (1, 2)]
    assert "events could not be brought up to date" in caplog.text
    assert text in caplog.text


def test_exit_ends_the_thread_and_may_be_repeated():
    controller = EventController(Handler((time.time() + 3600, 1.0, "e")))
    thread = controller._thread
    assert thread.daemon
    controller.exit()
    assert not thread.is_alive()
    controller.exit()


def test_exit_from_the_callback():
    asked = threading.Event()

    def callback(_old, _new):
        controller.exit()
        asked.set()

    handler = Handler()
    controller = EventController(handler, callback)
    handler.add((1.0, 1.0, "e"))
    handler.notify()
    assert asked.wait(PATIENCE)
    controller._thread.join(PATIENCE)
    assert not controller._thread.is_alive()


def test_exit_does_not_wait_for_ever_for_a_callback(monkeypatch, caplog):
    monkeypatch.setattr(control, "JOIN_TIMEOUT", 0.01)
    entered, release = threading.Event(), threading.Event()

    def callback(_old, _new):
        entered.set()
        release.wait(PATIENCE)

    controller = EventController(Handler((1.0, 1.0, "e")), callback)
    assert entered.wait(PATIENCE)
    controller.exit()
    assert "still waits for signal_changed_callback" in caplog.text
    release.set()
    controller._thread.join(PATIENCE)
    assert not controller._thread.is_alive()


def test_with_statement_and_no_thread():
    with EventController(Handler((1.0, 1.0, "e"))) as controller:
        thread = controller._thread
    assert not thread.is_alive()
    with EventController(Handler(), start_thread=False) as controller:
        assert controller._thread is None


def test_the_handler_does_not_keep_the_controller():
    handler = Handler()
    controller = weakref.ref(EventController(handler, start_thread=False))
    gc.collect()
    assert controller() is None
    handler.notify()
