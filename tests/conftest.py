"""What every test may ask for."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from oadr2.sim import mosquitto
from oadr2.sim.prosody import INSTALL, find_prosody

ROOT = Path(__file__).parent.parent
# A shell has its background jobs ignore Ctrl-C, and what they start inherits that: not our programs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_openadr() -> Path:
    """The folder with the profile's facts, schemas and samples, which is not part of the project.

    Looked for in ``$OADR2_SHARED/openadr``, else beside the checkout in ``../shared/openadr``; the
    test is skipped when there is none.
    """
    shared = Path(os.environ.get("OADR2_SHARED") or ROOT.parent / "shared")
    folder = shared / "openadr"
    if not folder.is_dir():
        pytest.skip(f"needs the shared OpenADR files, and there is no {folder}")
    return folder


@pytest.fixture(scope="session")
def prosody_installed() -> None:
    """For tests on a real XMPP server; OADR2_REQUIRE_PROSODY=1 makes its absence a failure."""
    if find_prosody() is None:
        if os.environ.get("OADR2_REQUIRE_PROSODY") == "1":
            pytest.fail(f"OADR2_REQUIRE_PROSODY is set, and {INSTALL}")
        pytest.skip(INSTALL)


@pytest.fixture(scope="session")
def mosquitto_installed() -> None:
    """For tests on a real MQTT broker; OADR2_REQUIRE_MOSQUITTO=1 makes its absence a failure."""
    if mosquitto.find_mosquitto() is None:
        if os.environ.get("OADR2_REQUIRE_MOSQUITTO") == "1":
            pytest.fail(f"OADR2_REQUIRE_MOSQUITTO is set, and {mosquitto.INSTALL}")
        pytest.skip(mosquitto.INSTALL)
