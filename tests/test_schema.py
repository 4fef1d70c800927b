"""What is valid, what is not, and how it is said: documents of our own, no other files needed."""

from __future__ import annotations

import re
import sys
import threading
import tomllib
from pathlib import Path
from typing import get_args

import payloads
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from message_strategies import messages, unhurried

from oadr2 import ConfigurationError, RemoteProtocolError, encode, schema
from oadr2.event import EventHandler
from oadr2.model import CreatedEvent, EventResponse, Message, RequestEvent, Targets
from oadr2.sim import SimulatedVtn

ROOT = Path(__file__).parent.parent
PROFILES = ("2.0a", "2.0b")
each_profile = pytest.mark.parametrize("profile", PROFILES)

DSIG = (
    '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo>'
    '<CanonicalizationMethod Algorithm="urn:c14n"/><SignatureMethod Algorithm="urn:rsa"/>'
    '<Reference URI="#oadrSignedObject"><Transforms><Transform Algorithm="urn:t"/></Transforms>'
    '<DigestMethod Algorithm="urn:sha"/><DigestValue>AAAA</DigestValue></Reference></SignedInfo>'
    "<SignatureValue>AAAA</SignatureValue><KeyInfo><X509Data><X509Certificate>AAAA"
    "</X509Certificate></X509Data></KeyInfo><Object><SignatureProperties>"
    '<SignatureProperty Target="#s"><r:ReplayProtect xmlns:r="urn:r"/></SignatureProperty>'
    "</SignatureProperties></Object></Signature>"
)


def event_list(*changes: tuple[str, str], profile: str = "2.0b", **fields: object) -> bytes:
    """A list with one event; each change replaces the first text by the second, once."""
    text = payloads.distribute_event(payloads.event(**fields), profile=profile).decode()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text.encode()


def sentence(data: bytes) -> str:
    """The sentence about the only fault."""
    (fault,) = schema.validate(data)
    assert not schema.is_valid(data)
    return fault.sentence


# What is valid


@unhurried
@given(messages(), st.booleans())
def test_what_is_encoded_is_valid(message, wrap):
    data = encode(message, wrap=wrap)
    assert schema.is_valid(data)
    assert schema.validate(data) == []


@each_profile
def test_what_a_ven_and_the_simulated_vtn_say_is_valid(profile):
    vtn = SimulatedVtn("vtn", profile)
    vtn.add_event("plain", duration=60)
    vtn.add_event(
        "full",
        start="+1h",
        levels=[("PT1M", 1), ("PT1M", 2)],
        priority=1,
        startafter="PT5M",
        notification="PT10M",
        ramp_up="PT1M",
        recovery="-PT1M",
        targets=Targets(("ven-1",), ("g",), ("r",), ("p",)),
        test_event="false",
        vtn_comment="text",
    )
    vtn.add_event("not-ours", duration=60, targets=Targets(("somebody-else",)))
    handler = EventHandler("ven-1", oadr_profile_level=profile)
    said = [handler.build_request_payload()]
    said.append(vtn.handle(said[-1], profile))
    said.append(handler.handle_payload(said[-1]))
    said.append(handler.set_opt("plain", "optOut"))
    said.append(vtn.handle(said[-1], profile))
    said.append(vtn.handle(b"<a/>", profile))
    said.append(vtn.handle(encode(RequestEvent("nobody", "q", 5, profile)), profile))
    answers = (EventResponse("unknown", 0, "optIn"),)
    said.append(vtn.handle(encode(CreatedEvent("ven-1", answers, profile=profile)), profile))
    foreign = payloads.distribute_event(payloads.event(), vtn_id="other", profile=profile)
    said.append(EventHandler("ven-1", vtn_ids="vtn").handle_payload(foreign))
    assert all(data is not None for data in said)
    for data in said:
        assert schema.validate(data) == []
        assert schema.identify(data)[0] == profile


@each_profile
def test_a_valid_event_list(profile):
    assert schema.validate(event_list(profile=profile)) == []
    assert schema.validate(payloads.distribute_event(profile=profile)) == []


def test_a_signed_message_and_one_in_utf16():
    data = event_list(("<oadr:oadrSignedObject>", f"{DSIG}<oadr:oadrSignedObject oadr:Id='x'>"))
    assert schema.validate(data) == []
    data = data.replace(b'encoding="UTF-8"', b'encoding="UTF-16"').decode().encode("utf-16")
    assert schema.validate(data) == []
    assert schema.is_valid(bytearray(data))
    assert schema.is_valid(memoryview(data))


