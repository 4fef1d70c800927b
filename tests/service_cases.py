"""Payloads of the 2.0b services as trees, and the message each of them must give. Written by us."""

from __future__ import annotations

from cases import TARGETS, UNITS, Case, duration, minutes, response, utc, wrapped
from payload_trees import Tree

from oadr2.model import (
    CanceledOpt,
    CanceledPartyRegistration,
    CanceledReport,
    CancelOpt,
    CancelPartyRegistration,
    CancelReport,
    CreatedOpt,
    CreatedPartyRegistration,
    CreatedReport,
    CreateOpt,
    CreatePartyRegistration,
    CreateReport,
    EiResponse,
    Extension,
    Info,
    LoadControl,
    LoadControlState,
    Message,
    Period,
    Poll,
    QualifiedEventId,
    QueryRegistration,
    RegisteredReport,
    RegisterReport,
    Report,
    ReportDescription,
    ReportInterval,
    ReportPayload,
    ReportRequest,
    ReportSpecifier,
    RequestReregistration,
    ResourceStatus,
    SamplingRate,
    Service,
    SpecifierPayload,
    SupportedProfile,
    Targets,
    UpdatedReport,
    UpdateReport,
    Vavailability,
)
from oadr2.schedule import Duration

REQUEST: Tree = ("pyld:requestID", "request-1")
VEN: Tree = ("ei:venID", "ven-1")
OK = EiResponse(200, "OK", "")


def case(name: str, tree: Tree, expected: Message, noted: tuple[str, ...] = ()) -> Case:
    element, *contents = tree
    return Case(name, (element, {"ei:schemaVersion": "2.0b"}, *contents), expected, noted)


# --- registration --------------------------------------------------------------------------------


def info(key: str, value: str) -> Tree:
    return ("b:oadrInfo", ("b:oadrKey", key), ("b:oadrValue", value))


def profile(name: str, *transports: str) -> Tree:
    named = [("b:oadrTransport", ("b:oadrTransportName", each)) for each in transports]
    return ("b:oadrProfile", ("b:oadrProfileName", name), ("b:oadrTransports", *named))


REGISTRATION = [
    case(
        "query",
        ("b:oadrQueryRegistration", REQUEST),
        QueryRegistration("request-1"),
    ),
    case(
        "register_first",
        (
            "b:oadrCreatePartyRegistration",
            REQUEST,
            ("b:oadrProfileName", "2.0b"),
            ("b:oadrTransportName", "simpleHttp"),
            ("b:oadrReportOnly", "false"),
            ("b:oadrXmlSignature", "0"),
            ("b:oadrHttpPullModel", "1"),
        ),
        CreatePartyRegistration("request-1", http_pull_model=True),
    ),
    case(
        "register_again_by_xmpp",
        (
            "b:oadrCreatePartyRegistration",
            REQUEST,
            ("ei:registrationID", "007"),
            VEN,
            ("b:oadrProfileName", " 2.0a "),
            ("b:oadrTransportName", "xmpp"),
            ("b:oadrTransportAddress", "ven@example.org/a&b"),
            ("b:oadrReportOnly", "true"),
            ("b:oadrXmlSignature", "1"),
            ("b:oadrVenName", "Kühlhaus <1>"),
        ),
        CreatePartyRegistration(
            "request-1",
            "2.0a",
            "xmpp",
            "ven@example.org/a&b",
            report_only=True,
            xml_signature=True,
            ven_name="Kühlhaus <1>",
            registration_id="007",
            ven_id="ven-1",
        ),
    ),
    case(
        "registered",
        (
            "b:oadrCreatedPartyRegistration",
            response("200", None, "request-1"),
            ("ei:registrationID", "registration-1"),
            VEN,
            ("ei:vtnID", "vtn-1"),
            (
                "b:oadrProfiles",
                profile("2.0a", "simpleHttp"),
                profile("2.0b", "simpleHttp", "xmpp"),
            ),
            duration("PT10S", "b:oadrRequestedOadrPollFreq"),
            (
                "b:oadrServiceSpecificInfo",
                ("b:oadrService", ("b:oadrServiceName", "EiEvent"), info("a", "1"), info("b", "")),
            ),
            (
                "b:oadrExtensions",
                ("b:oadrExtension", ("b:oadrExtensionName", "bare")),
                ("b:oadrExtension", ("b:oadrExtensionName", "x"), info("k", "v")),
            ),
        ),
        CreatedPartyRegistration(
            "vtn-1",
            EiResponse(200, None, "request-1"),
            "registration-1",
            "ven-1",
            (
                SupportedProfile("2.0a", ("simpleHttp",)),
                SupportedProfile("2.0b", ("simpleHttp", "xmpp")),
            ),
            minutes(1 / 6),
            (Service("EiEvent", (Info("a", "1"), Info("b", ""))),),
            (Extension("bare"), Extension("x", (Info("k", "v"),))),
        ),
    ),
    case(
        "cancel_registration",
        ("b:oadrCancelPartyRegistration", REQUEST, ("ei:registrationID", "r"), VEN),
        CancelPartyRegistration("r", "request-1", "ven-1"),
    ),
    case(
        "canceled_registration",
        ("b:oadrCanceledPartyRegistration", response("452", "not ours", "request-1")),
        CanceledPartyRegistration(EiResponse(452, "not ours", "request-1")),
    ),
    case("reregister", ("b:oadrRequestReregistration", VEN), RequestReregistration("ven-1")),
    case("poll", ("b:oadrPoll", VEN), Poll("ven-1")),
]


