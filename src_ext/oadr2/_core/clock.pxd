"""xs:dateTime and xs:duration as integers, and the calendar's arithmetic (facts.md 5).

Times are microseconds since 1970-01-01T00:00:00Z in the proleptic Gregorian calendar, from year 1 to
year 9999; ``NO_TIME`` stands for none.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

cdef extern from *:
    """
    #define NO_TIME INT64_MIN
    """
    const int64_t NO_TIME


cdef struct Dur:            # xs:duration: calendar months and microseconds apart (facts.md 5.2)
    int64_t us
    int32_t months
    uint8_t present
    uint8_t bare_months     # P5M without a T: may mean minutes (facts.md T08)


cdef enum:
    DATE_TIME_ROOM = 32     # bytes that format_date_time may write
    DURATION_ROOM = 64


# NO_TIME when the text is no date-time; *zoneless is set when it names no zone (then read as UTC).
cdef int64_t parse_date_time(const char* p, uint32_t n, bint* zoneless) noexcept nogil
# -1 when the text is no duration; out->present is set on success.
cdef int parse_duration(const char* p, uint32_t n, Dur* out) noexcept nogil
# t + d (sign = 1) or t - d (sign = -1) as calendars do; NO_TIME beyond year 1 or 9999.
cdef int64_t add_duration(int64_t t, const Dur* d, int sign) noexcept nogil
# Both write without a terminator and return the length.
cdef int format_date_time(int64_t t, char* out) noexcept nogil
cdef int format_duration(const Dur* d, char* out) noexcept nogil
