"""A list of events taken in by a VEN: decoded, decided, stored where asked, and answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from contenders import OADR2
from payloads import DOCUMENTS, START, VEN_ID, Document

import oadr2

NOW = START.timestamp() - 3600.0  # every event of the documents is still to come
TWENTY_A = [document for document in DOCUMENTS if document.profile == "2.0a"]
document_of_each_size = pytest.mark.parametrize(
    "document", TWENTY_A, ids=[document.title for document in TWENTY_A]
)
in_memory_or_not = pytest.mark.parametrize("durable", [False, True], ids=["memory", "durable"])


class Handlers:
    """Handlers made for the rounds of one benchmark, and closed after it."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.made: list[Any] = []

    def new(self) -> Any:
        path = None if self.folder is None else str(self.folder / f"{len(self.made)}.db")
        handler = oadr2.event.EventHandler(VEN_ID, db_path=path, clock=lambda: NOW)
        self.made.append(handler)
        return handler

    def close(self) -> None:
        for handler in self.made:
            handler.close()
        self.made.clear()


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
    label: Callable[[str, str], None],
    tmp_path: Path,
) -> None:
    """Every round begins with an empty handler, whose making is not timed."""
    label(title("new events", document, durable), OADR2)
    handlers = Handlers(tmp_path if durable else None)
    data = document.data

    def empty_handler() -> tuple[tuple[Any, bytes], dict[str, Any]]:
        handlers.close()
        return (handlers.new(), data), {}

    reply = benchmark.pedantic(
        lambda handler, payload: handler.handle_payload(payload), setup=empty_handler, rounds=200
    )
    assert_every_event_is_answered(reply, document)
    assert len(handlers.made[-1].get_active_events()) == document.events
    handlers.close()


@document_of_each_size
@in_memory_or_not
def bench_unchanged_events(
    document: Document,
    durable: bool,
    benchmark: Any,
    label: Callable[[str, str], None],
    tmp_path: Path,
) -> None:
    """The poll that brings nothing new, which is nearly every poll. "always" has it answered again."""
    label(title("unchanged events", document, durable), OADR2)
    handlers = Handlers(tmp_path if durable else None)
    handler = handlers.new()
    data = document.data
    handler.handle_payload(data)
    reply = benchmark(handler.handle_payload, data)
    assert_every_event_is_answered(reply, document)
    assert len(handler.get_active_events()) == document.events
    handlers.close()
