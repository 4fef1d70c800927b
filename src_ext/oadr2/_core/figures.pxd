"""What a fleet counts: numbers that only grow, errors by class, durations."""

from libc.stdint cimport int64_t, uint64_t

from oadr2._core.histogram cimport Histogram

cdef enum:                  # errors, by number
    NO_ERROR = 0
    DNS
    CONNECT
    TLS
    TIMEOUT
    CLOSED
    HTTP_4XX
    HTTP_5XX
    HTTP_OTHER
    XML
    SCHEMA
    OADR
    ERROR_COUNT


cdef enum:                  # counters, by place
    POLLS_SENT = 0
    EXCHANGES
    EVENTS_NEW
    EVENTS_MODIFIED
    EVENTS_CANCELLED
    EVENTS_VANISHED
    EVENTS_REFUSED
    EVENTS_STARTED
    EVENTS_STEPPED
    EVENTS_COMPLETED
    REPLIES_SENT
    REPLIES_WITHHELD
    LATE
    SKIPPED
    REGISTRATIONS
    REGISTRATIONS_LOST
    REGISTRATIONS_CANCELLED
    REPORT_REQUESTS
    REPORTS_SENT
    OPTS_SENT
    OPTS_CANCELLED
    COUNTER_COUNT


cdef enum ServiceKind:      # messages of the 2.0b services, by place
    KIND_OF_POLL = 0
    KIND_OF_QUERY
    KIND_OF_REGISTER
    KIND_OF_ANNOUNCE
    KIND_OF_REPORT
    KIND_OF_ANSWER
    KIND_OF_CREATE_OPT
    KIND_OF_CANCEL_OPT
    SERVICE_KINDS


cdef class Figures:
    cdef uint64_t counts[COUNTER_COUNT]
    cdef uint64_t errors_of[ERROR_COUNT]
    cdef uint64_t refused_with[1000]    # oadrResponses by their code
    cdef Histogram request_latency      # from the moment of sending
    cdef Histogram request_intended     # from the moment at which it should have been sent
    cdef Histogram answer_latency
    cdef Histogram answer_intended
    cdef Histogram seen                 # from an event's setting at the VTN on, to its arrival
    cdef Histogram acknowledged         # and to the reply to the VEN's answer
    cdef Histogram lag                  # of the first message of an exchange
    cdef list service_latency           # by ServiceKind; empty while no VEN registers
    cdef list service_intended

    cdef int count_services(self) except -1
    cdef void note_service(self, int kind, int64_t latency, int64_t from_intended) noexcept
    cdef void count_change(self, int kind) noexcept
    cdef dict counters(self)
    cdef dict errors(self)
    cdef dict histograms(self)
