"""The rows of an event table as Python sees them, and a change of mind about one.

An EventTable and the engine of a fleet show and change rows alike.
"""

from oadr2._core.definitions cimport EventDef
from oadr2._core.encode cimport Writer
from oadr2._core.judge cimport Rules
from oadr2._core.rows cimport ChangeList, Row, Table
from oadr2._core.text cimport Str


cdef class KeptEvent:
    """Keeps the definition of an event alive."""

    cdef EventDef* definition


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
