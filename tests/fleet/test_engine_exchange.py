"""One row's exchanges: what it sends, what becomes of what it receives, what is counted."""

from __future__ import annotations

import pytest
from payloads import START, distribute_event, document, event, response

import oadr2
from oadr2._core.fleet import (
    ERROR_CLOSED,
    ERROR_HTTP_5XX,
    ERROR_NAMES,
    ERROR_OADR,
    ERROR_SCHEMA,
    ERROR_TIMEOUT,
    ERROR_XML,
    SERVICE_EI_EVENT,
    Fleet,
)
from oadr2.errors import LocalProtocolError
from oadr2.model import CreatedEvent, RequestEvent
from oadr2.policy import VtnPolicy

SECOND = 1_000_000
NOW = int(START) * SECOND
NOTHING = distribute_event()
ONE = distribute_event(event("e1", 3))
OK = response()


def fleet_of(count: int = 1, **settings) -> Fleet:
    fleet = Fleet(seed=settings.pop("seed", 1))
    fleet.add_group(count, **{"poll_interval": 10 * SECOND, "jitter": 0.0} | settings)
    fleet.start(0, count, NOW, 0)
    return fleet


def sent(fleet: Fleet, row: int = 0, now: int = NOW):
    return oadr2.decode(fleet.compose(row, now))


def polled(fleet: Fleet, reply: bytes, now: int = NOW, row: int = 0) -> int:
    """Take the row, let it poll and receive this; what receive() says."""
    assert row in list(fleet.take_due(now, 1000))
    assert isinstance(sent(fleet, row, now), RequestEvent)
    return fleet.receive(row, reply, now)


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_a_poll_and_its_answer(profile):
    fleet = fleet_of(profile=profile)
    assert list(fleet.take_due(NOW, 9)) == [0]
    request = sent(fleet)
    assert (request.ven_id, request.profile) == ("ven_0", profile)
    assert fleet.service(0) == SERVICE_EI_EVENT
    assert fleet.receive(0, distribute_event(event("e1", 3), profile=profile), NOW) == 1
    answer = sent(fleet)
    assert (answer.ven_id, answer.profile) == ("ven_0", profile)
    assert [(a.event_id, a.modification_number, a.opt_type) for a in answer.event_responses] == [
        ("e1", 3, "optIn")
    ]
    assert fleet.receive(0, response(profile=profile), NOW) == 0
    assert fleet.next_due == NOW + 10 * SECOND
    assert [e.event_id for e in fleet.events(0)] == ["e1"]
    counters = fleet.counters
    assert (counters["polls"], counters["exchanges"]) == (1, 2)
    assert (counters["events_new"], counters["replies_sent"]) == (1, 1)
    assert fleet.errors == {}


@pytest.mark.parametrize("limit", [None, 7])
def test_the_reply_limit_is_the_policys(limit):
    fleet = fleet_of(policy=VtnPolicy(reply_limit=limit))
    fleet.take_due(NOW, 1)
    assert sent(fleet).reply_limit == limit


def test_an_event_that_wants_no_answer_ends_the_exchange():
    fleet = fleet_of()
    assert polled(fleet, distribute_event(event("e1", required="never"))) == 0
    assert fleet.counters["replies_sent"] == 0
    assert len(fleet.events(0)) == 1


@pytest.mark.parametrize("empty", [b"", b"\r\n "])
def test_an_empty_acknowledgement_is_one(empty):
    fleet = fleet_of()
    polled(fleet, ONE)
    fleet.compose(0, NOW)
    assert fleet.receive(0, empty, NOW) == 0
    assert fleet.counters["replies_sent"] == 1


BAD_REPLIES = [
    (b"", ERROR_XML, "xml", "empty"),
    (b"<html><body>It works!</body>", ERROR_XML, "xml", ""),
    (b"\x00\xff", ERROR_XML, "xml", ""),
    (ONE[:-20], ERROR_XML, "xml", ""),
    (document("oadrRequestEvent", ""), ERROR_SCHEMA, "schema", ""),
    (
        ONE.replace(b"<ei:vtnID>vtn</ei:vtnID>", b"<ei:vtnID><x/></ei:vtnID>"),
        ERROR_SCHEMA,
        "schema",
        "",
    ),
    (response(463, "not registered"), ERROR_OADR, "oadr_463", "not registered"),
    (distribute_event(response_code=500), ERROR_OADR, "oadr_500", "no description"),
    ('<?xml version="1.0" encoding="latin-1"?><a>ä'.encode("latin-1"), ERROR_XML, "xml", ""),
]


