"""xs:dateTime and xs:duration as integers, and the calendar's arithmetic (facts.md 5)."""

cimport cython
from cpython.datetime cimport (
    PyDateTime_Check,
    PyDateTime_DATE_GET_HOUR,
    PyDateTime_DATE_GET_MICROSECOND,
    PyDateTime_DATE_GET_MINUTE,
    PyDateTime_DATE_GET_SECOND,
    PyDateTime_DATE_GET_TZINFO,
    PyDateTime_DELTA_GET_DAYS,
    PyDateTime_DELTA_GET_MICROSECONDS,
    PyDateTime_DELTA_GET_SECONDS,
    PyDateTime_GET_DAY,
    PyDateTime_GET_MONTH,
    PyDateTime_GET_YEAR,
    PyDateTime_TimeZone_UTC,
    PyDelta_Check,
    datetime_new,
    get_utc,
    import_datetime,
    timedelta_new,
)
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

import dataclasses

from oadr2.errors import LocalProtocolError

import_datetime()

cdef extern from "Python.h":
    bint PyUnicode_Check(PyObject* o)
    bint PyUnicode_IS_ASCII(PyObject* o)
    const char* PyUnicode_1BYTE_DATA "(const char*)PyUnicode_1BYTE_DATA" (PyObject* o)
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject* o)
    object PyUnicode_FromKindAndData(int kind, const void* data, Py_ssize_t size)
    const int PyUnicode_1BYTE_KIND
    PyObject* Py_None
    PyObject** PySequence_Fast_ITEMS(object o)
    Py_ssize_t PySequence_Fast_GET_SIZE(object o)
    object PySequence_Fast(object o, const char* message)
    PyObject* Py_TYPE_OF "(PyObject*)Py_TYPE"(PyObject* o)

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


# --- the calendar: proleptic Gregorian, in which a year begins on 1 March ------------------------

cdef struct Date:
    int year
    int month
    int day


@cython.cdivision(True)  # every operand is positive from year 1 on (bench_schedule, test_clock)
cdef inline int64_t days_from_date(int64_t year, int month, int day) noexcept nogil:
    """Days since 1970-01-01; for years 1 to 9999."""
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


@cython.cdivision(True)  # as above
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


