"""The walk from bytes to a Message; see decode.pxd."""

from libc.math cimport NAN, isfinite, isnan
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from oadr2._core.clock cimport NO_TIME, Dur, parse_date_time, parse_duration
from oadr2._core.message cimport (
    DECODE_INVALID,
    DECODE_MEMORY,
    DECODE_START_TAGS,
    DECODE_TOO_MANY_EVENTS,
    DECODE_TOO_MANY_ITEMS,
    KIND_CREATED_EVENT,
    KIND_DISTRIBUTE_EVENT,
    KIND_REQUEST_EVENT,
    KIND_RESPONSE,
    KIND_SERVICE,
    NO_NUMBER,
    OPT_IN,
    OPT_NONE,
    OPT_OUT,
    PROBLEM_BARE_MONTHS,
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
    PROBLEM_PROFILE,
    PROBLEM_REPEATED,
    PROFILE_A,
    PROFILE_B,
    PROFILE_NONE,
    REQUIRED_ALWAYS,
    REQUIRED_NEVER,
    REQUIRED_NONE,
    STATUS_ACTIVE,
    STATUS_CANCELLED,
    STATUS_COMPLETED,
    STATUS_FAR,
    STATUS_NEAR,
    STATUS_NONE,
    STATUS_NONE_GIVEN,
    TARGET_AGGREGATED_PNODE,
    TARGET_END_DEVICE_ASSET,
    TARGET_GROUP,
    TARGET_GROUP_NAME,
    TARGET_METER_ASSET,
    TARGET_PARTY,
    TARGET_PNODE,
    TARGET_RESOURCE,
    TARGET_SERVICE_AREA,
    TARGET_SERVICE_DELIVERY_POINT,
    TARGET_SERVICE_LOCATION,
    TARGET_TRANSPORT_INTERFACE,
    TARGET_VEN,
    AnswerData,
    BaselineData,
    DecodeLimits,
    EventData,
    IntervalData,
    Message,
    ProblemData,
    SignalData,
    TargetEntry,
    UnitData,
    room_for,
    take_first_rooms,
)
from oadr2._core.xml cimport (
    TOKEN_CLOSE,
    TOKEN_END,
    TOKEN_ERROR,
    TOKEN_LEAF,
    TOKEN_OPEN,
    Scanner,
    Str,
    scanner_begin,
    scanner_free,
    scanner_next,
    scanner_skip,
    scanner_standalone,
)
from oadr2._core.decode_service cimport decode_service
from oadr2._core.values cimport equals, read_code, read_float, read_unsigned, trimmed
from services cimport SERVICE_STEP, SV_DOCUMENT
from tables cimport *

cdef extern from "bytes16.h" nogil:
    const char* pass_plain(const char* p, const char* end)
    const char* pass_indent(const char* p, const char* end)

cdef enum:
    MAX_STATES = 20         # deeper than the schema's tree
    MAX_START_TAGS = 16384  # bytes around the events, which every event repeats in its `raw`
    MAX_PROBLEMS = 200      # later ones only count
    MAX_VALUES = 4          # of an interval


cdef struct Frame:
    uint8_t state
    uint8_t element
    uint32_t seen           # which children have come, by their bit in the parent's row


cdef struct Mould:          # how the last faultless interval was written, but for its values
    bint recording
    bint ready
    uint8_t parent          # the state it stood in ...
    uint32_t depth          # ... how deep ...
    uint32_t generation     # ... and under which namespaces
    uint32_t seen           # its bit in the parent's row
    uint16_t last           # what the scanner remembers after it
    uint32_t problems
    uint32_t values         # how many values it holds; before, between and after them stand
    const char* pieces[MAX_VALUES + 1]   # ... these bytes
    uint32_t lengths[MAX_VALUES + 1]
    uint8_t states[MAX_VALUES]


cdef struct Walk:
    Scanner s
    Message* m
    const DecodeLimits* limits
    uint32_t top            # index of the innermost frame
    Frame frames[MAX_STATES]
    uint8_t ns              # NS_OADR_A or NS_OADR_B once the message has begun
    int32_t event           # index of the current event, or -1
    uint32_t items
    bint failed             # memory or a limit: m.error says which
    EventData* e
    SignalData* signal
    IntervalData* interval
    TargetEntry* target
    AnswerData* answer
    UnitData* unit
    bint in_baseline
    Mould mould


