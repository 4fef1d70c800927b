"""Messages of a VTN as text, made from keyword arguments: what tests feed to decoders and handlers.

``None`` leaves an element out; a text goes in as it stands (escape it yourself), so that wrong
values can be written too. Times may be seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

NAMESPACES = {
    "pyld": "http://docs.oasis-open.org/ns/energyinterop/201110/payloads",
    "ei": "http://docs.oasis-open.org/ns/energyinterop/201110",
    "emix": "http://docs.oasis-open.org/ns/emix/2011/06",
    "xcal": "urn:ietf:params:xml:ns:icalendar-2.0",
    "strm": "urn:ietf:params:xml:ns:icalendar-2.0:stream",
    "power": "http://docs.oasis-open.org/ns/emix/2011/06/power",
}
OADR = {
    "2.0a": "http://openadr.org/oadr-2.0a/2012/07",
    "2.0b": "http://openadr.org/oadr-2.0b/2012/07",
}
# In the order of the schemas; the name of a target's element by the name used here.
TARGETS = {
    "aggregated_pnode": ("power:aggregatedPnode", "power:node"),
    "end_device_asset": ("power:endDeviceAsset", "power:mrid"),
    "meter_asset": ("power:meterAsset", "power:mrid"),
    "pnode": ("power:pnode", "power:node"),
    "service_delivery_point": ("power:serviceDeliveryPoint", "power:node"),
    "group_id": ("ei:groupID", None),
    "group_name": ("ei:groupName", None),
    "resource_id": ("ei:resourceID", None),
    "ven_id": ("ei:venID", None),
    "party_id": ("ei:partyID", None),
}
START = 1_800_000_000.0  # 2027-01-15T08:00:00Z: when the events of the tests begin


def time_text(time: float | str) -> str:
    """Seconds since 1970 as xs:dateTime in UTC; a text as it is."""
    if isinstance(time, str):
        return time
    return datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")


def element(name: str, content: object) -> str:
    """One element; nothing for None."""
    return "" if content is None else f"<{name}>{content}</{name}>"


def nested(outer: str, inner: str, content: object) -> str:
    """One element in another; nothing for None."""
    return "" if content is None else f"<{outer}><{inner}>{content}</{inner}></{outer}>"


def targets_element(targets: Mapping[str, str | Sequence[str]] | None) -> str:
    """An eiTarget from e.g. ``{"ven_id": ["a", "b"], "group_id": "g"}``; empty for ``{}``."""
    if targets is None:
        return ""
    unknown = set(targets) - set(TARGETS)
    if unknown:
        raise ValueError(f"no such targets: {unknown}")
    parts = []
    for name, (outer, inner) in TARGETS.items():
        values = targets.get(name, ())
        for value in [values] if isinstance(values, str) else values:
            parts.append(nested(outer, inner, value) if inner else element(outer, value))
    return element("ei:eiTarget", "".join(parts))


def interval(
    duration: str | None = "PT1H",
    value: float | str | None = 1.0,
    uid: int | str | None = 0,
    *,
    dtstart: float | str | None = None,
) -> str:
    """One ``ei:interval``."""
    return element(
        "ei:interval",
        nested("xcal:dtstart", "xcal:date-time", None if dtstart is None else time_text(dtstart))
        + nested("xcal:duration", "xcal:duration", duration)
        + nested("xcal:uid", "xcal:text", uid)
        + element("ei:signalPayload", nested("ei:payloadFloat", "ei:value", value) or None),
    )


def signal(
    intervals: Iterable[tuple[str | None, float | str | None] | str] = (("PT1H", 1.0),),
    *,
    name: str | None = "SIMPLE",
    type: str | None = "level",
    signal_id: str | None = "s0",
    current_value: float | str | None = 0.0,
    targets: Mapping[str, str | Sequence[str]] | None = None,
) -> str:
    """One ``ei:eiEventSignal``; intervals are (duration, value) pairs, or ready-made."""
    written = [
        each if isinstance(each, str) else interval(each[0], each[1], uid)
        for uid, each in enumerate(intervals)
    ]
    return element(
        "ei:eiEventSignal",
        element("strm:intervals", "".join(written))
        + targets_element(targets)
        + element("ei:signalName", name)
        + element("ei:signalType", type)
        + element("ei:signalID", signal_id)
        + element("ei:currentValue", nested("ei:payloadFloat", "ei:value", current_value) or None),
    )


def event(
    event_id: str | None = "e1",
    number: int | str | None = 0,
    *,
    status: str | None = "far",
    priority: int | str | None = None,
    market_context: str | None = "http://market",
    created: float | str | None = START - 86400,
    test_event: str | None = None,
    vtn_comment: str | None = None,
    dtstart: float | str | None = START,
    duration: str | None = "PT1H",
    startafter: str | None = None,
    notification: str | None = "PT0S",
    ramp_up: str | None = None,
    recovery: str | None = None,
    level: float | str | None = 1.0,
    intervals: Iterable[tuple[str | None, float | str | None] | str] | None = None,
    signals: Iterable[str] | None = None,
    targets: Mapping[str, str | Sequence[str]] | None = None,
    required: str | None = "always",
    **of_signal: Any,
) -> str:
    """One ``oadr:oadrEvent``, for :func:`distribute_event`.

    By default one SIMPLE signal with one interval of ``level`` as long as the event. ``intervals``
    and further keywords shape that one signal (see :func:`signal`), ``signals`` replaces it.
    """
    if signals is None:
        of_signal.setdefault("current_value", 0.0)
        signals = [signal([(duration, level)] if intervals is None else intervals, **of_signal)]
    descriptor = (
        element("ei:eventID", event_id)
        + element("ei:modificationNumber", number)
        + element("ei:priority", priority)
        + nested("ei:eiMarketContext", "emix:marketContext", market_context)
        + element("ei:createdDateTime", None if created is None else time_text(created))
        + element("ei:eventStatus", status)
        + element("ei:testEvent", test_event)
        + element("ei:vtnComment", vtn_comment)
    )
    period = element(
        "xcal:properties",
        nested("xcal:dtstart", "xcal:date-time", None if dtstart is None else time_text(dtstart))
        + nested("xcal:duration", "xcal:duration", duration)
        + element("xcal:tolerance", nested("xcal:tolerate", "xcal:startafter", startafter) or None)
        + nested("ei:x-eiNotification", "xcal:duration", notification)
        + nested("ei:x-eiRampUp", "xcal:duration", ramp_up)
        + nested("ei:x-eiRecovery", "xcal:duration", recovery),
    )
    body = (
        element("ei:eventDescriptor", descriptor)
        + element("ei:eiActivePeriod", period + "<xcal:components/>")
        + element("ei:eiEventSignals", "".join(signals))
        + targets_element({} if targets is None else targets)
    )
    return element(
        "oadr:oadrEvent",
        element("ei:eiEvent", body) + element("oadr:oadrResponseRequired", required),
    )


def document(name: str, content: str, *, profile: str = "2.0a", wrap: bool | None = None) -> bytes:
    """A message as a document; 2.0b is wrapped unless told otherwise."""
    declarations = "".join(
        f' xmlns:{prefix}="{uri}"' for prefix, uri in {"oadr": OADR[profile], **NAMESPACES}.items()
    )
    version = ' ei:schemaVersion="2.0b"' if profile == "2.0b" else ""
    if profile == "2.0b" if wrap is None else wrap:
        text = (
            f"<oadr:oadrPayload{declarations}><oadr:oadrSignedObject>"
            f"<oadr:{name}{version}>{content}</oadr:{name}>"
            "</oadr:oadrSignedObject></oadr:oadrPayload>"
        )
    else:
        text = f"<oadr:{name}{declarations}{version}>{content}</oadr:{name}>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def ei_response(
    code: int | str = 200, description: str | None = None, request_id: str | None = ""
) -> str:
    """An ``ei:eiResponse``."""
    return element(
        "ei:eiResponse",
        element("ei:responseCode", code)
        + element("ei:responseDescription", description)
        + element("pyld:requestID", request_id),
    )


def distribute_event(
    *events: str,
    vtn_id: str | None = "vtn",
    request_id: str | None = "req",
    response_code: int | str | None = None,
    response_description: str | None = None,
    profile: str = "2.0a",
    wrap: bool | None = None,
) -> bytes:
    """An ``oadrDistributeEvent`` with what :func:`event` made; no eiResponse without a code."""
    answer = "" if response_code is None else ei_response(response_code, response_description)
    content = (
        answer
        + element("pyld:requestID", request_id)
        + element("ei:vtnID", vtn_id)
        + "".join(events)
    )
    return document("oadrDistributeEvent", content, profile=profile, wrap=wrap)


def response(
    code: int | str = 200,
    description: str | None = None,
    *,
    request_id: str | None = "",
    profile: str = "2.0a",
    wrap: bool | None = None,
) -> bytes:
    """An ``oadrResponse``."""
    return document(
        "oadrResponse", ei_response(code, description, request_id), profile=profile, wrap=wrap
    )
