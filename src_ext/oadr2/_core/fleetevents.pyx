"""What the rows of a fleet make of events. See fleetevents.pxd."""

cimport cython
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from oadr2._core.answers cimport (
    Answer,
    add_answer,
    answer_new,
    answer_news,
    drop_list_answers,
    write_answer,
)
from oadr2._core.clock cimport NO_TIME
from oadr2._core.definitions cimport EventDef
from oadr2._core.figures cimport EVENTS_REFUSED, REPLIES_WITHHELD
from oadr2._core.draws cimport DRAW_ANSWER_DELAY, DRAW_OFFSET, DRAW_WHICH_FAULT, drawn, fraction
from oadr2._core.groups cimport DUPLICATE, OPTS_IN, SILENT, Group, identity_of, sent_id_of
from oadr2._core.held cimport change_rows, checked_opt, event_of, held_row, write_opt
from oadr2._core.histogram cimport hist_record
from oadr2._core.judge cimport Identity
from oadr2._core.listplan cimport definition_object, plan_refusals, text_of
from oadr2._core.message cimport NO_INDEX, OPT_IN, OPT_OUT, EventData, Message
from oadr2._core.objects cimport MessageOwner
from oadr2._core.plan cimport (
    OP_ADD,
    OP_REPLACE,
    Op,
    plan_commit,
    plan_free,
    plan_init,
    plan_list,
)
from oadr2._core.rows cimport (
    PHASE_FINISHED,
    REMARK_CANCELLED,
    REMARK_ENDS_LATER,
    Row,
    Table,
    changes_clear,
    changes_free,
    row_set_opt,
    table_advance,
    table_deadline,
    table_free,
    table_init,
    table_level,
)
from oadr2._core.vens cimport HEARD, Ven, place_of, queue_change, queue_row, take_change
from oadr2._core.writer cimport writer_bytes, writer_free, writer_init

from operator import itemgetter

from oadr2._core.listplan import OPTS

cdef enum:
    OBJECTS_KEPT = 1000     # Events made for people


