"""The table of cases: payloads as trees, and the message each of them must give.

Shared by the tests of decoding, of the scanner and of memory. Every payload is written by us.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from payload_trees import Tree

from oadr2.model import (
    Baseline,
    CreatedEvent,
    DistributeEvent,
    EiResponse,
    Event,
    EventResponse,
    Interval,
    Message,
    Profile,
    RequestEvent,
    Response,
    Signal,
    Targets,
    Unit,
)
from oadr2.schedule import Duration

MINUTE = 60_000_000
PROFILES: tuple[Profile, Profile] = ("2.0a", "2.0b")


@dataclass(frozen=True)
class Case:
    name: str
    tree: Tree
    expected: Message
    noted: tuple[str, ...] = ()  # what is wrong without being refused, e.g. "uid is missing"


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type, misc]


def minutes(count: float) -> Duration:
    return Duration(microseconds=int(count * MINUTE))


# --- parts ---------------------------------------------------------------------------------------


def duration(text: str, name: str = "xcal:duration") -> Tree:
    return (name, ("xcal:duration", text))


def value(text: str, name: str = "ei:signalPayload") -> Tree:
    return (name, ("ei:payloadFloat", ("ei:value", text)))


def interval(
    uid: str | None, dur: str | None, level: str | None, dtstart: str | None = None
) -> Tree:
    parts: list[Tree] = []
    if dtstart is not None:
        parts.append(("xcal:dtstart", ("xcal:date-time", dtstart)))
    if dur is not None:
        parts.append(duration(dur))
    if uid is not None:
        parts.append(("xcal:uid", ("xcal:text", uid)))
    parts.append(("ei:signalPayload",) if level is None else value(level))
    return ("ei:interval", *parts)


def signal(
    *more: Tree,
    intervals: tuple[Tree, ...] = (
        interval("0", "PT10M", "1.0"),
        interval("1", "PT20M", "2"),
    ),
    name: str = "SIMPLE",
    kind: str = "level",
    signal_id: str = "signal-1",
    current: str | None = "0.0",
) -> Tree:
    """``more`` stands where units do; a target goes before the name."""
    targets = [part for part in more if part[0] == "ei:eiTarget"]
    units = [part for part in more if part[0] != "ei:eiTarget"]
    return (
        "ei:eiEventSignal",
        ("strm:intervals", *intervals),
        *targets,
        ("ei:signalName", name),
        ("ei:signalType", kind),
        ("ei:signalID", signal_id),
        *units,
        *([] if current is None else [value(current, "ei:currentValue")]),
    )


SIGNAL = Signal(
    "SIMPLE",
    "level",
    "signal-1",
    (Interval("0", minutes(10), 1.0), Interval("1", minutes(20), 2.0)),
    0.0,
)


def event(
    profile: Profile,
    *,
    event_id: str = "event-1",
    number: str = "0",
    modified: tuple[Tree, ...] = (),
    priority: tuple[Tree, ...] = (),
    tail: tuple[Tree, ...] = (),
    status: str = "far",
    dtstart: str = "2031-05-06T07:08:09Z",
    length: str = "PT30M",
    tolerance: tuple[Tree, ...] = (),
    notification: tuple[Tree, ...] | None = None,
    ramps: tuple[Tree, ...] = (),
    signals: tuple[Tree, ...] | None = None,
    targets: tuple[Tree, ...] | None = (),
    required: str = "always",
) -> Tree:
    oadr = "a" if profile == "2.0a" else "b"
    return (
        f"{oadr}:oadrEvent",
        (
            "ei:eiEvent",
            (
                "ei:eventDescriptor",
                ("ei:eventID", event_id),
                ("ei:modificationNumber", number),
                *modified,
                *priority,
                ("ei:eiMarketContext", ("emix:marketContext", "http://market.example/dr")),
                ("ei:createdDateTime", "2031-05-05T00:00:00Z"),
                ("ei:eventStatus", status),
                *tail,
            ),
            (
                "ei:eiActivePeriod",
                (
                    "xcal:properties",
                    ("xcal:dtstart", ("xcal:date-time", dtstart)),
                    duration(length),
                    *tolerance,
                    *(
                        (duration("PT1H", "ei:x-eiNotification"),)
                        if notification is None
                        else notification
                    ),
                    *ramps,
                ),
                ("xcal:components",),
            ),
            ("ei:eiEventSignals", *((signal(),) if signals is None else signals)),
            *(() if targets is None else (("ei:eiTarget", *targets),)),
        ),
        (f"{oadr}:oadrResponseRequired", required),
    )


EVENT = Event(
    event_id="event-1",
    modification_number=0,
    market_context="http://market.example/dr",
    created_date_time=utc(2031, 5, 5),
    event_status="far",
    dtstart=utc(2031, 5, 6, 7, 8, 9),
    duration=minutes(30),
    signals=(SIGNAL,),
    notification=minutes(60),
)


def response(code: str = "200", description: str | None = "OK", request_id: str = "") -> Tree:
    return (
        "ei:eiResponse",
        ("ei:responseCode", code),
        *([] if description is None else [("ei:responseDescription", description)]),
        ("pyld:requestID", request_id),
    )


def wrap(message: Tree, *before: Tree) -> Tree:
    """In oadrPayload and oadrSignedObject; ``before`` is where a Signature stands."""
    oadr = message[0].partition(":")[0]
    return (f"{oadr}:oadrPayload", *before, (f"{oadr}:oadrSignedObject", message))


def message(profile: Profile, name: str, *parts: Any) -> Tree:
    if profile == "2.0a":
        return (f"a:{name}", *parts)
    return (f"b:{name}", {"ei:schemaVersion": "2.0b"}, *parts)


def distribute(profile: Profile, *events: Tree, answer: Tree | None = None) -> Tree:
    return message(
        profile,
        "oadrDistributeEvent",
        *([] if answer is None else [answer]),
        ("pyld:requestID", "request-1"),
        ("ei:vtnID", "vtn-1"),
        *events,
    )


def distributed(
    profile: Profile, *events: Event, answer: EiResponse | None = None
) -> DistributeEvent:
    return DistributeEvent("vtn-1", "request-1", events, answer, profile)


def event_response(
    code: str = "200",
    event_id: str = "event-1",
    number: str = "0",
    opt: str = "optIn",
    description: str | None = None,
    request_id: str = "request-1",
) -> Tree:
    return (
        "ei:eventResponse",
        ("ei:responseCode", code),
        *([] if description is None else [("ei:responseDescription", description)]),
        ("pyld:requestID", request_id),
        ("ei:qualifiedEventID", ("ei:eventID", event_id), ("ei:modificationNumber", number)),
        ("ei:optType", opt),
    )


def created(
    profile: Profile, *answers: Tree, answer: Tree | None = None, ven_id: str = "ven-1"
) -> Tree:
    return message(
        profile,
        "oadrCreatedEvent",
        (
            "pyld:eiCreatedEvent",
            response() if answer is None else answer,
            *([("ei:eventResponses", *answers)] if answers else []),
            ("ei:venID", ven_id),
        ),
    )


def request(profile: Profile, *more: Tree, request_id: str = "request-1") -> Tree:
    return message(
        profile,
        "oadrRequestEvent",
        ("pyld:eiRequestEvent", ("pyld:requestID", request_id), ("ei:venID", "ven-1"), *more),
    )


# --- units and targets (2.0b) --------------------------------------------------------------------


def unit(name: str, description: str, units: str, *more: Tree) -> Tree:
    prefix = name.partition(":")[0]
    return (
        name,
        (f"{prefix}:itemDescription", description),
        (f"{prefix}:itemUnits", units),
        *(more or (("scale:siScaleCode", "k"),)),
    )


def power_attributes(ac: str) -> tuple[Tree, Tree]:
    return (
        ("scale:siScaleCode", "none"),
        (
            "power:powerAttributes",
            ("power:hertz", "60.0"),
            ("power:voltage", "110"),
            ("power:ac", ac),
        ),
    )


UNITS: list[tuple[Tree, Unit]] = [
    *(
        (
            unit(f"power:{name}", description, units, *power_attributes(ac)),
            Unit(name, description, units, "none", None, 60.0, 110.0, ac in ("true", "1")),
        )
        for name, description, units, ac in (
            ("powerReal", "RealPower", "W", "true"),
            ("powerReal", "RealPower", "J/s", "false"),
            ("powerApparent", "ApparentPower", "VA", "1"),
            ("powerReactive", "ReactivePower", "VAR", "0"),
        )
    ),
    *(
        (unit(name, description, units), Unit(name.partition(":")[2], description, units, "k"))
        for name, description, units in (
            ("power:energyReal", "RealEnergy", "Wh"),
            ("power:energyApparent", "ApparentEnergy", "VAh"),
            ("power:energyReactive", "ReactiveEnergy", "VARh"),
            ("power:voltage", "Voltage", "V"),
            ("b:current", "Current", "A"),
            ("b:frequency", "Frequency", "Hz"),
            ("b:Therm", "Therm", "thm"),
            ("b:temperature", "temperature", "celsius"),
            ("b:currency", "currency", "USD"),
            ("b:currencyPerKWh", "currencyPerKWh", "EUR"),
            ("b:currencyPerKW", "currencyPerKW", "JPY"),
            ("b:currencyPerThm", "currency", "GBP"),
            ("b:customUnit", "Rückspeisung", "m³/h"),
        )
    ),
    (
        unit("b:pulseCount", "pulse count", "count", ("b:pulseFactor", "0.25")),
        Unit("pulseCount", "pulse count", "count", None, 0.25),
    ),
]

AREA: Tree = (
    "gml:FeatureCollection",
    {"gml:id": "a1"},
    ("gml:location", ("gml:posList", "47.1 8.5 47.2 8.6")),
)
TARGETS: list[tuple[str, tuple[Tree, ...], Targets]] = [
    (
        "ids",
        (
            ("ei:groupID", "group-1"),
            ("ei:groupID", "007"),
            ("ei:resourceID", "1.2.3"),
            ("ei:venID", "true"),
            ("ei:venID", "Größe-北京-🔌"),
            ("ei:partyID", "a&b<c>"),
        ),
        Targets(
            ven_ids=("true", "Größe-北京-🔌"),
            group_ids=("group-1", "007"),
            resource_ids=("1.2.3",),
            party_ids=("a&b<c>",),
        ),
    ),
    (
        "grid",
        (
            ("power:aggregatedPnode", ("power:node", "ap-1")),
            ("power:aggregatedPnode", ("power:node", "ap-2")),
            ("power:endDeviceAsset", ("power:mrid", "Thermostat")),
            ("power:meterAsset", ("power:mrid", "meter-1")),
            ("power:pnode", ("power:node", "pnode-1")),
            ("power:serviceDeliveryPoint", ("power:node", "sdp-1")),
            (
                "power:transportInterface",
                ("power:pointOfReceipt", "here"),
                ("power:pointOfDelivery", "there"),
            ),
            (
                "power:transportInterface",
                ("power:pointOfReceipt", "north"),
                ("power:pointOfDelivery", "south"),
            ),
            ("ei:groupName", "North East"),
        ),
        Targets(
            group_names=("North East",),
            aggregated_pnodes=("ap-1", "ap-2"),
            end_device_assets=("Thermostat",),
            meter_assets=("meter-1",),
            pnodes=("pnode-1",),
            service_delivery_points=("sdp-1",),
            transport_interfaces=(("here", "there"), ("north", "south")),
        ),
    ),
]


# --- the table -----------------------------------------------------------------------------------


def with_event(
    name: str,
    profile: Profile,
    changes: dict[str, Any],
    noted: tuple[str, ...] = (),
    **expected: Any,
) -> Case:
    return Case(
        f"{name}-{profile}",
        distribute(profile, event(profile, **changes)),
        distributed(profile, replace(EVENT, **expected)),
        noted,
    )


def with_signal(name: str, tree: Tree, noted: tuple[str, ...] = (), **expected: Any) -> Case:
    return with_event(
        name, "2.0b", {"signals": (tree,)}, noted, signals=(replace(SIGNAL, **expected),)
    )


def event_cases(profile: Profile) -> list[Case]:
    return [
        with_event("plain", profile, {}),
        with_event(
            "every_option",
            profile,
            {
                "priority": (("ei:priority", "3"),),
                "tail": (("ei:testEvent", "true"), ("ei:vtnComment", "hot & dry <35°C>")),
                "tolerance": (("xcal:tolerance", ("xcal:tolerate", ("xcal:startafter", "PT15M"))),),
                "notification": (duration("P1DT2H", "ei:x-eiNotification"),),
                "ramps": (
                    duration("-PT5M", "ei:x-eiRampUp"),
                    duration("PT2.000S", "ei:x-eiRecovery"),
                ),
                "targets": TARGETS[0][1],
                "required": "never",
                "status": "active",
                "number": "4294967294",
            },
            priority=3,
            test_event="true",
            vtn_comment="hot & dry <35°C>",
            startafter=minutes(15),
            notification=minutes(26 * 60),
            ramp_up=minutes(-5),
            recovery=minutes(2 / 60),
            targets=TARGETS[0][2],
            response_required="never",
            event_status="active",
            modification_number=4294967294,
        ),
        with_event(
            "empty_options",
            profile,
            {
                "tail": (("ei:testEvent",), ("ei:vtnComment",)),
                "tolerance": (("xcal:tolerance",),),
                "length": "PT0S",
            },
            test_event="",
            vtn_comment="",
            duration=Duration(),
        ),
        with_event(
            "several_signals",
            profile,
            {
                "signals": (
                    signal(),
                    signal(name="x-own", kind="price", signal_id="", current="1e-3"),
                    signal(
                        name="simple",
                        signal_id=" s 3 ",
                        intervals=(interval("0", "PT0S", "3.0"),),
                    ),
                )
            },
            signals=(
                SIGNAL,
                replace(
                    SIGNAL,
                    signal_name="x-own",
                    signal_type="price",
                    signal_id="",
                    current_value=1e-3,
                ),
                replace(
                    SIGNAL,
                    signal_name="simple",
                    signal_id=" s 3 ",
                    intervals=(Interval("0", Duration(), 3.0),),
                ),
            ),
        ),
        Case(
            f"no_events-{profile}",
            distribute(profile, answer=response("200", "OK", "request-0")),
            distributed(profile, answer=EiResponse(200, "OK", "request-0")),
        ),
        Case(
            f"three_events-{profile}",
            distribute(
                profile,
                event(profile),
                event(profile, event_id="007", number="12", status="cancelled", signals=()),
                event(profile, event_id="3", status="completed", targets=TARGETS[0][1]),
                answer=response(description=None),
            ),
            distributed(
                profile,
                EVENT,
                replace(
                    EVENT,
                    event_id="007",
                    modification_number=12,
                    event_status="cancelled",
                    signals=(),
                ),
                replace(EVENT, event_id="3", event_status="completed", targets=TARGETS[0][2]),
                answer=EiResponse(200, None, ""),
            ),
        ),
    ]


def other_cases(profile: Profile) -> list[Case]:
    return [
        Case(
            f"request-{profile}",
            request(profile),
            RequestEvent("ven-1", "request-1", None, profile),
        ),
        Case(
            f"request_limited-{profile}",
            request(profile, ("pyld:replyLimit", " +0099 "), request_id=""),
            RequestEvent("ven-1", "", 99, profile),
        ),
        Case(
            f"created_without_answers-{profile}",
            created(profile, answer=response("452", "no such VTN: “x”", "request-1")),
            CreatedEvent("ven-1", (), EiResponse(452, "no such VTN: “x”", "request-1"), profile),
        ),
        Case(
            f"created-{profile}",
            created(
                profile,
                event_response(),
                event_response("450", "007", "4294967294", "optOut", "ä", ""),
            ),
            CreatedEvent(
                "ven-1",
                (
                    EventResponse("event-1", 0, "optIn", 200, None, "request-1"),
                    EventResponse("007", 4294967294, "optOut", 450, "ä", ""),
                ),
                EiResponse(200, "OK", ""),
                profile,
            ),
        ),
        Case(
            f"response-{profile}",
            message(profile, "oadrResponse", response("200", None, "9")),
            Response(EiResponse(200, None, "9"), None, profile),
        ),
        Case(
            f"response_refusing-{profile}",
            message(profile, "oadrResponse", response("404", "", "")),
            Response(EiResponse(404, "", ""), None, profile),
        ),
    ]


def cases_of_2_0b() -> list[Case]:
    found = [
        with_signal(f"unit_{made.name}_{made.item_units}", signal(tree), unit=made)
        for tree, made in UNITS
    ]
    found += [
        with_event(f"targets_{name}", "2.0b", {"targets": trees}, targets=made)
        for name, trees, made in TARGETS
    ]
    found += [
        with_signal(
            "device_class",
            signal(("ei:eiTarget", ("power:endDeviceAsset", ("power:mrid", "Water_Heater")))),
            targets=Targets(end_device_assets=("Water_Heater",)),
        ),
        with_signal(
            "interval_dtstart",
            signal(
                intervals=(
                    interval(None, None, "1", "2031-05-06T07:08:09Z"),
                    interval("1", "PT20M", "2.5", "2031-05-06T09:18:09.5+02:00"),
                )
            ),
            noted=("uid is missing",),
            intervals=(
                Interval(None, None, 1.0, utc(2031, 5, 6, 7, 8, 9)),
                Interval("1", minutes(20), 2.5, utc(2031, 5, 6, 7, 18, 9, 500_000)),
            ),
        ),
        with_signal(
            "payload_that_is_no_float",
            signal(intervals=(interval("0", "PT30M", None),)),
            intervals=(Interval("0", minutes(30), None),),
        ),
        with_signal("no_current_value", signal(current=None), current_value=None),
        with_event(
            "no_notification",
            "2.0b",
            {"notification": ()},
            ("x-eiNotification is missing",),
            notification=None,
        ),
        with_event(
            "modified",
            "2.0b",
            {
                "number": "2",
                "modified": (
                    ("ei:modificationDateTime", "2031-05-05T23:59:59.123456789Z"),
                    ("ei:modificationReason", "grid"),
                ),
            },
            modification_number=2,
            modification_date_time=utc(2031, 5, 5, 23, 59, 59, 123_456),
            modification_reason="grid",
        ),
        with_event(
            "baseline",
            "2.0b",
            {
                "signals": (
                    signal(),
                    (
                        "ei:eiEventBaseline",
                        ("xcal:dtstart", ("xcal:date-time", "2031-05-06T00:00:00Z")),
                        duration("PT24H"),
                        (
                            "strm:intervals",
                            interval("0", "PT12H", "100.5"),
                            interval("1", "PT12H", "-7"),
                        ),
                        ("ei:baselineID", "baseline-1"),
                        ("ei:resourceID", "r1"),
                        ("ei:resourceID", "r2"),
                        ("ei:baselineName", "usual"),
                        UNITS[4][0],
                    ),
                    signal(signal_id="signal-2"),
                ),
                "targets": TARGETS[0][1],
            },
            signals=(SIGNAL, replace(SIGNAL, signal_id="signal-2")),
            targets=TARGETS[0][2],
            baseline=Baseline(
                "baseline-1",
                "usual",
                utc(2031, 5, 6),
                minutes(24 * 60),
                (Interval("0", minutes(720), 100.5), Interval("1", minutes(720), -7.0)),
                ("r1", "r2"),
                UNITS[4][1],
            ),
        ),
        Case(
            "response_with_ven-2.0b",
            message("2.0b", "oadrResponse", response(), ("ei:venID", "ven-9")),
            Response(EiResponse(200, "OK", ""), "ven-9", "2.0b"),
        ),
    ]
    return found


def wrapped(cases: list[Case]) -> list[Case]:
    return [replace(case, name=f"{case.name}-wrapped", tree=wrap(case.tree)) for case in cases]


BARE = [*event_cases("2.0a"), *other_cases("2.0a"), *event_cases("2.0b"), *other_cases("2.0b")]
BARE += cases_of_2_0b()
CASES: list[Case] = BARE + wrapped([case for case in BARE if case.name.endswith("2.0b")])
CASES.append(
    Case(
        "signed-2.0b",
        wrap(
            distribute("2.0b", event("2.0b")),
            ("ds:Signature", ("ds:SignedInfo", ("ei:eventID", "not this one"))),
        ),
        distributed("2.0b", EVENT),
    )
)
BY_NAME = {case.name: case for case in CASES}
