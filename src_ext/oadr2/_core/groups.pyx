"""Groups of VENs that share a configuration. See groups.pxd."""

import re

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from oadr2._core.draws cimport (
    DRAW_DUPLICATE,
    DRAW_OFFLINE,
    DRAW_OPT,
    DRAW_SILENT,
    DRAW_STALE,
    DRAW_WRONG_IDS,
    drawn,
    fraction,
)
from oadr2._core.judge cimport Identity, Names, same_text
from oadr2._core.text cimport Str
from oadr2._core.parties cimport Party, given_ven_id, services_free
from oadr2._core.writer cimport kept_text

from oadr2.errors import ConfigurationError

_NUMBER = re.compile(r"\{n(?::0?(\d{1,2}))?\}")


cdef inline bint shared_by(double share, uint64_t random) noexcept nogil:
    return fraction(random) < share


cdef uint32_t behaviour_of(const Group* g, uint64_t seed, uint64_t place) noexcept nogil:
    cdef uint32_t found = 0
    if shared_by(g.opt_in, drawn(seed, place, DRAW_OPT, 0)):
        found |= OPTS_IN
    if shared_by(g.silent, drawn(seed, place, DRAW_SILENT, 0)):
        found |= SILENT
    if shared_by(g.offline, drawn(seed, place, DRAW_OFFLINE, 0)):
        found |= OFFLINE
    if shared_by(g.duplicate, drawn(seed, place, DRAW_DUPLICATE, 0)):
        found |= DUPLICATE
    if shared_by(g.stale, drawn(seed, place, DRAW_STALE, 0)):
        found |= STALE
    if shared_by(g.wrong_ids, drawn(seed, place, DRAW_WRONG_IDS, 0)):
        found |= WRONG_IDS
    return found


# -- names --------------------------------------------------------------------------------------


cdef Str write_name(const Pattern* pattern, uint64_t number, NameRoom* room) noexcept nogil:
    cdef char digits[NUMBER_ROOM]
    cdef int at = NUMBER_ROOM
    cdef char* to = room.text + room.used
    cdef Str name
    name.ptr = to
    if pattern.before.len:
        memcpy(to, pattern.before.ptr, pattern.before.len)
    to += pattern.before.len
    while number or at > NUMBER_ROOM - <int>pattern.width or at == NUMBER_ROOM:
        at -= 1
        digits[at] = <char>(48 + number % 10)
        number //= 10
    memcpy(to, digits + at, NUMBER_ROOM - at)
    to += NUMBER_ROOM - at
    if pattern.after.len:
        memcpy(to, pattern.after.ptr, pattern.after.len)
    to += pattern.after.len
    name.len = <uint32_t>(to - name.ptr)
    room.used += name.len
    return name


cdef Str ven_id_of(const Group* g, uint32_t row, NameRoom* room) noexcept nogil:
    cdef uint32_t i = row - g.first
    cdef Str name
    if g.offsets != NULL:
        name.ptr = g.text + g.offsets[i]
        name.len = g.offsets[i + 1] - g.offsets[i]
        return name
    if not g.ven.numbered:
        return g.ven.before
    return write_name(&g.ven, g.first_number + i, room)


cdef Str sent_id_of(const Group* g, uint32_t row, NameRoom* room) noexcept nogil:
    cdef const Party* party
    if g.services != NULL:
        party = &g.services.parties[row - g.first]
        if party.ids != NULL:
            return given_ven_id(party)
    return ven_id_of(g, row, room)


cdef Names names_of(const PatternList* patterns, uint64_t number, NameRoom* room) noexcept nogil:
    cdef uint32_t i
    cdef Names names
    if not patterns.numbered:
        return patterns.fixed
    names.items = room.names + room.name_count
    names.count = patterns.count
    for i in range(patterns.count):
        if patterns.items[i].numbered:
            names.items[i] = write_name(&patterns.items[i], number, room)
        else:
            names.items[i] = patterns.items[i].before
    room.name_count += names.count
    return names


cdef void identity_of(const Group* g, uint32_t row, NameRoom* room, Identity* me) noexcept nogil:
    cdef uint64_t number = g.first_number + (row - g.first)
    room.used = 0
    room.name_count = 0
    me.ven_id = sent_id_of(g, row, room)
    me.groups = names_of(&g.groups, number, room)
    me.resources = names_of(&g.resources, number, room)
    me.parties = names_of(&g.parties, number, room)


cdef size_t pattern_room(const Pattern* pattern) noexcept nogil:
    return <size_t>pattern.before.len + pattern.after.len + NUMBER_ROOM


cdef void add_room(const PatternList* patterns, size_t* text, uint32_t* names) noexcept nogil:
    cdef uint32_t i
    for i in range(patterns.count):
        text[0] += pattern_room(&patterns.items[i])
        names[0] += 1


cdef void room_needed(const Group* g, size_t* text, uint32_t* names) noexcept nogil:
    text[0] = pattern_room(&g.ven)
    names[0] = 0
    add_room(&g.groups, text, names)
    add_room(&g.resources, text, names)
    add_room(&g.parties, text, names)


# -- from an id to its row ----------------------------------------------------------------------


cdef uint32_t id_hash(const char* p, uint32_t n) noexcept nogil:
    cdef uint64_t h = n
    cdef uint32_t i
    for i in range(n):
        h = (h ^ <unsigned char>p[i]) * <uint64_t>0x100000001B3
    return <uint32_t>(h ^ (h >> 32))


