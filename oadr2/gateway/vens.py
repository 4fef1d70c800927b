"""One VEN of the gateway and its link to the VTN: :class:`VenLink`."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Collection

from oadr2.errors import ConfigurationError, one_line
from oadr2.event import EventHandler
from oadr2.gateway.configuration import PointSettings, VenSettings
from oadr2.gateway.secrets import secret_in_environment, secret_in_file
from oadr2.model import OptType
from oadr2.points.point import Contact
from oadr2.policy import VtnPolicy
from oadr2.poll import PollClient
from oadr2.security import client_context


class VenLink:
    """Holds a VEN's events and polls its VTN.

    Args:
        settings: of the VEN.
        points: those that listen to it; their names and signals become the VEN's.
        contact: told when the VTN was heard of.
        on_heard: called after that.
        on_changes: called when an event has changed.
        clock, monotonic: the two clocks.

    Raises:
        ConfigurationError: a setting is of no use; the message names the VEN.
        StoreError: the VEN's store cannot be opened.
    """

    def __init__(
        self,
        settings: VenSettings,
        points: Collection[PointSettings],
        contact: Contact,
        on_heard: Callable[[], object],
        on_changes: Callable[[], object],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.contact = contact
        #: Whether the VTN was heard of since the start.
        self.heard = False
        #: What went wrong last, "" while polling works.
        self.problem = ""
        self._on_heard = on_heard
        self._monotonic = monotonic
        self.identity = identity_of(settings, points)
        resources, groups, signals = self.identity
        password = _password(settings)
        tls = _tls(settings)
        self.handler = EventHandler(
            settings.ven_id,
            vtn_ids=settings.vtn_ids or None,
            market_contexts=settings.market_contexts or None,
            group_id=groups,
            resource_id=resources,
            party_id=settings.party_ids,
            oadr_profile_level=settings.profile,
            db_path=settings.db,
            policy=settings.policy,
            supported_signals=signals,
            default_opt=settings.opt,
            clock=clock,
        )
        self.handler.subscribe(lambda _changes: on_changes())
        try:
            self.client = PollClient(
                _HeardEvents(self.handler, self._hear),
                settings.vtn_url,
                poll_interval=settings.interval,
                username=settings.username,
                password=password,
                ssl_context=tls,
                on_error=self._fail,
            )
        except BaseException:
            self.handler.close()
            raise
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Poll from now on."""
        self._task = asyncio.create_task(self.client.run(), name=f"ven {self.settings.name}")

    async def close(self) -> None:
        """Stop polling and close the store."""
        await self.client.aclose()
        if self._task is not None:
            await asyncio.wait((self._task,))
        self.handler.close()

    def _hear(self) -> None:
        self.contact.heard_at = self._monotonic()
        self.heard = True
        self.problem = ""
        self._on_heard()

    def _fail(self, error: Exception) -> None:
        self.problem = one_line(str(error))


class _HeardEvents:
    """An event handler that tells when the VTN has said something of use."""

    def __init__(self, handler: EventHandler, heard: Callable[[], object]) -> None:
        self._handler = handler
        self._heard = heard

    @property
    def ven_id(self) -> str:
        return self._handler.ven_id

    @property
    def oadr_profile_level(self) -> str:
        return self._handler.oadr_profile_level

    @property
    def policy(self) -> VtnPolicy:
        return self._handler.policy

    def build_request_payload(self) -> bytes:
        return self._handler.build_request_payload()

    def handle_payload(self, payload: bytes, /) -> bytes | None:
        reply = self._handler.handle_payload(payload)
        self._heard()
        return reply

    def set_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> bytes:
        return self._handler.set_opt(event_id, opt_type, vtn_id)


def identity_of(
    settings: VenSettings, points: Collection[PointSettings]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The resourceIDs, groupIDs and signal names this VEN answers to, its points' included."""
    own = [point for point in points if settings.name in point.vens]
    resources = {*settings.resource_ids}.union(*(point.names.resource_ids for point in own))
    groups = {*settings.group_ids}.union(*(point.names.group_ids for point in own))
    signals = {point.map.signal_name for point in own} or {"SIMPLE"}
    return tuple(sorted(resources)), tuple(sorted(groups)), tuple(sorted(signals))


def _password(settings: VenSettings) -> str | None:
    if settings.username is None:
        return None
    if settings.password_file is not None:
        return secret_in_file(_table(settings), "password_file", settings.password_file)
    return secret_in_environment(_table(settings), settings.password_env or "")


def _table(settings: VenSettings) -> str:
    return f"[[ven]] {settings.name}"


def _tls(settings: VenSettings) -> ssl.SSLContext | None:
    files = (settings.ca_certs, settings.cert, settings.key)
    if not settings.vtn_url.startswith("https:"):
        if files != (None, None, None):
            raise ConfigurationError(
                f"[[ven]] {settings.name}: ca_certs, cert and key need an https:// vtn_url"
            )
        return None
    passphrase = None
    if settings.key_passphrase_file is not None:
        file = settings.key_passphrase_file
        passphrase = secret_in_file(_table(settings), "key_passphrase_file", file)
    return client_context(*files, passphrase, settings.check_hostname, settings.tls == "legacy")
