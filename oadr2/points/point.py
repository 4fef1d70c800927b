"""One load and its safety, without I/O: :class:`Point`.

What happened goes in, with the time as an argument; what is to be done comes out as
:class:`Write`, :class:`Read` and :class:`Record`, and :attr:`Point.deadline` says when to call
:meth:`Point.look` at the latest. At most one write or read is under way at a time: the next comes
out only after :meth:`Point.was_written`, :meth:`Point.was_read` or :meth:`Point.has_failed` told of
the last one.

Times are seconds of a clock that is never set (``time.monotonic``), so a stepped wall clock
neither stretches nor cuts a protection time. What depends on the wall clock, the schedule, comes in as a
:class:`Demand`.
"""

from __future__ import annotations

import random as random_module
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Final

from oadr2.errors import LocalProtocolError
from oadr2.points.rules import PointRules, Released, Setting
from oadr2.points.spoken import (
    Aim,
    Cause,
    Contact,
    Demand,
    Kind,
    Memory,
    Output,
    Override,
    Read,
    Record,
    Write,
)

__all__ = [
    "Aim",
    "Cause",
    "Contact",
    "Demand",
    "Kind",
    "Memory",
    "Output",
    "Override",
    "Point",
    "Read",
    "Record",
    "Write",
]

_MINUTE: Final = 60.0
_NOTHING: Final = "nothing is wanted"
_DEMAND_RESPONSE: Final = frozenset({"event", "failsafe"})
_READ: Final = Read()


