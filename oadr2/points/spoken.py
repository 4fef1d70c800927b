"""What a point is told, and what it asks for: plain data, shared by points, drivers and the gateway."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from oadr2.points.rules import Setting

Cause: TypeAlias = Literal["normal", "event", "override", "failsafe", "limit"]
Kind: TypeAlias = Literal[
    "found",
    "control",
    "waits",
    "write",
    "verified",
    "disobeyed",
    "drift",
    "failed",
    "answers",
    "alert",
]


@dataclass(slots=True)
class Contact:
    """When a VTN was heard of last; shared by all points that listen to it."""

    heard_at: float


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a point should be, and who says so."""

    value: Setting
    cause: Cause
    vtn_id: str = ""
    event_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the schedule wants of a point now; points of which the same is wanted may share one.

    Attributes:
        value: to write.
        vtn_id, event_id: the event that rules.
        reason: in words, such as ``SIMPLE 2``.
        cause: ``normal`` where the point takes no part in the event.
        aim: of a point that follows it.
    """

    value: Setting
    vtn_id: str
    event_id: str
    reason: str
    cause: Cause = "event"
    aim: Aim = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        aim = Aim(self.value, self.cause, self.vtn_id, self.event_id, self.reason)
        object.__setattr__(self, "aim", aim)


@dataclass(frozen=True, slots=True)
class Override:
    """A person's word, which beats demand response until it ends.

    Attributes:
        value: to hold.
        until: when it ends, by the clock of the point.
        by: who said so.
    """

    value: Setting
    until: float
    by: str


@dataclass(frozen=True, slots=True)
class Write:
    """Have the device take ``value``; with RELEASED it is released."""

    value: Setting


@dataclass(frozen=True, slots=True)
class Read:
    """Read the device."""


class Record(NamedTuple):  # a third of a dataclass's cost, and made for every point of an event
    """A line of the audit log.

    Attributes:
        kind: ``found`` (the device's true state after a start or an outage), ``control`` (who rules
            has changed), ``waits`` (a rule holds a write back), ``write`` (accepted by the device),
            ``verified``, ``disobeyed`` (read back as something else), ``drift`` (changed by
            somebody else), ``failed``, ``answers`` (again), ``alert`` (a person should look).
        old, new: values before and after, or None where there is none.
        read_back: what the device said.
    """

    kind: Kind
    old: Setting | None
    new: Setting | None
    read_back: float | None
    vtn_id: str
    event_id: str
    reason: str


Output: TypeAlias = Write | Read | Record


@dataclass(frozen=True, slots=True)
class Memory:
    """What a point knows of itself that a restart must not take from it.

    Attributes:
        value: what it was left at.
        changed_at: when it went on or off last; minus infinity where that is not known.
        controlled_since: since when it is under control, or None.
    """

    value: Setting
    changed_at: float
    controlled_since: float | None
