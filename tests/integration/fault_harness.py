"""Kills a polling VEN process again and again while the VTN adds, modifies and cancels events.

After each kill the VEN's file is held against what the VTN knows: no acknowledged event may be
lost, none invented, no answer forgotten, no random offset drawn again. ``make faults N=200`` runs
it by hand; ``OADR2_FAULT_KILLS`` and ``OADR2_FAULT_SEED`` set the same for pytest.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oadr2_program import PATIENCE, Program, poll_program

import oadr2
from oadr2.errors import LocalProtocolError
from oadr2.model import CreatedEvent, DistributeEvent, Event
from oadr2.sim import SimulatedVtn, VtnServer
from oadr2.sim.exchange import Exchange
from oadr2.store import EventStore, StoredEvent

VEN_ID = "ven-1"
_MOST_EVENTS = 25
# An event this close to its end may be over or not, depending on who looks when.
_MARGIN = timedelta(seconds=2)


def number_of_kills(default: int) -> int:
    """From ``OADR2_FAULT_KILLS``."""
    return int(os.environ.get("OADR2_FAULT_KILLS") or default)


def fault_seed() -> int:
    """From ``OADR2_FAULT_SEED``."""
    return int(os.environ.get("OADR2_FAULT_SEED") or 1)


@dataclass
class Sent:
    """What the VTN knows of one event it has listed."""

    start: datetime
    length: timedelta
    startafter: timedelta
    level: float
    priority: int
    number: int = 0
    gone: str = ""  # "cancelled" or "removed"
    # From the answers that came in.
    acknowledged: int = -1
    opts: set[str] = field(default_factory=set)
    # From the VEN's file.
    offset: timedelta | None = None
    dropped: bool = False

    def surely_runs_until(self) -> datetime:
        return self.start + (self.offset or timedelta()) + self.length


class FaultHarness:
    """One VEN's file, one VTN, many short-lived VEN processes."""

    def __init__(self, db: Path, seed: int) -> None:
        self.db = db
        self.vtn = SimulatedVtn(keep_answers=1)
        self.vtn.on_message = self._heard
        self.sent: dict[str, Sent] = {}
        self.problems: list[str] = []
        self.restored = 0
        self.kills = 0
        self._random = random.Random(seed)
        self._named = 0
        self._ven: Program | None = None
        self._victim = 0
        self._kill_at: tuple[str, int] | None = None  # "poll" or "answer", how many still to come

    def run(self, kills: int, tell: Callable[[str], object] | None = None) -> dict[str, Any]:
        """Kill the VEN so often, then let it live until it agrees with the VTN."""
        with VtnServer(self.vtn) as server:
            for number in range(kills):
                self._one_life(server, number)
                if tell is not None and (number + 1) % 10 == 0:
                    tell(f"{number + 1} kills, {len(self.problems)} problems")
            self._settle(server)
        self._check_level(server.url)
        return {
            "kills": self.kills,
            "events": len(self.sent),
            "acknowledged": sum(event.acknowledged >= 0 for event in self.sent.values()),
            "restored": self.restored,
            "problems": self.problems,
        }

    # -- one life of the VEN -----------------------------------------------------------------------

    def _one_life(self, server: VtnServer, number: int) -> None:
        before = self._stored()
        outage = number > 0 and self._random.random() < 0.2
        if outage:
            server.stop()
        moment = self._random.choice(("time", "poll", "answer", "answer"))
        if not outage and moment != "time":
            self._kill_at = (moment, self._random.randint(1, 6))
        # The default changes from life to life; what was answered once must not.
        ven = poll_program(
            server.url,
            *("--db", str(self.db)),
            *("--opt", self._random.choice(("optIn", "optIn", "optOut"))),
            ven_id=VEN_ID,
        )
        with ven:
            self._ven, self._victim = ven, ven.pid
            if outage or moment == "time":
                self._live_until(ven, time.monotonic() + self._random.uniform(0.0, 1.2))
            else:
                self._live_until(ven, time.monotonic() + PATIENCE)
                if self._kill_at is not None:
                    self._problem(f"nothing to kill it at came: {ven.output[-500:]} {ven.errors}")
            self._kill_at = None
            ven.kill()
            self.kills += 1
            if "Traceback" in ven.errors:
                self._problem(f"traceback: {ven.errors}")
        if outage:
            server.start()
        self._check_restored(ven, before)
        self._check_file(self._stored(), datetime.now(UTC))

    def _live_until(self, ven: Program, end: float) -> None:
        """Be a busy VTN until then, or until the VEN has been killed."""
        while (left := end - time.monotonic()) > 0 and ven.process.poll() is None:
            self._do_something()
            pause = self._random.uniform(0.0, 0.08)
            self.vtn.wait_for(lambda: ven.process.poll() is not None, min(pause, left))

    def _heard(self, exchange: Exchange) -> None:
        """On the VTN's thread: note the answers, and kill in the middle of the conversation."""
        for answer in exchange.answers:
            event = self.sent.get(answer.event_id)
            if event is None or answer.problem:
                self._problem(f"answer to {answer.event_id}: {answer.problem or 'never listed'}")
            elif answer.response_code == 200:
                event.acknowledged = max(event.acknowledged, answer.modification_number)
                # The answer to a cancellation confirms it and is no opt (facts.md H36).
                if not (event.gone == "cancelled" and answer.modification_number >= event.number):
                    event.opts.add(answer.opt_type)
            else:
                self._problem(f"{answer.event_id} answered with {answer.response_code}")
        if self._kill_at is None:
            return
        kind, count = self._kill_at
        if kind == ("answer" if isinstance(exchange.request, CreatedEvent) else "poll"):
            self._kill_at = (kind, count - 1) if count > 1 else None
            if count == 1:
                os.kill(self._victim, signal.SIGKILL)

    # -- what the VTN does -------------------------------------------------------------------------

    def _do_something(self) -> None:
        listed = [name for name, event in self.sent.items() if not event.gone]
        full = len(self.vtn.events) >= _MOST_EVENTS
        what = self._random.choice(("add", "add", "modify", "modify", "cancel", "remove"))
        if what == "add" and full:
            what = "cancel"
        if what == "add" or not listed:
            self._add()
            return
        name = self._random.choice(listed)
        event = self.sent[name]
        try:
            if what == "modify":
                level = float(self._random.randint(1, 3))
                self.vtn.modify_event(
                    name, level=level, vtn_comment=f"{name}, version {event.number + 1}"
                )
                event.number, event.level = event.number + 1, level
            elif what == "cancel":
                # Before the VTN says so, for its answer may come before this thread goes on.
                event.gone, event.number = "cancelled", event.number + 1
                self.vtn.cancel_event(name)
            else:
                event.gone = "removed"
                self.vtn.remove_event(name)
        except LocalProtocolError:  # it is over
            event.gone = event.gone or "removed"

    def _add(self) -> None:
        self._named += 1
        name = f"event-{self._named}"
        event = Sent(
            start=datetime.now(UTC) + timedelta(seconds=self._random.uniform(-300, 300)),
            length=timedelta(seconds=self._random.choice((2, 303, 900, 3600))),
            startafter=timedelta(seconds=self._random.choice((0, 0, 2, 300))),
            level=float(self._random.randint(1, 3)),
            priority=self._named,
        )
        if event.start + event.length < datetime.now(UTC):
            return  # over before it began: refused, and rightly so
        self.sent[name] = event
        self.vtn.add_event(
            name,
            start=event.start,
            duration=event.length,
            startafter=event.startafter or None,
            level=event.level,
            priority=event.priority,
            vtn_comment=f"{name}, version 0",
        )

    # -- what must hold ----------------------------------------------------------------------------

    def _stored(self) -> dict[str, StoredEvent]:
        if not self.db.exists():
            return {}
        store = EventStore(self.db)
        try:
            return {row.event_id: row for row in store.load(VEN_ID)}
        finally:
            store.close()

    def _problem(self, text: str) -> None:
        self.problems.append(f"kill {self.kills}: {text}")

    def _check_file(self, stored: dict[str, StoredEvent], now: datetime) -> None:
        for name, row in stored.items():
            if name in self.sent:
                self._check_row(name, row, self.sent[name])
            else:
                self._problem(f"{name} is invented")
        for name, event in self.sent.items():
            stored_row = stored.get(name)
            if len(event.opts) > 1:
                self._problem(f"{name} was answered with both opts")
                event.opts.clear()
            held = stored_row is not None and stored_row.phase == "held"
            if event.acknowledged < 0:
                continue
            if not event.gone:
                if not held and now < event.surely_runs_until() - _MARGIN:
                    self._problem(f"{name}/{event.acknowledged} was acknowledged and is lost")
            elif event.gone == "cancelled" and event.acknowledged >= event.number and held:
                self._problem(f"{name}/{event.number} is cancelled, acknowledged, and still held")
            if event.gone and not held:
                event.dropped = True
            elif event.dropped and held:
                self._problem(f"{name} was dropped and came back")
            if stored_row is not None and stored_row.modification_number < event.acknowledged:
                self._problem(
                    f"{name}: {event.acknowledged} was acknowledged, "
                    f"{stored_row.modification_number} is stored"
                )

    def _check_row(self, name: str, row: StoredEvent, event: Sent) -> None:
        if row.modification_number > event.number:
            self._problem(f"{name}/{row.modification_number} was never listed")
        kept = _kept(row)
        if row.phase == "held" and (kept.modification_number, kept.vtn_comment) != (
            row.modification_number,
            f"{name}, version {row.modification_number}",
        ):
            self._problem(f"{name}/{row.modification_number} holds {kept.vtn_comment!r}")
        offset = timedelta(microseconds=row.start_offset_us)
        if not timedelta() <= offset <= event.startafter:
            self._problem(f"{name}: offset {offset} is outside {event.startafter}")
        if event.offset not in (None, offset):
            self._problem(f"{name}: offset {event.offset} was drawn again, now {offset}")
        event.offset = offset
        if row.phase == "held":
            event.opts.add(row.opt_type)

    def _check_restored(self, ven: Program, before: dict[str, StoredEvent]) -> None:
        """What a VEN said it holds at its start, before any word from the VTN."""
        starts = ven.records(kind="start")
        if not starts:
            return  # it was killed before it could say
        held = {line["event_id"]: line for line in ven.records(kind="event", change="held")}
        if len(held) != starts[0]["held"]:
            return  # killed while it was saying
        self.restored += len(held)
        now = datetime.fromisoformat(starts[0]["at"])
        for name, line in held.items():
            row, event = before.get(name), self.sent.get(name)
            if row is None or event is None:
                self._problem(f"{name} is held after a restart and was not before")
                continue
            offset = timedelta(microseconds=row.start_offset_us)
            # Of an event that is ending the number is the cancellation's; the version before it
            # runs on, and is what the VEN shows.
            number = _kept(row).modification_number
            told = (line["modification_number"], line["opt_type"])
            if told != (number, row.opt_type):
                self._problem(f"{name}/{number} came back as {told}")
            if datetime.fromisoformat(line["start"]) != event.start + offset:
                self._problem(f"{name} came back with start {line['start']}")
        for name in before.keys() - held.keys():
            event = self.sent[name]
            if before[name].phase == "held" and now < event.surely_runs_until() - _MARGIN:
                self._problem(f"{name} was in the file and is not held after a restart")

    # -- the end -----------------------------------------------------------------------------------

    def _settle(self, server: VtnServer) -> None:
        """Without further changes the VEN and the VTN must come to agree on everything."""
        with poll_program(server.url, "--db", str(self.db), ven_id=VEN_ID) as ven:
            polls = self.vtn.polls[VEN_ID]

            def settled() -> bool:
                wanted = {event.event_id for event in self.vtn.events}
                return self.vtn.polls[VEN_ID] >= polls + 3 and all(
                    event.acknowledged == event.number
                    for name, event in self.sent.items()
                    if name in wanted
                )

            if not self.vtn.wait_for(settled, PATIENCE):
                self._problem("not every event was answered in the end")
            ven.send(signal.SIGTERM)
            if ven.wait() != 0 or ven.errors:
                self._problem(f"ended with {ven.process.returncode}: {ven.errors}")
        now = datetime.now(UTC)
        stored = self._stored()
        self._check_file(stored, now)
        for name, row in stored.items():
            event = self.sent.get(name)
            over = event is not None and now >= event.surely_runs_until() - _MARGIN
            if event is not None and event.gone and row.phase == "held" and not over:
                self._problem(f"{name} is {event.gone} and still held in the end")

    def _check_level(self, url: str) -> None:
        """Started again with nobody to ask, the VEN must follow the events in its file."""
        stored = self._stored()
        with poll_program(url, "--db", str(self.db), ven_id=VEN_ID) as ven:
            try:
                ven.wait_for(lambda: _level_told(ven) == _level(stored), "the right level")
            except AssertionError as error:
                self._problem(f"level {_level(stored)} expected: {str(error)[-2000:]}")
            ven.kill()


