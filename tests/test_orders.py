"""Orders that a person gives a VEN through its file, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from ordered_ven import OrderedVen

from oadr2.errors import StoreError, TransportError
from oadr2.orders import Order, Orders
from oadr2.services.outbox import OptOutbox
from oadr2.store import EventStore

NOW = 1_800_000_000.0


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OrderedVen]:
    made = OrderedVen(tmp_path / "ven.db", NOW)
    yield made
    made.kill()


@pytest.fixture
def person(house: OrderedVen) -> Iterator[Orders]:
    """Whoever gives the orders, from another process."""
    with EventStore(house.db) as store:
        yield Orders(store, "house")


def schedule(*periods: tuple[float, float]) -> Order:
    return Order("schedule", "optOut", periods=periods, reason="x-schedule")


def test_an_event_is_opted_out_of_and_in_again(house: OrderedVen, person: Orders) -> None:
    for opt_type in ("optOut", "optIn"):
        order = Order("event", opt_type, "peak")  # type: ignore[arg-type]
        person.give(order)
        assert person.find(order) == order
        house.obey()
        assert person.find(order) is None
    assert house.answers == ["optIn", "optOut", "optIn"]


def test_whoever_gives_orders_does_not_take_the_VEN_over(house: OrderedVen, person: Orders) -> None:
    person.give(Order("event", "optOut", "peak"))
    house.handler.set_opt("peak", "optOut")  # a StoreError if the file had another writer now


def test_an_event_is_qualified_and_that_is_taken_back(house: OrderedVen, person: Orders) -> None:
    order = Order("qualify", "optOut", "peak", reason="mustRun", resource_ids=("pump", "heater"))
    person.give(order)
    house.obey()
    opt = house.told[order.opt_id]
    assert opt.qualified_event_id.event_id == "peak"
    assert (opt.opt_reason, opt.targets.resource_ids) == ("mustRun", ("pump", "heater"))
    person.give(Order("cancel", opt_id=order.opt_id))
    house.obey()
    assert house.told == {}
    assert person.all() == ()


def test_a_schedule_is_told_as_far_as_it_is_not_over(house: OrderedVen, person: Orders) -> None:
    order = schedule((NOW - 7200, NOW - 3600), (NOW - 60, NOW + 60), (NOW + 3600, NOW + 7200))
    person.give(order)
    house.obey()
    available = house.told[order.opt_id].vavailability.available
    assert [period.dtstart.timestamp() - NOW for period in available] == [-60, 3600]
    assert [period.duration.microseconds for period in available] == [120_000_000, 3_600_000_000]


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Order("event", "optOut", "gone"), "no event 'gone'"),
        (Order("qualify", "optOut", "gone", reason="mustRun"), "event 'gone' is not held"),
        (schedule((NOW - 20, NOW)), "the schedule was over"),
        (Order("cancel", opt_id="gone"), "opt 'gone' is not held"),
        (Order("schedule", periods=((NOW, NOW + 1),), reason="because"), "opt reason 'because'"),
    ],
    ids=["event", "qualify", "schedule", "cancel", "reason"],
)
def test_what_cannot_be_done_is_refused_once_and_forgotten_later(
    house: OrderedVen, person: Orders, order: Order, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    person.give(order)
    house.obey()
    found = person.find(order)
    assert found is not None
    assert reason in found.refused
    house.obey()
    assert len(caplog.records) == 1
    house.now += 60
    house.obey()
    assert person.all() == ()
    assert house.told == {}


def test_orders_wait_for_a_VEN_that_does_not_run(house: OrderedVen, person: Orders) -> None:
    house.kill()
    kept = schedule((NOW, NOW + 7200))
    person.give(kept)
    person.give(Order("event", "optOut", "peak"))
    never = schedule((NOW, NOW + 60))
    person.give(never)
    person.give(Order("cancel", opt_id=never.opt_id))
    assert len(person.all()) == 4
    house.now += 30
    house.start()
    house.obey()
    assert list(house.told) == [kept.opt_id]  # of the other nobody has ever heard
    assert house.answers[-1] == "optOut"
    assert person.all() == ()


def test_opts_wait_for_the_registration(tmp_path: Path) -> None:
    house = OrderedVen(tmp_path / "ven.db", NOW, registered=False)
    order = schedule((NOW, NOW + 7200))
    house.orders.give(order)
    house.obey()  # which ends with its registration
    assert house.orders.all() == (order,)
    house.obey()
    assert house.told[order.opt_id].ven_id == "ven_1"
    house.kill()


def test_an_opt_is_told_once_though_the_VEN_is_killed_between_two_writes(
    house: OrderedVen, person: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = schedule((NOW, NOW + 7200))
    person.give(order)
    with monkeypatch.context() as patch:
        patch.setattr(Orders, "done", lambda *_: None)
        house.obey()
    assert person.all() == (order,)
    house.kill()
    house.start()
    messages = []
    house.services.on_message = messages.append
    house.obey()
    assert person.all() == ()
    assert [opt.opt_id for opt in house.ven.opts.held] == [order.opt_id]
    assert all(type(told.message).__name__ == "Poll" for told in messages)


def test_an_opt_that_cannot_be_stored_is_not_half_there(
    house: OrderedVen, person: Orders, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    order = schedule((NOW, NOW + 7200))
    person.give(order)

    def full(*_: object, **__: object) -> None:
        raise StoreError("ven.db: cannot grow: free some disk space")

    with monkeypatch.context() as patch:
        patch.setattr(OptOutbox, "put", full)
        house.obey()
    assert [record.getMessage() for record in caplog.records] == [
        "orders cannot be carried out: ven.db: cannot grow: free some disk space"
    ]
    assert person.all() == (order,)
    assert (house.ven.opts.held, house.told) == ((), {})
    house.obey()
    assert list(house.told) == [order.opt_id]


class EventsOnly:
    """A client that asks for events and answers them; its VTN is away."""

    def __init__(self) -> None:
        self.changed: list[tuple[str, str]] = []

    async def change_opt(self, event_id: str, opt_type: str, vtn_id: str | None = None) -> None:
        self.changed.append((event_id, opt_type))
        raise TransportError(f"{vtn_id} is away")


def test_a_VEN_without_services_opts_in_and_out_of_whole_events(
    house: OrderedVen, person: Orders
) -> None:
    house.client = EventsOnly()
    order = Order("qualify", "optOut", "peak", reason="mustRun")
    person.give(order)
    person.give(Order("event", "optOut", "peak", "vtn"))
    house.obey()
    # Changed all the same: the answer to the next list of events says so.
    assert house.client.changed == [("peak", "optOut")]
    (left,) = person.all()
    assert left.opt_id == order.opt_id
    assert "this VEN only takes events" in left.refused


class Deaf(EventsOnly):
    """Its VTN takes the answer and says nothing."""

    async def change_opt(self, event_id: str, opt_type: str, vtn_id: str | None = None) -> None:
        self.changed.append((event_id, opt_type))
        await asyncio.Event().wait()


def test_a_VTN_that_says_nothing_holds_up_no_order(house: OrderedVen, person: Orders) -> None:
    house.client = Deaf()
    for opt_type in ("optOut", "optIn"):
        person.give(Order("event", opt_type, "peak"))
    house.obey()
    assert house.client.changed == [("peak", "optOut"), ("peak", "optIn")]
    assert person.all() == ()


class Slow(EventsOnly):
    """Its VTN goes away after a while."""

    async def change_opt(self, event_id: str, opt_type: str, vtn_id: str | None = None) -> None:
        await asyncio.sleep(0)
        await super().change_opt(event_id, opt_type, "vtn")


def test_a_VTN_that_fails_later_is_told_of(
    house: OrderedVen, person: Orders, caplog: pytest.LogCaptureFixture
) -> None:
    house.client = Slow()
    person.give(Order("event", "optOut", "peak"))
    house.obey()
    assert [record.getMessage() for record in caplog.records] == [
        "the VTN is not told of event 'peak' yet: vtn is away"
    ]
