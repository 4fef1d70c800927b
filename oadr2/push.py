"""HTTP push: :class:`PushClient` for asyncio, :class:`OpenADR2` on a thread of its own.

A VEN that its VTN posts events to: a server for what is posted, and a connection to the VTN for the
answers. :class:`PushApp` is the application alone, for an ASGI server of your own.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Self

from oadr2.arguments import check_names, seconds
from oadr2.background import BackgroundVen
from oadr2.client import Client
from oadr2.model import OptType
from oadr2.poll import PollClient
from oadr2.push_app import PATHS, PushApp, PushingVtn, certificate_of
from oadr2.push_listener import Listener
from oadr2.security import ClientTls
from oadr2.ven import Events

__all__ = [
    "PATHS",
    "OpenADR2",
    "PushApp",
    "PushClient",
    "PushingVtn",
    "certificate_of",
]


class PushClient(Client):
    """Takes what one VTN posts, and answers it: ``async with PushClient(...) as client:``.

    The event handler and its callbacks run on the event loop; a callback that takes long holds it
    up.

    Args:
        handler: the VEN's events, an :class:`oadr2.event.EventHandler`.
        vtn_base_uri: address of the VTN, for the answers; see :class:`oadr2.poll.PollClient`.
        host, port: where to listen; port 0 takes a free one, and ``url`` says which.
        prefix: a path before ``/OpenADR2``.
        server_tls: from :func:`oadr2.security.server_context`; needed unless ``plaintext``.
        ssl_context: from :func:`oadr2.security.client_context`, for the answers.
        vtn_name, vtn_fingerprint: how the pushing VTN is known by its certificate. With neither its
            name is to be the host of ``vtn_base_uri``.
        plaintext: no TLS and no certificates; on this machine only, for trials.
        ask: whether :meth:`run` asks the VTN once for what was pushed while nobody listened.
        resync_interval: seconds after which it is asked again although nothing was lost, for pushes
            that nobody knows to be missing; None: it is not.
        back_off_base, back_off_max: seconds; answers and questions that failed are tried again within
            the former, then within twice that, never later than the latter.
        username, password: for HTTP Basic at the VTN.
        on_error: called with each error that is logged and survived.
        on_heard: called when a list of the VTN has been taken, pushed or asked for.
        random: replaced in tests.

    Attributes:
        app: the :class:`PushApp`, its one VTN in ``app.vtns[0]``.

    Raises:
        ConfigurationError: an argument is wrong; the message names it.
    """

    def __init__(
        self,
        handler: Events,
        vtn_base_uri: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        prefix: str = "",
        server_tls: ssl.SSLContext | None = None,
        ssl_context: ssl.SSLContext | None = None,
        vtn_name: str | None = None,
        vtn_fingerprint: str | None = None,
        plaintext: bool = False,
        ask: bool = True,
        resync_interval: float | None = None,
        back_off_base: float = 5.0,
        back_off_max: float = 300.0,
        username: str | None = None,
        password: str | None = None,
        on_error: Callable[[Exception], object] | None = None,
        on_heard: Callable[[], object] | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        listener = self._listener = Listener(
            vtn_base_uri,
            host=host,
            port=port,
            prefix=prefix,
            server_tls=server_tls,
            vtn_name=vtn_name,
            vtn_fingerprint=vtn_fingerprint,
            plaintext=plaintext,
            bind=False,
        )
        super().__init__("push", on_error, on_heard)
        self._resync_interval = (
            None if resync_interval is None else seconds("resync_interval", resync_interval)
        )
        self._random = random
        self._sender = PollClient(
            handler,
            vtn_base_uri,
            username=username,
            password=password,
            ssl_context=ssl_context,
            on_heard=self._hear,
        )
        #: How the VTN is known, in words.
        self.known_by = listener.known_as
        self._vtn = PushingVtn(
            handler,
            self._sender,
            **listener.known_by,
            on_heard=self._hear,
            back_off_base=seconds("back_off_base", back_off_base),
            back_off_max=seconds("back_off_max", back_off_max),
            on_error=self._note_error,
            random=random,
        )
        self.app = listener.app = PushApp(self._vtn, prefix=listener.prefix)
        self._ask = ask

    @property
    def url(self) -> str:
        """The base address for the VTN; ``/OpenADR2`` is not in it."""
        return self._listener.url

    def bind(self) -> None:
        """Take the port, so that ``url`` is known; a second call does nothing.

        Raises:
            TransportError: the port cannot be had.
            ConfigurationError: plain HTTP elsewhere than on loopback.
        """
        self._listener.server.bind()

    async def _run(self) -> None:
        await self._listener.server.start()
        if self._ask:
            self._vtn.answers.ask_for_events()
        if self._resync_interval is None:
            await asyncio.Event().wait()  # until cancelled
            return
        while True:
            await asyncio.sleep(self._resync_interval * (1 + 0.1 * self._random()))
            self._vtn.answers.ask_for_events()

    async def request_events(self) -> None:
        """Ask the VTN for its events now, and answer them; see ``PollClient.poll_once``.

        A list that is older than one pushed meanwhile is dropped, and the VTN asked again.
        """
        self._check_open()
        answers = self._vtn.answers
        known = -1

        def outdated() -> bool:
            return known != answers.lists_taken

        while outdated():
            known = answers.lists_taken
            await self._sender.poll_once(outdated)

    async def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event and have the VTN told (facts.md E06).

        The answer waits its turn behind others, and is tried again for as long as it takes.

        Raises:
            LocalProtocolError: no such event is held, or this client is closed.
        """
        self._check_open()
        self._vtn.change_opt(event_id, opt_type, vtn_id)

    def _note_error(self, problem: Exception) -> None:
        """The queue of answers has logged it already."""
        self.next_poll_in = self._vtn.answers.next_try_in
        if self._on_error is not None:
            self._on_error(problem)

    async def _close(self) -> None:
        await self._listener.server.aclose()
        await self.app.aclose()
        await self._sender.aclose()

    async def __aenter__(self) -> Self:
        self.bind()
        return self


