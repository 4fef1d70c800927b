"""Model objects to bytes (facts.md 1.2, 1.4), valid against both editions of the schema (G01, G02).

Everything the schema insists on is checked; what does not fit is named by its attribute path.
"""

from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport strlen

from oadr2._core.encode_event cimport put_event
from oadr2._core.encode_service cimport put_service, service_row
from oadr2._core.fields cimport FieldWriter, must_be
from oadr2._core.message cimport (
    KIND_DISTRIBUTE_EVENT,
    KIND_REQUEST_EVENT,
    OPT_IN,
    OPT_OUT,
    PROFILE_A,
    PROFILE_B,
    AnswerData,
)
from oadr2._core.writer cimport (
    namespaces_end,
    put,
    write_close,
    write_created_event,
    write_ei_response,
    write_open,
    write_request,
    write_response,
    writer_bytes,
    writer_insert,
)
from oadr2._core.text cimport Str

from oadr2.errors import LocalProtocolError
from oadr2.model import (
    CreatedEvent,
    DistributeEvent,
    EiResponse,
    EventResponse,
    RequestEvent,
    Response,
    UnknownMessage,
)


cdef int put_distribute_event(FieldWriter f, object message, bint wrap) except -1:
    cdef Outcome outcome
    cdef Py_ssize_t i
    events = f.as_items(message.events, b"events")
    write_open(&f.w, KIND_DISTRIBUTE_EVENT, f.profile, wrap)
    if message.response is not None:
        texts = as_outcome(f, message.response, &outcome)
        write_ei_response(&f.w, outcome.code, outcome.description, outcome.request_id)
    put(&f.w, b"<pyld:requestID>")
    f.text(message.request_id, b"request_id")
    put(&f.w, b"</pyld:requestID><ei:vtnID>")
    f.id_text(message.vtn_id, b"vtn_id")
    put(&f.w, b"</ei:vtnID>")
    for i in range(len(events)):
        f.enter(b"events", i)
        put_event(f, events[i])
        f.leave()
    write_close(&f.w, KIND_DISTRIBUTE_EVENT, f.profile, wrap)
    if len(events):
        declare_namespaces(f, namespaces_end(KIND_DISTRIBUTE_EVENT, f.profile, wrap))
    return 0


cdef void declare_namespaces(FieldWriter f, size_t at) noexcept:
    """Those that only events need, and only some of them."""
    cdef const char* always = (
        b' xmlns:emix="http://docs.oasis-open.org/ns/emix/2011/06"'
        b' xmlns:xcal="urn:ietf:params:xml:ns:icalendar-2.0"'
        b' xmlns:strm="urn:ietf:params:xml:ns:icalendar-2.0:stream"'
    )
    cdef const char* power = b' xmlns:power="http://docs.oasis-open.org/ns/emix/2011/06/power"'
    cdef const char* scale = b' xmlns:scale="http://docs.oasis-open.org/ns/emix/2011/06/siscale"'
    if f.with_scale:
        writer_insert(&f.w, at, scale, strlen(scale))
    if f.with_power:
        writer_insert(&f.w, at, power, strlen(power))
    writer_insert(&f.w, at, always, strlen(always))


cdef struct Outcome:        # an EiResponse
    int code
    Str description
    Str request_id


cdef object as_outcome(FieldWriter f, object response, Outcome* outcome):
    """Reads message.response; what it returns keeps the texts alive."""
    f.enter(b"response", -1)
    f.expect(response, EiResponse)
    texts = response.response_description, response.request_id
    f.as_optional_text(texts[0], b"response_description", &outcome.description)
    f.as_text(texts[1], b"request_id", &outcome.request_id)
    outcome.code = f.as_code(response.response_code, b"response_code")
    f.leave()
    return texts


cdef int put_request_event(FieldWriter f, object message, bint wrap) except -1:
    cdef Str ven_id, request_id
    cdef int64_t reply_limit = -1
    texts = message.ven_id, message.request_id
    f.as_id(texts[0], b"ven_id", &ven_id)
    f.as_text(texts[1], b"request_id", &request_id)
    if message.reply_limit is not None:
        reply_limit = f.as_unsigned(message.reply_limit, b"reply_limit")
    write_open(&f.w, KIND_REQUEST_EVENT, f.profile, wrap)
    write_request(&f.w, ven_id, request_id, reply_limit)
    write_close(&f.w, KIND_REQUEST_EVENT, f.profile, wrap)
    return 0


