"""The units of 2.0b by name, with the texts that the schema fixes for them (facts.md 1.9)."""

from __future__ import annotations

from typing import Final, NamedTuple

from oadr2.errors import ConfigurationError
from oadr2.model import Unit


class _Fixed(NamedTuple):
    """What goes with an element name: its description, its symbol, and others it may have instead."""

    description: str
    symbol: str
    others: tuple[str, ...] = ()


_UNITS: Final[dict[str, _Fixed]] = {
    "powerReal": _Fixed("RealPower", "W", ("J/s",)),
    "powerApparent": _Fixed("ApparentPower", "VA"),
    "powerReactive": _Fixed("ReactivePower", "VAR"),
    "energyReal": _Fixed("RealEnergy", "Wh"),
    "energyApparent": _Fixed("ApparentEnergy", "VAh"),
    "energyReactive": _Fixed("ReactiveEnergy", "VARh"),
    "voltage": _Fixed("Voltage", "V"),
    "current": _Fixed("Current", "A"),
    "frequency": _Fixed("Frequency", "Hz"),
    "Therm": _Fixed("Therm", "thm"),
    "temperature": _Fixed("temperature", "celsius", ("fahrenheit",)),
    "pulseCount": _Fixed("pulse count", "count"),
}
#: The scales, by their codes; ``none`` is 1.
SCALES: Final = ("p", "n", "micro", "m", "c", "d", "k", "M", "G", "T", "none")
UNIT_NAMES: Final = tuple(_UNITS)


def unit(
    name: str,
    scale: str = "none",
    symbol: str | None = None,
    *,
    hertz: float = 50.0,
    voltage: float = 230.0,
    ac: bool = True,
    pulse_factor: float = 1.0,
) -> Unit:
    """The unit of an element name, such as ``powerReal`` in ``k`` (kW).

    Args:
        name: one of :data:`UNIT_NAMES`.
        scale: one of :data:`SCALES`.
        symbol: where there is a choice: ``celsius`` (the default) or ``fahrenheit``, ``W`` or ``J/s``.
        hertz, voltage, ac: of the supply, which the power units tell.
        pulse_factor: kWh for each count, which ``pulseCount`` tells instead of a scale.

    Raises:
        ConfigurationError: there is no such unit, scale or symbol.
    """
    fixed = _UNITS.get(name)
    if fixed is None:
        raise ConfigurationError(f"unit {name!r}: it is one of {', '.join(_UNITS)}")
    if scale not in SCALES:
        raise ConfigurationError(f"scale {scale!r}: it is one of {', '.join(SCALES)}")
    symbol = fixed.symbol if symbol is None else symbol
    if symbol not in (fixed.symbol, *fixed.others):
        choices = " or ".join((fixed.symbol, *fixed.others))
        raise ConfigurationError(f"symbol {symbol!r}: {name} is in {choices}")
    if name == "pulseCount":
        if scale != "none":
            raise ConfigurationError("scale: pulseCount has a pulse_factor instead")
        return Unit(name, fixed.description, symbol, pulse_factor=pulse_factor)
    if name.startswith("power"):
        return Unit(name, fixed.description, symbol, scale, hertz=hertz, voltage=voltage, ac=ac)
    return Unit(name, fixed.description, symbol, scale)
