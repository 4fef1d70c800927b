"""What one oadrDistributeEvent does to a table. See plan.pxd; the table of rules is facts.md 2.2."""

from libc.math cimport isnan
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from oadr2._core.clock cimport NO_TIME, Dur, add_duration
from oadr2._core.definitions cimport EventDef, event_def_release, event_def_shared
from oadr2._core.judge cimport (
    FOREVER,
    REASON_CALENDAR,
    REASON_DUPLICATE,
    REASON_FULL,
    REASON_LOWER_NUMBER,
    REASON_NONE,
    REASON_OVER,
    REASON_SAME_NUMBER,
    REASON_UNREADABLE,
    REASON_VTN_ID,
    REFUSAL_DATA,
    Identity,
    Rules,
    code_of,
    is_zero,
    judge_event,
    match_vtn_id,
    reason_text,
    refusal_of,
    same_text,
    same_text_any_case,
)
from oadr2._core.message cimport (
    NO_INDEX,
    NO_NUMBER,
    OPT_IN,
    OPT_OUT,
    REQUIRED_NEVER,
    STATUS_CANCELLED,
    STATUS_COMPLETED,
    AnswerData,
    EventData,
    IntervalData,
    Message,
    SignalData,
)
from oadr2._core.rows cimport (
    CHANGE_CANCELLED,
    CHANGE_MODIFIED,
    CHANGE_NEW,
    CHANGE_VANISHED,
    PHASE_ENDING,
    PHASE_FINISHED,
    PHASE_HELD,
    REMARK_ABSENT,
    REMARK_ABSENT_ENDS_LATER,
    REMARK_CANCELLED,
    REMARK_ENDS_LATER,
    REMARK_NONE,
    REMARK_REVIVED,
    ChangeList,
    Row,
    Table,
    changes_add,
    changes_reserve,
    key_hash,
    row_new,
    row_plan_next,
    row_release,
    row_reserve_request_id,
    row_running,
    row_set_request_id,
    table_find,
    table_insert,
    table_remove,
    table_reserve,
)
from oadr2._core.text cimport Str

cdef extern from *:
    """
    #define LAST_INSTANT INT64_C(253402300799000000)  /* 9999-12-31T23:59:59Z */
    static inline uint64_t oadr2_part_of(uint64_t random, uint64_t whole) {
        return (uint64_t)(((unsigned __int128)random * whole) >> 64);
    }
    static inline size_t oadr2_strlen(const char *s) { size_t n = 0; while (s[n]) n++; return n; }
    """
    const int64_t LAST_INSTANT
    uint64_t oadr2_part_of(uint64_t random, uint64_t whole) noexcept nogil
    size_t oadr2_strlen(const char* s) noexcept nogil


cdef void plan_init(Plan* p) noexcept nogil:
    memset(p, 0, sizeof(Plan))


cdef void plan_clear(Plan* p) noexcept nogil:
    # What was not committed still belongs to the plan.
    cdef uint32_t i
    for i in range(p.op_count):
        if p.ops[i].kind == OP_ADD and p.ops[i].row != NULL:
            row_release(p.ops[i].row)
        if p.ops[i].definition != NULL:
            event_def_release(p.ops[i].definition)
    p.op_count = 0
    p.answer_count = 0
    p.refused_count = 0
    p.reason = REASON_NONE


cdef void plan_free(Plan* p) noexcept nogil:
    plan_clear(p)
    free(p.ops)
    free(p.answers)
    free(p.refused)
    free(p.scratch)
    plan_init(p)


cdef int64_t draw(Plan* p, int64_t span) noexcept nogil:
    # Uniform in [0, span] (facts.md R01, R04): splitmix64, then a multiplication instead of a division.
    cdef uint64_t z
    p.random += <uint64_t>0x9E3779B97F4A7C15
    z = p.random
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    z = z ^ (z >> 31)
    return <int64_t>oadr2_part_of(z, <uint64_t>span + 1)


cdef bint same_duration(const Dur* a, const Dur* b) noexcept nogil:
    cdef int64_t a_us = a.us if a.present else 0
    cdef int64_t b_us = b.us if b.present else 0
    return a_us == b_us and (a.months if a.present else 0) == (b.months if b.present else 0)


