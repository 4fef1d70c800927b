"""The work of ``oadr2 xmpp``: a VEN on an XMPP server."""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import Callable

from oadr2.cli.configuration import read_secret
from oadr2.cli.ven_session import Transport, run_ven
from oadr2.cli.vtn_access import tls_context_of
from oadr2.errors import AuthenticationError, ConfigurationError
from oadr2.event import EventHandler
from oadr2.xmpp import XmppClient


def run_session(args: argparse.Namespace) -> int:
    """Be there until Ctrl-C or SIGTERM, or ask once; 0 unless asking once failed."""
    return run_ven(args, lambda: _transport(args))


def _transport(args: argparse.Namespace) -> Transport:
    password = _password(args)
    context = _tls_context(args)
    made: list[XmppClient] = []

    def client(handler: EventHandler, on_error: Callable[[Exception], object]) -> XmppClient:
        made.append(
            XmppClient(
                handler,
                args.jid,
                password,
                vtn_jid=args.vtn_jid,
                server=args.server,
                port=args.port,
                ssl_context=context,
                plaintext=args.plaintext,
                on_error=on_error,
            )
        )
        return made[-1]

    def is_hopeless(error: Exception) -> bool:
        """Credentials that never worked; once they did, it is the server that has a bad day."""
        return isinstance(error, AuthenticationError) and not made[-1].has_connected

    start = {
        "jid": args.jid,
        "vtn_jid": ", ".join(args.vtn_jid) if args.vtn_jid else None,
        "ven_id": args.ven_id,
        "profile": args.profile,
        "db": str(args.db) if args.db else None,
    }

    async def ask_once(handler: EventHandler) -> None:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_error(error: Exception) -> None:
            if not failed.done():
                failed.set_exception(error)

        async with client(handler, on_error) as once:
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
