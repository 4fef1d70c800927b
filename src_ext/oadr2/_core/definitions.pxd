"""Events lifted out of their messages: what the event table and the fleet keep.

Alive for as long as someone refers to them. VENs of a fleet that received the same bytes refer to the same
definition, found by a hash over the event and the start tags it stood in.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from oadr2._core.message cimport EventData, IntervalData, Message, SignalData, TargetEntry
from oadr2._core.text cimport Str


# One allocation; `document` decodes to this event again, on its own.
cdef struct EventDef:
    uint32_t references
    uint8_t months_are_minutes      # how it was read, if it is shared
    Definitions* shared             # where it can be found; NULL: nowhere
    EventDef* next                  # in its slot there
    uint64_t hash
    int64_t set_at                  # when a fleet's VTN was given this version; NO_TIME: not known
    Str document                    # start tags + oadrEvent + end tags
    EventData event                 # its ranges index the arrays below
    SignalData* signals
    IntervalData* intervals
    TargetEntry* targets


# All zero to begin with; keeps no reference of its own.
cdef struct Definitions:
    EventDef** slots
    uint32_t slot_count             # a power of two, or 0
    uint32_t count


# With one reference; NULL when memory is out.
cdef EventDef* event_def_new(const Message* m, uint32_t index) noexcept nogil
# The same, or one more reference to the one made of the same bytes; `all` may be NULL.
cdef EventDef* event_def_shared(Definitions* all, const Message* m, uint32_t index,
                                bint months_are_minutes) noexcept nogil
cdef void event_def_release(EventDef* d) noexcept nogil
# What is still referred to lives on, and can no longer be found.
cdef void definitions_free(Definitions* all) noexcept nogil
