"""What the rows of a fleet make of events: the half of the engine that holds and answers them."""

from libc.stdint cimport int64_t, uint32_t

from oadr2._core.answers cimport Answer
from oadr2._core.definitions cimport EventDef
from oadr2._core.fleetrows cimport FleetRows
from oadr2._core.groups cimport Group
from oadr2._core.judge cimport Identity
from oadr2._core.objects cimport MessageOwner
from oadr2._core.plan cimport Op, Plan
from oadr2._core.rows cimport ChangeList, Table
from oadr2._core.vens cimport Ven
from oadr2._core.writer cimport Writer


cdef class FleetEvents(FleetRows):
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

    cdef void decide(self, Op* op, int opt) noexcept
    cdef int ask(self, uint32_t row) except -1
    cdef Answer* answer_to(self, uint32_t row, Ven* ven, const Group* g, Table* held, const Identity* me,
                           int64_t now) except? NULL
    cdef int64_t moment_of_news(self, const Ven* ven, const Op* op) except? -1
    cdef int64_t moment_cancelled(self, const Op* op) except? -1
    cdef int64_t moment_set(self, EventDef* d) except? -1
    cdef int apply(self, uint32_t row, Ven* ven, const Group* g, int64_t now) except -1
    cdef int advance_row(self, uint32_t row, int64_t now) except -1
    cdef int collect(self, uint32_t row) except -1
    cdef int tell(self) except -1
