from oadr2._core.fields cimport FieldWriter

# One oadrEvent; the caller has entered its place in the list.
cdef int put_event(FieldWriter f, object event) except -1
# The unit's element, whichever it is.
cdef int put_unit(FieldWriter f, object unit) except -1
# Whether the bytes are one well-formed element of that name that can stand anywhere.
cdef bint is_element(bytes raw, int ns, int element) except -1
