"""The work of ``oadr2 push``: a VEN that takes what its VTN posts."""

from __future__ import annotations

import argparse
import ssl

from oadr2.cli.configuration import read_secret
from oadr2.cli.service_ven import VenParts, has_services, make_service_ven
from oadr2.cli.ven_session import Transport, run_ven
from oadr2.cli.vtn_access import client_context_of, password_of
from oadr2.errors import ConfigurationError
from oadr2.poll_20b import connection_to
from oadr2.push import PushClient
from oadr2.push_20b import Listener, PushServiceClient
from oadr2.security import server_context


def run_session(args: argparse.Namespace) -> int:
    """Take pushes until Ctrl-C or SIGTERM."""
    return run_ven(args, lambda: _transport(args))


def _transport(args: argparse.Namespace) -> Transport:
    services = has_services(args)
    password = password_of(args)
    to_vtn = client_context_of(args)
    from_vtn = _server_context(args)
    host, port = args.listen
    start = {
        "listen": None,
        "vtn": None,
        "vtn_url": args.vtn_url,
        "ven_id": args.ven_id,
        "ven_name": args.ven_name,
        "profile": args.profile,
        "db": str(args.db) if args.db else None,
    }

    def service_client(parts: VenParts) -> PushServiceClient:
        listener = Listener(
            args.vtn_url,
            host=host,
            port=port,
            prefix=args.prefix,
            server_tls=from_vtn,
            vtn_name=args.vtn_name,
            vtn_fingerprint=args.vtn_fingerprint,
            plaintext=args.plaintext,
        )
        address = args.address or listener.url
        try:
            ven = make_service_ven(args, parts, transport_address=address, http_pull_model=False)
        except BaseException:
            listener.close()
            raise
        connection = connection_to(
            args.vtn_url, username=args.username, password=password, ssl_context=to_vtn
        )
        start.update(listen=listener.url, vtn=listener.known_as)
        return PushServiceClient(ven, connection, listener, on_error=parts.on_error)

    def client(parts: VenParts) -> PushClient:
        made = PushClient(
            parts.handler,
            args.vtn_url,
            host=host,
            port=port,
            prefix=args.prefix,
            server_tls=from_vtn,
            ssl_context=to_vtn,
            vtn_name=args.vtn_name,
            vtn_fingerprint=args.vtn_fingerprint,
            plaintext=args.plaintext,
            ask=not args.no_ask,
            username=args.username,
            password=password,
            on_error=parts.on_error,
        )
        made.bind()
        start.update(listen=made.url, vtn=made.known_by)
        return made

    async def ask_once(_parts: VenParts) -> None:
        raise ConfigurationError("a VEN that is pushed to does not ask once; use oadr2 poll --once")

    return Transport(service_client if services else client, ask_once, start)


def _server_context(args: argparse.Namespace) -> ssl.SSLContext | None:
    if args.plaintext:
        if args.vtn_name or args.vtn_fingerprint:
            raise ConfigurationError(
                "--vtn-name and --vtn-fingerprint are of no use with --plaintext"
            )
        if (args.ca_certs or args.cert or args.key) and not args.vtn_url.startswith("https:"):
            raise ConfigurationError(
                "--ca-certs, --cert and --key are of no use with --plaintext and an http:// address in"
                " --vtn-url: leave out --plaintext, or them"
            )
        return None
    if args.cert is None or args.ca_certs is None:
        raise ConfigurationError(
            "--cert and --ca-certs are needed: this VEN's certificate, and who vouches for the"
            " VTN's (or --plaintext, on this machine only)"
        )
    return server_context(
        args.cert,
        args.key,
        client_ca_certs=args.ca_certs,
        password=read_secret(args, "key_passphrase"),
        legacy=args.tls == "legacy",
    )
