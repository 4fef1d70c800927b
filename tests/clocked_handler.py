"""An EventHandler whose clock the test sets, and its answers read back."""

from __future__ import annotations

from typing import Any

from payloads import START, distribute_event

from oadr2._core.objects import decode
from oadr2.event import Change, EventHandler

HOUR = 3600.0
BEFORE = START - HOUR


class Clock:
    def __init__(self, now: float = BEFORE) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Ven(EventHandler):
    """A handler with a clock to set, and its answers read back."""

    def __init__(self, *args: Any, now: float = BEFORE, **settings: Any) -> None:
        self.clock = Clock(now)
        settings.setdefault("seed", 1)
        super().__init__(*(args or ("ven",)), clock=self.clock, **settings)
        self.changes: list[Change] = []
        self.subscribe(self.changes.extend)

    def take(self, *events: str, now: float | None = None, **of_list: Any) -> list[tuple[Any, ...]]:
        """The answers to a list: (event id, number, code, opt)."""
        if now is not None:
            self.clock.now = now
        reply = self.handle_payload(distribute_event(*events, **of_list))
        if reply is None:
            return []
        message = decode(reply)
        assert message.response.response_code == 200
        return [
            (a.event_id, a.modification_number, a.response_code, a.opt_type)
            for a in message.event_responses
        ]

    def held(self) -> dict[str, tuple[int, str, str]]:
        """Number, opt and phase of each event held, by id."""
        return {
            s.event.event_id: (s.event.modification_number, s.opt_type, s.phase)
            for s in self.get_states()
        }

    def kinds(self) -> list[str]:
        """What has happened since last asked."""
        kinds = [change.kind for change in self.changes]
        self.changes.clear()
        return kinds


def in_(event_id: str = "e1", number: int = 0, code: int = 200) -> tuple[Any, ...]:
    return (event_id, number, code, "optIn")


def out(event_id: str = "e1", number: int = 0, code: int = 454) -> tuple[Any, ...]:
    return (event_id, number, code, "optOut")
