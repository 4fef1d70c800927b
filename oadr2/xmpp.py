"""XMPP: :class:`XmppClient` for asyncio, :class:`OpenADR2` on a thread of its own.

The VEN is a client of an XMPP server. It asks the VTN for its events when it arrives, and takes
what the VTN pushes from then on. Whatever happens to the server or the VTN, it comes back and asks
again; each failure is one line in the log (``oadr2.xmpp``).

Needs slixmpp: ``pip install 'oadr2[xmpp]'``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from slixmpp import JID

from oadr2._core.objects import decode
from oadr2.arguments import check_names, check_options, seconds
from oadr2.background import BackgroundVen
from oadr2.client import Client
from oadr2.errors import (
    ConfigurationError,
    OadrError,
    RemoteProtocolError,
    StoreError,
    TransportError,
    one_line,
)
from oadr2.model import CreatedEvent, OptType, RequestEvent
from oadr2.pacing import BackOff
from oadr2.security import ClientTls, PathLike
from oadr2.ven import Action, Events, Ven
from oadr2.xmpp_server import parse_jid, parse_jids, port_of, server_of
from oadr2.xmpp_stream import Refused, StanzaError, Stream

_log = logging.getLogger("oadr2.xmpp")
_Taken = TypeVar("_Taken")

# Sessions that end sooner than this count as failures, or a server that throws everybody out at
# once would be asked again and again.
_LASTING: Final = 60.0
_GRACE: Final = 1.0  # seconds for the VTN's presence to answer ours
_NOBODY: Final = (
    "the VTN is not known: vtn_jid is not set, and {} names no EiEvent service; set vtn_jid"
)


class XmppClient(Client):
    """Talks to one VTN over XMPP (facts.md 4.4, X01-X07).

    The event handler and its callbacks run on the event loop; a callback that takes long holds it
    up.

    Args:
        handler: the VEN's events, an :class:`oadr2.event.EventHandler`.
        jid: who we are on the server, with or without a resource.
        password: for SASL SCRAM. None logs in by the client certificate of ``ssl_context`` (SASL
            EXTERNAL).
        vtn_jid: the JIDs that are obeyed; a bare one stands for all its resources. The first is
            where requests go. None asks the server for its EiEvent service and obeys that. Stanzas
            from anybody else are answered with an error.
        server, port: where the server is; ``server=None`` asks the DNS, by the domain of ``jid``.
        ssl_context: from :func:`oadr2.security.client_context`; None verifies against the system's
            CAs. The certificate must be for the domain of ``jid``.
        plaintext: no TLS; refused unless ``server`` is a loopback address.
        discovery_jid: whom to ask for the EiEvent service; None: the domain of ``jid``.
        connect_timeout: seconds until we are logged in.
        reply_timeout: seconds for the VTN to answer an IQ.
        ping_interval, ping_timeout: seconds between two pings to the server (XEP-0199), and for its
            answer; without one the connection counts as lost.
        resync_interval: seconds after which the events are asked for again although nothing was
            lost, for pushes that nobody knows to be missing.
        back_off_base: seconds; the first retry comes within this, each further one within twice the
            time before.
        back_off_max: seconds; no retry waits longer.
        on_error: called with each error that :meth:`run` logs and survives.
        random: replaced in tests.

    Attributes:
        has_connected: whether the server has ever let us in.

    Raises:
        ConfigurationError: an argument is wrong; the message names it.
    """

    def __init__(
        self,
        handler: Events,
        jid: str,
        password: str | None = None,
        *,
        vtn_jid: str | Iterable[str] | None = None,
        server: str | None = None,
        port: int = 5222,
        ssl_context: ssl.SSLContext | None = None,
        plaintext: bool = False,
        discovery_jid: str | None = None,
        connect_timeout: float = 30.0,
        reply_timeout: float = 30.0,
        ping_interval: float = 240.0,
        ping_timeout: float = 30.0,
        resync_interval: float = 3600.0,
        back_off_base: float = 5.0,
        back_off_max: float = 300.0,
        on_error: Callable[[Exception], object] | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        super().__init__("xmpp", on_error)
        self.ven = Ven(handler)
        self.has_connected = False
        self._server = server_of(jid, password, server, port, ssl_context, plaintext)
        self._vtns = parse_jids("vtn_jid", vtn_jid)
        self._discovers = not self._vtns
        self._discovery = parse_jid("discovery_jid", discovery_jid or self._server.jid.domain)
        self._connect_timeout = seconds("connect_timeout", connect_timeout)
        self._reply_timeout = seconds("reply_timeout", reply_timeout)
        self._ping_interval = seconds("ping_interval", ping_interval)
        self._ping_timeout = seconds("ping_timeout", ping_timeout)
        self._resync_interval = seconds("resync_interval", resync_interval)
        base = seconds("back_off_base", back_off_base)
        longest = seconds("back_off_max", back_off_max)
        self._connecting = BackOff(base, longest, random)
        self._asking = BackOff(base, longest, random)
        self._random = random
        self._stream: Stream | None = None
        self._seen: dict[str, JID] = {}  # the resource a VTN speaks from, by its bare JID
        self._wanted = asyncio.Event()  # the events are to be asked for
        self._synchronised = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()

    async def wait_synchronised(self) -> None:
        """Wait until the VTN's list of events has been taken since the last connect."""
        await self._synchronised.wait()

    async def request_events(self) -> None:
        """Ask the VTN for its events now, and answer them.

        Raises:
            TransportError: not connected, or the VTN did not answer or answered with an error.
            RemoteProtocolError: its list cannot be accepted, or it refused our answer.
            StoreError: the events could not be written; nothing was answered.
            LocalProtocolError: this client is closed.
        """
        self._check_open()
        await self._synchronise(self._connected())

    async def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event and tell the VTN now (facts.md E06).

        The change holds even if the VTN cannot be told: the answer to its next list repeats it.

        Raises:
            LocalProtocolError: no such event is held, or this client is closed.
            TransportError, RemoteProtocolError: as for :meth:`request_events`.
        """
        self._check_open()
        action = self.ven.change_opt(event_id, opt_type, vtn_id)
        stream = self._connected()
        await self._deliver(stream, self._service(), action)

    async def _close(self) -> None:
        for _ in range(3):  # asyncio closes sockets in its next rounds
            await asyncio.sleep(0)

    # -- connections, one after the other ---------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed:
            began = loop.time()
            try:
                problem: Exception = await self._session()
            # TransportError is expected; anything else is a fault in here, which must not leave the
            # loads without their events.
            except Exception as error:
                problem = error
            if self._synchronised.is_set() or loop.time() - began > _LASTING:
                self._connecting.succeeded()
            self._synchronised.clear()
            delay = self._connecting.failed()
            self._report(problem, f"next connection in {delay:.1f} s", delay)
            await asyncio.sleep(delay)

    async def _session(self) -> TransportError:
        """One connection from its beginning to its end; why it ended."""
        self._seen.clear()
        stream = Stream(
            self._server,
            is_vtn=self._is_vtn,
            on_set=self._take_push,
            on_late=self._take_late,
            on_presence=self._note_presence,
        )
        jobs: list[asyncio.Task[None]] = []
        try:
            await stream.open(self._connect_timeout)
            self._stream = stream
            self.has_connected = True
            _log.info("connected to %s as %s", self._server.place, stream.boundjid)
            self._wanted.clear()
            stream.announce(JID(vtn.bare) for vtn in self._vtns)
            jobs += (
                asyncio.create_task(self._keep_synchronised(stream)),
                asyncio.create_task(self._keep_alive(stream)),
            )
            lost = asyncio.create_task(stream.wait_closed())
            await asyncio.wait((lost, *jobs), return_when=asyncio.FIRST_COMPLETED)
            for job in jobs:
                if job.done():
                    job.result()  # they end only by an error
            return await lost
        finally:
            self._stream = None
            for job in (*jobs, *self._answering):
                job.cancel()
            with contextlib.suppress(OSError):  # the connection may be gone in the middle of it
                await stream.aclose()

    async def _keep_alive(self, stream: Stream) -> None:
        while True:
            await asyncio.sleep(self._ping_interval)
            await stream.ping(self._ping_timeout)

    # -- asking for the events --------------------------------------------------------------------

    async def _keep_synchronised(self, stream: Stream) -> None:
        """Ask for the events at once, whenever it may be needed, and from time to time."""
        self._asking.succeeded()
        vtn = self._vtns[0] if self._vtns else None
        if vtn is not None and vtn.user and not vtn.resource:
            # A user is reached by its resource only, which its presence tells if it is there.
            await self._wanted_within(_GRACE)
        self._wanted.set()
        while True:
            late = self._resync_interval * (1 + 0.1 * self._random())
            await self._wanted_within(late)
            self._wanted.clear()
            try:
                await self._synchronise(stream)
            except Exception as error:  # as in _run
                if not stream.is_open:
                    return  # _session hears of it too
                delay = self._asking.failed()
                self._report(error, f"asking for the events again in {delay:.1f} s", delay)
                await self._wanted_within(delay)
                self._wanted.set()
            else:
                self._asking.succeeded()

    async def _wanted_within(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wanted.wait()

    async def _synchronise(self, stream: Stream) -> None:
        if self._discovers:
            await self._discover(stream)
        to = self._service()
        request = self.ven.poll_request()
        try:
            actions = await self._ask(stream, to, request, self._take_list)
        except StanzaError as error:
            if error.condition == "service-unavailable" and not to.resource and to.user:
                raise TransportError(
                    f"{to} is not there; waiting for it. A server answers for a user's bare JID"
                    " itself: name the VTN's resource as well if it has a fixed one"
                ) from None
            raise
        for action in actions:
            await self._deliver(stream, to, action)
        if not self._synchronised.is_set():
            _log.info("synchronised with %s", to)
        self._synchronised.set()

    async def _discover(self, stream: Stream) -> None:
        try:
            # Three questions; slixmpp would wait for ever when the connection goes.
            async with asyncio.timeout(3 * self._reply_timeout):
                found = await stream.discover(self._discovery, self._reply_timeout)
        except TimeoutError:
            raise TransportError(f"{self._discovery} does not say where EiEvent is") from None
        if found is not None:
            if (found,) != self._vtns:
                _log.info("%s names %s as its EiEvent service", self._discovery, found)
            self._vtns = (found,)
        elif not self._vtns:
            raise TransportError(_NOBODY.format(self._discovery))

    def _service(self) -> JID:
        """Where requests go: the VTN as named, or the resource of it that was seen last."""
        if not self._vtns:
            raise TransportError(_NOBODY.format(self._discovery))
        vtn = self._vtns[0]
        return vtn if vtn.resource else self._seen.get(vtn.bare, vtn)

    def _take_list(self, reply: bytes) -> tuple[Action, ...]:
        """Take the result of our request; what there is to answer."""
        # An empty result: the list comes by itself. EnerNOC's VTN echoes the request.
        if not reply or isinstance(decode(reply), RequestEvent):
            return ()
        return self.ven.receive(reply)

    def _take_acknowledgement(self, reply: bytes) -> None:
        if reply and not isinstance(decode(reply), CreatedEvent):  # again the echo
            self.ven.receive_acknowledgement(reply)

    async def _ask(
        self, stream: Stream, to: JID, action: Action, take: Callable[[bytes], _Taken]
    ) -> _Taken:
        try:
            async with asyncio.timeout(self._reply_timeout):
                return await stream.request(to, action.data, take)
        except TimeoutError:
            raise TransportError(f"{to} did not answer within {self._reply_timeout:g} s") from None

    async def _deliver(self, stream: Stream, to: JID, action: Action) -> None:
        await self._ask(stream, to, action, self._take_acknowledgement)

    # -- what the VTN sends by itself -------------------------------------------------------------

    def _take_push(self, sender: JID, payload: bytes) -> bytes:
        """Take the payload of an IQ set; that of its result. The answer follows as a set (X04)."""
        self._see(sender)
        try:
            push = self.ven.receive_push(payload)
        except RemoteProtocolError as error:
            _log.warning("a push of %s cannot be taken: %s", sender, one_line(str(error), 1000))
            raise Refused("bad-request", f"{error.response_code} {error}") from None
        except StoreError as error:
            # Its sender must not think it stored; the next list brings it again.
            _log.error("a push of %s was not taken: %s", sender, error)
            self._wanted.set()
            raise Refused("resource-constraint", "it could not be stored", "wait") from None
        self._answer(sender, push.actions)
        return push.reply

    def _take_late(self, sender: JID, payload: bytes) -> None:
        """Take a result nobody waits for: a list that came late, or in a result from the start."""
        if not payload:
            return
        self._see(sender)
        try:
            actions = self.ven.receive_push(payload).actions
        except OadrError as error:
            _log.warning("a late result of %s is left aside: %s", sender, one_line(str(error)))
            return
        self._answer(sender, actions)

    def _answer(self, sender: JID, actions: Iterable[Action]) -> None:
        """Send answers once the stanza at hand has its own; the VTN's list is its safety net."""
        stream = self._stream
        for action in actions:
            if stream is not None:
                task = asyncio.create_task(self._send_answer(stream, sender, action))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def _send_answer(self, stream: Stream, to: JID, action: Action) -> None:
        try:
            await self._deliver(stream, to, action)
        except RemoteProtocolError as error:
            self._report(error, "the answer is not repeated")
        except OadrError as error:
            if stream.is_open:  # otherwise the next connection asks for the events in any case
                self._report(error, "the answer goes with the next list of events")
                await asyncio.sleep(self._asking.failed())
                self._wanted.set()

    def _note_presence(self, sender: JID, available: bool) -> None:
        if not available:
            if self._seen.get(sender.bare) == sender:
                del self._seen[sender.bare]
        elif self._see(sender):
            self._wanted.set()  # it has just arrived: who knows what it told us in vain

    def _see(self, sender: JID) -> bool:
        """Remember where the VTN speaks from; whether that is news."""
        if self._seen.get(sender.bare) == sender:
            return False
        self._seen[sender.bare] = sender
        if self._stream is not None:
            self._stream.greet(sender)
        return True

    def _is_vtn(self, sender: JID) -> bool:
        return any(
            sender == vtn or (not vtn.resource and sender.bare == vtn.bare) for vtn in self._vtns
        )

    # -- the rest ---------------------------------------------------------------------------------

    def _connected(self) -> Stream:
        if self._stream is None or not self._stream.is_open:
            raise TransportError(f"not connected to {self._server.place}")
        return self._stream


