"""``oadr2 ven``: what a VEN's file says about it, and what it is to do, whether it runs or not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from oadr2.cli.gateway_ven import choose_ven, is_gateway_file

_EXAMPLES: Final = """\
examples:
  oadr2 ven status -c ven.toml
  oadr2 ven opt-out peak -c ven.toml                      of the event "peak"
  oadr2 ven opt-out peak --resource pump -c ven.toml      with one load only
  oadr2 ven opt-out --from 14:00 --for 2h -c ven.toml     not there this afternoon
  oadr2 ven cancel-opt 5f1c0a7be2d94410 -c ven.toml
  oadr2 ven cancel-registration -c ven.toml               no more events, polls and reports
  oadr2 ven register -c ven.toml                          begin again
  oadr2 ven opt-out peak -c gateway.toml --ven-id depot   one VEN of a gateway

-c is the settings file that the VEN was started with, if db stands in it; --db is as good. A VEN that runs
follows within a second; one that does not follows when it runs, if there is still a point in it.\
"""


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "ven",
        help="what a VEN keeps in its file; opt in and out, register",
        description=(
            "Show what a VEN keeps in the file of --db, have it opt in or out, begin or end its"
            " registration. It may run meanwhile."
        ),
        epilog=_EXAMPLES,
    )
    _add_file_options(parser, None)
    parser.add_argument("--json", action="store_true", help="data for programs")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_action(
        actions, "status", "registration, events, opts and reports", "Show it; nothing is changed."
    )
    for name, words in (("opt-out", "stay out"), ("opt-in", "take part")):
        _add_opt(actions, name, words)
    _add_action(
        actions,
        "opts",
        "the opts that hold, and what waits to be told",
        "Show the opts of single loads and the schedules, those that the VTN knows and those that"
        "\nwait; what was answered to whole events is in oadr2 ven status.",
    )
    cancel = _add_action(
        actions, "cancel-opt", "take an opt back", "Take an opt back, a schedule for instance."
    )
    cancel.add_argument("opt_id", metavar="OPT", help="its id, as oadr2 ven opts shows it")
    _add_wait(cancel)
    _add_wait(
        _add_action(
            actions,
            "register",
            "register with the VTN, or register again",
            "Have the VEN register with its VTN: again, when it is registered, and anew after"
            "\ncancel-registration or when the VTN has ended the registration. Of profile 2.0b.",
        )
    )
    _add_wait(
        _add_action(
            actions,
            "cancel-registration",
            "end the registration",
            "Have the VEN end its registration: the VTN is told, and gets no more polls and reports, nor"
            "\nafter a restart, until oadr2 ven register. Events it has sent run to their end. Of profile"
            "\n2.0b.",
        )
    )


def _add_wait(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--no-wait", action="store_true", help="do not wait three seconds for the VEN to take it"
    )


def _add_opt(actions: Any, name: str, words: str) -> None:
    opt = _add_action(
        actions,
        name,
        f"{words}: in an event, or for some time",
        f"Have the VEN {words} in the event EVENT, or without an event during --from and --for.\n"
        "Schedules, --resource and --reason are of profile 2.0b.",
    )
    opt.add_argument("event_id", nargs="?", metavar="EVENT", help="an event that the VEN holds")
    opt.add_argument("--vtn-id", metavar="ID", help="of this VTN, where several use that eventID")
    opt.add_argument(
        "--from",
        dest="starts",
        action="append",
        default=[],
        metavar="TIME",
        help="now (the default), 14:00 (today, local), 2030-07-01T14:00 (local), with Z or an offset,"
        " or +90m; give it several times for several periods, each with its --for",
    )
    opt.add_argument(
        "--for",
        dest="lengths",
        action="append",
        default=[],
        metavar="TIME",
        help="how long, such as 2h, 90m or 1d12h",
    )
    opt.add_argument("--market-context", metavar="URI", help="of a schedule: for this market only")
    opt.add_argument(
        "--resource",
        dest="resources",
        action="append",
        default=[],
        metavar="ID",
        help="for this load only; may be given several times",
    )
    opt.add_argument(
        "--reason",
        metavar="WORD",
        help="economic, emergency, mustRun, notParticipating, outageRunStatus, overrideStatus,"
        " participating, x-schedule or a word of your own with x- before it",
    )
    _add_wait(opt)


def _add_action(actions: Any, name: str, words: str, description: str) -> Any:
    action = actions.add_parser(name, help=words, description=description)
    _add_file_options(action, argparse.SUPPRESS)
    action.add_argument(
        "-c",
        "--config",
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="the settings file that the VEN was started with, or its gateway's",
    )
    action.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="data for programs"
    )
    return action


def _add_file_options(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument(
        "--db", type=Path, default=default, metavar="FILE", help="the file that the VEN was given"
    )
    parser.add_argument(
        "--ven-id", default=default, metavar="ID", help="which one, where the file has several"
    )
    parser.add_argument(
        "--ven-name", default=default, metavar="NAME", help="the same, for one that has no other id"
    )


def run(args: argparse.Namespace) -> int:
    """Show it, or write the order down; 0, or 1 when the VEN refuses it.

    Raises:
        StoreError: the file cannot be read or written.
        ConfigurationError: there is no such file, no such VEN in it, or an option is wrong.
        LocalProtocolError: there is no such event or opt.
    """
    if args.config is not None and args.db is None and is_gateway_file(args.config):
        choose_ven(args)
    if args.action == "status":
        from oadr2.cli.ven_status import show_status  # noqa: PLC0415 - it brings rich

        return show_status(args)
    from oadr2.cli import ven_opts  # noqa: PLC0415 - likewise

    return ven_opts.run(args)
