"""Every value of a payload, taken out with lxml and plain Python: the oracle of decoding.

``extract(root)`` gives the message as nested dictionaries with the names of the model, or raises
Refused for a payload that must not be taken. It knows nothing of the compiled core.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from lxml import etree

EI = "{http://docs.oasis-open.org/ns/energyinterop/201110}"
PYLD = "{http://docs.oasis-open.org/ns/energyinterop/201110/payloads}"
EMIX = "{http://docs.oasis-open.org/ns/emix/2011/06}"
XCAL = "{urn:ietf:params:xml:ns:icalendar-2.0}"
STRM = "{urn:ietf:params:xml:ns:icalendar-2.0:stream}"
POWER = "{http://docs.oasis-open.org/ns/emix/2011/06/power}"
SCALE = "{http://docs.oasis-open.org/ns/emix/2011/06/siscale}"
GML = "{http://www.opengis.net/gml/3.2}"
DS = "{http://www.w3.org/2000/09/xmldsig#}"
PROFILES = {
    "{http://openadr.org/oadr-2.0a/2012/07}": "2.0a",
    "{http://openadr.org/oadr-2.0b/2012/07}": "2.0b",
}
BLANKS = " \t\r\n"
POWER_UNITS = (
    "powerReal powerApparent powerReactive energyReal energyApparent energyReactive voltage"
)
OADR_UNITS = (
    "current frequency Therm temperature pulseCount currency currencyPerKWh currencyPerKW "
    "currencyPerThm customUnit"
)


class Refused(Exception):
    """The payload as a whole must not be taken."""


def extract(root: Element) -> dict[str, Any]:
    messages = [root]
    if local(root) == "oadrPayload" and namespace(root) in PROFILES:
        signed = [child for child in root if local(child) == "oadrSignedObject" and ours(child)]
        if len(signed) > 1:
            raise Refused("two signed objects")
        messages = [child for each in signed for child in each if ours(child)]
    elif local(root) == "oadrSignedObject" and namespace(root) in PROFILES:
        messages = [child for child in root if ours(child)]
    known = [each for each in messages if ours(each) and reader_of(each) is not None]
    if len(known) > 1:
        raise Refused("two messages")
    if not known:
        return {"kind": "UnknownMessage"}
    oadr = namespace(known[0])
    (other,) = PROFILES.keys() - {oadr}
    if any(holds_namespace(child, other) for child in known[0]):
        raise NotImplementedError("two profiles in one message: no opinion")
    return {
        "kind": local(known[0]).removeprefix("oadr"),
        "profile": PROFILES[oadr],
        "signed": wrapped(root) and any(child.tag == DS + "Signature" for child in root),
        **reader_of(known[0])(known[0], oadr),
    }


def wrapped(root: Element) -> bool:
    return local(root) == "oadrPayload" and namespace(root) in PROFILES


def reader_of(message: Element) -> Any:
    """What takes this message out; None for one we know nothing of."""
    import lxml_services  # noqa: PLC0415 - it builds on this module

    known = dict(READERS)
    if PROFILES[namespace(message)] == "2.0b":
        known |= lxml_services.READERS
    return known.get(local(message))


# --- elements ------------------------------------------------------------------------------------


class Element(list["Element"]):
    """An element as a list of its child elements: lxml asked once for everything, for speed."""

    __slots__ = ("source", "tag", "text")

    def __init__(self, source: Any, tag: str, text: str | None, children: list[Element]) -> None:
        super().__init__(children)
        self.source = source
        self.tag = tag
        self.text = text


def local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def namespace(element: Element) -> str:
    """With its braces; "" for none."""
    uri, brace, _ = element.tag.rpartition("}")
    return uri + brace


def holds_namespace(element: Element, namespace: str) -> bool:
    return element.tag.startswith(namespace) or any(
        holds_namespace(child, namespace) for child in element
    )


def ours(element: Any) -> bool:
    return namespace(element) in PROFILES


def first(parent: Any, *path: str) -> Any:
    """Step by step the first child of that tag; None when there is none."""
    for tag in path:
        for child in parent:
            if child.tag == tag:
                parent = child
                break
        else:
            return None
    return parent


def every(parent: Any, tag: str) -> list[Any]:
    return [] if parent is None else [child for child in parent if child.tag == tag]


def text(parent: Any, *path: str) -> str | None:
    """The text at the end of the path; None when it is absent or holds elements."""
    found = None if parent is None else first(parent, *path)
    return None if found is None or len(found) else found.text or ""


def strict(parent: Any, *path: str, missing: bool = False) -> str | None:
    """The text of an element outside events: repeated, or with elements inside, it is refused."""
    for tag in path:
        found = every(parent, tag)
        if len(found) > 1:
            raise Refused(f"{tag} stands twice")
        if not found:
            if missing:
                return None
            raise Refused(f"{tag} is missing")
        parent = found[0]
    if len(parent):
        raise Refused(f"{path[-1]} holds elements")
    return parent.text or ""


def only(parent: Any, tag: str, missing: bool = False) -> Any:
    found = every(parent, tag)
    if len(found) > 1 or (not found and not missing):
        raise Refused(f"{len(found)} times {tag}")
    return found[0] if found else None


# --- values --------------------------------------------------------------------------------------


def whole(value: str | None) -> int | None:
    stripped = (value or "").strip(BLANKS)
    if not re.fullmatch(r"\+?[0-9]+", stripped) or int(stripped) > 0xFFFFFFFF:
        return None
    return int(stripped)


def real(value: str | None) -> float | None:
    stripped = (value or "").strip(BLANKS)
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", stripped):
        return None
    return float(stripped) if math.isfinite(float(stripped)) else None


def date_time(value: str | None) -> datetime | None:
    stripped = (value or "").strip(BLANKS)
    parts = re.fullmatch(
        r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?",
        stripped,
        re.ASCII,
    )
    if parts is None:
        return None
    year, month, day, hour, minute, second = map(int, parts.groups()[:6])
    micro = int((parts[7] or "0")[:6].ljust(6, "0"))
    midnight = hour == 24
    if midnight and (minute or second or int(parts[7] or "0")):
        return None
    zone = parts[8] or "Z"
    shift = timedelta()
    if zone != "Z":
        hours, minutes = int(zone[1:3]), int(zone[4:6])
        if minutes > 59 or hours * 60 + minutes > 14 * 60:
            return None
        shift = timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
    try:
        made = datetime(year, month, day, 0 if midnight else hour, minute, second, micro, UTC)
        return made + timedelta(days=midnight) - shift
    except (ValueError, OverflowError):
        return None


DURATION = re.compile(
    r"([+-])?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(T)?"
    r"(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d*))?S)?",
    re.ASCII,
)


def duration(value: str | None) -> tuple[int, int] | str | None:
    """(months, microseconds), None, or "?" for the odd forms that the clock's own tests judge."""
    stripped = (value or "").strip(BLANKS)
    parts = DURATION.fullmatch(stripped)
    if parts is None or parts[10] is not None:
        odd = re.fullmatch(r"[+-]?P?[0-9.YMWDTHS]*", stripped)
        return "?" if odd and re.search(r"\.|W|P", stripped) else None
    sign, years, months, weeks, days, time, hours, minutes, seconds, _ = parts.groups()
    if (not time and (hours or minutes or seconds)) or weeks:
        return "?"
    numbers = [int(number or 0) for number in (years, months, days, hours, minutes, seconds)]
    if max(numbers) > 10**6:
        return "?"
    count = numbers[2] * 86400 + numbers[3] * 3600 + numbers[4] * 60 + numbers[5]
    factor = -1 if sign == "-" else 1
    return (factor * (numbers[0] * 12 + numbers[1]), factor * count * 1_000_000)


