"""What a person may ask of a point: :func:`require_override`."""

from __future__ import annotations

from math import inf, isfinite

from oadr2.errors import LocalProtocolError
from oadr2.gateway.configuration import PointSettings
from oadr2.points.rules import Released, Setting


def require_override(settings: PointSettings, value: Setting, seconds: float) -> None:
    """Raise LocalProtocolError when a point may not be held at ``value`` for that long."""
    name = settings.name
    if not 0 < seconds < inf:
        raise LocalProtocolError(f"{name}: an override needs a time above 0")
    if isinstance(value, Released):
        if not settings.driver.can_release:
            raise LocalProtocolError(f"{name}: the driver {settings.driver_name} cannot release")
    elif not isfinite(value):
        raise LocalProtocolError(f"{name}: an override needs a finite value")
    elif not settings.map.lowest <= value <= settings.map.highest:
        bounds = f"[{settings.map.lowest:g}, {settings.map.highest:g}]"
        raise LocalProtocolError(f"{name}: {value:g} is not within its bounds {bounds}")
