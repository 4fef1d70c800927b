"""The rows of one VEN's event table. See rows.pxd."""

from libc.stdint cimport int64_t, uint32_t, uint8_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from oadr2._core.definitions cimport EventDef, event_def_release
from oadr2._core.judge cimport (
    FOREVER,
    PRIORITY_HIGHER,
    PRIORITY_HIGHEST_LEVEL,
    Rules,
    interval_stop,
    same_text,
    signal_supported,
)
from oadr2._core.message cimport NO_NUMBER, OPT_IN, IntervalData, SignalData
from oadr2._core.text cimport Str

cdef enum:
    LINEAR_ROWS = 8         # up to here a scan over the hashes beats an index

cdef extern from *:
    """
    /* a VTN that lists an event longer than this after its end is not going to stop */
    #define TOMBSTONE_LIFE INT64_C(604800000000)
    """
    const int64_t TOMBSTONE_LIFE


cdef void table_init(Table* t) noexcept nogil:
    memset(t, 0, sizeof(Table))


cdef void table_free(Table* t) noexcept nogil:
    cdef uint32_t i
    for i in range(t.count):
        row_release(t.rows[i])
    if t.rows != t.one_row:
        free(t.rows)
        free(t.heap)
    free(t.index)
    table_init(t)


cdef int table_reserve(Table* t, uint32_t more) noexcept nogil:
    cdef uint32_t room = t.room
    cdef Row** rows
    cdef Row** heap
    if t.count + more <= room:
        return 0
    if t.room == 0 and more == 1:
        t.rows = t.one_row
        t.heap = t.one_heap
        t.room = 1
        return 0
    room = max(t.count + more, room * 2)
    if t.rows == t.one_row:
        rows = <Row**>malloc(room * sizeof(Row*))
        heap = <Row**>malloc(room * sizeof(Row*))
        if rows == NULL or heap == NULL:
            free(rows)
            free(heap)
            return -1
        rows[0] = t.one_row[0]
        heap[0] = t.one_heap[0]
        t.rows = rows
    else:
        rows = <Row**>realloc(t.rows, room * sizeof(Row*))
        if rows == NULL:
            return -1
        t.rows = rows
        heap = <Row**>realloc(t.heap, room * sizeof(Row*))
        if heap == NULL:
            return -1  # t.room still tells the smaller size
    t.heap = heap
    t.room = room
    return 0


cdef uint32_t key_hash(Str vtn_id, Str event_id) noexcept nogil:
    # FNV-1a over both ids, with their border in between.
    cdef uint32_t h = 2166136261
    cdef uint32_t i
    for i in range(vtn_id.len):
        h = (h ^ <uint8_t>vtn_id.ptr[i]) * 16777619
    h = (h ^ 255) * 16777619
    for i in range(event_id.len):
        h = (h ^ <uint8_t>event_id.ptr[i]) * 16777619
    return h


cdef void index_put(Table* t, Row* row) noexcept nogil:
    cdef uint32_t mask = t.index_size - 1
    cdef uint32_t slot = row.hash & mask
    while t.index[slot]:
        slot = (slot + 1) & mask
    t.index[slot] = row.position + 1


cdef void index_rebuild(Table* t) noexcept nogil:
    # Without memory the index stays absent and look-ups scan: slower, never wrong.
    cdef uint32_t size = 32
    cdef uint32_t i
    while size < t.count * 3:
        size *= 2
    if size != t.index_size:
        free(t.index)
        t.index = <uint32_t*>malloc(size * sizeof(uint32_t))
        t.index_size = size if t.index != NULL else 0
    t.index_stale = False
    if t.index_size:
        memset(t.index, 0, size * sizeof(uint32_t))
        for i in range(t.count):
            index_put(t, t.rows[i])


cdef inline bint is_row(const Row* row, Str vtn_id, Str event_id, uint32_t hash) noexcept nogil:
    return (row.hash == hash and same_text(row.definition.event.event_id, event_id)
            and same_text(row.vtn_id, vtn_id))


