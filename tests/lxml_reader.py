"""What a payload says, read with lxml and nothing of ours but the model: the oracle of the tests.

Reads valid messages only, wrapped or bare; every element is looked up by namespace and name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from lxml import etree

from oadr2 import model
from oadr2.schedule import Duration

EI = "{http://docs.oasis-open.org/ns/energyinterop/201110}"
PYLD = "{http://docs.oasis-open.org/ns/energyinterop/201110/payloads}"
EMIX = "{http://docs.oasis-open.org/ns/emix/2011/06}"
XCAL = "{urn:ietf:params:xml:ns:icalendar-2.0}"
STRM = "{urn:ietf:params:xml:ns:icalendar-2.0:stream}"
POWER = "{http://docs.oasis-open.org/ns/emix/2011/06/power}"
SCALE = "{http://docs.oasis-open.org/ns/emix/2011/06/siscale}"
GML = "{http://www.opengis.net/gml/3.2}"
OADR = {
    "2.0a": "{http://openadr.org/oadr-2.0a/2012/07}",
    "2.0b": "{http://openadr.org/oadr-2.0b/2012/07}",
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text(parent, *path: str) -> str | None:
    """The text at the end of a path of tags; None when a step is absent."""
    for tag in path:
        parent = parent.find(tag)
        if parent is None:
            return None
    return parent.text or ""


def texts(parent, *path: str) -> tuple[str, ...]:
    return tuple(element.text or "" for element in parent.findall("/".join(path)))


def whole(value: str | None) -> int | None:
    return None if value is None else int(value)


def real(value: str | None) -> float | None:
    return None if value is None else float(value)


def date_time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def duration(value: str | None) -> Duration | None:
    """Only the form that is sent: ``[-]P[nM][nD][T[nH][nM][nS]]``."""
    if value is None:
        return None
    sign = -1 if value.startswith("-") else 1
    days, _, time = value.lstrip("-").removeprefix("P").partition("T")
    months = seconds = 0
    for part, sizes in ((days, {"M": None, "D": 86_400}), (time, {"H": 3600, "M": 60, "S": 1})):
        digits = ""
        for char in part:
            if char.isdigit():
                digits += char
                continue
            if sizes[char] is None:
                months = int(digits)
            else:
                seconds += int(digits) * sizes[char]
            digits = ""
    return Duration(months=sign * months, microseconds=sign * seconds * 1_000_000)


def response(parent) -> model.EiResponse | None:
    element = parent.find(EI + "eiResponse")
    if element is None:
        return None
    return model.EiResponse(
        int(text(element, EI + "responseCode")),
        text(element, EI + "responseDescription"),
        text(element, PYLD + "requestID"),
    )


def unit(parent) -> model.Unit | None:
    for element in parent:
        name = etree.QName(element)
        own = f"{{{name.namespace}}}"
        units = text(element, own + "itemUnits")
        if units is None:
            continue
        attributes = element.find(POWER + "powerAttributes")
        hertz = voltage = ac = None
        if attributes is not None:
            hertz = float(Decimal(text(attributes, POWER + "hertz")))
            voltage = float(Decimal(text(attributes, POWER + "voltage")))
            ac = {"true": True, "false": False}[text(attributes, POWER + "ac")]
        return model.Unit(
            name.localname,
            text(element, own + "itemDescription"),
            units,
            text(element, SCALE + "siScaleCode"),
            real(text(element, own + "pulseFactor")),
            hertz,
            voltage,
            ac,
        )
    return None


def areas(parent, tag: str) -> tuple[bytes, ...]:
    """Canonical form: how a collection was written is not lxml's to know."""
    return tuple(
        etree.tostring(element, method="c14n", exclusive=True, with_tail=False)
        for element in parent.findall(f"{tag}/{GML}FeatureCollection")
    )


def targets(parent) -> model.Targets:
    element = parent.find(EI + "eiTarget")
    if element is None:
        return model.Targets()
    return model.Targets(
        ven_ids=texts(element, EI + "venID"),
        group_ids=texts(element, EI + "groupID"),
        resource_ids=texts(element, EI + "resourceID"),
        party_ids=texts(element, EI + "partyID"),
        group_names=texts(element, EI + "groupName"),
        aggregated_pnodes=texts(element, POWER + "aggregatedPnode", POWER + "node"),
        end_device_assets=texts(element, POWER + "endDeviceAsset", POWER + "mrid"),
        meter_assets=texts(element, POWER + "meterAsset", POWER + "mrid"),
        pnodes=texts(element, POWER + "pnode", POWER + "node"),
        service_areas=areas(element, EMIX + "serviceArea"),
        service_delivery_points=texts(element, POWER + "serviceDeliveryPoint", POWER + "node"),
        service_locations=areas(element, POWER + "serviceLocation"),
        transport_interfaces=tuple(
            (text(one, POWER + "pointOfReceipt"), text(one, POWER + "pointOfDelivery"))
            for one in element.findall(POWER + "transportInterface")
        ),
    )


