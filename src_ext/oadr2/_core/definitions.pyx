"""Events that outlive their message, and are shared by those who got the same; see definitions.pxd."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from oadr2._core.clock cimport NO_TIME
from oadr2._core.message cimport (
    EventData,
    IntervalData,
    Message,
    SignalData,
    TargetEntry,
    UnitData,
)
from oadr2._core.text cimport Str


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
    d.shared = NULL
    d.set_at = NO_TIME
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


# --- definitions that several VENs share -----------------------------------------------------------

cdef inline uint64_t hash_bytes(uint64_t h, const char* p, size_t n) noexcept nogil:
    cdef uint64_t word = 0
    while n >= 8:
        memcpy(&word, p, 8)
        h = (h ^ word) * <uint64_t> 0x9E3779B97F4A7C15
        h ^= h >> 29
        p += 8
        n -= 8
    word = n
    memcpy(&word, p, n)
    h = (h ^ word ^ (<uint64_t> n << 56)) * <uint64_t> 0x9E3779B97F4A7C15
    return h ^ (h >> 32)


cdef uint64_t event_hash(const Message* m, uint32_t index, bint months_are_minutes) noexcept nogil:
    cdef uint64_t h = months_are_minutes
    cdef uint32_t i
    for i in range(m.open_count):
        h = hash_bytes(h, m.open_tags[i].ptr, m.open_tags[i].len)
    return hash_bytes(h, m.events[index].raw.ptr, m.events[index].raw.len)


cdef bint is_document(const EventDef* d, const Message* m, uint32_t index) noexcept nogil:
    """Whether the event would be written as this document; its end tags follow from the start tags."""
    cdef const Str* raw = &m.events[index].raw
    cdef const char* at = d.document.ptr
    cdef size_t length = m.open_length + raw.len
    cdef uint32_t i
    for i in range(m.open_count):
        length += m.open_names[i].len + 3
    if length != d.document.len:
        return False
    for i in range(m.open_count):
        if memcmp(at, m.open_tags[i].ptr, m.open_tags[i].len) != 0:
            return False
        at += m.open_tags[i].len
    return memcmp(at, raw.ptr, raw.len) == 0


cdef void more_slots(Definitions* all) noexcept nogil:
    # Without memory the chains get longer: slower, never wrong.
    cdef uint32_t count = all.slot_count * 2 if all.slot_count else 64
    cdef EventDef** slots = <EventDef**> calloc(count, sizeof(EventDef*))
    cdef EventDef* d
    cdef EventDef* following
    cdef uint32_t i
    if slots == NULL:
        return
    for i in range(all.slot_count):
        d = all.slots[i]
        while d != NULL:
            following = d.next
            d.next = slots[d.hash & (count - 1)]
            slots[d.hash & (count - 1)] = d
            d = following
    free(all.slots)
    all.slots = slots
    all.slot_count = count


cdef EventDef* event_def_shared(Definitions* all, const Message* m, uint32_t index,
                                bint months_are_minutes) noexcept nogil:
    cdef uint64_t hash
    cdef EventDef* d
    if all == NULL:
        return event_def_new(m, index)
    hash = event_hash(m, index, months_are_minutes)
    if all.slot_count:
        d = all.slots[hash & (all.slot_count - 1)]
        while d != NULL:
            if (d.hash == hash and d.months_are_minutes == months_are_minutes
                    and is_document(d, m, index)):
                d.references += 1
                return d
            d = d.next
    d = event_def_new(m, index)
    if d == NULL:
        return NULL
    if all.count >= all.slot_count:
        more_slots(all)
    if all.slot_count:
        d.shared = all
        d.hash = hash
        d.months_are_minutes = months_are_minutes
        d.next = all.slots[hash & (all.slot_count - 1)]
        all.slots[hash & (all.slot_count - 1)] = d
        all.count += 1
    return d


cdef void take_out(EventDef* d) noexcept nogil:
    cdef Definitions* all = d.shared
    cdef EventDef** link = &all.slots[d.hash & (all.slot_count - 1)]
    while link[0] != d:
        link = &link[0].next
    link[0] = d.next
    all.count -= 1


cdef void event_def_release(EventDef* d) noexcept nogil:
    if d == NULL:
        return
    d.references -= 1
    if not d.references:
        if d.shared != NULL:
            take_out(d)
        free(d)


cdef void definitions_free(Definitions* all) noexcept nogil:
    cdef EventDef* d
    cdef uint32_t i
    for i in range(all.slot_count):
        d = all.slots[i]
        while d != NULL:
            d.shared = NULL
            d = d.next
    free(all.slots)
    memset(all, 0, sizeof(Definitions))
