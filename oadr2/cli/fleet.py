"""``oadr2 fleet``: many VENs from one machine; a load test with figures, thresholds and a report."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from oadr2.cli.configuration import add_secret_options, listen_address, whole_number
from oadr2.fleet.scenario_file import read_connections, read_duration
from oadr2.fleet.thresholds import Threshold, parse_threshold

_Made = TypeVar("_Made")

_DESCRIPTION: Final = """\
Play many VENs against a VTN, and say how it fared.

  oadr2 fleet --vens 10000                        against a simulated VTN, for a minute
  oadr2 fleet --vens 500 --vtn-url URL            against yours
  oadr2 fleet SCENARIO.toml --report report.html  what a file says, with a page to look at
  oadr2 fleet --print-scenario > SCENARIO.toml    a file to start from
  oadr2 fleet merge A.json B.json                 parts of a run (--shard, --json) as a whole

Options override the file. Exit code: 0, 99 when a threshold is broken, 1 when the run itself failed.\
"""


class _Gather(argparse.Action):
    """Thresholds of one option or of many, each of which may hold some, parted by commas."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        seen = getattr(namespace, "_gathered", ())
        namespace._gathered = (*seen, *values)
        setattr(namespace, self.dest, namespace._gathered)


def _option(read: Callable[[object], _Made]) -> Callable[[str], _Made]:
    """``read`` for argparse: what it says is wrong is shown."""

    def convert(text: str) -> _Made:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _duration(text: object) -> float:
    """``10s``, ``1m30s``, or a number of seconds."""
    try:
        value = float(str(text))
    except ValueError:
        value = read_duration(text)
    if not 0 < value < float("inf"):
        raise ValueError("it must be above 0 s")
    return value


def _shard(text: object) -> tuple[int, int]:
    index, slash, shards = str(text).partition("/")
    digits = index.isascii() and index.isdigit() and shards.isascii() and shards.isdigit()
    if not slash or not digits or not int(index) < int(shards):
        raise ValueError("it must be I/N, part I of N, such as 0/2 and 1/2")
    return int(index), int(shards)


def _thresholds(text: object) -> tuple[Threshold, ...]:
    return tuple(parse_threshold(part) for part in str(text).split(","))


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "fleet",
        help="many VENs at once: load tests",
        description=_DESCRIPTION,
        usage="oadr2 fleet [SCENARIO.toml] [options]\n       oadr2 fleet merge A.json B.json ... [options]",
    )
    parser.add_argument(
        "files", nargs="*", metavar="SCENARIO.toml", help="what to do; or: merge, and results"
    )
    load = parser.add_argument_group("what is played")
    load.add_argument("--vens", type=whole_number, metavar="N", help="how many VENs (1000)")
    load.add_argument("--profile", choices=("2.0a", "2.0b"), help="of all VENs (2.0a)")
    load.add_argument(
        "--poll-interval", type=_option(_duration), metavar="TIME", help="of each VEN (10s)"
    )
    load.add_argument(
        "--duration", type=_option(_duration), metavar="TIME", help="of the run (60s)"
    )
    load.add_argument(
        "--connections",
        type=_option(read_connections),
        metavar="PLAN",
        help="per-ven, pool:N or per-poll (pool:100)",
    )
    load.add_argument("--seed", type=int, metavar="N", help="of all that is random (0)")
    load.add_argument("--name", metavar="TEXT", help="of the load test, for the report")
    load.add_argument(
        "--threshold",
        type=_option(_thresholds),
        action=_Gather,
        metavar="TEXT",
        help='what must hold, like "p99 < 500ms"; may be given again; those of the file do not count then',
    )
    target = parser.add_argument_group("the VTN")
    target.add_argument(
        "--vtn-url", metavar="URL", help="its address without /OpenADR2 (none: a simulated VTN)"
    )
    target.add_argument("--username", metavar="NAME", help="for HTTP Basic")
    add_secret_options(target, "password", "OADR2_PASSWORD", "password for HTTP Basic")
    target.add_argument("--ca-file", type=Path, metavar="FILE", help="PEM: who vouches for the VTN")
    target.add_argument(
        "--cert-file",
        metavar="FILE",
        help="PEM: client certificate; {n} or {ven_id}: one for each VEN",
    )
    target.add_argument("--key-file", metavar="FILE", help="PEM: its key")
    found = parser.add_argument_group("what is found")
    found.add_argument(
        "--json", type=Path, metavar="FILE", help="write the result; -: standard output"
    )
    found.add_argument("--report", type=Path, metavar="FILE", help="write a page to look at")
    found.add_argument(
        "--failures",
        type=Path,
        default=Path("failures.jsonl"),
        metavar="FILE",
        help="the first failed exchanges of each class (default: %(default)s)",
    )
    found.add_argument(
        "--metrics", type=listen_address, metavar="HOST:PORT", help="serve figures to Prometheus"
    )
    parts = parser.add_argument_group("more than one process, more than one machine")
    parts.add_argument(
        "--processes", type=whole_number, default=1, metavar="N", help="one for each core (1)"
    )
    parts.add_argument(
        "--shard",
        type=_option(_shard),
        metavar="I/N",
        help="play part I of N, from 0; merge them later",
    )
    parser.add_argument(
        "--print-scenario", action="store_true", help="print the scenario as a file, and stop"
    )


def run(args: argparse.Namespace) -> int:
    """Play the load test, or merge parts of one; the exit code says how it ended."""
    from oadr2.cli.fleet_session import run_session  # noqa: PLC0415 - it brings rich

    return run_session(args)
