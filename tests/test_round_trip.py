"""Every message of the case table that can be sent decodes to itself after encoding.

Generated messages make the same journey in test_encode.py.
"""

from __future__ import annotations

import pytest
from cases import CASES, Case

from oadr2 import decode, encode

# What is read leniently and never sent: an interval without a value, an event without a signal.
ONLY_READ = ("payload_that_is_no_float", "three_events")
SENT = [case for case in CASES if not case.name.startswith(ONLY_READ)]


@pytest.mark.parametrize("case", SENT, ids=[case.name for case in SENT])
def test_every_case_encodes_to_itself(case: Case) -> None:
    for wrap in (False, True):
        assert decode(encode(case.expected, wrap=wrap)) == case.expected
