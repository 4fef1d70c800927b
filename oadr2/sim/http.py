"""The simulated VTN on HTTP: an ASGI application, and a server that runs it in a thread.

HTTP status codes speak of the transport only; application errors travel in a 200 (facts.md 4.1).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import os
import re
import socket
import ssl
import threading
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

import uvicorn

from oadr2.errors import ConfigurationError, RemoteProtocolError, TransportError
from oadr2.model import Profile
from oadr2.sim.services import VtnServices
from oadr2.sim.vtn import SimulatedVtn

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Place: TypeAlias = tuple[Profile, str]
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

# facts.md 4.1; case matters.
PATHS: Final[dict[str, Place]] = {
    "/OpenADR2/Simple/EiEvent": ("2.0a", "EiEvent"),
    "/OpenADR2/Simple/2.0b/EiEvent": ("2.0b", "EiEvent"),
    "/OpenADR2/Simple/2.0b/EiRegisterParty": ("2.0b", "EiRegisterParty"),
    "/OpenADR2/Simple/2.0b/EiReport": ("2.0b", "EiReport"),
    "/OpenADR2/Simple/2.0b/EiOpt": ("2.0b", "EiOpt"),
    "/OpenADR2/Simple/2.0b/OadrPoll": ("2.0b", "OadrPoll"),
}
_XML: Final = b"application/xml"
_XML_TYPE = re.compile(rb"\s*application/xml\s*(;.*)?", re.IGNORECASE).fullmatch  # facts.md H53


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as a fault sees it. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """A wrong reply, for tests of a VEN. The VTN takes the message unless ``body`` is given.

    Attributes:
        status: the HTTP status.
        body: what is sent instead of the VTN's reply; None sends that.
        content_type: the Content-Type of the reply.
        headers: more headers, e.g. (("Retry-After", "3"),).
        stall: seconds to wait before replying.
        truncate: send only so many bytes of the body, then hang up.
    """

    status: int = 200
    body: bytes | None = None
    content_type: str = "application/xml"
    headers: tuple[tuple[str, str], ...] = ()
    stall: float = 0.0
    truncate: int | None = None


FaultSource: TypeAlias = Callable[[HttpRequest], Fault | None]


class _TurnedAwayError(Exception):
    """The request goes no further than its head."""

    def __init__(self, status: int, reason: str, *headers: tuple[bytes, bytes]) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        super().__init__(reason)


class VtnApp:
    """A :class:`SimulatedVtn` as an ASGI application.

    Args:
        prefix: path before ``/OpenADR2``, such as ``/vtn``.
        basic: (user, password) that HTTP Basic must bring, or None to let everybody in.
        fault: asked for each request; a :class:`Fault` it returns spoils the reply.
        max_size: bytes of a request beyond which the answer is 413.
        services: the services of 2.0b beside EiEvent; without them VENs ask for their events only.

    ``faults`` is a queue: each fault in it spoils one reply, before ``fault`` is asked.
    """

    def __init__(
        self,
        vtn: SimulatedVtn,
        *,
        prefix: str = "",
        basic: tuple[str, str] | None = None,
        fault: FaultSource | None = None,
        max_size: int = 1 << 20,
        services: VtnServices | None = None,
    ) -> None:
        prefix = prefix.rstrip("/")
        if prefix and not prefix.startswith("/"):
            raise ConfigurationError(f"prefix {prefix!r} does not begin with /")
        self.vtn = vtn
        self.services = services
        self.prefix = prefix
        self.faults: deque[Fault] = deque()
        self._fault = fault
        self._max_size = max_size
        self._paths = {
            prefix + path: place
            for path, place in PATHS.items()
            if place[0] in vtn.profiles and (place[1] == "EiEvent" or services is not None)
        }
        self._credentials: bytes | None = None
        if basic is not None:
            self._credentials = b"Basic " + base64.b64encode(":".join(basic).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the simulated VTN serves HTTP, not {scope['type']}")
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            place = self._check(scope["method"], scope["path"], headers)
            body = await self._read(receive)
        except _TurnedAwayError as refusal:
            # The body is not read to its end, so the connection cannot be used again.
            more = (*refusal.headers, (b"connection", b"close"))
            await _reply(send, refusal.status, refusal.reason.encode(), b"text/plain", more=more)
            return
        if self.faults or self._fault is not None:
            fault = self._next_fault(scope, headers, body)
            if fault is not None:
                await self._spoil(fault, place, body, send)
                return
        status, reply, content_type = self._handle(body, place)
        await _reply(send, status, reply, content_type)

    def _check(self, method: str, path: str, headers: dict[bytes, bytes]) -> Place:
        """The service asked for, when the request may go on to its body."""
        place = self._paths.get(path)
        if place is None:
            raise _TurnedAwayError(404, f"not found: EiEvent is at {self._event_paths()}")
        if method != "POST":
            raise _TurnedAwayError(405, f"{method} is not allowed, POST is", (b"allow", b"POST"))
        if self._credentials is not None and not hmac.compare_digest(
            headers.get(b"authorization", b""), self._credentials
        ):
            challenge = (b"www-authenticate", b'Basic realm="vtn"')
            raise _TurnedAwayError(401, "unauthorized", challenge)
        if not _XML_TYPE(headers.get(b"content-type", b"")):
            raise _TurnedAwayError(415, "Content-Type is not application/xml")
        length = headers.get(b"content-length")
        if length is None:
            raise _TurnedAwayError(411, "Content-Length is missing")
        if not length.isdigit() or int(length) > self._max_size:
            raise _TurnedAwayError(413, f"more than {self._max_size} bytes")
        return place

    def _event_paths(self) -> str:
        return " and ".join(path for path, place in self._paths.items() if place[1] == "EiEvent")

    async def _read(self, receive: Receive) -> bytes:
        """The whole body, as long as Content-Length said: the server sees to that."""
        body = b""
        while True:
            message = await receive()
            part: bytes = message.get("body", b"")
            body += part
            if not message.get("more_body", False):
                return body

    def _handle(self, body: bytes, place: Place) -> tuple[int, bytes, bytes]:
        profile, service = place
        try:
            if profile == "2.0b" and self.services is not None:
                return 200, self.services.handle(service, body), _XML
            return 200, self.vtn.handle(body, profile), _XML
        except RemoteProtocolError as error:
            return 400, str(error).encode(), b"text/plain"

    def _next_fault(self, scope: Scope, headers: dict[bytes, bytes], body: bytes) -> Fault | None:
        with contextlib.suppress(IndexError):
            return self.faults.popleft()
        if self._fault is None:
            return None
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        return self._fault(HttpRequest(scope["method"], scope["path"], names, body))

    async def _spoil(self, fault: Fault, place: Place, body: bytes, send: Send) -> None:
        reply = fault.body if fault.body is not None else self._handle(body, place)[1]
        if fault.stall:
            await asyncio.sleep(fault.stall)
        more = tuple((name.lower().encode(), value.encode()) for name, value in fault.headers)
        content_type = fault.content_type.encode()
        await _reply(send, fault.status, reply, content_type, more=more, truncate=fault.truncate)


async def _reply(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes,
    *,
    more: Headers = (),
    truncate: int | None = None,
) -> None:
    headers = [(b"content-length", b"%d" % len(body)), *more]
    if body:
        headers.append((b"content-type", content_type))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    cut = truncate is not None and truncate < len(body)
    # Returning with more promised makes the server hang up in the middle.
    await send({"type": "http.response.body", "body": body[:truncate], "more_body": cut})


class _Server(uvicorn.Server):
    """uvicorn, telling when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class VtnServer:
    """A :class:`SimulatedVtn` on a port, in a thread: ``with VtnServer(vtn) as server:``.

    Args:
        port: 0 takes a free one; ``port`` says which after the start.
        ssl_certfile, ssl_keyfile: PEM files of the server; with them it speaks HTTPS.
        ssl_keyfile_password: of the key, when it is encrypted.
        ssl_ca_certs: PEM file of the authorities that client certificates are checked against.
        client_certificates: "required" turns away clients without a valid certificate.
        prefix, basic, fault, services: see :class:`VtnApp`.

    Raises (at the start):
        TransportError: the port cannot be had.
        ConfigurationError: a certificate file cannot be used.
    """

    def __init__(
        self,
        vtn: SimulatedVtn,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl_certfile: str | os.PathLike[str] | None = None,
        ssl_keyfile: str | os.PathLike[str] | None = None,
        ssl_keyfile_password: str | None = None,
        ssl_ca_certs: str | os.PathLike[str] | None = None,
        client_certificates: Literal["none", "required"] = "none",
        prefix: str = "",
        basic: tuple[str, str] | None = None,
        fault: FaultSource | None = None,
        services: VtnServices | None = None,
    ) -> None:
        required = client_certificates == "required"
        if (required or ssl_ca_certs or ssl_keyfile) and not ssl_certfile:
            raise ConfigurationError("ssl_certfile is missing: HTTPS needs a server certificate")
        if required and not ssl_ca_certs:
            raise ConfigurationError("ssl_ca_certs is missing: it vouches for client certificates")
        if not 0 <= port <= 65535:
            raise ConfigurationError(f"port {port} is not between 0 and 65535")
        self.vtn = vtn
        self.app = VtnApp(vtn, prefix=prefix, basic=basic, fault=fault, services=services)
        self.host = host
        self.port = port
        self._config = uvicorn.Config(
            self.app,
            ssl_certfile=ssl_certfile,
            ssl_keyfile=ssl_keyfile,
            ssl_keyfile_password=ssl_keyfile_password,
            ssl_ca_certs=None if ssl_ca_certs is None else os.fspath(ssl_ca_certs),
            ssl_cert_reqs=ssl.CERT_REQUIRED if required else ssl.CERT_NONE,
            interface="asgi3",
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=120,  # VENs that poll every minute keep their connection
            timeout_graceful_shutdown=None,
        )
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base address a VEN is given: the prefix is in it, ``/OpenADR2`` is not."""
        scheme = "https" if self._config.is_ssl else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.app.prefix}"

    @property
    def faults(self) -> deque[Fault]:
        """The faults still to come, see :class:`VtnApp`."""
        return self.app.faults

    def start(self) -> None:
        """Listen and serve; returns when requests can come."""
        if self._thread is not None:
            raise RuntimeError("the server runs already")
        try:
            if not self._config.loaded:
                self._config.load()
        except OSError as error:  # ssl.SSLError is one
            raise ConfigurationError(
                f"cannot use certificate {self._config.ssl_certfile}: {error}"
            ) from error
        listener = _listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        server = _Server(self._config)
        thread = threading.Thread(
            target=server.run, args=([listener],), name="oadr2-vtn", daemon=True
        )
        self._server, self._thread = server, thread
        thread.start()
        while not server.listening.wait(0.05):
            if not thread.is_alive():
                listener.close()
                self._server = self._thread = None
                raise TransportError(f"the server on {self.host}:{self.port} did not start")

    def stop(self) -> None:
        """Stop serving; replies under way have half a second to be done."""
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(0.5)
        self._server.force_exit = True
        self._thread.join()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _listen(host: str, port: int) -> socket.socket:
    listener: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With the protocol named, for asyncio sets TCP_NODELAY only on sockets that say they are TCP;
        # without it every reply waits 40 ms for the acknowledgement of its head.
        listener = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        if listener is not None:
            listener.close()
        reason = error.strerror or error
        raise TransportError(f"cannot listen on port {port} of {host}: {reason}") from error
    return listener
