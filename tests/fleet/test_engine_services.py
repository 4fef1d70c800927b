"""The engine's 2.0b services: what a poll may bring, and what goes wrong."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from service_conversation import BEGIN, SECOND, Clock, FleetTalk, make_vtn, metadata, seconds

from oadr2 import decode, encode
from oadr2._core.fleet import ERROR_CLOSED, ERROR_HTTP_5XX, Fleet
from oadr2.errors import ConfigurationError
from oadr2.model import (
    CanceledPartyRegistration,
    CancelPartyRegistration,
    CreatedEvent,
    CreatedPartyRegistration,
    CreatedReport,
    CreatePartyRegistration,
    CreateReport,
    EiResponse,
    RegisteredReport,
    RegisterReport,
    ReportRequest,
    ReportSpecifier,
    RequestReregistration,
    Response,
    SpecifierPayload,
    SupportedProfile,
    UpdatedReport,
    UpdateReport,
)

PROFILES = (SupportedProfile("2.0b", ("simpleHttp",)),)


def talk(count: int = 1, *, vtn: dict[str, Any] | None = None, **group: Any) -> FleetTalk:
    clock = Clock()
    made = FleetTalk(make_vtn(clock, **(vtn or {})), count, **group)
    made.clock = clock
    made.start()
    return made


def reporting(**group: Any) -> FleetTalk:
    return talk(vtn={"report_every": seconds(20), "granularity": seconds(10)}, **group)


def queue(it: FleetTalk, message: Any, row: int = 0) -> None:
    registered = it.fleet.registration(row)
    assert registered is not None
    it.services.vens[registered[1]].queue.append(message)


def test_registers_announces_synchronises_and_polls() -> None:
    it = talk()
    it.run(25)
    assert it.names() == [
        "QueryRegistration",
        "CreatePartyRegistration",
        "RegisterReport",
        "RequestEvent",
        "Poll",
        "Poll",
    ]
    assert it.fleet.registered == 1
    assert it.fleet.registration(0) == ("registration-2", "ven_1")
    assert {service for _, service, _, _ in it.said} == {
        "EiRegisterParty",
        "EiReport",
        "EiEvent",
        "OadrPoll",
    }
    assert it.fleet.counters["registrations"] == 1
    assert it.fleet.counters["polls"] == 3  # the request for events is one


def test_the_query_may_be_left_out_and_the_id_agreed_on_before() -> None:
    it = talk(query=False, own_ids=True)
    it.run(1)
    first = it.requests()[0]
    assert isinstance(first, CreatePartyRegistration)
    assert (first.ven_name, first.ven_id) == ("ven_0", "ven_0")
    registered = it.fleet.registration(0)
    assert registered is not None
    assert registered[1] == "ven_0"


def test_polls_at_the_vtn_s_frequency() -> None:
    it = talk(vtn={"poll_freq": seconds(3)})
    it.run(30)
    assert it.names().count("Poll") == 10


def test_a_vtn_cannot_ask_for_more_than_a_poll_a_second() -> None:
    fleet = Fleet()
    fleet.add_group(1, profile="2.0b", register=True, query=False, poll_interval=SECOND // 10)
    fleet.start(0, 1, BEGIN, 0)
    fleet.take_due(BEGIN, 1)
    fleet.compose(0, BEGIN)
    ids = {"registration_id": "R", "ven_id": "V", "profiles": PROFILES}
    reply = CreatedPartyRegistration("vtn", EiResponse(200, "OK", "r"), **ids)
    quick = (
        encode(reply)
        .replace(
            b"</oadr:oadrProfiles>",
            b"</oadr:oadrProfiles><oadr:oadrRequestedOadrPollFreq><xcal:duration>PT0.01S</xcal:duration>"
            b"</oadr:oadrRequestedOadrPollFreq>",
        )
        .replace(
            b"<oadr:oadrPayload ",
            b'<oadr:oadrPayload xmlns:xcal="urn:ietf:params:xml:ns:icalendar-2.0" ',
        )
    )
    assert fleet.receive(0, quick, BEGIN) == 1
    for reply in (
        RegisteredReport(EiResponse(200, "OK", "r"), (), "V"),
        Response(EiResponse(200, "OK", "r"), "V", "2.0b"),
    ):
        fleet.compose(0, BEGIN)
        fleet.receive(0, encode(reply), BEGIN)
    due = fleet.next_due
    assert due is not None
    assert due >= BEGIN + SECOND


def test_everything_a_poll_may_bring_is_answered_at_its_service() -> None:
    it = talk()
    it.run(5)
    it.services.vtn.add_event("e", start="+60s", duration=600)
    specifier = ReportSpecifier("load", seconds(5), seconds(10), (SpecifierPayload("point_1"),))
    queue(it, CreateReport((ReportRequest("R", specifier),), "1", "ven_1"))
    queue(it, RegisterReport("2", (metadata(),), "ven_1"))
    queue(it, UpdateReport("3", (), "ven_1"))
    queue(it, RequestReregistration("ven_1"))
    it.run(19)
    told = [
        (service, type(message).__name__)
        for (_, service, _, _), message in zip(it.said, it.requests(), strict=True)
    ]
    begin = told.index(("EiEvent", "RequestEvent")) + 1
    assert [pair for pair in told[begin:] if pair[0] != "OadrPoll"][:8] == [
        ("EiEvent", "CreatedEvent"),
        ("EiReport", "CreatedReport"),
        ("EiReport", "RegisteredReport"),
        ("EiReport", "UpdatedReport"),
        ("EiRegisterParty", "Response"),
        ("EiRegisterParty", "CreatePartyRegistration"),
        ("EiReport", "RegisterReport"),
        ("EiEvent", "RequestEvent"),
    ]
    by_request = {
        message.response.request_id: message
        for message in it.requests()
        if isinstance(message, CreatedReport | RegisteredReport | UpdatedReport)
    }
    assert by_request["1"].pending_reports == ("R",)
    assert all(message.response.response_code == 200 for message in by_request.values())
    again = [m for m in it.requests() if isinstance(m, CreatePartyRegistration)][1]
    assert (again.registration_id, again.ven_id) == ("registration-2", "ven_1")
    assert not it.errors


def test_an_opt_out_is_told_under_the_id_the_vtn_gave() -> None:
    it = talk(opt_in=0.0)
    it.services.vtn.add_event("e", start="+60s", duration=600)
    it.run(15)
    created = [m for m in it.requests() if isinstance(m, CreatedEvent)]
    assert [(m.ven_id, m.event_responses[0].opt_type) for m in created] == [("ven_1", "optOut")]
    assert it.fleet.counters["replies_sent"] == 1


def test_a_vtn_that_forgot_us_is_registered_with_again() -> None:
    it = reporting()
    it.run(30)
    it.services.forget("ven_1")
    it.run(60)
    assert [name for name, _ in it.errors] == ["oadr_463"]
    assert it.fleet.registered == 1
    last = [m for m in it.requests() if isinstance(m, CreatePartyRegistration)][-1]
    assert last.registration_id is None
    assert last.ven_id is None
    assert it.fleet.counters["registrations_lost"] == 1
    assert it.fleet.counters["registrations"] == 2


def test_a_vtn_that_forgets_all_meets_no_stampede() -> None:
    it = talk(200, vtn={"poll_freq": seconds(100)})
    it.fleet.start(0, 200, it.clock.now, 100 * SECOND)
    it.run(100)
    for ven_id in it.services.vens:
        it.services.forget(ven_id)
    it.fleet.poll_at(0, 200, it.clock.now)
    it.run(100)
    assert it.fleet.registered == 0
    it.run(110)
    assert 10 < it.fleet.registered < 80
    it.run(201)
    assert it.fleet.registered == 200


def test_a_cancelled_ven_is_silent_until_it_is_started_again() -> None:
    it = reporting()
    it.run(5)
    it.services.cancel_registration("ven_1")
    it.run(100)
    answer = it.requests()[-1]
    assert isinstance(answer, CanceledPartyRegistration)
    assert (answer.registration_id, answer.ven_id) == ("registration-2", "ven_1")
    assert it.fleet.next_due is None
    assert it.fleet.registered == 0
    assert it.fleet.counters["registrations_cancelled"] == 1
    assert it.fleet.polling == it.fleet.registered == 0
    it.start()
    it.run(120)
    assert it.fleet.registered == 1


def test_a_cancellation_of_another_registration_is_refused() -> None:
    it = talk()
    it.run(5)
    queue(it, CancelPartyRegistration("somebody else's", "1", "ven_1"))
    it.run(30)
    answer = next(m for m in it.requests() if isinstance(m, CanceledPartyRegistration))
    assert answer.response.response_code == 452
    assert it.fleet.registered == 1


@pytest.mark.parametrize(
    "reply",
    [
        CreatedPartyRegistration("vtn", EiResponse(200, "OK", "r"), profiles=PROFILES),
        CreatedPartyRegistration("vtn", EiResponse(452, "no", "r"), profiles=PROFILES),
        Response(EiResponse(450, "no", "r"), None, "2.0b"),
        UpdatedReport(EiResponse(200, "OK", "r"), None, None),
    ],
    ids=["no ids", "refused", "refused by a response", "another message"],
)
def test_a_refused_registration_is_tried_again_within_the_interval(reply: Any) -> None:
    fleet = Fleet(seed=1)
    fleet.add_group(1, profile="2.0b", register=True, query=False, poll_interval=20 * SECOND)
    fleet.start(0, 1, BEGIN, 0)
    fleet.take_due(BEGIN, 1)
    fleet.compose(0, BEGIN)
    assert fleet.receive(0, encode(reply), BEGIN) < 0
    assert fleet.registration(0) is None
    due = fleet.next_due
    assert due is not None
    assert BEGIN < due <= BEGIN + 20 * SECOND
    fleet.take_due(due, 1)
    assert isinstance(decode(fleet.compose(0, due)), CreatePartyRegistration)


@pytest.mark.parametrize("error", [ERROR_CLOSED, ERROR_HTTP_5XX])
def test_a_report_that_cannot_be_sent_is_kept(error: int) -> None:
    it = reporting()
    it.run(15)
    due = it.fleet.next_due
    while due is not None and due < BEGIN + 20 * SECOND:
        due += SECOND
    it.clock.now = BEGIN + 20 * SECOND
    assert list(it.fleet.take_due(it.clock.now, 1)) == [0]
    first = decode(it.fleet.compose(0, it.clock.now))
    assert isinstance(first, UpdateReport)
    it.fleet.give_up(0, error, it.clock.now)
    due = it.fleet.next_due
    assert due is not None
    assert due > it.clock.now
    it.run(40)
    delivered = [m.reports[0] for m in it.requests() if isinstance(m, UpdateReport)]
    kept = first.reports[0].intervals
    assert delivered[0].intervals[: len(kept)] == kept
    moments = [i.dtstart for report in delivered for i in report.intervals]
    assert len(moments) == len(set(moments)) == 5  # at 0, 10, 20, 30 and 40 s, each once


def test_what_gathers_while_a_vtn_is_away_is_bounded() -> None:
    it = reporting()
    it.run(5)
    later = BEGIN + 30 * 86400 * SECOND
    it.clock.now = later
    it.fleet.take_due(later, 1)
    report = decode(it.fleet.compose(0, later))
    assert isinstance(report, UpdateReport)
    intervals = report.reports[0].intervals
    assert len(intervals) == 1000
    assert intervals[-1].dtstart is not None
    assert 0 <= later / SECOND - intervals[-1].dtstart.timestamp() < 10


def test_a_load_follows_its_curve_and_repeats() -> None:
    day = 86400 * SECOND
    midnight = BEGIN - BEGIN % day
    even = talk(load_curve=(1.0, 3.0), load_noise=0.0).fleet
    assert [even.load(0, 0, midnight + k * day // 4) for k in range(5)] == [1.0, 2.0, 3.0, 2.0, 1.0]
    noisy = [talk(3, load_curve=(2.0,), load_noise=0.5).fleet for _ in range(2)]
    values = [[f.load(row, point, BEGIN) for row in range(3) for point in range(2)] for f in noisy]
    assert values[0] == values[1]
    assert len(set(values[0])) == 6
    assert all(1.0 <= value <= 3.0 for value in values[0])


def test_events_only_stays_possible() -> None:
    fleet = Fleet()
    fleet.add_group(1, profile="2.0b", poll_interval=SECOND)
    fleet.start(0, 1, BEGIN, 0)
    fleet.take_due(BEGIN, 1)
    assert type(decode(fleet.compose(0, BEGIN))).__name__ == "RequestEvent"
    assert fleet.registration(0) is None
    assert "poll" not in fleet.histograms


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"profile": "2.0a"}, "2.0b"),
        ({"load_noise": 1.5}, "noise"),
        ({"reports": (metadata(), metadata())}, "two reports have the same reportSpecifierID"),
        ({"reports": (metadata(),) * 3}, "3 reports: a VEN announces 2 at most"),
        ({"opts_share": -0.1}, "opts_share"),
        ({"opts_every": -1}, "opts_every"),
        ({"opts_length": 0}, "opts_length"),
        ({"load_curve": ()}, "curve"),
        ({"load_curve": (float("nan"),)}, "curve"),
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any], named: str) -> None:
    fleet = Fleet()
    options: dict[str, Any] = {"profile": "2.0b", "reports": (metadata(),), **wrong}
    with pytest.raises(ConfigurationError, match=named):
        fleet.add_group(1, register=True, poll_interval=SECOND, **options)
    assert len(fleet) == 0


def test_an_idle_registered_fleet_makes_no_objects() -> None:
    it = talk(50)
    it.run(30)
    it.said.clear()
    rows = it.fleet.take_due(it.clock.now + 20 * SECOND, 50)
    idle = encode(Response(EiResponse(200, "OK", ""), "ven_1", "2.0b"))
    before = sys.getallocatedblocks()
    for row in rows:
        it.fleet.compose(row, it.clock.now)
        it.fleet.receive(row, idle, it.clock.now)
    kept = sys.getallocatedblocks() - before
    assert len(rows) == 50
    assert kept < 25  # one object for each row would be 50
