"""The rows of an event table as Python sees them, and a change of mind about one. See held.pxd."""

cimport cython
from libc.stdint cimport uint32_t, uint8_t
from libc.string cimport memset

from oadr2._core.definitions cimport EventDef, event_def_release
from oadr2._core.encode cimport Writer, write_created_event
from oadr2._core.judge cimport Rules
from oadr2._core.listplan cimport definition_object, opt_name, remark, text_of
from oadr2._core.message cimport AnswerData
from oadr2._core.rows cimport (
    CHANGE_FORGOTTEN,
    PHASE_ENDING,
    PHASE_FINISHED,
    ChangeList,
    ChangeRecord,
    Row,
    Table,
)
from oadr2._core.text cimport Str

from oadr2._core.listplan import OPTS
from oadr2.errors import LocalProtocolError

CHANGE_NAMES = (  # in the order of ChangeKind; a forgotten row is no news
    "new", "modified", "cancelled", "vanished", "started", "interval", "completed", "opt", "refused", "removed",
)


@cython.final
cdef class KeptEvent:
    def __dealloc__(self):
        event_def_release(self.definition)


cdef object event_of(dict objects, EventDef* definition):
    # Made once: a long event changes its interval often and is shown each time.
    cdef KeptEvent kept
    cdef tuple entry = objects.get(<size_t>definition)
    if entry is None:
        for key, (kept, _) in list(objects.items()):
            if kept.definition.references == 1:  # nothing else holds that version any more
                del objects[key]
        kept = KeptEvent.__new__(KeptEvent)
        kept.definition = definition
        definition.references += 1
        entry = (kept, definition_object(definition))
        objects[<size_t>definition] = entry
    return entry[1]


cdef list change_rows(const ChangeList* changes, dict objects):
    cdef uint32_t i
    cdef const ChangeRecord* r
    cdef list found = []
    for i in range(changes.count):
        r = &changes.items[i]
        if r.kind == CHANGE_FORGOTTEN:
            continue
        found.append((
            CHANGE_NAMES[r.kind], text_of(r.row.vtn_id), text_of(r.definition.event.event_id), r.number,
            opt_name(r.opt), event_of(objects, r.definition), remark(r.reason, r.notes),
        ))
    return found


# -- a change of mind -----------------------------------------------------------------------------


cdef Row* held_row(const Table* t, str event_id, object vtn_id) except NULL:
    cdef uint32_t i
    cdef Row* row
    cdef Row* best = NULL
    for i in range(t.count):
        row = t.rows[i]
        if row.phase == PHASE_FINISHED or text_of(row.definition.event.event_id) != event_id or (
                vtn_id is not None and text_of(row.vtn_id) != vtn_id):
            continue
        if best != NULL:
            raise LocalProtocolError(f"event {event_id!r} is held from several VTNs: say which with vtn_id")
        best = row
    if best == NULL:
        raise LocalProtocolError(f"no event {event_id!r} is held" + (f" from VTN {vtn_id!r}" if vtn_id else ""))
    return best


cdef int checked_opt(const Row* row, str opt_type) except -1:
    if opt_type not in OPTS:
        raise LocalProtocolError(f"unknown opt {opt_type!r}: it is 'optIn' or 'optOut'")
    if row.phase == PHASE_ENDING:
        raise LocalProtocolError(
            f"event {text_of(row.definition.event.event_id)!r} was cancelled: its opt can no longer change")
    return OPTS[opt_type]


cdef int write_opt(Writer* w, const Rules* rules, Str ven_id, const Row* row, int opt) noexcept nogil:
    cdef AnswerData answer
    cdef Str none
    none.ptr = NULL
    none.len = 0
    memset(&answer, 0, sizeof(answer))
    answer.event_id = row.definition.event.event_id
    answer.request_id = row.request_id
    answer.modification_number = row.number
    answer.response_code = 200
    answer.opt = <uint8_t>opt
    return write_created_event(w, row.definition.event.profile, rules.wrap_b, ven_id, &answer, 1, 200, none, none)
