"""Our schemas against the profile's own: the same verdict on samples, on our messages, on damage."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import payloads
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from message_strategies import messages, unhurried
from test_schema import CASES, DSIG, event_list

from oadr2 import encode, schema

MUTATIONS = 150  # of each profile and each seed
SEEDS = range(3)
EDITIONS = {"2.0a": ("2.0a",), "2.0b": ("2.0b", "2.0b-2013")}

TEXTS = [
    *("", " ", "0", "1", "-1", "+1", "1.5", "4294967296", "one", "true", "INF", "NaN", "1e400"),
    *("PT1H", "P3W", "3W", "P", "PT", "-PT5M", "PT0.5S", " PT1H", "P1M1Y", "P\u0663D", "\u0663W"),
    *("2020-01-01T00:00:00Z", "2020-01-01T00:00:00", "2020-01-01T00:00:00+01:00"),
    *("2020-01-01T24:00:00Z", "2020-02-30T00:00:00Z", " 2020-01-01T00:00:00.5Z "),
    *("200", " 200", "20", "optIn", " optIn", "always", " always", "far", "Far", "cancelled"),
    *("SIMPLE", "simple", "x-", "x-a", "x-a b", " x-a", "level", "product", "price", "setpoint"),
    *("W", "J/s", "kW", "V", "k", " k", "EUR", " EUR", "XXX", "DOL", "celsius", "currency"),
    *("1 2 3", "1 x", "http://a/ b", "a:b:c", "http://[", "%zz", "101", "100", "Quality Good - X"),
]
XSI = "http://www.w3.org/2001/XMLSchema-instance"
ATTRIBUTES = [
    f"{{{payloads.NAMESPACES['ei']}}}schemaVersion",
    f"{{{payloads.OADR['2.0b']}}}Id",
    "{http://www.opengis.net/gml/3.2}id",
    f"{{{XSI}}}nil",
    f"{{{XSI}}}schemaLocation",
    "Id",
    "schemaVersion",
]
SCALE = "http://docs.oasis-open.org/ns/emix/2011/06/siscale"
UNIT = (
    "<oadr:currency><oadr:itemDescription>currency</oadr:itemDescription>"
    "<oadr:itemUnits>EUR</oadr:itemUnits>"
    f'<s:siScaleCode xmlns:s="{SCALE}">none</s:siScaleCode></oadr:currency>'
)
REPORT = (
    "<oadr:oadrReportPayload><ei:rID>r</ei:rID><ei:confidence>100</ei:confidence><ei:accuracy>1"
    "</ei:accuracy><oadr:oadrPayloadResourceStatus><oadr:oadrOnline>true</oadr:oadrOnline>"
    "<oadr:oadrManualOverride>0</oadr:oadrManualOverride><oadr:oadrLoadControlState>"
    "<oadr:oadrCapacity><oadr:oadrMin>0</oadr:oadrMin><oadr:oadrCurrent>1</oadr:oadrCurrent>"
    "</oadr:oadrCapacity></oadr:oadrLoadControlState></oadr:oadrPayloadResourceStatus>"
    "<oadr:oadrDataQuality>Quality Good - Non Specific</oadr:oadrDataQuality>"
    "</oadr:oadrReportPayload>"
)
RICH = {
    profile: payloads.distribute_event(
        payloads.event(
            priority=1,
            test_event="false",
            vtn_comment="",
            startafter="PT5M",
            ramp_up="-PT1M",
            recovery="PT1M",
            targets={"group_id": ["a", "b"], "resource_id": "r", "ven_id": "v", "party_id": "p"},
            signals=[payloads.signal(), payloads.signal([("PT1H", 1), ("PT2H", 2)])],
        ),
        payloads.event("e2"),
        response_code=200,
        response_description="OK",
        profile=profile,
    )
    for profile in ("2.0a", "2.0b")
}


class Official:
    """The profile's own schemas, every edition."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "schemas"
        self._schema = cache(self._compile)

    def _compile(self, edition: str) -> etree.XMLSchema:
        file = f"oadr_{edition.replace('.', '')[:3]}.xsd"
        return etree.XMLSchema(file=str(self._folder / edition / file))

    def is_valid(self, root: etree._Element, profile: str) -> bool:
        """By the newest edition; the older one differs in the wrapper's Id only."""
        return bool(self._schema(profile).validate(root))

    def every_edition(self, root: etree._Element, profile: str) -> set[bool]:
        return {bool(self._schema(edition).validate(root)) for edition in EDITIONS[profile]}


@pytest.fixture(scope="session")
def official(shared_openadr: Path) -> Official:
    return Official(shared_openadr)


