"""The VTN as a fleet sees it: its addresses, and the heads of all requests, made once."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

from oadr2.errors import ConfigurationError, one_line
from oadr2.http import service_url
from oadr2.model import Profile

# In the order of the engine's numbers (oadr2._core.fleet.Fleet.service).
SERVICES: Final = ("EiEvent", "OadrPoll", "EiRegisterParty", "EiReport", "EiOpt")
Address: TypeAlias = tuple[socket.AddressFamily, tuple[Any, ...]]

_FRESH: Final = 1.0  # seconds for which nobody asks the name server again


class Endpoint:
    """A VTN's base address, taken apart.

    Args:
        vtn_url: as for :class:`oadr2.poll.PollClient`; ``user:password@`` in it makes Basic auth.
        keep_alive: False asks the VTN to close the connection after each answer.

    Raises:
        ConfigurationError: it is not of the form ``http[s]://[user:password@]host[:port][/prefix]``.
    """

    def __init__(self, vtn_url: str, *, keep_alive: bool = True) -> None:
        base = service_url(vtn_url, "2.0a", "")
        try:
            given, parts = urlsplit(vtn_url.strip()), urlsplit(base)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"vtn_url: {one_line(str(error))}") from None
        self.secure = parts.scheme == "https"
        self.host = parts.hostname or ""
        self.port = port or (443 if self.secure else 80)
        self.authority = f"{parts.scheme}://{parts.netloc}"
        headers = [f"Host: {parts.netloc}", "Content-Type: application/xml"]
        if given.username is not None:
            secret = f"{unquote(given.username)}:{unquote(given.password or '')}"
            token = base64.b64encode(secret.encode()).decode("ascii")
            headers.append(f"Authorization: Basic {token}")
        if not keep_alive:
            headers.append("Connection: close")
        self._headers = "\r\n".join([*headers, "Content-Length: "])
        self._url = vtn_url

    def head(self, profile: Profile, service: str) -> bytes:
        """A request up to the number of its body's bytes, which follows with an empty line."""
        path = urlsplit(service_url(self._url, profile, service)).path
        return f"POST {path} HTTP/1.1\r\n{self._headers}".encode("ascii")

    def heads(self, profile: Profile) -> tuple[bytes, ...]:
        """Of all services, in the order of :data:`SERVICES`."""
        return tuple(self.head(profile, service) for service in SERVICES)


class Addresses:
    """What the VTN's name stands for, looked up once and again after a connection failed."""

    def __init__(self, host: str, port: int, family: socket.AddressFamily | None = None) -> None:
        self._host = host
        self._port = port
        self._family = family or socket.AF_UNSPEC
        self._found: list[Address] = []
        self._turn = 0
        self._looked_up = float("-inf")
        self._pending: asyncio.Task[None] | None = None

    async def next(self) -> Address:
        """The next address in turn.

        Raises:
            OSError: the name cannot be resolved (socket.gaierror), or not to this family.
        """
        if not self._found:
            await self._look_up()
        self._turn += 1
        return self._found[self._turn % len(self._found)]

    def distrust(self) -> None:
        """A connection failed: ask again, for a VTN may have moved; till then what is known serves."""
        now = asyncio.get_running_loop().time()
        if not is_address(self._host) and now >= self._looked_up + _FRESH:
            self._looked_up = now
            self._start()

    async def _look_up(self) -> None:
        task = self._pending
        if task is None or task.done():
            task = self._start()
        # Shielded: one connection that is given up does not take the others' answer with it.
        await asyncio.shield(task)

    def _start(self) -> asyncio.Task[None]:
        self._pending = asyncio.ensure_future(self._ask())
        # Nobody may be waiting; the exception is then of no use to anyone.
        self._pending.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._pending

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        self._looked_up = loop.time()
        found = await loop.getaddrinfo(
            self._host, self._port, family=self._family, type=socket.SOCK_STREAM
        )
        self._found = [(socket.AddressFamily(entry[0]), entry[4]) for entry in found]


def is_address(host: str) -> bool:
    """True for a numeric IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
