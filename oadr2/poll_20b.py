"""A whole VEN of 2.0b over HTTP: :class:`ServiceClient` for asyncio, :class:`OpenADR2` on a thread.

Registration, polling, reports and opts go out one at a time, in the VEN's order; whatever fails is one
line in the log (``oadr2.poll``) and a later try. :mod:`oadr2.poll` is for VTNs that know their VENs
beforehand and only want to be asked for events.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oadr2.decisions import OnEvent
from oadr2.event import EventHandler
from oadr2.exchanges import (
    BackgroundServices,
    Exchanges,
    ServiceCalls,
    ServiceParts,
)
from oadr2.http import VtnConnection
from oadr2.security import ClientTls
from oadr2.services.report_source import ReportSource
from oadr2.services.request import Request
from oadr2.services.seal import PayloadSigner, PayloadVerifier
from oadr2.ven_20b import Ven20b


class ServiceClient(ServiceCalls):
    """Runs a VEN of 2.0b against one VTN over HTTP, polling or (with a push server beside it) pushed to.

    To be used on one event loop.

    Args:
        ven: what to send and what to make of replies.
        connection: to the VTN; closed by :meth:`aclose`.
        name: of the transport, for the log.
        on_error: called with each error that is logged and survived.
        clock, monotonic: see :class:`oadr2.exchanges.Exchanges`.
    """

    def __init__(
        self,
        ven: Ven20b,
        connection: VtnConnection,
        *,
        name: str = "poll",
        on_error: Callable[[Exception], object] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name, on_error)
        self.ven = ven
        self._connection = connection
        self._exchanges = Exchanges(ven, self._post, self._report_and_retry, clock, monotonic)

    async def step(self) -> bool:
        """Send what is due now, if anything; see :meth:`oadr2.exchanges.Exchanges.step`."""
        self._check_open()
        return await self._exchanges.step()

    async def settle(self) -> None:
        """Register, announce, ask for the events, answer: all that is due now.

        Raises:
            OadrError: as :meth:`oadr2.exchanges.Exchanges.step`; what is left is due later.
        """
        self._check_open()
        await self._exchanges.settle()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._exchanges.run())
            group.create_task(self._exchanges.keep_time())

    async def _close(self) -> None:
        if self.ven.decisions is not None:
            await self.ven.decisions.aclose()
        await self._connection.aclose()

    async def _post(self, action: Request) -> bytes:
        return await self._connection.post(action.service, action.data)

    def _report_and_retry(self, problem: Exception, delay: float) -> None:
        self._report(problem, f"next try in {delay:.1f} s", delay)


def connection_to(
    vtn_base_uri: str,
    *,
    username: str | None = None,
    password: str | None = None,
    ssl_context: ssl.SSLContext | None = None,
    connect_timeout: float = 10.0,
    read_timeout: float = 30.0,
    max_response_size: int = 1 << 20,
) -> VtnConnection:
    """A connection to the 2.0b services of a VTN; the arguments as for :class:`oadr2.poll.PollClient`."""
    return VtnConnection(
        vtn_base_uri,
        "2.0b",
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        max_response_size=max_response_size,
        username=username,
        password=password,
        ssl_context=ssl_context,
    )


class OpenADR2(BackgroundServices[ServiceClient]):
    """A whole 2.0b VEN that polls, on a thread of its own; made like :class:`oadr2.poll.OpenADR2`.

    Args:
        event_config: arguments of :class:`oadr2.event.EventHandler`; ``ven_id`` only if it was agreed
            on with the VTN beforehand. With ``db_path`` everything survives a restart.
        vtn_base_uri, username, password: of the VTN.
        control_opts: arguments of :class:`oadr2.control.EventController`.
        ven_client_cert_key, ven_client_cert_pem, ven_client_key_password, vtn_ca_certs, check_hostname,
            legacy_tls, vtn_fingerprint: see :class:`oadr2.poll.OpenADR2`.
        start_thread: begin now; otherwise at :meth:`start`.
        ven_name: a name for people, which the VTN may know this VEN by.
        registration: further fields of :class:`oadr2.services.registration.RegistrationSettings`.
        reports: what this VEN can report.
        on_event: decides about events, now or later; see :class:`oadr2.decisions.Decisions`.
        decision_limit: seconds until the default is answered.
        signer, verifier: :class:`oadr2.signature.Signer` and ``Verifier``.
        ven_options: any further argument of :class:`oadr2.ven_20b.Ven20b`.

    Attributes:
        event_handler, event_controller: the events this VEN holds, and the level that follows.
        client: the :class:`ServiceClient`; ``client.ven`` is the VEN.

    Raises:
        ConfigurationError: an argument is unknown or of the wrong kind; the message names it.
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
        vtn_fingerprint: str | None = None,
        ven_name: str | None = None,
        registration: Mapping[str, Any] | None = None,
        reports: Sequence[ReportSource] = (),
        on_event: OnEvent | None = None,
        decision_limit: float = 60.0,
        signer: PayloadSigner | None = None,
        verifier: PayloadVerifier | None = None,
        ssl_context: ssl.SSLContext | None = None,
        **ven_options: Any,
    ) -> None:
        parts = ServiceParts(
            event_config,
            ven_name=ven_name,
            registration=registration,
            reports=reports,
            on_event=on_event,
            decision_limit=decision_limit,
            signer=signer,
            verifier=verifier,
            **ven_options,
        )
        tls = ClientTls(
            vtn_ca_certs,
            ven_client_cert_pem,
            ven_client_cert_key,
            ven_client_key_password,
            check_hostname,
            legacy_tls,
            vtn_fingerprint,
        )
        context = tls.context_for(vtn_base_uri, ssl_context)

        def make_client(handler: EventHandler) -> ServiceClient:
            ven = parts.make_ven(handler, transport_name="simpleHttp", http_pull_model=True)
            connection = connection_to(
                vtn_base_uri, username=username, password=password, ssl_context=context
            )
            return ServiceClient(ven, connection)

        super().__init__(
            parts.event_config,
            control_opts,
            make_client,
            name="poll",
            cert=None if context is None else tls.cert,
            start_thread=start_thread,
        )
