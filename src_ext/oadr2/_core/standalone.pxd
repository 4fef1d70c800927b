"""An element cut out of its document, as one of its own: what is carried as raw XML and given back."""

from oadr2._core.scanner cimport Scanner
from oadr2._core.text cimport Str

cdef int scanner_standalone(Scanner* s, Str* raw) noexcept nogil
