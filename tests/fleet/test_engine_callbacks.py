"""VENs with callbacks: who is told what, who is asked, and what a callback cannot break."""

from __future__ import annotations

import logging

import pytest
from payloads import START, distribute_event, event, response

import oadr2
from oadr2.errors import LocalProtocolError
from oadr2.fleet.engine import VenFleet

SECOND = 1_000_000
ONE = distribute_event(event("e1", 3))


class World:
    """A fleet and its clock."""

    def __init__(self, count: int = 3, **callbacks) -> None:
        self.time = START
        self.vens = VenFleet(seed=1, clock=lambda: self.time, **callbacks)
        self.vens.add_vens("ven_{n}", count, poll_interval=10.0, jitter=0.0)

    def deliver(self, payload: bytes, row: int) -> list[str]:
        """Let one VEN poll and receive this; the optTypes it answers."""
        fleet, now = self.vens.fleet, round(self.time * SECOND)
        fleet.poll_at(row, 1, now)
        assert list(fleet.take_due(now, 1)) == [row]
        fleet.compose(row, now)
        opts = []
        while fleet.receive(row, payload, now) > 0:
            answer = oadr2.decode(fleet.compose(row, now))
            opts = [a.opt_type for a in answer.event_responses]
            payload = response()
        fleet.stop(row, 1)
        return opts


def test_changes_are_told_with_the_vens_id():
    told = []
    world = World(
        on_change=lambda ven_id, change: told.append((ven_id, change.kind, change.event_id))
    )
    world.deliver(ONE, 1)
    assert told == [("ven_1", "new", "e1"), ("ven_1", "started", "e1")]
    told.clear()
    world.time += 3600
    world.vens.advance()
    assert told == [("ven_1", "completed", "e1")]


def test_a_change_is_what_a_handler_would_give():
    found = {}
    world = World(on_change=lambda ven_id, change: found.setdefault(change.kind, change))
    world.deliver(ONE, 0)
    handler = oadr2.event.EventHandler("ven_0", clock=lambda: START)
    of_handler = []
    handler.subscribe(of_handler.extend)
    handler.handle_payload(ONE)
    assert [found[change.kind] for change in of_handler] == of_handler


def test_one_ven_is_heard_and_the_others_cost_nothing():
    told = []
    world = World()
    world.vens.listen("ven_2", on_change=lambda *args: told.append(args))
    world.deliver(ONE, 1)
    assert told == []
    world.deliver(ONE, 2)
    assert [change.kind for _, change in told] == ["new", "started"]


def test_a_vens_own_callback_counts_instead_of_that_for_all():
    heard = []
    world = World(on_change=lambda *args: heard.append("all"))
    world.vens.listen("ven_0", on_change=lambda *args: heard.append("own"))
    world.deliver(ONE, 0)
    world.deliver(ONE, 1)
    assert heard == ["own", "own", "all", "all"]


@pytest.mark.parametrize(
    ("given", "expected"), [("optIn", "optIn"), ("optOut", "optOut"), (None, "optIn")]
)
def test_who_is_asked_decides(given, expected):
    asked = []
    world = World(on_event=lambda ven_id, event: asked.append((ven_id, event.event_id)) or given)
    assert world.deliver(ONE, 1) == [expected]
    assert world.deliver(ONE, 1) == [expected], "an unchanged event is not asked about again"
    assert asked == [("ven_1", "e1")]
    assert world.vens.level("ven_1") == ((1.0, "e1") if expected == "optIn" else (0.0, None))


def test_a_modified_event_is_asked_about_and_keeps_its_opt_without_an_answer():
    world = World(
        on_event=lambda ven_id, event: "optOut" if event.modification_number == 3 else None
    )
    assert world.deliver(ONE, 1) == ["optOut"]
    assert world.deliver(distribute_event(event("e1", 4)), 1) == ["optOut"]


def test_refusals_are_told_once():
    told = []
    world = World(
        on_change=lambda ven_id, change: told.append((ven_id, change.kind, change.reason))
    )
    bad = distribute_event(event("e1", level=9))
    world.deliver(bad, 0)
    world.deliver(bad, 0)
    assert told == [("ven_0", "refused", "value of SIMPLE is not 0, 1, 2 or 3")]


def test_callbacks_that_fail_are_logged_and_change_nothing(caplog):
    def fails(*args):
        raise RuntimeError("the application's fault")

    world = World(on_change=fails, on_event=fails)
    with caplog.at_level(logging.ERROR):
        assert world.deliver(ONE, 0) == ["optIn"]
    assert len(caplog.records) == 3  # asked once; new and started
    assert [e.event_id for e in world.vens.events("ven_0")] == ["e1"]
    world.vens.listen("ven_1", on_event=lambda *args: "perhaps")
    assert world.deliver(ONE, 1) == ["optIn"]


def test_who_is_asked_cannot_use_the_fleet():
    caught = []

    def asked(ven_id, event):
        for call in (
            lambda: world.vens.fleet.compose(0, 0),
            lambda: world.vens.fleet.receive(0, ONE, 0),
            lambda: world.vens.fleet.advance(0, 1),
            lambda: world.vens.set_opt("ven_0", "e1", "optIn"),
        ):
            with pytest.raises(LocalProtocolError) as refused:
                call()
            caught.append(str(refused.value))
        return "optOut"

    world = World(on_event=asked)
    assert world.deliver(ONE, 0) == ["optOut"]
    assert len(caught) == 4


def test_who_is_told_may_use_the_fleet():
    def told(ven_id, change):
        if change.kind == "started":
            world.vens.set_opt(ven_id, change.event_id, "optOut")

    world = World(on_change=told)
    fleet, now = world.vens.fleet, round(START * SECOND)
    world.vens.start()
    fleet.take_due(now, 1)
    fleet.compose(0, now)
    opts = []
    assert fleet.receive(0, ONE, now) == 1
    more = 1
    while more > 0:
        opts += [a.opt_type for a in oadr2.decode(fleet.compose(0, now)).event_responses]
        more = fleet.receive(0, response(), now)
    assert opts == ["optIn", "optOut"]
    assert world.vens.level("ven_0") == (0.0, None)


def test_an_unknown_ven_is_named():
    world = World()
    with pytest.raises(LocalProtocolError, match="no VEN 'nobody'"):
        world.vens.level("nobody")