@pytest.mark.parametrize(("reply", "error", "name", "text"), BAD_REPLIES)
def test_a_bad_reply_to_a_poll(reply, error, name, text):
    fleet = fleet_of(2, poll_interval=100 * SECOND)
    for row in (0, 1):
        fleet.take_due(NOW, 1)
        fleet.compose(row, NOW)
        fleet.receive(row, ONE, NOW)
        fleet.compose(row, NOW)
        fleet.receive(row, OK, NOW)
    fleet.poll_at(0, 2, NOW + SECOND)
    now = NOW + SECOND
    assert polled(fleet, reply, now) == -error
    assert fleet.last_error()[0] == name
    assert text in fleet.last_error()[1]
    assert fleet.errors == {name: 1}
    assert [e.event_id for e in fleet.events(0)] == ["e1"]
    assert now < fleet.next_due <= now + 100 * SECOND
    # The other one has not noticed.
    fleet.compose(1, now)
    assert fleet.receive(1, ONE, now) == 1


def test_other_encodings_are_read():
    fleet = fleet_of()
    assert polled(fleet, ONE.decode().replace("UTF-8", "UTF-16").encode("utf-16")) == 1
    assert len(fleet.events(0)) == 1


@pytest.mark.parametrize(("reply", "error", "name", "text"), BAD_REPLIES[1:])
def test_a_bad_acknowledgement_is_counted_and_the_answer_not_sent_again(reply, error, name, text):
    fleet = fleet_of()
    polled(fleet, ONE)
    fleet.compose(0, NOW)
    assert fleet.receive(0, reply, NOW) in (-error, -ERROR_SCHEMA)
    assert sum(fleet.errors.values()) == 1
    assert fleet.counters["replies_sent"] == 0
    assert fleet.next_due == NOW + 10 * SECOND
    fleet.take_due(NOW + 10 * SECOND, 1)
    assert isinstance(sent(fleet), RequestEvent)


def test_a_list_that_is_not_for_us_changes_nothing_and_is_answered():
    fleet = fleet_of(vtn_ids=["other"])
    assert polled(fleet, ONE) == 1
    answer = sent(fleet)
    assert answer.response.response_code == 452
    assert fleet.events(0) == []


def test_targets_from_patterns_choose_the_row():
    fleet = fleet_of(
        3, group_ids=["all", "half-{n}"], resource_ids="r{n:02}", party_ids=["p"], first_number=5
    )
    lists = {
        "half-6": distribute_event(event(targets={"group_id": "half-6"})),
        "r07": distribute_event(event(targets={"resource_id": "r07"})),
        "ven_5": distribute_event(event(targets={"ven_id": "ven_5"})),
        "p": distribute_event(event(targets={"party_id": "p"})),
        "all": distribute_event(event(targets={"group_id": "all"})),
        "r7": distribute_event(event(targets={"resource_id": "r7"})),
    }
    takers = {"half-6": [1], "r07": [2], "ven_5": [0], "p": [0, 1, 2], "all": [0, 1, 2], "r7": []}
    for name, payload in lists.items():
        fleet = fleet_of(
            3,
            group_ids=["all", "half-{n}"],
            resource_ids="r{n:02}",
            party_ids=["p"],
            first_number=5,
        )
        for row in fleet.take_due(NOW, 9):
            fleet.compose(row, NOW)
            fleet.receive(row, payload, NOW)
        assert [row for row in range(3) if fleet.events(row)] == takers[name], name


# -- answers ----------------------------------------------------------------------------------------


def test_an_answer_waits_for_its_time_and_the_row_comes_due_for_it():
    fleet = fleet_of(answer_delay=(2 * SECOND, 4 * SECOND))
    assert polled(fleet, ONE) == 0
    due = fleet.next_due
    assert NOW + 2 * SECOND <= due <= NOW + 4 * SECOND
    fleet.take_due(due, 9)
    assert isinstance(sent(fleet, 0, due), CreatedEvent)
    assert fleet.receive(0, OK, due) == 0
    assert fleet.next_due == NOW + 10 * SECOND


