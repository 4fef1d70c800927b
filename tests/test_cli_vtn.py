"""``oadr2 vtn`` as a program: what it prints, how it ends, and what it says when it cannot start."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from oadr2 import encode
from oadr2.cli import vtn as verb
from oadr2.cli import vtn_lines, vtn_links
from oadr2.errors import ConfigurationError, TransportError
from oadr2.model import CreatedEvent, EiResponse, EventResponse, Profile, RequestEvent
from oadr2.sim import SimulatedVtn, VtnServer

ROOT = Path(__file__).parents[1]
EVENT = '[[event]]\nevent_id = "e\\u202e"\nstart = "+1h"\nduration = "PT1M"\n'
PROGRAM = """
import argparse, sys
from oadr2.cli import vtn
parser = argparse.ArgumentParser()
vtn.add_parser(parser.add_subparsers())
sys.exit(vtn.run(parser.parse_args(["vtn", *sys.argv[1:]])))
"""


def arguments(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    verb.add_parser(parser.add_subparsers())
    return parser.parse_args(["vtn", *options])


class Program:
    """The verb in a process of its own."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal; returns exit code, and what else was printed."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.fixture
def program(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Program]:
    events = tmp_path / "events.toml"
    events.write_text(EVENT, "utf-8")
    program = Program("--events", str(events), *getattr(request, "param", ()))
    yield program
    if program.process.poll() is None:
        program.process.kill()
    program.process.communicate()


def post(url: str, *messages: RequestEvent | CreatedEvent, profile: Profile = "2.0a") -> None:
    path = "/OpenADR2/Simple/EiEvent" if profile == "2.0a" else "/OpenADR2/Simple/2.0b/EiEvent"
    with httpx.Client(trust_env=False, timeout=60) as http:
        for message in messages:
            reply = http.post(
                url + path, content=encode(message), headers={"Content-Type": "application/xml"}
            )
            assert reply.status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_what_vens_do_and_ends_cleanly(program: Program, number: signal.Signals) -> None:
    first = program.line()
    url = re.search(r"http://127\.0\.0\.1:\d+", first)
    assert url is not None, first
    added = program.line()
    # Nothing a terminal would obey.
    assert r"e\u202e added: modification 0, for PT1M, from " in added
    post(
        url[0],
        RequestEvent("ven-1", "q"),
        CreatedEvent("ven-1", (EventResponse("e", 0, "optIn"),)),
        CreatedEvent("ven-1", (), EiResponse(452, "unknown vtnID")),
    )
    code, rest, errors = program.end(number)
    assert (code, errors) == (0, "")
    asked, answered, refused, ended = rest.splitlines()
    assert r"ven-1 asked: e\u202e/0 far" in asked
    assert "ven-1 answered: e/0 optIn 200; it was answered 404" in answered
    assert "ven-1 answered: the whole list 452 unknown vtnID" in refused
    assert ended.endswith("ended")


@pytest.mark.parametrize("program", [("--log-format", "json")], indirect=True)
def test_json_lines(program: Program) -> None:
    start = json.loads(program.line())
    assert (start["kind"], start["vtn_id"], start["profiles"]) == ("start", "vtn", ["2.0a", "2.0b"])
    assert json.loads(program.line())["action"] == "added"
    post(start["url"], RequestEvent("ven-1", profile="2.0b"), profile="2.0b")
    asked = json.loads(program.line())
    assert (asked["kind"], asked["ven_id"], asked["profile"]) == ("asked", "ven-1", "2.0b")
    assert asked["events"][0]["status"] == "far"
    assert asked["at"].endswith("Z")
    code, rest, errors = program.end(signal.SIGTERM)
    assert (code, errors) == (0, "")
    assert json.loads(rest)["kind"] == "stop"


def test_port_in_use_is_named() -> None:
    with VtnServer(SimulatedVtn()) as server, pytest.raises(TransportError, match=str(server.port)):
        verb.run(arguments("--port", str(server.port)))