cdef int put_created_event(FieldWriter f, object message, bint wrap) except -1:
    cdef Str ven_id
    cdef Outcome outcome
    cdef AnswerData* answers
    cdef Py_ssize_t i, count
    cdef list texts = [message.ven_id]  # keeps alive what the answers point into
    f.as_id(texts[0], b"ven_id", &ven_id)
    texts.append(as_outcome(f, message.response, &outcome))
    responses = f.as_items(message.event_responses, b"event_responses")
    count = len(responses)
    answers = <AnswerData*>calloc(count + 1, sizeof(AnswerData))
    if answers == NULL:
        raise MemoryError
    try:
        for i in range(count):
            f.enter(b"event_responses", i)
            texts.append(as_answer(f, responses[i], &answers[i]))
            f.leave()
        write_created_event(
            &f.w, f.profile, wrap, ven_id, answers, <uint32_t>count, outcome.code,
            outcome.description, outcome.request_id,
        )
    finally:
        free(answers)
    return 0


cdef object as_answer(FieldWriter f, object response, AnswerData* answer):
    """Reads an EventResponse; what it returns keeps the texts alive."""
    f.expect(response, EventResponse)
    texts = response.event_id, response.request_id, response.response_description
    f.as_id(texts[0], b"event_id", &answer.event_id)
    f.as_text(texts[1], b"request_id", &answer.request_id)
    f.as_optional_text(texts[2], b"response_description", &answer.response_description)
    answer.modification_number = <uint32_t>f.as_unsigned(
        response.modification_number, b"modification_number"
    )
    answer.response_code = <uint16_t>f.as_code(response.response_code, b"response_code")
    if response.opt_type == "optIn":
        answer.opt = OPT_IN
    elif response.opt_type == "optOut":
        answer.opt = OPT_OUT
    else:
        raise f.wrong(b"opt_type", f"{response.opt_type!r} is none of optIn, optOut")
    return texts


cdef int put_response(FieldWriter f, object message, bint wrap) except -1:
    cdef Str ven_id
    cdef Outcome outcome
    ven_id_text = message.ven_id
    if ven_id_text is not None:
        f.only_2_0b(b"ven_id")
    f.as_optional_text(ven_id_text, b"ven_id", &ven_id)
    texts = as_outcome(f, message.response, &outcome)
    write_response(
        &f.w, f.profile, wrap, outcome.code, outcome.description, outcome.request_id, ven_id
    )
    return 0


def encode(message, *, bint wrap=True):
    """The bytes of a message: UTF-8, with an XML declaration (facts.md 1.2 to 1.5).

    A 2.0b message is wrapped in ``oadrPayload/oadrSignedObject`` unless ``wrap`` is False (S01); a
    2.0a message never is. An ``UnknownMessage`` gives its ``raw`` bytes unchanged; the ``raw`` of an
    event is not looked at, its fields are. The 2.0a schema demands currentValue and x-eiNotification:
    where the event has none, 0.0 and PT0S are written (E51, E52). Parts of a unit that the schema
    fixes (facts.md 1.9) are filled in.

    Raises:
        LocalProtocolError: the message lacks something or holds what cannot be sent; the text names
            the attribute, as in ``events[2].signals[0].intervals[1].value: must be finite, not nan``.
    """
    cdef FieldWriter f
    cdef int service = service_row(message)
    if service:
        f = FieldWriter()
        f.profile = PROFILE_B
        put_service(f, message, service, wrap)
        return writer_bytes(&f.w)
    if isinstance(message, UnknownMessage):
        return raw_bytes(message.raw)
    if not isinstance(message, (RequestEvent, CreatedEvent, Response, DistributeEvent)):
        raise LocalProtocolError(
            f"cannot encode {type(message).__name__}: it is no message of oadr2.model"
        )
    f = FieldWriter()
    if message.profile == "2.0a":
        f.profile = PROFILE_A
    elif message.profile == "2.0b":
        f.profile = PROFILE_B
    else:
        raise LocalProtocolError(f"profile: {message.profile!r} is none of 2.0a, 2.0b")
    if isinstance(message, RequestEvent):
        put_request_event(f, message, wrap)
    elif isinstance(message, CreatedEvent):
        put_created_event(f, message, wrap)
    elif isinstance(message, Response):
        put_response(f, message, wrap)
    else:
        put_distribute_event(f, message, wrap)
    return writer_bytes(&f.w)


cdef object raw_bytes(object raw):
    if not isinstance(raw, bytes):
        raise LocalProtocolError(f"raw: {must_be('bytes', raw)}")
    if not raw:
        raise LocalProtocolError("raw: is empty; only a decoded UnknownMessage can be sent")
    return raw
