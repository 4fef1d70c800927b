"""Counts which lines of the Cython sources the tests run; writes docs/native-coverage.md.

The build is a copy under build/coverage: unoptimised C with gcc's ``--coverage``, in which Cython says
for each line of C which line of a .pyx or .pxd it stands for. Cython's own line tracing is not used:
with it, CPython 3.11 crashes where a traced ``__dealloc__`` runs. Arguments are handed on to pytest; with
any, the table is only printed.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from copy_and_build import ROOT, build_copy
from run_sanitized import LEFT_OUT

REPORT = ROOT / "docs" / "native-coverage.md"
# Single tests that need benchmarks/, which is not copied.
NOT_IN_THE_COPY = ("fleet/test_engine_memory.py::test_what_one_ven_weighs",)
# Lines that do nothing at run time, whatever C the compiler gives their numbers to.
NO_STATEMENT = re.compile(
    r"\s*(#|@|$|\"\"\"|cimport |from |import |cdef (extern|struct|enum|class|inline)|cdef .*:$|cpdef "
    r"|def |class |\)|else:|try:|finally:)"
)

Counts = dict[Path, dict[int, int]]


def counts_of_lines(copy: Path) -> Counts:
    """By file and line, how often gcov saw it run."""
    counts: Counts = defaultdict(lambda: defaultdict(int))
    gcov = os.environ.get("GCOV", "gcov")
    if shutil.which(gcov) is None:
        sys.exit(f"{gcov} is not there: it comes with gcc; or name it with GCOV=...")
    data = sorted((copy / "build" / "temp").rglob("*.gcda"))
    if not data:
        sys.exit("the tests left no counts: was the core built by gcc?")
    for file in data:
        command = [gcov, "--json-format", "--stdout", str(file)]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=True)
        for document in done.stdout.splitlines():
            for each in json.loads(document)["files"]:
                path = Path("src_ext") / each["file"]
                if path.suffix in (".pyx", ".pxd") and (copy / path).is_file():
                    for line in each["lines"]:
                        counts[path][line["line_number"]] += line["count"]
    return counts


def statements(path: Path, counted: dict[int, int]) -> dict[int, int]:
    """The counts of those lines that hold a statement."""
    texts = path.read_text(encoding="utf-8").splitlines()
    return {
        number: count
        for number, count in counted.items()
        if number <= len(texts) and not NO_STATEMENT.match(texts[number - 1])
    }


def spans(numbers: list[int]) -> str:
    """``3, 7-9`` from line numbers in order."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found)


def table(copy: Path, counts: Counts) -> list[str]:
    rows = ["| source | statements | run | share | lines not run |", "|---|--:|--:|--:|---|"]
    total = total_ran = 0
    for path in sorted(counts):
        lines = statements(copy / path, counts[path])
        if not lines:
            continue
        missed = sorted(number for number, count in lines.items() if not count)
        ran = len(lines) - len(missed)
        total += len(lines)
        total_ran += ran
        share = 100 * ran / len(lines)
        rows.append(f"| `{path.name}` | {len(lines)} | {ran} | {share:.1f} % | {spans(missed)} |")
    rows.append(f"| all | {total} | {total_ran} | {100 * total_ran / max(total, 1):.1f} % | |")
    return rows


def write_report(rows: list[str]) -> None:
    import Cython  # noqa: PLC0415  linters do without

    today = datetime.datetime.now(datetime.UTC).date()
    head = f"""\
# Coverage of the compiled core

Written by `make coverage-native` on {today}, with CPython {platform.python_version()} and Cython
{Cython.__version__}, counted by gcov through the line numbers that Cython writes into its C. A line counts as
run when any of the C made from it was. Tests that start processes or open sockets are left out.

"""
    REPORT.write_text(head + "\n".join(rows) + "\n", encoding="utf-8")
    print(f"written: {REPORT.relative_to(ROOT)}")


def main(arguments: list[str]) -> int:
    copy = build_copy("coverage", ["OADR2_COVERAGE"])
    for old in (copy / "build" / "temp").rglob("*.gcda"):
        old.unlink()
    environment = os.environ | {"PYTHONPATH": str(copy)}
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        environment.setdefault("OADR2_SHARED", str(shared))
    # One process: the counts are written when a process ends in order, as workers do not.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--ignore-glob=*/{pattern}" for pattern in LEFT_OUT]
    command += [f"--deselect=tests/{test}" for test in NOT_IN_THE_COPY]
    code = subprocess.run([*command, *arguments], cwd=copy, env=environment, check=False).returncode
    if code:
        return code
    rows = table(copy, counts_of_lines(copy))
    print("\n".join(rows))
    if arguments:
        return 0
    write_report(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
