"""`pytest` runs tests/; `pytest --benchmark` runs benchmarks/ instead."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--benchmark",
        action="store_true",
        default=False,
        dest="run_benchmarks",
        help="run benchmarks/ instead of tests/",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("run_benchmarks"):
        # Nothing is timed in tests/, and pytest-benchmark may warn beside pytest-xdist.
        if not config.option.benchmark_only:
            config.option.benchmark_disable = True
        return
    if config.getoption("numprocesses", None):
        raise pytest.UsageError("benchmarks run one after the other: leave out -n with --benchmark")
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = [str(ROOT / "benchmarks")]
