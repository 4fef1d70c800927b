"""The 2.0b services of a fleet beside EiEvent: its VENs register, poll, and report a load (facts.md 3)."""

from libc.stdint cimport int64_t, uint32_t

from oadr2._core.fleetreports cimport FleetReports, Verdict
from oadr2._core.groups cimport Group
from oadr2._core.text cimport Str
from oadr2._core.vens cimport Ven
from oadr2._core.writer cimport Writer


cdef class FleetServices(FleetReports):
    cdef Writer part            # what goes into a gap
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
    cdef int cancel_registration(self, uint32_t row, int64_t now) except -1
    cdef int forget(self, uint32_t row) except -1
