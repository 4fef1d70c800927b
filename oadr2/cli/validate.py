"""``oadr2 validate``: hold payloads against the schema of their profile and say what is wrong."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from oadr2.cli.event_text import printable
from oadr2.whole_file import MOST, read_stream, read_whole

if TYPE_CHECKING:
    from oadr2.schema import SchemaFault

Verdict: TypeAlias = Literal["valid", "invalid", "unreadable"]


@dataclass(frozen=True, slots=True)
class _Report:
    """What became of one file. ``reason``: why it could not be read."""

    file: str
    verdict: Verdict
    profile: str | None = None
    message: str | None = None
    reason: str | None = None
    faults: tuple[SchemaFault, ...] = ()


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "validate",
        help="hold payloads against the schema",
        description=(
            "Hold OpenADR payloads against the schema of their profile and say, line by line, what\n"
            "is wrong. The exit code is 0 when all are valid and 1 when one is not."
        ),
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="file with the XML, - for standard input"
    )
    parser.add_argument("--json", action="store_true", help="print data for programs")


def run(args: argparse.Namespace) -> int:
    """Report on ``args.files``: 0 all valid, 1 one is not or cannot be read."""
    reports = []
    for file in args.files:
        report = _report(file)
        reports.append(report)
        if not args.json:
            _tell(report)
    if args.json:
        print(json.dumps([asdict(report) for report in reports], indent=2))
    verdicts = {report.verdict for report in reports}
    return 1 if verdicts & {"invalid", "unreadable"} else 0


def _report(file: str) -> _Report:
    from oadr2.schema import identify, validate  # noqa: PLC0415 - it brings lxml

    name = "(standard input)" if file == "-" else file
    try:
        data = read_stream(sys.stdin.buffer, MOST, name) if file == "-" else read_whole(file)
    except OSError as error:
        return _Report(name, "unreadable", reason=error.strerror or str(error))
    faults = tuple(validate(data))
    profile, message = identify(data) or (None, None)
    return _Report(name, "invalid" if faults else "valid", profile, message, None, faults)


def _tell(report: _Report) -> None:
    name = report.file
    if report.verdict == "unreadable":
        sys.stderr.write(f"oadr2 validate: {printable(f'{name}: {report.reason}')}\n")
    elif report.verdict == "valid":
        print(printable(f"{name}: valid ({report.message}, {report.profile})"))
    for fault in report.faults:
        place = name if fault.line is None else f"{name} line {fault.line}"
        path = f" (in {fault.path})" if fault.path else ""
        print(printable(f"{place}: {fault.sentence}{path}"))
