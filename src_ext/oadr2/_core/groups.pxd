"""Groups of VENs that share a configuration: their ids as patterns or lists, how they behave, what is drawn.

A name with ``{n}`` (or ``{n:05}``) in it stands for one name for each VEN; it is written out when it is needed.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from oadr2._core.judge cimport Identity, Names, Rules
from oadr2._core.parties cimport Services
from oadr2._core.text cimport Str

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
    Services* services      # NULL: its VENs ask for events only


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


cdef uint32_t behaviour_of(const Group* g, uint64_t seed, uint64_t place) noexcept nogil
cdef Str ven_id_of(const Group* g, uint32_t row, NameRoom* room) noexcept nogil
# The venID that a row goes by: what its VTN gave it, or else its own.
cdef Str sent_id_of(const Group* g, uint32_t row, NameRoom* room) noexcept nogil
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
