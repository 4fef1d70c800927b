/* Loops over bytes, sixteen at a time with SSE2 (part of every x86-64), else eight in one integer.

   Build with -DOADR2_PORTABLE (setup.py: OADR2_PORTABLE=1) for the second on any machine. Nothing
   here reads at or beyond `end`, except for end[0], which is a zero byte; `roomy` is the last place
   from which TAG_ROOM bytes can be read, or NULL. */
#ifndef OADR2_BYTES16_H
#define OADR2_BYTES16_H
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__) && !defined(OADR2_PORTABLE)
#define OADR2_SSE2
#include <emmintrin.h>
#endif

/* Eight bytes of memory as one number: where the first non-zero byte, the first n bytes, the n-th is. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define FIRST_BYTE_SET(x) (__builtin_clzll(x) >> 3)
#define FIRST_BYTES_MASK(n) (~(~0ULL >> 8 * (n)))
#define BYTE_AT(c, n) ((uint64_t) (unsigned char) (c) << (56 - 8 * (n)))
#else
#define FIRST_BYTE_SET(x) (__builtin_ctzll(x) >> 3)
#define FIRST_BYTES_MASK(n) (~(~0ULL << 8 * (n)))
#define BYTE_AT(c, n) ((uint64_t) (unsigned char) (c) << 8 * (n))
#endif
/* "xmlns" as such a number, and how many bytes a declaration of one of our URIs takes at most:
   xmlns, a colon, seven bytes of prefix, =, the URI (NAMESPACE_LONGEST - 1) in quotes. */
#define XMLNS (BYTE_AT('x', 0) | BYTE_AT('m', 1) | BYTE_AT('l', 2) | BYTE_AT('n', 3) | BYTE_AT('s', 4))
#define DECLARATION_ROOM (16 + 64)
/* The longest element name of ours; a tag: <, a prefix and its colon, the name, >. */
#define NAME_ROOM 32
#define TAG_ROOM (2 + 8 + NAME_ROOM)
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline uint64_t load64(const char *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline uint32_t load32(const char *p) { uint32_t v; memcpy(&v, p, 4); return v; }

/* Text that needs no closer look: ASCII, no control but tab and line feed, none of < & ]. */
static inline int is_plain(unsigned char c) {
    return c < 0x80 && (c >= 0x20 ? c != '<' && c != '&' && c != ']' : c == '\t' || c == '\n');
}

/* The first byte from p on that is not plain text; the zero byte at the end is none. */
static inline const char *pass_plain(const char *p, const char *roomy) {
#ifdef OADR2_SSE2
    while (likely(p <= roomy)) {
        __m128i x = _mm_loadu_si128((const __m128i *) p);
        __m128i low = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)); /* signed: 0x80 and up are low too */
        __m128i blank = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')),
                                     _mm_cmpeq_epi8(x, _mm_set1_epi8('\t')));
        __m128i mark = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('<')),
                                    _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('&')),
                                                 _mm_cmpeq_epi8(x, _mm_set1_epi8(']'))));
        unsigned found = _mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(blank, low), mark));
        if (found)
            return p + __builtin_ctz(found);
        p += 16;
    }
#else
#define EACH(c) (0x0101010101010101ULL * (c))
#define DIFFERS(x, c) ((((x) ^ EACH(c)) & EACH(0x7F)) + EACH(0x7F)) /* top bit, for ASCII bytes */
    while (likely(p <= roomy)) {
        uint64_t x = load64(p);
        uint64_t high = (x & EACH(0x7F)) + EACH(0x60);
        uint64_t control = DIFFERS(x, '\n') & DIFFERS(x, '\t') & ~high;
        uint64_t found = (x | control | ~DIFFERS(x, '<') | ~DIFFERS(x, '&') | ~DIFFERS(x, ']'))
                         & EACH(0x80);
        if (found)
            return p + FIRST_BYTE_SET(found);
        p += 8;
    }
#undef DIFFERS
#undef EACH
#endif
    while (is_plain((unsigned char) *p))
        p++;
    return p;
}

/* The first byte that an attribute value may not simply hold: a quote, < & a control, non-ASCII. */
static inline const char *pass_value(const char *p, const char *end) {
#ifdef OADR2_SSE2
    while (likely(end - p >= 16)) {
        __m128i x = _mm_loadu_si128((const __m128i *) p);
        __m128i quote = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
                                     _mm_cmpeq_epi8(x, _mm_set1_epi8('\'')));
        __m128i mark = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('<')),
                                    _mm_cmpeq_epi8(x, _mm_set1_epi8('&')));
        __m128i low = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20));
        unsigned found = _mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, mark)));
        if (found)
            return p + __builtin_ctz(found);
        p += 16;
    }
