"""What waits for the VTN: answers and opts, in order, and the newest of each event only."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count

from oadr2 import decode, encode
from oadr2.model import CancelOpt, CreatedEvent, CreateOpt, EiResponse, EventResponse, Period
from oadr2.policy import VtnPolicy
from oadr2.schedule import Duration
from oadr2.services.opt_service import OptService
from oadr2.services.outbox import AnswersOwed, OptOutbox
from oadr2.services.request import Request
from oadr2.services.seal import Seal
from oadr2.services.state import MemoryState


def answer(key: str, *event_ids: str) -> Request:
    responses = tuple(EventResponse(name, 0, "optIn", 200, "list-1") for name in event_ids)
    response = EiResponse(200, "OK", "list-1")
    message = CreatedEvent("ven-1", responses, response, "2.0b")
    return Request("EiEvent", encode(message), "answer", key)


def events_of(request: Request) -> list[str]:
    message = decode(request.data)
    assert isinstance(message, CreatedEvent)
    return [a.event_id for a in message.event_responses]


def test_answers_leave_in_order_and_once() -> None:
    owed = AnswersOwed(wrap=True)
    owed.put(answer("1", "a"))
    owed.put(Request("EiReport", b"", "answer", "2"))
    assert (len(owed), owed.first.key) == (2, "1")
    owed.done("1")
    assert owed.first.key == "2"
    owed.done("2")
    owed.done("2")
    assert len(owed) == 0


def test_a_newer_answer_to_an_event_replaces_the_older_one() -> None:
    owed = AnswersOwed(wrap=True)
    owed.put(answer("1", "a"))
    owed.put(answer("2", "b", "c"))
    owed.put(answer("3", "a", "b"))
    assert events_of(owed.first) == ["c"]
    owed.done("2")  # the longer one was under way: what is left of it goes out all the same
    assert events_of(owed.first) == ["c"]
    owed.done(owed.first.key)
    assert events_of(owed.first) == ["a", "b"]


def test_too_many_answers_drop_the_oldest() -> None:
    owed = AnswersOwed(wrap=True, most=2)
    assert owed.put(answer("1", "a")) is None
    assert owed.put(answer("2", "b")) is None
    dropped = owed.put(answer("3", "c"))
    assert dropped is not None
    assert dropped.key == "1"
    assert len(owed) == 2


def test_opts_are_kept_in_order_over_a_restart() -> None:
    state = MemoryState()
    outbox = OptOutbox(state)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    outbox.put(CreateOpt("o1", "optOut", "economic", "ven-1", now, "r1"), b"<create/>")
    outbox.put(CancelOpt("o1", "ven-1", "r2"), b"<cancel/>")
    again = OptOutbox(state)
    assert (len(again), again.first.opt_id, again.first.data) == (2, "o1", b"<create/>")
    again.sent(again.first.number)
    assert again.first.data == b"<cancel/>"
    again.sent(again.first.number)
    assert len(OptOutbox(state)) == 0


def test_what_an_earlier_version_has_stored_is_known_to_end_an_opt() -> None:
    data = encode(CancelOpt("o1", "ven-1", "r2")).decode()
    state = MemoryState()
    state.save({"opt_unsent/000000000001": json.dumps({"opt_id": "o1", "data": data})})
    assert [(opt.opt_id, opt.is_end) for opt in OptOutbox(state)] == [("o1", True)]


def test_an_opt_that_the_VTN_fails_over_lets_the_others_go_first() -> None:
    state = MemoryState()
    outbox = OptOutbox(state)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    outbox.put(CreateOpt("o1", "optOut", "economic", "ven-1", now, "r1"), b"<create 1/>")
    outbox.put(CreateOpt("o2", "optOut", "economic", "ven-1", now, "r2"), b"<create 2/>")
    outbox.put(CancelOpt("o1", "ven-1", "r3"), b"<cancel 1/>")
    outbox.postpone(outbox.first.number)
    told = []
    while outbox:
        told.append(outbox.first.data)
        outbox.sent(outbox.first.number)
    assert told == [b"<create 2/>", b"<create 1/>", b"<cancel 1/>"]


def test_an_opt_taken_back_is_forgotten_when_the_VTN_takes_that_without_a_word() -> None:
    """L05. Until then it is held, and known to end."""
    numbers = count(1)
    opts = OptService(
        MemoryState(),
        Seal(VtnPolicy(), None, None),
        new_id=lambda: f"id-{next(numbers)}",
        ven_id=lambda: "ven-1",
    )
    period = Period(datetime(2030, 1, 1, tzinfo=UTC), Duration(microseconds=3_600_000_000))
    opt_id = opts.create_schedule(
        "optOut", [period], 0.0, reason="x-schedule", market_context=None, targets=None, opt_id="o1"
    )

    def take() -> None:
        due = opts.due()
        assert due is not None
        opts.taken(due.number)

    take()
    assert ([opt.opt_id for opt in opts.held], opts.ending) == ([opt_id], frozenset())
    opts.cancel(opt_id)
    assert ([opt.opt_id for opt in opts.held], opts.ending) == ([opt_id], {opt_id})
    take()
    assert (opts.held, opts.ending, opts.waiting) == ((), frozenset(), 0)
