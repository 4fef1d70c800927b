"""EventHandler with a file behind it: restarts, failures to write, several VENs (facts.md E56)."""

from __future__ import annotations

import logging

import pytest
from clocked_handler import HOUR, Ven, in_, out
from payloads import START, distribute_event, event

from oadr2._core.objects import decode
from oadr2.errors import StoreError
from oadr2.policy import VtnPolicy
from oadr2.store import EventStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.db"


@pytest.fixture(autouse=True)
def closed(monkeypatch):
    """Every store opened here is closed in the end."""
    opened = []
    begin = EventStore.__init__

    def remember(self, *args, **settings):
        begin(self, *args, **settings)
        opened.append(self)

    monkeypatch.setattr(EventStore, "__init__", remember)
    yield
    for store in opened:
        store.close()


def open_ven(path, **settings):
    settings.setdefault("seed", None)
    return Ven(db_path=path, **settings)


def offset(ven: Ven, event_id: str = "e1") -> float:
    (state,) = [s for s in ven.get_states() if s.event.event_id == event_id]
    return state.start.timestamp() - state.event.dtstart.timestamp()


def restart(ven, path, **settings):
    """A handler that finds what `ven` left: as after a kill, nothing is said to `ven`."""
    return open_ven(path, now=ven.clock.now, **settings)


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_E56_events_opts_offsets_and_request_ids_survive(path, profile):
    ven = open_ven(path)
    made = [event("a", 3, startafter="PT1H", level=2), event("b", vtn_comment="&lt;caf\u00e9&gt;")]
    ven.take(*made, request_id="first", profile=profile)
    ven.take(*made, request_id="second", profile=profile)
    ven.set_opt("b", "optOut")
    before = ven.get_states()
    again = restart(ven, path)
    assert again.get_states() == before
    assert offset(again, "a") == offset(ven, "a")
    assert again.get_event("a").raw == ven.get_event("a").raw
    (answer,) = decode(again.set_opt("a", "optOut")).event_responses
    assert answer.request_id == "second"
    assert answer.modification_number == 3
    assert again.take(*made, profile=profile) == [
        out("a", 3, code=200),
        out("b", code=200),
    ]
    assert again.take(event("a", 2), event("b"), profile=profile)[0] == out("a", 2, code=450)
    assert again.next_deadline == ven.next_deadline


def test_modified_cancelled_and_vanished_events_are_up_to_date_after_a_restart(path):
    ven = open_ven(path)
    ven.take(event("a"), event("b"), event("c"))
    ven.take(event("a", 1, level=3), event("b", 1, status="cancelled"))
    again = restart(ven, path)
    assert again.held() == {"a": (1, "optIn", "pending")}
    assert again.get_event("a").signals[0].intervals[0].value == 3
    again.remove_events("a")
    assert restart(again, path).held() == {}


def test_an_ending_event_ends_when_it_was_drawn_to(path):
    ven = open_ven(path)
    made = event(startafter="PT30M", level=2, duration="PT5H")
    ven.take(made)
    ven.take(event(startafter="PT30M", number=4, status="cancelled"), now=START + HOUR)
    end = ven.next_deadline
    again = restart(ven, path)
    assert again.held() == {"e1": (0, "optIn", "ending")}
    assert again.take(made) == [in_(code=450)]
    assert again.current_level(end - 1) == (2.0, "e1")
    again.clock.now = end
    again.advance()
    assert again.current_level() == (0, None)
    assert restart(again, path).get_states() == []
    assert EventStore(path).load("ven") == []


def test_an_event_that_ended_while_we_were_down_is_completed_once(path):
    ven = open_ven(path)
    ven.take(event())
    ven.clock.now = START + 2 * HOUR
    again = restart(ven, path)
    assert again.get_states() == []
    assert [c.kind for c in again.advance()] == ["completed"]
    assert again.take(event()) == [in_()]  # listed still: not started again
    third = restart(again, path)
    assert third.advance() == ()
    assert third.take(event()) == [in_()]
    third.take()
    assert EventStore(path).load("ven") == []


def test_a_running_event_is_told_of_after_a_restart(path):
    ven = open_ven(path)
    ven.take(event(level=2), now=START + 60)
    again = restart(ven, path)
    assert again.current_level() == (2.0, "e1")
    assert [c.kind for c in again.advance()] == ["started"]


class FullDisk(StoreError):
    pass


def break_store(ven, monkeypatch):
    def fail(*_):
        raise FullDisk("events.db cannot grow: free some disk space")

    monkeypatch.setattr(type(ven._store), "apply", fail)


