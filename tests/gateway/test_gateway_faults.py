"""Everything that goes wrong, with real servers: a VTN over HTTP, Modbus, MQTT and BACnet devices.

After each fault the load is where docs/gateway.md says, by its own word, and the audit log tells how
it came there. The gateway is ``oadr2 gateway`` in a process of its own; where time has to pass it is in a
thread, and the test moves its clocks, so that nothing depends on how busy the machine is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gateway_rig import (
    GatewayProcess,
    GatewayThread,
    PassingTime,
    audit,
    eventually,
    running,
    told,
    wait_for,
    write_file,
)
from real_loads import Chiller, Heater, Load, Valve

from oadr2.cli import main
from oadr2.sim import SimulatedVtn, VtnServer

KINDS: Sequence[type[Load]] = (Chiller, Heater, Valve)
HOUR = 3600.0


@pytest.fixture
def passing() -> PassingTime:
    return PassingTime()


@pytest.fixture
def vtn(passing: PassingTime) -> SimulatedVtn:
    return SimulatedVtn(clock=passing.wall)


@pytest.fixture
def loads(mosquitto_installed: None) -> Iterator[list[Load]]:
    """One load of each kind."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(kind()) for kind in KINDS]


@pytest.fixture
def chiller() -> Iterator[Chiller]:
    with Chiller() as chiller:
        yield chiller


@pytest.fixture
def heater(mosquitto_installed: None) -> Iterator[Heater]:
    with Heater() as heater:
        yield heater


@pytest.fixture
def valve() -> Iterator[Valve]:
    with Valve() as valve:
        yield valve


def file_of(folder: Path, server: VtnServer, *tables: str) -> Path:
    """The gateway's file. The drivers have time-outs of their own."""
    return write_file(folder, server.url, tables, device_timeout=10)


def _has_seen(gateway: GatewayProcess | GatewayThread, folder: Path, tables: Sequence[str]) -> None:
    wait_for(
        lambda: (
            gateway.works()
            and (folder / "gateway.db").exists()
            and {entry.point for entry in audit(folder)} >= _names(tables)
        ),
        "the first look",
    )


@contextlib.contextmanager
def gateway_by(
    passing: PassingTime, folder: Path, server: VtnServer, *tables: str
) -> Iterator[GatewayThread]:
    """A gateway by these clocks, every device seen."""
    with GatewayThread(file_of(folder, server, *tables), passing) as thread:
        _has_seen(thread, folder, tables)
        yield thread


@contextlib.contextmanager
def gateway(folder: Path, server: VtnServer, *tables: str) -> Iterator[GatewayProcess]:
    """``oadr2 gateway`` at work, every device seen."""
    with GatewayProcess(file_of(folder, server, *tables), folder) as process:
        _has_seen(process, folder, tables)
        yield process
        code, errors = process.end()
        assert code == 0, errors
        assert "Traceback" not in errors


def _names(tables: Sequence[str]) -> set[str]:
    return {table.partition('name = "')[2].partition('"')[0] for table in tables}


def reaches(load: Load, value: float, what: str) -> None:
    """The device itself comes to be at ``value``."""
    wait_for(lambda: load.held == value, f"{what} ({value:g} at the {load.name})")


def settles(folder: Path, load: Load, last: str) -> None:
    """The audit log comes to end with ``last``, but for looks of no consequence."""
    wait_for(lambda: told(folder, load.name)[-1:] == [last], f"{last!r} as the last line")


def appear_in_order(story: Sequence[str], *lines: str) -> None:
    """The lines are there, in this order, whatever is between them."""
    rest = iter(story)
    for line in lines:
        assert any(found == line for found in rest), f"{line!r} is not in its place in {story}"


def reasons(folder: Path, load: Load, kind: str) -> list[str]:
    return [entry.reason for entry in audit(folder, load.name) if entry.kind == kind]


def end_of(load: Load) -> str:
    """The line that closes the way back to normal; what is released is not read back."""
    return "write released" if isinstance(load, Valve) else f"verified {load.normal}"


