"""What a person orders of a VEN that runs in another process, through its file: opts, its registration.

Whoever gives an order writes it beside the VEN's events and settings (:class:`Orders`); the VEN looks
there twice a second and carries it out (:func:`carry_out_orders`). One that does not run does so when it
runs again, if there is still a point in it: an order about an event that is gone, or a schedule that is
over, is refused then. The giver writes nothing else, so a VEN at work is never disturbed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal, Protocol, TypeAlias

from oadr2.client import end_tasks
from oadr2.errors import (
    LocalProtocolError,
    OadrError,
    RemoteProtocolError,
    StoreError,
    TransportError,
)
from oadr2.exchanges import ServiceCalls
from oadr2.model import OptType, Period, Targets
from oadr2.schedule import Duration
from oadr2.store import EventStore

_log = logging.getLogger("oadr2.ven")

_PREFIX: Final = "order/"
_LOOK_S: Final = 0.5
_REFUSALS_KEPT_S: Final = 60.0

OrderKind: TypeAlias = Literal["event", "qualify", "schedule", "cancel", "register", "withdraw"]

# What needs no registration.
_ALWAYS: Final = frozenset({"event", "register", "withdraw"})


@dataclass(frozen=True, slots=True)
class Order:
    """One wish.

    Attributes:
        kind: ``event``: our opt of a whole event; ``qualify``: an opt for part of one, ``schedule``:
            when loads are there, or are not; ``cancel``: take such an opt back; ``register``: do
            that, or do it again; ``withdraw``: end the registration. All but the first are of 2.0b.
        opt_type: of the first three.
        event_id, vtn_id: of ``event`` and ``qualify``; the vtnID only where several use the eventID.
        opt_id: of the opt to be taken back, or to be made.
        periods: of a ``schedule``: from when to when, seconds since 1970.
        reason, market_context, resource_ids: as an oadrCreateOpt has them.
        given: when, in nanoseconds since 1970; orders are carried out in this order.
        refused: why it was not carried out; "" while it waits.
        refused_at: seconds since 1970.
    """

    kind: OrderKind
    opt_type: OptType = "optIn"
    event_id: str = ""
    vtn_id: str | None = None
    opt_id: str = field(default_factory=lambda: secrets.token_hex(8))
    periods: tuple[tuple[float, float], ...] = ()
    reason: str = ""
    market_context: str | None = None
    resource_ids: tuple[str, ...] = ()
    given: int = field(default_factory=time.time_ns)
    refused: str = ""
    refused_at: float = 0.0

    @property
    def key(self) -> str:
        """Where it is kept."""
        return f"{_PREFIX}{self.given:020}/{self.kind}/{self.opt_id}"


class Orders:
    """The orders in the file of one VEN, for both sides.

    Args:
        store: the VEN's file.
        ven_id: what the VEN is kept under there.
    """

    def __init__(self, store: EventStore, ven_id: str) -> None:
        self._store = store
        self.ven_id = ven_id

    def give(self, order: Order) -> None:
        """Write it down. Raises StoreError when it cannot be; it is not given then."""
        self._store.put_value(self.ven_id, order.key, json.dumps(asdict(order)))

    def all(self) -> tuple[Order, ...]:
        """Those that wait, and those refused a short while ago. Raises StoreError."""
        texts = self._store.get_values(self.ven_id, _PREFIX).values()
        return tuple(map(_order, texts))

    def find(self, order: Order) -> Order | None:
        """It as it is now, ``refused`` perhaps; None once it is carried out. Raises StoreError."""
        text = self._store.get_value(self.ven_id, order.key)
        return None if text is None else _order(text)

    def done(self, orders: Sequence[Order]) -> None:
        """For the VEN: forget them. Raises StoreError."""
        self._store.put_values(self.ven_id, dict.fromkeys((o.key for o in orders), None))

    def refuse(self, order: Order, reason: str, now: float) -> None:
        """For the VEN: have the giver know why not. Raises StoreError."""
        refused = replace(order, refused=reason, refused_at=now)
        self._store.put_values(self.ven_id, {order.key: json.dumps(asdict(refused))})


class OptClient(Protocol):
    """A transport's client; one that has :class:`oadr2.exchanges.ServiceCalls` does all there is."""

    async def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event and tell the VTN; it has changed before this first waits."""


async def carry_out_orders(
    client: OptClient,
    orders: Orders,
    *,
    look_every: float = _LOOK_S,
    clock: Callable[[], float] = time.time,
) -> None:
    """Carry out what is ordered, until cancelled. On the event loop of the client.

    Args:
        client: the VEN.
        orders: in its file.
        look_every: seconds between two looks; one costs some ten microseconds.
        clock: seconds since 1970.
    """
    trouble = ""
    telling: set[asyncio.Task[None]] = set()
    try:
        while True:
            try:
                for order in _possible(client, orders, clock()):
                    if _waits(client, order):
                        continue
                    await _carry_out(client, orders, order, clock(), telling)
                trouble = ""
            except StoreError as error:  # they wait, and so do we
                if str(error) != trouble:
                    trouble = str(error)
                    _log.error("orders cannot be carried out: %s", trouble)
            await asyncio.sleep(look_every)
    finally:
        await end_tasks(telling)


def _possible(client: OptClient, orders: Orders, now: float) -> list[Order]:
    """Those to be carried out now; what is over is forgotten."""
    known = orders.all()
    over = [o for o in known if o.refused and not 0 <= now - o.refused_at < _REFUSALS_KEPT_S]
    waiting = [order for order in known if not order.refused]
    if isinstance(client, ServiceCalls):
        held = {opt.opt_id for opt in client.ven.opts.held}
        taken_back = {o.opt_id for o in waiting if o.kind == "cancel"} - held
        made = {o.opt_id for o in waiting if o.kind in ("qualify", "schedule")}
        # Given and taken back before anybody has heard of it.
        never = [o for o in waiting if o.kind != "event" and o.opt_id in taken_back & made]
        over += never
        waiting = [order for order in waiting if order not in never]
    if over:
        orders.done(over)
    return waiting


def _waits(client: OptClient, order: Order) -> bool:
    """Whether it needs a registration, and there is none, or none that lasts."""
    if order.kind in _ALWAYS or not isinstance(client, ServiceCalls):
        return False
    registration = client.ven.registration
    return registration.registered is None or registration.last_word == "end"


async def _carry_out(
    client: OptClient, orders: Orders, order: Order, now: float, telling: set[asyncio.Task[None]]
) -> None:
    try:
        await _obey(client, order, now, telling)
    except StoreError:
        raise
    except (TransportError, RemoteProtocolError) as error:
        _note_untold(order, error)
    except Exception as error:  # an order that cannot be carried out must not stand for ever
        if not isinstance(error, OadrError):
            _log.exception("order about %r failed", order.event_id or order.opt_id)
        else:
            _log.warning("VEN %s refuses an order: %s", orders.ven_id, error)
        orders.refuse(order, str(error), now)
        return
    orders.done((order,))


def _note_untold(order: Order, error: Exception) -> None:
    """The opt has changed all the same; the answer to the VTN's next list says so."""
    _log.warning("the VTN is not told of event %r yet: %s", order.event_id, error)


