"""How a gateway stands at one moment, to be shown: plain data, nothing of the gateway's own."""

from __future__ import annotations

from dataclasses import dataclass

from oadr2.points.rules import Setting


@dataclass(frozen=True, slots=True)
class EventView:
    """One event a VEN holds. Times in seconds since 1970; no ``end``: open-ended.

    Attributes:
        steps: (begin, value) of the signal most points follow.
        points: how many it concerns.
        left_out: how many of them take no part, for a person has opted them out.
        gone_at: when the VEN ceased to hold it; None: it holds it.
    """

    ven: str
    vtn_id: str
    event_id: str
    modification_number: int
    phase: str
    opt_type: str
    is_test: bool
    priority: int | None
    start: float
    end: float | None
    signal_name: str
    steps: tuple[tuple[float, float], ...]
    points: int
    left_out: int = 0
    gone_at: float | None = None


@dataclass(frozen=True, slots=True)
class VenView:
    """One VEN.

    Attributes:
        ven_id: as the VTN knows it now.
        vtn_url: where the VTN is; over XMPP its JID.
        transport: ``http``, ``push`` or ``xmpp``.
        registered: None for a VEN that never registers; ``registration`` says it in words.
        withdrawn: whether a person has ended its registration.
        silent_for: seconds since the VTN was heard of last (since the start, if never).
        heard: whether it ever was.
        problem: what went wrong last, "" while all works.
    """

    name: str
    ven_id: str
    vtn_url: str
    profile: str
    transport: str
    registered: bool | None
    registration: str
    withdrawn: bool
    silent_for: float
    heard: bool
    problem: str


@dataclass(frozen=True, slots=True)
class PointView:
    """One point.

    Attributes:
        wanted, cause, reason: where it should be, who says so (``normal``, ``event``, ``override``,
            ``failsafe``, ``limit``) and why.
        written: what the device accepted last, or was found at.
        found: what it said last.
        settled: whether it is where it should be.
        problem: what is wrong with the device, or "".
        override_by, override_until: while an override holds; seconds since 1970.
        seen_at: when its device answered last, in seconds since 1970; None: never.
    """

    name: str
    driver: str
    device: str
    unit: str
    wanted: Setting
    cause: str
    reason: str
    vtn_id: str
    event_id: str
    written: Setting | None
    found: float | None
    settled: bool
    problem: str
    override_by: str
    override_until: float | None
    seen_at: float | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Since the start."""

    writes: int
    reads: int
    failures: int
    disobeyed: int
    alerts: int


@dataclass(frozen=True, slots=True)
class GatewayView:
    """The whole gateway.

    Attributes:
        now, started_at: seconds since 1970.
        ready: every point's device was read, or has failed, once.
        audit_problem: why the audit log cannot be written, or "".
    """

    now: float
    started_at: float
    dry_run: bool
    ready: bool
    vens: tuple[VenView, ...]
    events: tuple[EventView, ...]
    points: tuple[PointView, ...]
    counts: Counts
    audit_problem: str