cdef int64_t startafter_span(const EventData* e) noexcept nogil:
    # Its length from dtstart on, as the calendar has it; NO_TIME: beyond the calendar.
    cdef int64_t latest
    if not e.startafter.present or is_zero(&e.startafter):
        return 0
    latest = add_duration(e.dtstart, &e.startafter, 1)
    if latest == NO_TIME:
        return NO_TIME
    return latest - e.dtstart if latest > e.dtstart else 0


cdef int event_times(const EventData* e, int64_t offset, int64_t* begin, int64_t* end) noexcept nogil:
    # R01, R02, E42. -1: beyond the calendar.
    begin[0] = e.dtstart + offset
    end[0] = FOREVER
    if not is_zero(&e.duration):
        end[0] = add_duration(begin[0], &e.duration, 1)
        if end[0] == NO_TIME:
            return -1
    return 0


cdef bint is_test(const EventData* e) noexcept nogil:
    # E44: anything but false, blank or nothing.
    cdef Str text = e.test_event
    cdef Str word
    while text.len and text.ptr[0] in (32, 9, 10, 13):
        text.ptr += 1
        text.len -= 1
    while text.len and text.ptr[text.len - 1] in (32, 9, 10, 13):
        text.len -= 1
    word.ptr = b"false"
    word.len = 5
    return text.len != 0 and not same_text_any_case(text, word)


# -- answers ------------------------------------------------------------------------------------


cdef uint32_t answer(Plan* p, const EventData* e, int code, int opt, int reason) noexcept nogil:
    # The index of the answer, NO_INDEX when the VTN wants none (E02).
    cdef AnswerData* a
    if e.response_required == REQUIRED_NEVER:
        return NO_INDEX
    a = &p.answers[p.answer_count]
    memset(a, 0, sizeof(AnswerData))
    a.event_id = e.event_id
    a.request_id = p.request_id
    if reason != REASON_NONE:
        a.response_description.ptr = reason_text(reason)
        a.response_description.len = <uint32_t>oadr2_strlen(a.response_description.ptr)
    a.modification_number = 0 if e.modification_number == NO_NUMBER else <uint32_t>e.modification_number
    a.response_code = <uint16_t>code
    a.opt = <uint8_t>opt
    p.answer_count += 1
    return p.answer_count - 1


cdef void refuse(Plan* p, const Rules* rules, const Message* m, uint32_t index, int opt, int reason) noexcept nogil:
    cdef RefusedEvent* refused = &p.refused[p.refused_count]
    cdef const EventData* e = &m.events[index]
    refused.event = index
    refused.code = code_of(rules, e.profile, reason)
    refused.reason = <uint8_t>reason
    p.refused_count += 1
    if e.event_id.len:
        answer(p, e, refused.code, opt, reason)


cdef void note(Plan* p, uint32_t index, int reason) noexcept nogil:
    # Something to tell the application about an event that was answered as usual.
    cdef RefusedEvent* noted = &p.refused[p.refused_count]
    noted.event = index
    noted.code = 200
    noted.reason = <uint8_t>reason
    p.refused_count += 1


cdef bint same_schedule(const EventData* e, const Message* m, const EventDef* d) noexcept nogil:
    # Whether two versions mean the same times and levels.
    cdef const SignalData* a
    cdef const SignalData* b
    cdef const IntervalData* one
    cdef const IntervalData* other
    cdef uint32_t i, k
    if (
        e.dtstart != d.event.dtstart or not same_duration(&e.duration, &d.event.duration)
        or not same_duration(&e.startafter, &d.event.startafter)
        or e.signal_count != d.event.signal_count
    ):
        return False
    for i in range(e.signal_count):
        a = &m.signals[e.signal_begin + i]
        b = &d.signals[d.event.signal_begin + i]
        if a.interval_count != b.interval_count:
            return False
        for k in range(a.interval_count):
            one = &m.intervals[a.interval_begin + k]
            other = &d.intervals[b.interval_begin + k]
            if one.value != other.value and not (isnan(one.value) and isnan(other.value)):
                return False
            if not same_duration(&one.duration, &other.duration):
                return False
    return True


# -- operations ---------------------------------------------------------------------------------


cdef Op* add_op(Plan* p, int kind, Row* row, uint32_t event, int change, int reason) noexcept nogil:
    cdef Op* op = &p.ops[p.op_count]
    memset(op, 0, sizeof(Op))
    op.kind = <uint8_t>kind
    op.row = row
    op.event = event
    op.answer = NO_INDEX
    op.change = <uint8_t>change
    op.reason = <uint8_t>reason
    op.terminate = FOREVER
    if row != NULL:
        op.number = row.number
        op.opt = row.opt
        op.offset = row.offset
        op.begin = row.begin
        op.end = row.end
        op.terminate = row.terminate
    p.op_count += 1
    return op


