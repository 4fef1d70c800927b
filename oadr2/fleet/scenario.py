"""What a load test does: groups of VENs, stages, connections, thresholds, as plain data.

A scenario says everything that decides a run; two runs of one scenario send the same messages at the same
moments. Durations are float seconds, shares are from 0.0 to 1.0. ``scenario_file`` reads one from
TOML, ``scenario_text`` writes one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final, Literal, TypeAlias, get_args

from oadr2.errors import ConfigurationError
from oadr2.fleet.thresholds import Threshold
from oadr2.model import Profile
from oadr2.policy import VtnPolicy

StageKind: TypeAlias = Literal["ramp", "hold", "spike", "herd"]
ConnectionKind: TypeAlias = Literal["per-ven", "pool", "per-poll"]
EventAction: TypeAlias = Literal["add", "modify", "cancel"]

DEFAULT_POOL: Final = 100
MAX_VENS: Final = 100_000_000
MAX_OPENING: Final = 1000
"""So many connections are opened at a time; other VENs wait, and their intended moments stand."""

LAST_ANSWERS_S: Final = 10.0
"""How long a run waits, when its time is up, for what is in flight; what has not come is abandoned."""

SHORTEST_S: Final = 0.001
LONGEST_S: Final = 10 * 365 * 86400.0
"""What a time may be: whole microseconds in the engine, and none of them runs over."""

_MAX_NUMBER: Final = 10**15  # of a VEN, in its ids
_LARGEST_LEVEL: Final = 3.4e38  # that xs:float holds

_SHARES: Final = ("opt_in", "silent", "offline", "duplicate", "stale", "wrong_ids")


class ScenarioError(ConfigurationError):
    """Something of a scenario has a wrong value; ``setting`` is its name."""

    def __init__(self, setting: str, reason: str) -> None:
        self.setting = setting
        super().__init__(f"{setting}: {reason}")


def _check(holds: bool, setting: str, reason: str) -> None:
    if not holds:
        raise ScenarioError(setting, reason)


def _check_time(seconds: float, setting: str) -> None:
    _check(0 < seconds < inf, setting, "it is above 0 s")
    _check(SHORTEST_S <= seconds <= LONGEST_S, setting, "it is from 1 ms to ten years")


def _check_whole(seconds: float, setting: str, reason: str, *, least: float = 1.0) -> None:
    whole = least <= seconds <= LONGEST_S and seconds == int(seconds)
    _check(whole, setting, f"{reason}, in whole seconds, and ten years at most")


@dataclass(frozen=True, slots=True)
class Reports:
    """What each VEN of a group can report: its loads, which follow one curve over the day.

    Attributes:
        specifier: the reportSpecifierID.
        points: how many; their rIDs are ``load_0``, ``load_1`` ...
        curve: kW, evenly over a day of UTC and linear in between; one value is a constant.
        noise: share of the value by which a reading differs at most; drawn from the seed.
        min_period: seconds between two readings at least, as announced.
        status: they announce a second report, TELEMETRY_STATUS, under the specifier with ``_status`` after
            it: every load is there, and nobody has overridden it.
    """

    specifier: str = "load"
    points: int = 1
    curve: tuple[float, ...] = (1.0,)
    noise: float = 0.0
    min_period: float = 1.0
    status: bool = False

    def __post_init__(self) -> None:
        _check(bool(self.specifier), "specifier", "it is empty")
        _check(0 < self.points <= 1000, "points", "it is from 1 to 1000")
        _check(bool(self.curve), "curve", "it has at least one value")
        within = all(-1e9 <= value <= 1e9 for value in self.curve)
        _check(within, "curve", "its values are from -1e9 to 1e9")
        _check(0 <= self.noise <= 1, "noise", "a share is from 0 to 1, or 0% to 100%")
        _check_whole(self.min_period, "min_period", "it is above 0")


@dataclass(frozen=True, slots=True)
class Opts:
    """How the VENs of a group use the EiOpt service: they say when they take no part, and take it back.

    Attributes:
        every: seconds between two such messages of a VEN; oadrCreateOpt and oadrCancelOpt take turns.
        share: of the VENs that send them.
        length: seconds for which one takes no part, from the next full minute on.
    """

    every: float = 3600.0
    share: float = 1.0
    length: float = 3600.0

    def __post_init__(self) -> None:
        _check_time(self.every, "every")
        _check(0 <= self.share <= 1, "share", "a share is from 0 to 1, or 0% to 100%")
        _check_whole(self.length, "length", "it is above 0")


@dataclass(frozen=True, slots=True)
class SimulatedServices:
    """What the simulated VTN wants of VENs that register.

    Attributes:
        report_every: seconds after which every report is wanted again; 0: none is wanted.
        granularity: seconds between two readings in it; 0: as ``report_every``.
    """

    report_every: float = 0.0
    granularity: float = 0.0

    def __post_init__(self) -> None:
        for name in ("report_every", "granularity"):
            _check_whole(getattr(self, name), name, "it is 0 or more", least=0.0)


@dataclass(frozen=True, slots=True)
class Group:
    """VENs that are alike. In a text with ``{n}`` stands the number of the VEN.

    Attributes:
        count: how many.
        ven_ids: a pattern such as ``"ven_{n}"``, or one id for each VEN.
        ven_ids_file: where a list of ids was read from, as the scenario says it; "": from no file.
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
        register: of 2.0b: they register under their ids as names, poll and report; else they ask for
            their events only. Once registered they poll as often as the VTN says.
        query: they ask what the VTN offers before they register.
        own_ids: their ids are venIDs that the VTN knows, and they say so when they register.
        reports: what they can report once they are registered; None: nothing.
        opts: how they say when they take no part; None: they never do.
    """

    count: int
    name: str = ""
    profile: Profile = "2.0a"
    ven_ids: str | tuple[str, ...] = "ven_{n}"
    ven_ids_file: str = ""
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
    register: bool = False
    query: bool = True
    own_ids: bool = False
    reports: Reports | None = None
    opts: Opts | None = None

    def __post_init__(self) -> None:
        _check(self.count > 0, "count", "a group has at least one VEN")
        _check(self.count <= MAX_VENS, "count", f"a group has {MAX_VENS:,} VENs at most")
        _check(self.profile in ("2.0a", "2.0b"), "profile", 'it is "2.0a" or "2.0b"')
        may_register = self.profile == "2.0b" or not self.register
        _check(may_register, "register", "only VENs of 2.0b do")
        may_report = self.register or self.reports is None
        _check(may_report, "reports", "only VENs that register report: set register = true")
        may_opt = self.register or self.opts is None
        _check(may_opt, "opts", "only VENs that register use EiOpt: set register = true")
        _check(self.first_number >= 0, "first_number", "it is 0 or more")
        _check(self.first_number <= _MAX_NUMBER, "first_number", f"it is {_MAX_NUMBER:,} at most")
        _check_time(self.poll_interval, "poll_interval")
        _check(0 <= self.jitter <= 0.5, "jitter", "it is from 0 to 0.5 of the poll interval")
        shortest, longest = self.answer_delay
        within = 0 <= shortest <= LONGEST_S and 0 <= longest <= LONGEST_S
        _check(within, "answer_delay", "it is from 0 s to ten years")
        _check(shortest <= longest, "answer_delay", "the shortest comes first")
        for name in _SHARES:
            _check(0 <= getattr(self, name) <= 1, name, "a share is from 0 to 1, or 0% to 100%")
        if isinstance(self.ven_ids, str):
            alike = self.count > 1 and "{n}" not in self.ven_ids
            _check(not alike, "ven_ids", "{n} is missing: it stands for the number of the VEN")
            _check(self.ven_ids.count("{n}") < 2, "ven_ids", "{n} stands in it once")
        else:
            enough = len(self.ven_ids) == self.count
            _check(enough, "ven_ids", f"{len(self.ven_ids)} ids for {self.count} VENs")
            if len(set(self.ven_ids)) < self.count:
                twice = Counter(self.ven_ids).most_common(1)[0][0]
                raise ScenarioError("ven_ids", f"{twice!r} is there twice")


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

    def __post_init__(self) -> None:
        kinds = get_args(StageKind)
        _check(self.kind in kinds, "kind", f"it is one of {', '.join(kinds)}")
        _check_time(self.duration, "duration")
        _check(0 <= self.vens <= 1, "vens", "a share is from 0 to 1, or 0% to 100%")
        _check(0 < self.factor <= 1000, "factor", "it is above 0 and up to 1000")


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

    def __post_init__(self) -> None:
        kinds = get_args(ConnectionKind)
        _check(self.kind in kinds, "plan", f"it is one of {', '.join(kinds)}")
        _check(self.size > 0, "plan", "a pool has at least one connection")

    def __str__(self) -> str:
        return f"pool:{self.size}" if self.kind == "pool" else self.kind


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds until a connection or an answer is given up."""

    connect: float = 5.0
    answer: float = 30.0

    def __post_init__(self) -> None:
        _check_time(self.connect, "connect")
        _check_time(self.answer, "answer")


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
    action: EventAction
    event_id: str
    duration: float = 3600.0
    starts_in: float = 60.0
    level: float = 1.0
    response_required: Literal["always", "never"] = "always"

    def __post_init__(self) -> None:
        actions = get_args(EventAction)
        _check(self.action in actions, "action", f"it is one of {', '.join(actions)}")
        _check(bool(self.event_id), "event_id", "it is empty")
        _check(0 <= self.at <= LONGEST_S, "at", "it is 0 s or more after the run's begin")
        _check_whole(self.duration, "duration", "it is above 0 s")
        _check(0 <= self.starts_in <= LONGEST_S, "starts_in", "it is from 0 s to ten years")
        finite = -_LARGEST_LEVEL <= self.level <= _LARGEST_LEVEL
        _check(finite, "level", "it is a number that xs:float can hold")
        answers = self.response_required in ("always", "never")
        _check(answers, "response_required", 'it is "always" or "never"')


