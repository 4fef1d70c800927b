"""What ``oadr2 demo`` shows while it runs: the level, the way there, and the messages behind it.

A picture is plain data; :func:`live_view` turns one into something rich can draw. Nothing here
knows a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from oadr2.cli.event_text import level_name, level_text, moment_at, number, span_words
from oadr2.cli.message_view import level_style

_DIGITS: Final = {
    "0": ("█▀▀▀█", "█   █", "█   █", "█▄▄▄█"),
    "1": (" ▄█  ", "  █  ", "  █  ", " ▄█▄ "),
    "2": ("▀▀▀▀█", "▄▄▄▄█", "█    ", "█▄▄▄▄"),
    "3": ("▀▀▀▀█", " ▄▄▄█", "    █", "▄▄▄▄█"),
}
_LEVELS: Final = 3
_ROWS_BESIDE_CHART_AND_LOG: Final = 13
# From this height on the chart has two rows for each level.
_TALL: Final = 34


@dataclass(frozen=True, slots=True)
class Step:
    """From ``start`` to ``end`` (seconds since the epoch) the level is ``level``."""

    start: float
    end: float
    level: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: something said, or something done, ``count`` times in a row."""

    at: float
    who: str
    text: str
    reply: str = ""
    count: int = 1
    style: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One moment of the demo. ``steps`` cover the time axis without gaps, from first to last."""

    now: float
    headline: str
    level: float
    steps: Sequence[Step]
    log: Sequence[Entry]
    title: str = ""


def live_view(
    picture: Picture, *, width: int, height: int, ascii_only: bool = False
) -> RenderableType:
    """The picture for a terminal of ``width`` x ``height`` cells."""
    chart_rows = 2 * _LEVELS if height >= _TALL else _LEVELS
    room = max(1, height - _ROWS_BESIDE_CHART_AND_LOG - chart_rows)
    title = Text(" oadr2 demo ", "bold reverse")
    title.append(f" {picture.title}", "not bold not reverse dim")
    parts: list[RenderableType] = [
        title,
        Text(),
        Text(f" {picture.headline}", "bold"),
        Text(),
        _level_panel(picture, ascii_only=ascii_only),
        Text(),
        *_chart(picture, width - 2, chart_rows, ascii_only=ascii_only),
        Text(),
        Text(" messages and commands", "dim"),
        *_log(picture.log[-room:], ascii_only=ascii_only),
    ]
    return Group(*parts)


def step_at(steps: Sequence[Step], now: float) -> Step | None:
    """The step that holds at ``now`` (half-open), or None outside all of them."""
    return next((step for step in steps if step.start <= now < step.end), None)


def _level_panel(picture: Picture, *, ascii_only: bool) -> RenderableType:
    style = level_style(picture.level)
    digit = _DIGITS.get(number(picture.level)) if not ascii_only else None
    rows = digit or ("", number(picture.level), "", "")
    words = [
        Text("level", "dim"),
        Text(level_name(picture.level).upper() or number(picture.level), f"bold {style}"),
        Text("next change", "dim"),
        _next_change(picture),
    ]
    table = Table.grid(padding=(0, 3))
    table.add_column(width=7)
    table.add_column()
    for row, word in zip(rows, words, strict=True):
        table.add_row(Text(f"  {row}", f"bold {style}"), word)
    return table


def _next_change(picture: Picture) -> Text:
    coming = next((step for step in picture.steps if step.start > picture.now), None)
    if coming is None:
        return Text("none")
    text = Text(f"in {span_words(coming.start - picture.now)}", "bold")
    text.append("  to ", "not bold dim")
    text.append(level_text(coming.level), f"not bold {level_style(coming.level)}")
    return text


def _chart(picture: Picture, width: int, height: int, *, ascii_only: bool) -> list[Text]:
    """The steps as a skyline, a marker below it where we are, and the clock at each change."""
    steps = picture.steps
    if not steps:
        return [Text()] * (height + 2)
    begin, end = steps[0].start, steps[-1].end
    per_cell = (end - begin) / max(width, 1)
    full, floor, marker = ("#", "_", "^") if ascii_only else ("█", "▁", "▲")
    rows = [Text(" ") for _ in range(height)]
    at = min(max(int((picture.now - begin) / per_cell), 0), width - 1)
    for cell in range(width):
        step = step_at(steps, begin + (cell + 0.5) * per_cell) or steps[-1]
        style = level_style(step.level) + (" dim" if cell > at else "")
        filled = step.level / _LEVELS * height
        for number_of_row, row in enumerate(reversed(rows)):
            empty = floor if number_of_row == 0 else " "
            row.append(full if filled > number_of_row else empty, style)
    pointer = Text(" " * (at + 1))
    pointer.append(marker, "bold")
    return [*rows, pointer, _clock_labels(steps, begin, per_cell, width)]


def _clock_labels(steps: Sequence[Step], begin: float, per_cell: float, width: int) -> Text:
    """The local time of each change, as far as there is room between them."""
    line = " "
    for step in steps[1:]:
        column = int((step.start - begin) / per_cell) + 1
        label = f"{moment_at(step.start).astimezone():%H:%M:%S}"
        if column > len(line) and column + len(label) <= width + 1:
            line += " " * (column - len(line)) + label
    return Text(line, "dim")


def _log(entries: Sequence[Entry], *, ascii_only: bool) -> list[Text]:
    """One line for each entry, cut at the terminal's edge."""
    column = max((len(entry.text) for entry in entries if entry.reply), default=0)
    lines = []
    for entry in entries:
        line = Text(no_wrap=True, overflow="crop" if ascii_only else "ellipsis")
        line.append(f" {clock(entry.at)} ", "dim")
        line.append(f"{entry.who} ", "bold")
        line.append(entry.text.ljust(column), entry.style)
        if entry.reply:
            line.append(f"  {entry.reply}", "dim")
        if entry.count > 1:
            line.append(f"  x{entry.count}", "dim")
        lines.append(line)
    return lines


def clock(at: float) -> str:
    """Local wall-clock time to the tenth of a second: ``14:00:05.2``."""
    local = moment_at(int(at * 10) / 10).astimezone()
    return f"{local:%H:%M:%S}.{local.microsecond // 100_000}"


def add_entry(log: list[Entry], entry: Entry) -> bool:
    """Append ``entry``, or count it up when it repeats the last one. True when it is a new line."""
    last = log[-1] if log else None
    if last is not None and (last.who, last.text, last.reply) == (
        entry.who,
        entry.text,
        entry.reply,
    ):
        log[-1] = Entry(entry.at, last.who, last.text, last.reply, last.count + 1, last.style)
        return False
    log.append(entry)
    return True
