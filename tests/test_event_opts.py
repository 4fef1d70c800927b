"""Who opts in or out of an event, and what follows."""

from __future__ import annotations

import pytest
from clocked_handler import Ven, in_, out
from payloads import START, event

from oadr2.errors import LocalProtocolError


@pytest.fixture
def ven() -> Ven:
    return Ven()


def test_the_callback_is_asked_for_new_and_modified_events_only():
    asked = []
    ven = Ven(opt_callback=lambda event: asked.append(event.modification_number))
    ven.take(event())
    ven.take(event())
    ven.take(event(number=2))
    ven.take(event("bad", level=9), event(number=2))
    assert asked == [0, 2]


def test_a_modified_event_keeps_its_opt_unless_the_callback_says_otherwise():
    ven = Ven()
    ven.take(event())
    ven.set_opt("e1", "optOut")
    assert ven.take(event(number=1)) == [out(number=1, code=200)]
    opts = ["optOut", None, "optIn"]
    ven = Ven(opt_callback=lambda _: opts.pop(0))
    assert ven.take(event()) == [out(code=200)]
    assert ven.take(event(number=1)) == [out(number=1, code=200)]
    assert ven.take(event(number=2)) == [in_(number=2)]


@pytest.mark.parametrize("wrong", ["yes", 1, ValueError("application error")])
def test_a_failing_opt_callback_leaves_the_default(wrong, caplog):
    def callback(_):
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    ven = Ven(opt_callback=callback)
    assert ven.take(event()) == [in_()]
    assert "'e1'" in caplog.text


def test_an_opt_callback_may_change_the_handler():
    ven = Ven()

    def callback(asked):
        if asked.event_id == "b":
            ven.remove_events("a")
        return "optOut"

    ven.take(event("a"))
    ven._opt_callback = callback
    assert ven.take(event("a"), event("b")) == [out("a", code=200), out("b", code=200)]


def test_an_opted_out_event_is_held_but_not_executed(ven):
    ven.take(event(level=3), now=START)
    ven.kinds()
    ven.set_opt("e1", "optOut")
    assert ven.kinds() == ["opt"]
    assert ven.current_level() == (0, None)
    assert ven.held() == {"e1": (0, "optOut", "running")}
    ven.set_opt("e1", "optIn")
    assert ven.kinds() == ["opt", "started"]
    assert ven.current_level() == (3.0, "e1")


def test_set_opt_refuses_what_cannot_be(ven):
    ven.take(event("a"), vtn_id="one")
    ven.take(event("a"), vtn_id="two")
    with pytest.raises(LocalProtocolError, match="several"):
        ven.set_opt("a", "optOut")
    with pytest.raises(LocalProtocolError, match="no event"):
        ven.set_opt("b", "optOut")
    with pytest.raises(LocalProtocolError, match="opt"):
        ven.set_opt("a", "maybe", "one")
    ven.set_opt("a", "optOut", "one")
    assert [s.opt_type for s in ven.get_states()] == ["optOut", "optIn"]
