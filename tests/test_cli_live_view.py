"""The picture of the demo, fed with states that nobody played."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from oadr2.cli.live_view import Entry, Picture, Step, add_entry, live_view, step_at

T = 1_900_000_000.0
STEPS = (
    Step(T, T + 5, 0.0),
    Step(T + 5, T + 10, 1.0),
    Step(T + 10, T + 15, 2.0),
    Step(T + 15, T + 20, 3.0),
    Step(T + 20, T + 24, 0.0),
)
LOG = (
    Entry(T, "VEN", "asks: any events?", "VTN: none", 3),
    Entry(T + 5, "VEN", "sets the load to 1 moderate"),
)


def picture(offset, level, **more):
    return replace(Picture(T + offset, "It happens.", level, STEPS, LOG), **more)


def drawn(shown, width=80, height=23, **options):
    stream = io.StringIO()
    console = Console(file=stream, width=width, height=height, highlight=False, markup=False)
    console.print(live_view(shown, width=width, height=height, **options))
    return stream.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 23), (120, 39), (60, 20)])
def test_it_fits_the_terminal(width, height):
    log = [Entry(T + i, "VEN", f"entry {i}", "a reply " * 20) for i in range(100)]
    lines = drawn(picture(12, 2.0, log=log), width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert "entry 99" in lines[-1]


def test_it_tells_the_level_and_what_comes_next():
    text = "\n".join(drawn(picture(12, 2.0)))
    assert "It happens." in text
    assert "HIGH" in text
    assert "in 3.0 s" in text
    assert "to 3 special" in text


def test_after_the_last_change_nothing_comes_next():
    lines = drawn(picture(21, 0.0))
    (after,) = [lines[i + 1] for i, line in enumerate(lines) if "next change" in line]
    assert after.split()[-1] == "none"


@pytest.mark.parametrize(("offset", "column"), [(-3, 1), (0, 1), (12, 40), (23.99, 78), (99, 78)])
def test_the_marker_stands_where_we_are(offset, column):
    (line,) = [line for line in drawn(picture(offset, 0.0)) if line.strip() == "▲"]
    assert line.index("▲") == column


def test_the_skyline_is_as_high_as_the_level():
    rows = [line for line in drawn(picture(0, 0.0)) if line.strip() and set(line) <= set(" █▁")]
    heights = [sum(row[column : column + 1] == "█" for row in rows) for column in range(1, 79)]
    assert sorted(set(heights)) == [0, 1, 2, 3]
    # 24 seconds on 78 cells: five of them are 16.25 cells.
    assert heights[0] == 0
    assert heights[20] == 1
    assert heights[40] == 2
    assert heights[60] == 3
    assert heights[77] == 0


def test_repeated_entries_show_their_number():
    assert any(line.rstrip().endswith("x3") for line in drawn(picture(0, 0.0)))


def test_a_terminal_without_unicode_gets_ascii():
    assert "\n".join(drawn(picture(12, 2.0), ascii_only=True)).isascii()


def test_a_picture_without_steps_can_be_drawn():
    assert any("It happens." in line for line in drawn(picture(0, 0.0, steps=())))


def test_steps_are_half_open():
    assert step_at(STEPS, T + 5) == STEPS[1]
    assert step_at(STEPS, T + 4.999) == STEPS[0]
    assert step_at(STEPS, T + 24) is None


def test_an_entry_that_repeats_is_counted():
    log: list[Entry] = []
    assert add_entry(log, Entry(T, "VEN", "asks", "none"))
    assert not add_entry(log, Entry(T + 1, "VEN", "asks", "none"))
    assert add_entry(log, Entry(T + 2, "VEN", "asks", "one"))
    assert [(entry.at, entry.reply, entry.count) for entry in log] == [
        (T + 1, "none", 2),
        (T + 2, "one", 1),
    ]
