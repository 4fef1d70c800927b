"""Ties each measurement to its place in the tables of figures, and the report to the machine."""

from __future__ import annotations

from collections.abc import Generator
from importlib.metadata import version
from typing import Any, NamedTuple, Protocol

import machine
import pytest
from lxml import etree
from write_figures import amount_text

RECORDED = pytest.StashKey[list[dict[str, Any]]]()


class Aim(NamedTuple):
    """What is to be reached: an amount in the figure's own unit, or a share of another's figure."""

    amount: float
    of: str | None = None


class Label(Protocol):
    """Says what is done (the row), who does it (the column) and what we aim at.

    The section is the SECTION of the module. A headline stands in README.md, too; docs/figures.md
    has every row.
    """

    def __call__(
        self, work: str, contender: str, *, headline: bool = False, aim: Aim | None = None
    ) -> None: ...


class Record(Protocol):
    """Takes a figure that pytest-benchmark cannot measure, in "s", "B" or "1/s"."""

    def __call__(
        self,
        work: str,
        contender: str,
        value: float,
        unit: str,
        *,
        headline: bool = False,
        aim: Aim | None = None,
    ) -> None: ...


def place(
    request: pytest.FixtureRequest, work: str, contender: str, headline: bool, aim: Aim | None
) -> dict[str, Any]:
    return {
        "section": request.module.SECTION,
        "work": work,
        "contender": contender,
        "headline": headline,
        "aim": None if aim is None else aim._asdict(),
    }


@pytest.fixture
def label(benchmark: Any, request: pytest.FixtureRequest) -> Label:
    """Labels this benchmark."""

    def set_label(
        work: str, contender: str, *, headline: bool = False, aim: Aim | None = None
    ) -> None:
        benchmark.group = work
        benchmark.extra_info.update(place(request, work, contender, headline, aim))

    return set_label


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Adds a figure to the report."""

    def add(
        work: str,
        contender: str,
        value: float,
        unit: str,
        *,
        headline: bool = False,
        aim: Aim | None = None,
    ) -> None:
        figure = place(request, work, contender, headline, aim)
        recorded = request.config.stash.setdefault(RECORDED, [])
        recorded.append(figure | {"value": value, "unit": unit})

    return add


@pytest.fixture
def quick(request: pytest.FixtureRequest) -> bool:
    """Whether it is only to be seen that the benchmarks work (--benchmark-max-time below 0.1 s)."""
    return float(request.config.getoption("benchmark_max_time")) < 0.1


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: Any) -> None:
    compiler = machine.compiler()
    libxml2 = ".".join(map(str, etree.LIBXML_VERSION))
    names = ["aiohttp", "httpx", "openleadr", "pugixml", "slixmpp", "uvicorn"]
    machine_info["compiler"] = f"{compiler.name} {compiler.version}"
    machine_info["libraries"] = [
        f"Cython {version('Cython')}",
        f"lxml {version('lxml')} with libxml2 {libxml2}",
        *(f"{name} {version(name)}" for name in names),
    ]


def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: Any, output_json: dict[str, Any]
) -> None:
    output_json["recorded"] = config.stash.get(RECORDED, [])


def save_recorded(config: pytest.Config) -> None:
    """Write the report when nothing was timed: pytest-benchmark would only warn that it has nothing."""
    timing = config._benchmarksession  # type: ignore[attr-defined]
    if timing.benchmarks or timing.json is None:
        return
    hook = config.hook
    commit_info = hook.pytest_benchmark_generate_commit_info(config=config)
    report = hook.pytest_benchmark_generate_json(
        config=config,
        benchmarks=[],
        include_data=True,
        machine_info=timing.get_machine_info(),
        commit_info=commit_info,
    )
    hook.pytest_benchmark_update_json(config=config, benchmarks=[], output_json=report)
    timing.save_json(report)
    timing.json = None  # done


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Print what was recorded: pytest-benchmark's own table has only what it timed itself."""
    save_recorded(session.config)  # before pytest-benchmark looks what there is to be saved
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.write_line("")
        for figure in session.config.stash.get(RECORDED, []):
            value = amount_text(figure["value"], figure["unit"])
            terminal.write_line(f"{figure['work']}: {value} ({figure['contender']})")
    return (yield)
