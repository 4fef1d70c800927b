"""A running load test in the terminal: a picture a second, or a line every few seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from oadr2._core.histogram import Histogram
from oadr2.fleet.part import pool_of
from oadr2.fleet.result import Result
from oadr2.fleet.saturation import plan_limit_of, saturation_of
from oadr2.fleet.scenario import LAST_ANSWERS_S, Scenario
from oadr2.fleet.snapshot import Snapshot, sum_of
from oadr2.fleet.words import clock, services_text, span, verdict_value

_HISTORY: Final = 60
_BARS: Final = "▁▂▃▄▅▆▇█"
_WINDOW_S: Final = 5.0
ENDING: Final = "ending"


@dataclass(slots=True)
class Progress:
    """What is shown: the latest snapshot, and the rates of the last seconds."""

    scenario: Scenario
    vtn: str
    snapshot: Snapshot | None = None
    _earlier: deque[Snapshot] = field(default_factory=deque)
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))

    def add(self, snapshot: Snapshot) -> None:
        """Take a snapshot that is newer than the last one; others are passed over."""
        if self.snapshot is not None and snapshot.elapsed <= self.snapshot.elapsed:
            return
        if self.snapshot is not None:
            span = snapshot.elapsed - self.snapshot.elapsed
            done = snapshot.counters.get("exchanges", 0)
            self.rates.append((done - self.snapshot.counters.get("exchanges", 0)) / span)
        self.snapshot = snapshot
        self._earlier.append(snapshot)
        while len(self._earlier) > 1 and self._earlier[1].elapsed <= snapshot.elapsed - _WINDOW_S:
            self._earlier.popleft()

    def rate(self, counter: str) -> float:
        """A counter a second over the last five seconds."""
        first, last = self._earlier[0], self._earlier[-1]
        if first is last:
            return last.counters.get(counter, 0) / last.elapsed if last.elapsed > 0 else 0.0
        growth = last.counters.get(counter, 0) - first.counters.get(counter, 0)
        return growth / (last.elapsed - first.elapsed)

    def recent_latency(self) -> Histogram:
        """The exchanges of the last five seconds."""
        first, last = self._earlier[0], self._earlier[-1]
        whole = last.latency_of_all
        return whole if first is last else whole.since(first.latency_of_all)

    @property
    def stage(self) -> str:
        """The stage that runs now: ``ramp (1 of 2)``."""
        elapsed = self.snapshot.elapsed if self.snapshot else 0.0
        stages = self.scenario.stages
        for number, stage in enumerate(stages, 1):
            elapsed -= stage.duration
            if elapsed < 0:
                return f"{stage.kind} ({number} of {len(stages)})"
        return ENDING


def live_view(progress: Progress, *, width: int, ascii_only: bool = False) -> RenderableType:
    """The picture of this moment for a terminal of ``width`` cells."""
    scenario, snapshot = progress.scenario, progress.snapshot
    title = Text(" oadr2 fleet ", "bold reverse")
    title.append(f" {scenario.name}", "not reverse")
    title.append(f"  {scenario.vens:,} VENs on {progress.vtn}", "not bold not reverse dim")
    if snapshot is None:
        return Group(title, Text(), Text(" making the VENs...", "dim"))
    return Group(
        title,
        Text(),
        _bar(progress, snapshot, width, ascii_only=ascii_only),
        Text(),
        _figures(progress, snapshot, ascii_only=ascii_only),
        Text(),
        _durations(progress, snapshot),
        Text(),
        *_errors(snapshot),
        *_warnings(progress, snapshot),
    )


def _bar(progress: Progress, snapshot: Snapshot, width: int, *, ascii_only: bool) -> Text:
    total = progress.scenario.duration
    share = min(1.0, snapshot.elapsed / total)
    words = f" {clock(snapshot.elapsed)} of {clock(total)}  {progress.stage}"
    room = max(10, min(60, width - len(words) - 3))
    full = round(share * room)
    bar = Text(" ")
    bar.append(("#" if ascii_only else "━") * full, "bold cyan")
    bar.append(("." if ascii_only else "━") * (room - full), "dim")
    bar.append(words)
    return bar


def _figures(progress: Progress, snapshot: Snapshot, *, ascii_only: bool) -> RenderableType:
    table = Table.grid(padding=(0, 3))
    for _ in range(4):
        table.add_column(justify="right", min_width=12)
    heads = ("VENs polling", "polls/s", "exchanges/s", "connections")
    table.add_row(*(Text(head, "dim") for head in heads))
    table.add_row(
        Text(f"{snapshot.vens_active:,}", "bold"),
        Text(f"{progress.rate('polls'):,.0f}", "bold"),
        Text(f"{progress.rate('exchanges'):,.0f}", "bold"),
        Text(f"{snapshot.connections:,}", "bold"),
    )
    if ascii_only or len(progress.rates) < 2:
        return table
    top = max(progress.rates) or 1.0
    line = "".join(_BARS[min(7, int(7.999 * rate / top))] for rate in progress.rates)
    spark = Text(f"  {line}", "cyan")
    spark.append("  exchanges/s", "dim")
    return Group(table, Text(), spark)


def _durations(progress: Progress, snapshot: Snapshot) -> RenderableType:
    table = Table.grid(padding=(0, 3))
    table.add_column(min_width=22)
    for _ in range(5):
        table.add_column(justify="right", min_width=8)
    heads = ("", "p50", "p90", "p99", "p99.9", "max")
    table.add_row(*(Text(head, "dim") for head in heads))
    rows = [
        ("latency, last 5 s", progress.recent_latency()),
        ("latency, whole run", snapshot.latency_of_all),
        ("  from intended", sum_of(snapshot.latency_from_intended.values())),
        ("events reach VENs in", snapshot.propagation.get("seen", Histogram())),
    ]
    for name, histogram in rows:
        if histogram.count:
            values = [span(histogram.percentile(p)) for p in (50, 90, 99, 99.9, 100)]
            table.add_row(f"  {name}", *values)
    return table


def _errors(snapshot: Snapshot) -> Iterator[RenderableType]:
    events = snapshot.counters.get("events_applied", 0)
    replies = snapshot.counters.get("replies_sent", 0)
    yield Text(f"  events taken {events:,}   answers sent {replies:,}")
    services = services_text(snapshot.counters)
    if services:
        yield Text(f"  registered now {snapshot.vens_registered:,}   {services}")
    errors = Text("  errors  ")
    if not snapshot.errors:
        errors.append("none", "green")
    for name, count in sorted(snapshot.errors.items(), key=lambda item: -item[1]):
        errors.append(f"{name} {count:,}   ", "red")
    late = snapshot.counters.get("late", 0)
    if late:
        errors.append(f"late {late:,}", "yellow")
    yield errors


def _warnings(progress: Progress, snapshot: Snapshot) -> Iterator[RenderableType]:
    for reason in saturation_of(snapshot, (), 1):
        yield Text(f"  the generator itself is the bottleneck: {reason}", "bold yellow")
    for limit in plan_limit_of(snapshot, pool_of(progress.scenario)):
        yield Text(f"  the plan of connections is the limit: {limit}", "yellow")
    if progress.stage == ENDING and snapshot.under_way:
        yield Text(
            f"  the time is up: waiting for {snapshot.under_way:,} answers,"
            f" {LAST_ANSWERS_S:.0f} s at most",
            "dim",
        )


def progress_line(progress: Progress) -> str:
    """This moment in one line, for logs."""
    snapshot = progress.snapshot
    if snapshot is None:
        return "making the VENs"
    recent = progress.recent_latency()
    parts = [
        f"{clock(snapshot.elapsed)} of {clock(progress.scenario.duration)}",
        progress.stage,
        f"{snapshot.vens_active} VENs",
        f"{progress.rate('polls'):.0f} polls/s",
        f"{progress.rate('exchanges'):.0f} exchanges/s",
    ]
    if recent.count:
        parts += [f"p50 {span(recent.percentile(50))}", f"p99 {span(recent.percentile(99))}"]
    services = services_text(snapshot.counters)
    if services:
        parts.append(services)
    parts.append(f"{sum(snapshot.errors.values())} errors")
    late = snapshot.counters.get("late", 0)
    if late:
        parts.append(f"{late} late")
    if progress.stage == ENDING and snapshot.under_way:
        parts.append(f"waiting for {snapshot.under_way} answers, {LAST_ANSWERS_S:.0f} s at most")
    return "  ".join(parts)


def summary_view(result: Result) -> RenderableType:
    """The end of a run: headline figures, thresholds in green or red, the generator's own state."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", justify="right")
    table.add_column()
    for name, value in summary_rows(result):
        table.add_row(name, value)
    parts: list[RenderableType] = [table]
    for verdict in result.verdicts:
        style, word = ("green", "passed") if verdict.passed else ("bold red", "broken")
        line = Text(f"{word:>8}", style)
        line.append(f"  {verdict.threshold.text}", "default not bold")
        line.append(f"   {verdict_value(verdict)}", "dim not bold")
        parts.append(line)
    if result.interrupted:
        parts.append(Text("The run was ended before its time.", "yellow"))
    if result.saturation:
        parts.append(
            Text(
                f"The generator was the bottleneck: {'; '.join(result.saturation)}.", "bold yellow"
            )
        )
    elif not result.plan_limit:
        parts.append(Text("The generator kept its schedule; it was not the bottleneck.", "dim"))
    if result.plan_limit:
        parts.append(
            Text(
                f"The plan of connections was the limit: {'; '.join(result.plan_limit)}.", "yellow"
            )
        )
    return Group(*parts)