# --- values --------------------------------------------------------------------------------------

cdef inline bint is_simple_name(Str s) noexcept nogil:
    """SIMPLE, in any case (facts.md 2.7, E38)."""
    cdef uint32_t i
    if s.len != 6:
        return False
    for i in range(6):
        if (<uint8_t> s.ptr[i] | 32) != <uint8_t> b"simple"[i]:
            return False
    return True


cdef int read_status(Str s) noexcept nogil:
    s = trimmed(s)
    if equals(s, b"far", 3):
        return STATUS_FAR
    if equals(s, b"near", 4):
        return STATUS_NEAR
    if equals(s, b"active", 6):
        return STATUS_ACTIVE
    if equals(s, b"completed", 9):
        return STATUS_COMPLETED
    if equals(s, b"cancelled", 9):
        return STATUS_CANCELLED
    return STATUS_NONE if equals(s, b"none", 4) else STATUS_NONE_GIVEN


# --- problems ------------------------------------------------------------------------------------

cdef void problem(Walk* w, int kind, int element, bint fatal, Str text) noexcept nogil:
    """Note what is wrong; a fatal fault refuses the event, or outside an event the message."""
    cdef Message* m = w.m
    cdef ProblemData* p
    cdef uint32_t i
    cdef bint spoils = False  # the first reason to refuse this event is always kept
    if w.in_baseline:
        fatal = False  # informational: nothing is executed from it
    if fatal and w.event >= 0:
        spoils = w.e.valid
        w.e.valid = False
    if m.problem_count >= MAX_PROBLEMS and not spoils and (w.event >= 0 or not fatal):
        return
    if room_for(m, <void**> &m.problems, &m.problem_room, m.problem_count, sizeof(ProblemData)) < 0:
        stop(w, DECODE_MEMORY)
        return
    p = &m.problems[m.problem_count]
    m.problem_count += 1
    p.text = text
    p.event = w.event
    p.offset = <uint32_t> (w.s.token - w.s.base)
    p.kind = <uint8_t> kind
    p.element = <uint8_t> element
    p.fatal = fatal
    p.depth = <uint8_t> (w.top + 1)
    for i in range(w.top + 1):
        p.elements[i] = w.frames[i].element
    if fatal and w.event < 0:
        stop(w, DECODE_INVALID)


cdef void stop(Walk* w, int error) noexcept nogil:
    w.failed = True
    w.m.error = error
    w.m.error_offset = <uint32_t> (w.s.token - w.s.base)


cdef inline void fault(Walk* w, int kind, bint fatal) noexcept nogil:
    """A fault in the text of the current leaf."""
    problem(w, kind, w.s.element, fatal, w.s.text)


# --- leaves --------------------------------------------------------------------------------------

cdef int64_t date_time(Walk* w, bint fatal) noexcept nogil:
    cdef bint zoneless = False
    cdef int64_t t = parse_date_time(w.s.text.ptr, w.s.text.len, &zoneless)
    if t == NO_TIME:
        fault(w, PROBLEM_DATE_TIME, fatal)
    elif zoneless:
        fault(w, PROBLEM_NO_ZONE, False)
    return t


cdef void duration(Walk* w, Dur* out, bint fatal) noexcept nogil:
    if parse_duration(w.s.text.ptr, w.s.text.len, out) < 0:
        out.present = False
        fault(w, PROBLEM_DURATION, fatal)
    elif out.bare_months:
        if w.limits.bare_months_are_minutes:
            out.us = <int64_t> out.months * 60000000
            out.months = 0
        fault(w, PROBLEM_BARE_MONTHS, False)


cdef double number(Walk* w, bint fatal) noexcept nogil:
    cdef double value = read_float(w.s.text)
    if not isfinite(value):
        fault(w, PROBLEM_FLOAT, fatal)
    return value


