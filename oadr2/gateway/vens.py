"""One VEN of the gateway and its link to the VTN: :class:`VenLink`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from oadr2.client import end_tasks
from oadr2.errors import ConfigurationError, OadrError, StoreError, TransportError, one_line
from oadr2.event import EventHandler
from oadr2.gateway.configuration import GatewaySettings, PointSettings
from oadr2.gateway.opt_outs import OptOuts, Planned, opts_by_event
from oadr2.gateway.transports import Keys, Surroundings, VtnClient, make_client, read_keys
from oadr2.gateway.ven_settings import VenSettings
from oadr2.orders import Orders, carry_out_orders
from oadr2.points.point import Contact
from oadr2.report_settings import ReaderOf
from oadr2.security import watch_expiry
from oadr2.services.opt import HeldOpt
from oadr2.services.registration import Registration, RegistrationSettings
from oadr2.services.state import StoredState, state_beside
from oadr2.store import EventStore
from oadr2.ven_20b import Ven20b

_log = logging.getLogger("oadr2.gateway")


class VenLink:
    """Holds a VEN's events and talks to its VTN, whatever the transport.

    Args:
        settings: of the VEN.
        points: those that listen to it; their names and signals become the VEN's.
        contact: told when the VTN was heard of.
        on_heard: called after that.
        on_changes: called when an event has changed.
        reader_of: what reads the points for reports.
        dry_run: keep nothing, register nowhere, and take no other program's place.
        clock, monotonic: the two clocks.

    Raises:
        ConfigurationError: a setting is of no use; the message names the VEN, file and line.
        TransportError: a port cannot be had.
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
        reader_of: ReaderOf = lambda _name, _status: lambda: None,
        dry_run: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.contact = contact
        #: Whether the VTN was heard of since the start.
        self.heard = False
        #: What went wrong last, "" while all works.
        self.problem = ""
        self._told = ""
        self._on_heard = on_heard
        self._clock = clock
        self._monotonic = monotonic
        self.identity = identity_of(settings, points)
        keys = read_keys(settings)
        try:
            used = for_a_dry_run(settings) if dry_run else settings
            self.handler = make_handler(
                used, self.identity, db=None if dry_run else used.db, clock=clock
            )
        except ConfigurationError as error:
            raise ConfigurationError(f"{settings.place}: {error}") from None
        self.handler.subscribe(lambda _changes: on_changes())
        around = Surroundings(self._hear, self._fail, reader_of, clock, monotonic)
        try:
            self.client, self.ven = self._make_client(used, keys, around)
        except BaseException:
            self.handler.close()
            raise
        self._opt_outs: OptOuts | None = None
        #: The opts by which loads take no part in an event, by eventID.
        self.opts: dict[str, tuple[HeldOpt, ...]] = {}
        self._opts_seen: tuple[HeldOpt, ...] = ()
        self._grace = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def _make_client(
        self, used: VenSettings, keys: Keys, around: Surroundings
    ) -> tuple[VtnClient, Ven20b | None]:
        try:
            return make_client(used, keys, self.handler, around)
        except ConfigurationError as error:
            raise ConfigurationError(f"{used.place}: {error}") from None
        except TransportError as error:
            raise TransportError(f"{used.place}: {error}") from None

    @property
    def asks(self) -> bool:
        """Whether it asks for its events at the start, or can only wait until they are pushed."""
        if self.withdrawn:
            return False
        pushed = self.settings.push is not None and self.settings.services is None
        return not pushed or self.settings.heartbeat is not None

    @property
    def registered(self) -> bool | None:
        """Whether it is registered; None: it never registers."""
        return None if self.ven is None else self.ven.phase == "registered"

    @property
    def registration(self) -> str:
        """How it stands with the VTN, in words; "" for a VEN that never registers."""
        known = None if self.ven is None else self.ven.registration.registered
        if self.ven is None:
            return ""
        if self.withdrawn:
            return "the registration was ended by order"
        if self.ven.phase == "cancelled":
            return "the VTN has ended the registration"
        if known is None:
            return "not registered yet"
        ends = ", to be ended" if self.ven.registration.last_word == "end" else ""
        return f"registered as {known.ven_id}{ends}"

    @property
    def withdrawn(self) -> bool:
        """Whether a person has ended its registration, so that its VTN says nothing more."""
        return (
            self.ven is not None
            and self.ven.phase == "cancelled"
            and self.ven.registration.last_word == "end"
        )

    def start(self) -> None:
        """Talk to the VTN from now on."""
        cert = self.settings.access.cert
        self._tasks = [
            asyncio.create_task(self._run(), name=f"ven {self.settings.name}"),
            asyncio.create_task(watch_expiry(() if cert is None else (cert,))),
        ]
        if self.handler.store is not None:  # there is none in a dry run
            orders = Orders(*self.handler.store)
            looking = carry_out_orders(self.client, orders, clock=self._clock)
            self._tasks.append(asyncio.create_task(looking))

    async def close(self) -> None:
        """Stop, and close the store."""
        for task in self._tasks[1:]:
            task.cancel()  # before the client is closed: it would refuse what is ordered now
        await self.client.aclose()
        await end_tasks(self._tasks[1:])
        if self._tasks:
            await asyncio.wait(self._tasks[:1])
        self.handler.close()

    async def _run(self) -> None:
        try:
            await self.client.run()
        except OadrError as error:  # a server that did not start, for one
            self._fail(error)
            _log.error("VEN %s has ended: %s", self.settings.name, error)

    def tell_overrides(
        self, overridden: Mapping[str, Collection[str]], events: Iterable[Planned], now: float
    ) -> None:
        """Have the VTN know which loads a person keeps from its events, if the file wants that."""
        services = self.settings.services
        if self.ven is None or services is None or not services.opt_overrides:
            return
        try:
            if self._telling(self.ven).update(overridden, events, now):
                self._wake()
        except StoreError as error:
            self._fail(error)

    def _telling(self, ven: Ven20b) -> OptOuts:
        if self._opt_outs is None:
            self._opt_outs = OptOuts(ven, state_beside(self.handler.store))
        return self._opt_outs

    def look_at_opts(self) -> bool:
        """Bring :attr:`opts` up to date; whether that changed them."""
        if self.ven is None:
            return False
        ending = self.ven.opts.ending
        held = tuple(opt for opt in self.ven.opts.held if opt.opt_id not in ending)
        if held == self._opts_seen:
            return False
        try:
            told = self._telling(self.ven).told
        except StoreError as error:  # which are a person's is not known; the next look asks again
            self._fail(error)
            return False
        self._opts_seen = held
        before, self.opts = self.opts, opts_by_event(held, told)
        return self.opts != before

    def clock_was_set(self) -> None:
        """Have it look at once what that means for what it does by the hour."""
        self._wake()

    def _wake(self) -> None:
        wake = getattr(self.client, "wake", None)
        if wake is not None:
            wake()

    def _hear(self) -> None:
        self._mind_interval()
        self.contact.heard_at = self._monotonic() + self._grace
        self.heard = True
        if self.problem:
            _log.info("VEN %s: its VTN is heard again", self.settings.name)
        self.problem = self._told = ""
        self._on_heard()

    def _mind_interval(self) -> None:
        """A VTN that wants to be asked more seldom than the file says is not silent meanwhile."""
        if self.ven is None or not self.ven.registration.settings.polls:
            return
        before, asked = self._grace, self.ven.registration.poll_interval
        self._grace = max(0.0, asked - self.settings.interval)
        if self._grace > before:
            _log.warning(
                "VEN %s: its VTN wants a poll every %g s only: whether it is silent is known that late",
                self.settings.name,
                asked,
            )

    def _fail(self, error: Exception) -> None:
        self.problem = one_line(str(error))
        if self.problem != self._told:  # one that stays away is one line, and not one for each try
            self._told = self.problem
            _log.warning("VEN %s: %s", self.settings.name, one_line(self.problem, 1000))


