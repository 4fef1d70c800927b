"""Nodes to the objects of oadr2.model, by the classes and attributes that elements.py names."""

from libc.stdint cimport uint32_t

from oadr2._core.message cimport Message


cdef enum:
    MOST_FIELDS = 16


cdef struct Shape:          # of a class: where its slots lie, in bytes from the beginning of an object
    int field_count
    Py_ssize_t fields[MOST_FIELDS]
    Py_ssize_t attributes[MOST_FIELDS]  # by the number that services.h gives an attribute
    Py_ssize_t name         # Unit only, as the next two are a message's only; else 0
    Py_ssize_t signed
    Py_ssize_t problems


# By OBJ_*. OBJ_PAIR has neither.
cdef const Shape* shape_of(int object_) noexcept
cdef object class_of(int object_)
# The message that the nodes describe.
cdef object service_object(const Message* m, object signed, tuple problems)
