"""Registering, and ending a registration, by order; on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ordered_ven import OrderedVen

from oadr2 import encode
from oadr2.errors import RemoteProtocolError, StoreError, TransportError
from oadr2.model import (
    CanceledPartyRegistration,
    CreatedPartyRegistration,
    CreatePartyRegistration,
    EiResponse,
    SupportedProfile,
)
from oadr2.orders import Order, Orders
from oadr2.services.registration import Registration
from oadr2.store import EventStore

NOW = 1_800_000_000.0
DAY = 86400.0


class Told(list[Any]):
    """The messages that the VTN has taken."""

    def since(self) -> list[str]:
        """The kinds of those that came since the last call."""
        kinds = [type(one.message).__name__ for one in self]
        self.clear()
        return kinds


@pytest.fixture
def house(tmp_path: Path) -> Iterator[OrderedVen]:
    made = OrderedVen(tmp_path / "ven.db", NOW)
    yield made
    made.kill()


@pytest.fixture
def told(house: OrderedVen) -> Told:
    messages = Told()
    house.services.on_message = messages.append
    return messages


@pytest.fixture
def person(house: OrderedVen) -> Iterator[Orders]:
    """Whoever gives the orders, from another process."""
    with EventStore(house.db) as store:
        yield Orders(store, "house")


def register() -> Order:
    return Order("register")


def withdraw() -> Order:
    return Order("withdraw")


def a_day_passes(house: OrderedVen) -> None:
    house.now += DAY
    house.settle()


def restart(house: OrderedVen) -> None:
    house.kill()
    house.start()
    house.settle()


def let_the_vtn_end_it(house: OrderedVen) -> None:
    (ven_id,) = house.services.vens
    house.services.cancel_registration(ven_id)
    house.now += 10
    house.settle()
    assert house.ven.phase == "cancelled"


def test_the_registration_ends_and_nothing_more_is_asked_for(
    house: OrderedVen, person: Orders, told: Told
) -> None:
    person.give(withdraw())
    house.obey()
    assert person.all() == ()
    assert told.since() == ["CancelPartyRegistration"]
    assert house.services.vens == {}
    assert house.ven.phase == "cancelled"
    a_day_passes(house)
    assert told.since() == []
    assert house.handler.get_event("peak") is not None  # it runs by its own clock


def test_it_stays_ended_over_a_restart_until_it_is_ordered_anew(
    house: OrderedVen, person: Orders, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    person.give(withdraw())
    house.obey()
    told.clear()
    restart(house)
    assert (
        "VEN 'house' asks for nothing: its registration was ended by order (oadr2 ven register)"
        in caplog.text
    )
    a_day_passes(house)
    assert (told.since(), house.ven.phase) == ([], "cancelled")
    person.give(register())
    house.obey()
    assert told.since()[:3] == ["QueryRegistration", "CreatePartyRegistration", "RegisterReport"]
    restart(house)
    assert house.ven.phase == "registered"


def test_a_registered_VEN_registers_again_under_its_ids(
    house: OrderedVen, person: Orders, told: Told
) -> None:
    before = house.ven.registration.registered
    assert before is not None
    person.give(register())
    person.give(register())  # once more is not twice
    house.obey()
    sent = [one.message for one in told if isinstance(one.message, CreatePartyRegistration)]
    assert [message.registration_id for message in sent] == [before.registration_id]
    assert house.ven.phase == "registered"
    assert "RegisterReport" in told.since()


def test_it_registers_anew_when_the_VTN_has_ended_it(
    house: OrderedVen, person: Orders, told: Told
) -> None:
    let_the_vtn_end_it(house)
    person.give(register())
    house.obey()
    assert house.ven.phase == "registered"
    assert len(house.services.vens) == 1


@pytest.mark.parametrize("ordered", [False, True])
def test_what_the_VTN_has_ended_begins_again_at_a_restart_unless_a_person_says_no(
    house: OrderedVen, person: Orders, ordered: bool
) -> None:
    let_the_vtn_end_it(house)
    if ordered:
        person.give(withdraw())
        house.obey()
    restart(house)
    assert house.ven.phase == ("cancelled" if ordered else "registered")


def test_orders_given_while_it_does_not_run(house: OrderedVen, person: Orders, told: Told) -> None:
    house.kill()
    person.give(withdraw())
    house.start()
    house.obey()
    assert told.since()[-1] == "CancelPartyRegistration"
    assert house.services.vens == {}
    house.kill()
    person.give(register())
    house.start()
    house.obey()
    assert house.ven.phase == "registered"
    assert person.all() == ()


@pytest.mark.parametrize("orders", [("register", "withdraw"), ("withdraw", "register")])
def test_the_last_of_two_orders_holds(
    house: OrderedVen, person: Orders, told: Told, orders: tuple[Any, ...]
) -> None:
    for kind in orders:
        person.give(Order(kind))
    house.obey()
    ended = orders[-1] == "withdraw"
    assert house.ven.phase == ("cancelled" if ended else "registered")
    kinds = told.since()
    assert ("CancelPartyRegistration" in kinds) is ended
    assert ("CreatePartyRegistration" in kinds) is not ended


def test_an_opt_waits_for_the_registration_that_begins_anew(
    house: OrderedVen, person: Orders
) -> None:
    person.give(withdraw())
    house.obey()
    order = Order("schedule", "optOut", periods=((NOW, NOW + 7200),), reason="x-schedule")
    person.give(order)
    house.obey()
    assert person.all() == (order,)
    person.give(register())
    house.obey()
    house.obey()
    assert list(house.told) == [order.opt_id]


def test_an_opt_ordered_after_the_end_waits_and_is_not_lost(
    house: OrderedVen, person: Orders
) -> None:
    person.give(withdraw())
    order = Order("schedule", "optOut", periods=((NOW, NOW + 7200),), reason="x-schedule")
    person.give(order)
    house.obey()
    assert person.all() == (order,)
    person.give(register())
    house.obey()
    house.obey()
    assert list(house.told) == [order.opt_id]


def test_opts_end_with_the_registration(house: OrderedVen, person: Orders) -> None:
    order = Order("schedule", "optOut", periods=((NOW, NOW + 7200),), reason="x-schedule")
    person.give(order)
    house.obey()
    assert [opt.opt_id for opt in house.ven.opts.held] == [order.opt_id]
    person.give(withdraw())
    house.obey()
    assert house.ven.opts.held == ()
    restart(house)
    assert house.ven.opts.held == ()


# -- a VTN that does not answer, and kills --------------------------------------------------------


def lost(house: OrderedVen) -> Any:
    """What is sent next, and the VTN is not reached."""
    action = house.ven.next_action(house.now)
    assert action is not None
    house.ven.failed(action, TransportError("nobody there"), house.now)
    return action


def carried_out(house: OrderedVen, person: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is taken, and the VTN told nothing of it yet."""
    with monkeypatch.context() as patch:
        patch.setattr(house, "settle", lambda: None)
        house.obey()
    assert person.all() == ()


