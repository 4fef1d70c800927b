"""What a person orders of the VENs of a gateway at work, through their files."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_driver import FakeFolder
from gateway_rig import GatewayProcess, audit, eventually, point, running, wait_for
from vtn_rig import PASSWORD, WAYS, RigVtn, write

from oadr2.cli import main
from oadr2.errors import StoreError
from oadr2.gateway.configuration import read_configuration
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.page.health import metrics_text, unready_reasons
from oadr2.model import OptType
from oadr2.orders import Order, Orders
from oadr2.sim.prosody import ProsodyServer
from oadr2.store import EventStore

EVERY_WAY = [("http", "2.0a"), *WAYS]
every_way = pytest.mark.parametrize(
    "rig", EVERY_WAY, ids=[" ".join(way) for way in EVERY_WAY], indirect=True
)
FAILSAFE = 'failsafe = { after = "500ms", action = 55 }'
over_http = pytest.mark.parametrize("rig", [("http", "2.0a")], indirect=True)


@pytest.fixture(scope="module")
def prosody(prosody_installed: None) -> Iterator[ProsodyServer]:
    with ProsodyServer({"vtn": PASSWORD, "ven": PASSWORD}) as server:
        yield server


@pytest.fixture
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RigVtn]:
    transport, profile = request.param
    port = request.getfixturevalue("prosody").port if transport == "xmpp" else 0
    with RigVtn(transport, profile, tmp_path, port) as made:
        yield made


class Person:
    """Whoever gives orders to the VEN ``gw``, from another process."""

    def __init__(self, folder: Path) -> None:
        self._db = folder / "gw.db"

    def give(self, order: Order) -> None:
        with EventStore(self._db) as store:
            Orders(store, "gw").give(order)

    def opt(self, opt_type: OptType) -> None:
        self.give(Order("event", opt_type, "peak"))

    @property
    def waiting(self) -> tuple[Order, ...]:
        with EventStore(self._db) as store:
            return Orders(store, "gw").all()


def chiller(folder: Path) -> FakeFolder:
    return FakeFolder(folder / "device", chiller=100.0)


def answers(rig: RigVtn) -> list[str]:
    """Ours to the event, one for each change."""
    found: list[str] = []
    for answer in rig.vtn.answers:
        if found[-1:] != [answer.opt_type]:
            found.append(str(answer.opt_type))
    return found


async def peak(rig: RigVtn, gateway: Gateway, device: FakeFolder) -> None:
    """The event is at work."""
    await eventually(lambda: gateway.ready and gateway.links["gw"].heard, "the start")
    rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])
    await rig.tell(gateway)
    await eventually(lambda: device["chiller"] == 40.0, "the event")


@every_way
def test_an_order_reaches_the_loads_and_the_VTN(rig: RigVtn, tmp_path: Path) -> None:
    device, person = chiller(tmp_path), Person(tmp_path)
    path = write(tmp_path, [rig.table()], [point("chiller")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await peak(rig, gateway, device)
            person.opt("optOut")
            await eventually(lambda: device["chiller"] == 100.0, "the end of its part in it")
            await eventually(lambda: answers(rig) == ["optIn", "optOut"], "the answer")
            person.opt("optIn")
            await eventually(lambda: device["chiller"] == 40.0, "its part in it")
            await eventually(lambda: answers(rig) == ["optIn", "optOut", "optIn"], "the other")
            await eventually(lambda: person.waiting == (), "the end of the orders")

    asyncio.run(scenario())
    control = [entry.event_id for entry in audit(tmp_path) if entry.kind == "control"]
    assert control == ["peak", "", "peak"]


@pytest.mark.parametrize("rig", [("http", "2.0b")], indirect=True)
def test_a_VEN_of_events_only_takes_orders_about_events(rig: RigVtn, tmp_path: Path) -> None:
    device, person = chiller(tmp_path), Person(tmp_path)
    table = rig.table("events_only = true").replace("ven_name", "ven_id")
    path = write(tmp_path, [table], [point("chiller")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await peak(rig, gateway, device)
            person.give(Order("qualify", "optOut", "peak", reason="mustRun"))
            person.opt("optOut")
            await eventually(lambda: device["chiller"] == 100.0, "the end of its part in it")

    asyncio.run(scenario())
    (left,) = person.waiting
    assert "this VEN only takes events" in left.refused


@over_http
def test_the_points_come_back_by_their_rules(rig: RigVtn, tmp_path: Path) -> None:
    device, person = chiller(tmp_path), Person(tmp_path)
    slowly = point("chiller", more='return_within = "1s"')
    path = write(tmp_path, [rig.table()], [slowly])

    async def scenario() -> None:
        async with running(path, random=lambda: 0.5) as gateway:
            await peak(rig, gateway, device)
            person.opt("optOut")
            await eventually(lambda: device["chiller"] == 100.0, "the return")

    asyncio.run(scenario())
    entries = {entry.kind: entry for entry in audit(tmp_path)}
    assert entries["write"].at - entries["control"].at >= 0.45


@over_http
def test_an_order_given_before_the_start_moves_nothing(rig: RigVtn, tmp_path: Path) -> None:
    device, person = chiller(tmp_path), Person(tmp_path)
    path = write(tmp_path, [rig.table()], [point("chiller")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await peak(rig, gateway, device)
        person.opt("optOut")
        device["chiller"] = 100.0
        async with running(path):
            await eventually(lambda: answers(rig) == ["optIn", "optOut"], "the answer")

    asyncio.run(scenario())
    assert device.writes() == [40.0]


@over_http
def test_a_dry_run_takes_no_orders(rig: RigVtn, tmp_path: Path) -> None:
    device, person = chiller(tmp_path), Person(tmp_path)
    path = write(tmp_path, [rig.table()], [point("chiller")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await peak(rig, gateway, device)
        person.opt("optOut")
        async with running(path, dry_run=True) as gateway:
            await eventually(lambda: gateway.planner.events.get("gw"), "the event")
            names = {task.get_coro().__name__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
            assert "carry_out_orders" not in names

    asyncio.run(scenario())
    assert len(person.waiting) == 1


@over_http
def test_a_reload_ends_the_looking_of_the_VENs_that_changed(rig: RigVtn, tmp_path: Path) -> None:
    device, person = chiller(tmp_path), Person(tmp_path)
    path = write(tmp_path, [rig.table()], [point("chiller")])

    def looking() -> set[asyncio.Task[Any]]:
        return {
            task
            for task in asyncio.all_tasks()
            if task.get_coro().__name__ == "carry_out_orders"  # type: ignore[union-attr]
        }

    left: list[set[asyncio.Task[Any]]] = []

    async def scenario() -> None:
        async with running(path) as gateway:
            await peak(rig, gateway, device)
            before = looking()
            await gateway.reload(read_configuration(path))
            assert looking() == before
            write(tmp_path, [rig.table('resource_ids = ["roof"]')], [point("chiller")])
            await gateway.reload(read_configuration(path))
            (one,) = looking()
            assert {one} != before
            person.opt("optOut")
            await eventually(lambda: device["chiller"] == 100.0, "the end of its part in it")
            client: Any = gateway.links["gw"].client
            aclose = client.aclose

            async def close_and_see() -> None:  # which would refuse whatever is ordered now
                left.append({task for task in looking() if not task.cancelling()})
                await aclose()

            client.aclose = close_and_see
        assert left == [set()]

    asyncio.run(scenario())
    assert person.waiting == ()


@over_http
def test_a_file_that_cannot_be_read_for_a_while(
    rig: RigVtn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    device, person = chiller(tmp_path), Person(tmp_path)
    path = write(tmp_path, [rig.table()], [point("chiller")])

    def damaged(_orders: Orders) -> Any:
        raise StoreError("gw.db: cannot be read or written: check the disk")

    async def scenario() -> None:
        async with running(path) as gateway:
            await peak(rig, gateway, device)
            with monkeypatch.context() as patch:
                patch.setattr(Orders, "all", damaged)
                await eventually(lambda: "orders cannot be carried out" in caplog.text, "the line")
            person.opt("optOut")
            await eventually(lambda: device["chiller"] == 100.0, "the end of its part in it")

    asyncio.run(scenario())


# -- registration ---------------------------------------------------------------------------------

over_services = pytest.mark.parametrize(
    "rig", [("http", "2.0b"), ("push", "2.0b"), ("xmpp", "2.0b")], indirect=True
)


@over_services
def test_a_registration_that_a_person_ends_and_begins(rig: RigVtn, tmp_path: Path) -> None:
    assert rig.services is not None
    services = rig.services
    device, person = chiller(tmp_path), Person(tmp_path)
    path = write(tmp_path, [rig.table()], [point("chiller", more=FAILSAFE)])

    def is_ended(gateway: Gateway) -> None:
        (ven,) = gateway.view().vens
        assert (ven.registered, ven.withdrawn) == (False, True)
        assert ven.registration == "the registration was ended by order"
        assert 'oadr2_gateway_ven_registered{ven="gw"} 0' in metrics_text(gateway)
        assert unready_reasons(gateway) == []
        assert not gateway.links["gw"].asks  # so that a start does not wait for it

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: services.vens and gateway.links["gw"].heard, "the VTN")
            person.give(Order("withdraw"))
            await eventually(lambda: not services.vens, "the end")
            await eventually(lambda: device["chiller"] == 55.0, "the fail-safe")
            is_ended(gateway)
        async with running(path) as gateway:
            await eventually(lambda: gateway.ready and gateway.points["chiller"].seen_at, "it")
            is_ended(gateway)
            changed = [rig.table('resource_ids = ["roof"]')]
            write(tmp_path, changed, [point("chiller", more=FAILSAFE)])
            before = gateway.links["gw"]
            await gateway.reload(read_configuration(path))
            assert gateway.links["gw"] is not before
            is_ended(gateway)
            assert services.vens == {}
            person.give(Order("register"))
            await eventually(lambda: gateway.view().vens[0].registered, "the registration")
            await eventually(lambda: device["chiller"] == 100.0, "the VTN's return")
            assert services.vens
            assert not gateway.view().vens[0].withdrawn

    asyncio.run(scenario())
    assert person.waiting == ()


@pytest.mark.parametrize("rig", [("http", "2.0b")], indirect=True)
def test_what_the_VTN_has_ended_is_begun_again_by_order(rig: RigVtn, tmp_path: Path) -> None:
    assert rig.services is not None
    services = rig.services
    device, person = chiller(tmp_path), Person(tmp_path)
    path = write(tmp_path, [rig.table()], [point("chiller", more=FAILSAFE)])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: services.vens, "the registration")
            services.cancel_registration(next(iter(services.vens)))
            await eventually(lambda: device["chiller"] == 55.0, "the fail-safe")
            person.give(Order("register"))
            await eventually(lambda: device["chiller"] == 100.0, "the VTN's return")
            assert gateway.view().vens[0].registered

    asyncio.run(scenario())


@pytest.mark.parametrize("rig", [("http", "2.0b")], indirect=True)
def test_a_registration_that_is_to_end_when_the_VTN_is_back(rig: RigVtn, tmp_path: Path) -> None:
    assert rig.services is not None
    services = rig.services
    chiller(tmp_path)
    person = Person(tmp_path)
    path = write(tmp_path, [rig.table()], [point("chiller")])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: services.vens and gateway.links["gw"].heard, "the VTN")
            (known,) = services.vens
            await asyncio.to_thread(rig.go)
            person.give(Order("withdraw"))
            await eventually(lambda: person.waiting == (), "the order")
            (ven,) = gateway.view().vens
            assert (ven.registered, ven.withdrawn) == (True, False)
            assert ven.registration == f"registered as {known}, to be ended"
            await asyncio.to_thread(rig.come)
            await eventually(lambda: not services.vens, "the end")

    asyncio.run(scenario())


@pytest.mark.parametrize("rig", [("http", "2.0b")], indirect=True)
def test_an_override_is_told_anew_after_a_new_registration(rig: RigVtn, tmp_path: Path) -> None:
    assert rig.services is not None
    services = rig.services
    device, person = chiller(tmp_path), Person(tmp_path)
    cooler = point("chiller", more='resource_id = "chiller"')
    path = write(tmp_path, [rig.table("opt_overrides = true")], [cooler])

    def opts() -> list[Any]:
        return [opt for ven in services.vens.values() for opt in ven.opts.values()]

    async def scenario() -> None:
        async with running(path) as gateway:
            await peak(rig, gateway, device)
            gateway.override("chiller", 100.0, 3600, "eve")
            await eventually(lambda: len(opts()) == 1, "the opt-out")
            person.give(Order("withdraw"))
            await eventually(lambda: not services.vens, "the end")
            person.give(Order("register"))
            await eventually(lambda: len(opts()) == 1, "the opt-out again")
            (opt,) = opts()
            assert (opt.opt_type, opt.targets.resource_ids) == ("optOut", ("chiller",))
            services.forget(next(iter(services.vens)))
            await eventually(lambda: len(opts()) == 1, "the opt-out once more")
            gateway.end_override("chiller")
            await eventually(lambda: services.vens and not opts(), "its end")

    asyncio.run(scenario())


@pytest.mark.parametrize("rig", [("http", "2.0b")], indirect=True)
def test_orders_at_a_terminal_and_a_kill_in_between(
    rig: RigVtn, tmp_path: Path, plugin_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rig.services is not None
    services, device = rig.services, chiller(tmp_path)
    path = write(tmp_path, [rig.table()], [point("chiller")])

    def ven(*words: str) -> str:
        assert main(["ven", *words, "-c", str(path)]) == 0
        return capsys.readouterr().out

    with GatewayProcess(path, plugin_folder) as gateway:
        rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])
        wait_for(lambda: gateway.works() and device["chiller"] == 40.0, "the event")
        assert ven("opt-out", "peak") == "optOut of event peak: taken by the VEN\n"
        wait_for(lambda: device["chiller"] == 100.0, "the end of its part in it")
        rig.go()
        taken = ven("cancel-registration")
        assert taken == "end of the registration: taken by the VEN\n"
        assert "; to be ended" in ven("status")
        gateway.kill()
    rig.come()
    with GatewayProcess(path, plugin_folder) as gateway:
        wait_for(lambda: gateway.works() and not services.vens, "the end")
        wait_for(lambda: "not registered: ended by order" in ven("status"), "its note of it")
        gateway.kill()
    assert "waits in" in ven("register", "--no-wait")
    with GatewayProcess(path, plugin_folder) as gateway:
        wait_for(lambda: gateway.works() and services.vens, "the registration")
        wait_for(lambda: "registered with VTN vtn_1" in ven("status"), "its note of it")
        assert gateway.end()[0] == 0
