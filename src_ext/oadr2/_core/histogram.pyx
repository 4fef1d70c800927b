"""Durations counted exactly enough to merge; see histogram.pxd."""

cimport cython
from libc.math cimport INFINITY, ceil, nextafter
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

HIGHEST = HIST_HIGHEST


cdef int64_t lowest_at(int index) noexcept nogil:
    """The smallest value counted at ``index``."""
    cdef int doubling = (index >> (HIST_MAGNITUDE - 1)) - 1
    if doubling < 0:
        doubling = 0
    return <int64_t> (index - (doubling << (HIST_MAGNITUDE - 1))) << doubling


cdef int64_t highest_at(int index) noexcept nogil:
    """The largest value counted at ``index``."""
    return lowest_at(index + 1) - 1


cdef void hist_clear(Hist* h) noexcept nogil:
    memset(h.counts, 0, HIST_LENGTH * sizeof(uint64_t))
    h.total = h.sum = h.beyond = 0
    h.least = INT64_MAX
    h.most = -1


cdef void hist_add(Hist* h, const Hist* other) noexcept nogil:
    cdef int i
    for i in range(HIST_LENGTH):
        h.counts[i] += other.counts[i]
    h.total += other.total
    h.sum += other.sum
    h.beyond += other.beyond
    if other.least < h.least:
        h.least = other.least
    if other.most > h.most:
        h.most = other.most


cdef int64_t hist_percentile(const Hist* h, double percent) noexcept nogil:
    """The value that ``percent`` per cent of all do not exceed; 0 when nothing is recorded."""
    cdef uint64_t rank
    cdef uint64_t seen = 0
    cdef int i = 0
    if h.total == 0:
        return 0
    # One step down first: 99.9 as a double is a little more than 99.9, and would give the next rank.
    rank = <uint64_t> ceil(nextafter(percent, -INFINITY) * <double> h.total / 100)
    rank = 1 if rank < 1 else h.total if rank > h.total else rank
    for i in range(HIST_LENGTH):
        seen += h.counts[i]
        if seen >= rank:
            break
    return min(highest_at(i), h.most)


