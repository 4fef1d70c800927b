"""Model objects from decoded messages; see objects.pxd."""

from collections.abc import Sequence

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from libc.math cimport isnan
from libc.stdint cimport int64_t, uint8_t, uint32_t

from oadr2._core.clock cimport NO_TIME, Dur
from oadr2._core.datetimes cimport datetime_from_us, duration_object
from oadr2._core.decode cimport decode_message
from oadr2._core.message cimport (
    DECODE_INVALID,
    DECODE_MEMORY,
    DECODE_START_TAGS,
    DECODE_TOO_MANY_EVENTS,
    DECODE_TOO_MANY_ITEMS,
    KIND_CREATED_EVENT,
    KIND_DISTRIBUTE_EVENT,
    KIND_REQUEST_EVENT,
    KIND_RESPONSE,
    KIND_SERVICE,
    NO_NUMBER,
    OPT_IN,
    PROFILE_A,
    PROFILE_B,
    REQUIRED_NEVER,
    TARGET_KIND_COUNT,
    TARGET_SERVICE_AREA,
    TARGET_SERVICE_LOCATION,
    TARGET_TRANSPORT_INTERFACE,
    AnswerData,
    BaselineData,
    DecodeLimits,
    EventData,
    IntervalData,
    Message,
    ProblemData,
    SignalData,
    TargetEntry,
    UnitData,
    message_clear,
    message_free,
)
from oadr2._core.service_objects cimport service_object
from oadr2._core.slots cimport new, put, slots
from oadr2._core.text cimport string
from oadr2._core.xml cimport XML_ENCODING, XML_TOO_LARGE, Str, xml_error_text
from tables cimport ELEMENTS

from oadr2 import model
from oadr2.errors import RemoteProtocolError
from oadr2.policy import VtnPolicy


# Constants made once at import; nothing changes them afterwards.
cdef object _Event = model.Event
cdef object _Signal = model.Signal
cdef object _Interval = model.Interval
cdef object _Targets = model.Targets
cdef object _Unit = model.Unit
cdef object _Baseline = model.Baseline
cdef object _EiResponse = model.EiResponse
cdef object _EventResponse = model.EventResponse
cdef object _DistributeEvent = model.DistributeEvent


# Where the slots of the classes lie in their objects: bytes from the beginning.
cdef struct EventSlots:
    Py_ssize_t event_id, modification_number, market_context, created_date_time, event_status
    Py_ssize_t dtstart, duration, signals, targets, response_required, priority, test_event
    Py_ssize_t vtn_comment, modification_date_time, modification_reason, startafter, notification
    Py_ssize_t ramp_up, recovery, baseline, problems, raw


cdef struct SignalSlots:
    Py_ssize_t signal_name, signal_type, signal_id, intervals, current_value, targets, unit


cdef struct IntervalSlots:
    Py_ssize_t uid, duration, value, dtstart


cdef struct EiResponseSlots:
    Py_ssize_t response_code, response_description, request_id


cdef struct DistributeEventSlots:
    Py_ssize_t vtn_id, request_id, events, response, profile, signed


cdef EventSlots EVENT = slots(_Event, sizeof(EventSlots))
cdef SignalSlots SIGNAL = slots(_Signal, sizeof(SignalSlots))
cdef IntervalSlots INTERVAL = slots(_Interval, sizeof(IntervalSlots))
cdef EiResponseSlots RESPONSE = slots(_EiResponse, sizeof(EiResponseSlots))
cdef DistributeEventSlots LIST = slots(_DistributeEvent, sizeof(DistributeEventSlots))

cdef tuple _STATUSES = (None, "none", "far", "near", "active", "completed", "cancelled")
cdef tuple _PROFILES = (None, "2.0a", "2.0b")
cdef object _NO_TARGETS = model.Targets()
cdef object _SUCCESS = model.EiResponse(200)  # what nearly every list begins with
# The fields of model.Targets in the order of TargetKind.
cdef tuple _TARGET_FIELDS = (
    "ven_ids", "group_ids", "resource_ids", "party_ids", "group_names", "aggregated_pnodes",
    "end_device_assets", "meter_assets", "pnodes", "service_areas", "service_delivery_points",
    "service_locations", "transport_interfaces",
)


