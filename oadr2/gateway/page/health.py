"""How the gateway is, for machines: metrics, whether it is alive, whether it is ready."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from oadr2.exposition import counter, gauge, gauges, histograms
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.viewing import audit_problem, ven_views

#: Seconds after which a loop that has not turned counts as stuck; at rest it turns twice a second.
STUCK_AFTER: Final = 15.0
_LATENESS_BOUNDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
_MOST_REASONS: Final = 20
_CAUSES: Final = ("normal", "event", "override", "failsafe", "limit")
_COUNTED: Final = (
    ("writes", "oadr2_gateway_writes_total", "Writes sent to devices."),
    ("reads", "oadr2_gateway_reads_total", "Reads sent to devices."),
    ("failed", "oadr2_gateway_failures_total", "Failures of devices, as the audit log has them."),
    ("verified", "oadr2_gateway_verified_total", "Values read back as written."),
    ("disobeyed", "oadr2_gateway_verify_failures_total", "Values read back as something else."),
    ("drift", "oadr2_gateway_drifts_total", "Values changed by somebody else."),
    ("alert", "oadr2_gateway_alerts_total", "Alerts: a person should look."),
)


def metrics_text(gateway: Gateway) -> str:
    """The text of ``/metrics``. No label names a point: there may be ten thousand."""
    return "\n".join(_lines(gateway)) + "\n"


def _lines(gateway: Gateway) -> Iterator[str]:
    causes = Counter(dict.fromkeys(_CAUSES, 0))
    astray = failing = 0
    for live in gateway.points.values():
        causes[live.point.aim.cause] += 1
        astray += not live.point.settled
        failing += bool(live.point.problem)
    yield from gauge("oadr2_gateway_start_time_seconds", "Since 1970.", gateway.started_at)
    ready = int(not unready_reasons(gateway))
    yield from gauge("oadr2_gateway_ready", "1 when /readyz says so.", ready)
    by = "Points by who rules them."
    yield from gauges("oadr2_gateway_points", by, "cause", causes)
    wrong = "Points that are not where they should be, as far as is known."
    yield from gauge("oadr2_gateway_points_astray", wrong, astray)
    yield from gauge("oadr2_gateway_points_failing", "Points whose device fails.", failing)
    for key, name, meaning in _COUNTED:
        yield from counter(name, meaning, gateway.counts[key])
    yield from histograms(
        "oadr2_gateway_write_lateness_seconds",
        "From the moment an event asks for a value until the device has accepted it.",
        "",
        {"": gateway.lateness},
        _LATENESS_BOUNDS,
    )
    held = {name: len(events) for name, events in gateway.planner.events.items()}
    yield from gauges("oadr2_gateway_events", "Events held by each VEN.", "ven", held)
    vens = ven_views(gateway)
    yield from gauges(
        "oadr2_gateway_vtn_heard",
        "1 when the VEN's VTN was heard of since the start.",
        "ven",
        {ven.name: int(ven.heard) for ven in vens},
    )
    yield from gauges(
        "oadr2_gateway_vtn_silent_seconds",
        "Since the VEN's VTN was heard of last; since the start, if never.",
        "ven",
        {ven.name: ven.silent_for for ven in vens},
    )
    ways = Counter(ven.transport for ven in vens)
    yield from gauges("oadr2_gateway_vens", "VENs by their transport.", "transport", ways)
    registered = {ven.name: int(ven.registered) for ven in vens if ven.registered is not None}
    yield from gauges(
        "oadr2_gateway_ven_registered",
        "1 while a VEN that registers (2.0b) is registered with its VTN.",
        "ven",
        registered,
    )
    audit = "1 while the audit log can be written."
    yield from gauge("oadr2_gateway_audit_writable", audit, int(not audit_problem(gateway)))


def stuck_reasons(gateway: Gateway, now: float) -> list[str]:
    """Why the gateway does not live, or nothing; ``now`` by the steady clock."""
    still = now - gateway.turned_at
    return [f"the loop has not turned for {still:.0f} s"] if still > STUCK_AFTER else []


def unready_reasons(gateway: Gateway) -> list[str]:
    """What has not been heard of since the start: VTNs, devices; at most twenty of them."""
    reasons = []
    for name, link in gateway.links.items():
        if not link.heard and not link.withdrawn:
            why = f": {link.problem}" if link.problem else ""
            reasons.append(f"VEN {name}: its VTN has not been heard of{why}")
    if not gateway.points:
        reasons.append("the points are not set up yet")
    silent: dict[int, str] = {}
    answered: set[int] = set()
    for live in gateway.points.values():
        key = id(live.device)
        if live.seen_at is not None:
            answered.add(key)
        elif key not in silent or not silent[key]:
            why = f": {live.point.problem}" if live.point.problem else ""
            silent[key] = f"device {live.device.key}: it has not answered{why}"
    reasons += [reason for key, reason in silent.items() if key not in answered]
    if len(reasons) > _MOST_REASONS:
        more = len(reasons) - _MOST_REASONS
        reasons = [*reasons[:_MOST_REASONS], f"and {more} more"]
    return reasons
