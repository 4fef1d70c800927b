"""How ``oadr2 vtn`` reaches VENs: they poll it, it posts to them, or all are on an XMPP server."""

from __future__ import annotations

import argparse
import secrets
import shlex
import ssl
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from oadr2.cli.configuration import read_secret, read_secret_file, web_address
from oadr2.cli.vtn_access import tls_context_of
from oadr2.errors import ConfigurationError, OadrError, TransportError
from oadr2.model import Profile
from oadr2.sim import (
    HttpDelivery,
    Pushed,
    ServicePusher,
    SimulatedVtn,
    VtnPusher,
    VtnServer,
    VtnServices,
)
from oadr2.sim.prosody import INSTALL, ProsodyServer, find_prosody

_HOST: Final = "localhost"
_LOOPBACK: Final = "127.0.0.1"
_VEN: Final = "ven-1"


class Outcome(NamedTuple):
    """What became of a push: "" or what is wrong, and whether to try it again."""

    problem: str = ""
    again: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A way to the VENs while it is open.

    Attributes:
        url: where the VTN is.
        vens: where those are that are pushed to, by venID.
        push: sends VENs, given by their ids, their lists; what became of it by id.
        commands: to start the VENs with.
    """

    url: str
    vens: dict[str, str] = field(default_factory=dict)
    push: Callable[[Sequence[str]], dict[str, Outcome]] = lambda _ven_ids: {}
    commands: tuple[str, ...] = ()


@contextmanager
def http_link(
    args: argparse.Namespace,
    vtn: SimulatedVtn,
    services: VtnServices | None,
    on_push: Callable[[Pushed], object],
) -> Iterator[Link]:
    """Serves VENs that poll, and posts to those of ``--push`` and those that register with an address."""
    passphrase = read_secret(args, "key_passphrase")
    server = VtnServer(
        vtn,
        args.host,
        8080 if args.port is None else args.port,
        ssl_certfile=args.cert,
        ssl_keyfile=args.key,
        ssl_keyfile_password=passphrase,
        ssl_ca_certs=args.ca_certs,
        client_certificates="required" if args.ca_certs else "none",
        prefix=args.prefix,
        basic=_basic(args),
        services=services,
    )
    vens = _posted_to(args.push)
    context = None
    if args.cert or any(url.startswith("https:") for url in vens.values()):
        context = tls_context_of(args)
    with ExitStack() as stack:
        stack.enter_context(server)
        if services is not None:
            delivery = HttpDelivery(ssl_context=context)
            stack.callback(delivery.close)
            stack.enter_context(ServicePusher(services, delivery, on_push))
        pushers = {
            ven_id: stack.enter_context(_Posting(vtn, url, ven_id, context))
            for ven_id, url in vens.items()
        }
        pool = stack.enter_context(ThreadPoolExecutor(max(1, min(16, len(pushers)))))

        def push(ven_ids: Sequence[str]) -> dict[str, Outcome]:
            outcomes = pool.map(lambda ven_id: pushers[ven_id].push_list(), ven_ids)
            return dict(zip(ven_ids, outcomes, strict=True))

        yield Link(server.url, vens, push)


class _Posting(VtnPusher):
    """Posts in the profile that the VEN turns out to have."""

    def __init__(
        self, vtn: SimulatedVtn, url: str, ven_id: str, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(vtn, url, ssl_context=context)
        self._ven_id = ven_id
        self._profiles: tuple[Profile, ...] = vtn.profiles

    def push_list(self) -> Outcome:
        """Push the list of events; again later when the VEN was not reached."""
        outcome = Outcome()
        for profile in self._profiles:
            try:
                response = self.push(self._ven_id, profile).response
            except TransportError as error:
                outcome = Outcome(str(error), again=error.status is None or error.status >= 500)
                if error.status != 404:  # it serves the other profile, perhaps
                    break
            except OadrError as error:
                return Outcome(str(error))
            else:
                self._profiles = (profile,)
                described = response.response_description or ""
                return Outcome(
                    "" if response.ok else f"{response.response_code} {described}".rstrip()
                )
        return outcome


@contextmanager
def xmpp_link(
    args: argparse.Namespace,
    vtn: SimulatedVtn,
    on_trouble: Callable[[str], object],
    services: VtnServices | None,
    on_push: Callable[[Pushed], object],
) -> Iterator[Link]:
    """Joins the XMPP server of ``--jid``, or starts one, and pushes to ``--ven-jid``."""
    from oadr2.sim.xmpp import XmppVtn  # noqa: PLC0415 - it brings slixmpp

    if args.port is not None and not 0 <= args.port < 65536:  # asyncio would take the rest of it
        raise ConfigurationError(f"--port {args.port}: it is not between 0 and 65535")
    if args.ca_certs or args.cert or args.key:
        if args.plaintext:
            raise ConfigurationError("--ca-certs, --cert and --key do not go with --plaintext")
        if args.jid is None and args.server is None:
            raise ConfigurationError(
                "--ca-certs, --cert and --key need --jid: the server started here has no TLS"
            )
    with ExitStack() as stack:
        if args.jid is None and args.server is None:
            account, commands = stack.enter_context(_own_server(args))
        else:
            account, commands = _account(args), ()
        side = XmppVtn(
            vtn,
            account.jid,
            account.password,
            account.vens,
            server=account.host,
            port=account.port,
            profile=vtn.profiles[0],
            ssl_context=account.context,
            services=services,
        )
        side.on_trouble = on_trouble  # beforehand: a server is waited for half a minute
        stack.enter_context(side)
        if services is not None:
            stack.enter_context(ServicePusher(services, side.deliver, on_push))

        def push(ven_ids: Sequence[str]) -> dict[str, Outcome]:
            # A VEN that is not there asks when it comes.
            return {ven_id: Outcome(problem) for ven_id, problem in side.push(ven_ids).items()}

        url = f"{account.jid} on {account.host}:{account.port}"
        yield Link(url, account.vens, push, commands)


class _Account(NamedTuple):
    """Who the VTN is on which XMPP server, and whom it pushes to there."""

    jid: str
    password: str | None
    host: str
    port: int
    context: ssl.SSLContext | None
    vens: dict[str, str]


def _account(args: argparse.Namespace) -> _Account:
    """The account that the options name."""
    if args.jid is None:
        raise ConfigurationError("--server needs --jid: who the VTN is there")
    if not args.ven_jid:
        raise ConfigurationError("--ven-jid is missing: the VENs to push to")
    vens = _vens(args.ven_jid)
    user, at, rest = args.jid.partition("@")
    domain = rest.partition("/")[0]
    if not (user and at and domain):
        raise ConfigurationError(f"--jid: {args.jid!r} is no JID such as vtn@example.org/oadr2")
    jid = args.jid if "/" in rest else f"{args.jid}/oadr2"
    password = read_secret(args, "password")
    if password is None and args.cert is None:
        raise ConfigurationError(
            f"{args.jid} needs a password or a certificate: give --password-file FILE,"
            f" set {args.password_env}, or give --cert FILE"
        )
    host = args.server or domain
    if args.plaintext and host not in (_LOOPBACK, "::1", _HOST):
        raise ConfigurationError(
            f"--plaintext: {host} is not this machine; elsewhere TLS is needed"
        )
    context = None if args.plaintext else tls_context_of(args)
    return _Account(jid, password, host, args.port or 5222, context, vens)


@contextmanager
def _own_server(args: argparse.Namespace) -> Iterator[tuple[_Account, tuple[str, ...]]]:
    """A Prosody on this machine, with an account for the VTN and each VEN; how to start those."""
    if find_prosody() is None:
        raise ConfigurationError(f"no server is given with --jid and --server, and {INSTALL}")
    vens = _vens(args.ven_jid or (f"{_VEN}@{_HOST}",))
    for jid in vens.values():
        if jid.partition("@")[2].partition("/")[0] != _HOST:
            raise ConfigurationError(f"--ven-jid: {jid} is not of {_HOST}, as the server is")
    with ExitStack() as stack:
        file: Path | None = args.password_file
        if file is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="oadr2-vtn-"))
            file = Path(folder) / "password"
            file.touch(0o600)
            file.write_text(secrets.token_hex() + "\n", "ascii")
        password = read_secret_file("--password-file", file)
        names = ("vtn", *(jid.partition("@")[0] for jid in vens.values()))
        users = dict.fromkeys(names, password)
        server = stack.enter_context(ProsodyServer(users, host=_HOST, port=args.port or 0))
        account = _Account(f"vtn@{_HOST}/oadr2", password, _LOOPBACK, server.port, None, vens)
        options = ("--server", _LOOPBACK, "--port", str(server.port), "--plaintext")
        secret = ("--password-file", str(file))
        to_vtn = ("--vtn-jid", account.jid)
        commands = tuple(
            shlex.join(
                ("oadr2", "xmpp", "--jid", jid, *secret, *options, "--ven-id", ven_id, *to_vtn)
            )
            for ven_id, jid in vens.items()
        )
        yield account, commands


def _vens(texts: Sequence[str]) -> dict[str, str]:
    """JIDs by venID, from ``[ID=]JID``; without an ID it is the user of the JID."""
    found = {}
    for text in texts:
        before, equals, after = text.partition("=")
        ven_id, jid = (before, after) if equals and "@" not in before else ("", text)
        user, at, domain = jid.partition("@")
        if not (user and at and domain):
            raise ConfigurationError(f"--ven-jid: {jid!r} is no JID such as ven-1@example.org")
        found[ven_id or user] = jid
    return found


def _posted_to(texts: Sequence[str]) -> dict[str, str]:
    """Addresses by venID, from ``[ID=]URL``; without an ID it is the address."""
    found = {}
    for text in texts:
        before, equals, after = text.partition("=")
        ven_id, url = (before, after) if equals and "/" not in before else (text, text)
        try:
            found[ven_id] = web_address(url)
        except argparse.ArgumentTypeError as error:
            raise ConfigurationError(f"--push {url}: {error}") from None
    return found


def _basic(args: argparse.Namespace) -> tuple[str, str] | None:
    path: Path | None = args.basic_password_file
    if args.basic is None and path is None:
        return None
    if args.basic is None or path is None:
        raise ConfigurationError("--basic and --basic-password-file go together")
    return args.basic, read_secret_file("--basic-password-file", path)