@cython.final
@cython.freelist(16)
cdef class MessageOwner:
    # A new object is all zeros, which is what message_init makes of raw memory.

    def __dealloc__(self):
        message_free(&self.message)


# --- values --------------------------------------------------------------------------------------

cdef inline str text(Str s):
    """The string, or None when it is absent; the scanner has checked that it is UTF-8."""
    return string(s.ptr, s.len) if s.ptr != NULL else None


cdef inline str present(Str s):
    return string(s.ptr, s.len) if s.ptr != NULL else ""


cdef inline object number(double value):
    return None if isnan(value) else value


cdef inline object unsigned(int64_t value):
    return None if value == NO_NUMBER else value


cdef inline object date_time(int64_t t):
    return None if t == NO_TIME else datetime_from_us(t)


cdef inline object duration(const Dur* d):
    return duration_object(d) if d.present else None


# --- parts of events -----------------------------------------------------------------------------

cdef object targets_object(const TargetEntry* entries, uint32_t count):
    cdef uint32_t i
    cdef int kind
    if not count:
        return _NO_TARGETS
    lists = {}
    for i in range(count):
        kind = entries[i].kind
        if kind == TARGET_TRANSPORT_INTERFACE:
            value = (present(entries[i].value), present(entries[i].second))
        elif kind == TARGET_SERVICE_AREA or kind == TARGET_SERVICE_LOCATION:
            value = entries[i].value.ptr[: entries[i].value.len]
        else:
            value = present(entries[i].value)
        lists.setdefault(_TARGET_FIELDS[kind], []).append(value)
    return _Targets(**{name: tuple(values) for name, values in lists.items()})


cdef object unit_object(const UnitData* unit):
    if unit.name.ptr == NULL:
        return None
    return _Unit(
        text(unit.name), text(unit.item_description), text(unit.item_units),
        text(unit.si_scale_code), number(unit.pulse_factor), number(unit.hertz),
        number(unit.voltage), None if unit.ac < 0 else bool(unit.ac),
    )


cdef tuple interval_objects(const IntervalData* intervals, uint32_t count):
    cdef uint32_t i
    cdef list made = []
    for i in range(count):
        interval = new(_Interval)
        put(interval, INTERVAL.uid, text(intervals[i].uid))
        put(interval, INTERVAL.duration, duration(&intervals[i].duration))
        put(interval, INTERVAL.value, number(intervals[i].value))
        put(interval, INTERVAL.dtstart, date_time(intervals[i].dtstart))
        made.append(interval)
    return tuple(made)


cdef object signal_object(const SignalData* signal, const IntervalData* intervals,
                          const TargetEntry* targets):
    made = new(_Signal)
    put(made, SIGNAL.signal_name, present(signal.signal_name))
    put(made, SIGNAL.signal_type, present(signal.signal_type))
    put(made, SIGNAL.signal_id, present(signal.signal_id))
    put(made, SIGNAL.intervals,
        interval_objects(intervals + signal.interval_begin, signal.interval_count))
    put(made, SIGNAL.current_value, number(signal.current_value))
    put(made, SIGNAL.targets, targets_object(targets + signal.target_begin, signal.target_count))
    put(made, SIGNAL.unit, unit_object(&signal.unit))
    return made


cdef object baseline_object(const BaselineData* baseline, const IntervalData* intervals,
                            const TargetEntry* targets):
    if not baseline.present:
        return None
    return _Baseline(
        present(baseline.baseline_id), present(baseline.baseline_name),
        date_time(baseline.dtstart), duration(&baseline.duration),
        interval_objects(intervals + baseline.interval_begin, baseline.interval_count),
        targets_object(targets + baseline.target_begin, baseline.target_count).resource_ids,
        unit_object(&baseline.unit),
    )