cdef void touch(Plan* p, Row* row, uint32_t event, uint32_t number) noexcept nogil:
    # The version is unchanged; its latest requestID and number are not (E05, E06).
    cdef Op* op
    if number <= row.number and same_text(row.request_id, p.request_id):
        return
    op = add_op(p, OP_TOUCH, row, event, 0, REMARK_NONE)
    if number > op.number:
        op.number = number


cdef bint is_over(const Row* row, int64_t now) noexcept nogil:
    return row.phase == PHASE_FINISHED or row.end <= now


cdef void stop(Plan* p, Row* row, uint32_t event, uint32_t number) noexcept nogil:
    # A cancellation, explicit (event) or implied (NO_INDEX): at once, or after a random time (R04).
    cdef bint absent = event == NO_INDEX
    cdef int64_t span
    cdef Op* op
    if is_over(row, p.now):
        add_op(p, OP_FORGET, row, event, 0, REMARK_NONE)
        return
    if row.phase == PHASE_ENDING:
        if not absent:
            touch(p, row, event, number)
        return
    if row.opt == OPT_IN and row_running(row, p.now):
        span = startafter_span(&row.definition.event)
        if span > 0:
            op = add_op(p, OP_END, row, event, CHANGE_MODIFIED,
                        REMARK_ABSENT_ENDS_LATER if absent else REMARK_ENDS_LATER)
            op.terminate = p.now + draw(p, span)
            if op.terminate > row.end:
                op.terminate = row.end
            if op.terminate > LAST_INSTANT:
                op.terminate = LAST_INSTANT
            if not absent and number > op.number:
                op.number = number
            return
    op = add_op(p, OP_REMOVE, row, event, CHANGE_VANISHED if absent else CHANGE_CANCELLED,
                REMARK_ABSENT if absent else REMARK_CANCELLED)
    if not absent:
        op.number = number


cdef int take(Plan* p, Table* t, const Rules* rules, const Message* m, uint32_t index, Row* row,
              uint32_t hash, uint32_t adds, uint32_t notes) noexcept nogil:
    # A valid event, new (row NULL) or modified. A Reason, or -1: no memory.
    cdef const EventData* e = &m.events[index]
    cdef EventDef* definition
    cdef Row* fresh
    cdef Op* op
    cdef int64_t span = startafter_span(e)
    cdef int64_t offset
    cdef int64_t begin = 0, end = 0, latest_end = 0
    if span == NO_TIME or event_times(e, span, &begin, &latest_end) < 0:
        return REASON_CALENDAR
    if row == NULL:
        if latest_end <= p.now:  # E30
            return REASON_OVER
        if t.count + adds >= rules.rows:
            return REASON_FULL
    if row != NULL and same_duration(&e.startafter, &row.definition.event.startafter):
        offset = row.offset if row.offset < span else span  # R03
    else:
        offset = draw(p, span) if span else 0
    if event_times(e, offset, &begin, &end) < 0:
        return REASON_CALENDAR
    if row != NULL and is_over(row, p.now) and end <= p.now:
        answer(p, e, 200, row.opt, REASON_NONE)
        touch(p, row, index, e.modification_number)
        return REASON_NONE
    definition = event_def_shared(rules.definitions, m, index, rules.limits.bare_months_are_minutes)
    if definition == NULL:
        return -1
    if row == NULL:
        fresh = row_new(p.vtn_id, definition, hash, p.request_id.len)
        if fresh == NULL:
            event_def_release(definition)
            return -1
        fresh.sequence = t.sequence + adds
        fresh.opt = rules.default_opt
        op = add_op(p, OP_ADD, fresh, index, CHANGE_NEW, REMARK_NONE)
    else:
        op = add_op(p, OP_REPLACE, row, index, CHANGE_MODIFIED, REMARK_NONE)
        op.definition = definition
    op.number = e.modification_number
    op.notes = <uint8_t>notes
    op.offset = offset
    op.begin = begin
    op.end = end
    op.terminate = FOREVER
    op.answer = answer(p, e, 200, op.opt, REASON_NONE)
    return REASON_NONE


