"""Ways to read an oadrDistributeEvent: ours and others', each giving the same values.

A contender's ``parse`` is what its library does on its own; ``read`` takes from that, as a program
would, the values that payloads.EventValues lists. lxml and pugixml give text, so their ``read`` makes
numbers and date-times of it here, with the quickest means the standard library has.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from lxml import etree
from payloads import NAMESPACES, EventValues, IntervalValues, Profile
from pugixml import pugi

import oadr2

with warnings.catch_warnings():  # openleadr 0.5.36 imports names that newer libraries deprecate
    warnings.simplefilter("ignore")
    from openleadr import messaging as openleadr_messaging


class Contender(NamedTuple):
    name: str
    parse: Callable[[bytes], Any]
    read: Callable[[Any], list[EventValues]]
    profiles: tuple[Profile, ...] = ("2.0a", "2.0b")
    missing: str = ""  # why it cannot take part here


# --- oadr2 ---


def read_oadr2(message: Any) -> list[EventValues]:
    return [
        EventValues(
            event.event_id,
            event.modification_number,
            event.priority,
            event.market_context,
            event.created_date_time,
            event.event_status,
            event.is_test,
            event.dtstart,
            event.duration.timedelta,
            event.startafter.timedelta,
            event.notification.timedelta,
            signal.signal_name,
            signal.signal_type,
            signal.signal_id,
            signal.current_value,
            tuple(
                IntervalValues(int(interval.uid), interval.duration.timedelta, interval.value)
                for interval in signal.intervals
            ),
            event.targets.ven_ids,
            event.response_required,
        )
        for event in message.events
        for signal in event.signals
    ]


# --- lxml, with ElementTree's paths spelt out once, as its own documentation advises ---

EI, EMIX, XCAL, STRM = (f"{{{NAMESPACES[prefix]}}}" for prefix in ("ei", "emix", "xcal", "strm"))
OADR_EVENT = "{*}oadrEvent"
RESPONSE_REQUIRED = "{*}oadrResponseRequired"
EVENT = f"{EI}eiEvent"
DESCRIPTOR = f"{EI}eventDescriptor"
EVENT_ID = f"{EI}eventID"
MODIFICATION_NUMBER = f"{EI}modificationNumber"
PRIORITY = f"{EI}priority"
CREATED = f"{EI}createdDateTime"
TEST_EVENT = f"{EI}testEvent"
CONTEXT = f"{EI}eiMarketContext/{EMIX}marketContext"
STATUS = f"{EI}eventStatus"
PROPERTIES = f"{EI}eiActivePeriod/{XCAL}properties"
DTSTART = f"{XCAL}dtstart/{XCAL}date-time"
DURATION = f"{XCAL}duration/{XCAL}duration"
STARTAFTER = f"{XCAL}tolerance/{XCAL}tolerate/{XCAL}startafter"
NOTIFICATION = f"{EI}x-eiNotification/{XCAL}duration"
VEN_ID = f"{EI}eiTarget/{EI}venID"
SIGNAL = f"{EI}eiEventSignals/{EI}eiEventSignal"
SIGNAL_NAME = f"{EI}signalName"
SIGNAL_TYPE = f"{EI}signalType"
SIGNAL_ID = f"{EI}signalID"
CURRENT_VALUE = f"{EI}currentValue/{EI}payloadFloat/{EI}value"
INTERVALS = f"{STRM}intervals"
UID = f"{XCAL}uid/{XCAL}text"
VALUE = f"{EI}signalPayload/{EI}payloadFloat/{EI}value"


def duration(text: str) -> timedelta:
    """The two forms the benchmark's documents use, PTnH and PTnM: kinder than a real parser."""
    number = int(text[2:-1])
    return timedelta(hours=number) if text[-1] == "H" else timedelta(minutes=number)


def read_lxml(root: Any) -> list[EventValues]:
    events = []
    for wrapper in root.iter(OADR_EVENT):
        event = wrapper.find(EVENT)
        descriptor = event.find(DESCRIPTOR)
        properties = event.find(PROPERTIES)
        signal = event.find(SIGNAL)
        events.append(
            EventValues(
                descriptor.findtext(EVENT_ID),
                int(descriptor.findtext(MODIFICATION_NUMBER)),
                int(descriptor.findtext(PRIORITY)),
                descriptor.findtext(CONTEXT),
                datetime.fromisoformat(descriptor.findtext(CREATED)),
                descriptor.findtext(STATUS),
                descriptor.findtext(TEST_EVENT) != "false",
                datetime.fromisoformat(properties.findtext(DTSTART)),
                duration(properties.findtext(DURATION)),
                duration(properties.findtext(STARTAFTER)),
                duration(properties.findtext(NOTIFICATION)),
                signal.findtext(SIGNAL_NAME),
                signal.findtext(SIGNAL_TYPE),
                signal.findtext(SIGNAL_ID),
                float(signal.findtext(CURRENT_VALUE)),
                tuple(
                    IntervalValues(
                        int(interval.findtext(UID)),
                        duration(interval.findtext(DURATION)),
                        float(interval.findtext(VALUE)),
                    )
                    for interval in signal.find(INTERVALS)
                ),
                tuple(ven_id.text for ven_id in event.iterfind(VEN_ID)),
                wrapper.findtext(RESPONSE_REQUIRED),
            )
        )
    return events


