"""The VENs of a fleet as rows. See vens.pxd."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from oadr2._core.answers cimport drop_answer
from oadr2._core.due cimport (
    due_append,
    due_free,
    due_full,
    due_init,
    due_order,
    due_pop,
    due_push,
    due_reserve,
)
from oadr2._core.draws cimport DRAW_BACK_OFF, DRAW_JITTER, drawn, fraction
from oadr2._core.groups cimport group_free
from oadr2._core.judge cimport FOREVER
from oadr2._core.rows cimport table_deadline, table_free


cdef void vens_init(Vens* v) noexcept nogil:
    memset(v, 0, sizeof(Vens))
    due_init(&v.polls)
    due_init(&v.changes)


cdef void vens_free(Vens* v) noexcept nogil:
    cdef uint32_t i
    for i in range(v.count):
        if v.items[i].table != NULL:
            table_free(v.items[i].table)
            free(v.items[i].table)
        while v.items[i].answers != NULL:
            drop_answer(&v.items[i].answers)
    for i in range(v.group_count):
        group_free(&v.groups[i])
    free(v.items)
    free(v.groups)
    due_free(&v.polls)
    due_free(&v.changes)
    vens_init(v)


cdef int vens_reserve(Vens* v, uint32_t more) noexcept nogil:
    cdef size_t rows = <size_t>v.count + more
    cdef Ven* items
    cdef Group* groups
    if rows >= <size_t><uint32_t>-1 // 4:
        return -1
    groups = <Group*>realloc(v.groups, (v.group_count + 1) * sizeof(Group))
    if groups == NULL:
        return -1
    v.groups = groups
    items = <Ven*>realloc(v.items, rows * sizeof(Ven) + 1)
    if items == NULL:
        return -1
    v.items = items
    if due_reserve(&v.polls, <uint32_t>rows) < 0 or due_reserve(&v.changes, <uint32_t>rows) < 0:
        return -1
    return 0


# -- the two heaps ------------------------------------------------------------------------------


cdef inline int64_t moment_of(const Vens* v, uint32_t row) noexcept nogil:
    cdef const Ven* ven = &v.items[row]
    cdef int64_t moment = ven.next_poll
    if ven.answers != NULL and ven.answers.at < moment:
        moment = ven.answers.at
    if ven.registration == REGISTERED and ven.flags & POLLS:
        moment = min(moment, min(party_of(v, row).report_at, party_of(v, row).opt_at))
    return moment


cdef void queue_row(Vens* v, uint32_t row) noexcept nogil:
    cdef Ven* ven = &v.items[row]
    cdef int64_t moment
    if ven.state != AT_REST:
        return
    moment = moment_of(v, row)
    if moment == ven.due:
        return
    ven.due = moment
    if moment == FOREVER:
        return
    if due_full(&v.polls):
        queue_again(v)
    else:
        due_push(&v.polls, moment, row)


cdef void queue_again(Vens* v) noexcept nogil:
    cdef uint32_t i
    cdef Ven* ven
    v.polls.count = 0
    for i in range(v.count):
        ven = &v.items[i]
        if ven.state != AT_REST:
            continue
        ven.due = moment_of(v, i)
        if ven.due != FOREVER:
            due_append(&v.polls, ven.due, i)
    due_order(&v.polls)


cdef inline int64_t change_of(const Ven* ven) noexcept nogil:
    return FOREVER if ven.table == NULL else table_deadline(ven.table)


cdef void queue_change(Vens* v, uint32_t row, int64_t before) noexcept nogil:
    cdef int64_t moment = change_of(&v.items[row])
    cdef uint32_t i
    if moment == before or moment == FOREVER:
        return
    if not due_full(&v.changes):
        due_push(&v.changes, moment, row)
        return
    v.changes.count = 0
    for i in range(v.count):
        moment = change_of(&v.items[i])
        if moment != FOREVER:
            due_append(&v.changes, moment, i)
    due_order(&v.changes)


cdef inline bint stale(const Ven* ven, int64_t moment) noexcept nogil:
    return ven.state != AT_REST or ven.due != moment


cdef int64_t next_due_row(Vens* v) noexcept nogil:
    while v.polls.count and stale(&v.items[v.polls.items[0].row], v.polls.items[0].moment):
        due_pop(&v.polls)
    return v.polls.items[0].moment if v.polls.count else FOREVER


cdef uint32_t take_rows(Vens* v, int64_t now, uint32_t limit, uint32_t* rows) noexcept nogil:
    cdef uint32_t count = 0
    cdef uint32_t row
    cdef int64_t moment
    cdef Ven* ven
    while count < limit and v.polls.count and v.polls.items[0].moment <= now:
        row = v.polls.items[0].row
        moment = v.polls.items[0].moment
        due_pop(&v.polls)
        ven = &v.items[row]
        if stale(ven, moment):
            continue
        ven.state = TAKEN
        ven.intended = moment
        ven.due = FOREVER
        ven.flags |= FIRST_MESSAGE
        if ven.next_poll <= moment:
            ven.flags |= POLL_DUE
            ven.next_poll = FOREVER
        rows[count] = row
        count += 1
    return count


cdef int64_t next_change(Vens* v) noexcept nogil:
    while v.changes.count and change_of(&v.items[v.changes.items[0].row]) != v.changes.items[0].moment:
        due_pop(&v.changes)
    return v.changes.items[0].moment if v.changes.count else FOREVER


cdef int64_t take_change(Vens* v, int64_t now) noexcept nogil:
    cdef uint32_t row
    if next_change(v) > now:
        return -1
    row = v.changes.items[0].row
    due_pop(&v.changes)
    return row


# -- when to poll -------------------------------------------------------------------------------


cdef int64_t slot_of(const Vens* v, uint32_t row, int64_t k) noexcept nogil:
    cdef const Ven* ven = &v.items[row]
    cdef double late = v.groups[ven.group].jitter * fraction(
        drawn(v.seed, place_of(v, row), DRAW_JITTER, <uint64_t>k))
    return ven.first + k * ven.interval + <int64_t>(late * <double>ven.interval)


@cython.cdivision(True)  # add_group and set_poll_interval refuse intervals that are not positive
cdef int64_t next_slot(const Vens* v, uint32_t row, int64_t begun, int64_t now, int64_t* skipped) noexcept nogil:
    # first + k * interval, each delayed by its own part of the jitter, so that delays do not add up and
    # what a slow VTN made us miss is not made up for (oadr2.pacing).
    cdef const Ven* ven = &v.items[row]
    cdef int64_t earliest = max(now, begun + ven.interval // 2)
    cdef int64_t k, usual
    if earliest < ven.first:
        return slot_of(v, row, 0)
    k = (earliest - ven.first) // ven.interval + 1
    usual = (begun + ven.interval // 2 - ven.first) // ven.interval + 1
    skipped[0] = k - usual if k > usual else 0
    return slot_of(v, row, k)


cdef int64_t retry_moment(const Vens* v, uint32_t row, int64_t now, int64_t wait) noexcept nogil:
    # Rows that failed together come back one by one, over an interval; those that fail again wait for
    # their next place. So a VTN that is down gets twice the usual polls for an interval, then the usual.
    cdef const Ven* ven = &v.items[row]
    cdef int64_t skipped = 0
    cdef int64_t slot = next_slot(v, row, now - ven.interval // 2, now, &skipped)
    cdef uint64_t random = drawn(v.seed, place_of(v, row), DRAW_BACK_OFF, (<uint64_t>ven.polls << 8) + ven.failures)
    cdef int64_t at = slot
    if ven.failures <= 1:
        at = now + <int64_t>(fraction(random) * <double>ven.interval)
    if at > slot:
        at = slot
    if at < now + wait:
        at = now + wait + <int64_t>(fraction(random) * v.groups[ven.group].jitter * <double>ven.interval)
    return at
