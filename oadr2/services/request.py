"""What a VEN of 2.0b has to send: plain data of :mod:`oadr2.ven_20b`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from oadr2.ven import Action

Purpose: TypeAlias = Literal[
    "query", "register", "cancel", "announce", "synchronise", "poll", "answer", "report", "opt"
]


@dataclass(frozen=True, slots=True)
class Request(Action):
    """An action whose reply this VEN waits for; ``key`` says which report or opt it is about.

    ``turn`` counts the requests of one VEN, second tries too.
    """

    purpose: Purpose
    key: str = ""
    turn: int = field(default=0, compare=False)