async def relink(
    links: dict[str, VenLink],
    before: GatewaySettings,
    settings: GatewaySettings,
    make: Callable[[VenSettings, Collection[PointSettings]], VenLink],
) -> list[VenLink]:
    """Bring the links to other settings, those that did not change untouched; the new ones, to be
    started. Nobody meets a link that is closed.

    Raises:
        OadrError: one cannot be made; all are as they were.
    """
    kept = {
        ven.name: links[ven.name]
        for ven in settings.vens
        if ven.name in links
        and links[ven.name].settings == ven
        and links[ven.name].identity == identity_of(ven, settings.points)
    }
    gone = {name: links.pop(name) for name in list(links) if name not in kept}
    # First, for a new link writes to the same store, and may want the same port.
    await asyncio.gather(*(link.close() for link in gone.values()))
    fresh: dict[str, VenLink] = {}
    try:
        for ven in settings.vens:
            if ven.name not in kept:
                fresh[ven.name] = make(ven, settings.points)
    except OadrError:
        await asyncio.gather(*(link.close() for link in fresh.values()))
        for name, link in gone.items():
            try:
                links[name] = make(link.settings, before.points)
            except OadrError as error:  # its port has gone to somebody else meanwhile, for one
                _log.error("VEN %s could not be opened again: %s", name, error)
            else:
                links[name].start()
        raise
    links.clear()
    links.update((ven.name, (kept | fresh)[ven.name]) for ven in settings.vens)
    return list(fresh.values())


