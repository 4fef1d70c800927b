"""The VENs of a fleet as rows: when each polls, what it has to send, which events it holds.

Plain C, one struct per VEN and no object, task or timer. Times are microseconds since 1970 UTC.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from oadr2._core.answers cimport Answer
from oadr2._core.due cimport DueHeap
from oadr2._core.groups cimport Group
from oadr2._core.parties cimport Party
from oadr2._core.rows cimport Table

cdef enum State:            # of a row's exchange
    AT_REST = 0
    TAKEN                   # its time has come: something is to be sent
    SENT_POLL
    SENT_ANSWER
    SENT_SERVICE            # a message of another service than EiEvent: Party.sent says which


cdef enum Registration:     # where a VEN stands with its VTN
    NOT_NEEDED = 0          # it asks for events only
    UNREGISTERED
    REGISTERED
    CANCELLED               # by the VTN: it is silent until it is started again


cdef enum RowFlag:
    POLLS = 1               # between start and stop
    POLL_DUE = 2            # this exchange has a poll still to be sent
    FIRST_MESSAGE = 4       # nothing was sent in this exchange yet
    ANSWER_FAILED = 8       # the waiting answer could not be sent: poll before it is tried again
    HEARD = 16              # a callback wants to know of this row


cdef struct Ven:
    Table* table            # NULL: holds no event
    Answer* answers         # what is to be sent before the next poll, in this order
    int64_t due             # in the heap of polls for this moment; FOREVER: not in it
    int64_t next_poll       # FOREVER: none planned
    int64_t first           # where the grid of its polls begins
    int64_t since           # when it began to poll: what was set before is no news to measure
    int64_t interval
    int64_t intended        # when the message under way should have been sent
    int64_t sent            # when it was
    uint32_t polls          # how many requests it has made: numbers what is drawn
    uint16_t group
    uint8_t state
    uint8_t flags
    uint8_t behaviour
    uint8_t failures        # exchanges that failed one after the other
    uint8_t registration


cdef struct Vens:
    Ven* items
    uint32_t count
    uint64_t seed
    Group* groups
    uint32_t group_count
    DueHeap polls           # by Ven.due
    DueHeap changes         # by table_deadline(Ven.table)


cdef inline uint64_t place_of(const Vens* v, uint32_t row) noexcept nogil:
    cdef const Group* g = &v.groups[v.items[row].group]
    return g.first_place + (row - g.first)


cdef inline Party* party_of(const Vens* v, uint32_t row) noexcept nogil:
    """Only of a row whose registration is not NOT_NEEDED."""
    cdef const Group* g = &v.groups[v.items[row].group]
    return &g.services.parties[row - g.first]


cdef void vens_init(Vens* v) noexcept nogil
cdef void vens_free(Vens* v) noexcept nogil
# Room for `more` rows; -1: no memory, nothing has changed.
cdef int vens_reserve(Vens* v, uint32_t more) noexcept nogil

# When the row has something to send next, after what it holds now; queues it unless it is in an exchange.
cdef void queue_row(Vens* v, uint32_t row) noexcept nogil
# After the rows' moments were changed without queue_row.
cdef void queue_again(Vens* v) noexcept nogil
# After a change of the events of a row whose deadline was `before`.
cdef void queue_change(Vens* v, uint32_t row, int64_t before) noexcept nogil
# Takes rows that are due into `rows`; how many.
cdef uint32_t take_rows(Vens* v, int64_t now, uint32_t limit, uint32_t* rows) noexcept nogil
cdef int64_t next_due_row(Vens* v) noexcept nogil       # FOREVER: none
# The row whose events change at or before now, -1: none. Its entry is gone then.
cdef int64_t take_change(Vens* v, int64_t now) noexcept nogil
cdef int64_t next_change(Vens* v) noexcept nogil        # FOREVER: none
# The k-th place on the row's grid of polls, late by its jitter.
cdef int64_t slot_of(const Vens* v, uint32_t row, int64_t k) noexcept nogil
# The next place on the row's grid of polls, and how many places were passed over.
cdef int64_t next_slot(const Vens* v, uint32_t row, int64_t begun, int64_t now, int64_t* skipped) noexcept nogil
# When a row tries again after an exchange that failed; at least `wait` from now.
cdef int64_t retry_moment(const Vens* v, uint32_t row, int64_t now, int64_t wait) noexcept nogil