cdef object event_object(const EventData* event, const SignalData* signals,
                         const IntervalData* intervals, const TargetEntry* targets,
                         tuple problems, bytes raw):
    cdef uint32_t i
    cdef list made_signals = []
    for i in range(event.signal_count):
        made_signals.append(signal_object(&signals[event.signal_begin + i], intervals, targets))
    made = new(_Event)
    put(made, EVENT.event_id, present(event.event_id))
    put(made, EVENT.modification_number,
        0 if event.modification_number == NO_NUMBER else event.modification_number)
    put(made, EVENT.market_context, text(event.market_context))
    put(made, EVENT.created_date_time, date_time(event.created_date_time))
    put(made, EVENT.event_status, _STATUSES[event.status])
    put(made, EVENT.dtstart, date_time(event.dtstart))
    put(made, EVENT.duration, duration(&event.duration))
    put(made, EVENT.signals, tuple(made_signals))
    put(made, EVENT.targets, targets_object(targets + event.target_begin, event.target_count))
    put(made, EVENT.response_required,
        "never" if event.response_required == REQUIRED_NEVER else "always")
    put(made, EVENT.priority, unsigned(event.priority))
    put(made, EVENT.test_event, text(event.test_event))
    put(made, EVENT.vtn_comment, text(event.vtn_comment))
    put(made, EVENT.modification_date_time, date_time(event.modification_date_time))
    put(made, EVENT.modification_reason, text(event.modification_reason))
    put(made, EVENT.startafter, duration(&event.startafter))
    put(made, EVENT.notification, duration(&event.notification))
    put(made, EVENT.ramp_up, duration(&event.ramp_up))
    put(made, EVENT.recovery, duration(&event.recovery))
    put(made, EVENT.baseline, baseline_object(&event.baseline, intervals, targets))
    put(made, EVENT.problems, problems)
    put(made, EVENT.raw, raw)
    return made


# --- what is wrong -------------------------------------------------------------------------------

cdef tuple _KINDS = (
    "", "{0} is missing", "{0} stands twice", "{0}: not a date-time: {1}",
    "{0}: not a duration: {1}", "{0}: not a whole number from 0 to 4294967295: {1}",
    "{0}: not a finite number: {1}", "{0}: not true or false: {1}",
    "{0}: not one of the values allowed: {1}", "{0}: not a response code of three digits: {1}",
    "{0} is empty", "{0} holds elements where text belongs",
    "{0}: {1} means calendar months; minutes are written with a T",
    "{0}: {1} names no time zone, read as UTC",
    "{0} is of the other profile than its message",
    "{0}: neither a known word nor one with x- in front: {1}",
    "{0}: not a whole number from 0 to 100: {1}",
    "{0} holds {1} itself, not the element that belongs around it",
)


cdef str problem_path(const ProblemData* p):
    """The path by the schema's names; the event is numbered as it stands in the list."""
    cdef int i
    names = []
    for i in range(1, p.depth):
        name = ELEMENTS[p.elements[i]].local.decode()
        names.append(f"{name}[{p.event + 1}]" if name == "oadrEvent" else name)
    return "/".join(names)


cdef str problem_reason(const ProblemData* p):
    shown = present(p.text)
    shown = ascii(shown if len(shown) <= 40 else shown[:40] + "...")
    return _KINDS[p.kind].format(ELEMENTS[p.element].local.decode(), shown)


cdef tuple event_problems(const Message* m, int index):
    cdef uint32_t i
    found = []
    for i in range(m.problem_count):
        if m.problems[i].event == index:
            found.append(model.Problem(
                problem_reason(&m.problems[i]), problem_path(&m.problems[i]),
                m.problems[i].offset, bool(m.problems[i].fatal),
            ))
    return tuple(found)


cdef tuple line_and_column(const Message* m, uint32_t offset):
    cdef bytes before = m.data[:offset]
    line_start = before.rfind(b"\n") + 1
    return before.count(b"\n") + 1, len(before[line_start:].decode("utf-8", "replace")) + 1


