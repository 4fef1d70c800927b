"""The work of ``oadr2 xmpp``: a VEN on an XMPP server."""

from __future__ import annotations

import argparse
import asyncio
import ssl
from dataclasses import replace
from typing import Any

from oadr2.cli.configuration import read_secret
from oadr2.cli.service_ven import VenParts, has_services, make_service_ven
from oadr2.cli.ven_session import Transport, run_ven
from oadr2.cli.vtn_access import tls_context_of
from oadr2.errors import AuthenticationError, ConfigurationError
from oadr2.xmpp import XmppClient
from oadr2.xmpp_20b import XmppServiceClient


def run_session(args: argparse.Namespace) -> int:
    """Be there until Ctrl-C or SIGTERM, or ask once; 0 unless asking once failed."""
    return run_ven(args, lambda: _transport(args))


def _transport(args: argparse.Namespace) -> Transport:
    password = _password(args)
    context = _tls_context(args)
    made: list[XmppClient | XmppServiceClient] = []
    services = has_services(args)

    def client(parts: VenParts) -> XmppClient | XmppServiceClient:
        link: dict[str, Any] = {
            "vtn_jid": args.vtn_jid,
            "server": args.server,
            "port": args.port,
            "ssl_context": context,
            "plaintext": args.plaintext,
            "on_error": parts.on_error,
        }
        if services:
            where = {"transport_name": "xmpp", "transport_address": args.jid}
            ven = make_service_ven(args, parts, **where)
            made.append(XmppServiceClient(ven, args.jid, password, **link))
        else:
            made.append(XmppClient(parts.handler, args.jid, password, **link))
        return made[-1]

    def is_hopeless(error: Exception) -> bool:
        """Credentials that never worked; once they did, it is the server that has a bad day."""
        return isinstance(error, AuthenticationError) and not made[-1].has_connected

    start = {
        "jid": args.jid,
        "vtn_jid": ", ".join(args.vtn_jid) if args.vtn_jid else None,
        "ven_id": args.ven_id,
        "ven_name": args.ven_name,
        "profile": args.profile,
        "db": str(args.db) if args.db else None,
    }

    async def ask_once(parts: VenParts) -> None:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_error(error: Exception) -> None:
            if not failed.done():
                failed.set_exception(error)

        async with client(replace(parts, on_error=on_error)) as once:
            talking = asyncio.create_task(once.run())
            asked = asyncio.create_task(once.wait_synchronised())
            await asyncio.wait((failed, asked), return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
        await talking
        if failed.done():
            failed.result()

    return Transport(client, ask_once, start, is_hopeless)


def _password(args: argparse.Namespace) -> str | None:
    password = read_secret(args, "password")
    if password is None and args.cert is None:
        raise ConfigurationError(
            f"{args.jid} needs a password or a certificate: give --password-file FILE,"
            f" set {args.password_env}, or give --cert FILE"
        )
    return password


def _tls_context(args: argparse.Namespace) -> ssl.SSLContext | None:
    if args.plaintext:
        if args.ca_certs or args.cert or args.key or args.server_fingerprint:
            raise ConfigurationError(
                "--ca-certs, --cert, --key and --server-fingerprint do not go with --plaintext"
            )
        return None
    return tls_context_of(args, args.server_fingerprint)
