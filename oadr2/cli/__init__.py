"""The command ``oadr2``: one file per verb, one place where errors become one line.

Every verb module has ``add_parser(subparsers)``, which describes its options, and
``run(args) -> int``, which does the work. A verb module imports what is heavy (httpx, uvicorn,
rich) inside ``run``, and only the module of the verb that was asked for is imported at all, unless
help or a settings file needs the rest.

Exit codes: 0 done, 1 it failed, 2 the command or the settings file is wrong, 130 ended by Ctrl-C
and 143 by SIGTERM before it was done (``poll``, ``gateway`` and ``vtn`` are done when told to end: 0);
``fleet`` has 99 besides, for a threshold that was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import IO, Any, Final, NoReturn

from oadr2 import __version__
from oadr2.cli.configuration import apply_settings_file, refuse_secret_option
from oadr2.cli.event_text import printable
from oadr2.cli.gateway_ven import is_gateway_file
from oadr2.errors import ConfigurationError, OadrError

VERBS: Final = (
    "demo",
    "poll",
    "push",
    "xmpp",
    "ven",
    "gateway",
    "audit",
    "points",
    "vtn",
    "decode",
    "validate",
    "fingerprint",
    "fleet",
)
# Their -c names a gateway's file (docs/gateway.md), not one with options.
_OWN_FILE: Final = frozenset({"gateway", "audit"})
# Of an error without a file: the disk that standard output was sent to has no room.
_OUTPUT_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

_DESCRIPTION = """\
OpenADR 2.0a and 2.0b: a virtual end node (VEN), a simulated VTN, and readers of payloads.

  oadr2 demo                                  see an event happen, in half a minute
  oadr2 poll --vtn-url URL --ven-id ID        be a VEN: poll a VTN, follow its events
  oadr2 push --listen HOST:PORT --vtn-url URL --ven-id ID
                                              be a VEN that its VTN posts events to
  oadr2 xmpp --jid JID --ven-id ID            be a VEN on an XMPP server
  oadr2 ven status --db FILE                  what a VEN keeps: registration, events, reports
  oadr2 ven opt-out EVENT --db FILE           have a VEN that runs opt out, or in
  oadr2 gateway -c FILE                       drive many loads behind one or several VENs
  oadr2 audit -c FILE                         what a gateway did, and why
  oadr2 points import REGISTRY.csv            VOLTTRON's device registry as points of a gateway
  oadr2 vtn                                   be a VTN to try a VEN against
  oadr2 decode FILE                           read a payload
  oadr2 validate FILE...                      hold payloads against the schema
  oadr2 fingerprint CERT                      what a VTN asks of a certificate
  oadr2 fleet                                 be many VENs: a load test with a report\
"""


class CommandParser(argparse.ArgumentParser):
    """An argument parser that reports an error in one line and never guesses at abbreviations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        missing = "the following arguments are required: "
        if message.startswith(missing) and " -" in message:
            names = message.removeprefix(missing)
            message = f"{names} missing: give it as an option, or in a settings file with -c FILE"
        elif message.startswith(missing):
            message = f"{message.removeprefix(missing)} missing"
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv`` (default: that of the process) and return the exit code."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    code = _exit_code(list(sys.argv[1:] if argv is None else argv))
    for stream in (sys.stdout, sys.stderr):
        _leave_flushed(stream)
    return code


def _exit_code(arguments: list[str]) -> int:
    verb = arguments[0] if arguments and arguments[0] in VERBS else None
    name = f"oadr2 {verb}" if verb else "oadr2"
    try:
        try:
            code = _run(arguments, verb)
        except SystemExit as stop:  # argparse ends help and usage errors so
            code = stop.code if isinstance(stop.code, int) else 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except ConfigurationError as error:
        return _complain(name, str(error), 2)
    except OadrError as error:
        return _complain(name, str(error), 1)
    except BrokenPipeError:  # the reader (head, less) has gone
        return 141
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        if error.filename is None and error.errno in _OUTPUT_FULL:
            where = "the output cannot be written: "
        return _complain(name, f"{where}{error.strerror or error}", 1)
    return code


def _run(arguments: list[str], verb: str | None) -> int:
    parser = CommandParser(prog="oadr2", description=_DESCRIPTION)
    parser.add_argument(
        "--version",
        action="version",
        version=f"oadr2 {__version__}",
        help="print the version and stop",
    )
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    modules: dict[str, ModuleType] = {}

    def load(name: str) -> None:
        if name in modules:
            return
        modules[name] = importlib.import_module(f"oadr2.cli.{name}")
        modules[name].add_parser(subparsers)
        if name not in _OWN_FILE:
            subparsers.choices[name].add_argument(
                "-c", "--config", metavar="FILE", help="read options from this TOML file"
            )

    for name in (verb,) if verb else VERBS:
        load(name)
    if verb:
        _refuse_secrets(arguments, subparsers.choices[verb])
        settings = None if verb in _OWN_FILE else _settings_file(arguments[1:])
        if settings is not None and not (verb == "ven" and is_gateway_file(settings)):
            for name in VERBS:
                load(name)
            apply_settings_file(settings, verb, subparsers.choices)
    args, extra = parser.parse_known_args(arguments)
    if extra:
        chosen = subparsers.choices[args.verb] if args.verb else parser
        chosen.error(_unknown_argument(extra[0], chosen))
    if args.verb is None:
        parser.print_help(sys.stderr)
        return 2
    return int(modules[args.verb].run(args))


def _refuse_secrets(arguments: list[str], parser: argparse.ArgumentParser) -> None:
    """Say no to ``--password SECRET`` before anything could repeat the secret."""
    for argument in arguments:
        if argument == "--":
            return
        refuse_secret_option(argument.partition("=")[0], parser)


def _settings_file(arguments: list[str]) -> str | None:
    """The file named by ``-c``, found before the real parsing because it supplies its defaults."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument("-c", "--config")
    try:
        return finder.parse_known_args(arguments)[0].config  # type: ignore[no-any-return]
    except argparse.ArgumentError:
        return None  # -c without a file: the real parser says so


def _unknown_argument(argument: str, parser: argparse.ArgumentParser) -> str:
    """What to say about an argument nobody wanted; what follows a ``=`` is not repeated."""
    name = argument.partition("=")[0]
    if not name.startswith("-"):
        return f"{name!r} is one argument too many"
    known = [option for action in parser._actions for option in action.option_strings]
    if name in known:  # of the verb, and parse_known_args stood at one of its actions
        return f"{name} is to stand before the action, right after {parser.prog}"
    close = difflib.get_close_matches(name, known, n=1)
    return f"unknown option {name}" + (f", did you mean {close[0]}?" if close else "")


def _complain(name: str, message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # nobody is left to be told; the exit code tells
        sys.stderr.write(f"{name}: {printable(message)}\n")
    return code


def _open_closed_streams() -> None:
    """A stream that was closed for us (``>&-``) is None in Python: what is written goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - to the end


def _leave_flushed(stream: IO[str]) -> None:
    """What cannot be written any more was told of; Python would try at exit, and complain itself."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _never_fail_to_encode(stream: IO[str]) -> None:
    """In an ASCII locale a name with an accent is shown escaped and never raises."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