cdef int64_t unsigned(Walk* w, bint fatal) noexcept nogil:
    cdef uint32_t value = 0
    if read_unsigned(w.s.text, &value) < 0:
        fault(w, PROBLEM_NUMBER, fatal)
        return NO_NUMBER
    return value


cdef uint16_t code(Walk* w) noexcept nogil:
    cdef uint16_t value = 0
    if read_code(w.s.text, &value) < 0:
        fault(w, PROBLEM_CODE, True)
    return value


cdef Str named(Walk* w) noexcept nogil:
    """An id that must not be empty (facts.md 5.3)."""
    if not trimmed(w.s.text).len:
        fault(w, PROBLEM_EMPTY_ID, True)
    return w.s.text


cdef void add_target(Walk* w, int kind) noexcept nogil:
    cdef Message* m = w.m
    if count_item(w) < 0:
        return
    if room_for(m, <void**> &m.targets, &m.target_room, m.target_count, sizeof(TargetEntry)) < 0:
        stop(w, DECODE_MEMORY)
        return
    w.target = &m.targets[m.target_count]
    m.target_count += 1
    w.target.kind = <uint8_t> kind
    w.target.value = w.s.text
    w.target.second.ptr = NULL
    w.target.second.len = 0
    if w.in_baseline:
        w.e.baseline.target_count += 1
    elif w.signal != NULL:
        w.signal.target_count += 1
    else:
        w.e.target_count += 1


