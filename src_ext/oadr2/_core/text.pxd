"""Pieces of text: slices of a payload, and an arena for what had to be rewritten."""

from libc.stdint cimport uint32_t


cdef struct Str:            # bytes inside the payload or an arena; ptr NULL: absent
    const char* ptr
    uint32_t len


cdef struct Chunk:
    Chunk* next
    size_t used
    size_t size
    char data[1]


cdef struct Arena:          # text that had to be rewritten (entities, CDATA, line ends)
    Chunk* first


cdef char* arena_take(Arena* arena, size_t size) noexcept nogil
cdef void arena_free(Arena* arena) noexcept nogil
