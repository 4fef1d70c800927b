"""VENs of every transport and profile in a gateway: events, reports, silence, reload and restart."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fake_driver import FakeFolder
from gateway_rig import audit, eventually, point, running
from pushed_ven import Certificates
from vtn_rig import PASSWORD, WAYS, RigVtn, free_port, write

from oadr2.errors import TransportError
from oadr2.gateway.configuration import read_configuration
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.page.health import metrics_text
from oadr2.sim import HttpDelivery, ServicePusher, SimulatedVtn, VtnServer, VtnServices
from oadr2.sim.prosody import ProsodyServer

Scenario = Callable[[], Coroutine[Any, Any, None]]
every_way = pytest.mark.parametrize("rig", WAYS, ids=[" ".join(way) for way in WAYS], indirect=True)


def run(scenario: Scenario) -> None:
    asyncio.run(scenario())


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


@contextlib.asynccontextmanager
async def started(path: Path, **options: Any) -> AsyncIterator[Gateway]:
    """The gateway of this file, once every VTN was heard of and every device read."""
    async with running(path, **options) as gateway:
        await eventually(
            lambda: gateway.ready and all(link.heard for link in gateway.links.values()),
            "the start",
        )
        yield gateway


def device_of(folder: Path, *names: str) -> FakeFolder:
    return FakeFolder(folder / "device", **dict.fromkeys(names, 100.0))


def failing(after: str) -> str:
    return f'failsafe = {{ after = "{after}", action = 55 }}'


@every_way
def test_an_event_moves_a_load_and_is_answered(rig: RigVtn, tmp_path: Path) -> None:
    device = device_of(tmp_path, "chiller")
    path = write(tmp_path, [rig.table()], [point("chiller")])

    async def scenario() -> None:
        async with started(path) as gateway:
            rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])
            await rig.tell(gateway)
            await eventually(lambda: device["chiller"] == 40.0, "the event")
            await eventually(lambda: rig.vtn.answers, "the answer")
            (ven,) = gateway.view().vens
            assert (ven.transport, ven.profile, ven.problem) == (rig.transport, rig.profile, "")
            assert rig.vtn.answers[-1].ven_id == ven.ven_id
            if rig.services is None:
                assert (ven.registered, ven.registration) == (None, "")
                assert "oadr2_gateway_ven_registered{" not in metrics_text(gateway)
            else:
                (known,) = rig.services.vens
                assert (ven.registered, ven.registration) == (True, f"registered as {known}")
                assert 'oadr2_gateway_ven_registered{ven="gw"} 1' in metrics_text(gateway)
            assert f'oadr2_gateway_vens{{transport="{rig.transport}"}} 1' in metrics_text(gateway)
            rig.vtn.cancel_event("peak")
            await rig.tell(gateway)
            await eventually(lambda: device["chiller"] == 100.0, "its end")

    run(scenario)


@every_way
def test_a_quiet_VTN_is_not_a_silent_one_and_a_silent_one_is_found_out(
    rig: RigVtn, tmp_path: Path
) -> None:
    device = device_of(tmp_path, "chiller")
    path = write(tmp_path, [rig.table()], [point("chiller", more=failing("600ms"))])

    async def scenario() -> None:
        async with started(path):
            await asyncio.sleep(0.8)  # in which nothing happens, but for heartbeats
            assert device.writes() == []
            await asyncio.to_thread(rig.go)
            await eventually(lambda: device["chiller"] == 55.0, "the fail-safe")
            await asyncio.to_thread(rig.come)
            await eventually(lambda: device["chiller"] == 100.0, "the VTN's return")

    run(scenario)
    control = [entry.reason for entry in audit(tmp_path) if entry.kind == "control"]
    assert control == ["VTN silent for 0.6 s: fail-safe value", "nothing is wanted"]


@pytest.mark.parametrize("rig", [("push", "2.0a"), ("push", "2.0b")], indirect=True)
def test_without_a_heartbeat_only_pushes_count(rig: RigVtn, tmp_path: Path) -> None:
    device = device_of(tmp_path, "chiller")
    ven = rig.table("heartbeat = false")
    path = write(tmp_path, [ven], [point("chiller", more=failing("400ms"))])

    async def scenario() -> None:
        async with running(path) as gateway:
            await eventually(lambda: device["chiller"] == 55.0, "the fail-safe")
            asked = rig.vtn.polls.total()
            rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])
            await rig.tell(gateway)
            await eventually(lambda: 40.0 in device.writes(), "a push")
            await eventually(lambda: device["chiller"] == 55.0, "the silence after it")
            assert rig.vtn.polls.total() == asked

    run(scenario)


@pytest.mark.parametrize("rig", [("xmpp", "2.0a")], indirect=True)
def test_without_a_heartbeat_the_XMPP_server_s_pings_count(rig: RigVtn, tmp_path: Path) -> None:
    device = device_of(tmp_path, "chiller")
    ven = rig.table("heartbeat = false")
    path = write(tmp_path, [ven], [point("chiller", more=failing("400ms"))])

    async def scenario() -> None:
        async with started(path):
            asked = rig.vtn.polls.total()
            await asyncio.sleep(0.6)
            assert device.writes() == []
            assert rig.vtn.polls.total() == asked
            await asyncio.to_thread(rig.go)  # its presence goes, though the server stays
            await eventually(lambda: device["chiller"] == 55.0, "the fail-safe")

    run(scenario)


@pytest.mark.parametrize("gone", [("http", "2.0b"), ("push", "2.0a"), ("xmpp", "2.0b")])
def test_a_VTN_that_goes_holds_up_no_other(
    gone: tuple[str, Any], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    device = device_of(tmp_path, "mine", "other")
    port = request.getfixturevalue("prosody").port if gone[0] == "xmpp" else 0
    with ExitStack() as stack:
        lost = stack.enter_context(RigVtn(*gone, tmp_path, port))
        stays = stack.enter_context(RigVtn("push", "2.0b", tmp_path))
        points = [
            point("mine", more=f'ven = "gw"\n{failing("500ms")}'),
            point("other", more=f'ven = "stays"\n{failing("1h")}'),
        ]
        path = write(tmp_path, [lost.table(), stays.table(name="stays")], points)

        async def scenario() -> None:
            async with started(path) as gateway:
                await asyncio.to_thread(lost.go)
                await eventually(lambda: device["mine"] == 55.0, "the fail-safe")
                stays.vtn.add_event("peak", start="now", levels=[(3600, 2)])
                begin = time.monotonic()
                await eventually(lambda: device["other"] == 40.0, "the other VTN's event")
                assert time.monotonic() - begin < 10.0  # not after some time-out of the lost one
                assert device["mine"] == 55.0
                assert gateway.links["gw"].problem
                assert not gateway.links["stays"].problem

        run(scenario)


@every_way
def test_a_reload_interrupts_only_what_changed(rig: RigVtn, tmp_path: Path) -> None:
    device = device_of(tmp_path, "chiller")
    with RigVtn("http", "2.0b", tmp_path) as other:
        # The same port before and after, where there is one.
        listen = f'listen = "127.0.0.1:{free_port()}"' if rig.transport == "push" else ""
        vens = [rig.table(listen), other.table(name="other")]
        path = write(tmp_path, vens, [point("chiller")])

        async def scenario() -> None:
            async with started(path) as gateway:
                before = dict(gateway.links)
                rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])
                await rig.tell(gateway)
                await eventually(lambda: device["chiller"] == 40.0, "the event")
                await eventually(lambda: other.services and other.services.vens, "the other")
                # A line above moves all tables, and changes none.
                changed = [
                    "# a word\n" + rig.table(f'opt = "optOut"\n{listen}'),
                    vens[1],
                ]
                write(tmp_path, changed, [point("chiller")])
                await gateway.reload(read_configuration(path))
                assert gateway.links["other"] is before["other"]
                link = gateway.links["gw"]
                assert link is not before["gw"]
                assert [state.event.event_id for state in link.handler.get_states()] == ["peak"]
                await eventually(lambda: link.heard, "the VTN again")
                rig.vtn.add_event("more", start="now", levels=[(3600, 3)], priority=1)
                await rig.tell(gateway)
                await eventually(lambda: len(link.handler.get_states()) == 2, "a new event")
                assert rig.services is None or len(rig.services.vens) == 1

        run(scenario)
    assert device.writes() == [40.0]  # the second one is opted out of


@pytest.mark.parametrize("rig", [("http", "2.0b"), ("push", "2.0b")], indirect=True)
def test_a_file_that_is_of_no_use_leaves_the_VENs_as_they_were(rig: RigVtn, tmp_path: Path) -> None:
    device = device_of(tmp_path, "chiller")
    path = write(tmp_path, [rig.table()], [point("chiller")])

    async def scenario() -> None:
        async with started(path) as gateway:
            more = 'opt = "optOut"\npassword_env = "NO_SUCH"\nusername = "x"'
            write(tmp_path, [rig.table(more)], [point("chiller")])
            with pytest.raises(Exception, match=r"line 4: \[\[ven\]\] gw: .*NO_SUCH is not set"):
                await gateway.reload(read_configuration(path))
            await eventually(lambda: gateway.links["gw"].heard, "the VTN again")
            rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])
            await rig.tell(gateway)
            await eventually(lambda: device["chiller"] == 40.0, "the event")

    run(scenario)


@every_way
def test_a_restart_keeps_events_and_registration_without_a_word_of_the_VTN(
    rig: RigVtn, tmp_path: Path
) -> None:
    device = device_of(tmp_path, "chiller")
    path = write(tmp_path, [rig.table()], [point("chiller")])

    async def first() -> None:
        async with started(path) as gateway:
            rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])
            await rig.tell(gateway)
            await eventually(lambda: device["chiller"] == 40.0, "the event")

    async def second() -> None:
        async with running(path) as gateway:
            await eventually(lambda: device["chiller"] == 40.0, "what the schedule says")
            (ven,) = gateway.view().vens
            assert not ven.heard
            assert ven.registered in (None, True)

    run(first)
    rig.go()
    device["chiller"] = 90.0
    run(second)
    assert device.writes() == [40.0, 40.0]


@pytest.mark.parametrize("rig", [("http", "2.0b"), ("push", "2.0b")], indirect=True)
def test_points_are_reported_as_they_are(rig: RigVtn, tmp_path: Path) -> None:
    assert rig.services is not None
    device = device_of(tmp_path, "chiller", "away")
    reports = """
