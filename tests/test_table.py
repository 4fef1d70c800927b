"""The compiled event table: plans, many rows, and a stateful test against a dictionary."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from payloads import START, distribute_event, event

from oadr2._core.listplan import ListPlan
from oadr2._core.objects import decode
from oadr2._core.table import CHANGED, EventTable
from oadr2.errors import RemoteProtocolError
from oadr2.policy import Limits, VtnPolicy

HOUR = 3600.0


def table(policy: VtnPolicy = VtnPolicy(), **names: tuple[str, ...]) -> EventTable:  # noqa: B008
    return EventTable("ven", policy, **names)


def answers(reply: bytes | None) -> dict[str, tuple[int, str]]:
    if reply is None:
        return {}
    return {a.event_id: (a.response_code, a.opt_type) for a in decode(reply).event_responses}


def numbers(held: EventTable) -> dict[str, int]:
    return {e.event_id: e.modification_number for e in held.events()}


# -- plan and commit ------------------------------------------------------------------------------


def test_a_plan_changes_nothing_until_committed():
    held = table()
    plan = held.plan(distribute_event(event("a")), START, 1)
    assert len(held) == 0
    assert held.next_deadline is None
    assert held.change_count == 0
    assert plan.changes_state
    held.commit(plan)
    assert numbers(held) == {"a": 0}


def test_a_plan_of_an_older_generation_is_refused():
    held = table()
    first = held.plan(distribute_event(event("a")), START, 1)
    second = held.plan(distribute_event(event("b")), START, 1)
    held.commit(second)
    assert not held.is_current(first)
    with pytest.raises(ValueError, match="changed since"):
        held.commit(first)
    with pytest.raises(ValueError, match="fresh plan"):
        held.writes(first)
    assert numbers(held) == {"b": 0}


def test_a_plan_is_committed_once_and_to_its_own_table():
    held, other = table(), table()
    plan = held.plan(distribute_event(event("a")), START, 1)
    with pytest.raises(ValueError, match="fresh plan"):
        other.commit(plan)
    held.commit(plan)
    with pytest.raises(ValueError, match="fresh plan"):
        held.commit(plan)
    with pytest.raises(IndexError):
        plan.set_opt(0, "optOut")
    with pytest.raises(ValueError, match="fresh plan"):
        held.writes(plan)


def test_a_dropped_plan_leaves_the_table_usable():
    held = table()
    held.handle(distribute_event(event("a")), START, 1)
    for _ in range(10):
        plan = held.plan(distribute_event(event("a", 1), event("b"), event("c")), START, 1)
        del plan
    assert numbers(held) == {"a": 0}


def test_opts_are_decided_in_the_plan_and_answered():
    held = table()
    plan = held.plan(distribute_event(event("a"), event("b"), event("c", level=9)), START, 1)
    questions = plan.questions()
    assert [(new, asked.event_id, opt) for _, new, asked, opt in questions] == [
        (True, "a", "optIn"),
        (True, "b", "optIn"),
    ]
    plan.set_opt(questions[1][0], "optOut")
    assert answers(held.reply(plan)) == {
        "a": (200, "optIn"),
        "b": (200, "optOut"),
        "c": (454, "optOut"),
    }
    with pytest.raises(IndexError):
        plan.set_opt(2, "optOut")
    held.commit(plan)
    assert [opt for _, _, opt, *_ in held.states(START)] == ["optIn", "optOut"]


def test_writes_name_what_a_store_needs():
    held = table()
    held.handle(distribute_event(event("a"), event("b"), event("c"), request_id="1"), START, 1)
    plan = held.plan(distribute_event(event("a", 1), event("b"), request_id="2"), START, 1)
    put, delete, request_ids = held.writes(plan)
    assert [(row[1], row[2], row[4], row[8]) for row in put] == [("a", 1, "2", "held")]
    assert decode(put[0][5]).events[0].event_id == "a"
    assert delete == [("vtn", "c")]
    assert request_ids == [("vtn", "b", "2")]


def test_plans_are_made_by_tables():
    with pytest.raises(TypeError):
        ListPlan()


def test_the_unchanged_payload():
    held = table()
    data = distribute_event(event("a", level=2))
    assert held.unchanged(data, START - 9) is CHANGED
    replies = [held.handle(data, START - 9, seed) for seed in range(2)]
    assert held.unchanged(data, START - 9) == replies[0] == replies[1]
    assert held.unchanged(bytes(bytearray(data)), START - 9) == replies[0]
    assert held.unchanged(data + b" ", START - 9) is CHANGED
    assert held.unchanged(data.replace(b"2", b"3", 1), START - 9) is CHANGED
    assert held.unchanged(data, START) is CHANGED  # it starts now
    held.set_opt("a", "optOut", START - 9)
    assert held.unchanged(data, START - 9) is CHANGED


@pytest.mark.parametrize("now", [float("nan"), float("inf"), 1e15, -1e15])
def test_a_time_that_is_none(now):
    held = table()
    with pytest.raises(ValueError, match="now is"):
        held.handle(distribute_event(event("a")), now, 1)
    assert len(held) == 0


# -- many rows ------------------------------------------------------------------------------------


def test_many_rows_are_found_removed_and_due_in_order():
    source = random.Random(5)
    held = table()
    expected: dict[str, tuple[int, float]] = {}
    for number in range(12):
        chosen = source.sample(range(400), source.choice([3, 8, 9, 50, 300]))
        expected = {f"e{i}": (number, START + (i * 7919 % 400)) for i in chosen}
        events = [event(name, number, dtstart=at) for name, (number, at) in expected.items()]
        held.handle(distribute_event(*events), START - 9, 1)
        assert numbers(held) == {name: number for name, (number, _) in expected.items()}
    started = []
    held.drop_changes()
    while (deadline := held.next_deadline) is not None and deadline < START + HOUR:
        held.advance(deadline)
        started += [(deadline, change[2]) for change in held.take_changes()]
    assert sorted(started) == sorted((at, name) for name, (_, at) in expected.items())
    assert [at for at, _ in started] == sorted(at for at, _ in started)


def test_rows_are_bounded_when_lists_are_not_complete():
    held = table(VtnPolicy(implied_cancel=False, limits=Limits(events=2)))
    for i in range(25):
        reply = held.handle(distribute_event(event(f"e{i}")), START, 1)
        assert answers(reply) == {f"e{i}": (200, "optIn") if i < 20 else (469, "optOut")}
    assert len(held) == 20


@pytest.mark.parametrize("limit", [{"events": 2}, {"items": 4}, {"size": 900}, {"depth": 5}])
def test_payloads_beyond_a_limit_change_nothing(limit):
    held = table(VtnPolicy(limits=Limits(**limit)))
    with pytest.raises(RemoteProtocolError):
        held.handle(distribute_event(*[event(f"e{i}") for i in range(3)]), START, 1)
    assert len(held) == 0


@pytest.mark.parametrize(
    ("dtstart", "duration", "startafter"),
    [
        ("9999-12-31T23:00:00Z", "PT2H", None),
        ("9999-12-31T23:00:00Z", "PT30M", "PT1H"),
        (START, "P9000Y", None),
        (START, "PT1H", "P9000Y"),
    ],
)
def test_periods_beyond_the_calendar_are_refused(dtstart, duration, startafter):
    made = event("a", dtstart=dtstart, duration=duration, startafter=startafter)
    held = table(VtnPolicy(interval_sum="note"))
    assert answers(held.handle(distribute_event(made, event("b")), START, 1)) == {
        "a": (454, "optOut"),
        "b": (200, "optIn"),
    }


def test_a_startafter_in_months_is_drawn_by_the_calendar():
    offsets = []
    for seed in range(40):
        held = table()
        made = event("a", dtstart="2028-02-01T00:00:00Z", startafter="P1M", duration="PT1H")
        held.handle(distribute_event(made), START, seed)
        state = held.states(START)[0]
        offsets.append((state[4] - state[0].dtstart).total_seconds() / 86400)
    assert 0 <= min(offsets) < 6
    assert 23 < max(offsets) <= 29


def test_a_termination_beyond_the_calendar_is_at_its_end():
    made = {"dtstart": "0001-01-02T00:00:00Z", "duration": "PT0S", "startafter": "P9000Y"}
    for seed in range(20):
        held = table()
        held.handle(distribute_event(event("a", **made)), START, seed)
        held.handle(distribute_event(), START, seed)
        for state in held.states(START):
            assert state[5] is None or state[5].year <= 9999


# -- against a plain dictionary -------------------------------------------------------------------

NAMES = "ab"
STATUSES = ["none", "far", "near", "active", "active", "active", "completed", "cancelled"]
listed = st.fixed_dictionaries(
    {
        "number": st.sampled_from([0, 1, 1, 1, 2]),
        "status": st.sampled_from(STATUSES),
        "ahead": st.integers(-2, 3),
        "length": st.integers(0, 3),
        "level": st.sampled_from([0, 1, 2, 3, 3, 3, 7]),
        "priority": st.sampled_from([None, 0, 1, 2]),
        "ours": st.sampled_from([True, True, True, True, False]),
        "required": st.sampled_from(["always", "never"]),
    }
)


class AgainstDictionary(RuleBasedStateMachine):
    """The same lists to a table and to a model that scans everything, hour by hour."""

    def __init__(self):
        super().__init__()
        self.table = table()
        self.rows = {}
        self.hour = 0
        self.arrivals = 0

    @property
    def now(self):
        return START + self.hour * HOUR

    @initialize()
    def begin(self):
        assert len(self.table) == 0

    def judge(self, vtn, name, e):
        """What facts.md 2.2 makes of one event: its answer; the rows change on the way."""
        key = (vtn, name)
        row = self.rows.get(key)
        if row is not None and e["number"] < row["known"]:
            return 450, row["opt"]
        if e["status"] == "cancelled":
            self.rows.pop(key, None)
            return 200, "optIn"
        if e["status"] == "completed":
            if row is None:
                return 200, "optOut"
            row["known"] = e["number"]
            return 200, row["opt"]
        if row is not None and e["number"] == row["known"] == row["number"]:
            return 200, row["opt"]
        if not e["ours"]:
            self.rows.pop(key, None)
            return 403, "optOut"
        if e["level"] == 7:
            return 454, "optOut"
        end = e["start"] + e["length"] if e["length"] else 10**6
        if row is None:
            if end <= self.hour:
                return 454, "optOut"
            self.arrivals += 1
            row = self.rows[key] = {"opt": "optIn", "order": self.arrivals}
        elif row["end"] <= self.hour and end <= self.hour:
            row["known"] = e["number"]
            return 200, row["opt"]
        row.update(known=e["number"], number=e["number"], start=e["start"], end=end)
        row.update(level=float(e["level"]), priority=e["priority"] or 10**6)
        return 200, row["opt"]

    @rule(
        vtn=st.sampled_from(["one", "one", "two"]),
        events=st.dictionaries(st.sampled_from(NAMES), listed, min_size=1),
        twice=st.booleans(),
    )
    def receive(self, vtn, events, twice):
        for e in events.values():
            e["start"] = self.hour + e["ahead"]
        texts = [
            event(
                name,
                e["number"],
                status=e["status"],
                dtstart=START + e["start"] * HOUR,
                duration=f"PT{e['length']}H",
                level=e["level"],
                priority=e["priority"],
                targets={} if e["ours"] else {"ven_id": "somebody"},
                required=e["required"],
            )
            for name, e in events.items()
        ]
        expected = {}
        for name, e in events.items():
            answer = self.judge(vtn, name, e)
            if e["required"] == "always":
                expected[name] = answer
        for key in list(self.rows):
            if key[0] == vtn and key[1] not in events:
                del self.rows[key]
        data = distribute_event(*texts, vtn_id=vtn)
        for _ in range(3 if twice else 1):
            reply = self.table.unchanged(data, self.now)
            if reply is CHANGED:
                self.table.advance(self.now)
                reply = self.table.handle(data, self.now, 1)
                self.table.advance(self.now)
            assert answers(reply) == expected

    @rule(vtn=st.sampled_from(["one", "two"]))
    def receive_nothing(self, vtn):
        assert self.table.handle(distribute_event(vtn_id=vtn), self.now, 1) is None
        self.rows = {key: row for key, row in self.rows.items() if key[0] != vtn}

    @rule(hours=st.integers(1, 2))
    def wait(self, hours):
        self.hour += hours
        self.table.advance(self.now)

    @rule(name=st.sampled_from(NAMES), vtn=st.sampled_from(["one", "two"]), out=st.booleans())
    def change_opt(self, name, vtn, out):
        row = self.rows.get((vtn, name))
        if row is not None and row["end"] > self.hour:
            row["opt"] = "optOut" if out else "optIn"
            self.table.set_opt(name, row["opt"], self.now, vtn)
            self.table.advance(self.now)

    @invariant()
    def the_same_rows(self):
        held = {
            (vtn_id, e.event_id): (opt, e.modification_number, phase)
            for e, vtn_id, opt, phase, *_ in self.table.states(self.now)
        }
        assert held == {
            key: (row["opt"], row["number"], "running" if row["start"] <= self.hour else "pending")
            for key, row in self.rows.items()
            if row["end"] > self.hour
        }

    @invariant()
    def the_same_level(self):
        running = [
            (row["priority"], row["start"], row["order"], row["level"], name)
            for (_, name), row in self.rows.items()
            if row["start"] <= self.hour < row["end"] and row["opt"] == "optIn"
        ]
        expected = min(running)[3:] if running else (0.0, None)
        assert self.table.level(self.now) == expected

    @invariant()
    def the_next_deadline_is_the_next_border(self):
        borders = [
            at
            for row in self.rows.values()
            for at in (row["start"], row["end"], row["end"] + 7 * 24)
            if self.hour < at < 10**6
        ]
        expected = START + min(borders) * HOUR if borders else None
        assert self.table.next_deadline == expected


AgainstDictionary.TestCase.settings = settings(
    max_examples=150, stateful_step_count=25, deadline=None, derandomize=True
)
TestAgainstDictionary = AgainstDictionary.TestCase
