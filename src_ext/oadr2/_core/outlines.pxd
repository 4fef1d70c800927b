"""Messages of the 2.0b services with gaps: written once by the encoder, filled in for each VEN without Python.

So they are, byte for byte, what :class:`oadr2.ven_20b.Ven20b` would send.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from oadr2._core.text cimport Str
from oadr2._core.writer cimport Writer

cdef enum Gap:
    GAP_NONE = 0            # the end
    GAP_REQUEST_ID
    GAP_VEN_ID
    GAP_REGISTRATION_ID
    GAP_VEN_NAME
    GAP_CODE
    GAP_DESCRIPTION
    GAP_CREATED
    GAP_DTSTART
    GAP_REPORT_REQUEST_ID
    GAP_PENDING             # written out already, as the next
    GAP_INTERVALS
    GAP_OPT_ID
    GAP_COUNT


cdef enum:
    OUTLINE_QUERY = 0
    OUTLINE_REGISTER
    OUTLINE_REGISTER_AGAIN
    OUTLINE_ANNOUNCE
    OUTLINE_POLL
    OUTLINE_CREATED_REPORT
    OUTLINE_CANCELED_REPORT
    OUTLINE_REGISTERED_REPORT
    OUTLINE_UPDATED_REPORT
    OUTLINE_CANCELED_REGISTRATION
    OUTLINE_RESPONSE
    OUTLINE_CREATE_OPT
    OUTLINE_CANCEL_OPT
    OUTLINE_UPDATE_REPORT   # and one more for each further report
    OUTLINE_COUNT = OUTLINE_UPDATE_REPORT + 2


cdef struct Piece:
    Str text
    uint8_t gap             # what follows the text


cdef struct Outline:
    Piece* pieces
    uint32_t count


cdef void write_outline(Writer* w, const Outline* outline, const Str* filling) noexcept nogil
cdef void outlines_free(Outline* outlines) noexcept nogil
# All of them; `own_ids`: the VEN has a venID before it registers; `opt_length`, us: of a period in which it
# takes no part. Raises; `kept` keeps the texts alive.
cdef int outlines_from(Outline* outlines, bint wrap, bint own_ids, tuple reports, int64_t opt_length,
                       list kept) except -1
