"""The EiOpt service of a VEN, without I/O: opts on events, and availability (facts.md 3.4)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final

from oadr2.errors import LocalProtocolError
from oadr2.model import (
    CancelOpt,
    CreateOpt,
    Event,
    OptType,
    Period,
    QualifiedEventId,
    Targets,
    Vavailability,
)
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


class Opts:
    """The opts of one VEN; remembered in ``state``.

    What :meth:`for_event` and :meth:`schedule` make holds from :meth:`add` on.
    """

    def __init__(self, state: ServiceState) -> None:
        self._state = state
        self._held = {
            key.removeprefix(_PREFIX): HeldOpt(**json.loads(text))
            for key, text in state.load(_PREFIX).items()
        }

    @property
    def held(self) -> tuple[HeldOpt, ...]:
        """The opts that hold, in the order of their ids."""
        return tuple(self._held.values())

    def for_event(
        self,
        event: Event,
        opt_type: OptType,
        *,
        opt_id: str,
        request_id: str,
        ven_id: str,
        now: float,
        reason: str = "notParticipating",
        targets: Targets | None = None,
    ) -> tuple[CreateOpt, HeldOpt]:
        """Qualify our opt of an event, for all of it or for some resources (O01, O03).

        Raises:
            LocalProtocolError: the reason is none of the profile's, or the optID is in use.
        """
        targets = targets or Targets()
        self._check(opt_id, reason)
        held = HeldOpt(
            opt_id, opt_type, event.event_id, reason=reason, resource_ids=targets.resource_ids
        )
        message = CreateOpt(
            opt_id,
            opt_type,
            reason,
            ven_id,
            datetime.fromtimestamp(now, UTC),
            request_id,
            qualified_event_id=QualifiedEventId(event.event_id, event.modification_number),
            targets=targets,
        )
        return message, held

    def schedule(
        self,
        opt_type: OptType,
        periods: Sequence[Period],
        *,
        opt_id: str,
        request_id: str,
        ven_id: str,
        now: float,
        reason: str = "x-schedule",
        market_context: str | None = None,
        targets: Targets | None = None,
    ) -> tuple[CreateOpt, HeldOpt]:
        """Say when the loads are available, or are not (O02, O04).

        Raises:
            LocalProtocolError: there is no period, one has no length, the reason is unknown, or the
                optID is in use.
        """
        if not periods:
            raise LocalProtocolError("a schedule of availability needs at least one period")
        spans = [
            (period.dtstart.timestamp(), (period.dtstart + period.duration).timestamp())
            for period in periods
        ]
        if any(end <= start for start, end in spans):
            raise LocalProtocolError("a period of availability must have a positive duration")
        targets = targets or Targets()
        self._check(opt_id, reason)
        held = HeldOpt(
            opt_id,
            opt_type,
            None,
            max(end for _, end in spans),
            spans,
            reason,
            market_context,
            targets.resource_ids,
        )
        message = CreateOpt(
            opt_id,
            opt_type,
            reason,
            ven_id,
            datetime.fromtimestamp(now, UTC),
            request_id,
            vavailability=Vavailability(tuple(periods)),
            targets=targets,
            market_context=market_context,
        )
        return message, held

    def add(self, opt: HeldOpt) -> None:
        """It holds from now on; whoever has it told has stored it with that."""
        self._held[opt.opt_id] = opt

    def cancel(self, opt_id: str, *, request_id: str, ven_id: str) -> CancelOpt:
        """Take an opt back (O06).

        Raises:
            LocalProtocolError: there is no such opt.
        """
        if opt_id not in self._held:
            raise LocalProtocolError(f"opt {opt_id!r} is not held")
        return CancelOpt(opt_id, ven_id, request_id)

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

    def _check(self, opt_id: str, reason: str) -> None:
        require_reason(reason)
        if opt_id in self._held:
            raise LocalProtocolError(f"opt {opt_id!r} is there already")


def require_reason(reason: str) -> None:
    """Raise LocalProtocolError when this is no reason for an opt (O04)."""
    if reason not in OPT_REASONS and not reason.startswith("x-"):
        raise LocalProtocolError(
            f"opt reason {reason!r}: it is one of {', '.join(sorted(OPT_REASONS))}, or begins with x-"
        )
