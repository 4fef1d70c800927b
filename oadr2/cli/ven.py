"""``oadr2 ven``: what a VEN's file says about it, whether it runs or not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "ven",
        help="show what a VEN keeps in its file",
        description=(
            "Show what a VEN keeps in the file of --db: its registration, events, opts and reports.\n"
            "The VEN may run meanwhile; nothing is changed."
        ),
    )
    parser.add_argument("what", choices=("status",), help="the only thing there is to show so far")
    parser.add_argument(
        "--db", type=Path, required=True, metavar="FILE", help="the file that the VEN was given"
    )
    parser.add_argument("--ven-id", metavar="ID", help="only this one of the VENs in it")
    parser.add_argument("--json", action="store_true", help="data for programs")


def run(args: argparse.Namespace) -> int:
    """Show it; 0.

    Raises:
        StoreError: the file cannot be read.
        ConfigurationError: there is no such file, or no such VEN in it.
    """
    from oadr2.cli.ven_status import show_status  # noqa: PLC0415 - it brings rich

    return show_status(args.db, args.ven_id, as_json=args.json)