# --- reports -------------------------------------------------------------------------------------


def request(name: str, *payloads: Tree, interval: tuple[Tree, ...] = ()) -> Tree:
    return (
        "b:oadrReportRequest",
        ("ei:reportRequestID", name),
        (
            "ei:reportSpecifier",
            ("ei:reportSpecifierID", "specifier-1"),
            duration("PT1M", "xcal:granularity"),
            duration("PT15M", "ei:reportBackDuration"),
            *interval,
            *payloads,
        ),
    )


def wanted(name: str, *unit: Tree, reading: str = "Direct Read") -> Tree:
    return ("ei:specifierPayload", ("ei:rID", name), *unit, ("ei:readingType", reading))


def properties(start: str, length: str, *more: Tree) -> Tree:
    return (
        "xcal:properties",
        ("xcal:dtstart", ("xcal:date-time", start)),
        duration(length),
        *more,
    )


def report(*contents: Tree, head: tuple[Tree, ...] = (), name: str | None = None) -> Tree:
    return (
        "b:oadrReport",
        *head,
        *contents,
        ("ei:reportRequestID", "request-7"),
        ("ei:reportSpecifierID", "specifier-1"),
        *([("ei:reportName", name)] if name else []),
        ("ei:createdDateTime", "2031-05-06T07:08:09Z"),
    )


def reading(name: str, value: str | None, *after: Tree, before: tuple[Tree, ...] = ()) -> Tree:
    read = () if value is None else (("ei:payloadFloat", ("ei:value", value)),)
    return ("b:oadrReportPayload", ("ei:rID", name), *before, *read, *after)


