"""Model objects of the 2.0b services to XML, along the rows that the decoder follows."""

from oadr2._core.fields cimport FieldWriter

# The row of a message's class; 0 for what is no message of a service.
cdef int service_row(object message) except -1
# The whole message, in its frame.
cdef int put_service(FieldWriter f, object message, int row, bint wrap) except -1
