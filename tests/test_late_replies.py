"""A reply to a request that a 2.0b VEN has given up, or that it has had a reply to: it counts for nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from ordered_ven import OrderedVen
from payloads import START

from oadr2 import encode
from oadr2.errors import TransportError
from oadr2.model import EiResponse, Response
from oadr2.services.request import Request

UNKNOWN = encode(Response(EiResponse(463, "who is this?", ""), None, "2.0b"))


@pytest.fixture
def house(tmp_path: Path) -> OrderedVen:
    """Registered, and up to date."""
    return OrderedVen(tmp_path / "ven.db", START)


def asked(house: OrderedVen, purpose: str) -> tuple[Request, bytes]:
    """What the VEN sends when its next poll is due, and the reply."""
    house.now += 10
    action = house.ven.next_action(house.now)
    assert action is not None
    assert action.purpose == purpose
    return action, house.services.handle(action.service, action.data)


def times_out(house: OrderedVen, action: Request) -> None:
    house.ven.failed(action, TransportError("no reply within 5 s"), house.now)
    house.now += 10  # beyond any back-off of a first failure


def held(house: OrderedVen) -> set[str]:
    return {state.event.event_id for state in house.handler.get_states()}


def test_an_older_list_that_comes_late_cancels_no_newer_event(house: OrderedVen) -> None:
    house.services.vtn.add_event("second", start="+2h", levels=[(3600, 1.0)])
    action, older = asked(house, "poll")
    assert b"second" in older
    times_out(house, action)
    house.services.vtn.add_event("third", start="+3h", levels=[(3600, 1.0)])
    house.settle()
    assert held(house) == {"peak", "second", "third"}
    house.ven.receive(action, older, house.now)
    assert held(house) == {"peak", "second", "third"}


@pytest.mark.parametrize("under_way", [False, True])
def test_a_VTN_that_did_not_know_us_once_knows_us_now(house: OrderedVen, under_way: bool) -> None:
    action, _ = asked(house, "poll")
    times_out(house, action)
    house.settle()
    if not under_way:
        house.ven.receive(action, UNKNOWN, house.now)
    else:
        later, reply = asked(house, "poll")
        house.ven.receive(action, UNKNOWN, house.now)
        house.ven.receive(later, reply, house.now)
    assert house.ven.is_settled


def test_a_reply_that_comes_twice_counts_once(house: OrderedVen) -> None:
    house.ven.register()
    action, reply = asked(house, "register")
    house.ven.receive(action, reply, house.now)
    house.settle()
    assert house.ven.is_settled
    house.ven.receive(action, reply, house.now)
    assert house.ven.is_settled  # has nothing to announce


def test_a_time_out_after_the_reply_holds_nothing_back(house: OrderedVen) -> None:
    action, reply = asked(house, "poll")
    house.ven.receive(action, reply, house.now)
    before = house.ven.next_deadline
    house.ven.failed(action, TransportError("HTTP 503", status=503, retry_after=99), house.now)
    assert house.ven.next_deadline == before