def _kept(row: StoredEvent) -> Event:
    message = oadr2.decode(row.raw)
    assert isinstance(message, DistributeEvent)
    (event,) = message.events
    return event


def _level_told(ven: Program) -> float:
    signals = ven.records(kind="signal")
    return float(signals[-1]["level"]) if signals else 0.0


def _level(stored: dict[str, StoredEvent]) -> float:
    """The level that follows from a file: lower priority number wins, none is the same twice."""
    now = datetime.now(UTC)
    running = []
    for row in stored.values():
        event = _kept(row)
        assert event.dtstart is not None
        assert event.duration is not None
        start = event.dtstart + timedelta(microseconds=row.start_offset_us)
        end = start + event.duration
        if row.terminate_at_us is not None:
            end = min(end, datetime.fromtimestamp(row.terminate_at_us / 1e6, UTC))
        if row.opt_type == "optIn" and row.phase != "finished" and start <= now < end:
            running.append((event.priority or 0, event.signals[0].intervals[0].value or 0.0))
    return min(running)[1] if running else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kills", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=None, help="default: a fresh one, printed")
    args = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 32) if args.seed is None else args.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        harness = FaultHarness(Path(folder) / "ven.db", seed)
        report = harness.run(args.kills, lambda text: print(text, flush=True))
    problems = report.pop("problems")
    print(*(f"{name}: {value}" for name, value in report.items()), sep=", ")
    print(*problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
