"""Memory of messages and of events that outlive them; see message.pxd."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from oadr2._core.text cimport arena_free


# A list of one event, which is what most payloads are, fits into one block small enough for malloc's
# quick lists. An array that outgrows its part of it moves to a block of its own.
cdef enum:
    FIRST_EVENTS = 1
    FIRST_SIGNALS = 1
    FIRST_INTERVALS = 4
    FIRST_TARGETS = 5


cdef struct FirstRooms:
    EventData events[FIRST_EVENTS]
    SignalData signals[FIRST_SIGNALS]
    IntervalData intervals[FIRST_INTERVALS]
    TargetEntry targets[FIRST_TARGETS]


cdef int take_first_rooms(Message* m) noexcept nogil:
    """Give the arrays that an event needs their first rooms; -1 when memory is out."""
    cdef FirstRooms* rooms = <FirstRooms*> malloc(sizeof(FirstRooms))
    if rooms == NULL:
        return -1
    m.first_rooms = rooms
    m.events, m.event_room = rooms.events, FIRST_EVENTS
    m.signals, m.signal_room = rooms.signals, FIRST_SIGNALS
    m.intervals, m.interval_room = rooms.intervals, FIRST_INTERVALS
    m.targets, m.target_room = rooms.targets, FIRST_TARGETS
    return 0


cdef inline bint in_first_rooms(const Message* m, const void* items) noexcept nogil:
    cdef const FirstRooms* rooms = <const FirstRooms*> m.first_rooms
    return rooms != NULL and (
        items == rooms.events or items == rooms.signals
        or items == rooms.intervals or items == rooms.targets
    )


cdef int more_room(Message* m, void** items, uint32_t* room, size_t size) noexcept nogil:
    """Make room for at least one more item than ``room``; -1 when memory is out."""
    cdef void* grown
    cdef uint32_t wanted
    wanted = max(room[0] * 2, <uint32_t> (1000 // size), 1)
    if in_first_rooms(m, items[0]):
        grown = malloc(wanted * size)
        if grown != NULL:
            memcpy(grown, items[0], room[0] * size)
    else:
        grown = realloc(items[0], wanted * size)
    if grown == NULL:
        return -1
    items[0] = grown
    room[0] = wanted
    return 0


cdef void message_init(Message* m) noexcept nogil:
    memset(m, 0, sizeof(Message))


cdef void message_clear(Message* m) noexcept nogil:
    cdef Message kept = m[0]
    arena_free(&m.arena)
    memset(m, 0, sizeof(Message))
    m.first_rooms = kept.first_rooms
    m.events, m.event_room = kept.events, kept.event_room
    m.signals, m.signal_room = kept.signals, kept.signal_room
    m.intervals, m.interval_room = kept.intervals, kept.interval_room
    m.targets, m.target_room = kept.targets, kept.target_room
    m.answers, m.answer_room = kept.answers, kept.answer_room
    m.problems, m.problem_room = kept.problems, kept.problem_room
    m.nodes, m.node_room = kept.nodes, kept.node_room


cdef inline void free_items(const Message* m, void* items) noexcept nogil:
    if items != NULL and not in_first_rooms(m, items):
        free(items)


cdef void message_free(Message* m) noexcept nogil:
    arena_free(&m.arena)
    free_items(m, m.events)
    free_items(m, m.signals)
    free_items(m, m.intervals)
    free_items(m, m.targets)
    free(m.answers)
    free(m.problems)
    free(m.nodes)
    free(m.first_rooms)
