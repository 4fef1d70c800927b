"""What an EventHandler tells whom, when, and from where."""

from __future__ import annotations

import threading

import pytest
from clocked_handler import HOUR, Ven, in_, out
from payloads import START, event


@pytest.fixture
def ven() -> Ven:
    return Ven()


def test_event_callback_gets_what_was_updated_and_removed():
    calls = []
    ven = Ven(event_callback=lambda updated, removed: calls.append((set(updated), set(removed))))
    ven.take(event("a"), event("b"))
    ven.take(event("a"), event("b"))
    ven.take(event("a", 1))
    ven.remove_events(["a", "nobody"])
    assert calls == [({"a", "b"}, set()), ({"a"}, {"b"}), (set(), {"a"})]


def test_removing_a_finished_event_is_no_second_end(ven):
    ven.take(event(), now=START)
    ven.clock.now = START + HOUR
    ven.advance()
    assert ven.kinds() == ["new", "started", "completed"]
    ven.remove_events("e1")
    assert ven.kinds() == []
    assert ven.take(event()) == [out()]  # forgotten, so it is judged anew: it is over


def test_callbacks_that_fail_break_nothing(caplog):
    def fail(*_):
        raise ValueError("application error")

    ven = Ven(event_callback=fail)
    ven.subscribe(fail)
    assert ven.take(event("the one")) == [in_("the one")]
    assert ven.kinds() == ["new"]
    assert caplog.text.count("'the one'") == 2


def test_callbacks_run_without_the_lock_and_see_the_new_state():
    seen = []

    def look(changes):
        thread = threading.Thread(target=lambda: seen.append(len(ven.get_active_events())))
        thread.start()
        thread.join(10)

    ven = Ven()
    ven.subscribe(look)
    ven.take(event())
    assert seen == [1]


def test_a_callback_may_use_the_handler_and_its_changes_come_after():
    ven = Ven()
    order = []

    def react(changes):
        for change in changes:
            order.append(change.kind)
            if change.kind == "new":
                ven.remove_events(change.event_id)
                order.append("back")

    ven.subscribe(react)
    ven.take(event())
    assert order == ["new", "back", "removed"]


def test_unsubscribe(ven):
    calls = []
    stop = ven.subscribe(calls.append)
    stop()
    stop()
    ven.take(event())
    assert calls == []