def test_an_answer_goes_out_before_the_next_poll():
    """E13: also when its time has not come."""
    fleet = fleet_of(answer_delay=(60 * SECOND, 60 * SECOND))
    assert polled(fleet, ONE) == 0
    later = NOW + 10 * SECOND
    assert list(fleet.take_due(later, 9)) == [0]
    assert isinstance(sent(fleet, 0, later), CreatedEvent)
    assert fleet.receive(0, OK, later) == 1
    assert isinstance(sent(fleet, 0, later), RequestEvent)
    assert fleet.receive(0, NOTHING, later) == 0


def test_an_answer_that_could_not_be_sent_is_kept():
    fleet = fleet_of()
    polled(fleet, ONE)
    first = fleet.compose(0, NOW)
    fleet.give_up(0, ERROR_TIMEOUT, NOW)
    due = fleet.next_due
    assert NOW < due <= NOW + 10 * SECOND
    fleet.take_due(due, 1)
    assert fleet.compose(0, due) == first
    assert fleet.receive(0, OK, due) == 0
    assert (fleet.errors, fleet.counters["replies_sent"]) == ({"timeout": 1}, 1)


def test_a_vtn_that_takes_no_answers_still_gets_its_events_executed():
    fleet = fleet_of()
    polled(fleet, ONE)
    now = NOW
    kinds = []
    for _ in range(12):
        kinds.append(type(sent(fleet, 0, now)).__name__)
        if kinds[-1] == "RequestEvent":
            assert fleet.receive(0, ONE, now) == 1
            kinds.append(type(sent(fleet, 0, now)).__name__)
        fleet.give_up(0, ERROR_CLOSED, now)
        now = fleet.next_due
        fleet.take_due(now, 1)
    assert kinds.count("RequestEvent") >= 5


def test_a_silent_ven_polls_and_never_answers():
    fleet = fleet_of(silent=1.0)
    assert polled(fleet, ONE) == 0
    assert fleet.counters["replies_withheld"] == 1
    assert [e.event_id for e in fleet.events(0)] == ["e1"]


def test_a_duplicate_answer():
    fleet = fleet_of(duplicate=1.0)
    assert polled(fleet, ONE) == 1
    first = fleet.compose(0, NOW)
    assert fleet.receive(0, OK, NOW) == 1
    assert fleet.compose(0, NOW) == first
    assert fleet.receive(0, OK, NOW) == 0
    assert fleet.counters["replies_sent"] == 2


def answers_with(count: int = 40, **settings) -> list[tuple[str, CreatedEvent]]:
    """The answers of many VENs to the second list they get, and who sent them."""
    fleet = fleet_of(count, **settings)
    found = []
    for moment, request_id in ((NOW, "first"), (NOW + 10 * SECOND, "second")):
        found.clear()
        for row in fleet.take_due(moment, count):
            fleet.compose(row, moment)
            fleet.receive(row, distribute_event(event("e1", 3), request_id=request_id), moment)
            found.append((fleet.ven_id(row), sent(fleet, row, moment)))
            fleet.receive(row, OK, moment)
    assert len(found) == count
    return found


def test_stale_answers_carry_an_older_number_or_an_old_request_id():
    kinds = {
        (a.event_responses[0].modification_number, a.event_responses[0].request_id)
        for _, a in answers_with(stale=1.0)
    }
    assert kinds == {(2, "second"), (3, "first")}


def test_wrong_ids_are_another_vens_or_of_no_event():
    wrong_ven = wrong_event = 0
    for ven_id, answer in answers_with(wrong_ids=1.0):
        known = answer.event_responses[0].event_id == "e1"
        assert (answer.ven_id == ven_id) != known, "one of the two is wrong"
        wrong_ven += known
        wrong_event += not known
    assert wrong_ven
    assert wrong_event


def test_a_share_opts_in():
    fleet = fleet_of(1000, opt_in=0.25)
    opts = []
    for row in fleet.take_due(NOW, 1000):
        fleet.compose(row, NOW)
        fleet.receive(row, ONE, NOW)
        opts.append(sent(fleet, row).event_responses[0].opt_type)
    assert 200 < opts.count("optIn") < 300
    assert opts.count("optIn") + opts.count("optOut") == 1000


