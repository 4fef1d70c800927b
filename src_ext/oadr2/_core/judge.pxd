"""Is one event for this VEN, and can it be executed? Decided from the message alone, no state (facts.md 2.7)."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from oadr2._core.clock cimport Dur
from oadr2._core.definitions cimport Definitions
from oadr2._core.message cimport DecodeLimits, EventData, IntervalData, SignalData, TargetEntry
from oadr2._core.text cimport Str

cdef extern from *:
    """
    #define FOREVER INT64_MAX
    """
    const int64_t FOREVER   # an end that never comes


cdef struct Names:
    Str* items
    uint32_t count


cdef enum Reason:           # why an event (or the list) is refused
    REASON_NONE = 0
    REASON_VTN_ID
    REASON_UNREADABLE
    REASON_INVALID
    REASON_DUPLICATE
    REASON_LOWER_NUMBER
    REASON_MARKET_CONTEXT
    REASON_TARGET
    REASON_SIGNAL
    REASON_SIMPLE_TYPE
    REASON_SIMPLE_VALUE
    REASON_VALUE
    REASON_INTERVAL_SUM
    REASON_NO_INTERVALS
    REASON_CURRENT_VALUE
    REASON_NOTIFICATION
    REASON_DURATION
    REASON_CALENDAR
    REASON_OVER
    REASON_FULL
    REASON_SAME_NUMBER      # noted, not refused: another content under the number we hold
    REASON_COUNT


cdef enum Refusal:          # the kinds of refusal that have a response code of their own
    REFUSAL_VTN_ID = 0
    REFUSAL_LOWER_NUMBER
    REFUSAL_TARGET
    REFUSAL_MARKET_CONTEXT
    REFUSAL_SIGNAL
    REFUSAL_DATA
    REFUSAL_COUNT


cdef enum Priority:         # policy.priority
    PRIORITY_LOWER = 0
    PRIORITY_HIGHER
    PRIORITY_HIGHEST_LEVEL


cdef enum Note:             # odd, but not refused
    NOTE_UIDS = 1
    NOTE_INTERVAL_SUM = 2


# What many VENs may share: the configuration, and the policy as plain numbers.
cdef struct Rules:
    Names vtn_ids           # none: any
    Names market_contexts   # none: any
    Names signals           # supported signal names
    DecodeLimits limits
    Definitions* definitions    # where events are shared with other VENs; NULL: nowhere
    uint32_t rows           # how many events one table may hold
    uint32_t reply_limit    # the replyLimit asked for, NO_NUMBER: none; a list that long may be cut
    uint16_t codes[2][6]    # by profile (2.0a, 2.0b) and Refusal
    uint8_t implied_cancel
    uint8_t refuse_interval_sum
    uint8_t require_current_value_a
    uint8_t require_notification_a
    uint8_t unknown_completed_opt
    uint8_t run_test_events
    uint8_t wrap_b
    uint8_t priority
    uint8_t default_opt


# Who one VEN is.
cdef struct Identity:
    Str ven_id
    Names groups
    Names resources
    Names parties


cdef bint same_text(Str a, Str b) noexcept nogil
cdef bint same_text_any_case(Str a, Str b) noexcept nogil
cdef bint signal_supported(const Rules* rules, const SignalData* signal) noexcept nogil
cdef bint is_zero(const Dur* d) noexcept nogil
# The configured form of a vtnID; ptr NULL when it is missing or not one of ours.
cdef Str match_vtn_id(const Rules* rules, Str vtn_id) noexcept nogil
# When an interval that begins at t ends; event_end when it has no duration, FOREVER when that is zero.
cdef int64_t interval_stop(int64_t t, const IntervalData* interval, int64_t event_end) noexcept nogil
# Reason, with the Note bits in *notes. The arrays are those the event's ranges index.
cdef int judge_event(const Rules* rules, const Identity* me, const EventData* e, const SignalData* signals,
                     const IntervalData* intervals, const TargetEntry* targets, uint32_t* notes) noexcept nogil
# Which response code kind a reason belongs to.
cdef int refusal_of(int reason) noexcept nogil
cdef uint16_t code_of(const Rules* rules, int profile, int reason) noexcept nogil
cdef const char* reason_text(int reason) noexcept nogil
