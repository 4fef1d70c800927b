"""Nodes to model objects; see service_objects.pxd."""

from dataclasses import MISSING, fields

from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint32_t
from libc.string cimport memset

from oadr2._core.clock cimport Dur
from oadr2._core.datetimes cimport datetime_from_us, duration_object
from oadr2._core.message cimport Message, NodeData
from oadr2._core.slots cimport new, put, slots
from oadr2._core.text cimport string
from services cimport *

from oadr2 import model

# Constants made once at import; nothing changes them afterwards.
cdef Shape SHAPES[OBJECT_COUNT]
cdef list _CLASSES = [None] * OBJECT_COUNT
cdef list _DEFAULTS = [None] * OBJECT_COUNT     # of each field: a value, or MISSING


cdef int take_shape(int object_) except -1:
    """Look the class up in the model and note where its attributes lie."""
    cdef Shape* shape = &SHAPES[object_]
    cdef int i
    memset(shape, 0, sizeof(Shape))
    if object_ == OBJ_PAIR:  # a tuple
        return 0
    type_ = getattr(model, OBJECT_NAME[object_].decode())
    found = fields(type_)
    if len(found) > MOST_FIELDS:
        raise TypeError(f"{type_.__name__} has too many fields")
    offsets = slots(type_, len(found) * sizeof(Py_ssize_t))
    defaults = []
    for i in range(len(found)):
        shape.fields[i] = offsets[found[i].name]
        # a default is shared by all objects that have it: it is immutable like everything here
        factory = found[i].default_factory
        defaults.append(found[i].default if factory is MISSING else factory())
    shape.field_count = len(found)
    for i in range(MOST_ATTRIBUTES):
        if OBJECT_ATTRIBUTE[object_][i] != NULL:
            shape.attributes[i] = offsets[OBJECT_ATTRIBUTE[object_][i].decode()]
    if object_ == OBJ_UNIT:
        shape.name = offsets["name"]
    shape.signed = offsets.get("signed", 0)
    shape.problems = offsets.get("problems", 0)
    _CLASSES[object_] = type_
    _DEFAULTS[object_] = defaults
    return 0


cdef int take_shapes() except -1:
    cdef int i
    for i in range(1, OBJECT_COUNT):
        take_shape(i)
    return 0


take_shapes()


cdef const Shape* shape_of(int object_) noexcept:
    return &SHAPES[object_]


cdef object class_of(int object_):
    return _CLASSES[object_]


cdef inline PyObject** slot(object o, Py_ssize_t offset) noexcept:
    return <PyObject**> (<char*> <PyObject*> o + offset)


cdef int become_tuple(PyObject** filled) except -1:
    held = tuple(<list> <object> filled[0])
    Py_INCREF(held)
    Py_DECREF(<object> filled[0])
    filled[0] = <PyObject*> held
    return 0


cdef object value(const NodeData* node):
    cdef Dur d
    cdef int type = node.type
    if type == TYPE_NUMBER:
        return node.real
    if type == TYPE_DATE_TIME:
        return datetime_from_us(node.number)
    if type == TYPE_DURATION or type == TYPE_SIGNED_DURATION:
        d.us = node.number
        d.months = node.months
        d.present = True
        d.bare_months = False
        return duration_object(&d)
    if type == TYPE_BOOLEAN:
        return node.number != 0
    if type == TYPE_WHOLE or type == TYPE_PERCENT or type == TYPE_CODE:
        return node.number
    if type == TYPE_RAW:
        return node.text.ptr[: node.text.len]
    return string(node.text.ptr, node.text.len)


cdef object pair(const Message* m, uint32_t at):
    cdef uint32_t i
    cdef list made = ["", ""]
    for i in range(at + 1, m.nodes[at].end):
        made[m.nodes[i].attribute] = value(&m.nodes[i])
    return tuple(made)


cdef object make(const Message* m, uint32_t at, object signed, tuple problems):
    """The object of node ``at``; ``problems`` is None unless it is the message."""
    cdef const NodeData* node = &m.nodes[at]
    cdef const NodeData* child
    cdef const Shape* shape = &SHAPES[node.object]
    cdef PyObject** filled
    cdef uint32_t i = at + 1
    cdef uint32_t lists = 0     # which attributes hold a list that is yet to become a tuple
    cdef int k
    cdef list defaults
    if node.object == OBJ_PAIR:
        return pair(m, at)
    made = new(_CLASSES[node.object])
    if shape.name:
        put(made, shape.name, string(node.text.ptr, node.text.len))
    if problems is not None:
        put(made, shape.signed, signed)
        put(made, shape.problems, problems)
    while i < node.end:
        child = &m.nodes[i]
        if child.type:
            item = value(child)
            i += 1
        else:
            item = make(m, i, None, None)
            i = child.end
        filled = slot(made, shape.attributes[child.attribute])
        if not child.row_flags & ROW_MANY:
            put(made, shape.attributes[child.attribute], item)
        elif filled[0] == NULL:
            put(made, shape.attributes[child.attribute], [item])
            lists |= <uint32_t> 1 << child.attribute
        else:
            (<list> <object> filled[0]).append(item)
    for k in range(MOST_ATTRIBUTES):
        if lists >> k & 1:
            become_tuple(slot(made, shape.attributes[k]))
    defaults = _DEFAULTS[node.object]
    for k in range(shape.field_count):
        if slot(made, shape.fields[k])[0] == NULL:
            put(made, shape.fields[k], defaults[k])
    return made


cdef object service_object(const Message* m, object signed, tuple problems):
    return make(m, 0, signed, problems)
