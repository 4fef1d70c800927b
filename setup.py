"""Builds the compiled core: tables from one Python description, then Cython, then C.

Switches, read from the environment:
    OADR2_DEBUG=1       no optimisation, assertions and bounds checks on, debug symbols kept
    OADR2_TRACE=1       line tracing for coverage of the Cython sources
    OADR2_SANITIZE=1    AddressSanitizer and UndefinedBehaviorSanitizer
    OADR2_PORTABLE=1    plain C where SSE2 would be used (what other machines run)
"""

import os
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup

ROOT = Path(__file__).parent.resolve()
SOURCES = ROOT / "src_ext"
GENERATED = ROOT / "build" / "generated"


def switch(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


def missing_tool() -> str | None:
    """The one line that names the package to install, or None when everything is here."""
    if sys.version_info < (3, 11):
        return "oadr2 needs Python 3.11 or later; this is " + sys.version.split()[0]
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not header.exists():
        return f"Python.h is missing: install the headers (Debian: apt install python{version}-dev)"
    return None


def extensions() -> list[Extension]:
    from Cython.Build import cythonize
    from Cython.Compiler import Options

    sys.path.insert(0, str(SOURCES))
    import generate_tables

    generate_tables.write(GENERATED)
    debug, trace, sanitize = map(switch, ("OADR2_DEBUG", "OADR2_TRACE", "OADR2_SANITIZE"))
    flags = ["-O0", "-g", "-UNDEBUG"] if debug else ["-O3", "-g0"]
    # inlined, clearing a structure becomes "rep stos", which is slow to start
    flags += ["-fno-builtin-memset"]
    flags += ["-std=c11", "-fno-strict-aliasing", "-fvisibility=hidden"]
    links = [] if debug or sanitize else ["-Wl,-s"] if sys.platform.startswith("linux") else []
    if sanitize:
        flags += ["-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"]
        links += ["-fsanitize=address,undefined"]
    macros = [("CYTHON_TRACE_NOGIL", "1")] if trace else []
    portable = switch("OADR2_PORTABLE")
    if portable:
        macros.append(("OADR2_PORTABLE", "1"))
    Options.warning_errors = True
    modules = sorted((SOURCES / "oadr2" / "_core").glob("*.pyx"))
    return cythonize(
        [
            Extension(
                f"oadr2._core.{path.stem}",
                [str(path.relative_to(ROOT))],
                include_dirs=[str(GENERATED), str(SOURCES / "oadr2" / "_core")],
                extra_compile_args=flags,
                extra_link_args=links,
                define_macros=macros,
            )
            for path in modules
        ],
        build_dir=str(ROOT / "build" / "cython"),
        include_path=[str(SOURCES), str(GENERATED)],
        compiler_directives={
            "language_level": 3,
            "binding": True,
            "embedsignature": False,
            "linetrace": trace,
            "warn.maybe_uninitialized": True,
        },
        force=trace or sanitize or debug or portable,
        quiet=True,
    )


if __name__ == "__main__":
    problem = missing_tool()
    if problem:
        sys.exit(f"oadr2: {problem}")
    setup(ext_modules=extensions())
