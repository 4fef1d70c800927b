"""The messages of the 2.0b services to XML; see encode_service.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t
from libc.string cimport strlen

from oadr2._core.decode_service cimport is_word
from oadr2._core.encode_event cimport is_element, put_unit
from oadr2._core.fields cimport FieldWriter, must_be
from oadr2._core.service_objects cimport Shape, class_of, shape_of
from oadr2._core.text cimport Str
from oadr2._core.values cimport trimmed
from oadr2._core.writer cimport (
    Writer,
    put,
    writer_free,
    writer_init,
    writer_insert,
    writer_number,
    writer_put,
    writer_text,
)
from services cimport *
from tables cimport (
    EL_OADR_OADRGBDATADESCRIPTION,
    NAMESPACE_COUNT,
    NAMESPACES,
    NS_EI,
    NS_OADR_B,
    NS_POWER,
    NS_PYLD,
    NS_SCALE,
)


cdef dict _ROWS = {}    # of each message's class; complete once imported


cdef int take_rows() except -1:
    cdef const ServiceState* document = &SERVICE_STATE[SV_DOCUMENT]
    cdef int i
    for i in range(document.first, document.first + document.count):
        _ROWS[class_of(SERVICE_ROW[i].object)] = i
    return 0


take_rows()


cdef int service_row(object message) except -1:
    found = _ROWS.get(type(message))
    if found is None:
        for type_, row in _ROWS.items():
            if isinstance(message, type_):
                return row
        return 0
    return found


# --- the frame -----------------------------------------------------------------------------------

cdef int put_service(FieldWriter f, object message, int row, bint wrap) except -1:
    cdef const ServiceRow* root = &SERVICE_ROW[row]
    cdef size_t at
    cdef int ns
    cdef Writer declarations
    put(&f.w, b'<?xml version="1.0" encoding="UTF-8"?>\n')
    if wrap:
        put(&f.w, b"<oadr:oadrPayload")
        at = f.w.used
        put(&f.w, b"><oadr:oadrSignedObject>")
        writer_put(&f.w, root.open, root.open_length - 1)
    else:
        writer_put(&f.w, root.open, root.open_length - 1)
        at = f.w.used
    put(&f.w, b' ei:schemaVersion="2.0b">')
    f.namespaces = 1 << NS_OADR_B | 1 << NS_EI | 1 << NS_PYLD
    put_rows(f, root.state, message, shape_of(root.object), root.object)
    writer_put(&f.w, root.close, root.close_length)
    if wrap:
        put(&f.w, b"</oadr:oadrSignedObject></oadr:oadrPayload>")
    if f.with_power:
        f.namespaces |= 1 << NS_POWER
    if f.with_scale:
        f.namespaces |= 1 << NS_SCALE
    # known only now, and inserted at once: everything behind has to move
    writer_init(&declarations)
    for ns in range(NAMESPACE_COUNT):
        if f.namespaces >> ns & 1:
            put(&declarations, b" xmlns:")
            writer_put(&declarations, NAMESPACE_PREFIX[ns], strlen(NAMESPACE_PREFIX[ns]))
            put(&declarations, b'="')
            writer_put(&declarations, NAMESPACES[ns].uri, NAMESPACES[ns].length)
            put(&declarations, b'"')
    if declarations.failed:
        f.w.failed = declarations.failed
    else:
        writer_insert(&f.w, at, declarations.data, declarations.used)
    writer_free(&declarations)
    return 0


# --- objects -------------------------------------------------------------------------------------

cdef int put_rows(FieldWriter f, int state, object o, const Shape* shape, int object_) except -1:
    """What stands inside an element, in the schema's order; ``o`` is the object it belongs to."""
    cdef const ServiceState* inside = &SERVICE_STATE[state]
    cdef const ServiceRow* row
    cdef PyObject* value
    cdef int i, last = -1, chosen = 0
    cdef bint choosing = False
    for i in range(inside.first, inside.first + inside.count):
        row = &SERVICE_ROW[i]
        if row.attribute == NO_ATTRIBUTE:
            if not row.flags & ROW_MUST and is_nothing(row.state, o, shape):
                continue
            open_tag(f, row)
            put_rows(f, row.state, o, shape, object_)
            writer_put(&f.w, row.close, row.close_length)
            continue
        if row.flags & ROW_CHOICE:
            choosing = True
        elif row.bit == last:
            continue  # an alternative to the row before, which has written the attribute
        else:
            last = row.bit
        value = attribute_of(o, shape, row)
        if value == NULL:
            raise f.wrong(OBJECT_ATTRIBUTE[object_][row.attribute], "was never set")
        if row.flags & ROW_CHOICE:
            if value == <PyObject*> None:
                continue
            chosen += 1
        put_attribute(f, inside, i, <object> value, OBJECT_ATTRIBUTE[object_][row.attribute])
    if choosing and chosen != 1:
        raise f.wrong(NULL, f"exactly one is needed of {', '.join(choices(inside, object_))}")
    return 0


