"""What the scanner knows while it reads: the shapes that `markup` and `xml` share.

``Scanner`` is the only thing that advances a read pointer. It reads up to ``end``, where a zero byte
must stand (CPython's ``bytes`` have one): zero is no XML character, so every loop over bytes stops
there without a bounds check of its own.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from tables cimport NAMESPACE_COUNT, NAMESPACES, STATE_COUNT

from oadr2._core.text cimport Arena, Str


cdef struct XmlLimits:
    uint32_t size
    uint32_t depth
    uint32_t attributes


cdef enum Token:
    TOKEN_ERROR = -1        # scanner.error says what, scanner.p where
    TOKEN_END = 0           # the document ended well
    TOKEN_OPEN = 1          # a start tag whose element has child elements
    TOKEN_LEAF = 2          # a whole element without child elements; its text is scanner.text
    TOKEN_CLOSE = 3         # the end tag of the innermost open element


cdef enum XmlError:
    XML_OK = 0
    XML_MEMORY
    XML_TOO_LARGE
    XML_TOO_DEEP
    XML_TOO_MANY_ATTRIBUTES
    XML_EMPTY
    XML_UNFINISHED
    XML_OUTSIDE_ROOT
    XML_SECOND_ROOT
    XML_CHARACTER
    XML_UTF8
    XML_NAME
    XML_TAG
    XML_MISMATCH
    XML_ATTRIBUTE
    XML_DUPLICATE_ATTRIBUTE
    XML_REFERENCE
    XML_CDATA_END
    XML_COMMENT
    XML_INSTRUCTION
    XML_DECLARATION
    XML_ENCODING            # not UTF-8: to be normalised, then scanned again
    XML_DTD
    XML_PREFIX
    XML_NAMESPACE
    XML_COPIES
    XML_ERROR_COUNT


cdef struct Binding:        # xmlns:prefix="uri"
    Str prefix
    Str uri
    uint64_t key            # the prefix's first eight bytes, for comparing
    uint8_t ns


cdef struct Attribute:
    Str name                # as written, prefix included
    Str value               # references resolved, white space normalised
    Str uri                 # of its namespace; ptr NULL: none
    uint32_t prefix_length  # 0: no prefix
    uint8_t ns              # NS_*; NS_UNKNOWN for none and for foreign ones


cdef struct OpenElement:
    Str name                # as written: the end tag must repeat it
    uint32_t bindings       # how many were in scope outside
    uint32_t generation     # names the set of bindings outside


cdef struct UsualPrefix:    # how names of one of our namespaces were written last
    uint32_t generation     # the set of bindings for which this holds; 0: none yet
    uint32_t length         # of prefix and colon
    uint64_t mask           # which bytes of the next eight they are
    uint64_t bytes
    uint8_t ns


cdef enum:
    MAX_BINDINGS = 1024     # in scope at once: prefixes are looked up one by one
    ROOM_FOR_BINDINGS = 32
    ROOM_FOR_ELEMENTS = 64
    ROOM_FOR_ATTRIBUTES = 64


cdef struct Scanner:
    const char* base
    const char* p           # the next byte to read
    const char* end
    const char* roomy       # the last place from which TAG_ROOM bytes can be read, or NULL
    const char* token       # where the current element's start tag begins
    XmlLimits limits
    Arena* arena
    int error
    # the current element (TOKEN_OPEN, TOKEN_LEAF)
    uint8_t element         # EL_* or 0
    uint8_t ns              # NS_* or 0
    Str name                # as written
    Str local
    Str foreign_uri         # NS_UNKNOWN: its namespace; ptr NULL: none
    Str text                # TOKEN_LEAF: its text; TOKEN_OPEN: empty, where its content begins
    uint32_t attribute_count
    Attribute* attributes
    uint32_t outer_bindings  # bindings in scope outside the current element ...
    uint32_t inner_bindings  # ... and inside it
    # what is open
    uint32_t depth
    OpenElement* stack
    uint32_t binding_count
    uint32_t binding_room
    Binding* bindings
    uint32_t generation
    uint32_t generations
    bint root_seen
    bint start_unfinished   # the error is inside the element whose start tag was read last
    size_t copied           # bytes that scanner_standalone has written
    # what the next start tag will probably be: following[last], where the caller sets `last` to the
    # state of the element that began last, or to STATE_COUNT + that of the one that ended last
    uint16_t last
    uint8_t following[2 * STATE_COUNT]
    UsualPrefix usual[NAMESPACE_COUNT]
    # room for what is open in most payloads; limits beyond it are met from the heap
    void* heap
    Binding first_bindings[ROOM_FOR_BINDINGS]
    OpenElement first_stack[ROOM_FOR_ELEMENTS]
    Attribute first_attributes[ROOM_FOR_ATTRIBUTES]


cdef inline Str element_uri(const Scanner* s) noexcept nogil:
    """The namespace of the current element; ptr NULL: none."""
    return Str(NAMESPACES[s.ns].uri, NAMESPACES[s.ns].length) if s.ns else s.foreign_uri
