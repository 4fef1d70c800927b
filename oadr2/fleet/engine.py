"""Many VENs for a program: the engine of the fleet with callbacks per VEN, in seconds and ids, over HTTP.

:class:`oadr2._core.fleet.Fleet` is the engine itself: rows, whole microseconds, bytes in and out. Here
its rows are called by their venID, and what happens to their events is told with the same
:class:`~oadr2.event.Change` as by an :class:`~oadr2.event.EventHandler`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from oadr2._core.fleet import Fleet
from oadr2.errors import ConfigurationError, LocalProtocolError
from oadr2.event import Change
from oadr2.fleet.failures import Failure
from oadr2.fleet.row_groups import RowGroup, RowGroups, add_group
from oadr2.fleet.scenario import MAX_VENS, ConnectionPlan, Group, Timeouts, Tls
from oadr2.fleet.scenario_file import read_connections
from oadr2.model import Event, OptType, Profile
from oadr2.policy import VtnPolicy

if TYPE_CHECKING:
    from oadr2.fleet.http_run import HttpRun
    from oadr2.fleet.traffic import Traffic

log = logging.getLogger(__name__)

OnChange: TypeAlias = Callable[[str, Change], object]
OnEvent: TypeAlias = Callable[[str, Event], OptType | None]

# How many refused versions of events are remembered, so that each is told once and not at each poll.
_REFUSALS_REMEMBERED = 10_000
_ENDLESS_S = 9e12


@dataclass(slots=True)
class _Listener:
    on_change: OnChange | None
    on_event: OnEvent | None


def microseconds(seconds: float) -> int:
    """Whole microseconds. Raises ConfigurationError for what the engine cannot count."""
    if not abs(seconds) < _ENDLESS_S:  # NaN is none either
        raise ConfigurationError(f"{seconds} is no number of seconds that could be waited for")
    return round(seconds * 1e6)


def _spread_us(spread: float | None) -> int | None:
    over = None if spread is None else microseconds(spread)
    if over is not None and over < 0:
        raise ConfigurationError(f"spread: {spread} s is below 0 s")
    return over


class VenFleet:
    """VENs with callbacks. :meth:`run_http` lets them talk to a VTN; this class hears of the events.

    Another transport moves the bytes of :attr:`fleet` itself (docs/fleet.md).

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
        self._groups: list[RowGroup] = []
        self._traffic: Traffic | None = None
        self._connections: ConnectionPlan | None = None
        self.fleet.listen(self._changed, self._asked)

    def add_vens(
        self,
        ven_ids: str | Sequence[str],
        count: int = 1,
        *,
        profile: Profile = "2.0a",
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

        Those that are added while the fleet talks to a VTN join in, each with its first poll within its
        interval. Every call makes a group, of which there are 65,535 at most: add many VENs at a time.

        Args:
            ven_ids: the ids, or one pattern with ``{n}`` for `count` VENs. The other ids may be
                patterns, too.
            poll_interval: seconds.

        Raises:
            ConfigurationError: an argument is wrong, an id is taken, or a connection for each VEN takes
                more open files than are allowed.
            LocalProtocolError: the fleet has ended its talk with a VTN.
        """
        number = count if isinstance(ven_ids, str) else len(ven_ids)
        if not 0 < number <= MAX_VENS:
            raise ConfigurationError(f"{number} VENs: it is from 1 to {MAX_VENS:,}")
        self._check_room(number)
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
        return self._added(RowGroup(first, number, poll_interval, first_number, profile))

    def add_group(self, group: Group) -> range:
        """Add VENs with all that a group of a scenario can say: how they answer, what they register and
        report (:class:`oadr2.fleet.scenario.Group`); their rows.

        Raises:
            ConfigurationError, LocalProtocolError: as :meth:`add_vens`.
        """
        self._check_room(group.count)
        first = add_group(self.fleet, group, 0, group.count, len(self.fleet))
        return self._added(
            RowGroup(first, group.count, group.poll_interval, group.first_number, group.profile)
        )

    def listen(
        self, ven_id: str, *, on_change: OnChange | None = None, on_event: OnEvent | None = None
    ) -> None:
        """Call these for one VEN instead of those for all; None: do as for all."""
        row = self._row(ven_id)
        own = _Listener(on_change or self._all.on_change, on_event or self._all.on_event)
        self._single[row] = own
        self.fleet.hear(row, 1, own.on_change is not None or own.on_event is not None)

    def start(self, spread: float | None = 0.0) -> None:
        """Let every VEN poll, the first times spread over so many seconds; None: over its own interval.

        Raises ConfigurationError: `spread` is no such time.
        """
        self.fleet.start(0, len(self.fleet), self._now(), _spread_us(spread))

    def run_http(
        self,
        vtn_url: str,
        *,
        spread: float | None = None,
        connections: str | ConnectionPlan = "pool:100",
        timeouts: Timeouts = Timeouts(),  # noqa: B008  frozen, so one instance may be shared
        tls: Tls = Tls(),  # noqa: B008
        on_failure: Callable[[Failure], None] | None = None,
    ) -> HttpRun:
        """Let the VENs talk to a VTN: ``async with vens.run_http(url) as run: await run.wait(60)``.

        A fleet does this once; VENs may join it later (:meth:`add_vens`). It goes by the clock as it was at
        the begin: when the machine's is set meanwhile, the VENs do not follow. The soft limit of open files
        is raised where it must be.

        Args:
            vtn_url: base address without ``/OpenADR2``; with a user's name and password for HTTP Basic.
            spread: seconds over which VENs come in, if :meth:`start` was not called; None: each has its
                first poll within its own interval, as if it had polled for ever.
            connections: ``"pool:100"``, ``"per-ven"`` or ``"per-poll"``.
            on_failure: called with the first ten failures of each class. What it raises ends the run.

        Raises:
            ConfigurationError: an argument makes no sense, or httptools is not installed.
            LocalProtocolError: there are no VENs, or they are at work already.
        """
        from oadr2.fleet.http_run import HttpRun  # noqa: PLC0415 - needs httptools, which is an extra
        from oadr2.fleet.traffic import Traffic, microsecond_clock  # noqa: PLC0415

        self._check_idle()
        if not self._groups:
            raise LocalProtocolError("this fleet has no VENs: add_vens() first")
        if isinstance(connections, str):
            try:
                connections = read_connections(connections)
            except ValueError as error:
                raise ConfigurationError(f"connections: {error}") from None
        self._check_files(connections, len(self.fleet))
        _spread_us(spread)
        clock = microsecond_clock() if self._clock is time.time else self._now
        traffic = Traffic(
            self.fleet,
            RowGroups(self._groups),
            vtn_url,
            connections=connections,
            timeouts=timeouts,
            tls=tls,
            on_failure=on_failure,
            clock=clock,
        )
        self._traffic, self._connections = traffic, connections
        self._clock = lambda: clock() / 1e6
        if not self.fleet.polling:
            self.start(spread)
        return HttpRun(traffic)

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

    def _check_idle(self) -> None:
        if self._traffic is not None:
            raise LocalProtocolError("these VENs are at work with a VTN: make another VenFleet")

    def _check_room(self, more: int) -> None:
        """May so many VENs join?"""
        if self._traffic is None or self._connections is None:
            return
        if self._traffic.ended:
            raise LocalProtocolError(
                "these VENs have been at work with a VTN: make another VenFleet"
            )
        self._check_files(self._connections, len(self.fleet) + more)

    def _check_files(self, connections: ConnectionPlan, vens: int) -> None:
        from oadr2.fleet.preflight import raise_file_limit  # noqa: PLC0415

        needed = connections.size if connections.kind == "pool" else vens
        allowed = raise_file_limit(needed)
        if connections.kind != "per-poll" and allowed < needed:
            raise ConfigurationError(
                f"{needed:,} connections, and this process may open {allowed:,} files:"
                ' raise "ulimit -n", or take connections="pool:N"'
            )

    def _added(self, group: RowGroup) -> range:
        self._groups.append(group)
        if self._all.on_change is not None or self._all.on_event is not None:
            self.fleet.hear(group.first, group.count)
        if self._traffic is not None:
            self._traffic.join(group)
            self.fleet.start(group.first, group.count, self._now(), None)
        return range(group.first, group.first + group.count)

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
