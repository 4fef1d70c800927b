"""``oadr2 vtn``: a VTN to try a VEN against. It prints what each VEN asked and answered."""

from __future__ import annotations

import argparse
import importlib.util
import threading
from pathlib import Path
from typing import Any, Final

from oadr2.cli.configuration import (
    Repeatable,
    add_secret_options,
    comma_list,
    duration_seconds,
)
from oadr2.cli.ven_options import add_signature_options, add_tls_options
from oadr2.errors import ConfigurationError

_EXAMPLE: Final = """\
events file:
  [[event]]
  event_id = "peak"
  start = "+5s"
  intervals = [{duration = "PT10S", level = 1}, {duration = "PT20S", level = 2}]

  [[event.change]]
  at = "+20s"
  cancel = true

Edits take effect while it runs: an event changed is modified, one deleted is cancelled.
Whatever changes is pushed to the VENs of --push or --ven-jid. A VEN that asks again and
gets and answers the same is not shown again, but counted. Ctrl-C ends it.\
"""


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Describe the verb and its options."""
    parser = subparsers.add_parser(
        "vtn",
        help="be a VTN to try a VEN against",
        description=(
            "A simulated VTN: events in both profiles, and registration, polls, reports and opts in"
            " 2.0b,\nover HTTP or XMPP."
        ),
        epilog=_EXAMPLE,
    )
    parser.add_argument("--events", type=Path, metavar="FILE", help="TOML file with the events")
    parser.add_argument(
        "--port",
        type=int,
        metavar="N",
        help="0: a free one (default: 8080; of an XMPP server 5222; of one started here a free one)",
    )
    parser.add_argument(
        "--profile",
        choices=("2.0a", "2.0b", "both"),
        default="both",
        help="the profiles it speaks (default: %(default)s)",
    )
    parser.add_argument(
        "--vtn-id", default="vtn", metavar="ID", help="its vtnID (default: %(default)s)"
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="how lines are printed (default: %(default)s)",
    )
    services = parser.add_argument_group("profile 2.0b: registration, polls, reports, signatures")
    services.add_argument(
        "--poll-freq",
        type=duration_seconds,
        default=10.0,
        metavar="TIME",
        help="what VENs are told to keep to: 5s, 1m (default: 10s)",
    )
    services.add_argument(
        "--ask-reports",
        type=duration_seconds,
        metavar="TIME",
        help="ask for every TELEMETRY report that is announced, to be delivered so often: 60s",
    )
    services.add_argument(
        "--reregister-after",
        type=duration_seconds,
        metavar="TIME",
        help="ask each VEN to register again so long after it has registered",
    )
    services.add_argument(
        "--cancel-after",
        type=duration_seconds,
        metavar="TIME",
        help="end each registration so long after it was made",
    )
    add_signature_options(services)
    http = parser.add_argument_group("over HTTP")
    http.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    http.add_argument("--prefix", default="", metavar="PATH", help="path before /OpenADR2")
    http.add_argument("--basic", metavar="USER", help="user name that HTTP Basic must bring")
    http.add_argument(
        "--basic-password-file", type=Path, metavar="FILE", help="file with that user's password"
    )
    http.add_argument(
        "--push",
        type=comma_list,
        action=Repeatable,
        default=(),
        metavar="[ID=]URL",
        help="address of a VEN that runs oadr2 push, and its venID; may be repeated",
    )
    xmpp = parser.add_argument_group("over XMPP")
    xmpp.add_argument(
        "--xmpp",
        action="store_true",
        help="on an XMPP server; without --jid on a Prosody started here, on this machine",
    )
    xmpp.add_argument("--jid", metavar="JID", help="who the VTN is there: vtn@example.org/oadr2")
    add_secret_options(xmpp, "password", "OADR2_PASSWORD", "password")
    xmpp.add_argument("--server", metavar="HOST", help="its address (default: the JID's domain)")
    xmpp.add_argument(
        "--ven-jid",
        type=comma_list,
        action=Repeatable,
        default=(),
        metavar="[ID=]JID",
        help="a VEN to push to, and its venID if that is not the JID's user; may be repeated",
    )
    xmpp.add_argument(
        "--plaintext", action="store_true", help="no TLS; only to this machine, for trying things"
    )
    add_tls_options(
        parser.add_argument_group(
            "TLS; over HTTP the certificate is shown to those who poll as well, who need one too"
            " when --ca-certs is given"
        )
    )


def run(args: argparse.Namespace, stop: threading.Event | None = None) -> int:
    """Serve until Ctrl-C, SIGTERM or ``stop``; returns 0.

    Raises:
        ConfigurationError: an option or the events file is wrong.
        TransportError: the port cannot be had, or the XMPP server cannot be joined.
        OSError: nothing can be printed any more, as when its reader has gone.
    """
    if args.xmpp and args.push:
        raise ConfigurationError("--push is for HTTP: leave out --xmpp")
    if not args.xmpp and (args.jid or args.server or args.ven_jid or args.plaintext):
        raise ConfigurationError("--jid, --server, --ven-jid and --plaintext need --xmpp")
    if args.sign_cert or args.sign_key or args.verify_fingerprint or args.verify_ca:
        if args.profile == "2.0a":
            raise ConfigurationError("only messages of 2.0b are signed: leave out --profile 2.0a")
        if args.xmpp:
            raise ConfigurationError(
                "--sign-cert, --verify-fingerprint and --verify-ca are for HTTP: on XMPP the prefixes"
                " that a signature covers are not kept"
            )
    if args.xmpp and importlib.util.find_spec("slixmpp") is None:
        raise ConfigurationError("XMPP needs slixmpp: pip install 'oadr2[xmpp]'")
    # Here, because --help needs no web server.
    from oadr2.cli.vtn_session import run_session  # noqa: PLC0415

    return run_session(args, stop or threading.Event())
