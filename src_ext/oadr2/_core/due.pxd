"""Which of many rows comes due next: a heap of (moment, row), without a place to keep in each row.

A row's own moment is the truth. An entry that no longer agrees with it is stale and dropped when it comes
up, so that moving a row costs one more entry and touches no other row. Room for twice the rows is taken
beforehand; when it is used up the owner builds the heap anew from its rows, so nothing here fails later.
Four children to a parent: they share a cache line, and a million rows are ten levels deep.
"""

from libc.stdint cimport int64_t, uint32_t


cdef struct Due:
    int64_t moment
    uint32_t row
    uint32_t spare


cdef struct DueHeap:
    void* block             # items lie in here, so that the children of each parent share a cache line
    Due* items
    uint32_t count
    uint32_t room


cdef void due_init(DueHeap* h) noexcept nogil
cdef void due_free(DueHeap* h) noexcept nogil
cdef int due_reserve(DueHeap* h, uint32_t rows) noexcept nogil       # -1: no memory, unchanged
cdef inline bint due_full(const DueHeap* h) noexcept nogil:
    return h.count == h.room
cdef void due_push(DueHeap* h, int64_t moment, uint32_t row) noexcept nogil     # only when not full
cdef void due_pop(DueHeap* h) noexcept nogil                                    # only when not empty
# Puts an entry anywhere; due_order() must follow before the heap is used.
cdef inline void due_append(DueHeap* h, int64_t moment, uint32_t row) noexcept nogil:
    h.items[h.count].moment = moment
    h.items[h.count].row = row
    h.count += 1
cdef void due_order(DueHeap* h) noexcept nogil