REPORT_REQUESTS = (
    request(
        "request-7",
        wanted("point-1", UNITS[0][0]),
        wanted("point-2", reading="x-notApplicable"),
        interval=(
            (
                "ei:reportInterval",
                properties(
                    "2031-05-06T07:00:00Z",
                    "PT0S",
                    ("xcal:tolerance", ("xcal:tolerate", ("xcal:startafter", "PT5M"))),
                    duration("-PT1M", "ei:x-eiRampUp"),
                ),
            ),
        ),
    ),
    request("request-8", wanted("point-1")),
)
REQUESTED = (
    ReportRequest(
        "request-7",
        ReportSpecifier(
            "specifier-1",
            minutes(1),
            minutes(15),
            (SpecifierPayload("point-1", "Direct Read", UNITS[0][1]), SpecifierPayload("point-2")),
            Period(utc(2031, 5, 6, 7), Duration(), startafter=minutes(5), ramp_up=minutes(-1)),
        ),
    ),
    ReportRequest(
        "request-8",
        ReportSpecifier(
            "specifier-1",
            minutes(1),
            minutes(15),
            (SpecifierPayload("point-1", "Direct Read"),),
        ),
    ),
)
CREATED = utc(2031, 5, 6, 7, 8, 9)
STATUS: Tree = (
    "b:oadrPayloadResourceStatus",
    ("b:oadrOnline", "true"),
    ("b:oadrManualOverride", "0"),
    (
        "b:oadrLoadControlState",
        ("b:oadrCapacity", ("b:oadrMin", "-5"), ("b:oadrMax", "5"), ("b:oadrCurrent", "2")),
        ("b:oadrSetPoint", ("b:oadrCurrent", "21.5"), ("b:oadrNormal", "20")),
    ),
)
CANCEL: tuple[Tree, ...] = (
    REQUEST,
    ("ei:reportRequestID", "request-7"),
    ("ei:reportRequestID", "request-8"),
    ("pyld:reportToFollow", "true"),
)
CANCELLATION = CancelReport(("request-7", "request-8"), True, "request-1")
REPORTS = [
    case("no_reports", ("b:oadrRegisterReport", REQUEST), RegisterReport("request-1")),
    case(
        "metadata",
        (
            "b:oadrRegisterReport",
            REQUEST,
            report(
                (
                    "b:oadrReportDescription",
                    ("ei:rID", "point-1"),
                    ("ei:reportSubject", ("power:endDeviceAsset", ("power:mrid", "Thermostat"))),
                    ("ei:reportDataSource", *TARGETS[0][1]),
                    ("ei:reportType", "usage"),
                    UNITS[4][0],
                    ("ei:readingType", "Direct Read"),
                    ("emix:marketContext", "http://market.example/"),
                    (
                        "b:oadrSamplingRate",
                        ("b:oadrMinPeriod", "PT1M"),
                        ("b:oadrMaxPeriod", "PT1H"),
                        ("b:oadrOnChange", "false"),
                    ),
                ),
                (
                    "b:oadrReportDescription",
                    ("ei:rID", "point-2"),
                    ("ei:reportType", "x-resourceStatus"),
                    ("ei:readingType", "x-notApplicable"),
                ),
                head=(duration("PT2H"),),
                name="METADATA_TELEMETRY_USAGE",
            ),
            VEN,
            ("ei:reportRequestID", "0"),
        ),
        RegisterReport(
            "request-1",
            (
                Report(
                    "request-7",
                    "specifier-1",
                    CREATED,
                    "METADATA_TELEMETRY_USAGE",
                    duration=minutes(120),
                    report_descriptions=(
                        ReportDescription(
                            "point-1",
                            "usage",
                            "Direct Read",
                            UNITS[4][1],
                            Targets(end_device_assets=("Thermostat",)),
                            TARGETS[0][2],
                            "http://market.example/",
                            SamplingRate(minutes(1), minutes(60)),
                        ),
                        ReportDescription("point-2", "x-resourceStatus", "x-notApplicable"),
                    ),
                ),
            ),
            "ven-1",
            "0",
        ),
    ),
    *(
        case(
            f"point_in_{made.name}_{made.item_units}",
            (
                "b:oadrRegisterReport",
                REQUEST,
                report(
                    (
                        "b:oadrReportDescription",
                        ("ei:rID", "p"),
                        ("ei:reportType", "x-own"),
                        tree,
                        ("ei:readingType", "Mean"),
                    )
                ),
            ),
            RegisterReport(
                "request-1",
                (
                    Report(
                        "request-7",
                        "specifier-1",
                        CREATED,
                        report_descriptions=(ReportDescription("p", "x-own", "Mean", made),),
                    ),
                ),
            ),
        )
        for tree, made in UNITS
    ),
    case(
        "registered_report",
        ("b:oadrRegisteredReport", response(), *REPORT_REQUESTS, VEN),
        RegisteredReport(OK, REQUESTED, "ven-1"),
    ),
    case(
        "registered_no_report",
        ("b:oadrRegisteredReport", response("454", "", "")),
        RegisteredReport(EiResponse(454, "", "")),
    ),
    case(
        "create_report",
        ("b:oadrCreateReport", REQUEST, *REPORT_REQUESTS, VEN),
        CreateReport(REQUESTED, "request-1", "ven-1"),
    ),
    case(
        "created_report",
        (
            "b:oadrCreatedReport",
            response(),
            ("b:oadrPendingReports", *CANCEL[1:3]),
            VEN,
        ),
        CreatedReport(OK, ("request-7", "request-8"), "ven-1"),
    ),
    case(
        "usage",
        (
            "b:oadrUpdateReport",
            REQUEST,
            report(
                (
                    "strm:intervals",
                    (
                        "ei:interval",
                        ("xcal:dtstart", ("xcal:date-time", "2031-05-06T07:00:00Z")),
                        duration("PT15M"),
                        ("xcal:uid", ("xcal:text", "0")),
                        reading(
                            "point-1",
                            " 3.25 ",
                            ("b:oadrDataQuality", "Quality Good - Non Specific"),
                            before=(("ei:confidence", "95"), ("ei:accuracy", "0.5")),
                        ),
                        reading("point-2", "-1e3", ("b:oadrDataQuality", "x-own words")),
                    ),
                    ("ei:interval", reading("point-1", "4")),
                ),
                ("ei:eiReportID", "report-1"),
                head=(
                    ("xcal:dtstart", ("xcal:date-time", "2031-05-06T07:00:00Z")),
                    duration("PT30M"),
                ),
                name="TELEMETRY_USAGE",
            ),
            report(),
            VEN,
        ),
        UpdateReport(
            "request-1",
            (
                Report(
                    "request-7",
                    "specifier-1",
                    CREATED,
                    "TELEMETRY_USAGE",
                    utc(2031, 5, 6, 7),
                    minutes(30),
                    (
                        ReportInterval(
                            (
                                ReportPayload(
                                    "point-1",
                                    3.25,
                                    None,
                                    95,
                                    0.5,
                                    "Quality Good - Non Specific",
                                ),
                                ReportPayload("point-2", -1000.0, data_quality="x-own words"),
                            ),
                            utc(2031, 5, 6, 7),
                            minutes(15),
                            "0",
                        ),
                        ReportInterval((ReportPayload("point-1", 4.0),)),
                    ),
                    "report-1",
                ),
                Report("request-7", "specifier-1", CREATED),
            ),
            "ven-1",
        ),
    ),
    case(
        "status",
        (
            "b:oadrUpdateReport",
            REQUEST,
            report(("strm:intervals", ("ei:interval", reading("load", None, STATUS)))),
        ),
        UpdateReport(
            "request-1",
            (
                Report(
                    "request-7",
                    "specifier-1",
                    CREATED,
                    intervals=(
                        ReportInterval(
                            (
                                ReportPayload(
                                    "load",
                                    resource_status=ResourceStatus(
                                        True,
                                        False,
                                        LoadControlState(
                                            capacity=LoadControl(2.0, None, -5.0, 5.0),
                                            set_point=LoadControl(21.5, 20.0),
                                        ),
                                    ),
                                ),
                            )
                        ),
                    ),
                ),
            ),
        ),
    ),
    case("updated", ("b:oadrUpdatedReport", response(), VEN), UpdatedReport(OK, None, "ven-1")),
    case(
        "updated_and_cancelled",
        ("b:oadrUpdatedReport", response(), ("b:oadrCancelReport", *CANCEL), VEN),
        UpdatedReport(OK, CANCELLATION, "ven-1"),
    ),
    case("cancel_report", ("b:oadrCancelReport", *CANCEL), CANCELLATION),
    case(
        "canceled_report",
        ("b:oadrCanceledReport", response(), ("b:oadrPendingReports",)),
        CanceledReport(OK),
    ),
]


