"""What VTNs in the field do, line by line of field-notes.md section 1."""

from __future__ import annotations

import re

import pytest
from payloads import START, distribute_event, event, interval, response, signal
from polling import run_loop
from scripted_vtn import Close, Reset, ScriptedVtn, reply
from vens import BEFORE, HOUR, MINUTE, Answer, Sent

from oadr2.errors import ConfigurationError, RemoteProtocolError, TransportError
from oadr2.policy import VtnPolicy
from oadr2.schedule import Duration, parse_duration

GOOD = Answer("e1", 0, 200, "optIn")


# -- envelope -------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["ns2", "ns14", "p1", "d3p1", "x"])
def test_field_note_01_generated_prefixes_and_declarations_nobody_uses(ven, prefix):
    text = ven.message(event()).decode()
    text = re.sub(r"(</?)ei:", rf"\1{prefix}:", text)
    text = text.replace("ei:schemaVersion", f"{prefix}:schemaVersion")
    text = text.replace("xmlns:ei=", f"xmlns:{prefix}=")
    unused = " ".join(f'xmlns:u{i}="urn:unused:{i}"' for i in range(40))
    text = text.replace("<xcal:components/>", f"<xcal:components {unused}/>")
    assert Sent(ven.deliver(text.encode())).answers == [GOOD]


def test_field_note_01_a_default_namespace_on_each_element(ven):
    text = ven.message(event()).decode()
    uris = dict(re.findall(r'xmlns:(\w+)="([^"]*)"', text))
    text = re.sub(r"<(\w+):([\w-]+)", lambda m: f'<{m[2]} xmlns="{uris[m[1]]}"', text)
    text = re.sub(r"</\w+:", "</", text)
    assert Sent(ven.deliver(text.encode())).answers == [GOOD]


@pytest.mark.parametrize("profile", ["2.0b"])
@pytest.mark.parametrize("sends", [True, False])
@pytest.mark.parametrize("wants", [True, False])
def test_field_note_02_wrapped_or_bare(new_ven, sends, wants):
    ven = new_ven(policy=VtnPolicy(wrap_20b=wants))
    sent = ven.answer_to(event(), wrap=sends)
    assert sent.answers == [GOOD]
    assert sent.wrapped is wants


BODIES = {
    "empty": reply(b""),
    "empty, no type": reply(b"", content_type=None),
    "an oadrResponse": reply(response()),
    "an XML error page": reply(b"<error code='5'/>", "500 Oops"),
    "an HTML error page": reply(b"<html>&nbsp;<br></html>", "502 Bad Gateway", "text/html"),
    "HTML with 200": reply(b"<html>&nbsp;<br></html>", content_type="text/html"),
    "bytes after the end": reply(distribute_event() + b"\x00 more"),
    "another root after the end": reply(distribute_event() + distribute_event()),
}


@pytest.mark.parametrize("what", BODIES)
def test_field_note_05_odd_replies_cost_no_event(handler, profile, what):
    events = reply(distribute_event(event(), profile=profile))
    with ScriptedVtn(events, reply(b""), BODIES[what], events, reply(b"")) as vtn:
        asked, errors = run_loop(handler, vtn, 3, poll_interval=60.0)
    assert len(asked) == 3
    assert len(errors) == (what != "an oadrResponse")
    assert handler.get_event("e1") is not None


def test_field_note_05_a_wrong_content_type_does_not_hide_a_list(handler, profile):
    body = distribute_event(event(), profile=profile)
    with ScriptedVtn(reply(body, content_type="text/html"), reply(b"")) as vtn:
        _, errors = run_loop(handler, vtn, 1)
    assert errors == []
    assert handler.get_event("e1") is not None


def test_field_note_06_the_other_profile(ven):
    other = {"2.0a": "2.0b", "2.0b": "2.0a"}[ven.profile]
    sent = ven.answer_to(event(), profile=other)
    assert sent.profile == other
    assert sent.answers == [GOOD]


def reverse_children(data, name):
    """The same message with the children of one element in the opposite order."""
    from lxml import etree  # noqa: PLC0415

    root = etree.fromstring(data)
    found = [e for e in root.iter("*") if etree.QName(e).localname == name]
    assert found
    for parent in found:
        parent[:] = parent[::-1]
    return etree.tostring(root)


@pytest.mark.parametrize(
    "name",
    [
        "oadrDistributeEvent",
        "oadrEvent",
        "eiEvent",
        "eventDescriptor",
        "properties",
        "eiActivePeriod",
        "eiEventSignal",
        "interval",
        "eiTarget",
        "eiResponse",
    ],
)
def test_field_note_06_elements_out_of_order(ven, name):
    one = event(level=2.0, vtn_comment="x", targets={"ven_id": "ven", "group_id": "g"})
    data = reverse_children(ven.message(one, response_code=200), name)
    assert Sent(ven.deliver(data)).answers == [GOOD]
    assert ven.at(START) == (2.0, "e1")


