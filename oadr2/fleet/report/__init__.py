"""A load test as one HTML page: no network, no other file, for screen and paper."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from typing import Any, Final

from oadr2 import __version__
from oadr2._core.histogram import Histogram
from oadr2.errors import ConfigurationError
from oadr2.fleet.report.plots import Plot, legend_of, plots_of
from oadr2.fleet.result import Result
from oadr2.fleet.scenario import Scenario
from oadr2.fleet.scenario_file import parse_scenario
from oadr2.fleet.words import clock, count, percent, span, verdict_value

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
)
# id, heading, what it shows
_CARDS: Final = (
    ("throughput", "Throughput", "Answered exchanges and polls a second"),
    ("latency", "Latency over time", "Percentiles of each step, from sending; log scale"),
    ("distribution", "Latency distribution", "What share took no longer; both axes log"),
    ("propagation", "Event propagation", "Share of deliveries since an event changed"),
    ("errors", "Errors over time", "Failed exchanges by class"),
    ("active", "VENs and connections", "How many poll, how many connections are open"),
)


def report_page(result: Result) -> str:
    """The whole page."""
    scenario = _scenario_of(result)
    plots = plots_of(result, scenario)
    style = files(__name__).joinpath("style.css").read_text("utf-8")
    script = files(__name__).joinpath("script.js").read_text("utf-8")
    data = json.dumps(plots, separators=(",", ":")).replace("<", "\\u003c")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<link rel="icon" href="data:,">',
            f"<title>{escape(result.name)} - oadr2 fleet</title>",
            f"<style>\n{style}</style>",
            "</head>",
            "<body>",
            "<main>",
            *_header(result),
            *_states(result),
            *_tiles(result),
            '<div class="cards">',
            *_thresholds(result),
            *_plot_cards(plots, result),
            *_messages(result),
            *_error_table(result),
            *_about(result),
            "</div>",
            f"<footer>Made by oadr2 {escape(__version__)}. The figures are exact to three digits; "
            "parts of a run are merged without averaging.</footer>",
            "</main>",
            f'<script type="application/json" id="plots">{data}</script>',
            f"<script>\n{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _scenario_of(result: Result) -> Scenario | None:
    try:
        return parse_scenario(result.scenario)
    except ConfigurationError:  # of another version: the page does without stages and marks
        return None


def _header(result: Result) -> Iterator[str]:
    started = datetime.fromtimestamp(result.started_at, UTC)
    target = "a simulated VTN on the same machine" if result.vtn == "simulated" else result.vtn
    parts = f" in {len(result.parts)} processes" if len(result.parts) > 1 else ""
    yield "<header>"
    yield f'<p class="kicker">oadr2 fleet, {started:%-d %B %Y, %H:%M:%S} UTC</p>'
    yield f"<h1>{escape(result.name)}</h1>"
    yield (
        f'<p class="about">{result.vens:,} VENs for {clock(result.duration_s)}{parts}, '
        f"against {escape(target)}</p>"
    )
    yield "</header>"


def _states(result: Result) -> Iterator[str]:
    """The verdict, and whether the figures are worth anything."""
    yield '<div class="states">'
    verdicts = result.verdicts
    broken = sum(not verdict.passed for verdict in verdicts)
    if broken:
        yield f'<span class="state bad">{broken} of {len(verdicts)} thresholds broken</span>'
    elif verdicts:
        words = (
            f"all {len(verdicts)} thresholds hold" if len(verdicts) > 1 else "the threshold holds"
        )
        yield f'<span class="state good">{words.capitalize()}</span>'
    else:
        yield '<span class="state plain">No thresholds were set</span>'
    if result.saturation:
        reasons = escape("; ".join(result.saturation))
        yield f'<span class="state warn">The generator was itself the bottleneck: {reasons}</span>'
    elif not result.plan_limit:
        yield '<span class="state plain">The generator kept its schedule: not the bottleneck</span>'
    if result.plan_limit:
        limits = escape("; ".join(result.plan_limit))
        yield f'<span class="state warn">The plan of connections was the limit: {limits}</span>'
    if result.interrupted:
        yield '<span class="state warn">The run was ended before its time</span>'
    missing = result.shards - len(result.parts)
    if missing:
        yield f'<span class="state warn">{missing} of {result.shards} parts are not in here</span>'
    yield "</div>"


def _tiles(result: Result) -> Iterator[str]:
    latency, seen = result.durations("latency"), result.durations("propagation")
    intended = result.durations("intended")
    errors = result.failed
    share = 100 * errors / result.attempts if result.attempts else 0.0
    tiles = [
        ("Exchanges a second", f"{result.rate('exchanges'):,.0f}", _total(result, "exchanges")),
        ("Polls a second", f"{result.rate('polls'):,.0f}", _total(result, "polls")),
        ("Latency, median", _percentile(latency, 50), f"p90 {_percentile(latency, 90)}"),
        ("Latency, p99", _percentile(latency, 99), f"intended {_percentile(intended, 99)}"),
        (
            "Errors",
            f"{percent(share)} %" if errors else "0",
            f"{count(errors)} failed" if errors else "none",
        ),
    ]
    if seen.count:
        applied = count(result.counter("events_applied"))
        tiles.append(("Propagation, p99", _span(seen.percentile(99)), f"{applied} events taken"))
    else:
        tiles.append(("Late polls", count(result.counter("late")), "not sent in time"))
    yield '<div class="tiles">'
    for name, value, more in tiles:
        figure, _, unit = value.partition(" ")
        small = f"<small>{escape(unit)}</small>" if unit else ""
        yield (
            f'<div class="tile"><div class="name">{escape(name)}</div>'
            f'<div class="value">{escape(figure)}{small}</div>'
            f'<div class="more">{escape(more)}</div></div>'
        )
    yield "</div>"


def _percentile(histogram: Histogram, percentage: float) -> str:
    """A duration, or a dash: 0 would be a figure."""
    return _span(histogram.percentile(percentage)) if histogram.count else "-"


def _total(result: Result, counter: str) -> str:
    return f"{count(result.counter(counter))} in all"


def _thresholds(result: Result) -> Iterator[str]:
    if not result.thresholds:
        return
    yield '<section class="card wide"><h2>Thresholds</h2><div class="scroll"><table>'
    for verdict in result.verdicts:
        word = "good" if verdict.passed else "bad"
        said = "holds" if verdict.passed else "broken"
        yield (
            f'<tr><td><span class="verdict {word}">{said}</span></td>'
            f"<td><code>{escape(verdict.threshold.text)}</code></td>"
            f'<td class="num">{escape(verdict_value(verdict))}</td></tr>'
        )
    yield "</table></div></section>"


def _plot_cards(plots: Mapping[str, Plot], result: Result) -> Iterator[str]:
    for name, heading, note in _CARDS:
        if name not in plots:
            if name == "errors" and result.series and not result.failed:
                yield f'<section class="card"><h2>{heading}</h2>'
                yield '<p class="none">No exchange failed.</p></section>'
            elif name == "latency" and result.series:
                yield f'<section class="card"><h2>{heading}</h2>'
                yield '<p class="note">Nothing was measured: no answer held a message.</p></section>'
            continue
        plot = plots[name]
        step = f", in steps of {result.step} s" if plot["x"] == "time" and result.step > 1 else ""
        blocks = " blocks" if plot.get("stacked") else ""
        yield f'<section class="card"><h2>{heading}</h2><p class="note">{note}{step}</p>'
        yield f'<div class="legend{blocks}">'
        for label, color in legend_of(plot):
            yield f'<span><i style="background:var({color})"></i>{escape(label)}</span>'
        if plot.get("marks"):
            yield '<span><i class="dashed"></i>an event changed</span>'
        yield f'</div><div class="plot" id="{name}"></div></section>'


def _messages(result: Result) -> Iterator[str]:
    """Percentiles by kind of message."""
    rows = [(kind, histogram) for kind, histogram in result.latency.items() if histogram.count]
    if not rows:
        return
    yield '<section class="card wide"><h2>Durations</h2><div class="scroll"><table>'
    heads = ("count", "p50", "p90", "p99", "p99.9", "max")
    yield f"<tr><th></th>{_cells('th', heads)}</tr>"
    more = [
        ("Schedule lag", result.schedule_lag),
        ("Event seen by a VEN", result.durations("propagation")),
        ("Event acknowledged", result.durations("acknowledged")),
    ]
    named = [(_message_name(kind), histogram) for kind, histogram in rows]
    for name, histogram in [*named, *(row for row in more if row[1].count)]:
        shown = (_span(histogram.percentile(p)) for p in (50, 90, 99, 99.9, 100))
        yield f"<tr><td>{escape(name)}</td>{_cells('td', (f'{histogram.count:,}', *shown))}</tr>"
    yield "</table></div></section>"


def _cells(tag: str, texts: Sequence[str]) -> str:
    """Cells of numbers; a phone has no room for the first and the last but one."""
    roomy = (0, len(texts) - 2)
    return "".join(
        f'<{tag} class="num{" roomy" if index in roomy else ""}">{escape(text)}</{tag}>'
        for index, text in enumerate(texts)
    )


def _span(us: float) -> str:
    return span(us).replace(" us", " µs")


def _message_name(kind: str) -> str:
    """``request_event`` -> ``oadrRequestEvent``."""
    if kind == "service_answer":
        return "Other answers"
    return "oadr" + "".join(word.capitalize() for word in kind.split("_"))


def _error_table(result: Result) -> Iterator[str]:
    errors = [(name, number) for name, number in result.errors.items() if number]
    if result.unanswered:
        errors.append(("unanswered", result.unanswered))
    if not errors:
        return
    yield '<section class="card wide"><h2>Errors by class</h2><div class="scroll"><table>'
    for name, number in sorted(errors, key=lambda item: -item[1]):
        share = 100 * number / result.attempts if result.attempts else 0.0
        meaning = escape(error_meaning(name))
        yield (
            f'<tr><td><code>{escape(name)}</code></td><td>{meaning}</td><td class="num">{number:,}</td>'
            f'<td class="num">{percent(share)} %</td></tr>'
        )
    yield "</table></div></section>"


_ERRORS: Final = {
    "dns": "the VTN's name could not be resolved",
    "connect": "no connection came about",
    "tls": "the TLS handshake failed",
    "timeout": "no answer in time",
    "closed": "the VTN hung up before its answer was whole",
    "http_4xx": "an HTTP status from 400 to 499",
    "http_5xx": "an HTTP status from 500 to 599",
    "http_other": "another HTTP status than 200",
    "xml": "the answer was no well-formed XML",
    "schema": "the answer was not a message that fits",
    "unanswered": "no answer when the run ended, some seconds after its last poll",
}


def error_meaning(name: str) -> str:
    """What a class of errors is, in words."""
    if name.startswith("oadr_"):
        return f"the VTN answered with response code {name.removeprefix('oadr_')}"
    return _ERRORS.get(name, "")


_VENS_TO_WEIGH: Final = 10_000  # of fewer, what the process needs for itself is the most


def _about(result: Result) -> Iterator[str]:
    """What was run, and where."""
    yield '<section class="card"><h2>Scenario</h2><p class="note">Save it as a file to run it again: '
    yield "<code>oadr2 fleet scenario.toml</code></p>"
    yield f"<pre>{escape(result.scenario.strip())}</pre></section>"
    yield '<section class="card"><h2>Environment</h2><div class="scroll"><table>'
    memory = f"{result.rss_bytes / 1e6:,.0f} MB, {result.rss_bytes_before_vens / 1e6:,.0f} MB before the VENs"
    rows: list[tuple[str, Any]] = [
        ("VTN", "simulated, on the same machine" if result.vtn == "simulated" else result.vtn),
        ("processes", f"{len(result.parts)} of {result.shards}" if result.shards > 1 else "1"),
        ("memory", memory),
        ("processor time", f"{result.cpu_s:.1f} s"),
    ]
    if result.vens >= _VENS_TO_WEIGH:
        growth = max(0, result.rss_bytes - result.rss_bytes_before_vens) / result.vens
        rows.append(("memory for a VEN", f"{growth:,.0f} bytes"))
    seen: dict[str, dict[str, None]] = {}
    for entry in result.environment:
        for key, value in entry.items():
            seen.setdefault(key, {})[str(value)] = None
    rows += [(key, ", ".join(values)) for key, values in seen.items()]
    for name, value in rows:
        yield f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>"
    yield "</table></div></section>"