class OpenADR2(BackgroundVen[PushClient]):
    """A VEN that is pushed to, on a thread of its own; made like :class:`oadr2.poll.OpenADR2`.

    Args:
        event_config: arguments of :class:`oadr2.event.EventHandler`.
        vtn_base_uri, username, password: of the VTN, for the answers.
        control_opts: arguments of :class:`oadr2.control.EventController`.
        ven_client_cert_key, ven_client_cert_pem, ven_client_key_password: PEM files of this VEN's
            key and certificate, shown to the VTN whoever of the two connects.
        vtn_ca_certs: PEM file or folder of the CAs that vouch for the VTN.
        start_thread: begin now; otherwise at :meth:`start`.
        check_hostname, legacy_tls: see :func:`oadr2.security.client_context`.
        push_options: any further argument of :class:`PushClient`: ``host``, ``port``, ``plaintext``,
            ``vtn_fingerprint`` and so on.

    Attributes:
        event_handler, event_controller: the events this VEN holds, and the level that follows.
        client: the :class:`PushClient`; once started, ``client.url`` is where the VTN posts to.

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
        **push_options: Any,
    ) -> None:
        reserved = ("handler", "vtn_base_uri", "username", "password")
        check_names(PushClient, push_options, *reserved)
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
        context = tls.context_for(vtn_base_uri, push_options.pop("ssl_context", None))

        super().__init__(
            event_config,
            control_opts,
            lambda handler: PushClient(
                handler,
                vtn_base_uri,
                username=username,
                password=password,
                ssl_context=context,
                **push_options,
            ),
            name="push",
            cert=tls.cert,
            start_thread=start_thread,
        )

    def start(self) -> None:
        """Take the port and begin to take pushes in the background; a second call does nothing.

        Raises:
            TransportError: the port cannot be had.
            LocalProtocolError: after :meth:`exit`.
        """
        if not self._exited:
            self.client.bind()
        super().start()

    def query_vtn(self) -> None:
        """Ask the VTN for its events once, now, and return when they are answered as well.

        Raises:
            OadrError: as :meth:`oadr2.poll.PollClient.poll_once`.
            LocalProtocolError: after :meth:`exit`, or when called from a callback on the VEN's own
                thread.
        """
        self._call(self.client.request_events)
