"""``oadr2 demo``: an event from the VTN's offer to the load and back, in half a minute.

A simulated VTN on a free loopback port, a real VEN that polls it, and an event that begins a few
seconds ahead. At the end it says how late each change of level came.
"""

from __future__ import annotations

import argparse
import importlib.util
from typing import Any

from oadr2.errors import ConfigurationError


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "demo",
        help="see an event happen, in half a minute; needs nothing",
        description=(
            "Run a simulated VTN and a VEN on this machine, send an event through them and watch\n"
            "the level change. Exit code 0 when every change came within half a second."
        ),
    )
    parser.add_argument("--fast", action="store_true", help="all in about six seconds")
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--push", action="store_true", help="the VTN posts the event instead of being polled"
    )
    way.add_argument(
        "--xmpp",
        action="store_true",
        help="over XMPP, on a Prosody started for it; needs Prosody and slixmpp",
    )
    way.add_argument(
        "--profile",
        choices=("2.0a", "2.0b"),
        default="2.0a",
        help="2.0b: with registration and reports (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print only the summary, for programs")


def run(args: argparse.Namespace) -> int:
    """Run the demo and print its summary."""
    if args.xmpp:
        _check_xmpp()
    from oadr2.cli.demo_show import show_demo  # noqa: PLC0415 - it brings httpx, uvicorn and rich
    from oadr2.cli.demo_ways import HTTP, PUSH, SERVICES, XMPP  # noqa: PLC0415

    way = XMPP if args.xmpp else PUSH if args.push else HTTP
    if args.profile == "2.0b":
        way = SERVICES
    return show_demo(way, fast=args.fast, as_json=args.json)


def _check_xmpp() -> None:
    """Say what is missing for XMPP, before anything is shown."""
    if importlib.util.find_spec("slixmpp") is None:
        raise ConfigurationError("XMPP needs slixmpp: pip install 'oadr2[xmpp]'")
    from oadr2.sim.prosody import INSTALL, find_prosody  # noqa: PLC0415 - only here

    if find_prosody() is None:
        raise ConfigurationError(INSTALL)
