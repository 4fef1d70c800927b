"""A :class:`oadr2.push_app.PushApp` on a port, under uvicorn.

uvicorn checks client certificates but does not tell the application whose they are; here it does,
by the TLS extension of ASGI.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from oadr2.errors import ConfigurationError, TransportError
from oadr2.push_app import Receive, Scope, Send

AsgiApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEAD_SIZE: Final = 16384  # bytes of a request's head
_HEAD_PATIENCE = 10.0  # seconds for the whole head of a request
_GRACE: Final = 1  # seconds that replies under way have when the server stops
_GOOD_BYE: Final = 0.2  # seconds for a client to close its side of an idle TLS connection


class _TlsProtocol(H11Protocol):
    """HTTP/1.1, with the client's certificate in the scope of each request.

    A connection that brings no whole head in time is closed: uvicorn would keep it for ever, of a
    client that died as well, and with enough of those nobody could push any more.
    """

    _head_due: asyncio.TimerHandle | None = None
    _is_tls = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # it is one
        self._expect_head()
        connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if connection is not None:
            self._is_tls = True
            der = connection.getpeercert(binary_form=True)
            chain = [] if der is None else [ssl.DER_cert_to_PEM_cert(der)]
            self.app = _with_tls(self.app, {"client_cert_chain": chain})

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_head()  # it is here; for its body there is a limit of the application
        elif self._head_due is None and not self.transport.is_closing():
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(_HEAD_PATIENCE, self._give_up)

    def _forget_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _give_up(self) -> None:
        self._head_due = None
        self.timeout_keep_alive_handler()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._hurry()

    def shutdown(self) -> None:
        if not self.transport.is_closing():  # closed twice, one of TLS can neither tell nor abort
            super().shutdown()
        self._hurry()

    def _hurry(self) -> None:
        # asyncio waits half a minute for the other side of TLS, which may not even be reading.
        if self._is_tls and self.transport.is_closing():
            self.loop.call_later(_GOOD_BYE, self.transport.abort)


def _with_tls(
    app: Callable[[Any, Any, Any], Awaitable[None]], tls: MutableMapping[str, Any]
) -> AsgiApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = {**scope.get("extensions", {}), "tls": tls}
        await app({**scope, "extensions": extensions}, receive, send)

    return call


class _Server(uvicorn.Server):
    """uvicorn, which leaves the signals to the program and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class PushServer:
    """Serves a :class:`oadr2.push_app.PushApp` until closed: ``async with PushServer(app) as server:``.

    Args:
        app: the application, or one of yours that it is mounted in.
        host, port: where to listen; port 0 takes a free one, and ``port`` says which.
        ssl_context: from :func:`oadr2.security.server_context`; without one it is plain HTTP, which
            is served on loopback only.
        max_connections: more than these at once are answered with 503.

    Raises:
        ConfigurationError: no such port; on entering: plain HTTP elsewhere than on loopback.
        TransportError: on entering; the port cannot be had.
    """

    def __init__(
        self,
        app: AsgiApp,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 100,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ConfigurationError(f"port {port} is not between 0 and 65535")
        self.app = app
        self.host = host
        self.port = port
        self._ssl_context = ssl_context
        self._config = uvicorn.Config(
            app,
            http=_TlsProtocol,
            interface="asgi3",
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=max_connections,
            h11_max_incomplete_event_size=_HEAD_SIZE,
            timeout_graceful_shutdown=_GRACE,
        )
        self._listener: socket.socket | None = None
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The base address for VTNs; ``/OpenADR2`` is not in it."""
        scheme = "http" if self._ssl_context is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    def bind(self) -> None:
        """Take the port; requests wait until :meth:`start`. A second call does nothing.

        Raises:
            TransportError: the port cannot be had.
            ConfigurationError: plain HTTP elsewhere than on loopback.
        """
        if self._listener is None:
            self._listener = _listen(self.host, self.port, self._ssl_context is not None)
            self.port = self._listener.getsockname()[1]

    async def start(self) -> None:
        """Listen and serve; returns when requests can come. Raises as :meth:`bind`.

        A second call before :meth:`aclose` does nothing.
        """
        if self._serving is not None:
            return
        self.bind()
        listener = self._listener
        assert listener is not None  # noqa: S101 - for the type checker
        if not self._config.loaded:
            self._config.load()
        self._config.ssl = self._ssl_context
        self._server = server = _Server(self._config)
        self._serving = asyncio.create_task(server.serve([listener]))
        waiting = asyncio.create_task(server.listening.wait())
        await asyncio.wait((self._serving, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._serving.done():
            self._server = self._serving = None
            self._close_listener()
            raise TransportError(f"the server on {self.host}:{self.port} did not start")

    async def aclose(self) -> None:
        """Stop listening; replies under way have a second to be done."""
        server, serving = self._server, self._serving
        if server is not None and serving is not None:
            server.should_exit = True
            await asyncio.wait((serving,))
            if serving.cancelled():  # with everything else on its loop, so it closed nothing
                for connection in list(server.server_state.connections):
                    connection.shutdown()
                for _ in range(3):  # asyncio closes sockets in its next rounds
                    await asyncio.sleep(0)
            self._server = self._serving = None
        self._close_listener()

    def close(self) -> None:
        """Give up the port, of a server that was never started."""
        if self._server is None:
            self._close_listener()

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _listen(host: str, port: int, secured: bool) -> socket.socket:
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if not secured and address[0] not in ("127.0.0.1", "::1"):
            raise ConfigurationError(
                f"{host} is not this machine's own address (127.0.0.1 or ::1): plain HTTP is not"
                " served to others; give a certificate"
            )
        # With the protocol named, or asyncio does not set TCP_NODELAY on the connections.
        listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, UnicodeError) as error:
        if listener is not None:
            listener.close()
        reason = getattr(error, "strerror", None) or error
        raise TransportError(f"cannot listen on port {port} of {host}: {reason}") from error
    return listener
