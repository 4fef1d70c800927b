"""What the events of all VENs want of each point, and when that changes next: :class:`Planner`.

Without I/O and without a clock: `now` is an argument, in seconds since 1970.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, TypeAlias

from oadr2.errors import LocalProtocolError, OadrError
from oadr2.event import EventState
from oadr2.gateway.configuration import PointSettings
from oadr2.gateway.opt_outs import opted_out
from oadr2.gateway.ven_settings import VenSettings
from oadr2.points.concern import concerns
from oadr2.points.mapping import SignalMap
from oadr2.points.point import Demand
from oadr2.points.timeline import Steps, steps_of
from oadr2.services.opt import HeldOpt

_log = logging.getLogger(__name__)
_ALONE = (0.0, 0.0, 0)  # the rank of an event that no other competes with

#: Events kept in memory after they are gone, to be shown.
MOST_PAST: Final = 100


@dataclass(slots=True, eq=False)
class PlannedEvent:
    """One event of one VEN, as the points see it.

    Attributes:
        order: of arrival.
        steps: of each signal somebody follows, by its place in the event.
        points: name of each point concerned, and the signal it follows.
        next_change: when a value changes next.
        demands: those made so far, by map, value and signal; thousands of points share a few.
        opts: of a person, for some of its loads; the latest last.
        left_out: of the points concerned those that take no part, and why.
        counts: whether it may move a load: accepted, and no test (facts.md 2.7).
    """

    ven: VenSettings
    state: EventState
    order: int
    steps: dict[int, Steps] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    next_change: float = inf
    demands: dict[tuple[int, float, int], Demand | None] = field(default_factory=dict)
    opts: tuple[HeldOpt, ...] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    counts: bool = False

    def __post_init__(self) -> None:
        wanted = self.state.opt_type == "optIn"
        self.counts = wanted and (not self.state.event.is_test or self.ven.policy.run_test_events)

    def is_as_in(self, state: EventState, opts: tuple[HeldOpt, ...]) -> bool:
        """Whether ``state`` and these opts say nothing new."""
        mine = self.state
        return (
            self.opts == opts
            and mine.start == state.start
            and mine.end == state.end
            and mine.opt_type == state.opt_type
            and mine.event.raw == state.event.raw
        )

    def rank(self, value: float) -> tuple[float, float, int]:
        """The smallest rules (facts.md E45, E46), as in the core's event table."""
        priority = self.state.event.priority or 0
        match self.ven.policy.priority:
            case "lower":
                first = float(priority) if priority > 0 else inf
            case "higher":
                first = -float(priority)
            case _:
                first = -value
        return first, self.state.start.timestamp(), self.order


#: Events that are gone, each with the moment it went.
Past: TypeAlias = "deque[tuple[float, PlannedEvent]]"


