"""Where the slots of a class lie; see slots.pxd."""

from types import MemberDescriptorType

from cpython.object cimport PyObject

cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        Py_ssize_t tp_basicsize


cdef extern from "structmember.h":
    int T_OBJECT_EX
    ctypedef struct PyMemberDef:
        int type
        Py_ssize_t offset
        int flags
    ctypedef struct PyMemberDescrObject:
        PyMemberDef* d_member


cdef dict slots(object type_, size_t known):
    """The offset of every slot by name; TypeError unless they are ``known`` bytes of plain references."""
    cdef PyMemberDef* member
    cdef Py_ssize_t size = (<PyTypeObject*> type_).tp_basicsize
    found = {}
    for name in type_.__slots__:
        descriptor = type_.__dict__[name]
        if type(descriptor) is not MemberDescriptorType:
            raise TypeError(f"{type_.__name__}.{name} is not a slot")
        member = (<PyMemberDescrObject*> descriptor).d_member
        if (
            member.type != T_OBJECT_EX
            or member.flags
            or not <Py_ssize_t> sizeof(PyObject) <= member.offset <= size - <Py_ssize_t> sizeof(void*)
        ):
            raise TypeError(f"{type_.__name__}.{name} is not a slot for a reference")
        found[name] = member.offset
    if len(found) * sizeof(Py_ssize_t) != known:
        raise TypeError(f"{type_.__name__} has other slots than expected")
    return found
