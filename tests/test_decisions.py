"""Decisions about events, now and later, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import oadr2
from oadr2.decisions import Decisions
from oadr2.event import EventHandler
from oadr2.model import CreatedEvent, Event
from oadr2.sim import SimulatedVtn
from oadr2.ven_20b import Ven20b

START = 1_800_000_000.0
EVENT = Event("e1", 0, None, None, None, None, None)


class Side:
    """A VEN that asks ``on_event``, registered with nobody, and lists pushed to it."""

    def __init__(self, on_event: Any, default: Any = "optIn") -> None:
        self.now = START
        self.decisions = Decisions(on_event, time_limit=60.0, default=default, clock=self.time)
        handler = EventHandler(
            "ven-1",
            oadr_profile_level="2.0b",
            default_opt=default,
            opt_callback=self.decisions.ask,
            clock=self.time,
        )
        self.ven = Ven20b(handler, decisions=self.decisions)
        self.vtn = SimulatedVtn("vtn", "2.0b", clock=self.time)
        for name in ("e1", "e2"):
            self.vtn.add_event(name, start="+1h", levels=[(3600, 1.0)])

    def time(self) -> float:
        return self.now

    def pushed(self) -> None:
        self.ven.receive_push(self.vtn.list_for("ven-1", "2.0b"), "EiEvent", self.now)

    def answers(self) -> dict[str, str]:
        """What the VEN has to answer now, by event."""
        found = {}
        while (action := self.ven.next_action(self.now)) and action.purpose == "answer":
            message = oadr2.decode(action.data)
            assert isinstance(message, CreatedEvent)
            found |= {answer.event_id: answer.opt_type for answer in message.event_responses}
            self.ven.receive(action, b"", self.now)
        return found


def test_what_is_decided_at_once_is_answered_at_once() -> None:
    side = Side(lambda event: "optOut" if event.event_id == "e1" else None)
    side.pushed()
    assert side.answers() == {"e1": "optOut", "e2": "optIn"}


def test_an_undecided_event_is_not_answered_and_the_others_are() -> None:
    side = Side(lambda event: "later" if event.event_id == "e1" else "optOut")
    side.pushed()
    assert side.answers() == {"e2": "optOut"}
    side.pushed()  # the VTN lists it again, as it has no answer
    assert side.answers() == {"e2": "optOut"}
    assert side.decisions.decide("e1", "optOut")
    assert side.answers() == {"e1": "optOut"}
    assert not side.decisions.decide("e1", "optIn")


@pytest.mark.parametrize("default", ["optIn", "optOut"])
def test_after_the_time_limit_the_default_is_the_answer(default: str) -> None:
    side = Side(lambda _event: "later", default)
    side.pushed()
    assert side.ven.next_deadline is not None
    side.now += 59
    assert side.answers() == {}
    side.now += 1
    assert side.answers() == {"e1": default, "e2": default}
    assert side.decisions.next_deadline is None


def test_whichever_clock_ends_the_wait_it_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The loop's timer and the clock that ``take_due`` goes by never agree to the microsecond."""

    async def on_event(event: Any) -> None:
        await asyncio.Event().wait()

    async def scenario(time_limit: float, until: float) -> list[tuple[str, str]]:
        decisions = Decisions(on_event, time_limit=time_limit, clock=lambda: START)
        woken = asyncio.Event()
        decisions.wake = woken.set
        decisions.ask(EVENT)
        await asyncio.sleep(0)
        if until < START + time_limit:
            await woken.wait()
        due = decisions.take_due(until)
        await decisions.aclose()
        return due

    for time_limit, until in ((60.0, START + 60), (0.01, START)):
        caplog.clear()
        assert asyncio.run(scenario(time_limit, until)) == [("e1", "optIn")]
        assert caplog.text.count("no decision about event 'e1': optIn") == 1


def test_a_modified_event_is_asked_about_again() -> None:
    asked = []

    def on_event(event: Any) -> str:
        asked.append((event.event_id, event.modification_number))
        return "later" if event.modification_number == 0 else "optOut"

    side = Side(on_event)
    side.pushed()
    side.vtn.modify_event("e1", levels=[(3600, 2.0)])
    side.pushed()
    assert ("e1", 1) in asked
    assert side.answers() == {"e1": "optOut"}


def test_an_event_that_is_cancelled_meanwhile_needs_no_decision() -> None:
    side = Side(lambda _event: "later")
    side.pushed()
    side.vtn.remove_event("e1")
    side.pushed()
    side.now += 60
    assert side.answers() == {"e2": "optIn"}


def test_a_coroutine_that_fails_or_gives_nonsense_leaves_the_default(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def on_event(event: Any) -> Any:
        if event.event_id == "e1":
            raise ValueError("no")
        return "perhaps"

    side = Side(on_event, "optOut")

    async def scenario() -> None:
        side.pushed()
        while side.decisions.next_deadline != 0.0 or len(side.decisions.pending) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert side.answers() == {"e1": "optOut", "e2": "optOut"}
    assert "on_event failed for event 'e1'" in caplog.text
