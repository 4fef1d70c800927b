"""Building one oadrRequestEvent."""

from __future__ import annotations

import uuid
from typing import Any

from contenders import LXML, OADR2, OPENLEADR, openleadr_messaging
from lxml import etree
from lxml.builder import ElementMaker
from payloads import NAMESPACES, VEN_ID

import oadr2
from conftest import Aim, Label

SECTION = "Requests and answers"
WORK = "build an oadrRequestEvent"


def ven_id_and_request_id(document: bytes) -> tuple[str | None, str | None]:
    root = etree.fromstring(document)
    return (
        root.findtext(f".//{{{NAMESPACES['ei']}}}venID"),
        root.findtext(f".//{{{NAMESPACES['pyld']}}}requestID"),
    )


def bench_oadr2(benchmark: Any, label: Label) -> None:
    label(WORK, OADR2, headline=True, aim=Aim(0.3e-6))
    handler = oadr2.event.EventHandler(VEN_ID)
    document = benchmark(handler.build_request_payload)
    ven_id, request_id = ven_id_and_request_id(document)
    assert ven_id == VEN_ID
    assert request_id


def bench_lxml(benchmark: Any, label: Label) -> None:
    label(WORK, LXML, headline=True)
    oadr = ElementMaker(
        namespace=NAMESPACES["oadr-2.0a"],
        nsmap={
            "oadr": NAMESPACES["oadr-2.0a"],
            "pyld": NAMESPACES["pyld"],
            "ei": NAMESPACES["ei"],
        },
    )
    pyld = ElementMaker(namespace=NAMESPACES["pyld"])
    ei = ElementMaker(namespace=NAMESPACES["ei"])

    def build() -> bytes:
        root = oadr.oadrRequestEvent(
            pyld.eiRequestEvent(pyld.requestID(str(uuid.uuid4())), ei.venID(VEN_ID))
        )
        return etree.tostring(root, encoding="UTF-8", xml_declaration=True)

    ven_id, request_id = ven_id_and_request_id(benchmark(build))
    assert ven_id == VEN_ID
    assert request_id


def bench_openleadr(benchmark: Any, label: Label) -> None:
    label(WORK, OPENLEADR, headline=True)

    def build() -> str:
        return openleadr_messaging.create_message(
            "oadrRequestEvent", request_id=str(uuid.uuid4()), ven_id=VEN_ID
        )

    ven_id, request_id = ven_id_and_request_id(benchmark(build).encode())
    assert ven_id == VEN_ID
    assert request_id
