"""The messages of the other services, which exist in 2.0b only; elements.py says how to read this."""

from __future__ import annotations

from elements import (
    BOOLEAN,
    DATE_TIME,
    DATE_TIME_TEXT,
    DURATION,
    DURATION_TEXT,
    ID,
    LEAF,
    NUMBER,
    PERCENT,
    QUALIFIED_EVENT_ID,
    RAW,
    RESPONSE,
    SIGNED_TEXT,
    TARGET,
    TOKEN,
    UNITS,
)

# Lists of words (facts.md 1.6 to 1.8). "open" ones take any word with x- in front; of the closed ones
# "strict" refuses the message for another word, the rest note it and keep it.
WORDS = {
    "opt_type": ("strict", ("optIn", "optOut")),
    "opt_reason": (
        "open",
        (
            "economic",
            "emergency",
            "mustRun",
            "notParticipating",
            "outageRunStatus",
            "overrideStatus",
            "participating",
            "x-schedule",
        ),
    ),
    "profile_name": ("closed", ("2.0a", "2.0b")),
    "transport_name": ("closed", ("simpleHttp", "xmpp")),
    "service_name": ("closed", ("EiEvent", "EiOpt", "EiReport", "EiRegisterParty", "OadrPoll")),
    "report_name": (
        "open",
        tuple(
            prefix + name
            for prefix in ("", "METADATA_")
            for name in (
                "HISTORY_USAGE",
                "HISTORY_GREENBUTTON",
                "TELEMETRY_USAGE",
                "TELEMETRY_STATUS",
            )
        ),
    ),
    "report_type": (
        "open",
        tuple(
            (
                "reading usage demand setPoint deltaUsage deltaSetPoint deltaDemand baseline deviation "
                "avgUsage avgDemand operatingState upRegulationCapacityAvailable "
                "downRegulationCapacityAvailable regulationSetpoint storedEnergy targetEnergyStorage "
                "availableEnergyStorage price level powerFactor percentUsage percentDemand "
                "x-resourceStatus"
            ).split()
        ),
    ),
    "reading_type": (
        "open",
        (
            "Direct Read",
            *"Net Allocated Estimated Summed Derived Mean Peak Hybrid Contract Projected".split(),
            "x-RMS",
            "x-notApplicable",
        ),
    ),
    "data_quality": (
        "open",
        (
            "No Quality - No Value",
            "No New Value - Previous Value Used",
            *(
                f"Quality Bad - {word}"
                for word in (
                    "Non Specific",
                    "Configuration Error",
                    "Not Connected",
                    "Device Failure",
                    "Sensor Failure",
                    "Last Known Value",
                    "Comm Failure",
                    "Out of Service",
                )
            ),
            *(
                f"Quality Uncertain - {word}"
                for word in (
                    "Non Specific",
                    "Last Usable Value",
                    "Sensor Not Accurate",
                    "EU Units Exceeded",
                    "Sub Normal",
                )
            ),
            "Quality Good - Non Specific",
            "Quality Good - Local Override",
            *(f"Quality Limit - Field/{word}" for word in ("Not", "Low", "High", "Constant")),
        ),
    ),
}
FEED = {"11 atom:feed feed": RAW}
SERVICE_UNITS = {**UNITS, "?? oadr:oadrGBDataDescription unit": ("GREEN_BUTTON_UNIT", FEED, "Unit")}
PERIOD = (
    "PERIOD",
    {
        "11 xcal:properties": {
            "11 xcal:dtstart dtstart": DATE_TIME,
            "11 xcal:duration duration": DURATION,
            "!! xcal:tolerance startafter": {
                "11 xcal:tolerate": {"!! xcal:startafter": DURATION_TEXT}
            },
            "?? ei:x-eiNotification notification": {"11 xcal:duration": SIGNED_TEXT},
            "?? ei:x-eiRampUp ramp_up": {"11 xcal:duration": SIGNED_TEXT},
            "?? ei:x-eiRecovery recovery": {"11 xcal:duration": SIGNED_TEXT},
        }
    },
    "Period",
)
CONTROL = (
    "CONTROL",
    {
        "?? oadr:oadrMin min": NUMBER,
        "?? oadr:oadrMax max": NUMBER,
        "11 oadr:oadrCurrent current": NUMBER,
        "?? oadr:oadrNormal normal": NUMBER,
    },
    "LoadControl",
)
REPORT_PAYLOAD = (
    "REPORT_PAYLOAD",
    {
        "11 ei:rID r_id": ID,
        "?? ei:confidence confidence": PERCENT,
        "?? ei:accuracy accuracy": NUMBER,
        "|| ei:payloadFloat value": {"11 ei:value": NUMBER},
        "|| oadr:oadrPayloadResourceStatus resource_status": (
            "RESOURCE_STATUS",
            {
                "11 oadr:oadrOnline online": BOOLEAN,
                "11 oadr:oadrManualOverride manual_override": BOOLEAN,
                "?? oadr:oadrLoadControlState load_control_state": (
                    "LOAD_CONTROL_STATE",
                    {
                        "?? oadr:oadrCapacity capacity": CONTROL,
                        "?? oadr:oadrLevelOffset level_offset": CONTROL,
                        "?? oadr:oadrPercentOffset percent_offset": CONTROL,
                        "?? oadr:oadrSetPoint set_point": CONTROL,
                    },
                    "LoadControlState",
                ),
            },
            "ResourceStatus",
        ),
        "?? oadr:oadrDataQuality data_quality": "data_quality",
    },
    "ReportPayload",
)
REPORT = (
    "REPORT",
    {
        "!! xcal:dtstart dtstart": DATE_TIME,
        "!! xcal:duration duration": DURATION,
        "?? strm:intervals": {
            "++ ei:interval intervals": (
                "REPORT_INTERVAL",
                {
                    "!! xcal:dtstart dtstart": DATE_TIME,
                    "!! xcal:duration duration": DURATION,
                    "?? xcal:uid uid": {"11 xcal:text": LEAF},
                    "++ oadr:oadrReportPayload payloads": REPORT_PAYLOAD,
                    "++ oadr:oadrGBPayload payloads": ("GB_PAYLOAD", FEED, "GreenButtonPayload"),
                },
                "ReportInterval",
            )
        },
        "?? ei:eiReportID report_id": LEAF,
        "** oadr:oadrReportDescription report_descriptions": (
            "REPORT_DESCRIPTION",
            {
                "11 ei:rID r_id": ID,
                "?? ei:reportSubject report_subject": TARGET,
                "?? ei:reportDataSource report_data_source": TARGET,
                "11 ei:reportType report_type": "report_type",
                **SERVICE_UNITS,
                "11 ei:readingType reading_type": "reading_type",
                "?? emix:marketContext market_context": TOKEN,
                "?? oadr:oadrSamplingRate sampling_rate": (
                    "SAMPLING_RATE",
                    {
                        "11 oadr:oadrMinPeriod min_period": DURATION_TEXT,
                        "11 oadr:oadrMaxPeriod max_period": DURATION_TEXT,
                        "ww oadr:oadrOnChange on_change": BOOLEAN,
                    },
                    "SamplingRate",
                ),
            },
            "ReportDescription",
        ),
        "11 ei:reportRequestID report_request_id": ID,
        "11 ei:reportSpecifierID report_specifier_id": ID,
        "?? ei:reportName report_name": "report_name",
        "11 ei:createdDateTime created_date_time": DATE_TIME_TEXT,
    },
    "Report",
)
REPORT_REQUEST = (
    "REPORT_REQUEST",
    {
        "11 ei:reportRequestID report_request_id": ID,
        "11 ei:reportSpecifier report_specifier": (
            "REPORT_SPECIFIER",
            {
                "11 ei:reportSpecifierID report_specifier_id": ID,
                "11 xcal:granularity granularity": DURATION,
                "11 ei:reportBackDuration report_back_duration": DURATION,
                "?? ei:reportInterval report_interval": PERIOD,
                "++ ei:specifierPayload specifier_payloads": (
                    "SPECIFIER_PAYLOAD",
                    {
                        "11 ei:rID r_id": ID,
                        **SERVICE_UNITS,
                        "ww ei:readingType reading_type": "reading_type",
                    },
                    "SpecifierPayload",
                ),
            },
            "ReportSpecifier",
        ),
    },
    "ReportRequest",
)
PENDING = {"** ei:reportRequestID pending_reports": ID}
CANCEL_REPORT = (
    "CANCEL_REPORT",
    {
        "ww pyld:requestID request_id": LEAF,
        "++ ei:reportRequestID report_request_ids": ID,
        "ww pyld:reportToFollow report_to_follow": BOOLEAN,
        "?? ei:venID ven_id": LEAF,
    },
    "CancelReport",
)
INFO = (
    "INFO",
    {"11 oadr:oadrKey key": LEAF, "11 oadr:oadrValue value": LEAF},
    "Info",
)
TRANSPORT = {"11 oadr:oadrTransportName": "transport_name"}
SERVICES = {
    "?? oadr:oadrCancelOpt": (
        "CANCEL_OPT",
        {
            "ww pyld:requestID request_id": LEAF,
            "11 ei:optID opt_id": ID,
            "11 ei:venID ven_id": ID,
        },
        "CancelOpt",
    ),
    "?? oadr:oadrCanceledOpt": (
        "CANCELED_OPT",
        {"11 ei:eiResponse response": RESPONSE, "?? ei:optID opt_id": LEAF},
        "CanceledOpt",
    ),
    "?? oadr:oadrCreateOpt": (
        "CREATE_OPT",
        {
            "11 ei:optID opt_id": ID,
            "11 ei:optType opt_type": "opt_type",
            "11 ei:optReason opt_reason": "opt_reason",
            "?? emix:marketContext market_context": TOKEN,
            "11 ei:venID ven_id": ID,
            "!! xcal:vavailability vavailability": (
                "VAVAILABILITY",
                {"11 xcal:components": {"** xcal:available available": PERIOD}},
                "Vavailability",
            ),
            "11 ei:createdDateTime created_date_time": DATE_TIME_TEXT,
            "ww pyld:requestID request_id": LEAF,
            "!! ei:qualifiedEventID qualified_event_id": QUALIFIED_EVENT_ID,
            "ww ei:eiTarget targets": TARGET,
            "?? oadr:oadrDeviceClass device_class": TARGET,
        },
        "CreateOpt",
    ),
    "?? oadr:oadrCreatedOpt": (
        "CREATED_OPT",
        {"11 ei:eiResponse response": RESPONSE, "ww ei:optID opt_id": ID},
        "CreatedOpt",
    ),
    "?? oadr:oadrCancelReport": CANCEL_REPORT,
    "?? oadr:oadrCanceledReport": (
        "CANCELED_REPORT",
        {
            "11 ei:eiResponse response": RESPONSE,
            "ww oadr:oadrPendingReports": PENDING,
            "?? ei:venID ven_id": LEAF,
        },
        "CanceledReport",
    ),
    "?? oadr:oadrCreateReport": (
        "CREATE_REPORT",
        {
            "ww pyld:requestID request_id": LEAF,
            "++ oadr:oadrReportRequest report_requests": REPORT_REQUEST,
            "?? ei:venID ven_id": LEAF,
        },
        "CreateReport",
    ),
    "?? oadr:oadrCreatedReport": (
        "CREATED_REPORT",
        {
            "11 ei:eiResponse response": RESPONSE,
            "ww oadr:oadrPendingReports": PENDING,
            "?? ei:venID ven_id": LEAF,
        },
        "CreatedReport",
    ),
    "?? oadr:oadrRegisterReport": (
        "REGISTER_REPORT",
        {
            "ww pyld:requestID request_id": LEAF,
            "** oadr:oadrReport reports": REPORT,
            "?? ei:venID ven_id": LEAF,
            "?? ei:reportRequestID report_request_id": LEAF,
        },
        "RegisterReport",
    ),
    "?? oadr:oadrRegisteredReport": (
        "REGISTERED_REPORT",
        {
            "11 ei:eiResponse response": RESPONSE,
            "** oadr:oadrReportRequest report_requests": REPORT_REQUEST,
            "?? ei:venID ven_id": LEAF,
        },
        "RegisteredReport",
    ),
    "?? oadr:oadrUpdateReport": (
        "UPDATE_REPORT",
        {
            "ww pyld:requestID request_id": LEAF,
            "** oadr:oadrReport reports": REPORT,
            "?? ei:venID ven_id": LEAF,
        },
        "UpdateReport",
    ),
    "?? oadr:oadrUpdatedReport": (
        "UPDATED_REPORT",
        {
            "11 ei:eiResponse response": RESPONSE,
            "!! oadr:oadrCancelReport cancel_report": CANCEL_REPORT,
            "?? ei:venID ven_id": LEAF,
        },
        "UpdatedReport",
    ),
    "?? oadr:oadrCancelPartyRegistration": (
        "CANCEL_PARTY_REGISTRATION",
        {
            "ww pyld:requestID request_id": LEAF,
            "11 ei:registrationID registration_id": ID,
            "?? ei:venID ven_id": LEAF,
        },
        "CancelPartyRegistration",
    ),
    "?? oadr:oadrCanceledPartyRegistration": (
        "CANCELED_PARTY_REGISTRATION",
        {
            "11 ei:eiResponse response": RESPONSE,
            "?? ei:registrationID registration_id": LEAF,
            "?? ei:venID ven_id": LEAF,
        },
        "CanceledPartyRegistration",
    ),
    "?? oadr:oadrCreatePartyRegistration": (
        "CREATE_PARTY_REGISTRATION",
        {
            "ww pyld:requestID request_id": LEAF,
            "?? ei:registrationID registration_id": LEAF,
            "?? ei:venID ven_id": LEAF,
            "ww oadr:oadrProfileName profile_name": "profile_name",
            "ww oadr:oadrTransportName transport_name": "transport_name",
            "?? oadr:oadrTransportAddress transport_address": LEAF,
            "ww oadr:oadrReportOnly report_only": BOOLEAN,
            "ww oadr:oadrXmlSignature xml_signature": BOOLEAN,
            "?? oadr:oadrVenName ven_name": LEAF,
            "?? oadr:oadrHttpPullModel http_pull_model": BOOLEAN,
        },
        "CreatePartyRegistration",
    ),
    "?? oadr:oadrCreatedPartyRegistration": (
        "CREATED_PARTY_REGISTRATION",
        {
            "11 ei:eiResponse response": RESPONSE,
            "?? ei:registrationID registration_id": LEAF,
            "?? ei:venID ven_id": LEAF,
            "ww ei:vtnID vtn_id": ID,
            "ww oadr:oadrProfiles": {
                "mm oadr:oadrProfile profiles": (
                    "SUPPORTED_PROFILE",
                    {
                        "11 oadr:oadrProfileName profile_name": "profile_name",
                        "ww oadr:oadrTransports": {"mm oadr:oadrTransport transports": TRANSPORT},
                    },
                    "SupportedProfile",
                )
            },
            "?? oadr:oadrRequestedOadrPollFreq requested_oadr_poll_freq": DURATION,
            "?? oadr:oadrServiceSpecificInfo": {
                "** oadr:oadrService service_specific_info": (
                    "SERVICE",
                    {
                        "11 oadr:oadrServiceName service_name": "service_name",
                        "mm oadr:oadrInfo info": INFO,
                    },
                    "Service",
                )
            },
            "?? oadr:oadrExtensions": {
                "** oadr:oadrExtension extensions": (
                    "EXTENSION",
                    {
                        "11 oadr:oadrExtensionName extension_name": LEAF,
                        "** oadr:oadrInfo info": INFO,
                    },
                    "Extension",
                )
            },
        },
        "CreatedPartyRegistration",
    ),
    "?? oadr:oadrRequestReregistration": (
        "REQUEST_REREGISTRATION",
        {"11 ei:venID ven_id": ID},
        "RequestReregistration",
    ),
    "?? oadr:oadrQueryRegistration": (
        "QUERY_REGISTRATION",
        {"ww pyld:requestID request_id": LEAF},
        "QueryRegistration",
    ),
    "?? oadr:oadrPoll": ("POLL", {"11 ei:venID ven_id": ID}, "Poll"),
}
