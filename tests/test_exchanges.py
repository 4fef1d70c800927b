"""The loop of a whole 2.0b VEN: what it says when its VTN was heard of, and a clock that is set."""

from __future__ import annotations

import asyncio

import pytest

from oadr2.errors import TransportError
from oadr2.event import EventHandler
from oadr2.exchanges import Exchanges
from oadr2.schedule import Duration
from oadr2.services.registration import RegistrationSettings
from oadr2.services.request import Request
from oadr2.sim import SimulatedVtn, VtnServices
from oadr2.ven_20b import Ven20b


class World:
    """A VEN, its VTN in the same process, and two clocks that stand still until told."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000.0, 1000.0
        self.services = VtnServices(SimulatedVtn("vtn_1", "2.0b"), poll_freq=Duration())
        self.sent: list[str] = []
        self.heard: list[str] = []
        self.away = False
        handler = EventHandler("house", oadr_profile_level="2.0b", clock=lambda: self.wall)
        self.ven = Ven20b(
            handler,
            registration=RegistrationSettings(ven_name="house", poll_interval=10.0),
            on_heard=lambda: self.heard.append(self.sent[-1]),
            seed=1,
        )
        self.exchanges = Exchanges(
            self.ven, self.post, print, lambda: self.wall, lambda: self.steady
        )

    async def post(self, action: Request) -> bytes:
        self.sent.append(action.purpose)
        if self.away:
            raise TransportError("it is away")
        return self.services.handle(action.service, action.data)

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
