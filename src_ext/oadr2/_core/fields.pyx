"""Attributes of model objects, checked against what the schema allows, and written."""

cimport cython
from cpython.datetime cimport (
    PyDateTime_Check,
    PyDateTime_DATE_GET_TZINFO,
    PyDateTime_TimeZone_UTC,
    import_datetime,
)
from cpython.float cimport PyFloat_AsDouble
from cpython.mem cimport PyMem_Free
from libc.math cimport fabs, isfinite, isinf, signbit
from libc.stdint cimport int64_t, uint32_t, uint64_t

from oadr2._core.clock cimport DATE_TIME_ROOM, DURATION_ROOM, Dur, format_date_time, format_duration
from oadr2._core.datetimes cimport Duration, us_from_datetime
from oadr2._core.message cimport PROFILE_A
from oadr2._core.writer cimport (
    Writer,
    is_xml_text,
    put,
    writer_free,
    writer_init,
    writer_number,
    writer_put,
    writer_text,
)
from oadr2._core.text cimport Str

from decimal import Decimal

from oadr2.errors import LocalProtocolError

import_datetime()

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    char* PyOS_double_to_string(double value, char code, int precision, int flags,
                                int* kind) except NULL
    enum:
        Py_DTSF_ADD_DOT_0


@cython.final
cdef class FieldWriter:
    def __cinit__(self):
        writer_init(&self.w)

    def __dealloc__(self):
        writer_free(&self.w)

    # Where we are

    cdef void enter(self, const char* name, Py_ssize_t index) noexcept:
        self.place[self.depth].name = name
        self.place[self.depth].index = index
        self.depth += 1

    cdef void leave(self) noexcept:
        self.depth -= 1

    cdef object wrong(self, const char* name, str reason):
        cdef int i
        cdef list path = []
        for i in range(self.depth):
            step = self.place[i].name.decode()
            path.append(step if self.place[i].index < 0 else f"{step}[{self.place[i].index}]")
        if name != NULL:
            path.append(name.decode())
        return LocalProtocolError(f"{'.'.join(path)}: {reason}")

    cdef int expect(self, object value, object kind) except -1:
        if not isinstance(value, kind):
            raise self.wrong(NULL, must_be(kind.__name__, value))
        return 0

    cdef int only_2_0b(self, const char* name) except -1:
        if self.profile == PROFILE_A:
            raise self.wrong(name, "does not exist in 2.0a")
        return 0

    # Values

    cdef int as_text(self, object value, const char* name, Str* text) except -1:
        cdef Py_ssize_t size = 0
        if not isinstance(value, str):
            raise self.wrong(name, must_be("str", value))
        try:
            text.ptr = PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError:
            raise self.wrong(name, "has a character that XML does not allow (a lone surrogate)")
        if <uint64_t>size > 0xFFFFFFFF:
            raise self.wrong(name, "is longer than four gigabytes")
        text.len = <uint32_t>size
        if not is_xml_text(text[0]):
            raise self.wrong(name, "has a character that XML does not allow")
        return 0

    cdef int as_id(self, object value, const char* name, Str* text) except -1:
        self.as_text(value, name, text)
        if text.len == 0:
            raise self.wrong(name, "must not be empty")
        return 0

    cdef int as_optional_text(self, object value, const char* name, Str* text) except -1:
        text.ptr = NULL
        text.len = 0
        if value is not None:
            self.as_text(value, name, text)
        return 0

    cdef int64_t as_unsigned(self, object value, const char* name) except -1:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(name, must_be("int", value))
        if not 0 <= value <= 0xFFFFFFFF:
            raise self.wrong(name, f"must be from 0 to 4294967295, not {number_text(value)}")
        return value

    cdef int as_code(self, object value, const char* name) except -1:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(name, must_be("int", value))
        if not 100 <= value <= 999:
            raise self.wrong(name, f"must have three digits, not be {number_text(value)}")
        return value

    cdef double as_float(self, object value, const char* name) except? -1:
        cdef double number
        if not isinstance(value, (float, int)) or isinstance(value, bool):
            raise self.wrong(name, must_be("float", value))
        try:
            number = PyFloat_AsDouble(value)
        except OverflowError:
            raise self.wrong(name, "is too large for xs:float")
        if not isfinite(number):
            raise self.wrong(name, f"must be finite, not {number}")
        if isinf(<float>number):
            raise self.wrong(name, f"{number} is too large for xs:float")
        return number

    cdef object as_items(self, object value, const char* name):
        """A list or tuple of what a sequence attribute holds."""
        if type(value) is tuple or type(value) is list:
            return value
        if isinstance(value, (str, bytes, bytearray)):
            raise self.wrong(name, must_be("a sequence", value))
        try:
            return tuple(value)
        except TypeError:
            raise self.wrong(name, must_be("a sequence", value))

    # Values on their way out

    cdef int text(self, object value, const char* name) except -1:
        cdef Str text
        self.as_text(value, name, &text)
        writer_text(&self.w, text)
        return 0

    cdef int id_text(self, object value, const char* name) except -1:
        cdef Str text
        self.as_id(value, name, &text)
        writer_text(&self.w, text)
        return 0

    cdef int choice(self, object value, const char* name, object choices) except -1:
        if not isinstance(value, str):
            raise self.wrong(name, must_be("str", value))
        if value not in choices:
            raise self.wrong(name, f"{value!r} is none of {', '.join(sorted(choices))}")
        return self.text(value, name)

    cdef int optional_text(self, object value, const char* name, const char* opening,
                           const char* closing) except -1:
        if value is not None:
            put(&self.w, opening)
            self.text(value, name)
            put(&self.w, closing)
        return 0

    cdef Py_ssize_t texts(self, object values, const char* name, const char* opening,
                          const char* closing) except -1:
        cdef Py_ssize_t i
        items = self.as_items(values, name)
        for i in range(len(items)):
            put(&self.w, opening)
            self.enter(name, i)
            self.text(items[i], NULL)
            self.leave()
            put(&self.w, closing)
        return len(items)

    cdef int number(self, object value, const char* name) except -1:
        writer_number(&self.w, <uint64_t>self.as_unsigned(value, name))
        return 0

    cdef int float_text(self, object value, const char* name) except -1:
        """xs:float, with the fewest digits that read back as the same number."""
        cdef double number = self.as_float(value, name)
        cdef char* digits
        if 0 <= number < 1e9 and number == <uint32_t>number and not signbit(number):
            writer_number(&self.w, <uint32_t>number)
            put(&self.w, b".0")
            return 0
        if put_short_decimal(&self.w, number):
            return 0
        digits = PyOS_double_to_string(number, b"r", 0, Py_DTSF_ADD_DOT_0, NULL)
        put(&self.w, digits)
        PyMem_Free(digits)
        return 0

    cdef int decimal_text(self, object value, const char* name) except -1:
        """xs:decimal: no exponent."""
        digits = format(Decimal(repr(self.as_float(value, name))), "f")
        return self.text(digits, name)

    cdef int date_time(self, object value, const char* name) except -1:
        cdef char text[DATE_TIME_ROOM]
        cdef int64_t us
        if not PyDateTime_Check(value):
            raise self.wrong(name, must_be("datetime", value))
        if PyDateTime_DATE_GET_TZINFO(value) == PyDateTime_TimeZone_UTC:
            us = us_from_datetime(value)  # as ours are: nothing to ask, and always within the years
        else:
            if value.utcoffset() is None:
                raise self.wrong(name, "has no time zone; datetimes must be aware")
            try:
                us = us_from_datetime(value)
            except (OverflowError, ValueError):
                raise self.wrong(name, "lies outside the years 1 to 9999")
        writer_put(&self.w, text, format_date_time(us, text))
        return 0

    cdef int duration(self, object value, const char* name, bint signed) except -1:
        """The plain duration. Whole seconds only: the schema knows no fractions."""
        cdef char text[DURATION_ROOM]
        cdef Dur d
        if type(value) is not Duration:
            raise self.wrong(name, must_be("Duration", value))
        d.months = (<Duration> value).months
        d.us = (<Duration> value).microseconds
        d.present = 1
        d.bare_months = 0
        if d.months > 0 and d.us < 0 or d.months < 0 and d.us > 0:
            raise self.wrong(name, "months and the rest must have the same sign")
        if not signed and (d.months < 0 or d.us < 0):
            raise self.wrong(name, "must not be negative")
        if d.us % 1_000_000 != 0:
            raise self.wrong(name, "must be whole seconds")
        writer_put(&self.w, text, format_duration(&d, text))
        return 0

    cdef int nested_duration(self, object value, const char* name, bint signed) except -1:
        put(&self.w, b"<xcal:duration>")
        self.duration(value, name, signed)
        put(&self.w, b"</xcal:duration>")
        return 0


