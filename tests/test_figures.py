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


def timed(
    section: str,
    work: str,
    contender: str,
    seconds: float,
    *,
    headline: bool = False,
    aim: tuple[float, str | None] | None = None,
    **more: int,
) -> dict[str, Any]:
    return {
        "extra_info": {
            "section": section,
            "work": work,
            "contender": contender,
            "headline": headline,
            "aim": None if aim is None else dict(zip(("amount", "of"), aim, strict=True)),
            **more,
        },
        "stats": {"median": seconds},
    }


REPORT = {
    "datetime": "2026-03-04T05:06:07+00:00",
    "machine_info": {
        "cpu": {"brand_raw": "Example CPU", "count": 2},
        "system": "Linux",
        "release": "6.1",
        "machine": "x86_64",
        "python_implementation": "CPython",
        "python_version": "3.11.9",
        "compiler": "gcc 12.2.0",
        "libraries": ["Cython 3.3.1", "lxml 6.1.3 with libxml2 2.14.6"],
    },
    "benchmarks": [
        # Files run in the order of their names; the sections have an order of their own.
        timed("Control", "store", "oadr2 0.1.0", 0.25, aim=(0.25, None)),
        # Ten runs a round.
        timed("Control", "advance", "oadr2 0.1.0", 5e-05, runs=10),
        timed("Decode", "decode", "pugixml 0.8.0", 3.0e-06, headline=True),
        timed("Decode", "decode", "lxml 6.1.3", 2.75e-05, headline=True),
        timed(
            "Decode", "decode", "oadr2 0.1.0", 1.1e-04, headline=True, aim=(0.5, "pugixml 0.8.0")
        ),
        timed("Decode", "decode twice", "oadr2 0.1.0", 2.2e-04),
    ],
    "recorded": [
        {
            "section": "Memory",
            "work": "one VEN",
            "contender": "oadr2 0.1.0",
            "headline": True,
            "aim": {"amount": 300, "of": None},
            "value": 1522.0,
            "unit": "B",
        },
        {
            "section": "Memory",
            "work": "served",
            "contender": "oadr2 0.1.0",
            "headline": False,
            "aim": {"amount": 1000, "of": None},
            "value": 2345.6,
            "unit": "1/s",
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
        assert (
            "2026-03-04: Example CPU, 2 cores, Linux 6.1, CPython 3.11.9, gcc 12.2.0; "
            "Cython 3.3.1, lxml 6.1.3 with libxml2 2.14.6." in text
        )


def tables_of(repository: Path, folder: Path) -> tuple[list[str], list[str]]:
    """The tables' lines in the first text and in the second."""
    done = write(repository, folder, MARKED)
    assert done.returncode == 0, done.stderr
    first, second = (
        [line for line in (folder / name).read_text().splitlines() if line.startswith(("|", "##"))]
        for name in ("README.md", "figures.md")
    )
    return first, second


def test_the_first_text_has_the_headlines_in_one_table(repository: Path, tmp_path: Path) -> None:
    assert tables_of(repository, tmp_path)[0] == [
        "| work | oadr2 0.1.0 | our aim | others |",
        "| --- | ---: | ---: | ---: |",
        # Contenders that are faster than oadr2 stay.
        "| decode | 110 us | 1.50 us (50% of pugixml 0.8.0): **not reached** "
        "| pugixml 0.8.0: 3.00 us; lxml 6.1.3: 27.5 us |",
        "| one VEN | 1.52 kB | 300 B: **not reached** |  |",
    ]


def test_the_second_text_has_every_work_by_section(repository: Path, tmp_path: Path) -> None:
    assert tables_of(repository, tmp_path)[1] == [
        "## Decode",
        "| decode | oadr2 0.1.0 | pugixml 0.8.0 | lxml 6.1.3 | our aim |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| decode | 110 us | 3.00 us | 27.5 us | 1.50 us (50% of pugixml 0.8.0): **not reached** |",
        "| decode twice | 220 us |  |  |  |",
        "## Control",
        "| control | oadr2 0.1.0 | our aim |",
        "| --- | ---: | ---: |",
        "| store | 250 ms | 250 ms: reached |",
        "| advance | 5.00 us |  |",
        "## Memory",
        "| memory | oadr2 0.1.0 | our aim |",
        "| --- | ---: | ---: |",
        "| one VEN | 1.52 kB | 300 B: **not reached** |",
        # Of a rate, more is better.
        "| served | 2,346/s | 1,000/s: reached |",
    ]


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
    assert "110 us" in names["with_figures"](text, REPORT, names["headline_table"])


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
    assert runpy.run_path(str(repository / SCRIPT))["amount_text"](seconds) == text