def test_comments_and_instructions_do_not_count():
    assert schema.is_valid(event_list(("far<", "f<!-- r -->a<?x y?>r<")))
    assert not schema.is_valid(event_list(("far<", "f<!-- r -->ar and near<")))


# facts.md 5: which texts the types take

VALUES = {
    "duration": (
        [
            "PT1H",
            "PT90M",
            "PT3600S",
            "P1DT2H",
            "P1Y2M3DT4H5M6S",
            "PT0S",
            "P0D",
            "PT0M",
            "P",
            "PT",
            "P1DT",
            "3W",
            "-PT5M",
            "+PT5M",
            "P12H",
            "P1H2S",
            "P3D12M",
            "P5M",
        ],
        ["P3W", "PT1.5S", "PTS", "PT1D", "P1M1Y", "pt1h", " PT1H", "PT1H ", "", "0", "-3W", "--P"],
    ),
    "dtstart": (
        [
            "2020-01-01T00:00:00Z",
            "2020-01-01T00:00:00",
            "2020-01-01T00:00:00.123Z",
            "2020-01-01T00:00:00.1234567Z",
            "2020-01-01T24:00:00Z",
            " 2020-01-01T00:00:00Z\n",
            "-2020-01-01T00:00:00Z",
        ],
        [
            "2020-01-01T00:00:00+01:00",
            "2020-01-01T00:00:00-00:00",
            "2020-01-01",
            "2020-01-01 00:00:00Z",
            "20200101T000000Z",
            "2020-01-01t00:00:00Z",
            "2020-01-01T00:00:00z",
            "2020-01-01T00:00:00.Z",
            "2020-01-01T23:59:60Z",
            "2020-13-01T00:00:00Z",
            "2021-02-29T00:00:00Z",
            "+2020-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "12020-01-01T00:00:00Z",
            "",
        ],
    ),
    "level": (
        ["1", "1.0", "3.14159E0", "INF", "-INF", "NaN", " 2 ", ".5"],
        ["", "one", "1,5", "0x1"],
    ),
    "number": (["0", "4294967295", "007", "+1", " 1 "], ["", "-1", "4294967296", "1.0", "one"]),
    "priority": (["0", "4294967295"], ["", "high"]),
    "status": (
        ["none", "far", "near", "active", "completed", "cancelled", " far\n"],
        ["canceled", ""],
    ),
    "required": (["always", "never"], [" always", "always\n", "Always", ""]),
    "type": (["level", " price "], ["Level", "", "x-mine"]),
    "event_id": (["", " ", "007"], []),
    "market_context": (["", "http://a/?b=1", "DR 1"], []),
}
CASES = [
    (field, text, valid)
    for field, (good, bad) in VALUES.items()
    for texts, valid in ((good, True), (bad, False))
    for text in texts
]


@each_profile
@pytest.mark.parametrize(("field", "text", "valid"), CASES)
def test_values(profile, field, text, valid):
    fields = {field: text, "intervals": [("PT1H", 1)]}
    if field == "level":
        del fields["intervals"]
    data = event_list(profile=profile, **fields)
    assert schema.is_valid(data) is valid
    assert bool(schema.validate(data)) is not valid


@pytest.mark.parametrize(
    ("code", "valid"),
    [("200", True), ("999", True), ("20", False), ("2000", False), (" 200", False)],
)
@each_profile
def test_response_codes(profile, code, valid):
    assert schema.is_valid(payloads.response(code, profile=profile)) is valid


@pytest.mark.parametrize(
    ("name", "in_a", "in_b"),
    [("SIMPLE", True, True), ("x-mine", True, True), ("x-", True, False), ("mine", True, False)],
)
def test_signal_names_are_free_in_2_0a_only(name, in_a, in_b):
    assert schema.is_valid(event_list(name=name, profile="2.0a")) is in_a
    assert schema.is_valid(event_list(name=name, profile="2.0b")) is in_b


