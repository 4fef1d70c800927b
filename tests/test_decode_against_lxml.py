"""Decoding against a plain extraction with lxml: every value, of good and of damaged payloads."""

from __future__ import annotations

import random
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from cases import CASES
from payload_trees import STYLES, UTF8_STYLES, Tree, contents_of, write

pytest.importorskip("lxml.etree")
from lxml import etree
from lxml_extraction import Refused, canonical, extract

from oadr2 import decode
from oadr2.errors import RemoteProtocolError
from oadr2.model import Targets
from oadr2.schedule import Duration

LEFT_OUT = {"problems", "raw"}


def plain(found: Any) -> Any:
    """A model object as the oracle writes it."""
    if isinstance(found, Duration):
        return (found.months, found.microseconds)
    if isinstance(found, Targets):
        values = {each.name: getattr(found, each.name) for each in fields(found)}
        for name in ("service_areas", "service_locations"):
            values[name] = tuple(canonical(etree.fromstring(raw)) for raw in values[name])
        return {name: value for name, value in values.items() if value}
    if is_dataclass(found):
        return {
            each.name: plain(getattr(found, each.name))
            for each in fields(found)
            if each.name not in LEFT_OUT
        }
    if hasattr(found, "__iter__") and not isinstance(found, (str, bytes, dict)):
        return tuple(plain(each) for each in found)
    return found


def same(ours: Any, theirs: Any, path: str = "") -> None:
    if theirs == "?" and (ours is None or isinstance(ours, tuple)):
        return
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), path
        for name in theirs:
            same(ours[name], theirs[name], f"{path}.{name}")
    elif isinstance(theirs, tuple) and theirs and isinstance(theirs[0], dict):
        assert len(ours) == len(theirs), path
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            same(one, other, f"{path}[{number}]")
    else:
        assert ours == theirs, path
        assert type(ours) is type(theirs), path


def compare(data: bytes) -> str:
    """Assert that both read the same; "read", "refused" or "unknown"."""
    try:
        theirs: dict[str, Any] | None = extract(data)
    except Refused as error:
        if "not a valid URI" in str(error):  # see test_xml_against_lxml.py
            return "no opinion"
        theirs = None
    except NotImplementedError:
        return "no opinion"
    if theirs is None:
        with pytest.raises(RemoteProtocolError):
            decode(data)
        return "refused"
    found = decode(data)
    kind = theirs.pop("kind")
    assert type(found).__name__ == kind
    if kind == "UnknownMessage":
        return "unknown"
    same(plain(found), theirs, kind)
    return "read"


@pytest.mark.parametrize("style", STYLES)
def test_every_case(style: str) -> None:
    for case in CASES:
        assert compare(write(case.tree, STYLES[style])) == "read"


TEXT = re.compile(rb">([^<>]+)<")
ODD_TEXTS = (
    b" ", b"x", b"1", b"-1", b"+7", b"1e3", b"1e-400", b"4294967295", b"NaN", b"INF", b"true", b"0",
    b"PT5M", b"P1Y2M", b"-P1DT1S", b"PT", b"PT1X", b"2031-02-29T00:00:00Z", b"2032-02-29T24:00:00Z",
    b"2031-05-06T07:08:09.1234567", b"2031-05-06T07:08:09+14:00", b"optIn", b"never", b"near",
    b"<ei:x/>", b"&#32;far\n", b"\xf0\x9f\x94\x8c", b"007", b"404", b"20", b" 200 ",
)  # fmt: skip


def with_odd_text(source: random.Random, data: bytes) -> bytes:
    places = [match.span(1) for match in TEXT.finditer(data)]
    if not places:
        return data
    start, end = source.choice(places)
    return data[:start] + source.choice(ODD_TEXTS) + data[end:]


def with_changed_tree(source: random.Random, tree: Tree) -> Tree:
    """Somewhere an element is left out, repeated, emptied or moved to the end."""
    children = [part for part in contents_of(tree) if isinstance(part, tuple)]
    if not children:
        return tree
    chosen = source.choice(children)
    kind = source.randrange(12)
    if kind > 3:
        by: tuple[Tree, ...] = (with_changed_tree(source, chosen),)
    else:
        by = ((), (chosen, chosen), ((chosen[0],),), ())[kind]
    made: list[Any] = []
    for part in tree:
        made += by if part is chosen else (part,)
    return (*made, chosen) if kind == 3 else tuple(made)


def test_odd_texts() -> None:
    source = random.Random(5)
    verdicts = []
    for _ in range(2000):
        data = write(source.choice(CASES).tree)
        for _ in range(source.randint(1, 3)):
            data = with_odd_text(source, data)
        verdicts.append(compare(data))
    assert verdicts.count("read") > 1000
    assert verdicts.count("refused") > 50
    assert verdicts.count("no opinion") < 50


def test_elements_left_out_repeated_emptied_and_moved() -> None:
    source = random.Random(6)
    verdicts = []
    for _ in range(2000):
        tree = source.choice(CASES).tree
        for _ in range(source.randint(1, 3)):
            tree = with_changed_tree(source, tree)
        style = source.choice(list(UTF8_STYLES))
        verdicts.append(compare(write(tree, UTF8_STYLES[style])))
    assert verdicts.count("read") > 1000
    assert verdicts.count("refused") > 50
    assert verdicts.count("no opinion") < 50


def test_shared_samples_and_the_same_with_odd_texts(shared_openadr: Path) -> None:
    source = random.Random(7)
    samples = sorted((shared_openadr / "payloads").glob("*/*.xml"))
    read = 0
    for sample in samples:
        data = sample.read_bytes()
        verdict = compare(data)
        assert verdict in ("read", "unknown")
        read += verdict == "read"
        for _ in range(20 if verdict == "read" else 2):
            compare(with_odd_text(source, data))
    assert read >= 30
