"""From C structs to the objects of oadr2.model, made when somebody asks for them."""

from oadr2._core.message cimport (
    DecodeLimits,
    EventData,
    IntervalData,
    Message,
    SignalData,
    TargetEntry,
)


cdef class MessageOwner:
    """A decoded message together with the bytes it points into."""

    cdef Message message
    cdef bytes data


# A model.Event; `problems` is a tuple of model.Problem, `raw` the event as a document.
cdef object event_object(const EventData* event, const SignalData* signals,
                         const IntervalData* intervals, const TargetEntry* targets,
                         tuple problems, bytes raw)
# The model.Problem objects of event `index` of the message; of the message itself for -1.
cdef tuple event_problems(const Message* m, int index)
# The RemoteProtocolError for a message that decode_message refused.
cdef object decode_error(const Message* m, bint with_place)
cdef int limits_from(object policy, DecodeLimits* limits) except -1
# `data` as bytes that decode_message can read: bytes as they are, other buffers copied.
cdef bytes payload_bytes(object data)
# The same payload in UTF-8, by lxml; RemoteProtocolError when that cannot be done.
cdef bytes normalised(bytes data, size_t size_limit)
# Decode into `owner`, normalising exotic encodings; raises RemoteProtocolError.
cdef int decode_into(MessageOwner owner, bytes data, const DecodeLimits* limits) except -1
