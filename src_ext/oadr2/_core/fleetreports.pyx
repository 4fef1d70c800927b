"""What a fleet's VENs are asked to report, and what is taken back. See fleetreports.pxd."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint8_t
from libc.stdlib cimport free, realloc
from libc.string cimport strlen

from oadr2._core.figures cimport REPORT_REQUESTS
from oadr2._core.judge cimport FOREVER, same_text
from oadr2._core.loads cimport Load, point_of
from oadr2._core.message cimport Message
from oadr2._core.nodes cimport after_node, find_node, is_attribute, node_text
from oadr2._core.parties cimport (
    MOST_REQUESTS,
    Party,
    ReportRequest,
    Services,
    add_request,
    drop_request,
    find_request,
    on_grid,
    plan_reports,
    request_id_of,
    request_new,
    request_points,
)
from oadr2._core.text cimport Str

cdef extern from *:
    """
    #define LEAST_STEP INT64_C(1000000)
    """
    const int64_t LEAST_STEP    # us between readings of the past, when neither side says how often

cdef enum:
    INVALID_ID = 452
    INVALID_DATA = 454
    NOT_SUPPORTED = 461


cdef Str literal(const char* text) noexcept nogil:
    return Str(text, <uint32_t>strlen(text))


cdef void refuse(Verdict* verdict, int code, const char* why) noexcept nogil:
    verdict.code = code
    verdict.why = literal(why)


cdef int64_t duration_of(const Message* m, uint32_t of, const char* name) noexcept nogil:
    """Microseconds, 0 for none, -1 for months or a negative one."""
    cdef uint32_t i = find_node(m, of, name)
    if not i:
        return 0
    return -1 if m.nodes[i].months else max(<int64_t>-1, m.nodes[i].number)


cdef class FleetReports(FleetReplies):
    """The report requests of a :class:`oadr2._core.fleet.Fleet`."""

    def __dealloc__(self):
        free(self.points)

    cdef int take_requests(self, Party* p, const Services* s, int64_t now, Verdict* verdict) except -1:
        # All of them or none (D05, D08 to D12).
        cdef const Message* m = &self.owner.message
        cdef ReportRequest* made = NULL
        cdef ReportRequest* request
        cdef uint32_t count = 0
        cdef uint32_t i = 1
        cdef Str specifier
        request = p.requests
        while request != NULL:
            count += 1
            request = request.next
        while i < m.nodes[0].end:
            if is_attribute(m, 0, i, b"report_requests"):
                specifier = node_text(m, find_node(m, i, b"report_specifier"), b"report_specifier_id")
                if same_text(specifier, literal(b"METADATA")):
                    verdict.metadata = True
                else:
                    request = self.request_from(s, i, now, verdict)
                    if request == NULL:
                        break
                    request.next = made
                    made = request
                    count += find_request(p, request_id_of(request)) == NULL
            i = after_node(m, i)
        if verdict.code == 200 and count > MOST_REQUESTS:
            refuse(verdict, NOT_SUPPORTED, b"too many requests at a time")
        if verdict.code != 200:
            verdict.metadata = False
        made = reversed_requests(made)
        while made != NULL:
            request = made
            made = made.next
            if verdict.code == 200:
                add_request(p, request)
                self.figures.counts[REPORT_REQUESTS] += 1
            else:
                free(request)
        plan_reports(p)
        return 0

    cdef ReportRequest* request_from(self, const Services* s, uint32_t at, int64_t now,
                                     Verdict* verdict) except? NULL:
        # NULL: refused.
        cdef const Message* m = &self.owner.message
        cdef uint32_t specifier = find_node(m, at, b"report_specifier")
        cdef uint32_t period = find_node(m, specifier, b"report_interval")
        cdef int64_t step = duration_of(m, specifier, b"granularity")
        cdef int64_t back = duration_of(m, specifier, b"report_back_duration")
        cdef int64_t length = duration_of(m, period, b"duration") if period else 0
        cdef Str name = node_text(m, specifier, b"report_specifier_id")
        cdef const Load* load
        cdef uint32_t number = 0
        cdef uint32_t count = 0
        cdef uint32_t i, k
        cdef int64_t point, start, end
        cdef bint once
        cdef ReportRequest* r
        while number < s.load_count and not same_text(name, s.loads[number].specifier_id):
            number += 1
        if number == s.load_count:
            refuse(verdict, INVALID_ID, b"no report of that name")
            return NULL
        load = &s.loads[number]
        if self.point_room < load.point_count:
            self.grow_points(load.point_count)
        i = specifier + 1
        while i < m.nodes[specifier].end:
            if is_attribute(m, specifier, i, b"specifier_payloads"):
                point = point_of(load, node_text(m, i, b"r_id"))
                if point < 0:
                    refuse(verdict, INVALID_ID, b"no such rID")
                    return NULL
                for k in range(count):
                    if self.points[k] == point:
                        break
                else:
                    self.points[count] = <uint16_t>point
                    count += 1
            i = after_node(m, i)
        if count == 0:
            refuse(verdict, INVALID_ID, b"no rID given")
            return NULL
        if step < 0 or back < 0 or length < 0:
            refuse(verdict, INVALID_DATA, b"a duration is negative, or in months")
            return NULL
        if step % 1000000:
            refuse(verdict, INVALID_DATA, b"granularity: must be whole seconds")
            return NULL
        if 0 < step < load.min_period:
            refuse(verdict, NOT_SUPPORTED, b"sampled too often")
            return NULL
        start = now
        if period and find_node(m, period, b"dtstart"):
            start = m.nodes[find_node(m, period, b"dtstart")].number
        end = start + length if length else now if not period and not back else FOREVER
        if not back and end == FOREVER:
            refuse(verdict, INVALID_DATA, b"neither an end nor a reportBackDuration")
            return NULL
        r = request_new(node_text(m, at, b"report_request_id"), count)
        if r == NULL:
            raise MemoryError()
        for i in range(count):
            request_points(r)[i] = self.points[i]
        once = not back and end <= now
        r.load = <uint8_t>number
        r.end = end
        r.back = back
        r.step = step
        r.next_sample = on_grid(start, step, now) if step and not once else FOREVER
        r.next_delivery = now if once else on_grid(start + back, back, now) if back else end
        if once and period:  # of a span that is over: a load has a past
            r.step = step or max(load.min_period, LEAST_STEP)
            r.next_sample = start
        return r

    cdef int grow_points(self, uint32_t count) except -1:
        cdef uint16_t* points = <uint16_t*>realloc(self.points, count * sizeof(uint16_t))
        if points == NULL:
            raise MemoryError()
        self.points = points
        self.point_room = count
        return 0

    cdef int cancel_reports(self, Party* p, uint32_t at, int64_t now, Verdict* verdict) except -1:
        # D17, D18
        cdef const Message* m = &self.owner.message
        cdef ReportRequest* r
        cdef uint32_t follows = find_node(m, at, b"report_to_follow")
        cdef uint32_t i = at + 1
        while i < m.nodes[at].end:
            if is_attribute(m, at, i, b"report_request_ids"):
                r = find_request(p, m.nodes[i].text)
                if r == NULL:
                    refuse(verdict, INVALID_ID, b"no such report request")
                elif follows and m.nodes[follows].number:
                    r.cancelled = True
                    r.next_delivery = now
                else:
                    drop_request(p, r)
            i = after_node(m, i)
        plan_reports(p)
        return 0


cdef ReportRequest* reversed_requests(ReportRequest* first) noexcept nogil:
    """In the order sent."""
    cdef ReportRequest* found = NULL
    cdef ReportRequest* following
    while first != NULL:
        following = first.next
        first.next = found
        found = first
        first = following
    return found
