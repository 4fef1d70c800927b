"""The work of ``oadr2 poll``: a VEN that polls over HTTP."""

from __future__ import annotations

import argparse
import ssl

from oadr2.cli.service_ven import VenParts, has_services, make_service_ven
from oadr2.cli.ven_session import Transport, run_ven
from oadr2.cli.vtn_access import password_of, tls_context_of
from oadr2.errors import ConfigurationError
from oadr2.poll import PollClient


def run_session(args: argparse.Namespace) -> int:
    """Poll until Ctrl-C or SIGTERM, or once; 0 unless polling once failed."""
    return run_ven(args, lambda: _transport(args))


def _transport(args: argparse.Namespace) -> Transport:
    password = password_of(args)
    if has_services(args):
        return _service_transport(args, password)

    def client(parts: VenParts) -> PollClient:
        return PollClient(
            parts.handler,
            args.vtn_url,
            poll_interval=args.interval,
            username=args.username,
            password=password,
            ssl_context=_tls_context(args),
            on_error=parts.on_error,
        )

    async def poll_once(parts: VenParts) -> None:
        async with client(parts) as once:
            await once.poll_once()

    start = {
        "vtn_url": args.vtn_url,
        "ven_id": args.ven_id,
        "profile": args.profile,
        "interval": args.interval,
        "db": str(args.db) if args.db else None,
    }
    return Transport(client, poll_once, start)


def _service_transport(args: argparse.Namespace, password: str | None) -> Transport:
    """Registration, polls, reports and opts of 2.0b."""
    from oadr2.poll_20b import ServiceClient, connection_to  # noqa: PLC0415 - only here

    def client(parts: VenParts) -> ServiceClient:
        ven = make_service_ven(args, parts, poll_interval=args.interval)
        connection = connection_to(
            args.vtn_url,
            username=args.username,
            password=password,
            ssl_context=_tls_context(args),
        )
        return ServiceClient(ven, connection, on_error=parts.on_error)

    async def settle_once(parts: VenParts) -> None:
        async with client(parts) as once:
            await once.settle()

    start = {
        "vtn_url": args.vtn_url,
        "ven_id": args.ven_id,
        "ven_name": args.ven_name,
        "registers": True,
        "profile": args.profile,
        "interval": args.interval,
        "db": str(args.db) if args.db else None,
    }
    return Transport(client, settle_once, start)


def _tls_context(args: argparse.Namespace) -> ssl.SSLContext | None:
    secured = args.vtn_url.startswith("https:")
    if secured:
        return tls_context_of(args, args.vtn_fingerprint)
    if args.ca_certs or args.cert or args.key or args.vtn_fingerprint:
        raise ConfigurationError(
            "--ca-certs, --cert, --key and --vtn-fingerprint need an https:// address in --vtn-url"
        )
    return None
