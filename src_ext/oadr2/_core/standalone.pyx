"""An element cut out of its document, as one of its own; see standalone.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcmp, memcpy

from oadr2._core.markup cimport fail
from oadr2._core.text cimport Str, arena_take
from oadr2._core.xml cimport (
    ROOM_FOR_BINDINGS,
    TOKEN_CLOSE,
    TOKEN_ERROR,
    XML_COPIES,
    XML_MEMORY,
    Binding,
    Scanner,
    scanner_skip,
)


cdef inline bint same_prefix(const Binding* a, const Binding* b) noexcept nogil:
    return a.key == b.key and a.prefix.len == b.prefix.len and (
        a.prefix.len <= 8 or memcmp(a.prefix.ptr, b.prefix.ptr, a.prefix.len) == 0
    )


cdef size_t escaped_length(const Str* text) noexcept nogil:
    """How long an attribute's value is at most when it is written again."""
    cdef size_t n = text.len
    cdef uint32_t i
    for i in range(text.len):
        if text.ptr[i] == c"&" or text.ptr[i] == c"<" or text.ptr[i] == c'"':
            n += 4
    return n


cdef bint holds_prefix(const char* p, const char* end, const Str* prefix) noexcept nogil:
    """Whether the prefix and a colon stand anywhere: in a name, or in a text that means one."""
    cdef uint32_t n = prefix.len
    while end - p > n:
        p = <const char*> memchr(p, prefix.ptr[0], end - p - n)
        if p == NULL:
            return False
        if p[n] == c":" and memcmp(p, prefix.ptr, n) == 0:
            return True
        p += 1
    return False


cdef int scanner_standalone(Scanner* s, Str* raw) noexcept nogil:
    """After TOKEN_OPEN or TOKEN_LEAF: the element as a document of its own, passed over.

    The namespace declarations that it inherits and may need are written into its start tag.
    """
    cdef const char* start = s.token
    cdef uint32_t head = s.name.len + 1
    cdef uint32_t outer = s.outer_bindings, inner = s.inner_bindings
    cdef uint32_t i, j
    cdef size_t room = 0
    cdef char* to
    cdef Binding* binding
    if s.depth and s.stack[s.depth - 1].name.ptr == s.name.ptr and scanner_skip(s) < 0:
        return TOKEN_ERROR
    room = s.p - start
    for i in range(outer):
        room += s.bindings[i].prefix.len + escaped_length(&s.bindings[i].uri) + 10
    s.copied += room
    if s.copied > 8 * <size_t> (s.end - s.base) + 65536:  # a small payload must not grow without bound
        return fail(s, start, XML_COPIES)
    to = arena_take(s.arena, room)
    if to == NULL:
        return fail(s, start, XML_MEMORY)
    raw.ptr = to
    memcpy(to, start, head)
    to += head
    for i in range(outer):
        binding = &s.bindings[i]
        for j in range(i + 1, inner):  # shadowed further in
            if same_prefix(&s.bindings[j], binding):
                break
        else:
            # looked for one by one, so only when they are few
            if binding.prefix.len and outer <= ROOM_FOR_BINDINGS and not holds_prefix(
                start, s.p, &binding.prefix
            ):
                continue
            memcpy(to, b" xmlns", 6)
            to += 6
            if binding.prefix.len:
                to[0] = c":"
                memcpy(to + 1, binding.prefix.ptr, binding.prefix.len)
                to += 1 + binding.prefix.len
            memcpy(to, b'="', 2)
            to += 2
            for j in range(binding.uri.len):
                if binding.uri.ptr[j] == c"&":
                    memcpy(to, b"&amp;", 5)
                    to += 5
                elif binding.uri.ptr[j] == c"<":
                    memcpy(to, b"&lt;", 4)
                    to += 4
                elif binding.uri.ptr[j] == c'"':
                    memcpy(to, b"&#34;", 5)
                    to += 5
                else:
                    to[0] = binding.uri.ptr[j]
                    to += 1
            to[0] = c'"'
            to += 1
    memcpy(to, start + head, s.p - start - head)
    to += s.p - start - head
    raw.len = <uint32_t> (to - raw.ptr)
    return TOKEN_CLOSE
