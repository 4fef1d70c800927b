"""Which element stands where, how often, and what it holds: the one description of all 23 messages.

The event service and what all services share stand here, the rest in ``service_elements.py``.

A line reads ``"xx prefix:localName attribute": child``. The two signs are what a *receiver* insists
on in 2.0a and in 2.0b, which is less than the schema does (field-notes.md 10):

    1  exactly one; without it the event (or message) is refused
    w  wanted: exactly one by the schema, a missing one is only noted
    ?  at most one; what cannot be read is noted and dropped
    !  at most one; what cannot be read refuses the message (services only)
    |  exactly one of the lines with this sign; two are refused, none is noted (services only)
    *  any number
    +  at least one
    m  at least one by the schema, none is only noted (services only)

``child`` is what a text holds, or the lines of the elements inside: a dictionary, or a tuple with a
name for it and the class of ``oadr2.model`` that it becomes. ``attribute`` is where the value goes in the
innermost object around; lines of one parent with the same attribute are alternatives. An element without
attribute and class is only there for the XML. The lines stand in the schema's order, which is that of
writing. The messages of the event service have a decoder of their own, which ignores attributes and
classes.
"""

from __future__ import annotations

from typing import Any

NAMESPACES = {  # facts.md 1.1; 2.0a and 2.0b share every namespace but their own
    "oadr_a": "http://openadr.org/oadr-2.0a/2012/07",
    "oadr_b": "http://openadr.org/oadr-2.0b/2012/07",
    "pyld": "http://docs.oasis-open.org/ns/energyinterop/201110/payloads",
    "ei": "http://docs.oasis-open.org/ns/energyinterop/201110",
    "emix": "http://docs.oasis-open.org/ns/emix/2011/06",
    "xcal": "urn:ietf:params:xml:ns:icalendar-2.0",
    "strm": "urn:ietf:params:xml:ns:icalendar-2.0:stream",
    "power": "http://docs.oasis-open.org/ns/emix/2011/06/power",
    "scale": "http://docs.oasis-open.org/ns/emix/2011/06/siscale",
    "gml": "http://www.opengis.net/gml/3.2",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
    "atom": "http://www.w3.org/2005/Atom",
    "xml": "http://www.w3.org/XML/1998/namespace",
    "xmlns": "http://www.w3.org/2000/xmlns/",
}

# What the text of an element is. The event decoder knows its own by their place, the others go by this.
LEAF = "text"
TOKEN = "token"  # blanks around it mean nothing
ID = "id"  # must not be empty
WHOLE = "whole"  # xs:unsignedInt
PERCENT = "percent"
NUMBER = "number"  # xs:float
BOOLEAN = "boolean"
CODE = "code"  # three digits
DATE_TIME_TEXT = "date_time"
DURATION_TEXT = "duration"
SIGNED_TEXT = "signed_duration"  # may be negative when we send it
RAW = "raw"  # an element kept as XML
# The rest are words from a list: WORDS in service_elements.py.

DURATION = {"11 xcal:duration": DURATION_TEXT}
DATE_TIME = {"11 xcal:date-time": DATE_TIME_TEXT}
FLOAT = {"11 ei:payloadFloat": {"11 ei:value": NUMBER}}
NODE = {"11 power:node": LEAF}
MRID = {"11 power:mrid": LEAF}
AREA = {"11 gml:FeatureCollection": RAW}

