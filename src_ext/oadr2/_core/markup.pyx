"""Markup without elements; see markup.pxd."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr, memcmp

from tables cimport CLASS_NAME_CHAR, CLASS_NAME_START, CLASS_SPACE

from oadr2._core.text cimport Str, arena_take
from oadr2._core.scanner cimport (
    XML_CDATA_END,
    XML_CHARACTER,
    XML_COMMENT,
    XML_DECLARATION,
    XML_ENCODING,
    XML_INSTRUCTION,
    XML_NAME,
    XML_REFERENCE,
    XML_TAG,
    XML_UNFINISHED,
    XML_UTF8,
    Scanner,
)


cdef uint32_t utf8_character(const char* at, const char* end, int* length) noexcept nogil:
    """The code point at ``at``, which is not ASCII; 0 when it is no UTF-8 or no XML character."""
    cdef const uint8_t* p = <const uint8_t*> at
    cdef uint32_t c
    cdef int n, i
    if p[0] < 0xC2:
        return 0
    if p[0] < 0xE0:
        n = 2
        c = p[0] & 0x1F
    elif p[0] < 0xF0:
        n = 3
        c = p[0] & 0x0F
    elif p[0] < 0xF5:
        n = 4
        c = p[0] & 0x07
    else:
        return 0
    if end - at < n:
        return 0
    for i in range(1, n):
        if p[i] & 0xC0 != 0x80:
            return 0
        c = c << 6 | (p[i] & 0x3F)
    if n == 3 and (c < 0x800 or 0xD800 <= c <= 0xDFFF or c >= 0xFFFE):
        return 0
    if n == 4 and (c < 0x10000 or c > 0x10FFFF):
        return 0
    length[0] = n
    return c


cdef bint is_name_start(uint32_t c) noexcept nogil:
    """NameStartChar beyond ASCII (XML 1.0, fifth edition)."""
    return (
        0xC0 <= c <= 0xD6 or 0xD8 <= c <= 0xF6 or 0xF8 <= c <= 0x2FF or 0x370 <= c <= 0x37D
        or 0x37F <= c <= 0x1FFF or 0x200C <= c <= 0x200D or 0x2070 <= c <= 0x218F
        or 0x2C00 <= c <= 0x2FEF or 0x3001 <= c <= 0xD7FF or 0xF900 <= c <= 0xFDCF
        or 0xFDF0 <= c <= 0xFFFD or 0x10000 <= c <= 0xEFFFF
    )


cdef bint is_name_character(uint32_t c) noexcept nogil:
    return c == 0xB7 or 0x300 <= c <= 0x36F or 0x203F <= c <= 0x2040 or is_name_start(c)


cdef const char* pass_name(Scanner* s, const char* p, const char** colon) noexcept nogil:
    """The end of the qualified name at ``p``; NULL (and ``s.error``) when there is none.

    ``colon`` is set to the colon, or NULL.
    """
    cdef const char* part = p
    cdef uint32_t c
    cdef int n = 1
    colon[0] = NULL
    if not byte_class(p) & CLASS_NAME_START:
        if not p[0] & 0x80:
            return name_error(s, p, XML_NAME)
        c = utf8_character(p, s.end, &n)
        if not is_name_start(c):
            return name_error(s, p, XML_NAME if c else XML_UTF8)
    p += n
    while True:
        while byte_class(p) & CLASS_NAME_CHAR:
            p += 1
        if p[0] == c":":
            if colon[0] != NULL:
                return name_error(s, p, XML_NAME)
            colon[0] = p
            part = p + 1
            n = 1
            if not byte_class(part) & CLASS_NAME_START:
                if not part[0] & 0x80:
                    return name_error(s, part, XML_NAME)
                c = utf8_character(part, s.end, &n)
                if not is_name_start(c):
                    return name_error(s, part, XML_NAME if c else XML_UTF8)
            p = part + n
        elif p[0] & 0x80:
            c = utf8_character(p, s.end, &n)
            if c == 0:
                return name_error(s, p, XML_UTF8)
            if not is_name_character(c):
                return name_error(s, p, XML_NAME)
            p += n
        else:
            return p


cdef const char* pass_reference(Scanner* s, const char* p, uint32_t* value) noexcept nogil:
    """The end of the reference at ``p`` (its ``&``); its code point goes to ``value``."""
    cdef const char* start = p
    cdef uint32_t c = 0
    cdef int digit
    p += 1
    if p[0] == c"#":
        p += 1
        if p[0] == c"x":
            p += 1
            if p[0] == c";":
                return name_error(s, start, XML_REFERENCE)
            while p[0] != c";":
                if c"0" <= p[0] <= c"9":
                    digit = p[0] - c"0"
                elif c"a" <= p[0] <= c"f":
                    digit = p[0] - c"a" + 10
                elif c"A" <= p[0] <= c"F":
                    digit = p[0] - c"A" + 10
                else:
                    return name_error(s, start, XML_REFERENCE)
                c = c * 16 + digit
                if c > 0x10FFFF:
                    return name_error(s, start, XML_CHARACTER)
                p += 1
        else:
            if p[0] == c";":
                return name_error(s, start, XML_REFERENCE)
            while p[0] != c";":
                if not c"0" <= p[0] <= c"9":
                    return name_error(s, start, XML_REFERENCE)
                c = c * 10 + (p[0] - c"0")
                if c > 0x10FFFF:
                    return name_error(s, start, XML_CHARACTER)
                p += 1
        if c < 0x20 and c not in (9, 10, 13) or 0xD800 <= c <= 0xDFFF or c in (0xFFFE, 0xFFFF):
            return name_error(s, start, XML_CHARACTER)
        value[0] = c
        return p + 1
    if s.end - p >= 3 and memcmp(p, b"lt;", 3) == 0:
        value[0] = c"<"
        return p + 3
    if s.end - p >= 3 and memcmp(p, b"gt;", 3) == 0:
        value[0] = c">"
        return p + 3
    if s.end - p >= 4 and memcmp(p, b"amp;", 4) == 0:
        value[0] = c"&"
        return p + 4
    if s.end - p >= 5 and memcmp(p, b"quot;", 5) == 0:
        value[0] = c'"'
        return p + 5
    if s.end - p >= 5 and memcmp(p, b"apos;", 5) == 0:
        value[0] = c"'"
        return p + 5
    return name_error(s, start, XML_REFERENCE)


cdef const char* pass_characters(Scanner* s, const char* p, const char* stop) noexcept nogil:
    """Check that [p, stop) is nothing but XML characters in UTF-8."""
    cdef int n = 1
    while p < stop:
        if p[0] & 0x80:
            if utf8_character(p, stop, &n) == 0:
                return name_error(s, p, XML_UTF8)
            p += n
        elif <uint8_t> p[0] < 0x20 and not byte_class(p) & CLASS_SPACE:
            return name_error(s, p, XML_CHARACTER)
        else:
            p += 1
    return stop


cdef const char* find(const char* p, const char* end, const char* text, size_t n) noexcept nogil:
    """Where ``text`` (n bytes) begins in [p, end), or NULL."""
    while end - p >= <ssize_t> n:
        p = <const char*> memchr(p, text[0], end - p - n + 1)
        if p == NULL:
            return NULL
        if memcmp(p, text, n) == 0:
            return p
        p += 1
    return NULL


cdef bint at_cdata(Scanner* s, const char* p) noexcept nogil:
    return s.end - p >= 9 and memcmp(p, b"<![CDATA[", 9) == 0


cdef bint at_comment(Scanner* s, const char* p) noexcept nogil:
    return s.end - p >= 4 and memcmp(p, b"<!--", 4) == 0


cdef const char* pass_comment(Scanner* s, const char* p) noexcept nogil:
    """The end of the comment at ``p`` (its ``<!--``)."""
    cdef const char* stop = find(p + 4, s.end, b"--", 2)
    if stop == NULL:
        return name_error(s, s.end, XML_UNFINISHED)
    if pass_characters(s, p + 4, stop) == NULL:
        return NULL
    if stop[2] != c">":
        return name_error(s, stop, XML_COMMENT)
    return stop + 3


cdef const char* pass_instruction(Scanner* s, const char* p) noexcept nogil:
    """The end of the processing instruction at ``p`` (its ``<?``)."""
    cdef const char* colon = NULL
    cdef const char* stop
    cdef const char* name = p + 2
    p = pass_name(s, name, &colon)
    if p == NULL:
        return NULL
    if colon != NULL:
        return name_error(s, colon, XML_INSTRUCTION)
    if p - name == 3 and name[0] | 0x20 == c"x" and name[1] | 0x20 == c"m" and name[2] | 0x20 == c"l":
        return name_error(s, name, XML_DECLARATION)
    stop = find(p, s.end, b"?>", 2)
    if stop == NULL:
        return name_error(s, s.end, XML_UNFINISHED)
    if stop != p and not byte_class(p) & CLASS_SPACE:
        return name_error(s, p, XML_INSTRUCTION)
    if pass_characters(s, p, stop) == NULL:
        return NULL
    return stop + 2


cdef const char* pass_cdata(Scanner* s, const char* p) noexcept nogil:
    """The end of the CDATA section at ``p`` (its ``<![CDATA[``)."""
    cdef const char* stop = find(p + 9, s.end, b"]]>", 3)
    if stop == NULL:
        return name_error(s, s.end, XML_UNFINISHED)
    if pass_characters(s, p + 9, stop) == NULL:
        return NULL
    return stop + 3


cdef const char* pass_text(Scanner* s, const char* p, bint* rewrite) noexcept nogil:
    """The ``<`` of the next start or end tag; NULL (and ``s.error``) when something is wrong before.

    ``rewrite`` is set when the text on the way is not what an application should see: references,
    CDATA, comments, carriage returns.
    """
    cdef uint32_t c = 0
    cdef int n = 1
    while True:
        p = pass_plain(p, s.roomy)
        if p[0] == c"<":
            if p[1] == c"/" or byte_class(p + 1) & CLASS_NAME_START:
                return p
            if p[1] == c"!":
                rewrite[0] = True
                if at_comment(s, p):
                    p = pass_comment(s, p)
                elif at_cdata(s, p):
                    p = pass_cdata(s, p)
                else:
                    return name_error(s, p, XML_TAG)
            elif p[1] == c"?":
                rewrite[0] = True
                p = pass_instruction(s, p)
            elif p[1] & 0x80:
                return p
            else:
                return name_error(s, p, XML_TAG)
            if p == NULL:
                return NULL
        elif p[0] & 0x80:
            if utf8_character(p, s.end, &n) == 0:
                return name_error(s, p, XML_UTF8)
            p += n
        elif p[0] == c"&":
            rewrite[0] = True
            p = pass_reference(s, p, &c)
            if p == NULL:
                return NULL
        elif p[0] == c"\r":
            rewrite[0] = True
            p += 1
        elif p[0] == c"]":
            if p[1] == c"]" and p[2] == c">":
                return name_error(s, p, XML_CDATA_END)
            p += 1
        else:
            return name_error(s, p, XML_UNFINISHED if p >= s.end else XML_CHARACTER)


cdef int put_utf8(char* out, uint32_t c) noexcept nogil:
    if c < 0x80:
        out[0] = <char> c
        return 1
    if c < 0x800:
        out[0] = <char> (0xC0 | c >> 6)
        out[1] = <char> (0x80 | c & 0x3F)
        return 2
    if c < 0x10000:
        out[0] = <char> (0xE0 | c >> 12)
        out[1] = <char> (0x80 | c >> 6 & 0x3F)
        out[2] = <char> (0x80 | c & 0x3F)
        return 3
    out[0] = <char> (0xF0 | c >> 18)
    out[1] = <char> (0x80 | c >> 12 & 0x3F)
    out[2] = <char> (0x80 | c >> 6 & 0x3F)
    out[3] = <char> (0x80 | c & 0x3F)
    return 4


cdef int rewrite_text(Scanner* s, const char* p, const char* stop, Str* out) noexcept nogil:
    """The text of [p, stop), already checked, as an application sees it; -1: out of memory."""
    cdef char* to = arena_take(s.arena, stop - p)
    cdef uint32_t c = 0
    cdef const char* close
    if to == NULL and stop != p:
        return -1
    out.ptr = to
    while p < stop:
        if p[0] == c"&":
            p = pass_reference(s, p, &c)
            to += put_utf8(to, c)
        elif p[0] == c"<":
            if at_cdata(s, p):
                p += 9
                close = find(p, s.end, b"]]>", 3)
                while p < close:
                    if p[0] == c"\r":
                        to[0] = c"\n"
                        p += 2 if p[1] == c"\n" else 1
                    else:
                        to[0] = p[0]
                        p += 1
                    to += 1
                p = close + 3
            elif p[1] == c"?":
                p = find(p, s.end, b"?>", 2) + 2
            else:
                p = find(p + 4, s.end, b"-->", 3) + 3
        elif p[0] == c"\r":
            to[0] = c"\n"
            to += 1
            p += 2 if p[1] == c"\n" else 1
        else:
            to[0] = p[0]
            to += 1
            p += 1
    out.len = <uint32_t> (to - out.ptr)
    return 0


cdef const char* read_declaration(Scanner* s, const char* p) noexcept nogil:
    """The end of the XML declaration at ``p`` (its ``<?xml``)."""
    cdef const char* names[3]
    cdef uint32_t lengths[3]
    cdef const char* q
    cdef const char* value
    cdef char quote
    cdef uint32_t n
    cdef uint32_t i = 0, j
    names[0], names[1], names[2] = b"version", b"encoding", b"standalone"
    lengths[0], lengths[1], lengths[2] = 7, 8, 10
    p += 5
    while True:
        q = pass_space(p)
        if q[0] == c"?" and q[1] == c">":
            return q + 2 if i else name_error(s, q, XML_DECLARATION)
        if q == p:
            return name_error(s, q, XML_DECLARATION)
        for j in range(i, 3):
            if s.end - q >= lengths[j] and memcmp(q, names[j], lengths[j]) == 0:
                break
        else:
            return name_error(s, q, XML_DECLARATION)
        if i == 0 and j:
            return name_error(s, q, XML_DECLARATION)
        i = j + 1
        q = pass_space(q + lengths[j])
        if q[0] != c"=":
            return name_error(s, q, XML_DECLARATION)
        q = pass_space(q + 1)
        quote = q[0]
        if quote != c'"' and quote != c"'":
            return name_error(s, q, XML_DECLARATION)
        value = q + 1
        p = value
        while byte_class(p) & CLASS_NAME_CHAR:
            p += 1
        if p[0] != quote:
            return name_error(s, p, XML_DECLARATION)
        n = <uint32_t> (p - value)
        p += 1
        if j == 0:
            if n < 3 or memcmp(value, b"1.", 2) != 0:
                return name_error(s, value, XML_DECLARATION)
            for j in range(2, n):
                if not c"0" <= value[j] <= c"9":
                    return name_error(s, value, XML_DECLARATION)
        elif j == 1:
            if n != 5 or value[0] | 0x20 != c"u" or value[1] | 0x20 != c"t" \
                    or value[2] | 0x20 != c"f" or memcmp(value + 3, b"-8", 2) != 0:
                return name_error(s, value, XML_ENCODING)
        elif not (n == 3 and memcmp(value, b"yes", 3) == 0 or n == 2 and memcmp(value, b"no", 2) == 0):
            return name_error(s, value, XML_DECLARATION)
