"""The 2.0b services of a fleet beside EiEvent: its VENs register, poll, and report a load (facts.md 3)."""

from libc.stdint cimport int64_t, uint16_t, uint32_t

from oadr2._core.fleetreplies cimport FleetReplies
from oadr2._core.groups cimport Group
from oadr2._core.parties cimport Party, ReportRequest, Services
from oadr2._core.text cimport Str
from oadr2._core.vens cimport Ven
from oadr2._core.writer cimport Writer


cdef struct Verdict:        # what becomes of a message of the VTN
    int code
    Str why
    bint metadata           # it wants our METADATA


cdef class FleetServices(FleetReplies):
    cdef Writer part            # what goes into a gap
    cdef uint16_t* points       # of the request at hand
    cdef uint32_t point_room
    cdef uint32_t registered_count

    # What a row that registers sends now that is no answer: SEND_*.
    cdef int choose(self, uint32_t row, int64_t now) noexcept
    cdef bytes compose_service(self, uint32_t row, int64_t now)
    cdef int take_service(self, uint32_t row, Ven* ven, bytes body, int64_t now) except? -1
    # After a refusal: does the VTN know this VEN still?
    cdef int note_refusal(self, uint32_t row, int error) except -1

    cdef int fill(self, uint32_t row, int outline, Str* filling, Str request_id) except -1
    cdef int owe(self, uint32_t row, int outline, int service, const Verdict* verdict, Str request_id,
                 int64_t now) except -1
    cdef int expect(self, bytes body, const Group* g, int wanted, bint may_be_empty) except -1
    cdef int take_registration(self, uint32_t row, int64_t now) except -1
    cdef int take_poll(self, uint32_t row, bytes body, int64_t now) except -1
    cdef int take_asked(self, uint32_t row, int64_t now) except -1
    cdef int take_requests(self, Party* p, const Services* s, int64_t now, Verdict* verdict) except -1
    cdef ReportRequest* request_from(self, const Services* s, uint32_t at, int64_t now, Verdict* verdict) except? NULL
    cdef int grow_points(self, uint32_t count) except -1
    cdef int cancel_reports(self, Party* p, uint32_t at, int64_t now, Verdict* verdict) except -1
    cdef int cancel_registration(self, uint32_t row, int64_t now) except -1
    cdef int forget(self, uint32_t row) except -1
