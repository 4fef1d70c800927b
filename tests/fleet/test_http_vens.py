"""VENs of a program at a VTN: the fleet in five lines."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from oadr2.errors import ConfigurationError, LocalProtocolError
from oadr2.event import Change
from oadr2.fleet.engine import VenFleet
from oadr2.fleet.failures import Failure
from oadr2.fleet.scenario import Group
from oadr2.fleet.snapshot import Snapshot
from oadr2.sim import SimulatedVtn, VtnServer


async def until(condition, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def test_vens_poll_are_told_and_answer() -> None:
    vtn = SimulatedVtn("vtn", "2.0a")
    vtn.add_event("e", start="+60s", duration=600)
    told: list[tuple[str, str]] = []
    online = [f"ven_{number}" for number in range(8)]

    def opt_of(ven_id: str) -> str:
        answer = vtn.last_answer(ven_id, "e")
        return answer.opt_type if answer else ""

    async def main() -> Snapshot:
        vens = VenFleet(on_change=lambda ven_id, change: told.append((ven_id, change.kind)))
        vens.add_vens("ven_{n}", 8, poll_interval=0.2)
        vens.add_group(Group(4, ven_ids="off_{n}", poll_interval=0.2, offline=1.0))
        async with vens.run_http(server.url, connections="per-ven") as run:
            await until(lambda: None not in [vtn.last_answer(ven_id, "e") for ven_id in online])
            vens.set_opt("ven_3", "e", "optOut")
            await until(lambda: opt_of("ven_3") == "optOut")
            assert run.snapshot().vens_active == 8
            assert [event.event_id for event in vens.events("ven_3")] == ["e"]
            return await run.wait(0.05)

    with VtnServer(vtn) as server:
        seen = asyncio.run(main())
    assert seen.errors == {}
    news = [(ven_id, "new") for ven_id in online]
    assert sorted(told) == sorted([*news, ("ven_3", "opt")])
    assert seen.connections == 8
    assert [opt_of(ven_id) for ven_id in online].count("optIn") == 7


def test_nobody_is_there() -> None:
    failures: list[Failure] = []

    async def main() -> Snapshot:
        vens = VenFleet()
        vens.add_vens(["a", "b"], poll_interval=0.1)
        vens.start()
        async with vens.run_http("http://127.0.0.1:9", on_failure=failures.append) as run:
            await until(lambda: failures)
            return run.snapshot()

    assert asyncio.run(main()).errors["connect"] >= 1
    assert failures[0].error_class == "connect"


def test_what_the_program_raises_ends_the_run_and_comes_out() -> None:
    def broken(failure: Failure) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        vens = VenFleet()
        vens.add_vens(["a"], poll_interval=0.1)
        vens.start()
        async with vens.run_http("http://127.0.0.1:9", on_failure=broken) as run:
            await run.wait(20.0)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())


def test_what_makes_no_sense_is_said() -> None:
    vens = VenFleet()
    with pytest.raises(LocalProtocolError, match="no VENs: add_vens"):
        vens.run_http("http://127.0.0.1:9")
    vens.add_vens(["a"])
    with pytest.raises(ConfigurationError, match="connections: it must be"):
        vens.run_http("http://127.0.0.1:9", connections="pool:none")
    with pytest.raises(ConfigurationError):
        vens.run_http("127.0.0.1:9")
    for spread in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError):
            VenFleet().start(spread)
        with pytest.raises(ConfigurationError):
            vens.run_http("http://127.0.0.1:9", spread=spread)
    wrong: list[dict[str, Any]] = [
        {"count": -1},
        {"count": 0},
        {"poll_interval": float("nan")},
        {"poll_interval": float("inf")},
        {"poll_interval": -1.0},
    ]
    for arguments in wrong:
        with pytest.raises(ConfigurationError):
            vens.add_vens("b_{n}", **{"count": 1, **arguments})
    vens.run_http("http://127.0.0.1:9")
    with pytest.raises(LocalProtocolError, match="at work with a VTN"):
        vens.run_http("http://127.0.0.1:9")


@pytest.mark.parametrize("connections", ["per-ven", "pool:2"])
def test_vens_join_a_fleet_at_work(connections: str) -> None:
    """As a gateway's customers do; of the other profile, too, and told of by callbacks."""
    vtn = SimulatedVtn()
    vtn.add_event("e", start="+60s", duration=600)
    told: list[tuple[str, str]] = []
    later: list[str] = []

    def opt_of(ven_id: str) -> str:
        answer = vtn.last_answer(ven_id, "e")
        return answer.opt_type if answer else ""

    def changed(ven_id: str, change: Change) -> None:
        told.append((ven_id, change.event_id))
        if not later:  # from a callback, in the middle of an exchange
            later.append("c")
            vens.add_vens(["c"], poll_interval=0.1)

    vens = VenFleet(on_change=changed)

    async def main(url: str) -> Snapshot:
        vens.add_vens(["a"], poll_interval=0.1)
        async with vens.run_http(url, connections=connections) as run:
            await until(lambda: ("c", "e") in told)
            rows = vens.add_group(Group(3, ven_ids="b_{n}", profile="2.0b", poll_interval=0.1))
            assert list(rows) == [2, 3, 4]
            with pytest.raises(ConfigurationError, match="in the fleet already"):
                vens.add_vens(["a"])
            await until(lambda: all(opt_of(f"b_{n}") == "optIn" for n in range(3)))
            vens.set_opt("b_1", "e", "optOut")
            await until(lambda: opt_of("b_1") == "optOut")
            seen = run.snapshot()
        with pytest.raises(LocalProtocolError, match="have been at work with a VTN"):
            vens.add_vens(["d"])
        return seen

    with VtnServer(vtn) as server:
        seen = asyncio.run(main(server.url))
    assert (seen.vens, seen.vens_active, seen.errors) == (5, 5, {})


def test_the_lines_of_the_document(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (repository / "docs" / "fleet.md").read_text("utf-8")
    section = text[text.index("## In five lines") :]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert code is not None
    vtn = SimulatedVtn("vtn", "2.0a")
    vtn.add_event("e", start="+60s", duration=600)
    with VtnServer(vtn) as server:
        lines = code[1]
        for old, new in (
            ("http://127.0.0.1:8080", server.url),
            ("wait(30)", "wait(0.6)"),
            ('"ven_{n}", 1000, poll_interval=10.0', '"ven_{n}", 5, poll_interval=0.5'),
        ):
            assert old in lines
            lines = lines.replace(old, new)
        exec(compile(lines, "fleet.md", "exec"), {})
    out = capsys.readouterr().out
    assert {f"ven_{number} new e" for number in range(5)} <= set(out.splitlines())
    assert re.search(r"^\d+ polls; [\d.]+ ms; errors: \{\}$", out, re.M)