def summary_rows(result: Result) -> Sequence[tuple[str, str]]:
    """The headline figures in words."""
    rows = [
        ("VENs", f"{result.vens:,} for {clock(result.duration_s)}"),
        ("polls", f"{result.counter('polls'):,}, {result.rate('polls'):,.0f} a second"),
        ("exchanges", f"{result.counter('exchanges'):,}, {result.rate('exchanges'):,.0f} a second"),
    ]
    for name, metric in (
        ("latency", "latency"),
        ("from intended", "intended"),
        ("propagation", "propagation"),
    ):
        histogram = result.durations(metric)
        if histogram.count:
            values = (f"{n} {span(histogram.percentile(p))}" for n, p in _SHOWN)
            rows.append((name, "  ".join(values)))
    applied, sent = result.counter("events_applied"), result.counter("replies_sent")
    rows.append(("events", f"{applied:,} taken, {sent:,} answers sent"))
    services = services_text(result.counters)
    if services:
        rows.append(("2.0b services", services))
    errors = ", ".join(f"{name} {count:,}" for name, count in sorted(result.errors.items()))
    rows.append(("errors", errors or "none"))
    if result.counter("late"):
        rows.append(("late", f"{result.counter('late'):,} polls"))
    if result.counter("skipped"):
        skipped = f"{result.counter('skipped'):,} polls, while the VEN still waited for an answer"
        rows.append(("skipped", skipped))
    if result.counter("abandoned"):
        rows.append(("unanswered", f"{result.counter('abandoned'):,} exchanges when the run ended"))
    memory = f"{result.rss_bytes / 1e6:,.0f} MB, {result.rss_bytes_before_vens / 1e6:,.0f} MB of it"
    rows.append(("generator", f"{memory} before the VENs; {result.cpu_s:.1f} s of processor time"))
    return rows


_SHOWN: Final = (("p50", 50), ("p90", 90), ("p99", 99), ("p99.9", 99.9), ("max", 100))
