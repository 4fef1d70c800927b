"""A fleet of 2.0b over HTTP: every message at its service, counted by its kind."""

from __future__ import annotations

from dataclasses import replace

import pytest
from service_conversation import seconds

from oadr2.fleet.loop import run as run_loop
from oadr2.fleet.run import FleetRun
from oadr2.fleet.scenario import Group, Opts, Reports, Scenario, SimulatedServices, Stage
from oadr2.fleet.simulated import services_for
from oadr2.fleet.snapshot import Snapshot
from oadr2.sim import SimulatedVtn, VtnServer
from oadr2.sim.services import VtnServices

VENS = 10


def play(scenario: Scenario, url: str) -> Snapshot:
    async def main() -> FleetRun:
        run = FleetRun(scenario, url)
        await run.run()
        return run

    return run_loop(main()).snapshot()


def test_registering_polling_and_reporting_over_http() -> None:
    group = Group(
        VENS,
        profile="2.0b",
        poll_interval=1.0,
        register=True,
        reports=Reports(points=2, status=True),
    )
    group = replace(group, opts=Opts(every=1.0, share=1.0))
    scenario = Scenario(
        (group,), (Stage("hold", 3.5),), simulated=SimulatedServices(report_every=1.0)
    )
    vtn = SimulatedVtn("vtn", "2.0b", remember_vens=False)
    vtn.add_event("e", start="+60s", duration=600)
    services = services_for(vtn, scenario)
    assert services is not None
    assert services.poll_freq == seconds(1)
    with VtnServer(vtn, services=services) as server:
        found = play(scenario, server.url)
    assert found.errors == {}
    assert found.counters["registrations"] == VENS
    assert found.counters["replies_sent"] == VENS
    assert found.counters["reports_sent"] >= 2 * VENS
    assert found.counters["opts_sent"] >= VENS
    assert found.counters["opts_cancelled"] >= VENS
    assert found.vens_registered == found.vens_active == VENS
    counts = {kind: each.count for kind, each in found.latency.items()}
    assert counts["create_party_registration"] == counts["query_registration"] == VENS
    assert counts["register_report"] == counts["service_answer"] == VENS
    assert counts["update_report"] == found.counters["reports_sent"]
    assert counts["poll"] + counts["request_event"] == found.counters["polls"]
    assert len(services.vens) == VENS
    assert all(ven.last_report is None for ven in services.vens.values())


@pytest.mark.parametrize("remembers", [True, False])
def test_a_simulated_vtn_may_forget_what_vens_announce(remembers: bool) -> None:
    group = Group(1, profile="2.0b", poll_interval=0.2, register=True, reports=Reports())
    vtn = SimulatedVtn("vtn", "2.0b")
    services = VtnServices(vtn, report_every=seconds(60), remember_vens=remembers)
    with VtnServer(vtn, services=services) as server:
        play(Scenario((group,), (Stage("hold", 0.7),)), server.url)
    (ven,) = services.vens.values()
    assert bool(ven.metadata) == bool(ven.requests) == remembers
