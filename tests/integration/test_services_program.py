"""Two terminals: ``oadr2 vtn`` and a whole 2.0b VEN over each transport; and OpenLEADR's VTN."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from oadr2_program import Program
from openleadr_vtn import OpenleadrVtn

from oadr2.cli import main

EVENTS = """
[[event]]
event_id = "peak"
start = "+1s"
intervals = [{duration = "PT1H", level = 2}]
"""
SETTINGS = """
profile = "2.0b"
ven_name = "house"

[[report]]
id = "meter"

[[report.point]]
r_id = "power"
unit = "powerReal"
scale = "k"
sampling = 1
source = 1.5

[[report]]
id = "state"
name = "TELEMETRY_STATUS"

[[report.point]]
r_id = "pump"
source = "online"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "ven.toml"
    file.write_text(SETTINGS)
    return file


@pytest.fixture
def events(tmp_path: Path) -> Path:
    file = tmp_path / "events.toml"
    file.write_text(EVENTS)
    return file


def vtn_program(*options: str) -> Program:
    return Program(
        "vtn", "--profile", "2.0b", "--port", "0", "--poll-freq", "1s", "--ask-reports", "1s",
        "--log-format", "json", *options,
    )  # fmt: skip


def ends_well(*programs: Program) -> None:
    for program in programs:
        program.send(signal.SIGTERM)
        assert program.wait() == 0
        assert program.errors == ""


@pytest.fixture(params=["poll", "push", "xmpp"])
def pair(
    request: pytest.FixtureRequest, settings: Path, events: Path, tmp_path: Path
) -> Iterator[tuple[Program, Program]]:
    """The two programs, over each transport."""
    more = ("-c", str(settings), "--db", str(tmp_path / "ven.db"), "--json")
    if request.param == "xmpp":
        request.getfixturevalue("prosody_installed")
        with vtn_program("--xmpp", "--events", str(events)) as vtn:
            words = shlex.split(vtn.wait_for_record(kind="try")["command"])
            place = words.index("--ven-id")
            with Program(*words[1:place], *words[place + 2 :], *more) as ven:
                yield vtn, ven
        return
    with vtn_program("--events", str(events)) as vtn:
        url = vtn.wait_for_record(kind="start")["url"]
        where = ("--listen", "127.0.0.1:0", "--plaintext") if request.param == "push" else ()
        with Program(request.param, "--vtn-url", url, *where, *more) as ven:
            yield vtn, ven


