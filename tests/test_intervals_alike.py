"""Intervals written like the one before are read by comparison; the result must not show it."""

from __future__ import annotations

import random

import pytest

from oadr2 import model
from oadr2._core.objects import decode
from oadr2.errors import RemoteProtocolError
from oadr2.policy import Limits, VtnPolicy

HEAD = b"""<oadr:oadrDistributeEvent xmlns:oadr="http://openadr.org/oadr-2.0a/2012/07"
  xmlns:ei="http://docs.oasis-open.org/ns/energyinterop/201110"
  xmlns:pyld="http://docs.oasis-open.org/ns/energyinterop/201110/payloads"
  xmlns:emix="http://docs.oasis-open.org/ns/emix/2011/06"
  xmlns:xcal="urn:ietf:params:xml:ns:icalendar-2.0"
  xmlns:strm="urn:ietf:params:xml:ns:icalendar-2.0:stream">
  <pyld:requestID>r</pyld:requestID>
  <ei:vtnID>vtn</ei:vtnID>
  <oadr:oadrEvent>
    <ei:eiEvent>
      <ei:eventDescriptor>
        <ei:eventID>e</ei:eventID>
        <ei:modificationNumber>0</ei:modificationNumber>
        <ei:eiMarketContext><emix:marketContext>http://m</emix:marketContext></ei:eiMarketContext>
        <ei:createdDateTime>2030-01-01T00:00:00Z</ei:createdDateTime>
        <ei:eventStatus>far</ei:eventStatus>
      </ei:eventDescriptor>
      <ei:eiActivePeriod>
        <xcal:properties>
          <xcal:dtstart><xcal:date-time>2030-01-01T00:00:00Z</xcal:date-time></xcal:dtstart>
          <xcal:duration><xcal:duration>PT4H</xcal:duration></xcal:duration>
          <ei:x-eiNotification><xcal:duration>PT0S</xcal:duration></ei:x-eiNotification>
        </xcal:properties>
        <xcal:components/>
      </ei:eiActivePeriod>
      <ei:eiEventSignals>
        <ei:eiEventSignal>
          <strm:intervals>"""
TAIL = b"""
          </strm:intervals>
          <ei:signalName>SIMPLE</ei:signalName>
          <ei:signalType>level</ei:signalType>
          <ei:signalID>s</ei:signalID>
          <ei:currentValue><ei:payloadFloat><ei:value>0</ei:value></ei:payloadFloat></ei:currentValue>
        </ei:eiEventSignal>
      </ei:eiEventSignals>
      <ei:eiTarget/>
    </ei:eiEvent>
    <oadr:oadrResponseRequired>always</oadr:oadrResponseRequired>
  </oadr:oadrEvent>
</oadr:oadrDistributeEvent>"""
INTERVAL = b"""
            <ei:interval>
              <xcal:duration><xcal:duration>%s</xcal:duration></xcal:duration>
              <xcal:uid><xcal:text>%s</xcal:text></xcal:uid>
              <ei:signalPayload><ei:payloadFloat><ei:value>%s</ei:value></ei:payloadFloat></ei:signalPayload>
            </ei:interval>"""
# Values that are plain, that need rewriting, that are remarked upon, and that are refused.
DURATIONS = [b"PT1H", b"PT15M", b" PT1H ", b"P5M", b"&#80;T1H", b"PT<!-- -->2H", b"", b"x", b"<a/>"]
UIDS = [b"0", b"17", b"caf\xc3\xa9", b"a&amp;b", b"]", b"\r\n3", b""]
VALUES = [b"1", b"2.5", b"-1e3", b" 3 ", b"NaN", b"", b"&#50;", b"1<!---->", b"<a/>"]


def document(intervals: list[bytes], apart: bool) -> bytes:
    """``apart``: a comment that differs in each interval keeps any two from looking alike."""
    parts = [
        text.replace(b"<ei:interval>", b"<ei:interval><!--%4d-->" % (number if apart else 0))
        for number, text in enumerate(intervals)
    ]
    return HEAD + b"".join(parts) + TAIL


