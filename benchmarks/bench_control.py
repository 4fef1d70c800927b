"""What the controller asks of the handler: the level now, the next deadline, an interval's end."""

from __future__ import annotations

from typing import Any

import pytest
from contenders import OADR2
from payloads import START, VEN_ID, distribute_event

import oadr2
from conftest import Label

SECTION = "Control"
HOLDING = pytest.mark.parametrize("events", [1, 10, 100])


def handler_with(events: int) -> Any:
    """Events a day apart; the first runs from START, plus at most the 5 minutes of startafter."""
    handler = oadr2.event.EventHandler(VEN_ID, clock=lambda: START.timestamp() - 3600.0, seed=1)
    handler.handle_payload(distribute_event("2.0a", events, 3))
    return handler


@HOLDING
def bench_current_level(events: int, benchmark: Any, label: Label) -> None:
    label(f"current level, {events} event{'s' * (events > 1)} held", OADR2, headline=events == 1)
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


@pytest.mark.parametrize("intervals", [1, 96])
def bench_advance_through_an_event(
    intervals: int, benchmark: Any, label: Label, quick: bool
) -> None:
    """From before its start until it is forgotten; the figure is that of one deadline."""
    label(f"advance to a deadline, event of {intervals} interval{'s' * (intervals > 1)}", OADR2)
    data = distribute_event("2.0a", 1, intervals)
    deadlines = intervals + 2  # each interval begins, the event ends, and is forgotten
    benchmark.extra_info["runs"] = deadlines
    handlers = []

    def new_handler() -> tuple[tuple[Any], dict[str, Any]]:
        handler = oadr2.event.EventHandler(VEN_ID, clock=lambda: START.timestamp() - 3600.0, seed=1)
        handler.handle_payload(data)
        handlers.append(handler)
        return (handler,), {}

    def advance(handler: Any) -> int:
        steps = 0
        while (deadline := handler.next_deadline) is not None:
            handler.advance(deadline)
            steps += 1
        return steps

    rounds = 3 if quick else 100
    steps = benchmark.pedantic(advance, setup=new_handler, rounds=rounds, warmup_rounds=5)
    assert steps == deadlines
    assert handlers[-1].get_active_events() == []
