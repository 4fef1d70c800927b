"""Date-times and durations as Python has them: datetime in UTC, and Duration."""

cimport cython
from libc.stdint cimport int32_t, int64_t

from oadr2._core.clock cimport Dur

# An aware datetime in UTC; None for NO_TIME.
cdef object datetime_from_us(int64_t t)
# Naive datetimes are read as UTC. TypeError, or LocalProtocolError beyond year 1 or 9999 in UTC.
cdef int64_t us_from_datetime(object dttm) except? -1
# The Python Duration; None when d->present is 0.
cdef object duration_object(const Dur* d)
# From a Duration, a timedelta or a text like PT15M. TypeError, or LocalProtocolError.
cdef int duration_from_object(object duration, Dur* out) except -1


@cython.final
cdef class Duration:        # what oadr2.schedule.Duration is
    cdef readonly int32_t months
    cdef readonly int64_t microseconds
