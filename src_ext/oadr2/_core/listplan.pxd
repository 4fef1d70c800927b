"""What one payload would do to an event table, as Python sees it: to be asked about, stored, committed."""

from cpython.unicode cimport PyUnicode_DecodeUTF8

from oadr2._core.definitions cimport EventDef
from oadr2._core.message cimport OPT_IN, Message
from oadr2._core.objects cimport MessageOwner
from oadr2._core.plan cimport Plan
from oadr2._core.rows cimport Row
from oadr2._core.text cimport Str


cdef class ListPlan:
    """Made by :meth:`EventTable.plan`, used up by :meth:`EventTable.commit`."""

    cdef MessageOwner owner
    cdef Plan plan
    cdef bytes data
    cdef object table       # the EventTable it was made for
    cdef bint is_list       # False: an oadrResponse, nothing to do
    cdef bint done


cdef ListPlan new_plan(object table)
cdef object definition_object(const EventDef* d)
# What EventTable.writes gives; the table must not have changed since the plan was made.
cdef tuple plan_writes(ListPlan p)
# What ListPlan.refusals gives.
cdef list plan_refusals(const Plan* p, const Message* m)
# A row as the store keeps it: see EventTable.writes.
cdef tuple stored_row(const Row* row, str opt_type)
# A Reason or Remark, and Note bits, in words.
cdef str remark(int reason, int notes)


cdef inline str text_of(Str s):
    return PyUnicode_DecodeUTF8(s.ptr, s.len, NULL) if s.len else ""


cdef inline str opt_name(int opt):
    return "optIn" if opt == OPT_IN else "optOut"
