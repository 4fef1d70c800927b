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

from oadr2.errors import RemoteProtocolError, TransportError
from oadr2.model import Profile
from oadr2.sim.vtn import SimulatedVtn

_log = logging.getLogger("oadr2.sim.xmpp")
_Result = TypeVar("_Result")

_PROFILES: Final[Mapping[str, Profile]] = {
    "{http://openadr.org/oadr-2.0a/2012/07}": "2.0a",
    "{http://openadr.org/oadr-2.0b/2012/07}": "2.0b",
}
_RECONNECT: Final = 0.2  # seconds; a VTN of one's own comes back at once


class XmppVtn:
    """Serves a VTN's EiEvent service over XMPP, and pushes to the VENs it is given.

    A VEN is told by :meth:`push` when something changed; what it misses it asks for itself.

    Args:
        vtn: the events and the answers.
        jid, password: who the VTN is; with a resource, so that VENs can be given its full JID.
        vens: the JID of each VEN by its venID. A bare JID is reached once the VEN has been seen.
        server, port: where the server is.
        profile: of what is pushed; replies follow the request.
        ssl_context: for STARTTLS; None talks in plain text.
        reply_timeout: seconds for a VEN to answer a push.
    """

    def __init__(
        self,
        vtn: SimulatedVtn,
        jid: str,
        password: str,
        vens: Mapping[str, str],
        *,
        server: str = "127.0.0.1",
        port: int = 5222,
        profile: Profile = "2.0a",
        ssl_context: ssl.SSLContext | None = None,
        reply_timeout: float = 10.0,
    ) -> None:
        self.vtn = vtn
        self.jid = jid
        self.profile = profile
        self._password = password
        self._vens = {ven_id: JID(ven_jid) for ven_id, ven_jid in vens.items()}
        self._address = server, port
        self._ssl_context = ssl_context
        self._reply_timeout = reply_timeout
        self._seen: dict[str, JID] = {}
        self._client: _Client | None = None
        self._online = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None

    def start(self, timeout: float = 30.0) -> None:
        """Join the server; returns when it is there.

        Raises:
            TransportError: it could not within ``timeout`` seconds.
        """
        if self._thread is not None:
            raise RuntimeError("the VTN runs already")
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(ready,), name="oadr2-xmpp-vtn", daemon=True
        )
        self._thread.start()
        ready.wait()
        if not self.wait_online(timeout):
            self.stop()
            raise TransportError(f"{self.jid} could not join the server at {self._address}")

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
        while True:
            client = _Client(self.jid, self._password, self._ssl_context, self._take)
            client.add_event_handler("session_start", self._arrived)
            client.add_event_handler("presence_available", self._note_presence)
            try:
                self._client = client
                await client.stay(*self._address)
            finally:
                self._client = None
                self._online.clear()
                self._seen.clear()
                await client.leave()
            await asyncio.sleep(_RECONNECT)

    def _arrived(self, _event: object) -> None:
        assert self._client is not None  # noqa: S101 - for the type checker
        self._client.send_presence()
        for ven in self._vens.values():
            self._client.send_presence(pto=JID(ven.bare))
        self._online.set()

    def _note_presence(self, presence: Any) -> None:
        """A VEN arrived: now its resource is known. Show it ours, once."""
        sender = presence["from"]
        known = any(sender.bare == ven.bare for ven in self._vens.values())
        if known and self._client is not None and self._seen.get(sender.bare) != sender:
            self._seen[sender.bare] = sender
            self._client.send_presence(pto=sender)

    def _take(self, iq: Iq) -> bytes:
        """The reply to a request."""
        child = iq.xml[0]
        profile = _PROFILES[child.tag.partition("}")[0] + "}"]
        self._seen[iq["from"].bare] = iq["from"]
        return self.vtn.handle(_document(child), profile)

    async def _push(self, ven_id: str) -> str:
        ven = self._vens[ven_id]
        to = ven if ven.resource else self._seen.get(ven.bare)
        if to is None:
            return f"{ven.bare} has not been seen"
        kind, problem = await self._send(to, self.vtn.list_for(ven_id, self.profile), "set", None)
        return "" if kind == "result" else problem

    async def _send(
        self, to: JID, payload: bytes, kind: Literal["get", "set"], identity: str | None
    ) -> tuple[str, str]:
        client = self._client
        if client is None or not self._online.is_set():
            return "none", "the VTN is not on the server"
        iq = client.make_iq(ito=to, itype=kind)
        if identity is not None:
            iq["id"] = identity
        iq.append(ElementTree.fromstring(payload))  # noqa: S314 - made by this VTN
        sent = iq.send(timeout=self._reply_timeout)  # type: ignore[no-untyped-call]
        # When the connection goes, slixmpp leaves its future waiting.
        await asyncio.wait((sent, client.gone), return_when=asyncio.FIRST_COMPLETED)
        if not sent.done():
            sent.cancel()
            return "none", "the connection was lost"
        try:
            answer = sent.result()
        except IqError as error:
            return "error", f"{error.condition} {error.text}".rstrip()
        except IqTimeout:
            return "none", f"no answer within {self._reply_timeout:g} s"
        return "result", str(answer["id"])


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
        password: str,
        ssl_context: ssl.SSLContext | None,
        take: Callable[[Iq], bytes],
    ) -> None:
        super().__init__(
            jid,
            password,
            # An empty one is never used, and spares slixmpp loading the CAs of the system.
            ssl_context=ssl_context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            loop=asyncio.get_running_loop(),
        )
        self._take = take
        self.gone = asyncio.get_running_loop().create_future()
        self.enable_direct_tls = False
        self.enable_starttls = ssl_context is not None
        self.enable_plaintext = ssl_context is None
        self.plugin["feature_mechanisms"].unencrypted_scram = ssl_context is None
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.register_handler(Callback("OpenADR", _Carries(), self._answer))
        for event in ("disconnected", "connection_failed"):
            self.add_event_handler(event, self._lost)

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

    def _lost(self, _reason: object) -> None:
        if not self.gone.done():
            self.gone.set_result(None)

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
