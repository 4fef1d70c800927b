"""What a VEN of 2.0b keeps beside its events: who it is to its VTN, and which reports it was asked for.

One small struct for each VEN of a group that registers; ids and requests lie behind it. What was measured is
not kept: a load is a function of the moment (loads.pxd).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from oadr2._core.loads cimport Load
from oadr2._core.outlines cimport OUTLINE_COUNT, Outline
from oadr2._core.text cimport Str
from oadr2._core.writer cimport Writer

cdef enum Want:             # what is to be sent before the next poll, in this order
    WANT_QUERY = 1
    WANT_REGISTER = 2
    WANT_ANNOUNCE = 4
    WANT_SYNCHRONISE = 8


cdef enum Purpose:          # of the message under way that is no answer
    SEND_POLL = 0
    SEND_QUERY
    SEND_REGISTER
    SEND_ANNOUNCE
    SEND_SYNCHRONISE
    SEND_REPORT
    SEND_CREATE_OPT
    SEND_CANCEL_OPT


cdef enum:
    MOST_REQUESTS = 100     # of reports, at one time
    MOST_INTERVALS = 1000   # of one report: when it is late, the newest
    MOST_LOADS = 2          # what a VEN consumes, and its status: outlines.pxd has a message for each


cdef struct ReportRequest:  # the numbers of its points follow the struct, then its id
    ReportRequest* next
    int64_t end             # FOREVER: none
    int64_t step            # 0: sampled when it is delivered
    int64_t back            # 0: delivered once
    int64_t next_sample     # FOREVER: none
    int64_t next_delivery
    uint32_t id_length
    uint16_t point_count
    uint8_t cancelled       # what it has is due, then it is over
    uint8_t load            # which of the group's loads


cdef struct Party:
    char* ids               # registrationID and venID, as the VTN gave them; NULL: not registered
    ReportRequest* requests
    int64_t report_at       # when a report is due, FOREVER: never
    int64_t opt_at          # when it says that it takes no part, or takes that back, FOREVER: never
    uint32_t opts           # messages about that: the odd ones take back
    uint16_t registration_length
    uint16_t ven_length
    uint8_t wants           # WANT_*
    uint8_t sent            # SEND_*
    uint8_t drained         # polls in a row that brought something


cdef struct Services:       # of a group that registers
    Party* parties
    uint32_t count
    Load loads[MOST_LOADS]
    uint32_t load_count
    int64_t opt_every       # us between two messages about when a VEN takes no part; 0: none
    double opt_share        # of the VENs that send them
    bint own_ids
    int64_t poll_interval   # us, when the VTN names none
    Outline outlines[OUTLINE_COUNT]


cdef inline uint16_t* request_points(ReportRequest* r) noexcept nogil:
    return <uint16_t*>&r[1]


cdef inline Str request_id_of(ReportRequest* r) noexcept nogil:
    return Str(<char*>(request_points(r) + r.point_count), r.id_length)


cdef inline Str registration_of(const Party* p) noexcept nogil:
    return Str(p.ids, p.registration_length)


cdef inline Str given_ven_id(const Party* p) noexcept nogil:
    return Str(p.ids + p.registration_length, p.ven_length)


cdef void services_free(Services* s) noexcept nogil
# -1: no memory, or an id of more than 65,535 bytes; nothing has changed.
cdef int party_register(Party* p, Str registration_id, Str ven_id) noexcept nogil
# It is known to no VTN any more, and nobody is left to report to.
cdef void party_forget(Party* p) noexcept nogil
cdef void drop_requests(Party* p) noexcept nogil

# NULL: no memory. To be filled in; not among the party's yet.
cdef ReportRequest* request_new(Str request_id, uint32_t point_count) noexcept nogil
# Takes the request in, in place of one of the same id.
cdef void add_request(Party* p, ReportRequest* request) noexcept nogil
cdef ReportRequest* find_request(const Party* p, Str request_id) noexcept nogil
cdef void drop_request(Party* p, ReportRequest* request) noexcept nogil
# Those under way, as elements of oadrPendingReports.
cdef void write_pending(Writer* w, const Party* p) noexcept nogil
# The request whose report is due first, NULL: none has been asked for.
cdef ReportRequest* first_request(const Party* p) noexcept nogil
cdef void plan_reports(Party* p) noexcept nogil
# The first of `first`, `first + step`, ... that is not before `now`.
cdef int64_t on_grid(int64_t first, int64_t step, int64_t now) noexcept nogil
# What this report has to say at `now`; the moment of the first interval.
cdef int64_t write_intervals(Writer* w, ReportRequest* request, const Load* load, uint64_t seed, uint64_t place,
                             int64_t now) noexcept nogil
# The moments at which a VEN that has registered, or sent such a message, sends the next.
cdef void plan_opts(Party* p, const Services* s, uint64_t seed, uint64_t place, int64_t now) noexcept nogil
# The VTN has the report that was sent at `sent`: what comes next, or the end of the request.
cdef void delivered(Party* p, ReportRequest* request, int64_t sent) noexcept nogil
