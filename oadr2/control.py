"""Which level holds now, and the moment it changes: :class:`EventController`.

The controller asks the event handler for its next deadline and sleeps until then; it never scans
the events. A change that arrives by a payload wakes it at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from oadr2.errors import ConfigurationError, OadrError

logger = logging.getLogger(__name__)

Level: TypeAlias = int | float
SignalChangedCallback: TypeAlias = Callable[[Level, Level], object]

# Seconds. Sleeping is measured by a clock of its own (monotonic), deadlines by the wall clock, and
# the two part when the wall clock is stepped (NTP, an operator). So no sleep is longer than this,
# and after each the wall clock is read again: a step is noticed within a minute.
LONGEST_SLEEP: Final = 60.0
RETRY_AFTER_ERROR: Final = 1.0
JOIN_TIMEOUT: Final = 1.0


class Timetable(Protocol):
    """The part of :class:`oadr2.event.EventHandler` the controller needs."""

    @property
    def next_deadline(self) -> float | None:
        """When a level can change next, in seconds since 1970; None: never, as things stand."""

    def advance(self, now: float | None = None, /) -> object:
        """Let events start, step and end that are due at ``now``, seconds since 1970; None: the clock."""

    def current_level(self, now: float | None = None, /) -> tuple[float, str | None]:
        """The level that holds at ``now`` and the event it comes from; (0, None) without one."""

    def subscribe(self, function: Callable[[Any], object], /) -> object:
        """Have ``function(changes)`` called after every change of the events."""


class EventController:
    """Follows the level of the events a handler holds and reports every change.

    With ``start_thread=True`` a daemon thread does so until :meth:`exit`. Without it nothing
    happens by itself: call :meth:`update` whenever the time it returned has come, or the handler
    changed.

    ``signal_changed_callback(old_level, new_level)`` is called once per change, in order, on the
    thread that noticed it; the level before the first event is 0. What it raises is logged. When
    several borders have passed since the last look (the machine slept, the callback was slow) only
    the level that holds now is reported: a load cannot follow a level that is already over.

    In asyncio, hand the change over to the loop::

        EventController(
            handler, lambda old, new: loop.call_soon_threadsafe(queue.put_nowait, (old, new))
        )

    Args:
        event_handler: an :class:`oadr2.event.EventHandler`.
        signal_changed_callback: called at every change of level; by default a change is logged.
        start_thread: follow the level on a thread of its own.
        control_loop_interval: the longest sleep in seconds, 60 at most. Kept from EnerNOC's
            package, where it was the pace of the loop; here it changes nothing but how soon a
            stepped clock is noticed.
        clock: the time in seconds since the epoch.

    Raises:
        ConfigurationError: ``control_loop_interval`` is not positive.
    """

    def __init__(
        self,
        event_handler: Timetable,
        signal_changed_callback: SignalChangedCallback | None = None,
        start_thread: bool = True,
        control_loop_interval: float | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if control_loop_interval is not None and not control_loop_interval > 0:
            raise ConfigurationError(
                f"control_loop_interval is {control_loop_interval!r}: give seconds above 0, or None"
            )
        self.event_handler = event_handler
        self.signal_changed_callback = signal_changed_callback or self._log_change
        self._clock = clock
        self._longest_sleep = min(control_loop_interval or LONGEST_SLEEP, LONGEST_SLEEP)
        self._level: Level = 0
        # Re-entrant: a callback may call update().
        self._update_lock = threading.RLock()
        self._wake = threading.Event()
        self._exiting = False
        self._thread: threading.Thread | None = None
        wake = self._wake  # the handler keeps this function, and so must not keep the controller
        event_handler.subscribe(lambda _changes: wake.set())
        if start_thread:
            self._thread = threading.Thread(target=self._run, name="oadr2-control", daemon=True)
            self._thread.start()

    def __enter__(self) -> EventController:
        return self

    def __exit__(self, *_: object) -> None:
        self.exit()

    def get_current_signal_level(self) -> tuple[Level, str | None]:
        """The level that holds now and the event it comes from, or (0, None)."""
        return self._current(self._clock())

    def events_updated(self) -> None:
        """Look at the events again now. The handler's own changes need no such call."""
        self._wake.set()

    def update(self, now: float | None = None) -> float | None:
        """Let time pass up to ``now``, report a change of level, return the next deadline.

        Args:
            now: seconds since the epoch; the clock is read when absent.

        Returns:
            When to call again, in seconds since the epoch, or None when nothing is ahead.

        Raises:
            StoreError: the handler could not write what changed. The level was reported all the
                same.
        """
        with self._update_lock:
            if now is None:
                now = self._clock()
            try:
                self.event_handler.advance(now)
            finally:  # a full disk must not keep the load from following its event
                self._report(now)
            return self.event_handler.next_deadline

    def exit(self) -> None:
        """Stop the thread and wait for it, a second at most; harmless when repeated."""
        self._exiting = True
        self._wake.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        thread.join(JOIN_TIMEOUT)
        if thread.is_alive():
            logger.warning("the control thread still waits for signal_changed_callback to return")

    def _current(self, now: float) -> tuple[Level, str | None]:
        level, event_id = self.event_handler.current_level(now)
        return (int(level) if float(level).is_integer() else level), event_id

    def _report(self, now: float) -> None:
        level, _ = self._current(now)
        old, self._level = self._level, level
        if level == old:
            return
        try:
            self.signal_changed_callback(old, level)
        except Exception:  # the application's own: whatever it is, the next change must be reported
            logger.exception("signal_changed_callback(%s, %s) failed", old, level)

    @staticmethod
    def _log_change(old_level: Level, new_level: Level) -> None:
        logger.info("signal level changed from %s to %s", old_level, new_level)

    def _run(self) -> None:
        while True:
            # Cleared before looking: whatever changes from here on ends the wait below.
            self._wake.clear()
            if self._exiting:
                return
            now = self._clock()
            try:
                pause = self._sleep(now, self.update(now))
            except OadrError as error:
                logger.error("events could not be brought up to date, trying again: %s", error)  # noqa: TRY400  the message says it all
                pause = RETRY_AFTER_ERROR
            except Exception:  # a bug, here or in the handler: the load is still to be driven
                logger.exception("events could not be brought up to date, trying again")
                pause = RETRY_AFTER_ERROR
            self._wake.wait(pause)

    def _sleep(self, updated: float, deadline: float | None) -> float:
        """Seconds to wait after an update at ``updated`` returned this deadline."""
        if deadline is None:
            return self._longest_sleep
        if deadline <= updated:
            return 0.001  # due, but not done: rounding of the float; never spin
        return min(max(deadline - self._clock(), 0.0), self._longest_sleep)