# --- lxml with the profile's own schemas, which are not part of this project ---

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = Path(os.environ.get("OADR2_SHARED") or ROOT.parent / "shared") / "openadr" / "schemas"


@cache
def schema(profile: Profile) -> etree.XMLSchema:
    return etree.XMLSchema(file=str(SCHEMAS / profile / f"oadr_{profile.replace('.', '')}.xsd"))


def parse_and_validate(data: bytes) -> Any:
    root = etree.fromstring(data)
    profile: Profile = "2.0a" if root.tag.startswith(f"{{{NAMESPACES['oadr-2.0a']}}}") else "2.0b"
    schema(profile).assertValid(root)
    return root


# --- pugixml through its binding: it knows no namespaces, so the prefixes must be guessed right ---


def parse_pugixml(data: bytes) -> pugi.XMLDocument:
    document = pugi.XMLDocument()
    if not document.load_buffer(data, len(data)):
        raise ValueError("pugixml refuses the benchmark's own document")
    return document


def read_pugixml(document: pugi.XMLDocument) -> list[EventValues]:
    message = document.document_element()
    if message.name() == "oadr:oadrPayload":
        message = message.child("oadr:oadrSignedObject").child("oadr:oadrDistributeEvent")
    events = []
    for wrapper in message.children("oadr:oadrEvent"):
        event = wrapper.child("ei:eiEvent")
        descriptor = event.child("ei:eventDescriptor")
        properties = event.child("ei:eiActivePeriod").child("xcal:properties")
        tolerate = properties.child("xcal:tolerance").child("xcal:tolerate")
        signal = event.child("ei:eiEventSignals").child("ei:eiEventSignal")
        events.append(
            EventValues(
                descriptor.child_value("ei:eventID"),
                int(descriptor.child_value("ei:modificationNumber")),
                int(descriptor.child_value("ei:priority")),
                descriptor.child("ei:eiMarketContext").child_value("emix:marketContext"),
                datetime.fromisoformat(descriptor.child_value("ei:createdDateTime")),
                descriptor.child_value("ei:eventStatus"),
                descriptor.child_value("ei:testEvent") != "false",
                datetime.fromisoformat(
                    properties.child("xcal:dtstart").child_value("xcal:date-time")
                ),
                duration(properties.child("xcal:duration").child_value("xcal:duration")),
                duration(tolerate.child_value("xcal:startafter")),
                duration(properties.child("ei:x-eiNotification").child_value("xcal:duration")),
                signal.child_value("ei:signalName"),
                signal.child_value("ei:signalType"),
                signal.child_value("ei:signalID"),
                float(
                    signal.child("ei:currentValue").child("ei:payloadFloat").child_value("ei:value")
                ),
                tuple(
                    IntervalValues(
                        int(interval.child("xcal:uid").child_value("xcal:text")),
                        duration(interval.child("xcal:duration").child_value("xcal:duration")),
                        float(
                            interval.child("ei:signalPayload")
                            .child("ei:payloadFloat")
                            .child_value("ei:value")
                        ),
                    )
                    for interval in signal.child("strm:intervals").children("ei:interval")
                ),
                tuple(
                    ven_id.child_value()
                    for ven_id in event.child("ei:eiTarget").children("ei:venID")
                ),
                wrapper.child_value("oadr:oadrResponseRequired"),
            )
        )
    return events


# --- openleadr: its parse gives dictionaries of Python values; 2.0b inside oadrPayload only ---


def read_openleadr(parsed: Any) -> list[EventValues]:
    _, message = parsed
    events = []
    for event in message["events"]:
        descriptor, period = event["event_descriptor"], event["active_period"]
        signal = event["event_signals"][0]
        events.append(
            EventValues(
                descriptor["event_id"],
                descriptor["modification_number"],
                descriptor["priority"],
                descriptor["market_context"],
                descriptor["created_date_time"],
                descriptor["event_status"],
                descriptor["test_event"],
                period["dtstart"],
                period["duration"],
                period["tolerance"]["tolerate"]["startafter"],
                period["notification"],
                signal["signal_name"],
                signal["signal_type"],
                signal["signal_id"],
                signal["current_value"],
                tuple(
                    IntervalValues(i["uid"], i["duration"], i["signal_payload"])
                    for i in signal["intervals"]
                ),
                tuple(event["targets_by_type"]["ven_id"]),
                event["response_required"],
            )
        )
    return events


OADR2 = f"oadr2 {oadr2.__version__}"
LXML = f"lxml {version('lxml')}"
LXML_XSD = f"{LXML} + XSD"
PUGIXML = f"pugixml {version('pugixml')}"
OPENLEADR = f"openleadr {version('openleadr')}"

CONTENDERS = [
    Contender(OADR2, oadr2.decode, read_oadr2),
    Contender(LXML, etree.fromstring, read_lxml),
    Contender(
        LXML_XSD,
        parse_and_validate,
        read_lxml,
        missing="" if SCHEMAS.is_dir() else f"there are no OpenADR schemas in {SCHEMAS}",
    ),
    Contender(PUGIXML, parse_pugixml, read_pugixml),
    Contender(OPENLEADR, openleadr_messaging.parse_message, read_openleadr, ("2.0b",)),
]