# -- identity -------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_id", ["", "0", None, "not the one sent"])
def test_field_note_07_any_requestID_or_none(ven, request_id):
    (answer,) = ven.take(event(), request_id=request_id)
    assert answer.request_id == (request_id or "")
    assert ven.deliver(response(200, request_id=request_id, profile=ven.profile)) is None


@pytest.mark.parametrize("text", ["007", "7", "true", "1.2.3", "1e3", " 7", "None", "é&amp;&lt;"])
def test_field_note_08_ids_stay_the_text_they_are(new_ven, text):
    plain = text.replace("&amp;", "&").replace("&lt;", "<")
    ven = new_ven(vtn_ids=[plain.strip()], market_contexts=[plain.strip()])
    answers = ven.take(
        event(text, market_context=text.strip()), vtn_id=text.strip(), request_id=text
    )
    assert answers == [Answer(plain, 0, 200, "optIn", plain)]
    assert list(ven.held) == [plain]
    assert ven.handler.get_event("7" if plain != "7" else "007") is None


@pytest.mark.parametrize("sent", ["VTN-One", "vtn-one", "VTN-ONE"])
def test_field_note_09_the_vtnID_in_another_case(new_ven, sent):
    ven = new_ven(vtn_ids="VTN-One")
    assert ven.take(event(), vtn_id=sent) == [GOOD]
    ven.take(vtn_id="vtn-ONE")
    assert ven.held == {}
    assert ven.answer_to(event(), vtn_id="VTN-Two").response[0] == 452


# -- events ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "without",
    [
        {"startafter": None},
        {"startafter": "PT0S"},
        {"targets": {}},
        {"vtn_comment": ""},
        {"priority": None},
        {"created": None},
        {"signal_id": None},
        {"intervals": [(None, 1.0)]},
    ],
)
def test_field_note_10_what_can_be_missing_or_empty(ven, without):
    assert ven.take(event(**without)) == [GOOD]
    assert ven.at(START) == (1.0, "e1")


def test_field_note_10_no_eiTarget_and_no_eiResponse(ven):
    data = ven.message(event()).replace(b"<ei:eiTarget></ei:eiTarget>", b"")
    assert b"eiTarget" not in data
    assert Sent(ven.deliver(data)).answers == [GOOD]


