"""A load that a person has opted out of an event: its points take no part in it, and say why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_driver import FakeFolder
from gateway_rig import audit, eventually, point, running
from vtn_rig import RigVtn, write

from oadr2.gateway.gateway import Gateway
from oadr2.gateway.opt_outs import opted_out, opts_by_event
from oadr2.model import CreateOpt, OptType
from oadr2.orders import Order, Orders
from oadr2.services.opt import HeldOpt
from oadr2.store import EventStore


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[RigVtn]:
    with RigVtn("http", "2.0b", tmp_path) as made:
        yield made


class Site:
    """A pump and a fan on one device, and the person who orders."""

    def __init__(self, folder: Path, rig: RigVtn, ven: str = "") -> None:
        self.device = FakeFolder(folder / "device", pump=100.0, fan=100.0)
        points = [
            point("pump", more='resource_id = ["res-pump", "north"]'),
            point("fan", more='resource_id = "res-fan"'),
        ]
        self.path = write(folder, [rig.table(ven)], points)
        self._db = folder / "gw.db"
        self._rig = rig

    def order(self, order: Order) -> None:
        with EventStore(self._db) as store:
            Orders(store, "gw").give(order)

    def opt(self, opt_type: OptType, *resources: str, opt_id: str = "o1") -> None:
        reason = "mustRun"
        self.order(
            Order("qualify", opt_type, "peak", reason=reason, resource_ids=resources, opt_id=opt_id)
        )

    def told(self) -> list[CreateOpt]:
        """The opts that the VTN holds."""
        assert self._rig.services is not None
        return [opt for ven in self._rig.services.vens.values() for opt in ven.opts.values()]

    async def begin(self, gateway: Gateway) -> None:
        await eventually(lambda: gateway.ready and gateway.links["gw"].heard, "the start")
        self._rig.vtn.add_event("peak", start="now", levels=[(3600, 2)], priority=1)
        await self.are(40.0, 40.0, "the event")

    async def are(self, pump: float, fan: float, what: str) -> None:
        expected = {"pump": pump, "fan": fan}
        await eventually(lambda: self.device.values() == expected, what)


def test_an_opt_out_of_a_load_keeps_its_point_out(rig: RigVtn, tmp_path: Path) -> None:
    """And an end of the opt, or an opt-in after it, brings it back."""
    site = Site(tmp_path, rig)

    async def first() -> None:
        async with running(site.path) as gateway:
            await site.begin(gateway)
            site.opt("optOut", "res-pump")
            await site.are(100.0, 40.0, "the pump's end")
            await eventually(site.told, "the VTN's knowledge")
            pump, fan = gateway.view().points
            assert (pump.cause, pump.event_id, pump.reason) == (
                "normal",
                "peak",
                "opted out: mustRun",
            )
            assert (fan.cause, fan.reason) == ("event", "SIMPLE 2")
            (event,) = gateway.view().events
            assert (event.points, event.left_out, event.opt_type) == (2, 1, "optIn")

    async def second() -> None:
        async with running(site.path) as gateway:
            await eventually(lambda: gateway.ready and gateway.links["gw"].heard, "the start")
            await eventually(lambda: all(p.settled for p in gateway.view().points), "rest")
            assert site.device.values() == {"pump": 100.0, "fan": 40.0}
            site.order(Order("cancel", opt_id="o1"))
            await site.are(40.0, 40.0, "the pump's part in it")
            await eventually(lambda: not site.told(), "the end of the opt")
            site.opt("optOut", "north", opt_id="o2")
            await site.are(100.0, 40.0, "the pump's end, again")
            site.opt("optIn", "res-pump", opt_id="o3")
            await site.are(40.0, 40.0, "the pump's part in it, again")

    asyncio.run(first())
    (opt,) = site.told()
    assert (opt.opt_type, opt.opt_reason) == ("optOut", "mustRun")
    assert site.device.writes("pump") == [40.0, 100.0]
    asyncio.run(second())
    assert site.device.writes("fan") == [40.0]
    control = [(e.event_id, e.reason) for e in audit(tmp_path, "pump") if e.kind == "control"]
    out, taking_part = ("peak", "opted out: mustRun"), ("peak", "SIMPLE 2")
    assert control[:2] == [taking_part, out]
    assert control[-3:] == [taking_part, out, taking_part]


@pytest.mark.parametrize("resources", [(), ("depot",)], ids=["no name", "the VEN's own"])
def test_an_opt_out_with_a_reason_that_names_no_load_is_of_all(
    resources: tuple[str, ...], rig: RigVtn, tmp_path: Path
) -> None:
    site = Site(tmp_path, rig, 'resource_ids = ["depot"]')

    async def scenario() -> None:
        async with running(site.path) as gateway:
            await site.begin(gateway)
            site.opt("optOut", *resources)
            await site.are(100.0, 100.0, "the end of all")

    asyncio.run(scenario())


def test_a_VTN_that_hears_of_the_end_late_holds_the_point_up_no_longer(
    rig: RigVtn, tmp_path: Path
) -> None:
    site = Site(tmp_path, rig)

    async def scenario() -> None:
        async with running(site.path) as gateway:
            await site.begin(gateway)
            site.opt("optOut", "res-pump")
            await site.are(100.0, 40.0, "the pump's end")
            await eventually(site.told, "the VTN's knowledge")
            rig.go()
            site.order(Order("cancel", opt_id="o1"))
            await site.are(40.0, 40.0, "the pump's part in it")
            assert len(site.told()) == 1

    asyncio.run(scenario())


def test_another_event_moves_the_load(rig: RigVtn, tmp_path: Path) -> None:
    site = Site(tmp_path, rig)

    async def scenario() -> None:
        async with running(site.path) as gateway:
            await site.begin(gateway)
            site.opt("optOut", "res-pump")
            await site.are(100.0, 40.0, "the pump's end")
            rig.vtn.add_event(
                "other",
                start="now",
                levels=[(3600, 1)],
                priority=9,
                market_context="http://example.org/other",
            )
            await site.are(70.0, 40.0, "the other event")

    asyncio.run(scenario())


def test_a_schedule_of_availability_moves_nothing(rig: RigVtn, tmp_path: Path) -> None:
    site = Site(tmp_path, rig)

    async def scenario() -> None:
        async with running(site.path) as gateway:
            await site.begin(gateway)
            now = time.time()
            site.order(
                Order(
                    "schedule",
                    "optOut",
                    periods=((now, now + 3600),),
                    reason="x-schedule",
                    resource_ids=("res-pump",),
                    opt_id="o1",
                )
            )
            await eventually(site.told, "the VTN's knowledge")
            site.opt("optOut", "res-fan", opt_id="o2")
            await site.are(40.0, 100.0, "the end of the other, which was opted out later")

    asyncio.run(scenario())


def test_what_the_VTN_is_told_of_an_override_is_no_opt_of_a_person(
    rig: RigVtn, tmp_path: Path
) -> None:
    """Else the point would go back to normal between the override and the event."""
    site = Site(tmp_path, rig, "opt_overrides = true")

    async def first() -> None:
        async with running(site.path) as gateway:
            await site.begin(gateway)
            gateway.override("pump", 70.0, 600.0, "eve")
            await site.are(70.0, 40.0, "the override")
            await eventually(site.told, "the VTN's knowledge")
            assert gateway.end_override("pump")
            await site.are(40.0, 40.0, "the event again")
            await eventually(lambda: not site.told(), "the end of the opt")
            gateway.override("pump", 70.0, 600.0, "eve")
            await eventually(site.told, "the VTN's knowledge")

    async def second() -> None:
        """Without opt_overrides nobody takes the opt back."""
        path = write(tmp_path, [rig.table()], [point("pump", more='resource_id = "res-pump"')])
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready and gateway.links["gw"].heard, "the start")
            assert gateway.end_override("pump")
            await eventually(lambda: site.device["pump"] == 40.0, "the event again")

    asyncio.run(first())
    asyncio.run(second())
    assert site.device.writes("pump") == [40.0, 70.0, 40.0, 70.0, 40.0]


def held(opt_id: str, opt_type: OptType, *resources: str, event_id: str | None = "e") -> HeldOpt:
    return HeldOpt(opt_id, opt_type, event_id, reason=f"x-{opt_id}", resource_ids=resources)


def test_the_latest_opt_that_is_about_a_load_decides() -> None:
    opts = [held("a", "optOut", "r1"), held("b", "optIn"), held("c", "optOut", "r2", "r3")]
    assert [opted_out(opts, {name}) for name in ("r1", "r2", "r3", "r4")] == ["", "x-c", "x-c", ""]
    assert opted_out(opts[:1], {"r1", "r9"}) == "x-a"
    assert opted_out([held("a", "optOut"), held("b", "optIn", "r1")], {"r1"}) == ""
    assert opted_out([held("a", "optOut"), held("b", "optIn", "r1")], set()) == "x-a"


def test_opts_of_events_only_and_of_persons_only() -> None:
    opts = [held("a", "optOut"), held("b", "optOut", event_id=None), held("c", "optOut", "r")]
    assert opts_by_event(opts, {"a"}) == {"e": (opts[2],)}