def outcome(data: bytes) -> object:
    """What is read, but for the bytes kept and the places, which are the same in both spellings."""
    message = decode(data)
    assert isinstance(message, model.DistributeEvent)
    (event,) = message.events
    return event.signals, event.problems


@pytest.mark.parametrize("seed", range(60))
def test_alike_or_apart_is_the_same(seed: int) -> None:
    chance = random.Random(seed)
    often = 0.15 if seed % 2 else 0.6

    def pick(choices: list[bytes]) -> bytes:
        return chance.choice(choices) if chance.random() < often else choices[0]

    intervals = [INTERVAL % (pick(DURATIONS), pick(UIDS), pick(VALUES)) for _ in range(12)]
    for index in range(len(intervals)):
        if chance.random() < often / 3:  # another spelling in between
            change = chance.choice(
                [
                    (b"\n            ", b" "),
                    (b"<ei:value>", b"<ei:value >"),
                    (b"xcal:uid", b"xcal:no"),
                ]
            )
            intervals[index] = intervals[index].replace(*change)
    assert outcome(document(intervals, apart=False)) == outcome(document(intervals, apart=True))


SPELLINGS = [
    (b"", b""),
    (b"\n            ", b""),
    (b"\n", b"\r\n"),
    (b"<ei:value>", b"<ei:value\t>"),
    (b"<ei:signalPayload>", b"<xcal:dtstart><xcal:date-time>2030-01-01T00:00:00Z</xcal:date-time>"
     b"</xcal:dtstart><ei:signalPayload>"),
]  # fmt: skip


@pytest.mark.parametrize("ways", range(2, len(SPELLINGS) + 1))
@pytest.mark.parametrize("seed", range(10))
def test_written_in_several_ways_by_turns(ways: int, seed: int) -> None:
    chance = random.Random(seed)
    spellings = chance.sample(SPELLINGS, ways)
    intervals = []
    for number in range(24):
        duration, value = b"PT%dM" % (number + 1), b"%d.5" % number
        if seed % 2 and chance.random() < 0.1:  # one that leaves no mould behind
            duration, value = chance.choice(
                [(b"P5M", value), (b"<!-- -->PT1H", value), (duration, b"x")]
            )
        way = number % ways if seed % 3 else chance.randrange(ways)
        intervals.append((INTERVAL % (duration, b"%d" % number, value)).replace(*spellings[way]))
    if seed % 2:
        intervals[12:12] = [
            b"</strm:intervals></ei:eiEventSignal><ei:eiEventSignal><strm:intervals>"
        ]
    assert outcome(document(intervals, apart=False)) == outcome(document(intervals, apart=True))


@pytest.mark.parametrize("ways", [1, 2])
def test_prefix_bound_anew_is_not_alike(ways: int) -> None:
    plain = INTERVAL % (b"PT1H", b"0", b"1")
    if ways == 2:
        plain += plain.replace(b"\n", b"") + plain
    second = (
        b'</strm:intervals></ei:eiEventSignal><ei:eiEventSignal xmlns:xcal="urn:other">'
        b"<strm:intervals>" + plain
    )
    message = decode(HEAD + plain + second + TAIL)
    assert isinstance(message, model.DistributeEvent)
    (event,) = message.events
    first, other = event.signals
    assert first.intervals[0].uid == "0"
    assert other.intervals[0].uid is None
    assert other.intervals[0].duration is None


def test_more_items_than_the_limit() -> None:
    policy = VtnPolicy(limits=Limits(items=5))
    few = [INTERVAL % (b"PT1H", b"%d" % i, b"1") for i in range(4)]
    assert decode(document(few, apart=False), policy=policy)
    with pytest.raises(RemoteProtocolError) as alike:
        decode(document([*few, few[0]], apart=False), policy=policy)
    with pytest.raises(RemoteProtocolError) as apart:
        decode(document([*few, few[0]], apart=True), policy=policy)
    assert str(alike.value) == str(apart.value)
