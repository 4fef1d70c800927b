"""What a VEN of 2.0b keeps beside its events. See parties.pxd."""

cimport cython
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from oadr2._core.clock cimport DATE_TIME_ROOM, DURATION_ROOM, Dur, format_date_time, format_duration
from oadr2._core.draws cimport DRAW_OPTS, drawn, fraction
from oadr2._core.judge cimport FOREVER, same_text
from oadr2._core.loads cimport load_at, load_free, write_thousandths
from oadr2._core.outlines cimport outlines_free
from oadr2._core.writer cimport put, writer_number, writer_put, writer_text


cdef void services_free(Services* s) noexcept nogil:
    cdef uint32_t i
    if s == NULL:
        return
    if s.parties != NULL:
        for i in range(s.count):
            party_forget(&s.parties[i])
    free(s.parties)
    for i in range(s.load_count):
        load_free(&s.loads[i])
    outlines_free(s.outlines)
    free(s)


# -- who it is ----------------------------------------------------------------------------------


cdef int party_register(Party* p, Str registration_id, Str ven_id) noexcept nogil:
    cdef char* ids
    if registration_id.len > 65535 or ven_id.len > 65535:
        return -1
    ids = <char*>malloc(registration_id.len + ven_id.len)
    if ids == NULL:
        return -1
    memcpy(ids, registration_id.ptr, registration_id.len)
    memcpy(ids + registration_id.len, ven_id.ptr, ven_id.len)
    free(p.ids)
    p.ids = ids
    p.registration_length = <uint16_t>registration_id.len
    p.ven_length = <uint16_t>ven_id.len
    return 0


cdef void party_forget(Party* p) noexcept nogil:
    free(p.ids)
    p.ids = NULL
    p.opt_at = FOREVER
    p.opts += p.opts & 1  # nothing is left to take back
    drop_requests(p)


# -- what it was asked for ----------------------------------------------------------------------


cdef void drop_requests(Party* p) noexcept nogil:
    while p.requests != NULL:
        drop_request(p, p.requests)
    p.report_at = FOREVER


cdef ReportRequest* request_new(Str request_id, uint32_t point_count) noexcept nogil:
    cdef size_t size = sizeof(ReportRequest) + point_count * sizeof(uint16_t) + request_id.len
    cdef ReportRequest* r = <ReportRequest*>malloc(size)
    if r == NULL:
        return NULL
    memset(r, 0, sizeof(ReportRequest))
    r.id_length = request_id.len
    r.point_count = <uint16_t>point_count
    memcpy(<char*>request_id_of(r).ptr, request_id.ptr, request_id.len)
    return r


cdef void add_request(Party* p, ReportRequest* request) noexcept nogil:
    cdef ReportRequest** place = &p.requests
    while place[0] != NULL and not same_text(request_id_of(place[0]), request_id_of(request)):
        place = &place[0].next
    request.next = NULL
    if place[0] != NULL:
        request.next = place[0].next
        free(place[0])
    place[0] = request


cdef ReportRequest* find_request(const Party* p, Str request_id) noexcept nogil:
    cdef ReportRequest* r = p.requests
    while r != NULL and (r.cancelled or not same_text(request_id_of(r), request_id)):
        r = r.next
    return r


cdef void drop_request(Party* p, ReportRequest* request) noexcept nogil:
    cdef ReportRequest** place = &p.requests
    while place[0] != request:
        place = &place[0].next
    place[0] = request.next
    free(request)


cdef void write_pending(Writer* w, const Party* p) noexcept nogil:
    cdef ReportRequest* r = p.requests
    while r != NULL:
        if not r.cancelled:
            put(w, b"<ei:reportRequestID>")
            writer_text(w, request_id_of(r))
            put(w, b"</ei:reportRequestID>")
        r = r.next


# -- what it delivers ---------------------------------------------------------------------------


cdef ReportRequest* first_request(const Party* p) noexcept nogil:
    cdef ReportRequest* r = p.requests
    cdef ReportRequest* first = r
    while r != NULL:
        if r.next_delivery < first.next_delivery:
            first = r
        r = r.next
    return first


cdef void plan_reports(Party* p) noexcept nogil:
    cdef ReportRequest* first = first_request(p)
    p.report_at = FOREVER if first == NULL else first.next_delivery


