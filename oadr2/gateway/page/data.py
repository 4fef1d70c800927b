"""What the status page draws, as JSON: :class:`PageData`.

Points go out as rows, and only those that changed since the client asked last; how many at a time is
bounded, and the loop is let go between slices, so that looking at ten thousand points holds up no
load.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any, Final

from oadr2 import __version__
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.live_point import LivePoint
from oadr2.gateway.view import EventView, PointView
from oadr2.gateway.viewing import audit_problem, event_view, event_views, point_view, ven_views
from oadr2.points.rules import Released, Setting

#: Rows in one answer, events in one answer, steps of one event.
MOST_ROWS: Final = 2500
MOST_EVENTS: Final = 200
MOST_STEPS: Final = 500
_SLICE: Final = 250
_MOST_CHOICES: Final = 8

#: What the items of a point's row are; the page reads them by these names.
COLUMNS: Final = (
    *("name", "driver", "device", "unit", "wanted", "cause", "reason", "vtn_id", "event_id"),
    *("written", "found", "settled", "problem", "override_by", "override_until", "seen_at"),
    *("lowest", "highest", "choices", "place"),
)


class PageData:
    """Makes the answers.

    Args:
        gateway: what is looked at.
        writable: whether overrides can be set from the page.
    """

    def __init__(self, gateway: Gateway, writable: bool) -> None:
        self._gateway = gateway
        self._writable = writable
        self._choices: dict[int, tuple[list[Any], object]] = {}
        self._places: dict[str, int] = {}
        self._placed = -1  # the generation they are of

    async def state(self, generation: str, revision: int) -> bytes:
        """How everything stands, for a client that has seen this revision of this generation."""
        gateway = self._gateway
        own = f"{gateway.started_at:.6f}-{gateway.changes.generation}"
        fresh = generation != own
        lateness = gateway.lateness
        names, newest = gateway.changes.since(0 if fresh else revision, MOST_ROWS)
        head = {
            "version": __version__,
            "generation": own,
            "fresh": fresh,
            "revision": newest,
            "more": newest != gateway.changes.revision,
            "now": gateway.now,
            "started_at": gateway.started_at,
            "dry_run": gateway.dry_run,
            "ready": gateway.ready,
            "writable": self._writable,
            "audit_problem": audit_problem(gateway),
            "vens": [asdict(ven) for ven in ven_views(gateway)],
            "events": self._events(),
            "alerts": [asdict(alert) for alert in gateway.records.alerts],
            "writes": gateway.counts["writes"],
            "lateness_p99": lateness.percentile(99) / 1e6 if lateness.count else None,
            "total": len(gateway.points),
            "columns": COLUMNS,
        }
        if self._placed != gateway.changes.generation:
            self._places = {name: place for place, name in enumerate(gateway.points)}
            self._placed = gateway.changes.generation
        rows = []
        for begin in range(0, len(names), _SLICE):
            lives = (gateway.points.get(name) for name in names[begin : begin + _SLICE])
            part = [self._row(live) for live in lives if live is not None]
            if part:
                rows.append(_text(part)[1:-1])
            await asyncio.sleep(0)
        return f'{_text(head)[:-1]},"rows":[{",".join(rows)}]}}'.encode()

    async def story(self, name: str, limit: int) -> bytes:
        """The newest lines of the audit log about one point.

        Raises:
            StoreError: it cannot be read.
        """
        entries = await self._gateway.story(name, limit)
        lines = [
            {
                "at": entry.at,
                "kind": entry.kind,
                "old": _plain(entry.old),
                "new": _plain(entry.new),
                "read_back": entry.read_back,
                "event_id": entry.event_id,
                "reason": entry.reason,
            }
            for entry in entries
        ]
        return _text({"lines": lines}).encode()

    def _events(self) -> list[dict[str, Any]]:
        """Those held, and those gone; of many, those nearest to now."""
        gateway = self._gateway
        now = gateway.now
        found = [*event_views(gateway)]
        found += [event_view(event, gone_at) for gone_at, event in gateway.planner.past]
        found.sort(key=lambda event: _distance(event, now))
        return [_event(event, now) for event in found[:MOST_EVENTS]]

    def _row(self, live: LivePoint) -> list[Any]:
        view: PointView = point_view(self._gateway, live)
        signal_map = live.settings.map
        return [
            *(view.name, view.driver, view.device.removeprefix(f"{view.driver} "), view.unit),
            *(_plain(view.wanted), view.cause, view.reason, view.vtn_id, view.event_id),
            *(_plain(view.written), view.found, view.settled, view.problem),
            *(view.override_by, view.override_until, view.seen_at),
            *(_finite(signal_map.lowest), _finite(signal_map.highest)),
            self._choices_of(live),
            self._places.get(view.name, 0),
        ]

    def _choices_of(self, live: LivePoint) -> list[Any]:
        """Values worth offering for an override; thousands of points share a few maps."""
        signal_map = live.settings.map
        known = self._choices.get(id(signal_map))
        if known is None or known[1] is not signal_map:
            values: dict[Any, None] = {_plain(signal_map.normal): None}
            for _, value in sorted((signal_map.levels or {}).items()):
                values[value] = None
            if live.settings.driver.can_release:
                values["released"] = None
            # With the map itself, so that its id is not given to another one.
            known = self._choices[id(signal_map)] = (list(values)[:_MOST_CHOICES], signal_map)
        return known[0]


def _event(event: EventView, now: float) -> dict[str, Any]:
    """An event for the time line; of very many steps, those around now."""
    steps = event.steps
    if len(steps) > MOST_STEPS:
        passed = sum(begin < now for begin, _ in steps)
        first = max(0, min(passed - MOST_STEPS // 2, len(steps) - MOST_STEPS))
        steps = steps[first : first + MOST_STEPS]
    data = asdict(event)
    data["steps"] = steps
    return data


def _distance(event: EventView, now: float) -> tuple[bool, float]:
    """Those held come first, then those nearest to now."""
    end = event.end if event.gone_at is None else min(event.gone_at, event.end or event.gone_at)
    away = max(event.start - now, now - end if end is not None else 0.0, 0.0)
    return event.gone_at is not None, away


def _plain(value: Setting | None) -> float | str | None:
    return "released" if isinstance(value, Released) else value


def _finite(value: float) -> float | None:
    return value if abs(value) != float("inf") else None


def _text(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False)
