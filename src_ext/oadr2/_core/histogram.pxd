"""Counts of durations in HdrHistogram's layout: three significant digits from 1 us to 1 h.

Up to 2,047 us each microsecond has a counter; above, each doubling is cut into 1,024 equal parts, so that
no value is off by more than a thousandth. ``hist_record`` is for the hot path of whoever holds a
:class:`Histogram`: ``hist_record(&histogram.hist, us)``.
"""

cimport cython
from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    #define HIST_MAGNITUDE 11
    #define HIST_HALF 1024
    #define HIST_LENGTH (23 * HIST_HALF)
    #define HIST_HIGHEST INT64_C(3600000000)
    #define HIST_CLZ(v) __builtin_clzll(v)
    """
    const int HIST_MAGNITUDE    # a doubling has 2 ** (HIST_MAGNITUDE - 1) counters
    const int HIST_HALF
    const int HIST_LENGTH       # counters in all
    const int64_t HIST_HIGHEST  # us: an hour
    int HIST_CLZ(uint64_t v) noexcept nogil


cdef struct Hist:
    uint64_t* counts            # HIST_LENGTH of them
    uint64_t total
    uint64_t sum                # us; what was above an hour counts as an hour
    int64_t least               # INT64_MAX while nothing is recorded
    int64_t most                # -1 while nothing is recorded
    uint64_t beyond             # how many were above an hour


# Where a value from 0 to HIST_HIGHEST is counted.
cdef inline int hist_index(int64_t us) noexcept nogil:
    cdef int doubling = 64 - HIST_MAGNITUDE - HIST_CLZ(<uint64_t> us | (2 * HIST_HALF - 1))
    return (doubling << (HIST_MAGNITUDE - 1)) + <int> (us >> doubling)


# A negative duration, as a clock set back makes it, counts as 0.
cdef inline void hist_record(Hist* h, int64_t us) noexcept nogil:
    if us > HIST_HIGHEST:
        us = HIST_HIGHEST
        h.beyond += 1
    elif us < 0:
        us = 0
    h.counts[hist_index(us)] += 1
    h.total += 1
    h.sum += <uint64_t> us
    if us < h.least:
        h.least = us
    if us > h.most:
        h.most = us


@cython.final
cdef class Histogram:
    cdef Hist hist
