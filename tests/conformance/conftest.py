"""Every scenario runs for both profiles and over every transport there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from vens import BEFORE, PROFILES, TRANSPORTS, Clock, Ven, Wire

from oadr2.event import EventHandler


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    if request.param == "XMPP":
        request.getfixturevalue("prosody_installed")
    return str(request.param)


@pytest.fixture(scope="session")
def wire() -> Iterator[Wire]:
    with Wire() as wire:
        yield wire


@pytest.fixture
def new_ven(transport: str, wire: Wire, profile: str) -> Iterator[Callable[..., Ven]]:
    """``new_ven(**settings)``: a VEN with these settings of the EventHandler."""
    vens = []

    def make(**settings: Any) -> Ven:
        vens.append(Ven(transport, wire, settings.pop("profile", profile), **settings))
        return vens[-1]

    yield make
    for ven in vens:
        ven.close()


@pytest.fixture
def ven(new_ven: Callable[..., Ven]) -> Ven:
    return new_ven()


@pytest.fixture
def handler(profile: str) -> EventHandler:
    """A bare handler, for tests that bring the transport themselves."""
    return EventHandler("ven", oadr_profile_level=profile, clock=Clock(BEFORE), seed=1)
