"""The messages of the 2.0b services taken out with lxml and plain Python: the oracle of decoding.

A part of lxml_extraction.py, with its terms. Where the decoder notes a fault and goes on, the value is
left out here; where it refuses the message, Refused is raised.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import lxml_extraction as plain
from lxml_extraction import (
    BLANKS,
    EI,
    EMIX,
    GML,
    OADR_UNITS,
    POWER,
    POWER_UNITS,
    PYLD,
    SCALE,
    STRM,
    XCAL,
    Refused,
    every,
    local,
)

ATOM = "{http://www.w3.org/2005/Atom}"
BAD = object()  # a text that cannot be read
Reader = Callable[[str], Any]


# --- texts ---------------------------------------------------------------------------------------


def string(value: str) -> Any:
    return value


def token(value: str) -> Any:
    return value.strip(BLANKS)


def name(value: str) -> Any:
    return value if value.strip(BLANKS) else BAD


def real(value: str) -> Any:
    found = plain.real(value)
    return BAD if found is None else found


def whole(value: str) -> Any:
    found = plain.whole(value)
    return BAD if found is None else found


def percent(value: str) -> Any:
    found = plain.whole(value)
    return BAD if found is None or found > 100 else found


def truth(value: str) -> Any:
    found = plain.boolean(value)
    return BAD if found is None else found


def moment(value: str) -> Any:
    found = plain.date_time(value)
    return BAD if found is None else found


def length(value: str) -> Any:
    found = plain.duration(value)
    if found == "?":
        raise NotImplementedError("a duration that the clock's own tests judge")
    return BAD if found is None else found


def code(value: str) -> Any:
    return int(value) if re.fullmatch("[0-9]{3}", value.strip(BLANKS)) else BAD


def opt_type(value: str) -> Any:
    return token(value) if token(value) in ("optIn", "optOut") else BAD


# --- elements ------------------------------------------------------------------------------------


def single(parent: Any, tag: str) -> Any:
    found = every(parent, tag)
    if len(found) > 1:
        raise Refused(f"{tag} stands twice")
    return found[0] if found else None


def inside(element: Any, tags: tuple[str, ...], reader: Reader | None, fatal: bool) -> Any:
    """The value down there, None for one that was noted and left out."""
    if reader is None and not tags:
        return plain.canonical(element.source)
    if not tags:
        value = BAD if len(element) else reader(element.text or "")  # type: ignore[misc]
    elif len(tags) == 1 and reader and not len(element) and (element.text or "").strip(BLANKS):
        value = reader(element.text)  # without the element that belongs around it
    else:
        inner = single(element, tags[0])
        value = BAD if inner is None else inside(inner, tags[1:], reader, fatal)
    if value is BAD and fatal:
        raise Refused(f"{local(element)}: {element.text!r}")
    return None if value is BAD else value


def get(
    parent: Any,
    *tags: str,
    reader: Reader | None,
    must: bool = False,
    fatal: bool = False,
    default: Any = None,
) -> Any:
    """One value: ``must`` be there, or ``fatal`` only when it is there and cannot be read."""
    element = single(parent, tags[0])
    if element is None:
        if must:
            raise Refused(f"{tags[0]} is missing")
        return default
    found = inside(element, tags[1:], reader, must or fatal)
    return default if found is None else found


def several(parent: Any, *tags: str, reader: Reader | None) -> tuple[Any, ...]:
    found = [inside(each, tags[1:], reader, False) for each in every(parent, tags[0])]
    return tuple(each for each in found if each is not None)


def part(parent: Any, tag: str, make: Callable[[Any], Any], must: bool = False) -> Any:
    element = single(parent, tag)
    if element is None and must:
        raise Refused(f"{tag} is missing")
    return None if element is None else make(element)


def parts(parent: Any, tag: str, make: Callable[[Any], Any], least: int = 0) -> tuple[Any, ...]:
    found = tuple(make(each) for each in every(parent, tag))
    if len(found) < least:
        raise Refused(f"{tag} is missing")
    return found


# --- what messages share -------------------------------------------------------------------------


def response(parent: Any) -> dict[str, Any]:
    def made(element: Any) -> dict[str, Any]:
        return {
            "response_code": get(element, EI + "responseCode", reader=code, must=True),
            "response_description": get(element, EI + "responseDescription", reader=string),
            "request_id": get(element, PYLD + "requestID", reader=string, default=""),
        }

    return part(parent, EI + "eiResponse", made, must=True)


def request_id(parent: Any) -> str:
    return get(parent, PYLD + "requestID", reader=string, default="")


def ven_id(parent: Any) -> str | None:
    return get(parent, EI + "venID", reader=string)


def required(parent: Any, tag: str) -> str:
    return get(parent, tag, reader=name, must=True)


def targets(element: Any) -> dict[str, Any]:
    if element is None:
        return {}
    found = {
        field: several(element, *tags, reader=reader)
        for field, tags, reader in (
            ("ven_ids", (EI + "venID",), string),
            ("group_ids", (EI + "groupID",), string),
            ("resource_ids", (EI + "resourceID",), string),
            ("party_ids", (EI + "partyID",), string),
            ("group_names", (EI + "groupName",), string),
            ("aggregated_pnodes", (POWER + "aggregatedPnode", POWER + "node"), string),
            ("end_device_assets", (POWER + "endDeviceAsset", POWER + "mrid"), string),
            ("meter_assets", (POWER + "meterAsset", POWER + "mrid"), string),
            ("pnodes", (POWER + "pnode", POWER + "node"), string),
            ("service_delivery_points", (POWER + "serviceDeliveryPoint", POWER + "node"), string),
            ("service_areas", (EMIX + "serviceArea", GML + "FeatureCollection"), None),
            ("service_locations", (POWER + "serviceLocation", GML + "FeatureCollection"), None),
        )
    }
    found["transport_interfaces"] = tuple(
        (
            get(each, POWER + "pointOfReceipt", reader=string, must=True),
            get(each, POWER + "pointOfDelivery", reader=string, must=True),
        )
        for each in every(element, POWER + "transportInterface")
    )
    return found


def unit(parent: Any, oadr: str) -> dict[str, Any] | None:
    tags = [POWER + each for each in POWER_UNITS.split()]
    tags += [oadr + each for each in [*OADR_UNITS.split(), "oadrGBDataDescription"]]
    found = [child for child in parent if child.tag in tags]
    if len(found) > 1:
        raise Refused("two units")
    if not found:
        return None
    element = found[0]
    made: dict[str, Any] = dict.fromkeys(
        [
            "item_description",
            "item_units",
            "si_scale_code",
            "pulse_factor",
            "hertz",
            "voltage",
            "ac",
            "feed",
        ]
    )
    made["name"] = local(element)
    if local(element) == "oadrGBDataDescription":
        made["feed"] = get(element, ATOM + "feed", reader=None, must=True)
        return made
    for field, tag in (("item_description", "itemDescription"), ("item_units", "itemUnits")):
        both = every(element, POWER + tag) + every(element, oadr + tag)
        if len(both) > 1:
            raise Refused(f"{tag} stands twice")
        made[field] = inside(both[0], (), string, False) if both else None
    made["si_scale_code"] = get(element, SCALE + "siScaleCode", reader=token)
    made["pulse_factor"] = get(element, oadr + "pulseFactor", reader=real)
    attributes = single(element, POWER + "powerAttributes")
    if attributes is not None:
        made["hertz"] = get(attributes, POWER + "hertz", reader=real)
        made["voltage"] = get(attributes, POWER + "voltage", reader=real)
        made["ac"] = get(attributes, POWER + "ac", reader=truth)
    return made


DATE_TIME = XCAL + "date-time"
DURATION = XCAL + "duration"


def period(element: Any) -> dict[str, Any]:
    properties = single(element, XCAL + "properties")
    if properties is None:
        raise Refused("properties is missing")
    startafter = None
    tolerance = single(properties, XCAL + "tolerance")
    if tolerance is not None:
        tolerate = single(tolerance, XCAL + "tolerate")
        if tolerate is None:
            if not len(tolerance) and (tolerance.text or "").strip(BLANKS):
                raise NotImplementedError("a text for the whole tolerance: no opinion")
            raise Refused("tolerate is missing")
        if not len(tolerate) and (tolerate.text or "").strip(BLANKS):
            raise NotImplementedError("a text for startafter: no opinion")
        startafter = get(tolerate, XCAL + "startafter", reader=length)
        if startafter is None and every(tolerate, XCAL + "startafter"):
            raise Refused("startafter")

    def nested(tag: str) -> Any:
        return get(properties, EI + tag, DURATION, reader=length)

    return {
        "dtstart": get(properties, XCAL + "dtstart", DATE_TIME, reader=moment, must=True),
        "duration": get(properties, DURATION, DURATION, reader=length, must=True),
        "startafter": startafter,
        "notification": nested("x-eiNotification"),
        "ramp_up": nested("x-eiRampUp"),
        "recovery": nested("x-eiRecovery"),
    }


# --- registration --------------------------------------------------------------------------------


def info(oadr: str) -> Callable[[Any], dict[str, Any]]:
    return lambda element: {
        "key": get(element, oadr + "oadrKey", reader=string, must=True),
        "value": get(element, oadr + "oadrValue", reader=string, must=True),
    }


def create_party_registration(parent: Any, oadr: str) -> dict[str, Any]:
    return {
        "request_id": request_id(parent),
        "profile_name": get(parent, oadr + "oadrProfileName", reader=token, default="2.0b"),
        "transport_name": get(
            parent, oadr + "oadrTransportName", reader=token, default="simpleHttp"
        ),
        "transport_address": get(parent, oadr + "oadrTransportAddress", reader=string),
        "report_only": get(parent, oadr + "oadrReportOnly", reader=truth, default=False),
        "xml_signature": get(parent, oadr + "oadrXmlSignature", reader=truth, default=False),
        "ven_name": get(parent, oadr + "oadrVenName", reader=string),
        "http_pull_model": get(parent, oadr + "oadrHttpPullModel", reader=truth),
        "registration_id": get(parent, EI + "registrationID", reader=string),
        "ven_id": ven_id(parent),
    }


def created_party_registration(parent: Any, oadr: str) -> dict[str, Any]:
    def profile(element: Any) -> dict[str, Any]:
        transports = single(element, oadr + "oadrTransports")
        tags = (oadr + "oadrTransport", oadr + "oadrTransportName")
        return {
            "profile_name": get(element, oadr + "oadrProfileName", reader=token, must=True),
            "transports": several(transports, *tags, reader=token),
        }

    def service(element: Any) -> dict[str, Any]:
        return {
            "service_name": get(element, oadr + "oadrServiceName", reader=token, must=True),
            "info": parts(element, oadr + "oadrInfo", info(oadr)),
        }

    def extension(element: Any) -> dict[str, Any]:
        return {
            "extension_name": get(element, oadr + "oadrExtensionName", reader=string, must=True),
            "info": parts(element, oadr + "oadrInfo", info(oadr)),
        }

    profiles = single(parent, oadr + "oadrProfiles")
    services = single(parent, oadr + "oadrServiceSpecificInfo")
    extensions = single(parent, oadr + "oadrExtensions")
    return {
        "vtn_id": get(parent, EI + "vtnID", reader=name, default=""),
        "response": response(parent),
        "registration_id": get(parent, EI + "registrationID", reader=string),
        "ven_id": ven_id(parent),
        "profiles": parts(profiles, oadr + "oadrProfile", profile),
        "requested_oadr_poll_freq": get(
            parent, oadr + "oadrRequestedOadrPollFreq", DURATION, reader=length
        ),
        "service_specific_info": parts(services, oadr + "oadrService", service),
        "extensions": parts(extensions, oadr + "oadrExtension", extension),
    }


# --- reports -------------------------------------------------------------------------------------


def control(oadr: str) -> Callable[[Any], dict[str, Any]]:
    return lambda element: {
        "current": get(element, oadr + "oadrCurrent", reader=real, must=True),
        "normal": get(element, oadr + "oadrNormal", reader=real),
        "min": get(element, oadr + "oadrMin", reader=real),
        "max": get(element, oadr + "oadrMax", reader=real),
    }


def resource_status(oadr: str) -> Callable[[Any], dict[str, Any]]:
    def controls(element: Any) -> dict[str, Any]:
        return {
            field: part(element, oadr + tag, control(oadr))
            for field, tag in (
                ("capacity", "oadrCapacity"),
                ("level_offset", "oadrLevelOffset"),
                ("percent_offset", "oadrPercentOffset"),
                ("set_point", "oadrSetPoint"),
            )
        }

    return lambda element: {
        "online": get(element, oadr + "oadrOnline", reader=truth, must=True),
        "manual_override": get(element, oadr + "oadrManualOverride", reader=truth, must=True),
        "load_control_state": part(element, oadr + "oadrLoadControlState", controls),
    }


def report(oadr: str) -> Callable[[Any], dict[str, Any]]:
    def payload(element: Any) -> dict[str, Any]:
        if local(element) == "oadrGBPayload":
            return {"feed": get(element, ATOM + "feed", reader=None, must=True)}
        value, status = EI + "payloadFloat", oadr + "oadrPayloadResourceStatus"
        if len(every(element, value) + every(element, status)) > 1:
            raise Refused("two readings")
        return {
            "r_id": required(element, EI + "rID"),
            "value": get(element, value, EI + "value", reader=real),
            "resource_status": part(element, status, resource_status(oadr)),
            "confidence": get(element, EI + "confidence", reader=percent),
            "accuracy": get(element, EI + "accuracy", reader=real),
            "data_quality": get(element, oadr + "oadrDataQuality", reader=token),
        }

    def span(element: Any) -> dict[str, Any]:
        return {
            "dtstart": get(element, XCAL + "dtstart", DATE_TIME, reader=moment, fatal=True),
            "duration": get(element, DURATION, DURATION, reader=length, fatal=True),
        }

    def interval(element: Any) -> dict[str, Any]:
        tags = (oadr + "oadrReportPayload", oadr + "oadrGBPayload")
        payloads = tuple(payload(child) for child in element if child.tag in tags)
        if not payloads:
            raise Refused("no payload")
        return {
            "payloads": payloads,
            "uid": get(element, XCAL + "uid", XCAL + "text", reader=string),
            **span(element),
        }

    def sampling(element: Any) -> dict[str, Any]:
        return {
            "min_period": get(element, oadr + "oadrMinPeriod", reader=length, must=True),
            "max_period": get(element, oadr + "oadrMaxPeriod", reader=length, must=True),
            "on_change": get(element, oadr + "oadrOnChange", reader=truth, default=False),
        }

    def description(element: Any) -> dict[str, Any]:
        return {
            "r_id": required(element, EI + "rID"),
            "report_type": get(element, EI + "reportType", reader=token, must=True),
            "reading_type": get(element, EI + "readingType", reader=token, must=True),
            "unit": unit(element, oadr),
            "report_subject": targets(single(element, EI + "reportSubject")),
            "report_data_source": targets(single(element, EI + "reportDataSource")),
            "market_context": get(element, EMIX + "marketContext", reader=token),
            "sampling_rate": part(element, oadr + "oadrSamplingRate", sampling),
        }

    def made(element: Any) -> dict[str, Any]:
        intervals = single(element, STRM + "intervals")
        return {
            "report_request_id": required(element, EI + "reportRequestID"),
            "report_specifier_id": required(element, EI + "reportSpecifierID"),
            "created_date_time": get(element, EI + "createdDateTime", reader=moment, must=True),
            "report_name": get(element, EI + "reportName", reader=token),
            "intervals": parts(intervals, EI + "interval", interval, intervals is not None),
            "report_id": get(element, EI + "eiReportID", reader=string),
            "report_descriptions": parts(element, oadr + "oadrReportDescription", description),
            **span(element),
        }

    return made


def report_request(oadr: str) -> Callable[[Any], dict[str, Any]]:
    def wanted(element: Any) -> dict[str, Any]:
        return {
            "r_id": required(element, EI + "rID"),
            "reading_type": get(
                element, EI + "readingType", reader=token, default="x-notApplicable"
            ),
            "unit": unit(element, oadr),
        }

    def specifier(element: Any) -> dict[str, Any]:
        back = EI + "reportBackDuration"
        return {
            "report_specifier_id": required(element, EI + "reportSpecifierID"),
            "granularity": get(element, XCAL + "granularity", DURATION, reader=length, must=True),
            "report_back_duration": get(element, back, DURATION, reader=length, must=True),
            "specifier_payloads": parts(element, EI + "specifierPayload", wanted, 1),
            "report_interval": part(element, EI + "reportInterval", period),
        }

    return lambda element: {
        "report_request_id": required(element, EI + "reportRequestID"),
        "report_specifier": part(element, EI + "reportSpecifier", specifier, must=True),
    }


def pending(parent: Any, oadr: str) -> dict[str, Any]:
    found = single(parent, oadr + "oadrPendingReports")
    return {
        "response": response(parent),
        "pending_reports": several(found, EI + "reportRequestID", reader=name),
        "ven_id": ven_id(parent),
    }


def cancel_report(parent: Any, oadr: str) -> dict[str, Any]:
    wanted = several(parent, EI + "reportRequestID", reader=name)
    if len(wanted) < max(1, len(every(parent, EI + "reportRequestID"))):
        raise Refused("reportRequestID")
    return {
        "report_request_ids": wanted,
        "report_to_follow": get(parent, PYLD + "reportToFollow", reader=truth, default=False),
        "request_id": request_id(parent),
        "ven_id": ven_id(parent),
    }


def updated_report(parent: Any, oadr: str) -> dict[str, Any]:
    def inner(element: Any) -> dict[str, Any]:
        return {**cancel_report(element, oadr), "signed": False}

    return {
        "response": response(parent),
        "cancel_report": part(parent, oadr + "oadrCancelReport", inner),
        "ven_id": ven_id(parent),
    }


# --- opts ----------------------------------------------------------------------------------------


def create_opt(parent: Any, oadr: str) -> dict[str, Any]:
    def times(element: Any) -> dict[str, Any]:
        components = single(element, XCAL + "components")
        if components is None:
            raise Refused("components is missing")
        return {"available": parts(components, XCAL + "available", period)}

    def version(element: Any) -> dict[str, Any]:
        number = get(element, EI + "modificationNumber", reader=whole, must=True)
        return {"event_id": required(element, EI + "eventID"), "modification_number": number}

    return {
        "opt_id": required(parent, EI + "optID"),
        "opt_type": get(parent, EI + "optType", reader=opt_type, must=True),
        "opt_reason": get(parent, EI + "optReason", reader=token, must=True),
        "ven_id": required(parent, EI + "venID"),
        "created_date_time": get(parent, EI + "createdDateTime", reader=moment, must=True),
        "request_id": request_id(parent),
        "qualified_event_id": part(parent, EI + "qualifiedEventID", version),
        "vavailability": part(parent, XCAL + "vavailability", times),
        "targets": targets(single(parent, EI + "eiTarget")),
        "device_class": targets(single(parent, oadr + "oadrDeviceClass")),
        "market_context": get(parent, EMIX + "marketContext", reader=token),
    }


Message = Callable[[Any, str], dict[str, Any]]
READERS: dict[str, Message] = {
    "oadrQueryRegistration": lambda m, oadr: {"request_id": request_id(m)},
    "oadrCreatePartyRegistration": create_party_registration,
    "oadrCreatedPartyRegistration": created_party_registration,
    "oadrCancelPartyRegistration": lambda m, oadr: {
        "registration_id": required(m, EI + "registrationID"),
        "request_id": request_id(m),
        "ven_id": ven_id(m),
    },
    "oadrCanceledPartyRegistration": lambda m, oadr: {
        "response": response(m),
        "registration_id": get(m, EI + "registrationID", reader=string),
        "ven_id": ven_id(m),
    },
    "oadrRequestReregistration": lambda m, oadr: {"ven_id": required(m, EI + "venID")},
    "oadrPoll": lambda m, oadr: {"ven_id": required(m, EI + "venID")},
    "oadrRegisterReport": lambda m, oadr: {
        "request_id": request_id(m),
        "reports": parts(m, oadr + "oadrReport", report(oadr)),
        "ven_id": ven_id(m),
        "report_request_id": get(m, EI + "reportRequestID", reader=string),
    },
    "oadrRegisteredReport": lambda m, oadr: {
        "response": response(m),
        "report_requests": parts(m, oadr + "oadrReportRequest", report_request(oadr)),
        "ven_id": ven_id(m),
    },
    "oadrCreateReport": lambda m, oadr: {
        "request_id": request_id(m),
        "report_requests": parts(m, oadr + "oadrReportRequest", report_request(oadr), 1),
        "ven_id": ven_id(m),
    },
    "oadrCreatedReport": pending,
    "oadrUpdateReport": lambda m, oadr: {
        "request_id": request_id(m),
        "reports": parts(m, oadr + "oadrReport", report(oadr)),
        "ven_id": ven_id(m),
    },
    "oadrUpdatedReport": updated_report,
    "oadrCancelReport": cancel_report,
    "oadrCanceledReport": pending,
    "oadrCreateOpt": create_opt,
    "oadrCreatedOpt": lambda m, oadr: {
        "response": response(m),
        "opt_id": get(m, EI + "optID", reader=name, default=""),
    },
    "oadrCancelOpt": lambda m, oadr: {
        "request_id": request_id(m),
        "opt_id": required(m, EI + "optID"),
        "ven_id": required(m, EI + "venID"),
    },
    "oadrCanceledOpt": lambda m, oadr: {
        "response": response(m),
        "opt_id": get(m, EI + "optID", reader=string),
    },
}