@pytest.mark.parametrize(
    "without", [{"signals": []}, {"duration": None}, {"dtstart": None}, {"intervals": []}]
)
def test_field_note_10_what_cannot_be_missing_costs_its_event_only(ven, without):
    answers = ven.take(event("bad", **without), event("good"))
    assert [answer.code // 100 for answer in answers] == [4, 2]
    assert ven.held == {"good": 0}


def test_field_note_10_no_eiEventSignals_at_all(ven):
    data = re.sub(rb"<ei:eiEventSignals>.*</ei:eiEventSignals>", b"", ven.message(event()))
    (answer,) = Sent(ven.deliver(data)).answers
    assert answer.refused


def test_field_note_11_testEvent_False(ven):
    ven.take(event("real", test_event="False"))
    assert ven.at(START) == (1.0, "real")
    ven.take(event("real", 1, test_event="Fake"))
    assert ven.at(START) == (0, None)


@pytest.mark.parametrize("name", ["simple", "SIMPLE"])
def test_field_note_12_names_of_signals_and_several_of_them(ven, name):
    mixed = [
        signal([("PT1H", 17.5)], name="x-ours", type="delta", signal_id="a"),
        signal([("PT20M", 1.0), ("PT40M", 2.0)], name=name, signal_id="b"),
        signal([("PT1H", 0.1)], name="ENERGY_PRICE", type="price", signal_id="c"),
    ]
    assert ven.take(event(signals=mixed)) == [GOOD]
    assert ven.timeline(START + HOUR) == [(-HOUR, 0), (0, 1.0), (20 * MINUTE, 2.0), (HOUR, 0)]


def test_field_note_12_an_x_signal_can_be_supported(new_ven):
    ven = new_ven(supported_signals=["SIMPLE", "x-ours"])
    only = signal([("PT1H", 17.5)], name="x-ours", type="delta")
    assert ven.take(event(signals=[only])) == [GOOD]


def test_field_note_13_intervals_without_dtstart_or_uid(ven):
    steps = [interval("PT20M", 1.0, None), interval("PT40M", 2.0, None)]
    assert ven.take(event(intervals=steps)) == [GOOD]
    assert ven.timeline(START + HOUR) == [(-HOUR, 0), (0, 1.0), (20 * MINUTE, 2.0), (HOUR, 0)]


def test_field_note_14_an_error_in_the_clothes_of_an_empty_list(ven):
    ven.take(event())
    ven.at(START)
    with pytest.raises(RemoteProtocolError) as caught:
        ven.deliver(ven.message(response_code=404, response_description="unknown VEN"))
    assert caught.value.response_code == 404
    assert ven.at(START + MINUTE) == (1.0, "e1")


def test_field_note_15_pushes_of_single_events(new_ven):
    ven = new_ven(policy=VtnPolicy(implied_cancel=False))
    for name in ("a", "b", "c"):
        assert ven.take(event(name))[0].code == 200
    ven.take(event("b", 1, status="cancelled"))
    assert ven.held == {"a": 0, "c": 0}


def test_field_note_16_finished_events_vanish(ven):
    ven.take(event("a"), event("b", dtstart=START + 2 * HOUR))
    ven.at(START + HOUR)
    assert ven.held == {"b": 0}
    ven.kinds()
    assert ven.take(event("b", dtstart=START + 2 * HOUR))[0].code == 200
    assert ven.kinds() == []  # that it is no longer listed is no news


@pytest.mark.parametrize("status", ["cancelled", "completed"])
def test_field_note_16_an_event_first_seen_when_it_is_over(ven, status):
    (answer,) = ven.take(event(status=status), now=START + 5 * HOUR)
    assert answer.code == 200
    assert ven.held == {}
    assert ven.kinds() == []


def test_field_note_16_lower_numbers_and_resends(ven):
    ven.take(event(number=5))
    for _ in range(3):
        assert ven.take(event(number=3))[0].code == 450
        assert ven.take(event(number=5)) == [Answer("e1", 5, 200, "optIn")]
    assert ven.held == {"e1": 5}
    assert ven.kinds().count("modified") == 0


def test_field_note_17_one_eventID_at_two_VTNs(ven):
    ven.take(event(level=1.0, market_context="http://a"), vtn_id="one")
    ven.take(event(number=7, level=2.0, market_context="http://b"), vtn_id="two")
    assert ven.handler.get_event("e1", "one").modification_number == 0
    assert ven.handler.get_event("e1", "two").modification_number == 7
    ven.take(event(number=1, status="cancelled"), vtn_id="one")
    assert ven.handler.get_event("e1", "one") is None
    assert ven.at(START) == (2.0, "e1")


# -- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-15T09:00:00+01:00",
        "2027-01-15T03:00:00-05:00",
        "2027-01-15T13:30:00+05:30",
        "2027-01-15T08:00:00-00:00",
        "2027-01-15T08:00:00",
        *[f"2027-01-15T08:00:00.{'0' * digits}Z" for digits in range(1, 10)],
        "2027-01-15T09:00:00.0000000+01:00",
    ],
)
def test_field_note_18_offsets_no_zone_and_fractions(ven, text):
    assert ven.take(event(dtstart=text)) == [GOOD]
    assert ven.state().start.timestamp() == START


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3W", 21 * 86_400),
        ("P3W", 21 * 86_400),
        ("P", 0),
        ("PT", 0),
        ("PT0.5S", 0.5),
        ("PT1.5S", 1.5),
        ("PT3600.000S", 3600),
        ("PT1H0M0.000S", 3600),
    ],
)
def test_field_note_19_durations_beside_the_schemas_pattern(ven, text, seconds):
    assert parse_duration(text) == Duration(microseconds=int(seconds * 1_000_000))
    assert ven.take(event(duration=text)) == [GOOD]
    end = ven.state().end
    assert end is None if seconds == 0 else end.timestamp() == START + seconds


@pytest.mark.parametrize(("reading", "end"), [("minutes", START + 300), ("months", 1_813_046_400)])
def test_field_note_20_P5M_is_read_as_configured(new_ven, reading, end):
    ven = new_ven(policy=VtnPolicy(months_without_t=reading))
    assert ven.take(event(duration="P5M")) == [GOOD]
    assert ven.state().end.timestamp() == end


# -- session --------------------------------------------------------------------------------------


def test_field_note_22_a_VTN_that_is_down_when_the_VEN_starts(handler, profile):
    down = [Close(), Reset(), reply(b"", "503 Service Unavailable")] * 10
    events = reply(distribute_event(event(), profile=profile))
    with ScriptedVtn(*down, events, reply(b"")) as vtn:
        asked, errors = run_loop(handler, vtn, 31, poll_interval=60.0)
    assert len(errors) == 30
    assert all(isinstance(error, TransportError) for error in errors)
    assert asked[0] == 0
    assert handler.get_event("e1") is not None


def test_field_note_22_a_VTN_nobody_has_built_yet(handler):
    with ScriptedVtn(reply(b"")) as vtn:
        pass
    asked, errors = run_loop(handler, vtn, 5, poll_interval=60.0)
    assert len(asked) == len(errors) == 5


def test_field_note_08_the_VENs_own_id_is_a_text_as_well(new_ven):
    ven = new_ven()
    assert ven.take(event(targets={"ven_id": "ven"}, dtstart=BEFORE)) == [GOOD]
    with pytest.raises(ConfigurationError):
        type(ven.handler)(7)