cdef Row* table_find(Table* t, Str vtn_id, Str event_id, uint32_t hash) noexcept nogil:
    cdef uint32_t i, slot, mask
    if t.count > LINEAR_ROWS and (t.index_stale or t.index_size == 0):
        index_rebuild(t)
    if t.count <= LINEAR_ROWS or t.index_size == 0:
        for i in range(t.count):
            if is_row(t.rows[i], vtn_id, event_id, hash):
                return t.rows[i]
        return NULL
    mask = t.index_size - 1
    slot = hash & mask
    while t.index[slot]:
        if is_row(t.rows[t.index[slot] - 1], vtn_id, event_id, hash):
            return t.rows[t.index[slot] - 1]
        slot = (slot + 1) & mask
    return NULL


cdef void table_insert(Table* t, Row* row) noexcept nogil:
    row.position = t.count
    row.heap_position = 0
    t.rows[t.count] = row
    t.count += 1
    if t.sequence <= row.sequence:
        t.sequence = row.sequence + 1
    if t.index_size and not t.index_stale and t.count * 2 <= t.index_size:
        index_put(t, row)
    else:
        t.index_stale = True


cdef void table_remove(Table* t, Row* row) noexcept nogil:
    table_schedule(t, row, FOREVER)
    t.count -= 1
    t.rows[row.position] = t.rows[t.count]
    t.rows[row.position].position = row.position
    t.index_stale = True
    row_release(row)


# -- deadlines: a binary heap -------------------------------------------------------------------


cdef inline void heap_place(Table* t, uint32_t i, Row* row) noexcept nogil:
    t.heap[i] = row
    row.heap_position = i + 1


cdef void heap_up(Table* t, uint32_t i, Row* row) noexcept nogil:
    cdef uint32_t parent
    while i:
        parent = (i - 1) // 2
        if t.heap[parent].deadline <= row.deadline:
            break
        heap_place(t, i, t.heap[parent])
        i = parent
    heap_place(t, i, row)


cdef void heap_down(Table* t, uint32_t i, Row* row) noexcept nogil:
    cdef uint32_t child
    while True:
        child = 2 * i + 1
        if child >= t.heap_count:
            break
        if child + 1 < t.heap_count and t.heap[child + 1].deadline < t.heap[child].deadline:
            child += 1
        if row.deadline <= t.heap[child].deadline:
            break
        heap_place(t, i, t.heap[child])
        i = child
    heap_place(t, i, row)


cdef void table_schedule(Table* t, Row* row, int64_t deadline) noexcept nogil:
    cdef uint32_t i
    cdef Row* last
    row.deadline = deadline
    if deadline == FOREVER:
        if row.heap_position:
            i = row.heap_position - 1
            row.heap_position = 0
            t.heap_count -= 1
            if i < t.heap_count:
                last = t.heap[t.heap_count]
                heap_down(t, i, last)
                heap_up(t, last.heap_position - 1, last)
        return
    if row.heap_position == 0:
        t.heap_count += 1
        heap_up(t, t.heap_count - 1, row)
    else:
        heap_down(t, row.heap_position - 1, row)
        heap_up(t, row.heap_position - 1, row)


cdef int64_t table_deadline(const Table* t) noexcept nogil:
    return t.heap[0].deadline if t.heap_count else FOREVER


# -- one row ------------------------------------------------------------------------------------


cdef inline char* own_request_room(const Row* row) noexcept nogil:
    return <char*>&row[1] + row.vtn_id.len


cdef Row* row_new(Str vtn_id, EventDef* definition, uint32_t hash, uint32_t request_length) noexcept nogil:
    cdef Row* row = <Row*>calloc(1, sizeof(Row) + vtn_id.len + <size_t>request_length)
    if row == NULL:
        return NULL
    if vtn_id.len:
        memcpy(<char*>&row[1], vtn_id.ptr, vtn_id.len)
    row.vtn_id.ptr = <const char*>&row[1]
    row.vtn_id.len = vtn_id.len
    row.request_id.ptr = own_request_room(row)
    row.request_room = request_length
    row.definition = definition
    row.hash = hash
    row.references = 1
    row.end = FOREVER
    row.terminate = FOREVER
    row.deadline = FOREVER
    return row


