"""Which events are for this VEN, can be executed, and rule: settings, and cases of the calendar.

What the profiles ask for is in tests/conformance/, over every transport.
"""

from __future__ import annotations

import pytest
from clocked_handler import Ven, in_, out
from payloads import START, event, signal

from oadr2.policy import VtnPolicy


@pytest.fixture
def ven() -> Ven:
    return Ven()


@pytest.mark.parametrize("vtn_ids", ["a, vtn ,b", ["a", "vtn"], ("VTN",)])
def test_vtn_ids_as_text_or_sequence_and_in_another_case(vtn_ids):
    ven = Ven(vtn_ids=vtn_ids)
    assert ven.take(event()) == [in_()]
    assert ven.take(event(), vtn_id="Vtn") == [in_()]
    assert len(ven.get_states()) == 1


@pytest.mark.parametrize(
    "targets",
    [
        {"group_id": "g2"},
        {"meter_asset": "m", "ven_id": "ven"},
        {"group_name": "g1"},
    ],
)
def test_E34_targets_that_only_2_0b_has(targets):
    ven = Ven(group_id=["g1", "g2"])
    assert ven.take(event(targets=targets), profile="2.0b") == [in_()]


@pytest.mark.parametrize(
    ("targets", "profile", "code"),
    [
        ({"ven_id": "g1"}, "2.0a", 403),
        ({"ven_id": "g1"}, "2.0b", 462),
        ({"meter_asset": "ven"}, "2.0b", 462),
        ({"group_name": "other"}, "2.0b", 462),
    ],
)
def test_E35_targets_that_are_others(targets, profile, code):
    ven = Ven(group_id="g1")
    assert ven.take(event(targets=targets), profile=profile) == [out(code=code)]
    assert ven.held() == {}


@pytest.mark.parametrize("contexts", ["http://a, http://market", ["http://market"], None, ""])
def test_E36_market_contexts_accepted(contexts):
    assert Ven(market_contexts=contexts).take(event()) == [in_()]


@pytest.mark.parametrize(("profile", "code"), [("2.0a", 405), ("2.0b", 453)])
def test_E36_a_foreign_market_context_is_refused(profile, code):
    ven = Ven(market_contexts="http://mark, http://market/")
    assert ven.take(event(), profile=profile) == [out(code=code)]
    assert ven.held() == {}


def price(intervals=(("PT1H", 0.12),), **of_signal):
    return signal(intervals, name="ELECTRICITY_PRICE", type="price", **of_signal)


def test_a_price_alone_can_be_supported_and_gives_no_level():
    ven = Ven(supported_signals=["ELECTRICITY_PRICE"])
    steps = [("PT20M", 0.1), ("PT40M", 0.3)]
    assert ven.take(event(signals=[price(steps)]), now=START) == [in_()]
    assert ven.current_level() == (0, None)
    assert ven.kinds() == ["new", "started"]
    assert ven.next_deadline == START + 1200
    assert [c.kind for c in ven.advance(START + 1200)] == ["interval"]


@pytest.mark.parametrize(
    ("dtstart", "duration", "steps"),
    [
        (START, "PT1H", ["PT30M", "PT30M"]),
        (START, "PT1H", ["PT60M"]),
        (START, "P1D", ["PT12H", "PT720M"]),
        ("2028-02-01T00:00:00Z", "P1M", ["P15D", "P14D"]),
        ("2027-02-01T00:00:00Z", "P1M", ["P15D", "P13D"]),
        (START, "PT0S", ["PT0S"]),
        (START, "PT0S", ["PT1H", "PT0S"]),
        (START, "PT1H", ["PT20M", None]),
        (START, "PT0S", [None]),
    ],
)
def test_E40_intervals_that_add_up(ven, dtstart, duration, steps):
    steps = [(each, 1.0) for each in steps]
    assert ven.take(event(dtstart=dtstart, duration=duration, intervals=steps), profile="2.0b") == [
        in_()
    ]


@pytest.mark.parametrize(
    ("dtstart", "duration", "steps"),
    [
        (START, "PT1H", ["PT30M", "PT29M59S"]),
        (START, "PT1H", ["PT0S"]),
        (START, "PT1H", ["PT2H"]),
        ("2028-02-01T00:00:00Z", "P1M", ["P15D", "P13D"]),
        (START, "PT0S", ["PT1H"]),
        (START, "PT1H", ["PT2H", "-PT1H"]),
    ],
)
def test_E40_intervals_that_do_not(dtstart, duration, steps):
    steps = [(each, 1.0) for each in steps]
    made = event(dtstart=dtstart, duration=duration, intervals=steps)
    assert Ven().take(made) == [out()]
    lenient = Ven(policy=VtnPolicy(interval_sum="note"))
    if "-PT1H" not in [each for each, _ in steps]:
        assert lenient.take(made) == [in_()]
        assert "add up" in lenient.changes[0].reason


@pytest.mark.parametrize(
    ("rule", "first", "second", "winner"),
    [
        ("higher", None, 2, "b"),
        ("highest_level", 9, 1, "b"),
    ],
)
def test_E46_other_rules_for_which_of_two_running_events_counts(rule, first, second, winner):
    ven = Ven(policy=VtnPolicy(priority=rule), now=START + 60)
    answers = ven.take(
        event("a", priority=first, market_context="http://one", level=1),
        event("b", priority=second, market_context="http://two", level=2),
    )
    assert answers == [in_("a"), in_("b")]
    assert ven.current_level() == ({"a": 1.0, "b": 2.0}[winner], winner)


def test_E45_the_other_takes_over_when_the_first_ends(ven):
    ven.take(event("a", priority=1, duration="PT10M", level=0), event("b", priority=2, level=3))
    assert ven.current_level(START) == (0.0, "a")
    assert ven.current_level(START + 600) == (3.0, "b")