cdef object decode_error(const Message* m, bint with_place):
    cdef uint32_t i
    cdef bytes name
    cdef const ProblemData* p
    names = []
    if m.error == DECODE_INVALID:
        p = &m.problems[m.problem_count - 1]
        reason, path = problem_reason(p), problem_path(p)
    else:
        for i in range(m.error_depth):
            name = m.error_path[i].ptr[: m.error_path[i].len]
            shown = name.rpartition(b":")[2].decode("utf-8", "replace")
            names.append(shown if len(shown) <= 60 else shown[:60] + "...")
        path = "/".join(names)
        if m.error == DECODE_TOO_MANY_EVENTS:
            reason = "more events than the limit"
        elif m.error == DECODE_TOO_MANY_ITEMS:
            reason = "more signals, intervals, targets or answers than the limit"
        elif m.error == DECODE_START_TAGS:
            reason = "the start tags around the events are longer than 16 KiB"
        elif m.error == DECODE_MEMORY:
            reason = "out of memory"
        else:
            reason = xml_error_text(m.error).decode()
    if m.error == XML_TOO_LARGE:
        return RemoteProtocolError(f"{reason}: {m.size} bytes", response_code=454)
    if not with_place:
        return RemoteProtocolError(reason, response_code=454, path=path)
    line, column = line_and_column(m, m.error_offset)
    return RemoteProtocolError(
        reason, response_code=454, offset=m.error_offset, line=line, column=column, path=path
    )


# --- decoding ------------------------------------------------------------------------------------

cdef int limits_from(object policy, DecodeLimits* limits) except -1:
    bounds = policy.limits
    limits.xml.size = bounds.size
    limits.xml.depth = bounds.depth
    limits.xml.attributes = bounds.attributes
    limits.events = bounds.events
    limits.items = bounds.items
    limits.bare_months_are_minutes = policy.months_without_t == "minutes"
    return 0


cdef bytes payload_bytes(object data):
    if PyBytes_CheckExact(data):
        return data
    if isinstance(data, str):
        raise TypeError("a payload is bytes, not str: the encoding is the XML's own affair")
    return bytes(memoryview(data))


cdef bytes normalised(bytes data, size_t size_limit):
    from lxml import etree

    if <size_t> len(data) > size_limit:
        raise RemoteProtocolError(f"the payload is larger than the limit: {len(data)} bytes")
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
    try:
        tree = etree.ElementTree(etree.fromstring(data, parser))
    except (etree.XMLSyntaxError, ValueError, LookupError) as error:
        raise RemoteProtocolError(f"not XML in any known encoding: {ascii(str(error))}") from None
    for entry in parser.error_log:
        if entry.level_name != "WARNING":  # lxml raises the last entry only, and a warning hides it
            raise RemoteProtocolError(f"not XML with namespaces: {ascii(entry.message)}")
    if tree.docinfo.doctype:
        raise RemoteProtocolError("a document type declaration, which is not allowed")
    return etree.tostring(tree.getroot(), encoding="UTF-8")


cdef int decode_into(MessageOwner owner, bytes data, const DecodeLimits* limits) except -1:
    cdef int result
    owner.data = data
    result = decode_message(&owner.message, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), limits)
    if result < 0 and owner.message.error == XML_ENCODING:
        owner.data = normalised(data, limits.xml.size)
        message_clear(&owner.message)
        result = decode_message(&owner.message, PyBytes_AS_STRING(owner.data),
                                PyBytes_GET_SIZE(owner.data), limits)
    if result < 0:
        # lxml's UTF-8 is a text of its own: places in it would not be those of the payload
        raise decode_error(&owner.message, owner.data is data)
    return 0


@cython.final
@cython.freelist(16)
@cython.no_gc  # events are made of plain data, none of which can lead back here
cdef class EventSequence:
    """The events of a decoded list; each is made when first asked for."""

    cdef MessageOwner owner
    cdef list made

    def __len__(self):
        return self.owner.message.event_count

    def __getitem__(self, index):
        if isinstance(index, slice):
            return tuple(self)[index]
        cdef Py_ssize_t count = self.owner.message.event_count
        cdef Py_ssize_t i = index
        if i < 0:
            i += count
        if not 0 <= i < count:
            raise IndexError("no such event")
        if self.made is None:
            self.made = [None] * count
        event = self.made[i]
        if event is None:
            event = self.make(i)
            self.made[i] = event
        return event

    cdef object make(self, int i):
        cdef Message* m = &self.owner.message
        cdef EventData* event = &m.events[i]
        cdef uint32_t k
        closing = b"".join([
            b"</" + m.open_names[k - 1].ptr[: m.open_names[k - 1].len] + b">"
            for k in range(m.open_count, 0, -1)
        ])
        opening = b"".join([
            m.open_tags[k].ptr[: m.open_tags[k].len] for k in range(m.open_count)
        ])
        raw = opening + event.raw.ptr[: event.raw.len] + closing
        return event_object(event, m.signals, m.intervals, m.targets, event_problems(m, i), raw)

    def __iter__(self):
        cdef Py_ssize_t i
        for i in range(len(self)):
            yield self[i]

    def __contains__(self, event):
        return event in tuple(self)

    def __eq__(self, other):
        if isinstance(other, (tuple, list, EventSequence)):
            return tuple(self) == tuple(other)
        return NotImplemented

    def __hash__(self):
        return hash(tuple(self))

    def __repr__(self):
        return repr(tuple(self))

    def __reduce__(self):
        return tuple, (tuple(self),)

    def __reversed__(self):
        return reversed(tuple(self))

    def index(self, *args):
        """See tuple.index."""
        return tuple(self).index(*args)

    def count(self, event):
        """See tuple.count."""
        return tuple(self).count(event)


