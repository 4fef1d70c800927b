"""Many VENs for a gateway: the engine of the fleet with callbacks per VEN, in seconds and ids.

:class:`oadr2._core.fleet.Fleet` is the engine itself: rows, whole microseconds, bytes in and out. Here
its rows are called by their venID, and what happens to their events is told with the same
:class:`~oadr2.event.Change` as by an :class:`~oadr2.event.EventHandler`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

from oadr2._core.fleet import Fleet
from oadr2.errors import LocalProtocolError
from oadr2.event import Change
from oadr2.model import Event, OptType
from oadr2.policy import VtnPolicy

log = logging.getLogger(__name__)

OnChange: TypeAlias = Callable[[str, Change], object]
OnEvent: TypeAlias = Callable[[str, Event], OptType | None]

# How many refused versions of events are remembered, so that each is told once and not at each poll.
_REFUSALS_REMEMBERED = 10_000


@dataclass(slots=True)
class _Listener:
    on_change: OnChange | None
    on_event: OnEvent | None


def microseconds(seconds: float) -> int:
    """Whole microseconds."""
    return round(seconds * 1e6)


class VenFleet:
    """VENs with callbacks. A transport moves the bytes of :attr:`fleet`; this class hears of the events.

    ``on_change(ven_id, change)`` is called after a VEN's events have changed, ``on_event(ven_id, event)``
    before a new or modified event is taken: it gives ``"optIn"``, ``"optOut"`` or None (what the VEN's
    group does by itself), and must not use the fleet. Either may be given for all VENs here, or for one with
    :meth:`listen`, which then counts instead. What they raise is logged and goes no further. Python
    objects are made for VENs that have a callback, and for no other.

    Not thread-safe: use it where its transport runs.

    Args:
        seed: of everything that is drawn: offsets, jitter, request ids, shares.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        on_change: OnChange | None = None,
        on_event: OnEvent | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.fleet = Fleet(seed=seed)
        self._clock = clock
        self._all = _Listener(on_change, on_event)
        self._single: dict[int, _Listener] = {}
        self._refused: dict[tuple[int, str, str], tuple[int, str]] = {}
        self.fleet.listen(self._changed, self._asked)

    def add_vens(
        self,
        ven_ids: str | Sequence[str],
        count: int = 1,
        *,
        profile: str = "2.0a",
        policy: VtnPolicy = VtnPolicy(),  # noqa: B008  frozen, so one instance may be shared
        vtn_ids: Iterable[str] = (),
        market_contexts: Iterable[str] = (),
        signals: Iterable[str] = ("SIMPLE",),
        group_ids: str | Iterable[str] = (),
        resource_ids: str | Iterable[str] = (),
        party_ids: str | Iterable[str] = (),
        poll_interval: float = 10.0,
        jitter: float = 0.1,
        first_number: int = 0,
    ) -> range:
        """Add VENs that are configured alike; their rows.

        Args:
            ven_ids: the ids, or one pattern with ``{n}`` for `count` VENs. The other ids may be
                patterns, too.
            poll_interval: seconds.

        Raises:
            ConfigurationError: an argument is wrong, or an id is taken.
        """
        number = count if isinstance(ven_ids, str) else len(ven_ids)
        first = self.fleet.add_group(
            number,
            ven_ids=ven_ids,
            first_number=first_number,
            profile=profile,
            policy=policy,
            vtn_ids=vtn_ids,
            market_contexts=market_contexts,
            signals=signals,
            group_ids=group_ids,
            resource_ids=resource_ids,
            party_ids=party_ids,
            poll_interval=microseconds(poll_interval),
            jitter=jitter,
        )
        if self._all.on_change is not None or self._all.on_event is not None:
            self.fleet.hear(first, number)
        return range(first, first + number)

    def listen(
        self, ven_id: str, *, on_change: OnChange | None = None, on_event: OnEvent | None = None
    ) -> None:
        """Call these for one VEN instead of those for all; None: do as for all."""
        row = self._row(ven_id)
        own = _Listener(on_change or self._all.on_change, on_event or self._all.on_event)
        self._single[row] = own
        self.fleet.hear(row, 1, own.on_change is not None or own.on_event is not None)

    def start(self, spread: float = 0.0) -> None:
        """Let every VEN poll, the first times spread over so many seconds."""
        self.fleet.start(0, len(self.fleet), self._now(), microseconds(spread))

    def advance(self) -> None:
        """Let events start, step and end that are due; whoever drives the fleet calls it in time."""
        while self.fleet.advance(self._now(), 10_000):
            pass

    def set_opt(self, ven_id: str, event_id: str, opt_type: OptType) -> None:
        """Change the opt of an event; the VEN tells the VTN at once (facts.md E06).

        Raises:
            LocalProtocolError: no such VEN, event or opt, or the event is being cancelled.
        """
        self.fleet.set_opt(self._row(ven_id), event_id, opt_type, self._now())

    def level(self, ven_id: str) -> tuple[float, str | None]:
        """(level, event id) of the event that rules now, or (0, None) (facts.md E43-E46)."""
        return self.fleet.level(self._row(ven_id), self._now())

    def events(self, ven_id: str) -> list[Event]:
        """The events a VEN holds, pending or running, in order of arrival."""
        return self.fleet.events(self._row(ven_id))

    # -- inside -----------------------------------------------------------------------------------

    def _now(self) -> int:
        return microseconds(self._clock())

    def _row(self, ven_id: str) -> int:
        try:
            return self.fleet.row_of(ven_id)
        except KeyError:
            raise LocalProtocolError(f"no VEN {ven_id!r} in this fleet") from None

    def _changed(self, row: int, changes: Sequence[Any], refusals: Sequence[Any]) -> None:
        function = self._single.get(row, self._all).on_change
        if function is None:
            return
        ven_id = self.fleet.ven_id(row)
        told = [Change(*change) for change in changes]
        told += [
            Change("refused", vtn_id, event_id, number, "optOut", None, reason)
            for vtn_id, event_id, number, code, reason in refusals
            if code != 200 and event_id and self._is_new(row, vtn_id, event_id, number, reason)
        ]
        for change in told:
            try:
                function(ven_id, change)
            except Exception:  # the application's own code
                log.exception("on_change failed for VEN %r, event %r", ven_id, change.event_id)

    def _is_new(self, row: int, vtn_id: str, event_id: str, number: int, reason: str) -> bool:
        key = (row, vtn_id, event_id)
        if self._refused.get(key) == (number, reason):
            return False
        self._refused.pop(key, None)
        if len(self._refused) >= _REFUSALS_REMEMBERED:
            del self._refused[next(iter(self._refused))]
        self._refused[key] = (number, reason)
        return True

    def _asked(self, row: int, event: Event) -> OptType | None:
        function = self._single.get(row, self._all).on_event
        if function is None:
            return None
        ven_id = self.fleet.ven_id(row)
        try:
            opt = function(ven_id, event)
        except Exception:  # the application's own code; the event counts all the same
            log.exception("on_event failed for VEN %r, event %r", ven_id, event.event_id)
            return None
        if opt is not None and opt not in get_args(OptType):
            log.error("on_event gave %r for VEN %r, event %r", opt, ven_id, event.event_id)
            return None
        return opt