[[ven.report]]
id = "power"
[[ven.report.point]]
r_id = "chiller"
unit = "powerReal"
scale = "k"
[[ven.report.point]]
r_id = "constant"
source = 7
unit = "powerReal"

[[ven.report]]
id = "states"
name = "TELEMETRY_STATUS"
"""
    path = write(tmp_path, [rig.table(reports)], [point("chiller"), point("away", "nowhere")])

    async def scenario() -> None:
        assert rig.services is not None
        services = rig.services
        async with started(path) as gateway:
            await eventually(lambda: any(v.metadata for v in services.vens.values()), "METADATA")
            (ven_id,) = services.vens
            gateway.override("chiller", 70.0, 600.0, "eve")
            await eventually(lambda: device["chiller"] == 70.0, "the override")
            await eventually(lambda: gateway.points["chiller"].point.settled, "the read-back")
            services.ask_for_report(ven_id, "power", ["chiller", "constant"])
            services.ask_for_report(ven_id, "states", ["chiller", "away"])
            await eventually(lambda: len(services.reports) == 2, "the reports")

    run(scenario)
    found = {report.report_specifier_id: report for _, report in rig.services.reports}
    power = {payload.r_id: payload for payload in found["power"].intervals[0].payloads}
    assert (power["chiller"].value, power["constant"].value) == (70.0, 7.0)
    states = {p.r_id: p.resource_status for p in found["states"].intervals[0].payloads}
    assert (states["chiller"].online, states["chiller"].manual_override) == (True, True)
    assert (states["away"].online, states["away"].manual_override) == (False, False)


def test_a_VTN_that_wants_fewer_polls_is_not_silent_between_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device = device_of(tmp_path, "chiller")
    with RigVtn("http", "2.0b", tmp_path, poll_freq=1.0) as rig:
        path = write(tmp_path, [rig.table()], [point("chiller", more=failing("300ms"))])

        async def scenario() -> None:
            async with started(path):
                await asyncio.sleep(0.8)
                assert device.writes() == []
                await asyncio.to_thread(rig.go)
                await eventually(lambda: device["chiller"] == 55.0, "the fail-safe")

        run(scenario)
    said = [record.getMessage() for record in caplog.records if "wants a poll" in record.msg]
    assert said == [
        "VEN gw: its VTN wants a poll every 1 s only: whether it is silent is known that late"
    ]


def test_a_clock_that_is_set_back_does_not_keep_a_VEN_from_polling(tmp_path: Path) -> None:
    device_of(tmp_path, "chiller")
    ahead = 0.0
    with RigVtn("http", "2.0b", tmp_path) as rig:
        path = write(tmp_path, [rig.table()], [point("chiller")])

        async def scenario() -> None:
            nonlocal ahead
            async with started(path, clock=lambda: time.time() + ahead) as gateway:
                contact = gateway.links["gw"].contact
                for step in (-3600.0, 3600.0):
                    ahead += step
                    await asyncio.sleep(0.05)
                    last = contact.heard_at
                    await eventually(lambda last=last: contact.heard_at > last + 0.2, "polls")  # type: ignore[misc]

        run(scenario)


@pytest.mark.parametrize(
    "rig", [("http", "2.0b"), ("push", "2.0b"), ("xmpp", "2.0b")], indirect=True
)
def test_a_dry_run_beside_a_gateway_at_work(rig: RigVtn, tmp_path: Path) -> None:
    assert rig.services is not None
    device = device_of(tmp_path, "chiller")
    path = write(tmp_path, [rig.table()], [point("chiller")])
    told: list[str] = []
    rig.services.on_message = lambda one: told.append(type(one.message).__name__)

    async def scenario() -> None:
        assert rig.services is not None
        with pytest.raises(Exception, match="a dry run does not register"):
            async with running(path, dry_run=True):
                pass
        async with started(path) as gateway:
            told.clear()
            async with started(path, dry_run=True):
                rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])
                await eventually(lambda: device["chiller"] == 40.0, "the event")
            assert gateway.links["gw"].problem == ""

    run(scenario)
    assert set(told) <= {"Poll"}
    assert device.writes() == [40.0]


@pytest.mark.parametrize("rig", [("http", "2.0b")], indirect=True)
def test_a_VEN_of_events_only_does_not_register(rig: RigVtn, tmp_path: Path) -> None:
    assert rig.services is not None
    device = device_of(tmp_path, "chiller")
    table = rig.table("events_only = true").replace("ven_name", "ven_id")
    path = write(tmp_path, [table], [point("chiller")])

    async def scenario() -> None:
        async with running(path) as gateway:
            rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])
            await eventually(lambda: device["chiller"] == 40.0, "the event")
            assert gateway.view().vens[0].registered is None

    run(scenario)
    assert rig.services.vens == {}


@pytest.mark.parametrize("rig", [("http", "2.0b")], indirect=True)
def test_a_registration_that_the_VTN_ends_is_said(rig: RigVtn, tmp_path: Path) -> None:
    assert rig.services is not None
    services = rig.services
    device = device_of(tmp_path, "chiller")
    path = write(tmp_path, [rig.table()], [point("chiller", more=failing("500ms"))])

    async def scenario() -> None:
        async with started(path) as gateway:
            services.cancel_registration(next(iter(services.vens)))
            await eventually(lambda: device["chiller"] == 55.0, "the fail-safe")
            (ven,) = gateway.view().vens
            assert ven.registered is False
            assert ven.registration == "the VTN has ended the registration"

    run(scenario)


@pytest.mark.parametrize("rig", [("http", "2.0b"), ("push", "2.0b")], indirect=True)
def test_an_override_is_told_as_an_opt_out_over_a_restart_too(rig: RigVtn, tmp_path: Path) -> None:
    assert rig.services is not None
    services = rig.services
    device_of(tmp_path, "chiller", "nameless")
    points = [point("chiller", more='resource_id = "roof"'), point("nameless")]
    path = write(tmp_path, [rig.table("opt_overrides = true")], points)
    rig.vtn.add_event("peak", start="now", levels=[(3600, 2)])

    def opts() -> list[Any]:
        return [opt for ven in services.vens.values() for opt in ven.opts.values()]

    async def first() -> None:
        async with started(path) as gateway:
            await eventually(lambda: rig.vtn.answers, "the answer")
            assert rig.vtn.answers[-1].opt_type == "optIn"
            gateway.override("nameless", 70.0, 600.0, "eve")
            gateway.override("chiller", 70.0, 600.0, "eve")
            await eventually(opts, "the opt")

    async def second() -> None:
        async with started(path) as gateway:
            await eventually(lambda: gateway.points["chiller"].point.override, "the override")
            gateway.end_override("chiller")
            await eventually(lambda: not opts(), "its end")

    run(first)
    (opt,) = opts()
    assert (opt.opt_type, opt.opt_reason) == ("optOut", "overrideStatus")
    assert opt.qualified_event_id.event_id == "peak"
    assert opt.targets.resource_ids == ("roof",)
    run(second)


def test_a_push_over_TLS_is_taken_from_the_VTN_s_certificate_only(tmp_path: Path) -> None:
    device = device_of(tmp_path, "chiller")
    certificates = Certificates(tmp_path)
    own = certificates.issue("ven", "127.0.0.1")
    vtn = SimulatedVtn("vtn_1", "2.0b")
    services = VtnServices(vtn)
    with VtnServer(vtn, services=services) as server, ExitStack() as stack:
        ven = f"""[[ven]]
profile = "2.0b"
ven_name = "gw"
transport = "push"
vtn_url = "{server.url}"
listen = "127.0.0.1:0"
vtn_name = "vtn.example"
cert = "{own}"
ca_certs = "{certificates.ca_file}"
"""
        path = write(tmp_path, [ven], [point("chiller")])

        def as_holder_of(name: str) -> HttpDelivery:
            context = certificates.vtn_client(certificates.issue(name, name))
            delivery = HttpDelivery(ssl_context=context)
            stack.callback(delivery.close)
            return delivery

        async def scenario() -> None:
            async with started(path) as gateway:
                (house,) = services.vens.values()
                stranger = as_holder_of("stranger.example")
                with pytest.raises(TransportError, match="HTTP 403"):
                    await asyncio.to_thread(stranger, house, "EiEvent", b"<x/>")
                stack.enter_context(ServicePusher(services, as_holder_of("vtn.example")))
                vtn.add_event("peak", start="now", levels=[(3600, 2)])
                await eventually(lambda: device["chiller"] == 40.0, "the event")
                assert gateway.links["gw"].problem == ""

        run(scenario)