# --- opts ----------------------------------------------------------------------------------------


def available(start: str, length: str) -> Tree:
    return ("xcal:available", properties(start, length))


OPTS = [
    case(
        "opt_of_an_event",
        (
            "b:oadrCreateOpt",
            ("ei:optID", "opt-1"),
            ("ei:optType", " optIn "),
            ("ei:optReason", "participating"),
            VEN,
            ("ei:createdDateTime", "2031-05-06T07:08:09Z"),
            REQUEST,
            (
                "ei:qualifiedEventID",
                ("ei:eventID", "event-1"),
                ("ei:modificationNumber", "4294967295"),
            ),
            ("ei:eiTarget",),
        ),
        CreateOpt(
            "opt-1",
            "optIn",
            "participating",
            "ven-1",
            CREATED,
            "request-1",
            QualifiedEventId("event-1", 4294967295),
        ),
    ),
    case(
        "opt_schedule",
        (
            "b:oadrCreateOpt",
            ("ei:optID", "opt-1"),
            ("ei:optType", "optOut"),
            ("ei:optReason", "x-schedule"),
            ("emix:marketContext", "urn:dr"),
            VEN,
            (
                "xcal:vavailability",
                (
                    "xcal:components",
                    available("2031-05-06T07:00:00Z", "PT1H"),
                    available("2031-05-07T07:00:00Z", "PT40M"),
                ),
            ),
            ("ei:createdDateTime", "2031-05-06T07:08:09Z"),
            REQUEST,
            ("ei:eiTarget", *TARGETS[1][1]),
            ("b:oadrDeviceClass", ("power:endDeviceAsset", ("power:mrid", "Pool_Pump"))),
        ),
        CreateOpt(
            "opt-1",
            "optOut",
            "x-schedule",
            "ven-1",
            CREATED,
            "request-1",
            None,
            Vavailability(
                (
                    Period(utc(2031, 5, 6, 7), minutes(60)),
                    Period(utc(2031, 5, 7, 7), minutes(40)),
                )
            ),
            TARGETS[1][2],
            Targets(end_device_assets=("Pool_Pump",)),
            "urn:dr",
        ),
    ),
    case(
        "opt_of_no_times",
        (
            "b:oadrCreateOpt",
            ("ei:optID", "opt-1"),
            ("ei:optType", "optOut"),
            ("ei:optReason", "x-schedule"),
            VEN,
            ("xcal:vavailability", ("xcal:components",)),
            ("ei:createdDateTime", "2031-05-06T07:08:09Z"),
            REQUEST,
            ("ei:eiTarget",),
        ),
        CreateOpt(
            "opt-1",
            "optOut",
            "x-schedule",
            "ven-1",
            CREATED,
            "request-1",
            vavailability=Vavailability(),
        ),
    ),
    case(
        "created_opt",
        ("b:oadrCreatedOpt", response(), ("ei:optID", "opt-1")),
        CreatedOpt("opt-1", OK),
    ),
    case(
        "cancel_opt",
        ("b:oadrCancelOpt", REQUEST, ("ei:optID", "opt-1"), VEN),
        CancelOpt("opt-1", "ven-1", "request-1"),
    ),
    case(
        "canceled_opt",
        ("b:oadrCanceledOpt", response(), ("ei:optID", "opt-1")),
        CanceledOpt(OK, "opt-1"),
    ),
    case("canceled_opt_unnamed", ("b:oadrCanceledOpt", response()), CanceledOpt(OK)),
]

BARE = [*REGISTRATION, *REPORTS, *OPTS]
SERVICE_CASES = BARE + wrapped(BARE)
SERVICE_BY_NAME = {each.name: each for each in SERVICE_CASES}
