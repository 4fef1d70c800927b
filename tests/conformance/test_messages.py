"""Statements about XML and messages in general (facts.md 6.1, S01)."""

from __future__ import annotations

import re

import pytest
from payloads import OADR, START, document, ei_response, event, response
from vens import XSI, Sent

import oadr2
from oadr2 import model
from oadr2.errors import LocalProtocolError, RemoteProtocolError, TransportError
from oadr2.policy import Limits, VtnPolicy


def everything_sent(ven):
    """One of each message a VEN of this profile sends."""
    return [
        ven.handler.build_request_payload(),
        ven.deliver(ven.message(event("a"), event("b", level=7.0))),
        ven.deliver(ven.message(event("a", 1, status="cancelled"))),
        ven.deliver(ven.message(event(), vtn_id="stranger")),
        oadr2.encode(model.Response(profile=ven.profile)),
    ]


@pytest.mark.parametrize("profile", ["2.0a"])
def test_G01_only_the_messages_of_2_0a_are_sent_in_the_schemas_order(new_ven):
    sent = [Sent(data) for data in everything_sent(new_ven(vtn_ids="vtn"))]
    assert {message.kind for message in sent} == {
        "oadrRequestEvent",
        "oadrCreatedEvent",
        "oadrResponse",
    }
    assert all(message.profile == "2.0a" and not message.wrapped for message in sent)


@pytest.mark.parametrize("profile", ["2.0b"])
def test_G02_2_0b_messages_are_in_the_schemas_order(new_ven):
    sent = [Sent(data) for data in everything_sent(new_ven(vtn_ids="vtn"))]
    # Nothing of the later edition: no Id, no reportRequestID.
    assert all(message.profile == "2.0b" for message in sent)
    assert not any(b"Id=" in message.data or b"reportRequestID" in message.data for message in sent)


@pytest.mark.parametrize(
    ("profile", "schema"),
    [
        ("2.0a", "2.0a/oadr_20a.xsd"),
        ("2.0b", "2.0b/oadr_20b.xsd"),
        ("2.0b", "2.0b-2013/oadr_20b.xsd"),
    ],
)
def test_G01_G02_what_is_sent_is_valid_by_the_schemas(new_ven, shared_openadr, schema):
    from lxml import etree  # noqa: PLC0415

    validator = etree.XMLSchema(file=str(shared_openadr / "schemas" / schema))
    for data in everything_sent(new_ven(vtn_ids="vtn")):
        validator.assertValid(etree.fromstring(data))


def test_G03_no_schemaLocation_is_sent(new_ven):
    for data in everything_sent(new_ven(vtn_ids="vtn")):
        assert b"schemaLocation" not in data
        assert b"XMLSchema-instance" not in data
        assert not any(key.startswith(XSI) for e in Sent(data).root.iter("*") for key in e.attrib)


def other_prefixes(data):
    """The same message with prefixes nobody expects."""
    names = {"oadr": "ns2", "ei": "ns14", "pyld": "p1", "xcal": "_.-", "emix": "é", "strm": "oadr"}
    text = data.decode()
    for old in names:
        text = re.sub(rf"(</?|xmlns:| ){old}([:=])", rf"\g<1>@{old}@\2", text)
    for old, new in names.items():
        text = text.replace(f"@{old}@", new)
    return text.encode()


def default_namespaces(data):
    """The same message with a default namespace declared on each element."""
    uris = dict(re.findall(r'xmlns:(\w+)="([^"]*)"', data.decode()))
    text = re.sub(r' xmlns:\w+="[^"]*"', "", data.decode())
    text = re.sub(r"<(\w+):([\w-]+)", lambda m: f'<{m[2]} xmlns="{uris[m[1]]}"', text)
    text = re.sub(r"</\w+:", "</", text)
    return text.replace(' ei:schemaVersion="2.0b"', "").encode()


FORMS = {
    "schemaLocation": lambda data: data.replace(
        b" xmlns:ei=",
        b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        b' xsi:schemaLocation="http://openadr.org a.xsd" xmlns:ei=',
        1,
    ),
    "comments": lambda data: (
        re.sub(rb"(?<=[a-zA-Z]>)(?=<)", b"<!-- <oadrEvent> & -->", data).replace(
            b"?>", b"?><!-- before -->", 1
        )
        + b"<!-- after -->"
    ),
    "processing instructions": lambda data: re.sub(rb"(?<=[a-zA-Z]>)(?=<)", b"<?x y?>", data),
    "CRLF": lambda data: data.replace(b"><", b">\r\n  <"),
    "other prefixes": other_prefixes,
    "default namespaces": default_namespaces,
    "unused declarations": lambda data: data.replace(
        b"<xcal:components",
        b'<xcal:components xmlns:a="urn:a" xmlns:b="http://b" xmlns="urn:c"',
    ),
    "CDATA and character references": lambda data: data.replace(
        b"<ei:eventID>e1<", b"<ei:eventID>&#101;<![CDATA[1]]><"
    ),
    "no declaration": lambda data: data.split(b"?>\n", 1)[1],
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
}


