"""What ``oadr2 fleet`` does: scenario and options to a run, its view while it lasts, its end."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from rich.console import Console
from rich.live import Live

from oadr2.cli.configuration import read_secret
from oadr2.cli.fleet_live import Progress, live_view, progress_line, summary_view
from oadr2.cli.message_view import console_for, show
from oadr2.errors import ConfigurationError, TransportError
from oadr2.fleet.failures import FailureFile
from oadr2.fleet.metrics import MetricsServer
from oadr2.fleet.part import RunMaker
from oadr2.fleet.processes import LoadTest
from oadr2.fleet.report import report_page
from oadr2.fleet.result import Result, merge_results, read_result
from oadr2.fleet.run import FleetRun
from oadr2.fleet.scenario import (
    Group,
    Reports,
    Scenario,
    SimulatedServices,
    default_events,
    default_stages,
    numbered,
)
from oadr2.fleet.scenario_file import (
    DEFAULT_DURATION,
    read_base_url,
    read_scenario,
)
from oadr2.fleet.scenario_text import scenario_text

THRESHOLD_BROKEN: Final = 99

_DEFAULT_VENS: Final = 1000
_VIEW_S: Final = 0.5
_LINE_S: Final = 5.0


def run_session(args: argparse.Namespace, make_run: RunMaker = FleetRun) -> int:
    """Carry out the command; ``make_run`` makes the run of each process."""
    if args.files[:1] == ["merge"]:
        return _merge(args)
    if len(args.files) > 1:
        raise ConfigurationError(f"one scenario at a time: {args.files[1]} is one too many")
    scenario = scenario_from(args)
    if args.print_scenario:
        sys.stdout.write(scenario_text(scenario, explain=True))
        return 0
    _check_places(args)
    result, code = _play(args, scenario, make_run)
    return _conclude(args, result) or code


# --- the scenario ----------------------------------------------------------------


def scenario_from(args: argparse.Namespace) -> Scenario:
    """The scenario of the file, or one of its own, with what the options say over it."""
    if args.files:
        scenario = read_scenario(args.files[0])
    else:
        registers = args.profile == "2.0b"
        group = Group(
            args.vens or _DEFAULT_VENS,
            profile=args.profile or "2.0a",
            register=registers,
            reports=Reports() if registers else None,
        )
        duration = args.duration or DEFAULT_DURATION
        interval = args.poll_interval or group.poll_interval
        scenario = Scenario(
            groups=(group,),
            stages=default_stages(duration, interval),
            name="load test",
            events=default_events(duration),
            simulated=SimulatedServices(report_every=max(1.0, round(2 * interval))),
        )
    changes: dict[str, Any] = {
        name: value
        for name in ("seed", "name", "connections")
        if (value := getattr(args, name)) is not None
    }
    if args.connections is not None:
        addresses = scenario.connections.source_addresses
        changes["connections"] = dataclasses.replace(args.connections, source_addresses=addresses)
    if args.threshold is not None:
        changes["thresholds"] = args.threshold
    if args.vtn_url is not None:
        try:
            changes["vtn_url"] = read_base_url(args.vtn_url)
        except ValueError as error:
            raise ConfigurationError(f"--vtn-url: {error}") from None
    tls: dict[str, Any] = {
        name: str(value)
        for name in ("ca_file", "cert_file", "key_file")
        if (value := getattr(args, name)) is not None
    }
    if tls:
        changes["tls"] = dataclasses.replace(scenario.tls, **tls)
    changes["groups"] = _groups(args, scenario.groups)
    if args.files and args.duration is not None:
        factor = args.duration / scenario.duration
        changes["stages"] = tuple(
            dataclasses.replace(stage, duration=round(stage.duration * factor, 3))
            for stage in scenario.stages
        )
        changes["events"] = tuple(
            dataclasses.replace(event, at=round(event.at * factor, 3)) for event in scenario.events
        )
    return dataclasses.replace(scenario, **changes)


def _groups(args: argparse.Namespace, groups: tuple[Group, ...]) -> tuple[Group, ...]:
    """The groups with the options over them; ``--vens`` keeps their proportions."""
    changes: dict[str, Any] = {}
    if args.profile is not None:
        changes["profile"] = args.profile
        changes["register"] = args.profile == "2.0b"
        if args.profile == "2.0a":
            changes["reports"] = changes["opts"] = None
    if args.poll_interval is not None:
        changes["poll_interval"] = args.poll_interval
    counts = [group.count for group in groups]
    if args.vens is not None:
        counts = _in_proportion(counts, args.vens)
        for group, count in zip(groups, counts, strict=True):
            if not isinstance(group.ven_ids, str) and count != group.count:
                raise ConfigurationError(
                    "--vens does not go with a list of ven_ids: change the list"
                )
    return numbered(
        dataclasses.replace(group, count=count, **changes)
        for group, count in zip(groups, counts, strict=True)
    )


def _in_proportion(counts: list[int], total: int) -> list[int]:
    """``counts`` scaled so that they sum to ``total``."""
    if total < len(counts):
        raise ConfigurationError(f"--vens {total}: the scenario has {len(counts)} groups")
    whole, done, scaled = sum(counts), 0, []
    for index, count in enumerate(counts):
        seen = sum(counts[:index]) + count
        left = len(counts) - index - 1
        share = min(max(1, total * seen // whole - done), total - done - left)
        scaled.append(share)
        done += share
    return scaled


def _url_with_credentials(args: argparse.Namespace, scenario: Scenario) -> str | None:
    """The VTN's address for the connections; the scenario's own never holds a password."""
    if args.username is None:
        return scenario.vtn_url
    password = read_secret(args, "password")
    if password is None:
        raise ConfigurationError("--username: a password is missing: give --password-file")
    if scenario.vtn_url is None:
        raise ConfigurationError("--username: the simulated VTN asks for no password")
    parts = urlsplit(scenario.vtn_url)
    user = f"{quote(args.username, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))


# --- the run ---------------------------------------------------------------------


class _Interrupts:
    """Ctrl-C and SIGTERM: the first ends the run early, the second at once."""

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number

    @contextmanager
    def caught(self) -> Iterator[None]:
        before = {number: signal.signal(number, self) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _play(args: argparse.Namespace, scenario: Scenario, make_run: RunMaker) -> tuple[Result, int]:
    """Play it; the result, and the exit code when a signal ended it."""
    console = console_for(sys.stderr)
    interrupts = _Interrupts()
    failures = FailureFile(args.failures, scenario.failures)
    with ExitStack() as stack:
        stack.callback(failures.close)
        stack.enter_context(interrupts.caught())
        test = stack.enter_context(
            LoadTest(
                scenario,
                make_run=make_run,
                vtn_url=_url_with_credentials(args, scenario),
                processes=args.processes,
                shard=args.shard or (0, 1),
                on_failure=failures.add,
            )
        )
        if args.metrics is not None:
            server = stack.enter_context(MetricsServer(args.metrics, lambda: test.snapshot))
            host, port = server.address
            shown = f"[{host}]" if ":" in host else host
            console.print(f"figures for Prometheus: http://{shown}:{port}/metrics")
        view = stack.enter_context(
            _view(console, Progress(scenario, scenario.vtn_url or "a simulated VTN"))
        )
        test.start()
        for warning in test.warnings:
            console.print(f"note: {warning}")
        told = False
        while not test.done:
            test.pump(_VIEW_S)
            if interrupts.signal and not told:
                told = True
                test.stop()
            snapshot = test.snapshot
            if snapshot is not None:
                view.show(snapshot)
        result = test.result()
    if failures.kept:
        words = ", ".join(f"{count} {name}" for name, count in sorted(failures.kept.items()))
        console.print(f"the first failures of each class are in {failures.path}: {words}")
    if failures.trouble:
        console.print(f"note: --failures {failures.path}: {failures.trouble}")
    return result, 128 + interrupts.signal if interrupts.signal else 0


class _View:
    """A picture that is drawn over, in a terminal; lines elsewhere."""

    def __init__(self, console: Console, progress: Progress, live: Live | None) -> None:
        self._console = console
        self._progress = progress
        self._live = live
        self._next_line = time.monotonic() + _LINE_S

    def show(self, snapshot: Any) -> None:
        self._progress.add(snapshot)
        if self._live is not None:
            self._live.update(self._picture(), refresh=True)
        elif time.monotonic() >= self._next_line:
            self._next_line += _LINE_S
            self._console.file.write(progress_line(self._progress) + "\n")
            self._console.file.flush()

    def _picture(self) -> Any:
        console = self._console
        return live_view(self._progress, width=console.width, ascii_only=console.options.ascii_only)


@contextmanager
def _view(console: Console, progress: Progress) -> Iterator[_View]:
    if not console.is_terminal:
        yield _View(console, progress, None)
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield _View(console, progress, live)


# --- the end ---------------------------------------------------------------------


def _merge(args: argparse.Namespace) -> int:
    paths = args.files[1:]
    if len(paths) < 2:
        raise ConfigurationError("merge needs the results of two parts or more: A.json B.json")
    _check_places(args)
    result = merge_results([(path, read_result(path)) for path in paths])
    if args.threshold is not None:
        result = dataclasses.replace(result, thresholds=args.threshold)
    missing = [index for index in range(result.shards) if index not in result.parts]
    if missing:
        words = ", ".join(f"{index}/{result.shards}" for index in missing)
        sys.stderr.write(f"oadr2 fleet: not the whole run: {words} missing\n")
    return _conclude(args, result)


def _conclude(args: argparse.Namespace, result: Result) -> int:
    """Write what was asked for, show the figures, and judge."""
    to_stdout = args.json is not None and str(args.json) == "-"
    if to_stdout:
        sys.stdout.write(result.to_json())
    show(console_for(sys.stderr if to_stdout else sys.stdout), summary_view(result))
    troubles = []
    if args.json is not None and not to_stdout:
        troubles.append(_write("--json", args.json, result.to_json()))
    if args.report is not None:
        troubles.append(_write("--report", args.report, report_page(result)))
    if any(troubles):
        raise TransportError("; ".join(filter(None, troubles)))
    return 0 if all(verdict.passed for verdict in result.verdicts) else THRESHOLD_BROKEN


def _write(option: str, path: Path, text: str) -> str:
    """Write a file; what went wrong, or "": the other file is written all the same."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        return f"{option} {path}: {error.strerror}"
    return ""


def _why_not_written(path: Path) -> str:
    """Why a file cannot be written, "" when it can: tried, for a permission is not the only way to fail."""
    try:
        if path.is_dir():
            return "it is a folder"
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}"
        new = not path.exists()
        path.open("ab").close()
    except OSError as error:  # looking may fail too: a name too long, a folder that is locked
        return f"it cannot be written: {error.strerror}"
    if new:
        path.unlink()
    return ""


def _check_places(args: argparse.Namespace) -> None:
    """Say before the run, not after it, that a file cannot be written."""
    taken: dict[Path, str] = {}
    for option in ("json", "report", "failures"):
        path: Path | None = getattr(args, option)
        if path is None or str(path) == "-":
            continue
        problem = _why_not_written(path)
        if problem:
            raise ConfigurationError(f"--{option} {path}: {problem}")
        if path in taken and (path.is_file() or not path.exists()):  # /dev/null may take all
            raise ConfigurationError(f"--{option} {path}: --{taken[path]} has that file already")
        taken[path] = option
