"""Frozen, slotted dataclasses filled slot by slot, past their __init__; each slot exactly once."""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

cdef extern from "Python.h":
    object PyType_GenericAlloc(type type_, Py_ssize_t items)


# The offset of every slot by name; TypeError unless they are `known` bytes of plain references.
cdef dict slots(object type_, size_t known)


cdef inline object new(object type_):
    """An object of one of our frozen dataclasses, its fields yet to be put."""
    return PyType_GenericAlloc(<type> type_, 0)


cdef inline void put(object o, Py_ssize_t slot, object value) noexcept:
    """Fill a slot of a frozen dataclass that is being made, once: what stood there is not released."""
    Py_INCREF(value)
    (<PyObject**> (<char*> <PyObject*> o + slot))[0] = <PyObject*> value