@cython.final
cdef class Histogram:
    """Durations in whole microseconds, counted with three significant digits up to an hour.

    The layout is HdrHistogram's. What is above an hour counts as an hour and in ``beyond``. Counts are
    never lost or averaged: merging the histograms of two machines gives the histogram one would have made.
    """

    def __cinit__(self):
        self.hist.counts = <uint64_t*> calloc(HIST_LENGTH, sizeof(uint64_t))
        if self.hist.counts == NULL:
            raise MemoryError
        self.hist.least = INT64_MAX
        self.hist.most = -1

    def __dealloc__(self):
        free(self.hist.counts)

    def record(self, int64_t us):
        """Count one duration; a negative one as 0."""
        hist_record(&self.hist, us)

    @property
    def count(self):
        """How many durations were recorded."""
        return self.hist.total

    @property
    def beyond(self):
        """How many were above an hour, and count as an hour."""
        return self.hist.beyond

    @property
    def sum(self):
        """All durations together, us."""
        return self.hist.sum

    @property
    def min(self):
        """The shortest, us; 0 when nothing is recorded."""
        return self.hist.least if self.hist.total else 0

    @property
    def max(self):
        """The longest, us; 0 when nothing is recorded."""
        return self.hist.most if self.hist.total else 0

    @property
    def mean(self):
        """The arithmetic mean, us; 0.0 when nothing is recorded."""
        return <double> self.hist.sum / self.hist.total if self.hist.total else 0.0

    def percentile(self, double percent):
        """The duration, us, that ``percent`` per cent do not exceed; 0 when nothing is recorded.

        Raises ValueError when ``percent`` is not between 0 and 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"a percentile is between 0 and 100, not {percent}")
        return hist_percentile(&self.hist, percent)

    def count_up_to(self, int64_t us):
        """How many durations share a counter with ``us`` or are shorter."""
        cdef uint64_t seen = 0
        cdef int i
        if us < 0:
            return 0
        if us >= HIST_HIGHEST:
            return self.hist.total
        for i in range(hist_index(us) + 1):
            seen += self.hist.counts[i]
        return seen

    def recorded(self):
        """``(lowest, highest, count)`` of each counter in use, in ascending order, us."""
        cdef int i
        found = []
        for i in range(HIST_LENGTH):
            if self.hist.counts[i]:
                found.append((lowest_at(i), highest_at(i), self.hist.counts[i]))
        return found

    def merge(self, Histogram other not None):
        """Add everything ``other`` has recorded."""
        hist_add(&self.hist, &other.hist)

    def copy(self):
        """Another histogram with the same counts."""
        cdef Histogram copied = Histogram()
        cdef uint64_t* counts = copied.hist.counts
        memcpy(counts, self.hist.counts, HIST_LENGTH * sizeof(uint64_t))
        copied.hist = self.hist
        copied.hist.counts = counts
        return copied

    def clear(self):
        """Forget everything recorded."""
        hist_clear(&self.hist)

    def since(self, Histogram earlier not None):
        """What was recorded after ``earlier``, a copy of this one, was made.

        Its shortest and longest are as exact as the counters are. Raises ValueError when ``earlier`` has
        recorded what this one has not.
        """
        cdef Histogram later = Histogram()
        cdef int i
        cdef int first = -1
        cdef int last = -1
        for i in range(HIST_LENGTH):
            if earlier.hist.counts[i] > self.hist.counts[i]:
                raise ValueError("the histogram is no later state of the other")
            later.hist.counts[i] = self.hist.counts[i] - earlier.hist.counts[i]
            if later.hist.counts[i]:
                first = i if first < 0 else first
                last = i
        later.hist.total = self.hist.total - earlier.hist.total
        later.hist.sum = self.hist.sum - earlier.hist.sum
        later.hist.beyond = self.hist.beyond - earlier.hist.beyond
        if last >= 0:
            later.hist.least = max(lowest_at(first), self.hist.least)
            later.hist.most = min(highest_at(last), self.hist.most)
        return later

    def to_dict(self):
        """Everything in plain data: ``counts`` holds ``[smallest value of the counter, count]`` pairs, us."""
        return {
            "count": self.count,
            "sum": self.sum,
            "min": self.min,
            "max": self.max,
            "beyond": self.beyond,
            "counts": [[low, count] for low, _, count in self.recorded()],
        }

    @staticmethod
    def from_dict(data):
        """The histogram :meth:`to_dict` described. Raises ValueError when ``data`` is no such description."""
        cdef Histogram made = Histogram()
        cdef Hist* h = &made.hist
        cdef int64_t low
        cdef uint64_t count
        cdef int last = -1
        cdef int index
        try:
            for low, count in data["counts"]:
                index = hist_index(low) if 0 <= low <= HIST_HIGHEST else -1
                if index <= last or lowest_at(index) != low or count == 0:
                    raise ValueError(f"no counter begins at {low}, or it is empty or out of order")
                h.counts[index] = count
                h.total += count
                last = index
            h.sum, h.beyond = data["sum"], data["beyond"]
            if h.total:
                h.least, h.most = data["min"], data["max"]
            agrees = data["count"] == h.total
        except (TypeError, KeyError, OverflowError, ValueError) as error:
            raise ValueError(f"no description of a histogram: {error!r}") from None
        if h.total:
            agrees &= 0 <= h.least <= h.most <= HIST_HIGHEST and h.beyond <= h.total
            agrees = agrees and h.counts[hist_index(h.least)] > 0 and hist_index(h.most) == last
        if not agrees:
            raise ValueError("the counts of a histogram contradict its count, min, max or beyond")
        return made

    def __eq__(self, other):
        if not isinstance(other, Histogram):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    __hash__ = None

    def __reduce__(self):
        return Histogram.from_dict, (self.to_dict(),)

    def __repr__(self):
        return f"<Histogram of {self.count}: {self.min} to {self.max} us>"
