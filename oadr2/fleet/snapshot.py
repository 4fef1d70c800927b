"""The figures of a running load test: what each process reports once a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from oadr2._core.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The figures of one process's part of a run at one moment, counted from its begin.

    Attributes:
        at: seconds since the epoch.
        elapsed: seconds since the run began.
        vens: VENs of this process.
        vens_active: those of them that poll now: they have come in and were not stopped. Offline ones never
            do, nor do those whose registration the VTN has ended.
        vens_registered: VENs of 2.0b that are registered now.
        connections: open now.
        counters: the engine's, whole numbers that only grow: ``polls``, ``exchanges``,
            ``events_applied``, ``replies_sent``, ``late``...
        errors: how many of each class (dns, connect, tls, timeout, http_4xx, xml, oadr_463...).
        latency: by kind of message, from the actual moment of sending to the end of its answer.
        latency_from_intended: the same from the moment at which it should have been sent.
        propagation: ``seen`` and ``acknowledged``: from an event's change at the VTN to its arrival at a
            VEN and to the VTN's answer to the VEN's reply.
        schedule_lag: from the moment a VEN is due to the moment it is sent.
        under_way: exchanges that have not ended.
        loop_lag: seconds by which the event loop was late, at worst since the snapshot before.
        rss_bytes: memory of the process; ``rss_bytes_before_vens``: before its VENs were made.
        cpu_s: processor seconds the process used since the run began.
        core_wait_s: seconds since then that it had to wait for a processor that others used; 0 where the
            system keeps no account.
    """

    at: float
    elapsed: float
    vens: int
    vens_active: int
    connections: int
    counters: Mapping[str, int]
    errors: Mapping[str, int]
    latency: Mapping[str, Histogram]
    latency_from_intended: Mapping[str, Histogram]
    propagation: Mapping[str, Histogram] = field(default_factory=dict)
    schedule_lag: Histogram = field(default_factory=Histogram)
    under_way: int = 0
    loop_lag: float = 0.0
    rss_bytes: int = 0
    rss_bytes_before_vens: int = 0
    cpu_s: float = 0.0
    core_wait_s: float = 0.0
    vens_registered: int = 0

    @property
    def latency_of_all(self) -> Histogram:
        """Every exchange, whatever the kind of its message."""
        return sum_of(self.latency.values())


def sum_of(histograms: Iterable[Histogram]) -> Histogram:
    """One histogram with what is in all of them."""
    total = Histogram()
    for histogram in histograms:
        total.merge(histogram)
    return total


def sum_by_name(maps: Iterable[Mapping[str, Histogram]]) -> dict[str, Histogram]:
    """The histograms of each name in one."""
    found: dict[str, Histogram] = {}
    for each in maps:
        for name, histogram in each.items():
            found.setdefault(name, Histogram()).merge(histogram)
    return found


def sum_counts(maps: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The counts of each name in one."""
    total: Counter[str] = Counter()
    for each in maps:
        total.update(each)
    return dict(total)


def merge_snapshots(parts: Sequence[Snapshot]) -> Snapshot:
    """What several processes see, as if it were one. Raises ValueError when there is none."""
    if not parts:
        raise ValueError("there is no snapshot to merge")
    return Snapshot(
        at=max(part.at for part in parts),
        elapsed=max(part.elapsed for part in parts),
        vens=sum(part.vens for part in parts),
        vens_active=sum(part.vens_active for part in parts),
        connections=sum(part.connections for part in parts),
        counters=sum_counts(part.counters for part in parts),
        errors=sum_counts(part.errors for part in parts),
        latency=sum_by_name(part.latency for part in parts),
        latency_from_intended=sum_by_name(part.latency_from_intended for part in parts),
        propagation=sum_by_name(part.propagation for part in parts),
        schedule_lag=sum_of(part.schedule_lag for part in parts),
        under_way=sum(part.under_way for part in parts),
        loop_lag=max(part.loop_lag for part in parts),
        rss_bytes=sum(part.rss_bytes for part in parts),
        rss_bytes_before_vens=sum(part.rss_bytes_before_vens for part in parts),
        cpu_s=sum(part.cpu_s for part in parts),
        core_wait_s=sum(part.core_wait_s for part in parts),
        vens_registered=sum(part.vens_registered for part in parts),
    )
