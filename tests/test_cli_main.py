"""The command as a whole: help, version, usage errors, what gets imported."""

import os
import re
import shlex
import signal
import subprocess
import sys

import pytest

import oadr2
from oadr2 import encode
from oadr2.cli import VERBS, main
from oadr2.model import Response


def test_help_names_every_verb(capsys):
    assert main(["--help"]) == 0
    output = capsys.readouterr().out
    for verb in VERBS:
        assert re.search(rf"\n    {verb}\s", output)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_takes_a_settings_file(capsys, verb):
    assert main([verb, "--help"]) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"usage: oadr2 {verb} ")
    assert "--config FILE" in output


def test_no_verb_shows_the_help_and_is_a_usage_error(capsys):
    assert main([]) == 2
    assert "decode" in capsys.readouterr().err


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"oadr2 {oadr2.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dekode"], "invalid choice"),
        (["decode"], "oadr2 decode: FILE missing"),
        (["decode", "--jsn", "x"], "unknown option --jsn, did you mean --json?"),
        (["gateway", "demo", "--log-level", "error"], "--log-level is to stand before the action"),
        (["decode", "x", "y"], "oadr2 decode: 'y' is one argument too many"),
        (["poll"], "--vtn-url missing"),
        (["poll", "--vtn-url", "vtn"], "--vtn-url"),
        (["poll", "--vtn-url", "http://vtn"], "--ven-id missing"),
        (["poll", "--vtn-url", "http://vtn", "--profile", "2.0b"], "--ven-name (or --ven-id"),
        (["poll", "--vtn-url", "http://vtn", "--ven-id", "v", "--ven-name", "n"], "2.0b"),
        (["poll", "--interval", "0"], "above 0"),
        (["poll", "--profile", "2.0c"], "invalid choice: '2.0c'"),
    ],
)
def test_a_usage_error_is_one_line(capsys, arguments, words):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert words in captured.err


def imported_by(*arguments: str) -> set[str]:
    """The modules in a fresh interpreter after ``oadr2 ARGUMENTS``."""
    code = (
        "import sys\nfrom oadr2.cli import main\n"
        f"main({list(arguments)!r})\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"httpx", "uvicorn", "lxml", "slixmpp", "asyncio"}


@pytest.mark.parametrize("arguments", [("--help",), ("decode", "--help"), ("decode", "/none")])
def test_a_quick_verb_imports_nothing_heavy(arguments):
    assert imported_by(*arguments) & (HEAVY | {"rich"}) == set()


def test_python_m_oadr2():
    done = subprocess.run(
        [sys.executable, "-m", "oadr2", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("oadr2 ")


def test_ctrl_c_while_it_is_still_being_imported_ends_it_quietly(tmp_path):
    # In place of a module that the command line imports: it tells when the import is under way.
    (tmp_path / "difflib.py").write_text(
        "import sys, threading\nprint('importing', flush=True)\nthreading.Event().wait()\n"
    )
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(
        [sys.executable, "-m", "oadr2", "--version"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130


def test_ctrl_c_that_was_switched_off_stays_so():
    # As for a command that a script starts in the background.
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "sys.argv = ['oadr2', '--version']\n"
        "from oadr2.__main__ import command\n"
        "command()\n"
        "sys.exit(signal.getsignal(signal.SIGINT) is not signal.SIG_IGN)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == 0


# --- standard output that takes nothing --------------------------------------

PAYLOAD = encode(Response())
WHAT_PRINTS = [
    ("--help",),
    ("decode", "FILE"),
    ("decode", "--json", "FILE"),
    ("validate", "FILE"),
    ("validate", "--json", "FILE"),
    ("fleet", "--print-scenario"),
    ("demo", "--fast"),
    ("demo", "--fast", "--json"),
]


def run_with_output(arguments, folder, **streams):
    """The process, ended, as people run it: what it prints is kept until there is enough of it."""
    payload = folder / "payload.xml"
    payload.write_bytes(PAYLOAD)
    given = [str(payload) if argument == "FILE" else argument for argument in arguments]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-m", "oadr2", *given],
        text=True,
        env=environment,
        check=False,
        timeout=120,
        **streams,
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", WHAT_PRINTS, ids=" ".join)
def test_a_full_disk_is_one_line_and_a_failure(arguments, tmp_path):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = run_with_output(arguments, tmp_path, stdout=full, stderr=subprocess.PIPE)
    name = "oadr2" if arguments[0].startswith("-") else f"oadr2 {arguments[0]}"
    reason = "the output cannot be written: No space left on device"
    assert (done.returncode, done.stderr) == (1, f"{name}: {reason}\n")


@pytest.mark.parametrize("arguments", WHAT_PRINTS, ids=" ".join)
def test_a_reader_that_has_gone_is_no_news(arguments, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as gone:
        done = run_with_output(arguments, tmp_path, stdout=gone, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_change_no_exit_code(closed):
    for arguments, code in (("--version", 0), ("decode /none", 1), ("demo --nonsense", 2)):
        shell = f"{shlex.quote(sys.executable)} -m oadr2 {arguments} {closed}"
        done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False)
