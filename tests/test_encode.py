"""Encoding against hand-written documents, both schema editions, lxml and our own decoder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from fuzzing.oracle import READ, verdict
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lxml import etree
from lxml_reader import message_element, read_message
from message_examples import AREA, HOUR, START, one_event, plain_event
from message_strategies import (
    NO_XML_CHARACTER,
    feature_collections,
    floats,
    texts,
    unhurried,
    units,
)
from service_strategies import messages

from oadr2 import model
from oadr2._core.encode import encode
from oadr2._core.objects import decode
from oadr2._core.writer import escaped
from oadr2.schedule import Duration

ROOT = Path(__file__).parent.parent.resolve()
SHARED = Path(os.environ.get("OADR2_SHARED") or ROOT.parent / "shared")
SCHEMAS = SHARED / "openadr" / "schemas"
needs_schemas = pytest.mark.skipif(
    not SCHEMAS.is_dir(), reason=f"the OpenADR schemas are not in {SCHEMAS}"
)

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
OADR_A = ' xmlns:oadr="http://openadr.org/oadr-2.0a/2012/07"'
OADR_B = ' xmlns:oadr="http://openadr.org/oadr-2.0b/2012/07"'
ALWAYS = (
    ' xmlns:ei="http://docs.oasis-open.org/ns/energyinterop/201110"'
    ' xmlns:pyld="http://docs.oasis-open.org/ns/energyinterop/201110/payloads"'
)
FOR_EVENTS = (
    ' xmlns:emix="http://docs.oasis-open.org/ns/emix/2011/06"'
    ' xmlns:xcal="urn:ietf:params:xml:ns:icalendar-2.0"'
    ' xmlns:strm="urn:ietf:params:xml:ns:icalendar-2.0:stream"'
)
POWER = ' xmlns:power="http://docs.oasis-open.org/ns/emix/2011/06/power"'
SCALE = ' xmlns:scale="http://docs.oasis-open.org/ns/emix/2011/06/siscale"'


def document(*lines: str) -> bytes:
    """A document written over several lines for reading."""
    return (DECLARATION + "".join(line.strip() for line in lines)).encode()


# --- whole documents -----------------------------------------------------------------------------


def test_request_event_2_0a():
    assert encode(model.RequestEvent("ven", "r1", 99)) == document(
        f"<oadr:oadrRequestEvent{OADR_A}{ALWAYS}><pyld:eiRequestEvent>",
        "<pyld:requestID>r1</pyld:requestID><ei:venID>ven</ei:venID>",
        "<pyld:replyLimit>99</pyld:replyLimit></pyld:eiRequestEvent></oadr:oadrRequestEvent>",
    )


def test_request_event_2_0b_is_wrapped_and_says_its_version():
    assert encode(model.RequestEvent("ven", profile="2.0b")) == document(
        f"<oadr:oadrPayload{OADR_B}{ALWAYS}><oadr:oadrSignedObject>",
        '<oadr:oadrRequestEvent ei:schemaVersion="2.0b"><pyld:eiRequestEvent>',
        "<pyld:requestID></pyld:requestID><ei:venID>ven</ei:venID></pyld:eiRequestEvent>",
        "</oadr:oadrRequestEvent></oadr:oadrSignedObject></oadr:oadrPayload>",
    )


def test_created_event_2_0b_bare():
    answers = (
        model.EventResponse("e1", 3, "optIn", request_id="r1"),
        model.EventResponse("e2", 0, "optOut", 462, "no such target", "r1"),
    )
    message = model.CreatedEvent("ven", answers, profile="2.0b")
    assert encode(message, wrap=False) == document(
        f'<oadr:oadrCreatedEvent{OADR_B}{ALWAYS} ei:schemaVersion="2.0b"><pyld:eiCreatedEvent>',
        "<ei:eiResponse><ei:responseCode>200</ei:responseCode>",
        "<pyld:requestID></pyld:requestID></ei:eiResponse>",  # facts.md E07: present and empty
        "<ei:eventResponses><ei:eventResponse><ei:responseCode>200</ei:responseCode>",
        "<pyld:requestID>r1</pyld:requestID><ei:qualifiedEventID><ei:eventID>e1</ei:eventID>",
        "<ei:modificationNumber>3</ei:modificationNumber></ei:qualifiedEventID>",
        "<ei:optType>optIn</ei:optType></ei:eventResponse>",
        "<ei:eventResponse><ei:responseCode>462</ei:responseCode>",
        "<ei:responseDescription>no such target</ei:responseDescription>",
        "<pyld:requestID>r1</pyld:requestID><ei:qualifiedEventID><ei:eventID>e2</ei:eventID>",
        "<ei:modificationNumber>0</ei:modificationNumber></ei:qualifiedEventID>",
        "<ei:optType>optOut</ei:optType></ei:eventResponse></ei:eventResponses>",
        "<ei:venID>ven</ei:venID></pyld:eiCreatedEvent></oadr:oadrCreatedEvent>",
    )


@pytest.mark.parametrize(
    ("code", "count", "present"),
    [(200, 0, True), (200, 1, True), (299, 0, True), (452, 0, False), (452, 1, True)],
)
def test_event_responses_are_left_out_only_with_an_error_and_no_answer(code, count, present):
    """facts.md E08, E31"""
    answers = (model.EventResponse("e1", 0, "optIn"),) * count
    data = encode(model.CreatedEvent("ven", answers, model.EiResponse(code)))
    assert (b"<ei:eventResponses>" in data) is present
    assert data.count(b"<ei:eventResponse>") == count


@pytest.mark.parametrize(
    ("message", "inside"),
    [
        (model.Response(model.EiResponse(200, None, "r1")), ""),
        (
            model.Response(model.EiResponse(200, None, "r1"), "ven", "2.0b"),
            "<ei:venID>ven</ei:venID>",
        ),
    ],
)
def test_response(message, inside):
    version = "" if message.profile == "2.0a" else ' ei:schemaVersion="2.0b"'
    oadr = OADR_A if message.profile == "2.0a" else OADR_B
    assert encode(message, wrap=False) == document(
        f"<oadr:oadrResponse{oadr}{ALWAYS}{version}><ei:eiResponse>",
        "<ei:responseCode>200</ei:responseCode><pyld:requestID>r1</pyld:requestID>",
        f"</ei:eiResponse>{inside}</oadr:oadrResponse>",
    )


def test_distribute_event_2_0a_gets_what_only_its_schema_demands():
    """facts.md E51, E52: currentValue and x-eiNotification, though the event has neither."""
    signal = model.Signal("simple", "level", "s1", (model.Interval("0", HOUR, 2.0),))
    message = one_event("2.0a", signals=(signal,), notification=None)
    assert encode(message) == document(
        f"<oadr:oadrDistributeEvent{OADR_A}{ALWAYS}{FOR_EVENTS}>",
        "<pyld:requestID>r1</pyld:requestID><ei:vtnID>vtn</ei:vtnID><oadr:oadrEvent><ei:eiEvent>",
        "<ei:eventDescriptor><ei:eventID>e1</ei:eventID>",
        "<ei:modificationNumber>0</ei:modificationNumber><ei:eiMarketContext>",
        "<emix:marketContext>http://market.example</emix:marketContext></ei:eiMarketContext>",
        "<ei:createdDateTime>2024-05-01T12:00:00Z</ei:createdDateTime>",
        "<ei:eventStatus>far</ei:eventStatus></ei:eventDescriptor><ei:eiActivePeriod>",
        "<xcal:properties><xcal:dtstart><xcal:date-time>2024-05-01T12:00:00Z</xcal:date-time>",
        "</xcal:dtstart><xcal:duration><xcal:duration>PT1H</xcal:duration></xcal:duration>",
        "<ei:x-eiNotification><xcal:duration>PT0S</xcal:duration></ei:x-eiNotification>",
        "</xcal:properties><xcal:components></xcal:components></ei:eiActivePeriod>",
        "<ei:eiEventSignals><ei:eiEventSignal><strm:intervals><ei:interval>",
        "<xcal:duration><xcal:duration>PT1H</xcal:duration></xcal:duration>",
        "<xcal:uid><xcal:text>0</xcal:text></xcal:uid><ei:signalPayload><ei:payloadFloat>",
        "<ei:value>2.0</ei:value></ei:payloadFloat></ei:signalPayload></ei:interval>",
        "</strm:intervals><ei:signalName>simple</ei:signalName>",
        "<ei:signalType>level</ei:signalType><ei:signalID>s1</ei:signalID><ei:currentValue>",
        "<ei:payloadFloat><ei:value>0.0</ei:value></ei:payloadFloat></ei:currentValue>",
        "</ei:eiEventSignal></ei:eiEventSignals><ei:eiTarget></ei:eiTarget></ei:eiEvent>",
        "<oadr:oadrResponseRequired>always</oadr:oadrResponseRequired></oadr:oadrEvent>",
        "</oadr:oadrDistributeEvent>",
    )


def test_distribute_event_2_0b_with_every_element():
    unit = model.Unit("powerReal", None, "W", "k", hertz=60.0, voltage=1e-5, ac=True)
    pulses = model.Unit("pulseCount", pulse_factor=0.5)
    interval = model.Interval(None, None, -1.5, START)
    event = plain_event(
        signals=(
            model.Signal(
                "LOAD_DISPATCH",
                "setpoint",
                "s1",
                [interval],
                1e20,
                model.Targets(end_device_assets=("Thermostat",)),
                unit,
            ),
        ),
        targets=model.Targets(
            ("v1", "v2"), ("g",), ("r",), ("p",), ("gn",), ("an",), ("ed",), ("ma",), ("pn",),
            (AREA,), ("dp",), (AREA,), (("from", "to"),),
        ),
        response_required="never",
        priority=4,
        test_event="true",
        vtn_comment="a < b",
        modification_date_time=START.replace(microsecond=500_000),
        modification_reason="why",
        startafter=Duration(microseconds=90_000_000),
        notification=None,
        ramp_up=Duration(microseconds=-300_000_000),
        recovery=Duration(months=1),
        baseline=model.Baseline("b1", "name", START, HOUR, (interval,), ("r1", "r2"), pulses),
    )  # fmt: skip
    value = "<ei:payloadFloat><ei:value>{}</ei:value></ei:payloadFloat>".format
    intervals = (
        "<strm:intervals><ei:interval><xcal:dtstart>"
        "<xcal:date-time>2024-05-01T12:00:00Z</xcal:date-time></xcal:dtstart>"
        f"<ei:signalPayload>{value('-1.5')}</ei:signalPayload></ei:interval></strm:intervals>"
    )
    message = model.DistributeEvent("vtn", "", [event], model.EiResponse(), "2.0b")
    assert encode(message, wrap=False) == document(
        f"<oadr:oadrDistributeEvent{OADR_B}{ALWAYS}{FOR_EVENTS}{POWER}{SCALE}"
        ' ei:schemaVersion="2.0b">',
        "<ei:eiResponse><ei:responseCode>200</ei:responseCode><pyld:requestID></pyld:requestID>",
        "</ei:eiResponse><pyld:requestID></pyld:requestID><ei:vtnID>vtn</ei:vtnID>",
        "<oadr:oadrEvent><ei:eiEvent><ei:eventDescriptor><ei:eventID>e1</ei:eventID>",
        "<ei:modificationNumber>0</ei:modificationNumber>",
        "<ei:modificationDateTime>2024-05-01T12:00:00.5Z</ei:modificationDateTime>",
        "<ei:modificationReason>why</ei:modificationReason><ei:priority>4</ei:priority>",
        "<ei:eiMarketContext><emix:marketContext>http://market.example</emix:marketContext>",
        "</ei:eiMarketContext><ei:createdDateTime>2024-05-01T12:00:00Z</ei:createdDateTime>",
        "<ei:eventStatus>far</ei:eventStatus><ei:testEvent>true</ei:testEvent>",
        "<ei:vtnComment>a &lt; b</ei:vtnComment></ei:eventDescriptor><ei:eiActivePeriod>",
        "<xcal:properties><xcal:dtstart><xcal:date-time>2024-05-01T12:00:00Z</xcal:date-time>",
        "</xcal:dtstart><xcal:duration><xcal:duration>PT1H</xcal:duration></xcal:duration>",
        "<xcal:tolerance><xcal:tolerate><xcal:startafter>PT1M30S</xcal:startafter>",
        "</xcal:tolerate></xcal:tolerance>",
        "<ei:x-eiRampUp><xcal:duration>-PT5M</xcal:duration></ei:x-eiRampUp>",
        "<ei:x-eiRecovery><xcal:duration>P1M</xcal:duration></ei:x-eiRecovery>",
        "</xcal:properties><xcal:components></xcal:components></ei:eiActivePeriod>",
        f"<ei:eiEventSignals><ei:eiEventSignal>{intervals}<ei:eiTarget><power:endDeviceAsset>",
        "<power:mrid>Thermostat</power:mrid></power:endDeviceAsset></ei:eiTarget>",
        "<ei:signalName>LOAD_DISPATCH</ei:signalName><ei:signalType>setpoint</ei:signalType>",
        "<ei:signalID>s1</ei:signalID><power:powerReal>",
        "<power:itemDescription>RealPower</power:itemDescription>",
        "<power:itemUnits>W</power:itemUnits><scale:siScaleCode>k</scale:siScaleCode>",
        "<power:powerAttributes><power:hertz>60.0</power:hertz>",
        "<power:voltage>0.00001</power:voltage><power:ac>true</power:ac>",
        "</power:powerAttributes></power:powerReal>",
        f"<ei:currentValue>{value('1e+20')}</ei:currentValue></ei:eiEventSignal>",
        "<ei:eiEventBaseline><xcal:dtstart><xcal:date-time>2024-05-01T12:00:00Z</xcal:date-time>",
        "</xcal:dtstart><xcal:duration><xcal:duration>PT1H</xcal:duration></xcal:duration>",
        f"{intervals}<ei:baselineID>b1</ei:baselineID><ei:resourceID>r1</ei:resourceID>",
        "<ei:resourceID>r2</ei:resourceID><ei:baselineName>name</ei:baselineName>",
        "<oadr:pulseCount><oadr:itemDescription>pulse count</oadr:itemDescription>",
        "<oadr:itemUnits>count</oadr:itemUnits><oadr:pulseFactor>0.5</oadr:pulseFactor>",
        "</oadr:pulseCount></ei:eiEventBaseline></ei:eiEventSignals><ei:eiTarget>",
        "<power:aggregatedPnode><power:node>an</power:node></power:aggregatedPnode>",
        "<power:endDeviceAsset><power:mrid>ed</power:mrid></power:endDeviceAsset>",
        "<power:meterAsset><power:mrid>ma</power:mrid></power:meterAsset>",
        "<power:pnode><power:node>pn</power:node></power:pnode>",
        f"<emix:serviceArea>{AREA.decode()}</emix:serviceArea>",
        "<power:serviceDeliveryPoint><power:node>dp</power:node></power:serviceDeliveryPoint>",
        f"<power:serviceLocation>{AREA.decode()}</power:serviceLocation>",
        "<power:transportInterface><power:pointOfReceipt>from</power:pointOfReceipt>",
        "<power:pointOfDelivery>to</power:pointOfDelivery></power:transportInterface>",
        "<ei:groupID>g</ei:groupID><ei:groupName>gn</ei:groupName><ei:resourceID>r</ei:resourceID>",
        "<ei:venID>v1</ei:venID><ei:venID>v2</ei:venID><ei:partyID>p</ei:partyID></ei:eiTarget>",
        "</ei:eiEvent><oadr:oadrResponseRequired>never</oadr:oadrResponseRequired>",
        "</oadr:oadrEvent></oadr:oadrDistributeEvent>",
    )


def test_times_of_other_zones_are_sent_in_utc():
    """facts.md T01"""
    local = START.astimezone(timezone(timedelta(hours=-7)))
    assert encode(one_event(dtstart=local)) == encode(one_event(dtstart=START))


def test_unknown_message_goes_out_as_it_came():
    raw = b'<oadrPoll xmlns="http://openadr.org/oadr-2.0b/2012/07"/>'
    assert encode(model.UnknownMessage("oadrPoll", "urn:x", "2.0b", raw)) is raw


def test_raw_of_an_event_is_not_looked_at():
    assert encode(one_event(raw=b"<other/>")) == encode(one_event())


def test_an_empty_signal_target_is_not_written():
    assert encode(one_event()).count(b"<ei:eiTarget>") == 1


def test_texts_made_on_the_fly_live_long_enough():
    """A subclass may compute its texts anew at every look."""

    @dataclass(frozen=True)
    class Made(model.EventResponse):
        @property
        def event_id(self):
            return "".join(["e", "-", "é" * 40])

        @event_id.setter
        def event_id(self, value):
            raise AttributeError

    answer = object.__new__(Made)
    for name, value in (
        ("modification_number", 1),
        ("opt_type", "optIn"),
        ("response_code", 200),
        ("response_description", None),
        ("request_id", "r"),
    ):
        object.__setattr__(answer, name, value)
    data = encode(model.CreatedEvent("ven", (answer,) * 50))
    assert data.count(("<ei:eventID>e-" + "é" * 40 + "</ei:eventID>").encode()) == 50


# --- properties ----------------------------------------------------------------------------------


@unhurried
@given(messages(), st.booleans())
def test_lxml_reads_back_what_was_encoded(message, wrap):
    data = encode(message, wrap=wrap)
    if isinstance(message, get_args(model.ServiceMessage)):
        # decode gives the message back, says the test below; lxml reads the same
        assert verdict(data) == READ
    else:
        assert read_message(data) == message
    assert data.startswith(DECLARATION.encode())
    assert (b"<oadr:oadrPayload " in data) is (wrap and message.profile == "2.0b")


@unhurried
@given(messages(), st.booleans())
def test_decode_gives_the_message_back(message, wrap):
    decoded = decode(encode(message, wrap=wrap))
    assert decoded == message
    assert decode(encode(decoded, wrap=wrap)) == decoded


@unhurried
@given(messages())
def test_namespaces_are_declared_once_and_only_when_used(message):
    data = encode(message)
    root = etree.fromstring(data)
    element, profile = message_element(data)
    used = {etree.QName(name).namespace for one in root.iter("*") for name in (one, *one.attrib)}
    # raw elements bring their own
    used -= {"http://www.opengis.net/gml/3.2", "http://www.w3.org/2005/Atom"}
    assert set(root.nsmap.values()) == used
    declared = re.findall(rb" xmlns:(\w+)=", data)
    assert len([prefix for prefix in declared if prefix != b"gml"]) == len(used)
    version = element.get("{http://docs.oasis-open.org/ns/energyinterop/201110}schemaVersion")
    assert version == (None if profile == "2.0a" else "2.0b")  # facts.md G07
    assert b"schemaLocation" not in data  # facts.md G03


@cache
def schema(edition: str) -> etree.XMLSchema:
    return etree.XMLSchema(file=str(SCHEMAS / edition / f"oadr_{edition.replace('.', '')[:3]}.xsd"))


@needs_schemas
@unhurried
@given(messages(), st.booleans())
def test_what_is_encoded_is_valid_against_every_edition_of_the_schema(message, wrap):
    """facts.md G01, G02"""
    tree = etree.fromstring(encode(message, wrap=wrap))
    for edition in ("2.0a",) if message.profile == "2.0a" else ("2.0b", "2.0b-2013"):
        schema(edition).assertValid(tree)


@needs_schemas
@unhurried
@given(units(), feature_collections)
def test_fixed_parts_of_a_unit_may_be_left_out(unit, area):
    fixed = replace(unit, item_description=None)
    assume(not unit.name.startswith("currency") and unit.name != "customUnit")
    signal = replace(plain_event().signals[0], unit=fixed)
    data = encode(one_event(signals=(signal,), targets=model.Targets(service_areas=(area,))))
    schema("2.0b").assertValid(etree.fromstring(data))
    assert read_message(data).events[0].signals[0].unit == unit


@unhurried
@given(texts)
def test_escaped_text_reads_back(text):
    inside = escaped(text)
    assert not set(inside) & set(b"<>\r")
    assert (etree.fromstring(b"<a>%s</a>" % inside).text or "") == text


@unhurried
@given(texts)
def test_escaped_attribute_reads_back(text):
    inside = escaped(text, attribute=True)
    assert not set(inside) & set(b'<>"\r\n\t')
    assert etree.fromstring(b'<a b="%s"/>' % inside).get("b") == text


@unhurried
@given(st.text(st.characters(codec="utf-8")))
def test_text_without_specials_is_not_touched(text):
    assume(not set(text) & set("&<>\r") and not set(text) & set(NO_XML_CHARACTER))
    assert escaped(text) == text.encode()


def test_escaping_is_exact():
    assert escaped("&<>\"'\r\n\t") == b"&amp;&lt;&gt;\"'&#13;\n\t"
    assert escaped("&<>\"'\r\n\t", attribute=True) == b"&amp;&lt;&gt;&quot;'&#13;&#10;&#9;"


@pytest.mark.parametrize(
    "near", ["\ufffd", "\ud7ff", "\ue000", "\ufdd0", "\U0001fffe", "\x7f", "\x85"]
)
def test_neighbours_of_forbidden_characters_are_allowed(near):
    assert etree.fromstring(b"<a>%s</a>" % escaped(near)).text == near


@settings(unhurried, max_examples=10)
@given(st.text("ab&<\r", min_size=2000, max_size=3000))
def test_the_buffer_grows(text):
    message = model.RequestEvent(text * 20)
    assert read_message(encode(message)) == message


@unhurried
@given(floats)
def test_floats_read_back_exactly_and_are_xs_float(value):
    signal = replace(plain_event().signals[0], current_value=value)
    data = encode(one_event(signals=(signal,)))
    (written,) = re.findall(rb"<ei:currentValue><ei:payloadFloat><ei:value>(.*?)<", data)
    assert float(written) == value
    assert re.fullmatch(rb"-?[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?", written)
