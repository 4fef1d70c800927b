"""Which of many rows comes due next. See due.pxd."""

from libc.stdint cimport int64_t, uint32_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef enum:
    LINE = 64               # bytes of a cache line
    CHILDREN = 4            # entries in one


cdef void due_init(DueHeap* h) noexcept nogil:
    memset(h, 0, sizeof(DueHeap))


cdef void due_free(DueHeap* h) noexcept nogil:
    free(h.block)
    due_init(h)


cdef int due_reserve(DueHeap* h, uint32_t rows) noexcept nogil:
    cdef size_t room = 2 * <size_t>rows + 8
    cdef char* block
    cdef Due* items
    if room <= h.room:
        return 0
    if room > <size_t><uint32_t>-1:
        return -1
    block = <char*>malloc(room * sizeof(Due) + 2 * LINE)
    if block == NULL:
        return -1
    # The root stands last in its line, so that items 1 to 4, 5 to 8 and so on begin one each.
    items = <Due*>(block + LINE - <uintptr_t>block % LINE + LINE - sizeof(Due))
    if h.count:
        memcpy(items, h.items, h.count * sizeof(Due))
    free(h.block)
    h.block = block
    h.items = items
    h.room = <uint32_t>room
    return 0


cdef void due_push(DueHeap* h, int64_t moment, uint32_t row) noexcept nogil:
    cdef uint32_t i = h.count
    cdef uint32_t parent
    h.count += 1
    while i:
        parent = (i - 1) // CHILDREN
        if h.items[parent].moment <= moment:
            break
        h.items[i] = h.items[parent]
        i = parent
    h.items[i].moment = moment
    h.items[i].row = row


cdef void sink(DueHeap* h, uint32_t i, Due entry) noexcept nogil:
    cdef uint32_t child, last, k
    while True:
        child = CHILDREN * i + 1
        if child >= h.count:
            break
        last = child + CHILDREN if h.count - child > CHILDREN else h.count
        for k in range(child + 1, last):
            if h.items[k].moment < h.items[child].moment:
                child = k
        if entry.moment <= h.items[child].moment:
            break
        h.items[i] = h.items[child]
        i = child
    h.items[i] = entry


cdef void due_pop(DueHeap* h) noexcept nogil:
    h.count -= 1
    if h.count:
        sink(h, 0, h.items[h.count])


cdef void due_order(DueHeap* h) noexcept nogil:
    cdef uint32_t i
    if h.count < 2:
        return
    i = (h.count - 2) // CHILDREN + 1
    while i:
        i -= 1
        sink(h, i, h.items[i])
