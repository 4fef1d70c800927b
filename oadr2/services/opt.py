"""The opts that a VEN holds, on events and about its availability (facts.md 3.4)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from oadr2.errors import LocalProtocolError
from oadr2.model import OptType
from oadr2.services.state import ServiceState

_PREFIX: Final = "opt/"
#: The reasons of the profile; others begin with ``x-`` (O04).
OPT_REASONS: Final = frozenset(
    (
        "economic",
        "emergency",
        "mustRun",
        "notParticipating",
        "outageRunStatus",
        "overrideStatus",
        "participating",
        "x-schedule",
    )
)


@dataclass(frozen=True, slots=True)
class HeldOpt:
    """An opt that the VTN was told of, or is about to be.

    Attributes:
        event_id: the event it qualifies; None for a schedule of availability.
        until: when its last period is over, seconds since 1970; None for an event's.
        periods: of the schedule, from when to when; seconds since 1970.
        resource_ids: the loads it is about; none: all.
        message: the oadrCreateOpt, not signed; empty where an earlier version has stored it.
    """

    opt_id: str
    opt_type: OptType
    event_id: str | None = None
    until: float | None = None
    periods: Sequence[tuple[float, float]] = ()
    reason: str = ""
    market_context: str | None = None
    resource_ids: Sequence[str] = ()
    message: str = ""

    @property
    def key(self) -> str:
        """Where it is kept."""
        return _PREFIX + self.opt_id

    @property
    def text(self) -> str:
        """What is kept of it."""
        return json.dumps(asdict(self))


class HeldOpts:
    """The opts of one VEN; remembered in ``state``."""

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._held = {
            key.removeprefix(_PREFIX): HeldOpt(**json.loads(text))
            for key, text in state.load(_PREFIX).items()
        }

    def __iter__(self) -> Iterator[HeldOpt]:
        return iter(tuple(self._held.values()))

    def __contains__(self, opt_id: str) -> bool:
        return opt_id in self._held

    def add(self, opt: HeldOpt) -> None:
        """It holds from now on; whoever has it told has stored it with that."""
        self._held[opt.opt_id] = opt

    def forget(self, opt_id: str) -> None:
        """The VTN has it no longer, or never took it."""
        if opt_id in self._held:
            self._state.save({_PREFIX + opt_id: None})
            del self._held[opt_id]

    def to_forget(self) -> list[str]:
        """The keys of all that is kept."""
        return [opt.key for opt in self._held.values()]

    def forgotten(self) -> None:
        """It is stored no longer: the registration is over."""
        self._held.clear()

    def expire(self, now: float, event_ids: frozenset[str]) -> None:
        """Forget schedules that are over and opts of events that are held no longer."""
        over = [
            opt.opt_id
            for opt in self._held.values()
            if (opt.until is not None and opt.until <= now)
            or (opt.event_id is not None and opt.event_id not in event_ids)
        ]
        if over:
            self._state.save(dict.fromkeys((_PREFIX + opt_id for opt_id in over), None))
            for opt_id in over:
                del self._held[opt_id]


def require_reason(reason: str) -> None:
    """Raise LocalProtocolError when this is no reason for an opt (O04)."""
    if reason not in OPT_REASONS and not reason.startswith("x-"):
        raise LocalProtocolError(
            f"opt reason {reason!r}: it is one of {', '.join(sorted(OPT_REASONS))}, or begins with x-"
        )
