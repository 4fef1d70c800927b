"""Decisions about events, now and later, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import oadr2
from oadr2.decisions import Decisions
from oadr2.errors import StoreError
from oadr2.event import EventHandler
from oadr2.model import CreatedEvent, Event
from oadr2.services.state import StoredState
from oadr2.sim import SimulatedVtn
from oadr2.store import EventStore
from oadr2.ven_20b import Ven20b

START = 1_800_000_000.0
EVENT = Event("e1", 0, None, None, None, None, None)
BEGIN = datetime.fromtimestamp(START + 3600, UTC)


class Side:
    """A VEN that asks ``on_event``, registered with nobody, and lists pushed to it."""

    def __init__(
        self, on_event: Any, default: Any = "optIn", db: Path | None = None, now: float = START
    ) -> None:
        self.now = now
        self.decisions = Decisions(on_event, time_limit=60.0, default=default, clock=self.time)
        handler = EventHandler(
            "ven-1",
            oadr_profile_level="2.0b",
            default_opt=default,
            opt_callback=self.decisions.ask,
            clock=self.time,
            db_path=db,
        )
        self.ven = Ven20b(handler, decisions=self.decisions)
        self.vtn = self.another_vtn()

    def time(self) -> float:
        return self.now

    def another_vtn(self) -> SimulatedVtn:
        vtn = SimulatedVtn("vtn", "2.0b", clock=self.time)
        for name in ("e1", "e2"):
            vtn.add_event(name, start=BEGIN, levels=[(3600, 1.0)])
        return vtn

    def killed(self) -> None:
        """What is in the file stays; the VEN says and writes nothing more."""
        self.ven.handler.close()

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


def test_E01_the_end_of_an_undecided_event_is_answered_at_once() -> None:
    """A VTN may send the cancellation once, and is owed an answer to it whatever was undecided."""
    side = Side(lambda _event: "later")
    side.pushed()
    assert side.answers() == {}
    side.vtn.cancel_event("e1")
    side.pushed()
    assert side.answers().keys() == {"e1"}
    side.now += 60
    assert side.answers() == {"e2": "optIn"}


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
    """The loop's timer and the clock that ``due`` goes by never agree to the microsecond."""

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
        due = decisions.due(until)
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


def full_disk(*_: object) -> None:
    raise StoreError("ven.db: cannot grow: free some disk space")


def later_about(asked: list[tuple[str, int]]) -> Callable[[Any], str]:
    def on_event(event: Any) -> str:
        asked.append((event.event_id, event.modification_number))
        return "later"

    return on_event


def test_after_a_restart_the_undecided_are_undecided_and_asked_about_again(tmp_path: Path) -> None:
    first = Side(later_about([]), db=tmp_path / "ven.db")
    first.pushed()
    first.ven.change_opt("e2", "optOut")
    assert first.answers() == {"e2": "optOut"}
    first.killed()

    asked: list[tuple[str, int]] = []
    again = Side(later_about(asked), db=tmp_path / "ven.db", now=START + 20)
    assert again.ven.next_deadline == 0.0
    again.pushed()  # before it has looked what there is to send
    assert again.answers() == {"e2": "optOut"}
    assert asked == [("e1", 0)]
    again.now = START + 59.9  # the limit is that of the first question
    assert again.answers() == {}
    again.now = START + 60
    assert again.answers() == {"e1": "optIn"}
    again.killed()

    asked.clear()
    settled = Side(later_about(asked), db=tmp_path / "ven.db", now=START + 61)
    settled.pushed()
    assert settled.answers() == {"e1": "optIn", "e2": "optOut"}
    assert asked == []
    settled.killed()


def test_a_restart_after_the_time_limit_answers_the_default(tmp_path: Path) -> None:
    first = Side(later_about([]), db=tmp_path / "ven.db", default="optOut")
    first.pushed()
    first.killed()
    asked: list[tuple[str, int]] = []
    again = Side(later_about(asked), db=tmp_path / "ven.db", default="optOut", now=START + 100)
    assert again.answers() == {"e1": "optOut", "e2": "optOut"}
    assert asked == []
    again.killed()


@pytest.mark.parametrize(
    ("says", "answers"),
    [
        ("optOut", {"e1": "optOut", "e2": "optOut"}),
        (None, {"e1": "optIn", "e2": "optIn"}),
        (ValueError("no"), {"e1": "optIn", "e2": "optIn"}),
    ],
    ids=["a decision", "the default", "an error"],
)
def test_asked_again_it_may_decide_at_once(tmp_path: Path, says: Any, answers: Any) -> None:
    first = Side(later_about([]), db=tmp_path / "ven.db")
    first.pushed()
    first.killed()

    def on_event(_event: Any) -> Any:
        if isinstance(says, Exception):
            raise says
        return says

    again = Side(on_event, db=tmp_path / "ven.db", now=START + 1)
    assert again.answers() == answers
    again.killed()