Sequence.register(EventSequence)


cdef object response_object(const Message* m):
    if not m.has_response:
        return None
    if m.response_code == 200 and not m.response_request_id.len and m.response_description.ptr == NULL:
        return _SUCCESS
    made = new(_EiResponse)
    put(made, RESPONSE.response_code, m.response_code)
    put(made, RESPONSE.response_description, text(m.response_description))
    put(made, RESPONSE.request_id, present(m.response_request_id))
    return made


cdef tuple answer_objects(const Message* m):
    cdef uint32_t i
    cdef const AnswerData* answer
    made = []
    for i in range(m.answer_count):
        answer = &m.answers[i]
        made.append(_EventResponse(
            text(answer.event_id), answer.modification_number,
            "optIn" if answer.opt == OPT_IN else "optOut", answer.response_code,
            text(answer.response_description), present(answer.request_id),
        ))
    return tuple(made)


cdef object message_object(MessageOwner owner):
    cdef Message* m = &owner.message
    cdef EventSequence events
    profile = _PROFILES[m.profile]
    cdef object signed = bool(m.has_signature)
    if m.kind == KIND_DISTRIBUTE_EVENT:
        events = EventSequence.__new__(EventSequence)
        events.owner = owner
        made = new(_DistributeEvent)
        put(made, LIST.vtn_id, present(m.vtn_id))
        put(made, LIST.request_id, present(m.request_id))
        put(made, LIST.events, events)
        put(made, LIST.response, response_object(m))
        put(made, LIST.profile, profile)
        put(made, LIST.signed, signed)
        return made
    if m.kind == KIND_SERVICE:
        return service_object(m, signed, event_problems(m, -1))
    if m.kind == KIND_CREATED_EVENT:
        return model.CreatedEvent(
            present(m.ven_id), answer_objects(m), response_object(m), profile, signed
        )
    if m.kind == KIND_REQUEST_EVENT:
        return model.RequestEvent(
            present(m.ven_id), present(m.request_id), unsigned(m.reply_limit), profile, signed
        )
    if m.kind == KIND_RESPONSE:
        return model.Response(response_object(m), text(m.ven_id), profile, signed)
    return model.UnknownMessage(present(m.name), present(m.uri), profile, owner.data, signed)


cdef DecodeLimits _DEFAULT_LIMITS
limits_from(VtnPolicy(), &_DEFAULT_LIMITS)


def decode(data, *, policy=None):
    """Read one payload of either profile, wrapped or bare.

    ``data`` is anything with the buffer interface, in UTF-8 (or what lxml can turn into it). ``policy``
    is a VtnPolicy whose limits and reading of months hold; None means the defaults. Returns one of
    the classes of oadr2.model; a well-formed payload of another kind gives an UnknownMessage.

    Raises RemoteProtocolError, with place and path, for everything that is no such payload. A fault
    inside one event does not: it stands in that event's ``problems``.
    """
    cdef DecodeLimits limits = _DEFAULT_LIMITS
    cdef MessageOwner owner = MessageOwner.__new__(MessageOwner)
    if policy is not None:
        limits_from(policy, &limits)
    decode_into(owner, payload_bytes(data), &limits)
    return message_object(owner)
