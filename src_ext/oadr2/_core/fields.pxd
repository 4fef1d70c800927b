"""Attributes of model objects, checked and written, each failure named by its attribute path."""

cimport cython
from libc.stdint cimport int64_t, uint32_t

from oadr2._core.writer cimport Writer
from oadr2._core.text cimport Str

cdef enum:
    PLACE_DEPTH = 8         # the deepest is events[0].signals[0].targets.ven_ids[0]


cdef struct Step:
    const char* name
    Py_ssize_t index        # -1: none


@cython.final
cdef class FieldWriter:
    """One message on its way into bytes, and the place it has come to, for error messages.

    A method that takes a `name` means the attribute of that name at this place; NULL is the place itself.
    """

    cdef Writer w
    cdef int profile
    cdef bint with_power    # namespaces the events turned out to need
    cdef bint with_scale
    cdef uint32_t namespaces   # of a service's message: those that it uses, by 1 << NS_*
    cdef int depth
    cdef Step place[PLACE_DEPTH]

    cdef void enter(self, const char* name, Py_ssize_t index) noexcept
    cdef void leave(self) noexcept
    # The exception to raise.
    cdef object wrong(self, const char* name, str reason)
    # The object we just entered must be of this class.
    cdef int expect(self, object value, object kind) except -1
    cdef int only_2_0b(self, const char* name) except -1

    # Values. A Str lives as long as the str it was made from.
    cdef int as_text(self, object value, const char* name, Str* text) except -1
    cdef int as_optional_text(self, object value, const char* name, Str* text) except -1
    cdef int as_id(self, object value, const char* name, Str* text) except -1
    cdef int64_t as_unsigned(self, object value, const char* name) except -1
    cdef int as_code(self, object value, const char* name) except -1
    cdef double as_float(self, object value, const char* name) except? -1
    cdef object as_items(self, object value, const char* name)

    # Values, written.
    cdef int text(self, object value, const char* name) except -1
    cdef int id_text(self, object value, const char* name) except -1
    cdef int optional_text(self, object value, const char* name, const char* opening,
                           const char* closing) except -1
    # One element for each text; how many there were.
    cdef Py_ssize_t texts(self, object values, const char* name, const char* opening,
                          const char* closing) except -1
    cdef int choice(self, object value, const char* name, object choices) except -1
    cdef int number(self, object value, const char* name) except -1
    cdef int float_text(self, object value, const char* name) except -1
    cdef int decimal_text(self, object value, const char* name) except -1
    cdef int date_time(self, object value, const char* name) except -1
    cdef int duration(self, object value, const char* name, bint signed) except -1
    cdef int nested_duration(self, object value, const char* name, bint signed) except -1


cdef str must_be(str wanted, object value)
