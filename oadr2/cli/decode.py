"""``oadr2 decode``: read a payload from a file and show what it says."""

from __future__ import annotations

import argparse
import json
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any, Final

from oadr2 import decode
from oadr2.cli.event_text import printable
from oadr2.cli.message_data import message_data
from oadr2.errors import RemoteProtocolError
from oadr2.model import Message
from oadr2.policy import Limits, VtnPolicy

_ROOT: Final = re.compile(r"<(?:[^\s:/>!?]+:)?([^\s:/>!?]+)")
# How much of a long source line is shown around the place of an error.
_BEFORE: Final = 45
_AFTER: Final = 30


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "decode",
        help="show what a payload says",
        description="Show what an OpenADR payload says, in local time and UTC.",
    )
    parser.add_argument("file", metavar="FILE", help="file with the XML, - for standard input")
    parser.add_argument("--json", action="store_true", help="print data for programs")
    parser.add_argument("--months-as-minutes", action="store_true", help="read P5M as five minutes")


def run(args: argparse.Namespace) -> int:
    """Print the message in ``args.file``; 1 when it cannot be read or is not acceptable."""
    data = _payload(args.file)
    try:
        message = _decode(data, months_as_minutes=args.months_as_minutes)
    except RemoteProtocolError as error:
        _explain("(standard input)" if args.file == "-" else args.file, data, error)
        return 1
    wrapped = root_name(data) == "oadrPayload"
    if args.json:
        print(json.dumps(message_data(message, wrapped=wrapped), indent=2, allow_nan=False))
    else:
        from oadr2.cli.message_view import (  # noqa: PLC0415 - it brings rich
            console_for,
            message_view,
            show,
        )

        show(console_for(), message_view(message, wrapped=wrapped, source=data))
    return 0


def _payload(name: str) -> bytes:
    """What is in the file, as far as a payload may go: something endless must end, too."""
    most = Limits().size + 1
    if name == "-":
        return sys.stdin.buffer.read(most)
    with Path(name).open("rb") as file:
        return file.read(most)


def _decode(data: bytes, *, months_as_minutes: bool) -> Message:
    if not data.strip():
        raise RemoteProtocolError("the payload is empty")
    most = Limits().size
    if len(data) > most:  # how much larger nobody has looked
        raise RemoteProtocolError(f"the payload is larger than the limit of {most} bytes")
    reading = VtnPolicy(months_without_t="minutes" if months_as_minutes else "months")
    return decode(data, policy=reading)


def root_name(data: bytes) -> str:
    """The local name of the outermost element, "" when there is none."""
    text = re.sub(r"<\?.*?\?>|<!--.*?-->", "", _text(data), flags=re.DOTALL)
    found = _ROOT.search(text)
    return found[1] if found else ""


def _text(data: bytes) -> str:
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    return data.decode("utf-16" if utf16 else "utf-8", "replace")


def _explain(name: str, data: bytes, error: RemoteProtocolError) -> None:
    """The reason in one line, then the source line with a caret below the place."""
    place = f"{name} line {error.line}, column {error.column}" if error.line is not None else name
    path = f" (in {error.path})" if error.path else ""
    lines = [f"oadr2 decode: {printable(f'{place}: {error.reason}{path}')}"]
    if error.line is not None and error.column is not None:
        lines.extend(source_excerpt(data, error.line, error.column))
    sys.stderr.write("\n".join(lines) + "\n")


def source_excerpt(data: bytes, line: int, column: int) -> list[str]:
    """The part of line ``line`` around ``column`` (both from 1) and a caret below it."""
    rows = re.split(r"\r\n|\r|\n", _text(data))
    if not 1 <= line <= len(rows) or not rows[line - 1].strip():
        return []
    row = "".join(c if c.isprintable() else " " if c == "\t" else "\ufffd" for c in rows[line - 1])
    at = min(column - 1, len(row))
    first, last = max(0, at - _BEFORE), min(len(row), at + _AFTER)
    left = ("..." if first else "") + row[first:at]
    right = row[at:last] + ("..." if last < len(row) else "")
    width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in left)
    return [f"  {left}{right}".rstrip(), f"  {' ' * width}^"]