@pytest.mark.parametrize("form", FORMS)
def test_G04_every_way_to_write_a_message_is_taken(ven, form):
    plain = ven.message(event(level=2.0, startafter="PT0S"))
    varied = FORMS[form](plain)
    assert varied != plain
    (answer,) = Sent(ven.deliver(varied)).answers
    assert (answer.event_id, answer.code) == ("e1", 200)
    assert ven.at(START) == (2.0, "e1")
    assert oadr2.decode(varied) == oadr2.decode(plain)


@pytest.mark.parametrize("prefix", ["oadr", "ei", "pyld", "xcal", "emix", "strm"])
def test_G05_a_known_prefix_with_a_foreign_namespace_is_not_taken(ven, prefix):
    ven.take(event("kept"))
    foreign = re.sub(
        rf'xmlns:{prefix}="[^"]*"', f'xmlns:{prefix}="urn:x"', ven.message(event()).decode()
    )
    try:
        reply = ven.deliver(foreign.encode())
    except RemoteProtocolError:
        reply = None
    if prefix == "pyld":  # of the list's own elements only the requestID is one of these
        assert Sent(reply).answers[0].request_id == ""
        return
    if reply is not None:  # the list as such is readable, its event is not
        assert all(answer.refused for answer in Sent(reply).answers)
    assert "e1" not in ven.held


def test_G06_the_answer_is_in_the_profile_of_the_list(ven):
    for profile in ("2.0a", "2.0b"):
        sent = ven.answer_to(event(), profile=profile)
        assert sent.profile == profile
        assert sent.root.nsmap[sent.root.prefix] == OADR[profile]


@pytest.mark.parametrize("profile", ["2.0b"])
@pytest.mark.parametrize("version", ["2.0a", "2.0b", "x-5", "2.0b ", None])
def test_G07_schemaVersion_is_sent_and_not_minded(ven, version):
    attribute = b"" if version is None else f' ei:schemaVersion="{version}"'.encode()
    data = ven.message(event()).replace(b' ei:schemaVersion="2.0b"', attribute)
    sent = Sent(ven.deliver(data))
    assert sent.answers[0].code == 200
    assert sent.message.attrib == {f"{{{sent.names['ei']}}}schemaVersion": "2.0b"}
    assert oadr2.decode(data).profile == "2.0b"


DTD = b'<!DOCTYPE a [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>'


@pytest.mark.parametrize(
    "bad",
    [
        lambda data: data.replace(b"?>", b"?>" + DTD, 1).replace(b">e1<", b">&lol2;<"),
        lambda data: data.replace(b"?>", b'?><!DOCTYPE a SYSTEM "file:///etc/passwd">', 1),
        lambda data: data.replace(b">e1<", b">&lol;<"),
    ],
    ids=["entities", "external DTD", "undeclared entity"],
)
def test_G08_DTDs_and_entities_are_refused(ven, bad):
    with pytest.raises(RemoteProtocolError):
        ven.deliver(bad(ven.message(event())))
    assert ven.held == {}


@pytest.mark.parametrize(
    ("limits", "payload"),
    [
        (Limits(size=3000), lambda ven: ven.message(event(vtn_comment="x" * 3000))),
        (Limits(depth=20), lambda ven: ven.message("<a>" * 30 + "</a>" * 30)),
        (Limits(events=3), lambda ven: ven.message(*[event(f"e{i}") for i in range(4)])),
        (Limits(items=50), lambda ven: ven.message(event(intervals=[("PT1M", 1.0)] * 60))),
        (Limits(attributes=8), lambda ven: ven.message(f"<a {_attributes(9)}/>")),
    ],
    ids=["size", "depth", "events", "items", "attributes"],
)
def test_G08_size_depth_and_number_are_bounded(new_ven, limits, payload):
    ven = new_ven(policy=VtnPolicy(limits=limits))
    # HTTP stops reading at the same size.
    with pytest.raises((RemoteProtocolError, TransportError)):
        ven.deliver(payload(ven))
    assert ven.held == {}
    new_ven().deliver(payload(ven))  # nothing wrong with it otherwise


def _attributes(count):
    return " ".join(f'a{i}="1"' for i in range(count))


UNEXPECTED = ["oadrRequestEvent", "oadrCreatedEvent", "oadrPoll", "oadrCreateReport", "oadrX"]


