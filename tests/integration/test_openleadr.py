"""Our 2.0b VEN against OpenLEADR's VTN, the VTN most programmers try first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from oadr2_program import Program
from openleadr_vtn import PATIENCE, OpenleadrVtn

from oadr2.certificate import fingerprint
from oadr2.event import EventHandler
from oadr2.http import VtnConnection
from oadr2.model import ResourceStatus, Unit
from oadr2.policy import VtnPolicy
from oadr2.poll_20b import ServiceClient
from oadr2.security import client_context
from oadr2.services.registration import RegistrationSettings
from oadr2.services.report_source import RESOURCE_STATUS, ReportPoint, ReportSource
from oadr2.services.state import MemoryState
from oadr2.signature import Signer, Verifier
from oadr2.ven_20b import Ven20b

POWER = Unit("powerReal", "RealPower", "W", "none", hertz=60.0, voltage=220.0, ac=True)


def sources() -> tuple[ReportSource, ...]:
    power = ReportPoint("power", lambda: 42.5, unit=POWER, resource_id="pump")
    state = ReportPoint(
        "state",
        lambda: ResourceStatus(True, False),
        RESOURCE_STATUS,
        "x-notApplicable",
        resource_id="pump",
    )
    return (
        ReportSource("usage", (power,)),
        ReportSource("status", (state,), "TELEMETRY_STATUS"),
    )


class House:
    """One VEN and its client, run for as long as a scenario lasts."""

    def __init__(self, vtn: OpenleadrVtn, **options: Any) -> None:
        ssl_context = options.pop("ssl_context", None)
        opt = options.pop("opt", "optIn")
        policy = options.pop("policy", VtnPolicy())
        self.handler = EventHandler(
            "house", oadr_profile_level="2.0b", default_opt=opt, policy=policy
        )
        self.errors: list[Exception] = []
        settings = RegistrationSettings(ven_name="house", xml_signature="signer" in options)
        self.ven = Ven20b(
            self.handler, registration=settings, back_off_base=0.2, drain_spacing=0.05, **options
        )
        connection = VtnConnection(
            vtn.url,
            "2.0b",
            connect_timeout=PATIENCE,
            read_timeout=PATIENCE,
            max_response_size=1 << 20,
            ssl_context=ssl_context,
        )
        self.client = ServiceClient(self.ven, connection, on_error=self.errors.append)

    def runs(self, scenario: Callable[[House], Awaitable[None]]) -> None:
        async def both() -> None:
            async with self.client:
                running = asyncio.create_task(self.client.run())
                await scenario(self)
                running.cancel()

        asyncio.run(both())

    async def until(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < deadline, (self.ven.phase, self.errors)
            await asyncio.sleep(0.02)

    def phase_of(self, event_id: str) -> str | None:
        for state in self.handler.get_states():
            if state.event.event_id == event_id:
                return state.phase
        return None


@pytest.fixture
def vtn() -> Iterator[OpenleadrVtn]:
    with OpenleadrVtn() as running:
        yield running


def test_registers_and_polls(vtn: OpenleadrVtn) -> None:
    async def scenario(house: House) -> None:
        await house.until(lambda: house.ven.phase == "registered")
        assert house.handler.ven_id == "ven_ol"
        assert house.ven.registration.poll_interval == 1
        await house.until(lambda: house.ven.next_deadline is not None)

    house = House(vtn)
    house.runs(scenario)
    (told,) = vtn.said(kind="registration")
    assert told["ven_name"] == "house"
    assert told["http_pull_model"] is True
    assert house.errors == []


@pytest.mark.parametrize("opt", ["optIn", "optOut"])
def test_an_event_is_taken_answered_run_and_cancelled(vtn: OpenleadrVtn, opt: str) -> None:
    async def scenario(house: House) -> None:
        await house.until(lambda: house.ven.phase == "registered")
        vtn.tell(add_event={"event_id": "e1", "starts_in": 1, "lasts": 60, "level": 2})
        await house.until(lambda: vtn.said(kind="response", event_id="e1"))
        await house.until(lambda: house.phase_of("e1") == "running")
        assert house.handler.current_level()[0] == (2 if opt == "optIn" else 0)
        vtn.tell(cancel_event="e1")
        await house.until(lambda: house.phase_of("e1") is None)

    house = House(vtn, opt=opt)
    house.runs(scenario)
    assert vtn.said(kind="response")[0]["opt"] == opt
    assert house.errors == []


def test_an_opt_is_changed_later(vtn: OpenleadrVtn) -> None:
    async def scenario(house: House) -> None:
        await house.until(lambda: house.ven.phase == "registered")
        vtn.tell(add_event={"event_id": "e1", "starts_in": 30, "lasts": 60, "level": 1})
        await house.until(lambda: vtn.said(kind="response", opt="optIn"))
        await house.client.change_opt("e1", "optOut")
        await house.until(lambda: not house.ven.next_action(0))
        await house.until(lambda: house.handler.get_states()[0].opt_type == "optOut")

    house = House(vtn)
    house.runs(scenario)


def test_reports_are_registered_asked_for_and_delivered(vtn: OpenleadrVtn) -> None:
    async def scenario(house: House) -> None:
        await house.until(lambda: len(vtn.said(kind="report", measurement="RealPower")) >= 3)

    house = House(vtn, sources=sources())
    house.runs(scenario)
    told = vtn.said(kind="register_report", measurement="RealPower")
    assert (told[0]["resource_id"], told[0]["unit"]) == ("pump", "W")
    for report in vtn.said(kind="report", measurement="RealPower"):
        assert [value for _, value in report["data"]] == [42.5] * len(report["data"])
    # OpenLEADR 0.5.36 asks for TELEMETRY_STATUS and then fails over it, as it expects a value; the
    # other reports do not wait for that one.
    assert {getattr(error, "status", None) for error in house.errors} <= {500}


def test_a_report_of_two_points_comes_in_intervals_of_one(vtn: OpenleadrVtn) -> None:
    # OpenLEADR departs from facts.md 3.3 here; one_payload_per_interval is the policy that copes.
    two = ReportSource(
        "two",
        tuple(
            ReportPoint(name, lambda value=value: value, unit=POWER, resource_id=name)
            for name, value in (("pump", 1.0), ("fan", 2.0))
        ),
    )

    async def scenario(house: House) -> None:
        await house.until(
            lambda: {r["resource_id"] for r in vtn.said(kind="report")} == {"pump", "fan"}
        )

    house = House(vtn, sources=(two,), policy=VtnPolicy(one_payload_per_interval=True))
    house.runs(scenario)
    for report in vtn.said(kind="report"):
        expected = {"pump": 1.0, "fan": 2.0}[report["resource_id"]]
        assert {value for _, value in report["data"]} == {expected}
    assert house.errors == []


def test_a_restarted_VEN_goes_on_where_it_was(vtn: OpenleadrVtn) -> None:
    state = MemoryState()

    async def until_reported(house: House) -> None:
        before = len(vtn.said(kind="report"))
        await house.until(lambda: len(vtn.said(kind="report")) > before)

    House(vtn, sources=sources(), state=state).runs(until_reported)
    again = House(vtn, sources=sources(), state=state)
    again.runs(until_reported)
    assert len(vtn.said(kind="registration")) == 1
    assert again.handler.ven_id == "ven_ol"


def test_the_registration_can_be_ended(vtn: OpenleadrVtn) -> None:
    async def scenario(house: House) -> None:
        await house.until(lambda: house.ven.phase == "registered")
        house.ven.cancel_registration()
        house.client.wake()
        await house.until(lambda: house.ven.phase == "cancelled")

    House(vtn).runs(scenario)
    assert vtn.said(kind="cancelled")


# -- certificates and signatures ------------------------------------------------------------------


class Papers:
    """A CA, and what it has signed for both sides."""

    def __init__(self, folder: Path, key: str) -> None:
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        for name in ("vtn", "ven"):
            leaf = authority.issue_cert(
                "127.0.0.1", common_name=name, key_type=trustme.KeyType[key]
            )
            leaf.private_key_pem.write_to_path(folder / f"{name}.key")
            leaf.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        self.folder = folder

    def file(self, name: str) -> str:
        return str(self.folder / name)

    def fingerprint(self, name: str) -> str:
        return fingerprint((self.folder / f"{name}.pem").read_bytes(), "2.0b")

    @property
    def tls(self) -> dict[str, str]:
        return {
            "http_cert": self.file("vtn.pem"),
            "http_key": self.file("vtn.key"),
            "http_ca_file": str(self.ca),
        }

    def context(self) -> Any:
        return client_context(str(self.ca), self.file("ven.pem"), self.file("ven.key"))


@pytest.mark.parametrize("key", ["RSA", "ECDSA"])
def test_mutual_TLS_and_signatures_in_both_directions(tmp_path: Path, key: str) -> None:
    papers = Papers(tmp_path, key)
    signing = {"cert": papers.file("vtn.pem"), "key": papers.file("vtn.key")}
    with OpenleadrVtn(fingerprint=papers.fingerprint("ven"), **papers.tls, **signing) as vtn:

        async def scenario(house: House) -> None:
            await house.until(lambda: house.ven.phase == "registered")
            vtn.tell(add_event={"event_id": "e1", "starts_in": 1, "lasts": 60, "level": 1})
            await house.until(lambda: vtn.said(kind="response", opt="optIn"))
            await house.until(lambda: vtn.said(kind="report", measurement="RealPower"))

        house = House(
            vtn,
            ssl_context=papers.context(),
            sources=sources()[:1],  # over a status it fails
            signer=Signer(papers.file("ven.pem"), papers.file("ven.key")),
            verifier=Verifier(fingerprints=[papers.fingerprint("vtn")]),
        )
        house.runs(scenario)
        assert house.errors == []


def test_the_program_signs_and_verifies(tmp_path: Path) -> None:
    papers = Papers(tmp_path, "ECDSA")
    signing = {"cert": papers.file("vtn.pem"), "key": papers.file("vtn.key")}
    tls = (
        "--ca-certs",
        str(papers.ca),
        "--cert",
        papers.file("ven.pem"),
        "--key",
        papers.file("ven.key"),
    )
    options = ("--profile", "2.0b", "--ven-name", "house", "--json", *tls)
    signs = ("--sign-cert", papers.file("ven.pem"), "--sign-key", papers.file("ven.key"))
    with OpenleadrVtn(fingerprint=papers.fingerprint("ven"), **papers.tls, **signing) as vtn:
        verifies = ("--verify-fingerprint", papers.fingerprint("vtn"))
        with Program("poll", "--vtn-url", vtn.url, *options, *signs, *verifies) as ven:
            ven.wait_for_record(change="registered")
            vtn.tell(add_event={"event_id": "e1", "starts_in": 1, "lasts": 60, "level": 1})
            vtn.wait(kind="response", opt="optIn")
            assert ven.records(kind="error") == []
        assert vtn.said(kind="registration")[0]["xml_signature"] is True
        wrong = ("--verify-fingerprint", papers.fingerprint("ven"))
        with Program("poll", "--vtn-url", vtn.url, *options, *signs, *wrong) as ven:
            assert "sign" in ven.wait_for_record(kind="error")["reason"]
            assert ven.records(change="registered") == []


def test_a_certificate_the_VTN_does_not_expect_gets_nowhere(tmp_path: Path) -> None:
    papers = Papers(tmp_path, "ECDSA")
    signing = {"cert": papers.file("vtn.pem"), "key": papers.file("vtn.key")}
    with OpenleadrVtn(fingerprint=papers.fingerprint("vtn"), **papers.tls, **signing) as vtn:

        async def scenario(house: House) -> None:
            await house.until(lambda: house.errors)

        house = House(
            vtn,
            ssl_context=papers.context(),
            signer=Signer(papers.file("ven.pem"), papers.file("ven.key")),
            verifier=Verifier(fingerprints=[papers.fingerprint("vtn")]),
        )
        house.runs(scenario)
        assert not vtn.said(kind="response")