def make_handler(
    ven: VenSettings,
    identity: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]],
    *,
    db: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> EventHandler:
    """The events of a VEN; in memory only without a ``db``."""
    resources, groups, signals = identity
    return EventHandler(
        ven.kept_as,
        vtn_ids=ven.vtn_ids or None,
        market_contexts=ven.market_contexts or None,
        group_id=groups,
        resource_id=resources,
        party_id=ven.party_ids,
        oadr_profile_level=ven.profile,
        db_path=db,
        policy=ven.policy,
        supported_signals=signals,
        default_opt=ven.opt,
        clock=clock,
    )


def identity_of(
    settings: VenSettings, points: Collection[PointSettings]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The resourceIDs, groupIDs and signal names this VEN answers to, its points' included."""
    own = [point for point in points if settings.name in point.vens]
    resources = {*settings.resource_ids}.union(*(point.names.resource_ids for point in own))
    groups = {*settings.group_ids}.union(*(point.names.group_ids for point in own))
    signals = {point.map.signal_name for point in own} or {"SIMPLE"}
    return tuple(sorted(resources)), tuple(sorted(groups)), tuple(sorted(signals))


def for_a_dry_run(ven: VenSettings) -> VenSettings:
    """A VEN that only asks for the events of this one. It does not register, has no port, and is
    somebody else on the XMPP server, so that it may stand beside a gateway at work.

    Raises:
        ConfigurationError: its venID is not known without registering.
    """
    ven_id = ven.ven_id
    if ven.services is not None:
        ven_id = registered_as(ven) or ven_id
        if ven_id is None:
            raise ConfigurationError(
                "a dry run does not register, and no venID is known yet: give ven_id, or let the"
                " gateway register first"
            )
    used = replace(ven, ven_id=ven_id, services=None)
    if ven.push is not None:
        return replace(used, transport="http", push=None, interval=ven.heartbeat or ven.ping)
    if ven.xmpp is not None:
        bare = ven.xmpp.jid.partition("/")[0]
        return replace(used, xmpp=replace(ven.xmpp, jid=f"{bare}/dry-run"))
    return used


def registered_as(ven: VenSettings) -> str | None:
    """The venID that the VTN gave it, by its file; None before that.

    Raises:
        StoreError: the file cannot be read.
    """
    if not ven.db.is_file():
        return None
    with EventStore(ven.db) as store:
        state = StoredState(store, ven.kept_as)
        known = Registration(RegistrationSettings(), state).registered
    return None if known is None else known.ven_id
