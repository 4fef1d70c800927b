"""What a load test found, as one process sees it (:class:`Snapshot`) and as everybody reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oadr2._core.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The figures of one process's part of a run at one moment, counted from its begin.

    Attributes:
        at: seconds since the epoch.
        elapsed: seconds since the run began.
        vens: VENs of this process.
        vens_active: those of them that poll now.
        connections: open now.
        counters: the engine's, whole numbers that only grow: ``polls``, ``exchanges``,
            ``events_applied``, ``replies_sent``, ``late``...
        errors: how many of each class (dns, connect, tls, timeout, http_4xx, xml, oadr_463...).
        latency: by kind of message, from the actual moment of sending to the end of its answer.
        latency_from_intended: the same from the moment at which it should have been sent.
        propagation: ``seen`` and ``acknowledged``: from an event's change at the VTN to its arrival at a
            VEN and to the VTN's answer to the VEN's reply.
        schedule_lag: from the moment a VEN is due to the moment it is sent.
        loop_lag: seconds by which the event loop was late, at worst since the snapshot before.
        rss_bytes: memory of the process; ``rss_bytes_before_vens``: before its VENs were made.
        cpu_s: processor seconds the process used since the run began.
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
    loop_lag: float = 0.0
    rss_bytes: int = 0
    rss_bytes_before_vens: int = 0
    cpu_s: float = 0.0
