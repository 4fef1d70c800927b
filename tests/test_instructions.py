"""Counting instructions: callgrind's files are read right, and a count that grew does not pass."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

OWN = "/somewhere/oadr2/_core/decode.cpython-311-x86_64-linux-gnu.so"
OTHER = "/usr/lib/libpython3.11.so"
# 7 + 5 in our module, 100 + 30 elsewhere; the inclusive 1130 and 99 are no cost of their own.
PROFILE = f"""\
# callgrind format
version: 1
pid: 4711
part: 2

positions: line
events: Ir
summary: 142

ob={OTHER}
fl=/python/ceval.c
fn=eval
12 100
cob={OWN}
cfi=decode.c
cfn=decode
calls=3 17
13 1130

ob={OWN}
fl=decode.c
fn=decode
17 7
cob={OTHER}
cfi=/python/obmalloc.c
cfn=malloc
calls=1 5
18 99
19 5

ob={OTHER}
fn=malloc
5 30

totals: 142
"""


@pytest.fixture
def instructions(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(repository / "benchmarks")
    return importlib.import_module("instructions")


def test_what_a_call_cost_is_not_counted_twice(instructions: Any) -> None:
    assert instructions.count_of(PROFILE) == (12, 142)


def test_a_profile_that_does_not_add_up_is_refused(instructions: Any) -> None:
    with pytest.raises(ValueError, match="add up to 142, callgrind says 143"):
        instructions.count_of(PROFILE.replace("totals: 142", "totals: 143"))


def test_one_run_is_the_difference_of_two_counts(instructions: Any) -> None:
    count = instructions.Count
    assert instructions.per_run(count(1040, 5400), count(1120, 6200), 8) == (10, 100)


@pytest.mark.parametrize(
    ("before", "after", "verdict", "failed"),
    [
        (1000, 1000, "", False),
        (1000, 1050, "", False),
        (1000, 1051, "GREW", True),
        (1000, 950, "", False),
        (1000, 949, "shrank", False),
        (0, 0, "", False),
        (0, 1, "GREW", True),
        (None, 1000, "new", False),
        (1000, None, "GONE", True),
    ],
)
def test_verdicts(
    instructions: Any, before: int | None, after: int | None, verdict: str, failed: bool
) -> None:
    row = instructions.Row("decode", "own", before, after)
    assert (row.verdict, row.failed) == (verdict, failed)


def test_the_table_has_a_line_for_each_count(instructions: Any) -> None:
    count = instructions.Count
    rows = instructions.compare(
        {"decode": count(1000, 2000), "old": count(5, 6)},
        {"new": count(7, 8), "decode": count(1100, 1900)},
        totals=True,
    )
    lines = [" ".join(line.split()) for line in instructions.table(rows).splitlines()]
    assert lines == [
        "instructions of one run baseline now change",
        "decode own 1,000 1,100 +10.0% GREW",
        "decode total 2,000 1,900 -5.0%",
        "old own 5 - GONE",
        "old total 6 - GONE",
        "new own - 7 new",
        "new total - 8 new",
    ]


def test_the_report_fails_when_a_count_grew(
    instructions: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "instructions.json"
    count = instructions.Count
    instructions.write_baseline(path, "this", "here", {"decode": count(1000, 2000)})
    cases = [
        # own, total, interpreter, exit status
        (1000, 2000, "here", 0),
        (1060, 2000, "here", 1),
        (1000, 2200, "here", 1),
        # Another interpreter: the total says nothing, our own modules' count still does.
        (1000, 2200, "elsewhere", 0),
        (1060, 2000, "elsewhere", 1),
    ]
    for own, total, interpreter, status in cases:
        now = {"decode": count(own, total)}
        assert instructions.report(path, "this", interpreter, now) == status
        said = capsys.readouterr().out
        assert ("UPDATE=1" in said) == bool(status)
        assert ("not compared" in said) == (interpreter == "elsewhere")


def test_flags_that_change_the_code_are_part_of_the_key(
    instructions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = "-Wall -g -O2 -fwrapv -ffile-prefix-map=/a=/b -fstack-protector-strong -DNDEBUG -fwrapv"
    monkeypatch.setattr(instructions.sysconfig, "get_config_var", {"CFLAGS": flags, "CC": "cc"}.get)
    assert instructions.key().endswith(" -DNDEBUG -fstack-protector-strong -fwrapv")


def test_without_a_baseline_nothing_fails_and_it_is_said(
    instructions: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "instructions.json"
    now = {"decode": instructions.Count(1000, 2000)}
    assert instructions.report(path, "this", "here", now) == 0
    said = capsys.readouterr().out
    assert "no baseline for this" in said
    assert "1,000" in said


def test_an_update_leaves_other_machines_alone(instructions: Any, tmp_path: Path) -> None:
    path = tmp_path / "instructions.json"
    count = instructions.Count
    instructions.write_baseline(path, "this", "here", {"decode": count(1, 2), "gone": count(3, 4)})
    instructions.write_baseline(path, "other", "there", {"decode": count(5, 6)})
    instructions.write_baseline(path, "this", "here too", {"decode": count(7, 8)})
    assert instructions.read_baseline(path, "this") == ("here too", {"decode": (7, 8)})
    assert instructions.read_baseline(path, "other") == ("there", {"decode": (5, 6)})
    assert instructions.read_baseline(path, "third") is None


def test_the_committed_baseline_can_be_read(repository: Path, instructions: Any) -> None:
    keys = json.loads(instructions.BASELINE.read_text(encoding="utf-8"))
    assert keys
    for key in keys:
        interpreter, counts = instructions.read_baseline(instructions.BASELINE, key)
        assert interpreter
        assert all(0 < count.own <= count.total for count in counts.values())


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_counting_again_gives_the_same_counts(
    instructions: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The way through valgrind, with a small program in the place of the scenarios.

    It calculates: what Python does beside that differs by some hundred instructions.
    """
    script = tmp_path / "scenarios.py"
    script.write_text(
        "import os\n"
        "os.getppid()\n"
        "for _ in range(4): pow(3, 3000)\n"
        "os.getppid()\n"
        "for _ in range(12): pow(3, 3000)\n"
        "os.getppid()\n"
        "print(os.getpid(), 8, '3 ** 3000')\n"
    )
    monkeypatch.setattr(instructions, "SCENARIOS", script)
    first, second = instructions.counts(), instructions.counts()
    assert list(first) == ["3 ** 3000"]
    assert first["3 ** 3000"].own == 0
    assert first["3 ** 3000"].total == pytest.approx(second["3 ** 3000"].total, rel=0.02)
    assert 10_000 < first["3 ** 3000"].total < 1_000_000
