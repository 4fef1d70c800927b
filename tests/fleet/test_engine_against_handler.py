"""A fleet of a few VENs against as many EventHandlers: the same payloads at the same times.

A single VEN is a fleet of one: the two share the event table, and this holds the rest together (same
events, opts, levels, deadlines and, byte for byte, the same replies).
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from payloads import START, distribute_event, event, response

from oadr2._core.fleet import ERROR_CLOSED, Fleet
from oadr2.errors import LocalProtocolError, RemoteProtocolError
from oadr2.event import EventHandler

STEPS = int(os.environ.get("OADR2_STATE_MACHINE_STEPS", "0"))
SECOND = 1_000_000
VENS = 4
SEED = 20
BITS = 2**64 - 1
OFFSET = 5  # DRAW_OFFSET of groups.pxd


def mixed(number: int) -> int:
    """splitmix64."""
    number = (number + 0x9E3779B97F4A7C15) & BITS
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & BITS
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & BITS
    return number ^ (number >> 31)


def drawn(row: int, purpose: int, number: int) -> int:
    return mixed((mixed((mixed(SEED) + row) & BITS) + (purpose << 56) + number) & BITS)


class Given:
    """In place of the handler's random numbers: the one that the fleet draws for the row's poll."""

    next = 0

    def getrandbits(self, bits: int) -> int:
        return self.next


def without_request_id(body: bytes) -> bytes:
    before, _, rest = body.partition(b"<pyld:requestID>")
    return before + rest.partition(b"</pyld:requestID>")[2]


events = st.builds(
    event,
    st.sampled_from(("a", "b", "c")),
    st.integers(0, 3),
    status=st.sampled_from(("far", "near", "active", "active", "completed", "cancelled")),
    dtstart=st.integers(-30, 60).map(lambda minutes: START + 60 * minutes),
    duration=st.just("PT30M"),
    intervals=st.sampled_from(
        ((("PT30M", 1),), (("PT10M", 2), ("PT20M", 3)), (("PT10M", 2),), (("PT30M", 9),))
    ),
    startafter=st.sampled_from((None, None, "PT10M")),
    priority=st.sampled_from((None, 1, 2)),
    required=st.sampled_from(("always", "always", "never")),
    targets=st.sampled_from(
        (None, None, {"ven_id": "ven_1"}, {"group_id": "even-2"}, {"resource_id": "all"})
    ),
)
lists = st.builds(
    lambda found, request_id, vtn_id, profile: distribute_event(
        *found, request_id=request_id, vtn_id=vtn_id, profile=profile
    ),
    st.lists(events, max_size=3),
    st.sampled_from(("r1", "r2", "a longer one than those before")),
    st.sampled_from(("vtn", "vtn", "vtn", "VTN", "other")),
    st.sampled_from(("2.0a", "2.0b")),
)
replies = st.one_of(
    lists,
    lists,
    lists,
    st.just(response()),
    st.just(response(500)),
    st.just(b"<no xml"),
    st.just(b""),
)


class SameAsHandlers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = int(START) * SECOND
        self.fleet = Fleet(seed=SEED)
        self.fleet.add_group(
            VENS,
            poll_interval=60 * SECOND,
            vtn_ids=["vtn"],
            group_ids="even-{n}",
            resource_ids=["all"],
            opt_in=0.5,
        )
        self.random = Given()
        self.opts: dict[int, Any] = {}
        self.handlers = []
        for row in range(VENS):
            handler = EventHandler(
                f"ven_{row}",
                vtn_ids="vtn",
                group_id=f"even-{row}",
                resource_id="all",
                default_opt="optIn" if drawn(row, 7, 0) >> 11 < 2**52 else "optOut",
                clock=lambda: self.now / SECOND,
            )
            handler._random = self.random  # type: ignore[assignment]
            self.handlers.append(handler)
        self.polls = [0] * VENS
        self.last = distribute_event()

    def exchange(self, row: int, reply: bytes) -> None:
        handler, fleet = self.handlers[row], self.fleet
        fleet.poll_at(row, 1, self.now)
        assert list(fleet.take_due(self.now, 1)) == [row]
        assert without_request_id(fleet.compose(row, self.now)) == without_request_id(
            handler.build_request_payload()
        )
        self.random.next = drawn(row, OFFSET, self.polls[row])
        try:
            expected = handler.handle_payload(reply) if reply else None
        except RemoteProtocolError:
            assert fleet.receive(row, reply, self.now) < 0
            expected = None
        else:
            more = fleet.receive(row, reply, self.now)
            if not reply:
                assert more < 0
            else:
                assert more == (expected is not None)
        self.polls[row] += 1
        if expected is not None:
            assert fleet.compose(row, self.now) == expected
            assert fleet.receive(row, response(), self.now) == 0
        fleet.stop(row, 1)

    @rule(row=st.integers(0, VENS - 1), reply=replies)
    def poll(self, row: int, reply: bytes) -> None:
        self.last = reply
        self.exchange(row, reply)

    @rule(row=st.integers(0, VENS - 1))
    def poll_again(self, row: int) -> None:
        self.exchange(row, self.last)

    @rule(reply=lists)
    def all_poll(self, reply: bytes) -> None:
        self.last = reply
        for row in range(VENS):
            self.exchange(row, reply)

    @rule(row=st.integers(0, VENS - 1))
    def poll_in_vain(self, row: int) -> None:
        self.fleet.poll_at(row, 1, self.now)
        self.fleet.take_due(self.now, 1)
        self.fleet.compose(row, self.now)
        self.fleet.give_up(row, ERROR_CLOSED, self.now)
        self.polls[row] += 1
        self.fleet.stop(row, 1)

    @rule(minutes=st.sampled_from((1, 5, 10, 30, 90, 8 * 1440)))
    def wait(self, minutes: int) -> None:
        self.now += minutes * 60 * SECOND
        self.fleet.advance(self.now, 10**6)
        for handler in self.handlers:
            handler.advance()

    @rule(
        row=st.integers(0, VENS - 1),
        name=st.sampled_from(("a", "b", "c")),
        opt=st.sampled_from(("optIn", "optOut")),
    )
    def change_opt(self, row: int, name: str, opt: Any) -> None:
        try:
            expected = self.handlers[row].set_opt(name, opt)
        except LocalProtocolError:
            with pytest.raises(LocalProtocolError):
                self.fleet.set_opt(row, name, opt, self.now)
            return
        self.fleet.set_opt(row, name, opt, self.now)
        assert list(self.fleet.take_due(self.now, 9)) == [row]
        assert self.fleet.compose(row, self.now) == expected
        assert self.fleet.receive(row, b"", self.now) == 0

    @invariant()
    def the_same_is_held(self) -> None:
        deadlines = []
        for row, handler in enumerate(self.handlers):
            handler.advance()
            assert self.fleet.events(row) == handler.get_active_events()
            for later in (0, 1, 601 * SECOND, 1900 * SECOND):
                at = self.now + later
                assert self.fleet.level(row, at) == handler.current_level(at / SECOND)
            if handler.next_deadline is not None:
                deadlines.append(round(handler.next_deadline * SECOND))
        assert self.fleet.next_change == min(deadlines, default=None)


TestSameAsHandlers = SameAsHandlers.TestCase
TestSameAsHandlers.settings = settings(
    max_examples=max(1, STEPS // 40) if STEPS else 40,
    stateful_step_count=40,
    deadline=None,
    derandomize=not STEPS,
    suppress_health_check=list(HealthCheck),
)
