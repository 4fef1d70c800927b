"""What the gateway's points say of themselves in the reports of its VENs: :func:`reading_of`."""

from __future__ import annotations

from oadr2.gateway.live_point import LivePoint
from oadr2.model import ResourceStatus
from oadr2.points.rules import Released
from oadr2.services.report_source import Reading


def reading_of(live: LivePoint | None, status: bool) -> Reading:
    """The present value of a point, or its state: there, and overridden by hand.

    None while its device does not answer, or has never been read: then nothing is made up.
    """
    if live is None:
        return None
    point = live.point
    if status:
        there = live.seen_at is not None and not point.problem
        return ResourceStatus(online=there, manual_override=point.override is not None)
    if point.problem or live.seen_at is None:
        return None
    if point.found is not None:
        return point.found
    return None if isinstance(point.written, Released) else point.written