@pytest.mark.parametrize("action", ["value", "release", "hold"])
def test_the_vtn_gone_past_the_failsafe_time(
    action: str,
    loads: list[Load],
    passing: PassingTime,
    vtn: SimulatedVtn,
    server: VtnServer,
    tmp_path: Path,
) -> None:
    def table(load: Load) -> str:
        word = str(load.levels[3]) if action == "value" else f'"{action}"'
        return load.table(f'failsafe = {{ after = "60s", action = {word} }}')

    silent = {"value": "fail-safe value", "release": "released", "hold": "held"}[action]
    with gateway_by(passing, tmp_path, server, *map(table, loads)) as thread:
        vtn.add_event("peak", start="now", duration="PT1H", level=2)
        for load in loads:
            reaches(load, load.levels[2], "the event")
        server.stop()
        # Its last answer is taken: what comes from now on is silence.
        wait_for(lambda: thread.gateway.links["gw"].problem, "the first poll without an answer")
        passing.passes(61)
        safe = {
            load: {"value": load.levels[3], "release": load.normal, "hold": load.levels[2]}[action]
            for load in loads
        }
        for load in loads:
            wait_for(
                lambda load=load: (  # type: ignore[misc]
                    reasons(tmp_path, load, "control")[-1] == f"VTN silent for 60 s: {silent}"
                ),
                "the silence",
            )
            reaches(load, safe[load], "the fail-safe")
        # The event ends meanwhile, by the clock, and nobody says so.
        passing.passes(HOUR)
        wait_for(lambda: not thread.gateway.planner.events["gw"], "its end")
        assert {load: load.held for load in loads} == safe
        server.start()
        for load in loads:
            wait_for(
                lambda load=load: reasons(tmp_path, load, "control")[-1] == "nothing is wanted",  # type: ignore[misc]
                "the VTN's return",
            )
            reaches(load, load.normal, "normal")
    for load in loads:
        control = reasons(tmp_path, load, "control")
        assert control == ["SIMPLE 2", f"VTN silent for 60 s: {silent}", "nothing is wanted"]
        assert not reasons(tmp_path, load, "alert")
        if action == "release" and isinstance(load, Valve):
            # Null, so that whatever the building wants otherwise holds again.
            assert told(tmp_path, load.name)[-2:] == ["write released", "control released"]


