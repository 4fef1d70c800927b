"""What a fleet counts. See figures.pxd."""

cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memset

from oadr2._core.histogram cimport Histogram, hist_record
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
    "registrations", "registrations_lost", "registrations_cancelled", "report_requests", "reports_sent",
    "opts_sent", "opts_cancelled",
)
# In the order of ServiceKind.
SERVICE_NAMES = (
    "poll", "query_registration", "create_party_registration", "register_report", "update_report", "service_answer", "create_opt",
    "cancel_opt",
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
        self.service_latency = []
        self.service_intended = []

    cdef int count_services(self) except -1:
        if not self.service_latency:
            self.service_latency = [Histogram() for _ in range(SERVICE_KINDS)]
            self.service_intended = [Histogram() for _ in range(SERVICE_KINDS)]
        return 0

    cdef void note_service(self, int kind, int64_t latency, int64_t from_intended) noexcept:
        hist_record(&(<Histogram>self.service_latency[kind]).hist, latency)
        hist_record(&(<Histogram>self.service_intended[kind]).hist, from_intended)

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
        cdef int i
        cdef dict found = {
            "request_event": {"latency": self.request_latency, "latency_from_intended": self.request_intended},
            "created_event": {"latency": self.answer_latency, "latency_from_intended": self.answer_intended},
            "propagation": {"seen": self.seen, "acknowledged": self.acknowledged},
            "schedule_lag": self.lag,
        }
        for i in range(len(self.service_latency)):
            found[SERVICE_NAMES[i]] = {
                "latency": self.service_latency[i], "latency_from_intended": self.service_intended[i],
            }
        return found
