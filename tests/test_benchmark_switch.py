"""`pytest --benchmark` runs benchmarks/ and only these; plain `pytest` runs tests/ and only those."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """A checkout in small: the real conftest.py and settings, one test and one benchmark."""
    shutil.copy(repository / "conftest.py", tmp_path)
    shutil.copy(repository / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text("def test_one(): pass\n")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "bench_one.py").write_text(
        "def bench_one(benchmark): assert benchmark(lambda: 1) == 1\n"
        "def bench_two(benchmark): assert benchmark(lambda: 2) == 2\n"
    )
    return tmp_path


def run_pytest(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A run of its own, also when this test itself runs in a worker of pytest-xdist.
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [[], ["-n", "2"]], ids=["alone", "parallel"])
def test_plain_pytest_runs_the_tests(checkout: Path, arguments: list[str]) -> None:
    done = run_pytest(checkout, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "warning" not in (done.stdout + done.stderr).lower()


def test_benchmark_runs_the_benchmarks(checkout: Path) -> None:
    done = run_pytest(
        checkout, "--benchmark", "--benchmark-max-time=0.01", "--benchmark-min-rounds=1"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "Name (time in" in done.stdout


def test_one_benchmark_can_be_named(checkout: Path) -> None:
    name = "benchmarks/bench_one.py::bench_two"
    done = run_pytest(checkout, "--benchmark", name, "--benchmark-max-time=0.01")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_what_is_only_recorded_is_saved_too(repository: Path, checkout: Path) -> None:
    """Nothing is timed then, and pytest-benchmark would have nothing to save."""
    for name in ("aiohttp", "httpx", "openleadr", "pugixml", "slixmpp", "uvicorn"):
        pytest.importorskip(name, reason="the report names the versions of all contenders")
    for name in ("conftest.py", "machine.py", "write_figures.py"):
        shutil.copy(repository / "benchmarks" / name, checkout / "benchmarks")
    (checkout / "benchmarks" / "bench_three.py").write_text(
        "SECTION = 'Decode'\ndef bench_three(record): record('work', 'who', 2.5, 's')\n"
    )
    done = run_pytest(checkout, "--benchmark", "-k", "bench_three", "--benchmark-json=found.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "work: 2.50 s (who)" in done.stdout
    report = json.loads((checkout / "found.json").read_text())
    assert [figure["value"] for figure in report["recorded"]] == [2.5]
    assert report["benchmarks"] == []
    assert report["machine_info"]["compiler"]


def test_benchmarks_refuse_to_share_the_processor(checkout: Path) -> None:
    done = run_pytest(checkout, "--benchmark", "-n", "2")
    assert done.returncode == 4
    assert "leave out -n with --benchmark" in done.stderr


def test_the_options_of_pytest_benchmark_are_not_taken_for_ours(checkout: Path) -> None:
    done = run_pytest(checkout, "--benchmark-only")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tests/test_one.py s" in done.stdout
    assert "bench_one" not in done.stdout
