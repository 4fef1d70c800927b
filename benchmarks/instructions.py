"""Counts instructions, which unlike time do not depend on what else the machine does.

    python benchmarks/instructions.py             compare with instructions.json; 1 when something grew
    python benchmarks/instructions.py --update    write the counts there

What is counted stands in instruction_scenarios.py. Two numbers are kept for each scenario:

* own: instructions in our compiled modules. They depend on our sources, on the compiler, and on the flags
  that Python hands to it: Debian's, for instance, guard the stack, which costs 5 %. Hence the key.
* total: with everything these call (Python, the C library). They also depend on the build of both, and
  are compared only where both are those of the baseline.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import machine

BASELINE = Path(__file__).with_name("instructions.json")
SCENARIOS = Path(__file__).with_name("instruction_scenarios.py")
LIMIT = 0.05  # growth beyond this fails
# glibc chooses its memcpy by the processor, and the one with `rep movsb` counts each byte of a copy, or
# none, by where source and target happen to lie: 5 % of a long document. Its plainest one does not.
PLAIN_COPIES = "glibc.cpu.hwcaps=-ERMS,-FSRM,-AVX2,-AVX512VL,-AVX_Fast_Unaligned_Load"
OWN_MODULES = "/oadr2/_core/"
AGAIN = "make bench-instructions UPDATE=1"


class Count(NamedTuple):
    """Instructions of one run of a scenario."""

    own: int
    total: int


class Row(NamedTuple):
    """One line of the table. ``change`` is relative; None where there is nothing to compare with."""

    scenario: str
    part: str
    baseline: int | None
    now: int | None

    @property
    def change(self) -> float | None:
        if self.baseline is None or self.now is None:
            return None
        if self.baseline == 0:
            return 0.0 if self.now == 0 else float("inf")
        return self.now / self.baseline - 1

    @property
    def verdict(self) -> str:
        """Empty when all is well."""
        if self.baseline is None:
            return "new"
        if self.now is None:
            return "GONE"
        growth = self.now - self.baseline
        margin = LIMIT * self.baseline
        return "GREW" if growth > margin else "shrank" if growth < -margin else ""

    @property
    def failed(self) -> bool:
        return self.verdict in ("GREW", "GONE")


# --- counting ---


def count_of(profile: str) -> Count:
    """The counts of one file that callgrind wrote without compression of names and positions.

    Raises:
        ValueError: the lines do not add up to the total that callgrind gives.
    """
    own = total = announced = 0
    in_own_module = skip = False
    for line in profile.splitlines():
        if line[:1].isdigit():
            if skip:  # what a call cost is counted where it was spent
                skip = False
                continue
            cost = int(line.split()[1])
            total += cost
            if in_own_module:
                own += cost
        elif line.startswith("ob="):
            in_own_module = OWN_MODULES in line
        elif line.startswith("calls="):
            skip = True
        elif line.startswith("totals:"):
            announced = int(line.split()[1])
    if total != announced:
        raise ValueError(f"the lines add up to {total}, callgrind says {announced}")
    return Count(own, total)


def per_run(few: Count, many: Count, runs: int) -> Count:
    """The counts of one run; ``runs``: how many more there are in ``many``."""
    return Count(round((many.own - few.own) / runs), round((many.total - few.total) / runs))


def counts() -> dict[str, Count]:
    """Runs the scenarios under callgrind.

    Raises:
        subprocess.CalledProcessError: a scenario failed; what it wrote is in ``stderr``.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind",
            "-q",
            "--tool=callgrind",
            "--dump-before=getppid",
            "--compress-strings=no",
            "--compress-pos=no",
            f"--callgrind-out-file={folder}/%p",
            sys.executable,
            "-I",
            "-B",
            str(SCENARIOS),
        ]
        # Addresses decide how far strings are aligned, and how dictionaries of objects collide.
        if shutil.which("setarch"):
            command = ["setarch", platform.machine(), "-R", *command]
        # Settings from outside change what is done: PYTHONHASHSEED, MALLOC_*, GLIBC_TUNABLES, ...
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONHASHSEED": "0",
            "LC_ALL": "C.UTF-8",
            "GLIBC_TUNABLES": PLAIN_COPIES,
        }
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found = {}
        for line in done.stdout.splitlines():
            process, runs, name = line.split(" ", 2)
            few, many = (count_of(Path(folder, f"{process}.{part}").read_text()) for part in (2, 3))
            found[name] = per_run(few, many, int(runs))
    return found