@cython.cdivision(True)  # where there is no step nobody asks
cdef int64_t on_grid(int64_t first, int64_t step, int64_t now) noexcept nogil:
    return first if first >= now else first + (now - first + step - 1) // step * step


cdef void write_moment(Writer* w, int64_t moment) noexcept nogil:
    cdef char text[DATE_TIME_ROOM]
    put(w, b"<xcal:dtstart><xcal:date-time>")
    writer_put(w, text, format_date_time(moment, text))
    put(w, b"</xcal:date-time></xcal:dtstart>")


cdef void write_interval(Writer* w, ReportRequest* r, const Load* load, uint64_t seed, uint64_t place,
                         int64_t moment, uint32_t uid) noexcept nogil:
    cdef char text[DURATION_ROOM]
    cdef Dur step
    cdef uint32_t i
    cdef uint16_t point
    put(w, b"<ei:interval>")
    write_moment(w, moment)
    if r.step and not load.status:
        memset(&step, 0, sizeof(Dur))
        step.us = r.step
        step.present = True
        put(w, b"<xcal:duration><xcal:duration>")
        writer_put(w, text, format_duration(&step, text))
        put(w, b"</xcal:duration></xcal:duration>")
    if not load.status:  # which is of a moment, and has no numbers
        put(w, b"<xcal:uid><xcal:text>")
        writer_number(w, uid)
        put(w, b"</xcal:text></xcal:uid>")
    for i in range(r.point_count):
        point = request_points(r)[i]
        put(w, b"<oadr:oadrReportPayload><ei:rID>")
        writer_text(w, load.r_ids[point])
        if load.status:
            put(w, b"</ei:rID><oadr:oadrPayloadResourceStatus><oadr:oadrOnline>true</oadr:oadrOnline>"
                   b"<oadr:oadrManualOverride>false</oadr:oadrManualOverride></oadr:oadrPayloadResourceStatus>")
        else:
            put(w, b"</ei:rID><ei:payloadFloat><ei:value>")
            write_thousandths(w, load_at(load, seed, place, point, moment))
            put(w, b"</ei:value></ei:payloadFloat>")
        put(w, b"</oadr:oadrReportPayload>")
    put(w, b"</ei:interval>")


@cython.cdivision(True)
cdef int64_t write_intervals(Writer* w, ReportRequest* request, const Load* load, uint64_t seed, uint64_t place,
                             int64_t now) noexcept nogil:
    cdef int64_t last = min(now, request.end - 1)
    cdef int64_t moment = request.next_sample
    cdef int64_t first
    cdef uint32_t uid = 0
    if moment > last:  # nothing was gathered: what is now
        write_interval(w, request, load, seed, place, now, 0)
        return now
    if (last - moment) // request.step >= MOST_INTERVALS:
        moment += ((last - moment) // request.step - MOST_INTERVALS + 1) * request.step
    first = moment
    while moment <= last:
        write_interval(w, request, load, seed, place, moment, uid)
        moment += request.step
        uid += 1
    return first


cdef void delivered(Party* p, ReportRequest* request, int64_t sent) noexcept nogil:
    if request.cancelled or not request.back or request.next_delivery >= request.end:
        drop_request(p, request)
    else:
        if request.next_sample <= sent:
            request.next_sample = on_grid(request.next_sample, request.step, sent + 1)
            if request.next_sample >= request.end:
                request.next_sample = FOREVER
        request.next_delivery = min(request.end, on_grid(request.next_delivery + request.back, request.back, sent))
    plan_reports(p)


# -- when it takes no part ----------------------------------------------------------------------


cdef void plan_opts(Party* p, const Services* s, uint64_t seed, uint64_t place, int64_t now) noexcept nogil:
    if not s.opt_every or fraction(drawn(seed, place, DRAW_OPTS, 0)) >= s.opt_share:
        return
    if p.opt_at == FOREVER:
        p.opt_at = now + <int64_t>(fraction(drawn(seed, place, DRAW_OPTS, 1)) * <double>s.opt_every)
    else:
        p.opt_at = on_grid(p.opt_at + s.opt_every, s.opt_every, now)
