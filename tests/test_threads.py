"""The compiled core under several threads: work apart stays apart, work on one handler is in order."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from payloads import START, distribute_event, event

import oadr2
from oadr2._core.table import EventTable
from oadr2.errors import RemoteProtocolError
from oadr2.event import EventHandler
from oadr2.policy import VtnPolicy

THREADS = 4


@pytest.fixture(autouse=True)
def _many_switches():
    """Threads take turns as often as Python can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def in_threads(functions: list[Callable[[], Any]]) -> list[Any]:
    """What each function gives, all begun together; the first error of any is raised."""
    results: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []
    start = threading.Barrier(len(functions))

    def work(index: int) -> None:
        try:
            start.wait(60)
            results[index] = functions[index]()
        except BaseException as error:  # raised again below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    if errors:
        raise errors[0]
    return results


def lists(seed: int, vtn_id: str = "vtn") -> list[bytes]:
    """Lists of one VTN, one after the other: new, modified, absent, cancelled, refused, cut."""
    source = random.Random(seed)
    made = []
    for number in range(60):
        events = [
            event(
                f"{vtn_id}-{i}",
                source.choice((number, number, number // 2)),
                status=source.choice(("far", "active", "active", "cancelled")),
                level=source.choice((0, 1, 2, 3, 9)),
                dtstart=START + source.randrange(-3600, 3600),
                startafter=source.choice((None, "PT10M")),
                vtn_comment="x" * source.randrange(200),
            )
            for i in source.sample(range(12), source.randrange(8))
        ]
        data = distribute_event(
            *events, vtn_id=vtn_id, profile=source.choice(("2.0a", "2.0b")), request_id=str(number)
        )
        made.append(data[: source.randrange(len(data))] if source.random() < 0.1 else data)
    return made


def work_alone(seed: int) -> list[Any]:
    """Everything the core does, on a table of its own; a record to compare."""
    table = EventTable("ven", VtnPolicy(), seed=seed)
    record: list[Any] = []
    for step, data in enumerate(lists(seed)):
        now = START + step * 60
        try:
            plan = table.plan(data, now, seed + step)
            record.append(table.reply(plan))
            if step % 5:
                table.commit(plan)
            message = oadr2.decode(data)
            answers = tuple(
                oadr2.model.EventResponse(e.event_id, e.modification_number, "optIn")
                for e in message.events
            )
            if answers:
                record.append(oadr2.encode(oadr2.model.CreatedEvent("ven", answers)))
        except RemoteProtocolError as error:
            record.append(str(error))
        table.advance(now)
        record.append((table.next_deadline, table.level(now), table.states(now)))
        record.append([change[:5] for change in table.take_changes()])
        record.append(table.request("2.0a"))
    return record


def test_threads_with_tables_of_their_own_get_what_one_thread_gets():
    expected = [work_alone(seed) for seed in range(THREADS)]
    assert len({str(record) for record in expected}) == THREADS
    for _ in range(3):
        got = in_threads([lambda seed=seed: work_alone(seed) for seed in range(THREADS)])
        assert got == expected


def test_the_same_bytes_decoded_by_several_threads_at_once():
    data = distribute_event(*[event(f"e{i}", vtn_comment="y" * i) for i in range(50)])
    expected = oadr2.decode(data)

    def work() -> bool:
        return all(oadr2.decode(data) == expected for _ in range(20))

    assert in_threads([work] * THREADS) == [True] * THREADS


def test_one_lazy_message_read_by_several_threads_at_once():
    """Its events make their items at first use, by whichever thread comes first."""
    data = distribute_event(*[event(f"e{i}") for i in range(200)])
    for _ in range(10):
        message = oadr2.decode(data)
        seen = in_threads(
            [lambda m=message: [e.signals[0].intervals[0].value for e in m.events]] * 2
        )
        assert seen == [[1.0] * 200] * 2


def shared_handler() -> EventHandler:
    return EventHandler("ven", seed=1, clock=lambda: START, policy=VtnPolicy())


def run_lists(handler: EventHandler, vtn_id: str, seed: int) -> list[Any]:
    """The answers to one VTN's lists; random starts differ with the order of the threads."""
    answers: list[Any] = []
    for data in lists(seed, vtn_id):
        try:
            reply = handler.handle_payload(data.replace(b"PT10M", b"PT0M"))
        except RemoteProtocolError as error:
            answers.append(str(error))
        else:
            answers.append(reply)
        handler.get_states()
        handler.advance()
        handler.build_request_payload()
    return answers


def states_of(handler: EventHandler, vtn_id: str) -> list[Any]:
    return [state for state in handler.get_states() if state.vtn_id == vtn_id]


@pytest.mark.parametrize("stored", [False, True])
def test_one_handler_serves_two_vtns_in_two_threads(stored, tmp_path):
    """What one VTN gets does not depend on what the other does meanwhile."""
    alone = {}
    for seed, vtn_id in enumerate(("one", "two")):
        handler = shared_handler()
        alone[vtn_id] = run_lists(handler, vtn_id, seed), states_of(handler, vtn_id)
        assert alone[vtn_id][1] != []
    path = tmp_path / "ven.db" if stored else None
    handler = EventHandler("ven", seed=1, clock=lambda: START, db_path=path)
    got = in_threads(
        [
            lambda vtn_id=vtn_id, seed=seed: run_lists(handler, vtn_id, seed)
            for seed, vtn_id in enumerate(("one", "two"))
        ]
    )
    for (vtn_id, (answers, states)), answered in zip(alone.items(), got, strict=True):
        assert answered == answers
        assert states_of(handler, vtn_id) == states
    before = handler.get_states()
    handler.close()
    if stored:
        again = EventHandler("ven", seed=2, clock=lambda: START, db_path=path)
        assert sorted(map(repr, again.get_states())) == sorted(map(repr, before))
        again.close()


def test_changes_are_told_one_after_the_other_whatever_thread_they_come_from():
    handler = shared_handler()
    inside = threading.Lock()
    told: list[str] = []

    def hear(changes: Any) -> None:
        assert inside.acquire(blocking=False), "two threads tell at once"
        told.extend(f"{c.kind} {c.vtn_id} {c.event_id} {c.modification_number}" for c in changes)
        inside.release()

    handler.subscribe(hear)

    def send(vtn_id: str) -> None:
        for number in range(100):
            handler.handle_payload(distribute_event(event("e", number), vtn_id=vtn_id))

    in_threads([lambda: send("one"), lambda: send("two")])
    for vtn_id in ("one", "two"):
        heard = [line for line in told if f" {vtn_id} " in line and "started" not in line]
        assert heard == [
            f"{'modified' if number else 'new'} {vtn_id} e {number}" for number in range(100)
        ]
