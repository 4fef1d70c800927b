"""HTTP push: :class:`PushApp`, an ASGI application that VTNs post their events to.

Whoever pushes is known by the certificate of the TLS connection. HTTP status codes speak of the
transport only; what is wrong with a message is said by an oadrResponse in a 200 (facts.md 4.1).
The events are answered over a connection of our own to the VTN (E55).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, TypeAlias, get_args
from xml.parsers import expat

from oadr2._core.encode import encode
from oadr2._core.objects import decode
from oadr2.answers import AnswerQueue, Sender
from oadr2.certificate import Certificate, normal_fingerprint, parse_certificate
from oadr2.errors import (
    RESPONSE_CODES,
    ConfigurationError,
    RemoteProtocolError,
    StoreError,
    one_line,
)
from oadr2.model import DistributeEvent, EiResponse, OptType, Profile, Response
from oadr2.ven import Action, Events, Ven

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Identify: TypeAlias = Callable[[Scope], Certificate | None]

_log = logging.getLogger("oadr2.push")

# facts.md 4.1; case matters.
PATHS: Final[dict[Profile, str]] = {
    "2.0a": "/OpenADR2/Simple/EiEvent",
    "2.0b": "/OpenADR2/Simple/2.0b/EiEvent",
}
_ROOTS: Final[dict[Profile, str]] = {"2.0a": "/OpenADR2/Simple/", "2.0b": "/OpenADR2/Simple/2.0b/"}
_XML_TYPE = re.compile(rb"\s*application/xml\s*(;.*)?", re.IGNORECASE).fullmatch  # facts.md H53
_NOT_RECOGNIZED: Final = 453
_INVALID_DATA: Final = 454


def certificate_of(scope: Scope) -> Certificate | None:
    """The client's certificate by the TLS extension of ASGI; None when it has shown none.

    :class:`oadr2.push_server.PushServer` provides the extension, and so do some ASGI servers.
    Behind a proxy that ends TLS a function of your own has to read what the proxy says.
    """
    tls = (scope.get("extensions") or {}).get("tls") or {}
    chain = list(tls.get("client_cert_chain") or ())
    return parse_certificate(chain[0].encode("ascii")) if chain else None


class KnownVtn:
    """One VTN that may push: how it is known. The base of what takes its messages.

    Args:
        profile: that it speaks.
        services: those of a VEN that it may push to.
        name: a common or DNS name in the VTN's certificate.
        fingerprint: of the VTN's certificate, of either profile, in any spelling (H09). Without
            name and fingerprint every certificate that the server lets in will do.
        plaintext: take pushes without certificate, and those only from this machine; for trials.

    Raises:
        ConfigurationError: the fingerprint is none, or plaintext is given with a name.
    """

    def __init__(
        self,
        profile: Profile,
        services: Iterable[str] = ("EiEvent",),
        *,
        name: str | None = None,
        fingerprint: str | None = None,
        plaintext: bool = False,
    ) -> None:
        if plaintext and (name is not None or fingerprint is not None):
            raise ConfigurationError(
                "plaintext: without TLS there is no certificate with a name or fingerprint"
            )
        self.profile: Profile = profile
        self.services = tuple(services)
        self._name = name
        self._fingerprint = None if fingerprint is None else normal_fingerprint(fingerprint)
        self._plaintext = plaintext

    def is_at(self, certificate: Certificate | None, scope: Scope) -> bool:
        """Whether it is this VTN that sent a request."""
        if certificate is None:
            return self._plaintext and _is_local(scope)
        if self._plaintext:
            return False
        return (self._name is None or certificate.has_name(self._name)) and (
            self._fingerprint is None or certificate.has_fingerprint(self._fingerprint)
        )

    @property
    def max_size(self) -> int:
        """Bytes of a message that are taken."""
        raise NotImplementedError

    def take(self, data: bytes, service: str) -> bytes:
        """Take what this VTN pushed to a service: the reply to it. What is owed beyond that is sent later.

        Raises:
            RemoteProtocolError: it is not well-formed XML; there is no message to reply to.
            StoreError: it could not be stored; nothing was changed.
        """
        raise NotImplementedError

    async def aclose(self) -> None:
        """Send nothing any more."""


class PushingVtn(KnownVtn):
    """A VTN that pushes events: whose events take its messages, where answers go.

    VTNs that are to be read differently (``VtnPolicy``) have a handler each. One that pushes single
    events rather than its whole list needs ``implied_cancel=False``.

    Args:
        handler: the events, an :class:`oadr2.event.EventHandler`; its profile is the path's.
        sender: the connection to the VTN, a :class:`oadr2.poll.PollClient` of the same handler.
        name, fingerprint, plaintext: how it is known; see :class:`KnownVtn`.
        on_heard: called when a list has been taken.
        answer_options: further arguments of :class:`oadr2.answers.AnswerQueue`.

    Raises:
        ConfigurationError: as for :class:`KnownVtn`.
    """

    def __init__(
        self,
        handler: Events,
        sender: Sender,
        *,
        name: str | None = None,
        fingerprint: str | None = None,
        plaintext: bool = False,
        on_heard: Callable[[], object] = lambda: None,
        **answer_options: Any,
    ) -> None:
        super().__init__(_profile(handler), name=name, fingerprint=fingerprint, plaintext=plaintext)
        self.handler = handler
        self.ven = Ven(handler)
        self._on_heard = on_heard
        self.answers = AnswerQueue(sender, wrap_20b=handler.policy.wrap_20b, **answer_options)

    @property
    def max_size(self) -> int:
        """Bytes of a message that are taken."""
        return self.handler.policy.limits.size

    async def aclose(self) -> None:
        """Stop sending answers."""
        await self.answers.aclose()

    def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event and have the VTN told (facts.md E06).

        Raises:
            LocalProtocolError: no such event is held, or the queue of answers is closed.
        """
        self.answers.put(self.ven.change_opt(event_id, opt_type, vtn_id))

    def take(self, data: bytes, service: str = "EiEvent") -> bytes:
        """Take what this VTN pushed: the oadrResponse to it. The answer is queued.

        A message that cannot be accepted changes nothing and is told so by the code (H34).

        Raises:
            RemoteProtocolError, StoreError: as for :class:`KnownVtn`.
        """
        try:
            message = decode(data, policy=self.handler.policy)
        except RemoteProtocolError as error:
            if not is_well_formed(data):
                raise
            return self._refuse(error.response_code, str(error), self.profile)
        if not isinstance(message, DistributeEvent):
            name = getattr(message, "name", f"oadr{type(message).__name__}")
            reason = f"{name} is not for this service of a VEN"
            return self._refuse(_NOT_RECOGNIZED, reason, self.profile)
        # A list of the other profile is taken, as over every transport (field-notes.md 6).
        request_id, profile = message.request_id, message.profile
        try:
            answer = self.handler.handle_payload(data)
        except RemoteProtocolError as error:
            return self._refuse(error.response_code, str(error), profile, request_id)
        self.answers.list_taken()
        try:
            self._on_heard()
        except Exception:  # the caller's code; its fault must not keep the answer from the VTN
            _log.exception("on_heard raised")
        # Before the reply is written: a VTN that hangs up on it is owed the answer all the same.
        if answer is not None:
            self.answers.put(Action("EiEvent", answer))
        return self._response(200, RESPONSE_CODES[200], profile, request_id)

    def _refuse(self, code: int, reason: str, profile: Profile, request_id: str = "") -> bytes:
        _log.warning("a push is refused with code %d: %s", code, one_line(reason, 1000))
        # The code may be one that the message itself carried; ours says whose fault it is.
        code = code if 400 <= code <= 499 else _INVALID_DATA
        return self._response(code, one_line(reason), profile, request_id)

    def _response(self, code: int, description: str, profile: Profile, request_id: str) -> bytes:
        ven_id = self.handler.ven_id if profile == "2.0b" else None
        response = Response(EiResponse(code, description, request_id), ven_id, profile)
        return encode(response, wrap=self.handler.policy.wrap_20b)


