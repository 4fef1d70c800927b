"""What elements say, taken into a ``Message``: texts when a leaf ends, new items when a container begins.

A fault inside an event is noted with the event and spoils only that event.
"""

from libc.stdint cimport uint32_t

from oadr2._core.text cimport Str
from oadr2._core.walk cimport Walk

cdef void problem(Walk* w, int kind, int element, bint fatal, Str text) noexcept nogil
cdef void stop(Walk* w, int error) noexcept nogil
cdef void store_leaf(Walk* w, int state) noexcept nogil
cdef void begin(Walk* w, int state) noexcept nogil
cdef void begin_message(Walk* w, int kind) noexcept nogil
cdef void begin_event(Walk* w) noexcept nogil
cdef void begin_interval(Walk* w) noexcept nogil
cdef void end_event(Walk* w) noexcept nogil
