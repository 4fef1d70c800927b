"""The walk from bytes to a Message; see decode.pxd."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from services cimport SERVICE_STEP, SV_DOCUMENT
from tables cimport *

from oadr2._core.alike cimport read_alike, record_enter, record_leave, record_value
from oadr2._core.decode_service cimport decode_service
from oadr2._core.leaves cimport begin, begin_message, end_event, problem, store_leaf
from oadr2._core.message cimport (
    KIND_SERVICE,
    NO_NUMBER,
    PROBLEM_CHILDREN,
    PROBLEM_MISSING,
    PROBLEM_PROFILE,
    PROBLEM_REPEATED,
    PROFILE_A,
    PROFILE_B,
    DecodeLimits,
    Message,
)
from oadr2._core.scanner cimport TOKEN_CLOSE, TOKEN_ERROR, TOKEN_LEAF, TOKEN_OPEN, Scanner, element_uri
from oadr2._core.standalone cimport scanner_standalone
from oadr2._core.tags cimport next_token
from oadr2._core.text cimport Str
from oadr2._core.values cimport equals
from oadr2._core.walk cimport ALIKE_EVENT, MAX_STATES, Frame, Walk
from oadr2._core.xml cimport scanner_begin, scanner_free, scanner_skip

cdef extern from "bytes16.h" nogil:
    bint likely(bint x)


# --- elements as they end ------------------------------------------------------------------------

cdef void note_missing(Walk* w, int state, uint32_t seen) noexcept nogil:
    """Of an element that has ended: the children that did not come."""
    cdef const StateRow* row = &STATES[state]
    cdef int profile = w.m.profile == PROFILE_B
    cdef uint32_t missing
    cdef uint32_t bit = 0
    if state == ST_PAYLOAD and not w.m.kind:
        return  # a message we have no class for
    missing = row.required[profile] & ~seen
    while bit < 32 and missing >> bit:
        if missing >> bit & 1:
            problem(w, PROBLEM_MISSING, row.children[bit], True, Str(NULL, 0))
        bit += 1
    missing = row.due[profile] & ~row.required[profile] & ~seen
    bit = 0
    while bit < 32 and missing >> bit:
        if missing >> bit & 1:
            problem(w, PROBLEM_MISSING, row.children[bit], False, Str(NULL, 0))
        bit += 1


cdef inline void leave(Walk* w) noexcept nogil:
    """An element that holds others has ended: is everything there?"""
    cdef int state = w.frames[w.top].state
    cdef uint32_t seen = w.frames[w.top].seen
    cdef const StateRow* row = &STATES[state]
    cdef int profile = w.m.profile == PROFILE_B
    w.s.last = <uint16_t> (STATE_COUNT + state)
    if row.due[profile] & ~seen:
        note_missing(w, state, seen)
    if state == ST_SIGNAL:
        w.signal = NULL
    elif state == ST_BASELINE:
        w.in_baseline = False
    elif state == ST_OADR_EVENT:
        end_event(w)
    if w.recording & ALIKE_EVENT or state == ST_INTERVAL:
        record_leave(w, state)
    w.top -= 1


# --- the walk ------------------------------------------------------------------------------------

cdef void pass_over(Walk* w, int token) noexcept nogil:
    if token == TOKEN_OPEN:
        scanner_skip(&w.s)


cdef inline void enter(Walk* w, int state) noexcept nogil:
    """An element that holds others has begun, and there is nothing to say against it."""
    if w.recording & ALIKE_EVENT or state == ST_INTERVAL or state == ST_OADR_EVENT:
        record_enter(w, state)
    begin(w, state)
    if w.failed:
        return
    w.top += 1
    w.frames[w.top].state = <uint8_t> state
    w.frames[w.top].element = w.s.element
    w.frames[w.top].seen = 0
    w.s.last = <uint16_t> state


cdef void take_service(Walk* w, int token) noexcept nogil:
    """A message of another service than EiEvent, whole; ``w.s.error`` tells when it is no XML."""
    cdef uint8_t outer[MAX_STATES]
    cdef uint32_t i
    begin_message(w, KIND_SERVICE)
    if w.failed:
        return
    for i in range(w.top + 1):
        outer[i] = w.frames[i].element
    if decode_service(&w.s, w.m, w.limits, outer, w.top + 1, token) < 0 and not w.s.error:
        w.failed = True
    w.s.last = 0


cdef int take_any(Walk* w, int token) noexcept nogil:
    """The state of the element the scanner has just met, if it may be taken in.

    Else it is passed over, and the result is 0; ``w.s.error`` tells what went wrong on the way.
    """
    cdef Scanner* s = &w.s
    cdef Frame* frame = &w.frames[w.top]
    cdef const Transition* transition = &TRANSITION[frame.state][s.element]
    cdef int state = transition.state
    if state and (s.ns == NS_OADR_A or s.ns == NS_OADR_B) and w.ns and s.ns != w.ns:
        # passed over, it could make a list look empty, and that cancels everything (facts.md E24)
        problem(w, PROBLEM_PROFILE, s.element, True, Str(NULL, 0))
        pass_over(w, token)
        return 0
    if not state:
        if frame.state == ST_DISTRIBUTE_EVENT and equals(s.local, b"oadrEvent", 9):
            problem(w, PROBLEM_PROFILE, EL_OADR_OADREVENT, True, Str(NULL, 0))
        if (frame.state == ST_DOCUMENT or frame.state == ST_SIGNED_OBJECT) \
                and s.ns == NS_OADR_B and SERVICE_STEP[SV_DOCUMENT][s.element]:
            take_service(w, token)
            return 0
        if (frame.state == ST_DOCUMENT or frame.state == ST_SIGNED_OBJECT) and not w.m.kind:
            w.m.name = s.local
            w.m.uri = element_uri(s)
            if s.ns == NS_OADR_A or s.ns == NS_OADR_B:
                w.m.profile = PROFILE_A if s.ns == NS_OADR_A else PROFILE_B
        if frame.state == ST_PAYLOAD and s.ns == NS_DS and equals(s.local, b"Signature", 9):
            w.m.has_signature = True
        pass_over(w, token)
        return 0
    if frame.seen >> transition.bit & 1 and not transition.repeats:
        problem(w, PROBLEM_REPEATED, s.element, True, Str(NULL, 0))
        pass_over(w, token)
        return 0
    frame.seen |= <uint32_t> 1 << transition.bit
    if w.top < 3 and token == TOKEN_OPEN and not w.m.kind:
        w.m.open_tags[w.top].ptr = s.token
        w.m.open_tags[w.top].len = <uint32_t> (s.text.ptr - s.token)
    if transition.token != TOKEN_OPEN:
        if state == ST_TARGET_SERVICEAREA_FEATURECOLLECTION \
                or state == ST_TARGET_SERVICELOCATION_FEATURECOLLECTION:
            if scanner_standalone(s, &s.text) < 0:
                return 0
        elif token == TOKEN_OPEN:
            problem(w, PROBLEM_CHILDREN, s.element, True, Str(NULL, 0))
            pass_over(w, token)
            return 0
    return state


cdef inline bint is_expected(const Walk* w, const Frame* frame, const Transition* transition,
                             int token) noexcept nogil:
    """Whether the element the scanner has just met may stand here, inside a message of its profile."""
    if transition.token != token:
        return False
    if frame.seen >> transition.bit & 1 and not transition.repeats:
        return False
    return w.s.ns == w.ns or w.s.ns > NS_OADR_B and w.ns


cdef int walk(Walk* w) noexcept nogil:
    """TOKEN_END when the whole payload was read, or TOKEN_ERROR."""
    cdef int token, state
    cdef Frame* frame
    cdef const Transition* transition
    w.frames[0].state = ST_DOCUMENT
    w.frames[0].element = 0
    w.frames[0].seen = 0
    while not w.failed:
        token = next_token(&w.s)
        if token == TOKEN_CLOSE:
            leave(w)
        elif token == TOKEN_OPEN or token == TOKEN_LEAF:
            frame = &w.frames[w.top]
            transition = &TRANSITION[frame.state][w.s.element]
            state = transition.state
            if likely(is_expected(w, frame, transition, token)):
                frame.seen |= <uint32_t> 1 << transition.bit
            else:
                state = take_any(w, token)
                if w.s.error:
                    return TOKEN_ERROR
                if not state:
                    continue
            if transition.token != TOKEN_OPEN:
                store_leaf(w, state)
                w.s.last = <uint16_t> (STATE_COUNT + state)
                if w.recording:
                    record_value(w, state)
                continue
            enter(w, state)
            if token == TOKEN_LEAF and not w.failed:
                leave(w)
        else:
            return token
        if w.ready:
            state = w.frames[w.top].state
            if state == ST_INTERVALS or state == ST_DISTRIBUTE_EVENT:
                read_alike(w)
    return TOKEN_ERROR


cdef int decode_message(Message* m, const char* data, size_t size,
                        const DecodeLimits* limits) noexcept nogil:
    cdef Walk w
    cdef int result
    cdef uint32_t i
    w.m = m
    w.limits = limits
    w.event = -1
    w.top = 0
    w.ns = NS_UNKNOWN
    w.items = 0
    w.failed = w.in_baseline = False
    w.recording = w.ready = 0
    w.interval_mould.depth = w.other_mould.depth = 0
    w.misses = 0
    w.e = NULL
    w.signal = NULL
    w.interval = NULL
    w.target = NULL
    w.answer = NULL
    w.unit = NULL
    m.data = data
    m.size = size
    m.reply_limit = NO_NUMBER
    result = scanner_begin(&w.s, data, size, &limits.xml, &m.arena)
    if result == 0:
        result = walk(&w)
    if result < 0:
        if not w.failed:
            m.error = w.s.error
            m.error_offset = <uint32_t> (w.s.p - w.s.base)
        m.error_depth = min(w.s.depth, 24)
        for i in range(m.error_depth):
            m.error_path[i] = w.s.stack[i].name
        if not w.failed and w.s.start_unfinished and m.error_depth < 24 and (
            w.s.p >= w.s.name.ptr + w.s.name.len
        ):
            m.error_path[m.error_depth] = w.s.name
            m.error_depth += 1
    scanner_free(&w.s)
    return result