class PushApp:
    """An ASGI application that takes pushed events; any ASGI server can mount it.

    The event handlers and their callbacks run on the server's event loop.

    Args:
        vtns: who may push. The first one that a request fits takes it, so put those with a name or
            fingerprint before one without.
        prefix: path before ``/OpenADR2``, such as ``/ven``; not the one a framework mounts it
            under, which it strips itself.
        identify: the certificate of whoever sent a request, or None.
        max_size: bytes of a request beyond which the answer is 413; None takes the smallest of the
            handlers' policies.
        read_timeout: seconds for a whole request body.

    Raises:
        ConfigurationError: an argument is of the wrong kind; the message names it.
    """

    def __init__(
        self,
        vtns: KnownVtn | Iterable[KnownVtn],
        *,
        prefix: str = "",
        identify: Identify = certificate_of,
        max_size: int | None = None,
        read_timeout: float = 10.0,
    ) -> None:
        self.vtns = (vtns,) if isinstance(vtns, KnownVtn) else tuple(vtns)
        if not self.vtns:
            raise ConfigurationError("vtns: none is given, so nobody could push")
        prefix = prefix.rstrip("/")
        if prefix and not prefix.startswith("/"):
            raise ConfigurationError(f"prefix: {prefix!r} does not begin with /")
        if max_size is None:
            max_size = min(vtn.max_size for vtn in self.vtns)
        if max_size < 1:
            raise ConfigurationError(f"max_size: {max_size} is not positive")
        self._identify = identify
        self._max_size = max_size
        self._read_timeout = read_timeout
        self._places: dict[str, tuple[Profile, str]] = {
            f"{prefix}{_ROOTS[vtn.profile]}{service}": (vtn.profile, service)
            for vtn in self.vtns
            for service in vtn.services
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"a VEN serves HTTP, not {scope['type']}")
        try:
            vtn, service = self._vtn_of(scope)
            body = await self._read(receive)
            if body is None:
                return  # the VTN has hung up
            reply = _take(vtn, body, service)
        except _TurnedAwayError as refusal:
            _log.warning("a push from %s: %s", _address(scope), refusal.reason)
            # The body may not be read to its end, so the connection cannot be used again.
            more = (*refusal.headers, (b"connection", b"close"))
            await _reply(send, refusal.status, refusal.reason.encode(), b"text/plain", more)
            return
        await _reply(send, 200, reply, b"application/xml")

    async def aclose(self) -> None:
        """Stop sending answers. The handlers and senders are the caller's to close."""
        for vtn in self.vtns:
            await vtn.aclose()

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return

    def _vtn_of(self, scope: Scope) -> tuple[KnownVtn, str]:
        """Who sends the request, when its head is right and it may go on to its body."""
        try:
            certificate = self._identify(scope)
        except ConfigurationError as error:
            raise _TurnedAwayError(403, f"client certificate: {error}") from None
        known = [vtn for vtn in self.vtns if vtn.is_at(certificate, scope)]
        if not known:
            whose = "no client certificate" if certificate is None else certificate.subject_text
            raise _TurnedAwayError(403, f"not a VTN of this VEN: {one_line(whose)}")
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        profile, service = self._places.get(path, (None, ""))
        fitting = (vtn for vtn in known if vtn.profile == profile and service in vtn.services)
        vtn = next(fitting, None)
        if vtn is None:
            raise _TurnedAwayError(404, f"not found; served: {' '.join(self._places)}")
        method = scope["method"]
        if method != "POST":
            raise _TurnedAwayError(405, f"{method} is not allowed, POST is", (b"allow", b"POST"))
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if not _XML_TYPE(headers.get(b"content-type", b"")):
            raise _TurnedAwayError(415, "Content-Type is not application/xml")
        if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            raise _TurnedAwayError(415, "Content-Encoding is not taken")
        length = headers.get(b"content-length")
        if length is None or b"transfer-encoding" in headers:  # H53: always a known length
            raise _TurnedAwayError(411, "Content-Length is missing")
        if not length.isdigit():
            raise _TurnedAwayError(400, "Content-Length is no number")
        if len(length) > 18 or int(length) > self._max_size:
            raise _TurnedAwayError(413, f"more than {self._max_size} bytes")
        return vtn, service

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body; None when the client went away before its end."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._read_timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > self._max_size:  # a server that lets more in than was announced
                        raise _TurnedAwayError(413, f"more than {self._max_size} bytes")
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            reason = f"the body did not come within {self._read_timeout:g} s"
            raise _TurnedAwayError(408, reason) from None


