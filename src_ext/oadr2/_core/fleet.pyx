"""The engine of a fleet. See fleet.pxd."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t

from oadr2._core.answers cimport Answer, answer_bytes, answer_news, drop_answer
from oadr2._core.decode cimport decode_message
from oadr2._core.figures cimport (
    CLOSED,
    CONNECT,
    DNS,
    ERROR_COUNT,
    EXCHANGES,
    HTTP_4XX,
    HTTP_5XX,
    HTTP_OTHER,
    LATE,
    NO_ERROR,
    OADR,
    POLLS_DONE,
    REPLIES_SENT,
    SCHEMA,
    SKIPPED,
    TIMEOUT,
    TLS,
    XML,
)
from oadr2._core.groups cimport DRAW_REQUEST_ID, Group, drawn, ven_id_of
from oadr2._core.histogram cimport hist_record
from oadr2._core.listplan cimport text_of
from oadr2._core.message cimport (
    DECODE_INVALID,
    DECODE_MEMORY,
    DECODE_START_TAGS,
    DECODE_TOO_MANY_EVENTS,
    DECODE_TOO_MANY_ITEMS,
    KIND_DISTRIBUTE_EVENT,
    KIND_RESPONSE,
    NO_NUMBER,
    Message,
    message_clear,
)
from oadr2._core.objects cimport decode_error, decode_into, payload_bytes
from oadr2._core.plan cimport plan_clear
from oadr2._core.text cimport Str
from oadr2._core.vens cimport (
    ANSWER_FAILED,
    AT_REST,
    FIRST_MESSAGE,
    POLLS,
    POLL_DUE,
    SENT_ANSWER,
    SENT_POLL,
    TAKEN,
    Ven,
    next_slot,
    place_of,
    queue_row,
    retry_moment,
)
from oadr2._core.writer cimport write_request_event, writer_bytes
from oadr2._core.xml cimport XML_ENCODING

from oadr2._core.figures import ERROR_NAMES
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



@cython.final
cdef class Fleet(FleetEvents):
    """Many VENs in one: what each sends and when, and what becomes of what it receives.

    Not thread-safe. All times are whole microseconds since 1970, UTC.
    """

    def __cinit__(self):
        self.error_class = self.error_text = ""
        self.late_after = 100_000

    def __init__(self, *, uint64_t seed=0):
        if self.vens.count:
            raise TypeError("a Fleet is set up once")
        self.vens.seed = seed

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
