"""What one oadrDistributeEvent does to a table: decided first, applied later, whole or not at all.

``plan_list`` reads the table and changes nothing; ``plan_commit`` applies what it decided. In between
the caller may change opts and write to its store (facts.md 2.2).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from oadr2._core.definitions cimport EventDef
from oadr2._core.judge cimport Identity, Rules
from oadr2._core.message cimport AnswerData, EventData, Message
from oadr2._core.rows cimport ChangeList, Row, Table
from oadr2._core.text cimport Str

cdef enum OpKind:
    OP_ADD = 0
    OP_REPLACE
    OP_REMOVE
    OP_FORGET               # a finished row: nobody needs to know
    OP_END                  # cancelled while running: stops at `terminate`
    OP_REVIVE
    OP_TOUCH                # only the requestID or the number moves


cdef struct Op:
    Row* row                # OP_ADD: the plan's own until committed
    EventDef* definition    # OP_REPLACE: the same
    int64_t offset
    int64_t begin
    int64_t end
    int64_t terminate
    uint32_t event          # index in the message; NO_INDEX: absent from the list
    uint32_t number
    uint32_t answer         # index of its answer; NO_INDEX: none
    uint8_t kind
    uint8_t opt
    uint8_t change          # ChangeKind
    uint8_t reason          # Reason or Remark
    uint8_t notes


cdef struct RefusedEvent:
    uint32_t event
    uint16_t code
    uint8_t reason


cdef struct Plan:
    uint64_t generation     # of the table it was made for
    uint64_t random         # splitmix64
    int64_t now
    Str vtn_id
    Str request_id
    uint16_t code           # of the reply's eiResponse
    uint8_t reason
    uint32_t op_count
    uint32_t op_room
    Op* ops
    uint32_t answer_count
    uint32_t answer_room
    AnswerData* answers
    uint32_t refused_count
    uint32_t refused_room
    RefusedEvent* refused
    size_t scratch_room
    uint8_t* scratch


cdef void plan_init(Plan* p) noexcept nogil
cdef void plan_clear(Plan* p) noexcept nogil
cdef void plan_free(Plan* p) noexcept nogil
# -1: no memory. The message must outlive the plan.
cdef int plan_list(Plan* p, Table* t, const Rules* rules, const Identity* me, const Message* m, int64_t now,
                   uint64_t seed) noexcept nogil
# 1: the table has changed since; -1: no memory; both leave the table as it was.
cdef int plan_commit(Plan* p, Table* t, const Rules* rules, ChangeList* changes) noexcept nogil
cdef int event_times(const EventData* e, int64_t offset, int64_t* begin, int64_t* end) noexcept nogil
cdef bint is_test(const EventData* e) noexcept nogil
