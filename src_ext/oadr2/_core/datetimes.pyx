"""Date-times and durations as Python has them. See datetimes.pxd."""

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
    PyDelta_CheckExact,
    datetime_new,
    get_utc,
    import_datetime,
    timedelta_new,
)
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t

from oadr2._core.calendar cimport (
    DAY,
    FIRST_TIME,
    HOUR,
    LAST_TIME,
    MINUTE,
    MOST_MICROSECONDS,
    MOST_MONTHS,
    SECOND,
    Date,
    date_from_days,
    day_of,
    days_from_date,
    parse_java_duration,
    parse_plain_duration,
)
from oadr2._core.clock cimport (
    DATE_TIME_ROOM,
    DURATION_ROOM,
    NO_TIME,
    Dur,
    add_duration,
    format_date_time,
    format_duration,
    parse_date_time,
    parse_duration,
)

import dataclasses
from datetime import UTC as _UTC
from datetime import datetime as _datetime

from oadr2.errors import LocalProtocolError

import_datetime()

cdef enum:
    MANY_DAYS = 10_000_000  # far fewer than MOST_MICROSECONDS

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
        if not text_of(<PyObject*>duration, &p, &n):
            bad_duration(duration)
        if parse_plain_duration(p, n, &out.us):
            out.months = 0
        elif parse_duration(p, n, out) != 0:
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


def choose_interval(start not None, interval_list not None, now=None):
    """Which of the back-to-back intervals ``now`` falls into (facts.md 2.6).

    An interval includes its start and excludes its end. One of zero length never ends.

    Args:
        start: when the first interval begins.
        interval_list: the intervals' durations. Those behind the one found are not looked at.
        now: the current time when None.

    Returns:
        The index; -1 before ``start``; None after the last interval.

    Raises:
        LocalProtocolError: a duration is unreadable or negative.
    """
    cdef int64_t t = us_from_datetime(start)
    cdef int64_t moment = us_from_datetime(_datetime.now(_UTC) if now is None else now)
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
            and (parse_java_duration(p, n, &d.us) if n > 9 else parse_plain_duration(p, n, &d.us))
        ):
            d.months = 0
        elif PyDelta_CheckExact(<object>item) and -MANY_DAYS < PyDateTime_DELTA_GET_DAYS(<object>item) < MANY_DAYS:
            d.us = us_from_delta(<object>item)
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
