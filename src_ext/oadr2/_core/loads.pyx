"""What the VENs of a group consume. See loads.pxd."""

from math import isfinite

cimport cython
from libc.math cimport floor
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from oadr2._core.draws cimport DRAW_LOAD, drawn, fraction
from oadr2._core.judge cimport same_text
from oadr2._core.writer cimport kept_text, writer_number, writer_put

from oadr2.errors import ConfigurationError

cdef extern from *:
    """
    #define DAY INT64_C(86400000000)
    """
    const int64_t DAY

cdef enum:
    MOST_POINTS = 65535     # what a report request can number
    LARGEST = 1000000000    # of a curve: thousandths of it are exact, and written without an exponent


@cython.cdivision(True)  # DAY is not zero
cdef int64_t load_at(const Load* load, uint64_t seed, uint64_t place, uint32_t point, int64_t moment) noexcept nogil:
    cdef double where = <double>(moment % DAY) / <double>DAY * load.curve_count
    cdef uint32_t i = <uint32_t>where
    cdef double value
    if i >= load.curve_count:
        i = load.curve_count - 1
    value = load.curve[i]
    value += (load.curve[i + 1 if i + 1 < load.curve_count else 0] - value) * (where - i)
    if load.noise:
        value *= 1.0 + load.noise * (2.0 * fraction(drawn(
            seed, place, DRAW_LOAD, (<uint64_t>(moment // 1000000) << 16) + point)) - 1.0)
    return <int64_t>floor(value * 1000.0 + 0.5)


@cython.cdivision(True)
cdef void write_thousandths(Writer* w, int64_t number) noexcept nogil:
    # As Python writes the float: no zeros at the end, but one digit after the point at least.
    cdef char rest[4]
    cdef int length = 4
    cdef uint64_t size = <uint64_t>(-number if number < 0 else number)
    if number < 0:
        writer_put(w, b"-", 1)
    writer_number(w, size // 1000)
    size %= 1000
    rest[0] = c"."
    rest[1] = <char>(48 + size // 100)
    rest[2] = <char>(48 + size // 10 % 10)
    rest[3] = <char>(48 + size % 10)
    while length > 2 and rest[length - 1] == c"0":
        length -= 1
    writer_put(w, rest, length)


cdef int64_t point_of(const Load* load, Str r_id) noexcept nogil:
    cdef uint32_t i
    for i in range(load.point_count):
        if same_text(load.r_ids[i], r_id):
            return i
    return -1


cdef void load_free(Load* load) noexcept nogil:
    free(load.r_ids)
    free(load.curve)
    load.r_ids = NULL
    load.curve = NULL


cdef int load_from(Load* load, object report, object curve, double noise, list kept) except -1:
    cdef uint32_t i
    cdef list values = [float(value) for value in curve]
    descriptions = report.report_descriptions
    if not descriptions or len(descriptions) > MOST_POINTS:
        raise ConfigurationError(f"the report {report.report_specifier_id!r} has no points, or more than {MOST_POINTS}")
    if not values or not all(isfinite(value) and abs(value) <= LARGEST for value in values):
        raise ConfigurationError(f"the load curve needs values, each of {LARGEST} at most")
    if not 0.0 <= noise <= 1.0:
        raise ConfigurationError(f"noise is {noise}: a share is between 0 and 1")
    load.specifier_id = kept_text(report.report_specifier_id, "report_specifier_id", kept)
    load.r_ids = <Str*>calloc(len(descriptions), sizeof(Str))
    load.curve = <double*>calloc(len(values), sizeof(double))
    if load.r_ids == NULL or load.curve == NULL:
        raise MemoryError()
    for i, description in enumerate(descriptions):
        load.r_ids[i] = kept_text(description.r_id, "rID", kept)
        if description.sampling_rate is not None:
            load.min_period = max(load.min_period, description.sampling_rate.min_period.microseconds)
        load.status = load.status or description.report_type == "x-resourceStatus"
    load.point_count = len(descriptions)
    for i in range(len(values)):
        load.curve[i] = values[i]
    load.curve_count = len(values)
    load.noise = noise
    return 0