# --- comparing ---


def key() -> str:
    """Counts of one key can be compared with each other."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    compiler = machine.compiler()
    flags = machine.code_flags(sysconfig.get_config_var("CFLAGS") or "")
    return " ".join([platform.machine(), "Python", version, compiler.name, compiler.major, *flags])


def compare(baseline: Mapping[str, Count], now: Mapping[str, Count], *, totals: bool) -> list[Row]:
    """One row a scenario and number; those of the baseline first, in its order."""
    rows = []
    for scenario in [*baseline, *(name for name in now if name not in baseline)]:
        before, after = baseline.get(scenario), now.get(scenario)
        for part in ("own", "total") if totals else ("own",):
            rows.append(
                Row(
                    scenario,
                    part,
                    None if before is None else getattr(before, part),
                    None if after is None else getattr(after, part),
                )
            )
    return rows


def table(rows: Iterable[Row]) -> str:
    """For people: scenario, baseline, now, change."""

    def number(value: int | None) -> str:
        return "-" if value is None else f"{value:,}"

    lines = [("instructions of one run", "", "baseline", "now", "change", "")]
    lines += [
        (
            row.scenario,
            row.part,
            number(row.baseline),
            number(row.now),
            "" if row.change is None else f"{row.change:+.1%}",
            row.verdict,
        )
        for row in rows
    ]
    name, part, *widths = (max(len(line[i]) for line in lines) for i in range(5))
    return "\n".join(
        f"{line[0]:{name}}  {line[1]:{part}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(line[2:5], widths, strict=True))
        + f"  {line[5]}".rstrip()
        for line in lines
    )


# --- the baseline file: {key: {"interpreter": text, "counts": {scenario: [own, total]}}} ---


def read_baseline(path: Path, key: str) -> tuple[str, dict[str, Count]] | None:
    """Surroundings and counts, or None when there are none for this key."""
    if not path.exists():
        return None
    entry = json.loads(path.read_text(encoding="utf-8")).get(key)
    if entry is None:
        return None
    return entry["interpreter"], {name: Count(*pair) for name, pair in entry["counts"].items()}


def write_baseline(path: Path, key: str, interpreter: str, counts: Mapping[str, Count]) -> None:
    """Replaces what stands under this key and leaves the others alone."""
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    entries[key] = {
        "interpreter": interpreter,
        "counts": {name: list(count) for name, count in counts.items()},
    }
    ordered = dict(sorted(entries.items()))
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def report(path: Path, key: str, interpreter: str, now: Mapping[str, Count]) -> int:
    """Prints the table and what follows from it; the exit status."""
    found = read_baseline(path, key)
    if found is None:
        print(table(compare({}, now, totals=True)))
        print(f"no baseline for {key}: nothing was compared; {AGAIN} writes one")
        return 0
    known, baseline = found
    totals = known == interpreter
    rows = compare(baseline, now, totals=totals)
    print(f"{key}\n{table(rows)}")
    if not totals:
        print("the totals are of another build of Python or the C library, and not compared")
    failed = [row for row in rows if row.failed]
    if failed:
        print(
            f"{len(failed)} of {len(rows)} counts grew by more than {LIMIT:.0%} or are gone; "
            f"if that must be so: {AGAIN}"
        )
        return 1
    if any(row.verdict for row in rows):
        print(f"the baseline is out of date, to the better: {AGAIN}")
    return 0


def main() -> int:
    if sys.argv[1:] not in ([], ["--update"]):
        print(f"usage: {sys.argv[0]} [--update]", file=sys.stderr)
        return 2
    if shutil.which("valgrind") is None:
        print("valgrind is missing (Debian: apt install valgrind)", file=sys.stderr)
        return 3
    try:
        now = counts()
    except subprocess.CalledProcessError as error:
        print(f"the scenarios failed under valgrind:\n{error.stderr}", file=sys.stderr)
        return 1
    if sys.argv[1:]:
        write_baseline(BASELINE, key(), machine.interpreter(), now)
        print(table(compare({}, now, totals=True)))
        print(f"written to {BASELINE.name} under {key()}")
        return 0
    return report(BASELINE, key(), machine.interpreter(), now)


if __name__ == "__main__":
    sys.exit(main())
