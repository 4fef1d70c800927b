"""What a load test does: groups of VENs, stages, connections, thresholds, as plain data.

A scenario says everything that decides a run; two runs of one scenario send the same messages at the same
moments. Durations are float seconds, shares are from 0.0 to 1.0. ``scenario_file`` reads one from TOML.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from oadr2.errors import ConfigurationError
from oadr2.fleet.thresholds import Threshold
from oadr2.model import Profile
from oadr2.policy import VtnPolicy

StageKind: TypeAlias = Literal["ramp", "hold", "spike", "herd"]
ConnectionKind: TypeAlias = Literal["per-ven", "pool", "per-poll"]

DEFAULT_POOL: Final = 100


@dataclass(frozen=True, slots=True)
class Group:
    """VENs that are alike. In a text with ``{n}`` stands the number of the VEN.

    Attributes:
        count: how many.
        ven_ids: a pattern such as ``"ven_{n}"``, or one id for each VEN.
        first_number: the ``n`` of the first VEN.
        vtn_ids, market_contexts: those the VENs know; empty: all are taken.
        signals: names of signals the VENs can follow.
        group_ids, resource_ids, party_ids: targets besides the venID; patterns.
        poll_interval: seconds between two polls of one VEN.
        jitter: share of the interval by which a poll comes earlier or later.
        opt_in: share of the VENs that opt in; the others opt out.
        answer_delay: shortest and longest time before an event is answered, seconds.
        silent: share that never answers an event.
        offline: share that never polls.
        duplicate: share that sends each answer twice.
        stale: share that answers with the modification number before.
        wrong_ids: share that answers with an unknown eventID.
        policy: how the VENs read the VTN.
    """

    count: int
    name: str = ""
    profile: Profile = "2.0a"
    ven_ids: str | tuple[str, ...] = "ven_{n}"
    first_number: int = 0
    vtn_ids: tuple[str, ...] = ()
    market_contexts: tuple[str, ...] = ()
    signals: tuple[str, ...] = ("SIMPLE",)
    group_ids: tuple[str, ...] = ()
    resource_ids: tuple[str, ...] = ()
    party_ids: tuple[str, ...] = ()
    poll_interval: float = 10.0
    jitter: float = 0.1
    opt_in: float = 1.0
    answer_delay: tuple[float, float] = (0.0, 0.0)
    silent: float = 0.0
    offline: float = 0.0
    duplicate: float = 0.0
    stale: float = 0.0
    wrong_ids: float = 0.0
    policy: VtnPolicy = field(default_factory=VtnPolicy)


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run.

    Attributes:
        kind: ``ramp``: VENs begin (or stop) to poll evenly until ``vens`` of them do;
            ``hold``: nothing changes; ``spike``: each VEN polls ``factor`` times as often;
            ``herd``: all VENs poll at once when it begins, and from then on as usual.
        duration: seconds.
        vens: of a ramp, the share of each group that polls at its end.
        factor: of a spike.
    """

    kind: StageKind
    duration: float
    vens: float = 1.0
    factor: float = 5.0


@dataclass(frozen=True, slots=True)
class ConnectionPlan:
    """Which connection a message takes.

    Attributes:
        kind: ``per-ven``: each VEN keeps one; ``pool``: all share ``size``; ``per-poll``: a new one for
            each poll.
        size: connections in the pool, of all processes together.
        source_addresses: local addresses to connect from in turn; each is good for about 28,000.
    """

    kind: ConnectionKind = "pool"
    size: int = DEFAULT_POOL
    source_addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"pool:{self.size}" if self.kind == "pool" else self.kind


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until a connection or an answer is given up."""

    connect: float = 5.0
    answer: float = 30.0


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS towards the VTN.

    Attributes:
        ca_file: PEM file of the authorities that vouch for the VTN; None: those of the system.
        cert_file, key_file: PEM files of a client certificate. With ``{n}`` or ``{ven_id}`` in the name
            each VEN has its own.
        resumption: resume sessions, where the VTN allows it.
        check_hostname: the certificate must be for the host of the URL.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    resumption: bool = True
    check_hostname: bool = True


@dataclass(frozen=True, slots=True)
class EventChange:
    """Something that happens to an event of the simulated VTN.

    Attributes:
        at: seconds after the run began.
        action: what happens.
        event_id: which event.
        duration: length of the event, seconds (add, modify).
        starts_in: seconds from ``at`` to its start (add, modify).
        level: of the SIMPLE signal (add, modify).
        response_required: "always" or "never" (add).
    """

    at: float
    action: Literal["add", "modify", "cancel"]
    event_id: str
    duration: float = 3600.0
    starts_in: float = 60.0
    level: float = 1.0
    response_required: Literal["always", "never"] = "always"


@dataclass(frozen=True, slots=True)
class FailureLimits:
    """How much of what went wrong is kept in failures.jsonl."""

    per_class: int = 10
    payload_bytes: int = 8192


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole load test.

    Attributes:
        groups: the VENs; their rows follow each other in this order.
        stages: in order; the run lasts as long as they do together.
        vtn_url: base address of the VTN, without ``/OpenADR2``; None: a simulated one is started.
        events: what the simulated VTN does; without meaning for a real one.
        thresholds: what must hold at the end.
    """

    groups: tuple[Group, ...]
    stages: tuple[Stage, ...]
    name: str = "load test"
    seed: int = 0
    vtn_url: str | None = None
    connections: ConnectionPlan = field(default_factory=ConnectionPlan)
    timeouts: Timeouts = field(default_factory=Timeouts)
    tls: Tls = field(default_factory=Tls)
    thresholds: tuple[Threshold, ...] = ()
    events: tuple[EventChange, ...] = ()
    failures: FailureLimits = field(default_factory=FailureLimits)

    @property
    def vens(self) -> int:
        """How many VENs there are in all groups."""
        return sum(group.count for group in self.groups)

    @property
    def duration(self) -> float:
        """Seconds from the first stage's begin to the last one's end."""
        return sum(stage.duration for stage in self.stages)


def shard_of(count: int, index: int, shards: int) -> tuple[int, int]:
    """First number and count of part ``index`` of ``shards`` of ``count`` things, as even as can be.

    Raises ConfigurationError when there is no such part.
    """
    if not 0 <= index < shards:
        raise ConfigurationError(f"there is no part {index} of {shards}: they count from 0")
    first = count * index // shards
    return first, count * (index + 1) // shards - first
