"""Counts which lines of the Cython sources the tests run; writes docs/native-coverage.md.

The build is a copy under build/traced in which each line of a .pyx tells a tracer of itself, also in
functions that run without the GIL. Arguments are handed on to pytest; with any, the table is only printed.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from copy_and_build import ROOT, build_copy
from run_sanitized import LEFT_OUT

# Payloads of megabytes and hundred thousand rounds: minutes without tracing, hours with it, and they
# run no line that others do not.
TOO_LONG = (
    "test_decode_limits.py",
    "test_decode_memory.py",
    "test_native_memory.py",
    "test_threads.py",
)
CORE = Path("src_ext/oadr2/_core")
REPORT = ROOT / "docs" / "native-coverage.md"


def lay_c_beside_sources(copy: Path) -> None:
    """Cython's plugin for coverage looks for the C it reads line numbers from beside the .pyx."""
    for made in (copy / "build" / "cython" / CORE).glob("*.c"):
        shutil.copy2(made, copy / CORE / made.name)


def spans(numbers: list[int]) -> str:
    """``3, 7-9`` from line numbers in order."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def table(files: dict[str, Any]) -> list[str]:
    rows = ["| source | statements | run | share | lines not run |", "|---|--:|--:|--:|---|"]
    statements = run = 0
    for name, file in sorted(files.items()):
        summary = file["summary"]
        if not summary["num_statements"]:
            continue
        statements += summary["num_statements"]
        run += summary["covered_lines"]
        rows.append(
            f"| `{Path(name).name}` | {summary['num_statements']} | {summary['covered_lines']} "
            f"| {summary['percent_covered']:.1f} % | {spans(file['missing_lines'])} |"
        )
    rows.append(f"| all | {statements} | {run} | {100 * run / max(statements, 1):.1f} % | |")
    return rows


def main(arguments: list[str]) -> int:
    import coverage  # noqa: PLC0415  --help and linters do without
    import Cython  # noqa: PLC0415

    copy = build_copy("traced", ["OADR2_TRACE"])
    lay_c_beside_sources(copy)
    settings = copy / "build" / "coverage.ini"
    settings.write_text("[run]\nplugins = Cython.Coverage\ninclude = */src_ext/*\n")
    found = copy / "build" / "coverage.json"
    paths = [str(copy), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        environment.setdefault("OADR2_SHARED", str(shared))

    def run_coverage(*words: str) -> int:
        command = [sys.executable, "-m", "coverage", *words]
        return subprocess.run(command, cwd=copy, env=environment, check=False).returncode

    # One process, since only that one is traced. What is left out never reaches the core by itself.
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tests += [f"--ignore-glob=*/{pattern}" for pattern in (*LEFT_OUT, *TOO_LONG)]
    rcfile = f"--rcfile={settings}"
    code = run_coverage("run", rcfile, *tests, *arguments)
    if code:
        return code
    code = run_coverage("json", rcfile, "-q", "-o", str(found))
    if code:
        return code
    rows = table(json.loads(found.read_text())["files"])
    print("\n".join(rows))
    if arguments:
        return 0
    today = datetime.datetime.now(datetime.UTC).date()
    head = f"""\
# Coverage of the compiled core

Written by `make coverage-native` on {today}, with CPython {platform.python_version()}, Cython
{Cython.__version__} and coverage {coverage.__version__}. Lines are traced one by one, in functions without
the GIL too; functions written inline in a .pxd are not. Tests that start processes or sockets, and those with
very large payloads, are left out.

"""
    REPORT.write_text(head + "\n".join(rows) + "\n")
    print(f"written: {REPORT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
