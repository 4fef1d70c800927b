"""Writes the tables of figures from what `make bench` measured: one row a work, one column a contender.

    python benchmarks/write_figures.py build/benchmarks.json README.md docs/figures.md

The first text gets the headlines, the second every work measured. Both show every contender, whoever is
slower. The labels in bench_*.py say which works are headlines.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

BEGIN = "<!-- figures:begin -->"
END = "<!-- figures:end -->"


def time_text(seconds: float) -> str:
    """Three significant digits in the unit that fits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if seconds >= size or unit == "ns":
            amount = seconds / size
            break
    digits = 2 if amount < 10 else 1 if amount < 100 else 0
    return f"{amount:,.{digits}f} {unit}"


def machine_text(report: dict[str, Any]) -> str:
    """On what, with what and when: without it a figure says nothing."""
    machine = report["machine_info"]
    cpu = machine["cpu"]
    processor = cpu.get("brand_raw") or machine.get("processor") or machine["machine"]
    return (
        f"Measured on {report['datetime'][:10]}: {processor}, {cpu.get('count', '?')} cores, "
        f"{machine['system']} {machine['release']}, "
        f"{machine['python_implementation']} {machine['python_version']}. "
        "Medians; one thread; every contender in the same run, on the same bytes, "
        "giving the same values."
    )


def table(report: dict[str, Any], headlines_only: bool) -> str:
    medians: dict[str, dict[str, float]] = {}
    contenders: list[str] = []
    for measured in report["benchmarks"]:
        if headlines_only and not measured["extra_info"]["headline"]:
            continue
        work, contender = measured["extra_info"]["work"], measured["extra_info"]["contender"]
        medians.setdefault(work, {})[contender] = measured["stats"]["median"]
        if contender not in contenders:
            contenders.append(contender)
    contenders.sort(key=lambda name: (not name.startswith("oadr2 "), name))
    lines = [
        f"| work | {' | '.join(contenders)} |",
        f"|---|{'---:|' * len(contenders)}",
    ]
    for work, by_contender in medians.items():
        cells = [
            time_text(by_contender[name]) if name in by_contender else "" for name in contenders
        ]
        lines.append(f"| {work} | {' | '.join(cells)} |")
    return "\n".join(lines)


def with_figures(text: str, report: dict[str, Any], headlines_only: bool) -> str:
    """`text` with what stands between the two markers replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the markers {BEGIN} and {END} are not both there, in this order")
    return (
        f"{before}{BEGIN}\n{machine_text(report)}\n\n{table(report, headlines_only)}\n{END}{after}"
    )


def main() -> int:
    if len(sys.argv) != 4:
        print(f"usage: {sys.argv[0]} benchmarks.json README.md docs/figures.md", file=sys.stderr)
        return 2
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    texts = {}
    for name, headlines_only in ((sys.argv[2], True), (sys.argv[3], False)):
        path = Path(name)
        try:
            texts[path] = with_figures(path.read_text(encoding="utf-8"), report, headlines_only)
        except ValueError as problem:
            print(f"{name}: {problem}", file=sys.stderr)
            return 1
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
