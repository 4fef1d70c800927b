"""Where the XMPP server is, and who we are there: the arguments about it, read and checked."""

from __future__ import annotations

import functools
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from slixmpp import JID, InvalidJID

from oadr2.errors import ConfigurationError, one_line
from oadr2.security import client_context


def parse_jid(name: str, value: object) -> JID:
    """The JID written in the argument ``name``.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        parsed = JID(value) if isinstance(value, str) else None
    except InvalidJID:
        parsed = None
    if parsed is None or not parsed.domain:
        raise ConfigurationError(
            f"{name}: {one_line(repr(value))} is no JID such as ven@example.org"
        )
    return parsed


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine by its very name."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach the server and who to be there.

    Attributes:
        jid: with or without a resource.
        password: for SCRAM; None leaves EXTERNAL, by the client certificate of ``ssl_context``.
        host: of the server; None asks the DNS for the servers of the JID's domain.
        ssl_context: for STARTTLS.
        plaintext: no TLS at all, to a loopback address.
    """

    jid: JID
    password: str | None
    host: str | None
    port: int
    ssl_context: ssl.SSLContext
    plaintext: bool = False

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}" if self.host else f"the server of {self.jid.domain}"


def server_of(  # noqa: PLR0917 - as the constructor has them
    jid: str,
    password: str | None,
    server: str | None,
    port: int,
    ssl_context: ssl.SSLContext | None,
    plaintext: bool,
) -> Server:
    """The server by the arguments of :class:`oadr2.xmpp.XmppClient`, checked against each other.

    Raises:
        ConfigurationError: one is wrong, or two do not fit; the message names them.
    """
    own = parse_jid("jid", jid)
    if not own.user:
        raise ConfigurationError(f"jid: {own} has no user; it is to be like ven@{own.domain}")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise ConfigurationError(f"port: {one_line(repr(port))} is not between 1 and 65535")
    host = server.strip("[]") if server else None
    if plaintext:
        if not is_loopback(host or own.domain):
            raise ConfigurationError(
                f"plaintext: {host or own.domain} is not this machine; elsewhere TLS is needed"
            )
        if ssl_context is not None:
            raise ConfigurationError("plaintext: given together with ssl_context; pass one")
        if password is None:
            raise ConfigurationError("password: missing; plaintext has no client certificate")
        return Server(own, password, host or own.domain, port, _unused_context(), plaintext=True)
    return Server(own, password, host, port, ssl_context or client_context())


@functools.cache
def _unused_context() -> ssl.SSLContext:
    """Trusts nobody. Without one slixmpp would load all the CAs of the system, which takes 0.1 s."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def port_of(value: int | str) -> int:
    """A port as it may stand in a configuration file; what is none is left for the client to refuse."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value  # type: ignore[return-value]


def parse_jids(name: str, value: str | Iterable[str] | None) -> tuple[JID, ...]:
    """The JIDs of an argument that may be none, one or several; raises as :func:`parse_jid`."""
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else list(value)
    return tuple(parse_jid(name, text) for text in texts)
