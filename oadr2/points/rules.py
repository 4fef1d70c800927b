"""The safety settings of one point: :class:`PointRules`.

All times are in seconds.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from oadr2.errors import ConfigurationError


class Released(enum.Enum):
    """The type of :data:`RELEASED`."""

    RELEASED = "released"

    def __repr__(self) -> str:
        return "released"

    __str__ = __repr__


#: In place of a value: the device is left to its own control.
RELEASED: Final = Released.RELEASED

Setting: TypeAlias = float | Released


@dataclass(frozen=True, slots=True)
class Failsafe:
    """Where a point goes when its VTN (every one it listens to) has said nothing for a time.

    Attributes:
        after: seconds of silence.
        action: a value; ``hold`` keeps what was wanted last; ``release`` goes back to normal.
        at_once: do not wait for min_on and min_off.
    """

    after: float
    action: float | Literal["hold", "release"]
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class PointRules:
    """What is allowed and what is owed.

    Attributes:
        normal: what holds when nobody wants anything; a value, or :data:`RELEASED`.
        failsafe: None: silence changes nothing, the schedule already known is followed to its end.
        off: the value that means off, for ``min_on`` and ``min_off``. A released device counts as on.
        min_on, min_off: how long the load stays on, or off, before it changes; for everything but an
            override and a failsafe that says so.
        max_writes: at most so many writes in any 60 seconds, whatever they are for; None: no limit.
        verify: seconds from a write to its read-back; None: not read back.
        retries: how often a write that failed or was not obeyed is repeated before an alert.
        tolerance: how far the value read back may be off.
        return_within: after control the point goes back to normal after a random part of this.
        max_control: longest time under control at a stretch, then normal until nothing is wanted,
            also where an override comes in between. A fail-safe value has no limit.
        watch: seconds between two looks at a device with nothing to do; None: it is not looked at.
        retry_least, retry_most: pause after a failure, doubled each time up to the second.
    """

    normal: Setting = RELEASED
    failsafe: Failsafe | None = None
    off: float = 0.0
    min_on: float = 0.0
    min_off: float = 0.0
    max_writes: int | None = None
    verify: float | None = 0.5
    retries: int = 3
    tolerance: float = 0.01
    return_within: float = 0.0
    max_control: float | None = None
    watch: float | None = 60.0
    retry_least: float = 1.0
    retry_most: float = 30.0

    def __post_init__(self) -> None:
        for name in ("min_on", "min_off", "return_within", "tolerance"):
            if not getattr(self, name) >= 0:
                raise ConfigurationError(f"{name}: it is negative")
        for name in ("max_control", "watch"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name}: it must be above 0")
        if self.verify is not None and not self.verify >= 0:
            raise ConfigurationError("verify: it is negative")
        if self.max_writes is not None and self.max_writes < 1:
            raise ConfigurationError("max_writes: at least one write a minute must be allowed")
        if self.retries < 0:
            raise ConfigurationError("retries: it is negative")
        if self.failsafe is not None and not self.failsafe.after > 0:
            raise ConfigurationError("failsafe: after must be above 0")

    def is_on(self, value: Setting | None) -> bool:
        """Whether a load at ``value`` counts as on; near enough to off is off."""
        if value is None or value is RELEASED:
            return True
        return abs(value - self.off) > max(self.tolerance, 1e-6 * abs(self.off))

    def same(self, found: float | None, wanted: Setting) -> bool:
        """Whether a device that reads ``found`` does what was wanted.

        What a released device reads is its own affair, so it always does.
        """
        if wanted is RELEASED:  # quicker than isinstance, and asked for every write
            return True
        if found is None:
            return False
        return abs(found - wanted) <= max(self.tolerance, 1e-6 * abs(wanted))
