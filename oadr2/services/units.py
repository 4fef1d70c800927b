"""The units of 2.0b by name, with the texts that the schema fixes for them (facts.md 1.9)."""

from __future__ import annotations

import math
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
#: The description that goes with each price; the schema has no word for money per therm.
_MONEY: Final[dict[str, str]] = {
    "currency": "currency",
    "currencyPerKWh": "currencyPerKWh",
    "currencyPerKW": "currencyPerKW",
    "currencyPerThm": "currency",
}
_CUSTOM: Final = "customUnit"
#: What ``itemUnits`` of a price may be: ISO 4217 as of April 2010, as the profile has it.
CURRENCIES: Final = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN
    BWP BYR BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EEK
    EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GWP GYD HKD HNL HRK HTG HUF IDR ILS INR
    IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LTL LVL LYD
    MAD MDL MGA MKD MMK MNT MOP MRO MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB
    PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLL SOS SRD STD SVC
    SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN USS UYI UYU UZS VEF VND VUV WST
    XAF XAG XAU XBA XBB XBC XBD XCD XDR XFU XOF XPD XPF XPT XTS XXX YER ZAR ZMK ZWL
    """.split()  # noqa: SIM905  180 lines would be no easier to read
)
#: The scales, by their codes; ``none`` is 1.
SCALES: Final = ("p", "n", "micro", "m", "c", "d", "k", "M", "G", "T", "none")
UNIT_NAMES: Final = (*_UNITS, *_MONEY, _CUSTOM)


def unit(
    name: str,
    scale: str = "none",
    symbol: str | None = None,
    *,
    description: str | None = None,
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
            The prices, ``currency`` and ``currencyPerKWh`` and their like, need one of
            :data:`CURRENCIES`; ``customUnit`` needs one of its own.
        description: what a ``customUnit`` measures, in words; the others have theirs.
        hertz, voltage, ac: of the supply, which the power units tell.
        pulse_factor: kWh for each count, which ``pulseCount`` tells instead of a scale.

    Raises:
        ConfigurationError: there is no such unit, scale or symbol, or one that is needed is missing.
    """
    if name not in UNIT_NAMES:
        raise ConfigurationError(f"unit {name!r}: it is one of {', '.join(UNIT_NAMES)}")
    if scale not in SCALES:
        raise ConfigurationError(f"scale {scale!r}: it is one of {', '.join(SCALES)}")
    if name == _CUSTOM:
        return _custom(symbol, description, scale)
    if description is not None:
        raise ConfigurationError(f"description: only {_CUSTOM} takes one, {name} has its own")
    if name in _MONEY:
        return _price(name, symbol, scale)
    fixed = _UNITS[name]
    symbol = fixed.symbol if symbol is None else symbol
    if symbol not in (fixed.symbol, *fixed.others):
        choices = " or ".join((fixed.symbol, *fixed.others))
        raise ConfigurationError(f"symbol {symbol!r}: {name} is in {choices}")
    if name == "pulseCount":
        if scale != "none":
            raise ConfigurationError("scale: pulseCount has a pulse_factor instead")
        if not 0 < pulse_factor < math.inf:
            raise ConfigurationError(f"pulse_factor {pulse_factor!r}: it must be above 0")
        return Unit(name, fixed.description, symbol, pulse_factor=pulse_factor)
    if name.startswith("power"):
        if not (0 <= hertz < math.inf and 0 < voltage < math.inf):
            raise ConfigurationError(f"{name}: no supply has {voltage!r} V at {hertz!r} Hz")
        return Unit(name, fixed.description, symbol, scale, hertz=hertz, voltage=voltage, ac=ac)
    return Unit(name, fixed.description, symbol, scale)


def _custom(symbol: str | None, description: str | None, scale: str) -> Unit:
    if not symbol or not description:
        missing = "description" if symbol else "symbol"
        raise ConfigurationError(
            f"{missing} is missing: {_CUSTOM} needs both, such as description 'water flow' and"
            " symbol 'm3/h'"
        )
    return Unit(_CUSTOM, description, symbol, scale)


def _price(name: str, symbol: str | None, scale: str) -> Unit:
    if symbol is None:
        raise ConfigurationError(f"symbol is missing: {name} needs a currency such as EUR")
    if symbol not in CURRENCIES:
        raise ConfigurationError(
            f"symbol {symbol!r}: {name} is in a currency of ISO 4217 as of 2010, such as EUR;"
            f" a newer one has to be a {_CUSTOM}"
        )
    return Unit(name, _MONEY[name], symbol, scale)
