"""The work of ``oadr2 push``: a VEN that takes what its VTN posts."""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from oadr2.cli.configuration import read_secret
from oadr2.cli.ven_session import Transport, run_ven
from oadr2.cli.vtn_access import client_context_of, password_of
from oadr2.errors import ConfigurationError
from oadr2.event import EventHandler
from oadr2.poll import PollClient
from oadr2.push import PushApp, PushingVtn
from oadr2.push_server import PushServer
from oadr2.security import server_context


def run_session(args: argparse.Namespace) -> int:
    """Take pushes until Ctrl-C or SIGTERM."""
    return run_ven(args, lambda: _transport(args))


class _PushSession:
    """A server for the VTN's pushes, and a client for our answers."""

    def __init__(self, client: PollClient, app: PushApp, server: PushServer, ask: bool) -> None:
        self.client = client
        self.app = app
        self.server = server
        self._ask = ask
        self._closed = asyncio.Event()

    @property
    def next_poll_in(self) -> float | None:
        """Seconds to the next try to reach the VTN, after a failure."""
        return self.app.vtns[0].answers.next_try_in

    async def run(self) -> None:
        """Take pushes until closed."""
        if self._ask:
            for vtn in self.app.vtns:
                vtn.answers.ask_for_events()
        await self._closed.wait()

    async def __aenter__(self) -> Self:
        await self.server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed.set()
        await self.server.aclose()
        await self.app.aclose()
        await self.client.aclose()


def _transport(args: argparse.Namespace) -> Transport:
    password = password_of(args)
    to_vtn = client_context_of(args)
    from_vtn = _server_context(args)
    name = args.vtn_name
    if not args.plaintext and name is None and args.vtn_fingerprint is None:
        name = urlsplit(args.vtn_url).hostname
    host, port = args.listen
    start = {
        "listen": None,
        "vtn": args.vtn_fingerprint or name or "anybody on this machine",
        "vtn_url": args.vtn_url,
        "ven_id": args.ven_id,
        "profile": args.profile,
        "db": str(args.db) if args.db else None,
    }

    def session(handler: EventHandler, on_error: Callable[[Exception], object]) -> _PushSession:
        client = PollClient(
            handler, args.vtn_url, username=args.username, password=password, ssl_context=to_vtn
        )
        vtn = PushingVtn(
            handler,
            client,
            name=name,
            fingerprint=args.vtn_fingerprint,
            plaintext=args.plaintext,
            on_error=on_error,
        )
        app = PushApp(vtn, prefix=args.prefix)
        server = PushServer(app, host, port, ssl_context=from_vtn)
        server.bind()
        start["listen"] = server.url + args.prefix.rstrip("/")
        return _PushSession(client, app, server, not args.no_ask)

    async def ask_once(_handler: EventHandler) -> None:
        raise ConfigurationError("a VEN that is pushed to does not ask once; use oadr2 poll --once")

    return Transport(session, ask_once, start)


def _server_context(args: argparse.Namespace) -> ssl.SSLContext | None:
    if args.plaintext:
        if args.vtn_name or args.vtn_fingerprint:
            raise ConfigurationError(
                "--vtn-name and --vtn-fingerprint are of no use with --plaintext"
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
