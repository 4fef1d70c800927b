"""Pieces of text: slices of a payload, and an arena for what had to be rewritten."""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

cdef extern from "bytes16.h" nogil:
    bint is_ascii(const char* p, uint32_t n)

cdef extern from "Python.h":
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    str PyUnicode_DecodeUTF8(const char* s, Py_ssize_t size, const char* errors)
    char* PyUnicode_1BYTE_DATA(str o)


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


cdef inline str string(const char* p, uint32_t n):
    """n bytes, which must be UTF-8, as a string of Python's."""
    cdef str made
    if n < 2 or not is_ascii(p, n):
        return PyUnicode_DecodeUTF8(p, n, NULL)
    made = PyUnicode_New(n, 127)
    memcpy(PyUnicode_1BYTE_DATA(made), p, n)
    return made