def test_a_device_gone_before_an_event(
    loads: list[Load], vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    for load in loads:
        load.go()
    with gateway(tmp_path, server, *(load.table() for load in loads)):
        vtn.add_event("peak", start="now", duration="PT1H", level=2)
        for load in loads:
            wait_for(
                lambda load=load: "SIMPLE 2" in reasons(tmp_path, load, "control"),  # type: ignore[misc]
                "the event",
            )
            load.come_back()
        for load in loads:
            reaches(load, load.levels[2], "the event, late")
            settles(tmp_path, load, f"verified {load.levels[2]} peak")
    for load in loads:
        kinds = [entry.kind for entry in audit(tmp_path, load.name)]
        appear_in_order(kinds, "failed", "answers", "found", "write", "verified")
        assert "write" not in kinds[: kinds.index("found")]


def test_a_device_gone_in_an_event(
    loads: list[Load], passing: PassingTime, vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    """The next interval begins while it is gone."""
    with gateway_by(passing, tmp_path, server, *(load.table() for load in loads)):
        vtn.add_event("peak", start="now", levels=[("PT1H", 1), ("PT3H", 2)])
        for load in loads:
            settles(tmp_path, load, f"verified {load.levels[1]} peak")
        for load in loads:
            load.go()
        for load in loads:
            wait_for(lambda load=load: reasons(tmp_path, load, "failed"), "the failure")  # type: ignore[misc]
        passing.passes(HOUR)
        for load in loads:
            wait_for(
                lambda load=load: reasons(tmp_path, load, "control")[-1] == "SIMPLE 2",  # type: ignore[misc]
                "the next interval",
            )
            load.come_back()
        for load in loads:
            reaches(load, load.levels[2], "the interval that holds now")
            settles(tmp_path, load, f"verified {load.levels[2]} peak")
    for load in loads:
        appear_in_order(
            told(tmp_path, load.name),
            f"verified {load.levels[1]} peak",
            f"control {load.levels[2]} peak",
            "answers peak",
            f"write {load.levels[2]} peak",
            f"verified {load.levels[2]} peak",
        )


def test_a_device_gone_at_the_end_of_an_event(
    loads: list[Load], passing: PassingTime, vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    with gateway_by(passing, tmp_path, server, *(load.table() for load in loads)):
        vtn.add_event("peak", start="now", duration="PT1H", level=2)
        for load in loads:
            settles(tmp_path, load, f"verified {load.levels[2]} peak")
        for load in loads:
            load.go()
        for load in loads:
            wait_for(lambda load=load: reasons(tmp_path, load, "failed"), "the failure")  # type: ignore[misc]
        passing.passes(HOUR)
        for load in loads:
            wait_for(
                lambda load=load: reasons(tmp_path, load, "control")[-1] == "nothing is wanted",  # type: ignore[misc]
                "the end",
            )
            load.come_back()
        for load in loads:
            wait_for(lambda load=load: reasons(tmp_path, load, "answers"), "its return")  # type: ignore[misc]
            reaches(load, load.normal, "normal")
    for load in loads:
        kinds = [entry.kind for entry in audit(tmp_path, load.name)]
        appear_in_order(kinds, "verified", "failed", "answers")
    chiller = next(load for load in loads if isinstance(load, Chiller))
    assert chiller.writes == [40, 100]  # it kept the event's value; the others began anew
    appear_in_order(told(tmp_path, "chiller"), "control 100.0", "answers", "write 100.0")


def test_the_broker_restarted(
    heater: Heater,
    chiller: Chiller,
    passing: PassingTime,
    vtn: SimulatedVtn,
    server: VtnServer,
    tmp_path: Path,
) -> None:
    """In the middle of an event, its retained messages lost; the next interval came meanwhile."""
    with gateway_by(passing, tmp_path, server, heater.table(), chiller.table()):
        vtn.add_event("peak", start="now", levels=[("PT1H", 2), ("PT3H", 3)])
        settles(tmp_path, heater, f"verified {heater.levels[2]} peak")
        heater.broker.kill()
        passing.passes(HOUR)
        reaches(chiller, chiller.levels[3], "the next interval, held up by no broker")
        wait_for(lambda: reasons(tmp_path, heater, "failed"), "the failure")
        assert heater.held == heater.levels[2]
        heater.broker.start()
        reaches(heater, heater.levels[3], "the interval that holds now")
        settles(tmp_path, heater, f"verified {heater.levels[3]} peak")
    appear_in_order(
        told(tmp_path, "heater"),
        "verified 0.5 peak",
        "control 0.0 peak",
        "answers peak",
        "write 0.0 peak",
        "verified 0.0 peak",
    )
    assert not reasons(tmp_path, chiller, "failed")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_device_that_answers_and_does_not_obey(
    kind: type[Load],
    request: pytest.FixtureRequest,
    vtn: SimulatedVtn,
    server: VtnServer,
    tmp_path: Path,
) -> None:
    load: Load = request.getfixturevalue(kind.name)
    with gateway(tmp_path, server, load.table("retries = 1")):
        load.obey(False)
        vtn.add_event("peak", start="now", duration="PT1H", level=2)
        wait_for(lambda: reasons(tmp_path, load, "alert"), "the alert")
        assert load.held == load.normal
        load.obey(True)
        reaches(load, load.levels[2], "obedience")
        settles(tmp_path, load, f"verified {load.levels[2]} peak")
    wanted = load.levels[2]
    lines = ["write", "disobeyed", "write", "disobeyed", "alert", "write", "verified"]
    appear_in_order(told(tmp_path, load.name), *(f"{kind} {wanted} peak" for kind in lines))
    lie = next(entry for entry in audit(tmp_path, load.name) if entry.kind == "disobeyed")
    assert lie.read_back == load.normal


@pytest.mark.parametrize("moment", ["before the next interval", "in it", "after it"])
def test_killed_in_an_interval_and_started(
    moment: str,
    loads: list[Load],
    passing: PassingTime,
    vtn: SimulatedVtn,
    server: VtnServer,
    tmp_path: Path,
) -> None:
    """SIGKILL; at the next start the VTN is gone too, so the gateway has only its files."""
    path = file_of(tmp_path, server, *(load.table() for load in loads))
    with GatewayProcess(path, tmp_path) as process:
        wait_for((tmp_path / "gateway.db").exists, "the start")
        vtn.add_event("peak", start="now", levels=[("PT1H", 1), ("PT1H", 2)])
        for load in loads:
            reaches(load, load.levels[1], "the first interval")
            settles(tmp_path, load, f"verified {load.levels[1]} peak")
        process.kill()
    lines_before = {load: len(told(tmp_path, load.name)) for load in loads}
    server.stop()
    passing.passes({"before the next interval": 0, "in it": HOUR, "after it": 2 * HOUR}[moment])
    for load in loads:
        assert load.held == load.levels[1]  # nobody has moved it
    with GatewayThread(path, passing):
        for load in loads:
            now = {
                "before the next interval": load.levels[1],
                "in it": load.levels[2],
                "after it": load.normal,
            }[moment]
            reaches(load, now, "what the schedule says now")
            wait_for(
                lambda load=load: len(told(tmp_path, load.name)) > lines_before[load],  # type: ignore[misc]
                "the second look",
            )
    for load in loads:
        again = told(tmp_path, load.name)[lines_before[load] :]
        kinds = [line.partition(" ")[0] for line in again]
        assert kinds[0] in {"found", "control"}
        assert kinds.count("write") == (0 if moment == "before the next interval" else 1)
        if "write" in kinds:
            assert kinds.index("found") < kinds.index("write")


@pytest.mark.parametrize("hours", [1, -1])
def test_the_clock_is_stepped(
    hours: int, chiller: Chiller, vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    """The schedule moves with it; the VTN's silence, by the other clock, does not begin."""
    ahead = 0.0

    def clock() -> float:
        return time.time() + ahead

    path = file_of(
        tmp_path,
        server,
        chiller.table('failsafe = { after = "60s", action = 55 }\nmin_off = "1h"'),
    )
    start = datetime.now(UTC) - timedelta(minutes=10)
    vtn.add_event("peak", start=start, levels=[("PT30M", 2), ("PT1H", 3), ("PT1H", 1)])

    async def scenario() -> None:
        nonlocal ahead
        async with running(path, clock=clock):
            await eventually(lambda: chiller.held == 40.0, "the event")
            ahead = hours * 3600.0
            stepped = 10.0 if hours > 0 else 100.0
            await eventually(lambda: chiller.held == stepped, "the step")
            ahead = 0.0
            await eventually(lambda: chiller.held == 40.0, "the step back")
            await eventually(
                lambda: told(tmp_path, "chiller")[-1] == "verified 40.0 peak", "the log"
            )

    asyncio.run(scenario())
    stepped = "SIMPLE 3" if hours > 0 else "nothing is wanted"
    assert reasons(tmp_path, chiller, "control") == ["SIMPLE 2", stepped, "SIMPLE 2"]


def test_two_events_of_different_priority_overlap(
    loads: list[Load], passing: PassingTime, vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    with gateway_by(passing, tmp_path, server, *(load.table() for load in loads)):
        vtn.add_event("base", start="now", duration="PT3H", level=1, priority=5)
        for load in loads:
            settles(tmp_path, load, f"verified {load.levels[1]} base")
        vtn.add_event(
            "urgent",
            start="now",
            duration="PT1H",
            level=3,
            priority=1,
            market_context="http://example.org/urgent",
        )
        for load in loads:
            reaches(load, load.levels[3], "the more important")
            settles(tmp_path, load, f"verified {load.levels[3]} urgent")
        passing.passes(HOUR)
        for load in loads:
            reaches(load, load.levels[1], "the end of it")
            settles(tmp_path, load, f"verified {load.levels[1]} base")
        vtn.cancel_event("base")
        for load in loads:
            reaches(load, load.normal, "the end of both")
            settles(tmp_path, load, end_of(load))
    for load in loads:
        one, three = load.levels[1], load.levels[3]
        appear_in_order(
            told(tmp_path, load.name),
            f"write {one} base",
            f"control {three} urgent",
            f"write {three} urgent",
            f"control {one} base",
            f"write {one} base",
            end_of(load),
        )


def test_an_override_in_an_event(
    loads: list[Load], passing: PassingTime, vtn: SimulatedVtn, server: VtnServer, tmp_path: Path
) -> None:
    """Given on the command line; the event changes beneath it, and rules again when it ends."""
    path = str(tmp_path / "gateway.toml")
    with gateway_by(passing, tmp_path, server, *(load.table() for load in loads)) as thread:
        vtn.add_event("peak", start="now", levels=[("PT1H", 1), ("PT3H", 2)])
        for load in loads:
            settles(tmp_path, load, f"verified {load.levels[1]} peak")
            by_hand = ["gateway", "override", load.name, str(load.levels[3]), "--for", "5h"]
            assert main([*by_hand, "--by", "eve", "-c", path]) == 0
        for load in loads:
            settles(tmp_path, load, f"verified {load.levels[3]}")
        passing.passes(HOUR)
        for load in loads:
            point = thread.gateway.points[load.name].point
            wait_for(
                lambda point=point: point.demand and point.demand.reason == "SIMPLE 2",  # type: ignore[misc]
                "the next interval",
            )
            assert load.held == load.levels[3]
            assert main(["gateway", "override", load.name, "end", "-c", path]) == 0
        for load in loads:
            reaches(load, load.levels[2], "the event again")
            settles(tmp_path, load, f"verified {load.levels[2]} peak")
    for load in loads:
        control = reasons(tmp_path, load, "control")
        assert control == ["SIMPLE 1", "override by eve", "SIMPLE 2"]