async def _change_opt(client: OptClient, order: Order, telling: set[asyncio.Task[None]]) -> None:
    """Change it now; a VTN that takes its time to be told holds up no other order."""
    task = asyncio.create_task(client.change_opt(order.event_id, order.opt_type, order.vtn_id))
    telling.add(task)

    def told(_task: object) -> None:
        telling.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, (TransportError, RemoteProtocolError)):
            _note_untold(order, error)
        elif error is not None:
            _log.error("telling the VTN of event %r failed", order.event_id, exc_info=error)

    await asyncio.sleep(0)  # its first step, which changes the opt or says why not
    if not task.done():
        task.add_done_callback(told)
        return
    telling.discard(task)
    task.result()


async def _obey(
    client: OptClient, order: Order, now: float, telling: set[asyncio.Task[None]]
) -> None:
    if order.kind == "event":
        await _change_opt(client, order, telling)
        return
    if not isinstance(client, ServiceCalls):
        can = "never registers" if order.kind in _ALWAYS else "can opt in and out of whole ones"
        raise LocalProtocolError(f"this VEN only takes events: it {can}")
    if order.kind == "register":
        await client.register()
        return
    if order.kind == "withdraw":
        await client.withdraw()
        return
    if order.kind == "cancel":
        await client.cancel_opt(order.opt_id)
        return
    if any(opt.opt_id == order.opt_id for opt in client.ven.opts.held):
        return  # a moment before we were ended
    targets = Targets(resource_ids=order.resource_ids)
    if order.kind == "qualify":
        await client.create_opt(
            order.event_id,
            order.opt_type,
            reason=order.reason,
            targets=targets,
            opt_id=order.opt_id,
        )
        return
    periods = [_period(start, end) for start, end in order.periods if end > now]
    if not periods:
        raise LocalProtocolError("the schedule was over before the VEN could tell the VTN")
    await client.create_availability(
        order.opt_type,
        periods,
        reason=order.reason,
        market_context=order.market_context,
        targets=targets,
        opt_id=order.opt_id,
    )


def _order(text: str) -> Order:
    kept = json.loads(text)
    kept["periods"] = tuple((start, end) for start, end in kept["periods"])
    kept["resource_ids"] = tuple(kept["resource_ids"])
    return Order(**kept)


def _period(start: float, end: float) -> Period:
    length = Duration(microseconds=round((end - start) * 1e6))
    return Period(datetime.fromtimestamp(start, UTC), length)
