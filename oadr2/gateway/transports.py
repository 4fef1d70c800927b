"""The client of a VEN by its transport and profile: :func:`make_client`.

Each is the one that ``oadr2 poll``, ``push`` and ``xmpp`` run; what is not asked for is not imported.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from oadr2.event import EventHandler
from oadr2.gateway.secrets import secret_in_environment, secret_in_file
from oadr2.gateway.ven_settings import PushPlace, Services, VenSettings, XmppPlace
from oadr2.http import VtnConnection
from oadr2.model import OptType
from oadr2.poll import PollClient
from oadr2.poll_20b import ServiceClient, connection_to
from oadr2.report_settings import ReaderOf, report_sources
from oadr2.security import client_context, server_context
from oadr2.services.registration import RegistrationSettings
from oadr2.ven_20b import Ven20b

#: The longest before the first try after a failure, in seconds.
_FIRST_TRY: Final = 5.0


class VtnClient(Protocol):
    """What a VEN's link does with any client."""

    async def run(self) -> None:
        """Talk to the VTN until closed."""

    async def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event and tell the VTN."""

    async def aclose(self) -> None:
        """Stop, and close the connections."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What is secret, read from where the file says it is."""

    password: str | None
    key_passphrase: str | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a client is told, and whom it tells.

    Attributes:
        on_heard: called when the VTN was heard of.
        on_error: called with each error that is survived.
        reader_of: what reads the gateway's points for reports.
        clock: seconds since 1970; monotonic: of a clock that is never set.
    """

    on_heard: Callable[[], object]
    on_error: Callable[[Exception], object]
    reader_of: ReaderOf
    clock: Callable[[], float]
    monotonic: Callable[[], float]


def read_keys(ven: VenSettings) -> Keys:
    """The secrets of a VEN.

    Raises:
        ConfigurationError: one is not where the file says; the message names line, table and key.
    """
    access = ven.access
    password = passphrase = None
    if access.password_file is not None:
        password = secret_in_file(ven.place, "password_file", access.password_file)
    elif access.password_env is not None:
        password = secret_in_environment(ven.place, access.password_env)
    if access.key_passphrase_file is not None:
        file = access.key_passphrase_file
        passphrase = secret_in_file(ven.place, "key_passphrase_file", file)
    return Keys(password, passphrase)


def client_tls(ven: VenSettings, keys: Keys) -> ssl.SSLContext | None:
    """The context for connections to the VTN or the XMPP server; None without TLS.

    Raises:
        ConfigurationError: a certificate is of no use.
    """
    access = ven.access
    secured = ven.vtn_url.startswith("https:") if ven.xmpp is None else not ven.xmpp.plaintext
    if not secured:
        return None
    return client_context(
        access.ca_certs,
        access.cert,
        access.key,
        keys.key_passphrase,
        access.check_hostname,
        access.tls == "legacy",
        access.fingerprint,
    )


def make_client(
    ven: VenSettings, keys: Keys, handler: EventHandler, around: Surroundings
) -> tuple[VtnClient, Ven20b | None]:
    """The client, which does not run yet, and its VEN where that registers. A port is taken at once.

    Raises:
        ConfigurationError: a setting is of no use.
        TransportError: the port cannot be had.
        StoreError: what the VEN remembers cannot be read.
    """
    maker = _Maker(ven, keys, handler, around, client_tls(ven, keys))
    if ven.push is not None:
        return maker.pushed(ven.push)
    if ven.xmpp is not None:
        return maker.on_xmpp(ven.xmpp)
    return maker.polling()


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the client of one VEN; ``tls`` is for the connections that we open."""

    ven: VenSettings
    keys: Keys
    handler: EventHandler
    around: Surroundings
    tls: ssl.SSLContext | None

    def polling(self) -> tuple[VtnClient, Ven20b | None]:
        """Over HTTP; we ask."""
        ven, around = self.ven, self.around
        if ven.services is not None:
            service_ven = self._service_ven(
                ven.services, poll_interval=ven.interval, min_poll_interval=min(1.0, ven.interval)
            )
            client = ServiceClient(
                service_ven, self._connection(), on_error=around.on_error, **self._clocks
            )
            return client, service_ven
        return PollClient(
            self.handler,
            ven.vtn_url,
            poll_interval=ven.interval,
            username=ven.access.username,
            password=self.keys.password,
            ssl_context=self.tls,
            on_error=around.on_error,
            on_heard=around.on_heard,
        ), None

    def pushed(self, place: PushPlace) -> tuple[VtnClient, Ven20b | None]:
        """Over HTTP; the VTN comes to us."""
        from oadr2.push import PushClient  # noqa: PLC0415 - it brings uvicorn
        from oadr2.push_20b import Listener, PushServiceClient  # noqa: PLC0415

        ven, around = self.ven, self.around
        listens: dict[str, Any] = {
            "host": place.host,
            "port": place.port,
            "prefix": place.prefix,
            "server_tls": None if place.plaintext else self._server_tls(),
            "vtn_name": place.vtn_name,
            "vtn_fingerprint": place.vtn_fingerprint,
            "plaintext": place.plaintext,
        }
        if ven.services is None:
            client = PushClient(
                self.handler,
                ven.vtn_url,
                **listens,
                ssl_context=self.tls,
                ask=ven.heartbeat is not None,
                resync_interval=ven.heartbeat,
                username=ven.access.username,
                password=self.keys.password,
                on_error=around.on_error,
                on_heard=around.on_heard,
                **self._back_off,
            )
            client.bind()
            return client, None
        listener = Listener(ven.vtn_url, **listens)
        try:
            service_ven = self._service_ven(
                ven.services,
                transport_address=place.address or listener.url,
                http_pull_model=False,
            )
            made = PushServiceClient(
                service_ven,
                self._connection(),
                listener,
                resync_interval=ven.heartbeat,
                on_error=around.on_error,
                **self._clocks,
            )
        except BaseException:
            listener.close()
            raise
        return made, service_ven

    def on_xmpp(self, place: XmppPlace) -> tuple[VtnClient, Ven20b | None]:
        """On an XMPP server."""
        ven, around = self.ven, self.around
        link: dict[str, Any] = {
            "vtn_jid": place.vtn_jids or None,
            "server": place.server,
            "port": place.port,
            "ssl_context": self.tls,
            "plaintext": place.plaintext,
            "ping_interval": ven.ping,
            "resync_interval": ven.heartbeat,
            "on_error": around.on_error,
            **self._back_off,
        }
        if ven.heartbeat is None:
            link["on_alive"] = around.on_heard
        if ven.services is None:
            from oadr2.xmpp import XmppClient  # noqa: PLC0415 - it needs an extra

            link["on_heard"] = around.on_heard
            return XmppClient(self.handler, place.jid, self.keys.password, **link), None
        from oadr2.xmpp_20b import XmppServiceClient  # noqa: PLC0415 - it needs an extra

        service_ven = self._service_ven(
            ven.services, transport_name="xmpp", transport_address=place.jid
        )
        made = XmppServiceClient(service_ven, place.jid, self.keys.password, **self._clocks, **link)
        return made, service_ven

    # -- what they have in common -------------------------------------------------------------------

    @property
    def _clocks(self) -> dict[str, Any]:
        return {"clock": self.around.clock, "monotonic": self.around.monotonic}

    @property
    def _back_off(self) -> dict[str, Any]:
        """A VTN that comes back is asked again no later than it would have been without the failures."""
        longest = self.ven.word_every or self.ven.ping
        return {"back_off_base": min(_FIRST_TRY, longest), "back_off_max": longest}

    def _connection(self) -> VtnConnection:
        return connection_to(
            self.ven.vtn_url,
            username=self.ven.access.username,
            password=self.keys.password,
            ssl_context=self.tls,
        )

    def _service_ven(self, services: Services, **registration: Any) -> Ven20b:
        signer = verifier = None
        if services.sign_cert or services.verify_fingerprints or services.verify_ca:
            from oadr2.signature import Signer, Verifier  # noqa: PLC0415 - it needs an extra

            if services.sign_cert is not None:
                passphrase = self.keys.key_passphrase
                signer = Signer(services.sign_cert, services.sign_key, password=passphrase)
            if services.verify_fingerprints or services.verify_ca is not None:
                fingerprints, ca_certs = services.verify_fingerprints, services.verify_ca
                verifier = Verifier(fingerprints=fingerprints, ca_certs=ca_certs)
        return Ven20b(
            self.handler,
            registration=RegistrationSettings(
                ven_name=services.ven_name,
                ven_id=self.ven.ven_id,
                query=services.query,
                xml_signature=signer is not None,
                **registration,
            ),
            sources=report_sources(services.reports, self.around.reader_of),
            signer=signer,
            verifier=verifier,
            on_heard=self.around.on_heard,
            drain_spacing=min(1.0, self.ven.word_every or 1.0),
            **self._back_off,
        )

    def _server_tls(self) -> ssl.SSLContext:
        access = self.ven.access
        assert access.cert is not None  # noqa: S101 - as read_ven saw to
        assert access.ca_certs is not None  # noqa: S101
        return server_context(
            access.cert,
            access.key,
            client_ca_certs=access.ca_certs,
            password=self.keys.key_passphrase,
            legacy=access.tls == "legacy",
        )
