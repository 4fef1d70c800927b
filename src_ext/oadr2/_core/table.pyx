"""The event table of one VEN as Python sees it. See table.pxd."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport floor, isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memset

from oadr2._core.clock cimport NO_TIME
from oadr2._core.datetimes cimport datetime_from_us
from oadr2._core.definitions cimport EventDef, event_def_new, event_def_release
from oadr2._core.draws cimport mixed
from oadr2._core.encode cimport (
    write_created_event,
    write_request_event,
    writer_bytes,
    writer_free,
    writer_init,
)
from oadr2._core.held cimport change_rows, checked_opt, event_of, held_row, write_opt
from oadr2._core.judge cimport FOREVER, reason_text
from oadr2._core.listplan cimport ListPlan, new_plan, opt_name, plan_writes, stored_row, text_of
from oadr2._core.message cimport (
    KIND_DISTRIBUTE_EVENT,
    KIND_RESPONSE,
    NO_NUMBER,
    PROFILE_A,
    PROFILE_B,
    Message,
    message_clear,
)
from oadr2._core.objects cimport decode_into, payload_bytes
from oadr2._core.plan cimport event_times, is_test, plan_clear, plan_commit, plan_list
from oadr2._core.rows cimport (
    CHANGE_CANCELLED,
    CHANGE_COMPLETED,
    CHANGE_FORGOTTEN,
    CHANGE_REMOVED,
    PHASE_ENDING,
    PHASE_FINISHED,
    ChangeRecord,
    Row,
    changes_add,
    changes_clear,
    changes_free,
    changes_reserve,
    key_hash,
    row_level,
    row_new,
    row_plan_next,
    row_release,
    row_reserve_request_id,
    row_running,
    row_set_opt,
    row_set_request_id,
    table_advance,
    table_deadline,
    table_find,
    table_free,
    table_init,
    table_insert,
    table_level,
    table_remove,
    table_reserve,
)
from oadr2._core.rules cimport names_from, rules_from
from oadr2._core.text cimport Str

from operator import itemgetter

from oadr2._core.listplan import OPTS, PHASE_NAMES
from oadr2.errors import LocalProtocolError, RemoteProtocolError

# What EventTable.unchanged() returns when the payload has to be looked at.
CHANGED = object()


cdef inline Str no_text() noexcept:
    cdef Str s
    s.ptr = NULL
    s.len = 0
    return s


cdef int64_t microseconds(double now) except? -1:
    if not isfinite(now) or now < -62135596800.0 or now > 253402300799.0:
        raise ValueError(f"now is {now}; it must be seconds since 1970, within years 1 to 9999")
    return <int64_t>floor(now * 1e6 + 0.5)


@cython.final
cdef class EventTable:
    """The events one VEN holds. Not thread-safe: the caller serialises."""

    def __cinit__(self):
        table_init(&self.table)
        writer_init(&self.writer)
        memset(&self.rules, 0, sizeof(self.rules))
        memset(&self.me, 0, sizeof(self.me))
        memset(&self.changes, 0, sizeof(self.changes))
        self.scratch = new_plan(None)
        self.objects = {}

    def __init__(self, str ven_id not None, object policy not None, *, vtn_ids=(), market_contexts=(), group_ids=(),
                 resource_ids=(), party_ids=(), signals=("SIMPLE",), str default_opt="optIn", uint64_t seed=0):
        if self.texts is not None:
            raise TypeError("an EventTable is set up once")
        self.texts = []
        cdef bytes ven = ven_id.encode()
        self.texts.append(ven)
        self.me.ven_id.ptr = PyBytes_AS_STRING(ven)
        self.me.ven_id.len = <uint32_t>PyBytes_GET_SIZE(ven)
        names_from(&self.rules.vtn_ids, vtn_ids, self.texts)
        names_from(&self.rules.market_contexts, market_contexts, self.texts)
        names_from(&self.rules.signals, signals, self.texts)
        names_from(&self.me.groups, group_ids, self.texts)
        names_from(&self.me.resources, resource_ids, self.texts)
        names_from(&self.me.parties, party_ids, self.texts)
        rules_from(&self.rules, policy, default_opt)
        self.seed = seed

    def __dealloc__(self):
        changes_free(&self.changes)
        table_free(&self.table)
        writer_free(&self.writer)
        free(self.rules.vtn_ids.items)
        free(self.rules.market_contexts.items)
        free(self.rules.signals.items)
        free(self.me.groups.items)
        free(self.me.resources.items)
        free(self.me.parties.items)

    def rename(self, str ven_id not None):
        """Be another VEN from now on: the VTN has given us another venID (facts.md 3.1)."""
        cdef bytes ven = ven_id.encode()
        self.texts[0] = ven  # where the former one was kept alive
        self.me.ven_id.ptr = PyBytes_AS_STRING(ven)
        self.me.ven_id.len = <uint32_t>PyBytes_GET_SIZE(ven)
        self.last_data = None  # its answer carries the former one

    # -- a payload ------------------------------------------------------------------------------

    def unchanged(self, bytes data not None, double now):
        """The reply (bytes or None) if this very payload came last and nothing has moved since, else CHANGED."""
        cdef bytes last = self.last_data
        if last is None or self.last_generation != self.table.generation:
            return CHANGED
        if data is not last:
            if PyBytes_GET_SIZE(data) != PyBytes_GET_SIZE(last):
                return CHANGED
            if memcmp(PyBytes_AS_STRING(data), PyBytes_AS_STRING(last), PyBytes_GET_SIZE(data)) != 0:
                return CHANGED
        if microseconds(now) >= table_deadline(&self.table):
            return CHANGED
        return self.last_reply

    cdef int read(self, ListPlan p, bytes data, int64_t now, uint64_t seed) except -1:
        cdef Message* m = &p.owner.message
        plan_clear(&p.plan)
        message_clear(m)
        p.data = data
        p.is_list = False
        p.done = False
        decode_into(p.owner, data, &self.rules.limits)
        if m.kind != KIND_DISTRIBUTE_EVENT and m.kind != KIND_RESPONSE:
            raise RemoteProtocolError(
                f"unexpected message {text_of(m.name)}: a VEN takes oadrDistributeEvent and oadrResponse here",
                response_code=453,
            )
        if m.has_response and not 200 <= m.response_code <= 299:  # E54, G12
            raise RemoteProtocolError(
                f"the VTN answered {m.response_code}: {text_of(m.response_description) or 'no description'}",
                response_code=m.response_code,
            )
        if m.kind == KIND_RESPONSE:
            return 0
        p.is_list = True
        if plan_list(&p.plan, &self.table, &self.rules, &self.me, m, now, seed) < 0:
            raise MemoryError()
        return 0

    cdef object reply_to(self, ListPlan p):
        # E03, E04, E07-E09, E31; the profile is the message's own (G06).
        cdef Str request_id = no_text()
        cdef Str description = no_text()
        cdef const char* text
        cdef bytes reason
        if not p.is_list or (p.plan.answer_count == 0 and p.plan.reason == 0):
            return None
        if p.plan.reason:
            reason = reason_text(p.plan.reason)
            description.ptr = PyBytes_AS_STRING(reason)
            description.len = <uint32_t>PyBytes_GET_SIZE(reason)
            request_id = p.plan.request_id
        self.writer.used = 0
        if write_created_event(
            &self.writer, p.owner.message.profile, self.rules.wrap_b, self.me.ven_id, p.plan.answers,
            p.plan.answer_count, p.plan.code, description, request_id,
        ) != 0:
            return writer_bytes(&self.writer)  # raises
        return PyBytes_FromStringAndSize(self.writer.data, self.writer.used)

    cdef int apply(self, ListPlan p) except -1:
        cdef int result
        if not p.is_list:
            return 0
        result = plan_commit(&p.plan, &self.table, &self.rules, &self.changes)
        if result > 0:
            raise ValueError("the table has changed since this plan was made")
        if result < 0:
            raise MemoryError()
        return 0

    def handle(self, bytes data not None, double now, uint64_t seed):
        """Plan and commit at once, for callers with nothing to ask and nothing to store. The reply or None."""
        cdef ListPlan p = self.scratch
        cdef object reply
        self.read(p, data, microseconds(now), seed)
        reply = self.reply_to(p)
        self.apply(p)
        if p.is_list and p.plan.op_count == 0:
            self.last_data = data
            self.last_reply = reply
            self.last_generation = self.table.generation
        return reply

    def refusals(self):
        """What the last handle() refused; see ListPlan.refusals."""
        return self.scratch.refusals() if self.scratch.plan.refused_count or self.scratch.plan.reason else ()

    def plan(self, bytes data not None, double now, uint64_t seed):
        """What this payload would do at `now`; nothing is changed. RemoteProtocolError."""
        cdef ListPlan p = new_plan(self)
        self.read(p, data, microseconds(now), seed)
        return p

    def is_current(self, ListPlan p not None):
        """Whether the table is still as it was when this plan was made."""
        return p.plan.generation == self.table.generation or not p.is_list

    def reply(self, ListPlan p not None):
        """The oadrCreatedEvent of a plan as it stands, or None."""
        return self.reply_to(p)

    def writes(self, ListPlan p not None):
        """What a store has to write before the commit: (rows to put, keys to delete, request ids).

        A row is (vtnID, eventID, modificationNumber, optType, requestID, document, offset in us,
        termination in us or None, phase, sequence); a key (vtnID, eventID). ValueError if the table
        has moved on since the plan was made.
        """
        if p.table is not self or p.done or p.plan.generation != self.table.generation:
            raise ValueError("not a fresh plan of this table")
        return plan_writes(p)

    def commit(self, ListPlan p not None):
        """Apply a plan; ValueError if the table has moved on since it was made."""
        cdef object reply
        if p.table is not self or p.done:
            raise ValueError("not a fresh plan of this table")
        reply = self.reply_to(p) if p.plan.op_count == 0 else None
        self.apply(p)
        p.done = True
        if p.is_list and p.plan.op_count == 0:
            self.last_data = p.data
            self.last_reply = reply
            self.last_generation = self.table.generation

    def take_changes(self):
        """(kind, vtnID, eventID, number, optType, Event, reason) of each change since last asked."""
        try:
            return change_rows(&self.changes, self.objects)
        finally:
            changes_clear(&self.changes)

    def ended(self):
        """(vtnID, eventID) of each row that waiting changes ended or dropped, for a store to follow."""
        cdef uint32_t i
        cdef ChangeRecord* r
        cdef list found = []
        for i in range(self.changes.count):
            r = &self.changes.items[i]
            if r.kind == CHANGE_CANCELLED or r.kind == CHANGE_COMPLETED or r.kind == CHANGE_FORGOTTEN:
                found.append((text_of(r.row.vtn_id), text_of(r.definition.event.event_id)))
        return found

    def drop_changes(self):
        """Forget the changes nobody wants to hear of."""
        changes_clear(&self.changes)

    @property
    def change_count(self):
        return self.changes.count

    # -- time -----------------------------------------------------------------------------------

    def advance(self, double now):
        """Let time pass up to `now`. Whether there are changes, which wait for take_changes()."""
        if table_advance(&self.table, &self.rules, microseconds(now), &self.changes) < 0:
            raise MemoryError()
        return self.changes.count != 0

    @property
    def next_deadline(self):
        """Seconds since 1970 when advance() has something to do, or None."""
        cdef int64_t deadline = table_deadline(&self.table)
        return None if deadline == FOREVER else deadline / 1e6

    def level(self, double now):
        """(level, eventID) that holds at `now`, or (0, None)."""
        cdef double value = 0.0
        cdef Row* row = table_level(&self.table, &self.rules, microseconds(now), &value)
        if row == NULL:
            return 0.0, None
        return value, text_of(row.definition.event.event_id)

    # -- rows -----------------------------------------------------------------------------------

    def __len__(self):
        return self.table.count

    def states(self, double now):
        """(Event, vtnID, optType, phase, start, end, level, requestID) of each row not finished, in order of arrival."""
        cdef int64_t t = microseconds(now)
        cdef uint32_t i
        cdef Row* row
        cdef double level = 0.0
        cdef int64_t end
        cdef list found = []
        for i in range(self.table.count):
            row = self.table.rows[i]
            if row.phase == PHASE_FINISHED or row.end <= t or row.terminate <= t:
                continue
            end = row.end if row.end < row.terminate else row.terminate
            found.append((row.sequence, (
                event_of(self.objects, row.definition), text_of(row.vtn_id), opt_name(row.opt),
                "ending" if row.phase == PHASE_ENDING else "running" if row.begin <= t else "pending",
                datetime_from_us(row.begin), None if end == FOREVER else datetime_from_us(end),
                level if row_running(row, t) and row_level(row, &self.rules, t, &level) else None,
                text_of(row.request_id),
            )))
        found.sort(key=itemgetter(0))
        return [state for _, state in found]

    def events(self):
        """The Event of each row not finished, in order of arrival."""
        cdef uint32_t i
        cdef Row* row
        cdef list found = []
        for i in range(self.table.count):
            row = self.table.rows[i]
            if row.phase != PHASE_FINISHED:
                found.append((row.sequence, event_of(self.objects, row.definition)))
        found.sort(key=itemgetter(0))
        return [event for _, event in found]

    def event(self, str event_id not None, vtn_id=None):
        """The Event of one row not finished, or None; with several VTNs' the first that came."""
        cdef uint32_t i
        cdef Row* row
        cdef Row* best = NULL
        for i in range(self.table.count):
            row = self.table.rows[i]
            if (row.phase != PHASE_FINISHED and text_of(row.definition.event.event_id) == event_id
                    and (vtn_id is None or text_of(row.vtn_id) == vtn_id)
                    and (best == NULL or row.sequence < best.sequence)):
                best = row
        return None if best == NULL else event_of(self.objects, best.definition)

    def keys(self, event_ids):
        """(vtnID, eventID) of every row, finished ones too, with one of these event ids."""
        cdef uint32_t i
        cdef Row* row
        cdef object wanted = frozenset(event_ids)
        cdef list found = []
        for i in range(self.table.count):
            row = self.table.rows[i]
            event_id = text_of(row.definition.event.event_id)
            if event_id in wanted:
                found.append((text_of(row.vtn_id), event_id))
        return found

    def remove(self, keys):
        """Forget rows by (vtnID, eventID); keys without a row are passed over."""
        cdef Row* row
        for vtn_id, event_id in keys:
            row = self.find_key(vtn_id, event_id)
            if row == NULL:
                continue
            if row.phase != PHASE_FINISHED:  # the end of that one was told already
                if changes_reserve(&self.changes, 1) < 0:
                    raise MemoryError()
                changes_add(&self.changes, row, CHANGE_REMOVED, 0, 0)
            table_remove(&self.table, row)
            self.table.generation += 1

    cdef Row* find_key(self, str vtn_id, str event_id) except? NULL:
        cdef bytes vtn = vtn_id.encode()
        cdef bytes event = event_id.encode()
        cdef Str v, e
        v.ptr = PyBytes_AS_STRING(vtn)
        v.len = <uint32_t>PyBytes_GET_SIZE(vtn)
        e.ptr = PyBytes_AS_STRING(event)
        e.len = <uint32_t>PyBytes_GET_SIZE(event)
        return table_find(&self.table, v, e, key_hash(v, e))

    def opt_write(self, str event_id not None, str opt_type not None, vtn_id=None):
        """The row as it will be once set_opt() has run, in the form of EventTable.writes. LocalProtocolError."""
        cdef Row* row = held_row(&self.table, event_id, vtn_id)
        checked_opt(row, opt_type)
        return stored_row(row, opt_type)

    def row(self, str vtn_id not None, str event_id not None):
        """One row in the form of EventTable.writes, or None."""
        cdef Row* row = self.find_key(vtn_id, event_id)
        if row == NULL:
            return None
        return stored_row(row, opt_name(row.opt))

    def set_opt(self, str event_id not None, str opt_type not None, double now, vtn_id=None):
        """Change the opt of one event; the oadrCreatedEvent to send (facts.md E06). LocalProtocolError."""
        cdef Row* row = held_row(&self.table, event_id, vtn_id)
        cdef int64_t t = microseconds(now)
        cdef int opt = checked_opt(row, opt_type)
        cdef object reply
        self.writer.used = 0
        if write_opt(&self.writer, &self.rules, self.me.ven_id, row, opt) != 0:
            return writer_bytes(&self.writer)  # raises
        reply = PyBytes_FromStringAndSize(self.writer.data, self.writer.used)
        if row_set_opt(&self.table, &self.rules, row, opt, t, &self.changes) < 0:
            raise MemoryError()
        return reply

    def restore(self, str vtn_id not None, str event_id not None, uint32_t number, str opt_type not None,
                str request_id not None, bytes raw not None, int64_t offset, terminate, str phase not None,
                uint32_t sequence):
        """Put back a row as EventTable.writes gave it. RemoteProtocolError or ValueError when it cannot be."""
        cdef ListPlan p = self.scratch
        cdef Message* m = &p.owner.message
        cdef EventDef* definition
        cdef Row* row
        cdef bytes vtn = vtn_id.encode()
        cdef bytes request = request_id.encode()
        cdef Str v, r
        cdef int64_t begin = 0, end = 0
        cdef int opt = OPTS[opt_type]
        cdef int phase_number = PHASE_NAMES.index(phase)
        cdef int64_t stop = FOREVER if terminate is None else terminate
        plan_clear(&p.plan)
        message_clear(m)
        p.is_list = False
        p.data = raw
        decode_into(p.owner, raw, &self.rules.limits)
        if m.kind != KIND_DISTRIBUTE_EVENT or m.event_count != 1 or not m.events[0].readable:
            raise ValueError("the stored document is not one readable event")
        if text_of(m.events[0].event_id) != event_id:
            raise ValueError("the stored document is of another event")
        if m.events[0].dtstart == NO_TIME or not m.events[0].valid or event_times(&m.events[0], offset, &begin, &end) < 0:
            raise ValueError("the stored document has no usable active period")
        v.ptr = PyBytes_AS_STRING(vtn)
        v.len = <uint32_t>PyBytes_GET_SIZE(vtn)
        r.ptr = PyBytes_AS_STRING(request)
        r.len = <uint32_t>PyBytes_GET_SIZE(request)
        if self.find_key(vtn_id, event_id) != NULL:
            raise ValueError("the event is there already")
        if table_reserve(&self.table, 1) < 0:
            raise MemoryError()
        definition = event_def_new(m, 0)
        if definition == NULL:
            raise MemoryError()
        row = row_new(v, definition, key_hash(v, definition.event.event_id), r.len)
        if row == NULL:
            event_def_release(definition)
            raise MemoryError()
        if row_reserve_request_id(row, r.len) < 0:
            row_release(row)
            raise MemoryError()
        row_set_request_id(row, r)
        row.number = number
        row.opt = <uint8_t>opt
        row.offset = offset
        row.begin = begin
        row.end = end
        row.terminate = stop
        row.phase = <uint8_t>phase_number
        row.sequence = sequence
        row.test = is_test(&row.definition.event)
        table_insert(&self.table, row)
        row_plan_next(&self.table, &self.rules, row, 0)
        self.table.generation += 1

    # -- other messages -------------------------------------------------------------------------

    def request(self, str profile not None, reply_limit=None):
        """An oadrRequestEvent with a requestID of its own, drawn from the seed (facts.md E53).

        LocalProtocolError when our venID cannot be written.
        """
        cdef char digits[16]
        cdef Str request_id
        cdef int i
        cdef uint64_t number = mixed(self.seed + self.requests)
        self.requests += 1
        for i in range(16):
            digits[i] = b"0123456789abcdef"[(number >> (60 - 4 * i)) & 15]
        request_id.ptr = digits
        request_id.len = 16
        self.writer.used = 0
        if write_request_event(
            &self.writer, PROFILE_B if profile == "2.0b" else PROFILE_A, self.rules.wrap_b, self.me.ven_id,
            request_id, NO_NUMBER if reply_limit is None else <int64_t><uint32_t>reply_limit,
        ) != 0:
            return writer_bytes(&self.writer)  # raises
        return PyBytes_FromStringAndSize(self.writer.data, self.writer.used)


def as_bytes(data):
    """A payload as bytes; TypeError for what has no buffer."""
    return payload_bytes(data)
