"""The 2.0b services of a fleet beside EiEvent. See fleetservices.pxd."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memset
from services cimport (
    OBJ_CANCELPARTYREGISTRATION,
    OBJ_CANCELEDOPT,
    OBJ_CANCELREPORT,
    OBJ_CREATEDOPT,
    OBJ_CREATEDPARTYREGISTRATION,
    OBJ_CREATEREPORT,
    OBJ_REGISTEREDREPORT,
    OBJ_REGISTERREPORT,
    OBJ_REQUESTREREGISTRATION,
    OBJ_UPDATEDREPORT,
    OBJ_UPDATEREPORT,
)

from oadr2._core.answers cimport Answer, add_answer, answer_new
from oadr2._core.clock cimport DATE_TIME_ROOM, format_date_time
from oadr2._core.figures cimport (
    EXCHANGES,
    KIND_OF_ANNOUNCE,
    KIND_OF_CANCEL_OPT,
    KIND_OF_CREATE_OPT,
    KIND_OF_POLL,
    KIND_OF_QUERY,
    KIND_OF_REGISTER,
    KIND_OF_REPORT,
    OADR,
    OPTS_CANCELLED,
    OPTS_SENT,
    REGISTRATIONS,
    REGISTRATIONS_CANCELLED,
    REGISTRATIONS_LOST,
    REPORTS_SENT,
    SCHEMA,
    SKIPPED,
)
from oadr2._core.draws cimport DRAW_REQUEST_ID, drawn
from oadr2._core.fleetreports cimport duration_of, refuse
from oadr2._core.groups cimport Group, sent_id_of, ven_id_of
from oadr2._core.judge cimport FOREVER, same_text
from oadr2._core.listplan cimport text_of
from oadr2._core.loads cimport load_at
from oadr2._core.message cimport KIND_DISTRIBUTE_EVENT, KIND_RESPONSE, KIND_SERVICE, Message
from oadr2._core.nodes cimport find_node, node_text, response_node
from oadr2._core.outlines cimport (
    GAP_CODE,
    GAP_COUNT,
    GAP_CREATED,
    GAP_DESCRIPTION,
    GAP_DTSTART,
    GAP_INTERVALS,
    GAP_OPT_ID,
    GAP_PENDING,
    GAP_REGISTRATION_ID,
    GAP_REPORT_REQUEST_ID,
    GAP_REQUEST_ID,
    GAP_VEN_ID,
    GAP_VEN_NAME,
    OUTLINE_ANNOUNCE,
    OUTLINE_CANCELED_REGISTRATION,
    OUTLINE_CANCEL_OPT,
    OUTLINE_CREATE_OPT,
    OUTLINE_CANCELED_REPORT,
    OUTLINE_CREATED_REPORT,
    OUTLINE_POLL,
    OUTLINE_QUERY,
    OUTLINE_REGISTER,
    OUTLINE_REGISTER_AGAIN,
    OUTLINE_REGISTERED_REPORT,
    OUTLINE_RESPONSE,
    OUTLINE_UPDATE_REPORT,
    OUTLINE_UPDATED_REPORT,
    write_outline,
)
from oadr2._core.parties cimport (
    SEND_ANNOUNCE,
    SEND_CANCEL_OPT,
    SEND_CREATE_OPT,
    SEND_POLL,
    SEND_QUERY,
    SEND_REGISTER,
    SEND_REPORT,
    SEND_SYNCHRONISE,
    WANT_ANNOUNCE,
    WANT_QUERY,
    WANT_REGISTER,
    WANT_SYNCHRONISE,
    Party,
    Services,
    delivered,
    drop_requests,
    first_request,
    on_grid,
    party_forget,
    party_register,
    plan_opts,
    registration_of,
    request_id_of,
    write_intervals,
    write_pending,
)
from oadr2._core.vens cimport (
    ANSWER_FAILED,
    CANCELLED,
    POLLS,
    POLL_DUE,
    REGISTERED,
    SENT_POLL,
    SENT_SERVICE,
    UNREGISTERED,
    next_slot,
    party_of,
    place_of,
)
from oadr2._core.writer cimport writer_bytes, writer_free, writer_init, writer_number

cdef extern from *:
    """
    #define DRAIN_SPACING INT64_C(1000000)
    #define OPT_GRID INT64_C(60000000)
    #define LEAST_INTERVAL INT64_C(1000000)
    #define MOST_INTERVAL INT64_C(86400000000)
    """
    const int64_t DRAIN_SPACING     # us between polls while the VTN has more (facts.md 3.2)
    const int64_t OPT_GRID          # us: a VEN takes no part from the next full minute on
    const int64_t LEAST_INTERVAL    # us; a VTN cannot make a VEN poll faster (L02)
    const int64_t MOST_INTERVAL

cdef enum:
    DRAIN_LIMIT = 20        # polls in a row that may come that close
    AT_EI_REGISTER_PARTY = 2    # as Fleet.service() gives them
    AT_EI_REPORT = 3
    INVALID_ID = 452
    NOT_REGISTERED = 463


cdef Str slice_of(const char* text, size_t length) noexcept nogil:
    return Str(text, <uint32_t>length)


cdef class FleetServices(FleetReports):
    """How the VENs of a :class:`oadr2._core.fleet.Fleet` register, poll and report."""

    def __cinit__(self):
        writer_init(&self.part)

    def __dealloc__(self):
        writer_free(&self.part)

    # -- what is sent ---------------------------------------------------------------------------

    cdef int choose(self, uint32_t row, int64_t now) noexcept:
        cdef Ven* ven = &self.vens.items[row]
        cdef Party* p = party_of(&self.vens, row)
        if ven.state == SENT_SERVICE or ven.state == SENT_POLL:  # the same once more
            return p.sent
        if p.wants & WANT_QUERY:
            p.sent = SEND_QUERY
        elif p.wants & WANT_REGISTER:
            p.sent = SEND_REGISTER
        elif p.wants & WANT_ANNOUNCE:
            p.sent = SEND_ANNOUNCE
        elif p.wants & WANT_SYNCHRONISE:
            p.sent = SEND_SYNCHRONISE
        elif p.report_at <= now:
            p.sent = SEND_REPORT
        elif p.opt_at <= now:
            p.sent = SEND_CANCEL_OPT if p.opts & 1 else SEND_CREATE_OPT
        else:
            p.sent = SEND_POLL
        return p.sent

    cdef int fill(self, uint32_t row, int outline, Str* filling, Str request_id) except -1:
        # The message into the writer; what is special about it stands in `filling` already.
        cdef const Group* g = &self.vens.groups[self.vens.items[row].group]
        cdef Party* p = party_of(&self.vens, row)
        self.room.used = 0
        filling[<int>GAP_REQUEST_ID] = request_id
        filling[<int>GAP_VEN_ID] = sent_id_of(g, row, &self.room)
        filling[<int>GAP_VEN_NAME] = ven_id_of(g, row, &self.other)
        if filling[<int>GAP_REGISTRATION_ID].ptr == NULL:
            filling[<int>GAP_REGISTRATION_ID] = registration_of(p)
        self.writer.used = 0
        write_outline(&self.writer, &g.services.outlines[outline], filling)
        if self.writer.failed or self.part.failed:
            writer_bytes(&self.part)
            writer_bytes(&self.writer)  # one of them raises
        return 0

    cdef bytes compose_service(self, uint32_t row, int64_t now):
        cdef const Group* g = &self.vens.groups[self.vens.items[row].group]
        cdef Party* p = party_of(&self.vens, row)
        cdef Str filling[GAP_COUNT]
        cdef char created[DATE_TIME_ROOM]
        cdef char dtstart[DATE_TIME_ROOM]
        cdef char digits[16]
        cdef uint64_t place = place_of(&self.vens, row)
        cdef uint64_t number = drawn(self.vens.seed, place, DRAW_REQUEST_ID, self.vens.items[row].polls)
        cdef int i
        cdef int outline = OUTLINE_POLL
        cdef int64_t first
        memset(filling, 0, sizeof(filling))
        self.other.used = 0
        for i in range(16):
            digits[i] = b"0123456789abcdef"[(number >> (60 - 4 * i)) & 15]
        filling[<int>GAP_CREATED] = slice_of(created, format_date_time(now, created))
        if p.sent == SEND_QUERY:
            outline = OUTLINE_QUERY
        elif p.sent == SEND_REGISTER:
            outline = OUTLINE_REGISTER if p.ids == NULL else OUTLINE_REGISTER_AGAIN
        elif p.sent == SEND_ANNOUNCE:
            outline = OUTLINE_ANNOUNCE
        elif p.sent == SEND_REPORT:
            outline = OUTLINE_UPDATE_REPORT + first_request(p).load
            self.part.used = 0
            first = write_intervals(&self.part, first_request(p), &g.services.loads[first_request(p).load],
                                    self.vens.seed, place, now)
            filling[<int>GAP_INTERVALS] = slice_of(self.part.data, self.part.used)
            filling[<int>GAP_DTSTART] = slice_of(dtstart, format_date_time(first, dtstart))
            filling[<int>GAP_REPORT_REQUEST_ID] = request_id_of(first_request(p))
        elif p.sent == SEND_CREATE_OPT or p.sent == SEND_CANCEL_OPT:
            outline = OUTLINE_CREATE_OPT if p.sent == SEND_CREATE_OPT else OUTLINE_CANCEL_OPT
            self.part.used = 0
            writer_number(&self.part, p.opts // 2 + 1)
            filling[<int>GAP_OPT_ID] = slice_of(self.part.data, self.part.used)
            first = on_grid(0, OPT_GRID, now)
            filling[<int>GAP_DTSTART] = slice_of(dtstart, format_date_time(first, dtstart))
        self.fill(row, outline, filling, slice_of(digits, 16))
        return PyBytes_FromStringAndSize(self.writer.data, self.writer.used)

    cdef int owe(self, uint32_t row, int outline, int service, const Verdict* verdict, Str request_id,
                 int64_t now) except -1:
        # An answer, to be sent at once.
        cdef Str filling[GAP_COUNT]
        cdef char digits[3]
        cdef Answer* answer
        memset(filling, 0, sizeof(filling))
        self.other.used = 0
        self.part.used = 0
        write_pending(&self.part, party_of(&self.vens, row))
        digits[0] = <char>(48 + verdict.code // 100)
        digits[1] = <char>(48 + verdict.code // 10 % 10)
        digits[2] = <char>(48 + verdict.code % 10)
        filling[<int>GAP_CODE] = slice_of(digits, 3)
        filling[<int>GAP_DESCRIPTION] = verdict.why
        filling[<int>GAP_PENDING] = slice_of(self.part.data, self.part.used)
        if outline == OUTLINE_CANCELED_REGISTRATION:
            filling[<int>GAP_REGISTRATION_ID] = node_text(&self.owner.message, 0, b"registration_id")
        self.fill(row, outline, filling, request_id)
        answer = answer_new(0, &self.writer)
        if answer == NULL:
            raise MemoryError()
        answer.at = now
        answer.service = <uint8_t>service
        add_answer(&self.vens.items[row].answers, answer)
        return 0

    # -- what comes back ------------------------------------------------------------------------

    cdef int expect(self, bytes body, const Group* g, int wanted, bint may_be_empty) except -1:
        # Read a reply that must be this OBJ_, with a response code 2xx if it has one; an Error, 0 for none.
        cdef Message* m = &self.owner.message
        cdef uint32_t response, code
        cdef int error
        if may_be_empty and not body.strip():
            m.kind = 0
            return 0
        error = self.read(body, g)
        if error:
            return error
        if m.kind == KIND_RESPONSE:
            error = self.check()
            if error:
                return error
        if m.kind != KIND_SERVICE or m.nodes[0].object != wanted:
            return self.fail(SCHEMA, f"{text_of(m.name)} where another message was due")
        response = response_node(m)
        code = find_node(m, response, b"response_code") if response else 0
        if code:
            m.has_response = True
            m.response_code = <uint16_t>m.nodes[code].number
            m.response_description = node_text(m, response, b"response_description")
            return self.check()
        return 0

    cdef int take_service(self, uint32_t row, Ven* ven, bytes body, int64_t now) except? -1:
        cdef const Group* g = &self.vens.groups[ven.group]
        cdef Party* p = party_of(&self.vens, row)
        cdef Message* m = &self.owner.message
        cdef int error = 0
        cdef int kind = KIND_OF_POLL
        cdef int sent = p.sent
        cdef int64_t skipped = 0
        cdef int64_t slot
        cdef uint32_t cancel
        cdef Verdict verdict
        memset(&verdict, 0, sizeof(verdict))
        if sent == SEND_QUERY:
            kind = KIND_OF_QUERY
            error = self.expect(body, g, OBJ_CREATEDPARTYREGISTRATION, False)
            if error == 0:
                p.wants &= <uint8_t>~WANT_QUERY
        elif sent == SEND_REGISTER:
            kind = KIND_OF_REGISTER
            error = self.expect(body, g, OBJ_CREATEDPARTYREGISTRATION, False)
            if error == 0:
                error = self.take_registration(row, now)
        elif sent == SEND_ANNOUNCE:
            kind = KIND_OF_ANNOUNCE
            error = self.expect(body, g, OBJ_REGISTEREDREPORT, False)
            if error == 0 or error == OADR:  # a refusal stands
                p.wants &= <uint8_t>~WANT_ANNOUNCE
            if error == 0:
                drop_requests(p)  # they rest on the former METADATA (D19)
                if find_node(m, 0, b"report_requests"):
                    refuse(&verdict, 200, b"OK")
                    self.take_requests(p, g.services, now, &verdict)
                    cancel = response_node(m)
                    self.owe(row, OUTLINE_CREATED_REPORT, AT_EI_REPORT, &verdict,
                             node_text(m, cancel, b"request_id") if cancel else Str(NULL, 0), now)
        elif sent == SEND_REPORT:
            kind = KIND_OF_REPORT
            error = self.expect(body, g, OBJ_UPDATEDREPORT, True)
            if error == 0 or error == OADR:  # refused once, refused for ever
                delivered(p, first_request(p), ven.sent)
            if error == 0:
                self.figures.counts[REPORTS_SENT] += 1
                cancel = find_node(m, 0, b"cancel_report") if m.kind == KIND_SERVICE else 0
                if cancel:
                    self.cancel_reports(p, cancel, now, &verdict)
        elif sent == SEND_CREATE_OPT or sent == SEND_CANCEL_OPT:
            kind = KIND_OF_CREATE_OPT if sent == SEND_CREATE_OPT else KIND_OF_CANCEL_OPT
            error = self.expect(body, g, OBJ_CREATEDOPT if sent == SEND_CREATE_OPT else OBJ_CANCELEDOPT, False)
            if error == 0 or error == OADR:  # a refusal stands, and what was refused is not taken back
                p.opts += 1 if error == 0 or sent == SEND_CANCEL_OPT else 2
                plan_opts(p, g.services, self.vens.seed, place_of(&self.vens, row), now)
            if error == 0:
                self.figures.counts[OPTS_SENT if sent == SEND_CREATE_OPT else OPTS_CANCELLED] += 1
        else:
            error = self.take_poll(row, body, now)
        self.figures.counts[EXCHANGES] += 1
        ven.polls += 1
        self.figures.note_service(kind, now - ven.sent, now - ven.intended)
        if error:
            self.note_refusal(row, error)
            self.failed(row, now, 0)
            return -error
        ven.failures = 0
        if sent == SEND_POLL:
            ven.flags &= <uint8_t>~(ANSWER_FAILED | POLL_DUE)
            if ven.flags & POLLS:
                slot = next_slot(&self.vens, row, ven.sent, now, &skipped)
                if p.drained and p.drained < DRAIN_LIMIT:
                    slot = min(slot, now + DRAIN_SPACING)
                else:
                    p.drained = 0
                ven.next_poll = min(ven.next_poll, slot)
                self.figures.counts[SKIPPED] += <uint64_t>skipped
        return self.go_on(row, now)

    cdef int take_registration(self, uint32_t row, int64_t now) except -1:
        cdef Ven* ven = &self.vens.items[row]
        cdef const Group* g = &self.vens.groups[ven.group]
        cdef Party* p = party_of(&self.vens, row)
        cdef Message* m = &self.owner.message
        cdef Str registration_id = node_text(m, 0, b"registration_id")
        cdef Str ven_id = node_text(m, 0, b"ven_id")
        cdef int64_t interval = duration_of(m, 0, b"requested_oadr_poll_freq")
        if ven_id.len == 0 and (p.ids != NULL or g.services.own_ids):
            self.room.used = 0
            ven_id = sent_id_of(g, row, &self.room)
        if registration_id.len == 0 or ven_id.len == 0:
            missing = "ven" if registration_id.len else "registration"
            return self.fail(SCHEMA, f"the oadrCreatedPartyRegistration has no {missing}ID")
        if party_register(p, registration_id, ven_id) != 0:
            raise MemoryError()
        if ven.registration != REGISTERED:
            self.registered_count += 1
        ven.registration = REGISTERED
        self.figures.counts[REGISTRATIONS] += 1
        p.wants = WANT_ANNOUNCE | WANT_SYNCHRONISE  # P08, L06
        p.drained = 0
        ven.interval = max(LEAST_INTERVAL, min(MOST_INTERVAL, interval if interval > 0 else g.services.poll_interval))
        ven.first = now
        if p.opt_at == FOREVER:
            plan_opts(p, g.services, self.vens.seed, place_of(&self.vens, row), now)
        return 0

    cdef int take_poll(self, uint32_t row, bytes body, int64_t now) except -1:
        cdef Ven* ven = &self.vens.items[row]
        cdef const Group* g = &self.vens.groups[ven.group]
        cdef Party* p = party_of(&self.vens, row)
        cdef Message* m = &self.owner.message
        cdef int error = self.read(body, g)
        if error:
            return error
        if m.kind == KIND_RESPONSE:
            p.drained = 0
            return self.check()
        if m.kind == KIND_DISTRIBUTE_EVENT:
            error = self.check()
            if error == 0:
                self.apply(row, ven, g, now)
        elif m.kind == KIND_SERVICE:
            error = self.take_asked(row, now)
        else:
            error = self.fail(SCHEMA, f"{text_of(m.name)} is not for a VEN")
        if error == 0:
            p.drained += 1
        return error

    cdef int take_asked(self, uint32_t row, int64_t now) except -1:
        # What the VTN wants of this row: done, and answered (facts.md 3.2).
        cdef const Group* g = &self.vens.groups[self.vens.items[row].group]
        cdef Party* p = party_of(&self.vens, row)
        cdef Message* m = &self.owner.message
        cdef Str request_id = node_text(m, 0, b"request_id")
        cdef int asked = m.nodes[0].object
        cdef Verdict verdict
        memset(&verdict, 0, sizeof(verdict))
        refuse(&verdict, 200, b"OK")
        if asked == OBJ_CREATEREPORT:
            self.take_requests(p, g.services, now, &verdict)
            if verdict.metadata:
                p.wants |= WANT_ANNOUNCE
            return self.owe(row, OUTLINE_CREATED_REPORT, AT_EI_REPORT, &verdict, request_id, now)
        if asked == OBJ_CANCELREPORT:
            self.cancel_reports(p, 0, now, &verdict)
            return self.owe(row, OUTLINE_CANCELED_REPORT, AT_EI_REPORT, &verdict, request_id, now)
        if asked == OBJ_REGISTERREPORT:
            return self.owe(row, OUTLINE_REGISTERED_REPORT, AT_EI_REPORT, &verdict, request_id, now)
        if asked == OBJ_UPDATEREPORT:
            return self.owe(row, OUTLINE_UPDATED_REPORT, AT_EI_REPORT, &verdict, request_id, now)
        if asked == OBJ_REQUESTREREGISTRATION:
            p.wants |= WANT_REGISTER
            return self.owe(row, OUTLINE_RESPONSE, AT_EI_REGISTER_PARTY, &verdict, Str(NULL, 0), now)
        if asked == OBJ_CANCELPARTYREGISTRATION:
            return self.cancel_registration(row, now)
        return self.fail(SCHEMA, f"{text_of(m.name)} is not for a VEN")

    # -- the end of a registration --------------------------------------------------------------

    cdef int cancel_registration(self, uint32_t row, int64_t now) except -1:
        cdef Ven* ven = &self.vens.items[row]
        cdef const Group* g = &self.vens.groups[ven.group]
        cdef Message* m = &self.owner.message
        cdef Str ven_id = node_text(m, 0, b"ven_id")
        cdef Str own
        cdef Verdict verdict
        memset(&verdict, 0, sizeof(verdict))
        refuse(&verdict, 200, b"OK")
        self.room.used = 0
        own = sent_id_of(g, row, &self.room)
        if (not same_text(node_text(m, 0, b"registration_id"), registration_of(party_of(&self.vens, row)))
                or ven_id.ptr != NULL and not same_text(ven_id, own)):
            refuse(&verdict, INVALID_ID, b"these ids are not of our registration")
        self.owe(row, OUTLINE_CANCELED_REGISTRATION, AT_EI_REGISTER_PARTY, &verdict,
                 node_text(m, 0, b"request_id"), now)
        if verdict.code == 200:
            self.forget(row)
            ven.registration = CANCELLED
            if ven.flags & POLLS:
                ven.flags &= <uint8_t>~POLLS
                self.polling_count -= 1
            ven.next_poll = FOREVER
            self.figures.counts[REGISTRATIONS_CANCELLED] += 1
        return 0

    cdef int note_refusal(self, uint32_t row, int error) except -1:
        cdef Ven* ven = &self.vens.items[row]
        if error == OADR and self.owner.message.response_code == NOT_REGISTERED and ven.registration == REGISTERED:
            self.forget(row)
            ven.registration = UNREGISTERED
            party_of(&self.vens, row).wants = WANT_REGISTER
            self.figures.counts[REGISTRATIONS_LOST] += 1
        return 0

    cdef int forget(self, uint32_t row) except -1:
        cdef Party* p = party_of(&self.vens, row)
        if self.vens.items[row].registration == REGISTERED:
            self.registered_count -= 1
        party_forget(p)
        p.wants = 0
        p.drained = 0
        return 0

    # -- for people -----------------------------------------------------------------------------

    @property
    def registered(self):
        """How many VENs are registered now."""
        return self.registered_count

    def registration(self, uint32_t row):
        """(registrationID, venID) that the VTN gave a row; None: it is not registered."""
        cdef Ven* ven = self.ven(row)
        cdef Party* p
        if ven.registration != REGISTERED:
            return None
        p = party_of(&self.vens, row)
        self.room.used = 0
        return (text_of(registration_of(p)),
                text_of(sent_id_of(&self.vens.groups[ven.group], row, &self.room)))

    def load(self, uint32_t row, uint32_t point, int64_t moment):
        """What a point of a row's first report measures at a moment."""
        cdef Ven* ven = self.ven(row)
        cdef const Services* s = self.vens.groups[ven.group].services
        if s == NULL or not s.load_count or point >= s.loads[0].point_count:
            raise IndexError(f"row {row} reports no point {point}")
        return load_at(&s.loads[0], self.vens.seed, place_of(&self.vens, row), point, moment) / 1000.0
