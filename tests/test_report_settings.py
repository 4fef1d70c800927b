"""``[[report]]`` tables: every unit of 2.0b can be declared, and what is wrong in one is said."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oadr2 import encode
from oadr2.errors import ConfigurationError
from oadr2.model import RegisterReport, Unit
from oadr2.report_settings import report_sources, report_tables
from oadr2.services.units import CURRENCIES, UNIT_NAMES, unit

_SCHEMA = Path(__file__).parent.parent / "oadr2" / "schemas" / "2.0b" / "oadr.xsd"
_CREATED = datetime(2026, 3, 7, tzinfo=UTC)


def sources_of(point: str):
    text = f'[[report]]\nid = "meter"\n[[report.point]]\nr_id = "p"\nsource = 1\n{point}'
    return report_sources(report_tables(tomllib.loads(text)["report"], Path()))


def unit_of(point: str) -> Unit | None:
    return sources_of(point)[0].points["p"].unit


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ('unit = "currency"\nsymbol = "EUR"', Unit("currency", "currency", "EUR", "none")),
        (
            'unit = "currencyPerKWh"\nsymbol = "USD"\nscale = "m"',
            Unit("currencyPerKWh", "currencyPerKWh", "USD", "m"),
        ),
        (
            'unit = "currencyPerKW"\nsymbol = "JPY"',
            Unit("currencyPerKW", "currencyPerKW", "JPY", "none"),
        ),
        # The schema has no description for it.
        (
            'unit = "currencyPerThm"\nsymbol = "GBP"',
            Unit("currencyPerThm", "currency", "GBP", "none"),
        ),
        (
            'unit = "customUnit"\nsymbol = "m3/h"\ndescription = "water flow"\nscale = "d"',
            Unit("customUnit", "water flow", "m3/h", "d"),
        ),
        (
            'unit = "pulseCount"\npulse_factor = 0.25',
            Unit("pulseCount", "pulse count", "count", None, 0.25),
        ),
        (
            'unit = "powerReal"\nhertz = 0\nvoltage = 400\nac = false',
            Unit("powerReal", "RealPower", "W", "none", None, 0.0, 400.0, ac=False),
        ),
    ],
)
def test_what_a_unit_becomes(point: str, expected: Unit) -> None:
    assert unit_of(point) == expected


@pytest.mark.parametrize("name", UNIT_NAMES)
def test_every_unit_is_announced_as_the_schema_wants_it(name: str) -> None:
    schema = pytest.importorskip("oadr2.schema")
    needs = {"customUnit": 'symbol = "m3/h"\ndescription = "water flow"'}
    more = needs.get(name, 'symbol = "EUR"' if name.startswith("currency") else "")
    (source,) = sources_of(f'unit = "{name}"\n{more}')
    data = encode(RegisterReport("r", (source.metadata(_CREATED),), "ven"), wrap=True)
    schema.require_valid(data)


def test_the_currencies_are_those_of_the_schema() -> None:
    text = _SCHEMA.read_text("utf-8")
    kind = text[text.index('name="CurrencyCode"') :]
    patterns = re.findall(r'pattern value="([A-Z|]+)"', kind[: kind.index("</xs:simpleType>")])
    assert "|".join(patterns).split("|") == sorted(CURRENCIES)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ('unit = "euro"', "unit 'euro': it is one of powerReal, "),
        ('unit = "currencyPerKWh"', "symbol is missing: currencyPerKWh needs a currency"),
        (
            'unit = "currency"\nsymbol = "eur"',
            "symbol 'eur': currency is in a currency of ISO 4217",
        ),
        ('unit = "customUnit"\nsymbol = "m3/h"', "description is missing: customUnit needs both"),
        ('unit = "customUnit"\ndescription = "flow"', "symbol is missing: customUnit needs both"),
        ('unit = "voltage"\ndescription = "tension"', "description: only customUnit takes one"),
        ('unit = "pulseCount"\npulse_factor = 0.0', "pulse_factor 0.0: it must be above 0"),
        ('unit = "powerReal"\nvoltage = 0', "powerReal: no supply has 0 V at 50.0 Hz"),
        ('unit = "powerReal"\nac = "yes"', "ac must be true or false, not a string"),
        ('unit = ["powerReal"]', "unit must be a string, not a list"),
        ('unit = "powerReal"\nhertz = true', "hertz must be a number, not true or false"),
        ('unit = "powerReal"\nreport_type = 3', "report_type must be a string, not a whole number"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(point: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        sources_of(point)
    assert str(caught.value).startswith("report 'meter', point 'p': ")
    assert message in str(caught.value)


def test_an_unknown_name_is_no_crash() -> None:
    with pytest.raises(ConfigurationError):
        unit(["powerReal"])  # type: ignore[arg-type]
