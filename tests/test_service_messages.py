"""The messages of the 2.0b services, there and back: every case, in every style, cut, continued, damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, get_args

import pytest
from cases import Case, wrap
from lxml import etree
from payload_trees import STYLES, Style, Tree, edited, repeated, with_text, without, write
from service_cases import BARE, SERVICE_BY_NAME, SERVICE_CASES

from oadr2 import decode, encode, model
from oadr2.errors import LocalProtocolError, RemoteProtocolError
from oadr2.policy import Limits, VtnPolicy

every_case = pytest.mark.parametrize(
    "case", SERVICE_CASES, ids=[case.name for case in SERVICE_CASES]
)
every_bare = pytest.mark.parametrize("case", BARE, ids=[case.name for case in BARE])


def reasons(found: Any) -> tuple[str, ...]:
    return tuple(problem.reason for problem in found.problems)


def test_every_message_has_a_case() -> None:
    assert {type(case.expected) for case in BARE} == set(get_args(model.ServiceMessage))


@every_case
@pytest.mark.parametrize("style", STYLES)
def test_every_case_in_every_style(case: Case, style: str) -> None:
    found = decode(write(case.tree, STYLES[style]))
    assert found == case.expected
    assert type(found) is type(case.expected)
    assert reasons(found) == case.noted
    assert (found.profile, found.signed) == ("2.0b", False)


@every_bare
def test_elements_out_of_order(case: Case) -> None:
    for seed in range(10):
        assert decode(write(case.tree, Style(shuffled=seed))) == case.expected


@every_case
def test_cut_at_every_byte(case: Case) -> None:
    data = write(case.tree)
    for end in range(len(data)):
        with pytest.raises(RemoteProtocolError) as caught:
            decode(data[:end])
        assert caught.value.response_code == 454


@every_case
@pytest.mark.parametrize("rest", [b"x", b"<a/>", b"\x00", b"<!DOCTYPE a>"])
def test_trailing_bytes(case: Case, rest: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(write(case.tree) + rest)
    assert decode(write(case.tree) + b"\n<!-- end -->") == case.expected


@every_bare
def test_round_trip(case: Case) -> None:
    for wrapped in (True, False):
        found = decode(encode(case.expected, wrap=wrapped))
        assert found == case.expected
        assert reasons(found) == ()


# --- what stands around --------------------------------------------------------------------------


@every_bare
def test_a_signature_is_seen_and_not_read(case: Case) -> None:
    signature = ("ds:Signature", ("ds:SignedInfo", ("ei:venID", "not this one")))
    found = decode(write(wrap(case.tree, signature)))
    assert found == case.expected
    assert found.signed
    assert not decode(encode(found)).signed


POLL: Tree = ("b:oadrPoll", ("ei:venID", "ven-1"))
RESPONSE: Tree = (
    "b:oadrResponse",
    ("ei:eiResponse", ("ei:responseCode", "200"), ("pyld:requestID", "")),
)


@pytest.mark.parametrize("pair", [(POLL, POLL), (POLL, RESPONSE), (RESPONSE, POLL)])
def test_two_messages_in_one_wrapper_are_refused(pair: tuple[Tree, Tree]) -> None:
    with pytest.raises(RemoteProtocolError, match="stands twice") as caught:
        decode(write(("b:oadrPayload", ("b:oadrSignedObject", *pair))))
    assert caught.value.path == "oadrPayload/oadrSignedObject"


def test_an_element_of_2_0a_inside_is_refused() -> None:
    tree = ("b:oadrQueryRegistration", ("pyld:requestID", "r"), ("a:oadrVenName", "v"))
    assert decode(write(tree)) == model.QueryRegistration(
        "r"
    )  # it has no place here in any profile
    application = ("b:oadrCreatePartyRegistration", ("pyld:requestID", "r"), ("a:oadrVenName", "v"))
    with pytest.raises(RemoteProtocolError, match="of the other profile"):
        decode(write(application))


# --- what is insisted on -------------------------------------------------------------------------

POINT = "oadrReport/intervals/interval/oadrReportPayload/"
# (case, path, what is said when it is missing; "" when that is only noted)
REQUIRED = [
    ("poll", "venID", "venID is missing"),
    ("registered", "eiResponse", "eiResponse is missing"),
    ("registered", "vtnID", ""),
    ("registered", "oadrProfiles", ""),
    ("register_first", "oadrReportOnly", ""),
    ("query", "requestID", ""),
    ("create_report", "oadrReportRequest/reportSpecifier/granularity", "granularity is missing"),
    (
        "create_report",
        "oadrReportRequest/reportSpecifier/granularity/duration",
        "duration is missing",
    ),
    ("create_report", "oadrReportRequest/reportSpecifier/specifierPayload/readingType", ""),
    ("usage", "oadrReport/createdDateTime", "createdDateTime is missing"),
    ("usage", POINT + "payloadFloat", ""),
    ("usage", POINT + "rID", "rID is missing"),
    ("cancel_report", "reportToFollow", ""),
    ("opt_schedule", "vavailability/components", "components is missing"),
    ("opt_of_an_event", "eiTarget", ""),
]


@pytest.mark.parametrize(("name", "path", "told"), REQUIRED)
def test_what_is_missing(name: str, path: str, told: str) -> None:
    data = write(without(SERVICE_BY_NAME[name].tree, path))
    if told:
        with pytest.raises(RemoteProtocolError, match=f"^{told}") as caught:
            decode(data)
        assert caught.value.offset is not None
        return
    found: Any = decode(data)
    assert reasons(found) == (f"{path.rpartition('/')[2]} is missing",)


# (case, path, text, is the message refused, what is said)
TEXTS = [
    ("registered", "oadrRequestedOadrPollFreq/duration", "soon", False, "duration: not a duration: 'soon'"),
    ("registered", "oadrProfiles/oadrProfile/oadrProfileName", "3.0", False, "neither a known word"),
    ("register_first", "oadrReportOnly", "yes", False, "not true or false: 'yes'"),
    ("created_report", "oadrPendingReports/reportRequestID", " ", False, "reportRequestID is empty"),
    ("created_report", "eiResponse/responseCode", "2000", True, "not a response code"),
    ("usage", "oadrReport/dtstart/date-time", "today", True, "date-time: not a date-time: 'today'"),
    ("usage", "oadrReport/createdDateTime", "2031-05-06", True, "not a date-time"),
    ("usage", "oadrReport/reportName", "USAGE", False, "reportName: neither a known word"),
    ("usage", "oadrReport/reportRequestID", "", True, "reportRequestID is empty"),
    ("usage", POINT + "payloadFloat/value", "NaN", False, "not a finite"),
    ("usage", POINT + "confidence", "101", False, "from 0 to 100: '101'"),
    ("usage", POINT + "accuracy", "good", False, "not a finite number"),
    ("usage", POINT + "oadrDataQuality", "x- y", False, "neither a known"),
    ("status", POINT + "oadrPayloadResourceStatus/oadrOnline", "on", True, "not true or false"),
    ("opt_of_an_event", "optType", "maybe", True, "optType: not one of the values allowed: 'maybe'"),
    ("opt_of_an_event", "optReason", "tired", False, "optReason: neither a known word"),
    ("opt_of_an_event", "qualifiedEventID/modificationNumber", "-1", True, "not a whole number"),
    ("usage", "oadrReport/duration/duration", "P5M", False, "calendar months"),
    ("usage", "oadrReport/createdDateTime", "2031-05-06T07:08:09", False, "names no time zone"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "text", "refused", "told"), TEXTS)
def test_texts_that_are_not_what_they_should_be(
    name: str, path: str, text: str, refused: bool, told: str
) -> None:
    data = write(with_text(SERVICE_BY_NAME[name].tree, path, text))
    place = data.index(f"{path.rpartition('/')[2]}>{text}<".encode())
    if refused:
        with pytest.raises(RemoteProtocolError, match=told) as caught:
            decode(data)
        assert caught.value.offset is not None
        assert 0 < place - caught.value.offset < 10
        assert caught.value.path
        return
    (problem,) = decode(data).problems  # type: ignore[union-attr]
    assert told in problem.reason
    assert not problem.fatal
    assert 0 < place - problem.offset < 10
    assert problem.path == "/".join(
        [SERVICE_BY_NAME[name].tree[0].partition(":")[2], *path.split("/")[:-1]]
    )


def single_elements(tree: Tree, above: str = "") -> list[str]:
    """Paths of the elements whose name comes once in their parent."""
    children = [part for part in tree[1:] if isinstance(part, tuple)]
    names = [child[0].partition(":")[2] for child in children]
    found = []
    for child, name in zip(children, names, strict=True):
        if names.count(name) == 1:
            found += [above + name, *single_elements(child, f"{above}{name}/")]
    return found


MANY = {"oadrReport", "oadrReportRequest", "oadrReportDescription", "interval", "oadrReportPayload"}
MANY |= {
    "specifierPayload",
    "oadrService",
    "oadrInfo",
    "oadrExtension",
    "available",
    "oadrTransport",
}
MANY |= {"endDeviceAsset", "meterAsset", "pnode", "serviceDeliveryPoint", "groupName", "resourceID"}
MANY |= {"partyID"}


@every_bare
def test_what_stands_twice_is_refused(case: Case) -> None:
    paths = [path for path in single_elements(case.tree) if path.rpartition("/")[2] not in MANY]
    for path in paths:
        inside_target = path.rpartition("/")[0].endswith(("eiTarget", "reportDataSource"))
        if inside_target:
            continue
        with pytest.raises(RemoteProtocolError, match="stands twice"):
            decode(write(repeated(case.tree, path)))


def test_a_value_and_a_status_together_are_refused() -> None:
    path = f"{POINT}oadrPayloadResourceStatus"

    def both(element: Tree) -> tuple[Tree, Tree]:
        return element, ("ei:payloadFloat", ("ei:value", "1"))

    with pytest.raises(RemoteProtocolError, match="payloadFloat stands twice"):
        decode(write(edited(SERVICE_BY_NAME["status"].tree, path, both)))


def test_months_can_be_read_as_minutes() -> None:
    data = write(with_text(SERVICE_BY_NAME["usage"].tree, "oadrReport/duration/duration", "P5M"))
    found: Any = decode(data, policy=VtnPolicy(months_without_t="minutes"))
    assert found.reports[0].duration.microseconds == 300_000_000
    assert found.reports[0].duration.months == 0


def test_a_text_where_a_duration_element_belongs_is_read_and_noted() -> None:
    path = "oadrReportRequest/reportSpecifier/reportBackDuration"
    data = write(with_text(SERVICE_BY_NAME["create_report"].tree, path, "PT15M"))
    found: Any = decode(data)
    assert found == SERVICE_BY_NAME["create_report"].expected
    assert reasons(found) == (
        "reportBackDuration holds 'PT15M' itself, not the element that belongs around it",
    )


def test_unknown_elements_are_passed_over() -> None:
    tree = ("b:oadrPoll", ("ei:new", ("ei:venID", "no")), ("ei:venID", "ven-1"), ("b:own",))
    assert decode(write(tree)) == model.Poll("ven-1")


def test_limits_hold() -> None:
    data = write(SERVICE_BY_NAME["usage"].tree)
    decode(data, policy=VtnPolicy(limits=Limits(items=7)))
    with pytest.raises(RemoteProtocolError, match="than the limit"):
        decode(data, policy=VtnPolicy(limits=Limits(items=6)))
    with pytest.raises(RemoteProtocolError, match="deep"):
        decode(data, policy=VtnPolicy(limits=Limits(depth=5)))


# --- raw XML -------------------------------------------------------------------------------------

FEED = (
    b'<feed xmlns="http://www.w3.org/2005/Atom"><!-- as it came --><entry><content>'
    b'<e:UsagePoint xmlns:e="http://naesb.org/espi">&#228;<![CDATA[<]]></e:UsagePoint>'
    b"</content></entry></feed>"
)


def green_button() -> model.UpdateReport:
    usage: Any = SERVICE_BY_NAME["usage"].expected
    interval = model.ReportInterval((model.GreenButtonPayload(FEED),), uid="0")
    return replace(usage, reports=(replace(usage.reports[0], intervals=(interval,)),))


def test_a_green_button_feed_is_given_back_unchanged() -> None:
    found: Any = decode(encode(green_button()))
    (payload,) = found.reports[0].intervals[0].payloads
    assert payload == model.GreenButtonPayload(FEED)
    assert found == green_button()
    assert decode(encode(found)) == found


def test_a_feed_that_describes_a_point() -> None:
    unit = model.Unit("oadrGBDataDescription", feed=FEED)
    description = model.ReportDescription("p", "usage", "Direct Read", unit)
    metadata: Any = SERVICE_BY_NAME["metadata"].expected
    message = replace(
        metadata, reports=(replace(metadata.reports[0], report_descriptions=(description,)),)
    )
    assert decode(encode(message)) == message


def test_a_feed_keeps_the_declarations_it_needs() -> None:
    data = (
        b'<b:oadrUpdateReport xmlns:b="http://openadr.org/oadr-2.0b/2012/07"'
        b' xmlns:ei="http://docs.oasis-open.org/ns/energyinterop/201110" xmlns:u="urn:used"'
        b' xmlns:strm="urn:ietf:params:xml:ns:icalendar-2.0:stream" xmlns:n="urn:not-used"'
        b' xmlns:p="http://docs.oasis-open.org/ns/energyinterop/201110/payloads"'
        b' xmlns:atom="http://www.w3.org/2005/Atom"><p:requestID/><b:oadrReport><strm:intervals>'
        b'<ei:interval><b:oadrGBPayload><atom:feed u:a="1"><b/></atom:feed></b:oadrGBPayload>'
        b"</ei:interval></strm:intervals><ei:reportRequestID>1</ei:reportRequestID>"
        b"<ei:reportSpecifierID>1</ei:reportSpecifierID><ei:createdDateTime>2031-05-06T07:08:09Z"
        b"</ei:createdDateTime></b:oadrReport></b:oadrUpdateReport>"
    )
    found: Any = decode(data)
    feed = found.reports[0].intervals[0].payloads[0].feed
    assert b'xmlns:u="urn:used"' in feed
    assert b"urn:not-used" not in feed
    assert etree.fromstring(feed)[0].tag == "b"


# --- what cannot be sent -------------------------------------------------------------------------


def changed(name: str, **changes: Any) -> Any:
    return replace(SERVICE_BY_NAME[name].expected, **changes)  # type: ignore[type-var]


def usage_with(**changes: Any) -> model.UpdateReport:
    message: Any = SERVICE_BY_NAME["usage"].expected
    payload = replace(message.reports[0].intervals[0].payloads[0], **changes)
    interval = replace(message.reports[0].intervals[0], payloads=[payload])
    return replace(message, reports=[replace(message.reports[0], intervals=[interval])])


PLACE = r"reports\[0\].intervals\[0\].payloads\[0\]"
UNSENDABLE: list[tuple[Callable[[], Any], str]] = [
    (lambda: model.Poll(""), "^ven_id: must not be empty$"),
    (lambda: model.Poll(" "), "^ven_id: must not be empty$"),
    (lambda: model.Poll(7), "^ven_id: must be str, not int$"),  # type: ignore[arg-type]
    (lambda: model.CreatedPartyRegistration("v"), "^profiles: at least one is needed$"),
    (lambda: model.CreateReport(()), "^report_requests: at least one is needed$"),
    (lambda: changed("register_first", report_only=1), "^report_only: must be bool, not int$"),
    (lambda: changed("register_first", profile_name="3.0"), "^profile_name: '3.0' is none of 2.0a, 2.0b$"),
    (lambda: changed("opt_of_an_event", opt_type="x-in"), "^opt_type: 'x-in' is none of optIn, optOut$"),
    (lambda: changed("opt_of_an_event", targets=None), "^targets: "),
    (lambda: changed("opt_of_an_event", created_date_time=None), "^created_date_time: is missing"),
    (lambda: usage_with(value=float("nan")), f"^{PLACE}.value: must be finite"),
    (lambda: usage_with(value=None), f"^{PLACE}: exactly one is needed of value, resource_status$"),
    (
        lambda: usage_with(resource_status=model.ResourceStatus(True, False)),
        f"^{PLACE}: exactly one is needed",
    ),
    (lambda: usage_with(confidence=101), f"^{PLACE}.confidence: must be from 0 to 100, not 101$"),
    (lambda: usage_with(data_quality="good"), f"^{PLACE}.data_quality: 'good' is none of .*, x-"),
    (lambda: usage_with(r_id="\x00"), f"^{PLACE}.r_id: has a character that XML does not allow$"),
    (lambda: changed("usage", reports=["x"]), r"^reports\[0\]: must be Report, not str$"),
    (lambda: changed("usage", reports="x"), "^reports: must be a sequence, not str$"),
    (lambda: changed("updated", cancel_report=model.Poll("v")), "^cancel_report: must be CancelReport"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "told"), UNSENDABLE)
def test_what_cannot_be_sent(make: Callable[[], Any], told: str) -> None:
    with pytest.raises(LocalProtocolError, match=told):
        encode(make())


@pytest.mark.parametrize(
    "feed", [b"", b"<feed/>", b"<atom:feed/>", FEED + b"<a/>", b"<?xml version='1.0'?>" + FEED, "x"]
)
def test_raw_xml_that_would_break_the_message(feed: Any) -> None:
    message: Any = green_button()
    interval = model.ReportInterval((model.GreenButtonPayload(feed),))
    message = replace(message, reports=(replace(message.reports[0], intervals=(interval,)),))
    with pytest.raises(LocalProtocolError, match=r"payloads\[0\].feed: must be"):
        encode(message)


def test_a_subclass_is_sent_as_what_it_is() -> None:
    class OwnPoll(model.Poll):
        """A caller's own."""

    assert decode(encode(OwnPoll("ven-1"))) == model.Poll("ven-1")


# --- samples -------------------------------------------------------------------------------------


def test_every_sample_of_2_0b_is_read(shared_openadr: Any) -> None:
    odd = {}
    for file in sorted((shared_openadr / "payloads" / "2.0b").glob("*.xml")):
        found: Any = decode(file.read_bytes())
        assert not isinstance(found, model.UnknownMessage), file.name
        problems = getattr(found, "problems", ())
        if any("itself" in problem.reason for problem in problems):
            odd[file.name] = [problem.fatal for problem in problems]
        if "CanceledReport" not in file.name:  # its responseCode is 000
            assert decode(encode(found)) == found, file.name
    assert odd == {
        "Sample_oadrCreateReport.xml": [False],
        "Sample_oadrCreateReport_OneShot_Telemetry.xml": [False],
        "Sample_oadrCreateReport_Telemetry_Status.xml": [False],
        "Sample_oadrRegisteredReport_W_ReportRequest.xml": [False],
    }


def test_every_class_says_when_it_was_signed_and_what_was_odd() -> None:
    for message in get_args(model.ServiceMessage):
        own = {each.name: each for each in fields(message)}
        assert not own["signed"].compare
        assert not own["problems"].compare
        assert message.profile == "2.0b"