def test_a_change_of_mind_is_sent_at_once():
    fleet = fleet_of()
    polled(fleet, distribute_event(event("e1", 3, required="never"), request_id="r7"))
    fleet.set_opt(0, "e1", "optOut", NOW + SECOND)
    assert fleet.next_due == NOW + SECOND
    fleet.take_due(NOW + SECOND, 1)
    (answer,) = sent(fleet).event_responses
    assert (answer.opt_type, answer.request_id, answer.modification_number) == ("optOut", "r7", 3)
    assert fleet.receive(0, OK, NOW + SECOND) == 0
    assert fleet.level(0, NOW + SECOND) == (0.0, None)
    for event_id, opt in (("none", "optIn"), ("e1", "perhaps")):
        with pytest.raises(LocalProtocolError):
            fleet.set_opt(0, event_id, opt, NOW + SECOND)


# -- misuse -----------------------------------------------------------------------------------------


def test_calls_out_of_turn_are_refused_and_change_nothing():
    fleet = fleet_of()
    for call in (
        lambda: fleet.compose(0, NOW),
        lambda: fleet.receive(0, ONE, NOW),
        lambda: fleet.give_up(0, ERROR_TIMEOUT, NOW),
    ):
        with pytest.raises(ValueError, match="row 0"):
            call()
    fleet.take_due(NOW, 1)
    with pytest.raises(ValueError, match="row 0"):
        fleet.receive(0, ONE, NOW)
    fleet.compose(0, NOW)
    with pytest.raises(TypeError):
        fleet.receive(0, "text", NOW)
    for error in (0, 99, ERROR_OADR):
        with pytest.raises(ValueError, match="not an error"):
            fleet.give_up(0, error, NOW)
    assert fleet.receive(0, memoryview(ONE), NOW) == 1


def test_a_message_may_be_composed_again_for_another_connection():
    fleet = fleet_of()
    fleet.take_due(NOW, 1)
    assert fleet.compose(0, NOW) == fleet.compose(0, NOW)


# -- figures ----------------------------------------------------------------------------------------


def test_latency_from_the_sending_and_from_the_moment_it_was_due():
    fleet = fleet_of()
    fleet.take_due(NOW + 700, 1)
    fleet.compose(0, NOW + 1000)
    fleet.receive(0, ONE, NOW + 1500)
    fleet.compose(0, NOW + 1600)
    fleet.receive(0, OK, NOW + 2000)
    figures = fleet.histograms
    assert figures["request_event"]["latency"].max == 500
    assert figures["request_event"]["latency_from_intended"].max == 1500
    assert figures["created_event"]["latency"].max == 400
    assert figures["created_event"]["latency_from_intended"].max == 500
    assert figures["schedule_lag"].max == 1000


@pytest.mark.parametrize("told", ["by the event", "before", "after"])
def test_propagation(told):
    fleet = fleet_of(3)
    set_at = NOW + SECOND
    created = (NOW + SECOND) / SECOND
    if told == "before":
        created = START - 86400
        fleet.event_set_at("e1", 3, set_at)
    if told == "after":
        created = START - 86400
    payload = distribute_event(event("e1", 3, created=created))
    for row in fleet.take_due(NOW, 9):
        fleet.compose(row, NOW)
        fleet.receive(row, NOTHING, NOW)
    now = NOW + 10 * SECOND
    rows = list(fleet.take_due(now, 9))
    fleet.compose(rows[0], now)
    fleet.receive(rows[0], payload, now)
    if told == "after":  # the list was quicker than the word of it
        fleet.event_set_at("e1", 3, set_at)
    for row in rows[1:]:
        fleet.compose(row, now)
        fleet.receive(row, payload, now)
    for row in rows:
        fleet.compose(row, now + SECOND)
        fleet.receive(row, OK, now + SECOND)
    seen = fleet.histograms["propagation"]["seen"]
    acknowledged = fleet.histograms["propagation"]["acknowledged"]
    late = 1 if told == "after" else 0
    assert (seen.count, acknowledged.count) == (3 - late, 3 - late)
    assert (seen.min, acknowledged.max) == (9 * SECOND, 10 * SECOND)


def answered(fleet, reply, now):
    """Let row 0 poll, receive this and have its answer taken."""
    more = polled(fleet, reply, now)
    if more:
        fleet.compose(0, now)
        fleet.receive(0, OK, now)
    return more


