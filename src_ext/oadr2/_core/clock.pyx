"""xs:dateTime and xs:duration as integers, and the calendar's arithmetic (facts.md 5). See clock.pxd."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from oadr2._core.calendar cimport (
    DAY,
    FIRST_TIME,
    HOUR,
    LAST_TIME,
    MINUTE,
    MOST_MICROSECONDS,
    MOST_MONTHS,
    SECOND,
    WEEK,
    Date,
    date_from_days,
    day_of,
    days_from_date,
    days_in_month,
    parse_java_duration,
    parse_plain_duration,
)

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
    if parse_java_duration(p, <uint32_t>(end - p), &out.us):
        out.months = 0
        out.present = 1
        out.bare_months = 0
        return 0
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
