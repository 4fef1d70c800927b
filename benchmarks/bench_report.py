"""Building one oadrUpdateReport of 100 readings: of 100 points at once, or of one point over time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from contenders import LXML, OADR2
from lxml import etree
from lxml.builder import ElementMaker
from payloads import NAMESPACES, START, VEN_ID

import oadr2
from conftest import Label
from oadr2 import model
from oadr2.schedule import Duration

SECTION = "Requests and answers"
EI, PYLD, OADR = (f"{{{NAMESPACES[prefix]}}}" for prefix in ("ei", "pyld", "oadr-2.0b"))
XCAL, STRM = (
    "{urn:ietf:params:xml:ns:icalendar-2.0}",
    "{urn:ietf:params:xml:ns:icalendar-2.0:stream}",
)
QUALITY = "Quality Good - Non Specific"
LENGTH = Duration(microseconds=60_000_000)
# (intervals, points in each)
of_each_shape = pytest.mark.parametrize(("intervals", "points"), [(1, 100), (100, 1)])


def work(intervals: int, points: int) -> str:
    return f"build an oadrUpdateReport, {intervals} x {points} readings"


def reading(interval: int, point: int) -> tuple[str, float]:
    return f"point-{point}", 20.125 + interval + point / 8


def expected(intervals: int, points: int) -> list[tuple[str, float]]:
    return [reading(i, k) for i in range(intervals) for k in range(points)]


def readings_in(document: bytes) -> list[tuple[str | None, float]]:
    """What the document says, as lxml reads it."""
    return [
        (one.findtext(f"{EI}rID"), float(one.findtext(f"{EI}payloadFloat/{EI}value") or "nan"))
        for one in etree.fromstring(document).iter(f"{OADR}oadrReportPayload")
    ]


@of_each_shape
def bench_oadr2(intervals: int, points: int, benchmark: Any, label: Label) -> None:
    """From the message as it stands; a service makes its objects once for each reading."""
    label(work(intervals, points), OADR2)
    made = tuple(
        model.ReportInterval(
            tuple(model.ReportPayload(*reading(i, k), data_quality=QUALITY) for k in range(points)),
            START + timedelta(minutes=i),
            LENGTH,
            str(i),
        )
        for i in range(intervals)
    )
    report = model.Report("r-1", "s-1", START, "TELEMETRY_USAGE", START, intervals=made)
    message = model.UpdateReport("request-1", (report,), VEN_ID)
    assert readings_in(benchmark(oadr2.encode, message)) == expected(intervals, points)


@of_each_shape
def bench_lxml(intervals: int, points: int, benchmark: Any, label: Label) -> None:
    label(work(intervals, points), LXML)
    names = {"oadr": NAMESPACES["oadr-2.0b"], "pyld": NAMESPACES["pyld"], "ei": NAMESPACES["ei"]}
    names |= {"xcal": XCAL[1:-1], "strm": STRM[1:-1]}
    oadr = ElementMaker(namespace=names["oadr"], nsmap=names)
    pyld, ei, xcal, strm = (
        ElementMaker(namespace=names[prefix]) for prefix in ("pyld", "ei", "xcal", "strm")
    )

    def payload(interval: int, point: int) -> Any:
        name, value = reading(interval, point)
        return oadr.oadrReportPayload(
            ei.rID(name), ei.payloadFloat(ei.value(repr(value))), oadr.oadrDataQuality(QUALITY)
        )

    def build() -> bytes:
        report = oadr.oadrReport(
            strm.intervals(
                *(
                    ei.interval(
                        xcal.dtstart(
                            xcal("date-time", f"{START + timedelta(minutes=i):%Y-%m-%dT%H:%M:%SZ}")
                        ),
                        xcal.duration(xcal.duration("PT1M")),
                        xcal.uid(xcal.text(str(i))),
                        *(payload(i, k) for k in range(points)),
                    )
                    for i in range(intervals)
                )
            ),
            ei.reportRequestID("r-1"),
            ei.reportSpecifierID("s-1"),
            ei.createdDateTime(f"{START:%Y-%m-%dT%H:%M:%SZ}"),
        )
        message = oadr.oadrUpdateReport(pyld.requestID("request-1"), report, ei.venID(VEN_ID))
        signed = oadr.oadrPayload(oadr.oadrSignedObject(message))
        return etree.tostring(signed, encoding="UTF-8", xml_declaration=True)

    assert readings_in(benchmark(build)) == expected(intervals, points)
