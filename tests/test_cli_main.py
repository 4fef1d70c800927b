"""The command as a whole: help, version, usage errors, what gets imported."""

import re
import subprocess
import sys

import pytest

import oadr2
from oadr2.cli import VERBS, main


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