cdef void row_release(Row* row) noexcept nogil:
    row.references -= 1
    if row.references == 0:
        event_def_release(row.definition)
        if row.request_id.ptr != own_request_room(row):
            free(<void*>row.request_id.ptr)
        free(row)


cdef int row_reserve_request_id(Row* row, uint32_t length) noexcept nogil:
    cdef char* text
    if length > row.request_room:
        text = <char*>malloc(length)
        if text == NULL:
            return -1
        if row.request_id.len:
            memcpy(text, row.request_id.ptr, row.request_id.len)
        if row.request_id.ptr != own_request_room(row):
            free(<void*>row.request_id.ptr)
        row.request_id.ptr = text
        row.request_room = length
    return 0


cdef void row_set_request_id(Row* row, Str request_id) noexcept nogil:
    if request_id.len:
        memcpy(<char*>row.request_id.ptr, request_id.ptr, request_id.len)
    row.request_id.len = request_id.len


cdef bint row_running(const Row* row, int64_t now) noexcept nogil:
    return (row.phase != PHASE_FINISHED and row.begin <= now and now < row.end and now < row.terminate)


cdef bint row_level(const Row* row, const Rules* rules, int64_t now, double* level) noexcept nogil:
    # The first SIMPLE level signal's interval at now: half-open, counted from the randomised start (E43).
    cdef const EventDef* d = row.definition
    cdef const SignalData* signal
    cdef const IntervalData* interval
    cdef uint32_t i, k
    cdef int64_t t = row.begin
    if now < t:
        return False
    for i in range(d.event.signal_count):
        signal = &d.signals[d.event.signal_begin + i]
        if not (signal.is_simple and signal.is_level and signal_supported(rules, signal)):
            continue
        for k in range(signal.interval_count):
            interval = &d.intervals[signal.interval_begin + k]
            t = interval_stop(t, interval, row.end)
            if now < t:
                level[0] = interval.value
                return True
        return False
    return False


cdef int64_t next_border(const Row* row, const Rules* rules, int64_t now) noexcept nogil:
    # The first instant after now at which an interval of a supported signal begins or ends.
    cdef const EventDef* d = row.definition
    cdef const SignalData* signal
    cdef uint32_t i, k
    cdef int64_t t
    cdef int64_t first = FOREVER
    for i in range(d.event.signal_count):
        signal = &d.signals[d.event.signal_begin + i]
        if not signal_supported(rules, signal):
            continue
        t = row.begin
        for k in range(signal.interval_count):
            t = interval_stop(t, &d.intervals[signal.interval_begin + k], row.end)
            if t > now:
                if t < first:
                    first = t
                break
    return first


cdef void row_plan_next(Table* t, const Rules* rules, Row* row, int64_t now) noexcept nogil:
    cdef int64_t deadline = row.end if row.end < row.terminate else row.terminate
    cdef int64_t border
    if row.phase == PHASE_FINISHED:
        deadline = row.end + TOMBSTONE_LIFE if row.end < FOREVER - TOMBSTONE_LIFE else FOREVER
    elif not row.started:
        deadline = row.begin if row.begin < deadline else deadline
    elif row.opt == OPT_IN:
        border = next_border(row, rules, now)
        deadline = border if border < deadline else deadline
    table_schedule(t, row, deadline)


cdef int row_set_opt(Table* t, const Rules* rules, Row* row, int opt, int64_t now, ChangeList* changes) noexcept nogil:
    if row.opt == opt:
        return 0
    if changes_reserve(changes, 1) < 0:
        return -1
    row.opt = <uint8_t>opt
    if opt == OPT_IN:
        row.started = False  # joining in is a start to be told of
    t.generation += 1
    changes_add(changes, row, CHANGE_OPT, REMARK_NONE, 0)
    row_plan_next(t, rules, row, now)
    return 0


# -- time ---------------------------------------------------------------------------------------


