"""What the controller asks of the handler: the level now, the next deadline, an interval's end."""

from __future__ import annotations

from typing import Any

import pytest
from contenders import OADR2
from payloads import START, VEN_ID, distribute_event

import oadr2
from conftest import Label

HOLDING = pytest.mark.parametrize("events", [1, 100])


def handler_with(events: int) -> Any:
    """Events a day apart; the first runs from START, plus at most the 5 minutes of startafter."""
    handler = oadr2.event.EventHandler(VEN_ID, clock=lambda: START.timestamp() - 3600.0, seed=1)
    handler.handle_payload(distribute_event("2.0a", events, 3))
    return handler


@HOLDING
def bench_current_level(events: int, benchmark: Any, label: Label) -> None:
    label(f"current level, {events} event{'s' * (events > 1)} held", OADR2)
    handler = handler_with(events)
    running = START.timestamp() + 301.0
    handler.advance(running)
    assert benchmark(handler.current_level, running) == (1.0, "event-00000")
    handler.close()


@HOLDING
def bench_advance_to_nothing(events: int, benchmark: Any, label: Label) -> None:
    label(f"advance when nothing is due, {events} event{'s' * (events > 1)} held", OADR2)
    handler = handler_with(events)
    early = START.timestamp() - 3599.0
    assert benchmark(handler.advance, early) == ()
    assert handler.next_deadline >= START.timestamp()
    handler.close()
