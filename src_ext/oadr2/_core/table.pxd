"""The event table of one VEN as Python sees it: plan and commit, time, levels, rows.

The work is done by the C structs and functions of judge, rows and plan; a fleet holds those directly.
"""

from libc.stdint cimport int64_t, uint64_t

from oadr2._core.encode cimport Writer
from oadr2._core.judge cimport Identity, Rules
from oadr2._core.listplan cimport ListPlan
from oadr2._core.rows cimport ChangeList, Row, Table


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
    cdef uint64_t seed      # of requestIDs
    cdef uint64_t requests

    cdef int read(self, ListPlan p, bytes data, int64_t now, uint64_t seed) except -1
    cdef int apply(self, ListPlan p) except -1
    cdef object reply_to(self, ListPlan p)
    cdef Row* find_key(self, str vtn_id, str event_id) except? NULL