cdef class FleetEvents(FleetRows):
    """The events of a :class:`oadr2._core.fleet.Fleet`: taken, told of, advanced, answered."""

    def __cinit__(self):
        plan_init(&self.plan)
        writer_init(&self.writer)
        table_init(&self.empty)
        memset(&self.changes, 0, sizeof(self.changes))
        self.owner = MessageOwner.__new__(MessageOwner)
        self.objects = {}
        self.set_at = {}
        self.news = []

    def __dealloc__(self):
        plan_free(&self.plan)
        changes_free(&self.changes)
        writer_free(&self.writer)

    def event_set_at(self, str event_id not None, uint32_t number, int64_t at):
        """Say when the VTN was given this version of an event: propagation is counted from then on.

        Without it, from the version's modificationDateTime or createdDateTime.
        """
        cdef uint32_t i
        cdef EventDef* d
        self.set_at[event_id, number] = at
        for i in range(self.definitions.slot_count):
            d = self.definitions.slots[i]
            while d != NULL:
                if d.event.modification_number == number and text_of(d.event.event_id) == event_id:
                    d.set_at = at
                d = d.next

    cdef int64_t moment_of_news(self, const Ven* ven, const Op* op) except? -1:
        # When the version or the cancellation that an operation brings was set at the VTN, if this VEN
        # polled by then; else NO_TIME.
        cdef int64_t moment = NO_TIME
        if op.kind == OP_ADD:
            moment = self.moment_set(op.row.definition)
        elif op.kind == OP_REPLACE:
            moment = self.moment_set(op.definition)
        elif op.reason == REMARK_CANCELLED or op.reason == REMARK_ENDS_LATER:
            moment = self.moment_cancelled(op)
        return moment if moment != NO_TIME and moment >= ven.since else NO_TIME

    cdef int64_t moment_cancelled(self, const Op* op) except? -1:
        # An event that is no longer listed says nothing of when; nor does a number that was not raised.
        cdef const EventData* e
        if op.event == NO_INDEX:
            return NO_TIME
        e = &self.owner.message.events[op.event]
        if <uint32_t>e.modification_number <= op.row.number:
            return NO_TIME
        at = self.set_at.get((text_of(e.event_id), e.modification_number)) if self.set_at else None
        return e.modification_date_time if at is None else <int64_t>at

    cdef int64_t moment_set(self, EventDef* d) except? -1:
        # When this version was made, NO_TIME: nobody says. Kept with it: all who hold it ask.
        if d.set_at == NO_TIME and self.set_at:
            at = self.set_at.get((text_of(d.event.event_id), d.event.modification_number))
            if at is not None:
                d.set_at = at
        if d.set_at == NO_TIME:
            d.set_at = d.event.modification_date_time
        if d.set_at == NO_TIME:
            d.set_at = d.event.created_date_time
        return d.set_at

    cdef int apply(self, uint32_t row, Ven* ven, const Group* g, int64_t now) except -1:
        """Take the list that was read."""
        cdef Identity me
        cdef Table* t
        cdef Table* made = NULL
        cdef Answer* answer
        cdef Op* op
        cdef uint32_t i
        cdef bint adds = False
        cdef int64_t before, moment
        cdef list arrived = None
        cdef Message* m = &self.owner.message
        if ven.table != NULL and table_deadline(ven.table) <= now:
            self.advance_row(row, now)
        t = &self.empty if ven.table == NULL else ven.table
        before = table_deadline(t)
        identity_of(g, row, &self.room, &me)
        if plan_list(&self.plan, t, &g.rules, &me, m, now,
                     drawn(self.vens.seed, place_of(&self.vens, row), DRAW_OFFSET, ven.polls)) < 0:
            raise MemoryError()
        for i in range(self.plan.op_count):
            op = &self.plan.ops[i]
            if op.kind == OP_ADD:
                adds = True
                self.decide(op, OPT_IN if ven.behaviour & OPTS_IN else OPT_OUT)
            moment = self.moment_of_news(ven, op)  # now, for what is committed may be gone
            if moment != NO_TIME:
                arrived = [] if arrived is None else arrived
                arrived.append(moment)
        if self.asked is not None and ven.flags & HEARD:
            self.ask(row)
        answer = self.answer_to(row, ven, g, t, &me, now)
        if adds and ven.table == NULL:
            made = <Table*>malloc(sizeof(Table))
            if made == NULL:
                free(answer)
                raise MemoryError()
            table_init(made)
            t = made
        if plan_commit(&self.plan, t, &g.rules, &self.changes) != 0:
            free(made)
            free(answer)
            raise MemoryError()
        if made != NULL:
            ven.table = made
        if answer != NULL:
            drop_list_answers(&ven.answers)
            add_answer(&ven.answers, answer)
        queue_change(&self.vens, row, before)
        try:
            if arrived is not None:
                for moment in arrived:
                    hist_record(&self.figures.seen.hist, now - moment)
            for i in range(self.plan.refused_count):
                if self.plan.refused[i].code != 200:
                    self.figures.counts[EVENTS_REFUSED] += 1
            if self.changed is not None and ven.flags & HEARD and (self.plan.refused_count or self.plan.reason):
                self.news.append((row, (), tuple(plan_refusals(&self.plan, m))))
        finally:
            self.collect(row)
        if ven.table != NULL and table_deadline(ven.table) <= now:  # what is new may run already
            self.advance_row(row, now)
        return 0

    cdef void decide(self, Op* op, int opt) noexcept:
        op.opt = <uint8_t>opt
        if op.answer != NO_INDEX:
            self.plan.answers[op.answer].opt = <uint8_t>opt

    cdef int ask(self, uint32_t row) except -1:
        """Let the callback decide the opt of what is new or modified; nothing has changed yet."""
        cdef uint32_t i
        cdef Op* op
        self.busy = True
        try:
            for i in range(self.plan.op_count):
                op = &self.plan.ops[i]
                if op.kind != OP_ADD and op.kind != OP_REPLACE:
                    continue
                opt = self.asked(row, definition_object(op.row.definition if op.kind == OP_ADD else op.definition))
                if opt is not None:
                    self.decide(op, OPTS[opt])
        finally:
            self.busy = False
        return 0

    cdef Answer* answer_to(self, uint32_t row, Ven* ven, const Group* g, Table* held, const Identity* me,
                           int64_t now) except? NULL:
        """The oadrCreatedEvent that the plan asks for; NULL for none."""
        cdef Plan* p = &self.plan
        cdef uint64_t place = place_of(&self.vens, row)
        cdef uint32_t i
        cdef uint16_t news = 0
        cdef int64_t moment
        cdef Answer* answer
        if p.answer_count == 0 and p.reason == 0:
            return NULL
        if ven.behaviour & SILENT:
            self.figures.counts[REPLIES_WITHHELD] += 1
            return NULL
        if write_answer(&self.writer, p, &self.owner.message, g, me, held, row, ven.behaviour,
                        drawn(self.vens.seed, place, DRAW_WHICH_FAULT, 0), &self.other) != 0:
            writer_bytes(&self.writer)  # raises
            return NULL
        for i in range(p.op_count):
            if p.ops[i].answer != NO_INDEX and self.moment_of_news(ven, &p.ops[i]) != NO_TIME and news < 65535:
                news += 1
        answer = answer_new(news, &self.writer)
        if answer == NULL:
            raise MemoryError()
        news = 0
        for i in range(p.op_count):
            moment = NO_TIME if p.ops[i].answer == NO_INDEX else self.moment_of_news(ven, &p.ops[i])
            if moment != NO_TIME and news < answer.news:
                answer_news(answer)[news] = moment
                news += 1
        answer.at = now
        if g.delay_most:
            answer.at += g.delay_least + <int64_t>(<double>(g.delay_most - g.delay_least) * fraction(
                drawn(self.vens.seed, place, DRAW_ANSWER_DELAY, ven.polls)))
        answer.of_list = 1
        answer.times = 2 if ven.behaviour & DUPLICATE else 1
        return answer

    cdef int advance_row(self, uint32_t row, int64_t now) except -1:
        cdef Ven* ven = &self.vens.items[row]
        cdef int64_t before = table_deadline(ven.table)
        cdef int result = table_advance(ven.table, &self.vens.groups[ven.group].rules, now, &self.changes)
        queue_change(&self.vens, row, before)
        if ven.table.count == 0:
            table_free(ven.table)
            free(ven.table)
            ven.table = NULL
        self.collect(row)
        if result < 0:
            raise MemoryError()
        return 0

    cdef int collect(self, uint32_t row) except -1:
        """Count the changes, tell who wants to know of them, forget them."""
        cdef uint32_t i
        for i in range(self.changes.count):
            self.figures.count_change(self.changes.items[i].kind)
        try:
            if self.changes.count and self.changed is not None and self.vens.items[row].flags & HEARD:
                if len(self.objects) > OBJECTS_KEPT:
                    self.objects.clear()
                self.news.append((row, tuple(change_rows(&self.changes, self.objects)), ()))
        finally:
            changes_clear(&self.changes)
        return 0

    cdef int tell(self) except -1:
        """Call back, with everything done; what is called may use the fleet."""
        cdef list news = self.news
        self.news = []
        for row, changes, refusals in news:
            if self.changed is not None:
                self.changed(row, changes, refusals)
        return 0

    def listen(self, changed=None, asked=None):
        """Whom to call about the rows that hear() names.

        ``changed(row, changes, refusals)`` after something has changed, with what EventTable.take_changes
        and EventTable.refusals give; ``asked(row, event)`` before a new or modified event is taken: its
        "optIn" or "optOut", or None for what the row does by itself. It must not use the fleet.
        """
        self.changed = changed
        self.asked = asked

    def hear(self, uint32_t first, uint32_t count, bint wanted=True):
        """Whether the functions given to listen() are called for these rows."""
        cdef uint32_t row
        self.check_range(first, count)
        for row in range(first, first + count):
            if wanted:
                self.vens.items[row].flags |= HEARD
            else:
                self.vens.items[row].flags &= <uint8_t>~HEARD

    def set_opt(self, uint32_t row, str event_id not None, str opt_type not None, int64_t now, vtn_id=None):
        """Change the opt of a held event; the row comes due at once to tell the VTN (facts.md E06)."""
        cdef Ven* ven = self.ven(row)
        cdef const Group* g = &self.vens.groups[ven.group]
        cdef Row* held
        cdef Answer* answer = NULL
        cdef int64_t before
        cdef int opt
        self.check_free()
        if ven.table != NULL and table_deadline(ven.table) <= now:
            self.advance_row(row, now)
        held = held_row(&self.empty if ven.table == NULL else ven.table, event_id, vtn_id)
        opt = checked_opt(held, opt_type)
        if not ven.behaviour & SILENT:
            self.room.used = self.writer.used = 0
            if write_opt(&self.writer, &g.rules, sent_id_of(g, row, &self.room), held, opt) != 0:
                writer_bytes(&self.writer)  # raises
            answer = answer_new(0, &self.writer)
            if answer == NULL:
                raise MemoryError()
        before = table_deadline(ven.table)
        if row_set_opt(ven.table, &g.rules, held, opt, now, &self.changes) < 0:
            free(answer)
            raise MemoryError()
        if answer != NULL:
            answer.at = now
            add_answer(&ven.answers, answer)
            queue_row(&self.vens, row)
        queue_change(&self.vens, row, before)
        self.collect(row)
        if table_deadline(ven.table) <= now:  # joining in is a start
            self.advance_row(row, now)
        if self.news:
            self.tell()

    def advance(self, int64_t now, uint32_t limit):
        """Let events start, step and end that are due, of `limit` rows at most; how many rows it was."""
        cdef uint32_t count = 0
        cdef int64_t row
        self.check_free()
        while count < limit:
            row = take_change(&self.vens, now)
            if row < 0:
                break
            self.advance_row(<uint32_t>row, now)
            count += 1
        if self.news:
            self.tell()
        return count

    def level(self, uint32_t row, int64_t now):
        """(level, eventID) that holds at `now`, or (0.0, None)."""
        cdef Ven* ven = self.ven(row)
        cdef double value = 0.0
        cdef Row* found = NULL
        if ven.table != NULL:
            found = table_level(ven.table, &self.vens.groups[ven.group].rules, now, &value)
        if found == NULL:
            return 0.0, None
        return value, text_of(found.definition.event.event_id)

    def events(self, uint32_t row):
        """The events the row holds, pending or running, in order of arrival."""
        cdef Ven* ven = self.ven(row)
        cdef Row* held
        cdef uint32_t i
        cdef list found = []
        if ven.table == NULL:
            return found
        if len(self.objects) > OBJECTS_KEPT:
            self.objects.clear()
        for i in range(ven.table.count):
            held = ven.table.rows[i]
            if held.phase != PHASE_FINISHED:
                found.append((held.sequence, event_of(self.objects, held.definition)))
        found.sort(key=itemgetter(0))
        return [event for _, event in found]
