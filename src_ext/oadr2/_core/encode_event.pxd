from oadr2._core.fields cimport FieldWriter

# One oadrEvent; the caller has entered its place in the list.
cdef int put_event(FieldWriter f, object event) except -1