# State names are given where a subtree is shared, or where two would collide.
RESPONSE = (
    "EI_RESPONSE",
    {
        "11 ei:responseCode response_code": CODE,
        "?? ei:responseDescription response_description": LEAF,
        "ww pyld:requestID request_id": LEAF,
    },
    "EiResponse",
)
QUALIFIED_EVENT_ID = (
    "QUALIFIED_EVENT_ID",
    {
        "11 ei:eventID event_id": ID,
        "11 ei:modificationNumber modification_number": WHOLE,
    },
    "QualifiedEventId",
)
TARGET = (
    "TARGET",
    {
        "** power:aggregatedPnode aggregated_pnodes": NODE,
        "** power:endDeviceAsset end_device_assets": MRID,
        "** power:meterAsset meter_assets": MRID,
        "** power:pnode pnodes": NODE,
        "** emix:serviceArea service_areas": AREA,
        "** power:serviceDeliveryPoint service_delivery_points": NODE,
        "** power:serviceLocation service_locations": AREA,
        "** power:transportInterface transport_interfaces": (
            "TARGET_TRANSPORTINTERFACE",
            {
                "11 power:pointOfReceipt point_of_receipt": LEAF,
                "11 power:pointOfDelivery point_of_delivery": LEAF,
            },
            "pair",
        ),
        "** ei:groupID group_ids": LEAF,
        "** ei:groupName group_names": LEAF,
        "** ei:resourceID resource_ids": LEAF,
        "** ei:venID ven_ids": LEAF,
        "** ei:partyID party_ids": LEAF,
    },
    "Targets",
)
INTERVALS = (
    "INTERVALS",
    {
        "++ ei:interval": (
            "INTERVAL",
            {
                "?? xcal:dtstart": DATE_TIME,
                "w? xcal:duration": DURATION,
                "ww xcal:uid": {"ww xcal:text": LEAF},
                "++ ei:signalPayload": {"?? ei:payloadFloat": {"11 ei:value": LEAF}},
            },
        )
    },
)
UNIT = (
    "UNIT",
    {
        "?? power:itemDescription item_description": LEAF,
        "?? power:itemUnits item_units": LEAF,
        "?? oadr:itemDescription item_description": LEAF,
        "?? oadr:itemUnits item_units": LEAF,
        "?? scale:siScaleCode si_scale_code": TOKEN,
        "?? oadr:pulseFactor pulse_factor": NUMBER,
        "?? power:powerAttributes": {
            "?? power:hertz hertz": NUMBER,
            "?? power:voltage voltage": NUMBER,
            "?? power:ac ac": BOOLEAN,
        },
    },
    "Unit",
)
UNITS = {  # facts.md 1.9
    f"?? {name} unit": UNIT
    for name in (
        "power:powerReal power:powerApparent power:powerReactive power:energyReal "
        "power:energyApparent power:energyReactive power:voltage oadr:current oadr:frequency "
        "oadr:Therm oadr:temperature oadr:pulseCount oadr:currency oadr:currencyPerKWh "
        "oadr:currencyPerKW oadr:currencyPerThm oadr:customUnit"
    ).split()
}
EVENT = (
    "OADR_EVENT",
    {
        "11 ei:eiEvent": (
            "EI_EVENT",
            {
                "11 ei:eventDescriptor": (
                    "DESCRIPTOR",
                    {
                        "11 ei:eventID": LEAF,
                        "11 ei:modificationNumber": LEAF,
                        "?? ei:modificationDateTime": LEAF,
                        "?? ei:modificationReason": LEAF,
                        "?? ei:priority": LEAF,
                        "11 ei:eiMarketContext": {"11 emix:marketContext": LEAF},
                        "ww ei:createdDateTime": LEAF,
                        "11 ei:eventStatus": LEAF,
                        "?? ei:testEvent": LEAF,
                        "?? ei:vtnComment": LEAF,
                    },
                ),
                "11 ei:eiActivePeriod": (
                    "ACTIVE_PERIOD",
                    {
                        "11 xcal:properties": (
                            "PROPERTIES",
                            {
                                "11 xcal:dtstart": DATE_TIME,
                                "11 xcal:duration": DURATION,
                                "?? xcal:tolerance": {
                                    "?? xcal:tolerate": {"?? xcal:startafter": LEAF}
                                },
                                "ww ei:x-eiNotification": DURATION,
                                "?? ei:x-eiRampUp": DURATION,
                                "?? ei:x-eiRecovery": DURATION,
                            },
                        ),
                    },
                ),
                "11 ei:eiEventSignals": (
                    "SIGNALS",
                    {
                        "** ei:eiEventSignal": (
                            "SIGNAL",
                            {
                                "11 strm:intervals": INTERVALS,
                                "?? ei:eiTarget": TARGET,
                                "11 ei:signalName": LEAF,
                                "11 ei:signalType": LEAF,
                                "ww ei:signalID": LEAF,
                                **UNITS,
                                "w? ei:currentValue": FLOAT,
                            },
                        ),
                        "?? ei:eiEventBaseline": (
                            "BASELINE",
                            {
                                "ww xcal:dtstart": DATE_TIME,
                                "ww xcal:duration": DURATION,
                                "ww strm:intervals": INTERVALS,
                                "ww ei:baselineID": LEAF,
                                "** ei:resourceID": LEAF,
                                "ww ei:baselineName": LEAF,
                                **UNITS,
                            },
                        ),
                    },
                ),
                "ww ei:eiTarget": TARGET,
            },
        ),
        "ww oadr:oadrResponseRequired": LEAF,
    },
)
MESSAGES: dict[str, Any] = {
    "?? oadr:oadrRequestEvent": (
        "REQUEST_EVENT",
        {
            "11 pyld:eiRequestEvent": {
                "ww pyld:requestID": LEAF,
                "11 ei:venID": LEAF,
                "?? pyld:replyLimit": LEAF,
            }
        },
    ),
    "?? oadr:oadrDistributeEvent": (
        "DISTRIBUTE_EVENT",
        {
            "?? ei:eiResponse": RESPONSE,
            "ww pyld:requestID": LEAF,
            "ww ei:vtnID": LEAF,
            "** oadr:oadrEvent": EVENT,
        },
    ),
    "?? oadr:oadrCreatedEvent": (
        "CREATED_EVENT",
        {
            "11 pyld:eiCreatedEvent": {
                "11 ei:eiResponse": RESPONSE,
                "?? ei:eventResponses": {
                    "** ei:eventResponse": (
                        "EVENT_RESPONSE",
                        {
                            "11 ei:responseCode": LEAF,
                            "?? ei:responseDescription": LEAF,
                            "ww pyld:requestID": LEAF,
                            "11 ei:qualifiedEventID": QUALIFIED_EVENT_ID,
                            "11 ei:optType": LEAF,
                        },
                    )
                },
                "11 ei:venID": LEAF,
            }
        },
    ),
    "?? oadr:oadrResponse": ("RESPONSE", {"11 ei:eiResponse": RESPONSE, "?? ei:venID": LEAF}),
}
SIGNED = ("SIGNED_OBJECT", MESSAGES)
DOCUMENT = {
    "?? oadr:oadrPayload": ("PAYLOAD", {"11 oadr:oadrSignedObject": SIGNED}),
    "?? oadr:oadrSignedObject": SIGNED,
    **MESSAGES,
}
