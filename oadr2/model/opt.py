"""The EiOpt service (facts.md 1.8, 3.4), 2.0b only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from oadr2.model.parts import (
    EiResponse,
    OptType,
    Period,
    Problem,
    Profile,
    QualifiedEventId,
    Targets,
)


@dataclass(frozen=True, slots=True)
class Vavailability:
    """``xcal:vavailability``: when the resources can, or cannot, be asked to take part."""

    available: Sequence[Period] = ()


@dataclass(frozen=True, slots=True)
class CreateOpt:
    """``oadr:oadrCreateOpt``, VEN to VTN: taking part in an event after all, or not, or when at all.

    Either ``qualified_event_id`` or ``vavailability``, never both (facts.md 3.4, O02); the schema would
    let both pass and the decoder takes what it gets. ``targets`` names the resources it concerns,
    ``device_class`` narrows them by device class.
    """

    opt_id: str
    opt_type: OptType
    opt_reason: str
    ven_id: str
    created_date_time: datetime
    request_id: str = ""
    qualified_event_id: QualifiedEventId | None = None
    vavailability: Vavailability | None = None
    targets: Targets = field(default_factory=Targets)
    device_class: Targets = field(default_factory=Targets)
    market_context: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class CreatedOpt:
    """``oadr:oadrCreatedOpt``: the answer to it."""

    opt_id: str = ""
    response: EiResponse = field(default_factory=EiResponse)
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class CancelOpt:
    """``oadr:oadrCancelOpt``, VEN to VTN: that opt no longer holds."""

    opt_id: str
    ven_id: str
    request_id: str = ""
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"


@dataclass(frozen=True, slots=True)
class CanceledOpt:
    """``oadr:oadrCanceledOpt``: the answer to it."""

    response: EiResponse = field(default_factory=EiResponse)
    opt_id: str | None = None
    signed: bool = field(default=False, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)

    profile: ClassVar[Profile] = "2.0b"