cdef void store_leaf(Walk* w, int state) noexcept nogil:
    """Take in the text of the leaf whose state is given."""
    cdef Message* m = w.m
    cdef Str text = w.s.text
    cdef int value
    # the order of the branches is the order of the switch C makes of them: none matters
    if state == ST_INTERVAL_DURATION_DURATION:
        duration(w, &w.interval.duration, True)
    elif state == ST_INTERVAL_UID_TEXT:
        w.interval.uid = text
    elif state == ST_INTERVAL_SIGNALPAYLOAD_PAYLOADFLOAT_VALUE:
        if isnan(w.interval.value):  # of several payloads the first counts
            w.interval.value = number(w, True)
    elif state == ST_INTERVAL_DTSTART_DATE_TIME:
        w.interval.dtstart = date_time(w, True)
    elif state == ST_SIGNAL_SIGNALNAME:
        w.signal.signal_name = text
        w.signal.is_simple = is_simple_name(trimmed(text))
    elif state == ST_SIGNAL_SIGNALTYPE:
        w.signal.signal_type = trimmed(text)
        w.signal.is_level = equals(w.signal.signal_type, b"level", 5)
    elif state == ST_SIGNAL_SIGNALID:
        w.signal.signal_id = text
    elif state == ST_SIGNAL_CURRENTVALUE_PAYLOADFLOAT_VALUE:
        w.signal.current_value = number(w, False)
    elif state == ST_DESCRIPTOR_EVENTID:
        w.e.event_id = named(w)
    elif state == ST_DESCRIPTOR_MODIFICATIONNUMBER:
        w.e.modification_number = unsigned(w, True)
    elif state == ST_DESCRIPTOR_MODIFICATIONDATETIME:
        w.e.modification_date_time = date_time(w, False)
    elif state == ST_DESCRIPTOR_MODIFICATIONREASON:
        w.e.modification_reason = text
    elif state == ST_DESCRIPTOR_PRIORITY:
        w.e.priority = unsigned(w, False)
    elif state == ST_DESCRIPTOR_EIMARKETCONTEXT_MARKETCONTEXT:
        w.e.market_context = trimmed(text)
    elif state == ST_DESCRIPTOR_CREATEDDATETIME:
        w.e.created_date_time = date_time(w, False)
    elif state == ST_DESCRIPTOR_EVENTSTATUS:
        w.e.status = <uint8_t> read_status(text)
        if w.e.status == STATUS_NONE_GIVEN:
            fault(w, PROBLEM_CHOICE, True)
    elif state == ST_DESCRIPTOR_TESTEVENT:
        w.e.test_event = text
    elif state == ST_DESCRIPTOR_VTNCOMMENT:
        w.e.vtn_comment = text
    elif state == ST_PROPERTIES_DTSTART_DATE_TIME:
        w.e.dtstart = date_time(w, True)
    elif state == ST_PROPERTIES_DURATION_DURATION:
        duration(w, &w.e.duration, True)
    elif state == ST_PROPERTIES_TOLERANCE_TOLERATE_STARTAFTER:
        duration(w, &w.e.startafter, True)
    elif state == ST_PROPERTIES_X_EINOTIFICATION_DURATION:
        duration(w, &w.e.notification, False)
    elif state == ST_PROPERTIES_X_EIRAMPUP_DURATION:
        duration(w, &w.e.ramp_up, False)
    elif state == ST_PROPERTIES_X_EIRECOVERY_DURATION:
        duration(w, &w.e.recovery, False)
    elif state == ST_OADR_EVENT_OADRRESPONSEREQUIRED:
        text = trimmed(text)
        if equals(text, b"always", 6):
            w.e.response_required = REQUIRED_ALWAYS
        elif equals(text, b"never", 5):
            w.e.response_required = REQUIRED_NEVER
        else:
            fault(w, PROBLEM_CHOICE, True)
    elif state == ST_TARGET_VENID:
        add_target(w, TARGET_VEN)
    elif state == ST_TARGET_GROUPID:
        add_target(w, TARGET_GROUP)
    elif state == ST_TARGET_RESOURCEID:
        add_target(w, TARGET_RESOURCE)
    elif state == ST_TARGET_PARTYID:
        add_target(w, TARGET_PARTY)
    elif state == ST_TARGET_GROUPNAME:
        add_target(w, TARGET_GROUP_NAME)
    elif state == ST_TARGET_AGGREGATEDPNODE_NODE:
        add_target(w, TARGET_AGGREGATED_PNODE)
    elif state == ST_TARGET_ENDDEVICEASSET_MRID:
        add_target(w, TARGET_END_DEVICE_ASSET)
    elif state == ST_TARGET_METERASSET_MRID:
        add_target(w, TARGET_METER_ASSET)
    elif state == ST_TARGET_PNODE_NODE:
        add_target(w, TARGET_PNODE)
    elif state == ST_TARGET_SERVICEAREA_FEATURECOLLECTION:
        add_target(w, TARGET_SERVICE_AREA)
    elif state == ST_TARGET_SERVICEDELIVERYPOINT_NODE:
        add_target(w, TARGET_SERVICE_DELIVERY_POINT)
    elif state == ST_TARGET_SERVICELOCATION_FEATURECOLLECTION:
        add_target(w, TARGET_SERVICE_LOCATION)
    elif state == ST_TARGET_TRANSPORTINTERFACE_POINTOFRECEIPT:
        if w.target != NULL:
            w.target.value = text
    elif state == ST_TARGET_TRANSPORTINTERFACE_POINTOFDELIVERY:
        if w.target != NULL:
            w.target.second = text
    elif state == ST_UNIT_ITEMDESCRIPTION:
        w.unit.item_description = text
    elif state == ST_UNIT_ITEMUNITS:
        w.unit.item_units = text
    elif state == ST_UNIT_SISCALECODE:
        w.unit.si_scale_code = trimmed(text)
    elif state == ST_UNIT_PULSEFACTOR:
        w.unit.pulse_factor = number(w, False)
    elif state == ST_UNIT_POWERATTRIBUTES_HERTZ:
        w.unit.hertz = number(w, False)
    elif state == ST_UNIT_POWERATTRIBUTES_VOLTAGE:
        w.unit.voltage = number(w, False)
    elif state == ST_UNIT_POWERATTRIBUTES_AC:
        text = trimmed(text)
        if equals(text, b"true", 4) or equals(text, b"1", 1):
            w.unit.ac = 1
        elif equals(text, b"false", 5) or equals(text, b"0", 1):
            w.unit.ac = 0
        else:
            fault(w, PROBLEM_BOOLEAN, False)
    elif state == ST_BASELINE_DTSTART_DATE_TIME:
        w.e.baseline.dtstart = date_time(w, False)
    elif state == ST_BASELINE_DURATION_DURATION:
        duration(w, &w.e.baseline.duration, False)
    elif state == ST_BASELINE_BASELINEID:
        w.e.baseline.baseline_id = text
    elif state == ST_BASELINE_BASELINENAME:
        w.e.baseline.baseline_name = text
    elif state == ST_BASELINE_RESOURCEID:
        add_target(w, TARGET_RESOURCE)
    elif state == ST_EI_RESPONSE_RESPONSECODE:
        m.response_code = code(w)
    elif state == ST_EI_RESPONSE_RESPONSEDESCRIPTION:
        m.response_description = text
    elif state == ST_EI_RESPONSE_REQUESTID:
        m.response_request_id = text
    elif state == ST_DISTRIBUTE_EVENT_REQUESTID or state == ST_REQUEST_EVENT_EIREQUESTEVENT_REQUESTID:
        m.request_id = text
    elif state == ST_DISTRIBUTE_EVENT_VTNID:
        m.vtn_id = text
    elif (
        state == ST_REQUEST_EVENT_EIREQUESTEVENT_VENID
        or state == ST_CREATED_EVENT_EICREATEDEVENT_VENID
        or state == ST_RESPONSE_VENID
    ):
        m.ven_id = text
    elif state == ST_REQUEST_EVENT_EIREQUESTEVENT_REPLYLIMIT:
        m.reply_limit = unsigned(w, True)
    elif state == ST_EVENT_RESPONSE_RESPONSECODE:
        w.answer.response_code = code(w)
    elif state == ST_EVENT_RESPONSE_RESPONSEDESCRIPTION:
        w.answer.response_description = text
    elif state == ST_EVENT_RESPONSE_REQUESTID:
        w.answer.request_id = text
    elif state == ST_QUALIFIED_EVENT_ID_EVENTID:
        w.answer.event_id = named(w)
    elif state == ST_QUALIFIED_EVENT_ID_MODIFICATIONNUMBER:
        w.answer.modification_number = <uint32_t> unsigned(w, True)
    elif state == ST_EVENT_RESPONSE_OPTTYPE:
        text = trimmed(text)
        value = OPT_IN if equals(text, b"optIn", 5) else OPT_OUT if equals(text, b"optOut", 6) \
            else OPT_NONE
        w.answer.opt = <uint8_t> value
        if value == OPT_NONE:
            fault(w, PROBLEM_CHOICE, True)


