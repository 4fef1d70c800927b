"""What a payload says, as C structs that point into it: the form every other room of the core shares.

A ``Message`` owns flat arrays; an event owns ranges of them (begin, count). Times are microseconds
since 1970-01-01T00:00:00Z, ``NO_TIME`` when absent. Strings are slices, NULL when absent.
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from oadr2._core.clock cimport Dur
from oadr2._core.text cimport Arena, Str
from oadr2._core.scanner cimport XmlLimits

cdef extern from *:
    """
    #define NO_NUMBER INT64_C(-1)
    #define NO_INDEX UINT32_MAX
    """
    const int64_t NO_NUMBER     # an absent (or unreadable) modificationNumber, priority, replyLimit
    const uint32_t NO_INDEX     # no place in an array


cdef enum Profile:
    PROFILE_NONE = 0
    PROFILE_A = 1
    PROFILE_B = 2


cdef enum MessageKind:
    KIND_UNKNOWN = 0
    KIND_REQUEST_EVENT
    KIND_DISTRIBUTE_EVENT
    KIND_CREATED_EVENT
    KIND_RESPONSE
    KIND_SERVICE            # one of the other services: its content is in the nodes


cdef enum Status:           # ei:eventStatus
    STATUS_NONE_GIVEN = 0   # absent or unreadable
    STATUS_NONE             # "none"
    STATUS_FAR
    STATUS_NEAR
    STATUS_ACTIVE
    STATUS_COMPLETED
    STATUS_CANCELLED


cdef enum Opt:
    OPT_NONE = 0
    OPT_IN
    OPT_OUT


cdef enum Required:         # oadr:oadrResponseRequired
    REQUIRED_NONE = 0       # absent: answered, like always
    REQUIRED_ALWAYS
    REQUIRED_NEVER


cdef enum TargetKind:
    TARGET_VEN = 0
    TARGET_GROUP
    TARGET_RESOURCE
    TARGET_PARTY
    TARGET_GROUP_NAME
    TARGET_AGGREGATED_PNODE
    TARGET_END_DEVICE_ASSET
    TARGET_METER_ASSET
    TARGET_PNODE
    TARGET_SERVICE_AREA     # value: raw XML
    TARGET_SERVICE_DELIVERY_POINT
    TARGET_SERVICE_LOCATION  # value: raw XML
    TARGET_TRANSPORT_INTERFACE  # value: point of receipt, second: point of delivery
    TARGET_KIND_COUNT


cdef struct TargetEntry:
    Str value
    Str second
    uint8_t kind


cdef struct IntervalData:
    Str uid
    Dur duration
    int64_t dtstart
    double value            # NaN: absent


cdef struct UnitData:
    Str name                # ptr NULL: no unit
    Str item_description
    Str item_units
    Str si_scale_code
    double pulse_factor     # NaN: absent, as the next two
    double hertz
    double voltage
    int8_t ac               # -1: absent


cdef struct SignalData:
    Str signal_name
    Str signal_type
    Str signal_id
    double current_value    # NaN: absent
    UnitData unit
    uint32_t interval_begin
    uint32_t interval_count
    uint32_t target_begin
    uint32_t target_count
    uint8_t is_simple       # SIMPLE in any case (facts.md E38)
    uint8_t is_level        # signalType is level


cdef struct BaselineData:
    Str baseline_id
    Str baseline_name
    int64_t dtstart
    Dur duration
    UnitData unit
    uint32_t interval_begin
    uint32_t interval_count
    uint32_t target_begin   # resource ids
    uint32_t target_count
    uint8_t present


cdef struct EventData:
    Str raw                 # the whole oadrEvent element as sent
    Str event_id
    Str market_context
    Str test_event
    Str vtn_comment
    Str modification_reason
    int64_t created_date_time
    int64_t modification_date_time
    int64_t dtstart
    Dur duration
    Dur startafter
    Dur notification
    Dur ramp_up
    Dur recovery
    int64_t modification_number     # unsignedInt or NO_NUMBER, as the next
    int64_t priority
    uint32_t signal_begin
    uint32_t signal_count
    uint32_t target_begin
    uint32_t target_count
    BaselineData baseline
    uint8_t status          # STATUS_*
    uint8_t response_required
    uint8_t profile         # PROFILE_*
    uint8_t readable        # id, modification number and status could be read
    uint8_t valid           # no fatal problem inside


cdef struct AnswerData:     # ei:eventResponse
    Str event_id
    Str request_id
    Str response_description
    uint32_t modification_number
    uint16_t response_code
    uint8_t opt             # OPT_*


cdef enum ProblemKind:
    PROBLEM_MISSING = 1     # detail: the element
    PROBLEM_REPEATED
    PROBLEM_DATE_TIME
    PROBLEM_DURATION
    PROBLEM_NUMBER
    PROBLEM_FLOAT
    PROBLEM_BOOLEAN
    PROBLEM_CHOICE          # not one of the enumeration's values
    PROBLEM_CODE
    PROBLEM_EMPTY_ID
    PROBLEM_CHILDREN        # an element where text belongs
    PROBLEM_BARE_MONTHS     # noted, not fatal
    PROBLEM_NO_ZONE         # noted, not fatal
    PROBLEM_PROFILE         # an element of the other profile
    PROBLEM_WORD            # neither in the list of words nor with x- in front; noted, not fatal
    PROBLEM_PERCENT
    PROBLEM_BARE_TEXT       # text where an element around it belongs; noted, not fatal


cdef struct NodeData:       # of a service's message: an object, or a value of one, in the order sent
    Str text                # of a value; raw XML
    int64_t number          # a whole number, 0 or 1, a code, microseconds
    double real
    int32_t months
    uint32_t end            # of an object: the first node that is not inside
    uint8_t row_flags       # ROW_*
    uint8_t type            # TYPE_* of a value, 0 for an object
    uint8_t object          # OBJ_* of an object
    uint8_t attribute       # which one of the object around it
    uint8_t element


cdef struct ProblemData:
    Str text                # what stood there; ptr NULL: nothing to show
    int32_t event           # index, -1: the message itself
    uint32_t offset
    uint8_t kind
    uint8_t element         # EL_* the problem is about
    uint8_t fatal
    uint8_t depth
    uint8_t elements[20]    # the path: EL_* from the message down


cdef struct DecodeLimits:
    XmlLimits xml
    uint32_t events
    uint32_t items
    uint8_t bare_months_are_minutes


cdef struct Message:
    # the payload; the caller keeps it alive
    const char* data
    size_t size
    uint8_t kind            # KIND_*
    uint8_t profile         # PROFILE_*
    uint8_t wrapped         # inside oadrPayload or oadrSignedObject
    uint8_t has_signature   # ds:Signature in the oadrPayload, whatever it is worth
    Str name                # of the message's element
    Str uri
    Str schema_version
    Str request_id
    Str ven_id
    Str vtn_id
    int64_t reply_limit     # unsignedInt or NO_NUMBER
    # ei:eiResponse
    uint8_t has_response
    uint16_t response_code
    Str response_description
    Str response_request_id
    void* first_rooms       # where the next four arrays may begin; NULL: nowhere
    uint32_t event_count
    uint32_t event_room
    EventData* events
    uint32_t signal_count
    uint32_t signal_room
    SignalData* signals
    uint32_t interval_count
    uint32_t interval_room
    IntervalData* intervals
    uint32_t target_count
    uint32_t target_room
    TargetEntry* targets
    uint32_t answer_count
    uint32_t answer_room
    AnswerData* answers
    uint32_t problem_count
    uint32_t problem_room
    ProblemData* problems
    uint32_t node_count
    uint32_t node_room
    NodeData* nodes
    Arena arena
    # the start tags the message stands in, outermost first, its own last
    uint32_t open_count
    Str open_names[3]
    Str open_tags[3]
    uint32_t open_length    # of the tags together
    # why decoding failed
    int error               # XmlError or DecodeError
    uint32_t error_offset
    uint32_t error_depth
    Str error_path[24]      # names of the elements that were open there


cdef enum DecodeError:      # beyond XmlError
    DECODE_TOO_MANY_EVENTS = 100
    DECODE_TOO_MANY_ITEMS
    DECODE_MEMORY
    DECODE_INVALID          # the problem that says why is the last one
    DECODE_START_TAGS       # they are repeated for each event, so they must be short


cdef void message_init(Message* m) noexcept nogil   # from raw memory
cdef void message_clear(Message* m) noexcept nogil  # keeps the arrays for the next payload
cdef void message_free(Message* m) noexcept nogil   # the message is not to be used again
cdef int take_first_rooms(Message* m) noexcept nogil
cdef int more_room(Message* m, void** items, uint32_t* room, size_t size) noexcept nogil


cdef inline int room_for(Message* m, void** items, uint32_t* room, uint32_t count, size_t size) noexcept nogil:
    """Make sure that one more item than ``count`` fits; -1 when memory is out."""
    return 0 if count < room[0] else more_room(m, items, room, size)