cdef extern from *:
    """
    static const double SCALES[] = {1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    """
    const double* SCALES


cdef bint put_short_decimal(Writer* w, double number) noexcept nogil:
    """Write a number that has up to six decimals, as most readings do; else False and nothing.

    Of the decimals with so few digits (15 at most) no two are the same double, so the first that gives
    the number back is the one with the fewest digits; the long way costs ten times as much.
    """
    cdef double size = fabs(number)
    cdef uint64_t scaled
    cdef char digits[8]
    cdef int k, i
    if not 1e-4 <= size < 1e9:
        return False
    for k in range(6):
        scaled = <uint64_t> (size * SCALES[k] + 0.5)
        if <double> scaled / SCALES[k] == size:
            break
    else:
        return False
    if number < 0:
        put(w, b"-")
    writer_number(w, scaled // <uint64_t> SCALES[k])
    scaled %= <uint64_t> SCALES[k]
    digits[0] = c"."
    for i in range(k + 1, 0, -1):
        digits[i] = <char> (48 + scaled % 10)
        scaled //= 10
    writer_put(w, digits, k + 2)
    return True


cdef str must_be(str wanted, object value):
    if value is None:
        return f"is missing (must be {wanted})"
    return f"must be {wanted}, not {type(value).__name__}"


cdef str number_text(object value):
    """A number for an error message; Python refuses to print very long ones."""
    return str(value) if -10**20 < value < 10**20 else "a number of more than 20 digits"