@dataclass(frozen=True, slots=True)
class _PollConfig:
    """The arguments of EnerNOC's ``poll.OpenADR2``, and ours; those that are for HTTP are not used."""

    event_config: Mapping[str, Any]
    vtn_base_uri: object = None
    control_opts: Mapping[str, Any] | None = None
    username: object = None
    password: object = None
    ven_client_cert_key: PathLike | None = None
    ven_client_cert_pem: PathLike | None = None
    vtn_ca_certs: PathLike | None = None
    vtn_poll_interval: object = None
    start_thread: bool = True
    ven_client_key_password: str | None = field(default=None, kw_only=True)
    check_hostname: bool = field(default=True, kw_only=True)
    legacy_tls: bool = field(default=False, kw_only=True)
    server_fingerprint: str | None = field(default=None, kw_only=True)

    @property
    def tls(self) -> ClientTls:
        return ClientTls(
            self.vtn_ca_certs,
            self.ven_client_cert_pem,
            self.ven_client_cert_key,
            self.ven_client_key_password,
            self.check_hostname,
            self.legacy_tls,
            self.server_fingerprint,
        )


class OpenADR2(BackgroundVen[XmppClient]):
    """An XMPP VEN on a thread of its own, with the name and arguments of EnerNOC's package.

    Args:
        poll_config: what EnerNOC's package handed on to ``poll.OpenADR2``: ``event_config`` (needed),
            ``control_opts``, ``start_thread``, and ``ven_client_cert_pem``, ``ven_client_cert_key``,
            ``ven_client_key_password``, ``vtn_ca_certs``, ``check_hostname``, ``legacy_tls`` and
            ``server_fingerprint`` (of the one certificate that is accepted) for the server's TLS.
            What is for HTTP only (``vtn_base_uri``, ``vtn_poll_interval``, ``username``,
            ``password``) is not used.
        user: our JID.
        password: for SASL SCRAM; None logs in by the client certificate (SASL EXTERNAL).
        server_addr, server_port: where the server is; ``server_addr=None`` asks the DNS.
        http_certs: not used; there is no XEP-0066 here.
        xmpp_options: any further argument of :class:`XmppClient`, first of all ``vtn_jid``.

    Attributes:
        event_handler, event_controller: the events this VEN holds, and the level that follows.
        client: the :class:`XmppClient`.

    Raises:
        ConfigurationError: an argument is unknown or of the wrong kind; the message names it.
    """

    def __init__(  # noqa: PLR0917 - EnerNOC's order of arguments
        self,
        poll_config: Mapping[str, Any],
        user: str,
        password: str | None,
        server_addr: str | None = "localhost",
        server_port: int | str = 5222,
        http_certs: object = None,
        **xmpp_options: Any,
    ) -> None:
        check_options("poll_config", _PollConfig, poll_config)
        config = _PollConfig(**poll_config)
        check_names(XmppClient, xmpp_options, "handler", "jid", "server", "port")
        if http_certs is not None:
            _log.warning("http_certs is not used: files are not fetched over HTTP (XEP-0066)")
        if config.tls.given and xmpp_options.get("plaintext"):
            raise ConfigurationError("plaintext: given together with certificate files; pass one")
        if config.tls.given:
            ready = xmpp_options.pop("ssl_context", None)
            xmpp_options["ssl_context"] = config.tls.context_or(ready)
        super().__init__(
            config.event_config,
            config.control_opts,
            lambda handler: XmppClient(
                handler,
                user,
                password,
                server=server_addr,
                port=port_of(server_port),
                **xmpp_options,
            ),
            name="xmpp",
            cert=config.tls.cert,
            start_thread=config.start_thread,
        )

    def query_vtn(self) -> None:
        """Ask for the events once, now, and return when they are answered as well.

        Raises:
            OadrError: as :meth:`XmppClient.request_events`; what runs in the background goes on.
            LocalProtocolError: after :meth:`exit`, or when called from a callback on the VEN's own
                thread.
        """
        self._call(self.client.request_events)