cdef int64_t find_listed(const Group* g, Str ven_id) noexcept nogil:
    # The place of an id in the list, -1: not there. The index must have a free slot.
    cdef uint32_t mask = g.index_size - 1
    cdef uint32_t slot = id_hash(ven_id.ptr, ven_id.len) & mask
    cdef uint32_t i
    while g.index[slot]:
        i = g.index[slot] - 1
        if (g.offsets[i + 1] - g.offsets[i] == ven_id.len
                and memcmp(g.text + g.offsets[i], ven_id.ptr, ven_id.len) == 0):
            return i
        slot = (slot + 1) & mask
    return -1


cdef int64_t find_numbered(const Group* g, Str ven_id) noexcept nogil:
    cdef const Pattern* pattern = &g.ven
    cdef uint32_t digits, i
    cdef uint64_t number = 0
    cdef const char* p
    if ven_id.len <= pattern.before.len + pattern.after.len:
        return -1
    digits = ven_id.len - pattern.before.len - pattern.after.len
    p = ven_id.ptr + pattern.before.len
    if digits >= NUMBER_ROOM or digits < pattern.width or (digits > pattern.width and digits > 1 and p[0] == c"0"):
        return -1
    if pattern.before.len and memcmp(ven_id.ptr, pattern.before.ptr, pattern.before.len) != 0:
        return -1
    if pattern.after.len and memcmp(p + digits, pattern.after.ptr, pattern.after.len) != 0:
        return -1
    for i in range(digits):
        if not 48 <= p[i] <= 57:
            return -1
        number = number * 10 + <uint64_t>(p[i] - 48)
    if number < g.first_number or number - g.first_number >= g.count:
        return -1
    return <int64_t>(number - g.first_number)


cdef int64_t row_of_id(const Group* g, Str ven_id) noexcept nogil:
    cdef int64_t i
    if g.offsets != NULL:
        i = find_listed(g, ven_id)
    elif g.ven.numbered:
        i = find_numbered(g, ven_id)
    else:
        i = 0 if g.count and same_text(g.ven.before, ven_id) else -1
    return -1 if i < 0 else i + g.first


cdef void free_patterns(PatternList* patterns) noexcept nogil:
    free(patterns.items)
    free(patterns.fixed.items)


cdef void group_free(Group* g) noexcept nogil:
    free(g.rules.vtn_ids.items)
    free(g.rules.market_contexts.items)
    free(g.rules.signals.items)
    free_patterns(&g.groups)
    free_patterns(&g.resources)
    free_patterns(&g.parties)
    free(g.text)
    free(g.offsets)
    free(g.index)
    services_free(g.services)


# -- from Python --------------------------------------------------------------------------------


cdef int pattern_from(Pattern* pattern, str text, list kept) except -1:
    cdef object match = _NUMBER.search(text)
    if not text:
        raise ConfigurationError("an id is empty")
    if match is None:
        pattern.before = kept_text(text, "id", kept)
        pattern.after = kept_text("", "id", kept)
        pattern.numbered = False
        pattern.width = 0
        return 0
    if _NUMBER.search(text, match.end()) is not None:
        raise ConfigurationError(f"id pattern {text!r} has more than one {{n}}: give it one")
    pattern.width = int(match[1] or 0)
    if pattern.width >= NUMBER_ROOM:
        raise ConfigurationError(f"id pattern {text!r} asks for more than {NUMBER_ROOM - 1} digits")
    pattern.before = kept_text(text[:match.start()], "id pattern", kept)
    pattern.after = kept_text(text[match.end():], "id pattern", kept)
    pattern.numbered = True
    return 0


cdef int patterns_from(PatternList* patterns, object texts, list kept) except -1:
    cdef list values = [texts] if isinstance(texts, str) else list(texts)
    cdef uint32_t i
    if not values:
        return 0
    patterns.items = <Pattern*>calloc(len(values), sizeof(Pattern))
    patterns.fixed.items = <Str*>calloc(len(values), sizeof(Str))
    if patterns.items == NULL or patterns.fixed.items == NULL:
        raise MemoryError()
    for i, text in enumerate(values):
        pattern_from(&patterns.items[i], text, kept)
        patterns.numbered = patterns.numbered or patterns.items[i].numbered
        patterns.fixed.items[i] = patterns.items[i].before
        patterns.count = patterns.fixed.count = i + 1
    return 0


cdef int ids_from(Group* g, object ids) except -1:
    """Take a list of ids, one for each of the group's rows."""
    cdef uint32_t i, size, slot
    cdef size_t total = 0
    cdef bytes encoded
    cdef Str s
    cdef list kept = []
    for text in ids:
        if not text:
            raise ConfigurationError("a VEN's id is empty")
        s = kept_text(text, "VEN id", kept)
        total += s.len
    if total > <uint32_t>-1:
        raise ConfigurationError("the VENs' ids are longer than four gigabytes together")
    size = 8
    while size < 2 * g.count:
        size *= 2
    g.text = <char*>malloc(total + 1)
    g.offsets = <uint32_t*>malloc((<size_t>g.count + 1) * sizeof(uint32_t))
    g.index = <uint32_t*>calloc(size, sizeof(uint32_t))
    if g.text == NULL or g.offsets == NULL or g.index == NULL:
        raise MemoryError()
    g.index_size = size
    g.offsets[0] = 0
    for i, encoded in enumerate(kept):
        s.ptr = PyBytes_AS_STRING(encoded)
        s.len = <uint32_t>PyBytes_GET_SIZE(encoded)
        memcpy(g.text + g.offsets[i], s.ptr, s.len)
        if find_listed(g, s) >= 0:
            raise ConfigurationError(f"VEN id {encoded.decode()!r} is there twice")
        g.offsets[i + 1] = g.offsets[i] + s.len
        slot = id_hash(s.ptr, s.len) & (size - 1)
        while g.index[slot]:
            slot = (slot + 1) & (size - 1)
        g.index[slot] = i + 1
    return 0
