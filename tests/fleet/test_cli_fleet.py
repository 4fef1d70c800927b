"""The command ``oadr2 fleet``: options, files, exit codes, and runs against a VTN."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from results import a_result

from oadr2.cli import main
from oadr2.fleet.scenario_file import parse_scenario
from oadr2.sim import SimulatedVtn, VtnServer

QUICK = ("--duration", "1s", "--poll-interval", "400ms", "--connections", "pool:5")
GROUPS = '[[group]]\ncount = 300\n[[group]]\ncount = 100\nven_ids = "other_{n}"\n'
STAGES = '[[stage]]\nkind = "ramp"\nduration = "10s"\n[[stage]]\nkind = "hold"\nduration = "30s"\n'


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["fleet", *arguments, "--print-scenario"]) == 0
    return capsys.readouterr().out


def test_options_alone_make_a_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(
        capsys,
        *("--vens", "10_000", "--profile", "2.0b", "--poll-interval", "1m", "--duration", "5m"),
        *("--connections", "per-ven", "--seed", "9", "--name", "mine"),
        *("--threshold", "p99 < 1s, errors == 0", "--threshold", "late < 1%"),
    )
    scenario = parse_scenario(text)
    assert (scenario.vens, scenario.groups[0].profile) == (10_000, "2.0b")
    assert (scenario.groups[0].poll_interval, scenario.duration) == (60.0, 300.0)
    assert (scenario.seed, scenario.name, str(scenario.connections)) == (9, "mine", "per-ven")
    assert [each.text for each in scenario.thresholds] == ["p99 < 1s", "errors == 0", "late < 1%"]


def test_what_is_printed_is_a_file_to_start_from(capsys: pytest.CaptureFixture[str]) -> None:
    first = printed(capsys)
    Path("mine.toml").write_text(first)
    assert printed(capsys, "mine.toml") == first
    assert "# opt_in = 1.0  # share that opts in" in first


def test_options_win_over_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.toml").write_text('thresholds = ["p50 < 1s"]\n' + GROUPS + STAGES)
    text = printed(
        capsys,
        "s.toml",
        "--vens",
        "41",
        "--duration",
        "4s",
        "--threshold",
        "max < 9s",
        "--seed",
        "3",
    )
    scenario = parse_scenario(text)
    assert [group.count for group in scenario.groups] == [30, 11]
    assert [stage.duration for stage in scenario.stages] == [1.0, 3.0]
    assert [each.text for each in scenario.thresholds] == ["max < 9s"]
    assert scenario.seed == 3


def test_more_vens_than_the_file_has_are_numbered_on(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.toml").write_text("[[group]]\ncount = 5\n[[group]]\ncount = 5\n")
    groups = parse_scenario(printed(capsys, "s.toml", "--vens", "40")).groups
    assert [(group.first_number, group.count) for group in groups] == [(0, 20), (20, 20)]


def test_a_settings_file_gives_options(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.toml").write_text('[fleet]\nvens = 7\nthreshold = "p99 < 1s"\nduration = "3s"\n')
    scenario = parse_scenario(printed(capsys, "-c", "c.toml", "--threshold", "p50 < 1s"))
    assert (scenario.vens, scenario.duration) == (7, 3.0)
    assert [each.text for each in scenario.thresholds] == ["p50 < 1s"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--vens", "none"], "it must be a whole number above 0"),
        (["--vens", "0"], "it must be a whole number above 0"),
        (["--seed", "-1"], "seed: it is 0 or more"),
        (["--duration", "soon"], "'soon' is no duration like"),
        (["--duration", "0"], "it must be above 0 s"),
        (["--connections", "two"], 'it must be "per-ven", "pool:N" or "per-poll"'),
        (["--threshold", "p99 < 5"], "latency needs a unit"),
        (["--shard", "2/2"], "it must be I/N, part I of N"),
        (["--metrics", "9100"], "it must be HOST:PORT"),
        (["--vtn-url", "vtn"], "--vtn-url: it must start with http"),
        (["--vtn-url", "http://me:hunter2@vtn"], "--vtn-url: a user name or password does not"),
        (["--shard", "0/2"], "a shard needs a VTN URL"),
        (["--processes", "9", "--vens", "3"], "9 parts for 3 VENs"),
        (["none.toml"], "scenario none.toml: No such file or directory"),
        (["a.toml", "b.toml"], "one scenario at a time: b.toml"),
        (["--json", "no/where.json"], "--json no/where.json: there is no folder no"),
        (["--report", "."], "--report .: it is a folder"),
        (["--report", "x" * 300], "x: it cannot be written: File name too long"),
        (["--json", "x", "--report", "x"], "--report x: --json has that file already"),
        (["--username", "me", "--vtn-url", "http://vtn"], "a password is missing"),
        (["merge", "A.json"], "merge needs the results of two parts or more"),
        (["merge", "A.json", "B.json"], "A.json: No such file or directory"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fleet", *arguments]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1
    assert "hunter2" not in said


def test_a_run_against_the_simulated_vtn(capsys: pytest.CaptureFixture[str]) -> None:
    thresholds = ("--threshold", "errors == 0, events_applied >= 40, propagation max < 60s")
    files = ("--json", "r.json", "--report", "r.html")
    code = main(["fleet", "--vens", "40", *QUICK, "--duration", "2s", *thresholds, *files])
    out, err = capsys.readouterr()
    assert code == 0, out + err
    data = json.loads(Path("r.json").read_text())
    assert data["vens"] == 40
    assert data["polls"] >= 40 * 3
    assert data["exchanges"] == data["polls"] + data["replies_sent"]
    assert data["replies_sent"] >= 40
    assert data["vtn"] == "simulated"
    assert sum(point["polls"] for point in data["series"]["points"]) == data["polls"]
    assert "passed  errors == 0" in out
    assert Path("r.html").read_text().startswith("<!doctype html>")
    assert not Path("failures.jsonl").exists()


def test_a_run_in_two_processes_against_a_vtn() -> None:
    vtn = SimulatedVtn()
    vtn.add_event("e", duration=3600)
    with VtnServer(vtn) as server:
        parts = ("--processes", "2", "--json", "r.json")
        code = main(["fleet", "--vens", "30", *QUICK, "--vtn-url", server.url, *parts])
    assert code == 0
    data = json.loads(Path("r.json").read_text())
    assert data["shards"] == {"count": 2, "parts": [0, 1]}
    assert data["polls"] == vtn.polls.total()
    assert sorted(vtn.polls) == sorted(f"ven_{n}" for n in range(30))
    assert data["replies_sent"] == len(vtn.answers)
    assert {answer.ven_id for answer in vtn.answers} == {f"ven_{n}" for n in range(30)}


def test_shards_merge_to_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with VtnServer(SimulatedVtn()) as server:
        Path("s.toml").write_text(f'vtn_url = "{server.url}"\n{GROUPS}')
        for index in range(2):
            arguments = ["s.toml", "--vens", "20", *QUICK, "--shard", f"{index}/2"]
            assert main(["fleet", *arguments, "--json", f"{index}.json"]) == 0
    parts = [json.loads(Path(f"{index}.json").read_text()) for index in range(2)]
    assert sum(part["vens"] for part in parts) == 20
    # They ran one after the other, which merging refuses; a change of the clock mends it here.
    parts[1]["started_at"] = parts[0]["started_at"]
    Path("1.json").write_text(json.dumps(parts[1]))
    capsys.readouterr()
    assert main(["fleet", "merge", "0.json", "1.json", "--json", "-", "--report", "r.html"]) == 0
    out, err = capsys.readouterr()
    whole = json.loads(out)
    assert whole["polls"] == parts[0]["polls"] + parts[1]["polls"]
    assert whole["latency_ms"]["max"] == max(part["latency_ms"]["max"] for part in parts)
    assert "20 for 1 s" in err
    assert Path("r.html").exists()


def test_a_missing_part_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for index in (0, 2):
        Path(f"{index}.json").write_text(a_result(index, 3).to_json())
    assert main(["fleet", "merge", "0.json", "2.json"]) == 0
    assert "not the whole run: 1/3 missing" in capsys.readouterr().err
    assert main(["fleet", "merge", "0.json", "2.json", "--threshold", "errors == 0"]) == 99


def test_a_broken_threshold_is_99_and_failures_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    vtn = SimulatedVtn(known_vens=["ven_0"])
    with VtnServer(vtn) as server:
        arguments = ["--vens", "4", *QUICK, "--vtn-url", server.url, "--threshold", "errors < 1%"]
        assert main(["fleet", *arguments]) == 99
    out, err = capsys.readouterr()
    assert "broken  errors < 1%" in out
    assert "the first failures of each class are in failures.jsonl" in err
    failures = [json.loads(line) for line in Path("failures.jsonl").read_text().splitlines()]
    assert {failure["class"] for failure in failures} == {"oadr_404"}
    assert 0 < len(failures) <= 10
    assert "oadrRequestEvent" in failures[0]["request"]
    assert "oadrDistributeEvent" in failures[0]["answer"]


def test_a_password_goes_to_the_vtn_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    Path("secret").write_text("hunter2\n")
    with VtnServer(SimulatedVtn(), basic=("me", "hunter2")) as server:
        arguments = ["--vens", "4", *QUICK, "--vtn-url", server.url, "--threshold", "errors == 0"]
        arguments += ["--json", "r.json", "--report", "r.html"]
        assert main(["fleet", *arguments]) == 99
        secret = ["--username", "me", "--password-file", "secret"]
        assert main(["fleet", *arguments, *secret]) == 0
    out, err = capsys.readouterr()
    written = [Path(name).read_text() for name in ("r.json", "r.html", "failures.jsonl")]
    assert not any("hunter2" in text for text in [out, err, *written])


def test_preflight_comes_before_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert main(["fleet", "--vens", "4", *QUICK, "--vtn-url", url]) == 1
    assert "cannot be reached: Connection refused" in capsys.readouterr().err
    with VtnServer(SimulatedVtn()) as server:
        url = server.url.replace("http:", "https:")
        assert main(["fleet", "--vens", "4", *QUICK, "--vtn-url", url]) == 1
        assert "it does not speak TLS: is its address http://?" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_result_that_cannot_be_written_is_shown_all_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fleet", "--vens", "4", *QUICK, "--json", "/dev/full"]) == 1
    out, err = capsys.readouterr()
    assert "polls" in out
    assert "--json /dev/full: No space left on device" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_what_can_be_written_is_when_the_rest_cannot() -> None:
    assert main(["fleet", "--vens", "4", *QUICK, "--json", "/dev/full", "--report", "r.html"]) == 1
    assert "</html>" in Path("r.html").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_run_does_not_end_where_its_failures_cannot_be_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are a by-product; minutes of figures are not thrown away for them."""
    with VtnServer(SimulatedVtn(known_vens=["ven_0"])) as server:
        arguments = ["--vens", "4", *QUICK, "--vtn-url", server.url, "--json", "r.json"]
        assert main(["fleet", *arguments, "--failures", "/dev/full"]) == 0
    assert "note: --failures /dev/full: No space left on device" in capsys.readouterr().err
    assert json.loads(Path("r.json").read_text())["errors"]["oadr_404"] > 0


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "oadr2", "fleet", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
        start_new_session=True,
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_figures_are_served_and_a_signal_still_gives_a_report(number: int, code: int) -> None:
    arguments = ("--vens", "20", "--poll-interval", "200ms", "--duration", "1h")
    fleet = start(*arguments, "--metrics", "127.0.0.1:0", "--json", "r.json")
    try:
        assert fleet.stderr is not None
        line = fleet.stderr.readline()
        assert line.startswith("figures for Prometheus: http://127.0.0.1:")
        found = ""
        while "oadr2_fleet_latency_seconds_count" not in found:
            with urllib.request.urlopen(line.split()[-1], timeout=10) as answer:
                found = answer.read().decode()
        # To the whole group, as a terminal does it.
        os.killpg(fleet.pid, number)
        out, err = fleet.communicate(timeout=60)
    finally:
        if fleet.poll() is None:
            os.killpg(fleet.pid, signal.SIGKILL)
            fleet.communicate()
    assert fleet.returncode == code, err
    assert "Traceback" not in err
    assert "The run was ended before its time." in out
    data = json.loads(Path("r.json").read_text())
    assert data["interrupted"] is True
    assert data["polls"] > 0
