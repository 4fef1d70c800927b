"""Bytes to events: the parse alone, and the parse with every value read from it."""

from __future__ import annotations

from typing import Any

import pytest
from contenders import CONTENDERS, OADR2, PUGIXML, Contender
from payloads import DOCUMENTS, Document

from conftest import Aim, Label

SECTION = "Decode"
PAIRS = [
    pytest.param(
        document,
        contender,
        id=f"{document.title}-{contender.name}",
        marks=[pytest.mark.skip(reason=contender.missing)] if contender.missing else [],
    )
    for document in DOCUMENTS
    for contender in CONTENDERS
    if document.profile in contender.profiles
]


_USUAL = ("regular", "irregular")


def is_headline(document: Document) -> bool:
    size = document.events, document.intervals
    return size == (1, 3) or (
        document.profile == "2.0a" and document.style in _USUAL and size in ((100, 3), (1, 96))
    )


def aim(contender: Contender) -> Aim | None:
    return Aim(0.5, of=PUGIXML) if contender.name == OADR2 else None


@pytest.mark.parametrize(("document", "contender"), PAIRS)
def bench_decode(document: Document, contender: Contender, benchmark: Any, label: Label) -> None:
    """What each library does before the program has asked for anything."""
    label(
        f"decode {document.title}",
        contender.name,
        headline=is_headline(document),
        aim=aim(contender),
    )
    data, values = document.data, document.values
    assert contender.read(contender.parse(data)) == values
    parsed = benchmark(contender.parse, data)
    assert contender.read(parsed) == values


@pytest.mark.parametrize(("document", "contender"), PAIRS)
def bench_decode_and_read(
    document: Document, contender: Contender, benchmark: Any, label: Label
) -> None:
    """The same, with the values that payloads.EventValues lists made Python objects."""
    label(f"decode and read {document.title}", contender.name, headline=is_headline(document))
    data, values = document.data, document.values
    assert contender.read(contender.parse(data)) == values
    assert benchmark(lambda data: contender.read(contender.parse(data)), data) == values