def intervals(parent) -> tuple[model.Interval, ...]:
    value = (EI + "signalPayload", EI + "payloadFloat", EI + "value")
    return tuple(
        model.Interval(
            text(one, XCAL + "uid", XCAL + "text"),
            duration(text(one, XCAL + "duration", XCAL + "duration")),
            real(text(one, *value)),
            date_time(text(one, XCAL + "dtstart", XCAL + "date-time")),
        )
        for one in parent.findall(f"{STRM}intervals/{EI}interval")
    )


def signal(element) -> model.Signal:
    return model.Signal(
        text(element, EI + "signalName"),
        text(element, EI + "signalType"),
        text(element, EI + "signalID"),
        intervals(element),
        real(text(element, EI + "currentValue", EI + "payloadFloat", EI + "value")),
        targets(element),
        unit(element),
    )


def baseline(element) -> model.Baseline | None:
    if element is None:
        return None
    return model.Baseline(
        text(element, EI + "baselineID"),
        text(element, EI + "baselineName"),
        date_time(text(element, XCAL + "dtstart", XCAL + "date-time")),
        duration(text(element, XCAL + "duration", XCAL + "duration")),
        intervals(element),
        texts(element, EI + "resourceID"),
        unit(element),
    )


def event(element, oadr: str) -> model.Event:
    body = element.find(EI + "eiEvent")
    descriptor = body.find(EI + "eventDescriptor")
    properties = body.find(f"{EI}eiActivePeriod/{XCAL}properties")
    assert len(body.find(f"{EI}eiActivePeriod/{XCAL}components")) == 0
    events_signals = body.find(EI + "eiEventSignals")

    def nested(name: str) -> Duration | None:
        return duration(text(properties, name, XCAL + "duration"))

    return model.Event(
        event_id=text(descriptor, EI + "eventID"),
        modification_number=int(text(descriptor, EI + "modificationNumber")),
        market_context=text(descriptor, EI + "eiMarketContext", EMIX + "marketContext"),
        created_date_time=date_time(text(descriptor, EI + "createdDateTime")),
        event_status=text(descriptor, EI + "eventStatus"),
        dtstart=date_time(text(properties, XCAL + "dtstart", XCAL + "date-time")),
        duration=nested(XCAL + "duration"),
        signals=tuple(signal(one) for one in events_signals.findall(EI + "eiEventSignal")),
        targets=targets(body),
        response_required=text(element, oadr + "oadrResponseRequired"),
        priority=whole(text(descriptor, EI + "priority")),
        test_event=text(descriptor, EI + "testEvent"),
        vtn_comment=text(descriptor, EI + "vtnComment"),
        modification_date_time=date_time(text(descriptor, EI + "modificationDateTime")),
        modification_reason=text(descriptor, EI + "modificationReason"),
        startafter=duration(
            text(properties, XCAL + "tolerance", XCAL + "tolerate", XCAL + "startafter")
        ),
        notification=nested(EI + "x-eiNotification"),
        ramp_up=nested(EI + "x-eiRampUp"),
        recovery=nested(EI + "x-eiRecovery"),
        baseline=baseline(events_signals.find(EI + "eiEventBaseline")),
    )


def event_response(element) -> model.EventResponse:
    qualified = element.find(EI + "qualifiedEventID")
    return model.EventResponse(
        text(qualified, EI + "eventID"),
        int(text(qualified, EI + "modificationNumber")),
        text(element, EI + "optType"),
        int(text(element, EI + "responseCode")),
        text(element, EI + "responseDescription"),
        text(element, PYLD + "requestID"),
    )


def message_element(data: bytes):
    """The message's element and its profile."""
    element = etree.fromstring(data)
    while etree.QName(element).localname in ("oadrPayload", "oadrSignedObject"):
        (element,) = element
    namespace = f"{{{etree.QName(element).namespace}}}"
    return element, next(profile for profile, uri in OADR.items() if uri == namespace)


def read_message(data: bytes) -> model.Message:
    element, profile = message_element(data)
    match etree.QName(element).localname:
        case "oadrRequestEvent":
            body = element.find(PYLD + "eiRequestEvent")
            return model.RequestEvent(
                text(body, EI + "venID"),
                text(body, PYLD + "requestID"),
                whole(text(body, PYLD + "replyLimit")),
                profile,
            )
        case "oadrCreatedEvent":
            body = element.find(PYLD + "eiCreatedEvent")
            answers = body.findall(f"{EI}eventResponses/{EI}eventResponse")
            return model.CreatedEvent(
                text(body, EI + "venID"),
                tuple(event_response(one) for one in answers),
                response(body),
                profile,
            )
        case "oadrResponse":
            return model.Response(response(element), text(element, EI + "venID"), profile)
        case "oadrDistributeEvent":
            oadr = OADR[profile]
            return model.DistributeEvent(
                text(element, EI + "vtnID"),
                text(element, PYLD + "requestID"),
                tuple(event(one, oadr) for one in element.findall(oadr + "oadrEvent")),
                response(element),
                profile,
            )
        case name:
            raise AssertionError(f"no reader for {name}")
