"""failures.jsonl: the first of each class, capped, without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oadr2.fleet.failures import Failure, FailureFile, FailureGate, without_secrets
from oadr2.fleet.scenario import FailureLimits


def failure(error_class: str = "xml", **more: object) -> Failure:
    return Failure(1_700_000_000.5, error_class, "not well-formed", "ven_7", **more)  # type: ignore[arg-type]


def test_the_first_of_each_class_are_kept(tmp_path: Path) -> None:
    file = FailureFile(tmp_path / "f.jsonl", FailureLimits(per_class=2))
    for error_class in ("xml", "timeout", "xml", "xml", "xml"):
        file.add(failure(error_class, request=b"<a/>", answer=b"<b", status=200))
    file.close()
    lines = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert [line["class"] for line in lines] == ["xml", "timeout", "xml"]
    assert lines[0] == {
        "at": "2023-11-14T22:13:20.500Z",
        "class": "xml",
        "ven_id": "ven_7",
        "message": "not well-formed",
        "status": 200,
        "request": "<a/>",
        "answer": "<b",
    }
    assert file.kept == {"xml": 2, "timeout": 1}


def test_no_failure_no_file(tmp_path: Path) -> None:
    FailureFile(tmp_path / "f.jsonl", FailureLimits()).close()
    assert not (tmp_path / "f.jsonl").exists()


def test_what_an_earlier_run_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text("old\n")
    file = FailureFile(tmp_path / "f.jsonl", FailureLimits())
    file.add(failure())
    file.close()
    assert "old" not in file.path.read_text()


def test_payloads_are_cut() -> None:
    gate = FailureGate(FailureLimits(payload_bytes=10))
    taken = gate.take(failure(request=b"x" * 11, answer=b"y" * 10))
    assert taken is not None
    assert (len(taken.request), len(taken.answer)) == (10, 10)


def test_none_are_kept_when_none_are_wanted() -> None:
    assert FailureGate(FailureLimits(per_class=0)).take(failure()) is None


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Basic hunter2",
        "proxy-authorization: Bearer hunter2\r\nHost: vtn",
        "<password>hunter2</password>",
        "<ns:userPassword>hunter2</ns:userPassword>",
        '{"password": "hunter2"}',
        "user=me&password=hunter2&x=1",
        "https://me:hunter2@vtn.example/OpenADR2",
        "Set-Cookie: session=hunter2; Secure",
        'api_key="hunter2"',
    ],
)
def test_secrets_are_removed(text: str) -> None:
    assert "hunter2" in text
    assert "hunter2" not in without_secrets(text)
    assert "[removed]" in without_secrets(text)


def test_what_is_no_secret_stays() -> None:
    text = "<ei:venID>ven_7</ei:venID><pyld:requestID>r1</pyld:requestID>"
    assert without_secrets(text) == text


def test_bytes_that_are_no_text_are_written_all_the_same(tmp_path: Path) -> None:
    file = FailureFile(tmp_path / "f.jsonl", FailureLimits())
    file.add(failure(answer=b"\xff\xfe\x00"))
    file.close()
    assert json.loads(file.path.read_text())["answer"] == "\ufffd\ufffd\x00"
