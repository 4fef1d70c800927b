"""A :class:`SimulatedVtn` on XMPP: it joins a server as a client and pushes its events (facts.md 4.4).

Written without the VEN's own XMPP code, so that one cannot hide the other's mistakes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar
from xml.etree import ElementTree

from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.stanza import Iq
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher.base import MatcherBase
from slixmpp.xmlstream.stanzabase import StanzaBase

from oadr2.errors import RemoteProtocolError, TransportError, one_line
from oadr2.model import Profile
from oadr2.sim.services import RegisteredVen, VtnServices
from oadr2.sim.vtn import SimulatedVtn

_log = logging.getLogger("oadr2.sim.xmpp")
_Result = TypeVar("_Result")

_PROFILES: Final[Mapping[str, Profile]] = {
    "{http://openadr.org/oadr-2.0a/2012/07}": "2.0a",
    "{http://openadr.org/oadr-2.0b/2012/07}": "2.0b",
}
# Seconds from a lost connection to the next try, doubled up to the longest while there is none.
_RECONNECT: Final = 0.2
_RECONNECT_MAX: Final = 5.0


class XmppVtn:
    """Serves a VTN's EiEvent service over XMPP, and pushes to the VENs it is given.

    A VEN is told by :meth:`push` when something changed; what it misses it asks for itself.

    Args:
        vtn: the events and the answers.
        jid, password: who the VTN is; with a resource, so that VENs can be given its full JID. With
            password None the client certificate of ``ssl_context`` says who it is (SASL EXTERNAL).
        vens: the JID of each VEN by its venID. A bare JID is reached once the VEN has been seen.
        server, port: where the server is.
        profile: of what is pushed to a VEN that has not asked yet; the others get that of their request.
        ssl_context: for STARTTLS; None talks in plain text.
        reply_timeout: seconds for a VEN to answer a push.
        services: the services of 2.0b beside EiEvent; for what they push see :meth:`deliver`.

    Attributes:
        on_trouble: called on its own thread with the reason, in words, when the server cannot be
            joined or was lost.
    """

    def __init__(
        self,
        vtn: SimulatedVtn,
        jid: str,
        password: str | None,
        vens: Mapping[str, str],
        *,
        server: str = "127.0.0.1",
        port: int = 5222,
        profile: Profile = "2.0a",
        ssl_context: ssl.SSLContext | None = None,
        reply_timeout: float = 10.0,
        services: VtnServices | None = None,
    ) -> None:
        self.vtn = vtn
        self.jid = jid
        self.profile = profile
        self._services = services
        self._password = password
        self._vens = {ven_id: JID(ven_jid) for ven_id, ven_jid in vens.items()}
        self._known = {ven.bare for ven in self._vens.values()}
        self._address = server, port
        self._ssl_context = ssl_context
        self._reply_timeout = reply_timeout
        self.on_trouble: Callable[[str], object] | None = None
        self._trouble = "no answer"
        self._refused = threading.Event()  # the credentials; another try would fare no better
        self._profiles: dict[str, Profile] = {}  # in which each VEN asks, by its bare JID
        self._seen: dict[str, JID] = {}
        self._client: _Client | None = None
        self._online = threading.Event()
        self._joined = False  # ever
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None

    def start(self, timeout: float = 30.0) -> None:
        """Join the server; returns when it is there.

        Raises:
            TransportError: it could not within ``timeout`` seconds, or was refused; says why.
        """
        if self._thread is not None:
            raise RuntimeError("the VTN runs already")
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(ready,), name="oadr2-xmpp-vtn", daemon=True
        )
        self._thread.start()
        ready.wait()
        give_up = time.monotonic() + timeout
        while not self.wait_online(0.05):
            if self._refused.is_set() or time.monotonic() > give_up:
                self.stop()
                host, port = self._address
                raise TransportError(f"{self.jid} cannot join {host}:{port}: {self._trouble}")

    def stop(self) -> None:
        """Leave."""
        loop, main, thread = self._loop, self._main, self._thread
        if loop is None or main is None or thread is None:
            return
        loop.call_soon_threadsafe(main.cancel)
        thread.join()
        self._loop = self._main = self._thread = None

    def wait_online(self, timeout: float = 30.0) -> bool:
        """Wait until it is on the server; False after ``timeout`` seconds."""
        return self._online.wait(timeout)

    def push(self, ven_ids: Iterable[str] | None = None) -> dict[str, str]:
        """Send VENs their list of events, all of them by default; wait for their IQ results.

        Returns:
            What became of it by venID: "" when it was taken, otherwise why not. Nothing is tried
            again: a VEN that was away asks when it is back.
        """
        chosen = list(self._vens if ven_ids is None else ven_ids)

        async def push_all() -> dict[str, str]:
            outcomes = await asyncio.gather(*map(self._push, chosen))
            return dict(zip(chosen, outcomes, strict=True))

        return self._call(push_all())

    def deliver(self, ven: RegisteredVen, _service: str, payload: bytes) -> bytes:
        """Send a message to a VEN that has registered with its JID; the payload of the result.

        Raises:
            TransportError: it is not there, or answered with an error.
        """

        async def send() -> bytes:
            address = JID(ven.transport_address or "")
            to = address if address.resource else self._seen.get(address.bare)
            if to is None:
                raise TransportError(f"{address} is not there")
            kind, problem, reply = await self._send_and_read(to, payload, "set", None)
            if kind != "result":
                raise TransportError(f"{to}: {problem}")
            return reply

        return self._call(send())

    def send(
        self,
        to: str,
        payload: bytes,
        kind: Literal["get", "set"] = "set",
        identity: str | None = None,
    ) -> tuple[str, str]:
        """Send any payload in an IQ and wait; the type of the answer, then its id or error.

        For tests of what a VEN makes of odd stanzas.
        """
        return self._call(self._send(JID(to), payload, kind, identity))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # On its own thread.

    def _call(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        if self._loop is None:
            work.close()
            raise RuntimeError("the VTN does not run")
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except concurrent.futures.CancelledError:
            raise TransportError("the VTN was stopped") from None

    def _serve(self, ready: threading.Event) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._run(ready))

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = asyncio.current_task()
        ready.set()
        delay = _RECONNECT
        while True:
            client = _Client(self.jid, self._password, self._ssl_context, self._take)
            client.add_event_handler("session_start", self._arrived)
            client.add_event_handler("presence_available", self._note_presence)
            try:
                self._client = client
                await client.stay(*self._address)
            finally:
                was_online = self._online.is_set()
                self._client = None
                self._online.clear()
                self._seen.clear()
                await client.leave()
            self._trouble = client.trouble or "the connection was lost"
            if client.refused:
                self._refused.set()
            # A first login that is refused ends start(), which says so.
            if self.on_trouble is not None and (self._joined or not client.refused):
                self.on_trouble(self._trouble)
            delay = _RECONNECT if was_online else min(2 * delay, _RECONNECT_MAX)
            await asyncio.sleep(delay)

    def _arrived(self, _event: object) -> None:
        assert self._client is not None  # noqa: S101 - for the type checker
        self._joined = True
        self._client.send_presence()
        for ven in self._vens.values():
            self._client.send_presence(pto=JID(ven.bare))
        self._online.set()

    def _note_presence(self, presence: Any) -> None:
        """A VEN arrived: now its resource is known. Show it ours, once."""
        sender = presence["from"]
        if (
            sender.bare in self._known
            and self._client is not None
            and self._seen.get(sender.bare) != sender
        ):
            self._seen[sender.bare] = sender
            self._client.send_presence(pto=sender)

    def _take(self, iq: Iq) -> bytes:
        """The reply to a request."""
        child = iq.xml[0]
        profile = _PROFILES[child.tag.partition("}")[0] + "}"]
        sender = iq["from"].bare
        self._seen[sender], self._profiles[sender] = iq["from"], profile
        if profile == "2.0b" and self._services is not None:
            return self._services.handle(None, _document(child))
        return self.vtn.handle(_document(child), profile)

    async def _push(self, ven_id: str) -> str:
        ven = self._vens[ven_id]
        to = ven if ven.resource else self._seen.get(ven.bare)
        if to is None:
            return f"{ven.bare} is not there; it asks when it comes"
        profile = self._profiles.get(ven.bare, self.profile)
        kind, problem = await self._send(to, self.vtn.list_for(ven_id, profile), "set", None)
        return "" if kind == "result" else problem

    async def _send(
        self, to: JID, payload: bytes, kind: Literal["get", "set"], identity: str | None
    ) -> tuple[str, str]:
        return (await self._send_and_read(to, payload, kind, identity))[:2]

    async def _send_and_read(
        self, to: JID, payload: bytes, kind: Literal["get", "set"], identity: str | None
    ) -> tuple[str, str, bytes]:
        client = self._client
        if client is None or not self._online.is_set():
            return "none", "the VTN is not on the server", b""
        iq = client.make_iq(ito=to, itype=kind)
        if identity is not None:
            iq["id"] = identity
        iq.append(ElementTree.fromstring(payload))  # noqa: S314 - made by this VTN
        sent = iq.send(timeout=self._reply_timeout)  # type: ignore[no-untyped-call]
        # When the connection goes, slixmpp leaves its future waiting.
        await asyncio.wait((sent, client.gone), return_when=asyncio.FIRST_COMPLETED)
        if not sent.done():
            sent.cancel()
            return "none", "the connection was lost", b""
        try:
            answer = sent.result()
        except IqError as error:
            return "error", f"{error.condition} {error.text}".rstrip(), b""
        except IqTimeout:
            return "none", f"no answer within {self._reply_timeout:g} s", b""
        reply = _document(answer.xml[0]) if len(answer.xml) else b""
        return "result", str(answer["id"]), reply


class _Carries(MatcherBase):
    """Requests that carry OpenADR."""

    def __init__(self) -> None:
        super().__init__(None)

    def match(self, xml: StanzaBase) -> bool:
        return (
            isinstance(xml, Iq)
            and xml["type"] == "set"
            and len(xml.xml) == 1
            and xml.xml[0].tag.startswith(tuple(_PROFILES))
        )


class _Client(ClientXMPP):
    """One connection of the VTN."""

    def __init__(
        self,
        jid: str,
        password: str | None,
        ssl_context: ssl.SSLContext | None,
        take: Callable[[Iq], bytes],
    ) -> None:
        super().__init__(
            jid,
            password or "",
            # An empty one is never used, and spares slixmpp loading the CAs of the system.
            ssl_context=ssl_context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            loop=asyncio.get_running_loop(),
        )
        self._take = take
        self.trouble = ""
        self.refused = False
        self.gone = asyncio.get_running_loop().create_future()
        self.enable_direct_tls = False
        self.enable_starttls = ssl_context is not None
        self.enable_plaintext = ssl_context is None
        sasl = self.plugin["feature_mechanisms"]
        sasl.unencrypted_scram = ssl_context is None
        if password is None:
            sasl.use_mechs = {"EXTERNAL"}
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.register_handler(Callback("OpenADR", _Carries(), self._answer))
        for event, handler in (
            ("disconnected", self._lost),
            ("connection_failed", self._lost),
            ("ssl_invalid_chain", self._lost),
            ("failed_auth", self._turned_away),
            ("no_auth", self._turned_away),
        ):
            self.add_event_handler(event, handler)

    async def stay(self, host: str, port: int) -> None:
        """Connect, and return when the connection is gone or did not come about."""
        self.connect(host, port)
        await self.gone

    async def leave(self) -> None:
        """Close at once; the server tells the others."""
        self.cancel_connection_attempt()
        self.abort()
        if self._run_out_filters is not None:  # slixmpp leaves this task waiting
            self._run_out_filters.cancel()
        for handle in self.scheduled_events.values():
            handle.cancel()
        for _ in range(3):  # asyncio closes sockets in its next rounds
            await asyncio.sleep(0)

    def _lost(self, reason: object) -> None:
        self.trouble = self.trouble or one_line(
            str(getattr(reason, "strerror", None) or reason or "")
        )
        if not self.gone.done():
            self.gone.set_result(None)

    def _turned_away(self, stanza: Any) -> None:
        condition = stanza["condition"] if isinstance(stanza, StanzaBase) else "no common mechanism"
        self.trouble = f"the server refused the login ({condition})"
        self.refused = True
        self._lost(None)

    def _answer(self, iq: StanzaBase) -> None:
        try:
            data = self._take(iq)  # type: ignore[arg-type]  # _Carries lets nothing else through
        except RemoteProtocolError as error:
            _log.warning("%s: %s", iq["from"], error)
            reply = iq.reply()
            reply["error"]["condition"] = "bad-request"
            reply["error"]["text"] = str(error)
            reply.send()
            return
        reply = iq.reply()
        if data:
            reply.append(ElementTree.fromstring(data))  # noqa: S314 - made by this VTN
        reply.send()


def _document(child: ElementTree.Element) -> bytes:
    child.tail = None
    document: bytes = ElementTree.tostring(child, encoding="utf-8")
    return document
