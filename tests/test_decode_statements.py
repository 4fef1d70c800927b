"""Decoding: the statements of facts.md 6 and field-notes.md 1, one test each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cases import (
    AREA,
    BY_NAME,
    EVENT,
    PROFILES,
    SIGNAL,
    TARGETS,
    created,
    distribute,
    distributed,
    duration,
    event,
    event_response,
    interval,
    message,
    minutes,
    request,
    response,
    signal,
    utc,
    value,
    wrap,
)
from decoded_events import both_profiles, events_of, notes, only_event
from payload_trees import (
    NAMESPACES,
    OADR_A,
    OADR_B,
    STYLES,
    UTF8_STYLES,
    Style,
    find,
    with_text,
    write,
)
from payload_trees import without as tree_without

from oadr2 import decode
from oadr2.errors import RemoteProtocolError
from oadr2.model import (
    CreatedEvent,
    DistributeEvent,
    Profile,
    RequestEvent,
    Response,
    Targets,
    UnknownMessage,
)
from oadr2.policy import VtnPolicy
from oadr2.schedule import Duration

# --- facts.md 6.1: XML and messages ---------------------------------------------------------------

# Written by hand, as the generators of some VTNs write: one default namespace after another.
REDECLARED = """<?xml version="1.0"?>
<oadrDistributeEvent xmlns="http://openadr.org/oadr-2.0a/2012/07"
 xmlns:d1p1="http://docs.oasis-open.org/ns/energyinterop/201110">
 <requestID xmlns="http://docs.oasis-open.org/ns/energyinterop/201110/payloads">request-1</requestID>
 <d1p1:vtnID>vtn-1</d1p1:vtnID>
 <oadrEvent>
  <d1p1:eiEvent>
   <eventDescriptor xmlns="http://docs.oasis-open.org/ns/energyinterop/201110">
    <eventID>event-1</eventID><modificationNumber> 0 </modificationNumber>
    <eiMarketContext>
     <d5p1:marketContext xmlns:d5p1="http://docs.oasis-open.org/ns/emix/2011/06"
      >http://market.example/dr</d5p1:marketContext>
    </eiMarketContext>
    <createdDateTime>2031-05-05T00:00:00Z</createdDateTime>
    <eventStatus>far</eventStatus>
   </eventDescriptor>
   <d1p1:eiActivePeriod>
    <properties xmlns="urn:ietf:params:xml:ns:icalendar-2.0">
     <dtstart><date-time>2031-05-06T07:08:09Z</date-time></dtstart>
     <duration><duration>PT30M</duration></duration>
     <d1p1:x-eiNotification><duration>PT1H</duration></d1p1:x-eiNotification>
    </properties>
    <components xmlns="urn:ietf:params:xml:ns:icalendar-2.0" xmlns:q="urn:unused" xmlns:r="urn:r"
     xsi:nil="true" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"/>
   </d1p1:eiActivePeriod>
   <eiEventSignals xmlns="http://docs.oasis-open.org/ns/energyinterop/201110">
    <eiEventSignal>
     <intervals xmlns="urn:ietf:params:xml:ns:icalendar-2.0:stream">
      <d1p1:interval>
       <duration xmlns="urn:ietf:params:xml:ns:icalendar-2.0"><duration>PT10M</duration></duration>
       <uid xmlns="urn:ietf:params:xml:ns:icalendar-2.0"><text>0</text></uid>
       <d1p1:signalPayload><d1p1:payloadFloat><d1p1:value>1</d1p1:value></d1p1:payloadFloat
       ></d1p1:signalPayload>
      </d1p1:interval>
      <d1p1:interval>
       <duration xmlns="urn:ietf:params:xml:ns:icalendar-2.0"><duration>PT20M</duration></duration>
       <uid xmlns="urn:ietf:params:xml:ns:icalendar-2.0"><text>1</text></uid>
       <d1p1:signalPayload><d1p1:payloadFloat><d1p1:value>2.0</d1p1:value></d1p1:payloadFloat
       ></d1p1:signalPayload>
      </d1p1:interval>
     </intervals>
     <signalName>SIMPLE</signalName><signalType>level</signalType><signalID>signal-1</signalID>
     <currentValue><payloadFloat><value>0</value></payloadFloat></currentValue>
    </eiEventSignal>
   </eiEventSignals>
   <d1p1:eiTarget/>
  </d1p1:eiEvent>
  <oadrResponseRequired>always</oadrResponseRequired>
 </oadrEvent>
