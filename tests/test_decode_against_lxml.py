"""Decoding against a plain extraction with lxml: every value, of good and of damaged payloads."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from cases import CASES
from payload_trees import STYLES, UTF8_STYLES, Tree, contents_of, write

pytest.importorskip("lxml.etree")
from fuzzing.mutations import ODD_TEXTS
from fuzzing.oracle import verdict


@pytest.mark.parametrize("style", STYLES)
def test_every_case(style: str) -> None:
    for case in CASES:
        assert verdict(write(case.tree, STYLES[style])) == "read"


TEXT = re.compile(rb">([^<>]+)<")


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
        verdicts.append(verdict(data))
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
        verdicts.append(verdict(write(tree, UTF8_STYLES[style])))
    assert verdicts.count("read") > 1000
    assert verdicts.count("refused") > 50
    assert verdicts.count("no opinion") < 50


def test_shared_samples_and_the_same_with_odd_texts(shared_openadr: Path) -> None:
    source = random.Random(7)
    samples = sorted((shared_openadr / "payloads").glob("*/*.xml"))
    read = 0
    for sample in samples:
        data = sample.read_bytes()
        found = verdict(data)
        assert found in ("read", "unknown")
        read += found == "read"
        for _ in range(20 if found == "read" else 2):
            verdict(with_odd_text(source, data))
    assert read >= 30
