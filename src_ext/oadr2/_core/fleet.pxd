"""The engine of a fleet: what each VEN sends, and what becomes of what it receives. No socket, no clock."""

from libc.stdint cimport int64_t, uint32_t

from oadr2._core.fleetevents cimport FleetEvents
from oadr2._core.groups cimport Group
from oadr2._core.vens cimport Ven


cdef class Fleet(FleetEvents):
    cdef str error_class
    cdef str error_text
    cdef public int64_t late_after      # us: what counts as late

    cdef int fail(self, int error, str text) except -1
    cdef int read(self, object body, const Group* g) except -1
    cdef int check(self) except -1
    cdef int take_list(self, uint32_t row, Ven* ven, bytes body, int64_t now) except? -1
    cdef int take_acknowledgement(self, uint32_t row, Ven* ven, bytes body, int64_t now) except? -1
    cdef void failed(self, uint32_t row, int64_t now, int64_t wait) noexcept
    cdef int go_on(self, uint32_t row, int64_t now) noexcept
