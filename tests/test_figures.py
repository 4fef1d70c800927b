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
            "extra_info": {"work": "decode", "contender": "lxml 6.1.3"},
            "stats": {"median": 2.75e-05},
        },
        {
            "extra_info": {"work": "decode", "contender": "oadr2 0.1.0"},
            "stats": {"median": 1.1e-04},
        },
        {
            "extra_info": {"work": "store", "contender": "oadr2 0.1.0"},
            "stats": {"median": 0.25},
        },
    ],
}


def write(repository: Path, folder: Path, readme: str) -> subprocess.CompletedProcess[str]:
    (folder / "report.json").write_text(json.dumps(REPORT))
    (folder / "README.md").write_text(readme)
    return subprocess.run(
        [sys.executable, repository / SCRIPT, folder / "report.json", folder / "README.md"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_table_replaces_what_stood_between_the_markers(
    repository: Path, tmp_path: Path
) -> None:
    done = write(repository, tmp_path, "a\n<!-- figures:begin -->\nold\n<!-- figures:end -->\nz\n")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("a\n<!-- figures:begin -->\n")
    assert text.endswith("\n<!-- figures:end -->\nz\n")
    assert "old" not in text
    assert "2026-03-04: Example CPU, 2 cores, Linux 6.1, CPython 3.11.9" in text
    # A contender that is faster than oadr2 stays, and so does a work only one of them does.
    assert "| work | oadr2 0.1.0 | lxml 6.1.3 |\n" in text
    assert "| decode | 110 us | 27.5 us |\n" in text
    assert "| store | 250 ms |  |\n" in text


def test_a_file_without_markers_is_left_alone(repository: Path, tmp_path: Path) -> None:
    done = write(repository, tmp_path, "no markers\n")
    assert done.returncode == 1
    assert "markers" in done.stderr
    assert (tmp_path / "README.md").read_text() == "no markers\n"


def test_the_readme_has_the_markers(repository: Path) -> None:
    names: dict[str, Any] = runpy.run_path(str(repository / SCRIPT))
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert names["with_figures"](readme, REPORT) != readme


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