cdef int table_advance(Table* t, const Rules* rules, int64_t now, ChangeList* changes) noexcept nogil:
    cdef Row* row
    while t.heap_count and t.heap[0].deadline <= now:
        if changes_reserve(changes, 1) < 0:
            return -1
        row = t.heap[0]
        t.generation += 1
        if row.phase == PHASE_FINISHED:
            changes_add(changes, row, CHANGE_FORGOTTEN, REMARK_NONE, 0)
            table_remove(t, row)
        elif row.terminate <= now or (row.phase == PHASE_ENDING and row.end <= now):
            changes_add(changes, row, CHANGE_CANCELLED, REMARK_ABSENT if row.absent else REMARK_CANCELLED, 0)
            table_remove(t, row)
        elif row.end <= now:  # E27
            row.phase = PHASE_FINISHED
            changes_add(changes, row, CHANGE_COMPLETED, REMARK_NONE, 0)
            row_plan_next(t, rules, row, now)
        else:
            if row.opt == OPT_IN:
                changes_add(changes, row, CHANGE_INTERVAL if row.started else CHANGE_STARTED, REMARK_NONE, 0)
            row.started = True
            row_plan_next(t, rules, row, now)
    return 0


cdef bint goes_before(const Row* a, double level_a, const Row* b, double level_b, int rule) noexcept nogil:
    # E45, E46; ties: the one activated first, then the one received first.
    cdef int64_t pa = a.definition.event.priority
    cdef int64_t pb = b.definition.event.priority
    if rule == PRIORITY_HIGHEST_LEVEL:
        if level_a != level_b:
            return level_a > level_b
    elif rule == PRIORITY_HIGHER:
        pa = 0 if pa == NO_NUMBER else pa
        pb = 0 if pb == NO_NUMBER else pb
        if pa != pb:
            return pa > pb
    else:
        pa = FOREVER if pa <= 0 else pa
        pb = FOREVER if pb <= 0 else pb
        if pa != pb:
            return pa < pb
    if a.begin != b.begin:
        return a.begin < b.begin
    return a.sequence < b.sequence


cdef Row* table_level(const Table* t, const Rules* rules, int64_t now, double* level) noexcept nogil:
    cdef Row* best = NULL
    cdef Row* row
    cdef double value = 0.0
    cdef uint32_t i
    level[0] = 0.0
    for i in range(t.count):
        row = t.rows[i]
        if row.opt != OPT_IN or (row.test and not rules.run_test_events) or not row_running(row, now):
            continue
        if not row_level(row, rules, now, &value):
            continue
        if best == NULL or goes_before(row, value, best, level[0], rules.priority):
            best = row
            level[0] = value
    return best


# -- changes ------------------------------------------------------------------------------------


cdef int changes_reserve(ChangeList* changes, uint32_t more) noexcept nogil:
    cdef uint32_t room
    cdef ChangeRecord* items
    if changes.count + more <= changes.room:
        return 0
    room = max(changes.count + more, changes.room * 2, 4)
    items = <ChangeRecord*>realloc(changes.items, room * sizeof(ChangeRecord))
    if items == NULL:
        return -1
    changes.items = items
    changes.room = room
    return 0


cdef void changes_add(ChangeList* changes, Row* row, int kind, int reason, int notes) noexcept nogil:
    cdef ChangeRecord* record = &changes.items[changes.count]
    row.references += 1
    row.definition.references += 1
    record.row = row
    record.definition = row.definition
    record.number = row.number
    record.kind = <uint8_t>kind
    record.opt = row.opt
    record.reason = <uint8_t>reason
    record.notes = <uint8_t>notes
    changes.count += 1


cdef void changes_clear(ChangeList* changes) noexcept nogil:
    cdef uint32_t i
    for i in range(changes.count):
        event_def_release(changes.items[i].definition)
        row_release(changes.items[i].row)
    changes.count = 0


cdef void changes_free(ChangeList* changes) noexcept nogil:
    changes_clear(changes)
    free(changes.items)
    changes.items = NULL
    changes.room = 0