def test_a_VTN_that_is_away_is_told_in_the_end(
    house: OrderedVen, person: Orders, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.give(withdraw())
    carried_out(house, person, monkeypatch)
    assert lost(house).purpose == "cancel"
    assert house.ven.phase == "registered"  # as far as the VTN knows
    house.now += 400
    house.settle()
    assert told.since()[0] == "CancelPartyRegistration"
    assert house.ven.phase == "cancelled"


@pytest.mark.parametrize("kind", ["register", "withdraw"])
def test_killed_before_the_VTN_was_told(
    house: OrderedVen,
    person: Orders,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
) -> None:
    person.give(Order(kind))
    carried_out(house, person, monkeypatch)
    restart(house)
    assert [k for k in told.since() if "PartyRegistration" in k] == [
        "CreatePartyRegistration" if kind == "register" else "CancelPartyRegistration"
    ]
    restart(house)
    assert [k for k in told.since() if "Registration" in k] == []


@pytest.mark.parametrize("code", [452, 463])
def test_killed_before_its_consent_came(
    house: OrderedVen, person: Orders, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    person.give(withdraw())
    carried_out(house, person, monkeypatch)
    action = house.ven.next_action(house.now)
    assert action is not None
    assert house.services.handle(action.service, action.data)
    house.kill()
    house.start()
    again = house.ven.next_action(house.now)
    assert again is not None
    assert again.purpose == "cancel"
    if code == 463:
        reply = house.services.handle(again.service, again.data)  # it knows us no more
    else:
        refused = CanceledPartyRegistration(EiResponse(452, "unknown", "r"), "reg", "ven_1")
        reply = encode(refused)
    house.ven.receive(again, reply, house.now)
    assert house.ven.phase == "cancelled"
    assert house.ven.next_action(house.now + DAY) is None


def test_a_VTN_that_forgets_us_meanwhile_needs_no_telling(
    house: OrderedVen, person: Orders, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.give(withdraw())
    carried_out(house, person, monkeypatch)
    action = house.ven.next_action(house.now)
    assert action is not None
    house.ven.failed(action, TransportError("HTTP 500", status=500), house.now)
    (ven_id,) = house.services.vens
    house.services.forget(ven_id)
    house.now += 0.001
    with pytest.raises(Exception, match="463"):
        house.ven.receive(
            poll := _poll(house), house.services.handle(poll.service, poll.data), house.now
        )
    house.settle()
    assert house.ven.phase == "cancelled"
    assert "CreatePartyRegistration" not in told.since()


def _poll(house: OrderedVen) -> Any:
    house.ven._next_poll = 0.0
    action = house.ven.next_action(house.now)
    assert action is not None
    assert action.purpose == "poll"
    return action


def test_it_is_told_to_stop_while_it_asks_to_be_registered(tmp_path: Path) -> None:
    house = OrderedVen(tmp_path / "ven.db", NOW, registered=False)
    lost(house)  # the query
    house.orders.give(withdraw())
    house.obey()
    a_day_passes(house)
    assert house.services.vens == {}
    assert house.ven.phase == "cancelled"
    house.kill()


def test_it_is_told_to_stop_while_the_VTN_registers_it(tmp_path: Path) -> None:
    house = OrderedVen(tmp_path / "ven.db", NOW, registered=False)
    told = Told()
    house.services.on_message = told.append
    action = house.ven.next_action(NOW)
    assert action is not None
    house.ven.receive(action, house.services.handle(action.service, action.data), NOW)
    action = house.ven.next_action(NOW)
    assert action is not None
    reply = house.services.handle(action.service, action.data)
    house.ven.withdraw()
    house.ven.receive(action, reply, NOW)
    house.settle()
    assert told.since()[-1] == "CancelPartyRegistration"
    assert (house.services.vens, house.ven.phase) == ({}, "cancelled")
    house.kill()


def test_it_is_told_to_register_while_the_VTN_ends_it(
    house: OrderedVen, person: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.give(withdraw())
    carried_out(house, person, monkeypatch)
    action = house.ven.next_action(house.now)
    assert action is not None
    reply = house.services.handle(action.service, action.data)
    person.give(register())
    carried_out(house, person, monkeypatch)
    house.ven.receive(action, reply, house.now)
    house.settle()
    assert house.ven.phase == "registered"
    assert len(house.services.vens) == 1


def test_what_cannot_be_stored_has_not_happened(
    house: OrderedVen, person: Orders, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("ven.db: cannot grow: free some disk space")

    for kind in ("withdraw", "register"):
        order = Order(kind)  # type: ignore[arg-type]
        person.give(order)
        with monkeypatch.context() as patch:
            patch.setattr(Registration, "say", full)
            house.obey()
        assert person.all() == (order,)
        assert told.since() == []
        house.obey()
        assert person.all() == ()
        assert told.since() != []


def test_what_the_VTN_refuses_after_the_end_begins_nothing(
    house: OrderedVen, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    (ven_id,) = house.services.vens
    house.services.cancel_registration(ven_id)
    house.now += 10
    poll = house.ven.next_action(house.now)
    assert poll is not None
    house.ven.receive(poll, house.services.handle(poll.service, poll.data), house.now)
    house.services.forget(ven_id)
    answer = house.ven.next_action(house.now)
    assert answer is not None
    with pytest.raises(Exception, match="463"):
        house.ven.receive(answer, house.services.handle(answer.service, answer.data), house.now)
    assert house.ven.phase == "cancelled"
    assert "registering again" not in caplog.text


class EventsOnly:
    async def change_opt(self, *_: object) -> None: ...


@pytest.mark.parametrize("kind", ["register", "withdraw"])
def test_a_VEN_that_never_registers_refuses(
    house: OrderedVen, person: Orders, caplog: pytest.LogCaptureFixture, kind: Any
) -> None:
    house.client = EventsOnly()
    order = Order(kind)
    person.give(order)
    house.obey()
    found = person.find(order)
    assert found is not None
    assert found.refused == "this VEN only takes events: it never registers"
    assert len(caplog.records) == 1


@pytest.mark.parametrize("trouble", ["refused", "HTTP 500"])
def test_events_come_while_the_VTN_does_not_renew_the_registration(
    house: OrderedVen, person: Orders, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    person.give(register())
    carried_out(house, person, monkeypatch)
    house.services.vtn.add_event("more", start="+2h", levels=[(3600, 1.0)])
    profiles = (SupportedProfile("2.0b", ("simpleHttp",)),)
    refusal = EiResponse(403, "not now", "r")
    no = encode(CreatedPartyRegistration("vtn", refusal, profiles=profiles))
    tries, end = 0, house.now + 60
    while house.now < end:
        action = house.ven.next_action(house.now)
        if action is None:
            assert house.ven.next_deadline is not None
            house.now = max(house.now + 0.001, house.ven.next_deadline)
        elif action.purpose != "register":
            reply = house.services.handle(action.service, action.data)
            house.ven.receive(action, reply, house.now)
        elif trouble == "refused":
            tries += 1
            with pytest.raises(RemoteProtocolError, match="refused to register us"):
                house.ven.receive(action, no, house.now)
        else:
            tries += 1
            house.ven.failed(action, TransportError("HTTP 500", status=500), house.now)
    assert 2 <= tries <= 60
    assert house.handler.get_event("more") is not None
    a_day_passes(house)
    assert house.ven.registration.last_word == ""  # renewed in the end
