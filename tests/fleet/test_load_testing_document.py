"""docs/load-testing.md: every command in it runs, every file in it reads, every name in it is right."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from oadr2.cli import main
from oadr2.fleet.scenario import Group, StageKind
from oadr2.fleet.scenario_file import parse_scenario
from oadr2.fleet.thresholds import METRICS, STATISTICS, parse_threshold
from oadr2.sim import SimulatedVtn, VtnServer

TEXT = (Path(__file__).parents[2] / "docs" / "load-testing.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^ {4}(?:- )?(oadr2 .+)$", TEXT, re.M)
SCENARIO = re.search(r"^```toml\n(.*?)^```$", TEXT, re.M | re.S)
ADDRESS = "http://127.0.0.1:8080"
# What the page says in minutes takes seconds here; the last option of a kind counts.
QUICKLY = ["--duration", "500ms", "--poll-interval", "250ms", "--vens", "40"]


def rows(name: str) -> Iterator[list[str]]:
    """The cells of each row of the table whose head begins with ``name``."""
    table = re.search(rf"^\| {re.escape(name)}.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.M)
    assert table is not None, name
    for line in table[1].splitlines():
        yield [cell.strip() for cell in line.strip("|").split("|")]


def names(name: str) -> set[str]:
    return {found for row in rows(name) for found in re.findall(r"`([^`]+)`", row[0])}


@pytest.fixture(scope="module")
def vtn_url() -> Iterator[str]:
    vtn = SimulatedVtn()
    vtn.add_event("e", duration=3600)
    with VtnServer(vtn) as server:
        yield server.url


def test_the_page_has_commands_and_a_scenario() -> None:
    assert len(COMMANDS) >= 10
    assert SCENARIO is not None


def test_every_command_runs_in_the_order_of_the_page(
    vtn_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The scenario is the page's; addresses are those of a VTN of the test."""
    monkeypatch.chdir(tmp_path)
    assert SCENARIO is not None
    for command in COMMANDS:
        _, verb, *arguments = shlex.split(command.replace(ADDRESS, vtn_url), comments=True)
        if verb == "vtn":  # the test has one already
            assert arguments == []
            continue
        assert verb == "fleet"
        target = None
        if ">" in arguments:
            target = arguments[-1]
            arguments = arguments[: arguments.index(">")]
        if "scenario.toml" in arguments:
            assert (tmp_path / "scenario.toml").exists(), "an earlier command of the page makes it"
            text = SCENARIO[1].replace(ADDRESS, vtn_url)
            (tmp_path / "scenario.toml").write_text(text)
        arguments = [re.sub(r":9464$", ":0", argument) for argument in arguments]
        quickly = [] if "merge" in arguments else QUICKLY
        if command != COMMANDS[0] and "merge" not in arguments and "--vtn-url" not in arguments:
            quickly = [
                *quickly,
                "--vtn-url",
                vtn_url,
            ]  # a simulated one each time takes long to start
        if "merge" in arguments:
            _let_them_have_run_together(tmp_path)
        code = main(["fleet", *arguments, *quickly])
        # A machine that is busy with other tests may break a limit of time: that is no fault here.
        limits = {"--threshold", "scenario.toml"} & set(arguments) or "merge" in arguments
        assert code in ((0, 99) if limits else (0,)), command
        out = capsys.readouterr().out
        if target is not None:
            (tmp_path / target).write_text(out)
        for option in ("--json", "--report"):
            if option in arguments:
                assert (tmp_path / arguments[arguments.index(option) + 1]).stat().st_size > 1000


def _let_them_have_run_together(folder: Path) -> None:
    """One machine played the shards one after the other."""
    begin = r'"started_at": ".*?"'
    first = re.search(begin, (folder / "A.json").read_text())
    assert first is not None
    text = (folder / "B.json").read_text()
    (folder / "B.json").write_text(re.sub(begin, first[0], text))


def test_the_scenario_of_the_page_is_one() -> None:
    assert SCENARIO is not None
    scenario = parse_scenario(SCENARIO[1])
    assert [group.count for group in scenario.groups] == [950, 50]
    assert scenario.duration == 110.0
    assert len(scenario.thresholds) == 3


def test_every_key_of_a_group_is_explained() -> None:
    listed = names("in `[[group]]`")
    assert listed - {
        "[group.policy]",
        "[group.reports]",
        "[group.opts]",
        "ven_ids_sha256",
    } == {
        field.name
        for field in fields(Group)
        if field.name not in ("name", "policy", "reports", "opts")
    } - {"{n}"} | (listed & {"{n}"})


def test_every_stage_metric_and_statistic_is_explained() -> None:
    assert names("kind in `[[stage]]`") == set(StageKind.__args__)  # type: ignore[attr-defined]
    assert names("metric") == METRICS.keys()
    for name in STATISTICS:
        assert f"`{name}`" in TEXT
    for row in rows("metric"):
        for text in re.findall(r"`([^`]+)`", row[1]):
            assert parse_threshold(text)


def test_every_option_named_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "--help"]) == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    of_the_vtn = re.sub(r"`oadr2 vtn [^`]*`", "", TEXT)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", of_the_vtn)) <= known
