"""``oadr2 gateway``: drive many loads behind one or several VENs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

_EXAMPLE: Final = """\
a file to begin with:
  [[ven]]
  ven_id = "gw_1"
  vtn_url = "http://127.0.0.1:8080"

  [[point]]
  name = "chiller"
  driver = "memory"
  register = "chiller"
  levels = { 0 = 100, 1 = 70, 2 = 40, 3 = 10 }
  failsafe = { after = "30s", action = "release" }

docs/gateway.md describes every key. SIGHUP reads the file again, SIGTERM and Ctrl-C end it.\
"""


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "gateway",
        help="drive many loads behind one or several VENs",
        description=(
            "Follow the events of one or several VTNs and bring every load to where they, its\n"
            "safety and its owner want it."
        ),
        epilog=_EXAMPLE,
    )
    _add_file(parser, default=None)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="read the devices and say what would be written; write nothing, to files neither",
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="default: %(default)s"
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="what is printed to standard error (default: %(default)s)",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="instead of running")
    demo = actions.add_parser(
        "demo",
        help="a gateway with a status page, a VTN and three simulated loads",
        description=(
            "See events at three simulated loads, in this terminal and on a status page whose\n"
            "address is printed, until Ctrl-C. Needs no file."
        ),
    )
    demo.add_argument("--once", action="store_true", help="end after the first event, in a minute")
    demo.add_argument("--fast", action="store_true", help="the same in a few seconds")
    check = actions.add_parser(
        "check",
        help="hold the file against its devices, without writing",
        description="Read the file, reach every device and look at every address; write nothing.",
    )
    _add_file(check, default=argparse.SUPPRESS)
    override = actions.add_parser(
        "override",
        help="hold a point at a value, whatever events say",
        description=(
            "Hold a point at a value for a time. A running gateway follows within a second; one\n"
            "that does not run follows when it starts, if the time is not over."
        ),
    )
    _add_file(override, default=argparse.SUPPRESS)
    override.add_argument("point", metavar="POINT", help="name of the point")
    override.add_argument(
        "value", metavar="VALUE", help='a number, "release", or "end" to give the point back'
    )
    override.add_argument(
        "--for", dest="duration", metavar="TIME", help="how long, such as 1h or 30m"
    )
    override.add_argument("--by", metavar="NAME", help="who says so (default: the user's name)")


def _add_file(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument(
        "-c", "--config", type=Path, default=default, metavar="FILE", help="the gateway's file"
    )


def run(args: argparse.Namespace) -> int:
    """Run the gateway until told to end, or do what else was asked for."""
    from oadr2.cli import gateway_session  # noqa: PLC0415 - it brings httpx and the drivers

    match args.action:
        case "demo":
            from oadr2.cli import gateway_demo  # noqa: PLC0415 - it brings the simulated VTN

            return gateway_demo.run(args)
        case "check":
            return gateway_session.check(args)
        case "override":
            return gateway_session.override(args)
        case _:
            return gateway_session.run(args)
