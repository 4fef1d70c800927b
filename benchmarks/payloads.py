"""The documents that every contender reads, made here so that each can be told from the next.

``distribute_event(profile, events, intervals)`` is an oadrDistributeEvent as VTNs send it: prefixed,
indented, one SIMPLE signal per event, hour-long intervals. The smallest, one event of 3 intervals in
2.0a, is about 3.8 kB. 2.0b documents are wrapped in oadrPayload, the only form openleadr reads.
Styles other than "regular" are there because oadr2 reads an interval that is written like one of
the last two by comparison: "irregular" intervals differ in durations and values, "mixed" ones are
besides written on one line and on nine in turn, so that none is like the one before, and those "in
three ways" have a blank in three different tags by turns, so that none is like either of the last two.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

Profile: TypeAlias = Literal["2.0a", "2.0b"]
Style: TypeAlias = Literal["regular", "irregular", "mixed", "in three ways"]

START = datetime(2026, 6, 1, 14, 0, 0, tzinfo=UTC)
CREATED = datetime(2026, 5, 30, 9, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
VTN_ID = "vtn-benchmark"
VEN_ID = "ven-benchmark"
MARKET_CONTEXT = "http://markets.example.com/peak-demand"
NAMESPACES = {
    "oadr-2.0a": "http://openadr.org/oadr-2.0a/2012/07",
    "oadr-2.0b": "http://openadr.org/oadr-2.0b/2012/07",
    "pyld": "http://docs.oasis-open.org/ns/energyinterop/201110/payloads",
    "ei": "http://docs.oasis-open.org/ns/energyinterop/201110",
    "emix": "http://docs.oasis-open.org/ns/emix/2011/06",
    "xcal": "urn:ietf:params:xml:ns:icalendar-2.0",
    "strm": "urn:ietf:params:xml:ns:icalendar-2.0:stream",
}


class IntervalValues(NamedTuple):
    uid: int
    duration: timedelta
    value: float


class EventValues(NamedTuple):
    """Every value that stands in an event of these documents; each contender must give exactly these."""

    event_id: str
    modification_number: int
    priority: int
    market_context: str
    created_date_time: datetime
    event_status: str
    test_event: bool
    dtstart: datetime
    duration: timedelta
    startafter: timedelta
    notification: timedelta
    signal_name: str
    signal_type: str
    signal_id: str
    current_value: float
    intervals: tuple[IntervalValues, ...]
    ven_ids: tuple[str, ...]
    response_required: str


def irregular_intervals(count: int) -> tuple[IntervalValues, ...]:
    return tuple(
        IntervalValues(
            uid,
            timedelta(minutes=(5, 60, 15, 600, 30)[uid % 5]),
            (0.25, 1.0, 12.5, 130.75, 2.0, 0.125, 1000.5)[uid % 7],
        )
        for uid in range(count)
    )


def regular_intervals(count: int) -> tuple[IntervalValues, ...]:
    return tuple(IntervalValues(uid, HOUR, float(uid % 3 + 1)) for uid in range(count))


def duration_text(duration: timedelta) -> str:
    minutes = duration // timedelta(minutes=1)
    return f"PT{minutes}M" if minutes % 60 else f"PT{minutes // 60}H"


def expected(events: int, intervals: int, style: Style = "regular") -> list[EventValues]:
    made = regular_intervals(intervals) if style == "regular" else irregular_intervals(intervals)
    return [
        EventValues(
            event_id=f"event-{number:05}",
            modification_number=number % 4,
            priority=1,
            market_context=MARKET_CONTEXT,
            created_date_time=CREATED,
            event_status="far",
            test_event=False,
            dtstart=START + number * timedelta(days=1),
            duration=sum((interval.duration for interval in made), timedelta()),
            startafter=timedelta(minutes=5),
            notification=timedelta(hours=4),
            signal_name="SIMPLE",
            signal_type="level",
            signal_id="signal-1",
            current_value=0.0,
            intervals=made,
            ven_ids=(VEN_ID,),
            response_required="always",
        )
        for number in range(events)
    ]


def time_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def interval_text(interval: IntervalValues, *, on_one_line: bool = False) -> str:
    text = f"""
            <ei:interval>
              <xcal:duration>
                <xcal:duration>{duration_text(interval.duration)}</xcal:duration>
              </xcal:duration>
              <xcal:uid>
                <xcal:text>{interval.uid}</xcal:text>
              </xcal:uid>
              <ei:signalPayload>
                <ei:payloadFloat>
                  <ei:value>{interval.value}</ei:value>
                </ei:payloadFloat>
              </ei:signalPayload>
            </ei:interval>"""
    return "".join(map(str.strip, text.splitlines())) if on_one_line else text


def intervals_text(intervals: tuple[IntervalValues, ...], style: Style) -> str:
    texts = [
        interval_text(interval, on_one_line=style == "mixed" and interval.uid % 2 == 1)
        for interval in intervals
    ]
    if style == "in three ways":
        for first, tag in enumerate(("</xcal:text", "</xcal:uid", "</ei:value")):
            texts[first::3] = [text.replace(f"{tag}>", f"{tag} >", 1) for text in texts[first::3]]
    return "".join(texts)


def event_text(event: EventValues, style: Style) -> str:
    return f"""
    <oadr:oadrEvent>
    <ei:eiEvent>
      <ei:eventDescriptor>
        <ei:eventID>{event.event_id}</ei:eventID>
        <ei:modificationNumber>{event.modification_number}</ei:modificationNumber>
        <ei:priority>1</ei:priority>
        <ei:eiMarketContext>
          <emix:marketContext>{event.market_context}</emix:marketContext>
        </ei:eiMarketContext>
        <ei:createdDateTime>{time_text(event.created_date_time)}</ei:createdDateTime>
        <ei:eventStatus>{event.event_status}</ei:eventStatus>
        <ei:testEvent>false</ei:testEvent>
      </ei:eventDescriptor>
      <ei:eiActivePeriod>
        <xcal:properties>
          <xcal:dtstart>
            <xcal:date-time>{time_text(event.dtstart)}</xcal:date-time>
          </xcal:dtstart>
          <xcal:duration>
            <xcal:duration>{duration_text(event.duration)}</xcal:duration>
          </xcal:duration>
          <xcal:tolerance>
            <xcal:tolerate>
              <xcal:startafter>PT5M</xcal:startafter>
            </xcal:tolerate>
          </xcal:tolerance>
          <ei:x-eiNotification>
            <xcal:duration>PT4H</xcal:duration>
          </ei:x-eiNotification>
        </xcal:properties>
        <xcal:components/>
      </ei:eiActivePeriod>
      <ei:eiEventSignals>
        <ei:eiEventSignal>
          <strm:intervals>{intervals_text(event.intervals, style)}
          </strm:intervals>
          <ei:signalName>{event.signal_name}</ei:signalName>
          <ei:signalType>level</ei:signalType>
          <ei:signalID>signal-1</ei:signalID>
          <ei:currentValue>
            <ei:payloadFloat>
              <ei:value>0.0</ei:value>
            </ei:payloadFloat>
          </ei:currentValue>
        </ei:eiEventSignal>
      </ei:eiEventSignals>
      <ei:eiTarget>
        <ei:venID>{VEN_ID}</ei:venID>
      </ei:eiTarget>
    </ei:eiEvent>
    <oadr:oadrResponseRequired>always</oadr:oadrResponseRequired>
    </oadr:oadrEvent>"""


def distribute_event(
    profile: Profile, events: int, intervals: int, style: Style = "regular"
) -> bytes:
    declarations = " ".join(
        [
            f'xmlns:oadr="{NAMESPACES[f"oadr-{profile}"]}"',
            *(f'xmlns:{p}="{uri}"' for p, uri in NAMESPACES.items() if "-" not in p),
        ]
    )
    made = "".join(event_text(event, style) for event in expected(events, intervals, style))
    message = f"""<oadr:oadrDistributeEvent {declarations}>
    <ei:eiResponse>
      <ei:responseCode>200</ei:responseCode>
      <pyld:requestID/>
    </ei:eiResponse>
    <pyld:requestID>request-1</pyld:requestID>
    <ei:vtnID>{VTN_ID}</ei:vtnID>{made}
  </oadr:oadrDistributeEvent>"""
    if profile == "2.0b":
        oadr = NAMESPACES["oadr-2.0b"]
        message = (
            f'<oadr:oadrPayload xmlns:oadr="{oadr}"><oadr:oadrSignedObject>{message}'
            "</oadr:oadrSignedObject></oadr:oadrPayload>"
        )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{message}\n'.encode()


class Document(NamedTuple):
    """One document under a name for people."""

    name: str
    profile: Profile
    events: int
    intervals: int
    style: Style = "regular"

    @property
    def data(self) -> bytes:
        return distribute_event(self.profile, self.events, self.intervals, self.style)

    @property
    def values(self) -> list[EventValues]:
        return expected(self.events, self.intervals, self.style)

    @property
    def title(self) -> str:
        return f"{self.profile}, {self.name}, {len(self.data) / 1000:.1f} kB"


DOCUMENTS = [
    Document("1 event", "2.0a", 1, 3),
    Document("10 events", "2.0a", 10, 3),
    Document("100 events", "2.0a", 100, 3),
    Document("1 event of 1 interval", "2.0a", 1, 1),
    Document("1 event of 96 intervals", "2.0a", 1, 96),
    Document("1 event of 96 irregular intervals", "2.0a", 1, 96, "irregular"),
    Document("1 event of 96 intervals in mixed layout", "2.0a", 1, 96, "mixed"),
    Document("1 event of 96 intervals in three ways", "2.0a", 1, 96, "in three ways"),
    Document("1 event", "2.0b", 1, 3),
    Document("10 events", "2.0b", 10, 3),
    Document("100 events", "2.0b", 100, 3),
    Document("1 event of 96 intervals", "2.0b", 1, 96),
]
