"""The next token where a payload is written as most are; inlined into whoever reads tokens.

What does not look as expected, wrong or not, is left to ``scanner_next``, which reads it from the same
place: nothing has happened until a token is complete. So this room may only be quicker, never milder.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from tables cimport CLASS_NAME_START, ELEMENTS, ElementName

from oadr2._core.markup cimport byte_class
from oadr2._core.scanner cimport (
    TOKEN_CLOSE,
    TOKEN_LEAF,
    TOKEN_OPEN,
    OpenElement,
    Scanner,
    UsualPrefix,
)
from oadr2._core.xml cimport scanner_next

cdef extern from "bytes16.h" nogil:
    enum:
        NAME_ROOM
    const char* pass_plain(const char* p, const char* roomy)
    const char* pass_indent(const char* p, const char* roomy)
    bint same_name(const char* a, const char* b, uint32_t n)
    uint64_t load64(const char* p)
    bint likely(bint x)

cdef inline bint is_end_tag(const Scanner* s, const char* p, const char* name, uint32_t n) noexcept nogil:
    """Whether ``</name>`` stands at ``p``, where ``name``, n bytes long, was followed by its ``>``."""
    return (
        p <= s.roomy and n < NAME_ROOM and p[1] == c"/" and same_name(p + 2, name, n + 1)
    )


cdef inline int next_token(Scanner* s) noexcept nogil:
    """The next token (``Token``)."""
    cdef const char* p = pass_indent(s.p, s.roomy)
    cdef const char* name = p + 1
    cdef const char* local
    cdef const char* text
    cdef const char* q
    cdef OpenElement* element
    cdef const ElementName* expected
    cdef const UsualPrefix* usual
    cdef uint32_t n
    cdef uint8_t guess
    cdef int token
    if not likely(p <= s.roomy and p[0] == c"<"):
        return scanner_next(s)
    if p[1] == c"/":
        if not likely(s.depth != 0):
            return scanner_next(s)
        element = &s.stack[s.depth - 1]
        n = element.name.len
        if not likely(n <= NAME_ROOM and p[n + 2] == c">" and same_name(p + 2, element.name.ptr, n)):
            return scanner_next(s)
        s.p = p + n + 3
        s.depth -= 1
        s.binding_count = element.bindings
        s.generation = element.generation
        return TOKEN_CLOSE
    guess = s.following[s.last]
    expected = &ELEMENTS[guess]
    usual = &s.usual[expected.ns]
    local = name + usual.length
    text = local + expected.length + 1
    n = usual.length + expected.length
    if not likely(
        usual.generation == s.generation and load64(name) & usual.mask == usual.bytes
        and same_name(local, expected.local, expected.length)
    ):
        return scanner_next(s)
    if likely(text[-1] == c">"):
        if text[0] == c"\n" or text[0] == c"<" or text[0] == c"\r":
            q = pass_indent(text, s.roomy)
            if not likely(
                q[0] == c"<" and byte_class(q + 1) & CLASS_NAME_START and s.depth < s.limits.depth
            ):
                return scanner_next(s)
            element = &s.stack[s.depth]
            element.name.ptr = name
            element.name.len = n
            element.bindings = s.binding_count
            element.generation = s.generation
            s.depth += 1
            s.text.len = 0
            s.p = q
            token = TOKEN_OPEN
        else:
            q = pass_plain(text, s.roomy)
            if not likely(q[0] == c"<" and is_end_tag(s, q, name, n)):
                return scanner_next(s)
            s.text.len = <uint32_t> (q - text)
            s.p = q + n + 3
            token = TOKEN_LEAF
    elif text[-1] == c"/" and text[0] == c">":
        s.p = text + 1
        text -= 1
        s.text.len = 0
        token = TOKEN_LEAF
    else:
        return scanner_next(s)
    s.text.ptr = text
    s.token = p
    s.element = guess
    s.ns = usual.ns
    s.name.ptr = name
    s.name.len = n
    s.local.ptr = local
    s.local.len = expected.length
    s.attribute_count = 0
    s.outer_bindings = s.inner_bindings = s.binding_count
    return token
