"""When a VEN of 2.0b tries again what failed: the VTN as a whole, and each purpose by itself.

While the VTN is out of reach nothing is sent. What it fails over alone holds nothing else up, for
events must come whatever becomes of a report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from oadr2.pacing import BackOff
from oadr2.services.request import Purpose

_RETRY_AFTER_MAX: Final = 3600.0


@dataclass(slots=True)
class _HeldBack:
    """``until`` in seconds since 1970."""

    back_off: BackOff
    until: float = 0.0


class Tries:
    """Back-off with jitter, by purpose. Times are seconds since 1970.

    Args:
        base, longest: seconds; the first retry comes within the former, each further one within
            twice the time before, none later than the latter.
        random: between 0 and 1.
    """

    def __init__(self, base: float, longest: float, random: Callable[[], float]) -> None:
        self._base, self._longest, self._random = base, longest, random
        self._unreachable = self._back_off()
        self._held_back: dict[Purpose, _HeldBack] = {}
        #: Nothing at all is to be sent before.
        self.not_before = 0.0

    def reached(self) -> None:
        """The VTN has replied, whatever it said."""
        self._unreachable.succeeded()
        self.not_before = 0.0

    def not_reached(self, now: float) -> float:
        """It could not be reached; the time of the next try."""
        self.not_before = now + self._unreachable.failed()
        return self.not_before

    def failed(self, purpose: Purpose, now: float, retry_after: float | None = None) -> float:
        """The VTN failed over this; not to be sent again before the time that is returned."""
        purpose = _together(purpose)
        held = self._held_back.setdefault(purpose, _HeldBack(self._back_off()))
        held.until = now + max(held.back_off.failed(), min(retry_after or 0.0, _RETRY_AFTER_MAX))
        return held.until

    def succeeded(self, purpose: Purpose) -> None:
        """It went well."""
        self._held_back.pop(_together(purpose), None)

    def forget(self) -> None:
        """Try everything now."""
        self._held_back.clear()
        self.not_before = 0.0

    def shift(self, by: float) -> None:
        """The clock was set by so many seconds; what is held back stays so for as long as before."""
        if self.not_before:
            self.not_before += by
        for held in self._held_back.values():
            held.until += by

    def ready_at(self, purpose: Purpose) -> float:
        """When this may be sent."""
        held = self._held_back.get(_together(purpose))
        return 0.0 if held is None else held.until

    def _back_off(self) -> BackOff:
        return BackOff(self._base, self._longest, self._random)


def _together(purpose: Purpose) -> Purpose:
    return "register" if purpose == "query" else purpose
