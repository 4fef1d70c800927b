"""From what a signal says to what a point is written: :class:`SignalMap`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from oadr2.errors import ConfigurationError
from oadr2.model import Signal, Unit
from oadr2.points.expression import Expression
from oadr2.points.rules import Released, Setting


@dataclass(frozen=True, slots=True)
class SignalMap:
    """Which signal a point follows, and the value for each of the signal's.

    Either ``levels`` or ``expression``.

    Attributes:
        normal: the value when no event wants anything.
        signal_name: compared without regard to case (facts.md E38).
        signal_type: ``level``, ``price``, ``setpoint``, ...; "": any.
        signal_unit: the unit the signal must be in, such as ``kW`` or ``currencyPerKWh``; "": any.
        levels: value for each level. A level between two of them gets that of the lower one, one
            above all of them that of the highest.
        expression: of ``value`` (the signal's) and ``normal``, unless that is released.
        lowest, highest: what is written is kept within these.
        unit: of what is written, for people.
    """

    normal: Setting
    signal_name: str = "SIMPLE"
    signal_type: str = ""
    signal_unit: str = ""
    levels: Mapping[float, float] | None = None
    expression: Expression | None = None
    lowest: float = -inf
    highest: float = inf
    unit: str = ""

    def __post_init__(self) -> None:
        if (self.levels is None) is (self.expression is None):
            raise ConfigurationError("levels: give either levels or an expression")
        if not self.lowest <= self.highest:
            raise ConfigurationError("bounds: the first is above the second")

    def follows(self, signal: Signal) -> bool:
        """Whether the point goes by this signal, units apart."""
        return (
            signal.signal_name.strip().casefold() == self.signal_name.casefold()
            and self.signal_type in ("", signal.signal_type)
        )

    def understands(self, unit: Unit | None) -> bool:
        """Whether values in this unit are what the map was made for."""
        return not self.signal_unit or self.signal_unit in names_of_unit(unit)

    def setting(self, value: float) -> Setting:
        """What to write while the signal says ``value``.

        Raises:
            LocalProtocolError: the expression has no value there.
        """
        if self.expression is not None:
            names = {"value": value}
            if not isinstance(self.normal, Released):
                names["normal"] = self.normal
            wanted = self.expression(names)
        else:
            levels = self.levels or {}
            reached = [level for level in levels if level <= value]
            if not reached:
                return self.normal
            wanted = levels[max(reached)]
        return min(max(wanted, self.lowest), self.highest)


def names_of_unit(unit: Unit | None) -> tuple[str, ...]:
    """The names a unit goes by: ``powerReal``, ``W`` with its scale as in ``kW``."""
    if unit is None:
        return ("none",)
    scale = unit.si_scale_code if unit.si_scale_code not in (None, "none") else ""
    scaled = f"{scale}{unit.item_units}" if unit.item_units else ""
    # A price is named by its element; a power in kW must not pass for one in W.
    return (scaled,) if scaled and scale else tuple(name for name in (unit.name, scaled) if name)
