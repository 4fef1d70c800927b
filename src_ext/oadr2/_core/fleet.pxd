"""The engine of a fleet: what each VEN sends, and what becomes of what it receives. No socket, no clock."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from oadr2._core.definitions cimport Definitions, EventDef
from oadr2._core.groups cimport Group, NameRoom
from oadr2._core.histogram cimport Histogram
from oadr2._core.judge cimport Identity
from oadr2._core.objects cimport MessageOwner
from oadr2._core.plan cimport Plan
from oadr2._core.rows cimport ChangeList, Row, Table
from oadr2._core.vens cimport Answer, Ven, Vens
from oadr2._core.writer cimport Writer

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


cdef class Fleet:
    cdef Vens vens
    cdef MessageOwner owner     # what was received last is decoded in here
    cdef Plan plan
    cdef Writer writer
    cdef ChangeList changes
    cdef Table empty            # what a row without events is planned against
    cdef NameRoom room          # names of the row at hand
    cdef NameRoom other         # and of the one it is mistaken for
    cdef uint32_t* taken
    cdef uint32_t taken_room
    cdef Definitions definitions
    cdef list texts             # keeps alive what the Strs of the groups point to
    cdef dict objects           # as EventTable.objects
    cdef dict set_at            # moments by (eventID, modificationNumber), from event_set_at()
    cdef uint64_t counts[COUNTER_COUNT]
    cdef uint64_t errors_of[ERROR_COUNT]
    cdef uint64_t refused_with[1000]
    cdef str error_class
    cdef str error_text
    cdef Histogram request_latency
    cdef Histogram request_intended
    cdef Histogram answer_latency
    cdef Histogram answer_intended
    cdef Histogram seen
    cdef Histogram acknowledged
    cdef Histogram lag
    cdef public int64_t late_after

    cdef Ven* ven(self, uint32_t row) except NULL
    cdef int check_range(self, uint32_t first, uint32_t count) except -1
    cdef void requeue(self, uint32_t first, uint32_t count) noexcept
    cdef int grow_rooms(self, const Group* g) except -1
    cdef int fail(self, int error, str text) except -1
    cdef int read(self, object body, const Group* g) except -1
    cdef int check(self) except -1
    cdef Answer* answer_to(self, uint32_t row, Ven* ven, const Group* g, const Table* t,
                           Identity* me, int64_t now) except? NULL
    cdef int64_t moment_set(self, EventDef* d) except? -1
    cdef int apply(self, uint32_t row, Ven* ven, const Group* g, int64_t now) except -1
    cdef int advance_row(self, uint32_t row, int64_t now) except -1
    cdef int collect(self, uint32_t row) except -1
    cdef void failed(self, uint32_t row, int64_t now, int64_t wait) noexcept
    cdef int go_on(self, uint32_t row, int64_t now) noexcept
