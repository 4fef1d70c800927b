"""The messages of the 2.0b services; see decode_service.pxd."""

from libc.math cimport isnan
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from oadr2._core.clock cimport NO_TIME, Dur, parse_date_time, parse_duration
from oadr2._core.message cimport (
    DECODE_INVALID,
    DECODE_MEMORY,
    DECODE_TOO_MANY_ITEMS,
    PROBLEM_BARE_MONTHS,
    PROBLEM_BARE_TEXT,
    PROBLEM_BOOLEAN,
    PROBLEM_CHILDREN,
    PROBLEM_CHOICE,
    PROBLEM_CODE,
    PROBLEM_DATE_TIME,
    PROBLEM_DURATION,
    PROBLEM_EMPTY_ID,
    PROBLEM_FLOAT,
    PROBLEM_MISSING,
    PROBLEM_NO_ZONE,
    PROBLEM_NUMBER,
    PROBLEM_PERCENT,
    PROBLEM_PROFILE,
    PROBLEM_REPEATED,
    PROBLEM_WORD,
    DecodeLimits,
    Message,
    NodeData,
    ProblemData,
    room_for,
)
from oadr2._core.standalone cimport scanner_standalone
from oadr2._core.text cimport Str
from oadr2._core.values cimport (
    equals,
    read_boolean,
    read_code,
    read_float,
    read_unsigned,
    trimmed,
)
from oadr2._core.xml cimport (
    TOKEN_CLOSE,
    TOKEN_ERROR,
    TOKEN_LEAF,
    TOKEN_OPEN,
    Scanner,
    scanner_next,
    scanner_skip,
)
from services cimport *
from tables cimport BYTE_CLASS, CLASS_SPACE, ELEMENT_COUNT, NS_OADR_A

cdef enum:
    MAX_LEVELS = 20         # generate_services.DEEPEST and what may stand around it
    MAX_PROBLEMS = 200      # later ones are not kept


cdef struct Level:
    uint32_t seen           # which children have come, by their bits
    uint32_t node           # of the object that this element becomes; NO_NODE
    uint8_t state           # SV_*
    uint8_t element


cdef enum:
    NO_NODE = 0xFFFFFFFF


cdef struct Walk:
    Scanner* s
    Message* m
    const DecodeLimits* limits
    const uint8_t* outer
    uint32_t outer_count
    uint32_t items
    uint32_t top
    bint failed             # m.error says why
    Level levels[MAX_LEVELS]


# --- problems ------------------------------------------------------------------------------------

cdef void stop(Walk* w, int error) noexcept nogil:
    w.failed = True
    w.m.error = error
    w.m.error_offset = <uint32_t> (w.s.token - w.s.base)


cdef void note(Walk* w, int kind, int element, bint fatal, Str text) noexcept nogil:
    cdef Message* m = w.m
    cdef ProblemData* p
    cdef uint32_t i
    if m.problem_count >= MAX_PROBLEMS and not fatal:
        return
    if room_for(m, <void**> &m.problems, &m.problem_room, m.problem_count, sizeof(ProblemData)) < 0:
        stop(w, DECODE_MEMORY)
        return
    p = &m.problems[m.problem_count]
    m.problem_count += 1
    p.text = text
    p.event = -1
    p.offset = <uint32_t> (w.s.token - w.s.base)
    p.kind = <uint8_t> kind
    p.element = <uint8_t> element
    p.fatal = fatal
    p.depth = 0
    for i in range(w.outer_count):
        p.elements[p.depth] = w.outer[i]
        p.depth += 1
    for i in range(1, w.top + 1):
        p.elements[p.depth] = w.levels[i].element
        p.depth += 1
    if fatal:
        stop(w, DECODE_INVALID)


# --- values --------------------------------------------------------------------------------------

cdef bint is_word(Str word, int words) noexcept nogil:
    cdef const WordList* known = &WORD_LIST[words]
    cdef uint32_t i = known.first
    cdef uint32_t end = i + known.count
    while i < end:
        if equals(word, WORD[i].text, WORD[i].length):
            return True
        i += 1
    # xs:token collapses blanks, so the x- may not be followed by one
    return (
        known.kind == WORDS_OPEN and word.len > 2 and word.ptr[0] == c"x" and word.ptr[1] == c"-"
        and not BYTE_CLASS[<uint8_t> word.ptr[2]] & CLASS_SPACE
    )


