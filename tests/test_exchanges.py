"""The loop of a whole 2.0b VEN: what it says when its VTN was heard of, and a clock that is set."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from oadr2 import encode
from oadr2.errors import RemoteProtocolError, TransportError
from oadr2.event import EventHandler
from oadr2.exchanges import Exchanges
from oadr2.model import EiResponse, RegisteredReport
from oadr2.schedule import Duration
from oadr2.services.registration import RegistrationSettings
from oadr2.services.request import Request
from oadr2.sim import SimulatedVtn, VtnServices
from oadr2.ven_20b import Ven20b


class World:
    """A VEN, its VTN in the same process, and two clocks that stand still until told."""

    def __init__(self, **options: Any) -> None:
        self.wall, self.steady = 1_800_000_000.0, 1000.0
        self.services = VtnServices(SimulatedVtn("vtn_1", "2.0b"), poll_freq=Duration())
        self.sent: list[str] = []
        self.heard: list[str] = []
        self.away = False
        self.set_meanwhile = 0.0  # by so much the clock is set while the next request is under way
        self.says: dict[str, bytes] = {}  # by purpose, instead of what makes sense
        handler = EventHandler("house", oadr_profile_level="2.0b", clock=lambda: self.wall)
        self.ven = Ven20b(
            handler,
            registration=RegistrationSettings(ven_name="house", poll_interval=10.0),
            **{"on_heard": lambda: self.heard.append(self.sent[-1]), "seed": 1, **options},
        )
        self.exchanges = Exchanges(
            self.ven, self.post, print, lambda: self.wall, lambda: self.steady
        )

    async def post(self, action: Request) -> bytes:
        self.sent.append(action.purpose)
        self.wall += self.set_meanwhile
        self.set_meanwhile = 0.0
        if self.away:
            raise TransportError("it is away")
        reply = self.services.handle(action.service, action.data)
        return self.says.get(action.purpose, reply)

    def settle(self) -> list[str]:
        """All that is due now; what was sent."""
        self.sent.clear()
        asyncio.run(self.exchanges.settle())
        return list(self.sent)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def test_only_what_brings_events_counts_as_a_word_of_the_VTN() -> None:
    world = World()
    assert world.settle() == ["query", "register", "announce", "synchronise"]
    assert world.heard == ["synchronise"]
    world.passes(10)
    assert world.settle() == ["poll"]
    assert world.heard == ["synchronise", "poll"]


def test_what_on_heard_and_on_activity_raise_keeps_nothing_from_the_VTN() -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    world = World(on_heard=broken, on_activity=broken)
    vtn = world.services.vtn
    vtn.add_event("peak", start="+1h", levels=[(3600, 2.0)])
    assert world.settle() == ["query", "register", "announce", "synchronise", "answer"]
    pushed = world.ven.receive_push(vtn.list_for("house", "2.0b"), None, world.wall)
    assert b"oadrResponse" in pushed.reply
    assert world.settle() == ["answer"]


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_moves_no_poll(step: float) -> None:
    world = World()
    world.settle()
    world.wall += step
    world.passes(9)
    assert world.settle() == []
    world.passes(1)
    assert world.settle() == ["poll"]


def test_a_clock_that_is_set_moves_no_second_try() -> None:
    world = World()
    world.settle()
    world.passes(10)
    world.away = True
    with pytest.raises(TransportError):
        world.settle()
    world.away = False
    world.wall -= 3600
    world.passes(10)  # beyond any back-off of a first failure
    assert world.settle() == ["poll", "synchronise"]


@pytest.mark.parametrize("away", [False, True])
@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_during_a_request_moves_no_poll(step: float, away: bool) -> None:
    world = World()
    world.settle()
    world.passes(10)
    world.away, world.set_meanwhile = away, step
    if away:
        with pytest.raises(TransportError):
            world.settle()
        world.away = False
    else:
        assert world.settle() == ["poll"]
        world.passes(9)
        assert world.settle() == []
    world.passes(10)
    assert world.settle()[0] == "poll"


def what_is_sent_in_an_hour(world: World) -> Counter[str]:
    sent: Counter[str] = Counter()
    end = world.wall + 3600
    while world.wall < end and sent.total() < 2000:
        try:
            sent.update(world.settle())
        except RemoteProtocolError:
            sent.update(world.sent)
        deadline = world.ven.next_deadline
        assert deadline is not None
        world.passes(max(0.01, deadline - world.wall))  # as Exchanges does it
    return sent


@pytest.mark.parametrize("purpose", ["register", "announce", "synchronise"])
@pytest.mark.parametrize("reply", [b"", b"<html>out of"])
def test_what_the_VTN_replies_nonsense_to_is_sent_later_and_later(
    purpose: str, reply: bytes
) -> None:
    world = World()
    world.says[purpose] = reply
    assert 12 <= what_is_sent_in_an_hour(world)[purpose] < 100


def test_a_VTN_that_forgets_us_at_once_is_registered_with_later_and_later() -> None:
    world = World()
    world.says["announce"] = encode(RegisteredReport(EiResponse(463, "who?", "")))
    assert 12 <= what_is_sent_in_an_hour(world)["register"] < 100
    del world.says["announce"]
    world.passes(600)  # beyond any back-off
    world.settle()
    assert world.ven.is_settled
