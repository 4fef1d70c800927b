"""Prometheus' text format, version 0.0.4: the lines of a family of metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from oadr2._core.histogram import Histogram

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def counter(name: str, meaning: str, value: float) -> Iterator[str]:
    """What only grows."""
    yield from _head(name, "counter", meaning)
    yield f"{name} {_number(value)}"


def counters(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    """The same by the value of one label."""
    yield from _head(name, "counter", meaning)
    yield from _labelled(name, label, values)


def gauge(name: str, meaning: str, value: float) -> Iterator[str]:
    """What goes up and down."""
    yield from _head(name, "gauge", meaning)
    yield f"{name} {_number(value)}"


def gauges(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    """The same by the value of one label."""
    yield from _head(name, "gauge", meaning)
    yield from _labelled(name, label, values)


def histograms(
    name: str,
    meaning: str,
    label: str,
    durations: Mapping[str, Histogram],
    bounds: tuple[float, ...],
) -> Iterator[str]:
    """Durations in seconds, counted up to each bound, by the value of one label ("": none)."""
    yield from _head(name, "histogram", meaning)
    for value, counted in durations.items():
        own = f'{label}="{_escaped(value)}"' if label else ""
        before = f"{own}," if own else ""
        for bound in bounds:
            count = counted.count_up_to(round(bound * 1e6))
            yield f'{name}_bucket{{{before}le="{bound:g}"}} {count}'
        yield f'{name}_bucket{{{before}le="+Inf"}} {counted.count}'
        braces = f"{{{own}}}" if own else ""
        yield f"{name}_sum{braces} {counted.sum / 1e6:.6f}"
        yield f"{name}_count{braces} {counted.count}"


def _labelled(name: str, label: str, values: Mapping[str, float]) -> Iterator[str]:
    for key, value in values.items():
        yield f'{name}{{{label}="{_escaped(key)}"}} {_number(value)}'


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