cdef int read_value(Walk* w, const ServiceRow* row, NodeData* node, bint* zoneless,
                    bint* bare_months) noexcept nogil:
    """Read the text of the leaf into the node; the kind of problem when that cannot be done."""
    cdef Str text = node.text
    cdef int type = row.type
    cdef int truth
    cdef uint32_t whole = 0
    cdef uint16_t code = 0
    cdef Dur d
    if type == TYPE_TEXT or type == TYPE_RAW:
        return 0
    if type == TYPE_TOKEN:
        node.text = trimmed(text)
    elif type == TYPE_ID:
        if not trimmed(text).len:
            return PROBLEM_EMPTY_ID
    elif type == TYPE_NUMBER:
        node.real = read_float(text)
        if isnan(node.real):
            return PROBLEM_FLOAT
    elif type == TYPE_WHOLE or type == TYPE_PERCENT:
        if read_unsigned(text, &whole) < 0 or type == TYPE_PERCENT and whole > 100:
            return PROBLEM_NUMBER if type == TYPE_WHOLE else PROBLEM_PERCENT
        node.number = whole
    elif type == TYPE_BOOLEAN:
        truth = read_boolean(text)
        if truth < 0:
            return PROBLEM_BOOLEAN
        node.number = truth
    elif type == TYPE_CODE:
        if read_code(text, &code) < 0:
            return PROBLEM_CODE
        node.number = code
    elif type == TYPE_DATE_TIME:
        node.number = parse_date_time(text.ptr, text.len, zoneless)
        if node.number == NO_TIME:
            return PROBLEM_DATE_TIME
    elif type == TYPE_DURATION or type == TYPE_SIGNED_DURATION:
        if parse_duration(text.ptr, text.len, &d) < 0:
            return PROBLEM_DURATION
        node.number = d.us
        node.months = d.months
        if d.bare_months:
            bare_months[0] = True
            if w.limits.bare_months_are_minutes:
                node.number = <int64_t> d.months * 60000000
                node.months = 0
    else:
        node.text = trimmed(text)
        if not is_word(node.text, row.words):
            return PROBLEM_CHOICE if WORD_LIST[row.words].kind == WORDS_STRICT else PROBLEM_WORD
    return 0


cdef NodeData* new_node(Walk* w) noexcept nogil:
    cdef Message* m = w.m
    cdef NodeData* node
    if room_for(m, <void**> &m.nodes, &m.node_room, m.node_count, sizeof(NodeData)) < 0:
        stop(w, DECODE_MEMORY)
        return NULL
    node = &m.nodes[m.node_count]
    m.node_count += 1
    memset(node, 0, sizeof(NodeData))
    return node


cdef int count_item(Walk* w) noexcept nogil:
    w.items += 1
    if w.items > w.limits.items:
        stop(w, DECODE_TOO_MANY_ITEMS)
        return -1
    return 0


cdef void take_leaf(Walk* w, const ServiceRow* row, Str text) noexcept nogil:
    cdef NodeData* node
    cdef bint zoneless = False, bare_months = False
    cdef int kind
    if row.flags & ROW_MANY and count_item(w) < 0:
        return
    node = new_node(w)
    if node == NULL:
        return
    node.text = text
    node.type = row.type
    node.row_flags = row.flags
    node.attribute = row.attribute
    node.element = row.element
    kind = read_value(w, row, node, &zoneless, &bare_months)
    if kind == PROBLEM_WORD:
        note(w, kind, row.element, False, text)
    elif kind:
        w.m.node_count -= 1
        note(w, kind, row.element, row.flags & ROW_FATAL != 0, text)
    elif zoneless:
        note(w, PROBLEM_NO_ZONE, row.element, False, text)
    elif bare_months:
        note(w, PROBLEM_BARE_MONTHS, row.element, False, text)


# --- elements that hold others -------------------------------------------------------------------

cdef bint is_blank(Str text) noexcept nogil:
    return trimmed(text).len == 0


