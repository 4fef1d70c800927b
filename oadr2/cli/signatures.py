"""What signs and verifies the messages of 2.0b, from the options of a VEN or a VTN."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from oadr2.cli.configuration import read_secret
from oadr2.errors import ConfigurationError

if TYPE_CHECKING:
    from oadr2.signature import Signer, Verifier


def signatures_of(args: argparse.Namespace) -> tuple[Signer | None, Verifier | None]:
    """The signer and the verifier that the options describe.

    Raises:
        ConfigurationError: an option is wrong, or signatures need what is not installed.
    """
    signer = verifier = None
    if args.sign_cert is None and args.sign_key is not None:
        raise ConfigurationError("--sign-key is of no use without --sign-cert")
    if args.sign_cert is not None or args.verify_fingerprint or args.verify_ca is not None:
        from oadr2.signature import Signer, Verifier  # noqa: PLC0415 - it needs an extra

        if args.sign_cert is not None:
            password = read_secret(args, "key_passphrase")
            signer = Signer(args.sign_cert, args.sign_key, password=password)
        if args.verify_fingerprint or args.verify_ca is not None:
            verifier = Verifier(fingerprints=args.verify_fingerprint, ca_certs=args.verify_ca)
    return signer, verifier