# --- containers ----------------------------------------------------------------------------------

cdef int count_item(Walk* w) noexcept nogil:
    w.items += 1
    if w.items > w.limits.items:
        stop(w, DECODE_TOO_MANY_ITEMS)
        return -1
    return 0


cdef void clear_unit(UnitData* unit) noexcept nogil:
    memset(unit, 0, sizeof(UnitData))
    unit.pulse_factor = unit.hertz = unit.voltage = NAN
    unit.ac = -1


cdef void begin_message(Walk* w, int kind) noexcept nogil:
    cdef Message* m = w.m
    cdef Scanner* s = &w.s
    cdef uint32_t i
    if m.kind:
        problem(w, PROBLEM_REPEATED, s.element, True, Str(NULL, 0))
        return
    m.kind = <uint8_t> kind
    m.name = s.local
    m.uri = s.uri
    w.ns = s.ns
    m.profile = PROFILE_A if s.ns == NS_OADR_A else PROFILE_B
    for i in range(s.attribute_count):
        if s.attributes[i].ns == NS_EI and s.attributes[i].name.len > 13 and equals(
            Str(s.attributes[i].name.ptr + s.attributes[i].name.len - 13, 13), b"schemaVersion", 13
        ):
            m.schema_version = s.attributes[i].value
    m.open_count = min(s.depth, 3)
    for i in range(m.open_count):
        m.open_names[i] = s.stack[i].name
        m.open_length += m.open_tags[i].len