def samples(folder: Path, profile: str) -> Iterator[tuple[str, bytes]]:
    for file in sorted((folder / "payloads" / profile).glob("*.xml")):
        yield file.name, file.read_bytes()


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_samples(official, shared_openadr, profile):
    verdicts = {}
    for name, data in samples(shared_openadr, profile):
        verdicts[name] = schema.is_valid(data)
        assert {verdicts[name]} == official.every_edition(etree.fromstring(data), profile), name
        assert bool(schema.validate(data)) is not verdicts[name], name
    assert sum(verdicts.values()) >= 15
    assert list(verdicts.values()).count(False) == {"2.0a": 3, "2.0b": 4}[profile]


@unhurried
@given(message=messages(), wrap=st.booleans())
def test_our_messages(official, message, wrap):
    data = encode(message, wrap=wrap)
    assert official.every_edition(etree.fromstring(data), message.profile) == {True}
    assert schema.is_valid(data)


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_values_of_our_table(official, profile):
    for field, text, valid in CASES:
        fields = {field: text}
        if field != "level":
            fields["intervals"] = [("PT1H", 1)]
        root = etree.fromstring(event_list(profile=profile, **fields))
        assert official.is_valid(root, profile) is valid, (field, text)


# Damage


def mutate(root: etree._Element, names: list[str], chance: random.Random) -> None:
    """Do one thing to the tree, anywhere below the root."""
    elements = [each for each in root.iterdescendants() if isinstance(each.tag, str)]
    element = chance.choice(elements)
    parent = element.getparent()
    kind = chance.choice(
        ["delete", "double", "swap", "move", "rename", "text", "text", "attribute", "add"]
    )
    if kind == "delete":
        parent.remove(element)
    elif kind == "double":
        element.addnext(copy.deepcopy(element))
    elif kind == "swap":
        if element.getnext() is not None:
            element.addprevious(element.getnext())
    elif kind == "move":
        chance.choice(
            [each for each in elements if element not in each.iterancestors()]
        ).addprevious(copy.deepcopy(element))
    elif kind == "rename":
        element.tag = chance.choice(names)
    elif kind == "text":
        leaves = [each for each in elements if len(each) == 0]
        (chance.choice(leaves) if chance.random() < 0.9 else element).text = chance.choice(TEXTS)
    elif kind == "attribute":
        element.set(
            chance.choice(ATTRIBUTES), chance.choice(["2.0b", "2.0c", "x-1", "true", "a b", ""])
        )
    else:
        element.append(etree.Element(chance.choice(names)))


def sources(profile: str, folder: Path) -> list[bytes]:
    found = [
        data
        for name, data in samples(folder, profile)
        if schema.is_valid(data) and "GreenButton" not in name  # what a feed holds is not judged
    ]
    found.extend([RICH[profile]] * 10)
    found.append(payloads.response(profile=profile))
    if profile == "2.0b":
        targets = dict.fromkeys(payloads.TARGETS, "x")
        wrapper = "<oadr:oadrSignedObject>"
        found.extend(
            [
                event_list(targets=targets),
                *([event_list(("<ei:currentValue>", f"{UNIT}<ei:currentValue>"))] * 3),
                *([event_list(("<ei:signalPayload>", f"{REPORT}<ei:signalPayload>"))] * 3),
                *([event_list((wrapper, f"{DSIG}{wrapper}"))] * 3),
            ]
        )
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_damaged_messages(official, shared_openadr, profile, seed):
    chance = random.Random(f"{profile} {seed}")
    documents = sources(profile, shared_openadr)
    found = {each.tag for data in documents for each in etree.fromstring(data).iter("*")}
    names = [*sorted(found), "unknown", f"{{{payloads.NAMESPACES['ei']}}}unknown"]
    counts = {True: 0, False: 0}
    for _ in range(MUTATIONS):
        root = etree.fromstring(chance.choice(documents))
        for _ in range(chance.choice([1, 1, 1, 2, 5])):
            if len(root):
                mutate(root, names, chance)
        data = etree.tostring(root)
        valid = schema.is_valid(data)
        assert valid is official.is_valid(etree.fromstring(data), profile), data.decode()
        counts[valid] += 1
        faults = schema.validate(data)
        assert bool(faults) is not valid
        for fault in faults:
            assert fault.sentence
            assert "\n" not in fault.sentence
            assert fault.line is not None
            assert fault.path.startswith(etree.QName(root).localname)
    # Both verdicts were put to the test.
    assert min(counts.values()) > MUTATIONS // 20, counts