cdef inline PyObject* attribute_of(object o, const Shape* shape, const ServiceRow* row) noexcept:
    return (<PyObject**> (<char*> <PyObject*> o + shape.attributes[row.attribute]))[0]


cdef list choices(const ServiceState* inside, int object_):
    cdef int i
    return [
        OBJECT_ATTRIBUTE[object_][SERVICE_ROW[i].attribute].decode()
        for i in range(inside.first, inside.first + inside.count)
        if SERVICE_ROW[i].flags & ROW_CHOICE
    ]


cdef bint is_nothing(int state, object o, const Shape* shape) except -1:
    """Whether no attribute that would be written inside this element has a value."""
    cdef const ServiceState* inside = &SERVICE_STATE[state]
    cdef const ServiceRow* row
    cdef PyObject* value
    cdef int i
    for i in range(inside.first, inside.first + inside.count):
        row = &SERVICE_ROW[i]
        if row.attribute == NO_ATTRIBUTE:
            if not is_nothing(row.state, o, shape):
                return False
            continue
        value = attribute_of(o, shape, row)
        if value != NULL and value != <PyObject*> None and (<object> value) != ():
            return False
    return True


cdef int put_attribute(FieldWriter f, const ServiceState* inside, int number, object value,
                       const char* name) except -1:
    """The attribute whose first row is given, as one element, several, or none."""
    cdef const ServiceRow* row = &SERVICE_ROW[number]
    cdef Py_ssize_t i
    if row.flags & ROW_MANY:
        items = f.as_items(value, name)
        if row.flags & ROW_MUST and not len(items):
            raise f.wrong(name, "at least one is needed")
        for i in range(len(items)):
            f.enter(name, i)
            put_element(f, alternative(f, inside, number, items[i]), items[i], NULL)
            f.leave()
        return 0
    if value is None:
        if row.flags & ROW_MUST:
            raise f.wrong(name, "is missing")
        return 0
    if row.object == OBJ_UNIT:
        if getattr(value, "name", None) != "oadrGBDataDescription":
            return put_unit(f, value)
        while SERVICE_ROW[number].element != EL_OADR_OADRGBDATADESCRIPTION:
            number += 1
        row = &SERVICE_ROW[number]
    elif row.object == OBJ_TARGETS and not row.flags & ROW_MUST:
        expect(f, value, row, name)
        if is_nothing(row.state, value, shape_of(OBJ_TARGETS)):
            return 0
    return put_element(f, row, value, name)


cdef const ServiceRow* alternative(FieldWriter f, const ServiceState* inside, int number,
                                   object item) except NULL:
    """Of the rows that share an attribute the one for the class of this item."""
    cdef int i = number
    cdef int end = inside.first + inside.count
    while i + 1 < end and SERVICE_ROW[i + 1].bit == SERVICE_ROW[number].bit:
        if isinstance(item, class_of(SERVICE_ROW[i].object)):
            break
        i += 1
    return &SERVICE_ROW[i]


