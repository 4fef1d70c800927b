"""Bytes to events: the parse alone, and the parse with every value read from it."""

from __future__ import annotations

from typing import Any

import pytest
from contenders import CONTENDERS, Contender
from payloads import DOCUMENTS, Document, expected

from conftest import Label

PAIRS = [
    pytest.param(document, contender, id=f"{document.title}-{contender.name}")
    for document in DOCUMENTS
    for contender in CONTENDERS
    if document.profile in contender.profiles
]


@pytest.mark.parametrize(("document", "contender"), PAIRS)
def bench_decode(document: Document, contender: Contender, benchmark: Any, label: Label) -> None:
    """What each library does before the program has asked for anything."""
    label(f"decode {document.title}", contender.name, headline=document.events == 1)
    parsed = benchmark(contender.parse, document.data)
    assert contender.read(parsed) == expected(document.events, document.intervals)


@pytest.mark.parametrize(("document", "contender"), PAIRS)
def bench_decode_and_read(
    document: Document, contender: Contender, benchmark: Any, label: Label
) -> None:
    """The same, with the values that payloads.EventValues lists made Python objects."""
    label(f"decode and read {document.title}", contender.name, headline=document.events == 1)
    values = benchmark(lambda data: contender.read(contender.parse(data)), document.data)
    assert values == expected(document.events, document.intervals)