@pytest.mark.parametrize(
    ("fields", "in_a", "in_b"),
    [
        ({"notification": None}, False, True),
        ({"current_value": None}, False, True),
        ({"type": "product"}, True, False),
        ({"type": "x-loadControlSetpoint"}, False, True),
        ({"intervals": [payloads.interval(uid=None)]}, False, True),
        ({"intervals": [payloads.interval(duration=None)]}, False, True),
        ({"targets": {"group_name": "g"}}, False, True),
        ({"targets": {"group_id": "g", "party_id": "p"}}, True, True),
    ],
)
def test_where_the_profiles_differ(fields, in_a, in_b):
    assert schema.is_valid(event_list(profile="2.0a", **fields)) is in_a
    assert schema.is_valid(event_list(profile="2.0b", **fields)) is in_b


# How it is said

EI = payloads.NAMESPACES["ei"]
STATUS = "<ei:eventStatus>far</ei:eventStatus>"
MESSAGES = [f"oadr{message.__name__}" for message in get_args(Message)[:-1]]
SENTENCES = [
    (
        event_list(status="activ"),
        "eventStatus is 'activ'; allowed are none, far, near, active, completed, cancelled",
    ),
    (event_list(required="Never"), "oadrResponseRequired is 'Never'; allowed are always, never"),
    (event_list(duration=None, intervals=[("PT1H", 1)]), "duration is missing after dtstart"),
    (event_list(dtstart=None), "dtstart is missing in properties"),
    (event_list(intervals=[]), "interval is missing in intervals"),
    (event_list(("<ei:eiTarget></ei:eiTarget>", "")), "eiTarget is missing after eiEventSignals"),
    (event_list((STATUS, f"<ei:foo/>{STATUS}")), "unexpected element foo; eventStatus was due"),
    (event_list((STATUS, STATUS * 2)), "eventStatus stands more than once in eventDescriptor"),
    (
        event_list((STATUS, f"<ei:testEvent/>{STATUS}")),
        "testEvent stands before eventStatus",
    ),
    (
        event_list((STATUS, "<eventStatus>far</eventStatus>")),
        f"eventStatus is in no namespace, and belongs in {EI}",
    ),
    (
        event_list(("eiTarget></", "eiTarget><ei:venID>v</ei:venID><ei:groupID>g</ei:groupID></")),
        "groupID stands too late: its place is before venID",
    ),
    (
        event_list(("eiTarget></", "eiTarget><ei:groupId/></")),
        "unexpected element groupId; did you mean groupID?",
    ),
    (event_list(("eiTarget></", "eiTarget><zzz/></")), "unexpected element zzz in eiTarget"),
    (
        event_list(("eiTarget></", "eiTarget>ven</")),
        "eiTarget has text, but only elements may stand in it",
    ),
    (
        event_list(("<ei:eventID>", "<ei:eventID><b/>")),
        "eventID has elements in it, but only text may stand there",
    ),
    (
        event_list(("<ei:eventID>", "<ei:eventID a='1'>")),
        "eventID has the attribute a, which may not stand there",
    ),
    (
        event_list(('schemaVersion="2.0b"', 'schemaVersion="3"')),
        "schemaVersion of oadrDistributeEvent is '3'; allowed are 2.0a, 2.0b, "
        "or a name that begins with x-",
    ),
    (
        event_list(
            ("<oadr:oadrSignedObject>", f"{DSIG}<oadr:oadrSignedObject>"),
            ('SignatureMethod Algorithm="urn:rsa"', "SignatureMethod"),
        ),
        "SignatureMethod lacks the attribute Algorithm",
    ),
    (
        event_list(
            ("<oadr:oadrSignedObject>", f"{DSIG}<oadr:oadrSignedObject>"),
            ('<r:ReplayProtect xmlns:r="urn:r"/>', ""),
        ),
        "an element is missing in SignatureProperty",
    ),
    (
        event_list(
            ("<oadr:oadrSignedObject>", f"{DSIG}<oadr:oadrSignedObject>"),
            ('"urn:c14n"/>', '"urn:c14n"><ei:foo/></CanonicalizationMethod>'),
        ),
        "unexpected element foo: no schema declares it for this place",
    ),
    (
        event_list(number="x"),
        "modificationNumber is 'x'; it must be a whole number from 0 to 4294967295",
    ),
    (
        event_list(number="-1"),
        "modificationNumber is '-1'; it must be a whole number from 0 to 4294967295",
    ),
    (
        event_list(number=""),
        "modificationNumber is empty; it must be a whole number from 0 to 4294967295",
    ),
    (event_list(level="one"), "value is 'one'; it must be a number"),
    (
        event_list(dtstart="2020-01-01T00:00:00+01:00"),
        "date-time is '2020-01-01T00:00:00+01:00'; "
        "it must be a time in UTC such as 2030-07-01T12:00:00Z (no offset)",
    ),
    (
        event_list(duration="P3W", intervals=[("PT1H", 1)]),
        "duration is 'P3W'; it must be a duration such as PT1H30M (whole seconds; weeks as 3W)",
    ),
    (payloads.response("20x"), "responseCode is '20x'; it must be three digits"),
    (
        event_list(event_id="e", number="9" * 100),
        f"modificationNumber is '{'9' * 60}...'; it must be a whole number from 0 to 4294967295",
    ),
    (
        event_list(
            (
                "eiTarget></",
                'eiTarget xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"></',
            )
        ),
        "eiTarget has xsi:nil, which may not stand there",
    ),
    (
        event_list(
            (
                "<ei:currentValue>",
                "<power:voltage><power:itemDescription>A</power:itemDescription><power:itemUnits/>"
                '<s:siScaleCode xmlns:s="http://docs.oasis-open.org/ns/emix/2011/06/siscale">k'
                "</s:siScaleCode></power:voltage><ei:currentValue>",
            )
        ),
        "itemDescription is 'A'; it must be 'Voltage' or empty",
    ),
    (
        b'<oadrPayload xmlns="http://openadr.org/oadr-2.0b/2012/07"><oadrSignedObject/></oadrPayload>',
        f"{', '.join(MESSAGES[:-1])} or {MESSAGES[-1]} is missing in oadrSignedObject",
    ),
    (b"", "no well-formed XML: Document is empty"),
    (b"<a/>", "a is in no namespace: no OpenADR message"),
    (b"<a xmlns='urn:x'/>", "a is in the namespace urn:x: no OpenADR message"),
    (
        b"<oadrPoll xmlns='http://openadr.org/oadr-2.0a/2012/07'/>",
        "oadrPoll is no message of 2.0a",
    ),
    (
        b"<oadrReport xmlns='http://openadr.org/oadr-2.0b/2012/07'/>",
        "oadrReport is no message of 2.0b",
    ),
    (
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + event_list().partition(b"?>\n")[2],
        "a document type declaration, which no message has",
    ),
]


