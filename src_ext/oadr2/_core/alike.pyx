"""Reading by comparison; see alike.pxd."""

from libc.math cimport NAN, isfinite
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp
from tables cimport *

from oadr2._core.clock cimport NO_TIME, Dur, parse_date_time, parse_duration
from oadr2._core.leaves cimport begin, begin_event, begin_interval, end_event, store_leaf
from oadr2._core.message cimport IntervalData, Message
from oadr2._core.scanner cimport Scanner
from oadr2._core.text cimport Str
from oadr2._core.values cimport read_float
from oadr2._core.walk cimport (
    ALIKE_EVENT,
    ALIKE_INTERVAL,
    MAX_MISSES,
    MAX_PROBLEMS,
    MAX_STEPS,
    MAX_VALUES,
    STEP_ENTER,
    STEP_LEAVE,
    STEP_VALUE,
    EventMould,
    IntervalMould,
    Step,
    Walk,
)

cdef extern from "bytes16.h" nogil:
    const char* pass_plain(const char* p, const char* roomy)
    const char* pass_indent(const char* p, const char* roomy)


# --- writing down --------------------------------------------------------------------------------

cdef void add_step(Walk* w, int kind, int state, Str text) noexcept nogil:
    cdef EventMould* mould = &w.event_mould
    cdef Step* step
    if mould.count == MAX_STEPS:
        w.recording &= ~ALIKE_EVENT
        return
    step = &mould.steps[mould.count]
    mould.count += 1
    step.at = text.ptr
    step.length = text.len
    step.kind = <uint8_t> kind
    step.state = <uint8_t> state
    if kind == STEP_VALUE:
        mould.value = text.ptr
        mould.reached = text.ptr + text.len


cdef void start_interval(Walk* w) noexcept nogil:
    cdef IntervalMould* mould = &w.interval_mould
    w.ready &= ~ALIKE_INTERVAL
    if w.misses == MAX_MISSES:
        return
    w.recording |= ALIKE_INTERVAL
    if mould.depth:
        w.other_mould = mould[0]
    mould.depth = 0
    mould.values = 0
    mould.problems = w.m.problem_count
    mould.seen = <uint32_t> 1 << TRANSITION[ST_INTERVALS][w.s.element].bit
    mould.pieces[0] = w.s.token


cdef void start_event(Walk* w) noexcept nogil:
    """From the second event on: most lists hold only one."""
    cdef EventMould* mould = &w.event_mould
    w.ready &= ~ALIKE_EVENT
    if not w.m.event_count:
        mould.misses = 0
    elif mould.misses < MAX_MISSES:
        w.recording |= ALIKE_EVENT
        mould.count = 0
        mould.problems = w.m.problem_count
        mould.start = mould.reached = w.s.token
        mould.value = NULL


cdef void record_enter(Walk* w, int state) noexcept nogil:
    if state == ST_OADR_EVENT:
        start_event(w)
        return
    if w.recording & ALIKE_EVENT and (
        state == ST_INTERVAL or state == ST_SIGNAL or state == ST_BASELINE or state == ST_UNIT
        or state == ST_TARGET or state == ST_TARGET_TRANSPORTINTERFACE
    ):
        add_step(w, STEP_ENTER, state, w.s.local)
    if state == ST_INTERVAL:
        start_interval(w)


cdef void record_value(Walk* w, int state) noexcept nogil:
    cdef IntervalMould* mould = &w.interval_mould
    cdef Str text = w.s.text
    cdef const char* piece
    if w.recording & ALIKE_EVENT:
        if w.event_mould.reached <= text.ptr <= w.s.p:
            add_step(w, STEP_VALUE, state, text)
        else:  # rewritten: not in the payload
            w.recording &= ~ALIKE_EVENT
    if w.recording & ALIKE_INTERVAL:
        piece = mould.pieces[mould.values]
        if mould.values == MAX_VALUES or not piece <= text.ptr <= w.s.p:
            w.recording &= ~ALIKE_INTERVAL
            return
        mould.lengths[mould.values] = <uint32_t> (text.ptr - piece)
        mould.states[mould.values] = <uint8_t> state
        mould.values += 1
        mould.pieces[mould.values] = text.ptr + text.len