cdef int plan_event(Plan* p, Table* t, const Rules* rules, const Identity* me, const Message* m, uint32_t index,
                    Row* row, uint32_t hash, uint32_t adds) noexcept nogil:
    # One event, in the order of facts.md 2.2. -1: no memory.
    cdef const EventData* e = &m.events[index]
    cdef uint32_t number = <uint32_t>e.modification_number
    cdef uint32_t notes = 0
    cdef uint32_t count, answered
    cdef int reason
    cdef Op* op
    if not e.readable:
        refuse(p, rules, m, index, OPT_OUT, REASON_UNREADABLE)
        return 0
    if row != NULL and number < row.number:  # E16, also when it says cancelled
        refuse(p, rules, m, index, row.opt, REASON_LOWER_NUMBER)
        touch(p, row, index, row.number)
        return 0
    if e.status == STATUS_CANCELLED:
        count = p.op_count
        if row != NULL:  # E18; an unknown one needs nothing but its answer (E19)
            stop(p, row, index, number)
        answered = answer(p, e, 200, OPT_IN, REASON_NONE)
        if p.op_count > count:
            p.ops[count].answer = answered
        return 0
    if e.status == STATUS_COMPLETED:  # E26: the local clock rules
        answer(p, e, 200, rules.unknown_completed_opt if row == NULL else row.opt, REASON_NONE)
        if row != NULL:
            touch(p, row, index, number)
        return 0
    # A cancellation or a completed status may have raised the number without bringing this version.
    if row != NULL and number == row.number and number == row.definition.event.modification_number:
        answer(p, e, 200, row.opt, REASON_NONE)  # E17
        if e.valid and not same_schedule(e, m, row.definition):
            note(p, index, REASON_SAME_NUMBER)
        if row.phase == PHASE_ENDING and not is_over(row, p.now):
            op = add_op(p, OP_REVIVE, row, index, CHANGE_MODIFIED, REMARK_REVIVED)
            op.terminate = FOREVER
        else:
            touch(p, row, index, number)
        return 0
    reason = judge_event(rules, me, e, m.signals, m.intervals, m.targets, &notes)
    if reason == REASON_NONE:
        reason = take(p, t, rules, m, index, row, hash, adds, notes)
        if reason < 0:
            return -1
    if reason != REASON_NONE:
        refuse(p, rules, m, index, OPT_OUT, reason)
        if row != NULL:
            if refusal_of(reason) == REFUSAL_DATA:  # the stored version stays
                touch(p, row, index, row.number)
            else:  # the VTN replaced it by one that is not for us: gone, as if no longer listed (R04)
                count = p.op_count
                stop(p, row, NO_INDEX, 0)
                if p.op_count > count and p.ops[count].kind == OP_REMOVE:
                    p.ops[count].reason = <uint8_t>reason
    return 0


# -- the list -----------------------------------------------------------------------------------


cdef int reserve(Plan* p, uint32_t events, uint32_t rows, size_t scratch) noexcept nogil:
    cdef void* memory
    if events > p.answer_room:
        memory = realloc(p.answers, events * sizeof(AnswerData))
        if memory == NULL:
            return -1
        p.answers = <AnswerData*>memory
        p.answer_room = events
    if events > p.refused_room:
        memory = realloc(p.refused, events * sizeof(RefusedEvent))
        if memory == NULL:
            return -1
        p.refused = <RefusedEvent*>memory
        p.refused_room = events
    if events + rows > p.op_room:
        memory = realloc(p.ops, (events + rows) * sizeof(Op))
        if memory == NULL:
            return -1
        p.ops = <Op*>memory
        p.op_room = events + rows
    if scratch > p.scratch_room:
        memory = realloc(p.scratch, scratch)
        if memory == NULL:
            return -1
        p.scratch = <uint8_t*>memory
        p.scratch_room = scratch
    return 0


cdef bint first_of_its_id(const Message* m, uint32_t index, uint32_t hash, uint32_t* set_, uint32_t mask) noexcept nogil:
    # Open addressing over the list's own events.
    cdef uint32_t slot = hash & mask
    while set_[slot]:
        if same_text(m.events[set_[slot] - 1].event_id, m.events[index].event_id):
            return False
        slot = (slot + 1) & mask
    set_[slot] = index + 1
    return True


