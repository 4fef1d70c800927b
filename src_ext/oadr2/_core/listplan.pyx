"""What one payload would do to an event table, as Python sees it. See listplan.pxd."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t

from oadr2._core.definitions cimport EventDef
from oadr2._core.judge cimport (
    FOREVER,
    NOTE_INTERVAL_SUM,
    NOTE_UIDS,
    REASON_COUNT,
    REASON_INVALID,
    REASON_UNREADABLE,
    reason_text,
)
from oadr2._core.message cimport NO_INDEX, NO_NUMBER, OPT_IN, OPT_OUT, EventData, Message
from oadr2._core.objects cimport MessageOwner, event_object, event_problems
from oadr2._core.plan cimport (
    OP_ADD,
    OP_END,
    OP_FORGET,
    OP_REMOVE,
    OP_REPLACE,
    OP_TOUCH,
    Op,
    Plan,
    plan_free,
    plan_init,
)
from oadr2._core.rows cimport (
    PHASE_ENDING,
    PHASE_HELD,
    REMARK_ABSENT,
    REMARK_ABSENT_ENDS_LATER,
    REMARK_CANCELLED,
    REMARK_ENDS_LATER,
    REMARK_REVIVED,
    Row,
)

PHASE_NAMES = ("held", "ending", "finished")
OPTS = {"optIn": OPT_IN, "optOut": OPT_OUT}


cdef object definition_object(const EventDef* d):
    return event_object(&d.event, d.signals, d.intervals, d.targets, (),
                        PyBytes_FromStringAndSize(d.document.ptr, d.document.len))


cdef tuple stored_row(const Row* row, str opt_type):
    return (
        text_of(row.vtn_id), text_of(row.definition.event.event_id), row.number, opt_type, text_of(row.request_id),
        PyBytes_FromStringAndSize(row.definition.document.ptr, row.definition.document.len), row.offset,
        None if row.terminate == FOREVER else row.terminate, PHASE_NAMES[row.phase], row.sequence,
    )


cdef str remark(int reason, int notes):
    cdef list parts = []
    if reason == REMARK_CANCELLED:
        parts.append("cancelled by the VTN")
    elif reason == REMARK_ABSENT:
        parts.append("no longer in the VTN's list")
    elif reason == REMARK_ENDS_LATER:
        parts.append("cancelled by the VTN, ends within its startafter")
    elif reason == REMARK_ABSENT_ENDS_LATER:
        parts.append("no longer in the VTN's list, ends within its startafter")
    elif reason == REMARK_REVIVED:
        parts.append("listed again before it ended")
    elif 0 < reason < REASON_COUNT:
        parts.append(reason_text(reason).decode("ascii"))
    if notes & NOTE_INTERVAL_SUM:
        parts.append("interval durations do not add up to the event's duration")
    if notes & NOTE_UIDS:
        parts.append("interval uids do not count 0, 1, 2...")
    return "; ".join(parts)


@cython.final
cdef class ListPlan:
    def __cinit__(self):
        self.owner = MessageOwner.__new__(MessageOwner)
        plan_init(&self.plan)

    def __init__(self):
        raise TypeError("a ListPlan is made by EventTable.plan()")

    def __dealloc__(self):
        plan_free(&self.plan)

    @property
    def changes_state(self):
        """Whether there is anything to commit."""
        return self.plan.op_count != 0

    def questions(self):
        """(index, is new, Event, opt as it stands) of each event whose opt is to be decided."""
        cdef uint32_t i
        cdef Op* op
        cdef list found = []
        for i in range(self.plan.op_count):
            op = &self.plan.ops[i]
            if op.kind == OP_ADD:
                found.append((i, True, definition_object(op.row.definition), opt_name(op.opt)))
            elif op.kind == OP_REPLACE:
                found.append((i, False, definition_object(op.definition), opt_name(op.opt)))
        return found

    def set_opt(self, uint32_t index, str opt_type):
        """Decide the opt of a question; its answer follows."""
        cdef Op* op
        if self.done or index >= self.plan.op_count:
            raise IndexError("no such question in this plan")
        op = &self.plan.ops[index]
        if op.kind != OP_ADD and op.kind != OP_REPLACE:
            raise IndexError("no such question in this plan")
        op.opt = OPTS[opt_type]
        if op.answer != NO_INDEX:
            self.plan.answers[op.answer].opt = op.opt

    def refusals(self):
        """(vtnID, eventID, modificationNumber, response code, reason) of each refused event.

        A list refused as a whole is one entry with an empty eventID. A number is -1 when unreadable.
        An entry with code 200 is not refused, only odd.
        """
        return plan_refusals(&self.plan, &self.owner.message)


cdef list plan_refusals(const Plan* p, const Message* m):
    cdef uint32_t i
    cdef const EventData* e
    cdef list found = []
    if p.reason:
        found.append((text_of(m.vtn_id), "", -1, p.code, remark(p.reason, 0)))
    for i in range(p.refused_count):
        e = &m.events[p.refused[i].event]
        reason = remark(p.refused[i].reason, 0)
        if p.refused[i].reason in (REASON_INVALID, REASON_UNREADABLE):
            for problem in event_problems(m, p.refused[i].event):
                if problem.fatal:
                    reason = f"{reason}: {problem.reason} in {problem.path}"
                    break
        found.append((
            text_of(p.vtn_id), text_of(e.event_id),
            -1 if e.modification_number == NO_NUMBER else e.modification_number, p.refused[i].code, reason,
        ))
    return found


cdef tuple plan_writes(ListPlan p):
    cdef uint32_t i
    cdef Op* op
    cdef const EventDef* d
    cdef list put = [], delete = [], request_ids = []
    cdef str vtn_id, event_id, request_id
    cdef str phase
    for i in range(p.plan.op_count):
        op = &p.plan.ops[i]
        d = op.definition if op.kind == OP_REPLACE else op.row.definition
        vtn_id = text_of(op.row.vtn_id)
        event_id = text_of(d.event.event_id)
        if op.kind == OP_REMOVE or op.kind == OP_FORGET:
            delete.append((vtn_id, event_id))
            continue
        request_id = text_of(p.plan.request_id if op.event != NO_INDEX else op.row.request_id)
        if op.kind == OP_TOUCH and op.number == op.row.number:
            request_ids.append((vtn_id, event_id, request_id))
            continue
        phase = PHASE_NAMES[PHASE_ENDING if op.kind == OP_END
                            else op.row.phase if op.kind == OP_TOUCH else PHASE_HELD]
        put.append((
            vtn_id, event_id, op.number, opt_name(op.opt), request_id,
            PyBytes_FromStringAndSize(d.document.ptr, d.document.len), op.offset,
            None if op.terminate == FOREVER else op.terminate, phase, op.row.sequence,
        ))
    return put, delete, request_ids


cdef ListPlan new_plan(object table):
    cdef ListPlan p = ListPlan.__new__(ListPlan)
    p.table = table
    return p