cdef void begin_event(Walk* w) noexcept nogil:
    cdef Message* m = w.m
    cdef EventData* e
    if m.event_count >= w.limits.events:
        stop(w, DECODE_TOO_MANY_EVENTS)
        return
    if m.open_length > MAX_START_TAGS:
        stop(w, DECODE_START_TAGS)
        return
    if m.events == NULL and take_first_rooms(m) < 0:
        stop(w, DECODE_MEMORY)
        return
    if room_for(m, <void**> &m.events, &m.event_room, m.event_count, sizeof(EventData)) < 0:
        stop(w, DECODE_MEMORY)
        return
    w.event = <int32_t> m.event_count
    e = &m.events[m.event_count]
    m.event_count += 1
    memset(e, 0, sizeof(EventData))
    e.raw.ptr = w.s.token
    e.created_date_time = e.modification_date_time = e.dtstart = NO_TIME
    e.modification_number = e.priority = NO_NUMBER
    e.signal_begin = m.signal_count
    e.profile = m.profile
    e.valid = True
    w.e = e
    w.signal = NULL
    w.target = NULL


cdef void begin_signal(Walk* w) noexcept nogil:
    cdef Message* m = w.m
    if count_item(w) < 0:
        return
    if room_for(m, <void**> &m.signals, &m.signal_room, m.signal_count, sizeof(SignalData)) < 0:
        stop(w, DECODE_MEMORY)
        return
    w.signal = &m.signals[m.signal_count]
    m.signal_count += 1
    memset(w.signal, 0, sizeof(SignalData))
    w.signal.current_value = NAN
    clear_unit(&w.signal.unit)
    w.signal.interval_begin = m.interval_count
    w.signal.target_begin = m.target_count
    w.e.signal_count += 1


cdef void begin_interval(Walk* w) noexcept nogil:
    cdef Message* m = w.m
    if count_item(w) < 0:
        return
    if room_for(m, <void**> &m.intervals, &m.interval_room, m.interval_count,
                sizeof(IntervalData)) < 0:
        stop(w, DECODE_MEMORY)
        return
    w.interval = &m.intervals[m.interval_count]
    m.interval_count += 1
    w.interval.uid = Str(NULL, 0)
    w.interval.duration = Dur(0, 0, 0, 0)
    w.interval.dtstart = NO_TIME
    w.interval.value = NAN
    if w.in_baseline:
        w.e.baseline.interval_count += 1
    else:
        w.signal.interval_count += 1


cdef void begin_baseline(Walk* w) noexcept nogil:
    cdef BaselineData* baseline = &w.e.baseline
    memset(baseline, 0, sizeof(BaselineData))
    baseline.present = True
    baseline.dtstart = NO_TIME
    clear_unit(&baseline.unit)
    baseline.interval_begin = w.m.interval_count
    baseline.target_begin = w.m.target_count
    w.in_baseline = True


cdef void begin_answer(Walk* w) noexcept nogil:
    cdef Message* m = w.m
    if count_item(w) < 0:
        return
    if room_for(m, <void**> &m.answers, &m.answer_room, m.answer_count, sizeof(AnswerData)) < 0:
        stop(w, DECODE_MEMORY)
        return
    w.answer = &m.answers[m.answer_count]
    m.answer_count += 1
    memset(w.answer, 0, sizeof(AnswerData))


cdef void begin(Walk* w, int state) noexcept nogil:
    """An element that holds others has begun."""
    if state == ST_INTERVAL:
        record_start(w)
        begin_interval(w)
    elif state == ST_SIGNAL:
        begin_signal(w)
    elif state == ST_OADR_EVENT:
        begin_event(w)
    elif state == ST_TARGET:
        if w.signal != NULL:
            w.signal.target_begin = w.m.target_count
        else:
            w.e.target_begin = w.m.target_count
    elif state == ST_TARGET_TRANSPORTINTERFACE:
        w.s.text.ptr = NULL
        w.s.text.len = 0
        add_target(w, TARGET_TRANSPORT_INTERFACE)
    elif state == ST_UNIT:
        w.unit = &w.e.baseline.unit if w.in_baseline else &w.signal.unit
        if w.unit.name.ptr != NULL:
            problem(w, PROBLEM_REPEATED, w.s.element, True, Str(NULL, 0))
        w.unit.name = w.s.local
    elif state == ST_BASELINE:
        begin_baseline(w)
    elif state == ST_EI_RESPONSE:
        w.m.has_response = True
    elif state == ST_EVENT_RESPONSE:
        begin_answer(w)
    elif state == ST_DISTRIBUTE_EVENT:
        begin_message(w, KIND_DISTRIBUTE_EVENT)
    elif state == ST_REQUEST_EVENT:
        begin_message(w, KIND_REQUEST_EVENT)
    elif state == ST_CREATED_EVENT:
        begin_message(w, KIND_CREATED_EVENT)
    elif state == ST_RESPONSE:
        begin_message(w, KIND_RESPONSE)
    elif state == ST_PAYLOAD or state == ST_SIGNED_OBJECT:
        w.m.wrapped = True
        w.m.name = w.s.local
        w.m.uri = w.s.uri
        w.m.profile = PROFILE_A if w.s.ns == NS_OADR_A else PROFILE_B


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
    missing = row.wanted[profile] & ~seen
    bit = 0
    while bit < 32 and missing >> bit:
        if missing >> bit & 1:
            problem(w, PROBLEM_MISSING, row.children[bit], False, Str(NULL, 0))
        bit += 1


