"""How a fleet reads replies and ends exchanges. See fleetreplies.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t

from oadr2._core.decode cimport decode_message
from oadr2._core.figures cimport OADR, SCHEMA, SKIPPED, XML
from oadr2._core.judge cimport FOREVER
from oadr2._core.listplan cimport text_of
from oadr2._core.message cimport (
    DECODE_INVALID,
    DECODE_MEMORY,
    DECODE_START_TAGS,
    DECODE_TOO_MANY_EVENTS,
    DECODE_TOO_MANY_ITEMS,
    Message,
    message_clear,
)
from oadr2._core.objects cimport decode_error, decode_into, payload_bytes
from oadr2._core.parties cimport WANT_ANNOUNCE, Party
from oadr2._core.plan cimport plan_clear
from oadr2._core.vens cimport (
    ANSWER_FAILED,
    AT_REST,
    NOT_NEEDED,
    POLLS,
    POLL_DUE,
    SENT_ANSWER,
    TAKEN,
    Ven,
    next_slot,
    party_of,
    queue_row,
    retry_moment,
)
from oadr2._core.xml cimport XML_ENCODING

from oadr2._core.figures import ERROR_NAMES
from oadr2.errors import RemoteProtocolError


cdef class FleetReplies(FleetEvents):
    """The replies of a :class:`oadr2._core.fleet.Fleet`: read, counted, and what a failed one means."""

    def __cinit__(self):
        self.error_class = self.error_text = ""

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
        # The response code of what was read.
        cdef Message* m = &self.owner.message
        if m.has_response and not 200 <= m.response_code <= 299:  # E54, G12
            return self.fail(OADR, text_of(m.response_description) or "no description")
        return 0

    cdef int go_on(self, uint32_t row, int64_t now) noexcept:
        cdef Ven* ven = &self.vens.items[row]
        cdef Party* party
        if ven.answers != NULL and ven.answers.at <= now:
            ven.state = TAKEN
            ven.intended = ven.answers.at
            return 1
        if ven.registration != NOT_NEEDED and ven.flags & POLLS:
            party = party_of(&self.vens, row)
            if party.wants == WANT_ANNOUNCE and not ven.flags & POLL_DUE:  # besides the polls
                ven.state = TAKEN
                return 1
            if party.wants:  # before the next poll, and in its place if it fails
                ven.flags |= POLL_DUE
                ven.next_poll = FOREVER
            elif party.report_at <= now:
                ven.state = TAKEN
                ven.intended = party.report_at
                return 1
            elif party.opt_at <= now:
                ven.state = TAKEN
                ven.intended = party.opt_at
                return 1
        if ven.flags & POLL_DUE:
            ven.state = TAKEN
            return 1
        ven.state = AT_REST
        queue_row(&self.vens, row)
        return 0

    cdef void failed(self, uint32_t row, int64_t now, int64_t wait) noexcept:
        cdef Ven* ven = &self.vens.items[row]
        cdef int64_t retry
        cdef int64_t skipped = 0
        cdef Party* party
        if ven.flags & POLL_DUE and ven.flags & POLLS and ven.state != TAKEN:  # sent, and waited for in vain
            next_slot(&self.vens, row, ven.sent, now, &skipped)
            self.figures.counts[SKIPPED] += <uint64_t>skipped
        if ven.failures < 255:
            ven.failures += 1
        retry = retry_moment(&self.vens, row, now, wait)
        if ven.answers != NULL:
            if ven.state == SENT_ANSWER or ven.answers.at <= now:
                ven.flags |= ANSWER_FAILED
            if ven.answers.at < retry:
                ven.answers.at = retry
        if ven.registration != NOT_NEEDED:
            party = party_of(&self.vens, row)
            if party.report_at <= now:
                party.report_at = retry
            if party.opt_at <= now:
                party.opt_at = retry
        if ven.flags & POLL_DUE:
            ven.flags &= <uint8_t>~POLL_DUE
            if ven.flags & POLLS and retry < ven.next_poll:
                ven.next_poll = retry
        ven.state = AT_REST
        queue_row(&self.vens, row)
