"""Writes docs/conformance.md: every statement of the profile, its tests, and whether they pass.

    python tools/write_conformance.py

Runs tests/conformance and tests/xmpp, which needs Prosody, and writes the document when every test
passes, else says what is wrong and leaves it alone. The statements stand in
tests/conformance/statements.toml; a test belongs to those whose ids its name carries
(``test_E16_...``, ``test_E45_E46_...``, ``test_field_note_14_...``).
"""

from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "conformance"
XMPP_FOLDER = ROOT / "tests" / "xmpp"  # what is about XMPP itself is tested there
STATEMENTS = FOLDER / "statements.toml"
DOCUMENT = ROOT / "docs" / "conformance.md"
ABOUT_THE_DOCUMENT = FOLDER / "test_conformance_document.py"  # it cannot pass before it is written

# A test that asks for this fixture is skipped where the profile's schemas are not at hand.
OPTIONAL_FIXTURE = "shared_openadr"
_IDS = re.compile(r"test_((?:[A-Z]\d\d_)+)")
_FIELD_NOTE = re.compile(r"test_field_note_(\d\d)_")
_PROFILES = {"A": "2.0a", "B": "2.0b", "AB": "both"}

INTRODUCTION = """\
# Conformance

Written by `tools/write_conformance.py` from `tests/conformance/`; `make conformance` writes it anew.

What the OpenADR profiles ask of a VEN, as far as can be told from public sources, one statement a
row. A statement counts as met when at least one test that cannot be skipped carries its id and all
tests that carry it pass. Every scenario runs for both profiles where the statement is about both,
and the event scenarios over each transport: in process, by HTTP pull from a VTN that listens on
loopback, by HTTP push to a VEN that does, and by XMPP over a Prosody. Tests that need Prosody are
skipped where it is not installed, but not when this is written.

Grade: where the statement comes from. R: a rule of the Alliance quoted in public. X: the schemas.
S: sample messages. P: what other programs do. I: inferred. U: not confirmed, and so configurable
where it matters. Nobody has certified this package.
"""


@dataclass(frozen=True)
class Statement:
    id: str
    text: str
    profile: str = ""
    grade: str = ""
    note: str = ""
    partly: str = ""
    uncovered: str = ""


@dataclass(frozen=True)
class Test:
    file: str
    name: str
    ids: tuple[str, ...]
    optional: bool
    folder: str = "conformance"


def statements(path: Path = STATEMENTS) -> tuple[dict[str, str], dict[str, Statement]]:
    """The titles of the sections by their letter, and the statements by id."""
    data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    titles = {section["letter"]: section["title"] for section in data["section"]}
    found = [Statement(**row) for row in data["statement"]]
    for row in data["field_note"]:
        found.append(Statement(id=f"{row.pop('number'):02}", **row))
    by_id = {statement.id: statement for statement in found}
    if len(by_id) != len(found):
        raise ValueError(f"{path.name} has an id twice")
    return titles, by_id


def ids_of(name: str) -> tuple[str, ...]:
    """The statements a test's name carries; field notes are two digits."""
    note = _FIELD_NOTE.match(name)
    if note:
        return (note[1],)
    ids = _IDS.match(name)
    return tuple(ids[1].rstrip("_").split("_")) if ids else ()