def test_a_failure_to_store_leaves_everything_and_gives_no_reply(path, monkeypatch):
    ven = open_ven(path)
    ven.take(event("a"))
    before = ven.get_states()
    ven.kinds()
    with monkeypatch.context() as patch:
        break_store(ven, patch)
        gone = event("a", 1, status="cancelled")
        for events in ([event("a"), event("b")], [event("a", 1)], [], [gone]):
            with pytest.raises(StoreError):
                ven.handle_payload(distribute_event(*events))
        with pytest.raises(StoreError):
            ven.set_opt("a", "optOut")
        with pytest.raises(StoreError):
            ven.remove_events("a")
        assert ven.get_states() == before
        assert ven.kinds() == []
    assert restart(ven, path).get_states() == before
    taken = open_ven(path)
    assert taken.take(event("a"), event("b")) == [in_("a"), in_("b")]


def test_an_end_that_cannot_be_stored_is_made_up_for(path, monkeypatch, caplog):
    ven = open_ven(path)
    ven.take(event("a"), event("b", dtstart=START + 7200))
    with monkeypatch.context() as patch:
        break_store(ven, patch)
        ven.clock.now = START + HOUR
        with caplog.at_level(logging.WARNING):
            assert [c.kind for c in ven.advance()] == ["completed"]
        assert "not stored" in caplog.text
    ven.set_opt("b", "optOut")
    assert {s.event_id: s.phase for s in EventStore(path).load("ven")} == {
        "a": "finished",
        "b": "held",
    }


def test_an_unchanged_list_writes_nothing(path, monkeypatch):
    ven = open_ven(path)
    data = distribute_event(event())
    replies = [ven.handle_payload(data), ven.handle_payload(data)]
    break_store(ven, monkeypatch)
    replies += [ven.handle_payload(data), ven.handle_payload(data)]
    assert len(set(replies)) == 1


def test_a_row_that_cannot_be_restored_stays_and_the_others_come(path, caplog):
    ven = open_ven(path)
    ven.take(event("bad"), event("good"))
    ven.close()
    store = EventStore(path)
    rows = {row.event_id: row for row in store.load("ven")}
    raw = rows["bad"].raw
    for broken in (b"junk", raw.replace(b">bad<", b">other<"), raw.replace(b"PT1H", b"PX"), b""):
        store.load("ven")
        bad = rows["bad"]
        store.apply(
            "ven",
            [
                type(bad)(
                    bad.vtn_id,
                    bad.event_id,
                    bad.modification_number,
                    bad.opt_type,
                    bad.request_id,
                    broken,
                    bad.start_offset_us,
                    bad.terminate_at_us,
                    bad.phase,
                    bad.sequence,
                )
            ],
            [],
        )
        caplog.clear()
        again = open_ven(path)
        assert set(again.held()) == {"good"}
        assert caplog.text.count("cannot be restored") == 1
        again.close()
    assert {row.event_id for row in store.load("ven")} == {"bad", "good"}


def test_several_vens_in_one_file(path):
    one, two = Ven("one", db_path=path), Ven("two", db_path=path)
    one.take(event("a"))
    two.take(event("a", 1), event("b"))
    one.take()
    assert Ven("one", db_path=path).held() == {}
    assert set(Ven("two", db_path=path).held()) == {"a", "b"}


def test_the_order_of_arrival_survives(path):
    ven = open_ven(path, policy=VtnPolicy(implied_cancel=False))
    for name in "cab":
        ven.take(event(name, level={"c": 1, "a": 2, "b": 3}[name]))
    again = restart(ven, path, policy=VtnPolicy(implied_cancel=False))
    assert [e.event_id for e in again.get_active_events()] == ["c", "a", "b"]
    assert again.current_level(START) == ven.current_level(START) == (1.0, "c")
    again.take(event("d"))
    assert [e.event_id for e in again.get_active_events()] == ["c", "a", "b", "d"]


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(StoreError):
        Ven(db_path=tmp_path / "no" / "such" / "folder" / "x.db")


def test_looking_disturbs_no_writer(tmp_path):
    path = tmp_path / "ven.db"
    with EventStore(path) as writer, EventStore(path) as reader:
        writer.load("ven-1")
        writer.put_values("ven-1", {"a/1": "x"})
        writer.put_values("ven-2", {"b": "y"})
        assert reader.look("ven-1") == []
        assert reader.ven_ids() == ["ven-1", "ven-2"]
        writer.put_values("ven-1", {"a/2": "z"})
        assert reader.get_values("ven-1", "a/") == {"a/1": "x", "a/2": "z"}
