"""``oadr2 demo``: the whole way of an event, as a stranger sees it first."""

import itertools
import json
import signal
import subprocess
import sys
from datetime import datetime

import pytest
from rich.console import Console

from oadr2.cli import demo_play, demo_show, main

PATIENCE = 120.0


def command(*arguments):
    return [sys.executable, "-m", "oadr2", "demo", *arguments]


@pytest.mark.parametrize("way", [(), ("--push",)])
def test_it_plays_an_event_to_its_end(way):
    done = subprocess.run(
        command("--fast", "--json", *way),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stderr == ""
    summary = json.loads(done.stdout)
    assert (summary["opt_type"], summary["response_code"]) == ("optIn", 200)
    assert [(c["previous"], c["level"]) for c in summary["changes"]] == [
        (0.0, 1.0),
        (1.0, 2.0),
        (2.0, 3.0),
        (3.0, 0.0),
    ]
    due = [datetime.fromisoformat(change["due"]) for change in summary["changes"]]
    assert [(b - a).total_seconds() for a, b in itertools.pairwise(due)] == [1, 1, 1]
    # How late a change comes is this machine's business; what follows from it is the demo's.
    on_time = [c["late_ms"] is not None and c["late_ms"] <= 500 for c in summary["changes"]]
    assert [change["on_time"] for change in summary["changes"]] == on_time
    assert summary["succeeded"] is all(on_time)
    assert done.returncode == (0 if all(on_time) else 1)


def test_without_a_terminal_it_prints_lines_and_lateness_fails_it(capsys, monkeypatch):
    monkeypatch.setattr(demo_play, "ON_TIME", -1.0)
    assert main(["demo", "--fast"]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "\x1b" not in captured.out
    assert "VTN has a new event: 1 moderate, 2 high, 3 special" in captured.out
    assert "VEN answers: optIn to demo-event  (VTN: 200 OK)" in captured.out
    assert "VEN sets the load to 3 special" in captured.out
    assert "Not everything came as it was due." in captured.out


def test_ctrl_c_ends_it_at_once():
    with subprocess.Popen(
        command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert "asks" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert error == ""
    assert "sets the load" not in output


def test_a_change_that_never_came_is_told(capsys):
    demo = demo_play.Demo(demo_play.FAST)
    assert [change.came for change in demo.changes()] == [None] * 4
    assert not demo.succeeded()
    view = demo_show.summary_view(demo)
    Console(width=80).print(view)
    output = capsys.readouterr().out
    assert "never answered demo-event" in output
    assert output.count("never") == 5
