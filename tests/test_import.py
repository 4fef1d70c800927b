"""`import oadr2` is cheap, and what it promises is there."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from types import ModuleType

import pytest

import oadr2

HEAVY = {"uvloop", "httptools", "httpx", "slixmpp", "lxml", "rich", "uvicorn", "sqlite3", "asyncio"}
CHEAP_ROOMS = ["errors", "event", "model", "policy", "schedule", "store", "control"]


def modules_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running `code`."""
    script = f"{code}\nimport sys\nprint(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_import_oadr2_loads_no_library() -> None:
    loaded = modules_after("import oadr2")
    assert "oadr2" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("room", CHEAP_ROOMS)
def test_the_event_side_loads_no_http_and_no_lxml(room: str) -> None:
    loaded = modules_after(f"import oadr2; oadr2.{room}")
    assert not loaded & {"httpx", "slixmpp", "lxml", "rich", "uvicorn", "xmlschema"}


def test_verdicts_by_the_schema_do_not_load_what_reports_do() -> None:
    loaded = modules_after("import oadr2; oadr2.schema.is_valid(b'')")
    assert "lxml" in loaded
    assert not loaded & {"xmlschema", "rich", "httpx"}


def test_rooms_are_imported_when_named() -> None:
    code = (
        "import sys, oadr2\n"
        "assert 'oadr2.event' not in sys.modules\n"
        "oadr2.event.EventHandler\n"
        "assert 'oadr2.event' in sys.modules"
    )
    assert "oadr2" in modules_after(code)


@pytest.mark.parametrize("name", oadr2.__all__)
def test_every_promised_name_is_there(name: str) -> None:
    value = getattr(oadr2, name)
    assert not isinstance(value, ModuleType) or value.__name__ == f"oadr2.{name}"
    assert name in dir(oadr2)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'oadr2' has no attribute 'nothing'"):
        _ = oadr2.nothing


def test_version_is_that_of_the_installed_package() -> None:
    try:
        installed = importlib.metadata.version("oadr2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("oadr2 is not installed; the checkout is used as it is")
    assert oadr2.__version__ == installed


def without(library: str, code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` in a fresh interpreter in which `library` is not installed."""
    script = f"import sys\nsys.modules[{library!r}] = None\n{code}"
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("module", ["oadr2.xmpp", "oadr2.xmpp_20b"])
def test_xmpp_without_its_library_says_what_to_install(module: str) -> None:
    last = without("slixmpp", f"import {module}").stderr.splitlines()[-1]
    assert last == (
        "oadr2.errors.ConfigurationError: XMPP needs slixmpp: pip install 'oadr2[xmpp]'"
    )


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("modbus_devices", "pymodbus", "modbus"),
        ("mqtt_heaters", "aiomqtt", "mqtt"),
        ("bacnet_device", "bacpypes3", "bacnet"),
    ],
)
def test_a_simulated_device_without_its_library_says_in_a_line_what_to_install(
    module: str, library: str, extra: str
) -> None:
    command = f"import runpy\nrunpy.run_module('oadr2.sim.{module}', run_name='__main__')"
    done = without(library, command)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"{library}: pip install 'oadr2[{extra}]'" in line


def test_simulated_heaters_need_no_modbus() -> None:
    done = without("pymodbus", "import oadr2.sim.mqtt_heaters")
    assert done.returncode == 0, done.stderr