</oadrDistributeEvent>
"""


def test_G04_G05_field_note_1_default_namespaces_declared_again_and_again() -> None:
    expected = distributed("2.0a", EVENT)
    assert decode(REDECLARED.encode()) == expected
    assert decode(REDECLARED.replace("\n", "\r\n").encode()) == expected
    assert only_event(REDECLARED.encode()).problems == ()


@both_profiles
def test_G05_elements_of_foreign_namespaces_are_no_elements_of_ours(profile: Profile) -> None:
    tree = distribute(
        profile,
        event(
            profile,
            tail=(("xcal:vtnComment", "no"), ("emix:priority", "1"), ("ei:unheard-of", "no")),
        ),
    )
    assert decode(write(tree)) == distributed(profile, EVENT)
    # the right prefix bound to another URI is not ours either
    data = write(tree).replace(NAMESPACES["ei"].encode() + b'"', b'urn:other"')
    assert isinstance(decode(data), DistributeEvent)
    assert only_event(data).event_id == ""
    assert ("eiEvent", True) in notes(only_event(data))


@pytest.mark.parametrize("wrapping", [False, True])
@both_profiles
def test_G06_the_root_namespace_gives_the_profile(profile: Profile, wrapping: bool) -> None:
    for tree in (distribute(profile, event(profile)), request(profile), created(profile)):
        found = decode(write(wrap(tree) if wrapping else tree))
        assert isinstance(found, (DistributeEvent, RequestEvent, CreatedEvent))
        assert found.profile == profile


@pytest.mark.parametrize("version", ["2.0a", "2.0b", "x-2.0c", "", "nonsense"])
@both_profiles
def test_G07_schema_version_is_ignored(profile: Profile, version: str) -> None:
    tree = request(profile)
    tree = (tree[0], {"ei:schemaVersion": version}, *[t for t in tree[1:] if type(t) is tuple])
    assert decode(write(tree)) == RequestEvent("ven-1", "request-1", None, profile)


@pytest.mark.parametrize(
    "head",
    [
        b"<!DOCTYPE a>",
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'>",
        b"<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE a PUBLIC 'x' 'http://localhost/x.dtd'>\n",
    ],
)
def test_G08_document_type_declarations_are_refused(head: bytes) -> None:
    data = head + write(BY_NAME["plain-2.0a"].tree)
    with pytest.raises(RemoteProtocolError, match="document type") as caught:
        decode(data)
    assert caught.value.offset == head.index(b"<!DOCTYPE")
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        with pytest.raises(RemoteProtocolError):
            decode(data.decode().encode(encoding))


@pytest.mark.parametrize("entity", [b"&b;", b"&nbsp;", b"&#0;", b"&#xD800;", b"&;", b"&amp"])
def test_G08_entities_that_xml_does_not_define_are_refused(entity: bytes) -> None:
    data = write(BY_NAME["plain-2.0a"].tree).replace(b"vtn-1", b"vtn-" + entity)
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    assert caught.value.offset == data.index(entity)


@both_profiles
def test_G11_empty_request_ids(profile: Profile) -> None:
    found = decode(write(with_text(distribute(profile), "requestID", "")))
    assert isinstance(found, DistributeEvent)
    assert found.request_id == ""


@pytest.mark.parametrize(
    ("text", "expected"), [("true", True), ("1", True), (" false\n", False), ("0", False)]
)
def test_G13_booleans(text: str, expected: bool) -> None:
    found = only_event(write(unit_with(ac=text)))
    assert found.signals[0].unit is not None
    assert found.signals[0].unit.ac is expected
    assert found.problems == ()


@pytest.mark.parametrize("text", ["", "yes", "TRUE", "2", "t rue"])
def test_G13_other_booleans_are_noted(text: str) -> None:
    found = only_event(write(unit_with(ac=text)))
    assert found.signals[0].unit is not None
    assert found.signals[0].unit.ac is None
    assert notes(found) == [("ac", False)]


def unit_with(ac: str) -> tuple:  # type: ignore[type-arg]
    attributes = ("power:powerAttributes", ("power:hertz", "50"), ("power:ac", ac))
    unit = ("power:powerReal", ("power:itemUnits", "W"), attributes)
    return distribute("2.0b", event("2.0b", signals=(signal(unit),)))


@both_profiles
def test_G14_blanks_around_tokens_and_numbers(profile: Profile) -> None:
    tree = distribute(
        profile,
        event(
            profile,
            number="\n 007\t",
            priority=(("ei:priority", " +2 "),),
            status=" active\n",
            dtstart="\n2031-05-06T07:08:09Z ",
            length=" PT30M\n",
            required=" never ",
            signals=(signal(kind="\tlevel ", current=" 0.0 "),),
        ),
    )
    expected = replace(
        EVENT, modification_number=7, priority=2, event_status="active", response_required="never"
    )
    assert only_event(write(tree)) == expected
    assert only_event(write(tree)).problems == ()
    found = decode(write(created(profile, event_response(code=" 200 ", opt="\noptOut "))))
    assert isinstance(found, CreatedEvent)
    assert found.event_responses[0].response_code == 200
    assert found.event_responses[0].opt_type == "optOut"


@pytest.mark.parametrize("text", ["NaN", "INF", "-INF", "+INF", "1e999", "-1e400", "", "1,5", "x"])
@both_profiles
def test_G15_values_that_are_no_finite_number_spoil_their_event_only(
    profile: Profile, text: str
) -> None:
    bad = event(
        profile, event_id="bad", signals=(signal(intervals=(interval("0", "PT30M", text),)),)
    )
    first, second, third = events_of(
        write(distribute(profile, event(profile), bad, event(profile, event_id="last")))
    )
    assert (first, third) == (EVENT, replace(EVENT, event_id="last"))
    assert first.problems == third.problems == ()
    assert second.event_id == "bad"
    assert second.signals[0].intervals[0].value is None
    assert notes(second) == [("value", True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1.0),
        ("-0", -0.0),
        ("+1.50", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1E3", 1000.0),
        ("1e-22", 1e-22),
        ("1e+0022", 1e22),
        ("9007199254740993", 9007199254740992.0),
        ("0.1", 0.1),
        ("123456789012345678901234567890", 1.2345678901234568e29),
        ("1e-400", 0.0),
        ("2.2250738585072011e-308", 2.2250738585072011e-308),
        ("179769313486231570" + "0" * 291, 1.7976931348623157e308),
        ("0." + "0" * 400 + "1", 0.0),
        ("1" + "0" * 60 + "e-60", 1.0),
    ],
)
def test_G15_numbers_are_read_exactly(text: str, expected: float) -> None:
    found = only_event(write(distribute("2.0b", event("2.0b", signals=(signal(current=text),)))))
    assert found.signals[0].current_value == expected
    assert found.problems == ()


# --- facts.md 6.2: times -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2031-05-06T07:08:09.1234567Z", utc(2031, 5, 6, 7, 8, 9, 123_456)),
        ("2031-05-06T07:08:09.5Z", utc(2031, 5, 6, 7, 8, 9, 500_000)),
        ("2031-05-06T24:00:00Z", utc(2031, 5, 7)),
        ("2031-05-06T07:08:09.123456789Z", utc(2031, 5, 6, 7, 8, 9, 123_456)),
        ("2031-05-06T07:08:09-07:00", utc(2031, 5, 6, 14, 8, 9)),
    ],
)
@both_profiles
def test_T02_field_note_18_date_times(profile: Profile, text: str, expected: object) -> None:
    found = only_event(write(distribute(profile, event(profile, dtstart=text))))
    assert found == replace(EVENT, dtstart=expected)
    assert found.problems == ()


@both_profiles
def test_T03_field_note_18_no_zone_is_utc_and_noted(profile: Profile) -> None:
    found = only_event(write(distribute(profile, event(profile, dtstart="2031-05-06T07:08:09"))))
    assert found == EVENT
    assert notes(found) == [("date-time", False)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT1H", minutes(60)),
        ("P1DT2H", minutes(26 * 60)),
        ("P1Y2M3DT4H5M6S", Duration(14, 3 * 86_400_000_000 + 14_706_000_000)),
        ("P", Duration()),
        ("PT", Duration()),
        ("P0D", Duration()),
        ("3W", minutes(21 * 1440)),
        ("P3W", minutes(21 * 1440)),
        ("P12H", minutes(720)),
        ("P3D12M", minutes(3 * 1440 + 12)),
        ("PT5.000S", minutes(5 / 60)),
        ("+PT5M", minutes(5)),
    ],
)
def test_T04_T06_field_note_19_durations(text: str, expected: Duration) -> None:
    found = only_event(write(distribute("2.0b", event("2.0b", length=text))))
    assert found == replace(EVENT, duration=expected)
    assert found.problems == ()


@pytest.mark.parametrize("text", ["PTS", "PT1.5S", "", "0", "P1M1Y", "PT1D", "pt1h", "1H", "P-5M"])
@both_profiles
def test_T07_what_is_no_duration_spoils_its_event(profile: Profile, text: str) -> None:
    found = events_of(
        write(distribute(profile, event(profile, length=text), event(profile, event_id="2")))
    )
    if text == "PT1.5S":  # field-notes.md 19: read leniently
        assert found[0].duration in (None, minutes(1.5 / 60))
    else:
        assert found[0].duration is None
        assert notes(found[0]) == [("duration", True)]
    assert found[1] == replace(EVENT, event_id="2")
    assert found[1].problems == ()


def test_T08_field_note_20_months_without_t_follow_the_policy() -> None:
    data = write(distribute("2.0b", event("2.0b", length="P5M")))
    found = only_event(data)
    assert found.duration == Duration(months=5)
    assert notes(found) == [("duration", False)]
    found = only_event(data, VtnPolicy(months_without_t="minutes"))
    assert found.duration == minutes(5)
    assert notes(found) == [("duration", False)]
    assert only_event(write(distribute("2.0b", event("2.0b", length="P5MT0S")))).problems == ()


# --- facts.md 6.3: events ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("True", True),
        ("yes", True),
        ("0", True),
        ("false", False),
        ("False", False),
        (" FALSE ", False),
        ("", False),
    ],
)
@both_profiles
def test_E44_field_note_11_test_events(profile: Profile, text: str, expected: bool) -> None:
    found = only_event(write(distribute(profile, event(profile, tail=(("ei:testEvent", text),)))))
    assert found.test_event == text
    assert found.is_test is expected
    assert not EVENT.is_test


@both_profiles
def test_E48_notification_ramp_up_and_recovery_of_either_sign(profile: Profile) -> None:
    for sign, factor in (("", 1), ("-", -1), ("+", 1)):
        found = only_event(
            write(
                distribute(
                    profile,
                    event(
                        profile,
                        notification=(duration(f"{sign}PT1H", "ei:x-eiNotification"),),
                        ramps=(
                            duration(f"{sign}PT2M", "ei:x-eiRampUp"),
                            duration(f"{sign}PT3M", "ei:x-eiRecovery"),
                        ),
                    ),
                )
            )
        )
        assert found.notification == minutes(60 * factor)
        assert found.ramp_up == minutes(2 * factor)
        assert found.recovery == minutes(3 * factor)


def test_E51_current_value_is_asked_for_in_2_0a_only() -> None:
    found = only_event(write(distribute("2.0a", event("2.0a", signals=(signal(current=None),)))))
    assert found.signals[0].current_value is None
    assert notes(found) == [("currentValue", False)]
    found = only_event(write(distribute("2.0b", event("2.0b", signals=(signal(current=None),)))))
    assert found.problems == ()


def test_E52_notification_is_asked_for_in_2_0a_and_flagged_in_2_0b() -> None:
    for profile in PROFILES:
        found = only_event(write(distribute(profile, event(profile, notification=()))))
        assert found == replace(EVENT, notification=None)
        assert notes(found) in ([("x-eiNotification", False)], [] if profile == "2.0b" else None)


# --- field-notes.md 1 ----------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["odd_prefixes", "prefix_per_element", "unused_declarations"])
def test_field_note_01_prefixes_mean_nothing(style: str) -> None:
    case = BY_NAME["every_option-2.0b-wrapped"]
    assert decode(write(case.tree, UTF8_STYLES[style])) == case.expected


@pytest.mark.parametrize("outer", ["a", "b"])
@both_profiles
def test_field_note_02_wrapped_or_bare_in_either_profile(profile: Profile, outer: str) -> None:
    bare = distribute(profile, event(profile))
    expected = distributed(profile, EVENT)
    assert decode(write(bare)) == expected
    assert decode(write((f"{outer}:oadrPayload", (f"{outer}:oadrSignedObject", bare)))) == expected
    assert decode(write((f"{outer}:oadrSignedObject", bare))) == expected


def test_field_note_03_signature_before_or_after_what_it_signs() -> None:
    signature = ("ds:Signature", ("ds:SignatureValue", "AAAA"), ("b:oadrSignedObject",))
    for parts in ((signature,), ()):
        tree = wrap(request("2.0b"), *parts)
        expected = RequestEvent("ven-1", "request-1", None, "2.0b")
        assert decode(write(tree)) == expected
    assert decode(write((*wrap(request("2.0b")), signature))) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \r\n",
        b"\xef\xbb\xbf",
        b"<html><body><p>502 Bad Gateway<br></body></html>",
        b"<!DOCTYPE html><html></html>",
        b"Internal Server Error",
        b'{"error": "not found"}',
        b"\x1f\x8b\x08\x00\x00",
        b"%PDF-1.4",
        b"\x00" * 20,
        b"<a/>\x00",
    ],
)
def test_field_note_05_bodies_that_are_no_payload_at_all(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    assert caught.value.response_code == 454


def test_field_note_05_a_well_formed_page_is_an_unknown_message() -> None:
    page = b"<html xmlns='http://www.w3.org/1999/xhtml'><body>No &amp; no</body></html>"
    assert decode(page) == UnknownMessage("html", "http://www.w3.org/1999/xhtml", None, page)
    assert decode(b"<error/>") == UnknownMessage("error", "", None, b"<error/>")


@both_profiles
def test_field_note_06_elements_out_of_order(profile: Profile) -> None:
    case = BY_NAME[f"every_option-{profile}"]
    for seed in range(25):
        found = decode(write(case.tree, Style(shuffled=seed)))
        assert found == case.expected


@both_profiles
def test_field_note_07_request_id_missing(profile: Profile) -> None:
    data = write(tree_without(distribute(profile, event(profile)), "requestID"))
    assert decode(data) == replace(distributed(profile, EVENT), request_id="")
    found = decode(
        write(message(profile, "oadrResponse", tree_without(response("200", None), "requestID")))
    )
    assert isinstance(found, Response)
    assert found.response.request_id == ""


@pytest.mark.parametrize("text", ["007", "true", "1.2.3", "1e3", " padded ", "0x10", "北京"])
def test_field_note_08_ids_stay_as_they_were_sent(text: str) -> None:
    tree = distribute("2.0b", event("2.0b", event_id=text, targets=(("ei:venID", text),)))
    found = decode(write(with_text(with_text(tree, "vtnID", text), "requestID", text)))
    assert isinstance(found, DistributeEvent)
    assert (found.vtn_id, found.request_id) == (text, text)
    assert found.events[0].event_id == text
    assert found.events[0].targets == Targets(ven_ids=(text,))


EVENT_PATH = "oadrEvent/eiEvent"
PROPERTIES = f"{EVENT_PATH}/eiActivePeriod/properties"


@both_profiles
@pytest.mark.parametrize(
    ("path", "changes", "fatal"),
    [
        (f"{EVENT_PATH}/eiTarget", {}, False),
        (f"{EVENT_PATH}/eventDescriptor/createdDateTime", {"created_date_time": None}, False),
        ("oadrEvent/oadrResponseRequired", {}, False),
        (f"{EVENT_PATH}/eiEventSignals/eiEventSignal", {"signals": ()}, None),
        (f"{EVENT_PATH}/eiActivePeriod/components", {}, None),
        (f"{EVENT_PATH}/eiEventSignals", {"signals": ()}, True),
        (f"{PROPERTIES}/duration", {"duration": None}, True),
        (f"{PROPERTIES}/dtstart", {"dtstart": None}, True),
        (f"{EVENT_PATH}/eventDescriptor/eventStatus", {"event_status": None}, True),
        (f"{EVENT_PATH}/eventDescriptor/eventID", {"event_id": ""}, True),
        (f"{EVENT_PATH}/eventDescriptor/eiMarketContext", {"market_context": None}, True),
        (f"{EVENT_PATH}/eventDescriptor/modificationNumber", {}, True),
    ],
)
def test_field_note_10_what_is_missing(
    profile: Profile, path: str, changes: dict[str, object], fatal: bool | None
) -> None:
    """None: nobody minds. False: noted. True: that event is refused, and only that one."""
    tree = distribute(profile, event(profile), event(profile, event_id="2"))
    first, second = events_of(write(tree_without(tree, path)))
    assert first == replace(EVENT, **changes)  # type: ignore[arg-type]
    assert notes(first) == ([] if fatal is None else [(path.rsplit("/", maxsplit=1)[-1], fatal)])
    assert second == replace(EVENT, event_id="2")
    assert second.problems == ()


@both_profiles
def test_field_note_10_empty_optional_elements(profile: Profile) -> None:
    case = BY_NAME[f"empty_options-{profile}"]
    assert decode(write(case.tree)) == case.expected
    assert decode(write(case.tree, Style(empty_pairs=True))) == case.expected


@pytest.mark.parametrize("name", ["SIMPLE", "simple", "x-own.signal", "ELECTRICITY_PRICE", ""])
@both_profiles
def test_field_note_12_signal_names(profile: Profile, name: str) -> None:
    found = only_event(
        write(distribute(profile, event(profile, signals=(signal(), signal(name=name)))))
    )
    assert found == replace(EVENT, signals=(SIGNAL, replace(SIGNAL, signal_name=name)))


@both_profiles
def test_field_note_13_intervals_without_dtstart_or_uid(profile: Profile) -> None:
    tree = distribute(profile, event(profile))
    path = f"{EVENT_PATH}/eiEventSignals/eiEventSignal/intervals/interval/uid"
    found = only_event(write(tree_without(tree, path)))
    assert found.signals[0].intervals[0] == replace(SIGNAL.intervals[0], uid=None)
    assert notes(found) == [("uid", False)]


# --- targets that are raw XML --------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_gml_targets_stand_alone(style: str) -> None:
    areas = (("emix:serviceArea", AREA), ("power:serviceLocation", AREA))
    tree = distribute("2.0b", event("2.0b", targets=(*areas, *TARGETS[0][1])))
    found = only_event(write(tree, STYLES[style])).targets
    assert found.ven_ids == TARGETS[0][2].ven_ids
    (area,), (place,) = found.service_areas, found.service_locations
    etree = pytest.importorskip("lxml.etree")
    for raw in (area, place):
        root = etree.fromstring(raw, etree.XMLParser(remove_comments=True, remove_pis=True))
        assert root.tag == "{{{}}}FeatureCollection".format(NAMESPACES["gml"])
        assert [child.tag for child in root] == ["{{{}}}location".format(NAMESPACES["gml"])]
        positions = root[0][0]
        assert positions.tag == "{{{}}}posList".format(NAMESPACES["gml"])
        text = "".join(positions.itertext(with_tail=False, tag=positions.tag))
        assert text == "47.1 8.5 47.2 8.6"
        assert root.attrib == {"{{{}}}id".format(NAMESPACES["gml"]): "a1"}


def test_gml_keeps_prefixes_used_in_values_and_shadowed_ones() -> None:
    data = write(
        distribute(
            "2.0b", event("2.0b", targets=(("emix:serviceArea", ("gml:FeatureCollection",)),))
        )
    )
    data = data.replace(
        b"<gml:FeatureCollection/>",
        b'<gml:FeatureCollection xmlns:ei="urn:in&amp;side" kind="xcal:q odd:r" ei:a="&lt;"/>',
    ).replace(b"<b:oadrEvent>", b"<b:oadrEvent xmlns:odd='urn:a&amp;b?c=&apos;d'>")
    (area,) = only_event(data).targets.service_areas
    etree = pytest.importorskip("lxml.etree")
    root = etree.fromstring(area)
    assert root.nsmap["ei"] == "urn:in&side"
    assert root.nsmap["xcal"] == NAMESPACES["xcal"]
    assert root.nsmap["odd"] == "urn:a&b?c='d"
    assert root.attrib == {"kind": "xcal:q odd:r", "{urn:in&side}a": "<"}


# --- unknown messages ----------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["plain", "default_namespaces", "odd_prefixes", "utf16_little"])
def test_a_message_nobody_knows_is_named(style: str) -> None:
    name = "oadrNobodyKnows"
    body = message("2.0b", name, ("pyld:requestID", "1"), ("ei:venID", "ven-1"))
    for tree in (body, wrap(body), wrap(body, ("ds:Signature", ("ds:Object",))), (f"b:{name}",)):
        data = write(tree, STYLES[style])
        found = decode(data)
        assert isinstance(found, UnknownMessage)
        assert (found.name, found.namespace, found.profile) == (name, OADR_B, "2.0b")
        if style != "utf16_little":
            assert found.raw == data
        assert decode(found.raw) == replace(found, raw=found.raw)


def test_known_names_in_other_namespaces_are_unknown() -> None:
    for name in ("oadrDistributeEvent", "oadrResponse", "oadrPayload"):
        found = decode(f"<{name} xmlns='urn:x'><vtnID>1</vtnID></{name}>".encode())
        assert isinstance(found, UnknownMessage)
        assert (found.name, found.namespace, found.profile) == (name, "urn:x", None)
        assert decode(f"<{name}/>".encode()) == UnknownMessage(
            name, "", None, found.raw[:0] + (f"<{name}/>".encode())
        )


@pytest.mark.parametrize("inner", [(), (("b:oadrSignedObject",),), (("ds:Signature",),)])
def test_a_payload_without_a_message(inner: tuple[tuple[str, ...], ...]) -> None:
    found = decode(write(("b:oadrPayload", *inner)))
    assert isinstance(found, UnknownMessage)
    assert found.name in ("oadrPayload", "oadrSignedObject")
    assert (found.namespace, found.profile) == (OADR_B, "2.0b")


def test_messages_of_2_0b_in_the_namespace_of_2_0a() -> None:
    found = decode(f'<oadrPoll xmlns="{OADR_A}"/>'.encode())
    assert isinstance(found, UnknownMessage)
    assert (found.name, found.namespace, found.profile) == ("oadrPoll", OADR_A, "2.0a")


def test_an_interval_with_an_empty_payload_after_a_number() -> None:
    """The last payload of an interval that is a number counts; others are passed over."""
    intervals = (
        (
            "ei:interval",
            duration("PT30M"),
            ("xcal:uid", ("xcal:text", "0")),
            value("2"),
            ("ei:signalPayload",),
        ),
    )
    found = only_event(
        write(distribute("2.0b", event("2.0b", signals=(signal(intervals=intervals),))))
    )
    assert found.signals[0].intervals[0].value == 2.0
    assert list(find(distribute("2.0b", event("2.0b")), EVENT_PATH))
