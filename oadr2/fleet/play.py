"""A whole load test from Python: what ``oadr2 fleet SCENARIO.toml`` does, without a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from oadr2.fleet.failures import Failure
from oadr2.fleet.processes import LoadTest
from oadr2.fleet.result import Result
from oadr2.fleet.run import FleetRun
from oadr2.fleet.scenario import Scenario
from oadr2.fleet.snapshot import Snapshot

_LOOK_S: Final = 0.5


def play(
    scenario: Scenario,
    *,
    vtn_url: str | None = None,
    processes: int = 1,
    on_snapshot: Callable[[Snapshot], object] = lambda snapshot: None,
    on_failure: Callable[[Failure], None] = lambda failure: None,
) -> Result:
    """Play a scenario to its end, in processes of its own; without an address against the simulated VTN.

    A program that calls this guards its own begin with ``if __name__ == "__main__":``, for the processes
    import it.

    Args:
        vtn_url: instead of the scenario's, such as one with a user's name and password.
        processes: how many share the VENs.
        on_snapshot: called with the figures so far, twice a second.
        on_failure: called with the first failures of each class.

    Raises:
        ConfigurationError: the scenario, or this machine, does not allow it.
        RunFailedError: the run itself failed.
    """
    with LoadTest(
        scenario,
        make_run=FleetRun,
        vtn_url=vtn_url,
        processes=processes,
        on_failure=on_failure,
    ) as test:
        test.start()
        while not test.done:
            test.pump(_LOOK_S)
            if test.snapshot is not None:
                on_snapshot(test.snapshot)
        return test.result()
