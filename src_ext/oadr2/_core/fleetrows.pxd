"""Which VENs a fleet has, and when each has something to send: the half of the engine that reads no message."""

from libc.stdint cimport int64_t, uint32_t

from oadr2._core.definitions cimport Definitions
from oadr2._core.figures cimport Figures
from oadr2._core.groups cimport Group, NameRoom
from oadr2._core.vens cimport Ven, Vens


cdef class FleetRows:
    cdef Vens vens
    cdef Figures figures
    cdef Definitions definitions
    cdef NameRoom room          # names of the row at hand
    cdef NameRoom other         # and of the one it is mistaken for
    cdef uint32_t* taken
    cdef uint32_t taken_room
    cdef uint32_t polling_count
    cdef list texts             # keeps alive what the Strs of the groups point to
    cdef bint busy              # while somebody is asked for an opt

    cdef int check_free(self) except -1
    cdef Ven* ven(self, uint32_t row) except NULL
    cdef int check_range(self, uint32_t first, uint32_t count) except -1
    cdef void requeue(self, uint32_t first, uint32_t count) noexcept
    cdef int add_services(self, Group* g, int64_t poll_interval, bint own_ids, tuple reports, object curve,
                          double noise, int64_t opts_every, double opts_share, int64_t opts_length,
                          list texts) except -1
    cdef int grow_rooms(self, const Group* g) except -1
