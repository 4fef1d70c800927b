"""What the processes of a load test say to each other through their pipes."""

from __future__ import annotations

from dataclasses import dataclass

from oadr2.fleet.result import Result


@dataclass(frozen=True, slots=True)
class Listening:
    """The simulated VTN is there, at this address."""

    url: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A part has its VENs and can begin; ``warnings`` are for people."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Begin:
    """The run begins at this moment, seconds since the epoch."""

    at: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Come to an end: finish what is under way and say what was found."""


@dataclass(frozen=True, slots=True)
class Done:
    """A part has ended."""

    result: Result


@dataclass(frozen=True, slots=True)
class Failed:
    """A part cannot go on; ``reason`` in one line."""

    reason: str
