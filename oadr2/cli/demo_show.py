"""How ``oadr2 demo`` shows itself: live in a terminal, as lines elsewhere, then a summary."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from oadr2.cli.demo_play import EVENT_ID, FAST, NORMAL, Demo
from oadr2.cli.demo_ways import Way
from oadr2.cli.event_text import level_text
from oadr2.cli.live_view import Entry, Picture, clock, live_view
from oadr2.cli.message_view import console_for, level_style, show


def show_demo(way: Way, *, fast: bool, as_json: bool) -> int:
    """Run the demo, show it in the way that fits standard output, return the exit code."""
    console = console_for()
    demo = Demo(FAST if fast else NORMAL, way)
    if not as_json and console.is_terminal and not console.is_dumb_terminal:
        _play_live(demo, console)
    else:
        _play_in_lines(demo, silent=as_json)
    if as_json:
        print(json.dumps(demo.summary(), indent=2))
    else:
        show(console, summary_view(demo))
    return 0 if demo.succeeded() else 1


def _play_live(demo: Demo, console: Console) -> None:
    def view(picture: Picture) -> RenderableType:
        return live_view(
            picture,
            width=console.width,
            height=console.height - 1,
            ascii_only=console.options.ascii_only,
        )

    with Live(console=console, auto_refresh=False, redirect_stdout=False) as live:
        _play(demo, lambda picture: live.update(view(picture), refresh=True))


def _play_in_lines(demo: Demo, *, silent: bool) -> None:
    """A line for each thing that happens. It ends when they can be written no more.

    They come on the threads of the VTN and the controller too, which must not end by that.
    """
    broken: list[OSError] = []

    def print_entry(entry: Entry) -> None:
        try:
            if not broken:
                _print_entry(entry)
        except OSError as error:
            broken.append(error)

    def end_when_broken(_picture: Picture) -> None:
        if broken:
            raise broken[0]

    if not silent:
        demo.on_entry = print_entry
    _play(demo, end_when_broken)


def _play(demo: Demo, draw: Callable[[Picture], None]) -> None:
    """Let it all happen; SIGTERM ends it like Ctrl-C, so that the terminal is left in order."""

    async def until_sigterm() -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await demo.play(draw)

    try:
        asyncio.run(until_sigterm())
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)


def _print_entry(entry: Entry) -> None:
    reply = f"  ({entry.reply})" if entry.reply else ""
    sys.stdout.write(f"{clock(entry.at)}  {entry.who} {entry.text}{reply}\n")
    sys.stdout.flush()


def summary_view(demo: Demo) -> RenderableType:
    """What came of it: the answer, each change of level, the verdict."""
    parts: list[RenderableType] = [Text()]
    if demo.opt_type is None:
        parts.append(Text(f"The VEN never answered {EVENT_ID}.", "bold red"))
    else:
        accepted = "accepted it" if demo.response_code == 200 else f"said {demo.response_code}"
        parts.append(
            Text(f"The VEN took {EVENT_ID} and answered {demo.opt_type}; the VTN {accepted}.")
        )
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("due")
    table.add_column("level")
    table.add_column("came", justify="right")
    for change in demo.changes():
        words = Text(level_text(change.previous), level_style(change.previous))
        words.append(" -> ", "dim")
        words.append(level_text(change.level), level_style(change.level))
        late = "never" if change.late is None else f"{max(change.late, 0) * 1000:.1f} ms late"
        table.add_row(clock(change.due), words, Text(late, "" if change.on_time else "bold red"))
    parts.extend((Text(), table, Text()))
    if demo.succeeded():
        parts.append(Text("Every change came on time.", "bold green"))
    else:
        parts.append(Text("Not everything came as it was due.", "bold red"))
    hint = Text("Next: ", "dim")
    hint.append("oadr2 vtn", "bold not dim")
    hint.append(" starts a VTN, ")
    hint.append("oadr2 poll --help", "bold not dim")
    hint.append(" shows how to be its VEN.")
    parts.append(hint)
    return Group(*parts)