def tests_in(folder: Path) -> list[Test]:
    """The tests of a folder and those below it, in the order in which they stand."""
    found = []
    for path in sorted(folder.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                arguments = {argument.arg for argument in node.args.args}
                optional = OPTIONAL_FIXTURE in arguments
                ids = ids_of(node.name)
                found.append(Test(path.name, node.name, ids, optional, path.parent.name))
    return found


def all_tests() -> list[Test]:
    """The tests that the document tells of."""
    return [*tests_in(FOLDER), *(test for test in tests_in(XMPP_FOLDER) if test.ids)]


def faults(by_id: Mapping[str, Statement], tests: Iterable[Test]) -> list[str]:
    """Where statements and tests do not fit each other, a line each."""
    found = []
    covered = set()
    for test in tests:
        for id_ in test.ids:
            if id_ not in by_id:
                found.append(f"{test.file}: {test.name} names {id_}, which is no statement")
            elif by_id[id_].uncovered:
                found.append(f"{test.file}: {test.name} names {id_}, which is marked as uncovered")
            elif not test.optional:
                covered.add(id_)
    for id_, statement in by_id.items():
        if not statement.uncovered and id_ not in covered:
            found.append(f"{STATEMENTS.name}: {id_} has no test and no reason why")
    return found


def _rows(chosen: list[Statement], tests: list[Test], *, notes: bool = False) -> list[str]:
    if notes:
        lines = ["| line | what VTNs do | tests | result |", "|---|---|---|---|"]
    else:
        lines = [
            "| id | statement | profile | grade | tests | result |",
            "|---|---|---|---|---|---|",
        ]
    for statement in chosen:
        mine = [test for test in tests if statement.id in test.ids]
        links = [f"[{t.name.removeprefix('test_')}](../tests/{t.folder}/{t.file})" for t in mine]
        result = "passes"
        if statement.uncovered:
            result = f"not yet: {statement.uncovered}"
        elif statement.partly:
            result = f"passes in part: {statement.partly}"
        text = f"{statement.text} ({statement.note})" if statement.note else statement.text
        cells = [statement.id.removeprefix("0") if notes else statement.id, text]
        if not notes:
            cells += [_PROFILES[statement.profile], statement.grade]
        lines.append(f"| {' | '.join([*cells, '<br>'.join(links), result])} |")
    return lines


def document(titles: Mapping[str, str], by_id: Mapping[str, Statement], tests: list[Test]) -> str:
    """The text of docs/conformance.md, given that all tests pass."""
    field_notes = [s for s in by_id.values() if s.id.isdigit()]
    profile = [s for s in by_id.values() if not s.id.isdigit()]
    met = sum(not (s.uncovered or s.partly) for s in profile)
    partly = sum(bool(s.partly) for s in profile)
    lines = [
        INTRODUCTION,
        f"{met} of {len(profile)} statements are met and {partly} in part; the others say what they"
        " wait for.",
        "",
        "| about | statements | met | in part |",
        "|---|---|---|---|",
    ]
    chapters = {letter: [s for s in profile if s.id[0] == letter] for letter in titles}
    for letter, title in titles.items():
        chapter = chapters[letter]
        in_part = sum(bool(s.partly) for s in chapter)
        whole = sum(not s.uncovered for s in chapter) - in_part
        lines.append(f"| {title} | {len(chapter)} | {whole} | {in_part or ''} |")
    for letter, title in titles.items():
        lines += ["", f"## {title}", "", *_rows(chapters[letter], tests)]
    lines += [
        "",
        "## From the field",
        "",
        "What VTNs are known to do beside or against the rules, and a VEN has to survive.",
        "",
        *_rows(field_notes, tests, notes=True),
    ]
    return "\n".join(lines) + "\n"


class Outcomes:
    """A pytest plugin that keeps how each test function fared."""

    def __init__(self) -> None:
        self.passed: set[tuple[str, str]] = set()
        self.failed: set[tuple[str, str]] = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        path, _, rest = report.nodeid.partition("::")
        key = (Path(path).name, rest.split("[")[0].split("::")[-1])
        if report.failed:
            self.failed.add(key)
        elif report.when == "call" and report.passed:
            self.passed.add(key)


def main() -> int:
    import pytest  # noqa: PLC0415  only a run needs it

    os.chdir(ROOT)
    titles, by_id = statements()
    tests = all_tests()
    wrong = faults(by_id, tests)
    if not wrong:
        outcomes = Outcomes()
        os.environ["OADR2_REQUIRE_PROSODY"] = "1"
        folders = [str(FOLDER), str(XMPP_FOLDER)]
        arguments = ["-q", "--no-header", f"--ignore={ABOUT_THE_DOCUMENT}", *folders]
        status = pytest.main(arguments, plugins=[outcomes])
        for test in tests:
            if test.file == ABOUT_THE_DOCUMENT.name:
                continue
            key = (test.file, test.name)
            if key in outcomes.failed:
                wrong.append(f"{test.file}: {test.name} fails")
            elif key not in outcomes.passed and not test.optional:
                wrong.append(f"{test.file}: {test.name} did not run")
        if status and not wrong:
            wrong.append(f"pytest ended with status {int(status)}")
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        return 1
    DOCUMENT.write_text(document(titles, by_id, tests), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
