"""What the VENs of a group report, as numbers that depend on the seed, the VEN, the point and the moment only."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from oadr2._core.text cimport Str
from oadr2._core.writer cimport Writer


cdef struct Load:
    Str specifier_id
    Str* r_ids
    uint32_t point_count
    int64_t min_period      # us between two samples at least
    double* curve           # over the day of UTC, evenly; linear in between
    uint32_t curve_count
    double noise            # a share of the value, up and down
    bint status             # it has no values: each point is there, and nobody has overridden it


# In thousandths of the unit.
cdef int64_t load_at(const Load* load, uint64_t seed, uint64_t place, uint32_t point, int64_t moment) noexcept nogil
cdef void write_thousandths(Writer* w, int64_t number) noexcept nogil
# The number of an rID, -1: none of these.
cdef int64_t point_of(const Load* load, Str r_id) noexcept nogil
cdef void load_free(Load* load) noexcept nogil
# These raise; `kept` keeps alive what the Strs point to. `report` is a METADATA report (oadr2.model.Report).
cdef int load_from(Load* load, object report, object curve, double noise, list kept) except -1