#endif
    while (*p >= 0x20 && *p != '<' && *p != '&' && *p != '"' && *p != '\'')
        p++;
    return p;
}

/* Past a line end and the spaces after it: all that stands between most tags. (Branches, for once,
   beat arithmetic: they let the processor run ahead of the loads.) */
static inline const char *pass_indent(const char *p, const char *roomy) {
    if (*p != '\n') {
        if (likely(*p != '\r' || p[1] != '\n'))
            return p;
        p++;
    }
    p++;
#ifdef OADR2_SSE2
    while (likely(p <= roomy)) {
        unsigned other = 0xFFFF ^ _mm_movemask_epi8(_mm_cmpeq_epi8(
            _mm_loadu_si128((const __m128i *) p), _mm_set1_epi8(' ')));
        if (other)
            return p + __builtin_ctz(other);
        p += 16;
    }
#else
    while (likely(p <= roomy)) {
        uint64_t other = load64(p) ^ 0x2020202020202020ULL;
        if (other)
            return p + FIRST_BYTE_SET(other);
        p += 8;
    }
#endif
    while (*p == ' ')
        p++;
    return p;
}

/* The first > or / or blank or control or non-ASCII byte: where a tag's name must end. Sets *colon to
   the first colon before it, or NULL. */
static inline const char *pass_to_name_end(const char *p, const char *end, const char **colon) {
    *colon = NULL;
#ifdef OADR2_SSE2
    while (likely(end - p >= 16)) {
        __m128i x = _mm_loadu_si128((const __m128i *) p);
        __m128i stop = _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(0x21)),
                                    _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('>')),
                                                 _mm_cmpeq_epi8(x, _mm_set1_epi8('/'))));
        unsigned stops = _mm_movemask_epi8(stop);
        unsigned colons = _mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(':')));
        colons &= stops ^ (stops - 1);
        if (colons && !*colon)
            *colon = p + __builtin_ctz(colons);
        if (stops)
            return p + __builtin_ctz(stops);
        p += 16;
    }
#endif
    while ((unsigned char) *p - 0x21u < 0x5Fu && *p != '>' && *p != '/') {
        if (*p == ':' && !*colon)
            *colon = p;
        p++;
    }
    return p;
}

/* Whether n bytes are all ASCII. */
static inline int is_ascii(const char *p, uint32_t n) {
    uint64_t seen = 0;
    for (; n >= 8; p += 8, n -= 8)
        seen |= load64(p);
    while (n--)
        seen |= (unsigned char) p[n];
    return !(seen & 0x8080808080808080ULL);
}

/* Whether n bytes are equal. */
static inline int same_bytes(const char *a, const char *b, uint32_t n) {
#ifdef OADR2_SSE2
    if (n >= 16) {
        __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *) (a + n - 16)),
                                      _mm_loadu_si128((const __m128i *) (b + n - 16)));
        for (; n > 16; a += 16, b += 16, n -= 16)
            same = _mm_and_si128(same, _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *) a),
                                                      _mm_loadu_si128((const __m128i *) b)));
        return _mm_movemask_epi8(same) == 0xFFFF;
    }
#endif
    if (n >= 8) {
        if (load64(a + n - 8) != load64(b + n - 8))
            return 0;
        for (; n > 8; a += 8, b += 8, n -= 8)
            if (load64(a) != load64(b))
                return 0;
        return 1;
    }
    if (n >= 4)
        return load32(a) == load32(b) && load32(a + n - 4) == load32(b + n - 4);
    while (n--)
        if (a[n] != b[n])
            return 0;
    return 1;
}

/* The same, where NAME_ROOM bytes can be read at both places. */
static inline int same_name(const char *a, const char *b, uint32_t n) {
#ifdef OADR2_SSE2
    uint64_t same = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *) a),
                                                     _mm_loadu_si128((const __m128i *) b)));
    if (likely(n <= 16)) /* the bits above are ones once inverted: there is always one to find */
        return (uint32_t) __builtin_ctz(~(uint32_t) same) >= n;
    if (n <= NAME_ROOM) {
        same |= (uint64_t) (uint32_t) _mm_movemask_epi8(
                    _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *) (a + 16)),
                                   _mm_loadu_si128((const __m128i *) (b + 16)))) << 16;
        return (uint32_t) __builtin_ctzll(~same) >= n;
    }
#endif
    return same_bytes(a, b, n);
}

/* The first n bytes, at most eight, as a number, zeros behind them. */
static inline uint64_t first_bytes(const char *p, uint32_t n, const char *end) {
    uint64_t v = 0;
    if (n >= 8)
        return load64(p);
    if (likely(end - p >= 8))
        return load64(p) & FIRST_BYTES_MASK(n);
    memcpy(&v, p, n);
    return v;
}

#endif
