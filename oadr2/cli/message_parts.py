"""What views of messages are put together from: facts in two columns, tables, moments, outcomes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from oadr2.cli.event_text import local_time, number, printable, utc_time
from oadr2.errors import RESPONSE_CODES
from oadr2.model import EiResponse, Problem, Unit


def facts(*pairs: tuple[str, str | Text | None]) -> RenderableType:
    """Label and value in two columns; what is None is left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in pairs:
        if value is not None:
            table.add_row(label, value if isinstance(value, Text) else Text(printable(value)))
    return Padding.indent(table, 2)


def table_of(*columns: str) -> Table:
    """An empty table with these headings and no lines around it."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        right = column in ("#", "modification", "code")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table


def response_text(response: EiResponse | None) -> Text | None:
    """Code and words, and which request is answered."""
    if response is None:
        return None
    words = response.response_description or RESPONSE_CODES.get(response.response_code, "")
    text = Text(f"{response.response_code} {printable(words)}".rstrip())
    text.stylize("green" if response.ok else "bold red")
    if response.request_id:
        text.append(f"  to request {printable(response.request_id)}", "dim")
    return text


def problem_lines(problems: Iterable[Problem], source: bytes) -> list[Text]:
    """What was wrong, a line each, with its place in ``source``."""
    return [
        Text(
            f"  {'problem' if problem.fatal else 'oddity'}: {printable(problem.reason)}"
            f" ({_place(source, problem.offset)}, in {printable(problem.path)})",
            "bold red" if problem.fatal else "yellow",
        )
        for problem in problems
    ]


def _place(source: bytes, offset: int) -> str:
    """``line 3, column 7``; in UTF-16 the offset is not one into ``source``."""
    if not source or source[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return f"byte {offset}"
    before = source[:offset]
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    lines = before.count(b"\n")
    return f"line {lines + 1}, column {column}"


def moment_text(moment: datetime | None) -> Text:
    """Local time, and UTC after it."""
    text = Text(local_time(moment))
    if moment is not None:
        text.append(f"  {utc_time(moment)}", "dim")
    return text


def unit_words(unit: Unit) -> str:
    """``kW``, ``W at 50 Hz, 230 V ac``, or the element's name when it names no unit."""
    scale = unit.si_scale_code if unit.si_scale_code not in (None, "none") else ""
    words = printable(f"{scale}{unit.item_units}" if unit.item_units else unit.name)
    around = []
    if unit.hertz is not None:
        around.append(f"{number(unit.hertz)} Hz")
    if unit.voltage is not None:
        around.append(f"{number(unit.voltage)} V")
    if unit.ac is not None:
        around.append("ac" if unit.ac else "dc")
    return f"{words} at {', '.join(around)}" if around else words
