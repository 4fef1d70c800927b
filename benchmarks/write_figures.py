"""Writes the tables of figures from what `make bench` measured.

    python benchmarks/write_figures.py build/benchmarks.json README.md docs/figures.md

The first text gets the headlines in one table, oadr2 against all others; the second every work
measured, a table a section and a column a contender. Both show every contender, whoever is slower, and
every aim, reached or not. The labels in bench_*.py say which works are headlines and what is aimed at.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

BEGIN = "<!-- figures:begin -->"
END = "<!-- figures:end -->"
SECTIONS = (
    "Decode",
    "Handle a list of events",
    "Requests and answers",
    "Control",
    "Times",
    "HTTP",
    "XMPP",
    "Fleet engine",
    "Fleet over HTTP",
    "Gateway",
    "Memory",
)
UNITS = {
    "s": (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)),
    "B": (("MB", 1e6), ("kB", 1e3), ("B", 1.0)),
    "1/s": (("/s", 1.0),),
    "1": (("%", 0.01),),
    "x": (("x", 1.0),),
}


class Figure(NamedTuple):
    """One measured value. ``aim``: {"amount": ..., "of": None or the contender it is a share of}."""

    section: str
    work: str
    contender: str
    headline: bool
    aim: dict[str, Any] | None
    value: float
    unit: str

    @property
    def ours(self) -> bool:
        return self.contender.startswith("oadr2 ")

    @property
    def text(self) -> str:
        return amount_text(self.value, self.unit)


def amount_text(value: float, unit: str = "s") -> str:
    """Three significant digits in the unit that fits."""
    sizes = UNITS[unit]
    name, size = next((pair for pair in sizes if value >= pair[1]), sizes[-1])
    amount = value / size
    digits = 2 if amount < 10 else 1 if amount < 100 else 0
    return f"{amount:,.{digits}f}{'' if name.startswith('/') else ' '}{name}"


def figures(report: dict[str, Any]) -> list[Figure]:
    """What pytest-benchmark timed, by median, and what the benchmarks recorded themselves.

    By section, and within it in the order measured.
    """
    found = []
    for timed in report["benchmarks"]:
        info = dict(timed["extra_info"])
        seconds = timed["stats"]["median"] / info.pop("runs", 1)
        found.append(Figure(**info, value=seconds, unit="s"))
    found += [Figure(**recorded) for recorded in report.get("recorded", ())]
    return sorted(found, key=lambda figure: SECTIONS.index(figure.section))


def by_work(figures: Iterable[Figure]) -> dict[str, dict[str, Figure]]:
    """Work, then contender, in the order measured."""
    works: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        works.setdefault(figure.work, {})[figure.contender] = figure
    return works


def aim_text(row: dict[str, Figure]) -> str:
    """The aim of one work and whether it was reached; empty when there is none."""
    for figure in row.values():
        if figure.aim is None:
            continue
        amount, of = figure.aim["amount"], figure.aim["of"]
        explained = ""
        if of is not None:
            if of not in row:
                return ""  # that contender did not take part
            share = amount
            amount *= row[of].value
            explained = f" ({share:.0%} of {of})"
        more_is_better = figure.unit in ("1/s", "x")
        reached = figure.value >= amount if more_is_better else figure.value <= amount
        outcome = "reached" if reached else "**not reached**"
        return f"{amount_text(amount, figure.unit)}{explained}: {outcome}"
    return ""


def markdown(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def headline_table(figures: list[Figure]) -> str:
    """oadr2, its aim, and the others in one cell, whoever is faster."""
    ours = next((figure.contender for figure in figures if figure.ours), "oadr2")
    rows = []
    for work, row in by_work(figure for figure in figures if figure.headline).items():
        own = row[ours].text if ours in row else ""
        others = sorted((f for f in row.values() if not f.ours), key=lambda f: f.value)
        listed = "; ".join(f"{other.contender}: {other.text}" for other in others)
        rows.append([work, own, aim_text(row), listed])
    return markdown(["work", ours, "our aim", "others"], rows)


def section_tables(figures: list[Figure]) -> str:
    """A table for each section, with the contenders that take part in it."""
    parts = []
    for section in dict.fromkeys(figure.section for figure in figures):
        rows = by_work(figure for figure in figures if figure.section == section)
        names = dict.fromkeys(name for row in rows.values() for name in row)
        contenders = sorted(names, key=lambda name: not name.startswith("oadr2 "))
        aims = {work: aim_text(row) for work, row in rows.items()}
        with_aims = any(aims.values())
        lines = [
            [work, *(row[name].text if name in row else "" for name in contenders)]
            + [aims[work]] * with_aims
            for work, row in rows.items()
        ]
        head = [section.lower(), *contenders] + ["our aim"] * with_aims
        parts.append(f"## {section}\n\n{markdown(head, lines)}")
    return "\n\n".join(parts)


def machine_text(report: dict[str, Any]) -> str:
    """On what, with what and when: without it a figure says nothing."""
    machine = report["machine_info"]
    cpu = machine["cpu"]
    processor = cpu.get("brand_raw") or machine.get("processor") or machine["machine"]
    return (
        f"Measured on {report['datetime'][:10]}: {processor}, {cpu.get('count', '?')} cores, "
        f"{machine['system']} {machine['release']}, "
        f"{machine['python_implementation']} {machine['python_version']}, {machine['compiler']}; "
        f"{', '.join(machine['libraries'])}. Medians; one thread; every contender in the same run, "
        "on the same bytes, giving the same values."
    )


def with_figures(text: str, report: dict[str, Any], tables: Callable[[list[Figure]], str]) -> str:
    """`text` with what stands between the two markers replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the markers {BEGIN} and {END} are not both there, in this order")
    return f"{before}{BEGIN}\n{machine_text(report)}\n\n{tables(figures(report))}\n{END}{after}"


def main() -> int:
    if len(sys.argv) != 4:
        print(f"usage: {sys.argv[0]} benchmarks.json README.md docs/figures.md", file=sys.stderr)
        return 2
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    texts = {}
    for name, tables in ((sys.argv[2], headline_table), (sys.argv[3], section_tables)):
        path = Path(name)
        try:
            texts[path] = with_figures(path.read_text(encoding="utf-8"), report, tables)
        except ValueError as problem:
            print(f"{name}: {problem}", file=sys.stderr)
            return 1
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
