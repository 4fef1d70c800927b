"""``oadr2 validate``: hold payloads against the schema of their profile and say what is wrong."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from oadr2.cli.event_text import printable
from oadr2.errors import NoSchemaError

if TYPE_CHECKING:
    from oadr2.schema import SchemaFault

Verdict: TypeAlias = Literal["valid", "invalid", "no schema", "unreadable"]

NO_SCHEMA: Final = 3


@dataclass(frozen=True, slots=True)
class _Report:
    """What became of one file. ``reason``: why there is no verdict by the schema."""

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
            "is wrong. There are schemas for 2.0a and for the event service of 2.0b. The exit code\n"
            "is 0 when all are valid, 1 when one is not, 3 when there is no schema for one."
        ),
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="file with the XML, - for standard input"
    )
    parser.add_argument("--json", action="store_true", help="print data for programs")


def run(args: argparse.Namespace) -> int:
    """Report on ``args.files``: 0 all valid, 1 one is not or cannot be read, 3 one has no schema."""
    reports = []
    for file in args.files:
        report = _report(file)
        reports.append(report)
        if not args.json:
            _tell(report)
    if args.json:
        print(json.dumps([asdict(report) for report in reports], indent=2))
    verdicts = {report.verdict for report in reports}
    if verdicts & {"invalid", "unreadable"}:
        return 1
    return NO_SCHEMA if "no schema" in verdicts else 0


def _report(file: str) -> _Report:
    from oadr2.schema import identify, validate  # noqa: PLC0415 - it brings lxml

    name = "(standard input)" if file == "-" else file
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        return _Report(name, "unreadable", reason=error.strerror or str(error))
    try:
        faults = tuple(validate(data))
        profile, message = identify(data) or (None, None)
    except NoSchemaError as error:
        return _Report(name, "no schema", reason=str(error))
    return _Report(name, "invalid" if faults else "valid", profile, message, None, faults)


def _tell(report: _Report) -> None:
    name = report.file
    if report.verdict == "unreadable":
        sys.stderr.write(f"oadr2 validate: {printable(f'{name}: {report.reason}')}\n")
    elif report.verdict == "no schema":
        print(printable(f"{name}: not checked: {report.reason}"))
    elif report.verdict == "valid":
        print(printable(f"{name}: valid ({report.message}, {report.profile})"))
    for fault in report.faults:
        place = name if fault.line is None else f"{name} line {fault.line}"
        path = f" (in {fault.path})" if fault.path else ""
        print(printable(f"{place}: {fault.sentence}{path}"))
