"""Events written like the one before are read by comparison; the result must not show it.

What an event gives after others like it, it must give as the first of its list: there it is read the
long way.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from oadr2 import model
from oadr2._core.objects import decode
from oadr2.errors import RemoteProtocolError
from oadr2.policy import Limits, VtnPolicy

HEAD = b"""<oadr:oadrDistributeEvent xmlns:oadr="http://openadr.org/oadr-2.0b/2012/07"
  xmlns:ei="http://docs.oasis-open.org/ns/energyinterop/201110"
  xmlns:pyld="http://docs.oasis-open.org/ns/energyinterop/201110/payloads"
  xmlns:emix="http://docs.oasis-open.org/ns/emix/2011/06"
  xmlns:power="http://docs.oasis-open.org/ns/emix/2011/06/power"
  xmlns:scale="http://docs.oasis-open.org/ns/emix/2011/06/siscale"
  xmlns:xcal="urn:ietf:params:xml:ns:icalendar-2.0"
  xmlns:strm="urn:ietf:params:xml:ns:icalendar-2.0:stream">
  <pyld:requestID>r</pyld:requestID>
  <ei:vtnID>vtn</ei:vtnID>"""
TAIL = b"""
</oadr:oadrDistributeEvent>"""
EVENT = b"""
  <oadr:oadrEvent>
    <ei:eiEvent>
      <ei:eventDescriptor>
        <ei:eventID>%(id)s</ei:eventID>
        <ei:modificationNumber>%(number)d</ei:modificationNumber>
        <ei:eiMarketContext><emix:marketContext>http://m</emix:marketContext></ei:eiMarketContext>
        <ei:createdDateTime>2030-01-01T00:00:00Z</ei:createdDateTime>
        <ei:eventStatus>far</ei:eventStatus>
      </ei:eventDescriptor>
      <ei:eiActivePeriod>
        <xcal:properties>
          <xcal:dtstart><xcal:date-time>2030-01-%(day)02dT00:00:00Z</xcal:date-time></xcal:dtstart>
          <xcal:duration><xcal:duration>PT2H</xcal:duration></xcal:duration>
          <ei:x-eiNotification><xcal:duration>PT0S</xcal:duration></ei:x-eiNotification>
        </xcal:properties>
        <xcal:components/>
      </ei:eiActivePeriod>
      <ei:eiEventSignals>
        <ei:eiEventSignal>
          <strm:intervals>
            <ei:interval>
              <xcal:duration><xcal:duration>PT1H</xcal:duration></xcal:duration>
              <xcal:uid><xcal:text>0</xcal:text></xcal:uid>
              <ei:signalPayload><ei:payloadFloat><ei:value>1.5</ei:value></ei:payloadFloat></ei:signalPayload>
            </ei:interval>
            <ei:interval>
              <xcal:duration><xcal:duration>PT1H</xcal:duration></xcal:duration>
              <xcal:uid><xcal:text>1</xcal:text></xcal:uid>
              <ei:signalPayload><ei:payloadFloat><ei:value>%(number)d</ei:value></ei:payloadFloat></ei:signalPayload>
            </ei:interval>
          </strm:intervals>
          <ei:eiTarget><ei:resourceID>r-%(id)s</ei:resourceID></ei:eiTarget>
          <ei:signalName>ELECTRICITY_PRICE</ei:signalName>
          <ei:signalType>price</ei:signalType>
          <ei:signalID>s</ei:signalID>
          <power:voltage>
            <power:itemDescription>Voltage</power:itemDescription>
            <power:itemUnits>V</power:itemUnits>
            <scale:siScaleCode>k</scale:siScaleCode>
          </power:voltage>
          <ei:currentValue><ei:payloadFloat><ei:value>0</ei:value></ei:payloadFloat></ei:currentValue>
        </ei:eiEventSignal>
        <ei:eiEventBaseline>
          <xcal:dtstart><xcal:date-time>2030-01-01T00:00:00Z</xcal:date-time></xcal:dtstart>
          <xcal:duration><xcal:duration>PT1H</xcal:duration></xcal:duration>
          <strm:intervals>
            <ei:interval>
              <xcal:duration><xcal:duration>PT1H</xcal:duration></xcal:duration>
              <xcal:uid><xcal:text>0</xcal:text></xcal:uid>
              <ei:signalPayload><ei:payloadFloat><ei:value>2</ei:value></ei:payloadFloat></ei:signalPayload>
            </ei:interval>
          </strm:intervals>
          <ei:baselineID>b</ei:baselineID>
          <ei:resourceID>b-%(id)s</ei:resourceID>
          <ei:baselineName>%(id)s</ei:baselineName>
        </ei:eiEventBaseline>
      </ei:eiEventSignals>
      <ei:eiTarget>
        <ei:venID>%(id)s</ei:venID>
        <power:transportInterface>
          <power:pointOfReceipt>%(id)s</power:pointOfReceipt>
          <power:pointOfDelivery>d</power:pointOfDelivery>
        </power:transportInterface>
      </ei:eiTarget>
    </ei:eiEvent>
    <oadr:oadrResponseRequired>always</oadr:oadrResponseRequired>
  </oadr:oadrEvent>"""


def event(number: int) -> bytes:
    return EVENT % {b"id": b"e%d" % number, b"number": number, b"day": number % 28 + 1}


BEFORE = b"".join(map(event, range(4)))  # the second is written down, the third and fourth compared


def outcome(before: bytes, after: bytes) -> object:
    """What decoding gives for the events from ``after`` on, their places counted from there."""
    data = HEAD + before + after + TAIL
    skipped = before.count(b"<oadr:oadrEvent>")
    try:
        message = decode(data)
    except RemoteProtocolError as error:
        offset = error.offset
        if offset is not None and offset >= len(HEAD) + len(before):
            offset -= len(before)
        return error.reason, offset, error.path
    assert isinstance(message, model.DistributeEvent)
    found = []
    for index, one in enumerate(message.events[skipped:]):
        problems = tuple(
            (
                p.reason,
                p.path.replace(f"[{index + skipped + 1}]", f"[{index + 1}]"),
                p.offset - len(before),
                p.fatal,
            )
            for p in one.problems
        )
        found.append((replace(one, problems=()), problems))
    return found


@pytest.mark.parametrize("count", [2, 3, 4, 10])
def test_each_event_keeps_its_own_values(count: int) -> None:
    message = decode(HEAD + b"".join(map(event, range(count))) + TAIL)
    alone = [decode(HEAD + event(i) + TAIL).events[0] for i in range(count)]
    assert list(message.events) == alone
    assert [one.event_id for one in message.events] == [f"e{i}" for i in range(count)]
    assert message.events[-1].signals[0].unit.name == "voltage"


CHANGES = [
    (b"far", b"cancelled"),
    (b"far", b"fat"),
    (b"PT2H", b"P2M"),
    (
        b"T00:00:00Z</xcal:date-time></xcal:dtstart>\n          <xcal:duration><xcal:duration>PT2H",
        b"x",
    ),
    (b">e9<", b"><"),
    (b">e9<", b">\xc3\xa4 &amp; b<"),
    (b">e9<", b"><!-- c -->e9<"),
    (b">PT2H<", b"> PT2H\n<"),
    (b">always<", b">sometimes<"),
    (b"    <oadr:oadrResponseRequired>always</oadr:oadrResponseRequired>\n", b""),
    (b"<xcal:components/>", b"<xcal:components>\n        </xcal:components>"),
    (b"<xcal:components/>", b"<xcal:component/>"),
    (b"<xcal:components/>", b"<xcal:components>"),
    (b"</ei:eiEvent>", b"</ei:eiEvend>"),
    (b"</oadr:oadrEvent>", b"</oadr:oadrEvent >"),
    (b"</oadr:oadrEvent>", b""),
    (b"<ei:eventStatus>", b"<ei:priority>1</ei:priority><ei:eventStatus>"),
    (b"<ei:eventStatus>", b"<ei:eventID>twice</ei:eventID><ei:eventStatus>"),
    (b"<ei:venID>", b"<ei:venID>another</ei:venID><ei:venID>"),
    (b"power:voltage>", b"power:powerReal>"),
    (b"<oadr:oadrEvent>", b'<oadr:oadrEvent xmlns:ei="urn:other">'),
    (b"<oadr:oadrEvent>", b'<oadr:oadrEvent ei:schemaVersion="2.0b">'),
    (b"\n  <oadr:oadrEvent>", b"\n  <!-- an event --> <oadr:oadrEvent>"),
    (b"\n  <oadr:oadrEvent>", b"\n  ]]><oadr:oadrEvent>"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_a_different_event_is_read_as_if_it_came_first(old: bytes, new: bytes) -> None:
    after = event(9).replace(old, new) + event(10) + event(11) + event(12)
    assert outcome(BEFORE, after) == outcome(b"", after)


def test_every_cut_and_every_changed_byte_is_told_alike() -> None:
    whole = event(9)
    draw = random.Random(3)
    for _ in range(1500):
        at = draw.randrange(len(whole))
        size = draw.choice((0, 1, 1, 2, 8, 40))
        new = bytes(draw.choice(b"<>/&]\"' \n\r\x00\xff0aZ-:.") for _ in range(draw.randrange(3)))
        after = whole[:at] + new + whole[at + size :] + event(10)
        assert outcome(BEFORE, after) == outcome(b"", after), after
    for at in range(0, len(whole), 7):
        after = whole[:at]
        assert outcome(BEFORE, after) == outcome(b"", after)


def test_a_list_whose_events_all_differ_is_read_whole() -> None:
    shapes = [
        event(i).replace(b"<xcal:components/>", b"<xcal:components/>" + b" " * i) for i in range(30)
    ]
    message = decode(HEAD + b"".join(shapes) + TAIL)
    assert [one.event_id for one in message.events] == [f"e{i}" for i in range(30)]


@pytest.mark.parametrize("limit", range(1, 45))
def test_limits_hold_at_the_same_place(limit: int) -> None:
    events = [event(i) for i in range(6)]
    alike = HEAD + b"".join(events) + TAIL
    # one more blank each: none is like the one before
    spaced = [
        e.replace(b"<oadr:oadrEvent>", b"<oadr:oadrEvent>" + b" " * i) for i, e in enumerate(events)
    ]
    told = []
    for data in (alike, HEAD + b"".join(spaced) + TAIL):
        for limits in (Limits(items=limit), Limits(events=limit % 8 + 1)):
            try:
                told.append(len(decode(data, policy=VtnPolicy(limits=limits)).events))
            except RemoteProtocolError as error:
                place = data[: error.offset].replace(b"<oadr:oadrEvent> ", b"<oadr:oadrEvent>")
                told.append(
                    (error.reason, error.path, place.split(b"<oadr:oadrEvent>")[-1].lstrip())
                )
    assert told[:2] == told[2:]
