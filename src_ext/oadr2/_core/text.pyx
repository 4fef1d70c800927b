"""The arena; see text.pxd."""

from libc.stdlib cimport free, malloc


cdef char* arena_take(Arena* arena, size_t size) noexcept nogil:
    """``size`` bytes that live as long as the arena; NULL when memory is out."""
    cdef Chunk* chunk = arena.first
    cdef size_t room
    if chunk == NULL or chunk.size - chunk.used < size:
        room = size if size > 1000 else 1000
        chunk = <Chunk*> malloc(sizeof(Chunk) + room)
        if chunk == NULL:
            return NULL
        chunk.used = 0
        chunk.size = room
        chunk.next = arena.first
        arena.first = chunk
    chunk.used += size
    return &chunk.data[chunk.used - size]


cdef void arena_free(Arena* arena) noexcept nogil:
    cdef Chunk* chunk = arena.first
    cdef Chunk* following
    while chunk != NULL:
        following = chunk.next
        free(chunk)
        chunk = following
    arena.first = NULL
