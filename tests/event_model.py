"""A VEN's events as plain dictionaries: what facts.md 2.2 to 2.8 say, written to be read, not to be fast.

It shares nothing with the event table. Where the rules leave a number to chance (the random start,
the random end of a cancelled event) the model takes what the VEN drew, once, and holds it to the
bounds; everything else it works out by itself. Times are whole microseconds since 1970.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

MINUTE = 60_000_000
WEEK = 7 * 24 * 60 * MINUTE

Key = tuple[str, str]  # vtnID, eventID

# What may be wrong with an event, and the code of 2.0a and 2.0b for it (facts.md 2.7, 2.9).
NOT_FOR_US = {"target": (403, 462), "context": (405, 453), "signal": (460, 460), "type": (460, 460)}
WRONG_DATA = ("level", "sum", "dtstart", "no duration")
UNREADABLE = ("number", "status")


@dataclass(frozen=True)
class Sent:
    """One event as a VTN lists it. ``steps`` are (minutes, level); 0 minutes at the end: open."""

    name: str
    number: int
    status: str
    start: int
    steps: tuple[tuple[int, int], ...]
    startafter: int = 0  # minutes
    priority: int | None = None
    test: str | None = None
    required: bool = True
    wish: str | None = None  # the opt the application will ask for
    wrong: str | None = None

    @property
    def minutes(self) -> int:
        """The length; 0: open-ended (E42)."""
        return 0 if self.steps[-1][0] == 0 else sum(minutes for minutes, _ in self.steps)

    @property
    def is_test(self) -> bool:
        return self.test is not None and self.test.lower() != "false"


@dataclass
class Row:
    """One event held, or finished and still remembered."""

    sent: Sent
    known: int  # the highest number received
    opt: str
    order: int
    request_id: str
    offset: int = 0  # of the start, drawn
    terminate: int | None = None
    finished: bool = False

    @property
    def begin(self) -> int:
        return self.sent.start + self.offset

    @property
    def natural_end(self) -> int | None:
        return self.begin + self.sent.minutes * MINUTE if self.sent.minutes else None

    @property
    def end(self) -> int | None:
        return self.natural_end if self.terminate is None else self.terminate

    def runs(self, now: int) -> bool:
        return not self.finished and self.begin <= now and (self.end is None or now < self.end)

    def borders(self) -> list[int]:
        """Where the signal steps, the start left out and the end too."""
        found, at = [], self.begin
        for minutes, _ in self.sent.steps[:-1]:
            at += minutes * MINUTE
            found.append(at)
        return found

    def level(self, now: int) -> float:
        passed = sum(border <= now for border in self.borders())
        return float(self.sent.steps[passed][1])


@dataclass(frozen=True)
class Seen:
    """What the VEN shows of an event, for the numbers that are drawn."""

    phase: str
    start: int
    end: int | None


Look = Callable[[Key], Seen | None]
Answer = tuple[
    str, int | None, int, str, str
]  # id, number (None: unreadable), code, opt, requestID


@dataclass
class EventModel:
    """The VEN as facts.md describes it."""

    asks: bool = True  # there is an opt_callback
    default_opt: str = "optIn"
    implied_cancel: bool = True
    priority: str = "lower"
    run_test_events: bool = False
    contents: dict[Key, Row] = field(default_factory=dict)
    arrivals: int = 0
    happened: Counter[tuple[str, Key]] = field(default_factory=Counter)

    # -- time -------------------------------------------------------------------------------------

    def advance(self, now: int) -> None:
        for key, row in list(self.contents.items()):
            if row.finished:
                assert row.natural_end is not None
                if row.natural_end + WEEK <= now:  # E27: nothing is kept for ever
                    del self.contents[key]
                continue
            if row.end is not None and row.end <= now:
                if row.terminate is not None:
                    self.note("cancelled", key)
                    del self.contents[key]
                else:
                    self.note("completed", key)
                    row.finished = True

    def note(self, kind: str, key: Key) -> None:
        self.happened[kind, key] += 1

    # -- lists ------------------------------------------------------------------------------------

    def receive(
        self,
        vtn: str,
        request_id: str,
        events: list[Sent],
        now: int,
        profile: str,
        look: Look,
    ) -> list[Answer]:
        """One complete list of one VTN: the answers due, in the order of the list (E01-E05)."""
        self.advance(now)
        answers: list[Answer] = []
        listed: set[str] = set()
        trusted = True
        for sent in events:
            if sent.wrong == "id":
                trusted = False  # whose it is nobody knows: it may be any of those not listed
                continue
            if sent.name in listed:
                code, opt = 454, "optOut"
            else:
                listed.add(sent.name)
                code, opt = self.judge(
                    (vtn, sent.name), sent, request_id, now, profile == "2.0b", look
                )
            if sent.required:
                number = None if sent.wrong == "number" else sent.number
                answers.append((sent.name, number, code, opt, request_id))
        if self.implied_cancel and trusted:  # E22, E24
            for key in list(self.contents):
                if key[0] == vtn and key[1] not in listed:
                    self.cancel(key, now, look, "vanished")
        self.advance(now)
        return answers

    def judge(
        self,
        key: Key,
        sent: Sent,
        request_id: str,
        now: int,
        is_b: bool,
        look: Look,
    ) -> tuple[int, str]:
        """The table of facts.md 2.2, line by line: code and opt."""
        row = self.contents.get(key)
        if sent.wrong in UNREADABLE:
            return 454, "optOut"
        if row is not None:
            row.request_id = request_id  # refreshed on each receipt that can be read (2.3)
        if row is None:
            if sent.status == "cancelled":  # E19
                return 200, "optIn"
            if sent.status == "completed":
                return 200, "optOut"
            return self.add(key, sent, request_id, now, is_b, look)
        if sent.number < row.known:  # E16
            return 450, row.opt
        if sent.status == "cancelled":  # E18, E20
            row.known = sent.number
            self.cancel(key, now, look, "cancelled")
            return 200, "optIn"
        if sent.status == "completed":  # E26
            row.known = sent.number
            return 200, row.opt
        if sent.number == row.known == row.sent.number:  # E17
            if row.terminate is not None:  # it was cancelled and is wanted again
                row.terminate = None
                self.note("modified", key)
            return 200, row.opt
        return self.modify(key, row, sent, now, is_b, look)

    def refusal(self, sent: Sent, is_b: bool) -> tuple[int, str] | None:
        if sent.wrong in NOT_FOR_US:
            return NOT_FOR_US[sent.wrong][is_b], "optOut"
        if sent.wrong in WRONG_DATA:
            return 454, "optOut"
        return None

    def decide(self, sent: Sent, otherwise: str) -> str:
        return sent.wish if self.asks and sent.wish is not None else otherwise

    def add(
        self,
        key: Key,
        sent: Sent,
        request_id: str,
        now: int,
        is_b: bool,
        look: Look,
    ) -> tuple[int, str]:
        """E14, unless it is refused (E30, E35-E40)."""
        refused = self.refusal(sent, is_b)
        if refused:
            return refused
        length = sent.minutes * MINUTE
        latest = sent.start + sent.startafter * MINUTE + length
        if length and latest <= now:
            return 454, "optOut"
        row = Row(sent, sent.number, self.decide(sent, self.default_opt), 0, request_id)
        if sent.startafter:
            seen = look(key)
            if seen is None:
                # E30: it is over if the start was drawn so.
                assert length, f"{key} has no end and was not taken in"
                assert sent.start + length <= now, f"{key} was not taken in"
                return 454, "optOut"
            row.offset = drawn_offset(sent, seen)
        self.arrivals += 1
        row.order = self.arrivals
        self.contents[key] = row
        self.note("new", key)
        return 200, row.opt

    def modify(
        self, key: Key, row: Row, sent: Sent, now: int, is_b: bool, look: Look
    ) -> tuple[int, str]:
        """E15 with R03: another version of an event that is known."""
        refused = self.refusal(sent, is_b)
        if refused:
            if sent.wrong in NOT_FOR_US:  # as if it were no longer listed
                self.cancel(key, now, look, "vanished")
            return refused
        changed = replace(row, sent=sent, known=sent.number, terminate=None)
        if sent.startafter != row.sent.startafter:
            changed.offset = 0
            if sent.startafter:
                seen = look(key)
                if seen is None:  # over for so long that it is forgotten already
                    assert sent.minutes, f"{key} has no end and was lost"
                    assert sent.start + sent.minutes * MINUTE + WEEK <= now, f"{key} was lost"
                elif row.finished and seen.phase == "finished":  # over as well, if drawn so
                    assert sent.minutes, f"{key} has no end"
                    assert sent.start + sent.minutes * MINUTE <= now, f"{key} is not over"
                    row.known = sent.number
                    return 200, row.opt
                else:
                    changed.offset = drawn_offset(sent, seen)
        over = changed.natural_end is not None and changed.natural_end <= now
        if row.finished and over:  # nothing to tell the application, nothing to ask it
            row.known = sent.number
            return 200, row.opt
        changed.opt = self.decide(sent, row.opt)
        changed.finished = over
        self.contents[key] = changed
        self.note("modified", key)
        if over:
            self.note("completed", key)
        return 200, changed.opt

    def cancel(self, key: Key, now: int, look: Look, kind: str) -> None:
        """E18, E22; R04 when it runs."""
        row = self.contents[key]
        if row.terminate is not None:
            return
        if row.finished or not (row.sent.startafter and row.opt == "optIn" and row.runs(now)):
            if not row.finished:
                self.note(kind, key)
            del self.contents[key]
            return
        seen = look(key)
        assert seen is not None, f"{key} runs and had to end at a random time"
        assert seen.phase == "ending", f"{key} is {seen.phase}"
        assert seen.end is not None
        last = now + row.sent.startafter * MINUTE
        if row.natural_end is not None:
            last = min(last, row.natural_end)
        assert now <= seen.end <= last, f"{key} ends at {seen.end}, not in {now}..{last}"
        row.terminate = seen.end
        self.note("modified", key)

    # -- the application --------------------------------------------------------------------------

    def held(self) -> dict[Key, Row]:
        return {key: row for key, row in self.contents.items() if not row.finished}

    def set_opt(self, key: Key, opt: str) -> Answer:
        row = self.contents[key]
        if row.opt != opt:
            self.note("opt", key)
        row.opt = opt
        return key[1], row.known, 200, opt, row.request_id  # E11

    def remove(self, name: str) -> None:
        for key in [key for key in self.contents if key[1] == name]:
            if not self.contents[key].finished:
                self.note("removed", key)
            del self.contents[key]

    # -- what holds now ---------------------------------------------------------------------------

    def phase(self, row: Row, now: int) -> str:
        if row.terminate is not None:
            return "ending"
        return "running" if row.begin <= now else "pending"

    def level(self, now: int) -> tuple[float, str | None]:
        """E43-E46."""

        def rank(row: Row) -> tuple[Any, ...]:
            first = (row.begin, row.order)  # activated first
            number = row.sent.priority or 0
            if self.priority == "higher":
                return (-number, *first)
            if self.priority == "lower":
                return (number or float("inf"), *first)
            return (-row.level(now), *first)  # 2.7, last line

        running = [
            (*rank(row), row.level(now), key[1])
            for key, row in self.held().items()
            if row.runs(now)
            and row.opt == "optIn"
            and (self.run_test_events or not row.sent.is_test)
        ]
        return min(running)[-2:] if running else (0.0, None)

    def deadline(self, now: int) -> int | None:
        """The next moment at which something happens by itself."""
        moments: list[int] = []
        for row in self.contents.values():
            if row.finished:
                assert row.natural_end is not None
                moments.append(row.natural_end + WEEK)
                continue
            end = row.end
            moments += [row.begin, *([] if end is None else [end])]
            if row.opt == "optIn":  # who is out has no level to change
                moments += [at for at in row.borders() if end is None or at < end]
        return min((at for at in moments if at > now), default=None)


def drawn_offset(sent: Sent, seen: Seen) -> int:
    """R01: what was drawn, held to its bounds."""
    offset = seen.start - sent.start
    assert 0 <= offset <= sent.startafter * MINUTE, f"{sent.name} starts {offset} us late"
    return offset
