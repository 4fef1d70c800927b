"""Intervals and events written like one before, read by comparison.

A list repeats the same bytes but for a few values. Where the bytes around the values are those of an
interval (or an event) that was read without fault at the same place, under the same namespaces, there
is nothing left to learn from them. Of intervals the two latest ways of writing are remembered, of events
one. Anything else is read the long way, as if nothing had been tried.
"""

from oadr2._core.walk cimport Walk

# What the long way tells: called for an interval or event, and inside one while w.recording.
cdef void record_enter(Walk* w, int state) noexcept nogil   # before the element is entered
cdef void record_value(Walk* w, int state) noexcept nogil
cdef void record_leave(Walk* w, int state) noexcept nogil   # when it was left without a problem, or with
cdef void read_alike(Walk* w) noexcept nogil                # as many as follow here
