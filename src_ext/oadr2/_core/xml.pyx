"""The scanner; see xml.pxd."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from tables cimport (
    CLASS_NAME_CHAR,
    CLASS_NAME_START,
    CLASS_SPACE,
    ELEMENTS,
    FOLLOWING,
    NAME_SLOT,
    NAMESPACE_BY_LENGTH,
    NAMESPACE_LATER,
    NAMESPACE_LONGEST,
    NAMESPACE_NEXT,
    NAMESPACE_SLOT,
    NAMESPACES,
    NS_OADR_A,
    NS_OADR_B,
    NS_UNKNOWN,
    NS_XML,
    NS_XMLNS,
    name_slot,
    namespace_slot,
)

from oadr2._core.markup cimport (
    at_comment,
    byte_class,
    fail,
    name_error,
    pass_comment,
    pass_instruction,
    pass_name,
    pass_plain,
    pass_reference,
    pass_space,
    pass_text,
    put_utf8,
    read_declaration,
    rewrite_text,
    utf8_character,
)
from oadr2._core.text cimport Arena, Str, arena_take

cdef extern from "bytes16.h" nogil:
    enum:
        NAME_ROOM
        DECLARATION_ROOM
        TAG_ROOM
    const char* pass_value(const char* p, const char* end)
    const char* pass_indent(const char* p, const char* roomy)
    const char* pass_to_name_end(const char* p, const char* end, const char** colon)
    bint same_bytes(const char* a, const char* b, uint32_t n)
    bint same_name(const char* a, const char* b, uint32_t n)
    uint64_t first_bytes(const char* p, uint32_t n, const char* end)
    uint64_t load64(const char* p)
    uint64_t FIRST_BYTES_MASK(uint32_t n)
    uint64_t BYTE_AT(char c, uint32_t n)
    uint64_t XMLNS
    bint likely(bint x)


cdef extern from *:
    """
    static const char *const XML_ERROR_TEXT[] = {
        "well-formed",
        "out of memory",
        "the payload is larger than the limit",
        "elements are nested deeper than the limit",
        "more attributes or namespace declarations than the limit",
        "there is no XML element in it",
        "the payload ends inside an element",
        "text outside the root element",
        "a second root element, or text after the root element",
        "a character that XML does not allow",
        "bytes that are not UTF-8",
        "not a name",
        "a malformed tag",
        "an end tag that does not match its start tag",
        "a malformed attribute",
        "an attribute stands twice",
        "an unknown or malformed entity or character reference",
        "']]>' in text",
        "a malformed comment",
        "a malformed processing instruction",
        "a malformed XML declaration",
        "an encoding other than UTF-8",
        "a document type declaration, which is not allowed",
        "a namespace prefix that is not declared",
        "a malformed namespace declaration",
        "raw elements repeat more namespace declarations than the limit",
    };
    """
    const char** XML_ERROR_TEXT


cdef const char* xml_error_text(int error) noexcept nogil:
    """One line that says what XmlError ``error`` means."""
    return XML_ERROR_TEXT[error]


# --- namespaces ----------------------------------------------------------------------------------

cdef inline bint has_prefix(const Binding* binding, uint64_t key, const char* p, uint32_t n) noexcept nogil:
    """Whether it binds the prefix ``p``, of which ``key`` are the first bytes."""
    return binding.key == key and binding.prefix.len == n and (
        n <= 8 or memcmp(binding.prefix.ptr, p, n) == 0
    )


cdef inline Binding* find_binding(Scanner* s, const char* p, uint32_t n) noexcept nogil:
    cdef uint64_t key = first_bytes(p, n, s.end)
    cdef Binding* binding = s.bindings + s.binding_count
    while binding != s.bindings:
        binding -= 1
        if has_prefix(binding, key, p, n):
            return binding
    return NULL


cdef inline uint8_t namespace_number(const char* p, size_t n) noexcept nogil:
    """NS_* of a URI; NS_UNKNOWN for a foreign one."""
    cdef uint8_t ns
    if n >= NAMESPACE_LONGEST:
        return NS_UNKNOWN
    ns = NAMESPACE_BY_LENGTH[n]
    while ns:
        if memcmp(NAMESPACES[ns].uri, p, n) == 0:
            return ns
        ns = NAMESPACE_NEXT[ns]
    return NS_UNKNOWN


cdef inline void expect_prefix(Scanner* s, const Binding* binding, uint8_t ns, uint32_t generation) noexcept nogil:
    """Names of this namespace (``ns``: as the elements' table counts them) will be written like this."""
    cdef UsualPrefix* usual = &s.usual[ns]
    cdef uint32_t n = binding.prefix.len
    if n > 7:
        return
    usual.generation = generation
    usual.length = n + 1 if n else 0
    usual.bytes = binding.key | BYTE_AT(c":", n) if n else 0
    usual.mask = FIRST_BYTES_MASK(n) | BYTE_AT(c"\xff", n) if n else 0
    usual.ns = binding.ns


cdef int bind(Scanner* s, const char* prefix, uint32_t prefix_length, const Str* uri,
              const char* at) noexcept nogil:
    """Take in ``xmlns:prefix="uri"``; an error when the namespace rules forbid it."""
    cdef uint8_t ns = namespace_number(uri.ptr, uri.len)
    cdef Binding* binding
    cdef Binding* grown
    cdef uint32_t i
    if prefix_length and not uri.len:
        return fail(s, at, XML_NAMESPACE)
    if ns == NS_XMLNS or (prefix_length == 5 and memcmp(prefix, b"xmlns", 5) == 0):
        return fail(s, at, XML_NAMESPACE)
    if (prefix_length == 3 and memcmp(prefix, b"xml", 3) == 0) != (ns == NS_XML):
        return fail(s, at, XML_NAMESPACE)
    if s.binding_count == MAX_BINDINGS:
        return fail(s, at, XML_TOO_MANY_ATTRIBUTES)
    if s.binding_count == s.binding_room:
        grown = <Binding*> malloc(2 * s.binding_room * sizeof(Binding))
        if grown == NULL:
            return fail(s, at, XML_MEMORY)
        memcpy(grown, s.bindings, s.binding_count * sizeof(Binding))
        if s.bindings != s.first_bindings:
            free(s.bindings)
        s.bindings = grown
        s.binding_room *= 2
    binding = &s.bindings[s.binding_count]
    binding.prefix.ptr = prefix
    binding.prefix.len = prefix_length
    binding.key = first_bytes(prefix, prefix_length, s.end)
    binding.uri = uri[0]
    binding.ns = ns
    for i in range(s.outer_bindings, s.binding_count):
        if has_prefix(&s.bindings[i], binding.key, prefix, prefix_length):
            return fail(s, at, XML_DUPLICATE_ATTRIBUTE)
    s.binding_count += 1
    if ns:
        if ns == NS_OADR_A:
            ns = NS_OADR_B
        if not s.usual[ns].generation:
            expect_prefix(s, binding, ns, s.generations + 1)
    return 0


# --- tags ----------------------------------------------------------------------------------------

cdef const char* read_value(Scanner* s, const char* p, Str* out) noexcept nogil:
    """The attribute value in quotes at ``p``, normalised; returns its end."""
    cdef char quote = p[0]
    cdef const char* start
    cdef const char* q
    cdef char* to
    cdef uint32_t c = 0
    cdef int n = 1
    cdef bint rewrite = False
    if quote != c'"' and quote != c"'":
        return name_error(s, p, XML_ATTRIBUTE)
    start = p + 1
    p = start
    while True:
        p = pass_value(p, s.end)
        if p[0] == quote:
            break
        if p[0] == c'"' or p[0] == c"'":
            p += 1
        elif p[0] & 0x80:
            if utf8_character(p, s.end, &n) == 0:
                return name_error(s, p, XML_UTF8)
            p += n
        elif p[0] == c"&":
            rewrite = True
            p = pass_reference(s, p, &c)
            if p == NULL:
                return NULL
        elif byte_class(p) & CLASS_SPACE:
            rewrite = True
            p += 1
        else:
            return name_error(s, p, XML_ATTRIBUTE if p[0] == c"<" else XML_CHARACTER)
    out.ptr = start
    out.len = <uint32_t> (p - start)
    if not rewrite:
        return p + 1
    to = arena_take(s.arena, p - start)
    if to == NULL:
        return name_error(s, start, XML_MEMORY)
    out.ptr = to
    q = start
    while q < p:
        if q[0] == c"&":
            q = pass_reference(s, q, &c)
            to += put_utf8(to, c)
            continue
        if byte_class(q) & CLASS_SPACE:
            to[0] = c" "
            if q[0] == c"\r" and q[1] == c"\n":
                q += 1
        else:
            to[0] = q[0]
        to += 1
        q += 1
    out.len = <uint32_t> (to - out.ptr)
    return p + 1


cdef inline uint64_t prefix_bit(uint64_t key) noexcept nogil:
    """One of 64 bits for the first bytes of a prefix."""
    return <uint64_t> 1 << (key * 0x9E3779B97F4A7C15ULL >> 58)


cdef inline const char* read_usual_declaration(Scanner* s, const char* name, uint64_t* declared) noexcept nogil:
    """Take in ``xmlns="uri"`` or ``xmlns:prefix="uri"`` of a URI of ours, and return its end.

    NULL, and nothing has happened, when it is anything else, wrong or not: to be read the long way.
    ``declared`` has the bits of the prefixes that this start tag has declared so far.
    """
    cdef const char* prefix
    cdef const char* p
    cdef Binding* binding
    cdef uint64_t key = 0, bit
    cdef uint32_t n = 0
    cdef uint8_t ns, usual
    if s.end - name < DECLARATION_ROOM or load64(name) & FIRST_BYTES_MASK(5) != XMLNS:
        return NULL
    if name[5] == c":":
        prefix = name + 6
        if not byte_class(prefix) & CLASS_NAME_START:
            return NULL
        p = prefix + 1
        while byte_class(p) & CLASS_NAME_CHAR:
            p += 1
        n = <uint32_t> (p - prefix)
        if n > 7:
            return NULL
        key = load64(prefix)
        if key & FIRST_BYTES_MASK(3) == XMLNS & FIRST_BYTES_MASK(3):  # reserved
            return NULL
        key &= FIRST_BYTES_MASK(n)
    else:
        prefix = p = name + 5
    if p[0] != c"=" or p[1] != c'"':
        return NULL
    p += 2
    ns = NAMESPACE_SLOT[namespace_slot(<const uint8_t*> p)]
    while ns and not (
        p[NAMESPACES[ns].length] == c'"' and same_bytes(p, NAMESPACES[ns].uri, NAMESPACES[ns].length)
    ):
        ns = NAMESPACE_LATER[ns]
    bit = prefix_bit(key)
    if not ns or declared[0] & bit or s.binding_count == s.binding_room:
        return NULL
    declared[0] |= bit
    binding = &s.bindings[s.binding_count]
    s.binding_count += 1
    binding.prefix.ptr = prefix
    binding.prefix.len = n
    binding.key = key
    binding.uri.ptr = p
    binding.uri.len = NAMESPACES[ns].length
    binding.ns = ns
    usual = NS_OADR_B if ns == NS_OADR_A else ns
    if not s.usual[usual].generation:
        expect_prefix(s, binding, usual, s.generations + 1)
    return p + NAMESPACES[ns].length + 1


cdef const char* read_attributes(Scanner* s, const char* p) noexcept nogil:
    """Everything between the tag's name and its ``>`` or ``/>``, of which it returns the first byte."""
    cdef const char* name
    cdef const char* colon = NULL
    cdef const char* q = p
    cdef Attribute* attribute
    cdef Str uri
    cdef uint32_t n, i, j, declarations = 0, prefixed = 0
    cdef uint64_t declared = 0
    cdef Binding* binding
    while True:
        q = pass_indent(p, s.roomy)
        if byte_class(q) & CLASS_SPACE:
            q = pass_space(q)
        if q[0] == c">" or q[0] == c"/":
            break
        if q == p:
            return name_error(s, q, XML_TAG)
        name = q
        if s.attribute_count + declarations < s.limits.attributes:
            q = read_usual_declaration(s, name, &declared)
            if q != NULL:
                declarations += 1
                p = q
                continue
        q = pass_name(s, name, &colon)
        if q == NULL:
            return NULL
        n = <uint32_t> (q - name)
        p = q
        if p[0] != c"=":
            p = pass_space(p)
            if p[0] != c"=":
                return name_error(s, p, XML_ATTRIBUTE)
        p += 1
        if p[0] != c'"':
            p = pass_space(p)
        if s.attribute_count + declarations >= s.limits.attributes:
            return name_error(s, name, XML_TOO_MANY_ATTRIBUTES)
        if n >= 5 and memcmp(name, b"xmlns", 5) == 0 and (n == 5 or name[5] == c":"):
            declarations += 1
            p = read_value(s, p, &uri)
            if p == NULL:
                return NULL
            i = 6 if n > 5 else 5
            if bind(s, name + i, n - i, &uri, name) < 0:
                return NULL
            declared |= prefix_bit(s.bindings[s.binding_count - 1].key)
            continue
        attribute = &s.attributes[s.attribute_count]
        attribute.name.ptr = name
        attribute.name.len = n
        attribute.prefix_length = 0 if colon == NULL else <uint32_t> (colon - name)
        attribute.ns = NS_UNKNOWN
        attribute.uri.ptr = NULL
        attribute.uri.len = 0
        p = read_value(s, p, &attribute.value)
        if p == NULL:
            return NULL
        for i in range(s.attribute_count):
            if s.attributes[i].name.len == n and memcmp(s.attributes[i].name.ptr, name, n) == 0:
                return name_error(s, name, XML_DUPLICATE_ATTRIBUTE)
        s.attribute_count += 1
        prefixed += colon != NULL
    if declarations:
        s.generations += 1
        s.generation = s.generations
    if prefixed:
        for i in range(s.attribute_count):
            attribute = &s.attributes[i]
            if not attribute.prefix_length:
                continue
            if attribute.prefix_length == 3 and memcmp(attribute.name.ptr, b"xml", 3) == 0:
                attribute.ns = NS_XML
                attribute.uri.ptr = NAMESPACES[NS_XML].uri
                attribute.uri.len = NAMESPACES[NS_XML].length
            else:
                binding = find_binding(s, attribute.name.ptr, attribute.prefix_length)
                if binding == NULL:
                    return name_error(s, attribute.name.ptr, XML_PREFIX)
                attribute.ns = binding.ns
                attribute.uri = binding.uri
            for j in range(i):
                if same_expanded_name(&s.attributes[j], attribute):
                    return name_error(s, attribute.name.ptr, XML_DUPLICATE_ATTRIBUTE)
    return q


cdef bint same_expanded_name(const Attribute* a, const Attribute* b) noexcept nogil:
    """Whether two attributes with prefixes have the same namespace and local name."""
    cdef uint32_t n = b.name.len - b.prefix_length
    return (
        a.prefix_length != 0 and a.ns == b.ns and a.name.len - a.prefix_length == n
        and a.uri.len == b.uri.len
        and memcmp(a.name.ptr + a.prefix_length, b.name.ptr + b.prefix_length, n) == 0
        and memcmp(a.uri.ptr, b.uri.ptr, a.uri.len) == 0
    )


cdef int resolve(Scanner* s, const char* name, uint32_t n, const char* colon) noexcept nogil:
    """Set ``s.element``, ``s.ns``, ``s.local`` and ``s.foreign_uri`` from the name and the bindings."""
    cdef uint32_t prefix_length = 0 if colon == NULL else <uint32_t> (colon - name)
    cdef uint32_t skip = prefix_length + 1 if colon != NULL else 0
    cdef Binding* binding
    cdef uint8_t candidate
    s.local.ptr = name + skip
    s.local.len = n - skip
    s.element = 0
    s.ns = NS_UNKNOWN
    s.foreign_uri.ptr = NULL
    s.foreign_uri.len = 0
    if prefix_length == 3 and memcmp(name, b"xml", 3) == 0:
        s.ns = NS_XML
        return 0
    binding = find_binding(s, name, prefix_length)
    if binding == NULL:
        return fail(s, name, XML_PREFIX) if colon != NULL else 0
    if binding.uri.len:
        s.foreign_uri = binding.uri
    s.ns = binding.ns
    if not s.ns:
        return 0
    candidate = NAME_SLOT[name_slot(<const uint8_t*> s.local.ptr, s.local.len)]
    if not candidate or ELEMENTS[candidate].length != s.local.len or not (
        same_name(ELEMENTS[candidate].local, s.local.ptr, s.local.len)
        if likely(s.end - s.local.ptr >= NAME_ROOM)
        else same_bytes(ELEMENTS[candidate].local, s.local.ptr, s.local.len)
    ):
        return 0
    while ELEMENTS[candidate].ns != (NS_OADR_B if s.ns == NS_OADR_A else s.ns):
        candidate = ELEMENTS[candidate].next
        if not candidate:
            return 0
    s.element = candidate
    s.following[s.last] = candidate
    expect_prefix(s, binding, ELEMENTS[candidate].ns, s.generation)
    return 0


cdef inline bint at_tag(const char* p) noexcept nogil:
    """Whether a start or an end tag begins at ``p``, by its first two bytes."""
    return p[0] == c"<" and (p[1] == c"/" or byte_class(p + 1) & CLASS_NAME_START)


cdef const char* read_name(Scanner* s, const char* name) noexcept nogil:
    """Name and attributes of a start tag, up to its ``>`` or ``/>``; NULL (and ``s.error``)."""
    cdef const char* colon = NULL
    cdef const char* q = pass_to_name_end(name, s.end, &colon)
    cdef const char* stop
    cdef bint resolved = False
    s.name.len = <uint32_t> (q - name)
    if q[0] == c">" and q != name and colon != name and colon + 1 != q:
        resolved = resolve(s, name, s.name.len, colon) == 0
        if resolved and s.element:
            return q  # a name of ours needs no look at its characters
    stop = pass_name(s, name, &colon)
    if stop == NULL:
        return NULL
    if stop == q and resolved:
        return q
    s.name.len = <uint32_t> (stop - name)
    if stop[0] != c">":
        stop = read_attributes(s, stop)
        if stop == NULL:
            return NULL
    s.inner_bindings = s.binding_count
    return stop if resolve(s, name, s.name.len, colon) == 0 else NULL


cdef inline const char* read_end(Scanner* s, const char* q, const char* name, uint32_t n) noexcept nogil:
    """What follows the end tag at ``q`` (its ``</``), which must repeat the name; NULL (and ``s.error``)."""
    cdef const char* p = q + 2
    if likely(s.end - p > NAME_ROOM and n <= NAME_ROOM):
        if not same_name(p, name, n):
            return name_error(s, q, XML_MISMATCH)
    elif not (s.end - p >= n and same_bytes(p, name, n)):
        return name_error(s, q, XML_MISMATCH)
    p += n
    if p[0] != c">":
        p = pass_space(p)
        if p[0] != c">":
            return name_error(s, p, XML_MISMATCH)
    return p + 1


cdef inline int read_start(Scanner* s, const char* p) noexcept nogil:
    """The start tag at ``p`` (its ``<``) and, when no element follows in it, the whole element."""
    cdef const char* name = p + 1
    cdef const char* q
    cdef const char* text
    cdef uint32_t outer_generation = s.generation
    cdef OpenElement* element
    cdef bint rewrite = False
    s.token = p
    s.name.ptr = name
    s.name.len = 0
    s.attribute_count = 0
    s.outer_bindings = s.inner_bindings = s.binding_count
    q = read_name(s, name)
    if q == NULL:
        return fail(s, s.p, s.error)
    if s.depth >= s.limits.depth:
        return fail(s, p, XML_TOO_DEEP)
    if q[0] == c"/":
        if q[1] != c">":
            return fail(s, q + 1, XML_TAG)
        s.text.ptr = q
        s.text.len = 0
        s.p = q + 2
    else:
        text = q + 1
        q = pass_indent(text, s.roomy) if text[0] == c"\n" else pass_plain(text, s.roomy)
        if not likely(at_tag(q)):
            q = pass_text(s, q, &rewrite)
            if q == NULL:
                return fail(s, s.p, s.error)
        if q[1] != c"/":
            element = &s.stack[s.depth]
            element.name = s.name
            element.bindings = s.outer_bindings
            element.generation = outer_generation
            s.text.ptr = text
            s.text.len = 0
            s.depth += 1
            s.p = q
            return TOKEN_OPEN
        s.text.ptr = text
        s.text.len = <uint32_t> (q - text)
        if rewrite and rewrite_text(s, text, q, &s.text) < 0:
            return fail(s, text, XML_MEMORY)
        q = read_end(s, q, name, s.name.len)
        if q == NULL:
            return fail(s, s.p, s.error)
        s.p = q
    s.binding_count = s.outer_bindings
    s.generation = outer_generation
    return TOKEN_LEAF


cdef const char* read_outside(Scanner* s, int* token) noexcept nogil:
    """What stands before and after the root element: its ``<``, or NULL and TOKEN_END or TOKEN_ERROR."""
    cdef const char* p = s.p
    token[0] = TOKEN_ERROR
    while True:
        p = pass_space(p)
        if p >= s.end:
            s.p = p
            if s.root_seen:
                token[0] = TOKEN_END
            else:
                fail(s, p, XML_EMPTY)
            return NULL
        if p[0] != c"<":
            fail(s, p, XML_SECOND_ROOT if s.root_seen else XML_OUTSIDE_ROOT)
            return NULL
        if p[1] == c"?":
            p = pass_instruction(s, p)
        elif at_comment(s, p):
            p = pass_comment(s, p)
        elif p[1] == c"!":
            fail(s, p, XML_DTD if not s.root_seen else XML_SECOND_ROOT)
            return NULL
        elif s.root_seen:
            fail(s, p, XML_SECOND_ROOT)
            return NULL
        else:
            s.root_seen = True
            return p
        if p == NULL:
            fail(s, s.p, s.error)
            return NULL


cdef int scanner_next(Scanner* s) noexcept nogil:
    """The next token (``Token``)."""
    cdef const char* p
    cdef OpenElement* element
    cdef int token = TOKEN_ERROR
    cdef bint rewrite = False
    if likely(s.depth != 0):
        p = pass_indent(s.p, s.roomy)
        if not likely(at_tag(p)):
            p = pass_text(s, p, &rewrite)
            if p == NULL:
                return fail(s, s.p, s.error)
    else:
        p = read_outside(s, &token)
        if p == NULL:
            return token
    if p[1] != c"/" or not s.depth:
        token = read_start(s, p)
        s.start_unfinished = token == TOKEN_ERROR and s.name.len != 0
        return token
    element = &s.stack[s.depth - 1]
    p = read_end(s, p, element.name.ptr, element.name.len)
    if p == NULL:
        return fail(s, s.p, s.error)
    s.p = p
    s.depth -= 1
    s.binding_count = element.bindings
    s.generation = element.generation
    return TOKEN_CLOSE


cdef int scanner_skip(Scanner* s) noexcept nogil:
    """After TOKEN_OPEN: pass the whole element. TOKEN_CLOSE, or TOKEN_ERROR."""
    cdef uint32_t depth = s.depth
    cdef int token
    while s.depth >= depth:
        token = scanner_next(s)
        if token < 0:
            return token
    return TOKEN_CLOSE


# --- beginning and end ---------------------------------------------------------------------------

cdef int scanner_begin(Scanner* s, const char* data, size_t size, const XmlLimits* limits,
                       Arena* arena) noexcept nogil:
    """Get ready to read; 0, or TOKEN_ERROR with ``s.error``. Always pair with scanner_free.

    ``data[size]`` must be a zero byte.
    """
    s.base = data
    s.p = data
    s.end = data + size
    s.roomy = s.end - TAG_ROOM if size >= TAG_ROOM else NULL
    s.token = data
    s.limits = limits[0]
    s.arena = arena
    s.error = XML_OK
    s.depth = 0
    s.binding_count = 0
    s.generation = 1
    s.generations = 1
    s.root_seen = False
    s.start_unfinished = False
    s.copied = 0
    s.attribute_count = 0
    s.name.ptr = NULL
    s.name.len = 0
    s.last = 0
    memcpy(s.following, FOLLOWING, sizeof(s.following))
    memset(s.usual, 0, sizeof(s.usual))
    s.bindings = s.first_bindings
    s.binding_room = ROOM_FOR_BINDINGS
    s.stack = s.first_stack
    s.attributes = s.first_attributes
    s.heap = NULL
    if limits.depth > ROOM_FOR_ELEMENTS or limits.attributes > ROOM_FOR_ATTRIBUTES:
        s.heap = malloc(limits.depth * sizeof(OpenElement) + limits.attributes * sizeof(Attribute))
        if s.heap == NULL:
            return fail(s, data, XML_MEMORY)
        s.stack = <OpenElement*> s.heap
        s.attributes = <Attribute*> &s.stack[limits.depth]
    if size > limits.size:
        s.error = XML_TOO_LARGE
        return TOKEN_ERROR
    if size >= 2:
        if (
            data[0] == c"\xff" and data[1] == c"\xfe" or data[0] == c"\xfe" and data[1] == c"\xff"
            or data[0] == c"<" and data[1] == 0 or data[0] == 0
        ):
            return fail(s, data, XML_ENCODING)
    if size >= 3 and memcmp(data, b"\xef\xbb\xbf", 3) == 0:
        s.p += 3
    if s.end - s.p >= 38 and same_bytes(s.p, b'<?xml version="1.0" encoding="UTF-8"?>', 38):
        s.p += 38
    elif s.end - s.p >= 6 and memcmp(s.p, b"<?xml", 5) == 0 and byte_class(s.p + 5) & CLASS_SPACE:
        s.p = read_declaration(s, s.p)
        if s.p == NULL:
            s.p = data
            return TOKEN_ERROR
    return 0


cdef void scanner_free(Scanner* s) noexcept nogil:
    free(s.heap)
    if s.bindings != s.first_bindings:
        free(s.bindings)
    s.heap = NULL
    s.bindings = s.first_bindings
