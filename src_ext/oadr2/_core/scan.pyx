"""The scanner as Python sees it, for tests and tools."""

from libc.stdint cimport uint32_t

from oadr2._core.scanner cimport element_uri
from oadr2._core.text cimport Arena, Str, arena_free, string
from oadr2._core.xml cimport (
    TOKEN_CLOSE,
    TOKEN_END,
    TOKEN_ERROR,
    TOKEN_LEAF,
    Attribute,
    Scanner,
    XmlLimits,
    scanner_begin,
    scanner_free,
    xml_error_text,
)
from oadr2._core.tags cimport next_token


cdef str text_of(Str s):
    return string(s.ptr, s.len) if s.ptr != NULL else ""


def scan(bytes data not None, *, size=1 << 20, depth=64, attributes=64):
    """Every token of ``data`` as a tuple: what the differential tests hold against lxml.

    ``("open", uri, local, {attribute: value})``, ``("leaf", uri, local, {...}, text)``, ``("close",)``;
    attributes in Clark notation. Raises ValueError(reason, offset).
    """
    cdef Scanner s
    cdef Arena arena
    cdef XmlLimits limits
    cdef int token
    cdef uint32_t i
    cdef Attribute* attribute
    limits.size, limits.depth, limits.attributes = size, depth, attributes
    arena.first = NULL
    tokens = []
    token = scanner_begin(&s, data, len(data), &limits, &arena)
    try:
        if token == 0:
            while True:
                token = next_token(&s)
                if token == TOKEN_END:
                    return tokens
                if token == TOKEN_ERROR:
                    break
                if token == TOKEN_CLOSE:
                    tokens.append(("close",))
                    continue
                s.last = s.element  # what follows each element is learned as the payload is read
                values = {}
                for i in range(s.attribute_count):
                    attribute = &s.attributes[i]
                    name = text_of(attribute.name)
                    if attribute.prefix_length:
                        name = f"{{{text_of(attribute.uri)}}}{name.partition(':')[2]}"
                    values[name] = text_of(attribute.value)
                uri = text_of(element_uri(&s))
                if token == TOKEN_LEAF:
                    tokens.append(("leaf", uri, text_of(s.local), values, text_of(s.text)))
                else:
                    tokens.append(("open", uri, text_of(s.local), values))
        raise ValueError(xml_error_text(s.error).decode(), s.p - s.base)
    finally:
        scanner_free(&s)
        arena_free(&arena)
