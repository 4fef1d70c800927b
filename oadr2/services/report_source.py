"""What a VEN can report: its points, how they are read, and what is kept of the readings."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from oadr2.errors import ConfigurationError
from oadr2.model import (
    Report,
    ReportDescription,
    ReportPayload,
    ResourceStatus,
    SamplingRate,
    Targets,
    Unit,
)
from oadr2.schedule import Duration

_log = logging.getLogger("oadr2.report")

#: What a point reads: a number, the state of a load, or None when it cannot be read now.
Reading: TypeAlias = float | ResourceStatus | None

RESOURCE_STATUS: Final = "x-resourceStatus"
NO_VALUE: Final = "No Quality - No Value"
PREVIOUS_VALUE: Final = "No New Value - Previous Value Used"
_SAMPLES_KEPT: Final = 10_000
_SECOND: Final = 1_000_000
_NO_UNIT: Final = frozenset((RESOURCE_STATUS, "x-notApplicable"))


@dataclass(frozen=True, slots=True)
class ReportPoint:
    """One data point, an rID of its report.

    Attributes:
        r_id: its name, unique within the report.
        read: gives the present reading. It runs where the VEN runs and must return soon; what it
            raises is logged, and the point counts as unreadable for that moment.
        report_type: ``usage``, ``demand``, ``setPoint`` ... or ``x-resourceStatus``.
        reading_type: ``Direct Read``, ``Mean`` ... or ``x-notApplicable``.
        unit: of the value; none for a status.
        sampling_rate: how often it can be read.
        resource_id: the load it belongs to, if one.
    """

    r_id: str
    read: Callable[[], Reading]
    report_type: str = "usage"
    reading_type: str = "Direct Read"
    unit: Unit | None = None
    sampling_rate: SamplingRate = field(
        default=SamplingRate(Duration(microseconds=1_000_000), Duration(microseconds=3_600_000_000))
    )
    resource_id: str | None = None
    market_context: str | None = None

    @property
    def min_period(self) -> float:
        """Seconds that lie between two readings at least."""
        return self.sampling_rate.min_period.microseconds / 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """The readings of one moment, by rID; ``at`` in seconds since 1970."""

    at: float
    readings: tuple[tuple[str, ReportPayload], ...]

    def of(self, r_ids: Sequence[str]) -> tuple[ReportPayload, ...]:
        """The payloads of these points, in this order (D15)."""
        found = dict(self.readings)
        return tuple(found[r_id] for r_id in r_ids)

    def only(self, r_ids: Sequence[str]) -> Sample:
        """Without the other points."""
        return Sample(self.at, tuple(zip(r_ids, self.of(r_ids), strict=True)))


class ReportSource:
    """A report that can be asked for: one reportSpecifierID.

    Args:
        report_specifier_id: its name, unique within the VEN.
        points: what it is made of, at least one.
        report_name: ``TELEMETRY_USAGE``, ``TELEMETRY_STATUS`` or ``HISTORY_USAGE``.
        history: how much is kept for later; of use for ``HISTORY_USAGE``.

    Raises:
        ConfigurationError: no points, a name twice, a unit where none belongs, or a time that cannot be
            written, because it is not in whole seconds.
    """

    def __init__(
        self,
        report_specifier_id: str,
        points: Sequence[ReportPoint],
        report_name: str = "TELEMETRY_USAGE",
        history: Duration = Duration(microseconds=3_600_000_000),  # noqa: B008  frozen
    ) -> None:
        where = f"report {report_specifier_id!r}"
        if not points:
            raise ConfigurationError(f"{where} has no points")
        self.points = {point.r_id: point for point in points}
        if len(self.points) != len(points):
            raise ConfigurationError(f"{where} has two points of one rID")
        if history.months or history.microseconds <= 0 or history.microseconds % _SECOND:
            raise ConfigurationError(f"{where}: history must be whole seconds, and some")
        for point in points:
            rate = point.sampling_rate
            if any(
                p.months or p.microseconds % _SECOND for p in (rate.min_period, rate.max_period)
            ):
                raise ConfigurationError(
                    f"{where}: the sampling rate of point {point.r_id!r} must be in whole seconds"
                )
            if point.report_type == RESOURCE_STATUS and point.unit is not None:
                raise ConfigurationError(f"{where}: a status has no unit, point {point.r_id!r}")
            if point.report_type not in _NO_UNIT and point.unit is None:
                raise ConfigurationError(
                    f"{where}: point {point.r_id!r} needs a unit (facts.md D04)"
                )
        self.report_specifier_id = report_specifier_id
        self.report_name = report_name
        self.history = history
        self.keeps_history = report_name.startswith("HISTORY_")
        self.samples: deque[Sample] = deque(maxlen=_SAMPLES_KEPT)
        self._last: dict[str, ReportPayload] = {}

    @property
    def min_period(self) -> float:
        """Seconds between two samples at least: of the slowest point."""
        return max(point.min_period for point in self.points.values())

    def metadata(self, created: datetime) -> Report:
        """How it is announced (D02, D03, D04)."""
        return Report(
            report_request_id="0",
            report_specifier_id=self.report_specifier_id,
            created_date_time=created,
            report_name=f"METADATA_{self.report_name}",
            duration=self.history,
            report_descriptions=tuple(
                ReportDescription(
                    point.r_id,
                    point.report_type,
                    point.reading_type,
                    unit=point.unit,
                    report_data_source=_resource(point.resource_id),
                    market_context=point.market_context,
                    sampling_rate=point.sampling_rate,
                )
                for point in self.points.values()
            ),
        )

    def sample(self, at: float) -> Sample:
        """Read every point now; ``at`` is the moment it counts for."""
        found = []
        for point in self.points.values():
            payload = self._payload(point)
            self._last[point.r_id] = payload
            found.append((point.r_id, payload))
        return Sample(at, tuple(found))

    def no_values(self, at: float) -> Sample:
        """That nothing is known of this moment."""
        return Sample(at, tuple((point.r_id, _no_value(point)) for point in self.points.values()))

    def keep(self, sample: Sample) -> None:
        """Remember a sample for a request of history."""
        self.samples.append(sample)
        oldest = sample.at - self.history.microseconds / 1e6
        while self.samples[0].at < oldest:
            self.samples.popleft()

    def between(self, start: float, end: float, step: float) -> list[Sample]:
        """What is kept of ``start <= at < end``, at least ``step`` seconds apart."""
        found: list[Sample] = []
        for sample in self.samples:
            if start <= sample.at < end and (not found or sample.at - found[-1].at >= step):
                found.append(sample)
        return found

    def _payload(self, point: ReportPoint) -> ReportPayload:
        try:
            reading = point.read()
            if reading is not None and not isinstance(reading, ResourceStatus):
                reading = float(reading)
                if not math.isfinite(reading):
                    reading = None
        except Exception:  # the application's own code; the other points count all the same
            _log.exception(
                "report %r: point %r cannot be read", self.report_specifier_id, point.r_id
            )
            reading = None
        if isinstance(reading, ResourceStatus):
            return ReportPayload(point.r_id, resource_status=reading)
        if reading is not None:
            return ReportPayload(point.r_id, reading)
        last = self._last.get(point.r_id)
        if last is not None and last.data_quality != NO_VALUE:
            return ReportPayload(
                point.r_id, last.value, last.resource_status, data_quality=PREVIOUS_VALUE
            )
        return _no_value(point)


def _no_value(point: ReportPoint) -> ReportPayload:
    if point.report_type == RESOURCE_STATUS:
        unknown = ResourceStatus(online=False, manual_override=False)
        return ReportPayload(point.r_id, resource_status=unknown, data_quality=NO_VALUE)
    return ReportPayload(point.r_id, 0.0, data_quality=NO_VALUE)


def _resource(resource_id: str | None) -> Targets:
    return Targets() if resource_id is None else Targets(resource_ids=(resource_id,))
