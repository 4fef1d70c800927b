"""Memory of messages and of events that outlive them; see message.pxd."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from oadr2._core.text cimport Str, arena_free


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
    memset(m, 0, sizeof(Message))


# --- events that outlive their message -----------------------------------------------------------

cdef struct Mover:
    const char* source      # the event's element in the payload
    size_t size
    char* target            # the same bytes in the new block; NULL: only count
    char* extra             # where text from elsewhere goes
    size_t extra_size


cdef void move(Mover* mover, Str* s) noexcept nogil:
    """Point a string into the new block, or count the bytes it will need there."""
    if s.ptr == NULL:
        return
    if mover.source <= s.ptr and s.ptr + s.len <= mover.source + mover.size:
        if mover.target != NULL:
            s.ptr = mover.target + (s.ptr - mover.source)
        return
    if mover.target != NULL:
        memcpy(mover.extra, s.ptr, s.len)
        s.ptr = mover.extra
        mover.extra += s.len
    else:
        mover.extra_size += s.len


cdef void move_unit(Mover* mover, UnitData* unit) noexcept nogil:
    move(mover, &unit.name)
    move(mover, &unit.item_description)
    move(mover, &unit.item_units)
    move(mover, &unit.si_scale_code)


cdef void move_all(Mover* mover, EventData* event, SignalData* signals, uint32_t signal_count,
                   IntervalData* intervals, uint32_t interval_count, TargetEntry* targets,
                   uint32_t target_count) noexcept nogil:
    cdef uint32_t i
    move(mover, &event.raw)
    move(mover, &event.event_id)
    move(mover, &event.market_context)
    move(mover, &event.test_event)
    move(mover, &event.vtn_comment)
    move(mover, &event.modification_reason)
    move(mover, &event.baseline.baseline_id)
    move(mover, &event.baseline.baseline_name)
    move_unit(mover, &event.baseline.unit)
    for i in range(signal_count):
        move(mover, &signals[i].signal_name)
        move(mover, &signals[i].signal_type)
        move(mover, &signals[i].signal_id)
        move_unit(mover, &signals[i].unit)
    for i in range(interval_count):
        move(mover, &intervals[i].uid)
    for i in range(target_count):
        move(mover, &targets[i].value)
        move(mover, &targets[i].second)


cdef void widen(uint32_t begin, uint32_t count, uint32_t* first, uint32_t* last) noexcept nogil:
    if count:
        first[0] = min(first[0], begin)
        last[0] = max(last[0], begin + count)


cdef size_t align(size_t size) noexcept nogil:
    return (size + 15) & ~<size_t> 15


cdef EventDef* event_def_new(const Message* m, uint32_t index) noexcept nogil:
    """The event on its own, with one reference; NULL when memory is out."""
    cdef const EventData* event = &m.events[index]
    cdef const SignalData* signal
    cdef uint32_t interval_first = <uint32_t> -1, interval_last = 0
    cdef uint32_t target_first = <uint32_t> -1, target_last = 0
    cdef uint32_t i, interval_count, target_count
    cdef size_t at_signals, at_intervals, at_targets, at_document, document_size, at_extra
    cdef Mover mover
    cdef EventDef* d
    cdef char* block
    cdef char* to
    widen(event.target_begin, event.target_count, &target_first, &target_last)
    widen(event.baseline.interval_begin, event.baseline.interval_count, &interval_first,
          &interval_last)
    widen(event.baseline.target_begin, event.baseline.target_count, &target_first, &target_last)
    for i in range(event.signal_count):
        signal = &m.signals[event.signal_begin + i]
        widen(signal.interval_begin, signal.interval_count, &interval_first, &interval_last)
        widen(signal.target_begin, signal.target_count, &target_first, &target_last)
    interval_first = min(interval_first, interval_last)
    target_first = min(target_first, target_last)
    interval_count = interval_last - interval_first
    target_count = target_last - target_first

    document_size = m.open_length + event.raw.len
    for i in range(m.open_count):
        document_size += m.open_names[i].len + 3
    at_signals = align(sizeof(EventDef))
    at_intervals = align(at_signals + event.signal_count * sizeof(SignalData))
    at_targets = align(at_intervals + interval_count * sizeof(IntervalData))
    at_document = align(at_targets + target_count * sizeof(TargetEntry))
    at_extra = at_document + document_size + 1
    mover.source = event.raw.ptr
    mover.size = event.raw.len
    mover.target = NULL
    mover.extra = NULL
    mover.extra_size = 0
    move_all(&mover, <EventData*> event, m.signals + event.signal_begin, event.signal_count,
             m.intervals + interval_first, interval_count, m.targets + target_first, target_count)
    block = <char*> malloc(at_extra + mover.extra_size)
    if block == NULL:
        return NULL
    d = <EventDef*> block
    d.references = 1
    d.event = event[0]
    d.signals = <SignalData*> (block + at_signals)
    d.intervals = <IntervalData*> (block + at_intervals)
    d.targets = <TargetEntry*> (block + at_targets)
    if event.signal_count:
        memcpy(d.signals, m.signals + event.signal_begin, event.signal_count * sizeof(SignalData))
    if interval_count:
        memcpy(d.intervals, m.intervals + interval_first, interval_count * sizeof(IntervalData))
    if target_count:
        memcpy(d.targets, m.targets + target_first, target_count * sizeof(TargetEntry))
    to = block + at_document
    d.document.ptr = to
    d.document.len = <uint32_t> document_size
    for i in range(m.open_count):
        memcpy(to, m.open_tags[i].ptr, m.open_tags[i].len)
        to += m.open_tags[i].len
    memcpy(to, event.raw.ptr, event.raw.len)
    mover.target = to
    to += event.raw.len
    i = m.open_count
    while i:
        i -= 1
        memcpy(to, b"</", 2)
        memcpy(to + 2, m.open_names[i].ptr, m.open_names[i].len)
        to += 2 + m.open_names[i].len
        to[0] = c">"
        to += 1
    to[0] = 0
    mover.extra = block + at_extra
    move_all(&mover, &d.event, d.signals, event.signal_count, d.intervals, interval_count,
             d.targets, target_count)
    d.event.signal_begin = 0
    d.event.target_begin -= target_first if event.target_count else event.target_begin
    d.event.baseline.interval_begin -= (
        interval_first if event.baseline.interval_count else event.baseline.interval_begin
    )
    d.event.baseline.target_begin -= (
        target_first if event.baseline.target_count else event.baseline.target_begin
    )
    for i in range(event.signal_count):
        d.signals[i].interval_begin -= (
            interval_first if d.signals[i].interval_count else d.signals[i].interval_begin
        )
        d.signals[i].target_begin -= (
            target_first if d.signals[i].target_count else d.signals[i].target_begin
        )
    return d


cdef void event_def_release(EventDef* d) noexcept nogil:
    if d == NULL:
        return
    d.references -= 1
    if not d.references:
        free(d)
