"""Making a :class:`oadr2.gateway.view.GatewayView` of a gateway."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

from oadr2.gateway.view import Counts, EventView, GatewayView, PointView, VenView

if TYPE_CHECKING:
    from oadr2.gateway.live_point import LivePoint
    from oadr2.gateway.planner import PlannedEvent, Planner
    from oadr2.gateway.records import Records
    from oadr2.gateway.state import StoredOverride


class Viewed(Protocol):
    """What is looked at; :class:`oadr2.gateway.gateway.Gateway` is the real one."""

    @property
    def now(self) -> float: ...
    @property
    def ready(self) -> bool: ...

    started_at: float
    dry_run: bool
    counts: Counter[str]
    links: Any
    points: Any
    planner: Planner
    records: Records

    def silence(self, ven: str) -> float: ...
    def override_of(self, name: str) -> StoredOverride | None: ...


def view_of(gateway: Viewed) -> GatewayView:
    """How the gateway stands now."""
    counts = gateway.counts
    return GatewayView(
        now=gateway.now,
        started_at=gateway.started_at,
        dry_run=gateway.dry_run,
        ready=gateway.ready,
        vens=ven_views(gateway),
        events=event_views(gateway),
        points=tuple(point_view(gateway, live) for live in gateway.points.values()),
        counts=Counts(
            counts["writes"],
            counts["reads"],
            counts["failed"],
            counts["disobeyed"],
            counts["alert"],
        ),
        audit_problem=audit_problem(gateway),
    )


def audit_problem(gateway: Viewed) -> str:
    """Why the audit log cannot be written, or ""."""
    journal = gateway.records.journal
    return "" if journal is None else journal.problem


def ven_views(gateway: Viewed) -> tuple[VenView, ...]:
    """How the VENs stand now."""
    return tuple(
        VenView(
            name,
            link.handler.ven_id,
            link.settings.vtn,
            link.settings.profile,
            link.settings.transport,
            link.registered,
            link.registration,
            link.withdrawn,
            gateway.silence(name),
            link.heard,
            link.problem,
        )
        for name, link in gateway.links.items()
    )


def event_views(gateway: Viewed) -> tuple[EventView, ...]:
    """The events held now."""
    return tuple(
        event_view(event) for held in gateway.planner.events.values() for event in held.values()
    )


def event_view(event: PlannedEvent, gone_at: float | None = None) -> EventView:
    """One event, held or gone."""
    state = event.state
    followed = Counter(event.points.values()).most_common(1)
    index = followed[0][0] if followed else None
    steps = None if index is None else event.steps[index]
    return EventView(
        event.ven.name,
        state.vtn_id,
        state.event.event_id,
        state.event.modification_number,
        state.phase,
        state.opt_type,
        state.event.is_test,
        state.event.priority,
        state.start.timestamp(),
        None if state.end is None else state.end.timestamp(),
        "" if index is None else state.event.signals[index].signal_name,
        () if steps is None else tuple(zip(steps.begins, steps.values, strict=True)),
        len(event.points),
        len(event.left_out),
        gone_at,
    )


def point_view(gateway: Viewed, live: LivePoint) -> PointView:
    """One point."""
    settings, point = live.settings, live.point
    override = gateway.override_of(settings.name) if point.override is not None else None
    return PointView(
        settings.name,
        settings.driver_name,
        str(live.device.key),
        settings.map.unit,
        point.aim.value,
        point.aim.cause,
        point.aim.reason,
        point.aim.vtn_id,
        point.aim.event_id,
        point.written,
        point.found,
        point.settled,
        point.problem,
        "" if override is None else override.by,
        None if override is None else override.until,
        live.seen_at,
    )
