"""The engine of a fleet. See fleet.pxd."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from oadr2._core.clock cimport NO_TIME
from oadr2._core.decode cimport decode_message
from oadr2._core.definitions cimport EventDef, definitions_free
from oadr2._core.groups cimport (
    DRAW_ANSWER_DELAY,
    DRAW_OFFSET,
    DRAW_REQUEST_ID,
    DRAW_START,
    DRAW_WHICH_FAULT,
    DUPLICATE,
    OFFLINE,
    OPTS_IN,
    SILENT,
    STALE,
    WRONG_IDS,
    Group,
    behaviour_of,
    drawn,
    fraction,
    group_free,
    identity_of,
    ids_from,
    pattern_from,
    patterns_from,
    room_needed,
    row_of_id,
    ven_id_of,
)
from oadr2._core.histogram cimport Histogram, hist_record
from oadr2._core.judge cimport FOREVER, Identity, reason_text
from oadr2._core.listplan cimport text_of
from oadr2._core.message cimport (
    DECODE_INVALID,
    DECODE_MEMORY,
    DECODE_START_TAGS,
    DECODE_TOO_MANY_EVENTS,
    DECODE_TOO_MANY_ITEMS,
    KIND_DISTRIBUTE_EVENT,
    KIND_RESPONSE,
    NO_INDEX,
    OPT_IN,
    OPT_OUT,
    PROFILE_A,
    PROFILE_B,
    AnswerData,
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
    CHANGE_CANCELLED,
    CHANGE_COMPLETED,
    CHANGE_INTERVAL,
    CHANGE_MODIFIED,
    CHANGE_NEW,
    CHANGE_STARTED,
    CHANGE_VANISHED,
    PHASE_FINISHED,
    Row,
    Table,
    changes_clear,
    changes_free,
    key_hash,
    table_advance,
    table_deadline,
    table_find,
    table_free,
    table_init,
    table_level,
)
from oadr2._core.table cimport event_of, names_from, rules_from
from oadr2._core.text cimport Str
from oadr2._core.vens cimport (
    ANSWER_FAILED,
    AT_REST,
    FIRST_MESSAGE,
    POLL_DUE,
    POLLS,
    SENT_ANSWER,
    SENT_POLL,
    TAKEN,
    Answer,
    Ven,
    add_answer,
    answer_bytes,
    answer_new,
    answer_news,
    drop_answer,
    drop_list_answers,
    next_change,
    next_due_row,
    next_slot,
    place_of,
    queue_again,
    queue_change,
    queue_row,
    retry_moment,
    take_change,
    take_rows,
    vens_free,
    vens_init,
    vens_reserve,
)
from oadr2._core.writer cimport (
    write_created_event,
    write_request_event,
    writer_bytes,
    writer_free,
    writer_init,
)
from oadr2._core.xml cimport XML_ENCODING

from oadr2._core.table import first as first_of_pair
from oadr2.errors import ConfigurationError, RemoteProtocolError
from oadr2.policy import VtnPolicy

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
# In the order of the numbers above; receive() gives them negative. An oadr error is counted by its code.
ERROR_NAMES = (
    "", "dns", "connect", "tls", "timeout", "closed", "http_4xx", "http_5xx", "http_other", "xml", "schema", "oadr",
)
COUNTER_NAMES = (  # in the order of Counter
    "polls", "exchanges", "events_new", "events_modified", "events_cancelled", "events_vanished", "events_refused",
    "events_started", "events_stepped", "events_completed", "replies_sent", "replies_withheld", "late", "skipped",
)
PROFILES = {"2.0a": PROFILE_A, "2.0b": PROFILE_B}

cdef extern from *:
    """
    #define LONGEST_WAIT INT64_C(3600000000)
    """
    const int64_t LONGEST_WAIT  # us: a Retry-After beyond it is cut


cdef inline Str no_text() noexcept:
    cdef Str s
    s.ptr = NULL
    s.len = 0
    return s


cdef double share(object value, str name) except -1.0:
    cdef double number = value
    if not 0.0 <= number <= 1.0:
        raise ConfigurationError(f"{name} is {value}: a share is between 0 and 1")
    return number


@cython.final
cdef class Fleet:
    """Many VENs in one: what each sends and when, and what becomes of what it receives.

    Not thread-safe. All times are whole microseconds since 1970, UTC.
    """

    def __cinit__(self):
        vens_init(&self.vens)
        plan_init(&self.plan)
        writer_init(&self.writer)
        table_init(&self.empty)
        memset(&self.changes, 0, sizeof(self.changes))
        memset(&self.definitions, 0, sizeof(self.definitions))
        memset(&self.room, 0, sizeof(self.room))
        memset(&self.other, 0, sizeof(self.other))
        memset(self.counts, 0, sizeof(self.counts))
        memset(self.errors_of, 0, sizeof(self.errors_of))
        memset(self.refused_with, 0, sizeof(self.refused_with))
        self.owner = MessageOwner.__new__(MessageOwner)
        self.texts = []
        self.objects = {}
        self.set_at = {}
        self.error_class = self.error_text = ""
        self.late_after = 100_000
        self.request_latency = Histogram()
        self.request_intended = Histogram()
        self.answer_latency = Histogram()
        self.answer_intended = Histogram()
        self.seen = Histogram()
        self.acknowledged = Histogram()
        self.lag = Histogram()

    def __init__(self, *, uint64_t seed=0):
        if self.vens.count:
            raise TypeError("a Fleet is set up once")
        self.vens.seed = seed

    def __dealloc__(self):
        plan_free(&self.plan)
        changes_free(&self.changes)
        vens_free(&self.vens)
        definitions_free(&self.definitions)
        writer_free(&self.writer)
        free(self.room.text)
        free(self.room.names)
        free(self.other.text)
        free(self.taken)

    # -- who ------------------------------------------------------------------------------------

    def add_group(self, uint32_t count, *, ven_ids="ven_{n}", uint64_t first_number=0, first_place=None,
                  str profile="2.0a", policy=VtnPolicy(), vtn_ids=(), market_contexts=(), signals=("SIMPLE",),
                  group_ids=(), resource_ids=(), party_ids=(), int64_t poll_interval, double jitter=0.1,
                  double opt_in=1.0, answer_delay=(0, 0), double silent=0.0, double offline=0.0,
                  double duplicate=0.0, double stale=0.0, double wrong_ids=0.0):
        """Add VENs that share a configuration; the row of the first."""
        cdef Group g
        cdef Group* old
        cdef Ven* ven
        cdef uint32_t i
        cdef list texts = []
        cdef Str ven_id
        memset(&g, 0, sizeof(g))
        if count == 0:
            raise ConfigurationError("a group has no VENs: count is 0")
        if poll_interval <= 0:
            raise ConfigurationError(f"poll_interval is {poll_interval} us: it must be positive")
        if profile not in PROFILES:
            raise ConfigurationError(f'profile is {profile!r}: use "2.0a" or "2.0b"')
        if policy.strict:
            raise ConfigurationError("a fleet does not hold messages against the schema: leave out policy.strict")
        if self.vens.group_count >= 65535:
            raise ConfigurationError("more than 65,535 groups")
        g.first = self.vens.count
        g.count = count
        g.first_number = first_number
        g.first_place = self.vens.count if first_place is None else <uint64_t>first_place
        g.profile = PROFILES[profile]
        g.jitter = share(jitter, "jitter")
        g.opt_in = share(opt_in, "opt_in")
        g.silent = share(silent, "silent")
        g.offline = share(offline, "offline")
        g.duplicate = share(duplicate, "duplicate")
        g.stale = share(stale, "stale")
        g.wrong_ids = share(wrong_ids, "wrong_ids")
        g.delay_least, g.delay_most = answer_delay
        if not 0 <= g.delay_least <= g.delay_most:
            raise ConfigurationError(f"answer_delay is {answer_delay}: give the shortest and the longest, us")
        try:
            rules_from(&g.rules, policy, "optIn")
            g.rules.definitions = &self.definitions
            names_from(&g.rules.vtn_ids, vtn_ids, texts)
            names_from(&g.rules.market_contexts, market_contexts, texts)
            names_from(&g.rules.signals, signals, texts)
            patterns_from(&g.groups, group_ids, texts)
            patterns_from(&g.resources, resource_ids, texts)
            patterns_from(&g.parties, party_ids, texts)
            if isinstance(ven_ids, str):
                pattern_from(&g.ven, ven_ids, texts)
                if not g.ven.numbered and count > 1:
                    raise ConfigurationError(f"{count} VENs cannot share the id {ven_ids!r}: put {{n}} into it")
            else:
                ids = list(ven_ids)
                if len(ids) != count:
                    raise ConfigurationError(f"{len(ids)} ids for {count} VENs")
                ids_from(&g, ids)
            self.grow_rooms(&g)
            for i in range(count):
                self.room.used = 0
                ven_id = ven_id_of(&g, g.first + i, &self.room)
                for k in range(self.vens.group_count):
                    if row_of_id(&self.vens.groups[k], ven_id) >= 0:
                        raise ConfigurationError(f"VEN id {text_of(ven_id)!r} is in the fleet already")
            if vens_reserve(&self.vens, count) < 0:
                raise MemoryError()
        except BaseException:
            group_free(&g)
            raise
        self.texts.append(texts)
        self.vens.groups[self.vens.group_count] = g
        memset(&self.vens.items[g.first], 0, count * sizeof(Ven))
        for i in range(g.first, g.first + count):
            ven = &self.vens.items[i]
            ven.group = <uint16_t>self.vens.group_count
            ven.due = FOREVER
            ven.next_poll = FOREVER
            ven.interval = poll_interval
            ven.behaviour = <uint8_t>behaviour_of(&g, self.vens.seed, g.first_place + (i - g.first))
        self.vens.group_count += 1
        self.vens.count += count
        return g.first

    cdef int grow_rooms(self, const Group* g) except -1:
        # Blocks are replaced, not grown: other groups' room is never larger than what is kept.
        cdef size_t text = 0
        cdef uint32_t names = 0
        cdef char* one
        cdef char* two
        cdef Str* strs
        room_needed(g, &text, &names)
        if text > self.room.room:
            one = <char*>realloc(self.room.text, text)
            if one == NULL:
                raise MemoryError()
            self.room.text = one
            two = <char*>realloc(self.other.text, text)
            if two == NULL:
                raise MemoryError()
            self.other.text = two
            self.room.room = text
        if names > self.room.name_room:
            strs = <Str*>realloc(self.room.names, names * sizeof(Str))
            if strs == NULL:
                raise MemoryError()
            self.room.names = strs
            self.room.name_room = names
        return 0

    def __len__(self):
        return self.vens.count

    cdef Ven* ven(self, uint32_t row) except NULL:
        if row >= self.vens.count:
            raise IndexError(f"no row {row}: the fleet has {self.vens.count}")
        return &self.vens.items[row]

    cdef int check_range(self, uint32_t first, uint32_t count) except -1:
        if <uint64_t>first + count > self.vens.count:
            raise IndexError(f"no rows {first} to {<uint64_t>first + count}: the fleet has {self.vens.count}")
        return 0

    def ven_id(self, uint32_t row):
        """The id of a row's VEN."""
        cdef Ven* ven = self.ven(row)
        self.room.used = 0
        return text_of(ven_id_of(&self.vens.groups[ven.group], row, &self.room))

    def row_of(self, str ven_id not None):
        """The row with this id. KeyError."""
        cdef bytes encoded = ven_id.encode()
        cdef Str s
        cdef int64_t row
        s.ptr = PyBytes_AS_STRING(encoded)
        s.len = <uint32_t>PyBytes_GET_SIZE(encoded)
        for i in range(self.vens.group_count):
            row = row_of_id(&self.vens.groups[i], s)
            if row >= 0:
                return row
        raise KeyError(ven_id)

    # -- when -----------------------------------------------------------------------------------

    def start(self, uint32_t first, uint32_t count, int64_t begin, int64_t spread):
        """Let rows poll, the first times spread evenly over [begin, begin + spread), offline ones excepted."""
        cdef uint32_t row
        cdef Ven* ven
        cdef double step
        self.check_range(first, count)
        if spread < 0:
            raise ValueError(f"spread is {spread} us: it cannot be negative")
        step = <double>spread / count if count else 0.0
        for row in range(first, first + count):
            ven = &self.vens.items[row]
            if ven.behaviour & OFFLINE:
                continue
            ven.first = begin + <int64_t>(step * ((row - first) + fraction(
                drawn(self.vens.seed, place_of(&self.vens, row), DRAW_START, 0))))
            ven.next_poll = ven.first
            ven.flags |= POLLS
        self.requeue(first, count)

    def stop(self, uint32_t first, uint32_t count):
        """Let rows poll no more; answers that wait are still sent."""
        cdef uint32_t row
        self.check_range(first, count)
        for row in range(first, first + count):
            self.vens.items[row].next_poll = FOREVER
            self.vens.items[row].flags &= <uint8_t>~POLLS
        self.requeue(first, count)

    def set_poll_interval(self, uint32_t first, uint32_t count, int64_t interval):
        """From the next poll of each row on."""
        cdef uint32_t row
        self.check_range(first, count)
        if interval <= 0:
            raise ValueError(f"interval is {interval} us: it must be positive")
        for row in range(first, first + count):
            self.vens.items[row].interval = interval

    def poll_at(self, uint32_t first, uint32_t count, int64_t moment):
        """Let rows poll once at the same moment, offline ones excepted; afterwards as usual."""
        cdef uint32_t row
        cdef Ven* ven
        self.check_range(first, count)
        for row in range(first, first + count):
            ven = &self.vens.items[row]
            if ven.behaviour & OFFLINE:
                continue
            if not ven.flags & POLLS:
                ven.flags |= POLLS
                ven.first = moment
            ven.next_poll = moment
        self.requeue(first, count)

    cdef void requeue(self, uint32_t first, uint32_t count) noexcept:
        cdef uint32_t row
        if count > self.vens.count // 8:
            queue_again(&self.vens)
            return
        for row in range(first, first + count):
            queue_row(&self.vens, row)

    @property
    def next_due(self):
        """When take_due() has something to give; None: never."""
        cdef int64_t moment = next_due_row(&self.vens)
        return None if moment == FOREVER else moment

    @property
    def next_change(self):
        """When advance() has something to do; None: never."""
        cdef int64_t moment = next_change(&self.vens)
        return None if moment == FOREVER else moment

    def take_due(self, int64_t now, uint32_t limit):
        """Rows whose time has come, the earliest first: each is in an exchange until that ends."""
        cdef uint32_t count
        cdef uint32_t* taken
        limit = min(limit, self.vens.count)
        if limit > self.taken_room:
            taken = <uint32_t*>realloc(self.taken, <size_t>limit * sizeof(uint32_t))
            if taken == NULL:
                raise MemoryError()
            self.taken = taken
            self.taken_room = limit
        count = take_rows(&self.vens, now, limit, self.taken)
        return memoryview(PyBytes_FromStringAndSize(<char*>self.taken, count * sizeof(uint32_t))).cast("I")

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
                                   request_id, g.rules.reply_limit) != 0:
                return writer_bytes(&self.writer)  # raises
            body = PyBytes_FromStringAndSize(self.writer.data, self.writer.used)
            ven.state = SENT_POLL
        if ven.flags & FIRST_MESSAGE:
            ven.flags &= <uint8_t>~FIRST_MESSAGE
            late = now - ven.intended
            hist_record(&self.lag.hist, late)
            if late > self.late_after:
                self.counts[LATE] += 1
        ven.sent = now
        return body

    def service(self, uint32_t row):
        """The service that the row's message is for: SERVICE_EI_EVENT."""
        self.ven(row)
        return SERVICE_EI_EVENT

    cdef int fail(self, int error, str text) except -1:
        self.errors_of[error] += 1
        if error == OADR:
            self.error_class = f"oadr_{self.owner.message.response_code}"
            self.refused_with[self.owner.message.response_code % 1000] += 1
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
        with this Error.
        """
        cdef Ven* ven = self.ven(row)
        cdef const Group* g = &self.vens.groups[ven.group]
        cdef Message* m = &self.owner.message
        cdef Answer* answer
        cdef int error = 0
        cdef uint32_t i
        cdef int64_t skipped = 0
        cdef int64_t slot
        if ven.state == SENT_ANSWER:
            answer = ven.answers
            body = payload_bytes(body)
            if body.strip():  # an empty one is fine (L05)
                error = self.read(body, g)
                if error == 0 and m.kind != KIND_RESPONSE:
                    error = self.fail(SCHEMA, f"{text_of(m.name)} where an oadrResponse was due")
                elif error == 0:
                    error = self.check()
            self.counts[EXCHANGES] += 1
            hist_record(&self.answer_latency.hist, now - ven.sent)
            hist_record(&self.answer_intended.hist, now - ven.intended)
            if error == 0:
                self.counts[REPLIES_SENT] += 1
                for i in range(answer.news):
                    hist_record(&self.acknowledged.hist, now - answer_news(answer)[i])
                answer.news = 0 if answer.times == 1 else answer.news
            ven.failures = 0
            ven.flags &= <uint8_t>~ANSWER_FAILED
            if answer.times > 1 and error == 0:
                answer.times -= 1
                answer.at = now
            else:
                drop_answer(ven)
            if error == 0:
                return self.go_on(row, now)
            # The VTN has refused it or said nothing sensible: it has heard it all the same.
            self.go_on(row, now)
            return -error
        if ven.state != SENT_POLL:
            raise ValueError(f"row {row} has sent nothing that this could answer")
        error = self.read(body, g)
        if error == 0:
            if m.kind != KIND_DISTRIBUTE_EVENT and m.kind != KIND_RESPONSE:
                error = self.fail(SCHEMA, f"{text_of(m.name)} where an oadrDistributeEvent was due")
            else:
                error = self.check()
        if error == 0 and m.kind == KIND_DISTRIBUTE_EVENT:
            self.apply(row, ven, g, now)
        self.counts[EXCHANGES] += 1
        self.counts[POLLS_DONE] += 1
        ven.polls += 1
        hist_record(&self.request_latency.hist, now - ven.sent)
        hist_record(&self.request_intended.hist, now - ven.intended)
        if error:
            self.failed(row, now, 0)
            return -error
        ven.failures = 0
        ven.flags &= <uint8_t>~(ANSWER_FAILED | POLL_DUE)
        if ven.flags & POLLS:
            slot = next_slot(&self.vens, row, ven.sent, now, &skipped)
            if slot < ven.next_poll:
                ven.next_poll = slot
            self.counts[SKIPPED] += <uint64_t>skipped
        return self.go_on(row, now)

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
        if error_class < 0:
            error_class = -error_class
        if not NO_ERROR < error_class < ERROR_COUNT or error_class == OADR:
            raise ValueError(f"{error_class} is not an error of a transport")
        if ven.state == AT_REST:
            raise ValueError(f"row {row} is not in an exchange")
        self.errors_of[error_class] += 1
        if HTTP_4XX <= error_class <= HTTP_OTHER:
            self.counts[EXCHANGES] += 1
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
                op.opt = OPT_IN if ven.behaviour & OPTS_IN else OPT_OUT
                if op.answer != NO_INDEX:
                    self.plan.answers[op.answer].opt = op.opt
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
                    hist_record(&self.seen.hist, now - moment)
        for i in range(self.plan.refused_count):
            if self.plan.refused[i].code != 200:
                self.counts[EVENTS_REFUSED] += 1
        if answer != NULL:
            drop_list_answers(ven)
            add_answer(ven, answer)
        self.collect(row)
        queue_change(&self.vens, row, before)
        if ven.table != NULL and table_deadline(ven.table) <= now:  # what is new may run already
            self.advance_row(row, now)
        return 0

    cdef Answer* answer_to(self, uint32_t row, Ven* ven, const Group* g, const Table* t,
                           Identity* me, int64_t now) except? NULL:
        """The oadrCreatedEvent that the plan asks for, NULL for none; faults put in where the row has them."""
        cdef Message* m = &self.owner.message
        cdef Plan* p = &self.plan
        cdef AnswerData* a
        cdef Op* op
        cdef Row* held
        cdef Str request_id = no_text()
        cdef Str description = no_text()
        cdef Str ven_id = me.ven_id
        cdef uint32_t i
        cdef uint16_t news = 0
        cdef int64_t moment
        cdef uint64_t random
        cdef Answer* answer
        if p.answer_count == 0 and p.reason == 0:
            return NULL
        if ven.behaviour & SILENT:
            self.counts[REPLIES_WITHHELD] += 1
            return NULL
        if p.reason:
            description.ptr = reason_text(p.reason)
            while description.ptr[description.len]:
                description.len += 1
            request_id = p.request_id
        if ven.behaviour & (STALE | WRONG_IDS):
            random = drawn(self.vens.seed, place_of(&self.vens, row), DRAW_WHICH_FAULT, 0)
            for i in range(p.answer_count):
                a = &p.answers[i]
                if ven.behaviour & STALE:
                    if random & 1 and a.modification_number:
                        a.modification_number -= 1
                    else:
                        held = table_find(<Table*>t, p.vtn_id, a.event_id, key_hash(p.vtn_id, a.event_id))
                        a.request_id.ptr = b"0000000000000000"
                        a.request_id.len = 16
                        if held != NULL and held.request_id.len:
                            a.request_id = held.request_id
                if ven.behaviour & WRONG_IDS and random & 2:
                    a.event_id = me.ven_id
            if ven.behaviour & WRONG_IDS and not random & 2:
                self.other.used = 0
                ven_id = m.vtn_id
                if g.count > 1:
                    ven_id = ven_id_of(g, g.first + (row - g.first + 1) % g.count, &self.other)
        self.writer.used = 0
        if write_created_event(&self.writer, m.profile, g.rules.wrap_b, ven_id, p.answers, p.answer_count, p.code,
                               description, request_id) != 0:
            writer_bytes(&self.writer)  # raises
            return NULL
        for i in range(p.op_count):
            op = &p.ops[i]
            if op.kind == OP_ADD or op.kind == OP_REPLACE:
                moment = self.moment_set(op.row.definition if op.kind == OP_ADD else op.definition)
                if op.answer != NO_INDEX and moment != NO_TIME and moment >= ven.first and news < 65535:
                    news += 1
        answer = answer_new(news, <uint32_t>self.writer.used)
        if answer == NULL:
            raise MemoryError()
        news = 0
        for i in range(p.op_count):
            op = &p.ops[i]
            if op.kind == OP_ADD or op.kind == OP_REPLACE:
                moment = self.moment_set(op.row.definition if op.kind == OP_ADD else op.definition)
                if op.answer != NO_INDEX and moment != NO_TIME and moment >= ven.first and news < 65535:
                    answer_news(answer)[news] = moment
                    news += 1
        memcpy(answer_bytes(answer), self.writer.data, self.writer.used)
        answer.at = now
        if g.delay_most:
            answer.at += g.delay_least + <int64_t>(<double>(g.delay_most - g.delay_least) * fraction(
                drawn(self.vens.seed, place_of(&self.vens, row), DRAW_ANSWER_DELAY, ven.polls)))
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
        cdef int kind
        for i in range(self.changes.count):
            kind = self.changes.items[i].kind
            if kind == CHANGE_NEW:
                self.counts[EVENTS_NEW] += 1
            elif kind == CHANGE_MODIFIED:
                self.counts[EVENTS_MODIFIED] += 1
            elif kind == CHANGE_CANCELLED:
                self.counts[EVENTS_CANCELLED] += 1
            elif kind == CHANGE_VANISHED:
                self.counts[EVENTS_VANISHED] += 1
            elif kind == CHANGE_STARTED:
                self.counts[EVENTS_STARTED] += 1
            elif kind == CHANGE_INTERVAL:
                self.counts[EVENTS_STEPPED] += 1
            elif kind == CHANGE_COMPLETED:
                self.counts[EVENTS_COMPLETED] += 1
        changes_clear(&self.changes)
        return 0

    def advance(self, int64_t now, uint32_t limit):
        """Let events start, step and end that are due, of `limit` rows at most; how many rows it was."""
        cdef uint32_t count = 0
        cdef int64_t row
        while count < limit:
            row = take_change(&self.vens, now)
            if row < 0:
                break
            self.advance_row(<uint32_t>row, now)
            count += 1
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
        if len(self.objects) > 1000:
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
        cdef dict found = {name: self.counts[<int>i] for i, name in enumerate(COUNTER_NAMES)}
        found["events_applied"] = (
            found["events_new"] + found["events_modified"] + found["events_cancelled"] + found["events_vanished"]
        )
        return found

    @property
    def errors(self):
        """How many exchanges came to nothing, by class."""
        cdef int i
        cdef dict found = {}
        for i in range(1, ERROR_COUNT):
            if self.errors_of[i] and i != OADR:
                found[ERROR_NAMES[i]] = self.errors_of[i]
        for i in range(1000):
            if self.refused_with[i]:
                found[f"oadr_{i}"] = self.refused_with[i]
        return found

    @property
    def histograms(self):
        """The histograms themselves: they go on counting."""
        return {
            "request_event": {"latency": self.request_latency, "latency_from_intended": self.request_intended},
            "created_event": {"latency": self.answer_latency, "latency_from_intended": self.answer_intended},
            "propagation": {"seen": self.seen, "acknowledged": self.acknowledged},
            "schedule_lag": self.lag,
        }
