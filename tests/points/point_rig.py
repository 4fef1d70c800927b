"""A point with a device and a clock of its own: what it does is seen from the outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from oadr2.points.point import (
    Contact,
    Demand,
    Memory,
    Output,
    Override,
    Point,
    Read,
    Record,
    Write,
)
from oadr2.points.rules import RELEASED, PointRules, Setting


def demand(value: Setting, event_id: str = "peak") -> Demand:
    return Demand(value, "vtn", event_id, "SIMPLE 1")


@dataclass
class FakeDevice:
    """Has one register. ``lies`` accepts writes and ignores them, ``fails`` answers nothing."""

    value: float | None = 100.0
    lies: bool = False
    fails: bool = False
    refuses_writes: bool = False
    latency: float = 0.0
    turned: list[tuple[float, float | None]] = field(default_factory=list)

    def set(self, now: float, value: float | None) -> None:
        if value != self.value:
            self.turned.append((now, value))
        self.value = value


class PointRig:
    """Runs a point from deadline to deadline; its clock only goes where it is told to."""

    def __init__(
        self,
        rules: PointRules,
        device: FakeDevice | None = None,
        *,
        memory: Memory | None = None,
        random: Callable[[], float] = lambda: 0.5,
        now: float = 1000.0,
    ) -> None:
        self.now = now
        self.device = device or FakeDevice()
        self.contact = Contact(now)
        self.writes: list[tuple[float, Setting]] = []
        self.reads: list[float] = []
        self.records: list[tuple[float, Record]] = []
        self.point = Point("load", rules, [self.contact], now, memory=memory, random=random)
        self._pending: tuple[float, Write | Read] | None = None

    # -- what happens ---------------------------------------------------------

    def want(self, wanted: Demand | None) -> None:
        self._take(self.point.want(self.now, wanted))
        self._settle()

    def override(self, value: Setting | None, seconds: float = 0.0) -> None:
        order = None if value is None else Override(value, self.now + seconds, "eve")
        self._take(self.point.set_override(self.now, order))
        self._settle()

    def hear(self) -> None:
        """The VTN was heard of."""
        self.contact.heard_at = self.now
        self._take(self.point.look(self.now))
        self._settle()

    def run_for(self, seconds: float, hear_every: float | None = None) -> None:
        """Let time pass, waking the point at its deadlines only."""
        end = self.now + seconds
        next_word = self.now if hear_every is not None else float("inf")
        for _ in range(100_000):
            due = min(self.point.deadline, next_word)
            if self._pending is not None:
                due = min(due, self._pending[0])
            if due > end:
                break
            self.now = max(self.now, due)
            if self.now >= next_word:
                self.contact.heard_at = self.now
                next_word = self.now + (hear_every or 0.0)
            self._settle()
            self._take(self.point.look(self.now))
            self._settle()
        else:
            raise AssertionError("the point spins: it is due all the time and does nothing")
        self.now = end

    def restart(self, device: FakeDevice | None = None) -> PointRig:
        """The process is killed and starts anew, now."""
        rig = PointRig(
            self.point.rules, device or self.device, memory=self.point.memory, now=self.now
        )
        rig.contact.heard_at = self.now
        return rig

    # -- what was seen --------------------------------------------------------

    @property
    def values(self) -> list[Setting]:
        return [value for _, value in self.writes]

    def kinds(self) -> list[str]:
        return [record.kind for _, record in self.records]

    def story(self, kind: str) -> list[Record]:
        return [record for _, record in self.records if record.kind == kind]

    # -- the device's side ----------------------------------------------------

    def _take(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, Record):
                self.records.append((self.now, output))
                continue
            assert self._pending is None, "two requests at a time"
            if isinstance(output, Write):
                self.writes.append((self.now, output.value))
            else:
                self.reads.append(self.now)
            self._pending = (self.now + self.device.latency, output)

    def _settle(self) -> None:
        while self._pending is not None and self._pending[0] <= self.now:
            request = self._pending[1]
            self._pending = None
            self._take(self._answer(request))

    def _answer(self, request: Write | Read) -> list[Output]:
        device, point = self.device, self.point
        if device.fails or (device.refuses_writes and isinstance(request, Write)):
            return point.has_failed(self.now, "fake device: no answer")
        if isinstance(request, Write):
            if not device.lies:
                value = request.value
                device.set(self.now, None if value is RELEASED else float(value))  # type: ignore[arg-type]
            return point.was_written(self.now)
        return point.was_read(self.now, device.value)