@pytest.mark.parametrize("raised", [True, False])
def test_propagation_of_a_cancellation(raised):
    fleet = fleet_of()
    answered(fleet, NOTHING, NOW)
    answered(fleet, distribute_event(event("e1", 3, created=START - 60)), NOW + 10 * SECOND)
    number = 4 if raised else 3  # the moment of version 3 is that of the event
    fleet.event_set_at("e1", number, NOW + 13 * SECOND)
    cancelled = distribute_event(event("e1", number, status="cancelled", created=START - 60))
    assert answered(fleet, cancelled, NOW + 20 * SECOND) == 1
    propagation = fleet.histograms["propagation"]
    assert fleet.counters["events_cancelled"] == 1
    assert propagation["seen"].count == propagation["acknowledged"].count == raised
    assert propagation["seen"].max == propagation["acknowledged"].max == 7 * SECOND * raised


def test_the_end_of_a_running_event_brings_no_old_news():
    fleet = fleet_of()
    answered(fleet, NOTHING, NOW)
    fleet.event_set_at("e1", 3, NOW + SECOND)
    running = {"dtstart": START, "startafter": "PT1M"}
    answered(fleet, distribute_event(event("e1", 3, **running)), NOW + 10 * SECOND)
    fleet.advance(NOW + 90 * SECOND, 9)
    seen = fleet.histograms["propagation"]["seen"]
    assert (seen.count, seen.max) == (1, 9 * SECOND)
    fleet.poll_at(0, 1, NOW + 90 * SECOND)
    answered(fleet, NOTHING, NOW + 90 * SECOND)  # no longer listed: it ends within a minute
    assert fleet.counters["events_modified"] == 1
    assert fleet.histograms["propagation"]["seen"].count == 1


def test_events_set_before_a_spike_are_propagation_still():
    fleet = fleet_of()
    answered(fleet, NOTHING, NOW)
    fleet.event_set_at("e1", 3, NOW + SECOND)
    fleet.set_poll_interval(0, 1, 2 * SECOND)
    fleet.start(0, 1, NOW + 5 * SECOND, None)
    due = fleet.next_due
    answered(fleet, ONE, due)
    assert fleet.histograms["propagation"]["seen"].max == due - NOW - SECOND


def test_events_from_before_the_first_poll_are_no_propagation():
    fleet = fleet_of()
    polled(fleet, distribute_event(event("e1", 3, created=START - 1)))
    assert fleet.histograms["propagation"]["seen"].count == 0


def test_every_error_of_a_transport_is_counted_under_its_name():
    fleet = fleet_of()
    now = NOW
    for number in range(1, ERROR_OADR):
        fleet.poll_at(0, 1, now)
        fleet.take_due(now, 1)
        fleet.give_up(0, number, now)
        now += 1
    assert fleet.errors == dict.fromkeys(ERROR_NAMES[1:ERROR_OADR], 1)
    assert fleet.counters["exchanges"] == 3, "an HTTP error is an answer"
    assert ERROR_NAMES[ERROR_HTTP_5XX] == "http_5xx"


# -- time -------------------------------------------------------------------------------------------


def test_events_of_many_rows_start_step_and_end():
    fleet = fleet_of(100)
    payload = distribute_event(
        event("e1", dtstart=START + 60, duration="PT2M", intervals=[("PT1M", 1), ("PT1M", 2)])
    )
    for row in fleet.take_due(NOW, 100):
        fleet.compose(row, NOW)
        fleet.receive(row, payload, NOW)
    assert fleet.next_change == NOW + 60 * SECOND
    assert fleet.advance(NOW + 60 * SECOND - 1, 1000) == 0
    assert fleet.advance(NOW + 60 * SECOND, 30) == 30
    assert fleet.advance(NOW + 60 * SECOND, 1000) == 70
    assert fleet.level(7, NOW + 60 * SECOND) == (1.0, "e1")
    assert fleet.next_change == NOW + 120 * SECOND
    assert fleet.advance(NOW + 180 * SECOND, 1000) == 100
    counters = fleet.counters
    names = ("events_started", "events_stepped", "events_completed")
    assert [counters[name] for name in names] == [100, 0, 100]
    assert fleet.level(7, NOW + 180 * SECOND) == (0.0, None)
    assert fleet.events(7) == []
