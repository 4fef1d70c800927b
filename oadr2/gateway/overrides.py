"""What a person may ask of a point (:func:`require_override`), and what is asked (:class:`Overrides`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping
from math import inf, isfinite

from oadr2.errors import LocalProtocolError, StoreError
from oadr2.gateway.configuration import PointSettings
from oadr2.gateway.state import StateFile, StoredOverride
from oadr2.points.rules import Released, Setting

_log = logging.getLogger("oadr2.gateway")


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


class Overrides:
    """What is asked of each point, the same here and in the file, where the command line asks too.

    Args:
        on_change: told of each point of which something else is asked, or nothing more (None).
        clock: seconds since 1970.

    Attributes:
        file: where they are kept; None: nowhere.
    """

    def __init__(
        self,
        on_change: Callable[[str, StoredOverride | None], object],
        clock: Callable[[], float],
    ) -> None:
        self.file: StateFile | None = None
        self._on_change = on_change
        self._clock = clock
        self._held: dict[str, StoredOverride] = {}
        self._unread = False  # the file may say something new
        self._problem = ""

    @property
    def held(self) -> Mapping[str, StoredOverride]:
        """The last of each point. One whose time is over stays until the file is read again."""
        return self._held

    def put(self, stored: StoredOverride) -> None:
        """Ask this of its point in place of what was asked before.

        Raises:
            StoreError: it cannot be kept; nothing was changed.
        """
        if self.file is not None:
            self.file.set_override(stored)
        self._hold(stored)

    def end(self, name: str) -> bool:
        """Ask nothing more of this point; whether something was asked.

        Raises:
            StoreError: it cannot be forgotten; nothing was changed.
        """
        if self.file is not None:
            self.file.end_override(name)
        return self._drop(name)

    def look(self, points: Container[str], *, anew: bool = False) -> None:
        """Take up what somebody has changed in the file; again and again while it cannot be read.

        Args:
            points: those there are; what is asked of others waits in the file.
            anew: they may be others than before, so the file is read in any case.
        """
        if self.file is None:
            return
        self._unread = self._unread or anew
        try:
            self._unread = self.file.has_changed() or self._unread
            if self._unread:
                self._take_up(self.file, points)
        except StoreError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                _log.error("overrides cannot be read: %s", error)
        else:
            self._unread, self._problem = False, ""

    def _take_up(self, file: StateFile, points: Container[str]) -> None:
        """What the file says holds, but for those that have ended: they are forgotten there."""
        found, wall = file.overrides(), self._clock()
        kept = {
            stored.point: stored
            for stored in found
            if stored.until > wall and stored.point in points
        }
        for name in [name for name in self._held if name not in kept]:
            self._drop(name)
        for name, stored in kept.items():
            if self._held.get(name) != stored:
                self._hold(stored)
        for stored in found:
            if stored.until <= wall:
                file.end_override(stored.point)

    def _hold(self, stored: StoredOverride) -> None:
        self._held[stored.point] = stored
        self._on_change(stored.point, stored)

    def _drop(self, name: str) -> bool:
        found = self._held.pop(name, None)
        self._on_change(name, None)
        return found is not None