cdef inline int expect(FieldWriter f, object value, const ServiceRow* row, const char* name) except -1:
    type_ = class_of(row.object)
    if type(value) is not type_ and not isinstance(value, type_):
        raise f.wrong(name, must_be(type_.__name__, value))
    return 0


cdef inline void open_tag(FieldWriter f, const ServiceRow* row) noexcept:
    f.namespaces |= <uint32_t> 1 << row.ns
    writer_put(&f.w, row.open, row.open_length)


cdef int put_element(FieldWriter f, const ServiceRow* row, object value, const char* name) except -1:
    """One element; ``name`` is the attribute it comes from, NULL for the place we are at."""
    if row.type == TYPE_RAW:
        return put_raw(f, row, value, name)
    open_tag(f, row)
    if row.type:
        put_value(f, row, value, name)
    elif row.object == OBJ_PAIR:
        put_pair(f, row, value)
    elif row.object:
        expect(f, value, row, name)
        if name != NULL:
            f.enter(name, -1)
        put_rows(f, row.state, value, shape_of(row.object), row.object)
        if name != NULL:
            f.leave()
    else:  # an element around the value
        put_element(f, &SERVICE_ROW[SERVICE_STATE[row.state].first], value, name)
    writer_put(&f.w, row.close, row.close_length)
    return 0


cdef int put_pair(FieldWriter f, const ServiceRow* row, object value) except -1:
    cdef const ServiceState* inside = &SERVICE_STATE[row.state]
    cdef int i
    items = f.as_items(value, NULL)
    if len(items) != inside.count:
        raise f.wrong(NULL, "must be a pair: point of receipt, point of delivery")
    for i in range(inside.count):
        put_element(f, &SERVICE_ROW[inside.first + i], items[i], NULL)
    return 0


# --- values --------------------------------------------------------------------------------------

cdef int put_value(FieldWriter f, const ServiceRow* row, object value, const char* name) except -1:
    cdef int type = row.type
    cdef Str text
    if type == TYPE_NUMBER:
        return f.float_text(value, name)
    if type == TYPE_TEXT or type == TYPE_TOKEN:
        return f.text(value, name)
    if type == TYPE_DATE_TIME:
        return f.date_time(value, name)
    if type == TYPE_DURATION or type == TYPE_SIGNED_DURATION:
        return f.duration(value, name, type == TYPE_SIGNED_DURATION)
    if type == TYPE_ID:
        f.as_text(value, name, &text)
        if not trimmed(text).len:
            raise f.wrong(name, "must not be empty")
        writer_text(&f.w, text)
    elif type == TYPE_WHOLE:
        return f.number(value, name)
    elif type == TYPE_PERCENT:
        if f.as_unsigned(value, name) > 100:
            raise f.wrong(name, f"must be from 0 to 100, not {value}")
        return f.number(value, name)
    elif type == TYPE_CODE:
        writer_number(&f.w, f.as_code(value, name))
    elif type == TYPE_BOOLEAN:
        if not isinstance(value, bool):
            raise f.wrong(name, must_be("bool", value))
        put(&f.w, b"true" if value else b"false")
    else:
        f.as_text(value, name, &text)
        if trimmed(text).len != text.len or not is_word(text, row.words):
            raise f.wrong(name, f"{value!r} is none of {known_words(row.words)}")
        writer_text(&f.w, text)
    return 0


cdef str known_words(int words):
    cdef const WordList* known = &WORD_LIST[words]
    cdef int i
    found = sorted(WORD[i].text.decode() for i in range(known.first, known.first + known.count))
    return ", ".join(found) + (", x-..." if known.kind == WORDS_OPEN else "")


cdef int put_raw(FieldWriter f, const ServiceRow* row, object value, const char* name) except -1:
    if not isinstance(value, bytes):
        raise f.wrong(name, must_be("bytes", value))
    if not is_element(value, row.ns, row.element):
        wanted = row.open[1 : row.open_length - 1].decode()
        raise f.wrong(name, f"must be a {wanted} element that declares its own namespaces")
    writer_put(&f.w, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    return 0