@pytest.mark.parametrize("name", UNEXPECTED)
def test_G09_a_message_that_is_not_for_a_VEN_is_an_error_with_a_code(ven, name):
    ven.take(event())
    with pytest.raises(RemoteProtocolError) as caught:
        ven.deliver(document(name, "", profile=ven.profile))
    assert 400 <= caught.value.response_code <= 499
    assert ven.held == {"e1": 0}


@pytest.mark.parametrize("request_id", ["", None])
def test_G11_an_empty_requestID_is_taken_and_echoed_empty(new_ven, request_id):
    ven = new_ven(vtn_ids="vtn")
    assert ven.take(event(), request_id=request_id)[0].request_id == ""
    assert ven.answer_to(event(), vtn_id="x", request_id=request_id).response == (452, "")
    assert ven.deliver(response(200, request_id=request_id, profile=ven.profile)) is None


@pytest.mark.parametrize("code", [100, 199, 300, 400, 404, 463, 500, 999, "000"])
def test_G12_a_code_outside_2xx_is_a_failure_with_code_and_text(ven, code):
    ven.take(event())
    for payload in (
        response(code, "because", profile=ven.profile),
        ven.message(response_code=code, response_description="because"),
    ):
        with pytest.raises(RemoteProtocolError, match="because") as caught:
            ven.deliver(payload)
        assert caught.value.response_code == int(code)
    assert ven.held == {"e1": 0}


@pytest.mark.parametrize("code", [200, 201, 299])
def test_G12_a_code_of_2xx_is_none(ven, code):
    assert ven.deliver(response(code, profile=ven.profile)) is None
    assert ven.take(event(), response_code=code)[0].code == 200


@pytest.mark.parametrize("profile", ["2.0b"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("1", True), ("false", False), ("0", False), (" true ", True), ("TRUE", None)],
)
def test_G13_booleans_are_written_in_four_ways(ven, text, expected):
    unit = (
        "<power:powerReal><power:itemDescription>RealPower</power:itemDescription>"
        "<power:itemUnits>W</power:itemUnits><scale:siScaleCode"
        ' xmlns:scale="http://docs.oasis-open.org/ns/emix/2011/06/siscale">k</scale:siScaleCode>'
        "<power:powerAttributes><power:hertz>50</power:hertz><power:voltage>230</power:voltage>"
        f"<power:ac>{text}</power:ac></power:powerAttributes></power:powerReal>"
    )
    data = ven.message(event()).replace(b"</ei:signalID>", f"</ei:signalID>{unit}".encode())
    (found,) = oadr2.decode(data).events
    assert found.signals[0].unit.ac is expected
    assert bool(found.problems) is (expected is None)


def test_G14_blanks_around_tokens_and_numbers_do_not_count(ven):
    (answer,) = ven.take(
        event(
            number=" 3\n",
            status="\tfar ",
            priority=" 2 ",
            type=" level ",
            level=" 2.0\r\n",
            created=" 2027-01-14T08:00:00Z ",
            dtstart="\n2027-01-15T08:00:00Z\n",
        ),
        response_code=200,
    )
    assert (answer.number, answer.code) == (3, 200)
    assert ven.handler.get_event("e1").priority == 2
    assert ven.at(START) == (2.0, "e1")


def test_G14_not_inside_of_them(ven):
    assert ven.take(event(number="1 2"))[0].refused
    assert ven.take(event(status="fa r"))[0].refused


# -- the wrapper of 2.0b --------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["2.0b"])
@pytest.mark.parametrize("wrap", [True, False])
def test_S01_wrapped_and_bare_are_taken_and_wrapped_is_sent(new_ven, wrap):
    ven = new_ven()
    assert ven.answer_to(event(), wrap=wrap).wrapped
    assert Sent(ven.handler.build_request_payload()).wrapped
    bare = new_ven(policy=VtnPolicy(wrap_20b=False))
    assert not bare.answer_to(event(), wrap=wrap).wrapped
    assert not Sent(bare.handler.build_request_payload()).wrapped


def test_G01_what_the_schema_does_not_allow_is_not_sent():
    with pytest.raises(LocalProtocolError):
        oadr2.encode(model.Response(ven_id="ven", profile="2.0a"))
    with pytest.raises(LocalProtocolError):
        oadr2.encode(model.Response(model.EiResponse(response_code=20), profile="2.0b"))


def test_G12_an_unreadable_code_is_no_2xx(ven):
    ven.take(event())
    for code in ("", "OK", "20", "2000", "2 0"):
        answer = ei_response(code)
        with pytest.raises(RemoteProtocolError):
            ven.deliver(document("oadrResponse", answer, profile=ven.profile))
    assert ven.held == {"e1": 0}
