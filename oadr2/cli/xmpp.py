"""``oadr2 xmpp``: be a VEN on an XMPP server, answer what the VTN pushes, print every change."""

from __future__ import annotations

import argparse
import importlib.util
from typing import Any

from oadr2.cli.configuration import add_secret_options, comma_list
from oadr2.cli.ven_options import (
    add_output_options,
    add_service_options,
    add_tls_options,
    add_ven_options,
    add_vtn_options,
)
from oadr2.errors import ConfigurationError


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "xmpp",
        help="be a VEN on an XMPP server: take what the VTN pushes",
        description=(
            "Be a VEN on an XMPP server: ask the VTN for its events, answer what it pushes, and\n"
            "print one line for each change of an event or of the level. Ctrl-C or SIGTERM ends it."
        ),
    )
    server = parser.add_argument_group("the XMPP server")
    server.add_argument(
        "--jid", required=True, metavar="JID", help="who we are there: ven@example.org/gateway"
    )
    add_secret_options(server, "password", "OADR2_PASSWORD", "password")
    server.add_argument(
        "--server", metavar="HOST", help="its address (default: the DNS knows, by the JID's domain)"
    )
    server.add_argument("--port", type=int, default=5222, metavar="N", help="default: %(default)s")
    server.add_argument(
        "--plaintext", action="store_true", help="no TLS; only to this machine, for trying things"
    )
    vtn = parser.add_argument_group("the VTN")
    vtn.add_argument(
        "--vtn-jid",
        type=comma_list,
        metavar="A,B",
        help="JIDs to obey; the first is asked (default: the server's EiEvent service)",
    )
    add_vtn_options(vtn)
    add_ven_options(parser)
    add_service_options(parser)
    tls = parser.add_argument_group("TLS")
    add_tls_options(tls)
    tls.add_argument(
        "--server-fingerprint",
        metavar="F",
        help="accept only the server certificate with it, as oadr2 fingerprint prints it",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--once", action="store_true", help="ask once, show the events held, stop")
    add_output_options(output)


def run(args: argparse.Namespace) -> int:
    """Be there until Ctrl-C or SIGTERM, or ask once; 0 unless asking once failed."""
    if importlib.util.find_spec("slixmpp") is None:
        raise ConfigurationError("XMPP needs slixmpp: pip install 'oadr2[xmpp]'")
    from oadr2.cli.xmpp_session import run_session  # noqa: PLC0415 - it brings slixmpp

    return run_session(args)
