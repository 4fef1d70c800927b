"""The only thing that escapes, and the messages a VEN sends: C values in, UTF-8 bytes out, without the GIL.

Nothing here raises. A writer notes its first failure and can be filled on without harm; the ``write_``
functions return that failure (0 is good), and ``writer_bytes`` turns it into an exception.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, strlen

from oadr2._core.message cimport AnswerData
from oadr2._core.text cimport Str


cdef enum WriteError:
    WRITE_MEMORY = -1
    WRITE_CHARACTER = -2    # a text holds something that is no XML character
    WRITE_VALUE = -3        # a response code that has not three digits; an unknown opt, profile or kind


cdef struct Writer:
    char* data
    size_t used
    size_t room
    int failed              # 0 or WRITE_*


cdef void writer_init(Writer* w) noexcept nogil
cdef void writer_free(Writer* w) noexcept nogil
# Makes room for `size` more bytes; returns w.failed.
cdef int writer_grow(Writer* w, size_t size) noexcept nogil
# Text between tags: & < > escaped, a carriage return as a character reference.
cdef void writer_text(Writer* w, Str text) noexcept nogil
# Text between double quotes: also the quote, the tab and the line feed.
cdef void writer_attribute(Writer* w, Str text) noexcept nogil
cdef void writer_number(Writer* w, uint64_t number) noexcept nogil
# Puts bytes where `at` bytes precede them.
cdef void writer_insert(Writer* w, size_t at, const char* data, size_t size) noexcept nogil
# What was written, as bytes; frees the writer. MemoryError or LocalProtocolError if it had failed.
cdef bytes writer_bytes(Writer* w)
# Whether every character is an XML character; the text must be UTF-8.
cdef bint is_xml_text(Str text) noexcept nogil
# A text of a configuration that can be written; `kept` keeps alive what it points to. ConfigurationError.
cdef Str kept_text(str text, str what, list kept) except *


cdef inline void writer_put(Writer* w, const char* data, size_t size) noexcept nogil:
    """`size` bytes (at least one) as they are."""
    if w.room - w.used < size and writer_grow(w, size) != 0:
        return
    memcpy(w.data + w.used, data, size)
    w.used += size


cdef inline void put(Writer* w, const char* literal) noexcept nogil:
    """A constant; the compiler knows its length."""
    writer_put(w, literal, strlen(literal))


# The parts messages are made of. `kind` is KIND_*, `profile` PROFILE_*; 2.0a is never wrapped.
cdef void write_open(Writer* w, int kind, int profile, bint wrap) noexcept nogil
cdef void write_close(Writer* w, int kind, int profile, bint wrap) noexcept nogil
# How many bytes precede the place for more namespace declarations on the root that write_open wrote.
cdef size_t namespaces_end(int kind, int profile, bint wrap) noexcept nogil
# reply_limit: NO_NUMBER for none
cdef void write_request(Writer* w, Str ven_id, Str request_id, int64_t reply_limit) noexcept nogil
cdef void write_ei_response(Writer* w, int code, Str description, Str request_id) noexcept nogil


# Whole messages, as the hot path sends them: 0 or WRITE_*. A Str with ptr NULL is an absent element
# where the schema lets it be absent, an empty one elsewhere.
cdef int write_request_event(Writer* w, int profile, bint wrap, Str ven_id, Str request_id,
                             int64_t reply_limit) noexcept nogil
# eventResponses is left out when there is no answer and the code reports an error (facts.md E08).
cdef int write_created_event(Writer* w, int profile, bint wrap, Str ven_id,
                             const AnswerData* answers, uint32_t count, int code, Str description,
                             Str request_id) noexcept nogil
# ven_id is written in 2.0b only: 2.0a has no place for it.
cdef int write_response(Writer* w, int profile, bint wrap, int code, Str description,
                        Str request_id, Str ven_id) noexcept nogil
