"""The events of a payload, read for the tests of decoding; the cases and profiles those run over."""

from __future__ import annotations

import pytest
from cases import CASES, PROFILES

from oadr2 import decode
from oadr2.model import DistributeEvent, Event
from oadr2.policy import VtnPolicy

every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
both_profiles = pytest.mark.parametrize("profile", PROFILES)


def events_of(data: bytes, policy: VtnPolicy | None = None) -> list[Event]:
    found = decode(data, policy=policy)
    assert isinstance(found, DistributeEvent)
    return list(found.events)


def only_event(data: bytes, policy: VtnPolicy | None = None) -> Event:
    (found,) = events_of(data, policy)
    return found


def notes(found: Event) -> list[tuple[str, bool]]:
    """(element at fault, fatal) of every problem, from the reason's first word."""
    return [(problem.reason.split()[0].rstrip(":"), problem.fatal) for problem in found.problems]
