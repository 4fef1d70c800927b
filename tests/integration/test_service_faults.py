"""P05 and the rest with the real program: a registered, reporting VEN is killed at random moments."""

from __future__ import annotations

from pathlib import Path

from fault_harness import fault_seed, number_of_kills
from service_fault_harness import ServiceFaultHarness


def test_P05_nothing_that_the_VTN_was_told_is_lost(tmp_path: Path) -> None:
    harness = ServiceFaultHarness(tmp_path, fault_seed())
    harness.run(number_of_kills(8))
    assert harness.problems == []
    assert harness.known.accepted
    assert harness.known.answered
    assert harness.known.gathered
    assert harness.known.opted
