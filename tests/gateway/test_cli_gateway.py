"""``oadr2 gateway``, ``oadr2 audit`` and ``oadr2 points`` on the command line."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import tomllib
from pathlib import Path

import pytest
from fake_driver import FakeFolder
from gateway_rig import point, write_file

from oadr2.cli import main
from oadr2.cli.event_text import local_time, moment_at
from oadr2.gateway.configuration import read_configuration
from oadr2.gateway.state import AuditEntry, StateFile
from oadr2.points.rules import RELEASED
from oadr2.sim import VtnServer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    FakeFolder(tmp_path / "device", a=100.0)
    return write_file(tmp_path, "http://127.0.0.1:1", [point("a", more="bounds = [0, 100]")])


def test_check_says_which_line_and_which_device(
    file: Path, server: VtnServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = file.read_text()
    file.write_text(text.replace("http://127.0.0.1:1", server.url))
    assert main(["gateway", "check", "-c", str(file)]) == 0
    reached = "1 of 1 points and 1 of 1 VTNs can be reached\n"
    assert capsys.readouterr().out == reached
    write_file(tmp_path, server.url, [point("a"), point("b"), point("c", "nowhere")])
    assert main(["gateway", "-c", str(file), "check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    starts = [n for n, line in enumerate(file.read_text().splitlines(), 1) if "[[point]]" in line]
    assert lines == [
        f"{file} line {starts[1]}: [[point]] b: {tmp_path}/device: there is no register b",
        f"{file} line {starts[2]}: [[point]] c: {tmp_path}/nowhere: there is no such device",
        "1 of 3 points and 1 of 1 VTNs can be reached",
    ]
    assert FakeFolder(tmp_path / "device").log() == []


@pytest.mark.parametrize(
    ("own", "wrong"),
    [
        ('db = "none/g.db"', "cannot be opened: create its folder"),
        ('db = "."', "is a folder: name a file"),
        ('db = "other.db"', "is not a gateway's file: name another one"),
        ('db = "text"', "is no SQLite file"),
        ('page = "PORT"', "cannot listen on port"),
        ('page = "0"\npage_token_file = "none"', "none: No such file or directory"),
        ('page = "0"\npage_token_file = "text"', "shorter than 16 characters"),
        ('page = "0"\npage_token_env = "OADR2_NO_SUCH"', "OADR2_NO_SUCH is not set"),
    ],
)
def test_check_finds_what_would_keep_the_gateway_from_starting(
    own: str,
    wrong: str,
    file: Path,
    server: VtnServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "text").write_text("short")
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (x)")
    port = server.url.rpartition(":")[2]
    text = file.read_text().replace("http://127.0.0.1:1", server.url)
    head, _, rest = text.partition("[gateway]\n")
    rest = "".join(line for line in rest.splitlines(keepends=True) if not line.startswith("db ="))
    file.write_text(f"{head}[gateway]\n{own.replace('PORT', port)}\n{rest}")
    before = sorted(tmp_path.iterdir())
    assert main(["gateway", "check", "-c", str(file)]) == 1
    problem, _ = capsys.readouterr().out.splitlines()
    line = 1 + head.count("\n") + own.count("\n") + 1
    assert problem.startswith(f"{file} line {line}: [gateway]: ")
    assert wrong in problem
    assert sorted(tmp_path.iterdir()) == before
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_check_finds_a_ven_whose_file_cannot_be_used(
    file: Path, server: VtnServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = file.read_text().replace("http://127.0.0.1:1", server.url)
    lines = [line for line in text.splitlines() if not line.startswith("db = ")]
    at = lines.index("[[ven]]") + 1
    file.write_text("\n".join([*lines[:at], 'db = "none/ven.db"', *lines[at:]]))
    assert main(["gateway", "check", "-c", str(file)]) == 1
    problem, _ = capsys.readouterr().out.splitlines()
    assert "none/ven.db: cannot be opened: create its folder" in problem


def test_override_is_kept_in_the_state_file(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["gateway", "override", "a", "55", "--for", "1h", "--by", "eve", "-c", str(file)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("a: 55 until 20")
    with StateFile(tmp_path / "gateway.db") as state:
        (kept,) = state.overrides()
    assert (kept.point, kept.value, kept.by) == ("a", 55.0, "eve")
    assert 3500 < kept.until - time.time() <= 3600
    until = moment_at(kept.until).replace(microsecond=0)
    assert shown == f"a: 55 until {local_time(until, weekday=False)}\n"
    assert main(["gateway", "override", "a", "release", "--for", "5m", "-c", str(file)]) == 0
    with StateFile(tmp_path / "gateway.db") as state:
        assert state.overrides()[0].value is RELEASED
    capsys.readouterr()
    assert main(["gateway", "override", "a", "end", "-c", str(file)]) == 0
    assert main(["gateway", "override", "a", "end", "-c", str(file)]) == 0
    assert capsys.readouterr().out == "a: override ended\na: had no override\n"


def test_an_override_of_a_user_without_a_name(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert main(["gateway", "override", "a", "55", "--for", "1h", "-c", str(file)]) == 0
    with StateFile(tmp_path / "gateway.db") as state:
        assert state.overrides()[0].by == f"user {os.getuid()}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["z", "5", "--for", "1h"], "there is no [[point]] z"),
        (["a", "5"], "--for is missing"),
        (["a", "5", "--for", "soon"], "--for soon: it must be a time"),
        (["a", "much", "--for", "1h"], "much is neither a number"),
        (["a", "500", "--for", "1h"], "500 is not within its bounds [0, 100]"),
        (["a", "nan", "--for", "1h"], "a: an override needs a finite value"),
        (["a", "5", "--for", "0s"], "an override needs a time above 0"),
    ],
)
def test_an_override_that_cannot_be(
    arguments: list[str],
    message: str,
    file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["gateway", "override", *arguments, "-c", str(file)]) in (1, 2)
    assert message in capsys.readouterr().err
    assert not (tmp_path / "gateway.db").exists()


@pytest.mark.parametrize("verb", [["gateway"], ["gateway", "check"], ["audit"]])
def test_a_file_is_needed(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(verb) == 2
    assert "-c FILE" in capsys.readouterr().err


def test_audit_finds_lines(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "-c", str(file)]) == 1
    assert "has the gateway ever run?" in capsys.readouterr().err
    now = time.time()
    with StateFile(tmp_path / "gateway.db") as state:
        state.append(
            [
                AuditEntry(now - 7200, "a", "write", 100.0, 70.0, None, "vtn", "old", "SIMPLE 1"),
                AuditEntry(now - 60, "a", "write", 100.0, 40.0, None, "vtn", "new", "SIMPLE 2"),
                AuditEntry(now - 59, "a", "verified", None, 40.0, 40.0, "vtn", "new", "SIMPLE 2"),
                AuditEntry(
                    now - 58, "b", "write", 40.0, RELEASED, None, "", "", "nothing is wanted"
                ),
            ]
        )

    def found(*options: str) -> list[str]:
        capsys.readouterr()
        code = main(["audit", "-c", str(file), *options])
        lines = capsys.readouterr().out.splitlines()
        assert code == (0 if lines else 1)
        return [line.partition("  ")[2] for line in lines]

    first = "a write, 100 -> 70, event 'old' of 'vtn': SIMPLE 1"
    second = "a write, 100 -> 40, event 'new' of 'vtn': SIMPLE 2"
    third = "a verified, 40, read back 40, event 'new' of 'vtn': SIMPLE 2"
    fourth = "b write, 40 -> released: nothing is wanted"
    assert found() == [first, second, third, fourth]
    assert found("--point", "a", "--since", "1h") == [second, third]
    assert found("--event", "old") == [first]
    assert found("--kind", "write", "-n", "1") == [fourth]
    assert found("--until", "1h") == [first]
    assert found("--since", "2001-01-01T00:00", "--until", "2001-01-02") == []
    assert main(["audit", "--db", str(tmp_path / "gateway.db"), "--json", "--point", "b"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["new"] == "released"
    assert record["at"].endswith("Z")
    assert main(["audit", "-c", str(file), "--since", "yesterday"]) == 2
    assert "--since yesterday: give a time ago" in capsys.readouterr().err
    for options, wrong in (
        (("--kind", "wrote"), "--kind wrote: it must be one of found, control, "),
        (("-n", "0"), "--last 0: it must be above 0"),
        (("-n", "-1"), "--last -1: it must be above 0"),
    ):
        assert main(["audit", "-c", str(file), *options]) == 2
        assert wrong in capsys.readouterr().err
    assert main(["audit", "--db", str(tmp_path)]) == 1
    assert "is a folder: name a file" in capsys.readouterr().err


MODBUS = """\
Reference Point Name,Volttron Point Name,Units,Units Details,Modbus Register,Writable,Point Address,\
Mixed Endian,Default Value,Notes
Fan,FanSpeed,%,0.00 to 100.00 (75 default),>f,TRUE,1005,FALSE,,"one, two"
Cmd,Heat 'A',On / Off,on/off,BOOL,TRUE,1113,,,
Temp,Temperature,F,(-)39.99 to 248.00,>f,FALSE,1009,,,
Swap,Swapped,kW,,<L,true,0x10,TRUE,12,
"""
BACNET = """\
Point Name,Volttron Point Name,Units,Unit Details,BACnet Object Type,Property,Writable,Index,Write Priority
a,Valve,percent,0.00 to 100.00 (default 0.0),analogOutput,presentValue,TRUE,3000107,12
b,Mode,State,State count: 7 (default 7),multiStateValue,presentValue,TRUE,3000128,
c,Sensor,F,-50 to 250,analogInput,presentValue,FALSE,3000109,
"""


def imported(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str], *options: str
) -> object:
    registry = tmp_path / "registry.csv"
    registry.write_text(text)
    assert main(["points", "import", str(registry), *options]) == 0
    return tomllib.loads(capsys.readouterr().out)["point"]


def test_a_modbus_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--host", "10.0.0.4", "--unit", "7", "--prefix", "roof/")
    device = {"driver": "modbus", "host": "10.0.0.4", "unit": 7}
    assert imported(tmp_path, MODBUS, capsys, *options) == [
        device
        | {
            "name": "roof/FanSpeed",
            "register": 1005,
            "type": "float32",
            "bounds": [0.0, 100.0],
            "value_unit": "%",
        },
        device
        | {"name": "roof/Heat 'A'", "table": "coil", "register": 1113, "value_unit": "On / Off"},
        device
        | {
            "name": "roof/Swapped",
            "register": 16,
            "type": "uint32",
            "byte_order": "little",
            "word_order": "big",
            "value_unit": "kW",
        },
    ]
    main(["points", "import", str(tmp_path / "registry.csv")])
    output = capsys.readouterr()
    assert "# levels = { 0 = 75.0, 1 = ?" in output.out
    assert "# levels = { 0 = 12.0, 1 = ?" in output.out
    assert output.err == "1 row can only be read, and was left out\n"


def test_a_bacnet_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = {"driver": "bacnet", "host": "10.0.0.5"}
    assert imported(tmp_path, BACNET, capsys, "--host", "10.0.0.5") == [
        device
        | {
            "name": "Valve",
            "object": "analog-output",
            "instance": 3000107,
            "priority": 12,
            "bounds": [0.0, 100.0],
            "value_unit": "percent",
        },
        device
        | {
            "name": "Mode",
            "object": "multi-state-value",
            "instance": 3000128,
            "value_unit": "State",
        },
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("Modbus Register", "Register"), "line 1: neither a column Modbus Register"),
        ((">f,TRUE,1005", ">f,TRUE,x"), "line 2: Point Address is 'x': it must be a whole number"),
        ((">f,TRUE,1005", ">ff,TRUE,1005"), "line 2: Modbus Register '>ff'"),
        (("Swap,Swapped", "Swap,FanSpeed"), "line 5: there is a FanSpeed already"),
    ],
)
def test_a_registry_that_is_wrong(
    change: tuple[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = tmp_path / "registry.csv"
    registry.write_text(MODBUS.replace(*change))
    assert main(["points", "import", str(registry)]) == 2
    assert message in capsys.readouterr().err


def test_the_demonstration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", "--log-format", "json", "demo", "--fast"]) == 0
    story = capsys.readouterr().out.partition("the audit log of the charger:")[2]
    kept = [line.partition("charger ")[2] for line in story.splitlines() if " write, " in line]
    assert [line.partition(":")[2].strip() for line in kept] == [
        "SIMPLE 1", "override by you", "SIMPLE 2", "nothing is wanted"
    ]  # fmt: skip


def test_the_example_of_the_help_is_a_file_that_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gateway", "--help"]) == 0
    shown = capsys.readouterr().out
    body = shown[shown.index("  [[ven]]") : shown.index("docs/gateway.md")]
    path = tmp_path / "example.toml"
    path.write_text("\n".join(line.removeprefix("  ") for line in body.splitlines()))
    assert [point.name for point in read_configuration(path).points] == ["chiller"]
