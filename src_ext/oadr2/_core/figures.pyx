"""What a fleet counts. See figures.pxd."""

cimport cython
from libc.string cimport memset

from oadr2._core.histogram cimport Histogram
from oadr2._core.rows cimport (
    CHANGE_CANCELLED,
    CHANGE_COMPLETED,
    CHANGE_INTERVAL,
    CHANGE_MODIFIED,
    CHANGE_NEW,
    CHANGE_STARTED,
    CHANGE_VANISHED,
)

# In the order of the numbers in figures.pxd. An error "oadr" is counted by its response code.
ERROR_NAMES = (
    "", "dns", "connect", "tls", "timeout", "closed", "http_4xx", "http_5xx", "http_other", "xml", "schema", "oadr",
)
COUNTER_NAMES = (
    "polls", "exchanges", "events_new", "events_modified", "events_cancelled", "events_vanished", "events_refused",
    "events_started", "events_stepped", "events_completed", "replies_sent", "replies_withheld", "late", "skipped",
)


@cython.final
cdef class Figures:
    def __cinit__(self):
        memset(self.counts, 0, sizeof(self.counts))
        memset(self.errors_of, 0, sizeof(self.errors_of))
        memset(self.refused_with, 0, sizeof(self.refused_with))
        self.request_latency = Histogram()
        self.request_intended = Histogram()
        self.answer_latency = Histogram()
        self.answer_intended = Histogram()
        self.seen = Histogram()
        self.acknowledged = Histogram()
        self.lag = Histogram()

    cdef void count_change(self, int kind) noexcept:
        if kind == CHANGE_NEW:
            self.counts[EVENTS_NEW] += 1
        elif kind == CHANGE_MODIFIED:
            self.counts[EVENTS_MODIFIED] += 1
        elif kind == CHANGE_CANCELLED:
            self.counts[EVENTS_CANCELLED] += 1
        elif kind == CHANGE_VANISHED:
            self.counts[EVENTS_VANISHED] += 1
        elif kind == CHANGE_STARTED:
            self.counts[EVENTS_STARTED] += 1
        elif kind == CHANGE_INTERVAL:
            self.counts[EVENTS_STEPPED] += 1
        elif kind == CHANGE_COMPLETED:
            self.counts[EVENTS_COMPLETED] += 1

    cdef dict counters(self):
        cdef dict found = {name: self.counts[<int>i] for i, name in enumerate(COUNTER_NAMES)}
        found["events_applied"] = (
            found["events_new"] + found["events_modified"] + found["events_cancelled"] + found["events_vanished"]
        )
        return found

    cdef dict errors(self):
        cdef int i
        cdef dict found = {}
        for i in range(1, ERROR_COUNT):
            if self.errors_of[i] and i != OADR:
                found[ERROR_NAMES[i]] = self.errors_of[i]
        for i in range(1000):
            if self.refused_with[i]:
                found[f"oadr_{i}"] = self.refused_with[i]
        return found

    cdef dict histograms(self):
        return {
            "request_event": {"latency": self.request_latency, "latency_from_intended": self.request_intended},
            "created_event": {"latency": self.answer_latency, "latency_from_intended": self.answer_intended},
            "propagation": {"seen": self.seen, "acknowledged": self.acknowledged},
            "schedule_lag": self.lag,
        }
