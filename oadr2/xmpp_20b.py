"""A whole VEN of 2.0b over XMPP: :class:`XmppServiceClient` for asyncio, :class:`OpenADR2` on a thread.

Each message is an IQ set and its reply the result (facts.md 4.4); there are no polls (L07). Needs
slixmpp: ``pip install 'oadr2[xmpp]'``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oadr2.arguments import check_names
from oadr2.decisions import OnEvent
from oadr2.errors import ConfigurationError, OadrError, RemoteProtocolError, StoreError, one_line
from oadr2.event import EventHandler
from oadr2.exchanges import (
    BackgroundServices,
    Exchanges,
    ServiceCalls,
    ServiceParts,
)
from oadr2.security import ClientTls, PathLike
from oadr2.services.report_source import ReportSource
from oadr2.services.request import Request
from oadr2.services.seal import PayloadSigner, PayloadVerifier
from oadr2.ven_20b import Ven20b

try:
    from slixmpp import JID
except ModuleNotFoundError as missing:
    raise ConfigurationError(f"XMPP needs {missing.name}: pip install 'oadr2[xmpp]'") from None

from oadr2.xmpp_link import XmppLink
from oadr2.xmpp_stream import Refused, Stream

_log = logging.getLogger("oadr2.xmpp")


class XmppServiceClient(ServiceCalls, XmppLink):
    """Runs a VEN of 2.0b against one VTN over XMPP. To be used on one event loop.

    Args:
        ven: what to send and what to make of what comes; its registration names ``xmpp`` and our JID.
        jid, password, link_options: see :class:`oadr2.xmpp_link.XmppLink`. The VEN itself tells when its
            VTN was heard of, so ``on_heard`` is not among them.
        clock, monotonic: see :class:`oadr2.exchanges.Exchanges`.

    Raises:
        ConfigurationError: an argument is wrong; the message names it.
    """

    def __init__(
        self,
        ven: Ven20b,
        jid: str,
        password: str | None = None,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        **link_options: Any,
    ) -> None:
        check_names(XmppLink, link_options, "jid", "password", "on_heard")
        super().__init__(jid, password, **link_options)
        self.ven = ven
        self._clock = clock
        self._exchanges = Exchanges(ven, self._post, self._report_and_retry, clock, monotonic)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(super()._run())
            group.create_task(self._exchanges.keep_time())

    async def _converse(self, stream: Stream) -> None:
        await self._wait_for_presence()
        while self._discovers:
            try:
                await self._discover(stream)
                break
            except OadrError as error:
                delay = self._asking.failed()
                self._report(error, f"next try in {delay:.1f} s", delay)
                await asyncio.sleep(delay)
        self._asking.succeeded()
        self.ven.reconnect()
        self.ven.synchronise()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._exchanges.run())
            group.create_task(self._keep_synchronised())

    async def _keep_synchronised(self) -> None:
        """Ask for the events when the VTN comes back, and from time to time."""
        self._wanted.clear()
        while True:
            await self._wanted_or_time()
            self.ven.reconnect()
            self.ven.synchronise()
            self.wake()

    async def _post(self, action: Request) -> bytes:
        reply = await self._ask(
            self._connected(), self._service(action.service), action, lambda payload: payload
        )
        # What it says is taken in a moment; whoever waits for us looks after that.
        asyncio.get_running_loop().call_soon(self._note_settled)
        return reply

    def _note_settled(self) -> None:
        if self.ven.is_settled and not self._synchronised.is_set():
            _log.info("synchronised with %s", self._service())
            self._synchronised.set()

    def _report_and_retry(self, problem: Exception, delay: float) -> None:
        self._report(problem, f"next try in {delay:.1f} s", delay)

    def _take_push(self, sender: JID, payload: bytes) -> bytes:
        self._see(sender)
        try:
            push = self.ven.receive_push(payload, None, self._clock())
        except RemoteProtocolError as error:
            _log.warning("a push of %s cannot be taken: %s", sender, one_line(str(error), 1000))
            raise Refused("bad-request", f"{error.response_code} {error}") from None
        except StoreError as error:
            # Its sender must not think it stored; the next list brings it again.
            _log.error("a push of %s was not taken: %s", sender, error)
            self.ven.synchronise()
            raise Refused("resource-constraint", "it could not be stored", "wait") from None
        finally:
            self.wake()
        return push.reply

    def _take_late(self, sender: JID, payload: bytes) -> None:
        """Whoever asked has given up on it, and asks again."""
        if payload:
            self._see(sender)
            _log.info("a late result of %s is left aside", sender)

    async def _close(self) -> None:
        if self.ven.decisions is not None:
            await self.ven.decisions.aclose()
        await super()._close()


class OpenADR2(BackgroundServices[XmppServiceClient]):
    """A whole 2.0b VEN over XMPP, on a thread of its own; made like :class:`oadr2.poll_20b.OpenADR2`.

    Args:
        event_config, control_opts, start_thread, ven_name, registration, reports, on_event,
            decision_limit, signer, verifier: see :class:`oadr2.poll_20b.OpenADR2`.
        jid: who we are on the server, and what the VTN is told as our address.
        password: for SASL SCRAM; None logs in by the client certificate (SASL EXTERNAL).
        ven_client_cert_key, ven_client_cert_pem, ven_client_key_password, vtn_ca_certs, check_hostname,
            legacy_tls, server_fingerprint: for the server's TLS; see :class:`oadr2.xmpp.OpenADR2`.
        link_options: any further argument of :class:`oadr2.xmpp_link.XmppLink`, first of all ``vtn_jid``.

    Raises:
        ConfigurationError: an argument is unknown or of the wrong kind; the message names it.
    """

    def __init__(
        self,
        event_config: Mapping[str, Any],
        jid: str,
        password: str | None = None,
        *,
        control_opts: Mapping[str, Any] | None = None,
        ven_client_cert_key: PathLike | None = None,
        ven_client_cert_pem: PathLike | None = None,
        ven_client_key_password: str | None = None,
        vtn_ca_certs: PathLike | None = None,
        check_hostname: bool = True,
        legacy_tls: bool = False,
        server_fingerprint: str | None = None,
        start_thread: bool = True,
        ven_name: str | None = None,
        registration: Mapping[str, Any] | None = None,
        reports: Sequence[ReportSource] = (),
        on_event: OnEvent | None = None,
        decision_limit: float = 60.0,
        signer: PayloadSigner | None = None,
        verifier: PayloadVerifier | None = None,
        **link_options: Any,
    ) -> None:
        check_names(XmppLink, link_options, "jid", "password")
        tls = ClientTls(
            vtn_ca_certs,
            ven_client_cert_pem,
            ven_client_cert_key,
            ven_client_key_password,
            check_hostname,
            legacy_tls,
            server_fingerprint,
        )
        if tls.given:
            link_options["ssl_context"] = tls.context_or(link_options.pop("ssl_context", None))
        parts = ServiceParts(
            event_config,
            ven_name=ven_name,
            registration=registration,
            reports=reports,
            on_event=on_event,
            decision_limit=decision_limit,
            signer=signer,
            verifier=verifier,
        )

        def make_client(handler: EventHandler) -> XmppServiceClient:
            ven = parts.make_ven(handler, transport_name="xmpp", transport_address=jid)
            return XmppServiceClient(ven, jid, password, **link_options)

        super().__init__(
            parts.event_config,
            control_opts,
            make_client,
            name="xmpp",
            cert=tls.cert,
            start_thread=start_thread,
        )
