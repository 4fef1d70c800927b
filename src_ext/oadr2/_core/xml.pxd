"""The scanner: one pass over UTF-8 bytes, strict XML 1.0 with namespaces, bounded, no DTD."""

from oadr2._core.scanner cimport (
    Attribute,
    Binding,
    MAX_BINDINGS,
    OpenElement,
    ROOM_FOR_ATTRIBUTES,
    ROOM_FOR_BINDINGS,
    ROOM_FOR_ELEMENTS,
    Scanner,
    TOKEN_CLOSE,
    TOKEN_END,
    TOKEN_ERROR,
    TOKEN_LEAF,
    TOKEN_OPEN,
    UsualPrefix,
    XML_ATTRIBUTE,
    XML_CDATA_END,
    XML_CHARACTER,
    XML_COMMENT,
    XML_COPIES,
    XML_DECLARATION,
    XML_DTD,
    XML_DUPLICATE_ATTRIBUTE,
    XML_EMPTY,
    XML_ENCODING,
    XML_ERROR_COUNT,
    XML_INSTRUCTION,
    XML_MEMORY,
    XML_MISMATCH,
    XML_NAME,
    XML_NAMESPACE,
    XML_OK,
    XML_OUTSIDE_ROOT,
    XML_PREFIX,
    XML_REFERENCE,
    XML_SECOND_ROOT,
    XML_TAG,
    XML_TOO_DEEP,
    XML_TOO_LARGE,
    XML_TOO_MANY_ATTRIBUTES,
    XML_UNFINISHED,
    XML_UTF8,
    XmlLimits,
)
from oadr2._core.text cimport Arena, Str

# A Scanner points into itself: it must not be copied.
cdef int scanner_begin(Scanner* s, const char* data, size_t size, const XmlLimits* limits,
                       Arena* arena) noexcept nogil
cdef int scanner_next(Scanner* s) noexcept nogil
cdef void scanner_free(Scanner* s) noexcept nogil
cdef int scanner_skip(Scanner* s) noexcept nogil
cdef const char* xml_error_text(int error) noexcept nogil
