"""The engine of a fleet. See fleet.pxd."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from oadr2._core.answers cimport (
    Answer,
    add_answer,
    answer_bytes,
    answer_new,
    answer_news,
    drop_answer,
    drop_list_answers,
    write_answer,
)
from oadr2._core.clock cimport NO_TIME
from oadr2._core.decode cimport decode_message
from oadr2._core.definitions cimport EventDef
from oadr2._core.figures cimport (
    CLOSED,
    CONNECT,
    DNS,
    ERROR_COUNT,
    EVENTS_REFUSED,
    EXCHANGES,
    HTTP_4XX,
    HTTP_5XX,
    HTTP_OTHER,
    LATE,
    NO_ERROR,
    OADR,
    POLLS_DONE,
    REPLIES_SENT,
    REPLIES_WITHHELD,
    SCHEMA,
    SKIPPED,
    TIMEOUT,
    TLS,
    XML,
    Figures,
)
from oadr2._core.groups cimport (
    DRAW_ANSWER_DELAY,
    DRAW_OFFSET,
    DRAW_REQUEST_ID,
    DRAW_WHICH_FAULT,
    DUPLICATE,
    OPTS_IN,
    SILENT,
    Group,
    drawn,
    fraction,
    identity_of,
    ven_id_of,
)
from oadr2._core.histogram cimport hist_record
from oadr2._core.judge cimport Identity
from oadr2._core.listplan cimport definition_object, plan_refusals, text_of
from oadr2._core.message cimport (
    DECODE_INVALID,
    DECODE_MEMORY,
    DECODE_START_TAGS,
    DECODE_TOO_MANY_EVENTS,
    DECODE_TOO_MANY_ITEMS,
    KIND_DISTRIBUTE_EVENT,
    KIND_RESPONSE,
    NO_INDEX,
    NO_NUMBER,
    OPT_IN,
    OPT_OUT,
    Message,
    message_clear,
)
from oadr2._core.objects cimport MessageOwner, decode_error, decode_into, payload_bytes
from oadr2._core.plan cimport (
    OP_ADD,
    OP_REPLACE,
    Op,
    plan_clear,
    plan_commit,
    plan_free,
    plan_init,
    plan_list,
)
from oadr2._core.rows cimport (
    CHANGE_MODIFIED,
    CHANGE_NEW,
    PHASE_FINISHED,
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
from oadr2._core.table cimport change_rows, checked_opt, event_of, held_row, write_opt
from oadr2._core.text cimport Str
from oadr2._core.vens cimport (
    ANSWER_FAILED,
    AT_REST,
    FIRST_MESSAGE,
    HEARD,
    POLLS,
    POLL_DUE,
    SENT_ANSWER,
    SENT_POLL,
    TAKEN,
    Ven,
    next_slot,
    place_of,
    queue_change,
    queue_row,
    retry_moment,
    take_change,
)
from oadr2._core.writer cimport (
    write_request_event,
    writer_bytes,
    writer_free,
    writer_init,
)
from oadr2._core.xml cimport XML_ENCODING

from oadr2._core.figures import ERROR_NAMES
from oadr2._core.listplan import OPTS
from oadr2._core.table import first as first_of_pair
from oadr2.errors import RemoteProtocolError

SERVICE_EI_EVENT = 0
SERVICE_OADR_POLL = 1
SERVICE_EI_REGISTER_PARTY = 2
SERVICE_EI_REPORT = 3
SERVICE_EI_OPT = 4

ERROR_DNS = DNS
ERROR_CONNECT = CONNECT
ERROR_TLS = TLS
ERROR_TIMEOUT = TIMEOUT
ERROR_CLOSED = CLOSED
ERROR_HTTP_4XX = HTTP_4XX
ERROR_HTTP_5XX = HTTP_5XX
ERROR_HTTP_OTHER = HTTP_OTHER
ERROR_XML = XML
ERROR_SCHEMA = SCHEMA
ERROR_OADR = OADR

cdef extern from *:
    """
    #define LONGEST_WAIT INT64_C(3600000000)
    """
    const int64_t LONGEST_WAIT  # us: a Retry-After beyond it is cut


cdef enum:
    OBJECTS_KEPT = 1000     # Events made for people


@cython.final
cdef class Fleet(FleetRows):
    """Many VENs in one: what each sends and when, and what becomes of what it receives.

    Not thread-safe. All times are whole microseconds since 1970, UTC.
    """

    def __cinit__(self):
        plan_init(&self.plan)
        writer_init(&self.writer)
        table_init(&self.empty)
        memset(&self.changes, 0, sizeof(self.changes))
        self.owner = MessageOwner.__new__(MessageOwner)
        self.figures = Figures()
        self.objects = {}
        self.set_at = {}
        self.news = []
        self.error_class = self.error_text = ""
        self.late_after = 100_000

    def __init__(self, *, uint64_t seed=0):
        if self.vens.count:
            raise TypeError("a Fleet is set up once")
        self.vens.seed = seed

    def __dealloc__(self):
        plan_free(&self.plan)
        changes_free(&self.changes)
        writer_free(&self.writer)

    # -- one exchange ---------------------------------------------------------------------------

    def compose(self, uint32_t row, int64_t now):
        """What this row has to send now; the same once more if it was not answered yet."""
        cdef Ven* ven = self.ven(row)
        cdef const Group* g = &self.vens.groups[ven.group]
        cdef bytes body
        cdef char digits[16]
        cdef Str request_id
        cdef uint64_t number
        cdef int i
        cdef int64_t late
        cdef int64_t reply_limit = NO_NUMBER if g.rules.reply_limit == <uint32_t>NO_NUMBER else g.rules.reply_limit
        self.check_free()
        if ven.state == AT_REST:
            raise ValueError(f"row {row} has nothing to send: take_due() did not give it")
        if ven.answers != NULL and (ven.state == SENT_ANSWER or ven.state == TAKEN and not (
                ven.flags & POLL_DUE and ven.flags & ANSWER_FAILED)):
            body = PyBytes_FromStringAndSize(answer_bytes(ven.answers), ven.answers.size)
            ven.state = SENT_ANSWER
        else:
            number = drawn(self.vens.seed, place_of(&self.vens, row), DRAW_REQUEST_ID, ven.polls)
            for i in range(16):
                digits[i] = b"0123456789abcdef"[(number >> (60 - 4 * i)) & 15]
            request_id.ptr = digits
            request_id.len = 16
            self.room.used = 0
            self.writer.used = 0
            if write_request_event(&self.writer, g.profile, g.rules.wrap_b, ven_id_of(g, row, &self.room),
                                   request_id, reply_limit) != 0:
                return writer_bytes(&self.writer)  # raises
            body = PyBytes_FromStringAndSize(self.writer.data, self.writer.used)
            ven.state = SENT_POLL
        if ven.flags & FIRST_MESSAGE:
            ven.flags &= <uint8_t>~FIRST_MESSAGE
            late = now - ven.intended
            hist_record(&self.figures.lag.hist, late)
            if late > self.late_after:
                self.figures.counts[LATE] += 1
        ven.sent = now
        return body

    def service(self, uint32_t row):
        """The service that the row's message is for: SERVICE_EI_EVENT."""
        self.ven(row)
        return SERVICE_EI_EVENT

    cdef int fail(self, int error, str text) except -1:
        self.figures.errors_of[error] += 1
        if error == OADR:
            self.error_class = f"oadr_{self.owner.message.response_code}"
            self.figures.refused_with[self.owner.message.response_code % 1000] += 1
        else:
            self.error_class = ERROR_NAMES[error]
        self.error_text = text
        return error

    cdef int read(self, object body, const Group* g) except -1:
        # An Error, 0 for none.
        cdef Message* m = &self.owner.message
        cdef bytes data = payload_bytes(body)
        plan_clear(&self.plan)
        message_clear(m)
        self.owner.data = data
        if decode_message(m, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &g.rules.limits) == 0:
            return 0
        if m.error == DECODE_MEMORY:
            raise MemoryError()
        if m.error == XML_ENCODING:
            message_clear(m)
            try:
                decode_into(self.owner, data, &g.rules.limits)
            except RemoteProtocolError as error:
                return self.fail(XML, str(error))
            return 0
        if m.error in (DECODE_INVALID, DECODE_START_TAGS, DECODE_TOO_MANY_EVENTS, DECODE_TOO_MANY_ITEMS):
            return self.fail(SCHEMA, str(decode_error(m, True)))
        if not data.strip():
            return self.fail(XML, "the reply is empty")
        return self.fail(XML, str(decode_error(m, True)))

    cdef int check(self) except -1:
        # The response code of what was read; an Error, 0 for none.
        cdef Message* m = &self.owner.message
        if m.has_response and not 200 <= m.response_code <= 299:  # E54, G12
            return self.fail(OADR, text_of(m.response_description) or "no description")
        return 0

    def receive(self, uint32_t row, body, int64_t now):
        """Take the reply to what the row has sent.

        1: the row has another message to send at once; 0: the exchange has ended; negative: it has ended
        with this ERROR_.
        """
        cdef Ven* ven = self.ven(row)
        cdef int result
        self.check_free()
        if ven.state == SENT_POLL:
            result = self.take_list(row, ven, payload_bytes(body), now)
        elif ven.state == SENT_ANSWER:
            result = self.take_acknowledgement(row, ven, payload_bytes(body), now)
        else:
            raise ValueError(f"row {row} has sent nothing that this could answer")
        if self.news:
            self.tell()
        return result

    cdef int take_list(self, uint32_t row, Ven* ven, bytes body, int64_t now) except? -1:
        cdef const Group* g = &self.vens.groups[ven.group]
        cdef Message* m = &self.owner.message
        cdef int error = self.read(body, g)
        cdef int64_t skipped = 0
        cdef int64_t slot
        if error == 0 and m.kind != KIND_DISTRIBUTE_EVENT and m.kind != KIND_RESPONSE:
            error = self.fail(SCHEMA, f"{text_of(m.name)} where an oadrDistributeEvent was due")
        elif error == 0:
            error = self.check()
        if error == 0 and m.kind == KIND_DISTRIBUTE_EVENT:
            self.apply(row, ven, g, now)
        self.figures.counts[EXCHANGES] += 1
        self.figures.counts[POLLS_DONE] += 1
        ven.polls += 1
        hist_record(&self.figures.request_latency.hist, now - ven.sent)
        hist_record(&self.figures.request_intended.hist, now - ven.intended)
        if error:
            self.failed(row, now, 0)
            return -error
        ven.failures = 0
        ven.flags &= <uint8_t>~(ANSWER_FAILED | POLL_DUE)
        if ven.flags & POLLS:
            slot = next_slot(&self.vens, row, ven.sent, now, &skipped)
            if slot < ven.next_poll:
                ven.next_poll = slot
            self.figures.counts[SKIPPED] += <uint64_t>skipped
        return self.go_on(row, now)

    cdef int take_acknowledgement(self, uint32_t row, Ven* ven, bytes body, int64_t now) except? -1:
        # Whatever the VTN says of an answer, it has heard it: the answer is not sent again.
        cdef Message* m = &self.owner.message
        cdef Answer* answer = ven.answers
        cdef int error = 0
        cdef uint32_t i
        if body.strip():  # an empty one is fine (L05)
            error = self.read(body, &self.vens.groups[ven.group])
            if error == 0 and m.kind != KIND_RESPONSE:
                error = self.fail(SCHEMA, f"{text_of(m.name)} where an oadrResponse was due")
            elif error == 0:
                error = self.check()
        self.figures.counts[EXCHANGES] += 1
        hist_record(&self.figures.answer_latency.hist, now - ven.sent)
        hist_record(&self.figures.answer_intended.hist, now - ven.intended)
        ven.failures = 0
        ven.flags &= <uint8_t>~ANSWER_FAILED
        if error == 0:
            self.figures.counts[REPLIES_SENT] += 1
            if not answer.repeated:
                for i in range(answer.news):
                    hist_record(&self.figures.acknowledged.hist, now - answer_news(answer)[i])
        if error == 0 and answer.times > 1:
            answer.times -= 1
            answer.repeated = 1
            answer.at = now
        else:
            drop_answer(&ven.answers)
        if error == 0:
            return self.go_on(row, now)
        if ven.flags & POLL_DUE:
            ven.flags &= <uint8_t>~POLL_DUE
            ven.next_poll = now
        ven.state = AT_REST
        queue_row(&self.vens, row)
        return -error

    cdef int go_on(self, uint32_t row, int64_t now) noexcept:
        # 1: the row sends another message at once; 0: its exchange has ended.
        cdef Ven* ven = &self.vens.items[row]
        if ven.answers != NULL and ven.answers.at <= now:
            ven.state = TAKEN
            ven.intended = ven.answers.at
            return 1
        if ven.flags & POLL_DUE:
            ven.state = TAKEN
            return 1
        ven.state = AT_REST
        queue_row(&self.vens, row)
        return 0

    cdef void failed(self, uint32_t row, int64_t now, int64_t wait) noexcept:
        # Nothing came of what this row had to send: later once more.
        cdef Ven* ven = &self.vens.items[row]
        cdef int64_t retry
        if ven.failures < 255:
            ven.failures += 1
        retry = retry_moment(&self.vens, row, now, wait)
        if ven.answers != NULL:
            if ven.state == SENT_ANSWER or ven.answers.at <= now:
                ven.flags |= ANSWER_FAILED
            if ven.answers.at < retry:
                ven.answers.at = retry
        if ven.flags & POLL_DUE:
            ven.flags &= <uint8_t>~POLL_DUE
            if ven.flags & POLLS and retry < ven.next_poll:
                ven.next_poll = retry
        ven.state = AT_REST
        queue_row(&self.vens, row)

    def last_error(self):
        """(class, text) of the last reply that receive() could not take: "xml", "schema", "oadr_463"..."""
        return self.error_class, self.error_text

    def give_up(self, uint32_t row, int error_class, int64_t now, int64_t retry_after=0):
        """The row's exchange has come to nothing, for one of the ERROR_ classes; it tries again later.

        At least `retry_after` microseconds from now, an hour at most. What was to be sent is kept.
        """
        cdef Ven* ven = self.ven(row)
        self.check_free()
        if error_class < 0:
            error_class = -error_class
        if not NO_ERROR < error_class < ERROR_COUNT or error_class == OADR:
            raise ValueError(f"{error_class} is not an error of a transport")
        if ven.state == AT_REST:
            raise ValueError(f"row {row} is not in an exchange")
        self.figures.errors_of[error_class] += 1
        if HTTP_4XX <= error_class <= HTTP_OTHER:
            self.figures.counts[EXCHANGES] += 1
        if ven.state == SENT_POLL:
            ven.polls += 1
        self.failed(row, now, max(0, min(retry_after, LONGEST_WAIT)))

    # -- events ---------------------------------------------------------------------------------

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
        # When the version that an operation brings was set at the VTN, if this VEN polled by then and is
        # asked for an answer; else NO_TIME.
        cdef int64_t moment
        if op.kind != OP_ADD and op.kind != OP_REPLACE or op.answer == NO_INDEX:
            return NO_TIME
        moment = self.moment_set(op.row.definition if op.kind == OP_ADD else op.definition)
        return moment if moment >= ven.first else NO_TIME

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
        # What is seen and not taken is not propagated; counted before the commit takes the definitions.
        if plan_commit(&self.plan, t, &g.rules, &self.changes) != 0:
            free(made)
            free(answer)
            raise MemoryError()
        if made != NULL:
            ven.table = made
        for i in range(self.changes.count):
            if self.changes.items[i].kind in (CHANGE_NEW, CHANGE_MODIFIED):
                moment = self.moment_set(self.changes.items[i].definition)
                if moment != NO_TIME and moment >= ven.first:
                    hist_record(&self.figures.seen.hist, now - moment)
        for i in range(self.plan.refused_count):
            if self.plan.refused[i].code != 200:
                self.figures.counts[EVENTS_REFUSED] += 1
        if self.changed is not None and ven.flags & HEARD and (self.plan.refused_count or self.plan.reason):
            self.news.append((row, (), tuple(plan_refusals(&self.plan, m))))
        if answer != NULL:
            drop_list_answers(&ven.answers)
            add_answer(&ven.answers, answer)
        self.collect(row)
        queue_change(&self.vens, row, before)
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
            if self.moment_of_news(ven, &p.ops[i]) != NO_TIME and news < 65535:
                news += 1
        answer = answer_new(news, &self.writer)
        if answer == NULL:
            raise MemoryError()
        news = 0
        for i in range(p.op_count):
            moment = self.moment_of_news(ven, &p.ops[i])
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
        self.collect(row)
        queue_change(&self.vens, row, before)
        if ven.table.count == 0:
            table_free(ven.table)
            free(ven.table)
            ven.table = NULL
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
            if write_opt(&self.writer, &g.rules, ven_id_of(g, row, &self.room), held, opt) != 0:
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
        self.collect(row)
        queue_change(&self.vens, row, before)
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
        found.sort(key=first_of_pair)
        return [event for _, event in found]

    # -- figures --------------------------------------------------------------------------------

    @property
    def counters(self):
        """Whole numbers that only grow, by name."""
        return self.figures.counters()

    @property
    def errors(self):
        """How many exchanges came to nothing, by class."""
        return self.figures.errors()

    @property
    def histograms(self):
        """The histograms themselves, us: they go on counting."""
        return self.figures.histograms()
