"""Texts to numbers, for every decoder; inline, for they are called once for each value."""

from libc.math cimport NAN, isfinite
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from oadr2._core.text cimport Str
from tables cimport BYTE_CLASS, CLASS_SPACE


cdef inline Str trimmed(Str s) noexcept nogil:
    """Without the blanks that the schema's types collapse (facts.md G14)."""
    while s.len and BYTE_CLASS[<uint8_t> s.ptr[0]] & CLASS_SPACE:
        s.ptr += 1
        s.len -= 1
    while s.len and BYTE_CLASS[<uint8_t> s.ptr[s.len - 1]] & CLASS_SPACE:
        s.len -= 1
    return s


cdef inline bint equals(Str s, const char* text, uint32_t n) noexcept nogil:
    return s.len == n and memcmp(s.ptr, text, n) == 0


cdef inline int read_unsigned(Str s, uint32_t* out) noexcept nogil:
    """xs:unsignedInt: blanks, a plus sign and leading zeros allowed (facts.md 5.3)."""
    cdef uint64_t value = 0
    cdef uint32_t i = 0
    s = trimmed(s)
    if s.len and s.ptr[0] == c"+":
        i = 1
    if i == s.len:
        return -1
    while i < s.len:
        if not c"0" <= s.ptr[i] <= c"9":
            return -1
        value = value * 10 + (s.ptr[i] - c"0")
        if value > 0xFFFFFFFFULL:
            return -1
        i += 1
    out[0] = <uint32_t> value
    return 0


cdef extern from "Python.h":
    double PyOS_string_to_double(const char* s, char** endptr, object exception) except? -1.0


cdef inline double slow_float(const char* p, uint32_t n) noexcept with gil:
    """A number too long for exact integer arithmetic; NaN when it is beyond a double."""
    try:
        return PyOS_string_to_double(p[:n], NULL, OverflowError)
    except (ValueError, OverflowError):
        return NAN


cdef extern from *:
    """
    static const double POWERS[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    """
    const double* POWERS


cdef inline double read_float(Str s) noexcept nogil:
    """xs:float, finite; NaN otherwise (facts.md G15)."""
    cdef uint64_t mantissa = 0
    cdef int32_t exponent = 0, written = 0
    cdef uint32_t i = 0, digits = 0
    cdef bint negative = False, small = False, point = False
    cdef double value
    s = trimmed(s)
    if s.len and (s.ptr[0] == c"-" or s.ptr[0] == c"+"):
        negative = s.ptr[0] == c"-"
        i = 1
    while i < s.len:
        if c"0" <= s.ptr[i] <= c"9":
            if mantissa < 100000000000000000ULL:
                mantissa = mantissa * 10 + (s.ptr[i] - c"0")
                exponent -= point
            else:
                exponent += not point
                mantissa |= 1ULL << 62  # too long: the slow way
            digits += 1
        elif s.ptr[i] == c"." and not point:
            point = True
        else:
            break
        i += 1
    if not digits:
        return NAN
    if i < s.len:
        if s.ptr[i] != c"e" and s.ptr[i] != c"E":
            return NAN
        i += 1
        if i < s.len and (s.ptr[i] == c"-" or s.ptr[i] == c"+"):
            small = s.ptr[i] == c"-"
            i += 1
        if i == s.len:
            return NAN
        while i < s.len:
            if not c"0" <= s.ptr[i] <= c"9":
                return NAN
            if written < 100000:
                written = written * 10 + (s.ptr[i] - c"0")
            i += 1
        exponent += -written if small else written
    if mantissa < (<uint64_t> 1 << 53) and -22 <= exponent <= 22:
        value = <double> mantissa
        value = value / POWERS[-exponent] if exponent < 0 else value * POWERS[exponent]
        return -value if negative else value
    value = slow_float(s.ptr, s.len)
    return value if isfinite(value) else NAN


cdef inline int read_code(Str s, uint16_t* out) noexcept nogil:
    """ei:responseCode: three digits."""
    cdef uint32_t value = 0
    s = trimmed(s)
    if s.len != 3 or s.ptr[0] == c"+" or read_unsigned(s, &value) < 0:
        return -1
    out[0] = <uint16_t> value
    return 0


cdef inline int read_boolean(Str s) noexcept nogil:
    """1 or 0; -1 for a text that is neither true nor false (facts.md 5.3)."""
    s = trimmed(s)
    if equals(s, b"true", 4) or equals(s, b"1", 1):
        return 1
    return 0 if equals(s, b"false", 5) or equals(s, b"0", 1) else -1