class Planner:
    """The events, and the points they concern.

    Args:
        vens, points: all of them.
        past: of the planner before this one.
    """

    def __init__(
        self,
        vens: Iterable[VenSettings],
        points: Iterable[PointSettings],
        past: Past | None = None,
    ) -> None:
        #: What VENs held and hold no more, the oldest first.
        self.past: Past = deque(maxlen=MOST_PAST) if past is None else past
        self._vens = {ven.name: ven for ven in vens}
        self._points = {point.name: point for point in points}
        self._events: dict[str, dict[tuple[str, str], PlannedEvent]] = {
            name: {} for name in self._vens
        }
        self._events_of: dict[str, list[PlannedEvent]] = {}
        self._own_names = {
            ven.name: frozenset({*ven.group_ids, *ven.resource_ids}) for ven in self._vens.values()
        }
        self._arrivals = 0

    @property
    def events(self) -> Mapping[str, Mapping[tuple[str, str], PlannedEvent]]:
        """The events by VEN, then by (vtnID, eventID)."""
        return self._events

    @property
    def next_change(self) -> float:
        """When :meth:`advance` has something to do next; ``inf``: never."""
        return min(
            (event.next_change for held in self._events.values() for event in held.values()),
            default=inf,
        )

    def update(
        self,
        ven: str,
        states: Sequence[EventState],
        now: float,
        opts: Mapping[str, tuple[HeldOpt, ...]] | None = None,
    ) -> list[str]:
        """These are the events this VEN holds now; the points that may want something else.

        Args:
            opts: a person's, for some of the loads of an event, by eventID.
        """
        opts = {} if opts is None else opts
        held = self._events[ven]
        affected: dict[str, None] = {}
        fresh: dict[tuple[str, str], PlannedEvent] = {}
        for state in states:
            key = (state.vtn_id, state.event.event_id)
            known, of_loads = held.get(key), opts.get(state.event.event_id, ())
            if known is not None and known.is_as_in(state, of_loads):
                known.state = state
                fresh[key] = known
                continue
            if known is not None:
                affected.update(dict.fromkeys(known.points))
                order = known.order
            else:
                order = self._arrivals
                self._arrivals += 1
            event = fresh[key] = self._plan(self._vens[ven], state, order, of_loads, now)
            affected.update(dict.fromkeys(event.points))
        for key, event in held.items():
            if key not in fresh:
                affected.update(dict.fromkeys(event.points))
                self.past.append((now, event))
        self._events[ven] = fresh
        for name in affected:
            self._events_of[name] = []
        for events in self._events.values():
            for event in events.values():
                for name in event.points.keys() & affected.keys():
                    self._events_of[name].append(event)
        return list(affected)

    def advance(self, now: float) -> dict[str, float]:
        """Let time pass; the points of which something else may be wanted, and since when."""
        affected: dict[str, float] = {}
        for held in self._events.values():
            for event in held.values():
                if event.next_change <= now:
                    affected.update(dict.fromkeys(event.points, event.next_change))
                    self._schedule(event, now)
        return affected

    def step_clock(self, now: float) -> list[str]:
        """The wall clock was set; every point an event concerns."""
        for held in self._events.values():
            for event in held.values():
                self._schedule(event, now)
        return [name for name, events in self._events_of.items() if events]

    def demand(self, name: str, now: float) -> Demand | None:
        """What the events want of this point at ``now``."""
        best: tuple[tuple[float, float, int], PlannedEvent, float, int] | None = None
        events = self._events_of.get(name, ())
        alone = len(events) == 1
        left_out: PlannedEvent | None = None
        for event in events:
            if not event.counts:
                continue
            index = event.points[name]
            value = event.steps[index].value_at(now)
            if value is None:
                continue
            if name in event.left_out:
                left_out = event
                continue
            rank = _ALONE if alone else event.rank(value)
            if best is None or rank < best[0]:
                best = (rank, event, value, index)
        if best is None:
            return None if left_out is None else self._demand_of_nothing(name, left_out)
        _, event, value, index = best
        signal_map = self._points[name].map
        key = (id(signal_map), value, index)
        if key not in event.demands:
            event.demands[key] = self._new_demand(event, signal_map, value, index)
        return event.demands[key]

    def _demand_of_nothing(self, name: str, event: PlannedEvent) -> Demand:
        state, normal = event.state, self._points[name].rules.normal
        reason = f"opted out: {event.left_out[name]}"
        return Demand(normal, state.vtn_id, state.event.event_id, reason, "normal")

    @staticmethod
    def _new_demand(
        event: PlannedEvent, signal_map: SignalMap, value: float, index: int
    ) -> Demand | None:
        state = event.state
        signal = state.event.signals[index]
        try:
            setting = signal_map.setting(value)
        except LocalProtocolError as error:
            _log.error("event %r is not followed: %s", state.event.event_id, error)
            return None
        reason = f"{signal.signal_name.strip()} {value:g}"
        return Demand(setting, state.vtn_id, state.event.event_id, reason)

    def _plan(
        self,
        ven: VenSettings,
        state: EventState,
        order: int,
        opts: tuple[HeldOpt, ...],
        now: float,
    ) -> PlannedEvent:
        planned = PlannedEvent(ven, state, order, opts=opts)
        event, own_names = state.event, self._own_names[ven.name]
        signals = list(enumerate(event.signals))
        for name, point in self._points.items():
            if ven.name not in point.vens:
                continue
            for index, signal in signals:
                if not point.map.follows(signal):
                    continue
                if not concerns(event.targets, signal.targets, point.names, own_names):
                    continue
                if not point.map.understands(signal.unit):
                    _log.error(
                        "point %s does not follow event %r: %s is in another unit than %s",
                        name,
                        event.event_id,
                        signal.signal_name,
                        point.map.signal_unit,
                    )
                    continue
                planned.points[name] = index
                if opts and (
                    why := opted_out(opts, {*point.names.resource_ids, *ven.resource_ids})
                ):
                    planned.left_out[name] = why
                break
        for index in set(planned.points.values()):
            try:
                planned.steps[index] = steps_of(event.signals[index], state.start, state.end)
            except OadrError as error:
                _log.error("event %r is not followed: %s", event.event_id, error)
                planned.points.clear()
                planned.steps.clear()
                break
        if not planned.points:
            _log.warning("event %r of VTN %r concerns no point", event.event_id, state.vtn_id)
        self._schedule(planned, now)
        return planned

    @staticmethod
    def _schedule(event: PlannedEvent, now: float) -> None:
        event.next_change = min(
            (steps.next_change(now) for steps in event.steps.values()), default=inf
        )
