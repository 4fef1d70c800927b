"""Drivers are found by name, and say what to install when their library is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from oadr2.points.drivers import find_driver

LIBRARIES = {"modbus": "pymodbus", "mqtt": "aiomqtt", "bacnet": "bacpypes3", "gpio": "gpiod"}


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_one_line_that_says_what_to_install(name):
    program = f"""
import sys
class Absent:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {LIBRARIES[name]!r}:
            raise ModuleNotFoundError(f"No module named {{name}}", name=name)
sys.meta_path.insert(0, Absent)
from oadr2.errors import ConfigurationError
from oadr2.points.drivers import find_driver
try:
    find_driver({name!r})
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    expected = f"the driver {name} needs {LIBRARIES[name]}: pip install 'oadr2[{name}]'"
    assert done.stdout.strip() == expected


@pytest.mark.parametrize("name", [*LIBRARIES, "callback", "memory"])
def test_a_driver_loads_no_library_but_its_own(name):
    others = [library for driver, library in LIBRARIES.items() if driver != name]
    program = f"""
import sys
from oadr2.points.drivers import find_driver
find_driver({name!r})
print([each for each in {others!r} if each in sys.modules])
"""
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_class_is_the_driver_s():
    assert find_driver("modbus").__name__ == "ModbusDriver"