class _TurnedAwayError(Exception):
    """The request is answered by an HTTP status."""

    def __init__(self, status: int, reason: str, *headers: tuple[bytes, bytes]) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        super().__init__(reason)


def _take(vtn: KnownVtn, body: bytes, service: str) -> bytes:
    try:
        return vtn.take(body, service)
    except RemoteProtocolError as error:
        raise _TurnedAwayError(400, one_line(str(error))) from None
    except StoreError as error:
        _log.error("a push could not be stored: %s", error)
        raise _TurnedAwayError(503, "it cannot be stored now; push it again") from None


async def _reply(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes,
    more: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _profile(handler: Events) -> Profile:
    level = handler.oadr_profile_level
    for profile in get_args(Profile):
        if profile == level:
            return profile  # type: ignore[no-any-return]  # of the Literal's own members
    raise ConfigurationError(f"oadr_profile_level: {level!r} has no push service")


def _is_local(scope: Scope) -> bool:
    try:
        return ipaddress.ip_address((scope.get("client") or ("",))[0]).is_loopback
    except ValueError:  # a name, or a Unix socket, of which nothing is known
        return False


def _address(scope: Scope) -> str:
    return one_line(str((scope.get("client") or ("an unknown address",))[0]))


def is_well_formed(data: bytes) -> bool:
    """Whether what the decoder refused is XML at all. A document type counts as no."""
    parser = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_: object) -> None:
        raise expat.ExpatError("document type")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError):  # also unknown and multi-byte encodings
        return False
    return True
