"""A real Mosquitto for the tests that ask for one."""

from __future__ import annotations

import os

import pytest

from oadr2.sim.mosquitto import INSTALL, find_mosquitto


@pytest.fixture(scope="session")
def mosquitto_installed():
    if find_mosquitto() is None:
        if os.environ.get("OADR2_REQUIRE_MOSQUITTO") == "1":
            pytest.fail(f"OADR2_REQUIRE_MOSQUITTO is set, and {INSTALL}")
        pytest.skip(INSTALL)