@pytest.mark.parametrize(("data", "expected"), SENTENCES, ids=[each[1][:40] for each in SENTENCES])
def test_sentences(data, expected):
    assert sentence(data) == expected
    with pytest.raises(RemoteProtocolError, match="not valid by the schema: ") as caught:
        schema.require_valid(data)
    assert "\n" not in str(caught.value)
    assert len(caught.value.reason) < 400
    assert not re.search(r"\{(http|urn):", caught.value.reason)


def test_several_faults_with_their_places():
    text = event_list(status="activ", number="x", level="one").decode()
    text = text.replace("><", ">\n<").replace(
        "</oadr:oadrEvent>", "</oadr:oadrEvent>\n<oadr:oadrEvent/>"
    )
    faults = schema.validate(text.encode())
    lines = text.split("\n")
    assert [lines[fault.line - 1].split(">")[0] for fault in faults] == [
        "<ei:modificationNumber",
        "<ei:eventStatus",
        "<ei:value",
        "<oadr:oadrEvent/",
    ]
    above = "oadrPayload/oadrSignedObject/oadrDistributeEvent"
    assert faults[1].path == f"{above}/oadrEvent[1]/eiEvent/eventDescriptor/eventStatus"
    assert faults[3] == schema.SchemaFault(
        lines.index("<oadr:oadrEvent/>") + 1,
        f"{above}/oadrEvent[2]",
        "eiEvent is missing in oadrEvent",
    )
    with pytest.raises(RemoteProtocolError) as caught:
        schema.require_valid(text.encode())
    error = caught.value
    assert (error.line, error.column) == (faults[0].line, None)
    assert error.path == faults[0].path
    assert error.response_code == 454
    assert f"(line {error.line}, in {error.path})" in str(error)


