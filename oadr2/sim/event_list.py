"""The simulated VTN's events: which there are, whose they are, and the lists made of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from oadr2.errors import RESPONSE_CODES, LocalProtocolError
from oadr2.model import DistributeEvent, EiResponse, Event, Message, Profile, Targets
from oadr2.sim.event_spec import EventSettings, EventSpec, new_spec
from oadr2.sim.exchange import ListedEvent

# How long a cancelled event with an open end is listed unacknowledged (H52: until retries run out).
KEEP_CANCELLED: Final = timedelta(days=1)


@dataclass(slots=True)
class _Held:
    """An event the VTN lists, and the VENs that acknowledged its cancellation."""

    event_id: str
    spec: EventSpec
    number: int
    created: datetime
    modified: datetime | None = None
    cancelled: datetime | None = None
    acknowledged: set[str] = field(default_factory=set)

    def over(self) -> datetime | None:
        over = self.spec.over
        if over is None and self.cancelled is not None:
            return self.cancelled + KEEP_CANCELLED
        return over

    def event(self, now: datetime, profile: Profile) -> Event:
        return self.spec.event(
            self.event_id,
            self.number,
            now=now,
            created=self.created,
            modified=self.modified,
            cancelled=self.cancelled is not None,
            profile=profile,
        )

    def is_for(self, ven_id: str, membership: Targets | None) -> bool:
        """Whether a VEN gets the event; one of unknown membership gets what may be meant for it."""
        targets = self.spec.targets
        if not targets or ven_id in targets.ven_ids:
            return True
        others = replace(targets, ven_ids=())
        if membership is None:
            return bool(others)
        return any(
            not set(getattr(others, name)).isdisjoint(getattr(membership, name))
            for name in Targets.__slots__
        )


@dataclass(frozen=True, slots=True)
class PreparedList:
    """A list encoded once for many polls, with room for the two request ids."""

    message: DistributeEvent
    before: bytes
    between: bytes
    after: bytes
    listed: tuple[ListedEvent, ...]


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)


class EventList:
    """The events of one VTN and who is to get them. Not thread-safe.

    Args:
        vtn_id: stands in every list.
        profiles: in which an event must be fit to be sent.
        encode: makes the bytes of a message.
        clock: gives the time in seconds since the epoch.
        remember_vens: keep the list of each VEN for its next poll, until something changes.
    """

    def __init__(
        self,
        vtn_id: str,
        profiles: tuple[Profile, ...],
        encode: Callable[[Message], bytes],
        clock: Callable[[], float],
        remember_vens: bool,
    ) -> None:
        #: Grows with every change of an event or of who is known.
        self.revision = 0
        self._vtn_id = vtn_id
        self._profiles = profiles
        self._encode = encode
        self._clock = clock
        self._remember = remember_vens
        self._held: dict[str, _Held] = {}
        self._numbers: dict[str, int] = {}  # the highest modification number ever sent, by event id
        self._memberships: dict[str, Targets] = {}
        self._open = True
        # Prepared lists hold from _since to _until, the next moment a status or a level changes.
        self._since = self._until = 0.0
        self._by_ven: dict[tuple[str, Profile, int | None], PreparedList] = {}
        self._by_list: dict[tuple[Profile, tuple[str, ...]], PreparedList] = {}
        self._echo, self._list_id = uuid.uuid4().hex, uuid.uuid4().hex  # stand in for the ids

    # Events

    def add(self, event_id: str, settings: EventSettings) -> None:
        """Add an event; see :meth:`oadr2.sim.SimulatedVtn.add_event`."""
        now = self.refreshed()
        held = self._held.get(event_id)
        if held is not None and held.cancelled is None:
            raise LocalProtocolError(f"event {event_id!r} is listed already; modify it")
        number = self._numbers.get(event_id, -1) + 1
        self._put(_Held(event_id, new_spec(settings, now), number, created=now))

    def modify(self, event_id: str, changes: EventSettings) -> int:
        """Change an event; see :meth:`oadr2.sim.SimulatedVtn.modify_event`."""
        held = self._find(event_id)
        now = self.now()
        spec = held.spec.changed(changes, now)
        self._put(replace(held, spec=spec, number=held.number + 1, modified=now))
        return held.number + 1

    def cancel(self, event_id: str) -> int:
        """Cancel an event; see :meth:`oadr2.sim.SimulatedVtn.cancel_event`."""
        held = self._find(event_id)
        now = self.now()
        cancelled = replace(held, number=held.number + 1, modified=now, cancelled=now)
        self._put(replace(cancelled, acknowledged=set()))
        return held.number + 1

    def remove(self, event_id: str) -> None:
        """Drop an event; see :meth:`oadr2.sim.SimulatedVtn.remove_event`."""
        self._find(event_id, cancelled=True)
        del self._held[event_id]
        self._forget_lists()

    def event(self, event_id: str) -> Event | None:
        """The event as listed now; None when it is unknown or over."""
        now = self.refreshed()
        held = self._held.get(event_id)
        return None if held is None else held.event(now, self._profiles[-1])

    def events(self) -> tuple[Event, ...]:
        """Every event listed now, in the order of the list."""
        now = self.refreshed()
        return tuple(held.event(now, self._profiles[-1]) for held in self._ordered(now))

    def number_sent(self, event_id: str, ven_id: str) -> int | None:
        """The highest modification number this VEN may have heard of; None: not of the event."""
        held = self._held.get(event_id)
        if held and not held.is_for(ven_id, self._memberships.get(ven_id)):
            return None
        return self._numbers.get(event_id)

    def acknowledge(self, ven_id: str, event_id: str, number: int) -> None:
        """A VEN has answered this version: if that is its cancellation, it is listed no longer to it."""
        held = self._held.get(event_id)
        if held is None or held.cancelled is None or number != held.number:
            return
        held.acknowledged.add(ven_id)
        if self._remember:
            for key in [key for key in self._by_ven if key[0] == ven_id]:
                del self._by_ven[key]

    # VENs

    def set_vens(self, vens: Mapping[str, Targets] | Iterable[str] | None) -> None:
        """Serve these VENs and no others; None serves every VEN."""
        if isinstance(vens, str):  # a str is an iterable of its letters
            raise LocalProtocolError(f"known_vens: {vens!r} is one text; give a list of ids")
        self._open = vens is None
        if isinstance(vens, Mapping):
            self._memberships = dict(vens)
        else:
            self._memberships = {ven_id: Targets() for ven_id in vens or ()}
        self._forget_lists()

    def add_ven(self, ven_id: str, membership: Targets) -> None:
        """Say what a VEN belongs to; when only known VENs are served, serve it too."""
        self._memberships[ven_id] = membership
        self._forget_lists()

    def serves(self, ven_id: str) -> bool:
        """Whether a VEN is served."""
        return self._open or ven_id in self._memberships

    # Lists

    def prepared_for(
        self, ven_id: str, profile: Profile, reply_limit: int | None = None
    ) -> PreparedList:
        """A VEN's list as it is now."""
        now = self._refresh()
        key = (ven_id, profile, reply_limit)
        prepared = self._by_ven.get(key)
        if prepared is None:
            prepared = self._prepare(*key, _moment(now))
            if self._remember:
                self._by_ven[key] = prepared
        return prepared

    def now(self) -> datetime:
        """The VTN's time."""
        return _moment(self._clock())

    def refreshed(self) -> datetime:
        """The VTN's time, with what is over by then dropped."""
        return _moment(self._refresh())

    def _refresh(self) -> float:
        """Drop what is over and forget lists that no longer hold; returns the time it went by."""
        now = self._clock()
        if self._since <= now < self._until:
            return now
        moment = _moment(now)
        self._by_ven.clear()
        self._by_list.clear()
        until = float("inf")
        for event_id, held in list(self._held.items()):
            over = held.over()
            if over is not None and moment >= over:
                del self._held[event_id]
                continue
            for border in (*held.spec.borders(), *((over,) if over else ())):
                if border > moment:
                    until = min(until, border.timestamp())
        self._since, self._until = now, until
        return now

    def _find(self, event_id: str, *, cancelled: bool = False) -> _Held:
        self._refresh()
        held = self._held.get(event_id)
        if held is None:
            over = event_id in self._numbers
            raise LocalProtocolError(
                f"event {event_id!r} is {'over or removed' if over else 'not known'}"
            )
        if held.cancelled is not None and not cancelled:
            raise LocalProtocolError(f"event {event_id!r} is cancelled; add it anew")
        return held

    def _put(self, held: _Held) -> None:
        """Take an event into the list, or leave everything as it was if it cannot be sent."""
        for profile in self._profiles:
            self._encode(
                DistributeEvent(
                    self._vtn_id, "", (held.event(self.now(), profile),), EiResponse(), profile
                )
            )
        self._held[held.event_id] = held
        self._numbers[held.event_id] = held.number
        self._forget_lists()

    def _forget_lists(self) -> None:
        self.revision += 1
        self._until = self._since

    def _ordered(self, now: datetime) -> list[_Held]:
        """Active events first, then by priority (0 and none last), then by start (facts.md 2.7)."""

        def rank(held: _Held) -> tuple[bool, float, datetime]:
            active = held.cancelled is None and held.spec.status(now) == "active"
            return not active, held.spec.priority or float("inf"), held.spec.start

        return sorted(self._held.values(), key=rank)

    def _prepare(
        self, ven_id: str, profile: Profile, reply_limit: int | None, now: datetime
    ) -> PreparedList:
        membership = self._memberships.get(ven_id)
        chosen = [
            held
            for held in self._ordered(now)
            if held.is_for(ven_id, membership) and ven_id not in held.acknowledged
        ][:reply_limit]
        key = (profile, tuple(held.event_id for held in chosen))
        prepared = self._by_list.get(key)
        if prepared is None:
            events = tuple(held.event(now, profile) for held in chosen)
            response = EiResponse(200, RESPONSE_CODES[200], self._echo)
            message = DistributeEvent(self._vtn_id, self._list_id, events, response, profile)
            before, rest = self._encode(message).split(self._echo.encode())
            between, after = rest.split(self._list_id.encode())
            listed = tuple(
                ListedEvent(held.event_id, held.number, event.event_status or "none")
                for held, event in zip(chosen, events, strict=True)
            )
            prepared = self._by_list[key] = PreparedList(message, before, between, after, listed)
        return prepared
