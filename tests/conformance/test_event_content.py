"""Statements about what stands in an event: targets, signals, intervals, priority (facts.md 6.3)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from payloads import START, event, interval, signal
from vens import HOUR, MINUTE, Answer

import oadr2
from oadr2.policy import ResponseCodes, VtnPolicy
from oadr2.schedule import Duration

ME = {"group_id": "group", "resource_id": ["resource 1", "resource 2"], "party_id": "party"}


def problems(ven, *of_event):
    """What the decoder notes about an event."""
    (found,) = oadr2.decode(ven.message(*of_event)).events
    return [problem.reason for problem in found.problems]


# -- targets and market contexts ------------------------------------------------------------------


def test_E33_without_targets_the_VEN_is_meant(new_ven):
    ven = new_ven(**ME)
    assert ven.take(event(targets={})) == [Answer("e1", 0, 200, "optIn")]


@pytest.mark.parametrize(
    "targets",
    [
        {"ven_id": "ven"},
        {"group_id": "group"},
        {"resource_id": "resource 2"},
        {"party_id": "party"},
        {"ven_id": ["a", "b", "ven", "c"]},
        {"group_id": ["a", "group"], "ven_id": "other"},
        {"resource_id": ["x", "resource 1"], "party_id": "other", "group_id": "other"},
        {"party_id": ["other", "party"], "ven_id": ["other", "another"]},
    ],
)
def test_E34_one_match_among_all_targets_is_enough(new_ven, targets):
    ven = new_ven(**ME)
    assert ven.take(event(targets=targets)) == [Answer("e1", 0, 200, "optIn")]
    assert ven.held == {"e1": 0}


@pytest.mark.parametrize(
    "targets",
    [
        {"ven_id": "other"},
        {"ven_id": "VEN"},
        {"ven_id": "group"},
        {"group_id": "ven"},
        {"resource_id": ["resource", "resource 3"]},
        {"party_id": "resource 1"},
        {"ven_id": "a", "group_id": "b", "resource_id": "c", "party_id": "d"},
    ],
)
def test_E35_an_event_for_others_is_refused(new_ven, targets):
    ven = new_ven(**ME)
    (answer,) = ven.take(event(targets=targets))
    assert answer.refused
    assert answer.opt == "optOut"
    assert ven.held == {}


def test_E36_a_foreign_market_context_is_refused_if_some_are_configured(new_ven):
    ven = new_ven(market_contexts="http://market, http://market/2")
    answers = ven.take(
        event("a"),
        event("b", market_context="http://market/2"),
        event("c", market_context="http://market/"),
        event("d", market_context="HTTP://MARKET"),
    )
    assert [answer.code // 100 for answer in answers] == [2, 2, 4, 4]
    assert [answer.opt for answer in answers] == ["optIn", "optIn", "optOut", "optOut"]
    assert sorted(ven.held) == ["a", "b"]
    anybody = new_ven()
    assert anybody.take(event(market_context="http://anywhere"))[0].code == 200


# -- signals --------------------------------------------------------------------------------------

PRICE = signal([("PT1H", 0.12)], name="ELECTRICITY_PRICE", type="price", signal_id="p")


def test_E37_an_event_without_a_supported_signal_is_refused_with_460(ven):
    assert ven.take(event(signals=[PRICE])) == [Answer("e1", 0, 460, "optOut")]
    (answer,) = ven.take(event(signals=[]))
    assert answer.refused
    assert answer.opt == "optOut"
    assert ven.held == {}


def test_E37_one_supported_signal_is_enough(ven):
    assert ven.take(event(signals=[PRICE, signal()])) == [Answer("e1", 0, 200, "optIn")]
    assert ven.at(START) == (1.0, "e1")


@pytest.mark.parametrize("name", ["SIMPLE", "simple", "Simple", " simple\n"])
def test_E38_the_name_SIMPLE_in_any_case(ven, name):
    assert ven.take(event(name=name)) == [Answer("e1", 0, 200, "optIn")]
    assert ven.at(START) == (1.0, "e1")
    assert ven.take(event(number=1, name=name, level=7.0))[0].refused


@pytest.mark.parametrize("value", ["0", "1", "2", "3", "3.0", "1.0E0", "02"])
def test_E39_levels_of_SIMPLE(ven, value):
    assert ven.take(event(level=value))[0].code == 200
    assert ven.at(START)[0] == float(value)


@pytest.mark.parametrize("value", ["4", "-1", "0.5", "2.9999", "1e9", "", "high", None])
def test_E39_other_values_of_SIMPLE_are_refused(ven, value):
    (answer,) = ven.take(event(level=value))
    assert answer.refused
    assert answer.opt == "optOut"
    assert ven.held == {}


@pytest.mark.parametrize(
    "kind",
    [
        "delta",
        "multiplier",
        "price",
        "priceMultiplier",
        "priceRelative",
        "setpoint",
        "LEVEL",
        "x-other",
    ],
)
def test_E39_SIMPLE_is_of_type_level_only(ven, kind):
    (answer,) = ven.take(event(type=kind))
    assert answer.refused
    assert answer.opt == "optOut"


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        ("PT1H", ["PT30M", "PT29M"]),
        ("PT1H", ["PT30M", "PT31M"]),
        ("PT1H", ["PT0S"]),
        ("PT1H", []),
        ("PT1H", ["-PT1H", "PT2H"]),
        ("P1M", ["P30D"]),
    ],
)
def test_E40_intervals_that_do_not_add_up_are_flagged(new_ven, duration, steps):
    wrong = event(duration=duration, intervals=[(step, 1.0) for step in steps])
    ven = new_ven()
    (answer,) = ven.take(wrong)
    assert answer.refused
    assert answer.opt == "optOut"
    assert ven.held == {}


def test_E40_a_policy_takes_them_with_a_remark(new_ven):
    ven = new_ven(policy=VtnPolicy(interval_sum="note"))
    assert ven.take(event(intervals=[("PT30M", 1.0), ("PT20M", 2.0)]))[0].code == 200
    (change,) = ven.changes
    assert "do not add up" in change.reason


@pytest.mark.parametrize(
    ("duration", "steps"),
    [("PT1H", ["PT20M", "PT2400S"]), ("P1DT1H", ["PT25H"]), ("P1M", ["P31D"]), ("3W", ["P21D"])],
)
def test_E40_sums_are_of_time_and_not_of_texts(ven, duration, steps):
    assert ven.take(event(duration=duration, intervals=[(s, 1.0) for s in steps]))[0].code == 200


@pytest.mark.parametrize(
    ("uids", "good"),
    [
        (["0", "1", "2"], True),
        ([" 0", "1 ", "02"], True),
        (["1", "2", "3"], False),
        (["0", "2", "1"], False),
        (["0", "0", "0"], False),
        (["a", "b", "c"], False),
        ([None, None, None], False),
    ],
)
def test_E41_uids_count_from_0_in_each_signal_and_others_are_flagged(ven, uids, good):
    steps = [interval("PT20M", 1.0, uid) for uid in uids]
    assert ven.take(event(signals=[signal(steps), signal(steps, signal_id="s1")]))[0].code == 200
    (change,) = ven.changes
    assert ("uid" in change.reason) is not good


@pytest.mark.parametrize("zero", ["PT0S", "P0D", "PT0M", "PT"])
def test_E42_duration_0_lasts_until_cancelled(ven, zero):
    assert ven.take(event(duration=zero))[0].code == 200
    year = START + 365 * 24 * HOUR
    assert ven.at(year) == (1.0, "e1")
    assert ven.handler.next_deadline is None
    assert ven.take(event(duration=zero))[0].code == 200
    assert ven.state().end is None
    ven.take(event(number=1, status="cancelled", duration=zero))
    assert ven.at(year) == (0, None)


def test_E43_levels_switch_at_the_borders_of_intervals(ven):
    steps = [("PT10M", 1.0), ("PT20M", 3.0), ("PT5M", 0.0), ("PT25M", 2.0)]
    ven.take(event(intervals=steps))
    assert ven.timeline(START + 2 * HOUR) == [
        (-HOUR, 0),
        (0, 1.0),
        (10 * MINUTE, 3.0),
        (30 * MINUTE, 0.0),
        (35 * MINUTE, 2.0),
        (60 * MINUTE, 0.0),
    ]
    assert ven.kinds() == ["new", "started", *["interval"] * 3, "completed"]


def test_E43_an_interval_is_half_open(ven):
    ven.take(event(intervals=[("PT30M", 1.0), ("PT30M", 2.0)]))
    for seconds, level in (
        (-1e-3, 0),
        (0, 1),
        (1800 - 1e-3, 1),
        (1800, 2),
        (3600 - 1e-3, 2),
        (3600, 0),
    ):
        assert ven.at(START + seconds)[0] == level, seconds


def test_E43_currentValue_and_status_are_not_asked(ven):
    ven.take(event(level=1.0, current_value=3.0, status="active"))
    assert ven.at(START - 1) == (0, None)
    assert ven.at(START) == (1.0, "e1")


@pytest.mark.parametrize("text", ["true", "True", "yes", "0", "1", "falsely"])
def test_E44_a_test_event_is_answered_and_moves_no_load(ven, text):
    assert ven.take(event(test_event=text)) == [Answer("e1", 0, 200, "optIn")]
    assert ven.handler.get_event("e1").is_test
    assert ven.at(START) == (0, None)


@pytest.mark.parametrize("text", [None, "", " ", "false", "False", " FALSE "])
def test_E44_only_false_or_nothing_means_a_real_event(ven, text):
    ven.take(event(test_event=text))
    assert not ven.handler.get_event("e1").is_test
    assert ven.at(START) == (1.0, "e1")


def test_E44_a_test_event_moves_load_if_so_configured(new_ven):
    ven = new_ven(policy=VtnPolicy(run_test_events=True))
    ven.take(event(test_event="true"))
    assert ven.at(START) == (1.0, "e1")


def overlapping(first, second, second_start=10 * MINUTE):
    return [
        event("first", level=1.0, priority=first, market_context="http://a"),
        event(
            "second",
            level=2.0,
            priority=second,
            market_context="http://b",
            dtstart=START + second_start,
        ),
    ]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [(1, 2, "first"), (2, 1, "second"), (0, 9, "second"), (None, 9, "second"), (0, None, "first")],
)
def test_E45_E46_the_more_important_of_two_overlapping_events_rules(
    ven, first, second, winner, turned
):
    events = overlapping(first, second)
    ven.take(*(reversed(events) if turned else events))
    assert ven.at(START + 20 * MINUTE)[1] == winner
    # The other takes over when that one is gone.
    assert ven.at(START + HOUR)[1] == "second"


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("priority", [0, 1, None])
def test_E45_equal_priority_the_one_activated_first_rules(ven, priority, turned):
    events = overlapping(priority, priority)
    ven.take(*(reversed(events) if turned else events))
    assert ven.timeline(START + 2 * HOUR) == [
        (-HOUR, 0),
        (0, 1.0),
        (60 * MINUTE, 2.0),
        (70 * MINUTE, 0),
    ]


def test_E45_activated_is_the_random_start(new_ven):
    for seed in range(6):
        ven = new_ven(seed=seed)
        ven.take(
            event("a", startafter="PT30M", market_context="http://a"),
            event("b", startafter="PT30M", market_context="http://b"),
        )
        first = min(ven.handler.get_states(), key=lambda state: state.start)
        assert ven.at(START + 30 * MINUTE)[1] == first.event.event_id


def test_E46_the_direction_is_a_setting(new_ven):
    ven = new_ven(policy=VtnPolicy(priority="higher"))
    ven.take(*overlapping(1, 2))
    assert ven.at(START + 20 * MINUTE)[1] == "second"


def test_E47_overlapping_events_are_both_opted_in(ven):
    answers = ven.take(*overlapping(1, 2))
    assert [answer.opt for answer in answers] == ["optIn", "optIn"]
    assert sorted(ven.held) == ["first", "second"]


def test_E48_notification_ramp_up_and_recovery_are_there_to_be_read(ven):
    ven.take(event(notification="P1D", ramp_up="PT5M", recovery="-PT90S"))
    kept = ven.handler.get_event("e1")
    assert kept.notification == Duration(microseconds=86_400_000_000)
    assert kept.ramp_up == Duration(microseconds=300_000_000)
    assert kept.recovery == Duration(microseconds=-90_000_000)
    ven.take(event(number=1, ramp_up="-PT1H", recovery="+PT1H"))
    kept = ven.handler.get_event("e1")
    assert kept.ramp_up == -kept.recovery == Duration(microseconds=-3_600_000_000)


def test_E51_currentValue_is_required_in_2_0a_only(ven):
    (answer,) = ven.take(event(current_value=None))
    assert answer.refused is (ven.profile == "2.0a")
    if ven.profile == "2.0b":
        assert ven.at(START) == (1.0, "e1")


def test_E52_notification_is_required_in_2_0a_and_noted_in_2_0b(ven):
    missing = event(notification=None)
    (answer,) = ven.take(missing)
    assert answer.refused is (ven.profile == "2.0a")
    assert any("Notification" in reason for reason in problems(ven, missing))
    assert problems(ven, event()) == []


def test_E51_E52_a_policy_does_without_them(new_ven):
    policy = VtnPolicy(require_current_value_20a=False, require_notification_20a=False)
    ven = new_ven(policy=policy)
    assert ven.take(event(current_value=None, notification=None))[0].code == 200


# -- what else can be there -----------------------------------------------------------------------


def test_G10_optional_elements_are_read_and_acted_upon(new_ven):
    ven = new_ven(**ME)
    ven.take(
        event(
            priority=3,
            test_event="false",
            vtn_comment="hot day",
            startafter="PT1M",
            ramp_up="PT5M",
            recovery="PT6M",
            targets={"group_id": "group"},
        ),
        response_code=200,
        response_description="here you are",
    )
    kept = ven.handler.get_event("e1")
    assert (kept.priority, kept.test_event, kept.vtn_comment) == (3, "false", "hot day")
    assert kept.startafter == Duration(microseconds=60_000_000)
    assert kept.targets.group_ids == ("group",)
    assert kept.created_date_time == datetime.fromtimestamp(START - 86400, UTC)
    assert START < ven.state().start.timestamp() <= START + MINUTE


def test_G09_each_wrong_thing_has_an_application_error_code(new_ven):
    """Invalid by schema, incomplete, an unexpected id, and illogical: an answer each."""
    ven = new_ven(market_contexts="http://market")
    ven.take(event("known", 5))
    answers = ven.take(
        event("known", 4),
        event("schema", status="soonish"),
        event("missing", duration=None),
        event("id", targets={"ven_id": "not me"}),
        event("market", market_context="http://elsewhere"),
        event("illogical", intervals=[("PT5M", 1.0)]),
        event("past", dtstart=START - 30 * HOUR),
        event("signal", name="x-unknown"),
    )
    codes = ResponseCodes() if ven.profile == "2.0b" else VtnPolicy().codes_20a
    assert [answer.code for answer in answers] == [
        codes.lower_modification_number,
        codes.invalid_data,
        codes.invalid_data,
        codes.target_mismatch,
        codes.market_context,
        codes.invalid_data,
        codes.invalid_data,
        codes.signal_not_supported,
    ]
    assert all(answer.refused for answer in answers)
    assert ven.held == {"known": 5}


def test_G09_the_codes_can_be_configured(new_ven):
    codes = ResponseCodes(target_mismatch=499)
    ven = new_ven(policy=VtnPolicy(codes_20a=codes, codes_20b=codes))
    assert ven.take(event(targets={"ven_id": "x"})) == [Answer("e1", 0, 499, "optOut")]


@pytest.mark.parametrize("number", ["NaN", "INF", "-INF", "nan", "1e999"])
def test_G15_a_value_that_is_no_finite_number_spoils_its_event_only(ven, number):
    answers = ven.take(
        event("simple", level=number),
        event(
            "price", signals=[signal(), signal([("PT1H", number)], name="x-price", type="price")]
        ),
        event("good"),
    )
    assert [answer.code // 100 for answer in answers] == [4, 4, 2]
    assert ven.held == {"good": 0}
