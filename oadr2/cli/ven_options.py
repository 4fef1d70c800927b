"""The options that every verb which is a VEN has."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

from oadr2.cli.configuration import add_secret_options, comma_list, seconds
from oadr2.report_settings import ReportTable, report_tables
from oadr2.whole_file import read_whole


def reports_file(text: str) -> tuple[ReportTable, ...]:
    """The ``[[report]]`` tables of a TOML file, for argparse."""
    path = Path(text)
    try:
        data = tomllib.loads(read_whole(path).decode("utf-8-sig"))
        return report_tables(data.get("report", []), path.parent)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError(f"{path}: it is not UTF-8 text") from None
    except ValueError as error:  # not TOML, or what report_tables says
        raise argparse.ArgumentTypeError(f"{path}: {error}") from None


def add_vtn_options(vtn: argparse._ArgumentGroup) -> None:
    """Which of the VTN's messages are taken."""
    vtn.add_argument(
        "--vtn-ids",
        type=comma_list,
        metavar="A,B",
        help="vtnIDs to take events from (default: any)",
    )
    vtn.add_argument(
        "--market-contexts",
        type=comma_list,
        metavar="A,B",
        help="market contexts to take (default: any)",
    )
    vtn.add_argument(
        "--profile", choices=("2.0a", "2.0b"), default="2.0a", help="default: %(default)s"
    )


def add_ven_options(parser: argparse.ArgumentParser) -> None:
    """Who this VEN is, and how it reads its VTN."""
    ven = parser.add_argument_group("this VEN")
    ven.add_argument(
        "--ven-id",
        metavar="ID",
        help="the id the VTN knows it by; needed unless it registers under a name",
    )
    for name in ("group", "resource", "party"):
        ven.add_argument(
            f"--{name}-id", metavar="ID", help=f"also meant when an event targets this {name}ID"
        )
    ven.add_argument(
        "--opt",
        choices=("optIn", "optOut"),
        default="optIn",
        help="the answer to events (default: optIn)",
    )
    ven.add_argument(
        "--on-event",
        metavar="MODULE:FUNCTION",
        help="asked about each event: gives optIn, optOut or None (what --opt says); in a whole 2.0b"
        " VEN it may be a coroutine function, or the word later: left to oadr2 ven opt-in and opt-out",
    )
    ven.add_argument(
        "--decide-within",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="for a decision that takes its time; after that the answer is --opt (default: 60)",
    )
    ven.add_argument(
        "--db", type=Path, metavar="FILE", help="keep events in this SQLite file over a restart"
    )
    rules = parser.add_argument_group("how to read this VTN")
    rules.add_argument(
        "--priority",
        choices=("lower", "higher", "highest_level"),
        default="lower",
        help="who wins an overlap: lower or higher number, or highest level (default: lower)",
    )
    rules.add_argument(
        "--no-implied-cancel",
        action="store_true",
        help="an event missing from a list is not cancelled",
    )
    rules.add_argument("--months-as-minutes", action="store_true", help="read P5M as five minutes")
    rules.add_argument(
        "--run-test-events", action="store_true", help="let test events change the level"
    )
    rules.add_argument(
        "--strict",
        action="store_true",
        help="refuse a whole message that is not valid by the schema",
    )


def add_service_options(parser: argparse.ArgumentParser) -> None:
    """What a whole VEN of 2.0b does beside taking events."""
    services = parser.add_argument_group("profile 2.0b: registration, reports, signatures")
    services.add_argument(
        "--ven-name", metavar="NAME", help="register under this name; the VTN gives the id"
    )
    services.add_argument(
        "--events-only",
        action="store_true",
        help="do not register: take events only, for VTNs that know their VENs beforehand",
    )
    services.add_argument(
        "--no-query", action="store_true", help="register without asking what the VTN offers"
    )
    services.add_argument(
        "--reports",
        type=reports_file,
        default=(),
        metavar="FILE",
        help="TOML file with [[report]] tables; they may stand in the settings file, too",
    )
    add_signature_options(services)


def add_signature_options(services: argparse._ArgumentGroup) -> None:
    """Signatures of 2.0b, as :mod:`oadr2.cli.signatures` takes them."""
    services.add_argument(
        "--sign-cert", type=Path, metavar="FILE", help="sign what is sent, with this certificate"
    )
    services.add_argument(
        "--sign-key", type=Path, metavar="FILE", help="its private key, when not in the same file"
    )
    services.add_argument(
        "--verify-fingerprint",
        type=comma_list,
        default=(),
        metavar="A,B",
        help="take only what is signed by a certificate with one of these",
    )
    services.add_argument(
        "--verify-ca", type=Path, metavar="FILE", help="or by one that these CAs have signed"
    )


def add_tls_options(access: argparse._ArgumentGroup) -> None:
    """Certificates, as :func:`oadr2.security.client_context` takes them."""
    access.add_argument(
        "--ca-certs",
        type=Path,
        metavar="FILE",
        help="CAs to trust, and no others (PEM file or folder)",
    )
    access.add_argument("--cert", type=Path, metavar="FILE", help="client certificate (PEM)")
    access.add_argument(
        "--key", type=Path, metavar="FILE", help="its private key (PEM), when not in the same file"
    )
    add_secret_options(access, "key-passphrase", "OADR2_KEY_PASSPHRASE", "key's passphrase")
    access.add_argument(
        "--no-check-hostname",
        action="store_true",
        help="do not compare the certificate's name with the host's",
    )
    access.add_argument(
        "--tls",
        choices=("default", "legacy"),
        default="default",
        help="legacy: also TLS 1.0 and weak ciphers",
    )


def add_output_options(output: argparse._ArgumentGroup) -> None:
    """How lines are printed, and how much of the inner log."""
    output.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="default: %(default)s"
    )
    output.add_argument(
        "--json",
        action="store_const",
        const="json",
        dest="log_format",
        help="the same as --log-format json",
    )
    output.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="warning",
        help="what of the inner log goes to standard error (default: %(default)s)",
    )