cdef void end_interval(Walk* w) noexcept nogil:
    cdef IntervalMould* mould = &w.interval_mould
    w.recording &= ~ALIKE_INTERVAL
    mould.token = 0 if w.s.token < mould.pieces[mould.values] else <uint32_t> (w.s.p - w.s.token)
    mould.lengths[mould.values] = <uint32_t> (w.s.p - mould.pieces[mould.values])
    mould.generation = w.s.generation
    mould.last = w.s.last
    if w.m.problem_count == mould.problems and mould.problems < MAX_PROBLEMS:
        mould.depth = w.s.depth
        w.ready |= ALIKE_INTERVAL


cdef void record_leave(Walk* w, int state) noexcept nogil:
    cdef EventMould* mould = &w.event_mould
    if state == ST_INTERVAL and w.recording & ALIKE_INTERVAL:
        end_interval(w)
    if not w.recording & ALIKE_EVENT:
        return
    if state == ST_SIGNAL or state == ST_BASELINE:
        add_step(w, STEP_LEAVE, state, Str(NULL, 0))
    elif state == ST_OADR_EVENT:
        w.recording &= ~ALIKE_EVENT
        mould.depth = w.s.depth
        mould.generation = w.s.generation
        mould.token = w.s.token
        mould.end = w.s.p
        if (
            w.m.problem_count == mould.problems and mould.problems < MAX_PROBLEMS
            and mould.value != NULL
        ):
            w.ready |= ALIKE_EVENT


# --- reading by comparison -----------------------------------------------------------------------

cdef bint read_value_into(Walk* w, int state, Str text, IntervalData* interval) noexcept nogil:
    """Read a value that leaves nothing to remark; False when it does."""
    cdef bint zoneless = False
    if state == ST_INTERVAL_UID_TEXT:
        interval.uid = text
        return True
    if state == ST_INTERVAL_DURATION_DURATION:
        return parse_duration(text.ptr, text.len, &interval.duration) == 0 and not (
            interval.duration.bare_months
        )
    if state == ST_INTERVAL_DTSTART_DATE_TIME:
        interval.dtstart = parse_date_time(text.ptr, text.len, &zoneless)
        return interval.dtstart != NO_TIME and not zoneless
    if state == ST_INTERVAL_SIGNALPAYLOAD_PAYLOADFLOAT_VALUE:
        interval.value = read_float(text)
        return isfinite(interval.value) != 0
    return False


cdef bint read_interval(Walk* w) noexcept nogil:
    """Read the next interval if it is written like the mould; else False, and nothing has happened."""
    cdef Scanner* s = &w.s
    cdef IntervalMould* mould = &w.interval_mould
    cdef const char* start = pass_indent(s.p, s.roomy)
    cdef const char* p = start
    cdef Str texts[MAX_VALUES]
    cdef uint32_t i, n
    cdef IntervalData interval
    if mould.depth != s.depth or mould.generation != s.generation or w.items >= w.limits.items:
        return False
    interval.uid = Str(NULL, 0)
    interval.duration = Dur(0, 0, 0, 0)
    interval.dtstart = NO_TIME
    interval.value = NAN
    for i in range(mould.values + 1):
        n = mould.lengths[i]
        if s.end - p < n or memcmp(p, mould.pieces[i], n) != 0:
            return False
        p += n
        if i < mould.values:
            texts[i].ptr = p
            p = pass_plain(p, s.roomy)
            texts[i].len = <uint32_t> (p - texts[i].ptr)
            if not read_value_into(w, mould.states[i], texts[i], &interval):
                return False
    s.token = start
    begin_interval(w)
    if w.failed:
        return True
    w.interval[0] = interval
    w.frames[w.top].seen |= mould.seen
    s.p = p
    s.last = mould.last
    if w.recording & ALIKE_EVENT:
        add_step(w, STEP_ENTER, ST_INTERVAL, Str(NULL, 0))
        for i in range(mould.values):
            add_step(w, STEP_VALUE, mould.states[i], texts[i])
    return True


