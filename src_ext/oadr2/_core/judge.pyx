"""Is one event for this VEN, and can it be executed? See judge.pxd."""

from libc.math cimport isfinite, isinf, isnan
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp

from oadr2._core.clock cimport NO_TIME, Dur, add_duration
from oadr2._core.message cimport (
    PROFILE_A,
    PROFILE_B,
    TARGET_GROUP,
    TARGET_GROUP_NAME,
    TARGET_PARTY,
    TARGET_RESOURCE,
    TARGET_VEN,
    EventData,
    IntervalData,
    SignalData,
    TargetEntry,
)
from oadr2._core.text cimport Str


cdef bint same_text(Str a, Str b) noexcept nogil:
    return a.len == b.len and (a.len == 0 or memcmp(a.ptr, b.ptr, a.len) == 0)


cdef inline uint8_t lower(char c) noexcept nogil:
    cdef uint8_t code = <uint8_t>c
    return code + 32 if 65 <= code <= 90 else code


cdef bint same_text_any_case(Str a, Str b) noexcept nogil:
    cdef uint32_t i
    if a.len != b.len:
        return False
    for i in range(a.len):
        if lower(a.ptr[i]) != lower(b.ptr[i]):
            return False
    return True


cdef bint contains(const Names* names, Str text) noexcept nogil:
    cdef uint32_t i
    for i in range(names.count):
        if same_text(names.items[i], text):
            return True
    return False


cdef bint signal_supported(const Rules* rules, const SignalData* signal) noexcept nogil:
    # The name is a token: blanks around it do not count (G14).
    cdef uint32_t i
    cdef Str name = signal.signal_name
    while name.len and name.ptr[0] in (32, 9, 10, 13):
        name.ptr += 1
        name.len -= 1
    while name.len and name.ptr[name.len - 1] in (32, 9, 10, 13):
        name.len -= 1
    for i in range(rules.signals.count):
        if same_text_any_case(rules.signals.items[i], name):
            return True
    return False


cdef bint is_zero(const Dur* d) noexcept nogil:
    return d.months == 0 and d.us == 0


cdef inline bint is_negative(const Dur* d) noexcept nogil:
    return d.months < 0 or d.us < 0


cdef Str match_vtn_id(const Rules* rules, Str vtn_id) noexcept nogil:
    cdef uint32_t i
    cdef Str none
    none.ptr = NULL
    none.len = 0
    if vtn_id.ptr == NULL or vtn_id.len == 0:
        return none
    if rules.vtn_ids.count == 0:  # E32
        return vtn_id
    for i in range(rules.vtn_ids.count):
        if same_text(rules.vtn_ids.items[i], vtn_id):
            return rules.vtn_ids.items[i]
    for i in range(rules.vtn_ids.count):  # field-notes.md 9
        if same_text_any_case(rules.vtn_ids.items[i], vtn_id):
            return rules.vtn_ids.items[i]
    return none


cdef int64_t interval_stop(int64_t t, const IntervalData* interval, int64_t event_end) noexcept nogil:
    if not interval.duration.present:
        return event_end
    if is_zero(&interval.duration):
        return FOREVER
    cdef int64_t stop = add_duration(t, &interval.duration, 1)
    return FOREVER if stop == NO_TIME else stop


cdef bint is_target(const Identity* me, const EventData* e, const TargetEntry* targets) noexcept nogil:
    # E33, E34. Assets, nodes and areas do not name a VEN: alone they select nobody we know to be us.
    cdef const TargetEntry* target
    cdef uint32_t i
    if e.target_count == 0:
        return True
    for i in range(e.target_count):
        target = &targets[e.target_begin + i]
        if target.kind == TARGET_VEN:
            if same_text(me.ven_id, target.value):
                return True
        elif target.kind == TARGET_GROUP:
            if contains(&me.groups, target.value):
                return True
        elif target.kind == TARGET_RESOURCE:
            if contains(&me.resources, target.value):
                return True
        elif target.kind == TARGET_PARTY:
            if contains(&me.parties, target.value):
                return True
        elif target.kind == TARGET_GROUP_NAME and e.profile == PROFILE_B:
            if contains(&me.groups, target.value):
                return True
    return False


cdef bint intervals_add_up(const EventData* e, const SignalData* signal, const IntervalData* intervals) noexcept nogil:
    # O8, by instants, so that months and days compare as the calendar has it (E40).
    cdef const IntervalData* interval
    cdef uint32_t i
    cdef int64_t t = e.dtstart
    cdef bint open_ended = is_zero(&e.duration)
    cdef int64_t end = add_duration(e.dtstart, &e.duration, 1)
    for i in range(signal.interval_count):
        interval = &intervals[signal.interval_begin + i]
        if not interval.duration.present:
            return i + 1 == signal.interval_count
        if is_negative(&interval.duration):
            return False
        if open_ended and i + 1 == signal.interval_count:
            return is_zero(&interval.duration)
        t = add_duration(t, &interval.duration, 1)
        if t == NO_TIME:
            return False
    return t == end


cdef bint uids_count_up(const SignalData* signal, const IntervalData* intervals) noexcept nogil:
    # E41: a number in text, compared as a number.
    cdef uint32_t i, k
    cdef int64_t number
    cdef Str uid
    for i in range(signal.interval_count):
        uid = intervals[signal.interval_begin + i].uid
        while uid.len and uid.ptr[0] in (32, 9, 10, 13):
            uid.ptr += 1
            uid.len -= 1
        while uid.len and uid.ptr[uid.len - 1] in (32, 9, 10, 13):
            uid.len -= 1
        if uid.len == 0 or uid.len > 10:
            return False
        number = 0
        for k in range(uid.len):
            if not 48 <= uid.ptr[k] <= 57:
                return False
            number = number * 10 + (uid.ptr[k] - 48)
        if number != i:
            return False
    return True


