"""The events file of the simulated VTN: what it may say, how its errors read, and edits while it runs."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oadr2 import decode, encode
from oadr2.errors import ConfigurationError
from oadr2.model import CreatedEvent, DistributeEvent, Event, EventResponse, RequestEvent, Targets
from oadr2.schedule import Duration
from oadr2.sim import SimulatedVtn
from oadr2.sim.events_file import EventsScript, read_events_file

START = datetime(2030, 1, 31, 12, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[1] / "examples" / "events.toml"

TWO_EVENTS = """\
[[event]]
event_id = "e"
start = "+10s"
duration = "PT1M"

[[event]]
event_id = "f"
start = "+20s"
duration = "PT1M"
"""


class Stage:
    """A VTN, its file and a clock that stands still until told otherwise."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.seconds = 0.0
        self.edits = 0
        self.vtn = SimulatedVtn(clock=lambda: START.timestamp() + self.seconds)
        self.write(text)
        self.script = EventsScript(self.vtn, path)

    def write(self, text: str) -> None:
        """Write the file; its time-stamp differs whatever the file system's grain."""
        self.path.write_text(text, "utf-8")
        self.edits += 1
        os.utime(self.path, ns=(self.edits * 10**9, self.edits * 10**9))

    def step(self, seconds: float | None = None) -> list[tuple[str, str]]:
        """Let time pass to ``seconds`` and look; returns what was done to which event."""
        if seconds is not None:
            self.seconds = seconds
        return [(step.action, step.event_id) for step in self.script.step()]

    def edit(self, text: str) -> list[tuple[str, str]]:
        """Edit the file; it is taken at the second look, when it has settled."""
        self.write(text)
        assert self.step() == []
        return self.step()

    def event(self, event_id: str) -> Event:
        event = self.vtn.get_event(event_id)
        assert event is not None
        return event

    def listed(self, ven_id: str = "ven-1") -> list[tuple[str, int, str | None]]:
        reply = decode(self.vtn.handle(encode(RequestEvent(ven_id)), "2.0a"))
        assert isinstance(reply, DistributeEvent)
        return [(e.event_id, e.modification_number, e.event_status) for e in reply.events]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.toml"


def test_example_plays_to_its_end(path: Path) -> None:
    stage = Stage(path, EXAMPLE.read_text("utf-8"))
    assert stage.step() == [("added", "three-steps"), ("added", "spread-out")]
    assert stage.event("three-steps").dtstart == START + timedelta(seconds=5)
    assert stage.script.next_change == START + timedelta(seconds=12)
    assert stage.step(12) == [("modified", "three-steps")]
    assert stage.event("three-steps").duration == Duration(microseconds=40_000_000)
    assert stage.step(30) == [("cancelled", "three-steps")]
    assert stage.script.next_change is None
    assert [e.event_id for e in stage.vtn.events] == ["spread-out", "three-steps"]


def test_every_setting_can_be_in_the_file(path: Path) -> None:
    stage = Stage(
        path,
        """
        [[event]]
        event_id = "007"
        start = 2030-01-31T13:00:00Z
        intervals = [{duration = "PT10S", level = 1}, {duration = 20, level = 2.5}]
        duration = "PT30S"
        signal_name = "x-load"
        signal_type = "delta"
        signal_id = "s"
        market_context = "http://m.example"
        targets = {ven_ids = ["ven-1"], group_ids = ["g"]}
        priority = 3
        startafter = "PT5S"
        notification = "PT1M"
        ramp_up = "PT2S"
        recovery = "-PT3S"
        response_required = "never"
        test_event = "true"
        vtn_comment = "a & b"
        modification_reason = "none"

        [[event]]
        event_id = "short"
        duration = "PT1M"
        level = 3
        """,
    )
    stage.step()
    event = stage.event("007")
    assert event.dtstart == START + timedelta(hours=1)
    assert [(i.duration, i.value) for i in event.signals[0].intervals] == [
        (Duration(microseconds=10_000_000), 1),
        (Duration(microseconds=20_000_000), 2.5),
    ]
    assert event.targets == Targets(ven_ids=("ven-1",), group_ids=("g",))
    assert (event.priority, event.response_required, event.test_event) == (3, "never", "true")
    assert event.recovery == Duration(microseconds=-3_000_000)
    assert stage.event("short").signals[0].current_value == 3


def test_vens_in_the_file_are_the_only_ones(path: Path) -> None:
    text = TWO_EVENTS + 'targets = {group_ids = ["north"]}\n'
    stage = Stage(path, text + '[[ven]]\nven_id = "ven-1"\ngroup_ids = ["north"]\n')
    stage.step()
    assert [e[0] for e in stage.listed("ven-1")] == ["e", "f"]
    assert stage.listed("ven-2") == []
    stage.edit(text + '[[ven]]\nven_id = "ven-2"\n')
    assert stage.listed("ven-1") == []
    assert [e[0] for e in stage.listed("ven-2")] == ["e"]


# Errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[event]]\nevent_id = "e\n', "line 2"),
        ("[[event]]\nduration = 5\n", "line 1: event_id is missing"),
        ('[[event]]\nevent_id = ""\n', "line 2: event_id is a text that is not empty"),
        ("[[event]]\nevent_id = 7\n", "line 2: event_id is a text"),
        ('[[event]]\nevent_id = "e"\n', "line 1: duration: missing: give a duration, or intervals"),
        (
            '[[event]]\nevent_id = "e"\n\n# it ends\nduration = "soon"\n',
            "line 5: duration: 'soon' is no duration",
        ),
        (
            '[[event]]\nevent_id = "e"\nduration = 5\npriorty = 1\n',
            "line 4: no such key: priorty; did you mean priority?",
        ),
        ('evnt = 1\n[[event]]\nevent_id = "e"\n', "line 1: no such key: evnt; did you mean event"),
        ('[event]\nevent_id = "e"\n', r"line 1: write \[\[event\]\]"),
        (TWO_EVENTS + '\n[[event]]\nevent_id = "e"\nduration = 1\n', "line 12: 'e' is there twice"),
        (TWO_EVENTS + "priority = -1\n", "line 10: priority: -1 is no whole number"),
        (TWO_EVENTS + "intervals = []\n", "line 10: intervals is a list"),
        (TWO_EVENTS + 'intervals = [\n  {duration = "PT1M"},\n]\n', "line 10: an interval has"),
        (
            TWO_EVENTS + 'intervals = [\n  {duration = "PT1M", level = "x"},\n]\n',
            "line 10: intervals: 'x' is no number",
        ),
        (
            TWO_EVENTS + 'intervals = [{duration = "10s", level = 1}]\n',
            "line 10: intervals: '10s' is no duration",
        ),
        (
            TWO_EVENTS + 'intervals = [{duration = "PT2M", level = 1}]\n',
            "line 9: duration: PT1M, but the intervals add up to PT2M",
        ),
        (TWO_EVENTS + "targets = 1\n", "line 10: targets is a table"),
        (TWO_EVENTS + '[event.targets]\nven_id = ["v"]\n', "line 11: .* did you mean ven_ids?"),
        (TWO_EVENTS + '[event.targets]\nven_ids = "v"\n', "line 11: ven_ids is a list of texts"),
        (TWO_EVENTS + "[[event.change]]\npriority = 1\n", "line 10: at is missing"),
        (
            TWO_EVENTS + '[[event.change]]\nat = "20"\npriority = 1\n',
            "line 11: at: '20' is no time",
        ),
        (TWO_EVENTS + '[[event.change]]\nat = "+20s"\n', "line 10: nothing changes"),
        (TWO_EVENTS + '[[event.change]]\nat = "+2s"\ncancel = 1\n', "line 12: cancel can only"),
        (
            TWO_EVENTS + '[[event.change]]\nat = "+2s"\nlevel = 1\ncancel = true\n',
            "line 13: cancel goes with no other",
        ),
        (
            TWO_EVENTS + '[[event.change]]\nat = "+2s"\nduration = "x"\n',
            "line 12: duration: 'x' is no duration",
        ),
        ('[[ven]]\ngroup_ids = ["g"]\n', "line 1: ven_id is missing"),
        ('[[ven]]\nven_id = "v"\ngroups = ["g"]\n', "line 3: no such key: groups"),
    ],
)
def test_error_names_file_line_and_key(path: Path, text: str, message: str) -> None:
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_events_file(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_file_that_cannot_be_read_is_named(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_events_file(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_events_file(path)


# Scripted changes


def test_removed_event_vanishes_and_failed_steps_are_told(path: Path) -> None:
    stage = Stage(
        path,
        TWO_EVENTS
        + '[[event.change]]\nat = "+5s"\nremove = true\n'
        + '[[event.change]]\nat = "+6s"\npriority = 1\n',
    )
    stage.step()
    assert stage.step(5) == [("removed", "f")]
    assert stage.listed() == [("e", 0, "far")]
    assert stage.step(6) == [("failed", "f")]


def test_relative_start_in_a_change_counts_from_the_beginning(path: Path) -> None:
    change = '[[event.change]]\nat = "+5s"\nstart = "+30s"\n'
    stage = Stage(path, TWO_EVENTS + change)
    stage.step()
    stage.step(7)
    assert stage.event("f").dtstart == START + timedelta(seconds=30)


# Edits while it runs


def test_file_that_was_only_touched_changes_nothing(path: Path) -> None:
    stage = Stage(path, TWO_EVENTS)
    stage.step()
    stage.seconds = 5
    assert stage.edit("# a comment\n" + TWO_EVENTS) == [("read", "")]
    assert stage.listed() == [("e", 0, "far"), ("f", 0, "far")]
    assert stage.event("e").dtstart == START + timedelta(seconds=10)


def test_edited_event_is_modified_and_keeps_its_time(path: Path) -> None:
    stage = Stage(path, TWO_EVENTS + "priority = 2\n")
    stage.step()
    stage.seconds = 5
    edited = TWO_EVENTS.replace('event_id = "e"', 'event_id = "e"\nlevel = 3')
    assert stage.edit(edited) == [("read", ""), ("modified", "e"), ("modified", "f")]
    event = stage.event("e")
    assert (event.modification_number, event.dtstart) == (1, START + timedelta(seconds=10))
    assert event.signals[0].intervals[0].value == 3
    assert stage.event("f").priority is None  # taken out of the file


def test_edited_start_counts_from_the_first_sight_of_the_event(path: Path) -> None:
    stage = Stage(path, TWO_EVENTS)
    stage.step()
    stage.seconds = 5
    stage.edit(TWO_EVENTS.replace("+10s", "+40s") + '[[event]]\nevent_id = "g"\nduration = 60\n')
    assert stage.event("e").dtstart == START + timedelta(seconds=40)
    assert stage.event("g").dtstart == START + timedelta(seconds=5)
    stage.seconds = 8
    stage.edit('[[event]]\nevent_id = "g"\nduration = 60\nstart = "+10s"\n')
    assert stage.event("g").dtstart == START + timedelta(seconds=15)


def test_deleted_event_is_cancelled_and_can_come_back(path: Path) -> None:
    stage = Stage(path, TWO_EVENTS + '[[event.change]]\nat = "+9s"\npriority = 1\n')
    stage.step()
    only_e = TWO_EVENTS.partition('[[event]]\nevent_id = "f"')[0]
    assert stage.edit(only_e) == [("read", ""), ("cancelled", "f")]
    assert stage.listed() == [("e", 0, "far"), ("f", 1, "cancelled")]
    stage.vtn.handle(
        encode(CreatedEvent("ven-1", (EventResponse("f", 1, "optIn"),))),
        "2.0a",
    )
    assert stage.listed() == [("e", 0, "far")]
    assert stage.step(9) == []  # its scripted change went with it
    assert stage.edit(TWO_EVENTS) == [("read", ""), ("added", "f")]
    assert stage.listed() == [("e", 0, "far"), ("f", 2, "far")]
    assert stage.event("f").dtstart == START + timedelta(seconds=29)


def test_edited_changes_replace_those_still_to_come(path: Path) -> None:
    stage = Stage(path, TWO_EVENTS + '[[event.change]]\nat = "+9s"\npriority = 1\n')
    stage.step()
    stage.seconds = 5
    new = '[[event.change]]\nat = "+4s"\npriority = 3\n[[event.change]]\nat = "+7s"\npriority = 2\n'
    assert stage.edit(TWO_EVENTS + new) == [("read", "")]
    assert stage.step(9) == [("modified", "f")]
    assert stage.event("f").priority == 2


def test_edit_of_an_event_that_is_over_brings_it_back(path: Path) -> None:
    stage = Stage(path, TWO_EVENTS)
    stage.step()
    stage.seconds = 200
    assert stage.listed() == []
    assert stage.edit(TWO_EVENTS.replace("+10s", "+300s")) == [("read", ""), ("added", "e")]
    assert stage.listed() == [("e", 1, "far")]


def test_broken_edit_leaves_everything(path: Path) -> None:
    stage = Stage(path, TWO_EVENTS)
    stage.step()
    assert stage.edit("[[event]\n") == [("failed", "")]
    assert stage.listed() == [("e", 0, "far"), ("f", 0, "far")]
    assert stage.step() == []  # said once
    assert stage.edit(TWO_EVENTS + "priority = 1\n") == [("read", ""), ("modified", "f")]


def test_file_still_being_written_is_left_alone(path: Path) -> None:
    stage = Stage(path, TWO_EVENTS)
    stage.step()
    stage.write("")  # truncated first, as editors do
    assert stage.step() == []
    stage.write(TWO_EVENTS)
    assert stage.step() == []
    assert stage.step() == [("read", "")]
    path.unlink()  # replaced by renaming: gone for a moment
    assert stage.step() == []
    assert stage.step() == []
    assert stage.listed() == [("e", 0, "far"), ("f", 0, "far")]
