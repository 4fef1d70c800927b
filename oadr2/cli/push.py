"""``oadr2 push``: be a VEN that its VTN posts events to. Answer them, print every change."""

from __future__ import annotations

import argparse
from typing import Any

from oadr2.cli.configuration import add_secret_options, listen_address, web_address
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
        "push",
        help="be a VEN: take the events that a VTN posts to it",
        description=(
            "Be a VEN that takes the events its VTN posts to it, over HTTPS with certificates on\n"
            "both sides; send the answers to the VTN's own address, and print one line for each\n"
            "change of an event or of the level. Ctrl-C or SIGTERM ends it."
        ),
    )
    server = parser.add_argument_group("where the VTN posts to")
    server.add_argument(
        "--listen",
        type=listen_address,
        required=True,
        metavar="HOST:PORT",
        help="where to listen; the VTN posts to /OpenADR2/Simple/... there (port 0: a free one)",
    )
    server.add_argument(
        "--prefix", default="", metavar="PATH", help="a path before /OpenADR2 (default: none)"
    )
    server.add_argument(
        "--address",
        type=web_address,
        metavar="URL",
        help="what the VTN is told when the VEN registers (2.0b), if it is not HOST:PORT",
    )
    server.add_argument(
        "--plaintext", action="store_true", help="no TLS; only on 127.0.0.1 or ::1, for trials"
    )
    vtn = parser.add_argument_group("the VTN")
    vtn.add_argument(
        "--vtn-url",
        type=web_address,
        required=True,
        metavar="URL",
        help="its http or https address, for the answers; /OpenADR2/Simple/... is added",
    )
    vtn.add_argument(
        "--vtn-name",
        metavar="NAME",
        help="common or DNS name in its certificate (default, without a fingerprint: the host in"
        " --vtn-url)",
    )
    vtn.add_argument(
        "--vtn-fingerprint",
        metavar="F",
        help="of its certificate, as oadr2 fingerprint prints it",
    )
    vtn.add_argument(
        "--no-ask",
        action="store_true",
        help="do not ask the VTN once, at the start, for the events it has",
    )
    add_vtn_options(vtn)
    add_ven_options(parser)
    add_service_options(parser)
    access = parser.add_argument_group("access; one certificate serves both ways")
    access.add_argument("--username", metavar="NAME", help="for HTTP authentication at the VTN")
    add_secret_options(access, "password", "OADR2_PASSWORD", "password")
    add_tls_options(access)
    add_output_options(parser.add_argument_group("output"))
    parser.set_defaults(once=False)  # there is nothing to wait for that could be the end


def run(args: argparse.Namespace) -> int:
    """Take pushes until Ctrl-C or SIGTERM."""
    from oadr2.cli.push_session import run_session  # noqa: PLC0415 - it brings httpx and uvicorn

    return run_session(args)
