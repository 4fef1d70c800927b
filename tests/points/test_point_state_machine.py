"""A point in a world that does what it likes: what must hold whatever happens, and in any order."""

from __future__ import annotations

import random as random_module
from itertools import pairwise
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from point_rig import FakeDevice, PointRig, demand

from oadr2.points.point import Output, Read, Write
from oadr2.points.rules import Failsafe, PointRules, Released

VALUES = st.sampled_from([0.0, 1.0, 40.0, 70.0])
TIMES = st.sampled_from([0.1, 1.0, 7.0, 29.0, 30.0, 61.0, 250.0, 4000.0])


class LossyDevice(FakeDevice):
    """Besides, it may lose its answer to a write it has carried out."""

    loses_answers = False


class WatchedRig(PointRig):
    """Keeps what the invariants ask for: when our own writes turned the load on or off."""

    def __init__(self, *arguments: object, **named: object) -> None:
        # When, to on, free to do so at once; None where the point could not know what it did.
        self.turns: list[tuple[float, bool, bool] | None] = []
        self.touched = False  # by somebody else since our last write
        super().__init__(*arguments, **named)  # type: ignore[arg-type]

    def _answer(self, request: Write | Read) -> list[Output]:
        device = self.device
        assert isinstance(device, LossyDevice)
        if not isinstance(request, Write):
            return super()._answer(request)
        rules, aim = self.point.rules, self.point.aim
        before = rules.is_on(device.value)
        unaware = self.point._on is not before  # somebody else turned it, and nobody looked
        lost = device.loses_answers and not device.fails
        if lost and not isinstance(request.value, Released):
            device.set(self.now, request.value)
        answer = super()._answer
        reason = "the answer was lost"
        outputs = self.point.has_failed(self.now, reason) if lost else answer(request)
        after = rules.is_on(device.value)
        if after is not before:
            failsafe = rules.failsafe
            free = aim.cause == "override" or (
                aim.cause == "failsafe" and failsafe is not None and failsafe.at_once
            )
            self.turns.append(None if unaware else (self.now, after, free))
        if not device.fails and not device.lies:
            self.touched = False
        return outputs