def test_asked_again_it_may_take_its_time(tmp_path: Path) -> None:
    first = Side(later_about([]), db=tmp_path / "ven.db")
    first.pushed()
    first.killed()

    async def on_event(_event: Any) -> str:
        return "optOut"

    async def scenario() -> dict[str, str]:
        again = Side(on_event, db=tmp_path / "ven.db", now=START + 1)
        woken = asyncio.Event()
        again.decisions.wake = woken.set
        assert again.answers() == {}
        await woken.wait()
        while len(again.decisions.due(again.now)) < 2:
            await asyncio.sleep(0)
        found = again.answers()
        await again.decisions.aclose()
        again.killed()
        return found

    assert asyncio.run(scenario()) == {"e1": "optOut", "e2": "optOut"}


def test_a_version_that_was_replaced_is_not_asked_about_after_the_restart(tmp_path: Path) -> None:
    first = Side(later_about([]), db=tmp_path / "ven.db")
    first.pushed()
    first.vtn.modify_event("e1", levels=[(3600, 2.0)])
    first.vtn.remove_event("e2")
    first.pushed()
    first.killed()
    asked: list[tuple[str, int]] = []
    again = Side(later_about(asked), db=tmp_path / "ven.db", now=START + 1)
    assert again.answers() == {}
    assert asked == [("e1", 1)]
    again.killed()


@pytest.mark.parametrize("fails", [False, True], ids=["taken", "failed first"])
def test_a_version_that_vanished_and_came_back_is_undecided_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    first = Side(later_about([]), db=tmp_path / "ven.db")
    first.pushed()
    first.vtn.remove_event("e1")
    first.pushed()
    first.now += 10
    first.vtn = first.another_vtn()
    if fails:
        with monkeypatch.context() as patch:
            patch.setattr(EventStore, "apply", full_disk)
            with pytest.raises(StoreError):
                first.pushed()
    first.pushed()
    first.killed()
    again = Side(later_about([]), db=tmp_path / "ven.db", now=START + 65)
    assert again.answers() == {"e2": "optIn"}  # its limit is over, that of the other begins later
    again.now += 5
    assert again.answers() == {"e1": "optIn"}
    again.killed()


@pytest.mark.parametrize("fails", ["the question", "the event"])
def test_a_list_that_cannot_be_stored_leaves_what_was_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    asked: list[tuple[str, int]] = []
    side = Side(later_about(asked), db=tmp_path / "ven.db")
    side.pushed()
    side.vtn.modify_event("e1", levels=[(3600, 2.0)])

    with monkeypatch.context() as patch:
        owner, name = (StoredState, "save") if fails == "the question" else (EventStore, "apply")
        patch.setattr(owner, name, full_disk)
        with pytest.raises(StoreError):
            side.pushed()
    assert side.decisions.pending == {"e1", "e2"}
    event = side.ven.handler.get_event("e1")
    assert event is not None
    assert event.modification_number == 0
    side.now += 30
    side.pushed()  # now it can be
    side.now += 30
    assert side.answers() == {"e2": "optIn"}
    side.now += 30
    assert side.answers() == {"e1": "optIn"}
    assert asked == [("e1", 0), ("e2", 0), ("e1", 1), ("e1", 1)]
    side.killed()


def test_a_decision_that_cannot_be_stored_is_still_to_be_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = Side(later_about([]), db=tmp_path / "ven.db")
    side.pushed()
    side.decisions.decide("e1", "optOut")

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "apply", full_disk)
        with pytest.raises(StoreError):
            side.ven.advance(side.now)
        action = side.ven.next_action(side.now)  # which is no reason to be silent
        assert action is not None
        assert action.purpose == "query"
    assert side.answers() == {"e1": "optOut"}
    side.killed()


@pytest.mark.parametrize("by", [-1800.0, 1800.0])
def test_a_clock_that_is_set_changes_no_time_limit(tmp_path: Path, by: float) -> None:
    side = Side(lambda event: "later", db=tmp_path / "ven.db")
    side.pushed()
    side.now += 30.0
    assert side.answers() == {}
    side.now += by
    side.ven.shift_clock(by)
    assert side.answers() == {}
    side.killed()  # and it is so after a restart
    later = Side(lambda event: "later", db=tmp_path / "ven.db", now=side.now)
    assert later.answers() == {}
    later.now += 31.0
    assert later.answers() == {"e1": "optIn", "e2": "optIn"}


def test_a_clock_set_back_while_we_were_away_makes_no_wait_longer(tmp_path: Path) -> None:
    first = Side(later_about([]), db=tmp_path / "ven.db")
    first.pushed()
    first.killed()
    again = Side(later_about([]), db=tmp_path / "ven.db", now=START - 7200)
    assert again.answers() == {}
    again.now += 59.0
    assert again.answers() == {}
    again.now += 2.0
    assert again.answers() == {"e1": "optIn", "e2": "optIn"}
    again.killed()


def test_a_coroutine_that_takes_too_long_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    ended = []

    async def on_event(event: Any) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(event.event_id)
        return "optIn"

    async def scenario() -> dict[str, str]:
        side = Side(on_event, "optOut")
        side.pushed()
        await asyncio.sleep(0)
        side.now += 60
        found = side.answers()
        await asyncio.sleep(0)
        return found

    assert asyncio.run(scenario()) == {"e1": "optOut", "e2": "optOut"}
    assert sorted(ended) == ["e1", "e2"]
