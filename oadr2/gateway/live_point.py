"""A point at work: :class:`LivePoint`, and which of them have changed since when: :class:`Changes`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, inf

from oadr2.gateway.configuration import PointSettings
from oadr2.gateway.devices import Device
from oadr2.points.point import Point


@dataclass(slots=True, eq=False)
class LivePoint:
    """A point at work.

    Attributes:
        due: the deadline the heap holds for it.
        heard: its device has answered, or failed, once.
        seen_at: when its device answered last, in seconds since 1970; None: never.
        wanted_at: the moment, in seconds since 1970, by which the write under way should have been
            made; None: no event set one.
    """

    settings: PointSettings
    point: Point
    device: Device
    due: float = inf
    heard: bool = False
    seen_at: float | None = None
    wanted_at: float | None = None


def order_of_service(points: Iterable[LivePoint]) -> list[LivePoint]:
    """Who comes first when many move: devices that need the most batches, of those that need equally
    many the ones with the fewest points. What goes to one device stands together."""
    shared: dict[Device, list[LivePoint]] = {}
    for live in points:
        shared.setdefault(live.device, []).append(live)

    def place(device: Device) -> tuple[int, int]:
        count = len(shared[device])
        return -ceil(count / device.driver.largest_batch), count

    return [live for device in sorted(shared, key=place) for live in shared[device]]


class Changes:
    """The order in which points changed last, so that who has seen some of it is told the rest.

    Attributes:
        revision: counts the changes.
        generation: counts the times that points came or went; before that nothing holds any more.
    """

    def __init__(self) -> None:
        self.revision = 0
        self.generation = 0
        self._order: dict[str, int] = {}  # the one that changed last is last

    def note(self, name: str) -> None:
        """Something about this point may be otherwise."""
        self.revision += 1
        self._order.pop(name, None)
        self._order[name] = self.revision

    def renew(self, names: list[str]) -> None:
        """These are the points from now on."""
        self.generation += 1
        self._order.clear()
        for name in names:
            self.note(name)

    def since(self, revision: int, limit: int) -> tuple[list[str], int]:
        """At most ``limit`` names that changed after ``revision``, the oldest change first, and the
        revision to ask with next."""
        found: list[tuple[str, int]] = []
        for name, changed in reversed(self._order.items()):
            if changed <= revision:
                break
            found.append((name, changed))
        found.reverse()
        taken = found[:limit]
        newest = taken[-1][1] if len(found) > limit else self.revision
        return [name for name, _ in taken], newest
