"""A VtnPolicy and lists of names as plain numbers. See rules.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc

from oadr2._core.judge cimport PRIORITY_HIGHER, PRIORITY_HIGHEST_LEVEL, PRIORITY_LOWER
from oadr2._core.message cimport NO_NUMBER
from oadr2._core.objects cimport limits_from
from oadr2._core.text cimport Str

from oadr2._core.listplan import OPTS

PRIORITIES = {
    "lower": PRIORITY_LOWER, "higher": PRIORITY_HIGHER, "highest_level": PRIORITY_HIGHEST_LEVEL,
}


cdef int names_from(Names* names, object texts, list kept) except -1:
    cdef bytes encoded
    cdef list values = [(<str?>text).encode() for text in texts]
    if not values:
        return 0
    names.items = <Str*>calloc(len(values), sizeof(Str))
    if names.items == NULL:
        raise MemoryError()
    for encoded in values:
        kept.append(encoded)
        names.items[names.count].ptr = PyBytes_AS_STRING(encoded)
        names.items[names.count].len = <uint32_t>PyBytes_GET_SIZE(encoded)
        names.count += 1
    return 0


cdef int rules_from(Rules* rules, object policy, str default_opt) except -1:
    limits_from(policy, &rules.limits)
    # Lists are bounded, their number is not: pushes of single events could pile up for ever.
    rules.rows = 10 * rules.limits.events
    for i, codes in enumerate((policy.codes_20a, policy.codes_20b)):
        for k, code in enumerate((  # in the order of Refusal
            codes.unknown_vtn_id, codes.lower_modification_number, codes.target_mismatch,
            codes.market_context, codes.signal_not_supported, codes.invalid_data,
        )):
            rules.codes[<int>i][<int>k] = code
    rules.reply_limit = NO_NUMBER if policy.reply_limit is None else policy.reply_limit
    rules.implied_cancel = policy.implied_cancel
    rules.refuse_interval_sum = policy.interval_sum == "refuse"
    rules.require_current_value_a = policy.require_current_value_20a
    rules.require_notification_a = policy.require_notification_20a
    rules.unknown_completed_opt = OPTS[policy.opt_for_unknown_completed]
    rules.run_test_events = policy.run_test_events
    rules.wrap_b = policy.wrap_20b
    rules.priority = PRIORITIES[policy.priority]
    rules.default_opt = OPTS[default_opt]
    return 0
