"""The engine's use of EiOpt: VENs that say when they take no part, and take it back."""

from __future__ import annotations

from typing import Any

import pytest
from service_conversation import BEGIN, SECOND, Clock, FleetTalk, make_vtn, metadata

from oadr2 import decode, encode, schema
from oadr2._core.fleet import ERROR_HTTP_5XX
from oadr2.model import CancelOpt, CreatedOpt, CreateOpt, EiResponse, Poll, RequestReregistration

MINUTE = 60 * SECOND


def talk(count: int = 1, **group: Any) -> FleetTalk:
    clock = Clock()
    options = {"opts_every": MINUTE, "opts_length": 30 * MINUTE, **group}
    made = FleetTalk(make_vtn(clock), count, **options)
    made.clock = clock
    made.start()
    return made


def opts(it: FleetTalk, row: int = 0) -> list[CreateOpt | CancelOpt]:
    return [each for each in it.requests(row) if isinstance(each, CreateOpt | CancelOpt)]


def test_opts_are_created_and_taken_back_in_turn() -> None:
    it = talk()
    it.run(300)
    first, second, third, *_ = said = opts(it)
    assert [type(each) for each in said[:3]] == [CreateOpt, CancelOpt, CreateOpt]
    assert len(said) == 5
    assert (first.opt_id, second.opt_id, third.opt_id) == ("1", "1", "2")
    assert not it.errors
    assert {service for _, service, request, _ in it.said if b"Opt>" in request} == {"EiOpt"}
    assert (it.fleet.counters["opts_sent"], it.fleet.counters["opts_cancelled"]) == (3, 2)
    found = it.fleet.histograms
    assert found["create_opt"]["latency"].count == 3
    assert found["cancel_opt"]["latency"].count == 2
    (ven,) = it.services.vens.values()
    assert set(ven.opts) == {"3"}
    assert sum(isinstance(each, Poll) for each in it.requests()) == 30


def test_what_an_opt_says() -> None:
    it = talk()
    it.run(61)
    (request,) = [request for _, service, request, _ in it.said if service == "EiOpt"]
    message = decode(request)
    assert isinstance(message, CreateOpt)
    assert schema.is_valid(request)
    assert (message.opt_type, message.opt_reason, message.ven_id) == (
        "optOut",
        "x-schedule",
        "ven_1",
    )
    assert message.qualified_event_id is None
    assert message.vavailability is not None
    (period,) = message.vavailability.available
    assert period.duration.microseconds == 30 * MINUTE
    begins = period.dtstart.timestamp()
    assert begins % 60 == 0
    assert 0 <= begins - message.created_date_time.timestamp() <= 60


def test_every_ven_has_its_own_moment_and_a_share_has_none() -> None:
    it = talk(60, opts_share=0.5)
    it.run(60)
    counts = [len(opts(it, row)) for row in range(60)]
    assert set(counts) == {0, 1}
    assert 15 < sum(counts) < 45
    moments = sorted(
        int(opts(it, row)[0].created_date_time.timestamp()) - BEGIN // SECOND  # type: ignore[union-attr]
        for row in range(60)
        if counts[row]
    )
    assert moments[0] < 20
    assert moments[-1] > 40


def test_none_without_being_asked_for() -> None:
    it = talk(opts_every=0)
    it.run(200)
    assert opts(it) == []


def test_what_could_not_be_sent_is_tried_again() -> None:
    it = talk()
    it.run(1)
    fleet = it.fleet
    while True:
        due = fleet.next_due
        assert due is not None
        it.clock.now = due
        fleet.take_due(due, 1)
        if b"oadrCreateOpt" in fleet.compose(0, due):
            break
        it.exchange(0)
    fleet.give_up(0, ERROR_HTTP_5XX, due)
    assert fleet.counters["opts_sent"] == 0
    it.run((due - BEGIN) / SECOND + 15)
    assert [each.opt_id for each in opts(it)] == ["1"]
    assert fleet.counters["opts_sent"] == 1


def test_a_refused_opt_is_not_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    it = talk()
    it.run(1)
    handle = it.services.handle

    def refuse(service: str, data: bytes) -> bytes:
        if service == "EiOpt":
            return encode(CreatedOpt("1", EiResponse(454, "not today", "r")))
        return handle(service, data)

    monkeypatch.setattr(it.services, "handle", refuse)
    it.run(130)
    assert [(type(each), each.opt_id) for each in opts(it)] == [(CreateOpt, "1"), (CreateOpt, "2")]
    assert it.errors == [("oadr_454", "not today")] * 2
    assert it.fleet.counters["opts_sent"] == 0


def test_who_registers_anew_begins_with_a_new_opt() -> None:
    it = talk()
    it.run(61)
    assert [type(each) for each in opts(it)] == [CreateOpt]
    it.services.forget("ven_1")
    it.run(200)
    assert it.fleet.counters["registrations_lost"] == 1
    assert [(type(each), each.opt_id) for each in opts(it)[:3]] == [
        (CreateOpt, "1"),
        (CreateOpt, "2"),
        (CancelOpt, "2"),
    ]


def test_registering_again_changes_nothing_about_opts() -> None:
    it = talk()
    it.run(61)
    (ven,) = it.services.vens.values()
    ven.queue.append(RequestReregistration("ven_1"))
    it.run(125)
    assert it.fleet.counters["registrations"] == 2
    assert [type(each) for each in opts(it)] == [CreateOpt, CancelOpt]


def test_a_ven_that_stopped_sends_none() -> None:
    it = talk(reports=(metadata(),))
    it.run(1)
    it.fleet.stop(0, 1)
    assert it.fleet.next_due is None