cdef void end_event(Walk* w) noexcept nogil:
    w.e.raw.len = <uint32_t> (w.s.p - w.e.raw.ptr)
    w.e.readable = (
        w.e.event_id.len != 0 and w.e.modification_number != NO_NUMBER
        and w.e.status != STATUS_NONE_GIVEN
    )
    w.event = -1


cdef inline void leave(Walk* w) noexcept nogil:
    """An element that holds others has ended: is everything there?"""
    cdef int state = w.frames[w.top].state
    cdef uint32_t seen = w.frames[w.top].seen
    cdef const StateRow* row = &STATES[state]
    cdef int profile = w.m.profile == PROFILE_B
    if (row.required[profile] | row.wanted[profile]) & ~seen:
        note_missing(w, state, seen)
    if state == ST_INTERVAL:
        record_end(w)
    elif state == ST_SIGNAL:
        w.signal = NULL
    elif state == ST_BASELINE:
        w.in_baseline = False
    elif state == ST_OADR_EVENT:
        end_event(w)
    w.top -= 1


# --- intervals like the one before -----------------------------------------------------------------
#
# A list of intervals repeats the same bytes but for a few values. Where the bytes around the values
# are those of an interval that was read without fault at the same place, under the same namespaces,
# there is nothing left to learn from them. Anything else is read the long way.

cdef void record_start(Walk* w) noexcept nogil:
    cdef Mould* mould = &w.mould
    mould.ready = False
    mould.recording = True
    mould.values = 0
    mould.problems = w.m.problem_count
    mould.parent = w.frames[w.top].state
    mould.seen = <uint32_t> 1 << TRANSITION[mould.parent][w.s.element].bit
    mould.pieces[0] = w.s.token


cdef void record_value(Walk* w, int state) noexcept nogil:
    cdef Mould* mould = &w.mould
    cdef Str text = w.s.text
    cdef const char* piece = mould.pieces[mould.values]
    if mould.values == MAX_VALUES or not piece <= text.ptr <= w.s.p:  # rewritten: not in the payload
        mould.recording = False
        return
    mould.lengths[mould.values] = <uint32_t> (text.ptr - piece)
    mould.states[mould.values] = <uint8_t> state
    mould.values += 1
    mould.pieces[mould.values] = text.ptr + text.len


cdef void record_end(Walk* w) noexcept nogil:
    cdef Mould* mould = &w.mould
    if not mould.recording:
        return
    mould.recording = False
    mould.lengths[mould.values] = <uint32_t> (w.s.p - mould.pieces[mould.values])
    mould.depth = w.s.depth
    mould.generation = w.s.generation
    mould.last = w.s.last
    mould.ready = w.m.problem_count == mould.problems and mould.problems < MAX_PROBLEMS


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


cdef bint read_moulded_interval(Walk* w) noexcept nogil:
    """Read the next interval if it is written like the one before; else False, and nothing has happened."""
    cdef Scanner* s = &w.s
    cdef Mould* mould = &w.mould
    cdef const char* start = pass_indent(s.p, s.end)
    cdef const char* p = start
    cdef Str text
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
            text.ptr = p
            p = pass_plain(p, s.end)
            text.len = <uint32_t> (p - text.ptr)
            if not read_value_into(w, mould.states[i], text, &interval):
                return False
    s.token = start
    begin_interval(w)
    if w.failed:
        return True
    w.interval[0] = interval
    w.frames[w.top].seen |= mould.seen
    s.p = p
    s.last = mould.last
    return True


