"""XMPP: :class:`XmppClient` for asyncio, :class:`OpenADR2` on a thread of its own.

The VEN is a client of an XMPP server. It asks the VTN for its events when it arrives, and takes
what the VTN pushes from then on. Whatever happens to the server or the VTN, it comes back and asks
again; each failure is one line in the log (``oadr2.xmpp``).

Needs slixmpp: ``pip install 'oadr2[xmpp]'``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from oadr2._core.objects import decode
from oadr2.arguments import check_names, check_options
from oadr2.background import BackgroundVen
from oadr2.errors import (
    ConfigurationError,
    OadrError,
    RemoteProtocolError,
    StoreError,
    one_line,
)
from oadr2.model import CreatedEvent, OptType, RequestEvent
from oadr2.security import ClientTls, PathLike
from oadr2.ven import Action, Events, Ven

try:
    from slixmpp import JID
except ModuleNotFoundError as missing:
    raise ConfigurationError(f"XMPP needs {missing.name}: pip install 'oadr2[xmpp]'") from None

from oadr2.xmpp_link import XmppLink
from oadr2.xmpp_server import port_of
from oadr2.xmpp_stream import Refused, Stream

_log = logging.getLogger("oadr2.xmpp")
_Taken = TypeVar("_Taken")


class XmppClient(XmppLink):
    """Talks to one VTN over XMPP: events.

    The event handler and its callbacks run on the event loop; a callback that takes long holds it
    up.

    Args:
        handler: the VEN's events, an :class:`oadr2.event.EventHandler`.
        jid, password, link_options: see :class:`oadr2.xmpp_link.XmppLink`.

    Raises:
        ConfigurationError: an argument is wrong; the message names it.
    """

    def __init__(
        self, handler: Events, jid: str, password: str | None = None, **link_options: Any
    ) -> None:
        check_names(XmppLink, link_options, "jid", "password")
        super().__init__(jid, password, **link_options)
        self.ven = Ven(handler)
        self._answering: set[asyncio.Task[None]] = set()

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

    # -- asking for the events --------------------------------------------------------------------

    async def _converse(self, stream: Stream) -> None:
        """Ask for the events at once, whenever it may be needed, and from time to time."""
        self._asking.succeeded()
        await self._wait_for_presence()
        self._wanted.set()
        while True:
            await self._wanted_or_time()
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

    async def _synchronise(self, stream: Stream) -> None:
        if self._discovers:
            await self._discover(stream)
        to = self._service()
        request = self.ven.poll_request()
        actions = await self._ask(stream, to, request, self._take_list)
        self._hear()
        for action in actions:
            await self._deliver(stream, to, action)
        if not self._synchronised.is_set():
            _log.info("synchronised with %s", to)
        self._synchronised.set()

    def _take_list(self, reply: bytes) -> tuple[Action, ...]:
        """Take the result of our request; what there is to answer."""
        # An empty result: the list comes by itself. EnerNOC's VTN echoes the request.
        if not reply or isinstance(decode(reply), RequestEvent):
            return ()
        return self.ven.receive(reply)

    def _take_acknowledgement(self, reply: bytes) -> None:
        if reply and not isinstance(decode(reply), CreatedEvent):  # again the echo
            self.ven.receive_acknowledgement(reply)

    async def _deliver(self, stream: Stream, to: JID, action: Action) -> None:
        await self._ask(stream, to, action, self._take_acknowledgement)

    # -- what the VTN sends by itself -------------------------------------------------------------

    def _hang_up(self) -> None:
        for task in self._answering:
            task.cancel()

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
        self._hear()
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
        self._hear()
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
        check_names(XmppLink, xmpp_options, "jid", "password", "server", "port")
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
