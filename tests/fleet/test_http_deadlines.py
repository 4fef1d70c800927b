"""The wheel of deadlines, on a clock that the test moves."""

from __future__ import annotations

import random

from oadr2.fleet.deadlines import TICK, Deadlines


class Item:
    def __init__(self) -> None:
        self.busy = True
        self.deadline = 0.0
        self.slot = -1


def test_what_is_late_and_busy_expires_once() -> None:
    wheel: Deadlines[Item] = Deadlines(100.0)
    late, idle = Item(), Item()
    wheel.watch(late, 101.0)
    wheel.watch(idle, 101.0)
    idle.busy = False
    assert wheel.expired(100.9) == []
    assert wheel.expired(101.2) == [late]
    assert wheel.expired(105.0) == []
    assert late.slot == idle.slot == -1


def test_a_later_deadline_is_one_assignment() -> None:
    wheel: Deadlines[Item] = Deadlines(0.0)
    item = Item()
    wheel.watch(item, 1.0)
    for _ in range(1000):
        wheel.watch(item, 2.0)
    assert sum(len(slot) for slot in wheel._slots.values()) == 1
    assert wheel.expired(1.5) == []
    assert wheel.expired(2.2) == [item]


def test_an_earlier_deadline_counts() -> None:
    wheel: Deadlines[Item] = Deadlines(0.0)
    item = Item()
    wheel.watch(item, 30.0)
    wheel.watch(item, 1.0)
    assert wheel.expired(1.2) == [item]
    assert wheel.expired(40.0) == []


def test_against_a_plain_dictionary() -> None:
    chance = random.Random(4)
    wheel: Deadlines[Item] = Deadlines(0.0)
    items = [Item() for _ in range(50)]
    for item in items:
        item.busy = False
    now = 0.0
    for _ in range(4000):
        now += chance.random() * 0.1
        item = chance.choice(items)
        if chance.random() < 0.5:
            item.busy = True
            wheel.watch(item, now + chance.random() * 3)
        else:
            item.busy = False
        for ended in wheel.expired(now):
            assert ended.busy
            assert ended.deadline <= now
            ended.busy = False
        # Nobody waits longer than a tick beyond the deadline.
        assert all(not item.busy or item.deadline > now - 2 * TICK for item in items)
