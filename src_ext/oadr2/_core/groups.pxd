"""Groups of VENs that share a configuration: their ids as patterns or lists, how they behave, what is drawn.

A name with ``{n}`` (or ``{n:05}``) in it stands for one name for each VEN; it is written out when it is needed.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from oadr2._core.judge cimport Identity, Names, Rules
from oadr2._core.text cimport Str

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


cdef enum Behaviour:        # of one VEN, decided by its group's shares
    OPTS_IN = 1
    SILENT = 2              # polls and never answers
    OFFLINE = 4             # never polls
    DUPLICATE = 8           # sends each answer twice
    STALE = 16              # answers with an older modificationNumber or requestID
    WRONG_IDS = 32          # answers with another venID or eventID


cdef struct Pattern:
    Str before
    Str after
    uint32_t width          # digits at least
    bint numbered


cdef struct PatternList:
    Pattern* items
    uint32_t count
    bint numbered           # some of them; else `fixed` may be used as it is
    Names fixed


cdef struct Group:
    Rules rules
    int profile
    uint32_t first          # row
    uint32_t count
    uint64_t first_number   # {n} of the first row
    uint64_t first_place    # of the first row, for what is drawn
    Pattern ven
    # ids given as a list: id i is text[offsets[i] : offsets[i + 1]]; index: open addressing over i + 1
    char* text
    uint32_t* offsets
    uint32_t* index
    uint32_t index_size     # a power of two, 0: a pattern
    PatternList groups
    PatternList resources
    PatternList parties
    double jitter
    double opt_in
    double silent
    double offline
    double duplicate
    double stale
    double wrong_ids
    int64_t delay_least
    int64_t delay_most


cdef enum:
    NUMBER_ROOM = 20        # digits of the largest {n}


# Where one row's names are written: one after the other into `text`, which has room for all.
cdef struct NameRoom:
    char* text
    size_t room
    size_t used
    Str* names
    uint32_t name_room
    uint32_t name_count


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


cdef uint32_t behaviour_of(const Group* g, uint64_t seed, uint64_t place) noexcept nogil
cdef Str ven_id_of(const Group* g, uint32_t row, NameRoom* room) noexcept nogil
cdef void identity_of(const Group* g, uint32_t row, NameRoom* room, Identity* me) noexcept nogil
# The row of this id, -1: none of this group's.
cdef int64_t row_of_id(const Group* g, Str ven_id) noexcept nogil
# How much room identity_of needs: bytes of text, and names.
cdef void room_needed(const Group* g, size_t* text, uint32_t* names) noexcept nogil
cdef void group_free(Group* g) noexcept nogil

# These raise; `kept` keeps alive what the Strs point to.
cdef int pattern_from(Pattern* pattern, str text, list kept) except -1
cdef int patterns_from(PatternList* patterns, object texts, list kept) except -1
cdef int ids_from(Group* g, object ids) except -1