def test_registration_reports_and_an_event(
    pair: tuple[Program, Program], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vtn, ven = pair
    registered = ven.wait_for_record(change="registered")
    assert vtn.wait_for_record(kind="joined")["ven_id"] == registered["ven_id"]
    assert ven.wait_for_record(change="announced")["reports"] == ["meter", "state"]
    assert vtn.wait_for_record(kind="reports")["reports"] == ["meter", "state"]
    vtn.wait_for_record(
        2, kind="report", reports=["meter"], values=[{"r_id": "power", "value": 1.5}]
    )
    vtn.wait_for_record(kind="report", reports=["state"])
    ven.wait_for_record(change="delivered", report="meter")
    assert ven.wait_for_record(kind="signal")["level"] == 2.0
    (answer,) = vtn.wait_for_record(kind="answer")["answers"]
    assert (answer["event_id"], answer["opt_type"]) == ("peak", "optIn")
    file = ("--db", str(tmp_path / "ven.db"))
    assert main(["ven", "status", *file, "--json"]) == 0
    (kept,) = json.loads(capsys.readouterr().out)["vens"]
    assert kept["registration"]["ven_id"] == registered["ven_id"]
    assert [event["event_id"] for event in kept["events"]] == ["peak"]
    assert {request["report"] for request in kept["requests"]} == {"meter", "state"}
    assert main(["ven", "opt-out", "peak", *file, "--no-wait"]) == 0
    assert main(["ven", "opt-out", "--for", "2h", *file, "--no-wait"]) == 0
    for number in itertools.count(2):  # a list that is told twice is answered twice
        (answer,) = vtn.wait_for_record(number, kind="answer")["answers"]
        assert answer["event_id"] == "peak"
        if answer["opt_type"] == "optOut":
            break
    assert " says optOut for a schedule" in vtn.wait_for_record(kind="opt")["text"]
    assert ven.wait_for_record(2, kind="signal")["level"] == 0.0
    ends_well(ven, vtn)


def test_the_VTN_asks_for_another_registration_and_ends_it_all_signed(
    settings: Path, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    signed = []
    for name in ("vtn.pem", "ven.pem"):
        leaf = authority.issue_cert(name)
        leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / name)
        file, ca = str(tmp_path / name), str(tmp_path / "ca.pem")
        signed.append(("--sign-cert", file, "--verify-ca", ca))
    with vtn_program("--reregister-after", "1s", "--cancel-after", "3s", *signed[0]) as vtn:
        url = vtn.wait_for_record(kind="start")["url"]
        more = ("-c", str(settings), "--vtn-url", url, "--json", *signed[1])
        with Program("poll", *more) as ven:
            ven.wait_for_record(2, change="registered")
            ven.wait_for_record(change="cancelled")
            vtn.wait_for_record(kind="left")
            ends_well(ven, vtn)


DECIDING = """
import asyncio

async def later(event):
    await asyncio.sleep(0.2)
    return "optOut"

async def never(event):
    await asyncio.sleep(3600)

def now(event):
    return "optOut"
"""


@pytest.mark.parametrize(
    ("name", "opt"), [("later", "optOut"), ("never", "optIn"), ("now", "optOut")]
)
def test_a_function_decides(
    settings: Path, events: Path, tmp_path: Path, name: str, opt: str
) -> None:
    (tmp_path / "deciding.py").write_text(DECIDING)
    with vtn_program("--events", str(events)) as vtn:
        url = vtn.wait_for_record(kind="start")["url"]
        environment = {
            "PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[2]), str(tmp_path)))
        }
        with Program(
            "poll", "-c", str(settings), "--vtn-url", url, "--json",
            "--on-event", f"deciding:{name}", "--decide-within", "1", environment=environment,
        ) as ven:  # fmt: skip
            (answer,) = vtn.wait_for_record(kind="answer")["answers"]
            assert answer["opt_type"] == opt
            for program in (ven, vtn):
                program.send(signal.SIGTERM)
                assert program.wait() == 0
            assert ("no decision about event" in ven.errors) == (name == "never")


def _polling(settings: Path, url: str) -> Program:
    return Program("poll", "-c", str(settings), "--vtn-url", url, "--json")


def test_with_OpenLEADRs_VTN(settings: Path) -> None:
    with OpenleadrVtn() as vtn, _polling(settings, vtn.url) as ven:
        assert ven.wait_for_record(change="registered")["ven_id"] == "ven_ol"
        vtn.tell(add_event={"event_id": "e1", "starts_in": 1, "lasts": 60, "level": 2})
        vtn.wait(kind="response", opt="optIn")
        assert ven.wait_for_record(kind="signal")["level"] == 2.0
        (report, *_) = vtn.wait(kind="report", measurement="RealPower")
        assert [value for _, value in report["data"]] == [1.5] * len(report["data"])
        ven.wait_for_record(change="delivered", report="meter")
        ven.send(signal.SIGTERM)
        assert ven.wait() == 0


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[[report]]\nid = "m"\n', "it needs points"),
        ('[[report]]\nid = "m"\ncolour = 1\n', "unknown key colour"),
        ('[[report]]\nid = "m"\n[[report.point]]\nr_id = "p"\n', "source is missing"),
        ('[[report]]\nid = "m"\n[[report.point]]\nr_id = "p"\nsource = 1\n', "needs a unit"),
        (
            '[[report]]\nid = "m"\n[[report.point]]\nr_id = "p"\nsource = 1\nunit = "watts"\n',
            "unit 'watts': it is one of powerReal",
        ),
        (
            '[[report]]\nid = "m"\n[[report.point]]\nr_id = "p"\nsource = "no_such:f"\nunit = "voltage"\n',
            "No module named 'no_such'",
        ),
    ],
)
def test_a_wrong_report_table_is_told_in_one_line(tmp_path: Path, table: str, words: str) -> None:
    file = tmp_path / "ven.toml"
    file.write_text(
        f'profile = "2.0b"\nven_name = "house"\nvtn_url = "http://127.0.0.1:9"\n{table}'
    )
    with Program("poll", "-c", str(file)) as ven:
        assert ven.wait() == 2
        assert words in ven.errors
        assert ven.errors.count("\n") == 1
