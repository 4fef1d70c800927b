"""Which connection a VEN's message takes: one for each VEN, a pool for all, or a new one each poll.

Connections are opened when a message first wants one. Neither a task nor a timer stands for a VEN: a
task lives as long as a connection is being opened, and one wheel watches all deadlines.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from oadr2.errors import ConfigurationError, one_line
from oadr2.fleet.certificates import ClientContexts
from oadr2.fleet.deadlines import Deadlines
from oadr2.fleet.endpoint import Addresses, Endpoint
from oadr2.fleet.http import CLOSED, TIMEOUT, Connection, Owner
from oadr2.fleet.scenario import MAX_OPENING, ConnectionPlan

DNS: Final = "dns"
CONNECT: Final = "connect"
TLS: Final = "tls"

# Linux: the port is chosen when connecting, so that one address serves each VTN with all of its ports.
_IP_BIND_ADDRESS_NO_PORT: Final = 24

#: The number of a VEN in its ids, and its venID.
VenName = Callable[[int], tuple[int, str]]


class ConnectionsOwner(Owner, Protocol):
    """Who is told of connections and of what happens on them."""

    def ready(self, connection: Connection) -> None:
        """A connection is open for ``connection.row``, which asked for it."""

    def unreachable(self, row: int, error_class: str, message: str) -> None:
        """No connection for this row: dns, connect, tls or timeout."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What every plan is made with.

    Attributes:
        owner: who is told.
        endpoint: the VTN.
        deadlines: the wheel that everything is watched by.
        ven_name: whose client certificate is wanted.
        contexts: TLS contexts; without meaning for http.
        source_addresses: local addresses to connect from in turn.
        connect_timeout: seconds for TCP and TLS together.
    """

    owner: ConnectionsOwner
    endpoint: Endpoint
    deadlines: Deadlines[Connection]
    ven_name: VenName
    contexts: ClientContexts
    source_addresses: tuple[str, ...] = ()
    connect_timeout: float = 5.0


class Connections:
    """What the three plans have in common: opening, counting, closing. For a running event loop.

    ``opening`` says how many connections are being opened; ``shared``, whether one may serve any row.
    """

    shared = False

    def __init__(self, wiring: Wiring) -> None:
        self._owner = wiring.owner
        self._endpoint = wiring.endpoint
        self._deadlines = wiring.deadlines
        self._ven_name = wiring.ven_name
        self._contexts = wiring.contexts if wiring.endpoint.secure else None
        self._sources = wiring.source_addresses
        self._connect_timeout = wiring.connect_timeout
        self._loop = asyncio.get_running_loop()
        self._addresses = Addresses(
            self._endpoint.host, self._endpoint.port, _family(self._sources)
        )
        self._turn = 0
        self._tasks: dict[Connection, asyncio.Task[None]] = {}
        self._made: dict[Connection, ssl.SSLContext | None] = {}
        self.opening = 0

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._made)

    def room(self) -> int:
        """For how many more rows :meth:`take` may be called now."""
        return MAX_OPENING - self.opening

    def take(self, row: int) -> Connection | None:
        """An open connection for this row, or None: the owner is told when there is one."""
        raise NotImplementedError

    def release(self, connection: Connection) -> None:
        """The row has no more to send for now."""
        raise NotImplementedError

    def closed(self, connection: Connection) -> None:
        """The owner passes on what it was told."""
        self._made.pop(connection, None)

    def expired(self, connection: Connection) -> None:
        """Its deadline passed: end what it was doing; the owner is told."""
        task = self._tasks.get(connection)
        if task is None:
            connection.give_up(TIMEOUT, "no complete answer in time")
        else:
            connection.expired = True
            task.cancel()

    async def close(self) -> None:
        """Abort what is being opened and close what is open; return when all is closed."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        for connection in self._made:
            connection.close()
        for _ in range(100):  # a TLS peer may never say goodbye
            if not self._made:
                return
            await asyncio.sleep(0.002)
        for connection in tuple(self._made):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)

    def _begin(self, row: int) -> None:
        connection = Connection(self._owner, row)
        connection.busy = True  # until it is open, for the wheel
        self._deadlines.watch(connection, self._loop.time() + self._connect_timeout)
        self.opening += 1
        self._tasks[connection] = self._loop.create_task(self._connect(connection))

    async def _connect(self, connection: Connection) -> None:
        try:
            trouble = await self._try(connection)
        except asyncio.CancelledError:
            if not connection.expired:
                raise
            trouble = (TIMEOUT, f"no connection within {self._connect_timeout:g} s")
        finally:
            self.opening -= 1
            connection.busy = False
            del self._tasks[connection]
        if trouble is None:
            self._opened(connection)
            self._owner.ready(connection)
        else:
            self._not_opened(connection)
            self._addresses.distrust()
            self._owner.unreachable(connection.row, *trouble)

    def _opened(self, connection: Connection) -> None:
        """For the plans: a connection more."""

    def _not_opened(self, connection: Connection) -> None:
        """For the plans: no connection for this row."""

    async def _try(self, connection: Connection) -> tuple[str, str] | None:
        """None, or class and message of what was in the way."""
        host = f"{self._endpoint.host}:{self._endpoint.port}"
        try:
            family, address = await self._addresses.next()
        except OSError as error:
            return DNS, f"{self._endpoint.host}: {_reason(error)}"
        try:
            plain = await self._tcp(family, address)
        except OSError as error:
            return CONNECT, f"{host}: {_reason(error)}"
        context = None
        try:
            if self._contexts is not None:
                context = self._contexts.context(*self._ven_name(connection.row))
            await self._loop.create_connection(
                lambda: connection,
                sock=plain,
                ssl=context,
                server_hostname=None if context is None else self._endpoint.host,
            )
        except ConfigurationError as error:
            plain.close()
            return TLS, str(error)
        except OSError as error:  # ssl.SSLError is one
            plain.close()
            return (CONNECT if context is None else TLS), f"{host}: {_reason(error)}"
        except asyncio.CancelledError:
            plain.close()
            raise
        if connection.transport is None:
            return CLOSED, f"{host}: the VTN hung up at once"
        self._made[connection] = context
        return None

    async def _tcp(self, family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
        plain = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            plain.setblocking(False)
            if self._sources:
                self._turn += 1
                plain.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
                source = self._sources[self._turn % len(self._sources)]
                try:
                    plain.bind((source, 0))
                except OSError as error:
                    raise OSError(0, f"from {source}: {_reason(error)}") from None
            await self._loop.sock_connect(plain, address)
        except BaseException:
            plain.close()
            raise
        return plain

    def _keep_session(self, connection: Connection) -> None:
        if self._contexts is not None and connection.transport is not None:
            self._contexts.keep_session(
                self._made.get(connection), connection.transport.get_extra_info("ssl_object")
            )


class PerVen(Connections):
    """Each VEN has a connection and keeps it."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._of_row: dict[int, Connection] = {}

    def take(self, row: int) -> Connection | None:
        """The row's own, if it is open still."""
        connection = self._of_row.get(row)
        if connection is not None and connection.reusable:
            return connection
        self._begin(row)
        return None

    def release(self, connection: Connection) -> None:
        """Keep it, unless the VTN does not."""
        if connection.answers == 1:
            self._keep_session(connection)
        if not connection.reusable:
            connection.close()

    def closed(self, connection: Connection) -> None:
        """Forget it."""
        super().closed(connection)
        if self._of_row.get(connection.row) is connection:
            del self._of_row[connection.row]

    def _opened(self, connection: Connection) -> None:
        self._of_row[connection.row] = connection


class Pool(Connections):
    """All VENs share some connections; the one used last is taken first."""

    shared = True

    def __init__(self, wiring: Wiring, size: int) -> None:
        super().__init__(wiring)
        self._size = size
        self._idle: dict[Connection, None] = {}

    def room(self) -> int:
        """Idle connections and those that may still be opened."""
        more = min(self._size - self.opening - len(self._made), MAX_OPENING - self.opening)
        return len(self._idle) + max(0, more)

    def take(self, row: int) -> Connection | None:
        """An idle one, or a new one."""
        if self._idle:
            connection = self._idle.popitem()[0]
            connection.row = row
            return connection
        self._begin(row)
        return None

    def release(self, connection: Connection) -> None:
        """Back to the idle ones."""
        if connection.answers == 1:
            self._keep_session(connection)
        if connection.reusable:
            self._idle[connection] = None
        else:
            connection.close()

    def closed(self, connection: Connection) -> None:
        """Make room for another."""
        super().closed(connection)
        self._idle.pop(connection, None)


class PerPoll(Connections):
    """Each poll has a new connection, for one exchange or two."""

    def take(self, row: int) -> Connection | None:
        """Always a new one."""
        self._begin(row)
        return None

    def release(self, connection: Connection) -> None:
        """Close it."""
        self._keep_session(connection)
        connection.close()


def make_connections(plan: ConnectionPlan, wiring: Wiring, size: int) -> Connections:
    """The plan's connections; ``size`` of a pool is this process's part of ``plan.size``."""
    if plan.kind == "per-ven":
        return PerVen(wiring)
    if plan.kind == "pool":
        return Pool(wiring, size)
    return PerPoll(wiring)


def _family(sources: tuple[str, ...]) -> socket.AddressFamily | None:
    """The family of the source addresses; a VTN is reached by the same."""
    if not sources:
        return None
    families = {socket.AF_INET6 if ":" in source else socket.AF_INET for source in sources}
    if len(families) > 1:
        raise ConfigurationError("source_addresses: IPv4 and IPv6 cannot be mixed")
    return families.pop()


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return one_line(error.verify_message)
    if isinstance(error, ssl.SSLError | socket.gaierror) or not error.errno:
        reason = getattr(error, "reason", None) or error.strerror
    else:
        reason = os.strerror(error.errno)  # asyncio writes a text of its own
    return one_line(str(reason or error or type(error).__name__))
