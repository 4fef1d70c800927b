"""The EiReport service of a VEN, without I/O: who asked for what, and what is due when (facts.md 3.3)."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from oadr2._core.encode import encode
from oadr2._core.objects import decode
from oadr2.errors import ConfigurationError, StoreError
from oadr2.model import (
    RegisterReport,
    Report,
    ReportInterval,
    ReportPayload,
    ReportRequest,
    UpdateReport,
)
from oadr2.policy import Limits, VtnPolicy
from oadr2.schedule import Duration
from oadr2.services.replies import INVALID_ID
from oadr2.services.report_source import RESOURCE_STATUS, ReportSource, Sample
from oadr2.services.state import ServiceState

_log = logging.getLogger("oadr2.report")

METADATA: Final = "METADATA"
_ANNOUNCED: Final = "report/announced"
_REQUESTS: Final = "report/request/"
_WAITING: Final = "report/waiting/"
_SAMPLES: Final = "report/sample/"
# What is kept is our own, and may be longer than what anybody may send us.
_OURS: Final = VtnPolicy(limits=Limits(size=0x7FFFFFFF, items=0x7FFFFFFF))
_LEAST_BACK: Final = 1.0  # seconds between two reports
_MOST_READINGS: Final = 100_000  # of one report; some 30 MB
_INVALID_DATA: Final = 454
_NOT_SUPPORTED: Final = 461


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message: the code for its answer, and why.

    ``metadata``: ids of requests that want our METADATA again (D11).
    """

    response_code: int = 200
    description: str = "OK"
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A report that waits to be taken by the VTN; ``number`` counts them."""

    number: int
    report: Report


@dataclass(slots=True)
class _Running:
    """A request under way. Times in seconds since 1970, spans in seconds; ``end`` may be infinite."""

    report_request_id: str
    source: ReportSource
    r_ids: tuple[str, ...]
    start: float
    end: float
    step: float  # 0: sampled when it is delivered
    back: float  # 0: delivered once, at the end
    next_sample: float
    next_delivery: float
    past: bool  # asked for what is kept already
    samples: list[Sample] = field(default_factory=list)
    sample_keys: list[str] = field(default_factory=list)  # of those that are stored

    @property
    def deadline(self) -> float:
        return min(self.next_sample, self.next_delivery)


class Reports:
    """The reports of one VEN; requests, what they have gathered and what is not delivered yet are
    remembered in ``state``. What is kept for requests of history is not.

    Args:
        sources: what can be reported.
        state: where to remember.
        max_requests: requests under way at one time; one more is refused.
        one_payload_per_interval: see :class:`oadr2.policy.VtnPolicy`.
        max_waiting: deliveries kept while the VTN is away; beyond them the oldest is dropped, with a
            line in the log.

    Raises:
        ConfigurationError: two sources have one name, or one has the name METADATA.
    """

    def __init__(
        self,
        sources: Sequence[ReportSource],
        state: ServiceState,
        *,
        max_requests: int = 100,
        max_waiting: int = 1000,
        one_payload_per_interval: bool = False,
    ) -> None:
        self.sources = {source.report_specifier_id: source for source in sources}
        if len(self.sources) != len(sources) or METADATA in self.sources:
            raise ConfigurationError(
                "reports: each needs a reportSpecifierID of its own, not METADATA"
            )
        self._state = state
        self._max_requests = max_requests
        self._max_waiting = max_waiting
        self._one_payload = one_payload_per_interval
        self._running: dict[str, _Running] = {}
        self._waiting: dict[int, Report] = {}
        self._next_history: dict[str, float] = {}
        self._last_number = 0  # of a delivery
        self._sample_number = 0
        self._samples_stored = True
        self._resting: tuple[_Running, ...] | None = None  # None: all of them
        self._restore()

    # -- announcing -----------------------------------------------------------------------------

    #: To be stored when the VTN no longer has our METADATA, or asks for them.
    NOT_ANNOUNCED: Final[Mapping[str, str | None]] = {_ANNOUNCED: None}

    def register(
        self, now: float, request_id: str, ven_id: str | None, report_request_id: str | None = None
    ) -> RegisterReport:
        """Announce what can be reported, even if that is nothing (D01); ``announced`` comes after it."""
        created = _moment(now)
        self._resting = tuple(self._running.values())
        reports = tuple(source.metadata(created) for source in self.sources.values())
        return RegisterReport(request_id, reports, ven_id, report_request_id)

    def announced(self) -> None:
        """The VTN has our METADATA: requests that rest on the former one are over (D19).

        Raises:
            StoreError: it could not be stored; they go on, and it is to be announced again.
        """
        # What was asked for since they were sent rests on them: a push may overtake the reply.
        former = self._running.values() if self._resting is None else self._resting
        over = {id(running) for running in former}
        kept = {name: made for name, made in self._running.items() if id(made) not in over}
        changes: dict[str, str | None] = {_ANNOUNCED: self._description(), **self._all_kept()}
        for request_id, running in kept.items():
            for key in (_REQUESTS + request_id, *running.sample_keys):
                changes.pop(key, None)
        self._state.save(changes)
        self._running = kept

    @property
    def is_announced(self) -> bool:
        """Whether the VTN has METADATA that say what can be reported now."""
        return self._state.load(_ANNOUNCED).get(_ANNOUNCED) == self._description()

    def to_forget(self) -> list[str]:
        """The keys of all that is kept; not to be kept when nobody is left to report to."""
        waiting = [f"{_WAITING}{number:012}" for number in self._waiting]
        return [_ANNOUNCED, *waiting, *self._all_kept()]

    def forgotten(self) -> None:
        """It is stored no longer."""
        self._running.clear()
        self._waiting.clear()

    # -- being asked ----------------------------------------------------------------------------

    @property
    def pending(self) -> tuple[str, ...]:
        """The ids of the requests under way (D07)."""
        return tuple(self._running)

    def request(
        self, requests: Sequence[ReportRequest], now: float, *, announced: bool = False
    ) -> Outcome:
        """Take requests, all of them or none (D05, D08 to D12).

        Refused is what nobody could deliver: more than 100,000 readings in one report, reports less
        than a second apart, a granularity that is not in whole seconds.

        ``announced``: they came with the reply to our METADATA, which need not be sent again.

        Raises:
            StoreError: they could not be stored; none was taken.
        """
        metadata = tuple(
            r.report_request_id
            for r in requests
            if r.report_specifier.report_specifier_id == METADATA
        )
        taken: list[_Running] = []
        for request in requests:
            if request.report_request_id in metadata:
                continue
            made = self._running_for(request, now)
            if isinstance(made, Outcome):
                return made
            if not self._is_repeated(request, made):
                taken.append(made)
        after = {*self._running, *(running.report_request_id for running in taken)}
        if len(after) > self._max_requests:
            return Outcome(_NOT_SUPPORTED, f"more than {self._max_requests} requests at a time")
        again = metadata and not announced
        changes: dict[str, str | None] = dict(self.NOT_ANNOUNCED) if again else {}
        for running in taken:
            changes[_REQUESTS + running.report_request_id] = json.dumps(_to_json(running))
            replaced = self._running.get(running.report_request_id)
            changes |= dict.fromkeys(() if replaced is None else replaced.sample_keys)
        self._state.save(changes)
        for running in taken:
            self._running[running.report_request_id] = running
        return Outcome(metadata=metadata)

    def cancel(
        self, report_request_ids: Iterable[str], report_to_follow: bool, now: float
    ) -> Outcome:
        """Stop these; with ``report_to_follow`` what they have gathered is due now (D17, D18).

        Raises:
            StoreError: it could not be stored; they go on.
        """
        ids = tuple(dict.fromkeys(report_request_ids))
        unknown = [i for i in ids if i not in self._running]
        known = [self._running[i] for i in ids if i in self._running]
        if report_to_follow:
            for running in known:
                self._deliver(running, now, {})
        self._stop(
            tuple(running.report_request_id for running in known),
            () if report_to_follow else self._waiting_of(ids),
        )
        if unknown:
            return Outcome(INVALID_ID, f"no such report request: {', '.join(unknown)}")
        return Outcome()

    # -- time -----------------------------------------------------------------------------------

    @property
    def next_deadline(self) -> float | None:
        """Seconds since 1970 when :meth:`advance` has something to do, or None."""
        times = [running.deadline for running in self._running.values()]
        times += self._next_history.values()
        return min(times, default=None)

    def advance(self, now: float) -> None:
        """Take the samples that are due, and make the reports that are.

        After a gap (the process slept, the clock was set) one sample is taken, not the many missed.

        Raises:
            StoreError: a report could not be stored; it is made again at the next call.
        """
        for source in self.sources.values():
            if not source.keeps_history:
                continue
            due = self._next_history.setdefault(source.report_specifier_id, now)
            if due <= now or due - now > source.min_period:  # the clock may have been set back
                source.keep(source.sample(now))
                self._next_history[source.report_specifier_id] = now + source.min_period
        failed: StoreError | None = None
        for running in list(self._running.values()):
            try:
                self._advance(running, now)
            except StoreError as error:  # the others are read on time all the same
                failed = failed or error
        if failed is not None:
            raise failed

    # -- delivering -----------------------------------------------------------------------------

    def due(self) -> Delivery | None:
        """The oldest report that the VTN has not taken yet."""
        for number, report in self._waiting.items():
            return Delivery(number, report)
        return None

    def delivered(self, number: int) -> None:
        """The VTN has it, or will never take it.

        Raises:
            StoreError: it is kept, and would be sent again.
        """
        self._state.save({f"{_WAITING}{number:012}": None})
        self._waiting.pop(number, None)

    def postpone(self, number: int) -> None:
        """The VTN fails over this one: the others that wait go first, this one is tried after them."""
        if number in self._waiting:
            self._waiting[number] = self._waiting.pop(number)

    @property
    def waiting(self) -> int:
        """How many reports the VTN has not taken yet."""
        return len(self._waiting)

    # -- inside ---------------------------------------------------------------------------------

    def _description(self) -> str:
        """What the METADATA say, without the moment they were made."""
        return repr([source.metadata(_moment(0)) for source in self.sources.values()])

    def _running_for(self, request: ReportRequest, now: float) -> _Running | Outcome:
        specifier = request.report_specifier
        name = f"report request {request.report_request_id!r}"
        source = self.sources.get(specifier.report_specifier_id)
        if source is None:
            text = f"{name}: no report is called {specifier.report_specifier_id!r}"
            return Outcome(INVALID_ID, text)
        r_ids = tuple(dict.fromkeys(p.r_id for p in specifier.specifier_payloads))
        unknown = [r_id for r_id in r_ids if r_id not in source.points]
        if unknown or not r_ids:
            return Outcome(INVALID_ID, f"{name}: no such rID: {', '.join(unknown) or 'none given'}")
        period = specifier.report_interval
        lengths = [specifier.granularity, specifier.report_back_duration]
        lengths += [] if period is None else [period.duration]
        is_wrong = any(length.months or length.microseconds < 0 for length in lengths)
        if is_wrong or specifier.granularity.microseconds % 1_000_000:  # it has to be written
            text = (
                f"{name}: a duration is negative or in months, or granularity not in whole seconds"
            )
            return Outcome(_INVALID_DATA, text)
        step = specifier.granularity.microseconds / 1e6
        back = specifier.report_back_duration.microseconds / 1e6
        start = now if period is None else period.dtstart.timestamp()
        length = 0.0 if period is None else period.duration.microseconds / 1e6
        end = start + length if length else (now if period is None and not back else math.inf)
        if not back and end == math.inf:
            return Outcome(_INVALID_DATA, f"{name}: it has neither an end nor a reportBackDuration")
        length = min(back or math.inf, end - max(start, now))  # of one report
        readings = length / step * len(r_ids) if step else 0.0
        refused = _too_much(step, back, source.min_period, readings)
        if refused:
            return Outcome(_NOT_SUPPORTED, f"{name}: {refused}")
        once = not back and end <= now  # at once, or of a span that is over
        return _Running(
            request.report_request_id,
            source,
            r_ids,
            start,
            end,
            step,
            back,
            next_sample=_grid(start, step, now) if step and not once else math.inf,
            next_delivery=0.0  # even if the clock is set back before that
            if once
            else min(_grid(start + back, back, now), end)
            if back
            else end,
            past=once and period is not None,
        )

    def _advance(self, running: _Running, now: float) -> None:
        if running.next_sample <= now:
            missed = math.floor((now - running.next_sample) / running.step)
            at = running.next_sample + missed * running.step
            if at < running.end:  # else the gap has lasted until after it
                sample = running.source.sample(at).only(running.r_ids)
                running.samples.append(sample)
                # More than was asked for: only while no report can be stored.
                del running.samples[: -2 - _MOST_READINGS // len(running.r_ids)]
                if running.next_delivery > now:  # else it is stored with the report
                    self._store_sample(running, sample, now)
            running.next_sample = at + running.step
            if running.next_sample >= running.end:
                running.next_sample = math.inf
        if running.next_delivery <= now:
            key = _REQUESTS + running.report_request_id
            if not running.back or running.next_delivery >= running.end:
                self._deliver(running, now, {key: None})
                del self._running[running.report_request_id]
                return
            missed = math.floor((now - running.next_delivery) / running.back)
            following = running.next_delivery + (missed + 1) * running.back
            following = min(following, running.end)
            kept = {**_to_json(running), "next_delivery": following}
            self._deliver(running, now, {key: json.dumps(kept)})
            running.next_delivery = following

    def _store_sample(self, running: _Running, sample: Sample, now: float) -> None:
        """Keep it over a restart, as a report of its own; without that it is at least in memory."""
        key = f"{_SAMPLES}{self._sample_number:012}"
        report = _report(running, (sample,), now, one_payload=False)
        try:
            self._state.save({key: _as_text(report)})
        except StoreError as error:
            if self._samples_stored:
                _log.warning("readings are kept in memory only for now: %s", error)
            self._samples_stored = False
            return
        self._samples_stored = True
        self._sample_number += 1
        running.sample_keys.append(key)

    def _deliver(self, running: _Running, now: float, also: Mapping[str, str | None]) -> None:
        """Put what it has gathered among the deliveries; ``also`` is stored with that, or neither is."""
        source = running.source
        samples = running.samples
        if running.past:
            samples = source.between(running.start, running.end, running.step)
            if not samples:
                _log.warning(
                    "report request %r: nothing is kept of the time it asks for",
                    running.report_request_id,
                )
                samples = [source.no_values(running.start)]  # D13
        elif not samples:
            samples = [source.sample(now)]
        report = _report(running, samples, now, self._one_payload)
        number = self._last_number + 1  # of none before: the reply to one may be on its way
        changes: dict[str, str | None] = {f"{_WAITING}{number:012}": _as_text(report), **also}
        changes |= dict.fromkeys(running.sample_keys)
        dropped = None
        if len(self._waiting) >= self._max_waiting:
            dropped = next(iter(self._waiting))
            changes[f"{_WAITING}{dropped:012}"] = None
        self._state.save(changes)
        self._waiting[number] = report
        self._last_number = number
        running.samples.clear()
        running.sample_keys.clear()
        if dropped is not None:
            del self._waiting[dropped]
            _log.error(
                "the VTN takes no reports: more than %d wait, the oldest is dropped",
                self._max_waiting,
            )

    def _all_kept(self) -> dict[str, None]:
        """To forget every request, those that were given up too, and what they have gathered."""
        return dict.fromkeys((*self._state.load(_REQUESTS), *self._state.load(_SAMPLES)))

    def _stop(self, ids: Sequence[str], numbers: Sequence[int]) -> None:
        keys = [_REQUESTS + i for i in ids]
        keys += [k for i in ids if i in self._running for k in self._running[i].sample_keys]
        keys += [f"{_WAITING}{number:012}" for number in numbers]
        self._state.save(dict.fromkeys(keys))
        for report_request_id in ids:
            self._running.pop(report_request_id, None)
        for number in numbers:
            del self._waiting[number]

    def _waiting_of(self, ids: Sequence[str]) -> list[int]:
        return [n for n, report in self._waiting.items() if report.report_request_id in ids]

    def _is_repeated(self, request: ReportRequest, made: _Running) -> bool:
        """Whether it runs already, so that what it has gathered counts: our answer may have been lost."""
        running = self._running.get(request.report_request_id)
        return (
            running is not None
            and request.report_specifier.report_interval is not None
            and (running.source, running.r_ids) == (made.source, made.r_ids)
            and (running.start, running.end) == (made.start, made.end)
            and (running.step, running.back) == (made.step, made.back)
        )

    def _restore(self) -> None:
        for key, text in self._state.load(_REQUESTS).items():
            report_request_id = key.removeprefix(_REQUESTS)
            kept = json.loads(text)
            source = self.sources.get(kept["source"])
            if source is None or not set(kept["r_ids"]) <= set(source.points):
                _log.warning(
                    "report request %r is given up: its points are no longer configured",
                    report_request_id,
                )
                continue
            kept["source"], kept["r_ids"] = source, tuple(kept["r_ids"])
            self._running[report_request_id] = _Running(report_request_id, **kept)
        for key, text in self._state.load(_WAITING).items():
            self._waiting[int(key.removeprefix(_WAITING))] = _from_text(text)
        self._last_number = max(self._waiting, default=0)
        for key, text in self._state.load(_SAMPLES).items():
            self._sample_number = int(key.removeprefix(_SAMPLES)) + 1
            report = _from_text(text)
            found = self._running.get(report.report_request_id)
            if found is None:
                continue  # of a request that was given up
            (sample,) = _samples_of(report)
            found.samples.append(sample)
            found.sample_keys.append(key)
            following = sample.at + found.step
            found.next_sample = following if following < found.end else math.inf


def _too_much(step: float, back: float, min_period: float, readings: float) -> str:
    """Why nobody could read so often, or deliver so many ``readings`` in one report; "" if one can."""
    if 0 < (step or back) < min_period:
        return f"sampled every {min_period:g} s at most"
    if 0 < back < _LEAST_BACK:
        return f"reported every {_LEAST_BACK:g} s at most"
    return f"more than {_MOST_READINGS} readings in one report" if readings > _MOST_READINGS else ""


def _grid(first: float, step: float, now: float) -> float:
    """The first of ``first``, ``first + step``, ... that is not before ``now``."""
    return first if first >= now else first + math.ceil((now - first) / step) * step


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _report(running: _Running, samples: Sequence[Sample], now: float, one_payload: bool) -> Report:
    """Data as they are sent (D13, D14): a status stands at a moment, a usage over a duration."""
    source = running.source
    status = all(source.points[r_id].report_type == RESOURCE_STATUS for r_id in running.r_ids)
    length = Duration(microseconds=round(running.step * 1e6))
    groups = [(r_id,) for r_id in running.r_ids] if one_payload else [running.r_ids]
    intervals = tuple(
        ReportInterval(
            sample.of(r_ids),
            dtstart=_moment(sample.at),
            duration=None if status or not running.step else length,
            uid=None if status else str(position),
        )
        for position, sample in enumerate(samples)
        for r_ids in groups
    )
    return Report(
        running.report_request_id,
        source.report_specifier_id,
        _moment(now),
        report_name=source.report_name,
        dtstart=intervals[0].dtstart if intervals else _moment(running.start),
        intervals=intervals,
    )


# -- as texts -----------------------------------------------------------------------------------


def _as_text(report: Report) -> str:
    return encode(UpdateReport("", (report,))).decode()


def _from_text(text: str) -> Report:
    message = decode(text.encode(), policy=_OURS)
    assert isinstance(message, UpdateReport)  # noqa: S101  nothing else is kept so
    return message.reports[0]


def _samples_of(report: Report) -> list[Sample]:
    return [
        Sample(
            interval.dtstart.timestamp(),
            tuple((p.r_id, p) for p in interval.payloads if isinstance(p, ReportPayload)),
        )
        for interval in report.intervals
        if interval.dtstart is not None
    ]


def _to_json(running: _Running) -> dict[str, Any]:
    return {
        "source": running.source.report_specifier_id,
        "r_ids": running.r_ids,
        "start": running.start,
        "end": running.end,
        "step": running.step,
        "back": running.back,
        "next_sample": running.next_sample,
        "next_delivery": running.next_delivery,
        "past": running.past,
    }
