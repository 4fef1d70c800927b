"""The exchanges of a fleet's VENs with one VTN, on one event loop: what is due is sent, answers are taken.

Open loop: when a VEN polls is decided beforehand, and what the VTN does cannot slow the schedule down.
What could not be sent in time is sent late, counted as late, and measured from the moment intended.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from oadr2._core.fleet import ERROR_NAMES, Fleet
from oadr2.errors import one_line
from oadr2.fleet.certificates import ClientContexts, check_tls
from oadr2.fleet.connections import Connections, Wiring, make_connections
from oadr2.fleet.deadlines import Deadlines
from oadr2.fleet.endpoint import Endpoint
from oadr2.fleet.failures import Failure
from oadr2.fleet.http import CLOSED, Connection
from oadr2.fleet.resources import cpu_seconds, rss_bytes, waited_for_core
from oadr2.fleet.row_groups import RowGroup, RowGroups
from oadr2.fleet.scenario import LAST_ANSWERS_S, ConnectionPlan, Timeouts, Tls
from oadr2.fleet.snapshot import Snapshot
from oadr2.http import retry_after_seconds
from oadr2.model import Profile

_US: Final = 1_000_000
_BATCH: Final = 256  # rows taken from the engine, and sent, before the loop looks at its sockets
_ADVANCED: Final = 5_000  # rows whose events are moved on in one go
_COUNTED: Final = 20_000  # rows that were due and not sent, in one go
_LONGEST_TICK: Final = 50_000  # us; the loop's lag is looked at as often
_SHORTEST_TICK: Final = 1_000  # us; what an event loop's timers can do
_STOP: Final = 0.8  # s for what is in flight, after stop()
_ERRORS: Final = {name: number for number, name in enumerate(ERROR_NAMES)}
_NEVER: Final = 1 << 62


def microsecond_clock() -> Callable[[], int]:
    """Microseconds since 1970 that never jump: the wall clock as it was when this was called, going on."""
    elapsed = time.perf_counter
    started = time.time_ns() // 1000 - int(elapsed() * 1e6)
    return lambda: started + int(elapsed() * 1e6)


class Traffic:
    """What the VENs of a fleet and their VTN say to each other over HTTP; made for one ``run()``.

    Args:
        fleet: the engine. Whoever else uses it does so on the same event loop.
        groups: its rows.
        vtn_url: base address of the VTN, credentials and all.
        pool: how many connections a pool has; None: as many as the plan says.
        on_failure: told of the first failures of each class, ``failures_per_class`` of them.
        clock: microseconds since 1970; never goes back.
        rss_before: bytes of memory before the VENs were made.

    Raises:
        ConfigurationError: the address or the TLS settings make no sense.
    """

    def __init__(
        self,
        fleet: Fleet,
        groups: RowGroups,
        vtn_url: str,
        *,
        connections: ConnectionPlan,
        pool: int | None = None,
        timeouts: Timeouts,
        tls: Tls,
        on_failure: Callable[[Failure], None] | None = None,
        failures_per_class: int = 10,
        clock: Callable[[], int] | None = None,
        rss_before: int = 0,
    ) -> None:
        check_tls(tls, connections.kind)
        self.fleet = fleet
        self._groups = groups
        self._endpoint = Endpoint(vtn_url)
        self._plan = connections
        self._pool = connections.size if pool is None else pool
        self._timeouts = timeouts
        self._tls = tls
        self._on_failure = on_failure
        self._failures_per_class = failures_per_class
        self._clock = clock or microsecond_clock()
        self._rss_before = rss_before
        self._heads: dict[Profile, tuple[bytes, ...]] = {}
        self._only_heads: tuple[bytes, ...] | None = None
        self._make_heads()
        self._answer_timeout = timeouts.answer
        self._backlog: deque[int] = deque()  # taken from the engine, not sent yet
        self._urgent: deque[int] = (
            deque()
        )  # rows in the middle of an exchange that want a connection
        self._retrying: set[int] = set()
        self._noted: Counter[str] = Counter()
        self._under_way = 0
        self._unsent = 0
        self._ended_at = 0
        self._all_counted = False
        self._starved_at: int | None = (
            None  # late polls when the connections ran out; None: there are some
        )
        self._late_by_plan = 0
        self._retried = 0
        self._abandoned = 0
        self._lag = 0
        self._begun = 0
        self._end = _NEVER
        self._cpu_before = cpu_seconds()
        self._waited_before = waited_for_core()
        self._ending = False
        self._stopping = False
        self._closing = False
        self._tick_at = 0
        self._crash: BaseException | None = None
        # Of the event loop, and so made in run().
        self._loop: asyncio.AbstractEventLoop
        self._done: asyncio.Future[None] | None = None
        self._deadlines: Deadlines[Connection]
        self._connections: Connections
        self._timer: asyncio.TimerHandle | None = None

    def join(self, group: RowGroup) -> None:
        """Take the rows of a group that was added to the fleet; they have been started or will be."""
        self._groups.add(group)
        if group.profile not in self._heads:
            self._make_heads()

    def _make_heads(self) -> None:
        profiles = self._groups.profiles
        self._heads = {profile: self._endpoint.heads(profile) for profile in profiles}
        self._only_heads = next(iter(self._heads.values())) if len(self._heads) == 1 else None

    @property
    def ended(self) -> bool:
        """It was run or stopped, and sends nothing any more."""
        return self._stopping or (self._done is not None and self._done.done())

    async def run(self) -> None:
        """Go on to the end, or until :meth:`stop`; return when all connections are closed."""
        loop = self._loop = asyncio.get_running_loop()
        done = self._done = loop.create_future()
        self._deadlines = Deadlines(loop.time())
        connections = self._connections = make_connections(
            self._plan,
            Wiring(
                owner=self,
                endpoint=self._endpoint,
                deadlines=self._deadlines,
                ven_name=self._ven_name,
                contexts=ClientContexts(self._tls),
                source_addresses=self._plan.source_addresses,
                connect_timeout=self._timeouts.connect,
            ),
            self._pool,
        )
        self._begun = self._tick_at = self._begin_schedule(self._clock())
        self._cpu_before = cpu_seconds()
        self._waited_before = waited_for_core()
        self._tick()
        try:
            await done
        finally:
            self._closing = True
            if self._timer is not None:
                self._timer.cancel()
            await connections.close()
        if self._crash is not None:
            raise self._crash

    def stop(self) -> None:
        """Send nothing new, give what is in flight a moment, and end: within a second."""
        if self._stopping or self._done is None:
            self._stopping = True
            return
        self._stopping = True
        self._begin_ending(self._clock())
        self._loop.call_later(_STOP, self._finish)
        self._finish_when_idle()

    # what a run with stages does besides

    def _begin_schedule(self, now: int) -> int:
        """Make ready what comes first; when the run begins."""
        return now

    def _play(self, now: int) -> None:
        """Do what the schedule says for now."""

    def _play_last(self, now: int) -> None:
        """Do what the schedule said until now: there is no more of it."""

    def _next_step(self) -> int | None:
        """When the schedule has something to do; None: never again."""
        return None

    def snapshot(self) -> Snapshot:
        """The figures so far."""
        now = self._clock()
        fleet = self.fleet
        histograms = fleet.histograms
        kinds = {
            name: kind
            for name, kind in histograms.items()
            if isinstance(kind, dict) and "latency" in kind
        }
        counters = fleet.counters
        counters["late_by_plan"] = self._late_by_plan
        if self._starved_at is not None:
            counters["late_by_plan"] += counters["late"] - self._starved_at
        counters["late"] += self._unsent
        counters["late_by_generator"] = max(0, counters["late"] - counters["late_by_plan"])
        counters["unsent"] = self._unsent
        counters["retried"] = self._retried
        counters["abandoned"] = self._abandoned
        # At the limit the timers stand still too: what the tick is late by now counts.
        lag = max(self._lag, now - self._tick_at if self._running else 0)
        self._lag = 0
        return Snapshot(
            at=now / _US,
            elapsed=max(0, now - self._begun) / _US if self._begun else 0.0,
            vens=len(fleet),
            vens_active=fleet.polling,
            connections=0 if self._done is None else self._connections.open,
            counters=counters,
            errors=fleet.errors,
            latency={name: kind["latency"].copy() for name, kind in kinds.items()},
            latency_from_intended={
                name: kind["latency_from_intended"].copy() for name, kind in kinds.items()
            },
            propagation={name: each.copy() for name, each in histograms["propagation"].items()},
            schedule_lag=histograms["schedule_lag"].copy(),
            under_way=self._under_way,
            loop_lag=max(0, lag) / _US,
            rss_bytes=rss_bytes(),
            rss_bytes_before_vens=self._rss_before,
            cpu_s=cpu_seconds() - self._cpu_before,
            core_wait_s=waited_for_core() - self._waited_before,
            vens_registered=fleet.registered,
        )

    # the schedule

    @property
    def _running(self) -> bool:
        return self._done is not None and not self._done.done()

    def _tick(self) -> None:
        try:
            now = self._clock()
            self._lag = max(self._lag, now - self._tick_at)
            if not self._ending and (self._stopping or now >= self._end):
                if not self._stopping:  # what was due in the last moment is in time still
                    self._play(self._end)
                    self._send_due(self._end)
                self._begin_ending(now)
            elif self._ending:
                self._count_unsent(_COUNTED)
            else:
                self._play(now)
            fleet = self.fleet
            change = fleet.next_change
            if change is not None and change <= now:
                fleet.advance(now, _ADVANCED)
            for connection in self._deadlines.expired(self._loop.time()):
                self._connections.expired(connection)
            self._send_due(now)
            self._finish_when_idle()
            if self._running:
                self._tick_at = self._next_tick(self._clock())
                delay = max(0, self._tick_at - self._clock()) / _US
                self._timer = self._loop.call_later(delay, self._tick)
        except Exception as error:  # nobody above would see it
            self._fail(error)

    def _next_tick(self, now: int) -> int:
        fleet = self.fleet
        if self._urgent or self._backlog or (self._ending and not self._all_counted):
            return now + _SHORTEST_TICK
        moments = [now + _LONGEST_TICK, self._end]
        step, due, change = self._next_step(), fleet.next_due, fleet.next_change
        if step is not None:
            moments.append(step)
        if due is not None and not self._ending:
            moments.append(due)
        if change is not None:
            moments.append(change)
        return max(min(moments), now + _SHORTEST_TICK)

    def _begin_ending(self, now: int) -> None:
        """Nothing new from now on. What was due and could not be sent is not forgotten: it was late."""
        if self._ending:
            return
        self._ending = True
        self._play_last(min(now, self._end))
        self._ended_at = min(now, self._end)
        self._note_unsent(len(self._backlog))
        self._backlog.clear()
        self._count_unsent(_COUNTED)
        if not self._stopping:
            self._loop.call_later(LAST_ANSWERS_S, self._finish)

    def _count_unsent(self, limit: int) -> None:
        """Count ``limit`` of the rows that were due when the run ended: of a herd there may be many."""
        if not self._all_counted:
            count = len(self.fleet.take_due(self._ended_at, limit))
            self._note_unsent(count)
            self._all_counted = count < limit

    def _note_unsent(self, count: int) -> None:
        self._unsent += count
        if self._starved_at is not None:
            self._late_by_plan += count

    def _finish_when_idle(self) -> None:
        if self._ending and self._all_counted and not self._under_way:
            self._finish()

    def _finish(self) -> None:
        if self._done is not None and not self._done.done():
            self._count_unsent(len(self.fleet) + 1)
            self._abandoned += self._under_way
            self._done.set_result(None)

    def _fail(self, error: Exception) -> None:
        """A fault of the program: it ends the run."""
        if self._crash is None:
            self._crash = error
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    # sending

    def _send_due(self, now: int) -> None:
        """Send what is due, as long as there are connections."""
        connections = self._connections
        room = connections.room()
        left = min(_BATCH, room)
        while left > 0 and self._urgent:
            self._begin(self._urgent.popleft())
            left -= 1
        if self._ending:
            return
        backlog = self._backlog
        while left > 0:
            if not backlog and not self._take(now):
                self._note_plenty()
                return
            self._under_way += 1
            self._begin(backlog.popleft())
            left -= 1
        if room <= _BATCH and (backlog or self._take(now)):
            self._note_starved()

    def _note_starved(self) -> None:
        """All connections are in use, and polls wait: being late is the plan's doing, not this process's."""
        if self._starved_at is None:
            self._starved_at = self.fleet.counters["late"]

    def _note_plenty(self) -> None:
        if self._starved_at is not None:
            self._late_by_plan += self.fleet.counters["late"] - self._starved_at
            self._starved_at = None

    def _take(self, now: int) -> bool:
        rows = self.fleet.take_due(now, _BATCH)
        self._backlog.extend(rows)
        return len(rows) > 0

    def _begin(self, row: int) -> None:
        connection = self._connections.take(row)
        if connection is not None:
            self._send(connection, row)

    def _send(self, connection: Connection, row: int) -> None:
        fleet = self.fleet
        body = fleet.compose(row, self._clock())
        heads = self._only_heads or self._heads[self._groups.of(row).profile]
        connection.request = body
        deadline = self._loop.time() + self._answer_timeout
        if connection.slot < 0 or not connection.answers:
            self._deadlines.watch(connection, deadline)
        else:
            connection.deadline = deadline
        connection.send(b"%b%d\r\n\r\n%b" % (heads[fleet.service(row)], len(body), body))

    # what connections tell (oadr2.fleet.connections.ConnectionsOwner)

    def ready(self, connection: Connection) -> None:
        """A connection that was asked for is open."""
        try:
            self._send(connection, connection.row)
        except Exception as error:  # nobody above would see it
            self._fail(error)

    def unreachable(self, row: int, error_class: str, message: str) -> None:
        """There is no connection for this row."""
        if self._closing:
            return
        try:
            self.fleet.give_up(row, _ERRORS[error_class], self._clock())
            self._note(row, error_class, message)
            self._ended(row)
        except Exception as error:  # nobody above would see it
            self._fail(error)

    def answered(self, connection: Connection, status: int, body: bytes) -> None:
        """An answer is complete."""
        try:
            self._answered(connection, status, body)
        except Exception as error:  # a protocol's exceptions end in the loop's log
            self._fail(error)

    def failed(self, connection: Connection, error_class: str, message: str) -> None:
        """No answer will come."""
        if self._closing:
            return
        try:
            row = connection.row
            unused = error_class == CLOSED and not connection.received and connection.answers
            if unused and row not in self._retrying:
                # The VTN closed an idle connection just as it was used: no news, so once more.
                self._retrying.add(row)
                self._retried += 1
                self._urgent.append(row)
                return
            self.fleet.give_up(row, _ERRORS[error_class], self._clock())
            self._note(row, error_class, message, request=connection.request)
            self._ended(row)
        except Exception as error:  # a protocol's exceptions end in the loop's log
            self._fail(error)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.closed(connection)

    def _answered(self, connection: Connection, status: int, body: bytes) -> None:
        row = connection.row
        connections = self._connections
        if 200 <= status <= 299:
            more = self.fleet.receive(row, body, self._clock())
            if more > 0:
                if connection.reusable:
                    self._send(connection, row)
                else:
                    connections.release(connection)
                    self._urgent.append(row)
                return
            if more < 0:
                self._not_taken(connection, status, body)
        else:
            self._refused(connection, status, body)
        if self._retrying:
            self._retrying.discard(row)
        # At the limit the next goes out at once instead of with the next tick.
        if self._backlog and connections.shared and connection.reusable and connection.answers > 1:
            connection.row = row = self._backlog.popleft()
            self._send(connection, row)
            if not self._backlog:
                self._take(self._clock())
            return
        connections.release(connection)
        self._under_way -= 1
        if self._ending:
            self._finish_when_idle()

    def _not_taken(self, connection: Connection, status: int, body: bytes) -> None:
        error_class, message = self.fleet.last_error()
        row, request = connection.row, connection.request
        self._note(row, error_class, message, request=request, answer=body, status=status)

    def _refused(self, connection: Connection, status: int, body: bytes) -> None:
        error_class = {4: "http_4xx", 5: "http_5xx"}.get(status // 100, "http_other")
        wait = 0.0
        if status in (429, 503):
            asked = connection.header("retry-after")
            wait = retry_after_seconds(asked, connection.header("date")) or 0.0 if asked else 0.0
        row = connection.row
        self.fleet.give_up(
            row, _ERRORS[error_class], self._clock(), round(min(wait, 86400.0) * _US)
        )
        self._note(
            row,
            error_class,
            f"HTTP {status}",
            request=connection.request,
            answer=body,
            status=status,
        )

    def _ended(self, row: int) -> None:
        """The row's exchanges have come to an end for now."""
        self._under_way -= 1
        if self._retrying:
            self._retrying.discard(row)
        if self._ending:
            self._finish_when_idle()

    def _note(
        self,
        row: int,
        error_class: str,
        message: str,
        *,
        request: bytes = b"",
        answer: bytes = b"",
        status: int | None = None,
    ) -> None:
        if self._on_failure is None:
            return
        if self._noted[error_class] >= self._failures_per_class:
            return
        self._noted[error_class] += 1
        self._on_failure(
            Failure(
                at=self._clock() / _US,
                error_class=error_class,
                message=one_line(message),
                ven_id=self.fleet.ven_id(row),
                request=request,
                answer=answer,
                status=status,
            )
        )

    def _ven_name(self, row: int) -> tuple[int, str]:
        group = self._groups.of(row)
        return group.number + row - group.first, self.fleet.ven_id(row)
