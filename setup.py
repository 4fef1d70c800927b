"""Builds the compiled core: tables from one Python description, then Cython, then C.

Switches, read from the environment:
    OADR2_DEBUG=1       no optimisation, assertions and bounds checks on, debug symbols kept
    OADR2_TRACE=1       line tracing of the Cython sources
    OADR2_SANITIZE=1    AddressSanitizer and UndefinedBehaviorSanitizer
    OADR2_COVERAGE=1    gcov's counts, by the lines of the Cython sources (gcc)
    OADR2_FUZZ=1        AddressSanitizer and libFuzzer's coverage; clang only (tools/fuzz_native.py)
    OADR2_PORTABLE=1    plain C where SSE2 would be used (what other machines run)
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parent.resolve()
sys.path.insert(0, str(ROOT / "tools"))

import check_prerequisites

too_old = check_prerequisites.old_python()
if too_old:
    sys.exit(f"oadr2: {too_old}")

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = ROOT / "src_ext"
GENERATED = ROOT / "build" / "generated"
CYTHON_OUTPUT = ROOT / "build" / "cython"
LAST_SWITCHES = ROOT / "build" / "switches.txt"


def switch(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


DEBUG, TRACE, SANITIZE, COVERAGE, FUZZ, PORTABLE = (
    switch(f"OADR2_{name}")
    for name in ("DEBUG", "TRACE", "SANITIZE", "COVERAGE", "FUZZ", "PORTABLE")
)


def extensions() -> list[Extension]:
    """One extension per .pyx, not yet translated to C."""
    flags = ["-O0", "-g", "-UNDEBUG"] if DEBUG else ["-O3", "-g0"]
    # inlined, clearing a structure becomes "rep stos", which is slow to start
    flags += ["-fno-builtin-memset"]
    flags += ["-std=c11", "-fno-strict-aliasing", "-fvisibility=hidden"]
    links = [] if DEBUG or SANITIZE or FUZZ or not sys.platform.startswith("linux") else ["-Wl,-s"]
    if SANITIZE:
        # The last of several -O counts; -O1 keeps the checks near the lines they belong to.
        flags += ["-O1", "-g", "-fno-omit-frame-pointer"]
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        links += ["-fsanitize=address,undefined"]
    if COVERAGE:
        flags += ["-O0", "-g", "--coverage"]
        links += ["--coverage"]
    if FUZZ:
        flags += ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,fuzzer-no-link"]
    macros: list[tuple[str, str | None]] = [("CYTHON_TRACE_NOGIL", "1")] if TRACE else []
    if PORTABLE:
        macros.append(("OADR2_PORTABLE", "1"))
    return [
        Extension(
            f"oadr2._core.{path.stem}",
            [str(path.relative_to(ROOT))],
            include_dirs=[str(GENERATED), str(SOURCES / "oadr2" / "_core")],
            extra_compile_args=flags,
            extra_link_args=links,
            define_macros=macros,
        )
        for path in sorted((SOURCES / "oadr2" / "_core").glob("*.pyx"))
    ]


class BuildCore(build_ext):
    """Generates the tables and translates to C only when C is about to be compiled.

    The other commands (metadata, sdist) then need neither Cython's time nor a compiler.
    """

    def finalize_options(self) -> None:
        if self.inplace or self.editable_mode:
            # Both mean the checkout: one shares what the other compiled, none uses a temporary folder.
            self.build_lib = str(ROOT / "build" / "lib")
            self.build_temp = str(ROOT / "build" / "temp")
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()

    def build_extensions(self) -> None:
        problem = check_prerequisites.missing_compiler() or check_prerequisites.missing_headers()
        if problem:
            sys.exit(f"oadr2: {problem}")
        from Cython.Build import cythonize
        from Cython.Compiler import Options
        from Cython.Compiler.Errors import CompileError

        sys.path.insert(0, str(SOURCES))
        import generate_tables

        generate_tables.write(GENERATED)
        # What was made with other switches only looks up to date.
        switches = (
            f"debug={DEBUG} trace={TRACE} sanitize={SANITIZE} coverage={COVERAGE} "
            f"fuzz={FUZZ} portable={PORTABLE}\n"
        )
        if not LAST_SWITCHES.exists() or LAST_SWITCHES.read_text() != switches:
            self.force = True
        Options.warning_errors = True
        # Only forked workers inherit the line above.
        forks = multiprocessing.get_start_method() == "fork"
        try:
            translated = cythonize(
                self.extensions,
                build_dir=str(CYTHON_OUTPUT),
                include_path=[str(SOURCES), str(GENERATED)],
                compiler_directives={
                    "language_level": 3,
                    "binding": True,
                    "embedsignature": False,
                    "linetrace": TRACE,
                    "warn.maybe_uninitialized": True,
                },
                nthreads=self.parallel if forks and self.parallel else 0,
                force=self.force,
                # Each line of C then says which line of the .pyx it was made from.
                emit_linenums=COVERAGE,
                quiet=True,
            )
        except CompileError as refused:
            sys.exit(f"oadr2: Cython refuses {refused}; its reasons stand above")
        by_name = {extension.name: extension for extension in translated}
        for extension in self.extensions:
            extension.sources = by_name[extension.name].sources
            extension.depends = [
                *by_name[extension.name].depends,
                str(GENERATED / "tables.h"),
                str(GENERATED / "services.h"),
                str(SOURCES / "oadr2" / "_core" / "bytes16.h"),
            ]
        super().build_extensions()
        LAST_SWITCHES.write_text(switches)


if __name__ == "__main__":
    setup(ext_modules=extensions(), cmdclass={"build_ext": BuildCore})
