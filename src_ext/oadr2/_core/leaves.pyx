"""What elements say, into a Message; see leaves.pxd."""

from libc.math cimport NAN, isfinite, isnan
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

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
    NO_NUMBER,
    OPT_IN,
    OPT_NONE,
    OPT_OUT,
    PROBLEM_BARE_MONTHS,
    PROBLEM_BOOLEAN,
    PROBLEM_CHOICE,
    PROBLEM_CODE,
    PROBLEM_DATE_TIME,
    PROBLEM_DURATION,
    PROBLEM_EMPTY_ID,
    PROBLEM_FLOAT,
    PROBLEM_NO_ZONE,
    PROBLEM_NUMBER,
    PROBLEM_REPEATED,
    PROFILE_A,
    PROFILE_B,
    REQUIRED_ALWAYS,
    REQUIRED_NEVER,
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
from oadr2._core.scanner cimport Scanner, element_uri
from oadr2._core.text cimport Str
from oadr2._core.values cimport equals, read_code, read_float, read_unsigned, trimmed
from oadr2._core.walk cimport Walk, MAX_START_TAGS, MAX_PROBLEMS
from tables cimport *


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


cdef inline int room_for_item(Walk* w, void** items, uint32_t* room, uint32_t count, size_t size) noexcept nogil:
    """Make sure that one more signal, interval, target or answer may come, and fits; -1 when not."""
    w.items += 1
    if w.items > w.limits.items:
        stop(w, DECODE_TOO_MANY_ITEMS)
        return -1
    if room_for(w.m, items, room, count, size) < 0:
        stop(w, DECODE_MEMORY)
        return -1
    return 0


cdef void add_target(Walk* w, int kind) noexcept nogil:
    cdef Message* m = w.m
    if room_for_item(w, <void**> &m.targets, &m.target_room, m.target_count, sizeof(TargetEntry)) < 0:
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

cdef void clear_unit(UnitData* unit) noexcept nogil:
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
    m.uri = element_uri(s)
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
    if room_for_item(w, <void**> &m.signals, &m.signal_room, m.signal_count, sizeof(SignalData)) < 0:
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
    if room_for_item(w, <void**> &m.intervals, &m.interval_room, m.interval_count, sizeof(IntervalData)) < 0:
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
    if room_for_item(w, <void**> &m.answers, &m.answer_room, m.answer_count, sizeof(AnswerData)) < 0:
        return
    w.answer = &m.answers[m.answer_count]
    m.answer_count += 1
    memset(w.answer, 0, sizeof(AnswerData))


cdef void begin(Walk* w, int state) noexcept nogil:
    """An element that holds others has begun."""
    if state == ST_INTERVAL:
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
        w.m.uri = element_uri(&w.s)
        w.m.profile = PROFILE_A if w.s.ns == NS_OADR_A else PROFILE_B


cdef void end_event(Walk* w) noexcept nogil:
    w.e.raw.len = <uint32_t> (w.s.p - w.e.raw.ptr)
    w.e.readable = (
        w.e.event_id.len != 0 and w.e.modification_number != NO_NUMBER
        and w.e.status != STATUS_NONE_GIVEN
    )
    w.event = -1
