"""A VtnPolicy and lists of names as plain numbers, for who judges events by them."""

from oadr2._core.judge cimport Names, Rules

# Texts as Strs that point into bytes objects put into `kept`; free(names.items) afterwards.
cdef int names_from(Names* names, object texts, list kept) except -1
# All but the names, from a VtnPolicy.
cdef int rules_from(Rules* rules, object policy, str default_opt) except -1
