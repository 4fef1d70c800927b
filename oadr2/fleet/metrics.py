"""The figures of a running load test for Prometheus: ``/metrics`` in its text format, version 0.0.4.

No label names a VEN: the number of series does not depend on how many there are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from oadr2.errors import TransportError
from oadr2.exposition import CONTENT_TYPE, counter, counters, gauge, histograms
from oadr2.fleet.snapshot import Snapshot

# Seconds. Answers come within milliseconds or not; events wait for a poll.
LATENCY_BUCKETS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0),
)
PROPAGATION_BUCKETS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)

_COUNTERS: Final[Mapping[str, tuple[str, str]]] = {
    "polls": ("oadr2_fleet_polls_total", "Polls sent."),
    "exchanges": ("oadr2_fleet_exchanges_total", "HTTP requests answered."),
    "events_applied": ("oadr2_fleet_events_applied_total", "Events taken by VENs."),
    "replies_sent": ("oadr2_fleet_replies_sent_total", "Answers to events sent."),
    "registrations": ("oadr2_fleet_registrations_total", "Registrations done, of VENs of 2.0b."),
    "registrations_lost": (
        "oadr2_fleet_registrations_lost_total",
        "Registrations that the VTN did not know any more.",
    ),
    "registrations_cancelled": (
        "oadr2_fleet_registrations_cancelled_total",
        "Registrations ended by the VTN.",
    ),
    "report_requests": ("oadr2_fleet_report_requests_total", "Reports the VTN asked for."),
    "reports_sent": ("oadr2_fleet_reports_sent_total", "Reports taken by the VTN."),
    "opts_sent": ("oadr2_fleet_opts_sent_total", "Opts taken by the VTN."),
    "opts_cancelled": ("oadr2_fleet_opts_cancelled_total", "Opts taken back."),
    "late": ("oadr2_fleet_late_polls_total", "Polls that could not be sent in time."),
}


def exposition(snapshot: Snapshot | None) -> str:
    """The text of ``/metrics``; before the first snapshot it only says that nothing runs."""
    lines = list(gauge("oadr2_fleet_running", "1 once figures are there.", float(bool(snapshot))))
    if snapshot is not None:
        lines += _families(snapshot)
    return "\n".join(lines) + "\n"


def _families(snapshot: Snapshot) -> Iterator[str]:
    yield from gauge("oadr2_fleet_vens", "VENs of the run.", snapshot.vens)
    yield from gauge(
        "oadr2_fleet_vens_active",
        "VENs that poll now; offline ones do not count.",
        snapshot.vens_active,
    )
    registered = "VENs of 2.0b that are registered now."
    yield from gauge("oadr2_fleet_vens_registered", registered, snapshot.vens_registered)
    yield from gauge("oadr2_fleet_connections", "Connections open.", snapshot.connections)
    yield from gauge("oadr2_fleet_elapsed_seconds", "Time since the begin.", snapshot.elapsed)
    for key, (name, meaning) in _COUNTERS.items():
        yield from counter(name, meaning, snapshot.counters.get(key, 0))
    errors = dict(sorted(snapshot.errors.items()))
    yield from counters("oadr2_fleet_errors_total", "Failed exchanges by class.", "class", errors)
    yield from histograms(
        "oadr2_fleet_latency_seconds",
        "From sending a message to the end of its answer.",
        "message",
        snapshot.latency,
        LATENCY_BUCKETS,
    )
    yield from histograms(
        "oadr2_fleet_latency_from_intended_seconds",
        "From the moment a message should have been sent to the end of its answer.",
        "message",
        snapshot.latency_from_intended,
        LATENCY_BUCKETS,
    )
    yield from histograms(
        "oadr2_fleet_propagation_seconds",
        "From an event's change at the VTN until VENs have seen it, and acknowledged it.",
        "step",
        snapshot.propagation,
        PROPAGATION_BUCKETS,
    )
    yield from histograms(
        "oadr2_fleet_schedule_lag_seconds",
        "From the moment a poll is due until it is sent.",
        "",
        {"": snapshot.schedule_lag},
        LATENCY_BUCKETS,
    )
    lag = "Lateness of the event loop, at worst in the last second."
    yield from gauge("oadr2_fleet_loop_lag_seconds", lag, snapshot.loop_lag)
    memory = "Memory of the generator's processes."
    yield from gauge("oadr2_fleet_resident_memory_bytes", memory, snapshot.rss_bytes)
    spent = "Processor time of the generator."
    yield from counter("oadr2_fleet_cpu_seconds_total", spent, snapshot.cpu_s)


class MetricsServer:
    """Serves ``/metrics`` from a thread: ``with MetricsServer(("127.0.0.1", 9100), source):``.

    Args:
        address: host and port; port 0 takes a free one, ``address`` says which.
        source: gives the snapshot to show.

    Raises:
        TransportError: the address cannot be had.
    """

    def __init__(self, address: tuple[str, int], source: Callable[[], Snapshot | None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.partition("?")[0] != "/metrics":
                    self.send_error(HTTPStatus.NOT_FOUND, "the figures are at /metrics")
                    return
                body = exposition(source()).encode()
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: the terminal belongs to the live view."""

        try:
            self._server = ThreadingHTTPServer(address, Handler)
        except OSError as error:
            host, port = address
            reason = error.strerror or error
            raise TransportError(f"--metrics {host}:{port}: {reason}") from None
        self._server.daemon_threads = True
        self.address: tuple[str, int] = self._server.server_address[0], self._server.server_port  # type: ignore[assignment]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
