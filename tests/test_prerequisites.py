"""A missing tool is one line that names the package, before anything is built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path("tools") / "check_prerequisites.py"
CHOOSER = Path("tools") / "choose_python.sh"


def run(
    *command: str | Path, repository: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=repository,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def old_python(folder: Path, version: str) -> Path:
    """A Python that runs the script while it takes itself for an older one."""
    fake = folder / f"python{version}"
    major, minor = version.split(".")
    fake.write_text(
        f"#!{sys.executable}\n"
        "import runpy, sys\n"
        "if sys.argv[1] != '-c':\n"
        f"    sys.version_info = ({major}, {minor}, 0)\n"
        "    sys.argv = sys.argv[1:]\n"
        "    runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    fake.chmod(0o755)
    return fake


def test_nothing_is_said_when_nothing_is_missing(repository: Path) -> None:
    done = run(sys.executable, SCRIPT, repository=repository)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_missing_compiler_is_one_line_naming_the_package(repository: Path) -> None:
    done = run(sys.executable, SCRIPT, repository=repository, CC="no-such-cc -Wall")
    assert done.returncode == 3
    assert re.fullmatch(
        r"oadr2: no C compiler: 'no-such-cc' .*apt install gcc libc6-dev.*\n", done.stderr
    )


def test_a_compiler_without_headers_is_told_from_a_missing_one(
    repository: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\ncat >/dev/null\necho 'stdlib.h: no such file' >&2\nexit 1\n")
    broken.chmod(0o755)
    done = run(sys.executable, SCRIPT, repository=repository, CC=str(broken))
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "apt install libc6-dev" in done.stderr


def test_an_old_python_is_told_that_it_is_old(repository: Path, tmp_path: Path) -> None:
    done = run(old_python(tmp_path, "3.9"), SCRIPT, repository=repository)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 or later is needed" in done.stderr
    assert "is 3.9" in done.stderr


def test_the_chosen_python_is_the_one_asked_for(repository: Path) -> None:
    done = run("sh", CHOOSER, repository=repository, PYTHON=sys.executable)
    assert (done.returncode, done.stdout) == (0, f"{sys.executable}\n")


def test_no_python_at_all_is_one_line(repository: Path) -> None:
    done = run("sh", CHOOSER, repository=repository, PYTHON="/nowhere/python3")
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"oadr2: no Python: .*apt install python3 .*\n", done.stderr)


def test_a_missing_tool_is_reported_rather_than_an_old_python(
    repository: Path, tmp_path: Path
) -> None:
    candidates = f"{old_python(tmp_path, '3.8')} {sys.executable}"
    done = run("sh", CHOOSER, repository=repository, PYTHON=candidates, CC="no-such-cc")
    assert done.returncode == 1
    assert "no C compiler" in done.stderr
    assert "3.8" not in done.stderr


def test_the_build_stops_with_the_same_line(repository: Path, tmp_path: Path) -> None:
    setup = ["setup.py", "-q", "build_ext", "--build-lib", tmp_path, "--build-temp", tmp_path]
    done = run(sys.executable, *setup, repository=repository, CC="no-such-cc")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("oadr2: no C compiler: 'no-such-cc'")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("present", "user", "words", "installs"),
    [
        (("prosody", "apt-get", "id"), 0, "", False),
        (("apt-get", "id"), 0, "installing Prosody\n", True),
        (("apt-get", "id"), 1000, "Prosody is missing, so the tests of XMPP are skipped", False),
        (("id",), 0, "Prosody is missing, so the tests of XMPP are skipped", False),
    ],
)
def test_prosody_is_installed_where_that_can_be_done_unasked(
    repository: Path,
    tmp_path: Path,
    present: tuple[str, ...],
    user: int,
    words: str,
    installs: bool,
) -> None:
    log = tmp_path / "log"
    for name in present:
        program = tmp_path / name
        said = f"echo {user}" if name == "id" else f'echo "$@" >>{log}'
        program.write_text(f"#!/bin/sh\n{said}\n")
        program.chmod(0o755)
    shell = shutil.which("sh")
    assert shell is not None
    script = Path("tools") / "install_prosody.sh"
    done = run(shell, script, repository=repository, PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(words)
    assert bool(words) == bool(done.stdout)
    asked = log.read_text() if log.exists() else ""
    assert installs == bool(re.search(r"install .*prosody", asked))
