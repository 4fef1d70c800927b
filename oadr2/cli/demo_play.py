"""The demo itself: a simulated VTN, its VEN, and a record of what both of them did."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from oadr2.cli.demo_ways import HTTP, Connected, Way
from oadr2.cli.event_text import interval_starts, iso_time, level_text, moment_at
from oadr2.cli.live_view import Entry, Picture, Step, add_entry
from oadr2.cli.message_view import level_style
from oadr2.cli.vtn_services import told_fields
from oadr2.control import EventController
from oadr2.event import EventHandler
from oadr2.model import CreatedEvent
from oadr2.sim import SimulatedVtn, VtnServices
from oadr2.sim.exchange import Exchange
from oadr2.sim.services import Told

VEN_ID: Final = "demo-ven"
EVENT_ID: Final = "demo-event"
LEVELS: Final = (1.0, 2.0, 3.0)
# A change is on time when it comes within this many seconds.
ON_TIME: Final = 0.5
_FRAMES_PER_SECOND: Final = 10


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each part of the demo lasts, in seconds."""

    before_offer: float
    notice: float
    step: int
    after: float
    poll_interval: float


NORMAL: Final = Timing(before_offer=2.5, notice=5.5, step=5, after=2.5, poll_interval=1.0)
FAST: Final = Timing(before_offer=0.4, notice=1.2, step=1, after=0.5, poll_interval=0.25)


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A change of level: when it was due and when it came (None: never)."""

    due: float
    previous: float
    level: float
    came: float | None

    @property
    def late(self) -> float | None:
        """Seconds."""
        return None if self.came is None else self.came - self.due

    @property
    def on_time(self) -> bool:
        # The clock may be set by a hair between two readings, hence a little below zero.
        return self.late is not None and -0.05 <= self.late <= ON_TIME


class Demo:
    """The parties of the demo and what happened so far."""

    def __init__(self, timing: Timing, way: Way = HTTP) -> None:
        self.timing = timing
        self.way = way
        self.log: list[Entry] = []
        self.level = 0.0
        self.on_entry: Callable[[Entry], None] | None = None
        self.opt_type: str | None = None
        self.response_code: int | None = None
        self.messages = 0
        self._came: list[tuple[float, float, float]] = []
        self._begin = 0.0
        self._start = 0.0
        # (from when, level), once the VEN has the event.
        self._known: list[tuple[float, float]] = []
        self._last_answered: set[tuple[str, int]] = set()
        self._lock = threading.Lock()  # the controller and the VTN speak from threads of their own

    @property
    def end(self) -> float:
        """When the event is over."""
        return self._start + self.timing.step * len(LEVELS)

    async def play(self, draw: Callable[[Picture], None]) -> None:
        """Let it all happen; ``draw`` is called for every frame."""

        vtn = SimulatedVtn("demo-vtn", profile=self.way.profile)
        vtn.on_message = self._heard
        handler = EventHandler(VEN_ID, oadr_profile_level=self.way.profile)
        connected = self.way.connect(vtn, handler, VEN_ID, self.timing.poll_interval, self._failed)
        try:
            async with connected as parties:
                if parties.services is not None:
                    self._listen(parties.services)
                self._begin = time.time()
                self._start = self._begin + self.timing.before_offer + self.timing.notice
                controller = EventController(handler, signal_changed_callback=self._level_changed)
                talking = asyncio.create_task(parties.client.run())
                try:
                    await self._watch(vtn, handler, parties, draw)
                finally:
                    controller.exit()
            await talking
        finally:
            handler.close()

    async def _watch(
        self,
        vtn: SimulatedVtn,
        handler: EventHandler,
        parties: Connected,
        draw: Callable[[Picture], None],
    ) -> None:
        offered = False
        while (now := time.time()) < self.end + self.timing.after:
            if not offered and now >= self._begin + self.timing.before_offer:
                self._offer(vtn)
                await parties.push()
                offered = True
            draw(self._picture(handler, now))
            await asyncio.sleep(1 / _FRAMES_PER_SECOND)

    def _offer(self, vtn: SimulatedVtn) -> None:
        vtn.add_event(
            EVENT_ID,
            start=moment_at(self._start),
            levels=[(self.timing.step, level) for level in LEVELS],
            vtn_comment="a short summer peak",
        )
        words = ", ".join(level_text(level) for level in LEVELS)
        self._note("VTN", f"has a new event: {words}")

    # What the parties report, from their own threads.

    def _listen(self, services: VtnServices) -> None:
        """Note what the VEN says to the services of 2.0b."""

        def told(told: Told) -> None:
            self.messages += 2
            fields = told_fields(told, services)
            if fields is not None:
                text = str(fields["text"]).removeprefix(f"{told.ven_id} ")
                self._note("VEN", text, f"VTN: {told.code} {told.problem or 'OK'}")

        services.on_message = told

    def _heard(self, exchange: Exchange) -> None:
        self.messages += 2
        if isinstance(exchange.request, CreatedEvent):
            self._answered(exchange)
            return
        listed = {(event.event_id, event.modification_number) for event in exchange.events}
        # The VEN answers at every poll as long as the VTN wants an answer (facts.md H12, H62).
        again = bool(listed) and listed == self._last_answered
        events = ", ".join(f"{event.event_id}, {event.status}" for event in exchange.events)
        self._note(
            "VEN",
            "asks again, answers the same" if again else "asks: any events?",
            f"VTN: {events or 'none'}",
        )

    def _answered(self, exchange: Exchange) -> None:
        answers = {(answer.event_id, answer.modification_number) for answer in exchange.answers}
        for answer in exchange.answers:
            self.opt_type, self.response_code = answer.opt_type, exchange.response_code
        if answers == self._last_answered:
            return
        self._last_answered = answers
        words = ", ".join(f"{answer.opt_type} to {answer.event_id}" for answer in exchange.answers)
        ok = exchange.response_code == 200
        self._note("VEN", f"answers: {words}", f"VTN: {'200 OK' if ok else exchange.problem}")

    def _failed(self, error: Exception) -> None:
        self._note("VEN", f"could not reach the VTN: {error}", style="red")

    def _level_changed(self, previous: float | None, level: float | None) -> None:
        now = time.time()
        self._came.append((now, previous or 0.0, level or 0.0))
        self.level = level or 0.0
        due = self._start + self.timing.step * (len(self._came) - 1)
        self._note(
            "VEN",
            f"sets the load to {level_text(self.level)}",
            f"{(now - due) * 1000:.1f} ms after it was due",
            style=f"bold {level_style(self.level)}",
        )

    def _note(self, who: str, text: str, reply: str = "", style: str = "") -> None:
        entry = Entry(time.time(), who, text, reply, style=style)
        with self._lock:
            if add_entry(self.log, entry) and self.on_entry is not None:
                self.on_entry(entry)

    # What it looks like.

    def _picture(self, handler: EventHandler, now: float) -> Picture:
        with self._lock:
            log = tuple(self.log)
        return Picture(
            now=now,
            headline=self._headline(handler, now),
            level=self.level,
            steps=self._steps(handler),
            log=log,
            title=self.way.title,
        )

    def _headline(self, handler: EventHandler, now: float) -> str:
        if now >= self.end:
            return "The event is over. The load is back to normal."
        if now >= self._start:
            step = int((now - self._start) // self.timing.step)
            return (
                f"The event is running, step {step + 1} of {len(LEVELS)}:"
                f" the load is asked to go to {level_text(LEVELS[step])}."
            )
        if self.opt_type is not None:
            return "The VTN announced an event. The VEN took it, said yes, and waits for its start."
        if now >= self._begin + self.timing.before_offer:
            return self.way.offered
        return self.way.waiting

    def _steps(self, handler: EventHandler) -> list[Step]:
        """The level over time as the VEN itself knows it; flat until it knows of the event."""
        first, last = self._begin, self.end + self.timing.after
        event = handler.get_event(EVENT_ID)
        if event is None and not self._known:
            return [Step(first, last, 0.0)]
        if event is not None:
            signal = event.signals[0]
            starts = [
                (start.timestamp(), interval.value or 0.0)
                for interval, start in interval_starts(event.dtstart, signal.intervals)
                if start is not None
            ]
            self._known = [(first, 0.0), *starts, (self.end, 0.0)]
        ends = [at for at, _ in self._known[1:]] + [last]
        return [Step(at, end, level) for (at, level), end in zip(self._known, ends, strict=True)]

    # What came of it.

    def changes(self) -> list[LevelChange]:
        """Each change that was due, in order, with the time it came."""
        due = [self._start + self.timing.step * index for index in range(len(LEVELS) + 1)]
        levels = (0.0, *LEVELS, 0.0)
        came = list(self._came)
        result = []
        for index, at in enumerate(due):
            previous, level = levels[index], levels[index + 1]
            match = came[index] if index < len(came) else None
            fits = match is not None and match[1:] == (previous, level)
            result.append(LevelChange(at, previous, level, match[0] if match and fits else None))
        return result

    def succeeded(self) -> bool:
        """Taken, answered, and every change on time and none besides."""
        changes = self.changes()
        return (
            self.opt_type == "optIn"
            and self.response_code == 200
            and len(self._came) == len(changes)
            and all(change.on_time for change in changes)
        )

    def summary(self) -> dict[str, object]:
        """What happened, for programs."""
        return {
            "event_id": EVENT_ID,
            "opt_type": self.opt_type,
            "response_code": self.response_code,
            "messages": self.messages,
            "changes": [
                {
                    "due": iso_time(moment_at(change.due), timespec="milliseconds"),
                    "previous": change.previous,
                    "level": change.level,
                    "late_ms": None if change.late is None else round(change.late * 1000, 1),
                    "on_time": change.on_time,
                }
                for change in self.changes()
            ],
            "succeeded": self.succeeded(),
        }