def test_events_file_that_is_wrong_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.toml"
    path.write_text("[[event]]\n", "utf-8")
    with pytest.raises(ConfigurationError, match=r"events\.toml line 1: event_id is missing"):
        verb.run(arguments("--events", str(path)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--basic", "user"), "go together"),
        (("--basic-password-file", "x"), "go together"),
        (("--basic", "user", "--basic-password-file", os.devnull), "empty"),
        (("--basic", "user", "--basic-password-file", "/no/such/file"), "No such file"),
        (("--prefix", "vtn"), "does not begin with /"),
        (("--push", "ven-1"), "--push ven-1: it must start with http"),
        (("--push", "ven-1=ftp://x/"), "--push ftp://x/: it must start with http"),
        (("--jid", "vtn@localhost"), "need --xmpp"),
        (("--xmpp", "--push", "http://127.0.0.1:1"), "leave out --xmpp"),
        (("--key", "/no/such/file"), "ssl_certfile is missing"),
    ],
)
def test_wrong_options_are_named(options: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        verb.run(arguments("--port", "0", *options))


@pytest.mark.parametrize("program", [()], indirect=True)
def test_reader_that_goes_away_ends_it(program: Program) -> None:
    url = re.search(r"http://[^,]+", program.line())
    assert url is not None
    program.line()
    assert program.process.stdout is not None
    program.process.stdout.close()
    post(url[0], RequestEvent("ven-1"))
    program.process.wait(timeout=60)
    assert program.process.stderr is not None
    assert "BrokenPipeError" in program.process.stderr.read()
    program.process.stdout = None


def test_password_file_may_end_in_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("s3cret word \n", "utf-8")
    options: Any = arguments("--basic", "user", "--basic-password-file", str(path))
    assert vtn_links._basic(options) == ("user", "s3cret word ")


def test_what_a_ven_repeats_is_not_shown_again(tmp_path: Path) -> None:
    events = tmp_path / "events.toml"
    events.write_text(EVENT, "utf-8")
    program = Program("--events", str(events))
    url = re.search(r"http://127\.0\.0\.1:\d+", program.line())
    assert url is not None
    program.line()
    poll = (
        RequestEvent("ven-1", "q"),
        CreatedEvent("ven-1", (EventResponse("e\u202e", 0, "optIn"),)),
    )
    post(url[0], *poll, *poll, *poll, RequestEvent("ven-2"))
    post(url[0], CreatedEvent("ven-1", (EventResponse("e\u202e", 0, "optOut"),)), *poll)
    code, rest, errors = program.end(signal.SIGTERM)
    assert (code, errors) == (0, "")
    told = [line.split("  ", 2)[2].strip() for line in rest.splitlines()[:-1]]
    assert told == [
        r"ven-1 asked: e\u202e/0 far",
        r"ven-1 answered: e\u202e/0 optIn 200",
        r"ven-2 asked: e\u202e/0 far",
        r"ven-1 answered: e\u202e/0 optOut 200",
        r"ven-1 answered: e\u202e/0 optIn 200",
    ]


def test_what_was_not_shown_is_counted() -> None:
    repetitions = vtn_lines.Repetitions()
    asked = {"kind": "asked", "ven_id": "a", "profile": "2.0a", "events": []}
    answer = {"kind": "answer", "ven_id": "a"}
    assert [repetitions.has(dict(asked)) for _ in range(3)] == [False, True, True]
    assert [repetitions.has(dict(answer)) for _ in range(2)] == [False, True]
    fields = repetitions.take_fields()
    assert fields is not None
    assert vtn_lines.words(fields) == "a asked 2 times more, nothing new"
    assert repetitions.take_fields() is None
    for ven_id in "ab":
        repetitions.has(asked | {"ven_id": ven_id})
        repetitions.has(asked | {"ven_id": ven_id})
    fields = repetitions.take_fields()
    assert fields is not None
    assert vtn_lines.words(fields) == "2 VENs asked 3 times more, nothing new"
    assert not repetitions.has(asked | {"events": ["e"]})