def stripped(value: str | None) -> str | None:
    return None if value is None else value.strip(BLANKS)


def boolean(value: str | None) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(stripped(value) or "")


# --- parts of events -----------------------------------------------------------------------------


def targets(parent: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if parent is None:
        return found
    for name, *path in (
        ("ven_ids", EI + "venID"),
        ("group_ids", EI + "groupID"),
        ("resource_ids", EI + "resourceID"),
        ("party_ids", EI + "partyID"),
        ("group_names", EI + "groupName"),
        ("aggregated_pnodes", POWER + "aggregatedPnode", POWER + "node"),
        ("end_device_assets", POWER + "endDeviceAsset", POWER + "mrid"),
        ("meter_assets", POWER + "meterAsset", POWER + "mrid"),
        ("pnodes", POWER + "pnode", POWER + "node"),
        ("service_delivery_points", POWER + "serviceDeliveryPoint", POWER + "node"),
    ):
        holders = every(parent, path[0])
        values = [text(each, *path[1:]) if path[1:] else leaf(each) for each in holders]
        values = [value for value in values if value is not None]
        if values:
            found[name] = tuple(values)
    for name, tag in (
        ("service_areas", EMIX + "serviceArea"),
        ("service_locations", POWER + "serviceLocation"),
    ):
        areas = [first(each, GML + "FeatureCollection") for each in every(parent, tag)]
        if any(area is not None for area in areas):
            found[name] = tuple(canonical(area.source) for area in areas if area is not None)
    interfaces = every(parent, POWER + "transportInterface")
    if interfaces:
        found["transport_interfaces"] = tuple(
            (
                text(each, POWER + "pointOfReceipt") or "",
                text(each, POWER + "pointOfDelivery") or "",
            )
            for each in interfaces
        )
    return found


def leaf(element: Any) -> str | None:
    return None if len(element) else element.text or ""


def canonical(element: Any) -> bytes:
    """Exclusive canonical XML without comments: the same for a part and for the part on its own."""
    return etree.tostring(
        element, method="c14n", exclusive=True, with_comments=False, with_tail=False
    )


def unit(parent: Any, oadr: str) -> dict[str, Any] | None:
    tags = [POWER + name for name in POWER_UNITS.split()]
    tags += [oadr + name for name in OADR_UNITS.split()]
    units = [child for child in parent if child.tag in tags]
    if len(units) > 1:
        raise NotImplementedError("two units: refused, their values do not matter")
    if not units:
        return None
    (found,) = units
    attributes = first(found, POWER + "powerAttributes")
    return {
        "name": local(found),
        "item_description": unit_text(found, oadr, "itemDescription"),
        "item_units": unit_text(found, oadr, "itemUnits"),
        "si_scale_code": stripped(text(found, SCALE + "siScaleCode")),
        "pulse_factor": real(text(found, oadr + "pulseFactor")),
        "hertz": real(text(attributes, POWER + "hertz")),
        "voltage": real(text(attributes, POWER + "voltage")),
        "ac": boolean(text(attributes, POWER + "ac")),
        "feed": None,
    }


def unit_text(parent: Any, oadr: str, name: str) -> str | None:
    both = [text(parent, POWER + name), text(parent, oadr + name)]
    if None not in both:
        raise NotImplementedError("a unit described in two namespaces: no opinion")
    return both[0] if both[1] is None else both[1]


def intervals(parent: Any) -> tuple[dict[str, Any], ...]:
    made = []
    for each in [] if parent is None else every(parent, EI + "interval"):
        values = [
            real(text(payload, EI + "payloadFloat", EI + "value"))
            for payload in every(each, EI + "signalPayload")
            if text(payload, EI + "payloadFloat", EI + "value") is not None
        ]
        made.append(
            {
                "uid": text(each, XCAL + "uid", XCAL + "text"),
                "duration": duration(text(each, XCAL + "duration", XCAL + "duration")),
                # of several payloads the first that can be read counts
                "value": next((value for value in values if value is not None), None),
                "dtstart": date_time(text(each, XCAL + "dtstart", XCAL + "date-time")),
            }
        )
    return tuple(made)


def signal(parent: Any, oadr: str) -> dict[str, Any]:
    return {
        "signal_name": text(parent, EI + "signalName") or "",
        "signal_type": stripped(text(parent, EI + "signalType")) or "",
        "signal_id": text(parent, EI + "signalID") or "",
        "intervals": intervals(first(parent, STRM + "intervals")),
        "current_value": real(text(parent, EI + "currentValue", EI + "payloadFloat", EI + "value")),
        "targets": targets(first(parent, EI + "eiTarget")),
        "unit": unit(parent, oadr),
    }


def baseline(parent: Any, oadr: str) -> dict[str, Any] | None:
    if parent is None:
        return None
    ids = [leaf(each) for each in every(parent, EI + "resourceID")]
    return {
        "baseline_id": text(parent, EI + "baselineID") or "",
        "baseline_name": text(parent, EI + "baselineName") or "",
        "dtstart": date_time(text(parent, XCAL + "dtstart", XCAL + "date-time")),
        "duration": duration(text(parent, XCAL + "duration", XCAL + "duration")),
        "intervals": intervals(first(parent, STRM + "intervals")),
        "resource_ids": tuple(each for each in ids if each is not None),
        "unit": unit(parent, oadr),
    }


def one_of(value: str | None, *allowed: str) -> str | None:
    return stripped(value) if stripped(value) in allowed else None


def event(parent: Any, oadr: str) -> dict[str, Any]:
    inner = first(parent, EI + "eiEvent")
    descriptor = first(inner, EI + "eventDescriptor") if inner is not None else None
    period = first(inner, EI + "eiActivePeriod", XCAL + "properties") if inner is not None else None
    signals = first(inner, EI + "eiEventSignals") if inner is not None else None
    nested = XCAL + "duration"
    return {
        "event_id": text(descriptor, EI + "eventID") or "",
        "modification_number": whole(text(descriptor, EI + "modificationNumber")) or 0,
        "market_context": stripped(
            text(descriptor, EI + "eiMarketContext", EMIX + "marketContext")
        ),
        "created_date_time": date_time(text(descriptor, EI + "createdDateTime")),
        "event_status": one_of(
            text(descriptor, EI + "eventStatus"),
            *("none", "far", "near", "active", "completed", "cancelled"),
        ),
        "dtstart": date_time(text(period, XCAL + "dtstart", XCAL + "date-time")),
        "duration": duration(text(period, nested, nested)),
        "signals": tuple(signal(each, oadr) for each in every(signals, EI + "eiEventSignal")),
        "targets": targets(first(inner, EI + "eiTarget") if inner is not None else None),
        "response_required": one_of(text(parent, oadr + "oadrResponseRequired"), "always", "never")
        or "always",
        "priority": whole(text(descriptor, EI + "priority")),
        "test_event": text(descriptor, EI + "testEvent"),
        "vtn_comment": text(descriptor, EI + "vtnComment"),
        "modification_date_time": date_time(text(descriptor, EI + "modificationDateTime")),
        "modification_reason": text(descriptor, EI + "modificationReason"),
        "startafter": duration(
            text(period, XCAL + "tolerance", XCAL + "tolerate", XCAL + "startafter")
        ),
        "notification": duration(text(period, EI + "x-eiNotification", nested)),
        "ramp_up": duration(text(period, EI + "x-eiRampUp", nested)),
        "recovery": duration(text(period, EI + "x-eiRecovery", nested)),
        "baseline": baseline(
            first(signals, EI + "eiEventBaseline") if signals is not None else None, oadr
        ),
    }


# --- messages ------------------------------------------------------------------------------------


def code(parent: Any) -> int:
    value = (strict(parent, EI + "responseCode") or "").strip(BLANKS)
    if not re.fullmatch("[0-9]{3}", value):
        raise Refused(f"code {value}")
    return int(value)


def response(parent: Any) -> dict[str, Any] | None:
    if parent is None:
        return None
    return {
        "response_code": code(parent),
        "response_description": strict(parent, EI + "responseDescription", missing=True),
        "request_id": strict(parent, PYLD + "requestID", missing=True) or "",
    }


def distribute_event(parent: Any, oadr: str) -> dict[str, Any]:
    if any(local(child) == "oadrEvent" and child.tag != oadr + "oadrEvent" for child in parent):
        raise Refused("passed over, an event of another namespace could make a list look empty")
    return {
        "vtn_id": strict(parent, EI + "vtnID", missing=True) or "",
        "request_id": strict(parent, PYLD + "requestID", missing=True) or "",
        "events": tuple(event(each, oadr) for each in every(parent, oadr + "oadrEvent")),
        "response": response(only(parent, EI + "eiResponse", missing=True)),
    }


def number(parent: Any, tag: str, missing: bool = False) -> int | None:
    value = strict(parent, tag, missing=missing)
    if value is not None and whole(value) is None:
        raise Refused(f"{tag}: {value}")
    return whole(value)


def event_response(parent: Any) -> dict[str, Any]:
    qualified = only(parent, EI + "qualifiedEventID")
    opt = one_of(strict(parent, EI + "optType"), "optIn", "optOut")
    event_id = strict(qualified, EI + "eventID")
    if opt is None or not (event_id or "").strip(BLANKS):
        raise Refused("optType or eventID")
    return {
        "event_id": event_id,
        "modification_number": number(qualified, EI + "modificationNumber"),
        "opt_type": opt,
        "response_code": code(parent),
        "response_description": strict(parent, EI + "responseDescription", missing=True),
        "request_id": strict(parent, PYLD + "requestID", missing=True) or "",
    }


def created_event(parent: Any, oadr: str) -> dict[str, Any]:
    inner = only(parent, PYLD + "eiCreatedEvent")
    answers = only(inner, EI + "eventResponses", missing=True)
    return {
        "ven_id": strict(inner, EI + "venID"),
        "event_responses": tuple(map(event_response, every(answers, EI + "eventResponse"))),
        "response": response(only(inner, EI + "eiResponse")),
    }


def request_event(parent: Any, oadr: str) -> dict[str, Any]:
    inner = only(parent, PYLD + "eiRequestEvent")
    return {
        "ven_id": strict(inner, EI + "venID"),
        "request_id": strict(inner, PYLD + "requestID", missing=True) or "",
        "reply_limit": number(inner, PYLD + "replyLimit", missing=True),
    }


def plain_response(parent: Any, oadr: str) -> dict[str, Any]:
    return {
        "response": response(only(parent, EI + "eiResponse")),
        "ven_id": strict(parent, EI + "venID", missing=True),
    }


READERS = {
    "oadrDistributeEvent": distribute_event,
    "oadrCreatedEvent": created_event,
    "oadrRequestEvent": request_event,
    "oadrResponse": plain_response,
}