@cython.cdivision(True)  # as above
cdef inline int days_in_month(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31


@cython.cdivision(True)  # as above: counted from year 1 first
cdef inline int64_t day_of(int64_t t) noexcept nogil:
    """The day, counted from 1970-01-01, that ``t`` lies in."""
    return (t - FIRST_TIME) // DAY + FIRST_TIME // DAY


# --- reading -------------------------------------------------------------------------------------

cdef inline bint is_blank(char c) noexcept nogil:
    return c == b" " or c == b"\n" or c == b"\t" or c == b"\r"


cdef inline bint is_digit(char c) noexcept nogil:
    return <uint8_t>(c - 48) < 10


cdef inline int two_digits(const char* p) noexcept nogil:
    """0 to 99, or a number over 99 when these are no two digits."""
    if is_digit(p[0]) and is_digit(p[1]):
        return (p[0] - 48) * 10 + p[1] - 48
    return 100


cdef int64_t parse_date_time(const char* p, uint32_t n, bint* zoneless) noexcept nogil:
    """Lenient as facts.md 5.1 allows: blanks around, any fraction, numeric offsets, no zone (T02, T03)."""
    cdef const char* end = p + n
    cdef int century, year, month, day, hour, minute, second, sign
    cdef int64_t t, fraction = 0, unit = SECOND
    cdef bint fraction_is_zero = True
    zoneless[0] = False
    while p < end and is_blank(p[0]):
        p += 1
    while p < end and is_blank(end[-1]):
        end -= 1
    if end - p < 19:
        return NO_TIME
    if p[4] != b"-" or p[7] != b"-" or p[10] != b"T" or p[13] != b":" or p[16] != b":":
        return NO_TIME
    century = two_digits(p)
    year = two_digits(p + 2)
    month = two_digits(p + 5)
    day = two_digits(p + 8)
    hour = two_digits(p + 11)
    minute = two_digits(p + 14)
    second = two_digits(p + 17)
    if century > 99 or year > 99 or month > 12 or hour > 24 or minute > 59 or second > 59:
        return NO_TIME
    year += century * 100
    if year == 0 or month == 0 or day == 0 or day > days_in_month(year, month):
        return NO_TIME
    p += 19
    if p < end and p[0] == b".":
        p += 1
        if p == end or not is_digit(p[0]):
            return NO_TIME
        while p < end and is_digit(p[0]):
            unit //= 10  # 0 from the seventh digit on: cut off, not rounded
            fraction += (p[0] - 48) * unit
            if p[0] != b"0":
                fraction_is_zero = False
            p += 1
    if hour == 24 and (minute != 0 or second != 0 or not fraction_is_zero):
        return NO_TIME
    t = days_from_date(year, month, day) * DAY
    t += hour * HOUR + minute * MINUTE + second * SECOND + fraction
    if p == end:
        zoneless[0] = True
    elif p[0] == b"Z":
        p += 1
    elif (p[0] == b"+" or p[0] == b"-") and end - p == 6 and p[3] == b":":
        sign = -1 if p[0] == b"+" else 1
        hour = two_digits(p + 1)
        minute = two_digits(p + 4)
        if minute > 59 or hour * 60 + minute > 14 * 60:
            return NO_TIME
        t += sign * (hour * HOUR + minute * MINUTE)
        p += 6
    if p != end or t < FIRST_TIME or t > LAST_TIME:
        return NO_TIME
    return t


# The places a number may stand in, in their order: nY nM nD [T] nH nM nS.
cdef enum:
    YEARS = 0
    MONTHS
    DAYS
    HOURS
    MINUTES
    SECONDS
    NOTHING_MORE


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


@cython.cdivision(True)  # constants only
cdef int parse_duration(const char* p, uint32_t n, Dur* out) noexcept nogil:
    """All of facts.md 5.2's "ok" rows, and fractions of a second too (field-notes.md 19; T04 to T08)."""
    cdef const char* end = p + n
    cdef bint negative = False
    cdef bint has_sign = False
    cdef bint fraction
    cdef uint32_t place = YEARS     # the first place that may still come
    cdef uint32_t seen = 0          # a bit per place
    cdef bint has_t = False
    cdef int64_t value, unit, limit, us = 0, months = 0, part, part_unit
    cdef const char* digits
    cdef char designator
    if parse_plain_duration(p, n, &out.us):
        out.months = 0
        out.present = 1
        out.bare_months = 0
        return 0
    while p < end and is_blank(p[0]):
        p += 1
    while p < end and is_blank(end[-1]):
        end -= 1
    if p < end and (p[0] == b"-" or p[0] == b"+"):
        negative = p[0] == b"-"
        has_sign = True
        p += 1
    if p == end:
        return -1
    if p[0] == b"P":
        p += 1
    elif has_sign or not is_digit(p[0]) or end[-1] != b"W":
        return -1                   # the schema's own form of weeks, 3W, has no P (T06)
    while p < end:
        if p[0] == b"T":
            if has_t or place > HOURS:
                return -1
            has_t = True
            place = HOURS
            p += 1
            continue
        digits = p
        value = 0
        while p < end and is_digit(p[0]):
            if value >= MOST_MICROSECONDS // 10:
                return -1
            value = value * 10 + (p[0] - 48)
            p += 1
        fraction = False
        part = 0
        if p < end and p[0] == b".":
            fraction = True
            p += 1
            digits = p
            part_unit = SECOND
            while p < end and is_digit(p[0]):
                part_unit //= 10    # 0 from the seventh digit on: cut off, not rounded
                part += (p[0] - 48) * part_unit
                p += 1
        if p == digits or p == end:
            return -1
        designator = p[0]
        p += 1
        if fraction and designator != b"S":
            return -1
        if designator == b"M" and place <= MONTHS or designator == b"Y":
            if place > MONTHS or designator == b"Y" and place > YEARS:
                return -1
            unit = 12 if designator == b"Y" else 1
            place = MONTHS if designator == b"Y" else DAYS
            limit = MOST_MONTHS
            seen |= <uint32_t>1 << (place - 1)
            if value > limit // unit:
                return -1
            months += value * unit
            if months > limit:
                return -1
            continue
        if designator == b"M":
            unit = MINUTE
            if place > MINUTES:
                return -1
            place = SECONDS
        elif designator == b"H":
            unit = HOUR
            if place > HOURS:
                return -1
            place = MINUTES
        elif designator == b"S":
            unit = SECOND
            if place > SECONDS:
                return -1
            place = NOTHING_MORE
        elif designator == b"D":
            unit = DAY
            if place > DAYS:
                return -1
            place = HOURS
        elif designator == b"W":
            unit = WEEK
            if seen != 0 or has_t or p != end:
                return -1
            place = NOTHING_MORE
        else:
            return -1
        seen |= <uint32_t>1 << (place - 1)
        if value > MOST_MICROSECONDS // unit:
            return -1
        us += value * unit + part
        if us > MOST_MICROSECONDS:
            return -1
    out.us = -us if negative else us
    out.months = <int32_t>(-months if negative else months)
    out.present = 1
    # No other number and no T tells what this M is; seconds may follow minutes as well as months.
    out.bare_months = (
        months != 0 and not has_t and seen & ~(<uint32_t>1 << SECONDS) == <uint32_t>1 << MONTHS
    )
    return 0


# --- arithmetic ----------------------------------------------------------------------------------

cdef int64_t add_duration(int64_t t, const Dur* d, int sign) noexcept nogil:
    """Months first, the day cut to the month's last; then microseconds (facts.md 5.2)."""
    cdef Date date
    cdef int64_t month, day
    if t < FIRST_TIME or t > LAST_TIME:
        return NO_TIME
    if d.months != 0:
        day = day_of(t)
        date = date_from_days(day)
        month = date.year * <int64_t>12 + date.month - 1 + sign * <int64_t>d.months
        if month < 12 or month >= 10000 * 12:
            return NO_TIME
        date.year = <int>(month // 12)
        date.month = <int>(month - date.year * <int64_t>12) + 1
        date.day = min(date.day, days_in_month(date.year, date.month))
        t += (days_from_date(date.year, date.month, date.day) - day) * DAY
    if d.us > MOST_MICROSECONDS or d.us < -MOST_MICROSECONDS:
        return NO_TIME
    t += sign * d.us
    if t < FIRST_TIME or t > LAST_TIME:
        return NO_TIME
    return t


# --- writing -------------------------------------------------------------------------------------

cdef inline char* put_two(char* out, int value) noexcept nogil:
    out[0] = <char>(48 + value // 10)
    out[1] = <char>(48 + value % 10)
    return out + 2


cdef char* put_fraction(char* out, uint64_t us) noexcept nogil:
    """``.5`` for 500000, nothing for 0; trailing zeros are dropped."""
    cdef int i, width = 6
    if us == 0:
        return out
    while us % 10 == 0:
        us //= 10
        width -= 1
    out[0] = b"."
    for i in range(width, 0, -1):
        out[i] = <char>(48 + us % 10)
        us //= 10
    return out + width + 1


cdef char* put_number(char* out, uint64_t value, char designator) noexcept nogil:
    cdef char digits[20]
    cdef int count = 0
    while True:
        digits[count] = <char>(48 + value % 10)
        count += 1
        value //= 10
        if value == 0:
            break
    while count > 0:
        count -= 1
        out[0] = digits[count]
        out += 1
    out[0] = designator
    return out + 1


cdef int format_date_time(int64_t t, char* out) noexcept nogil:
    """``YYYY-MM-DDThh:mm:ssZ`` (T01), with a fraction only when there is one; 0 bytes for NO_TIME."""
    cdef char* p = out
    cdef Date date
    cdef int64_t day, rest
    cdef int seconds
    if t < FIRST_TIME or t > LAST_TIME:
        return 0
    day = day_of(t)
    rest = t - day * DAY
    date = date_from_days(day)
    seconds = <int>(rest // SECOND)
    p = put_two(p, date.year // 100)
    p = put_two(p, date.year % 100)
    p[0] = b"-"
    p = put_two(p + 1, date.month)
    p[0] = b"-"
    p = put_two(p + 1, date.day)
    p[0] = b"T"
    p = put_two(p + 1, seconds // 3600)
    p[0] = b":"
    p = put_two(p + 1, seconds // 60 % 60)
    p[0] = b":"
    p = put_two(p + 1, seconds % 60)
    p = put_fraction(p, rest % SECOND)
    p[0] = b"Z"
    return <int>(p + 1 - out)


cdef int format_duration(const Dur* d, char* out) noexcept nogil:
    """``[-]P[nM][nD][T[nH][nM][nS]]``, zero as ``PT0S`` (T05); a fraction only when there is one."""
    cdef char* p = out
    cdef uint64_t us = -<uint64_t>d.us if d.us < 0 else d.us
    cdef uint64_t months = -<int64_t>d.months if d.months < 0 else d.months
    cdef uint64_t days = us // <uint64_t>DAY
    cdef uint64_t hours, minutes, seconds
    us -= days * <uint64_t>DAY
    if d.us < 0 or d.months < 0:
        p[0] = b"-"
        p += 1
    p[0] = b"P"
    p += 1
    if months != 0:
        p = put_number(p, months, b"M")
    if days != 0:
        p = put_number(p, days, b"D")
    if us != 0 or (months == 0 and days == 0):
        p[0] = b"T"
        p += 1
        hours = us // <uint64_t>HOUR
        minutes = us // <uint64_t>MINUTE % 60
        us %= <uint64_t>MINUTE
        seconds = us // <uint64_t>SECOND
        if hours != 0:
            p = put_number(p, hours, b"H")
        if minutes != 0:
            p = put_number(p, minutes, b"M")
        if us != 0 or (hours == 0 and minutes == 0):
            p = put_number(p, seconds, b"S")
            p = put_fraction(p - 1, us % <uint64_t>SECOND)
            p[0] = b"S"
            p += 1
    return <int>(p - out)


# --- the Python border ---------------------------------------------------------------------------

cdef str shown(object text):
    """The text for an error message: escaped, and no longer than a line."""
    return repr(text) if len(text) <= 60 else repr(text[:60]) + "..."


cdef inline bint text_of(PyObject* text, const char** p, uint32_t* n) noexcept:
    """The bytes of an all-ASCII str, in place. No other str is a time of any kind."""
    if not PyUnicode_IS_ASCII(text) or PyUnicode_GET_LENGTH(text) > 0xFFFF:
        return False
    p[0] = PyUnicode_1BYTE_DATA(text)
    n[0] = <uint32_t>PyUnicode_GET_LENGTH(text)
    return True


cdef int bad_duration(object text) except -1:
    raise LocalProtocolError(f"{shown(text)} is no duration: write it like PT15M or P1DT2H30M")


cdef int too_long(object duration) except -1:
    raise LocalProtocolError(
        f"{duration} is too long: at most {MOST_MONTHS} months and 10**18 microseconds"
    )


cdef object datetime_from_us(int64_t t):
    cdef Date date
    cdef int64_t day
    cdef int seconds
    if t == NO_TIME:
        return None
    if t < FIRST_TIME or t > LAST_TIME:
        raise LocalProtocolError(f"{t} microseconds since 1970 is not within the years 1 to 9999")
    day = day_of(t)
    date = date_from_days(day)
    t -= day * DAY
    seconds = <int>(t // SECOND)
    return datetime_new(
        date.year, date.month, date.day, seconds // 3600, seconds // 60 % 60, seconds % 60,
        <int>(t % SECOND), get_utc(),
    )


cdef inline int64_t us_from_delta(object delta) noexcept:
    """Of a timedelta within MOST_MICROSECONDS, else any number beyond it."""
    cdef int64_t days = PyDateTime_DELTA_GET_DAYS(delta)
    if days > MOST_MICROSECONDS // DAY + 1 or days < -MOST_MICROSECONDS // DAY - 1:
        return MOST_MICROSECONDS + 1
    return (
        days * DAY + PyDateTime_DELTA_GET_SECONDS(delta) * SECOND
        + PyDateTime_DELTA_GET_MICROSECONDS(delta)
    )


cdef int64_t us_from_datetime(object dttm) except? -1:
    cdef int64_t t
    cdef PyObject* zone
    if not PyDateTime_Check(dttm):
        raise TypeError(f"a datetime is needed, not {type(dttm).__name__}")
    t = days_from_date(
        PyDateTime_GET_YEAR(dttm), PyDateTime_GET_MONTH(dttm), PyDateTime_GET_DAY(dttm)
    ) * DAY
    t += PyDateTime_DATE_GET_HOUR(dttm) * HOUR
    t += PyDateTime_DATE_GET_MINUTE(dttm) * MINUTE
    t += PyDateTime_DATE_GET_SECOND(dttm) * SECOND
    t += PyDateTime_DATE_GET_MICROSECOND(dttm)
    zone = PyDateTime_DATE_GET_TZINFO(dttm)
    if zone != PyDateTime_TimeZone_UTC and zone != Py_None:
        offset = dttm.utcoffset()
        if offset is not None:
            t -= us_from_delta(offset)
        if t < FIRST_TIME or t > LAST_TIME:
            raise LocalProtocolError(f"{dttm} is in UTC not within the years 1 to 9999")
    return t


cdef object duration_object(const Dur* d):
    cdef Duration duration
    if not d.present:
        return None
    duration = Duration.__new__(Duration)
    duration.months = d.months
    duration.microseconds = d.us
    return duration


cdef int duration_from_object(object duration, Dur* out) except -1:
    cdef const char* p = NULL
    cdef uint32_t n = 0
    out.present = 1
    out.bare_months = 0
    if type(duration) is Duration:
        out.us = (<Duration>duration).microseconds
        out.months = (<Duration>duration).months
    elif PyUnicode_Check(<PyObject*>duration):
        if not text_of(<PyObject*>duration, &p, &n) or parse_duration(p, n, out) != 0:
            bad_duration(duration)
    elif PyDelta_Check(duration):
        out.months = 0
        out.us = us_from_delta(duration)
        if out.us > MOST_MICROSECONDS or out.us < -MOST_MICROSECONDS:
            too_long(duration)
    else:
        raise TypeError(
            f"a Duration, a timedelta or a text like PT15M is needed, not {type(duration).__name__}"
        )
    return 0


cdef object shifted(object dttm, Duration duration, int sign):
    cdef Dur d
    cdef int64_t t
    duration_from_object(duration, &d)
    t = add_duration(us_from_datetime(dttm), &d, sign)
    if t == NO_TIME:
        raise LocalProtocolError(
            f"{dttm} {'+' if sign > 0 else '-'} {duration} is not within the years 1 to 9999"
        )
    return datetime_from_us(t)


@cython.final
@dataclasses.dataclass(frozen=True, init=False)
cdef class Duration:
    """An xs:duration: calendar months and microseconds apart, for a month has no fixed length.

    Years are twelve months, weeks and days are microseconds (a day of UTC is 24 hours). Both numbers
    carry the sign of the whole: ``-PT5M`` is ``Duration(0, -300_000_000)``. ``str()`` gives the form that
    is sent (facts.md T05). ``dttm + duration`` and ``dttm - duration`` go by the calendar, months first, and
    give aware UTC date-times; a naive ``dttm`` is read as UTC.

    Raises:
        LocalProtocolError: the signs differ, or it is longer than 2**31 - 1 months or 10**18 microseconds.
    """

    months = 0
    microseconds = 0

    def __init__(self, months=0, microseconds=0):
        months = PyNumber_Index(months)  # a float is a TypeError, not cut off
        microseconds = PyNumber_Index(microseconds)
        if (
            not -MOST_MONTHS <= months <= MOST_MONTHS
            or not -MOST_MICROSECONDS <= microseconds <= MOST_MICROSECONDS
        ):
            too_long(f"a duration of {months} months and {microseconds} microseconds")
        if months < 0 < microseconds or microseconds < 0 < months:
            raise LocalProtocolError(
                f"{months} months and {microseconds} microseconds differ in sign: a duration has one"
            )
        self.months = months
        self.microseconds = microseconds

    def __reduce__(self):
        return Duration, (self.months, self.microseconds)

    def __str__(self):
        cdef char out[DURATION_ROOM]
        cdef Dur d
        duration_from_object(self, &d)
        return PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, out, format_duration(&d, out))

    def __bool__(self):
        return self.months != 0 or self.microseconds != 0

    def __neg__(self):
        return Duration(-<int64_t>self.months, -self.microseconds)

    def __radd__(self, dttm):
        return shifted(dttm, self, 1) if PyDateTime_Check(dttm) else NotImplemented

    def __rsub__(self, dttm):
        return shifted(dttm, self, -1) if PyDateTime_Check(dttm) else NotImplemented

    @property
    def timedelta(self):
        """The same as a timedelta; LocalProtocolError when there are months."""
        if self.months != 0:
            raise LocalProtocolError(
                f"{self} has calendar months, which are no fixed time: add it to a date-time instead"
            )
        cdef int64_t seconds = self.microseconds // SECOND
        cdef int64_t days = seconds // 86400
        return timedelta_new(
            <int>days, <int>(seconds - days * 86400), <int>(self.microseconds - seconds * SECOND)
        )


def read_duration(str dur_str not None):
    """(the Duration, whether it is months that may have meant minutes)."""
    cdef Dur d
    duration_from_object(dur_str, &d)
    return duration_object(&d), d.bare_months != 0


def as_duration(duration not None):
    """A Duration from a Duration, a timedelta or a text."""
    cdef Dur d
    duration_from_object(duration, &d)
    return duration_object(&d)


def read_date_time(str dt_str not None):
    """(the aware UTC datetime, whether the text named no zone)."""
    cdef const char* p = NULL
    cdef uint32_t n = 0
    cdef bint zoneless = False
    cdef int64_t t = NO_TIME
    if text_of(<PyObject*>dt_str, &p, &n):
        t = parse_date_time(p, n, &zoneless)
    if t == NO_TIME:
        raise LocalProtocolError(
            f"{shown(dt_str)} is no date-time: write it like 2020-01-31T18:30:00Z"
        )
    return datetime_from_us(t), zoneless


def write_date_time(dttm not None, bint fraction):
    """The text that is sent; without ``fraction`` cut to whole seconds."""
    cdef char out[DATE_TIME_ROOM]
    cdef int64_t t = us_from_datetime(dttm)
    if not fraction:
        t -= (t - FIRST_TIME) % SECOND
    return PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, out, format_date_time(t, out))


def to_utc(dttm not None):
    """The same moment as an aware UTC datetime; a naive one is read as UTC."""
    return datetime_from_us(us_from_datetime(dttm))


cdef object fast_sequence(object interval_list):
    if PyUnicode_Check(<PyObject*>interval_list):  # else its letters would be read as durations
        raise TypeError("a list of durations is needed, not a single text")
    return PySequence_Fast(interval_list, "a list of durations is needed")


cdef int backward(object duration, Py_ssize_t index) except -1:
    raise LocalProtocolError(f"interval {index} has a negative duration: {duration}")


def durations_to_dates(start not None, dur_list not None):
    """See oadr2.schedule.durations_to_dates."""
    cdef object durations = fast_sequence(dur_list)
    cdef int64_t t = us_from_datetime(start)
    cdef list dates = [datetime_from_us(t)]
    cdef Py_ssize_t i
    cdef Dur d
    for i in range(PySequence_Fast_GET_SIZE(durations)):
        duration = <object>PySequence_Fast_ITEMS(durations)[i]
        duration_from_object(duration, &d)
        t = add_duration(t, &d, 1)
        if t == NO_TIME:
            raise LocalProtocolError(f"interval {i} ({duration}) does not end within the years 1 to 9999")
        dates.append(datetime_from_us(t))
    return dates


def choose_interval(start not None, interval_list not None, now not None):
    """See oadr2.schedule.choose_interval."""
    cdef int64_t t = us_from_datetime(start)
    cdef int64_t moment = us_from_datetime(now)
    cdef object intervals
    cdef PyObject** items
    cdef PyObject* item
    cdef Py_ssize_t i
    cdef const char* p = NULL
    cdef uint32_t n = 0
    cdef Dur d
    if moment < t:
        return -1
    intervals = interval_list
    if type(interval_list) is not list and type(interval_list) is not tuple:
        intervals = fast_sequence(interval_list)
    items = PySequence_Fast_ITEMS(intervals)
    # Nothing below runs Python code before it leaves the loop, so the items stay where they are.
    for i in range(PySequence_Fast_GET_SIZE(intervals)):
        item = items[i]
        if Py_TYPE_OF(item) == <PyObject*>Duration:
            d.us = (<Duration>item).microseconds
            d.months = (<Duration>item).months
        elif (
            Py_TYPE_OF(item) == <PyObject*>str
            and text_of(item, &p, &n)
            and parse_plain_duration(p, n, &d.us)
        ):
            d.months = 0
        else:
            duration_from_object(<object>item, &d)
        if d.us < 0 or d.months < 0:
            backward(<object>item, i)
        if d.months == 0:
            if d.us == 0:
                return i        # never ends
            t += d.us
            if t > LAST_TIME:
                return i        # now is a datetime, so it is before that
        else:
            t = add_duration(t, &d, 1)
            if t == NO_TIME:
                return i
        if moment < t:
            return i
    return None
