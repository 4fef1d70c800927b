"""What a VEN of 2.0b has to send, and what it tells people: plain data of :mod:`oadr2.ven_20b`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from oadr2.ven import Action

Purpose: TypeAlias = Literal[
    "query", "register", "cancel", "announce", "synchronise", "poll", "answer", "report", "opt"
]
ActivityKind: TypeAlias = Literal[
    "registered", "unregistered", "cancelled", "announced", "asked", "delivered", "opt"
]


@dataclass(frozen=True, slots=True)
class Request(Action):
    """An action whose reply this VEN waits for; ``key`` says which report or opt it is about."""

    purpose: Purpose
    key: str = ""


@dataclass(frozen=True, slots=True)
class Activity:
    """Something worth telling a person: ``kind`` is a word, ``text`` one line, ``fields`` for programs."""

    kind: ActivityKind
    text: str
    fields: Mapping[str, object] = field(default_factory=dict)
