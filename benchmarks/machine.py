"""On what and with what is measured: a figure without it says nothing."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sysconfig
from typing import NamedTuple


class Compiler(NamedTuple):
    name: str
    version: str

    @property
    def major(self) -> str:
        return self.version.partition(".")[0]


def compiler() -> Compiler:
    """The C compiler that setup.py would call now, which is taken for the one that was called."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")

    def asked(option: str) -> str:
        done = subprocess.run([*command, option], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    if "clang" in asked("--version"):
        return Compiler("clang", asked("-dumpversion"))
    return Compiler("gcc", asked("-dumpfullversion"))


def interpreter() -> str:
    """Which build of Python runs on which C library: the whole call costs what these two make it."""
    build = " ".join((platform.python_version(), *platform.python_build()))
    return f"{platform.python_implementation()} {build}, {' '.join(platform.libc_ver())}"


def code_flags(flags: str) -> list[str]:
    """Those of a compiler's flags that change the code it makes; setup.py sets the -O itself."""
    kept = (flag for flag in shlex.split(flags) if flag.startswith(("-D", "-f", "-m")))
    return sorted({flag for flag in kept if "-prefix-map=" not in flag and "-fdebug" not in flag})
