"""A third-party driver, a VTN, and gateways that end with their test."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oadr2.sim import SimulatedVtn, VtnServer

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sys.path in which a distribution brings the driver ``folder``."""
    folder = tmp_path_factory.mktemp("plugin")
    info = folder / "folder_driver-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: folder-driver\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[oadr2.drivers]\nfolder = fake_driver:FolderDriver\n")
    return folder


@pytest.fixture(autouse=True)
def folder_driver(plugin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver ``folder`` is installed."""
    monkeypatch.syspath_prepend(str(plugin_folder))
    importlib.invalidate_caches()
    assert str(HERE) in sys.path


@pytest.fixture
def vtn() -> SimulatedVtn:
    return SimulatedVtn()


@pytest.fixture
def server(vtn: SimulatedVtn) -> Iterator[VtnServer]:
    with VtnServer(vtn) as server:
        yield server