cdef const char* last_start_tag(Walk* w) noexcept nogil:
    """Of the interval just read: what is missing after it is reported there."""
    cdef IntervalMould* mould = &w.interval_mould
    cdef const char* p = w.s.p - mould.token
    if not mould.token:
        p -= mould.lengths[mould.values] + 1  # inside the last value or its tag, where no other < can be
        while p[0] != c"<":
            p -= 1
    return p


cdef void read_intervals(Walk* w) noexcept nogil:
    """As many as follow here, written in either way."""
    cdef const char* start
    cdef uint32_t tried = 0
    w.misses += 1
    while tried < 2:
        tried += 1
        start = w.s.p
        while not w.failed and read_interval(w):
            w.misses = 0
            tried = 1
        if w.s.p != start and not w.failed:
            w.s.token = last_start_tag(w)
        if not w.other_mould.depth:
            return
        w.interval_mould, w.other_mould = w.other_mould, w.interval_mould


cdef bint take_steps(Walk* w) noexcept nogil:
    """Read the event at ``s.token`` step by step as the one before was read; False: it is another."""
    cdef Scanner* s = &w.s
    cdef EventMould* mould = &w.event_mould
    cdef const Step* step
    cdef const char* p = s.token
    cdef const char* at = mould.start
    cdef const char* value = p
    cdef uint32_t i
    cdef ssize_t n
    for i in range(mould.count):
        step = &mould.steps[i]
        if step.kind == STEP_VALUE:
            n = step.at - at
            if s.end - p < n or memcmp(p, at, n) != 0:
                return False
            value = p + n
            p = pass_plain(value, s.roomy)
            at = step.at + step.length
            s.text.ptr = value
            s.text.len = <uint32_t> (p - value)
            store_leaf(w, step.state)
        elif step.kind == STEP_LEAVE:
            if step.state == ST_SIGNAL:
                w.signal = NULL
            else:
                w.in_baseline = False
        elif step.state == ST_INTERVAL:
            begin_interval(w)
        else:
            s.local = Str(step.at, step.length)
            begin(w, step.state)
        if w.failed or w.m.problem_count != mould.problems:
            return False
    n = mould.end - at
    if s.end - p < n or memcmp(p, at, n) != 0:
        return False
    s.token = p + (mould.token - at) if mould.token >= at else value + (mould.token - mould.value)
    s.p = p + n
    return True


cdef bint read_event(Walk* w) noexcept nogil:
    """Read the next event if it is written like the one before; else False, and nothing has happened."""
    cdef Scanner* s = &w.s
    cdef Message* m = w.m
    cdef EventMould* mould = &w.event_mould
    cdef const char* token = s.token
    cdef uint32_t events = m.event_count, signals = m.signal_count
    cdef uint32_t intervals = m.interval_count, targets = m.target_count, items = w.items
    if mould.depth != s.depth or mould.generation != s.generation:
        return False
    s.token = pass_indent(s.p, s.roomy)
    mould.problems = m.problem_count
    begin_event(w)
    if not w.failed and take_steps(w):
        end_event(w)
        s.last = STATE_COUNT + ST_OADR_EVENT
        mould.misses = 0
        return True
    s.token = token
    m.event_count, m.signal_count = events, signals
    m.interval_count, m.target_count = intervals, targets
    m.problem_count = mould.problems
    m.error = 0
    w.items = items
    w.event = -1
    w.failed = w.in_baseline = False
    mould.misses += 1
    return False


cdef void read_alike(Walk* w) noexcept nogil:
    cdef int state = w.frames[w.top].state
    if state == ST_INTERVALS and w.ready & ALIKE_INTERVAL:
        read_intervals(w)
    elif state == ST_DISTRIBUTE_EVENT and w.ready & ALIKE_EVENT:
        while read_event(w):
            pass