@dataclass(frozen=True, slots=True)
class FailureLimits:
    """How much of what went wrong is kept in failures.jsonl."""

    per_class: int = 10
    payload_bytes: int = 8192

    def __post_init__(self) -> None:
        _check(0 <= self.per_class <= 1000, "per_class", "it is from 0 to 1000")
        _check(0 <= self.payload_bytes <= 1 << 20, "payload_bytes", "it is from 0 to 1048576")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole load test.

    Attributes:
        groups: the VENs; their rows follow each other in this order.
        stages: in order; the run lasts as long as they do together.
        vtn_url: base address of the VTN, without ``/OpenADR2``; None: a simulated one is started.
        events: what the simulated VTN does; without meaning for a real one.
        simulated: what the simulated VTN wants of VENs that register.
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
    simulated: SimulatedServices = field(default_factory=SimulatedServices)

    def __post_init__(self) -> None:
        _check(bool(self.groups), "group", "there is none: a load test needs VENs")
        _check(bool(self.stages), "stage", "there is none: a load test needs stages or a duration")
        _check(self.seed >= 0, "seed", "it is 0 or more")
        _check(self.seed < 1 << 63, "seed", "it is below 9223372036854775808")
        self._check_numbers()
        self._check_events()

    def _check_events(self) -> None:
        """What the simulated VTN could not do when the time comes is said before the run."""
        listed: dict[str, bool] = {}  # False: cancelled
        for change in sorted(self.events, key=lambda change: change.at):
            name, action = repr(change.event_id), change.action
            if action == "add":
                _check(
                    not listed.get(change.event_id),
                    "event",
                    f"add of {name}, which is there: modify it",
                )
            else:
                _check(change.event_id in listed, "event", f"{action} of {name} before it is added")
                _check(
                    listed[change.event_id], "event", f"{action} of {name} after it was cancelled"
                )
            listed[change.event_id] = action != "cancel"

    def _check_numbers(self) -> None:
        ends: dict[str, int] = {}
        for group in sorted(self.groups, key=lambda group: group.first_number):
            if isinstance(group.ven_ids, str):
                taken = ends.get(group.ven_ids, 0) > group.first_number
                reason = f"two groups have {group.ven_ids!r} with the same numbers"
                _check(not taken, "group", f"{reason}: give one another pattern or first_number")
                ends[group.ven_ids] = group.first_number + group.count

    @property
    def vens(self) -> int:
        """How many VENs there are in all groups."""
        return sum(group.count for group in self.groups)

    @property
    def duration(self) -> float:
        """Seconds from the first stage's begin to the last one's end."""
        return sum(stage.duration for stage in self.stages)