# --- the other services ----------------------------------------------------------------------------

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


# --- the walk ------------------------------------------------------------------------------------

cdef inline void take(Walk* w, int token) noexcept nogil:
    """The element the scanner has just met."""
    cdef Scanner* s = &w.s
    cdef Frame* frame = &w.frames[w.top]
    cdef Transition transition = TRANSITION[frame.state][s.element]
    cdef int state = transition.state
    if state and (s.ns == NS_OADR_A or s.ns == NS_OADR_B) and w.ns and s.ns != w.ns:
        # passed over, it could make a list look empty, and that cancels everything (facts.md E24)
        problem(w, PROBLEM_PROFILE, s.element, True, Str(NULL, 0))
        if token == TOKEN_OPEN:
            scanner_skip(s)
        return
    if not state:
        if frame.state == ST_DISTRIBUTE_EVENT and equals(s.local, b"oadrEvent", 9):
            problem(w, PROBLEM_PROFILE, EL_OADR_OADREVENT, True, Str(NULL, 0))
        if (frame.state == ST_DOCUMENT or frame.state == ST_SIGNED_OBJECT) \
                and s.ns == NS_OADR_B and SERVICE_STEP[SV_DOCUMENT][s.element]:
            take_service(w, token)
            return
        if (frame.state == ST_DOCUMENT or frame.state == ST_SIGNED_OBJECT) and not w.m.kind:
            w.m.name = s.local
            w.m.uri = s.uri
            if s.ns == NS_OADR_A or s.ns == NS_OADR_B:
                w.m.profile = PROFILE_A if s.ns == NS_OADR_A else PROFILE_B
        if frame.state == ST_PAYLOAD and s.ns == NS_DS and equals(s.local, b"Signature", 9):
            w.m.has_signature = True
        if token == TOKEN_OPEN:
            scanner_skip(s)
        return
    if frame.seen >> transition.bit & 1 and not transition.repeats:
        problem(w, PROBLEM_REPEATED, s.element, True, Str(NULL, 0))
        if token == TOKEN_OPEN:
            scanner_skip(s)
        return
    frame.seen |= <uint32_t> 1 << transition.bit
    if w.top < 3 and token == TOKEN_OPEN and not w.m.kind:
        w.m.open_tags[w.top].ptr = s.token
        w.m.open_tags[w.top].len = <uint32_t> (s.text.ptr - s.token)
    if transition.leaf:
        if state == ST_TARGET_SERVICEAREA_FEATURECOLLECTION \
                or state == ST_TARGET_SERVICELOCATION_FEATURECOLLECTION:
            if scanner_standalone(s, &s.text) < 0:
                return
        elif token == TOKEN_OPEN:
            problem(w, PROBLEM_CHILDREN, s.element, True, Str(NULL, 0))
            scanner_skip(s)
            return
        store_leaf(w, state)
        if w.mould.recording:
            record_value(w, state)
        return
    begin(w, state)
    if w.failed:
        return
    w.top += 1
    w.frames[w.top].state = <uint8_t> state
    w.frames[w.top].element = s.element
    w.frames[w.top].seen = 0
    if token == TOKEN_LEAF:
        leave(w)


cdef int walk(Walk* w) noexcept nogil:
    cdef int token
    w.frames[0].state = ST_DOCUMENT
    w.frames[0].element = 0
    w.frames[0].seen = 0
    while not w.failed:
        if w.mould.ready and w.frames[w.top].state == w.mould.parent and read_moulded_interval(w):
            continue
        token = scanner_next(&w.s)
        if token == TOKEN_CLOSE:
            leave(w)
        elif token == TOKEN_END:
            return 0
        elif token == TOKEN_ERROR:
            return -1
        else:
            take(w, token)
            if w.s.error:
                return -1
    return -1


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
    w.mould.recording = w.mould.ready = False
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
