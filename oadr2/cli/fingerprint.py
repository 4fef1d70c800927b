"""``oadr2 fingerprint``: what a VTN (or a VEN's settings) ask of a certificate."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oadr2.cli.event_text import iso_time, printable

if TYPE_CHECKING:
    from oadr2.certificate import Certificate


def add_parser(subparsers: Any) -> None:
    """Describe the verb's options."""
    parser = subparsers.add_parser(
        "fingerprint",
        help="print the OpenADR fingerprints of a certificate",
        description=(
            "Print a certificate's OpenADR fingerprints, which VTN and VEN know each other by: the\n"
            "last 20 hex digits of its SHA-1 (2.0a) or SHA-256 (2.0b). Both spellings mean the same."
        ),
    )
    parser.add_argument("cert", type=Path, metavar="CERT", help="the certificate, PEM or DER")
    parser.add_argument("--json", action="store_true", help="print data for programs")


def run(args: argparse.Namespace) -> int:
    """Print the fingerprints of ``args.cert``."""
    from oadr2.certificate import read_certificate  # noqa: PLC0415 - only what is asked for

    certificate = read_certificate(args.cert)
    if args.json:
        print(json.dumps(_data(certificate), indent=2))
        return 0
    for profile in ("2.0a", "2.0b"):
        value = certificate.fingerprint(profile)
        print(f"{profile}     {value}  {value.replace(':', '').lower()}")
    print(f"subject  {printable(certificate.subject_text) or 'none'}")
    if certificate.dns_names:
        print(f"names    {printable(', '.join(certificate.dns_names))}")
    print(f"valid    {_validity(certificate, datetime.now(UTC))}")
    return 0


def _data(certificate: Certificate) -> dict[str, object]:
    return {
        "fingerprint_20a": certificate.fingerprint("2.0a"),
        "fingerprint_20b": certificate.fingerprint("2.0b"),
        "subject": certificate.subject_text,
        "dns_names": certificate.dns_names,
        "not_before": iso_time(certificate.not_before),
        "not_after": iso_time(certificate.not_after),
    }


def _validity(certificate: Certificate, now: datetime) -> str:
    span = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d %H:%M} UTC"
    left = certificate.not_after - now
    if left <= timedelta():
        return f"{span} (it has ended)"
    if certificate.not_before > now:
        return f"{span} (not yet)"
    return f"{span} ({left.days} days left)"
