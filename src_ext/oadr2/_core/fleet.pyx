"""The engine of a fleet. See fleet.pxd."""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t

from oadr2._core.answers cimport Answer, answer_bytes, answer_news, drop_answer
from oadr2._core.figures cimport (
    CLOSED,
    CONNECT,
    DNS,
    ERROR_COUNT,
    EXCHANGES,
    HTTP_4XX,
    HTTP_5XX,
    HTTP_OTHER,
    KIND_OF_ANSWER,
    LATE,
    NO_ERROR,
    OADR,
    POLLS_SENT,
    REPLIES_SENT,
    SCHEMA,
    SKIPPED,
    TIMEOUT,
    TLS,
    XML,
)
from oadr2._core.draws cimport DRAW_REQUEST_ID, drawn
from oadr2._core.groups cimport Group, sent_id_of
from oadr2._core.histogram cimport hist_record
from oadr2._core.listplan cimport text_of
from oadr2._core.message cimport KIND_DISTRIBUTE_EVENT, KIND_RESPONSE, NO_NUMBER, Message
from oadr2._core.objects cimport payload_bytes
from oadr2._core.parties cimport (
    SEND_ANNOUNCE,
    SEND_CANCEL_OPT,
    SEND_CREATE_OPT,
    SEND_POLL,
    SEND_REPORT,
    SEND_SYNCHRONISE,
    WANT_SYNCHRONISE,
)
from oadr2._core.text cimport Str
from oadr2._core.vens cimport (
    ANSWER_FAILED,
    AT_REST,
    FIRST_MESSAGE,
    NOT_NEEDED,
    POLLS,
    POLL_DUE,
    SENT_ANSWER,
    SENT_POLL,
    SENT_SERVICE,
    TAKEN,
    Ven,
    next_slot,
    party_of,
    place_of,
    queue_row,
)
from oadr2._core.writer cimport write_request_event, writer_bytes

from oadr2._core.figures import ERROR_NAMES

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
cdef class Fleet(FleetServices):
    """Many VENs in one: what each sends and when, and what becomes of what it receives.

    Not thread-safe. All times are whole microseconds since 1970, UTC.
    """

    def __cinit__(self):
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
        cdef bint again
        cdef int64_t late
        cdef int64_t reply_limit = NO_NUMBER if g.rules.reply_limit == <uint32_t>NO_NUMBER else g.rules.reply_limit
        self.check_free()
        if ven.state == AT_REST:
            raise ValueError(f"row {row} has nothing to send: take_due() did not give it")
        if ven.answers != NULL and (ven.state == SENT_ANSWER or ven.state == TAKEN and not (
                ven.flags & POLL_DUE and ven.flags & ANSWER_FAILED)):
            body = PyBytes_FromStringAndSize(answer_bytes(ven.answers), ven.answers.size)
            ven.state = SENT_ANSWER
        elif ven.registration != NOT_NEEDED and self.choose(row, now) != SEND_SYNCHRONISE:
            again = ven.state == SENT_SERVICE
            body = self.compose_service(row, now)
            if not again and party_of(&self.vens, row).sent == SEND_POLL:
                self.figures.counts[POLLS_SENT] += 1
            ven.state = SENT_SERVICE
        else:
            number = drawn(self.vens.seed, place_of(&self.vens, row), DRAW_REQUEST_ID, ven.polls)
            for i in range(16):
                digits[i] = b"0123456789abcdef"[(number >> (60 - 4 * i)) & 15]
            request_id.ptr = digits
            request_id.len = 16
            self.room.used = 0
            self.writer.used = 0
            if write_request_event(&self.writer, g.profile, g.rules.wrap_b, sent_id_of(g, row, &self.room),
                                   request_id, reply_limit) != 0:
                return writer_bytes(&self.writer)  # raises
            body = PyBytes_FromStringAndSize(self.writer.data, self.writer.used)
            if ven.state != SENT_POLL:  # else once more, on another connection
                self.figures.counts[POLLS_SENT] += 1
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
        """The service that the message compose() gave last for this row is for: one of the SERVICE_ numbers."""
        cdef Ven* ven = self.ven(row)
        cdef int sent
        if ven.state == SENT_ANSWER:
            return ven.answers.service
        if ven.state != SENT_SERVICE:
            return SERVICE_EI_EVENT
        sent = party_of(&self.vens, row).sent
        if sent == SEND_POLL:
            return SERVICE_OADR_POLL
        if sent == SEND_CREATE_OPT or sent == SEND_CANCEL_OPT:
            return SERVICE_EI_OPT
        return SERVICE_EI_REPORT if sent == SEND_ANNOUNCE or sent == SEND_REPORT else SERVICE_EI_REGISTER_PARTY

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
        elif ven.state == SENT_SERVICE:
            result = self.take_service(row, ven, payload_bytes(body), now)
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
        ven.polls += 1
        hist_record(&self.figures.request_latency.hist, now - ven.sent)
        hist_record(&self.figures.request_intended.hist, now - ven.intended)
        if error:
            self.note_refusal(row, error)
            self.failed(row, now, 0)
            return -error
        if ven.registration != NOT_NEEDED:
            party_of(&self.vens, row).wants &= <uint8_t>~WANT_SYNCHRONISE
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
        if answer.service:
            self.figures.note_service(KIND_OF_ANSWER, now - ven.sent, now - ven.intended)
        else:
            hist_record(&self.figures.answer_latency.hist, now - ven.sent)
            hist_record(&self.figures.answer_intended.hist, now - ven.intended)
        ven.failures = 0
        ven.flags &= <uint8_t>~ANSWER_FAILED
        if error == 0 and not answer.service:
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
        self.note_refusal(row, error)
        if ven.flags & POLL_DUE:
            ven.flags &= <uint8_t>~POLL_DUE
            ven.next_poll = now
        ven.state = AT_REST
        queue_row(&self.vens, row)
        return -error

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
        if ven.state == SENT_POLL or ven.state == SENT_SERVICE:
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
