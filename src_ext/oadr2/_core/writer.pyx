"""The writer: a growing buffer, the escaping, and the messages a VEN sends (facts.md 1.2, 1.4, 1.5)."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove

from oadr2._core.message cimport (
    KIND_CREATED_EVENT,
    KIND_REQUEST_EVENT,
    KIND_RESPONSE,
    OPT_IN,
    OPT_OUT,
    PROFILE_A,
    PROFILE_B,
    AnswerData,
)
from oadr2._core.text cimport Str

from oadr2.errors import ConfigurationError, LocalProtocolError

cdef extern from *:
    """
    /* What a byte needs before it may stand in a text or an attribute. */
    enum { IN_TEXT = 1, IN_ATTRIBUTE = 2, REFUSED = 4, CLOSER_LOOK = 8 };
    static const unsigned char NEEDS[256] = {
        [0x00 ... 0x08] = REFUSED, [0x0B ... 0x0C] = REFUSED, [0x0E ... 0x1F] = REFUSED,
        ['\\t'] = IN_ATTRIBUTE, ['\\n'] = IN_ATTRIBUTE, ['"'] = IN_ATTRIBUTE,
        ['\\r'] = IN_TEXT | IN_ATTRIBUTE, ['&'] = IN_TEXT | IN_ATTRIBUTE,
        ['<'] = IN_TEXT | IN_ATTRIBUTE, ['>'] = IN_TEXT | IN_ATTRIBUTE,
        [0xED] = CLOSER_LOOK,   /* surrogates: ED A0..BF xx */
        [0xEF] = CLOSER_LOOK,   /* U+FFFE and U+FFFF: EF BF BE, EF BF BF */
    };

    /* The start and the end of each message, with the declarations every message needs. */
    #define DECLARATION "<?xml version=\\"1.0\\" encoding=\\"UTF-8\\"?>\\n"
    #define NAMESPACES(oadr) \\
        " xmlns:oadr=\\"" oadr "\\"" \\
        " xmlns:ei=\\"http://docs.oasis-open.org/ns/energyinterop/201110\\"" \\
        " xmlns:pyld=\\"http://docs.oasis-open.org/ns/energyinterop/201110/payloads\\""
    #define NAMESPACES_A NAMESPACES("http://openadr.org/oadr-2.0a/2012/07")
    #define NAMESPACES_B NAMESPACES("http://openadr.org/oadr-2.0b/2012/07")
    #define VERSION_B " ei:schemaVersion=\\"2.0b\\""
    #define PART(text) text, sizeof(text) - 1
    #define FRAME(root, rest, end) \\
        { PART(DECLARATION root rest), PART(end), sizeof(DECLARATION root) - 1 }
    #define FRAMES(name) { \\
        FRAME("<oadr:" name NAMESPACES_A, ">", "</oadr:" name ">"), \\
        FRAME("<oadr:" name NAMESPACES_B, VERSION_B ">", "</oadr:" name ">"), \\
        FRAME("<oadr:oadrPayload" NAMESPACES_B, \\
              "><oadr:oadrSignedObject><oadr:" name VERSION_B ">", \\
              "</oadr:" name "></oadr:oadrSignedObject></oadr:oadrPayload>") }

    typedef struct {
        const char* open; size_t open_size; const char* close; size_t close_size;
        size_t namespaces_end;
    } Frame;
    static const Frame FRAMES_OF[4][3] = {   /* in the order of MessageKind; 2.0a, bare, wrapped */
        FRAMES("oadrRequestEvent"), FRAMES("oadrDistributeEvent"),
        FRAMES("oadrCreatedEvent"), FRAMES("oadrResponse"),
    };
    """
    const uint8_t IN_TEXT
    const uint8_t IN_ATTRIBUTE
    const uint8_t REFUSED
    const uint8_t CLOSER_LOOK
    const uint8_t NEEDS[256]
    ctypedef struct Frame:
        const char* open
        size_t open_size
        const char* close
        size_t close_size
        size_t namespaces_end
    const Frame FRAMES_OF[4][3]


cdef enum:
    FIRST_ROOM = 1024       # a request or an answer to one event fits


# The buffer

cdef void writer_init(Writer* w) noexcept nogil:
    w.data = NULL
    w.used = 0
    w.room = 0
    w.failed = 0


cdef void writer_free(Writer* w) noexcept nogil:
    free(w.data)
    w.data = NULL
    w.used = 0
    w.room = 0
    w.failed = 0


cdef int writer_grow(Writer* w, size_t size) noexcept nogil:
    cdef size_t room = w.room * 2 if w.room else FIRST_ROOM
    cdef char* data
    if w.failed == WRITE_MEMORY:
        return w.failed
    if size > (<size_t>-1) // 4 - w.used:
        w.failed = WRITE_MEMORY
        return w.failed
    while room - w.used < size:
        room *= 2
    data = <char*>realloc(w.data, room)
    if data == NULL:
        w.failed = WRITE_MEMORY
        return w.failed
    w.data = data
    w.room = room
    return 0


cdef void writer_insert(Writer* w, size_t at, const char* data, size_t size) noexcept nogil:
    if w.room - w.used < size and writer_grow(w, size) != 0:
        return
    memmove(w.data + at + size, w.data + at, w.used - at)
    memcpy(w.data + at, data, size)
    w.used += size


cdef bytes writer_bytes(Writer* w):
    cdef int failed = w.failed
    try:
        if failed == 0:
            return PyBytes_FromStringAndSize(w.data, <Py_ssize_t>w.used)
    finally:
        writer_free(w)
    if failed == WRITE_MEMORY:
        raise MemoryError
    if failed == WRITE_CHARACTER:
        raise LocalProtocolError("a text holds a character that XML does not allow")
    raise LocalProtocolError(
        "a response code has not three digits, or an optType or the profile is unknown"
    )


# Escaping

cdef void escape_byte(Writer* w, char byte) noexcept nogil:
    if byte == b"&":
        put(w, b"&amp;")
    elif byte == b"<":
        put(w, b"&lt;")
    elif byte == b">":
        put(w, b"&gt;")
    elif byte == b'"':
        put(w, b"&quot;")
    elif byte == b"\r":
        put(w, b"&#13;")
    elif byte == b"\n":
        put(w, b"&#10;")
    else:
        put(w, b"&#9;")


cdef bint no_character(const uint8_t* p, const uint8_t* end) noexcept nogil:
    """Whether the character that begins with ED or EF is a surrogate, U+FFFE or U+FFFF."""
    if end - p < 3:
        return True
    if p[0] == 0xED:
        return p[1] >= 0xA0
    return p[1] == 0xBF and p[2] >= 0xBE


cdef void write_escaped(Writer* w, Str text, uint8_t place) noexcept nogil:
    cdef const uint8_t* p = <const uint8_t*>text.ptr
    cdef const uint8_t* end
    cdef const uint8_t* run
    cdef uint8_t needs
    if text.ptr == NULL:
        return
    end = p + text.len
    run = p
    while p < end:
        needs = NEEDS[p[0]]
        if not needs & (place | REFUSED | CLOSER_LOOK):
            p += 1
            continue
        if needs & REFUSED or needs & CLOSER_LOOK and no_character(p, end):
            if w.failed == 0:
                w.failed = WRITE_CHARACTER
            return
        if needs & place:
            if p > run:
                writer_put(w, <const char*>run, p - run)
            escape_byte(w, <char>p[0])
            run = p + 1
        p += 1
    if p > run:
        writer_put(w, <const char*>run, p - run)


cdef void writer_text(Writer* w, Str text) noexcept nogil:
    write_escaped(w, text, IN_TEXT)


cdef void writer_attribute(Writer* w, Str text) noexcept nogil:
    write_escaped(w, text, IN_ATTRIBUTE)


cdef bint is_xml_text(Str text) noexcept nogil:
    cdef const uint8_t* p = <const uint8_t*>text.ptr
    cdef const uint8_t* end
    if text.ptr == NULL:
        return True
    end = p + text.len
    while p < end:
        if NEEDS[p[0]] & REFUSED or NEEDS[p[0]] & CLOSER_LOOK and no_character(p, end):
            return False
        p += 1
    return True


cdef void writer_number(Writer* w, uint64_t number) noexcept nogil:
    cdef char digits[20]
    cdef int at = 20
    while True:
        at -= 1
        digits[at] = <char>(48 + number % 10)
        number //= 10
        if number == 0:
            break
    writer_put(w, digits + at, 20 - at)


# What messages are made of

cdef const Frame* frame_of(int kind, int profile, bint wrap) noexcept nogil:
    if kind < KIND_REQUEST_EVENT or kind > KIND_RESPONSE:
        return NULL
    if profile == PROFILE_A:
        return &FRAMES_OF[kind - KIND_REQUEST_EVENT][0]
    if profile == PROFILE_B:
        return &FRAMES_OF[kind - KIND_REQUEST_EVENT][2 if wrap else 1]
    return NULL


cdef void write_open(Writer* w, int kind, int profile, bint wrap) noexcept nogil:
    cdef const Frame* frame = frame_of(kind, profile, wrap)
    if frame == NULL:
        w.failed = WRITE_VALUE
        return
    writer_put(w, frame.open, frame.open_size)


cdef void write_close(Writer* w, int kind, int profile, bint wrap) noexcept nogil:
    cdef const Frame* frame = frame_of(kind, profile, wrap)
    if frame != NULL:
        writer_put(w, frame.close, frame.close_size)


cdef size_t namespaces_end(int kind, int profile, bint wrap) noexcept nogil:
    cdef const Frame* frame = frame_of(kind, profile, wrap)
    return 0 if frame == NULL else frame.namespaces_end


cdef void write_code(Writer* w, int code) noexcept nogil:
    cdef char digits[3]
    if code < 100 or code > 999:
        if w.failed == 0:
            w.failed = WRITE_VALUE
        return
    digits[0] = <char>(48 + code // 100)
    digits[1] = <char>(48 + code // 10 % 10)
    digits[2] = <char>(48 + code % 10)
    writer_put(w, digits, 3)


cdef void write_outcome(Writer* w, int code, Str description, Str request_id) noexcept nogil:
    put(w, b"<ei:responseCode>")
    write_code(w, code)
    if description.ptr != NULL:
        put(w, b"</ei:responseCode><ei:responseDescription>")
        writer_text(w, description)
        put(w, b"</ei:responseDescription><pyld:requestID>")
    else:
        put(w, b"</ei:responseCode><pyld:requestID>")
    writer_text(w, request_id)
    put(w, b"</pyld:requestID>")


cdef void write_ei_response(Writer* w, int code, Str description, Str request_id) noexcept nogil:
    put(w, b"<ei:eiResponse>")
    write_outcome(w, code, description, request_id)
    put(w, b"</ei:eiResponse>")


cdef void write_event_response(Writer* w, const AnswerData* answer) noexcept nogil:
    put(w, b"<ei:eventResponse>")
    write_outcome(w, answer.response_code, answer.response_description, answer.request_id)
    put(w, b"<ei:qualifiedEventID><ei:eventID>")
    writer_text(w, answer.event_id)
    put(w, b"</ei:eventID><ei:modificationNumber>")
    writer_number(w, answer.modification_number)
    put(w, b"</ei:modificationNumber></ei:qualifiedEventID><ei:optType>")
    if answer.opt == OPT_IN:
        put(w, b"optIn")
    elif answer.opt == OPT_OUT:
        put(w, b"optOut")
    elif w.failed == 0:
        w.failed = WRITE_VALUE
    put(w, b"</ei:optType></ei:eventResponse>")


cdef void write_request(Writer* w, Str ven_id, Str request_id, int64_t reply_limit) noexcept nogil:
    put(w, b"<pyld:eiRequestEvent><pyld:requestID>")
    writer_text(w, request_id)
    put(w, b"</pyld:requestID><ei:venID>")
    writer_text(w, ven_id)
    if reply_limit < 0:
        put(w, b"</ei:venID></pyld:eiRequestEvent>")
        return
    put(w, b"</ei:venID><pyld:replyLimit>")
    writer_number(w, <uint64_t>reply_limit)
    put(w, b"</pyld:replyLimit></pyld:eiRequestEvent>")


# Whole messages

cdef int write_request_event(Writer* w, int profile, bint wrap, Str ven_id, Str request_id,
                             int64_t reply_limit) noexcept nogil:
    write_open(w, KIND_REQUEST_EVENT, profile, wrap)
    write_request(w, ven_id, request_id, reply_limit)
    write_close(w, KIND_REQUEST_EVENT, profile, wrap)
    return w.failed


cdef int write_created_event(Writer* w, int profile, bint wrap, Str ven_id,
                             const AnswerData* answers, uint32_t count, int code, Str description,
                             Str request_id) noexcept nogil:
    cdef uint32_t i
    write_open(w, KIND_CREATED_EVENT, profile, wrap)
    put(w, b"<pyld:eiCreatedEvent>")
    write_ei_response(w, code, description, request_id)
    if count > 0 or 200 <= code <= 299:
        put(w, b"<ei:eventResponses>")
        for i in range(count):
            write_event_response(w, &answers[i])
        put(w, b"</ei:eventResponses>")
    put(w, b"<ei:venID>")
    writer_text(w, ven_id)
    put(w, b"</ei:venID></pyld:eiCreatedEvent>")
    write_close(w, KIND_CREATED_EVENT, profile, wrap)
    return w.failed


cdef int write_response(Writer* w, int profile, bint wrap, int code, Str description,
                        Str request_id, Str ven_id) noexcept nogil:
    write_open(w, KIND_RESPONSE, profile, wrap)
    write_ei_response(w, code, description, request_id)
    if ven_id.ptr != NULL and profile == PROFILE_B:
        put(w, b"<ei:venID>")
        writer_text(w, ven_id)
        put(w, b"</ei:venID>")
    write_close(w, KIND_RESPONSE, profile, wrap)
    return w.failed


cdef Str kept_text(str text, str what, list kept) except *:
    cdef bytes encoded
    cdef Str s
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(f"{what} {text!r} cannot be written into XML") from None
    s.ptr = PyBytes_AS_STRING(encoded)
    s.len = <uint32_t>PyBytes_GET_SIZE(encoded)
    if not is_xml_text(s):
        raise ConfigurationError(f"{what} {text!r} cannot be written into XML")
    kept.append(encoded)
    return s


def escaped(str text, *, bint attribute=False):
    """``text`` as it is written between tags, or between double quotes, in UTF-8.

    Raises:
        LocalProtocolError: a character that XML does not allow.
    """
    cdef Writer w
    cdef Str part
    cdef bytes data
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise LocalProtocolError("a text holds a character that XML does not allow") from None
    if len(data) > 0xFFFFFFFF:
        raise LocalProtocolError("a text is longer than four gigabytes")
    if not data:
        return b""
    part.ptr = data
    part.len = <uint32_t>len(data)
    writer_init(&w)
    if attribute:
        writer_attribute(&w, part)
    else:
        writer_text(&w, part)
    return writer_bytes(&w)
