"""Building one oadrCreatedEvent: what a VEN answers to 1, 10 and 100 events."""

from __future__ import annotations

from typing import Any

import pytest
from contenders import LXML, OADR2, OPENLEADR, openleadr_messaging
from lxml import etree
from lxml.builder import ElementMaker
from payloads import NAMESPACES, START, VEN_ID, distribute_event

import oadr2
from conftest import Label

SECTION = "Requests and answers"
EI, PYLD, OADR = (f"{{{NAMESPACES[prefix]}}}" for prefix in ("ei", "pyld", "oadr-2.0b"))
of_each_size = pytest.mark.parametrize("events", [1, 10, 100])


def work(events: int) -> str:
    return f"build an oadrCreatedEvent with {events} answer{'s' * (events > 1)}, 2.0b"


def event_ids(events: int) -> list[str]:
    return [f"event-{number:05}" for number in range(events)]


def answers_in(document: bytes) -> list[tuple[str | None, ...]]:
    """What the document says of each event, as lxml reads it."""
    root = etree.fromstring(document)
    assert root.tag == f"{OADR}oadrPayload"
    created = root.find(f"{OADR}oadrSignedObject/{OADR}oadrCreatedEvent/{PYLD}eiCreatedEvent")
    assert created is not None
    assert created.findtext(f"{EI}venID") == VEN_ID
    paths = [
        f"{EI}responseCode",
        f"{PYLD}requestID",
        f"{EI}qualifiedEventID/{EI}eventID",
        f"{EI}qualifiedEventID/{EI}modificationNumber",
        f"{EI}optType",
    ]
    return [
        tuple(answer.findtext(path) for path in paths)
        for answer in created.iter(f"{EI}eventResponse")
    ]


def expected(events: int) -> list[tuple[str, ...]]:
    return [("200", "request-1", event_id, "3", "optIn") for event_id in event_ids(events)]


@of_each_size
def bench_oadr2(events: int, benchmark: Any, label: Label) -> None:
    """From Python objects; the handler's own answers are written inside the handling of a list."""
    label(work(events), OADR2, headline=events == 1)

    def build() -> bytes:
        return oadr2.encode(
            oadr2.model.CreatedEvent(
                ven_id=VEN_ID,
                response=oadr2.model.EiResponse(200, "OK", "request-1"),
                event_responses=[
                    oadr2.model.EventResponse(event_id, 3, "optIn", 200, "OK", "request-1")
                    for event_id in event_ids(events)
                ],
                profile="2.0b",
            )
        )

    assert answers_in(build()) == expected(events)
    assert answers_in(benchmark(build)) == expected(events)


@of_each_size
def bench_lxml(events: int, benchmark: Any, label: Label) -> None:
    label(work(events), LXML, headline=events == 1)
    names = {"oadr": NAMESPACES["oadr-2.0b"], "pyld": NAMESPACES["pyld"], "ei": NAMESPACES["ei"]}
    oadr = ElementMaker(namespace=names["oadr"], nsmap=names)
    pyld = ElementMaker(namespace=names["pyld"])
    ei = ElementMaker(namespace=names["ei"])

    def build() -> bytes:
        answers = [
            ei.eventResponse(
                ei.responseCode("200"),
                ei.responseDescription("OK"),
                pyld.requestID("request-1"),
                ei.qualifiedEventID(ei.eventID(event_id), ei.modificationNumber("3")),
                ei.optType("optIn"),
            )
            for event_id in event_ids(events)
        ]
        response = ei.eiResponse(
            ei.responseCode("200"), ei.responseDescription("OK"), pyld.requestID("request-1")
        )
        created = pyld.eiCreatedEvent(response, ei.eventResponses(*answers), ei.venID(VEN_ID))
        message = oadr.oadrPayload(oadr.oadrSignedObject(oadr.oadrCreatedEvent(created)))
        return etree.tostring(message, encoding="UTF-8", xml_declaration=True)

    assert answers_in(build()) == expected(events)
    assert answers_in(benchmark(build)) == expected(events)


@of_each_size
def bench_openleadr(events: int, benchmark: Any, label: Label) -> None:
    label(work(events), OPENLEADR, headline=events == 1)

    def build() -> bytes:
        response = {
            "response_code": 200,
            "response_description": "OK",
            "request_id": "request-1",
        }
        text = openleadr_messaging.create_message(
            "oadrCreatedEvent",
            ven_id=VEN_ID,
            response=response,
            event_responses=[
                response | {"event_id": event_id, "modification_number": 3, "opt_type": "optIn"}
                for event_id in event_ids(events)
            ],
        )
        return text.encode()

    assert answers_in(build()) == expected(events)
    assert answers_in(benchmark(build)) == expected(events)


def bench_set_opt(benchmark: Any, label: Label) -> None:
    """The way of an application that changes its mind: the held event is changed, too."""
    label("change the opt of a held event, oadrCreatedEvent included", OADR2)
    handler = oadr2.event.EventHandler(VEN_ID, clock=lambda: START.timestamp() - 3600.0)
    handler.handle_payload(distribute_event("2.0a", 1, 3))
    answer = oadr2.decode(benchmark(handler.set_opt, "event-00000", "optOut"))
    assert [item.opt_type for item in answer.event_responses] == ["optOut"]
    handler.close()
