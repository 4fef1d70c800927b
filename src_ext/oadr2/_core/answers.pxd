"""The oadrCreatedEvents of a fleet: how they are written, faults and all, and how they wait to be sent."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from oadr2._core.groups cimport Group, NameRoom
from oadr2._core.judge cimport Identity
from oadr2._core.message cimport Message
from oadr2._core.plan cimport Plan
from oadr2._core.rows cimport Table
from oadr2._core.writer cimport Writer


# Its bytes follow the struct, before them the moments at which the events it answers for the first time
# were set at the VTN.
cdef struct Answer:
    Answer* next
    int64_t at              # when it is to be sent
    uint32_t size
    uint16_t news
    uint8_t times           # how often still
    uint8_t repeated        # it was acknowledged once
    uint8_t service         # 0 for EiEvent, as Fleet.service() gives it
    uint8_t of_list         # the answer to a list: the answer to a later one takes its place


cdef inline int64_t* answer_news(Answer* a) noexcept nogil:
    return <int64_t*>&a[1]


cdef inline char* answer_bytes(Answer* a) noexcept nogil:
    return <char*>(answer_news(a) + a.news)


# To be filled in; NULL: no memory.
cdef Answer* answer_new(uint16_t news, const Writer* w) noexcept nogil
# Of a queue of answers, the one to be sent first at its head.
cdef void add_answer(Answer** queue, Answer* answer) noexcept nogil
cdef void drop_answer(Answer** queue) noexcept nogil
cdef void drop_list_answers(Answer** queue) noexcept nogil

# The answer to a list, with what a VEN of this behaviour does wrong; 0 or WRITE_*. `random` chooses what,
# `other` takes the name of the VEN that `row` is mistaken for.
cdef int write_answer(Writer* w, Plan* p, const Message* m, const Group* g, const Identity* me, Table* held,
                      uint32_t row, uint32_t behaviour, uint64_t random, NameRoom* other) noexcept nogil
