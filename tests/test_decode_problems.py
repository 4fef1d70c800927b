"""What is wrong with a payload, one event or the whole message: reason, place and path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cases import (
    EVENT,
    UNITS,
    created,
    distribute,
    event,
    event_response,
    message,
    request,
    response,
    signal,
    wrap,
)
from decoded_events import both_profiles, events_of
from payload_trees import STYLES, Style, Tree, edited, repeated, with_text, without, write

from oadr2 import decode
from oadr2.errors import RemoteProtocolError
from oadr2.model import Problem, Profile

# --- inside one event ----------------------------------------------------------------------------

DESCRIPTOR = "eiEvent/eventDescriptor"
PROPERTIES = "eiEvent/eiActivePeriod/properties"
SIGNAL = "eiEvent/eiEventSignals/eiEventSignal"
INTERVAL = f"{SIGNAL}/intervals/interval"

# where, what is put there (None: nothing), the reason, fatal
BAD_TEXTS = [
    (f"{DESCRIPTOR}/eventID", "", "eventID is empty", True),
    (f"{DESCRIPTOR}/modificationNumber", "-1", "modificationNumber: not a whole number", True),
    (f"{DESCRIPTOR}/modificationNumber", "", "modificationNumber: not a whole number", True),
    (f"{DESCRIPTOR}/modificationNumber", "1.0", "modificationNumber: not a whole number", True),
    (f"{DESCRIPTOR}/modificationNumber", "4294967296", "modificationNumber: not a whole", True),
    (f"{DESCRIPTOR}/modificationNumber", "9" * 40, "modificationNumber: not a whole", True),
    (f"{DESCRIPTOR}/modificationNumber", "\u0661", "modificationNumber: not a whole number", True),
    (f"{DESCRIPTOR}/createdDateTime", "yesterday", "createdDateTime: not a date-time", False),
    (f"{DESCRIPTOR}/eventStatus", "canceled", "eventStatus: not one of the values", True),
    (f"{DESCRIPTOR}/eventStatus", "", "eventStatus: not one of the values", True),
    (f"{DESCRIPTOR}/eventStatus", "Far", "eventStatus: not one of the values", True),
    (f"{PROPERTIES}/dtstart/date-time", "2031-13-01T00:00:00Z", "date-time: not a date-time", True),
    (f"{PROPERTIES}/duration/duration", "PT", "", None),
    (f"{PROPERTIES}/duration/duration", "PT1X", "duration: not a duration", True),
    (f"{PROPERTIES}/x-eiNotification/duration", "soon", "duration: not a duration", False),
    (f"{INTERVAL}/duration/duration", "", "duration: not a duration", True),
    (f"{INTERVAL}/signalPayload/payloadFloat/value", "NaN", "value: not a finite number", True),
    (f"{SIGNAL}/currentValue/payloadFloat/value", "NaN", "value: not a finite number", False),
    ("oadrResponseRequired", "maybe", "oadrResponseRequired: not one of the values", True),
]


@pytest.mark.parametrize("style", ["plain", "crlf", "odd_prefixes", "bom"])
@pytest.mark.parametrize(("path", "text", "reason", "fatal"), BAD_TEXTS)
@both_profiles
def test_bad_texts(
    profile: Profile, path: str, text: str, reason: str, fatal: bool | None, style: str
) -> None:
    bad = with_text(event(profile, event_id="bad"), path, text)
    tree = distribute(profile, event(profile), bad, event(profile, event_id="last"))
    data = write(tree, STYLES[style])
    first, second, third = events_of(data)
    assert (first, third) == (EVENT, replace(EVENT, event_id="last"))
    assert first.problems == third.problems == ()
    if fatal is None:
        assert second.problems == ()
        return
    (problem,) = second.problems
    assert problem.reason.startswith(reason)
    assert problem.fatal is fatal
    parents = path.split("/")[:-1]
    assert problem.path == "/".join(["oadrDistributeEvent", "oadrEvent[2]", *parents])
    # the place is the start tag of the element that holds the text
    assert data[problem.offset : problem.offset + 1] == b"<"
    tag = data[problem.offset : data.index(b">", problem.offset)].decode()
    assert tag.split(" ")[0].rstrip("/").endswith(path.rpartition("/")[2])


REQUIRED = [
    "eiEvent",
    "eiEvent/eventDescriptor",
    f"{DESCRIPTOR}/eventID",
    f"{DESCRIPTOR}/modificationNumber",
    f"{DESCRIPTOR}/eiMarketContext",
    f"{DESCRIPTOR}/eiMarketContext/marketContext",
    f"{DESCRIPTOR}/eventStatus",
    "eiEvent/eiActivePeriod",
    PROPERTIES,
    f"{PROPERTIES}/dtstart",
    f"{PROPERTIES}/dtstart/date-time",
    f"{PROPERTIES}/duration",
    f"{PROPERTIES}/duration/duration",
    "eiEvent/eiEventSignals",
    f"{SIGNAL}/intervals",
    f"{SIGNAL}/signalName",
    f"{SIGNAL}/signalType",
    f"{INTERVAL}/signalPayload",
    f"{INTERVAL}/duration/duration",
]


@pytest.mark.parametrize("path", REQUIRED)
@both_profiles
def test_missing_elements_spoil_their_event_only(profile: Profile, path: str) -> None:
    tree = distribute(profile, event(profile), without(event(profile, event_id="bad"), path))
    data = write(tree)
    first, second = events_of(data)
    assert first == EVENT
    assert first.problems == ()
    parent, _, name = path.rpartition("/")
    place = "/".join(filter(None, ["oadrDistributeEvent", "oadrEvent[2]", parent]))
    assert [(problem.reason, problem.path, problem.fatal) for problem in second.problems] == [
        (f"{name} is missing", place, True)
    ]
    assert data[second.problems[0].offset : second.problems[0].offset + 1] == b"<"


SINGLE = [
    *REQUIRED,
    f"{DESCRIPTOR}/createdDateTime",
    f"{PROPERTIES}/x-eiNotification",
    f"{SIGNAL}/signalID",
    f"{SIGNAL}/currentValue",
    f"{INTERVAL}/uid",
    f"{INTERVAL}/uid/text",
    "eiEvent/eiTarget",
    "oadrResponseRequired",
]


@pytest.mark.parametrize("path", [path for path in SINGLE if path != f"{INTERVAL}/signalPayload"])
@both_profiles
def test_repeated_elements_spoil_their_event_only(profile: Profile, path: str) -> None:
    bad = repeated(event(profile, event_id="bad"), path)
    data = write(distribute(profile, bad, event(profile)))
    first, second = events_of(data)
    assert second == EVENT
    assert second.problems == ()
    parent, _, name = path.rpartition("/")
    place = "/".join(filter(None, ["oadrDistributeEvent", "oadrEvent[1]", parent]))
    (problem,) = first.problems
    assert (problem.reason, problem.path) == (f"{name} stands twice", place)
    assert problem.fatal
    # the place is the second of the two
    assert data[problem.offset :].startswith(b"<")
    earlier = data[: problem.offset].rpartition(b"<")[2]
    assert name.encode() in earlier
    assert name.encode() in data[problem.offset : data.index(b">", problem.offset)]


@pytest.mark.parametrize("path", [f"{DESCRIPTOR}/eventID", f"{SIGNAL}/signalName"])
@both_profiles
def test_elements_where_text_belongs_spoil_their_event_only(profile: Profile, path: str) -> None:
    bad = edited(event(profile), path, lambda element: ((*element, ("ei:eventID", "inner")),))
    first, second = events_of(write(distribute(profile, bad, event(profile, event_id="2"))))
    assert second == replace(EVENT, event_id="2")
    name = path.rpartition("/")[2]
    reasons = [problem.reason for problem in first.problems]
    assert f"{name} holds elements where text belongs" in reasons
    assert all(problem.fatal for problem in first.problems)
    assert "inner" not in (first.event_id, *(each.signal_name for each in first.signals))


def test_two_units_are_one_too_many() -> None:
    tree = distribute("2.0b", event("2.0b", signals=(signal(UNITS[0][0], UNITS[5][0]),)))
    (found,) = events_of(write(tree))
    assert [(problem.reason, problem.fatal) for problem in found.problems] == [
        ("energyApparent stands twice", True)
    ]


def test_the_path_of_a_unit_names_it() -> None:
    tree = distribute(
        "2.0b", event("2.0b", signals=(signal(with_text(UNITS[-1][0], "pulseFactor", "x")),))
    )
    (found,) = events_of(write(tree))
    assert found.problems[0].path.endswith("/eiEventSignal/pulseCount")


def test_a_baseline_is_never_reason_to_refuse() -> None:
    baseline = (
        "ei:eiEventBaseline",
        ("xcal:dtstart", ("xcal:date-time", "x")),
        ("strm:intervals",),
    )
    tree = distribute("2.0b", event("2.0b", signals=(signal(), baseline)))
    (found,) = events_of(write(tree))
    assert found.problems
    assert not any(problem.fatal for problem in found.problems)
    assert found.baseline is not None
    assert found.baseline.dtstart is None


def test_long_texts_are_shortened_and_shown_in_ascii() -> None:
    tree = distribute("2.0a", event("2.0a", status="ü\n" + "x" * 100))
    (problem,) = events_of(write(tree))[0].problems
    assert problem == Problem(
        r"eventStatus: not one of the values allowed: '\xfc\n" + "x" * 38 + "...'",
        "oadrDistributeEvent/oadrEvent[1]/eiEvent/eventDescriptor",
        problem.offset,
    )


def test_every_spoiled_event_of_many_says_so() -> None:
    trees = [event("2.0b", event_id=str(number), status="bad") for number in range(300)]
    found = events_of(write(distribute("2.0b", *trees, event("2.0b"))))
    assert [any(problem.fatal for problem in each.problems) for each in found] == [True] * 300 + [
        False
    ]


def test_many_oddities_before_do_not_hide_a_fatal_one() -> None:
    odd = signal(current="x")
    trees = [event("2.0b", signals=(odd,) * 500), event("2.0b", status="bad")]
    first, second = events_of(write(distribute("2.0b", *trees)))
    assert not any(problem.fatal for problem in first.problems)
    assert [problem.fatal for problem in second.problems] == [True]


# --- the message itself --------------------------------------------------------------------------

TO_CREATED = "eiCreatedEvent/eventResponses/eventResponse"
REFUSED: list[tuple[str, Callable[[Profile], Tree], str, str]] = [
    (
        "repeated vtnID",
        lambda p: repeated(distribute(p), "vtnID"),
        "vtnID stands twice",
        "oadrDistributeEvent",
    ),
    (
        "bad code",
        lambda p: distribute(p, answer=response("2000")),
        "responseCode: not a response code of three digits: '2000'",
        "oadrDistributeEvent/eiResponse",
    ),
    (
        "signed code",
        lambda p: message(p, "oadrResponse", response("+20")),
        "responseCode: not a response code of three digits: '+20'",
        "oadrResponse/eiResponse",
    ),
    (
        "no eiResponse",
        lambda p: message(p, "oadrResponse"),
        "eiResponse is missing",
        "oadrResponse",
    ),
    (
        "no code",
        lambda p: message(p, "oadrResponse", without(response(), "responseCode")),
        "responseCode is missing",
        "oadrResponse/eiResponse",
    ),
    (
        "bad replyLimit",
        lambda p: request(p, ("pyld:replyLimit", "all")),
        "replyLimit: not a whole number from 0 to 4294967295: 'all'",
        "oadrRequestEvent/eiRequestEvent",
    ),
    (
        "no venID",
        lambda p: without(request(p), "eiRequestEvent/venID"),
        "venID is missing",
        "oadrRequestEvent/eiRequestEvent",
    ),
    (
        "bad optType",
        lambda p: created(p, event_response(opt="optOff")),
        "optType: not one of the values allowed: 'optOff'",
        f"oadrCreatedEvent/{TO_CREATED}",
    ),
    (
        "no optType",
        lambda p: without(created(p, event_response()), f"{TO_CREATED}/optType"),
        "optType is missing",
        f"oadrCreatedEvent/{TO_CREATED}",
    ),
    (
        "empty eventID",
        lambda p: created(p, event_response(event_id="")),
        "eventID is empty",
        f"oadrCreatedEvent/{TO_CREATED}/qualifiedEventID",
    ),
    (
        "text with children",
        lambda p: edited(distribute(p), "vtnID", lambda e: ((*e, ("ei:venID",)),)),
        "vtnID holds elements where text belongs",
        "oadrDistributeEvent",
    ),
    (
        "empty request",
        lambda p: message(p, "oadrRequestEvent"),
        "eiRequestEvent is missing",
        "oadrRequestEvent",
    ),
]


@pytest.mark.parametrize("wrapping", [False, True], ids=["bare", "wrapped"])
@pytest.mark.parametrize(
    ("make", "reason", "path"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
@both_profiles
def test_faults_of_the_message_refuse_it(
    profile: Profile, make: Callable[[Profile], Tree], reason: str, path: str, wrapping: bool
) -> None:
    tree = make(profile)
    if wrapping:
        tree, path = wrap(tree), f"oadrPayload/oadrSignedObject/{path}"
    data = write(tree, Style(indent="  ", newline="\r\n", head="<!-- Größe 北京 🔌 -->"))
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    error = caught.value
    assert (error.reason, error.response_code, error.path) == (reason, 454, path)
    assert error.offset is not None
    assert data[error.offset : error.offset + 1] == b"<"
    check_place(error, data)


def check_place(error: RemoteProtocolError, data: bytes) -> None:
    """Line and column are those of the offset, counted in characters."""
    assert error.offset is not None
    lines = data[: error.offset].decode(errors="replace").split("\n")
    assert (error.line, error.column) == (len(lines), len(lines[-1]) + 1)
    assert f"line {error.line}, column {error.column}" in str(error)


@pytest.mark.parametrize("tail", [(), (event("2.0b"),)])
def test_two_messages_in_one_wrapper(tail: tuple[Tree, ...]) -> None:
    both = ("b:oadrPayload", ("b:oadrSignedObject", distribute("2.0b", *tail), request("2.0b")))
    with pytest.raises(RemoteProtocolError, match="oadrRequestEvent stands twice"):
        decode(write(both))


NOT_WELL_FORMED = [
    # before the fault, the fault, reason, path
    (b"<a>\r\n <b>\xc3\xa9\xe5\x8c\x97", b"</c></b></a>", "does not match", "a/b"),
    (b"\xf0\x9f\x94\x8c", b"", "text outside", ""),
    (b"<a>\r\n\r\n<b>\xc3\xa9", b"\xff</b></a>", "not UTF-8", "a/b"),
    (b"<a>\n<b>\n<c/>", b"\x01</b></a>", "does not allow", "a/b"),
    (b"<a x='1'\n y='\xc3\xa9' ", b"x=''/>", "stands twice", ""),
    (b"<x:a xmlns:x='u'>\r\n", b"<!DOCTYPE a></x:a>", "tag", ""),
    (b"<a>\n", b"&nbsp;</a>", "reference", ""),
    (b"<a><b/>\n<", b"y:c/></a>", "prefix", "a"),
    (b"<a>\n <b>\r\n", b"", "ends inside", ""),
    (b"<a/>\n", b"<b/>", "second root", ""),
    (b"<a>", b"]]></a>", "]]>", ""),
]


@pytest.mark.parametrize(("before", "fault", "reason", "path"), NOT_WELL_FORMED)
def test_what_is_not_well_formed_is_refused_with_its_place(
    before: bytes, fault: bytes, reason: str, path: str
) -> None:
    data = before + fault
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    error = caught.value
    assert reason in error.reason
    assert error.response_code == 454
    if before.startswith(b"<"):
        assert error.offset is not None
        assert abs(error.offset - len(before)) <= 3
    if path:
        assert error.path == path
    check_place(error, data)


@pytest.mark.parametrize("wrapping", [False, True])
def test_events_of_the_other_profile_are_not_taken_for_no_events(wrapping: bool) -> None:
    """An empty list cancels everything (facts.md E24): what we cannot read must not look so."""
    for outer, inner in (("2.0a", "2.0b"), ("2.0b", "2.0a")):
        tree = distribute(outer, event(inner))  # type: ignore[arg-type]
        with pytest.raises(RemoteProtocolError):
            decode(write(wrap(tree) if wrapping else tree))


@pytest.mark.parametrize("style", ["latin1", "utf16_little"])
def test_faults_in_other_encodings_name_no_place_the_payload_does_not_have(style: str) -> None:
    tree = distribute("2.0b", event("2.0b", event_id="ä", status="bad"), event("2.0b"))
    (problem,) = events_of(write(tree, STYLES[style]))[0].problems
    assert problem.path == "oadrDistributeEvent/oadrEvent[1]/eiEvent/eventDescriptor"
    data = write(("a:oadrRequestEvent",), STYLES[style])
    with pytest.raises(RemoteProtocolError) as caught:
        decode(data)
    assert caught.value.path == "oadrRequestEvent"
    assert caught.value.offset is caught.value.line is None
