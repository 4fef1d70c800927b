"""How a verb reaches its VTN or server: password and TLS context, from its options."""

from __future__ import annotations

import argparse
import ssl

from oadr2.cli.configuration import read_secret
from oadr2.errors import ConfigurationError
from oadr2.security import client_context


def password_of(args: argparse.Namespace) -> str | None:
    """The password for HTTP authentication; None without ``--username``."""
    password = read_secret(args, "password")
    if args.username is None:
        if args.password_file is not None:
            raise ConfigurationError("--password-file is of no use without --username")
        return None
    if password is None:
        raise ConfigurationError(
            f"--username needs a password: give --password-file FILE or set {args.password_env}"
        )
    return password


def client_context_of(args: argparse.Namespace) -> ssl.SSLContext | None:
    """The context of the TLS options for connections to ``--vtn-url``; None when it is http."""
    return tls_context_of(args) if args.vtn_url.startswith("https:") else None


def tls_context_of(args: argparse.Namespace, fingerprint: str | None = None) -> ssl.SSLContext:
    """The context of the TLS options; with a fingerprint only that certificate is accepted."""
    return client_context(
        args.ca_certs,
        args.cert,
        args.key,
        read_secret(args, "key_passphrase"),
        not args.no_check_hostname,
        args.tls == "legacy",
        fingerprint,
    )
