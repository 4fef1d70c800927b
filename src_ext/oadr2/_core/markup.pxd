"""Markup without elements: characters, names, references, text, comments, instructions.

Every function checks what it passes over, strictly. One that fails returns NULL and leaves what is wrong
in ``s.error`` and where in ``s.p``.
"""

from libc.stdint cimport uint8_t, uint32_t
from tables cimport BYTE_CLASS, CLASS_SPACE

from oadr2._core.text cimport Str
from oadr2._core.scanner cimport TOKEN_ERROR, XML_EMPTY, XML_UNFINISHED, Scanner

cdef extern from "bytes16.h" nogil:
    const char* pass_plain(const char* p, const char* roomy)


cdef inline uint8_t byte_class(const char* p) noexcept nogil:
    return BYTE_CLASS[<uint8_t> p[0]]


cdef inline const char* pass_space(const char* p) noexcept nogil:
    """The first byte that is no white space."""
    while byte_class(p) & CLASS_SPACE:
        p += 1
    return p


cdef inline const char* name_error(Scanner* s, const char* at, int error) noexcept nogil:
    s.error = error
    s.p = at
    return NULL


cdef inline int fail(Scanner* s, const char* at, int error) noexcept nogil:
    """Note what is wrong and where; at the payload's end it is the end that is wrong."""
    s.error = XML_UNFINISHED if at >= s.end and error != XML_EMPTY else error
    s.p = at
    return TOKEN_ERROR


cdef uint32_t utf8_character(const char* at, const char* end, int* length) noexcept nogil
cdef bint is_name_start(uint32_t c) noexcept nogil
cdef bint is_name_character(uint32_t c) noexcept nogil
cdef const char* pass_name(Scanner* s, const char* p, const char** colon) noexcept nogil
cdef const char* pass_reference(Scanner* s, const char* p, uint32_t* value) noexcept nogil
cdef const char* pass_characters(Scanner* s, const char* p, const char* stop) noexcept nogil
cdef const char* find(const char* p, const char* end, const char* text, size_t n) noexcept nogil
cdef bint at_cdata(Scanner* s, const char* p) noexcept nogil
cdef bint at_comment(Scanner* s, const char* p) noexcept nogil
cdef const char* pass_comment(Scanner* s, const char* p) noexcept nogil
cdef const char* pass_instruction(Scanner* s, const char* p) noexcept nogil
cdef const char* pass_cdata(Scanner* s, const char* p) noexcept nogil
cdef const char* pass_text(Scanner* s, const char* p, bint* rewrite) noexcept nogil
cdef int put_utf8(char* out, uint32_t c) noexcept nogil
cdef int rewrite_text(Scanner* s, const char* p, const char* stop, Str* out) noexcept nogil
cdef const char* read_declaration(Scanner* s, const char* p) noexcept nogil
