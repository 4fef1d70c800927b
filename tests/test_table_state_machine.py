"""The VEN against :mod:`event_model`: random lists, waits, opts and restarts, compared after each step.

``OADR2_STATE_MACHINE_STEPS=200000 pytest tests/test_table_state_machine.py`` runs that many steps with
new random numbers each time; the default is a short fixed run.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from event_model import MINUTE, Answer, EventModel, Key, Seen, Sent
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from payloads import START, distribute_event, event, signal

from oadr2 import decode
from oadr2.errors import LocalProtocolError, RemoteProtocolError
from oadr2.event import EventHandler
from oadr2.model import EventResponse
from oadr2.policy import VtnPolicy

STEPS = int(os.environ.get("OADR2_STATE_MACHINE_STEPS", "0"))
STEPS_OF_ONE_RUN = 40
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VTNS = ("one", "two")
NAMES = ("a", "b", "c")
TOLD = ("new", "modified", "cancelled", "vanished", "completed", "opt", "removed")


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def same(got, expected) -> None:
    assert got == expected, f"the VEN has {got}, the model {expected}"


def answer_fields(answer: EventResponse) -> Answer:
    return (
        answer.event_id,
        answer.modification_number,
        answer.response_code,
        answer.opt_type,
        answer.request_id,
    )


# -- what a VTN may send --------------------------------------------------------------------------

levels = st.sampled_from((0, 1, 2, 3))
closed_steps = st.lists(
    st.tuples(st.sampled_from((10, 30, 60, 120)), levels), min_size=1, max_size=3
)
open_steps = st.builds(
    lambda before, level: [*before, (0, level)],
    st.lists(st.tuples(st.just(30), levels), max_size=1),
    levels,
)
steps = st.one_of(closed_steps, closed_steps, closed_steps, open_steps).map(tuple)
mostly_right = st.sampled_from(
    (None,) * 18
    + ("target", "context", "signal", "level", "type", "sum", "dtstart", "no duration")
    + ("number", "status", "id")
)
# Minutes from now to dtstart; the VTN's status does not follow from it, as with a wrong clock.
aheads = st.sampled_from((-300, -120, -60, -30, -10, 0, 0, 10, 30, 60, 120, 300))
statuses = st.sampled_from(
    ("none", "far", "far", "near", "active", "active", "active", "completed", "cancelled")
)
fresh = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "number": st.sampled_from((0, 1, 1, 2, 2, 3, 5)),
        "status": statuses,
        "ahead": aheads,
        "steps": steps,
        "startafter": st.sampled_from((0, 0, 0, 20, 60)),
        "priority": st.sampled_from((None, 0, 1, 2, 3)),
        "test": st.sampled_from((None, None, None, None, "false", "True")),
        "required": st.sampled_from((True, True, True, False)),
        "wish": st.sampled_from((None, None, None, "optIn", "optOut")),
        "wrong": mostly_right,
    }
)
# A repetition of what was sent last, changed in nothing or little: how most lists are made.
repeats = st.fixed_dictionaries(
    {
        "leave_out": st.sets(st.sampled_from(NAMES), max_size=1),
        "more": st.sampled_from((0, 0, 0, 1, 2, -1)),
        "status": st.sampled_from((None, None, None, "active", "completed", "cancelled")),
        "startafter": st.sampled_from((None, None, None, 0, 20, 60)),
        "longer": st.sampled_from((None, None, None, ((120, 3), (60, 1)), ((10, 1),))),
    }
)


def written(sent: Sent) -> str:
    """The event as XML, with what is wrong put in."""
    wrong = sent.wrong
    minutes = sent.minutes
    duration = f"PT{minutes + 7}M" if wrong == "sum" and minutes else f"PT{minutes}M"
    made = [
        signal(
            [(f"PT{length}M", 9 if wrong == "level" else level) for length, level in sent.steps],
            name="ELECTRICITY_PRICE" if wrong == "signal" else "SIMPLE",
            type={"signal": "price", "type": "price"}.get(wrong or "", "level"),
        )
    ]
    return event(
        None if wrong == "id" else sent.name,
        "some" if wrong == "number" else sent.number,
        status="running" if wrong == "status" else sent.status,
        priority=sent.priority,
        market_context="http://elsewhere" if wrong == "context" else "http://ours",
        test_event=sent.test,
        vtn_comment=sent.wish,
        dtstart="soon" if wrong == "dtstart" else sent.start / 1_000_000,
        duration=None if wrong == "no duration" else duration,
        startafter=f"PT{sent.startafter}M" if sent.startafter else None,
        signals=made,
        targets={"ven_id": "somebody"} if wrong == "target" else {},
        required="always" if sent.required else "never",
    )


# -- the machine ----------------------------------------------------------------------------------


class VenAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = int(START) * 1_000_000
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.sent: dict[str, list[Sent]] = {vtn: [] for vtn in VTNS}
        self.last_data: bytes | None = None
        self.happened: Counter[tuple[str, Key]] = Counter()
        self.requests = 0

    @initialize(
        kind=st.sampled_from(("bare", "bare", "asking", "stored", "stored")),
        priority=st.sampled_from(("lower", "lower", "higher", "highest_level")),
        implied_cancel=st.sampled_from((True, True, True, False)),
        run_test_events=st.booleans(),
        default_opt=st.sampled_from(("optIn", "optIn", "optOut")),
        seed=st.integers(0, 2**32),
    )
    def begin(self, kind, priority, implied_cancel, run_test_events, default_opt, seed):
        if kind == "stored":
            self.folder = tempfile.TemporaryDirectory()
        rules = {"priority": priority, "implied_cancel": implied_cancel}
        rules["run_test_events"] = run_test_events
        self.model = EventModel(asks=kind != "bare", default_opt=default_opt, **rules)
        self.settings = {
            "policy": VtnPolicy(**rules),
            "default_opt": default_opt,
            "opt_callback": None if kind == "bare" else lambda asked: asked.vtn_comment,
            "db_path": Path(self.folder.name) / "ven.db" if self.folder else None,
        }
        self.open(seed)

    def open(self, seed: int) -> None:
        self.handler = EventHandler(
            "ven",
            vtn_ids=VTNS,
            market_contexts="http://ours",
            clock=lambda: self.now / 1_000_000,
            seed=seed,
            **self.settings,
        )
        self.handler.subscribe(self.hear)

    def hear(self, changes) -> None:
        for change in changes:
            if change.kind in TOLD:
                self.happened[change.kind, (change.vtn_id, change.event_id)] += 1

    def teardown(self) -> None:
        if hasattr(self, "handler"):
            self.handler.close()
        if self.folder:
            self.folder.cleanup()

    def look(self, key: Key) -> Seen | None:
        for state in self.handler.get_states():
            if (state.vtn_id, state.event.event_id) == key:
                end = None if state.end is None else microseconds(state.end)
                return Seen(state.phase, microseconds(state.start), end)
        row = self.handler._table.row(*key)  # a finished one is shown to nobody
        if row is None:
            return None
        sent_start = microseconds(decode(row[5]).events[0].dtstart)
        return Seen("finished", sent_start + row[6], None)

    # -- lists --

    def send(self, vtn: str, events: list[Sent], profile: str, request_id: str) -> None:
        self.sent[vtn] = [sent for sent in events if sent.wrong != "id"]
        data = distribute_event(
            *map(written, events), vtn_id=vtn, request_id=escape(request_id), profile=profile
        )
        self.last_data = data
        reply = self.handler.handle_payload(data)
        message = None if reply is None else decode(reply)
        got = []
        if message is not None:
            assert message.profile == profile
            assert message.ven_id == "ven"
            assert message.response.response_code == 200
            assert message.response.request_id == ""
            got = [answer_fields(answer) for answer in message.event_responses]
        expected = self.model.receive(vtn, request_id, events, self.now, profile, self.look)
        unread = [answer[1] is None for answer in expected]
        got = [(a[0], None, *a[2:]) if skip else a for a, skip in zip(got, unread, strict=True)]
        same(got, expected)
        assert (reply is None) == (not expected)  # E03

    @rule(
        vtn=st.sampled_from(("one", "one", "two")),
        drawn=st.lists(fresh, max_size=4),
        profile=st.sampled_from(("2.0a", "2.0b")),
        request_id=st.sampled_from(("r", "", "another", "r<&")),
    )
    def a_new_list(self, vtn, drawn, profile, request_id):
        events = []
        for each in drawn:
            fields = dict(each)
            fields["start"] = self.now - self.now % MINUTE + fields.pop("ahead") * MINUTE
            if fields["wrong"] == "sum" and fields["steps"][-1][0] == 0:
                fields["wrong"] = None  # an open end has no sum
            events.append(Sent(**fields))
        self.send(vtn, events, profile, request_id)

    @rule(vtn=st.sampled_from(("one", "one", "two")), change=repeats)
    def a_list_like_the_last(self, vtn, change):
        events = []
        for sent in self.sent[vtn]:
            if sent.name in change["leave_out"]:
                continue
            fields = dict(vars(sent))
            fields["number"] = max(0, sent.number + change["more"])
            for name in ("status", "startafter"):
                if change[name] is not None:
                    fields[name] = change[name]
            if change["longer"] is not None and sent.wrong is None:
                fields["steps"] = change["longer"]
            events.append(Sent(**fields))
        self.requests += 1
        self.send(vtn, events, "2.0a", f"request {self.requests}")

    @precondition(lambda self: any(self.sent.values()))
    @rule(vtn=st.sampled_from(VTNS), times=st.integers(1, 3))
    def the_same_list(self, vtn, times):
        for _ in range(times):
            self.send(vtn, self.sent[vtn], "2.0b", "the same")

    @rule(drawn=st.lists(fresh, max_size=2), profile=st.sampled_from(("2.0a", "2.0b")))
    def a_list_of_a_stranger(self, drawn, profile):
        events = [event(each["name"], each["number"], status=each["status"]) for each in drawn]
        data = distribute_event(*events, vtn_id="stranger", profile=profile)
        reply = decode(self.handler.handle_payload(data))
        assert reply.response.response_code == 452  # E31
        assert reply.event_responses == ()
        self.model.advance(self.now)

    @precondition(lambda self: self.last_data)
    @rule(part=st.floats(0, 1, exclude_max=True), code=st.sampled_from((None, 199, 300, 404, 503)))
    def a_list_that_is_none(self, part, code):
        """E25: cut short, or an error message."""
        assert self.last_data is not None
        data = self.last_data[: int(len(self.last_data) * part)]
        if code is not None:
            data = distribute_event(event("a"), vtn_id="one", response_code=code)
        with pytest.raises(RemoteProtocolError) as caught:
            self.handler.handle_payload(data)
        if code is not None:
            assert caught.value.response_code == code
        self.model.advance(self.now)

    # -- time --

    @rule(minutes=st.sampled_from((1, 10, 30, 60, 600, 7 * 24 * 60)))
    def wait(self, minutes):
        self.now += minutes * MINUTE
        self.handler.advance()
        self.model.advance(self.now)

    @rule()
    def wait_for_the_next_deadline(self):
        deadline = self.handler.next_deadline
        if deadline is not None:
            self.now = round(deadline * 1_000_000)
            self.handler.advance()
            self.model.advance(self.now)

    @precondition(lambda self: self.folder)
    @rule(minutes=st.sampled_from((0, 0, 10, 60)), seed=st.integers(0, 2**32))
    def restart(self, minutes, seed):
        self.handler.close()
        self.now += minutes * MINUTE
        self.open(seed)
        self.handler.advance()
        self.model.advance(self.now)

    # -- the application --

    @rule(
        vtn=st.sampled_from(VTNS),
        name=st.sampled_from(NAMES),
        opt=st.sampled_from(("optIn", "optOut")),
    )
    def set_opt(self, vtn, name, opt):
        self.model.advance(self.now)
        row = self.model.held().get((vtn, name))
        if row is None or row.terminate is not None:
            with pytest.raises(LocalProtocolError):
                self.handler.set_opt(name, opt, vtn)
            return
        reply = decode(self.handler.set_opt(name, opt, vtn))
        (answer,) = reply.event_responses
        same(answer_fields(answer), self.model.set_opt((vtn, name), opt))

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name):
        self.handler.remove_events(name)
        self.model.remove(name)

    # -- after every step --

    @invariant()
    def the_same_events(self):
        if not hasattr(self, "handler"):
            return
        states = self.handler.get_states()
        got = {
            (s.vtn_id, s.event.event_id): (
                s.event.modification_number,
                s.opt_type,
                s.phase,
                microseconds(s.start),
                None if s.end is None else microseconds(s.end),
                s.level,
                s.request_id,
                microseconds(s.event.dtstart),
            )
            for s in states
        }
        assert len(got) == len(states)
        expected = {
            key: (
                row.sent.number,
                row.opt,
                self.model.phase(row, self.now),
                row.begin,
                row.end,
                row.level(self.now) if row.runs(self.now) else None,
                row.request_id,
                row.sent.start,
            )
            for key, row in self.model.held().items()
        }
        same(got, expected)

    @invariant()
    def the_same_level_and_deadline(self):
        if not hasattr(self, "handler"):
            return
        same(self.handler.current_level(), self.model.level(self.now))
        deadline = self.handler.next_deadline
        got = None if deadline is None else round(deadline * 1_000_000)
        same(got, self.model.deadline(self.now))

    @invariant()
    def the_application_was_told_the_same(self):
        if not hasattr(self, "handler"):
            return
        told, self.happened = self.happened, Counter()
        expected, self.model.happened = self.model.happened, Counter()
        same(told, expected)


VenAgainstModel.TestCase.settings = settings(
    max_examples=STEPS // STEPS_OF_ONE_RUN if STEPS else 100,
    stateful_step_count=STEPS_OF_ONE_RUN,
    deadline=None,
    derandomize=not STEPS,
    suppress_health_check=list(HealthCheck),
)
TestVenAgainstModel = VenAgainstModel.TestCase
