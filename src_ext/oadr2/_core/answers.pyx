"""The oadrCreatedEvents of a fleet. See answers.pxd."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strlen

from oadr2._core.groups cimport STALE, WRONG_IDS, sent_id_of
from oadr2._core.judge cimport reason_text
from oadr2._core.message cimport AnswerData
from oadr2._core.rows cimport Row, key_hash, table_find
from oadr2._core.text cimport Str
from oadr2._core.writer cimport write_created_event


cdef Answer* answer_new(uint16_t news, const Writer* w) noexcept nogil:
    cdef Answer* a = <Answer*>malloc(sizeof(Answer) + news * sizeof(int64_t) + w.used)
    if a == NULL:
        return NULL
    memset(a, 0, sizeof(Answer))
    a.news = news
    a.size = <uint32_t>w.used
    a.times = 1
    memcpy(answer_bytes(a), w.data, w.used)
    return a


cdef void add_answer(Answer** queue, Answer* answer) noexcept nogil:
    while queue[0] != NULL:
        queue = &queue[0].next
    answer.next = NULL
    queue[0] = answer


cdef void drop_answer(Answer** queue) noexcept nogil:
    cdef Answer* a = queue[0]
    queue[0] = a.next
    free(a)


cdef void drop_list_answers(Answer** queue) noexcept nogil:
    while queue[0] != NULL:
        if queue[0].of_list:
            drop_answer(queue)
        else:
            queue = &queue[0].next


cdef void make_stale(AnswerData* a, const Plan* p, Table* held, bint older_number) noexcept nogil:
    cdef Row* row
    if older_number and a.modification_number:
        a.modification_number -= 1
        return
    row = table_find(held, p.vtn_id, a.event_id, key_hash(p.vtn_id, a.event_id))
    if row != NULL and row.request_id.len:
        a.request_id = row.request_id  # of the list before: the plan is not committed yet
    else:
        a.request_id.ptr = b"0000000000000000"
        a.request_id.len = 16


cdef int write_answer(Writer* w, Plan* p, const Message* m, const Group* g, const Identity* me, Table* held,
                      uint32_t row, uint32_t behaviour, uint64_t random, NameRoom* other) noexcept nogil:
    # E03, E04, E07-E09, E31; the profile is the message's own (G06).
    cdef Str request_id
    cdef Str description
    cdef Str ven_id = me.ven_id
    cdef uint32_t i
    memset(&request_id, 0, sizeof(Str))
    memset(&description, 0, sizeof(Str))
    if p.reason:
        description.ptr = reason_text(p.reason)
        description.len = <uint32_t>strlen(description.ptr)
        request_id = p.request_id
    if behaviour & STALE:
        for i in range(p.answer_count):
            make_stale(&p.answers[i], p, held, random & 1)
    if behaviour & WRONG_IDS and random & 2:
        for i in range(p.answer_count):
            p.answers[i].event_id = me.ven_id
    elif behaviour & WRONG_IDS:
        other.used = 0
        ven_id = m.vtn_id
        if g.count > 1:
            ven_id = sent_id_of(g, g.first + (row - g.first + 1) % g.count, other)
    w.used = 0
    return write_created_event(w, m.profile, g.rules.wrap_b, ven_id, p.answers, p.answer_count, p.code,
                               description, request_id)
