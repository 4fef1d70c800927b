"""What a fleet counts: numbers that only grow, errors by class, durations."""

from libc.stdint cimport uint64_t

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
    POLLS_DONE = 0
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
    COUNTER_COUNT


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

    cdef void count_change(self, int kind) noexcept
    cdef dict counters(self)
    cdef dict errors(self)
    cdef dict histograms(self)
