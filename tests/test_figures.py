"""README's table comes from the benchmark's own report."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path("benchmarks") / "write_figures.py"
REPORT = {
    "datetime": "2026-03-04T05:06:07+00:00",
    "machine_info": {
        "cpu": {"brand_raw": "Example CPU", "count": 2},
        "system": "Linux",
        "release": "6.1",
        "machine": "x86_64",
        "python_implementation": "CPython",
        "python_version": "3.11.9",
    },
    "benchmarks": [
        {
            "extra_info": {"work": "decode", "contender": "lxml 6.1.3", "headline": True},
            "stats": {"median": 2.75e-05},
        },
        {
            "extra_info": {"work": "decode", "contender": "oadr2 0.1.0", "headline": True},
            "stats": {"median": 1.1e-04},
        },
        {
            "extra_info": {"work": "store", "contender": "oadr2 0.1.0", "headline": False},
            "stats": {"median": 0.25},
        },
    ],
}


MARKED = "a\n<!-- figures:begin -->\nold\n<!-- figures:end -->\nz\n"


def write(repository: Path, folder: Path, readme: str) -> subprocess.CompletedProcess[str]:
    report, head, full = folder / "report.json", folder / "README.md", folder / "figures.md"
    report.write_text(json.dumps(REPORT))
    head.write_text(readme)
    full.write_text(MARKED)
    return subprocess.run(
        [sys.executable, repository / SCRIPT, report, head, full],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tables_replace_what_stood_between_the_markers(
    repository: Path, tmp_path: Path
) -> None:
    done = write(repository, tmp_path, MARKED)
    assert done.returncode == 0, done.stderr
    readme, full = (tmp_path / "README.md").read_text(), (tmp_path / "figures.md").read_text()
    for text in (readme, full):
        assert text.startswith("a\n<!-- figures:begin -->\n")
        assert text.endswith("\n<!-- figures:end -->\nz\n")
        assert "old" not in text
        assert "2026-03-04: Example CPU, 2 cores, Linux 6.1, CPython 3.11.9" in text
        # A contender that is faster than oadr2 stays.
        assert "| work | oadr2 0.1.0 | lxml 6.1.3 |\n" in text
        assert "| decode | 110 us | 27.5 us |\n" in text
    assert "| store | 250 ms |  |\n" in full
    assert "| store |" not in readme


def test_a_file_without_markers_leaves_both_alone(repository: Path, tmp_path: Path) -> None:
    done = write(repository, tmp_path, "no markers\n")
    assert done.returncode == 1
    assert "README.md: the markers" in done.stderr
    assert (tmp_path / "README.md").read_text() == "no markers\n"
    assert (tmp_path / "figures.md").read_text() == MARKED


@pytest.mark.parametrize("name", ["README.md", "docs/figures.md"])
def test_the_texts_have_the_markers(repository: Path, name: str) -> None:
    names: dict[str, Any] = runpy.run_path(str(repository / SCRIPT))
    text = (repository / name).read_text(encoding="utf-8")
    assert "110 us" in names["with_figures"](text, REPORT, False)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.5e-9, "1.50 ns"),
        (9.99e-7, "999 ns"),
        (1e-6, "1.00 us"),
        (12.34e-6, "12.3 us"),
        (0.5, "500 ms"),
        (2.0, "2.00 s"),
    ],
)
def test_times_have_three_digits(repository: Path, seconds: float, text: str) -> None:
    assert runpy.run_path(str(repository / SCRIPT))["time_text"](seconds) == text
