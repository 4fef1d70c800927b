"""What is drawn for the VENs of a fleet: numbers that depend on the seed, the VEN and what they are for
(declarations only).
"""

from libc.stdint cimport uint64_t

cdef enum Draw:             # what a random number is for; part of what it is derived from
    DRAW_START = 1
    DRAW_JITTER
    DRAW_BACK_OFF
    DRAW_REQUEST_ID
    DRAW_OFFSET             # the seed of plan_list
    DRAW_ANSWER_DELAY
    DRAW_OPT
    DRAW_SILENT
    DRAW_OFFLINE
    DRAW_DUPLICATE
    DRAW_STALE
    DRAW_WRONG_IDS
    DRAW_WHICH_FAULT
    DRAW_LOAD
    DRAW_OPTS


# Uniform over 64 bits, the same for the same arguments (splitmix64).
cdef inline uint64_t mixed(uint64_t z) noexcept nogil:
    z += <uint64_t>0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


cdef inline uint64_t drawn(uint64_t seed, uint64_t place, int purpose, uint64_t number) noexcept nogil:
    return mixed(mixed(mixed(seed) + place) + (<uint64_t>purpose << 56) + number)


cdef inline double fraction(uint64_t random) noexcept nogil:
    """In [0, 1)."""
    return <double>(random >> 11) * (1.0 / 9007199254740992.0)
