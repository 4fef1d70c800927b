"""What a fleet's VENs are asked to report, and what is taken back (facts.md 3.3)."""

from libc.stdint cimport int64_t, uint16_t, uint32_t

from oadr2._core.fleetreplies cimport FleetReplies
from oadr2._core.message cimport Message
from oadr2._core.parties cimport Party, ReportRequest, Services
from oadr2._core.text cimport Str


cdef struct Verdict:        # what becomes of a message of the VTN
    int code
    Str why
    bint metadata           # it wants our METADATA


cdef void refuse(Verdict* verdict, int code, const char* why) noexcept nogil
# Microseconds, 0 for none, -1 for months or a negative one.
cdef int64_t duration_of(const Message* m, uint32_t of, const char* name) noexcept nogil


cdef class FleetReports(FleetReplies):
    cdef uint16_t* points       # of the request at hand
    cdef uint32_t point_room

    cdef int take_requests(self, Party* p, const Services* s, int64_t now, Verdict* verdict) except -1
    cdef ReportRequest* request_from(self, const Services* s, uint32_t at, int64_t now, Verdict* verdict) except? NULL
    cdef int grow_points(self, uint32_t count) except -1
    cdef int cancel_reports(self, Party* p, uint32_t at, int64_t now, Verdict* verdict) except -1
