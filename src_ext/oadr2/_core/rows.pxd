"""The rows of one VEN's event table, found by (vtnID, eventID) and by their next deadline.

Plain C, so that a fleet can hold many tables; no Python object is involved. Times are microseconds
since 1970 UTC; ``FOREVER`` stands for an end that never comes.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from oadr2._core.definitions cimport EventDef
from oadr2._core.judge cimport Rules
from oadr2._core.text cimport Str

cdef enum Phase:
    PHASE_HELD = 0          # pending or running
    PHASE_ENDING            # cancelled while running, runs until `terminate` (facts.md R04)
    PHASE_FINISHED          # over, kept so that a VTN that still lists it does not restart it


cdef enum ChangeKind:
    CHANGE_NEW = 0
    CHANGE_MODIFIED
    CHANGE_CANCELLED
    CHANGE_VANISHED
    CHANGE_STARTED
    CHANGE_INTERVAL
    CHANGE_COMPLETED
    CHANGE_OPT
    CHANGE_REFUSED
    CHANGE_REMOVED
    CHANGE_FORGOTTEN        # a finished row dropped: of no interest but to a store


cdef enum Remark:           # what a change's reason says, beyond the Reason of judge.pxd
    REMARK_NONE = 0
    REMARK_CANCELLED = 100  # the VTN said so
    REMARK_ABSENT           # no longer in the VTN's list
    REMARK_ENDS_LATER       # cancelled, runs on for its random termination time
    REMARK_ABSENT_ENDS_LATER
    REMARK_REVIVED          # listed again before it ended


cdef struct Row:
    EventDef* definition
    Str vtn_id              # its bytes follow the struct
    Str request_id          # of the list it was last in (facts.md E06); behind them if there is room for it
    uint32_t request_room
    uint32_t hash
    uint32_t references
    uint32_t position       # in Table.rows
    uint32_t heap_position  # in Table.heap, counted from 1; 0: none
    uint32_t sequence       # order of arrival
    uint32_t number         # highest modificationNumber accepted
    int64_t offset          # r of facts.md R01
    int64_t begin           # dtstart + r
    int64_t end             # begin + duration, or FOREVER
    int64_t terminate       # when an ending row stops, or FOREVER
    int64_t deadline        # of its next change, or FOREVER
    uint8_t phase
    uint8_t opt
    uint8_t started         # its start was reported (or would have been, were it opted in)
    uint8_t test
    uint8_t absent          # ends because it left the list


cdef struct Table:
    Row** rows
    Row** heap              # by deadline; rows without one are not in it
    uint32_t* index         # open addressing over row positions + 1
    uint32_t index_size     # a power of two, 0: none
    bint index_stale
    uint32_t count
    uint32_t heap_count
    uint32_t room
    uint32_t sequence
    uint64_t generation     # grows with every change of state
    Row* one_row[1]         # most VENs hold one event: rows and heap lie here then, and the struct must
    Row* one_heap[1]        # not be moved


cdef struct ChangeRecord:
    Row* row                # shared with the table
    EventDef* definition    # as it was at the change
    uint32_t number
    uint8_t kind
    uint8_t opt
    uint8_t reason          # Reason or Remark
    uint8_t notes


cdef struct ChangeList:
    ChangeRecord* items
    uint32_t count
    uint32_t room


cdef void table_init(Table* t) noexcept nogil
cdef void table_free(Table* t) noexcept nogil
cdef int table_reserve(Table* t, uint32_t more) noexcept nogil      # -1: no memory
cdef void table_insert(Table* t, Row* row) noexcept nogil           # after table_reserve; takes the reference
cdef void table_remove(Table* t, Row* row) noexcept nogil           # drops the reference
cdef Row* table_find(Table* t, Str vtn_id, Str event_id, uint32_t hash) noexcept nogil
cdef void table_schedule(Table* t, Row* row, int64_t deadline) noexcept nogil
cdef int64_t table_deadline(const Table* t) noexcept nogil
# Lets time pass up to now. -1: no memory, may be called again.
cdef int table_advance(Table* t, const Rules* rules, int64_t now, ChangeList* changes) noexcept nogil
# The row whose level holds at now, or NULL.
cdef Row* table_level(const Table* t, const Rules* rules, int64_t now, double* level) noexcept nogil

# Takes over the definition's reference, only on success; NULL: no memory. A requestID of that length
# needs no memory of its own.
cdef Row* row_new(Str vtn_id, EventDef* definition, uint32_t hash, uint32_t request_length) noexcept nogil
cdef void row_release(Row* row) noexcept nogil
cdef int row_reserve_request_id(Row* row, uint32_t length) noexcept nogil      # -1: no memory
cdef void row_set_request_id(Row* row, Str request_id) noexcept nogil           # after reserving
cdef bint row_running(const Row* row, int64_t now) noexcept nogil
cdef bint row_level(const Row* row, const Rules* rules, int64_t now, double* level) noexcept nogil
# -1: no memory, nothing has changed.
cdef int row_set_opt(Table* t, const Rules* rules, Row* row, int opt, int64_t now, ChangeList* changes) noexcept nogil
# Sets the deadline from phase, times and what was reported already.
cdef void row_plan_next(Table* t, const Rules* rules, Row* row, int64_t now) noexcept nogil

cdef uint32_t key_hash(Str vtn_id, Str event_id) noexcept nogil
cdef int changes_reserve(ChangeList* changes, uint32_t more) noexcept nogil
cdef void changes_add(ChangeList* changes, Row* row, int kind, int reason, int notes) noexcept nogil
cdef void changes_clear(ChangeList* changes) noexcept nogil
cdef void changes_free(ChangeList* changes) noexcept nogil
