"""Messages of the 2.0b services with gaps. See outlines.pxd."""

import re
from datetime import datetime, timezone

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free

from oadr2._core.text cimport Str
from oadr2._core.writer cimport writer_put, writer_text

from oadr2 import model
from oadr2._core.encode import encode
from oadr2.schedule import Duration

# What stands for each gap in the messages that are taken apart: U+E000 is for private use.
_MARK = "\ue000%d\ue000"
_CREATED = datetime(1, 1, 1, 1, 1, 1, tzinfo=timezone.utc)
_DTSTART = datetime(1, 1, 1, 2, 2, 2, tzinfo=timezone.utc)
_CODE = 999
_TEXTS = {gap: _MARK % gap for gap in range(GAP_COUNT)}
_GAPS = re.compile(
    b"|".join((
        b"<ei:reportRequestID>%b</ei:reportRequestID>(?=</oadr:oadrPendingReports>)" % _TEXTS[GAP_PENDING].encode(),
        b"<ei:interval>.*</ei:interval>",
        b"(?<=<ei:responseCode>)999(?=<)",
        b"0001-01-01T01:01:01Z",
        b"0001-01-01T02:02:02Z",
        "\ue000\\d+\ue000".encode(),
    ))
)


cdef int gap_of(bytes mark) except -1:
    if mark.startswith(b"<ei:interval>"):
        return GAP_INTERVALS
    if mark.startswith(b"<ei:reportRequestID>"):
        return GAP_PENDING
    if mark == b"999":
        return GAP_CODE
    if mark.startswith(b"0001"):
        return GAP_CREATED if mark.endswith(b"01Z") else GAP_DTSTART
    return int(mark.decode().strip("\ue000"))


cdef void write_outline(Writer* w, const Outline* outline, const Str* filling) noexcept nogil:
    cdef uint32_t i
    cdef const Piece* piece
    for i in range(outline.count):
        piece = &outline.pieces[i]
        writer_put(w, piece.text.ptr, piece.text.len)
        if piece.gap == GAP_PENDING or piece.gap == GAP_INTERVALS:
            if filling[piece.gap].len:
                writer_put(w, filling[piece.gap].ptr, filling[piece.gap].len)
        elif piece.gap != GAP_NONE:
            writer_text(w, filling[piece.gap])


cdef void outlines_free(Outline* outlines) noexcept nogil:
    cdef int i
    for i in range(OUTLINE_COUNT):
        free(outlines[i].pieces)
        outlines[i].pieces = NULL


cdef int outline_from(Outline* outline, bytes message, list kept) except -1:
    cdef list found = list(_GAPS.finditer(message))
    cdef uint32_t begin = 0
    cdef uint32_t i
    outline.pieces = <Piece*>calloc(len(found) + 1, sizeof(Piece))
    if outline.pieces == NULL:
        raise MemoryError()
    kept.append(message)
    for i in range(len(found)):
        outline.pieces[i].text.ptr = PyBytes_AS_STRING(message) + begin
        outline.pieces[i].text.len = <uint32_t>found[i].start() - begin
        outline.pieces[i].gap = <uint8_t>gap_of(found[i].group())
        begin = found[i].end()
    outline.pieces[len(found)].text.ptr = PyBytes_AS_STRING(message) + begin
    outline.pieces[len(found)].text.len = <uint32_t>PyBytes_GET_SIZE(message) - begin
    outline.count = len(found) + 1
    return 0


cdef int outlines_from(Outline* outlines, bint wrap, bint own_ids, tuple reports, int64_t opt_length,
                       list kept) except -1:
    request_id = _TEXTS[GAP_REQUEST_ID]
    ven_id = _TEXTS[GAP_VEN_ID]
    registration_id = _TEXTS[GAP_REGISTRATION_ID]
    asked = _TEXTS[GAP_REPORT_REQUEST_ID]
    pending = (_TEXTS[GAP_PENDING],)
    response = model.EiResponse(_CODE, _TEXTS[GAP_DESCRIPTION], request_id)
    first = model.CreatePartyRegistration(
        request_id, transport_name="simpleHttp", ven_name=_TEXTS[GAP_VEN_NAME], http_pull_model=True,
        ven_id=ven_id if own_ids else None,
    )
    again = model.CreatePartyRegistration(
        request_id, transport_name="simpleHttp", ven_name=_TEXTS[GAP_VEN_NAME], http_pull_model=True,
        registration_id=registration_id, ven_id=ven_id,
    )
    opt_id = _TEXTS[GAP_OPT_ID]
    absent = model.Vavailability((model.Period(_DTSTART, Duration(microseconds=opt_length)),))
    messages = {
        OUTLINE_QUERY: model.QueryRegistration(request_id),
        OUTLINE_REGISTER: first,
        OUTLINE_REGISTER_AGAIN: again,
        OUTLINE_ANNOUNCE: model.RegisterReport(request_id, tuple(map(_announced, reports)), ven_id),
        OUTLINE_POLL: model.Poll(ven_id),
        OUTLINE_CREATED_REPORT: model.CreatedReport(response, pending, ven_id),
        OUTLINE_CANCELED_REPORT: model.CanceledReport(response, pending, ven_id),
        OUTLINE_REGISTERED_REPORT: model.RegisteredReport(response, (), ven_id),
        OUTLINE_UPDATED_REPORT: model.UpdatedReport(response, None, ven_id),
        OUTLINE_CANCELED_REGISTRATION: model.CanceledPartyRegistration(response, registration_id, ven_id),
        OUTLINE_RESPONSE: model.Response(response, ven_id, "2.0b"),
        OUTLINE_CREATE_OPT: model.CreateOpt(
            opt_id, "optOut", "x-schedule", ven_id, _CREATED, request_id, vavailability=absent,
        ),
        OUTLINE_CANCEL_OPT: model.CancelOpt(opt_id, ven_id, request_id),
    }
    for number, report in enumerate(reports, OUTLINE_UPDATE_REPORT):
        messages[number] = model.UpdateReport(request_id, (_delivered(report, asked),), ven_id)
    for number, message in messages.items():
        outline_from(&outlines[<int>number], encode(message, wrap=wrap), kept)
    return 0


def _announced(report):
    """The METADATA with its moment left open."""
    return model.Report(
        "0", report.report_specifier_id, _CREATED, report_name=report.report_name, duration=report.duration,
        report_descriptions=report.report_descriptions,
    )


def _delivered(report, report_request_id):
    """One interval stands for all: the encoder declares the namespaces that they need."""
    status = report.report_descriptions[0].report_type == "x-resourceStatus"
    payload = model.ReportPayload("r", resource_status=model.ResourceStatus(True, False)) if status else (
        model.ReportPayload("r", 1.0))
    interval = model.ReportInterval(
        (payload,), dtstart=_DTSTART, duration=Duration(microseconds=1_000_000), uid="0"
    )
    return model.Report(
        report_request_id, report.report_specifier_id, _CREATED,
        report_name=(report.report_name or "").removeprefix("METADATA_"), dtstart=_DTSTART, intervals=(interval,),
    )