def test_paths_without_prefixes():
    text = event_list(status="activ", profile="2.0a").decode()
    text = re.sub(r"<(/?)(\w+):", r"<\1", text)  # every element in one namespace
    text = text.replace(
        "<oadrDistributeEvent ", f'<oadrDistributeEvent xmlns="{payloads.OADR["2.0a"]}" '
    )
    with pytest.raises(RemoteProtocolError) as caught:
        schema.require_valid(text.encode())
    assert caught.value.path == "oadrDistributeEvent/requestID"
    (fault,) = schema.validate(text.encode())[:1]
    assert fault.path == caught.value.path


def test_where_xmlschema_gives_up_libxml2_is_heard():
    data = event_list(
        (
            "eiTarget></",
            'eiTarget xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="ei:No"></',
        )
    )
    assert "does not resolve to a type definition" in sentence(data)


def test_deep_nesting_is_a_verdict_and_no_crash():
    deep = event_list(
        ("<xcal:components/>", f"<xcal:components>{'<a>' * 240}{'</a>' * 240}</xcal:components>")
    )
    assert schema.validate(deep) == []
    wrong = deep.replace(b"<ei:eventStatus>far", b"<ei:eventStatus>fra")
    (fault,) = schema.validate(wrong)
    assert "fra" in fault.sentence
    deeper = deep.replace(b"<a></a>", b"<a>" * 200 + b"</a>" * 200)
    (fault,) = schema.validate(deeper)
    assert "no well-formed XML" in fault.sentence


# Which messages there are


def test_every_message_of_2_0b_is_known():
    assert len(schema.MESSAGES["2.0b"]) == 23
    assert schema.MESSAGES["2.0a"] < schema.MESSAGES["2.0b"]


def test_the_name_of_a_message():
    assert schema.identify(event_list()) == ("2.0b", "oadrDistributeEvent")
    assert schema.identify(payloads.response(profile="2.0a")) == ("2.0a", "oadrResponse")
    assert schema.identify(
        event_list(("<oadr:oadrSignedObject>", f"{DSIG}<oadr:oadrSignedObject>"))
    ) == (
        "2.0b",
        "oadrDistributeEvent",
    )
    assert schema.identify(b"<a/>") is None
    assert schema.identify(b"<") is None


# The rest


def test_without_xmlschema_there_is_a_verdict_but_no_report(monkeypatch):
    monkeypatch.setitem(sys.modules, "xmlschema", None)
    monkeypatch.delitem(sys.modules, "oadr2.schema_report", raising=False)
    data = event_list(status="activ")
    with pytest.raises(
        ConfigurationError, match=r"needs xmlschema.*pip install 'oadr2\[validate\]'"
    ):
        schema.validate(data)
    assert not schema.is_valid(data)
    with pytest.raises(RemoteProtocolError, match="activ"):
        schema.require_valid(data)


def test_threads_do_not_mix_up_their_verdicts():
    documents = [(event_list(status=status), status) for status in ("far", "activ", "gone")]
    wrong: list[str] = []

    def check(data: bytes, status: str) -> None:
        for _ in range(50):
            try:
                schema.require_valid(data)
                told = "far"
            except RemoteProtocolError as error:
                told = re.search(r"value '(\w+)'", str(error))[1]
            if told != status:
                wrong.append(f"{told} instead of {status}")

    threads = [threading.Thread(target=check, args=each) for each in documents * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    "file", sorted(schema.SCHEMAS.rglob("*.xsd")), ids=lambda f: f"{f.parent.name}/{f.name}"
)
def test_each_schema_file_is_of_one_namespace_and_in_use(file):
    root = etree.parse(file).getroot()
    namespace = root.get("targetNamespace")
    roots = [etree.parse(other).getroot() for other in file.parent.glob("*.xsd")]
    includes = {each.get("schemaLocation") for root in roots for each in root.findall("{*}include")}
    if file.name in includes:  # a part of its namespace's file
        assert namespace == etree.parse(file.with_name("oadr.xsd")).getroot().get("targetNamespace")
        return
    imports = [
        each
        for root in roots
        for each in root.findall("{*}import")
        if each.get("namespace") == namespace
    ]
    assert {each.get("schemaLocation") for each in imports} <= {file.name}
    assert imports or file.name == "oadr.xsd"


def test_schema_files_are_package_data():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["oadr2"]
    shipped = {path for pattern in patterns for path in (ROOT / "oadr2").glob(pattern)}
    assert set(schema.SCHEMAS.rglob("*.xsd")) <= shipped
