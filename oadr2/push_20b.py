"""A whole VEN of 2.0b that its VTN pushes to: :class:`PushServiceClient`, and :class:`OpenADR2` on a thread.

It registers with the address of its own server, takes whatever the VTN posts to its services and sends
what it has to say itself: reports, opts, answers to events. It never polls (facts.md L07).
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from oadr2.arguments import check_names, seconds
from oadr2.decisions import OnEvent
from oadr2.errors import RemoteProtocolError, one_line
from oadr2.event import EventHandler
from oadr2.exchanges import (
    BackgroundServices,
    ServiceParts,
)
from oadr2.http import VtnConnection
from oadr2.poll_20b import ServiceClient, connection_to
from oadr2.push_app import KnownVtn, PushApp, is_well_formed
from oadr2.push_listener import Listener
from oadr2.security import ClientTls
from oadr2.services.report_source import ReportSource
from oadr2.services.seal import PayloadSigner, PayloadVerifier
from oadr2.ven_20b import Ven20b

__all__ = ["SERVICES", "Listener", "OpenADR2", "PushServiceClient", "ServedVtn"]

#: Where a VTN may post to (facts.md 3.5, 4.1); nothing of it is for EiOpt, which answers 453.
SERVICES: Final = ("EiEvent", "EiReport", "EiRegisterParty", "EiOpt")
_INVALID_DATA: Final = 454


class ServedVtn(KnownVtn):
    """A VTN that pushes any message of 2.0b, for :class:`oadr2.push_app.PushApp`.

    Args:
        ven: takes its messages.
        wake: called when there may be something to send after that.
        clock: seconds since 1970.
        known_by: ``name``, ``fingerprint``, ``plaintext`` of :class:`oadr2.push_app.KnownVtn`.
    """

    def __init__(
        self,
        ven: Ven20b,
        wake: Callable[[], object],
        clock: Callable[[], float],
        **known_by: Any,
    ) -> None:
        super().__init__("2.0b", SERVICES, **known_by)
        self._ven = ven
        self._wake = wake
        self._clock = clock

    @property
    def max_size(self) -> int:
        """Bytes of a message that are taken."""
        return self._ven.handler.policy.limits.size

    def take(self, data: bytes, service: str) -> bytes:
        """See :meth:`oadr2.push_app.KnownVtn.take`."""
        try:
            push = self._ven.receive_push(data, service, self._clock())
        except RemoteProtocolError as error:
            if not is_well_formed(data):
                raise
            code = error.response_code if 400 <= error.response_code <= 499 else _INVALID_DATA
            return self._ven.refusal(code, one_line(str(error)))
        self._wake()
        return push.reply


class PushServiceClient(ServiceClient):
    """Takes what one VTN posts, and talks to it: ``async with PushServiceClient(...) as client:``.

    Args:
        ven: its registration settings tell the VTN where to post to.
        connection: to the VTN, from :func:`oadr2.poll_20b.connection_to`.
        listener: where it posts to.
        resync_interval: seconds after which the VTN is asked for its events although nothing was lost,
            for pushes that nobody knows to be missing; None: it is not.
        on_error: called with each error that is logged and survived.
        clock, monotonic: see :class:`oadr2.exchanges.Exchanges`.
        random: replaced in tests.

    Attributes:
        app: the :class:`oadr2.push_app.PushApp`.
    """

    def __init__(
        self,
        ven: Ven20b,
        connection: VtnConnection,
        listener: Listener,
        *,
        resync_interval: float | None = None,
        on_error: Callable[[Exception], object] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(
            ven, connection, name="push", on_error=on_error, clock=clock, monotonic=monotonic
        )
        self._resync_interval = (
            None if resync_interval is None else seconds("resync_interval", resync_interval)
        )
        self._random = random
        vtn = ServedVtn(ven, self.wake, clock, **listener.known_by)
        self.app = PushApp(vtn, prefix=listener.prefix)
        listener.app = self.app
        self._listener = listener

    @property
    def url(self) -> str:
        """The base address for the VTN; ``/OpenADR2`` is not in it."""
        return self._listener.url

    def bind(self) -> None:
        """Take the port; a second call does nothing.

        Raises:
            TransportError: the port cannot be had.
            ConfigurationError: plain HTTP elsewhere than on loopback.
        """
        self._listener.server.bind()

    async def _run(self) -> None:
        await self._listener.server.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(super()._run())
            if self._resync_interval is not None:
                group.create_task(self._keep_synchronised(self._resync_interval))

    async def _keep_synchronised(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval * (1 + 0.1 * self._random()))
            self.ven.synchronise()
            self.wake()

    async def _close(self) -> None:
        await self._listener.server.aclose()
        await self.app.aclose()
        await super()._close()

    async def __aenter__(self) -> Self:
        self.bind()
        return self


class OpenADR2(BackgroundServices[PushServiceClient]):
    """A whole 2.0b VEN that is pushed to, on a thread of its own; made like :class:`oadr2.poll_20b.OpenADR2`.

    Args:
        event_config, vtn_base_uri, control_opts, username, password, ven_name, registration, reports,
            on_event, decision_limit, signer, verifier: see :class:`oadr2.poll_20b.OpenADR2`.
        ven_client_cert_key, ven_client_cert_pem, ven_client_key_password: this VEN's key and certificate,
            shown to the VTN whoever of the two connects.
        vtn_ca_certs: PEM file or folder of the CAs that vouch for the VTN.
        start_thread: begin now; otherwise at :meth:`start`.
        check_hostname, legacy_tls: see :func:`oadr2.security.client_context`.
        transport_address: where the VTN is told to post to; None: ``client.url``.
        push_options: any further argument of :class:`Listener`: ``host``, ``port``, ``plaintext`` and so on.

    Raises:
        ConfigurationError: an argument is unknown or of the wrong kind; the message names it.
        TransportError: the port cannot be had.
    """

    def __init__(  # noqa: PLR0917 - the order of poll.OpenADR2
        self,
        event_config: Mapping[str, Any],
        vtn_base_uri: str,
        control_opts: Mapping[str, Any] | None = None,
        username: str | None = None,
        password: str | None = None,
        ven_client_cert_key: str | os.PathLike[str] | None = None,
        ven_client_cert_pem: str | os.PathLike[str] | None = None,
        vtn_ca_certs: str | os.PathLike[str] | None = None,
        start_thread: bool = True,
        *,
        ven_client_key_password: str | None = None,
        check_hostname: bool = True,
        legacy_tls: bool = False,
        ven_name: str | None = None,
        registration: Mapping[str, Any] | None = None,
        reports: Sequence[ReportSource] = (),
        on_event: OnEvent | None = None,
        decision_limit: float = 60.0,
        signer: PayloadSigner | None = None,
        verifier: PayloadVerifier | None = None,
        transport_address: str | None = None,
        **push_options: Any,
    ) -> None:
        check_names(Listener, push_options, "vtn_base_uri")
        tls = ClientTls(
            vtn_ca_certs,
            ven_client_cert_pem,
            ven_client_cert_key,
            ven_client_key_password,
            check_hostname,
            legacy_tls,
        )
        if "server_tls" not in push_options and not push_options.get("plaintext"):
            push_options["server_tls"] = tls.for_pushes()
        context = tls.context_for(vtn_base_uri, None)
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
        listener = self._listener = Listener(vtn_base_uri, **push_options)

        def make_client(handler: EventHandler) -> PushServiceClient:
            ven = parts.make_ven(
                handler,
                transport_name="simpleHttp",
                transport_address=transport_address or listener.url,
                http_pull_model=False,
            )
            connection = connection_to(
                vtn_base_uri, username=username, password=password, ssl_context=context
            )
            return PushServiceClient(ven, connection, listener)

        try:
            super().__init__(
                parts.event_config,
                control_opts,
                make_client,
                name="push",
                cert=tls.cert,
                start_thread=start_thread,
            )
        except BaseException:
            listener.close()
            raise

    def _close(self) -> None:
        super()._close()
        self._listener.close()
