"""A VTN that lets us wait, or is away: what is to be read and decided is, and not afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from oadr2.decisions import Decisions
from oadr2.errors import StoreError
from oadr2.event import EventHandler
from oadr2.model import (
    CreatedPartyRegistration,
    EiResponse,
    Period,
    ReportRequest,
    ReportSpecifier,
    ResourceStatus,
    SamplingRate,
    SpecifierPayload,
)
from oadr2.poll_20b import ServiceClient, connection_to
from oadr2.schedule import Duration
from oadr2.services.registration import RegistrationSettings
from oadr2.services.report_source import RESOURCE_STATUS, ReportPoint, ReportSource
from oadr2.services.state import MemoryState
from oadr2.sim import SimulatedVtn, VtnServices
from oadr2.ven_20b import Ven20b

PATIENCE = 30.0
SOON = 0.1  # seconds


class StallingVtn:
    """The simulated VTN over HTTP, which answers no poll while it ``stalls``."""

    def __init__(self) -> None:
        self.vtn = SimulatedVtn("vtn_1", "2.0b")
        self.services = VtnServices(self.vtn, poll_freq=Duration())
        self.stalls = False
        self.is_waited_for = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        # A VEN that is closed leaves a reply unread, and that is a reset.
        with suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                headers = dict(line.lower().split(": ") for line in head.split("\r\n")[1:-2])
                body = await reader.readexactly(int(headers["content-length"]))
                service: Any = head.split(" ")[1].rpartition("/")[2]
                if self.stalls and service == "OadrPoll":
                    self.is_waited_for.set()
                    await self.goes_on.wait()
                reply = self.services.handle(service, body)
                length = f"Content-Length: {len(reply)}\r\n"
                kind = "Content-Type: application/xml\r\n"
                writer.write(f"HTTP/1.1 200 OK\r\n{length}{kind}\r\n".encode() + reply)
        writer.close()
        with suppress(ConnectionResetError):
            await writer.wait_closed()
        self.connections -= 1


class FullState(MemoryState):
    """Its disk is full while ``full`` is set."""

    full = False

    def save(self, changes: Mapping[str, str | None]) -> None:
        if self.full:
            raise StoreError("ven.db: cannot grow: free some disk space")
        super().save(changes)


def seconds(number: float) -> Duration:
    return Duration(microseconds=round(number * 1e6))


def status() -> ReportSource:
    """Of a pump, as often as anybody likes."""
    often = SamplingRate(seconds(0), seconds(3600))
    running = ResourceStatus(online=True, manual_override=False)
    point = ReportPoint("pump", lambda: running, RESOURCE_STATUS, sampling_rate=often)
    return ReportSource("status", (point,), "TELEMETRY_STATUS")


def ask(ven: Ven20b) -> None:
    """Have it read its point soon, and report that."""
    specifier = ReportSpecifier(
        "status",
        seconds(0),
        seconds(0),
        (SpecifierPayload("pump"),),
        Period(datetime.now(UTC), seconds(SOON)),
    )
    outcome = ven.reports.request((ReportRequest("request-1", specifier),), time.time())
    assert outcome.response_code == 200


async def until(what: Callable[[], object]) -> None:
    while not what():
        await asyncio.sleep(0.005)


@asynccontextmanager
async def running(client: Any) -> AsyncIterator[None]:
    """``client`` does its work; afterwards it is closed."""
    async with client:
        run = asyncio.create_task(client.run())
        yield
    await run


@asynccontextmanager
async def waiting(**options: Any) -> AsyncIterator[tuple[ServiceClient, StallingVtn]]:
    """A VEN that is registered and waits for the reply to its poll."""
    vtn = StallingVtn()
    vtn.vtn.add_event("peak", start="+1h", levels=[(3600, 1.0)])
    server = await asyncio.start_server(vtn.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fast = RegistrationSettings(ven_name="house", poll_interval=0.01, min_poll_interval=0.01)
    decisions = Decisions(lambda event: "later")
    handler = EventHandler("house", oadr_profile_level="2.0b", opt_callback=decisions.ask)
    ven = Ven20b(handler, registration=fast, sources=(status(),), decisions=decisions, **options)
    client = ServiceClient(ven, connection_to(f"http://127.0.0.1:{port}"))
    async with server, running(client):
        await until(lambda: ven.is_settled)
        vtn.stalls = True
        await vtn.is_waited_for.wait()
        yield client, vtn
        assert not vtn.goes_on.is_set()
        vtn.stalls = False
        vtn.goes_on.set()
        await until(lambda: ven.is_settled and not ven.reports.waiting)
    await until(lambda: not vtn.connections)


def in_time(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE):
            await test()

    asyncio.run(bounded())


def test_a_point_is_read_while_the_VTN_lets_us_wait() -> None:
    async def test() -> None:
        async with waiting() as (client, vtn):
            ask(client.ven)
            client.wake()  # as a push does
            await until(lambda: client.ven.reports.waiting)
        (house,) = vtn.services.vens.values()
        assert house.reports_received == 1

    in_time(test)


def test_a_decision_holds_while_the_VTN_lets_us_wait() -> None:
    async def test() -> None:
        async with waiting() as (client, vtn):
            (state,) = client.ven.handler.get_states()
            assert state.opt_type == "optIn"
            assert client.ven.decisions is not None
            client.ven.decisions.decide("peak", "optOut")
            await until(lambda: client.ven.handler.get_states()[0].opt_type == "optOut")
        assert vtn.vtn.answers[-1].opt_type == "optOut"

    in_time(test)


def test_a_full_disk_meanwhile_is_told_of_and_survived(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oadr2.exchanges._AFTER_STORE_ERROR", 0.01)

    async def test() -> None:
        state = FullState()
        async with waiting(state=state) as (client, vtn):
            ask(client.ven)
            state.full = True
            client.wake()
            await until(lambda: "cannot grow: free some disk space; next try" in caplog.text)
            state.full = False
            await until(lambda: client.ven.reports.waiting)
        (house,) = vtn.services.vens.values()
        assert house.reports_received == 1

    in_time(test)


def test_a_point_is_read_while_there_is_no_XMPP_server() -> None:
    xmpp_20b = pytest.importorskip("oadr2.xmpp_20b")

    async def test() -> None:
        handler = EventHandler("house", oadr_profile_level="2.0b")
        jid = "ven@localhost/gateway"
        xmpp = RegistrationSettings("house", transport_name="xmpp", transport_address=jid)
        ven = Ven20b(handler, registration=xmpp, sources=(status(),))
        ven.registration.created(
            CreatedPartyRegistration("vtn", EiResponse(200, "OK", ""), "registration-1", "ven-1")
        )
        ask(ven)
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()  # nobody is there now
        client = xmpp_20b.XmppServiceClient(
            ven,
            jid,
            "secret",
            server="127.0.0.1",
            port=port,
            plaintext=True,
            vtn_jid="vtn@localhost",
        )
        async with running(client):
            await until(lambda: ven.reports.waiting)
        assert not client.has_connected

    in_time(test)
