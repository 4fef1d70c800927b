"""How a fleet reads replies, counts what is wrong with them, and ends exchanges."""

from libc.stdint cimport int64_t, uint32_t

from oadr2._core.fleetevents cimport FleetEvents
from oadr2._core.groups cimport Group


cdef class FleetReplies(FleetEvents):
    cdef str error_class
    cdef str error_text

    # These give an Error (figures.pxd), 0 for none.
    cdef int fail(self, int error, str text) except -1
    cdef int read(self, object body, const Group* g) except -1
    cdef int check(self) except -1
    # Nothing came of what this row had to send: later once more.
    cdef void failed(self, uint32_t row, int64_t now, int64_t wait) noexcept
    # 1: the row sends another message at once; 0: its exchange has ended.
    cdef int go_on(self, uint32_t row, int64_t now) noexcept
