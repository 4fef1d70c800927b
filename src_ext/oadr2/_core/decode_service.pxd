"""A message of the 2.0b services to nodes, along the rows of services.h.

A node is an object (a message or a part of it) or one of its values, in the order sent; elements that
are only there for the XML leave none. A fault that spoils the message refuses it whole, any other is
noted with it.
"""

from libc.stdint cimport uint8_t, uint32_t

from oadr2._core.message cimport DecodeLimits, Message
from oadr2._core.text cimport Str
from oadr2._core.xml cimport Scanner

# The scanner has just met the message's element with this token; what stands around it is `outer`. 0 when
# the message has been read to its end; -1 with s.error, or with m.error for what is XML but no such message.
cdef int decode_service(Scanner* s, Message* m, const DecodeLimits* limits, const uint8_t* outer,
                        uint32_t outer_count, int token) noexcept nogil
# Whether a word stands in its list (services.h: WORD_LIST), or may stand beside it.
cdef bint is_word(Str word, int words) noexcept nogil