class PointMachine(RuleBasedStateMachine):
    @initialize(
        min_on=st.sampled_from([0.0, 20.0, 300.0]),
        min_off=st.sampled_from([0.0, 20.0, 300.0]),
        max_writes=st.sampled_from([None, 1, 3]),
        verify=st.sampled_from([None, 0.5]),
        watch=st.sampled_from([None, 60.0]),
        return_within=st.sampled_from([0.0, 120.0]),
        max_control=st.sampled_from([None, 1000.0]),
        action=st.sampled_from([None, 0.0, 40.0, "hold", "release"]),
        at_once=st.booleans(),
        seed=st.integers(0, 10),
    )
    def begin(
        self,
        min_on: float,
        min_off: float,
        max_writes: int | None,
        verify: float | None,
        watch: float | None,
        return_within: float,
        max_control: float | None,
        action: float | str | None,
        at_once: bool,
        seed: int,
    ) -> None:
        failsafe = None if action is None else Failsafe(30.0, action, at_once=at_once)  # type: ignore[arg-type]
        rules = PointRules(
            normal=1.0,
            failsafe=failsafe,
            min_on=min_on,
            min_off=min_off,
            max_writes=max_writes,
            verify=verify,
            watch=watch,
            return_within=return_within,
            max_control=max_control,
            retry_most=10.0,
        )
        self.random = random_module.Random(seed).random
        self.rig = WatchedRig(rules, LossyDevice(1.0), random=self.random)
        self.processes = [self.rig]

    # -- what happens -----------------------------------------------------------------------------

    @rule(value=VALUES)
    def event(self, value: float) -> None:
        self.rig.want(demand(value))

    @rule()
    def event_ends(self) -> None:
        self.rig.want(None)

    @rule(value=VALUES, seconds=TIMES)
    def override(self, value: float, seconds: float) -> None:
        self.rig.override(value, seconds)

    @rule()
    def override_ends(self) -> None:
        self.rig.override(None)

    @rule(seconds=TIMES)
    def time_passes(self, seconds: float) -> None:
        self.rig.run_for(seconds)

    @rule(seconds=TIMES)
    def time_passes_and_the_vtn_speaks(self, seconds: float) -> None:
        self.rig.hear()
        self.rig.run_for(seconds, hear_every=10.0)

    @rule(fails=st.booleans(), lies=st.booleans(), loses=st.booleans())
    def device_changes_its_ways(self, fails: bool, lies: bool, loses: bool) -> None:
        self.rig.device.fails = fails
        # Nobody can find out a lie who does not read back.
        self.rig.device.lies = lies and self.rig.point.rules.verify is not None
        self.rig.device.loses_answers = loses  # type: ignore[attr-defined]

    @rule(value=VALUES)
    def somebody_else_writes(self, value: float) -> None:
        self.rig.device.set(self.rig.now, value)
        self.rig.touched = True

    @rule(pause=TIMES)
    def killed_and_started(self, pause: float) -> None:
        old = self.rig
        self.rig = WatchedRig(
            old.point.rules,
            old.device,
            memory=old.point.memory,
            now=old.now + pause,
            random=self.random,
        )
        self.rig.turns = list(old.turns)
        self.rig.touched = old.touched
        self.rig.want(old.point.demand)
        self.processes.append(self.rig)

    # -- what must hold ---------------------------------------------------------------------------

    @invariant()
    def never_more_writes_a_minute_than_allowed(self) -> None:
        if not hasattr(self, "rig") or self.rig.point.rules.max_writes is None:
            return
        times = [at for at, _ in self.rig.writes]
        most = self.rig.point.rules.max_writes
        for index in range(len(times) - most):
            assert times[index + most] - times[index] >= 60.0 - 1e-6

    @invariant()
    def on_and_off_last_as_long_as_they_must(self) -> None:
        if not hasattr(self, "rig"):
            return
        rules, turns = self.rig.point.rules, self.rig.turns
        for earlier, later in pairwise(turns):
            if earlier is None or later is None:
                continue
            (before, was_on, _), (at, on, free) = earlier, later
            if on is was_on or free:
                continue  # somebody else turned it in between; or it may be turned at once
            least = rules.min_on if was_on else rules.min_off
            assert at - before >= least - 1e-6

    @invariant()
    def a_deadline_lies_ahead(self) -> None:
        if hasattr(self, "rig"):
            assert self.rig.point.busy or self.rig.point.deadline > self.rig.now - 1e-6

    @precondition(lambda self: self.rig.point.rules.failsafe is not None)
    @rule()
    def after_silence_the_failsafe_holds(self) -> None:
        failsafe = self.rig.point.rules.failsafe
        assert failsafe is not None
        self._heal()
        self.rig.override(None)
        self.rig.run_for(900.0)
        assert self.rig.point.silent
        if failsafe.action == "hold" or self.rig.touched:
            return
        expected = 1.0 if failsafe.action == "release" else failsafe.action
        if self.rig.point.aim.cause == "limit":
            expected = 1.0
        assert self.rig.device.value == expected

    def _heal(self) -> None:
        self.rig.device.fails = self.rig.device.lies = False
        self.rig.device.loses_answers = False  # type: ignore[attr-defined]

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        self._heal()
        self.rig.override(None)
        self.rig.want(None)
        self.rig.hear()
        self.rig.run_for(900.0, hear_every=10.0)
        if not self.rig.touched:
            assert self.rig.device.value == 1.0
        assert self.rig.point.settled
        assert self.rig.point.aim.cause == "normal"
        self.never_more_writes_a_minute_than_allowed()
        self.on_and_off_last_as_long_as_they_must()
        assert self.rig.point.deadline < inf or self.rig.point.rules.watch is None


PointMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
TestPointMachine = PointMachine.TestCase
