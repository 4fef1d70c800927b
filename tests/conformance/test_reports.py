"""Statements about EiReport (facts.md 6.7), played message by message."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from conversation import NOTHING, OK, Conversation, created, seconds

import oadr2
from oadr2.errors import ConfigurationError, RemoteProtocolError, TransportError
from oadr2.event import EventHandler
from oadr2.model import (
    CanceledPartyRegistration,
    CanceledReport,
    CancelPartyRegistration,
    CancelReport,
    CreatedReport,
    CreatePartyRegistration,
    CreateReport,
    EiResponse,
    Period,
    Poll,
    RegisteredReport,
    RegisterReport,
    ReportRequest,
    ReportSpecifier,
    RequestEvent,
    ResourceStatus,
    SamplingRate,
    SpecifierPayload,
    Unit,
    UpdatedReport,
    UpdateReport,
)
from oadr2.policy import VtnPolicy
from oadr2.schedule import Duration
from oadr2.services.report_source import (
    NO_VALUE,
    PREVIOUS_VALUE,
    RESOURCE_STATUS,
    ReportPoint,
    ReportSource,
)
from oadr2.services.state import MemoryState

ZERO = Duration()
POWER = Unit("powerReal", "RealPower", "W", "none", hertz=60.0, voltage=220.0, ac=True)


def request(r_id, specifier, points, *, step=ZERO, back=ZERO, start=None, length=ZERO):
    payloads = tuple(SpecifierPayload(point) for point in points)
    span = None if start is None else Period(datetime.fromtimestamp(start, UTC), length)
    return ReportRequest(r_id, ReportSpecifier(specifier, step, back, payloads, span))


def one_shot(r_id, specifier, *points):
    return request(r_id, specifier, points)


class Meter:
    """Reads 1, 2, 3 ...; a test may put something else next."""

    def __init__(self):
        self.count = 0
        self.next = None

    def __call__(self):
        self.count += 1
        if isinstance(self.next, Exception):
            raise self.next
        return float(self.count) if self.next is None else self.next


@pytest.fixture
def meter():
    return Meter()


@pytest.fixture
def sources(meter):
    rate = SamplingRate(seconds(2), seconds(3600))
    power = ReportPoint("power", meter, unit=POWER, sampling_rate=rate, resource_id="pump")
    other = ReportPoint("other", lambda: 5.0, unit=POWER, sampling_rate=rate)
    status = ReportPoint(
        "state",
        lambda: ResourceStatus(online=True, manual_override=False),
        RESOURCE_STATUS,
        "x-notApplicable",
    )
    return (
        ReportSource("usage", (power, other)),
        ReportSource("status", (status,), "TELEMETRY_STATUS"),
        ReportSource("history", (power,), "HISTORY_USAGE", history=seconds(60)),
    )


@pytest.fixture
def talk(sources):
    conversation = Conversation(sources=sources)
    conversation.registers()
    return conversation


def ask(talk, *requests):
    """Ask by a poll; the oadrCreatedReport."""
    talk.polls(CreateReport(requests, "q7"))
    answer = talk.hears(CreatedReport, "EiReport")
    talk.says(NOTHING)
    return answer


def delivered(talk, reply=None):
    message = talk.hears(UpdateReport, "EiReport")
    talk.says(UpdatedReport(OK) if reply is None else reply)
    return message.reports[0]


# -- announcing -----------------------------------------------------------------------------------


def test_D01_reports_are_registered_even_when_there_are_none():
    talk = Conversation()
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    message = talk.hears(RegisterReport, "EiReport")
    assert message.reports == ()


@pytest.fixture
def metadata(sources):
    talk = Conversation(sources=sources)
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    return {r.report_specifier_id: r for r in talk.hears(RegisterReport).reports}


def test_D02_names_request_id_and_duration_of_metadata(metadata):
    assert {name: report.report_name for name, report in metadata.items()} == {
        "usage": "METADATA_TELEMETRY_USAGE",
        "status": "METADATA_TELEMETRY_STATUS",
        "history": "METADATA_HISTORY_USAGE",
    }
    assert {report.report_request_id for report in metadata.values()} == {"0"}
    assert metadata["history"].duration == seconds(60)
    assert all(report.duration for report in metadata.values())


def test_D03_metadata_has_no_intervals(metadata):
    assert [report.intervals for report in metadata.values()] == [()] * 3


def test_D04_points_have_types_and_units(metadata):
    power, other = metadata["usage"].report_descriptions
    assert (power.r_id, power.report_type, power.reading_type) == ("power", "usage", "Direct Read")
    assert power.unit == POWER
    assert power.report_data_source.resource_ids == ("pump",)
    assert other.unit == POWER
    (state,) = metadata["status"].report_descriptions
    assert (state.report_type, state.unit) == ("x-resourceStatus", None)


def test_D04_a_usage_point_without_a_unit_cannot_be_declared():
    with pytest.raises(ConfigurationError, match="'power' needs a unit"):
        ReportSource("usage", (ReportPoint("power", lambda: 1.0),))


def test_D05_requests_inside_oadrRegisteredReport_are_taken_and_confirmed(sources):
    talk = Conversation(sources=sources)
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    talk.hears(RegisterReport)
    talk.says(RegisteredReport(EiResponse(200, "OK", "q3"), (one_shot("a", "usage", "power"),)))
    answer = talk.hears(CreatedReport, "EiReport")
    assert (answer.response.response_code, answer.response.request_id) == (200, "q3")
    assert answer.pending_reports == ("a",)


def test_D06_nothing_is_confirmed_when_nothing_was_requested(sources):
    talk = Conversation(sources=sources)
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    talk.hears(RegisterReport)
    talk.says(RegisteredReport(OK))
    talk.hears(RequestEvent)


# -- being asked ----------------------------------------------------------------------------------


def test_D07_the_answer_lists_what_is_pending(talk):
    back = seconds(60)
    assert ask(talk, request("a", "usage", ["power"], back=back)).pending_reports == ("a",)
    answer = ask(talk, request("b", "usage", ["other"], back=back))
    assert answer.pending_reports == ("a", "b")
    assert (answer.response.response_code, answer.response.request_id) == (200, "q7")


def test_D08_a_one_shot_request_is_served_once(talk, meter):
    ask(talk, one_shot("a", "usage", "power"))
    report = delivered(talk)
    assert [p.value for i in report.intervals for p in i.payloads] == [float(meter.count)]
    talk.goes_on(3600)
    talk.hears(Poll)
    assert talk.ven.reports.pending == ()


def test_D08_a_one_shot_request_does_not_wait_for_a_clock_that_is_set_back(talk):
    push = oadr2.encode(CreateReport((one_shot("a", "usage", "power"),), "q", "ven_9"))
    talk.ven.receive_push(push, "EiReport", talk.now)
    talk.clock.now -= 7200
    talk.ven.shift_clock(-7200)
    assert delivered(talk).report_request_id == "a"


def test_D08_a_one_shot_status_report(talk):
    ask(talk, one_shot("a", "status", "state"))
    (interval,) = delivered(talk).intervals
    assert interval.payloads[0].resource_status == ResourceStatus(
        online=True, manual_override=False
    )


def test_D09_a_periodic_request_keeps_its_periods(talk):
    begin = talk.now + 30
    ask(
        talk,
        request(
            "a",
            "usage",
            ["power"],
            step=seconds(5),
            back=seconds(15),
            start=begin,
            length=seconds(45),
        ),
    )
    reports = []
    while talk.ven.reports.pending or talk.ven.reports.waiting:
        talk.clock.now = max(talk.now, talk.ven.next_deadline)
        if isinstance(talk.next(), UpdateReport):
            reports.append((talk.now - begin, delivered(talk)))
        elif talk.action is not None:
            talk.says(NOTHING)
    assert [at for at, _ in reports] == [15, 30, 45]
    times = [i.dtstart.timestamp() - begin for _, report in reports for i in report.intervals]
    assert times == [0, 5, 10, 15, 20, 25, 30, 35, 40]
    assert {i.duration for _, report in reports for i in report.intervals} == {seconds(5)}


def test_D09_without_an_end_it_goes_on_until_cancelled(talk):
    ask(talk, request("a", "usage", ["power"], back=seconds(100), start=talk.now))
    for _ in range(3):
        talk.goes_on(100)
        assert len(delivered(talk).intervals) == 1
        while isinstance(talk.next(), Poll):
            talk.says(NOTHING)
    assert talk.ven.reports.pending == ("a",)


def test_D09_after_a_gap_one_sample_is_taken_and_the_grid_kept(talk, meter):
    begin = talk.now
    ask(talk, request("a", "usage", ["power"], step=seconds(10), back=seconds(1000), start=begin))
    before = meter.count
    talk.goes_on(507)
    talk.next()
    running = talk.ven.reports._running["a"]
    last = running.samples[-1].at
    assert (last - begin) % 10 == 0
    assert 0 <= talk.now - last < 10
    assert running.next_sample == last + 10
    assert meter.count - before <= 3  # one for this request, and those of the history


def test_D10_history_comes_from_the_buffer_in_one_go(talk):
    begin = talk.now
    for _ in range(20):
        talk.goes_on(1)
        if talk.next() is not None:
            talk.says(NOTHING)
    ask(
        talk,
        request("a", "history", ["power"], step=seconds(5), start=begin + 5, length=seconds(10)),
    )
    report = delivered(talk)
    assert report.report_name == "HISTORY_USAGE"
    times = [interval.dtstart.timestamp() - begin for interval in report.intervals]
    assert len(times) == 2
    assert all(5 <= at < 15 for at in times)
    assert all(later - earlier >= 5 for earlier, later in pairwise(times))
    assert talk.ven.reports.pending == ()


def test_D11_metadata_is_sent_again_when_asked_for(talk):
    ask(talk, request("a", "METADATA", ["METADATA"]))
    message = talk.hears(RegisterReport, "EiReport")
    assert len(message.reports) == 3


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(one_shot("b", "unknown", "power"), id="specifier"),
        pytest.param(one_shot("b", "usage", "unknown"), id="rID"),
        pytest.param(one_shot("b", "usage", "state"), id="rID of another report"),
        pytest.param(request("b", "usage", ["power"], back=Duration(months=1)), id="months"),
        pytest.param(
            request("b", "usage", ["power"], step=seconds(1), back=seconds(9)), id="too fast"
        ),
        pytest.param(request("b", "usage", ["power"], start=4e9), id="never"),
    ],
)
def test_D12_what_cannot_be_served_is_refused_and_nothing_scheduled(talk, wrong):
    answer = ask(talk, one_shot("a", "usage", "power"), wrong)
    assert answer.response.response_code in (452, 454, 461)
    assert answer.pending_reports == ()
    talk.goes_on(10)
    talk.hears(Poll)


def test_D12_so_are_too_many(sources):
    talk = Conversation(sources=sources)
    talk.registers()
    many = [request(str(i), "usage", ["power"], back=seconds(60)) for i in range(101)]
    answer = ask(talk, *many)
    assert answer.response.response_code == 461
    assert answer.pending_reports == ()


# -- delivering -----------------------------------------------------------------------------------


def test_D13_what_a_data_report_carries(talk):
    ask(talk, one_shot("a", "usage", "power"))
    report = delivered(talk)
    assert (report.report_request_id, report.report_specifier_id) == ("a", "usage")
    assert report.report_name == "TELEMETRY_USAGE"
    assert report.dtstart is not None
    assert report.intervals


def test_D14_a_report_begins_with_its_first_interval(talk):
    ask(talk, request("a", "usage", ["power"], step=seconds(5), back=seconds(20), start=talk.now))
    talk.clock.now += 20
    report = delivered(talk)
    assert report.dtstart == report.intervals[0].dtstart


@pytest.mark.parametrize("points", [["power"], ["other"], ["power", "other"], ["other", "power"]])
def test_D15_the_points_asked_for_and_no_others(talk, points):
    ask(talk, one_shot("a", "usage", *points))
    (interval,) = delivered(talk).intervals
    assert [payload.r_id for payload in interval.payloads] == points


def test_D15_each_in_an_interval_of_its_own_where_the_policy_says_so(sources):
    policy = VtnPolicy(one_payload_per_interval=True)
    handler = EventHandler("ven_local", oadr_profile_level="2.0b", policy=policy, seed=1)
    talk = Conversation(handler, sources=sources)
    talk.registers()
    ask(talk, one_shot("a", "usage", "power", "other"))
    intervals = delivered(talk).intervals
    assert [[p.r_id for p in interval.payloads] for interval in intervals] == [["power"], ["other"]]
    assert intervals[0].dtstart == intervals[1].dtstart


def test_D16_status_points_carry_a_status(talk):
    ask(talk, one_shot("a", "status", "state"))
    (interval,) = delivered(talk).intervals
    (payload,) = interval.payloads
    assert payload.value is None
    assert payload.resource_status.online is True
    assert payload.resource_status.manual_override is False
    assert interval.dtstart is not None
    assert interval.duration is None


def test_a_point_that_cannot_be_read_says_so_and_spoils_nothing(talk, meter):
    for broken in (OSError("gone"), float("nan")):
        meter.next = broken
        ask(talk, one_shot("a", "usage", "power", "other"))
        power, other = delivered(talk).intervals[0].payloads
        assert power.data_quality in (PREVIOUS_VALUE, NO_VALUE)
        assert (other.value, other.data_quality) == (5.0, None)


# -- cancelling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("to_follow", [False, True])
def test_D17_a_cancelled_report_stops_with_a_last_one_if_wanted(talk, to_follow):
    step, back = seconds(5), seconds(1000)
    ask(
        talk,
        request("a", "usage", ["power"], step=step, back=back, start=talk.now),
        request("b", "usage", ["other"], back=back),
    )
    talk.polls(CancelReport(("a",), to_follow, "q8"))
    answer = talk.hears(CanceledReport, "EiReport")
    assert (answer.response.response_code, answer.response.request_id) == (200, "q8")
    assert answer.pending_reports == ("b",)
    talk.says(b"")
    if to_follow:
        report = delivered(talk)
        assert report.report_request_id == "a"
        assert report.intervals
    assert talk.ven.reports.pending == ("b",)
    assert not talk.ven.reports.waiting


def test_D17_a_report_cancelled_while_it_is_under_way_is_not_told_as_the_next(talk):
    ask(talk, one_shot("a", "usage", "power"), one_shot("b", "usage", "power"))
    assert talk.hears(UpdateReport).reports[0].report_request_id == "a"
    talk.ven.receive_push(oadr2.encode(CancelReport(("a",), False, "q")), "EiReport", talk.now)
    told = talk.told.count("delivered")
    talk.says(UpdatedReport(OK))
    assert talk.told.count("delivered") == told
    assert delivered(talk).report_request_id == "b"
    assert talk.told.count("delivered") == told + 1


def test_D17_an_unknown_one_is_refused(talk):
    talk.polls(CancelReport(("x",), False, "q8"))
    assert talk.hears(CanceledReport).response.response_code == 452


def test_D18_one_cancelled_inside_oadrUpdatedReport_stops_unconfirmed(talk):
    ask(talk, request("a", "usage", ["power"], back=seconds(100), start=talk.now))
    talk.goes_on(100)
    delivered(talk, UpdatedReport(OK, CancelReport(("a",), False, "q9")))
    assert talk.ven.reports.pending == ()
    assert not isinstance(talk.next(), CanceledReport)


def test_D19_new_metadata_ends_all_requests(talk):
    ask(talk, request("a", "usage", ["power"], back=seconds(100)))
    talk.ven.register()
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    talk.hears(RegisterReport)
    talk.says(RegisteredReport(OK))
    assert talk.ven.reports.pending == ()


def test_D20_the_VTNs_own_reports_are_agreed_to(talk):
    talk.polls(RegisterReport("q5"))
    answer = talk.hears(RegisteredReport, "EiReport")
    assert (answer.response.response_code, answer.response.request_id) == (200, "q5")
    assert answer.report_requests == ()


# -- what must not be lost ------------------------------------------------------------------------


def test_D22_what_cannot_be_delivered_waits_for_the_VTN(sources):
    state = MemoryState()
    talk = Conversation(sources=sources, state=state)
    talk.registers()
    ask(talk, request("a", "usage", ["power"], back=seconds(60), start=talk.now))
    for _ in range(6):
        talk.goes_on(60)
        talk.next()
        if talk.action is not None:
            talk.ven.failed(talk.action, TransportError("gone"), talk.now)
    assert talk.ven.reports.waiting == 6
    again = Conversation(sources=sources, state=state)  # the process was killed meanwhile
    assert again.ven.reports.pending == ("a",)
    assert again.ven.reports.waiting == 6


def test_D22_beyond_its_bound_the_oldest_is_dropped_and_that_is_said(sources, caplog):
    from oadr2.services.report import Reports  # noqa: PLC0415  its bound is not the VEN's to set

    reports = Reports(sources, MemoryState(), max_waiting=2)
    assert (
        reports.request((request("a", "usage", ["power"], back=seconds(10)),), 1e9).response_code
        == 200
    )
    for i in range(1, 5):
        reports.advance(1e9 + 10 * i)
    assert reports.waiting == 2
    oldest = reports.due()
    assert oldest is not None
    assert oldest.report.created_date_time.timestamp() == 1e9 + 30
    assert "the oldest is dropped" in caplog.text


def test_a_report_that_the_VTN_refuses_is_not_sent_twice(talk):
    ask(talk, one_shot("a", "usage", "power"))
    talk.hears(UpdateReport)
    with pytest.raises(RemoteProtocolError, match="452"):
        talk.says(UpdatedReport(EiResponse(452, "unknown", "")))
    assert not talk.ven.reports.waiting


def test_requests_for_points_that_are_gone_are_given_up_at_the_restart(sources, caplog):
    state = MemoryState()
    talk = Conversation(sources=sources, state=state)
    talk.registers()
    ask(talk, request("a", "usage", ["power"], back=seconds(60)))
    again = Conversation(sources=sources[1:], state=state)
    assert again.ven.reports.pending == ()
    assert "no longer configured" in caplog.text


def test_D21_reportBackDuration_is_read_nested_and_as_plain_text():
    message = CreateReport((request("a", "usage", ["power"], back=seconds(60)),), "q")
    data = oadr2.encode(message)
    nested = b"<xcal:duration>PT1M</xcal:duration></ei:reportBackDuration>"
    assert nested in data
    plain = data.replace(nested, b"PT1M</ei:reportBackDuration>")
    for variant in (data, plain):
        (asked,) = oadr2.decode(variant).report_requests
        assert asked.report_specifier.report_back_duration == seconds(60)


def test_a_report_that_the_VTN_fails_over_does_not_hold_up_the_others(talk):
    ask(talk, one_shot("a", "status", "state"), one_shot("b", "usage", "power"))
    sent = []
    for _ in range(3):
        while not isinstance(message := talk.next(), UpdateReport):
            if talk.action is None:
                talk.clock.now = talk.ven.next_deadline
            else:
                talk.says(NOTHING)
        sent.append(message.reports[0].report_request_id)
        if sent[-1] == "a":
            talk.ven.failed(talk.action, TransportError("HTTP 500", status=500), talk.now)
        else:
            talk.says(UpdatedReport(OK))
    assert sent == ["a", "b", "a"]


# -- a network that loses, and a process that is killed -------------------------------------------


def test_D07_a_request_that_is_repeated_keeps_what_was_gathered(talk):
    """Its answer was lost, so the VTN asks once more: the readings until then count."""
    begin = talk.now
    asked = request("a", "usage", ["power"], step=seconds(5), back=seconds(40), start=begin)
    ask(talk, asked)
    ask(talk, asked)
    while not isinstance(talk.next(), UpdateReport):
        if talk.action is None:
            talk.clock.now = talk.ven.next_deadline
        else:
            talk.says(NOTHING)
    times = [i.dtstart.timestamp() - begin for i in delivered(talk).intervals]
    assert times == [10, 15, 20, 25, 30, 35, 40]  # it was asked for at 10


def test_D09_nothing_is_read_for_a_time_after_the_end(talk):
    begin = talk.now
    span = {"start": begin, "length": seconds(20)}
    ask(talk, request("a", "usage", ["power"], step=seconds(5), back=seconds(20), **span))
    talk.goes_on(1000)  # the process slept
    report = delivered(talk)
    assert [i.dtstart.timestamp() - begin for i in report.intervals] == [10]
    assert talk.ven.reports.pending == ()


@pytest.mark.parametrize("status", [None, 503])
def test_D09_points_are_read_while_the_VTN_is_away_or_does_not_register_us(talk, status):
    begin = talk.now + 10
    ask(talk, request("a", "usage", ["power"], step=seconds(5), back=seconds(20), start=begin))
    talk.ven.register()
    talk.hears(CreatePartyRegistration)
    talk.ven.failed(talk.action, TransportError("gone", status=status, retry_after=60), talk.now)
    talk.ven._tries.not_before += 60 if status is None else 0
    for moment in (5, 10, 15, 20):
        while talk.now < begin + moment:
            talk.clock.now = max(talk.now, talk.ven.next_deadline)
            message = talk.next()
            assert not isinstance(message, CreatePartyRegistration)
            if isinstance(message, Poll):  # it goes on under the registration that it has
                talk.says(NOTHING)
    (report,) = talk.ven.reports._waiting.values()
    assert [i.dtstart.timestamp() - begin for i in report.intervals] == [0, 5, 10, 15, 20]


def test_D09_a_gap_that_ends_when_a_report_is_due_brings_one_report(talk):
    begin = talk.now + 10
    ask(talk, request("a", "usage", ["power"], step=seconds(5), back=seconds(20), start=begin))
    assert talk.now == begin
    talk.goes_on(40)
    talk.hears(UpdateReport)
    talk.next()
    assert talk.ven.reports.waiting == 1


def test_D11_METADATA_that_were_promised_are_sent_after_a_kill(sources):
    state = MemoryState()
    talk = Conversation(sources=sources, state=state)
    talk.registers()
    ask(talk, request("a", "METADATA", ["METADATA"]))
    Conversation(sources=sources, state=state).hears(RegisterReport, "EiReport")


def test_D11_METADATA_asked_for_in_the_reply_to_them_are_not_sent_twice(sources):
    state = MemoryState()
    talk = Conversation(sources=sources, state=state)
    asked = request("a", "METADATA", ["METADATA"])
    talk.registers(RegisteredReport(OK, (asked,)))
    Conversation(sources=sources, state=state).hears(RequestEvent)


def test_D13_history_that_is_not_kept_is_told_as_such(talk):
    begin = talk.now - 7200
    ask(talk, request("a", "history", ["power"], start=begin, length=seconds(60)))
    (interval,) = delivered(talk).intervals
    assert interval.dtstart.timestamp() == begin
    assert [(p.r_id, p.data_quality) for p in interval.payloads] == [("power", NO_VALUE)]


@pytest.mark.parametrize("to_follow", [False, True])
def test_D17_what_waits_of_a_cancelled_report_goes_only_if_it_is_to_follow(talk, to_follow):
    ask(talk, request("a", "usage", ["power"], back=seconds(60), start=talk.now))
    talk.goes_on(60)
    talk.hears(UpdateReport)
    talk.ven.failed(talk.action, TransportError("HTTP 500", status=500), talk.now)
    talk.polls(CancelReport(("a",), to_follow, "q8"))
    talk.hears(CanceledReport)
    talk.says(NOTHING)
    assert talk.ven.reports.waiting == (2 if to_follow else 0)


def test_D17_a_report_that_is_cancelled_twice_in_one_message_has_one_last_report(talk):
    ask(talk, request("a", "usage", ["power"], back=seconds(60), start=talk.now))
    talk.polls(CancelReport(("a", "a"), True, "q8"))
    talk.hears(CanceledReport)
    assert talk.ven.reports.waiting == 1


def test_D19_a_request_that_overtakes_the_reply_to_METADATA_goes_on(sources):
    """Over push the VTN asks on one connection while its reply is on its way on another."""
    state = MemoryState()
    talk = Conversation(sources=sources, state=state)
    talk.registers()
    ask(talk, request("before", "usage", ["power"], back=seconds(60)))
    talk.ven.register()
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    talk.hears(RegisterReport)
    after = request("after", "usage", ["power"], back=seconds(60))
    talk.ven.receive_push(oadr2.encode(CreateReport((after,), "q")), "EiReport", talk.now)
    talk.says(RegisteredReport(OK))
    assert talk.ven.reports.pending == ("after",)
    assert Conversation(sources=sources, state=state).ven.reports.pending == ("after",)


def test_a_report_is_not_lost_on_a_VTN_that_forgot_us(talk):
    ask(talk, one_shot("a", "usage", "power"))
    talk.hears(UpdateReport)
    with pytest.raises(RemoteProtocolError, match="463"):
        talk.says(UpdatedReport(EiResponse(463, "who?", "")))
    talk.hears(CreatePartyRegistration)
    talk.says(created())
    talk.hears(RegisterReport)
    talk.says(RegisteredReport(OK))
    talk.hears(RequestEvent)
    talk.says(NOTHING)
    talk.goes_on(5)
    assert delivered(talk).report_request_id == "a"


def test_a_registration_that_ends_takes_its_reports_with_it(talk):
    ask(talk, one_shot("a", "usage", "power"))
    talk.hears(UpdateReport)
    talk.ven.failed(talk.action, TransportError("HTTP 500", status=500), talk.now)
    talk.ven.cancel_registration()
    talk.hears(CancelPartyRegistration)
    talk.says(CanceledPartyRegistration(OK, "reg_1", "ven_9"))
    assert talk.ven.reports.waiting == 0