cdef int plan_list(Plan* p, Table* t, const Rules* rules, const Identity* me, const Message* m, int64_t now,
                   uint64_t seed) noexcept nogil:
    cdef uint32_t i, hash
    cdef uint32_t size = 4
    cdef uint32_t adds = 0
    cdef uint32_t ops
    cdef uint32_t* set_
    cdef uint8_t* seen
    # A list as long as the replyLimit we asked for may have been cut.
    cdef bint whole = m.event_count < rules.reply_limit
    cdef Row* row
    plan_clear(p)
    p.generation = t.generation
    p.random = seed
    p.now = now
    p.request_id = m.request_id
    p.reason = REASON_NONE
    p.code = 200
    p.vtn_id = match_vtn_id(rules, m.vtn_id)
    if p.vtn_id.ptr == NULL:  # E31
        p.reason = REASON_VTN_ID
        p.code = code_of(rules, m.profile, REASON_VTN_ID)
        return 0
    while size < 2 * m.event_count:
        size *= 2
    if reserve(p, m.event_count, t.count, size * sizeof(uint32_t) + t.count) < 0:
        return -1
    set_ = <uint32_t*>p.scratch
    seen = p.scratch + size * sizeof(uint32_t)
    memset(p.scratch, 0, size * sizeof(uint32_t) + t.count)
    for i in range(m.event_count):
        if m.events[i].event_id.len == 0:
            # Nobody can say which event this was: no other may be taken for absent.
            whole = False
            refuse(p, rules, m, i, OPT_OUT, REASON_UNREADABLE)
            continue
        hash = key_hash(p.vtn_id, m.events[i].event_id)
        row = table_find(t, p.vtn_id, m.events[i].event_id, hash)
        if row != NULL:
            seen[row.position] = 1
        if not first_of_its_id(m, i, hash, set_, size - 1):
            refuse(p, rules, m, i, OPT_OUT, REASON_DUPLICATE)
            continue
        ops = p.op_count
        if plan_event(p, t, rules, me, m, i, row, hash, adds) < 0:
            plan_clear(p)
            return -1
        if p.op_count > ops and p.ops[ops].kind == OP_ADD:
            adds += 1
    if rules.implied_cancel and whole:  # E22, E24, E25
        for i in range(t.count):
            row = t.rows[i]
            if not seen[i] and same_text(row.vtn_id, p.vtn_id):
                stop(p, row, NO_INDEX, 0)
    return 0


cdef int plan_commit(Plan* p, Table* t, const Rules* rules, ChangeList* changes) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t adds = 0
    cdef Op* op
    cdef Row* row
    if p.generation != t.generation:
        return 1
    if p.op_count == 0:
        return 0
    # Everything that can fail comes first.
    for i in range(p.op_count):
        op = &p.ops[i]
        if op.kind == OP_ADD:
            adds += 1
        if op.event != NO_INDEX and row_reserve_request_id(op.row, p.request_id.len) < 0:
            return -1
    if table_reserve(t, adds) < 0 or changes_reserve(changes, p.op_count) < 0:
        return -1
    t.generation += 1
    for i in range(p.op_count):
        op = &p.ops[i]
        row = op.row
        if op.event != NO_INDEX:
            row_set_request_id(row, p.request_id)
        if op.kind == OP_FORGET:
            table_remove(t, row)
            continue
        row.number = op.number
        if op.kind == OP_TOUCH:
            continue
        if op.kind == OP_REMOVE:
            changes_add(changes, row, op.change, op.reason, 0)
            table_remove(t, row)
            continue
        if op.kind == OP_ADD:
            table_insert(t, row)
            op.row = NULL  # the table's now
        elif op.kind == OP_REPLACE:
            event_def_release(row.definition)
            row.definition = op.definition
            op.definition = NULL
            # Its start is news again if it did not run before.
            row.started = row.started and row.opt == OPT_IN and row_running(row, p.now) and op.begin <= p.now
        row.opt = op.opt
        row.offset = op.offset
        row.begin = op.begin
        row.end = op.end
        row.terminate = op.terminate
        row.phase = PHASE_ENDING if op.kind == OP_END else PHASE_HELD
        row.absent = op.reason == REMARK_ABSENT_ENDS_LATER
        row.test = is_test(&row.definition.event)
        changes_add(changes, row, op.change, op.reason, op.notes)
        row_plan_next(t, rules, row, p.now)
    return 0
