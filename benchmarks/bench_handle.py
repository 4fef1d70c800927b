"""A list of events taken in by a VEN: decoded, decided, stored where asked, and answered."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contenders import OADR2
from payloads import DOCUMENTS, START, VEN_ID, Document

import oadr2
from conftest import Aim, Label

SECTION = "Handle a list of events"
NOW = START.timestamp() - 3600.0  # every event of the documents is still to come
# Irregular values are no levels of a SIMPLE signal, so such an event would be refused.
TWENTY_A = [
    document for document in DOCUMENTS if document.profile == "2.0a" and document.style == "regular"
]
document_of_each_size = pytest.mark.parametrize(
    "document", TWENTY_A, ids=[document.title for document in TWENTY_A]
)
in_memory_or_not = pytest.mark.parametrize("durable", [False, True], ids=["memory", "durable"])


class Handlers:
    """The handlers of one benchmark: each has a file of its own, and is closed before the next."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.count = 0
        self.current: Any = None

    def new(self) -> Any:
        self.close()
        self.count += 1
        path = None if self.folder is None else str(self.folder / f"{self.count}.db")
        self.current = oadr2.event.EventHandler(VEN_ID, db_path=path, clock=lambda: NOW)
        return self.current

    def close(self) -> None:
        if self.current is not None:
            self.current.close()


def assert_every_event_is_answered(reply: bytes, document: Document) -> None:
    answers = oadr2.decode(reply).event_responses
    assert [answer.opt_type for answer in answers] == ["optIn"] * document.events
    assert {answer.response_code for answer in answers} == {200}


def title(what: str, document: Document, durable: bool) -> str:
    return f"handle {what}, {document.title}, {'SQLite' if durable else 'in memory'}"


@document_of_each_size
@in_memory_or_not
def bench_new_events(
    document: Document,
    durable: bool,
    benchmark: Any,
    label: Label,
    tmp_path: Path,
    quick: bool,
) -> None:
    """Every round begins with an empty handler on a new file, whose making is not timed."""
    aim = None
    if document.events == 1 and document.intervals == 3 and not durable:
        aim = Aim(4e-6)
    elif document.events == 100 and durable:
        aim = Aim(20e-6 * 100)  # 20 us an event, when many share a transaction
    label(title("new events", document, durable), OADR2, headline=aim is not None, aim=aim)
    handlers = Handlers(tmp_path if durable else None)
    data = document.data

    def empty_handler() -> tuple[tuple[Any, bytes], dict[str, Any]]:
        handler = handlers.new()
        assert handler.get_active_events() == []
        return (handler, data), {}

    reply = benchmark.pedantic(
        lambda handler, payload: handler.handle_payload(payload),
        setup=empty_handler,
        rounds=3 if quick else 60,
    )
    assert_every_event_is_answered(reply, document)
    assert len(handlers.current.get_active_events()) == document.events
    handlers.close()


@document_of_each_size
@in_memory_or_not
def bench_modified_events(
    document: Document,
    durable: bool,
    benchmark: Any,
    label: Label,
    tmp_path: Path,
    quick: bool,
) -> None:
    """One handler all along, whose file has settled; every list raises the modification numbers."""
    headline = document.events == 1 and document.intervals == 3
    label(title("modified events", document, durable), OADR2, headline=headline)
    handlers = Handlers(tmp_path if durable else None)
    handler = handlers.new()
    before, *pieces = re.split(rb"(?<=<ei:modificationNumber>)\d+", document.data)
    assert len(pieces) == document.events
    numbers = itertools.count(1)

    def next_list() -> tuple[tuple[bytes], dict[str, Any]]:
        return ((b"%d" % next(numbers)).join([before, *pieces]),), {}

    handler.handle_payload(document.data)
    reply = benchmark.pedantic(
        handler.handle_payload, setup=next_list, rounds=3 if quick else 200, warmup_rounds=5
    )
    assert_every_event_is_answered(reply, document)
    assert handler.get_event("event-00000").modification_number == next(numbers) - 1
    handlers.close()


def polls(data: bytes, new_request_ids: bool) -> Iterator[bytes]:
    """The same list over and over, each time in bytes of its own, as they come from a socket."""
    marker = b">request-1<"
    assert data.count(marker) == 1
    return itertools.cycle(
        [
            data.replace(marker, b">request-%d<" % number)
            if new_request_ids
            else bytes(bytearray(data))
            for number in range(16)
        ]
    )


@document_of_each_size
@in_memory_or_not
@pytest.mark.parametrize("new_request_ids", [False, True], ids=["same bytes", "new requestID"])
def bench_unchanged_events(
    document: Document,
    durable: bool,
    new_request_ids: bool,
    benchmark: Any,
    label: Label,
    tmp_path: Path,
    quick: bool,
) -> None:
    """The poll that brings nothing new, which is nearly every poll. "always" has it answered again.

    Some VTNs repeat the whole document, others draw a new requestID for each.
    """
    what = "unchanged events under a new requestID" if new_request_ids else "unchanged events"
    smallest = document.events == 1 and document.intervals == 3
    aim = Aim(0.5e-6) if smallest and not durable and not new_request_ids else None
    label(title(what, document, durable), OADR2, headline=smallest, aim=aim)
    handlers = Handlers(tmp_path if durable else None)
    handler = handlers.new()
    lists = polls(document.data, new_request_ids)
    handler.handle_payload(next(lists))
    # Ten calls a round: one alone takes no longer than the timer.
    reply = benchmark.pedantic(
        lambda: handler.handle_payload(next(lists)),
        rounds=3 if quick else 300,
        iterations=10,
        warmup_rounds=1,
    )
    assert_every_event_is_answered(reply, document)
    assert len(handler.get_active_events()) == document.events
    handlers.close()
