"""The engine of a fleet: what each VEN sends, and what becomes of what it receives. No socket, no clock."""

from libc.stdint cimport int64_t, uint32_t

from oadr2._core.fleetservices cimport FleetServices
from oadr2._core.vens cimport Ven


cdef class Fleet(FleetServices):
    cdef public int64_t late_after      # us: what counts as late

    cdef int take_list(self, uint32_t row, Ven* ven, bytes body, int64_t now) except? -1
    cdef int take_acknowledgement(self, uint32_t row, Ven* ven, bytes body, int64_t now) except? -1
