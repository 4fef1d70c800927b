# cython: cdivision=True
# Every operand is positive from year 1 on (bench_schedule, test_durations); a decorator would do nothing in a .pxd.
"""What clock and datetimes share, inlined: units, the days of the proleptic Gregorian calendar, the usual durations."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

cdef enum:
    EPOCH_DAY = 719468      # days from 0000-03-01 to 1970-01-01
    DAYS_IN_400_YEARS = 146097
    MOST_MONTHS = 0x7FFFFFFF

cdef extern from *:
    """
    #define SECOND  INT64_C(1000000)
    #define MINUTE  (60 * SECOND)
    #define HOUR    (60 * MINUTE)
    #define DAY     (24 * HOUR)
    #define WEEK    (7 * DAY)
    /* 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z */
    #define FIRST_TIME  (-INT64_C(719162) * DAY)
    #define LAST_TIME   (INT64_C(2932897) * DAY - 1)
    /* The longest duration, over 30,000 years: added to any time it stays far inside an int64. */
    #define MOST_MICROSECONDS  INT64_C(1000000000000000000)
    """
    const int64_t SECOND
    const int64_t MINUTE
    const int64_t HOUR
    const int64_t DAY
    const int64_t WEEK
    const int64_t FIRST_TIME
    const int64_t LAST_TIME
    const int64_t MOST_MICROSECONDS


cdef struct Date:
    int year
    int month
    int day


cdef inline int64_t days_from_date(int64_t year, int month, int day) noexcept nogil:
    """Days since 1970-01-01; for years 1 to 9999. In here a year begins on 1 March."""
    cdef int64_t of_400, year_of_400, day_of_year
    if month <= 2:
        year -= 1
        month += 12
    of_400 = year // 400
    year_of_400 = year - of_400 * 400
    day_of_year = (153 * (month - 3) + 2) // 5 + day - 1
    return (
        of_400 * DAYS_IN_400_YEARS + year_of_400 * 365 + year_of_400 // 4 - year_of_400 // 100
        + day_of_year - EPOCH_DAY
    )


cdef inline Date date_from_days(int64_t days) noexcept nogil:
    cdef uint32_t z = <uint32_t>(days + EPOCH_DAY)
    cdef uint32_t of_400 = z // DAYS_IN_400_YEARS
    cdef uint32_t day = z - of_400 * DAYS_IN_400_YEARS
    cdef uint32_t year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    cdef uint32_t month
    cdef Date date
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    date.day = day - (153 * month + 2) // 5 + 1
    date.month = month + 3 if month < 10 else month - 9
    date.year = year + of_400 * 400 + (1 if month >= 10 else 0)
    return date


cdef inline int days_in_month(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


cdef inline int64_t day_of(int64_t t) noexcept nogil:
    """The day, counted from 1970-01-01, that ``t`` lies in."""
    return (t - FIRST_TIME) // DAY + FIRST_TIME // DAY  # counted from year 1 first


cdef inline bint parse_plain_duration(const char* p, uint32_t n, int64_t* us) noexcept nogil:
    """The form nearly every VTN sends, PTnH, PTnM or PTnS with up to six digits; False for any other."""
    cdef uint32_t i, digit, value
    cdef int64_t unit
    if n < 4 or n > 9 or p[0] != b"P" or p[1] != b"T":
        return False
    if p[n - 1] == b"M":
        unit = MINUTE
    elif p[n - 1] == b"S":
        unit = SECOND
    elif p[n - 1] == b"H":
        unit = HOUR
    else:
        return False
    value = <uint8_t>(p[2] - 48)
    if value > 9:
        return False
    for i in range(3, n - 1):
        digit = <uint8_t>(p[i] - 48)
        if digit > 9:
            return False
        value = value * 10 + digit
    us[0] = value * unit
    return True


cdef inline const char* pass_number(const char* p, char designator, uint32_t* value) noexcept nogil:
    """Past one or two digits and their designator; NULL when something else stands at ``p``."""
    cdef uint32_t digit = <uint8_t>(p[0] - 48)
    if digit > 9:
        return NULL
    value[0] = digit
    if p[1] == designator:
        return p + 2
    digit = <uint8_t>(p[1] - 48)
    if digit > 9 or p[2] != designator:
        return NULL
    value[0] = value[0] * 10 + digit
    return p + 3


cdef inline bint parse_java_duration(const char* p, uint32_t n, int64_t* us) noexcept nogil:
    """The form that Java writes, P0Y0M0DTnHnMn.000S without years, months and days; False for any other."""
    cdef const char* end = p + n
    cdef uint32_t hours = 0, minutes = 0, seconds = 0
    if n < 18 or n > 21 or memcmp(p, b"P0Y0M0DT", 8) != 0:
        return False
    p = pass_number(p + 8, c"H", &hours)
    if p == NULL:
        return False
    p = pass_number(p, c"M", &minutes)
    if p == NULL:
        return False
    p = pass_number(p, c".", &seconds)
    if p == NULL or end - p != 4 or memcmp(p, b"000S", 4) != 0:
        return False
    us[0] = hours * HOUR + minutes * MINUTE + seconds * SECOND
    return True