cdef int judge_signal(const Rules* rules, const EventData* e, const SignalData* signal,
                      const IntervalData* intervals, uint32_t* notes) noexcept nogil:
    cdef uint32_t i
    cdef double value
    if signal.is_simple and not signal.is_level:
        return REASON_SIMPLE_TYPE
    if signal.interval_count == 0:
        return REASON_NO_INTERVALS
    for i in range(signal.interval_count):
        value = intervals[signal.interval_begin + i].value
        if not isfinite(value):  # NaN stands for absent as well
            return REASON_VALUE
        if signal.is_simple and value != 0.0 and value != 1.0 and value != 2.0 and value != 3.0:
            return REASON_SIMPLE_VALUE
        if is_negative(&intervals[signal.interval_begin + i].duration):
            return REASON_INTERVAL_SUM
    if not intervals_add_up(e, signal, intervals):
        if rules.refuse_interval_sum:
            return REASON_INTERVAL_SUM
        notes[0] |= NOTE_INTERVAL_SUM
    if not uids_count_up(signal, intervals):
        notes[0] |= NOTE_UIDS
    return REASON_NONE


cdef int judge_event(const Rules* rules, const Identity* me, const EventData* e, const SignalData* signals,
                     const IntervalData* intervals, const TargetEntry* targets, uint32_t* notes) noexcept nogil:
    cdef const SignalData* signal
    cdef uint32_t i, k
    cdef bint supported = False
    cdef int reason
    notes[0] = 0
    if not e.valid:
        return REASON_INVALID
    if rules.market_contexts.count and not contains(&rules.market_contexts, e.market_context):
        return REASON_MARKET_CONTEXT
    if not is_target(me, e, targets):
        return REASON_TARGET
    for i in range(e.signal_count):
        if signal_supported(rules, &signals[e.signal_begin + i]):
            supported = True
    if not supported:
        return REASON_SIGNAL
    if e.dtstart == NO_TIME or not e.duration.present or is_negative(&e.duration):
        return REASON_DURATION
    for i in range(e.signal_count):
        signal = &signals[e.signal_begin + i]
        if isinf(signal.current_value):  # G15, in signals we do not use as well
            return REASON_VALUE
        for k in range(signal.interval_count):
            if isinf(intervals[signal.interval_begin + k].value):
                return REASON_VALUE
        if e.profile == PROFILE_A and rules.require_current_value_a and isnan(signal.current_value):
            return REASON_CURRENT_VALUE
        if signal_supported(rules, signal):
            reason = judge_signal(rules, e, signal, intervals, notes)
            if reason != REASON_NONE:
                return reason
    if e.profile == PROFILE_A and rules.require_notification_a and not e.notification.present:
        return REASON_NOTIFICATION
    return REASON_NONE


cdef int refusal_of(int reason) noexcept nogil:
    if reason == REASON_VTN_ID:
        return REFUSAL_VTN_ID
    if reason == REASON_LOWER_NUMBER:
        return REFUSAL_LOWER_NUMBER
    if reason == REASON_MARKET_CONTEXT:
        return REFUSAL_MARKET_CONTEXT
    if reason == REASON_TARGET:
        return REFUSAL_TARGET
    if reason == REASON_SIGNAL or reason == REASON_SIMPLE_TYPE:
        return REFUSAL_SIGNAL
    return REFUSAL_DATA


cdef uint16_t code_of(const Rules* rules, int profile, int reason) noexcept nogil:
    if reason == REASON_FULL:
        return 469  # deployment error, other (facts.md 2.9)
    return rules.codes[1 if profile == PROFILE_B else 0][refusal_of(reason)]


cdef const char* reason_text(int reason) noexcept nogil:
    if reason == REASON_VTN_ID:
        return b"unknown or missing vtnID"
    if reason == REASON_UNREADABLE:
        return b"eventID, modificationNumber or eventStatus missing or unreadable"
    if reason == REASON_INVALID:
        return b"missing or invalid data"
    if reason == REASON_DUPLICATE:
        return b"eventID repeated in one list"
    if reason == REASON_LOWER_NUMBER:
        return b"modificationNumber lower than the one known"
    if reason == REASON_MARKET_CONTEXT:
        return b"unknown market context"
    if reason == REASON_TARGET:
        return b"not a target of this event"
    if reason == REASON_SIGNAL:
        return b"no supported signal"
    if reason == REASON_SIMPLE_TYPE:
        return b"signalType of SIMPLE is not level"
    if reason == REASON_SIMPLE_VALUE:
        return b"value of SIMPLE is not 0, 1, 2 or 3"
    if reason == REASON_VALUE:
        return b"signal value missing or not a finite number"
    if reason == REASON_INTERVAL_SUM:
        return b"interval durations do not add up to the event's duration"
    if reason == REASON_NO_INTERVALS:
        return b"signal without intervals"
    if reason == REASON_CURRENT_VALUE:
        return b"currentValue missing"
    if reason == REASON_NOTIFICATION:
        return b"x-eiNotification missing"
    if reason == REASON_DURATION:
        return b"dtstart or duration missing, or duration negative"
    if reason == REASON_CALENDAR:
        return b"active period beyond the calendar"
    if reason == REASON_OVER:
        return b"active period is already over"
    if reason == REASON_FULL:
        return b"too many events held"
    if reason == REASON_SAME_NUMBER:
        return b"other times or levels under an unchanged modificationNumber are not taken"
    return b""
