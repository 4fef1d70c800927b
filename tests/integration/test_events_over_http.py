"""Events from the simulated VTN to a VEN and back, over loopback HTTP, by the clock on the wall.

Times are asserted on one side only: nothing happens before its time. How late it comes depends on
the machine.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oadr2.errors import LocalProtocolError
from oadr2.event import Change, EventHandler
from oadr2.model import Event, Profile, Targets
from oadr2.poll import OpenADR2, PollClient
from oadr2.sim import SimulatedVtn, VtnServer

PATIENCE = 30.0
PROFILES = pytest.mark.parametrize("profile", ["2.0a", "2.0b"])


class Ven:
    """A polling VEN and everything it reported."""

    def __init__(self, url: str, profile: Profile, ven_id: str = "ven-1", **config: Any) -> None:
        self.ven_id = ven_id
        self.levels: list[tuple[float, float, float]] = []
        self.changes: list[Change] = []
        self.callbacks: list[tuple[set[str], set[str]]] = []
        self._changed = threading.Condition()
        self.client = OpenADR2(
            {
                "ven_id": ven_id,
                "oadr_profile_level": profile,
                "event_callback": self._on_events,
                **config,
            },
            url,
            control_opts={"signal_changed_callback": self._on_level},
            vtn_poll_interval=0.1,
            start_thread=False,
        )
        self.client.event_handler.subscribe(self._on_changes)
        self.client.start()

    def _on_level(self, old: float, new: float) -> None:
        with self._changed:
            self.levels.append((time.time(), old, new))
            self._changed.notify_all()

    def _on_changes(self, changes: tuple[Change, ...]) -> None:
        with self._changed:
            self.changes.extend(changes)
            self._changed.notify_all()

    def _on_events(self, updated: dict[str, Event], removed: dict[str, Event]) -> None:
        with self._changed:
            self.callbacks.append((set(updated), set(removed)))
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), (self.levels, self.changes)

    def wait_for_change(self, kind: str, event_id: str) -> Change:
        def found() -> list[Change]:
            return [c for c in self.changes if (c.kind, c.event_id) == (kind, event_id)]

        self.wait_for(found)
        return found()[0]

    def wait_for_level(self, level: float) -> float:
        """Wait until the level is this one; when it came."""
        self.wait_for(lambda: self.levels and self.levels[-1][2] == level)
        return self.levels[-1][0]

    def held(self) -> set[str]:
        return {event.event_id for event in self.client.event_handler.get_active_events()}


@contextmanager
def polling(
    server: VtnServer, profile: Profile, ven_id: str = "ven-1", **config: Any
) -> Iterator[Ven]:
    ven = Ven(server.url, profile, ven_id, **config)
    try:
        yield ven
    finally:
        ven.client.exit()


def wait_for_answer(vtn: SimulatedVtn, event_id: str, number: int, ven_id: str = "ven-1") -> str:
    """Wait for the answer to one version of an event; the opt in it."""

    def answer() -> Any:
        last = vtn.last_answer(ven_id, event_id)
        return last if last and last.modification_number == number else None

    assert vtn.wait_for(answer, PATIENCE), vtn.answers
    found = answer()
    assert (found.response_code, found.problem) == (200, "")
    return str(found.opt_type)


def in_seconds(seconds: float) -> datetime:
    return datetime.fromtimestamp(time.time() + seconds, UTC)


@PROFILES
def test_an_event_is_answered_and_steps_through_its_intervals(profile: Profile) -> None:
    vtn = SimulatedVtn(profile=profile)
    with VtnServer(vtn) as server, polling(server, profile) as ven:
        start = in_seconds(0.6)
        vtn.add_event("peak", start=start, levels=[(1, 1), (1, 3), (1, 2)])
        assert wait_for_answer(vtn, "peak", 0) == "optIn"
        ven.wait_for_change("completed", "peak")
        ven.wait_for(lambda: len(ven.levels) >= 4)
        borders = [start + timedelta(seconds=k) for k in range(4)]
        assert [(old, new) for _, old, new in ven.levels] == [(0, 1), (1, 3), (3, 2), (2, 0)]
        for (at, _, _), border in zip(ven.levels, borders, strict=True):
            assert at >= border.timestamp()
        kinds = [change.kind for change in ven.changes]
        assert kinds == ["new", "started", "interval", "interval", "completed"]
        assert ven.held() == set()
        # The VTN may still list it for a moment; it must not come back as new.
        polls = vtn.polls["ven-1"]
        assert vtn.wait_for(lambda: vtn.polls["ven-1"] >= polls + 3, PATIENCE)
        assert len(ven.changes) == 5


@PROFILES
def test_a_running_event_is_modified_and_cancelled(profile: Profile) -> None:
    vtn = SimulatedVtn(profile=profile)
    with VtnServer(vtn) as server, polling(server, profile) as ven:
        vtn.add_event("e", duration="PT1H", level=1)
        ven.wait_for_level(1)
        assert vtn.modify_event("e", level=2, vtn_comment="harder") == 1
        assert wait_for_answer(vtn, "e", 1) == "optIn"
        ven.wait_for_level(2)
        event = ven.client.event_handler.get_event("e", "vtn")
        assert event is not None
        assert (event.modification_number, event.vtn_comment) == (1, "harder")
        assert ven.client.event_controller.get_current_signal_level() == (2, "e")
        assert vtn.cancel_event("e") == 2
        assert wait_for_answer(vtn, "e", 2) == "optIn"  # facts.md H36: cancellation confirmed
        ven.wait_for_level(0)
        assert ven.held() == set()
        ven.wait_for(lambda: (set(), {"e"}) in ven.callbacks)
        assert ven.callbacks[0] == ({"e"}, set())
        assert vtn.wait_for(lambda: not vtn.last_answer("ven-1", "e").problem, PATIENCE)  # type: ignore[union-attr]


@PROFILES
def test_an_event_that_vanishes_from_the_list_is_cancelled(profile: Profile) -> None:
    vtn = SimulatedVtn(profile=profile)
    with VtnServer(vtn) as server, polling(server, profile) as ven:
        vtn.add_event("running", duration="PT1H", level=2)
        vtn.add_event("pending", start="+1h", duration="PT1H", level=3)
        wait_for_answer(vtn, "pending", 0)
        ven.wait_for_level(2)
        vtn.remove_event("running")
        ven.wait_for_change("vanished", "running")
        ven.wait_for_level(0)
        assert ven.held() == {"pending"}
        vtn.remove_event("pending")
        ven.wait_for_change("vanished", "pending")
        assert ven.held() == set()


@PROFILES
def test_each_ven_gets_and_takes_what_is_meant_for_it(profile: Profile) -> None:
    vtn = SimulatedVtn(profile=profile)
    with (
        VtnServer(vtn) as server,
        polling(server, profile, "ven-1", group_id="north") as one,
        polling(server, profile, "ven-2", group_id="south") as two,
        polling(server, profile, "007", group_id=["north", "south"]) as seven,
    ):
        # The VTN does not know the groups, so it lists what names a group to every VEN.
        vtn.add_event("for-north", duration="PT1H", targets=Targets(group_ids=("north",)))
        vtn.add_event("for-two", duration="PT1H", level=2, targets=Targets(ven_ids=("ven-2",)))
        vtn.add_event("for-all", start="+1h", duration="PT1H", level=3)
        for ven in (one, two, seven):
            wait_for_answer(vtn, "for-all", 0, ven.ven_id)
        one.wait_for_level(1)
        two.wait_for_level(2)
        seven.wait_for_level(1)
        assert one.held() == seven.held() == {"for-north", "for-all"}
        assert two.held() == {"for-two", "for-all"}
        refused = vtn.last_answer("ven-2", "for-north")
        assert refused is not None
        assert 400 <= refused.response_code <= 499
        assert refused.opt_type == "optOut"
        assert vtn.last_answer("ven-1", "for-two") is None  # it was never shown to it
        assert two.wait_for_change("refused", "for-north").reason


@PROFILES
def test_an_event_opted_out_of_does_not_move_the_load(profile: Profile) -> None:
    asked: list[tuple[str, int]] = []

    def decide(event: Event) -> str:
        asked.append((event.event_id, event.modification_number))
        level = event.signals[0].intervals[0].value
        return "optOut" if level == 3 else "optIn"

    vtn = SimulatedVtn(profile=profile)
    with VtnServer(vtn) as server, polling(server, profile, opt_callback=decide) as ven:
        vtn.add_event("hard", duration="PT1H", level=3)
        vtn.add_event("soft", start="+1h", duration="PT1H", level=1)
        assert wait_for_answer(vtn, "hard", 0) == "optOut"
        assert wait_for_answer(vtn, "soft", 0) == "optIn"
        assert ven.levels == []
        vtn.modify_event("hard", level=2)
        assert wait_for_answer(vtn, "hard", 1) == "optIn"
        ven.wait_for_level(2)
        vtn.modify_event("hard", level=3)
        assert wait_for_answer(vtn, "hard", 2) == "optOut"
        ven.wait_for_level(0)
        assert sorted(asked) == [("hard", 0), ("hard", 1), ("hard", 2), ("soft", 0)]


@PROFILES
def test_a_change_of_mind_reaches_the_vtn_and_the_load(profile: Profile) -> None:
    vtn = SimulatedVtn(profile=profile)
    with VtnServer(vtn) as server, polling(server, profile) as ven:
        vtn.add_event("e", duration="PT1H", level=1)
        assert wait_for_answer(vtn, "e", 0) == "optIn"
        ven.wait_for_level(1)
        before = len(vtn.answers)
        ven.client.change_opt("e", "optOut")
        assert any(answer.opt_type == "optOut" for answer in vtn.answers[before:])
        ven.wait_for_level(0)
        assert ven.held() == {"e"}
        polls = vtn.polls["ven-1"]
        assert vtn.wait_for(lambda: vtn.polls["ven-1"] >= polls + 3, PATIENCE)
        assert wait_for_answer(vtn, "e", 0) == "optOut"  # the answer to later lists repeats it
        ven.client.change_opt("e", "optIn")
        ven.wait_for_level(1)
        with pytest.raises(LocalProtocolError, match="no-such-event"):
            ven.client.change_opt("no-such-event", "optOut")


def test_an_event_that_wants_no_answer_gets_none_and_runs() -> None:
    vtn = SimulatedVtn()
    with VtnServer(vtn) as server, polling(server, "2.0a") as ven:
        vtn.add_event("quiet", duration="PT1H", level=2, response_required="never")
        ven.wait_for_level(2)
        vtn.cancel_event("quiet")
        ven.wait_for_level(0)
        assert vtn.answers == []


def test_a_spread_start_lies_within_its_tolerance_and_stays_over_modifications() -> None:
    vtn = SimulatedVtn()
    with VtnServer(vtn) as server, polling(server, "2.0a") as ven:
        start = in_seconds(3600)
        vtn.add_event("e", start=start, duration="PT1H", level=1, startafter="PT10M")
        wait_for_answer(vtn, "e", 0)
        (state,) = ven.client.event_handler.get_states()
        assert start <= state.start <= start + timedelta(minutes=10)
        vtn.modify_event("e", level=2, start=start + timedelta(hours=1))
        wait_for_answer(vtn, "e", 1)
        (moved,) = ven.client.event_handler.get_states()
        assert moved.start - state.start == timedelta(hours=1)
        assert moved.event.dtstart == start + timedelta(hours=1)


@PROFILES
def test_the_asyncio_client_follows_an_event(profile: Profile, tmp_path: Any) -> None:
    vtn = SimulatedVtn(profile=profile)
    handler = EventHandler("ven-1", oadr_profile_level=profile, db_path=tmp_path / "ven.db")

    async def scenario(url: str) -> None:
        async with PollClient(handler, url, poll_interval=0.1) as client:
            await client.poll_once()
            assert vtn.polls["ven-1"] == 1
            vtn.add_event("e", duration="PT1H", level=3)
            running = asyncio.create_task(client.run())
            assert await asyncio.to_thread(
                vtn.wait_for, lambda: vtn.last_answer("ven-1", "e"), PATIENCE
            )
            assert handler.current_level() == (3, "e")
            await client.change_opt("e", "optOut", "vtn")
            assert vtn.last_answer("ven-1", "e").opt_type == "optOut"  # type: ignore[union-attr]
            assert handler.current_level() == (0, None)
        await running  # leaving the block has ended it

    try:
        with VtnServer(vtn) as server:
            asyncio.run(asyncio.wait_for(scenario(server.url), PATIENCE))
    finally:
        handler.close()
