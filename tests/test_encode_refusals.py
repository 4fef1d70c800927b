"""What cannot be sent is refused, and the attribute at fault is named."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from message_examples import AREA, HOUR, START, one_event, plain_event
from message_strategies import NO_XML_CHARACTER, distribute_events, events, unhurried

from oadr2 import model
from oadr2._core.encode import encode
from oadr2._core.writer import escaped
from oadr2.errors import LocalProtocolError
from oadr2.schedule import Duration


def with_signal(**changes) -> model.DistributeEvent:
    return one_event(signals=(replace(plain_event().signals[0], **changes),))


def with_interval(profile="2.0b", **changes) -> model.DistributeEvent:
    interval = replace(plain_event().signals[0].intervals[0], **changes)
    good = plain_event().signals[0]
    bad = replace(good, intervals=(good.intervals[0], interval))
    return one_event(profile, signals=(good, bad))


def with_unit(*args, **kwargs) -> model.DistributeEvent:
    return with_signal(unit=model.Unit(*args, **kwargs))


def with_answer(**changes) -> model.CreatedEvent:
    good = model.EventResponse("e", 0, "optIn")
    return model.CreatedEvent("ven", (good, replace(good, **changes)))


BASELINE = model.Baseline("b", "n", START, HOUR, plain_event().signals[0].intervals)
WATT = {"item_units": "W", "si_scale_code": "k", "hertz": 50.0, "voltage": 230.0, "ac": True}
REFUSED = [
    (7, "cannot encode int"),
    (plain_event(), "cannot encode Event"),
    (model.UnknownMessage("oadrPoll", "urn:x"), "raw: is empty"),
    (model.UnknownMessage("oadrPoll", "urn:x", raw="<a/>"), "raw: must be bytes, not str"),
    (model.RequestEvent("ven", profile="2.0"), "profile: '2.0' is none of 2.0a, 2.0b"),
    (model.RequestEvent(""), "ven_id: must not be empty"),
    (model.RequestEvent(None), "ven_id: is missing (must be str)"),
    (model.RequestEvent(b"ven"), "ven_id: must be str, not bytes"),
    (model.RequestEvent("ven", None), "request_id: is missing"),
    (
        model.RequestEvent("ven", reply_limit=-1),
        "reply_limit: must be from 0 to 4294967295, not -1",
    ),
    (model.RequestEvent("ven", reply_limit=1.0), "reply_limit: must be int, not float"),
    (model.RequestEvent("ven", reply_limit=10**5000), "reply_limit: must be from 0"),
    (model.Response(model.EiResponse(), "ven", "2.0a"), "ven_id: does not exist in 2.0a"),
    (
        model.Response(model.EiResponse(99)),
        "response.response_code: must have three digits, not be 99",
    ),
    (model.Response(model.EiResponse(1000)), "response.response_code: must have three digits"),
    (model.Response(model.EiResponse("200")), "response.response_code: must be int, not str"),
    (
        model.Response(model.EiResponse(200, 5)),
        "response.response_description: must be str, not int",
    ),
    (model.Response(None), "response: is missing (must be EiResponse)"),
    (model.CreatedEvent(""), "ven_id: must not be empty"),
    (model.CreatedEvent("ven", "abc"), "event_responses: must be a sequence, not str"),
    (model.CreatedEvent("ven", (1,)), "event_responses[0]: must be EventResponse, not int"),
    (with_answer(event_id=""), "event_responses[1].event_id: must not be empty"),
    (with_answer(event_id="\x07"), "event_responses[1].event_id: has a character"),
    (
        with_answer(opt_type="maybe"),
        "event_responses[1].opt_type: 'maybe' is none of optIn, optOut",
    ),
    (with_answer(response_code=7), "event_responses[1].response_code: must have three digits"),
    (
        with_answer(modification_number=1 << 32),
        "event_responses[1].modification_number: must be from",
    ),
    (with_answer(modification_number=True), "event_responses[1].modification_number: must be int"),
    (model.DistributeEvent(""), "vtn_id: must not be empty"),
    (model.DistributeEvent("v", events=5), "events: must be a sequence, not int"),
    (model.DistributeEvent("v", events=[{}]), "events[0]: must be Event, not dict"),
    (model.DistributeEvent("v", response=5), "response: must be EiResponse, not int"),
    (one_event(dtstart=None), "events[0].dtstart: is missing (must be datetime)"),
    (one_event(dtstart=datetime(2024, 1, 1)), "events[0].dtstart: has no time zone"),  # noqa: DTZ001
    (one_event(dtstart="2024-01-01T00:00:00Z"), "events[0].dtstart: must be datetime, not str"),
    (
        one_event(dtstart=datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))),
        "events[0].dtstart: lies outside",
    ),
    (one_event(duration=None), "events[0].duration: is missing (must be Duration)"),
    (one_event(duration=timedelta(hours=1)), "events[0].duration: must be Duration, not timedelta"),
    (one_event(duration=Duration(microseconds=-1_000_000)), "events[0].duration: must not be neg"),
    (
        one_event(duration=Duration(microseconds=500_000)),
        "events[0].duration: must be whole seconds",
    ),
    (one_event(startafter=-HOUR), "events[0].startafter: must not be negative"),
    (one_event(event_id=""), "events[0].event_id: must not be empty"),
    (one_event(event_id="a\x00"), "events[0].event_id: has a character that XML does not allow"),
    (one_event(modification_number=-1), "events[0].modification_number: must be from 0"),
    (one_event(priority=1 << 32), "events[0].priority: must be from 0"),
    (one_event(market_context=None), "events[0].market_context: is missing"),
    (one_event(created_date_time=None), "events[0].created_date_time: is missing"),
    (one_event(event_status=None), "events[0].event_status: is missing"),
    (one_event(event_status="canceled"), "events[0].event_status: 'canceled' is none of"),
    (one_event(response_required="maybe"), "events[0].response_required: 'maybe' is none of"),
    (one_event(signals=()), "events[0].signals: an event needs at least one signal"),
    (one_event(signals=(None,)), "events[0].signals[0]: is missing (must be Signal)"),
    (one_event(targets=None), "events[0].targets: is missing (must be Targets)"),
    (
        one_event(targets=model.Targets("abc")),
        "events[0].targets.ven_ids: must be a sequence, not str",
    ),
    (
        one_event(targets=model.Targets(("a", 1))),
        "events[0].targets.ven_ids[1]: must be str, not int",
    ),
    (one_event(test_event=True), "events[0].test_event: must be str, not bool"),
    (with_signal(signal_name="PRICE"), "events[0].signals[0].signal_name: 'PRICE' does not begin"),
    (with_signal(signal_name="x-"), "events[0].signals[0].signal_name: 'x-' does not begin"),
    (with_signal(signal_name="x- a"), "events[0].signals[0].signal_name: 'x- a' does not begin"),
    (with_signal(signal_name="x-a "), "events[0].signals[0].signal_name: 'x-a ' does not begin"),
    (with_signal(signal_type="product"), "events[0].signals[0].signal_type: 'product' is none of"),
    (with_signal(signal_type="x-foo"), "events[0].signals[0].signal_type: 'x-foo' is none of"),
    (with_signal(signal_id=None), "events[0].signals[0].signal_id: is missing"),
    (with_signal(intervals=()), "events[0].signals[0].intervals: at least one interval"),
    (with_signal(targets=None), "events[0].signals[0].targets: is missing"),
    (
        with_interval(value=float("nan")),
        "events[0].signals[1].intervals[1].value: must be finite, not nan",
    ),
    (with_interval(value=float("-inf")), "events[0].signals[1].intervals[1].value: must be finite"),
    (with_interval(value=1e39), "events[0].signals[1].intervals[1].value: 1e+39 is too large"),
    (with_interval(value=10**400), "events[0].signals[1].intervals[1].value: is too large"),
    (with_interval(value=None), "events[0].signals[1].intervals[1].value: is missing"),
    (with_interval(value=True), "events[0].signals[1].intervals[1].value: must be float, not bool"),
    (with_interval(value="1"), "events[0].signals[1].intervals[1].value: must be float, not str"),
    (
        with_interval("2.0a", duration=None),
        "events[0].signals[1].intervals[1].duration: is missing",
    ),
    (with_interval("2.0a", uid=None), "events[0].signals[1].intervals[1].uid: is missing"),
    (
        with_interval("2.0a", dtstart=START),
        "events[0].signals[1].intervals[1].dtstart: does not exist",
    ),
    (with_unit("kilowatt"), "events[0].signals[0].unit.name: 'kilowatt' is none of"),
    (with_unit("powerReal"), "events[0].signals[0].unit.item_units: is missing"),
    (
        with_unit("powerReal", "Power", **WATT),
        "events[0].signals[0].unit.item_description: 'Power'",
    ),
    (
        with_unit("powerReal", **WATT | {"item_units": "kW"}),
        "events[0].signals[0].unit.item_units: 'kW'",
    ),
    (with_unit("powerReal", **WATT | {"ac": None}), "events[0].signals[0].unit.ac: is missing"),
    (
        with_unit("powerReal", **WATT | {"si_scale_code": "h"}),
        "events[0].signals[0].unit.si_scale_code",
    ),
    (with_unit("energyReal", **WATT), "events[0].signals[0].unit.item_units: 'W' is none of Wh"),
    (
        with_unit("voltage", **WATT | {"item_units": "V"}),
        "events[0].signals[0].unit.hertz: does not bel",
    ),
    (with_unit("pulseCount"), "events[0].signals[0].unit.pulse_factor: is missing"),
    (
        with_unit("pulseCount", si_scale_code="k", pulse_factor=1.0),
        "events[0].signals[0].unit.si_scale",
    ),
    (
        with_unit("currency", "currency", "usd", "none"),
        "events[0].signals[0].unit.item_units: 'usd'",
    ),
    (one_event(baseline=replace(BASELINE, dtstart=None)), "events[0].baseline.dtstart: is missing"),
    (
        one_event(baseline=replace(BASELINE, intervals=())),
        "events[0].baseline.intervals: at least one",
    ),
    (
        one_event(baseline=replace(BASELINE, resource_ids=(1,))),
        "events[0].baseline.resource_ids[0]: must",
    ),
    (one_event("2.0a", baseline=BASELINE), "events[0].baseline: does not exist in 2.0a"),
    (
        one_event("2.0a", modification_reason=""),
        "events[0].modification_reason: does not exist in 2.0a",
    ),
    (one_event("2.0a", modification_date_time=START), "events[0].modification_date_time: does not"),
    (
        one_event("2.0a", targets=model.Targets(group_names=("g",))),
        "events[0].targets: 2.0a knows only",
    ),
    (one_event("2.0a", targets=model.Targets(pnodes=("g",))), "events[0].targets: 2.0a knows only"),
    (
        replace(with_signal(unit=model.Unit("Therm", si_scale_code="none")), profile="2.0a"),
        "events[0].signals[0].unit: does not exist in 2.0a",
    ),
    (
        replace(with_signal(targets=model.Targets(("v",))), profile="2.0a"),
        "events[0].signals[0].targets: does not exist in 2.0a",
    ),
    (
        one_event(targets=model.Targets(transport_interfaces=(("a",),))),
        "events[0].targets.transport_interfaces[0]: must be a pair",
    ),
]


@pytest.mark.parametrize(("message", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_cannot_be_sent_is_refused_by_name(message, reason):
    with pytest.raises(LocalProtocolError) as caught:
        encode(message)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "area",
    [
        "<a/>",
        b"",
        b"<a/>",
        b" " + AREA,
        b"<?xml version='1.0'?>" + AREA,
        AREA[:-1],
        AREA + AREA,
        AREA + b"</x>",
        AREA.replace(b"xmlns:gml", b"xmlns:gm"),
        AREA.replace(b"gml/3.2", b"gml/3.1"),
        b"<!DOCTYPE a>" + AREA,
    ],
)
def test_raw_xml_that_would_break_the_document_is_refused(area):
    for name in ("service_areas", "service_locations"):
        targets = model.Targets(**{name: (AREA, area)})
        with pytest.raises(
            LocalProtocolError, match=rf"^events\[0\]\.targets\.{name}\[1\]: must be"
        ):
            encode(one_event(targets=targets))


@settings(unhurried, max_examples=10)
@given(distribute_events, events("2.0b"))
def test_the_failing_event_is_named(message, event):
    bad = replace(event, modification_number=-1)
    with pytest.raises(LocalProtocolError) as caught:
        encode(replace(message, profile="2.0b", events=(plain_event(), bad)))
    assert str(caught.value).startswith("events[1].modification_number: ")


@pytest.mark.parametrize("bad", [*NO_XML_CHARACTER, chr(0xD800), chr(0xDFFF)])
@pytest.mark.parametrize("text", ["{}", "abc{}", "{}abc", "é&{}"])
def test_what_is_no_xml_character_is_refused(bad, text):
    text = text.format(bad)
    for attribute in (False, True):
        with pytest.raises(LocalProtocolError, match="XML does not allow"):
            escaped(text, attribute=attribute)
    with pytest.raises(LocalProtocolError, match=r"^ven_id: .*XML does not allow"):
        encode(model.RequestEvent(text))
