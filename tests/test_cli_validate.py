"""``oadr2 validate``: what it prints and how it ends."""

import io
import json
import re
import sys

import payloads
import pytest

from oadr2.cli import main

VALID = payloads.distribute_event(payloads.event(), profile="2.0b")
INVALID = payloads.distribute_event(payloads.event(status="activ", number="x"))
POLL = payloads.document("oadrPoll", "<ei:venID>v</ei:venID>", profile="2.0b")
ABOVE = "oadrDistributeEvent/oadrEvent/eiEvent/eventDescriptor"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Four files in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, data in (("good", VALID), ("bad", INVALID), ("poll", POLL), ("text", b"hello")):
        (tmp_path / f"{name}.xml").write_bytes(data)
    return tmp_path


def validate(capsys, *arguments):
    code = main(["validate", *arguments])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def test_valid(capsys, files):
    told = "good.xml: valid (oadrDistributeEvent, 2.0b)"
    assert validate(capsys, "good.xml") == (0, [told], "")


def test_invalid(capsys, files):
    assert validate(capsys, "bad.xml") == (
        1,
        [
            "bad.xml line 2: modificationNumber is 'x'; it must be a whole number from 0 to "
            f"4294967295 (in {ABOVE}/modificationNumber)",
            "bad.xml line 2: eventStatus is 'activ'; allowed are none, far, near, active, "
            f"completed, cancelled (in {ABOVE}/eventStatus)",
        ],
        "",
    )


def test_bad_xml(capsys, files):
    code, lines, error = validate(capsys, "text.xml")
    assert (code, error) == (1, "")
    assert lines == ["text.xml line 1: no well-formed XML: Start tag expected, '<' not found"]


def test_no_file(capsys, files):
    code, lines, error = validate(capsys, "none.xml", "good.xml")
    assert code == 1
    assert lines == ["good.xml: valid (oadrDistributeEvent, 2.0b)"]
    assert error == "oadr2 validate: none.xml: No such file or directory\n"


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["good", "good"], 0),
        (["good", "poll"], 0),
        (["poll", "bad", "good"], 1),
        (["good", "text"], 1),
    ],
)
def test_several_files(capsys, files, names, code):
    told, lines, _ = validate(capsys, *(f"{name}.xml" for name in names))
    assert told == code
    named = [re.match(r"(\w+)\.xml[: ]", line)[1] for line in lines]
    assert list(dict.fromkeys(named)) == list(dict.fromkeys(names))


def test_standard_input(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(VALID)))
    told = "(standard input): valid (oadrDistributeEvent, 2.0b)"
    assert validate(capsys, "-") == (0, [told], "")


def test_json(capsys, files):
    assert main(["validate", "--json", "bad.xml", "good.xml", "poll.xml", "none.xml"]) == 1
    bad, good, poll, none = json.loads(capsys.readouterr().out)
    assert (bad["file"], bad["verdict"]) == ("bad.xml", "invalid")
    assert (bad["message"], bad["profile"]) == ("oadrDistributeEvent", "2.0a")
    assert [(fault["line"], fault["path"]) for fault in bad["faults"]] == [
        (2, f"{ABOVE}/modificationNumber"),
        (2, f"{ABOVE}/eventStatus"),
    ]
    assert bad["faults"][1]["sentence"].startswith("eventStatus is 'activ'; ")
    assert (good["verdict"], good["faults"], good["reason"]) == ("valid", [], None)
    assert (poll["verdict"], poll["message"]) == ("valid", "oadrPoll")
    assert (none["verdict"], none["reason"]) == ("unreadable", "No such file or directory")


def test_without_a_file_it_is_a_usage_error(capsys):
    code, lines, error = validate(capsys)
    assert (code, lines) == (2, [])
    assert error.startswith("oadr2 validate: FILE missing")


def test_without_xmlschema_one_line_says_what_to_install(capsys, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "xmlschema", None)
    monkeypatch.delitem(sys.modules, "oadr2.schema_report", raising=False)
    code, lines, error = validate(capsys, "good.xml")
    assert (code, lines) == (2, [])
    assert error.count("\n") == 1
    assert "pip install 'oadr2[validate]'" in error


def test_a_payload_cannot_play_with_the_terminal(capsys, files):
    wrong = payloads.distribute_event(payloads.event(status="\u202efar\u009b31m"))
    (files / "wrong.xml").write_bytes(wrong)
    code, (line,), _ = validate(capsys, "wrong.xml")
    assert code == 1
    assert "\\u202efar\\x9b31m" in line
    assert line.isprintable()
