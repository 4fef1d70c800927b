"""One plain event, and messages that carry it, for tests that change a single thing about them."""

from __future__ import annotations

from datetime import UTC, datetime

from oadr2 import model
from oadr2.schedule import Duration

HOUR = Duration(microseconds=3_600_000_000)
START = datetime(2024, 5, 1, 12, tzinfo=UTC)
AREA = (
    b'<gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml/3.2"><gml:location>'
    b"<gml:Polygon><gml:exterior><gml:LinearRing><gml:posList>47 8 48 9</gml:posList>"
    b"</gml:LinearRing></gml:exterior></gml:Polygon></gml:location></gml:FeatureCollection>"
)


def plain_event(**changes) -> model.Event:
    """An event that both profiles can carry."""
    interval = model.Interval("0", HOUR, 2.0)
    fields = {
        "event_id": "e1",
        "modification_number": 0,
        "market_context": "http://market.example",
        "created_date_time": START,
        "event_status": "far",
        "dtstart": START,
        "duration": HOUR,
        "signals": (model.Signal("SIMPLE", "level", "s1", (interval,), 0.0),),
        "notification": Duration(),
    }
    return model.Event(**fields | changes)


def one_event(profile="2.0b", **changes) -> model.DistributeEvent:
    return model.DistributeEvent("vtn", "r1", (plain_event(**changes),), profile=profile)
