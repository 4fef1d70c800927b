"""What signals mean to points: expressions, levels, units, targets, steps over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oadr2.errors import ConfigurationError, LocalProtocolError
from oadr2.model import Interval, Signal, Targets, Unit
from oadr2.points.concern import PointNames, concerns
from oadr2.points.expression import Expression
from oadr2.points.mapping import SignalMap
from oadr2.points.timeline import steps_of
from oadr2.schedule import parse_duration

# -- expressions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("value", 4.0),
        ("22 + value * 0.5", 24.0),
        ("-value + +3", -1.0),
        ("(1 + 2) / 4", 0.75),
        ("max(normal, value, 7)", 20.0),
        ("round(value / 3)", 1.0),
        ("floor(1.7) + ceil(1.2) + abs(-1)", 4.0),
        ("10 if value > 3 else 20", 10.0),
        ("1 if 1 < value <= 4 and not normal == 3 else 0", 1.0),
        ("1 if value < 1 or value != 4 else 0", 0.0),
        ("value >= 4", 1.0),
    ],
)
def test_expressions(text: str, result: float) -> None:
    assert Expression(text, ["value", "normal"])({"value": 4.0, "normal": 20.0}) == result


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be read"),
        ("1 +", "cannot be read"),
        ("__import__('os')", "unknown function"),
        ("value.real", "only arithmetic"),
        ("[value]", "only arithmetic"),
        ("value ** value", "only arithmetic"),
        ("2 << 3", "only arithmetic"),
        ("lambda: 1", "only arithmetic"),
        ("'text'", "only arithmetic"),
        ("True", "only arithmetic"),
        ("1j", "only arithmetic"),
        ("value in normal", "only numbers can be compared"),
        ("prcie * 2", "unknown name prcie: there are normal, value"),
        ("min(1)", "min takes 2 to 20 numbers, not 1"),
        ("round(1, 2)", "round takes 1 numbers, not 2"),
        ("min(1, *value)", "only arithmetic"),
        ("max(1, 2, key=value)", "only arithmetic"),
        ("1e999", "too large"),
        ("9" * 400, "too large"),
        ("-" * 400 + "1", "nested too deeply"),
        ("1" + "+1" * 300, "more than 500"),
        ("(yield)", "only arithmetic|cannot be read"),
        ("value := 3", "cannot be read"),
    ],
)
def test_what_is_no_expression(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        Expression(text, ["value", "normal"])


@pytest.mark.parametrize("text", ["1 / value", "value * 1e308 * 10 + 1 / value", "1e308 * 10"])
def test_an_expression_without_a_value(text: str) -> None:
    with pytest.raises(LocalProtocolError, match=r"no (finite )?value here"):
        Expression(text, ["value"])({"value": 0.0})


@given(st.text(alphabet="value01.()+-*/<>= ifelsandortmixb,", max_size=40))
def test_any_text_gives_a_number_or_one_of_two_errors(text: str) -> None:
    try:
        result = Expression(text, ["value"])({"value": 3.0})
    except (ConfigurationError, LocalProtocolError):
        return
    assert isinstance(result, float)
    assert abs(result) < inf


# -- maps -----------------------------------------------------------------------------------------


def test_levels_between_and_beyond() -> None:
    levels = SignalMap(100.0, levels={0.0: 100.0, 1.0: 70.0, 3.0: 10.0})
    assert [levels.setting(value) for value in (-1.0, 0.0, 1.0, 2.0, 3.0, 9.0)] == [
        100.0, 100.0, 70.0, 70.0, 10.0, 10.0
    ]  # fmt: skip


def test_bounds_keep_an_expression_in() -> None:
    price = SignalMap(
        21.0,
        expression=Expression("normal - value * 10", ["value", "normal"]),
        lowest=16,
        highest=21,
    )
    assert [price.setting(value) for value in (-5.0, 0.2, 50.0)] == [21.0, 19.0, 16.0]


def test_one_of_levels_and_expression() -> None:
    with pytest.raises(ConfigurationError, match="either"):
        SignalMap(1.0)


def signal(name: str = "SIMPLE", kind: str = "level", **more: object) -> Signal:
    return Signal(name, kind, "0", **more)  # type: ignore[arg-type]


def test_which_signals_are_followed() -> None:
    simple = SignalMap(1.0, levels={0.0: 1.0})
    assert simple.follows(signal("simple"))
    assert simple.follows(signal(" SIMPLE "))
    assert not simple.follows(signal("ELECTRICITY_PRICE", "price"))
    price = SignalMap(1.0, "ELECTRICITY_PRICE", "price", levels={0.0: 1.0})
    assert price.follows(signal("ELECTRICITY_PRICE", "price"))
    assert not price.follows(signal("ELECTRICITY_PRICE", "priceMultiplier"))


@pytest.mark.parametrize(
    ("wanted", "unit", "fits"),
    [
        ("", None, True),
        ("", Unit("powerReal", item_units="W", si_scale_code="k"), True),
        ("kW", Unit("powerReal", item_units="W", si_scale_code="k"), True),
        ("W", Unit("powerReal", item_units="W", si_scale_code="k"), False),
        ("powerReal", Unit("powerReal", item_units="W", si_scale_code="k"), False),
        ("W", Unit("powerReal", item_units="W", si_scale_code="none"), True),
        ("currencyPerKWh", Unit("currencyPerKWh", item_units="EUR", si_scale_code="none"), True),
        ("kW", None, False),
    ],
)
def test_units(wanted: str, unit: Unit | None, fits: bool) -> None:
    assert SignalMap(1.0, signal_unit=wanted, levels={0.0: 1.0}).understands(unit) is fits


# -- targets --------------------------------------------------------------------------------------

CHILLER = PointNames(frozenset({"chiller"}), frozenset({"north"}), frozenset({"HVAC"}))


@pytest.mark.parametrize(
    ("targets", "of_signal", "meant"),
    [
        (Targets(), Targets(), True),
        (Targets(ven_ids=("gw",)), Targets(), True),
        (Targets(party_ids=("us",)), Targets(), True),
        (Targets(resource_ids=("chiller",)), Targets(), True),
        (Targets(resource_ids=("pump", "chiller")), Targets(), True),
        (Targets(resource_ids=("pump",)), Targets(), False),
        (Targets(ven_ids=("gw",), resource_ids=("pump",)), Targets(), False),
        (Targets(group_ids=("north",)), Targets(), True),
        (Targets(group_names=("north",)), Targets(), True),
        (Targets(group_ids=("south",)), Targets(), False),
        (Targets(resource_ids=("pump",), group_ids=("north",)), Targets(), True),
        (Targets(group_ids=("whole site",)), Targets(), True),
        (Targets(resource_ids=("north",)), Targets(), False),
        (Targets(), Targets(end_device_assets=("HVAC",)), True),
        (Targets(), Targets(end_device_assets=("Pool_Pump",)), False),
        (Targets(resource_ids=("chiller",)), Targets(end_device_assets=("Pool_Pump",)), False),
    ],
)
def test_targets(targets: Targets, of_signal: Targets, meant: bool) -> None:
    assert concerns(targets, of_signal, CHILLER, {"whole site"}) is meant


# -- steps ----------------------------------------------------------------------------------------

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
T0 = START.timestamp()


def steps(*intervals: tuple[str | None, float], end: float | None = None):  # type: ignore[no-untyped-def]
    made = [
        Interval(str(index), None if text is None else parse_duration(text), value)
        for index, (text, value) in enumerate(intervals)
    ]
    until = None if end is None else START + timedelta(seconds=end)
    return steps_of(signal(intervals=tuple(made)), START, until)


def test_steps_are_half_open() -> None:
    found = steps(("PT10S", 1.0), ("PT20S", 2.0), end=30.0)
    at = [found.value_at(T0 + t) for t in (-0.001, 0.0, 9.999, 10.0, 29.999, 30.0)]
    assert at == [None, 1.0, 1.0, 2.0, 2.0, None]
    changes = [found.next_change(T0 + t) - T0 for t in (-5.0, 0.0, 10.0)]
    assert changes == [0.0, 10.0, 30.0]
    assert found.next_change(T0 + 30.0) == inf


def test_a_cancelled_event_ends_before_its_intervals() -> None:
    found = steps(("PT10S", 1.0), ("PT20S", 2.0), end=5.0)
    assert found.value_at(T0 + 4.9) == 1.0
    assert found.value_at(T0 + 5.0) is None
    assert found.next_change(T0) == T0 + 5.0


@pytest.mark.parametrize("last", ["PT0S", None])
def test_an_open_end(last: str | None) -> None:
    found = steps(("PT10S", 1.0), (last, 2.0))
    assert found.value_at(T0 + 1e9) == 2.0
    assert found.next_change(T0 + 10.0) == inf
