"""The event table of one VEN as Python sees it: plan and commit, time, levels, rows.

The work is done by the C structs and functions of judge, rows and plan; a fleet holds those directly.
"""

from libc.stdint cimport int64_t, uint64_t

from oadr2._core.definitions cimport EventDef
from oadr2._core.encode cimport Writer
from oadr2._core.judge cimport Identity, Names, Rules
from oadr2._core.listplan cimport ListPlan
from oadr2._core.rows cimport ChangeList, Row, Table
from oadr2._core.text cimport Str


cdef class KeptEvent:
    """Keeps the definition of an event alive."""

    cdef EventDef* definition


# Texts as Strs that point into bytes objects put into `kept`; free(names.items) afterwards.
cdef int names_from(Names* names, object texts, list kept) except -1
# All but the names, from a VtnPolicy.
cdef int rules_from(Rules* rules, object policy, str default_opt) except -1
# The Event of a definition, kept in `objects` as EventTable.objects is.
cdef object event_of(dict objects, EventDef* definition)
# What EventTable.take_changes gives.
cdef list change_rows(const ChangeList* changes, dict objects)

# The row not finished that holds this event; LocalProtocolError for none, or for several.
cdef Row* held_row(const Table* t, str event_id, object vtn_id) except NULL
# optIn and optOut as OPT_; LocalProtocolError for other texts, or when it can no longer change.
cdef int checked_opt(const Row* row, str opt_type) except -1
# The oadrCreatedEvent of a changed opt (facts.md E06); 0 or WRITE_*.
cdef int write_opt(Writer* w, const Rules* rules, Str ven_id, const Row* row, int opt) noexcept nogil


cdef class EventTable:
    cdef Table table
    cdef Rules rules
    cdef Identity me
    cdef Writer writer
    cdef ChangeList changes
    cdef list texts         # keeps alive what the Strs of rules and me point to
    cdef ListPlan scratch   # handle() decodes and plans in here
    # The last list that changed nothing, and its answer
    cdef bytes last_data
    cdef object last_reply
    cdef uint64_t last_generation
    # Events somebody asked for: (KeptEvent, Event) by the address of the definition
    cdef dict objects

    cdef int read(self, ListPlan p, bytes data, int64_t now, uint64_t seed) except -1
    cdef int apply(self, ListPlan p) except -1
    cdef object reply_to(self, ListPlan p)
    cdef Row* find_key(self, str vtn_id, str event_id) except? NULL