def numbered(groups: Iterable[Group]) -> tuple[Group, ...]:
    """The groups with numbers moved up where a pattern's would be given twice."""
    ends: dict[str, int] = {}
    found = []
    for group in groups:
        if isinstance(group.ven_ids, str):
            first = max(group.first_number, ends.get(group.ven_ids, 0))
            ends[group.ven_ids] = first + group.count
            found.append(replace(group, first_number=first))
        else:
            found.append(group)
    return tuple(found)


def ids_digest(ids: Iterable[str]) -> str:
    """A fingerprint of a list of ids: so that a run is repeated with those it had."""
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


def default_stages(duration: float, poll_interval: float) -> tuple[Stage, ...]:
    """VENs come in evenly over one poll interval, then go on to the end.

    A short run has no time for that: it is a piece of one that has lasted long.
    """
    if duration < 3 * poll_interval:
        return (Stage("hold", duration),)
    return Stage("ramp", poll_interval), Stage("hold", duration - poll_interval)


def default_events(duration: float) -> tuple[EventChange, ...]:
    """An event that is announced, changed and called off, with time in between for VENs to poll."""
    length = float(max(round(2 * duration), 60))
    return (
        EventChange(round(0.1 * duration, 1), "add", "peak", length, starts_in=5.0, level=1.0),
        EventChange(round(0.4 * duration, 1), "modify", "peak", length, starts_in=5.0, level=2.0),
        EventChange(round(0.75 * duration, 1), "cancel", "peak"),
    )


def shard_of(count: int, index: int, shards: int) -> tuple[int, int]:
    """First number and count of part ``index`` of ``shards`` of ``count`` things, as even as can be.

    Raises ConfigurationError when there is no such part.
    """
    if not 0 <= index < shards:
        raise ConfigurationError(f"there is no part {index} of {shards}: they count from 0")
    first = count * index // shards
    return first, count * (index + 1) // shards - first
