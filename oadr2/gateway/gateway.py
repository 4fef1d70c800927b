"""The gateway itself: :class:`Gateway` moves what VTNs say to points, and points to devices.

One loop, no task per point: a heap holds the moment at which each point wants to be looked at, the
planner the moment at which its events change. The wall clock serves the schedule, the steady clock
the safety of the points.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable
from math import inf
from typing import Final, TypeAlias

from oadr2._core.histogram import Histogram
from oadr2.errors import LocalProtocolError, StoreError
from oadr2.gateway.agenda import Agenda
from oadr2.gateway.collector import Calm
from oadr2.gateway.configuration import (
    DriverClass,
    GatewaySettings,
    PointSettings,
    without_writing,
)
from oadr2.gateway.devices import Device, Request
from oadr2.gateway.journal import Journal, to_wall_clock
from oadr2.gateway.live_point import Changes, LivePoint, order_of_service
from oadr2.gateway.notify import Systemd
from oadr2.gateway.overrides import Overrides, require_override
from oadr2.gateway.planner import Planner
from oadr2.gateway.records import Records
from oadr2.gateway.state import AuditEntry, StateFile, StoredOverride
from oadr2.gateway.telemetry import reading_of
from oadr2.gateway.texts import device_text
from oadr2.gateway.ven_settings import VenSettings
from oadr2.gateway.vens import VenLink, relink
from oadr2.gateway.view import GatewayView
from oadr2.gateway.viewing import view_of
from oadr2.points.point import Contact, Memory, Output, Override, Point, Record, Write
from oadr2.points.rules import Setting

_log = logging.getLogger("oadr2.gateway")

DeviceKey: TypeAlias = tuple[DriverClass, Hashable]

LONGEST_SLEEP: Final = 0.5  # seconds; an override given on the command line is seen within this
FIRST_WORD: Final = (
    5.0  # seconds a VTN has to answer the first poll before loads are moved without it
)
_SLICE: Final = 250  # points between two turns of the event loop, so that writes go out meanwhile
_LONGEST_SLICE: Final = 1000
_TURNS_TO_BEGIN: Final = 3  # until a device has handed its first writes to its driver
_CALM: Final = 2.0  # seconds without garbage collection when many points move
_CLOCK_STEP: Final = 1.0  # seconds the two clocks may part before that is a step, not drift
_PRUNE_EVERY: Final = 3600.0
_RETRY_STORE: Final = 1.0


class Gateway:
    """Drives the points of a file until told to stop.

    Args:
        settings: from :func:`oadr2.gateway.configuration.read_configuration`.
        dry_run: read devices and follow events, but write nothing: neither to devices nor to files.
        clock: seconds since 1970; monotonic: of a clock that is never set.
        random: a number from 0 to 1.
        systemd: who is told how it goes.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        dry_run: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_module.random,
        systemd: Systemd | None = None,
    ) -> None:
        self.settings = settings
        self.dry_run = dry_run
        self.started_at = clock()
        #: What happened since the start: ``writes``, ``reads``, and the kinds of records.
        self.counts: Counter[str] = Counter()
        self.links: dict[str, VenLink] = {}
        self.points: dict[str, LivePoint] = {}
        self.planner = Planner((), ())
        #: From the moment an event asks for a value until the device has accepted it.
        self.lateness = Histogram()
        #: Which points have changed since when.
        self.changes = Changes()
        self.records = Records(self.counts, clock, lambda: self._ahead)
        #: When the loop turned last, by the steady clock.
        self.turned_at = monotonic()
        self._clock = clock
        self._monotonic = monotonic
        self._random = random
        self._systemd = systemd or Systemd({})
        self._state: StateFile | None = None
        self._log_state: StateFile | None = None
        self._devices: dict[DeviceKey, Device] = {}
        self._contacts: dict[str, Contact] = {}
        self._answers: list[tuple[LivePoint, Request, float | None, str]] = []
        self._back: list[LivePoint] = []  # whose device answers again
        self._rushing = False
        self._calm = Calm()
        self._failsafe: list[LivePoint] = []  # those that give a silent VTN up
        self._overrides = Overrides(self._override_point, clock)
        # Points of which something else may be wanted, and since when, if an event's time has come.
        self._affected: dict[str, float | None] = {}
        self._changed_vens: dict[str, None] = {}
        self._agenda = Agenda()
        self._unheard = 0
        self._ahead = clock() - monotonic()
        self._retry_store = -inf
        self._wake = asyncio.Event()
        self._applying = asyncio.Lock()  # settings: one after the other, and none after the end
        self._working = False
        self._stopping = False
        self._next_prune = -inf
        self._next_sign = -inf

    # -- from outside -----------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The wall clock, seconds since 1970."""
        return self._clock()

    @property
    def ready(self) -> bool:
        """Every device has answered, or failed, once since the start."""
        return bool(self.points) and self._unheard == 0

    def view(self) -> GatewayView:
        """How everything stands, as plain data."""
        return view_of(self)

    def silence(self, ven: str) -> float:
        """Seconds since the VTN of this VEN was heard of last."""
        return max(0.0, self._monotonic() - self._contacts[ven].heard_at)

    def override_of(self, name: str) -> StoredOverride | None:
        """The override of this point, or None."""
        return self._overrides.held.get(name)

    async def story(self, name: str, limit: int) -> list[AuditEntry]:
        """The newest lines of the audit log about this point, oldest first; none in a dry run.

        Raises:
            StoreError: it cannot be read.
        """
        if self._log_state is None:
            return []
        return await asyncio.to_thread(self._log_state.search, point=name, limit=limit)

    def override(self, name: str, value: Setting, seconds: float, by: str) -> None:
        """Hold a point at ``value`` for a time, whatever events say; kept over a restart.

        Raises:
            LocalProtocolError: there is no such point, or the value is not for it.
            StoreError: it cannot be kept; nothing was changed.
        """
        live = self.points.get(name)
        if live is None:
            raise LocalProtocolError(f"there is no point {name}")
        require_override(live.settings, value, seconds)
        self._overrides.put(StoredOverride(name, value, self._clock() + seconds, by))

    def end_override(self, name: str) -> bool:
        """Give a point back to its events; whether there was an override.

        Raises:
            LocalProtocolError: there is no such point.
            StoreError: it cannot be forgotten; nothing was changed.
        """
        if name not in self.points:
            raise LocalProtocolError(f"there is no point {name}")
        return self._overrides.end(name)

    def stop(self) -> None:
        """Have :meth:`run` return. Loads stay as they are; the next start takes them up again."""
        self._stopping = True
        self._wake.set()

    async def reload(self, settings: GatewaySettings) -> None:
        """Go on with these settings. What did not change is not interrupted.

        Raises:
            OadrError: nothing of it could be used; the gateway goes on as before.
        """
        if not self._working:  # the start takes these, then
            self.settings = settings
            return
        async with self._applying:
            if self._stopping:
                return
            self._systemd.reloading()
            try:
                await self._apply(settings)
            finally:
                self._systemd.ready()

    async def run(self) -> None:
        """Work until :meth:`stop`.

        Raises:
            StoreError: a file cannot be opened, or another gateway works with it.
            ConfigurationError: a VEN's settings are of no use.
        """
        try:
            if not self.dry_run:
                self._state = StateFile(self.settings.db)
                self._state.claim()
                self._overrides.file = self._state
                self._log_state = StateFile(
                    self.settings.db
                )  # its own, so that nobody waits for it
                self.records.journal = Journal(self._log_state)
            async with self._applying:
                self._working = True
                await self._apply(self.settings)
            await self._hear_first_words()
            self._systemd.ready()
            while not self._stopping:
                self._wake.clear()
                pause = await self._turn()
                if pause > 0 and not self._stopping:
                    await self._sleep(pause)
        finally:
            self._systemd.stopping()
            self._stopping = True
            async with self._applying:
                await self._close()

    async def _hear_first_words(self) -> None:
        """Give each VTN a moment to say what it wants, so that no load is moved twice at the start."""
        end = self._monotonic() + FIRST_WORD
        while not self._stopping and self._monotonic() < end:
            if all(link.heard or link.problem or not link.asks for link in self.links.values()):
                return
            await asyncio.sleep(0.01)

    # -- settings ---------------------------------------------------------------------------------

    async def _apply(self, settings: GatewaySettings) -> None:
        """Bring VENs and points to these settings; whatever can fail comes before any change."""
        now = self._monotonic()
        memories = self._memories(now)
        if self._state is not None:
            self._state.overrides()  # can they be read?
        try:
            for point in settings.points:
                self._provide_device(point, settings.device_timeout)
            for ven in settings.vens:
                self._contacts.setdefault(ven.name, Contact(now))
            replaced = await relink(self.links, self.settings, settings, self._new_link)
        except BaseException:
            await self._close_unused()
            raise
        # From here to the next await all belongs together: nobody may see half of it.
        now = self._monotonic()
        old_points, self.points = self.points, {}
        self.settings = settings
        self._contacts = {ven.name: self._contacts[ven.name] for ven in settings.vens}
        for point in settings.points:
            self._place(point, old_points.get(point.name), memories.get(point.name), now)
        self._failsafe = [
            live for live in self.points.values() if live.settings.rules.failsafe is not None
        ]
        self._unheard = sum(not live.heard for live in self.points.values())
        for device, count in Counter(live.device for live in self.points.values()).items():
            device.shared_by = count
        for live in old_points.values():
            if self.points.get(live.settings.name) is not live:
                live.device.drop(live)
        wall = self._clock()
        past = self.planner.past
        in_order = order_of_service(self.points.values())
        self.planner = Planner(settings.vens, [live.settings for live in in_order], past)
        for name, link in self.links.items():
            link.look_at_opts()
            self.planner.update(name, link.handler.get_states(wall), wall, link.opts)
        for name, live in self.points.items():
            if old_points.get(name) is not live:
                live.point.expect(self.planner.demand(name, wall))
        self._affected = dict.fromkeys(live.settings.name for live in in_order)
        self.changes.renew(list(self.points))
        self._overrides.look(self.points, anew=True)
        for link in replaced:
            link.start()
        await self._close_unused()
        self._wake.set()

    def _new_link(self, ven: VenSettings, points: Iterable[PointSettings]) -> VenLink:
        return VenLink(
            ven,
            tuple(points),
            self._contacts[ven.name],
            lambda name=ven.name: self._heard(name),  # type: ignore[misc]
            lambda name=ven.name: self._changed(name),  # type: ignore[misc]
            reader_of=lambda name, status: lambda: reading_of(self.points.get(name), status),
            dry_run=self.dry_run,
            clock=self._clock,
            monotonic=self._monotonic,
        )

    def _memories(self, now: float) -> dict[str, Memory]:
        """What points remember of the last run, by the steady clock."""
        if self._state is None:
            return {}
        ahead = self._clock() - now
        return {
            name: to_wall_clock(memory, -ahead) for name, memory in self._state.memories().items()
        }

    def _place(
        self, settings: PointSettings, old: LivePoint | None, memory: Memory | None, now: float
    ) -> None:
        if old is not None and old.settings == settings:
            self.points[settings.name] = old
            return
        if old is not None:
            memory = old.point.memory
        device = self._devices[settings.driver, settings.device]
        point = Point(
            settings.name,
            without_writing(settings.rules) if self.dry_run else settings.rules,
            [self._contacts[ven] for ven in settings.vens],
            now,
            memory=memory,
            random=self._random,
        )
        live = LivePoint(settings, point, device)
        self.points[settings.name] = live
        if settings.name in self._overrides.held:
            self._override_point(settings.name, self._overrides.held[settings.name])

    def _provide_device(self, settings: PointSettings, timeout: float) -> None:
        key = (settings.driver, settings.device)
        if key not in self._devices:
            title = device_text(settings.driver_name, settings.device)
            driver = settings.driver(settings.device)
            self._devices[key] = Device(
                title,
                driver,
                timeout,
                self._done,
                on_gone=self._device_gone,
                on_back=self._device_back,
                monotonic=self._monotonic,
            )

    async def _close_unused(self) -> None:
        used = {id(live.device) for live in self.points.values()}
        for key, device in list(self._devices.items()):
            if id(device) not in used:
                del self._devices[key]
                await device.close()

    async def _close(self) -> None:
        self._calm.end()
        await asyncio.gather(*(link.close() for link in self.links.values()))
        await asyncio.gather(*(device.close() for device in self._devices.values()))
        if self.records.journal is not None:
            self.records.flush()
            self.records.journal.close()
        for state in (self._state, self._log_state):
            if state is not None:
                state.close()

    # -- the loop ---------------------------------------------------------------------------------

    async def _turn(self) -> float:
        """Do what is due; seconds until something is due next."""
        wall, now = self._clock(), self._monotonic()
        self.turned_at = now
        self._mind_clock(wall, now)
        self._mind_events(wall)
        self._affected.update(self.planner.advance(wall))
        await self._move(wall, now)
        await self._look_at_due()
        self._overrides.look(self.points)
        self._tell_overrides()
        await self._keep_house(now)
        return self._pause()

    async def _move(self, wall: float, now: float) -> None:
        """Tell the points what is wanted of them; their writes go out meanwhile, slice by slice."""
        affected, self._affected = self._affected, {}
        self._rushing = len(affected) > _SLICE
        if self._rushing:
            self._calm.begin(_CALM)
        told, device = 0, None
        try:
            for name, wanted_at in affected.items():
                live = self.points.get(name)
                if live is None:
                    continue
                # What goes to one device goes together.
                if told >= _SLICE and (live.device is not device or told >= _LONGEST_SLICE):
                    await asyncio.sleep(0)
                    told = 0
                told += 1
                device = live.device
                if device.gone:
                    device.try_now()
                held = self._carry_out(live, live.point.want(now, self.planner.demand(name, wall)))
                # What is there already, or held back by a rule, is not late.
                live.wanted_at = None if held or live.point.settled else wanted_at
            for _ in range(_TURNS_TO_BEGIN if self._rushing else 1):
                await asyncio.sleep(0)
        finally:
            if self._rushing:
                self._rushing = False
                self._take_answers()

    def _mind_clock(self, wall: float, now: float) -> None:
        ahead = wall - now
        if abs(ahead - self._ahead) > _CLOCK_STEP:
            _log.warning("the clock was set by %+.1f s", ahead - self._ahead)
            for name in self.planner.step_clock(wall):
                self._affected[name] = None
            for link in self.links.values():
                link.clock_was_set()
            self._retry_store = -inf
        self._ahead = ahead

    def _mind_events(self, wall: float) -> None:
        for link in self.links.values():
            deadline = link.handler.next_deadline
            if deadline is None or deadline > wall or wall < self._retry_store:
                continue
            try:
                link.handler.advance(wall)
            except StoreError as error:
                self._retry_store = wall + _RETRY_STORE
                _log.error("events of VEN %s, trying again: %s", link.settings.name, error)
        for ven, link in self.links.items():
            if link.look_at_opts():
                self._changed_vens[ven] = None
        changed, self._changed_vens = self._changed_vens, {}
        for ven in changed:
            link_of = self.links.get(ven)
            if link_of is not None:
                states = link_of.handler.get_states(wall)
                for name in self.planner.update(ven, states, wall, link_of.opts):
                    self._affected[name] = None

    async def _look_at_due(self) -> None:
        looked = 0
        now = self._monotonic()
        while (live := self._agenda.take(now)) is not None:
            if self.points.get(live.settings.name) is not live:
                continue
            if live.point.deadline <= now:
                self._carry_out(live, live.point.look(now))
            elif live.point.deadline < inf:
                self._agenda.put(live)
            looked += 1
            if looked % _SLICE == 0:
                await asyncio.sleep(0)

    async def _keep_house(self, now: float) -> None:
        if self._systemd.watchdog is not None and now >= self._next_sign:
            self._next_sign = now + self._systemd.watchdog
            self._systemd.alive()
        keep, state = self.settings.audit_keep, self._log_state
        if keep is not None and state is not None and now >= self._next_prune:
            self._next_prune = now + _PRUNE_EVERY
            try:
                await asyncio.to_thread(state.prune, self._clock() - keep)
            except StoreError as error:
                _log.warning("the audit log was not shortened: %s", error)

    def _pause(self) -> float:
        if self._affected or self._changed_vens:
            return 0.0
        wall, now = self._clock(), self._monotonic()
        pause = min(LONGEST_SLEEP, self.planner.next_change - wall)
        for link in self.links.values():
            deadline = link.handler.next_deadline
            if deadline is not None:
                pause = min(pause, max(deadline, self._retry_store) - wall)
        pause = min(pause, self._agenda.next_due - now)
        return max(pause, 0.001)  # due but not done is rounding; never spin

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass  # the usual way to wake up

    # -- points and devices -----------------------------------------------------------------------

    def _carry_out(self, live: LivePoint, outputs: list[Output]) -> bool:
        """Do what the point asks for; whether a rule holds its write back."""
        held = False
        self.changes.note(live.settings.name)
        for output in outputs:
            if isinstance(output, Record):
                device = live.device
                self.records.keep(
                    live, output, of_device=device.gone != "" and device.shared_by > 1
                )
                held = held or output.kind == "waits"
                continue
            self.counts["writes" if isinstance(output, Write) else "reads"] += 1
            if self.dry_run and isinstance(output, Write):
                loop = asyncio.get_running_loop()
                loop.call_soon(self._done, live, output, None, "")
            else:
                live.device.put(live, live.settings.address, output)
        if live.point.deadline < live.due and self._agenda.put(live):
            self._wake.set()
        return held

    def _done(self, live: LivePoint, request: Request, value: float | None, problem: str) -> None:
        """A device is done with a request. In a rush of writes that is looked into afterwards."""
        if isinstance(request, Write) and live.wanted_at is not None and not problem:
            aim = live.point.aim
            if aim.value == request.value and aim.cause in ("event", "normal"):
                self.lateness.record(max(0, round((self._clock() - live.wanted_at) * 1e6)))
                live.wanted_at = None
        self._answers.append((live, request, value, problem))
        if not self._rushing and len(self._answers) == 1:
            asyncio.get_running_loop().call_soon(self._take_answers)

    def _take_answers(self) -> None:
        if self._rushing:
            return
        now = self._monotonic()
        taken, self._answers = self._answers[:_SLICE], self._answers[_SLICE:]
        for live, request, value, problem in taken:
            self._take_answer(now, live, request, value, problem)
        if self._answers:
            asyncio.get_running_loop().call_soon(self._take_answers)
            return
        back, self._back = self._back, []
        for live in back:
            if self.points.get(live.settings.name) is live:
                self._carry_out(live, live.point.try_again(now))

    def _take_answer(
        self, now: float, live: LivePoint, request: Request, value: float | None, problem: str
    ) -> None:
        if self.points.get(live.settings.name) is not live:
            return  # replaced by a reload, meanwhile
        if not live.heard:
            live.heard = True
            self._unheard -= 1
        if not problem:
            live.seen_at = self._clock()
        if problem:
            outputs = live.point.has_failed(now, problem)
        elif isinstance(request, Write):
            outputs = live.point.was_written(now)
        else:
            outputs = live.point.was_read(now, value)
        self._carry_out(live, outputs)

    def _device_gone(self, device: Device) -> None:
        if device.shared_by > 1:  # else what its point says is enough
            _log.warning(
                "%s (%d points, tried again until it answers)", device.gone, device.shared_by
            )

    def _device_back(self, device: Device, failed: Collection[LivePoint]) -> None:
        """These have been failed while it was gone; what the schedule wants of them now need not wait."""
        if device.shared_by > 1:
            _log.warning("%s: answers again (%d points)", device.key, device.shared_by)
        self._back += failed

    # -- what VENs tell ---------------------------------------------------------------------------

    def _changed(self, ven: str) -> None:
        self._changed_vens[ven] = None
        self._wake.set()

    def _heard(self, ven: str) -> None:
        """The VTN speaks; points that had given it up are to follow it again."""
        for live in self._failsafe:
            if live.point.silent and ven in live.settings.vens:
                self._affected[live.settings.name] = None
        if self._affected:
            self._wake.set()

    # -- overrides --------------------------------------------------------------------------------

    def _override_point(self, name: str, stored: StoredOverride | None) -> None:
        """Have a point do what a person asks; None: what its events want."""
        live = self.points.get(name)
        if live is None:
            return
        now, override = self._monotonic(), None
        if stored is not None:
            override = Override(stored.value, now + stored.until - self._clock(), stored.by)
        live.device.try_now()
        self._carry_out(live, live.point.set_override(now, override))

    def _tell_overrides(self) -> None:
        """Have VTNs know of the overrides that hold, where the file wants that."""
        overridden = {
            name: live.settings.names.resource_ids
            for name in self._overrides.held
            if (live := self.points.get(name)) is not None and live.point.override is not None
        }
        for name, link in self.links.items():
            events = self.planner.events.get(name, {}).values()
            link.tell_overrides(overridden, events, self._clock())
