"""The engine of a fleet: what each VEN sends, and what becomes of what it receives. No socket, no clock."""

from libc.stdint cimport int64_t, uint32_t

from oadr2._core.answers cimport Answer
from oadr2._core.definitions cimport EventDef
from oadr2._core.figures cimport Figures
from oadr2._core.fleetrows cimport FleetRows
from oadr2._core.groups cimport Group
from oadr2._core.judge cimport Identity
from oadr2._core.objects cimport MessageOwner
from oadr2._core.plan cimport Op, Plan
from oadr2._core.rows cimport ChangeList, Table
from oadr2._core.vens cimport Ven
from oadr2._core.writer cimport Writer


cdef class Fleet(FleetRows):
    cdef Figures figures
    cdef MessageOwner owner     # what was received last is decoded in here
    cdef Plan plan
    cdef Writer writer
    cdef ChangeList changes
    cdef Table empty            # what a row without events is planned against
    cdef dict objects           # as EventTable.objects
    cdef dict set_at            # moments by (eventID, modificationNumber), from event_set_at()
    cdef object changed         # callbacks, or None
    cdef object asked
    cdef list news              # (row, changes, refusals) to be told
    cdef str error_class
    cdef str error_text
    cdef public int64_t late_after

    cdef int fail(self, int error, str text) except -1
    cdef int read(self, object body, const Group* g) except -1
    cdef int check(self) except -1
    cdef int take_list(self, uint32_t row, Ven* ven, bytes body, int64_t now) except? -1
    cdef int take_acknowledgement(self, uint32_t row, Ven* ven, bytes body, int64_t now) except? -1
    cdef void decide(self, Op* op, int opt) noexcept
    cdef int ask(self, uint32_t row) except -1
    cdef Answer* answer_to(self, uint32_t row, Ven* ven, const Group* g, Table* held, const Identity* me,
                           int64_t now) except? NULL
    cdef int64_t moment_of_news(self, const Ven* ven, const Op* op) except? -1
    cdef int64_t moment_set(self, EventDef* d) except? -1
    cdef int apply(self, uint32_t row, Ven* ven, const Group* g, int64_t now) except -1
    cdef int advance_row(self, uint32_t row, int64_t now) except -1
    cdef int collect(self, uint32_t row) except -1
    cdef int tell(self) except -1
    cdef void failed(self, uint32_t row, int64_t now, int64_t wait) noexcept
    cdef int go_on(self, uint32_t row, int64_t now) noexcept
