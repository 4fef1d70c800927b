"""Payload bytes to a ``Message``, in one pass.

The walk follows the state table that generate_tables.py makes from the schema: an element leads from
its parent's state to its own, unknown elements are passed over, order does not matter
(field-notes.md 6). A fault inside an event is noted with the event and spoils only that event.
"""

from oadr2._core.message cimport DecodeLimits, Message

# 0, or -1 with m.error and m.error_offset. `m` must have been initialised or cleared; data[size] must
# be a zero byte, and the data must outlive the message.
cdef int decode_message(Message* m, const char* data, size_t size,
                        const DecodeLimits* limits) noexcept nogil
