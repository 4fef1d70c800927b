"""Figures of a load test in words, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Mapping

from oadr2.fleet.result import Verdict


def verdict_value(verdict: Verdict) -> str:
    """What was measured for a threshold, in words."""
    value, unit = verdict.value, verdict.threshold.unit
    if value is None:
        return "nothing was measured"
    if unit == "ms":
        return f"it was {span(value * 1000)}"
    if unit == "%":
        return f"it was {percent(value)} %"
    if unit == "/s":
        return f"it was {value:,.1f} a second"
    return f"it was {value:,.0f}"


def percent(value: float) -> str:
    """``0.0417``, ``7.44``, ``36.8``, ``250``: three digits, never with an exponent for what is large."""
    return f"{value:.3g}" if value < 99.95 else f"{value:,.0f}"


def span(us: float) -> str:
    """A duration for people, from microseconds: ``870 us``, ``4.2 ms``, ``1.25 s``."""
    if us < 1000:
        return f"{us:.0f} us"
    for limit, divisor, unit in ((1e6, 1e3, "ms"), (6e7, 1e6, "s")):
        if us < limit:
            value = us / divisor
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return clock(us / 1e6)


def services_text(counters: Mapping[str, int]) -> str:
    """What VENs of 2.0b have done at the services beside EiEvent; "" when none of them registers."""
    words = {
        "registrations": "registrations",
        "registrations_lost": "lost",
        "registrations_cancelled": "ended by the VTN",
        "reports_sent": "reports",
        "opts_sent": "opts",
        "opts_cancelled": "opts taken back",
    }
    done = (f"{counters[name]:,} {word}" for name, word in words.items() if counters.get(name))
    return ", ".join(done)


def clock(seconds: float) -> str:
    """``75`` -> ``1:15``; below a minute ``12 s``, below a second ``0.5 s``."""
    if 0 < seconds < 0.95:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(number: int) -> str:
    """``1234567`` -> ``1.23 million``; below 100,000 in full."""
    if number < 100_000:
        return f"{number:,}"
    if number < 1_000_000:
        return f"{number / 1000:,.0f} thousand"
    return f"{number / 1e6:,.2f} million"
