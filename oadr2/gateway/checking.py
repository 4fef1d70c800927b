"""Holding a gateway's file against its devices, without writing: :func:`check_points`."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from oadr2.gateway.configuration import DriverClass, GatewaySettings, PointSettings
from oadr2.gateway.devices import Device
from oadr2.gateway.texts import device_text


async def check_points(settings: GatewaySettings) -> list[tuple[PointSettings, str]]:
    """Each point whose device or address is not as the file says, and what is wrong.

    Devices are looked at side by side, the points of one device one after the other.
    """
    by_device: dict[tuple[DriverClass, Hashable], list[PointSettings]] = {}
    for point in settings.points:
        by_device.setdefault((point.driver, point.device), []).append(point)

    async def look(points: list[PointSettings]) -> dict[str, str]:
        first = points[0]
        title = device_text(first.driver_name, first.device)
        driver = first.driver(first.device)
        device = Device(title, driver, settings.device_timeout, lambda *_: None)
        try:
            return {point.name: await device.check(point.address) for point in points}
        finally:
            await device.close()

    found: dict[str, str] = {}
    for result in await asyncio.gather(*(look(points) for points in by_device.values())):
        found |= result
    return [(point, found[point.name]) for point in settings.points if found[point.name]]