class Point:
    """The state machine of one load.

    Nothing is written before the device's true state was read: after the start, and again after
    every failure. A value that is already there is not written again. A point under control is put
    back when somebody else changes it; one at normal belongs to its owner and is left alone.

    Args:
        name: of the point.
        rules: its safety.
        contacts: the VTNs it listens to; with none, it never finds them silent.
        now: the time it begins.
        memory: from the last run, its times converted to this clock.
        random: a number from 0 to 1, for the return to normal and for spreading looks.
    """

    __slots__ = (
        "_alerted",
        "_at_normal",
        "_before",
        "_busy",
        "_changed_at",
        "_confirmed",
        "_contacts",
        "_controlled_since",
        "_demand",
        "_expired",
        "_failures",
        "_followed",
        "_heard_at",
        "_known",
        "_memory",
        "_on",
        "_override",
        "_random",
        "_refusals",
        "_retry_at",
        "_return_at",
        "_returning_since",
        "_tries",
        "_verify_at",
        "_waited",
        "_was_controlled",
        "_watch_at",
        "_writes",
        "aim",
        "deadline",
        "found",
        "name",
        "problem",
        "rules",
        "written",
    )

    def __init__(
        self,
        name: str,
        rules: PointRules,
        contacts: Sequence[Contact],
        now: float,
        *,
        memory: Memory | None = None,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self.name = name
        self.rules = rules
        #: When :meth:`look` must be called at the latest.
        self.deadline = now
        #: Where the point should be, and by whom.
        self.aim = self._at_normal = Aim(rules.normal, "normal", reason=_NOTHING)
        #: What the device accepted last, or was found at; None before that.
        self.written: Setting | None = None
        #: What the device said last.
        self.found: float | None = None
        #: What is wrong with the device, in one line, or "".
        self.problem = ""
        self._contacts = contacts
        self._random = random
        self._memory = memory
        self._demand: Demand | None = None
        self._override: Override | None = None
        self._followed = self.aim  # what events and the VTN's silence want, override or not
        self._controlled_since = None if memory is None else memory.controlled_since
        self._was_controlled = self._controlled_since is not None
        self._expired = False  # max_control is used up
        self._return_at: float | None = None
        self._returning_since: float | None = None  # when the control began that it returns from
        self._busy: Write | Read | None = None
        self._known = False  # the device's true state was read since the last failure
        self._confirmed: Setting | None = None  # the device has this value, as far as we know
        self._on: bool | None = None
        self._changed_at = -inf
        self._before: tuple[bool | None, float] = (None, -inf)  # on and changed_at, before a write
        self._heard_at = now
        self._alerted = False  # of the device's silence
        self._failures = 0
        self._refusals = 0  # of writes in a row, whatever reads said in between
        self._tries = 0
        self._retry_at = -inf
        self._verify_at: float | None = None
        self._watch_at = inf
        self._waited: tuple[Aim, str] | None = None
        self._writes: deque[float] = deque()

    # -- how it stands ----------------------------------------------------------------------------

    @property
    def override(self) -> Override | None:
        """The override that holds, if one does."""
        return self._override

    @property
    def demand(self) -> Demand | None:
        """What the schedule wants, whether or not it rules."""
        return self._demand

    @property
    def busy(self) -> bool:
        """Whether a write or read is under way."""
        return self._busy is not None

    @property
    def silent(self) -> bool:
        """Whether the VTN's silence rules what events may say."""
        return self._followed.cause == "failsafe"

    @property
    def settled(self) -> bool:
        """Whether the device is where it should be, as far as is known."""
        return self._confirmed is not None and self._confirmed == self.aim.value

    @property
    def memory(self) -> Memory | None:
        """To be kept for the next start; None before anything is known."""
        if self.written is None:
            return self._memory
        since = self._controlled_since
        if since is None and self._return_at is not None and self.written != self.rules.normal:
            since = self._returning_since  # so that the next start spreads the return, too
        return Memory(self.written, self._changed_at, since)

    # -- what happens -----------------------------------------------------------------------------

    def expect(self, demand: Demand | None) -> None:
        """What the schedule wants as the point begins; nothing is done about it yet."""
        self._demand = demand

    def want(self, now: float, demand: Demand | None) -> list[Output]:
        """The schedule wants this from now on; None: nothing."""
        self._demand = demand
        return self.look(now)

    def set_override(self, now: float, override: Override | None) -> list[Output]:
        """A person takes over, or gives back with None."""
        self._override = override
        return self.look(now)

    def try_again(self, now: float) -> list[Output]:
        """The device answers somebody again: no pause after a failure holds any more."""
        self._retry_at = min(self._retry_at, now)
        return self._look(now, [])

    def was_written(self, now: float) -> list[Output]:
        """The device has accepted the write under way."""
        sent, out = self._busy, list[Output]()
        if not isinstance(sent, Write):
            raise LocalProtocolError(f"{self.name}: no write is under way")
        self._busy = None
        self._refusals = 0
        self._hear(now, out)
        old, self.written = self.written, sent.value
        self._before = (self._on, self._changed_at)
        self._turn(now, self.rules.is_on(sent.value))
        out.append(self._record("write", old, sent.value))
        if self.rules.verify is None or isinstance(sent.value, Released):
            self._confirmed = sent.value
            self._plan_watch(now)
        else:
            self._verify_at = now + self.rules.verify
        return self._look(now, out)

    def was_read(self, now: float, value: float | None) -> list[Output]:
        """The read under way gave ``value``, None where the device has none."""
        if not isinstance(self._busy, Read):
            raise LocalProtocolError(f"{self.name}: no read is under way")
        self._busy, out = None, list[Output]()
        self._hear(now, out)
        self.found = value
        self._plan_watch(now)
        if not self._known:
            self._take_stock(now, value, out)
        elif self._verify_at is not None and self.written is not None:
            self._hold_to_account(now, value, self.written, out)
        else:
            self._notice(now, value, out)
        return self._look(now, out)

    def has_failed(self, now: float, reason: str) -> list[Output]:
        """The write or read under way came to nothing, or nobody knows what came of it."""
        failed, out = self._busy, list[Output]()
        if failed is None:
            raise LocalProtocolError(f"{self.name}: nothing is under way")
        self._busy = None
        new = failed.value if isinstance(failed, Write) else None
        if self.problem != reason or new is not None:
            out.append(self._record("failed", self.written, new, why=reason))
        self.problem = reason
        self._failures += 1
        failures = self._failures
        if new is not None:  # that it can be read does not mean that it takes writes again
            self._refusals += 1
            failures = self._refusals
        if failures == self.rules.retries + 1:
            why = f"failed {failures} times, tried again all the same: {reason}"
            out.append(self._record("alert", self.written, new, why=why))
        self._known = False  # a write may have gone through, a device may have started anew
        self._verify_at = None
        self._back_off(now, failures)
        return self._look(now, out)

    def look(self, now: float) -> list[Output]:
        """Let time pass up to ``now``."""
        return self._look(now, [])

    # -- what the device said ---------------------------------------------------------------------

    def _hear(self, now: float, out: list[Output]) -> None:
        self._heard_at = now
        self._alerted = False
        if self._failures:
            why = f"answers again, after {self._failures} failures"
            out.append(self._record("answers", self.written, None, why=why))
        self._failures = 0
        self.problem = ""

    def _take_stock(self, now: float, value: float | None, out: list[Output]) -> None:
        """The first look after a start or a failure: what is there counts, not what was sent."""
        self._known = True
        first, memory = self._on is None, self._memory
        self._turn(now, self.rules.is_on(value))
        if first:
            self._changed_at = -inf
            if memory is not None:
                as_left = self._on == self.rules.is_on(memory.value)
                self._changed_at = min(memory.changed_at, now) if as_left else now
        wanted = self.aim.value
        there = self.rules.same(value, wanted)
        if not isinstance(wanted, Released) and there:
            self._confirmed = wanted
        elif self._confirmed == wanted and self.aim.cause != "normal" and not there:
            self._confirmed = None
        if first or not self._same_setting(value):
            out.append(self._record("found", self.written, None, value))
        if first or not isinstance(self.written, Released):
            self.written = wanted if there and not isinstance(wanted, Released) else value

    def _hold_to_account(
        self, now: float, value: float | None, sent: Setting, out: list[Output]
    ) -> None:
        """The read-back after a write."""
        self._verify_at = None
        if self.rules.same(value, sent):
            self._confirmed = sent
            self._tries = 0
            out.append(self._record("verified", None, sent, value))
            return
        self._tries += 1
        out.append(self._record("disobeyed", None, sent, value))
        on = self.rules.is_on(value)
        if on == self._before[0]:  # it has not moved, so no time of rest begins
            self._on, self._changed_at = self._before
        else:
            self._turn(now, on)
        self.written = value
        if self._tries == self.rules.retries + 1:
            why = f"not obeyed {self._tries} times, tried again all the same"
            out.append(self._record("alert", None, sent, value, why=why))
        if sent == self.aim.value:  # what is wanted by now need not wait for it
            self._back_off(now, self._tries)

    def _notice(self, now: float, value: float | None, out: list[Output]) -> None:
        """A look without a reason."""
        if self._same_setting(value):
            return
        self._turn(now, self.rules.is_on(value))
        why = "changed by somebody else"
        if self.aim.cause != "normal":
            self._confirmed = None
            why += ", to be put back"
        out.append(self._record("drift", self.written, None, value, why=why))
        self.written = value

    def _same_setting(self, value: float | None) -> bool:
        """Whether the device is as it was left."""
        return self.rules.same(value, self.written) if self.written is not None else value is None

    def _turn(self, now: float, on: bool) -> None:
        if on != self._on:
            self._on = on
            self._changed_at = now

    def _plan_watch(self, now: float) -> None:
        watch = self.rules.watch
        self._watch_at = inf if watch is None else now + watch * (1 - 0.25 * self._random())

    def _back_off(self, now: float, failures: int) -> None:
        pause = self.rules.retry_least * 2 ** min(failures - 1, 30)
        self._retry_at = now + min(pause, self.rules.retry_most)

    # -- who rules --------------------------------------------------------------------------------

    def _silent_from(self) -> float:
        failsafe = self.rules.failsafe
        if failsafe is None or not self._contacts:
            return inf
        return max(contact.heard_at for contact in self._contacts) + failsafe.after

    def _follow(self, now: float) -> Aim:
        """What events want, or what holds in place of them while the VTN is silent."""
        failsafe, demand = self.rules.failsafe, self._demand
        if failsafe is not None and now >= self._silent_from():
            why = f"VTN silent for {failsafe.after:g} s: "
            before = self._followed
            if failsafe.action == "release":
                return Aim(self.rules.normal, "failsafe", reason=why + "released")
            if failsafe.action != "hold":
                return Aim(failsafe.action, "failsafe", reason=why + "fail-safe value")
            if before.cause == "failsafe":
                return before
            return Aim(before.value, "failsafe", before.vtn_id, before.event_id, why + "held")
        if demand is not None:
            return demand.aim
        return self._at_normal

    def _is_failsafe_value(self, aim: Aim) -> bool:
        """Whether this is the value the owner calls safe, which no limit takes away."""
        failsafe = self.rules.failsafe
        return (
            aim.cause == "failsafe"
            and failsafe is not None
            and failsafe.action not in ("hold", "release")
        )

    def _rule(self, now: float, out: list[Output]) -> None:  # noqa: PLR0912 - one decision
        """Bring :attr:`aim` up to date."""
        normal, limit = self.rules.normal, self.rules.max_control
        if self._override is not None and now >= self._override.until:
            self._override = None
        aim = self._followed = self._follow(now)
        if self._override is not None:
            by = f"override by {self._override.by}"
            aim = Aim(self._override.value, "override", reason=by)
        followed = self._followed
        if followed.cause not in _DEMAND_RESPONSE or followed.value == normal:
            self._expired = False
        controlled = aim.cause in _DEMAND_RESPONSE and aim.value != normal
        since = self._controlled_since
        if not controlled:
            if not self._expired:  # an override in between does not make it good again
                self._controlled_since = None
        elif self._controlled_since is None:
            self._controlled_since = now
        limited = controlled and not self._is_failsafe_value(aim)
        if limited and limit is not None and self._controlled_since is not None:
            self._expired = self._expired or now >= self._controlled_since + limit
            if self._expired:
                why = f"under control for {limit:g} s, the longest allowed: released"
                aim = Aim(normal, "limit", aim.vtn_id, aim.event_id, why)
                controlled = False
        if controlled or aim.cause == "override":
            self._return_at = None
            self._was_controlled = controlled
        elif self._was_controlled:  # against cold-load pick-up
            self._was_controlled = False
            if self.rules.return_within:
                self._return_at = now + self.rules.return_within * self._random()
                self._returning_since = since
        if aim is self.aim or aim == self.aim:
            return
        before, self.aim = self.aim, aim
        named = aim.cause in ("event", "override") or self._is_failsafe_value(aim)
        if named and before.cause == "normal" and self.written != self._confirmed:
            self._confirmed = None  # what somebody changed was theirs to change at normal only
        if aim.value != before.value:
            self._refusals = 0
            self._tries = 0
            self._retry_at = min(self._retry_at, now)
        out.append(self._record("control", before.value, aim.value))

    # -- what to do -------------------------------------------------------------------------------

    def _look(self, now: float, out: list[Output]) -> list[Output]:
        self._rule(now, out)
        if self._busy is None:
            act = self._act(now, out)
            if act is not None:
                self._busy = act
                out.append(act)
        self._mind_silence(now, out)
        self._plan(now)
        return out

    def _act(self, now: float, out: list[Output]) -> Write | Read | None:
        if not self._known:
            return _READ if now >= self._retry_at else None
        wanted = self.aim.value
        if self._verify_at is not None:
            if self.written == wanted:
                return _READ if now >= self._verify_at else None
            self._verify_at = None  # it is to become something else now
        if self._confirmed == wanted:
            return _READ if now >= self._watch_at else None
        moment, why = self._held_until(now)
        if now < moment:
            if why and self._waited != (self.aim, why):
                self._waited = (self.aim, why)
                out.append(self._record("waits", self.written, wanted, why=why))
            return None
        self._confirmed = None
        self._waited = None
        self._writes.append(now)
        return Write(wanted)

    def _held_until(self, now: float) -> tuple[float, str]:
        """When the write may go out, and which rule holds it until then."""
        rules, aim = self.rules, self.aim
        moment, why = self._retry_at, ""
        if self._return_at is not None and self._return_at > moment:
            moment, why = self._return_at, f"returns within {rules.return_within:g} s"
        at_once = aim.cause == "override" or (
            aim.cause == "failsafe" and rules.failsafe is not None and rules.failsafe.at_once
        )
        rests = self._on is not None and (rules.min_on or rules.min_off) and not at_once
        if rests and rules.is_on(aim.value) != self._on:
            name, least = ("min_on", rules.min_on) if self._on else ("min_off", rules.min_off)
            if self._changed_at + least > moment:
                moment, why = self._changed_at + least, f"{name} is {least:g} s"
        while self._writes and self._writes[0] + _MINUTE <= now:
            self._writes.popleft()
        most = rules.max_writes
        if most is not None and len(self._writes) >= most:
            allowed = self._writes[len(self._writes) - most] + _MINUTE
            if allowed > moment:
                moment, why = allowed, f"at most {most} writes a minute"
        return moment, why

    def _mind_silence(self, now: float, out: list[Output]) -> None:
        """A device cannot be brought anywhere while it is silent, but somebody can be told."""
        failsafe = self.rules.failsafe
        if failsafe is None or self._alerted or not self._failures:
            return
        if now >= self._heard_at + failsafe.after:
            self._alerted = True
            why = f"device silent for {failsafe.after:g} s: {self.problem}"
            out.append(self._record("alert", self.written, self.aim.value, why=why))

    def _plan(self, now: float) -> None:
        """Set :attr:`deadline`."""
        deadline = inf
        if self._override is not None:
            deadline = self._override.until
        failsafe, limit, since = self.rules.failsafe, self.rules.max_control, self._controlled_since
        if failsafe is not None:
            silent_from = self._silent_from()
            if now < silent_from < deadline:
                deadline = silent_from
            if self._failures and not self._alerted:
                deadline = min(deadline, self._heard_at + failsafe.after)
        if (
            limit is not None
            and since is not None
            and not self._expired
            and not self._is_failsafe_value(self.aim)
        ):
            deadline = min(deadline, since + limit)
        if self._busy is None:
            if not self._known:
                next_act = self._retry_at
            elif self._verify_at is not None:
                next_act = self._verify_at
            elif self._confirmed == self.aim.value:
                next_act = self._watch_at
            else:
                next_act = self._held_until(now)[0]
            deadline = min(deadline, next_act)
        self.deadline = deadline

    def _record(
        self,
        kind: Kind,
        old: Setting | None,
        new: Setting | None,
        read_back: float | None = None,
        *,
        why: str = "",
    ) -> Record:
        aim = self.aim
        return Record(kind, old, new, read_back, aim.vtn_id, aim.event_id, why or aim.reason)
