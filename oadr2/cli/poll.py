"""``oadr2 poll``: be a VEN. Poll a VTN, answer its events, print every change."""

from __future__ import annotations

import argparse
from typing import Any

from oadr2.cli.configuration import add_secret_options, seconds, web_address
from oadr2.cli.ven_options import (
    add_output_options,
    add_service_options,
    add_tls_options,
    add_ven_options,
    add_vtn_options,
)


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "poll",
        help="be a VEN: poll a VTN, answer its events, follow the level",
        description=(
            "Be a VEN: poll a VTN, answer its events and print one line for each change of an\n"
            "event or of the level. Ctrl-C or SIGTERM ends it."
        ),
    )
    vtn = parser.add_argument_group("the VTN")
    vtn.add_argument(
        "--vtn-url",
        type=web_address,
        required=True,
        metavar="URL",
        help="its http or https address; /OpenADR2/Simple/... is added",
    )
    add_vtn_options(vtn)
    vtn.add_argument(
        "--interval",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="between two polls (default: 10)",
    )
    add_ven_options(parser)
    add_service_options(parser)
    access = parser.add_argument_group("access")
    access.add_argument("--username", metavar="NAME", help="for HTTP authentication")
    add_secret_options(access, "password", "OADR2_PASSWORD", "password")
    add_tls_options(access)
    access.add_argument(
        "--vtn-fingerprint",
        metavar="F",
        help="accept only the VTN's certificate with it, as oadr2 fingerprint prints it",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--once", action="store_true", help="poll once, show the events held, stop")
    add_output_options(output)


def run(args: argparse.Namespace) -> int:
    """Poll until Ctrl-C or SIGTERM, or once; 0 unless polling once failed."""
    from oadr2.cli.poll_session import run_session  # noqa: PLC0415 - it brings httpx

    return run_session(args)
