"""One process's part of a load test: a scenario's VENs, their traffic with the VTN, and its stages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from oadr2._core.fleet import Fleet
from oadr2.fleet.failures import Failure
from oadr2.fleet.resources import rss_bytes
from oadr2.fleet.row_groups import add_groups
from oadr2.fleet.scenario import Scenario, shard_of
from oadr2.fleet.simulated import PlannedChange
from oadr2.fleet.stages import steps
from oadr2.fleet.step_player import StepPlayer
from oadr2.fleet.traffic import Traffic

_US: Final = 1_000_000
_READY_US: Final = 1.5  # for each VEN, to be given its first poll


class FleetRun(Traffic):
    """A run of a scenario against one VTN; made for one ``run()``.

    Args:
        vtn_url: base address of the VTN, credentials and all.
        shard: (i, n): play the i-th of n parts of every group.
        on_failure: told of the first failures of each class, ``scenario.failures.per_class`` of them.
        changes: when which version of an event was set at the VTN, for the figures of propagation.
        clock: microseconds since 1970; never goes back.

    Attributes:
        fleet: the engine.

    Raises:
        ConfigurationError: the address, a group or the TLS settings make no sense.
    """

    def __init__(
        self,
        scenario: Scenario,
        vtn_url: str,
        *,
        shard: tuple[int, int] = (0, 1),
        on_failure: Callable[[Failure], None] | None = None,
        changes: Iterable[PlannedChange] = (),
        clock: Callable[[], int] | None = None,
    ) -> None:
        before = rss_bytes()
        fleet = Fleet(seed=scenario.seed)
        groups = add_groups(fleet, scenario, shard)
        super().__init__(
            fleet,
            groups,
            vtn_url,
            connections=scenario.connections,
            pool=max(1, shard_of(scenario.connections.size, *shard)[1]),
            timeouts=scenario.timeouts,
            tls=scenario.tls,
            on_failure=on_failure,
            failures_per_class=scenario.failures.per_class,
            clock=clock,
            rss_before=before,
        )
        self._duration = scenario.duration
        self._player = StepPlayer(fleet, steps(scenario.stages, groups.groups))
        self.expect(changes)

    def expect(self, changes: Iterable[PlannedChange]) -> None:
        """Say when which version of an event is set at the VTN, for the figures of propagation."""
        for change in changes:
            self.fleet.event_set_at(
                change.event_id, change.modification_number, round(change.at * _US)
            )

    def _begin_schedule(self, now: int) -> int:
        # What comes first is made ready before its time: with a million VENs that takes a second.
        begun = now + round(self._player.rows_at_begin * _READY_US)
        self._player.begin(begun)
        self._end = begun + round(self._duration * _US)
        return begun

    def _play(self, now: int) -> None:
        self._player.play(now)

    def _play_last(self, now: int) -> None:
        self._player.finish(now)

    def _next_step(self) -> int | None:
        return self._player.next_moment
