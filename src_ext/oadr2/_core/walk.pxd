"""What the decoder knows on its way through a payload: the shapes that `decode`, `leaves` and `alike` share."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t

from oadr2._core.message cimport (
    AnswerData,
    DecodeLimits,
    EventData,
    IntervalData,
    Message,
    SignalData,
    TargetEntry,
    UnitData,
)
from oadr2._core.scanner cimport Scanner

cdef enum:
    MAX_STATES = 20         # deeper than the schema's tree
    MAX_START_TAGS = 16384  # bytes around the events, which every event repeats in its `raw`
    MAX_PROBLEMS = 200      # later ones only count
    MAX_VALUES = 4          # of an interval
    MAX_STEPS = 512         # of an event
    MAX_MISSES = 4          # in a row, then nothing is expected to be like one before any more


cdef struct Frame:
    uint8_t state
    uint8_t element
    uint32_t seen           # which children have come, by their bit in the parent's row


cdef enum Alike:            # bits of Walk.recording and Walk.ready
    ALIKE_INTERVAL = 1
    ALIKE_EVENT = 2


cdef struct IntervalMould:  # how a faultless interval was written, but for its values
    uint32_t depth          # where it stood (0: there is none) ...
    uint32_t generation     # ... and under which namespaces
    uint32_t seen           # its bit in the parent's row
    uint16_t last           # what the scanner remembers after it
    uint32_t problems
    uint32_t values         # how many values it holds; before, between and after them stand
    const char* pieces[MAX_VALUES + 1]   # ... these bytes
    uint32_t lengths[MAX_VALUES + 1]
    uint8_t states[MAX_VALUES]
    uint32_t token          # how far before the end the last start tag began; 0: it is the last value's


cdef enum StepKind:
    STEP_VALUE              # a leaf's text
    STEP_ENTER              # an element began, of which `at` is the local name
    STEP_LEAVE


cdef struct Step:
    const char* at
    uint32_t length
    uint8_t kind            # STEP_*
    uint8_t state           # ST_*


cdef struct EventMould:     # how the last faultless event was written, but for its values
    uint32_t depth
    uint32_t generation
    uint32_t problems
    uint32_t misses
    uint32_t count
    const char* start
    const char* value       # the last value ...
    const char* reached     # ... its end ...
    const char* token       # ... the last start tag ...
    const char* end         # ... and the event's
    Step steps[MAX_STEPS]


cdef struct Walk:
    Scanner s
    Message* m
    const DecodeLimits* limits
    uint32_t top            # index of the innermost frame
    Frame frames[MAX_STATES]
    uint8_t ns              # NS_OADR_A or NS_OADR_B once the message has begun
    int32_t event           # index of the current event, or -1
    uint32_t items
    bint failed             # memory or a limit: m.error says which
    EventData* e
    SignalData* signal
    IntervalData* interval
    TargetEntry* target
    AnswerData* answer
    UnitData* unit
    bint in_baseline
    uint8_t recording       # ALIKE_*: what is being written down
    uint8_t ready           # ALIKE_*: what the next one is held against
    IntervalMould interval_mould
    IntervalMould other_mould   # the one used before it
    uint32_t misses         # how many intervals in a row were written like neither
    EventMould event_mould