cdef void leave(Walk* w) noexcept nogil:
    """An element has ended: is everything there?"""
    cdef Level* level = &w.levels[w.top]
    cdef const ServiceState* state = &SERVICE_STATE[level.state]
    cdef uint32_t missing = (state.required | state.wanted) & ~level.seen
    cdef uint32_t bit = 0
    while missing >> bit and not w.failed:
        if missing >> bit & 1:
            note(w, PROBLEM_MISSING, state.bits[bit], state.required >> bit & 1, Str(NULL, 0))
        bit += 1
    if level.node != NO_NODE:
        w.m.nodes[level.node].end = w.m.node_count
    w.top -= 1


cdef void enter(Walk* w, const ServiceRow* row) noexcept nogil:
    cdef Level* level
    cdef NodeData* node
    cdef uint32_t number = NO_NODE
    if row.object:
        if row.flags & ROW_MANY and count_item(w) < 0:
            return
        number = w.m.node_count
        node = new_node(w)
        if node == NULL:
            return
        node.text = w.s.local
        node.object = row.object
        node.row_flags = row.flags
        node.attribute = row.attribute
        node.element = row.element
    w.top += 1
    level = &w.levels[w.top]
    level.seen = 0
    level.node = number
    level.state = row.state
    level.element = row.element


cdef void take(Walk* w, int token) noexcept nogil:
    """The element the scanner has just met."""
    cdef Scanner* s = w.s
    cdef Level* level = &w.levels[w.top]
    cdef const ServiceRow* row = &SERVICE_ROW[SERVICE_STEP[level.state][s.element]]
    cdef const ServiceState* inside
    cdef Str text
    s.last = s.element  # what follows is learned as the message is read
    if not row.element:
        if token == TOKEN_OPEN:
            scanner_skip(s)
        return
    if s.ns == NS_OADR_A:
        note(w, PROBLEM_PROFILE, s.element, True, Str(NULL, 0))
        return
    if level.seen >> row.bit & 1 and not row.flags & ROW_REPEATS:
        note(w, PROBLEM_REPEATED, s.element, True, Str(NULL, 0))
        return
    level.seen |= <uint32_t> 1 << row.bit
    if row.type == TYPE_RAW:
        if scanner_standalone(s, &text) == TOKEN_CLOSE:
            take_leaf(w, row, text)
        return
    if row.type:
        if token == TOKEN_OPEN:
            note(w, PROBLEM_CHILDREN, s.element, row.flags & ROW_FATAL != 0, Str(NULL, 0))
            if not w.failed:
                scanner_skip(s)
            return
        take_leaf(w, row, s.text)
        return
    if token == TOKEN_LEAF and row.attribute != NO_ATTRIBUTE and not row.object \
            and not is_blank(s.text):
        inside = &SERVICE_STATE[row.state]
        if inside.count == 1 and SERVICE_ROW[inside.first].type not in (0, TYPE_RAW):
            # <reportBackDuration>PT5M</...>, as several samples of the Alliance write it
            note(w, PROBLEM_BARE_TEXT, row.element, False, s.text)
            take_leaf(w, &SERVICE_ROW[inside.first], s.text)
            return
    enter(w, row)
    if token == TOKEN_LEAF and not w.failed:
        leave(w)


cdef int decode_service(Scanner* s, Message* m, const DecodeLimits* limits, const uint8_t* outer,
                        uint32_t outer_count, int token) noexcept nogil:
    cdef Walk w
    w.s = s
    w.m = m
    w.limits = limits
    w.outer = outer
    w.outer_count = outer_count
    w.items = w.top = 0
    w.failed = False
    w.levels[0].seen = 0
    w.levels[0].node = NO_NODE
    w.levels[0].state = SV_DOCUMENT
    w.levels[0].element = 0
    take(&w, token)
    while w.top and not w.failed and not s.error:
        token = scanner_next(s)
        if token == TOKEN_CLOSE:
            s.last = ELEMENT_COUNT + w.levels[w.top].element % AFTER_END
            leave(&w)
        elif token != TOKEN_ERROR:
            take(&w, token)
    return -1 if w.failed or s.error else 0
