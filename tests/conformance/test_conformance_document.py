"""docs/conformance.md tells the truth: each id has a row, each row that claims a test has one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import write_conformance as writer  # noqa: E402

titles, by_id = writer.statements()
tests = writer.all_tests()


def test_the_document_is_what_would_be_written_now():
    """Written only when all tests pass; that they still do is for the rest of this folder to say."""
    written = writer.DOCUMENT.read_text(encoding="utf-8")
    assert written == writer.document(titles, by_id, tests), "make conformance writes it anew"


def test_statements_and_tests_fit_each_other():
    assert writer.faults(by_id, tests) == []


def test_there_are_160_statements_and_23_field_notes():
    assert len([id_ for id_ in by_id if id_.isdigit()]) == 23
    assert len([id_ for id_ in by_id if not id_.isdigit()]) == 160
    assert {id_[0] for id_ in by_id if not id_.isdigit()} == set(titles)


def test_every_id_in_the_name_of_any_test_is_a_statement():
    named = {
        id_
        for test in writer.tests_in(ROOT / "tests")
        for id_ in re.findall(r"(?<=_)[A-Z]\d\d(?=_|$)", test.name)
    }
    assert named - set(by_id) == set()


def test_no_conformance_test_can_be_skipped_unseen():
    """The one way to be skipped is the fixture the writer knows of."""
    for path in writer.FOLDER.glob("*.py"):
        if path != Path(__file__):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\b(skip|skipif|xfail|importorskip)\b", text), path.name


def one(name, *, optional=False):
    return writer.Test("test_x.py", name, writer.ids_of(name), optional)


def test_a_row_without_a_test_and_a_test_without_a_row_are_faults():
    rows = {
        "E01": writer.Statement("E01", "met"),
        "E02": writer.Statement("E02", "waits", uncovered="later"),
        "14": writer.Statement("14", "a note"),
    }
    met = [one("test_E01_a"), one("test_field_note_14_b"), one("test_nothing_in_particular")]
    assert writer.faults(rows, met) == []
    assert len(writer.faults(rows, met[1:])) == 1
    assert len(writer.faults(rows, met[:1])) == 1
    assert len(writer.faults(rows, [*met, one("test_E01_E02_c")])) == 1
    assert len(writer.faults(rows, [*met, one("test_E77_d")])) == 1
    assert len(writer.faults(rows, [one("test_E01_a", optional=True), *met[1:]])) == 1


def test_the_writer_keeps_how_tests_fared():
    class Report:
        when = "call"

        def __init__(self, nodeid, outcome):
            self.nodeid = nodeid
            self.passed = outcome == "passed"
            self.failed = outcome == "failed"

    outcomes = writer.Outcomes()
    for case, outcome in (("[a]", "passed"), ("[b::c]", "failed"), ("", "skipped")):
        outcomes.pytest_runtest_logreport(
            Report(f"tests/conformance/test_x.py::test_a{case}", outcome)
        )
    assert outcomes.passed == outcomes.failed == {("test_x.py", "test_a")}


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("test_E16_a_lower_number", ("E16",)),
        ("test_L08_E25_after_an_error", ("L08", "E25")),
        ("test_field_note_04_b", ("04",)),
        ("test_E1_x", ()),
        ("test_the_rest", ()),
    ],
)
def test_ids_in_names(name, ids):
    assert writer.ids_of(name) == ids
