"""Ways to read an oadrDistributeEvent: ours and others', each giving the same values.

A contender's ``parse`` is what its library does on its own; ``read`` takes from that, as a program
would, the values that payloads.EventValues lists. lxml and pugixml give text, so their ``read`` makes
numbers and date-times of it here, with the quickest means the standard library has.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.metadata import version
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


# --- oadr2 ---


def read_oadr2(message: Any) -> list[EventValues]:
    return [
        EventValues(
            event.event_id,
            event.modification_number,
            event.market_context,
            event.event_status,
            event.dtstart,
            event.duration.timedelta,
            event.signals[0].signal_name,
            tuple(
                IntervalValues(int(interval.uid), interval.duration.timedelta, interval.value)
                for interval in event.signals[0].intervals
            ),
        )
        for event in message.events
    ]


# --- lxml, with ElementTree's paths spelt out once, as its own documentation advises ---

EI, EMIX, XCAL, STRM = (f"{{{NAMESPACES[prefix]}}}" for prefix in ("ei", "emix", "xcal", "strm"))
EVENT = f"{EI}eiEvent"
DESCRIPTOR = f"{EI}eventDescriptor"
EVENT_ID = f"{EI}eventID"
MODIFICATION_NUMBER = f"{EI}modificationNumber"
CONTEXT = f"{EI}eiMarketContext/{EMIX}marketContext"
STATUS = f"{EI}eventStatus"
PROPERTIES = f"{EI}eiActivePeriod/{XCAL}properties"
DTSTART = f"{XCAL}dtstart/{XCAL}date-time"
DURATION = f"{XCAL}duration/{XCAL}duration"
SIGNAL = f"{EI}eiEventSignals/{EI}eiEventSignal"
SIGNAL_NAME = f"{EI}signalName"
INTERVALS = f"{STRM}intervals"
UID = f"{XCAL}uid/{XCAL}text"
VALUE = f"{EI}signalPayload/{EI}payloadFloat/{EI}value"


def hours(text: str) -> timedelta:
    """The one form of duration the benchmark's documents use, PTnH: kinder than a real parser."""
    return timedelta(hours=int(text[2:-1]))


def read_lxml(root: Any) -> list[EventValues]:
    events = []
    for event in root.iter(EVENT):
        descriptor = event.find(DESCRIPTOR)
        properties = event.find(PROPERTIES)
        signal = event.find(SIGNAL)
        events.append(
            EventValues(
                descriptor.findtext(EVENT_ID),
                int(descriptor.findtext(MODIFICATION_NUMBER)),
                descriptor.findtext(CONTEXT),
                descriptor.findtext(STATUS),
                datetime.fromisoformat(properties.findtext(DTSTART)),
                hours(properties.findtext(DURATION)),
                signal.findtext(SIGNAL_NAME),
                tuple(
                    IntervalValues(
                        int(interval.findtext(UID)),
                        hours(interval.findtext(DURATION)),
                        float(interval.findtext(VALUE)),
                    )
                    for interval in signal.find(INTERVALS)
                ),
            )
        )
    return events


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
        signal = event.child("ei:eiEventSignals").child("ei:eiEventSignal")
        events.append(
            EventValues(
                descriptor.child_value("ei:eventID"),
                int(descriptor.child_value("ei:modificationNumber")),
                descriptor.child("ei:eiMarketContext").child_value("emix:marketContext"),
                descriptor.child_value("ei:eventStatus"),
                datetime.fromisoformat(
                    properties.child("xcal:dtstart").child_value("xcal:date-time")
                ),
                hours(properties.child("xcal:duration").child_value("xcal:duration")),
                signal.child_value("ei:signalName"),
                tuple(
                    IntervalValues(
                        int(interval.child("xcal:uid").child_value("xcal:text")),
                        hours(interval.child("xcal:duration").child_value("xcal:duration")),
                        float(
                            interval.child("ei:signalPayload")
                            .child("ei:payloadFloat")
                            .child_value("ei:value")
                        ),
                    )
                    for interval in signal.child("strm:intervals").children("ei:interval")
                ),
            )
        )
    return events


# --- openleadr: its parse gives dictionaries of Python values; 2.0b inside oadrPayload only ---


def read_openleadr(parsed: Any) -> list[EventValues]:
    _, message = parsed
    return [
        EventValues(
            event["event_descriptor"]["event_id"],
            event["event_descriptor"]["modification_number"],
            event["event_descriptor"]["market_context"],
            event["event_descriptor"]["event_status"],
            event["active_period"]["dtstart"],
            event["active_period"]["duration"],
            event["event_signals"][0]["signal_name"],
            tuple(
                IntervalValues(interval["uid"], interval["duration"], interval["signal_payload"])
                for interval in event["event_signals"][0]["intervals"]
            ),
        )
        for event in message["events"]
    ]


OADR2 = f"oadr2 {oadr2.__version__}"
LXML = f"lxml {version('lxml')}"
PUGIXML = f"pugixml {version('pugixml')}"
OPENLEADR = f"openleadr {version('openleadr')}"

CONTENDERS = [
    Contender(OADR2, oadr2.decode, read_oadr2),
    Contender(LXML, etree.fromstring, read_lxml),
    Contender(PUGIXML, parse_pugixml, read_pugixml),
    Contender(OPENLEADR, openleadr_messaging.parse_message, read_openleadr, ("2.0b",)),
]
