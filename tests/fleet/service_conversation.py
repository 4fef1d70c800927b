"""A fleet and the simulated VTN's 2.0b services talking without a network: :class:`FleetTalk`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from oadr2 import decode
from oadr2._core.fleet import Fleet
from oadr2.fleet.endpoint import SERVICES
from oadr2.model import Message, Report, ResourceStatus, SamplingRate, Unit
from oadr2.schedule import Duration
from oadr2.services.report_source import RESOURCE_STATUS, ReportPoint, ReportSource
from oadr2.sim import SimulatedVtn
from oadr2.sim.services import VtnServices

SECOND = 1_000_000
BEGIN = 1_700_000_000 * SECOND
KILOWATT = Unit("powerReal", "RealPower", "W", "k", hertz=50.0, voltage=230.0, ac=True)
CURVE = (1.0, 2.5, 4.0, 0.5)


def seconds(number: float) -> Duration:
    return Duration(microseconds=round(number * SECOND))


def source(points: int, read: Any = float, min_period: float = 1.0) -> ReportSource:
    rate = SamplingRate(seconds(min_period), seconds(3600))
    return ReportSource(
        "load",
        [
            ReportPoint(
                f"point_{n}",
                lambda n=n: read(n),
                report_type="demand",
                unit=KILOWATT,
                sampling_rate=rate,
            )
            for n in range(points)
        ],
    )


def status_source() -> ReportSource:
    well = ResourceStatus(online=True, manual_override=False)
    point = ReportPoint("point_0", lambda: well, RESOURCE_STATUS, "x-notApplicable")
    return ReportSource("load_status", [point], "TELEMETRY_STATUS")


def status_metadata() -> Report:
    return status_source().metadata(datetime.now(UTC))


def metadata(points: int = 2, min_period: float = 1.0) -> Report:
    return source(points, min_period=min_period).metadata(datetime.now(UTC))


class Clock:
    """Microseconds; ``seconds()`` is what a SimulatedVtn asks."""

    def __init__(self) -> None:
        self.now = BEGIN

    def seconds(self) -> float:
        return self.now / SECOND


def make_vtn(clock: Clock, **options: Any) -> VtnServices:
    options.setdefault("poll_freq", seconds(10))
    vtn = SimulatedVtn("vtn", "2.0b", clock=clock.seconds)
    return VtnServices(vtn, **options)


class FleetTalk:
    """Drives a fleet against services; ``said`` holds (row, service, request, reply) in order."""

    def __init__(self, services: VtnServices | None = None, count: int = 1, **group: Any) -> None:
        self.clock = Clock()
        self.services = services if services is not None else make_vtn(self.clock)
        self.fleet = Fleet(seed=3)
        group = {"reports": (metadata(),), "load_curve": CURVE, "load_noise": 0.1, **group}
        self.fleet.add_group(
            count, profile="2.0b", register=True, poll_interval=20 * SECOND, jitter=0.0, **group
        )
        self.said: list[tuple[int, str, bytes, bytes]] = []
        self.errors: list[tuple[str, str]] = []

    def start(self) -> None:
        self.fleet.start(0, len(self.fleet), self.clock.now, 0)

    def exchange(self, row: int) -> None:
        fleet = self.fleet
        more = 1
        while more > 0:
            request = fleet.compose(row, self.clock.now)
            service = SERVICES[fleet.service(row)]
            reply = self.services.handle(service, request)
            more = fleet.receive(row, reply, self.clock.now)
            self.said.append((row, service, request, reply))
            if more < 0:
                self.errors.append(fleet.last_error())

    def run(self, until: float) -> None:
        """Let time pass, event by event, up to ``until`` seconds after the begin."""
        end = BEGIN + round(until * SECOND)
        while (due := self.fleet.next_due) is not None and due <= end:
            self.clock.now = max(self.clock.now, due)
            for row in self.fleet.take_due(self.clock.now, 100):
                self.exchange(row)
        self.clock.now = end
        self.fleet.advance(end, 1000)

    def requests(self, row: int = 0) -> list[Message]:
        return [decode(request) for who, _, request, _ in self.said if who == row]

    def names(self, row: int = 0) -> list[str]:
        return [message_name(message) for message in self.requests(row)]


def message_name(message: Message) -> str:
    return getattr(message, "name", type(message).__name__)
