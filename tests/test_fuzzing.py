"""What fuzzing has found, tried again; and that the harness finds what it is to find."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cases import CASES
from hypothesis import given, settings
from hypothesis import strategies as st
from payload_trees import STYLES, write
from service_strategies import messages

pytest.importorskip("lxml.etree")
from fuzzing import oracle
from fuzzing.minimise import minimised
from fuzzing.mutations import Mutator, damaged, spans
from fuzzing.oracle import NO_OPINION, READ, REFUSED, Difference, verdict

from oadr2 import decode, encode
from oadr2._core import scan as xml
from oadr2.errors import RemoteProtocolError

TESTS = Path(__file__).parent
CORPUS = sorted((TESTS / "corpus").glob("*.xml"))
PLAIN = write(CASES[0].tree)


@pytest.mark.parametrize("path", CORPUS, ids=[path.stem for path in CORPUS])
def test_what_was_found(path: Path) -> None:
    verdict(path.read_bytes())


def test_inputs_of_the_loop() -> None:
    mutator = Mutator(0)
    outcomes = [verdict(mutator.input(number)) for number in range(2000)]
    assert outcomes.count(READ) > 600
    assert outcomes.count(REFUSED) > 600
    assert outcomes.count(NO_OPINION) < 60


@settings(deadline=None, derandomize=True, max_examples=80)
@given(messages(), st.integers(0, 2**32), st.integers(0, 4))
def test_generated_messages_and_the_same_damaged(message: object, seed: int, times: int) -> None:
    data = encode(message)  # type: ignore[arg-type]
    assert verdict(data) == READ
    source = random.Random(seed)
    for _ in range(times):
        verdict(damaged(source, data))


# --- the harness ----------------------------------------------------------------------------------


def test_an_input_follows_from_its_seed_and_number() -> None:
    one, other = Mutator(7), Mutator(7)
    wanted = [one.input(number) for number in range(50)]
    assert [other.input(number) for number in reversed(range(50))] == wanted[::-1]
    another = Mutator(8)
    assert wanted != [another.input(number) for number in range(50)]
    assert len(set(wanted)) > 45


@pytest.mark.parametrize("style", ["plain", "comments", "cdata", "apostrophes", "indented"])
def test_spans_are_those_of_the_elements(style: str) -> None:
    data = write(CASES[0].tree, STYLES[style])
    found = [token for token in xml.scan(data) if token[0] != "close"]
    elements = spans(data)
    assert len(elements) == len(found)
    for span, token in zip(elements, found, strict=True):
        assert span.name.rpartition(b":")[2].decode() == token[2]
        assert data[span.begin : span.inner].startswith(b"<" + span.name)
        assert span.after == span.end or data[span.after : span.end].startswith(b"</" + span.name)
        assert bool(span.holds) == (token[0] == "open")


def test_a_wrong_value_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(data: bytes, **more: object) -> object:
        found = decode(data, **more)  # type: ignore[arg-type]
        (event,) = found.events  # type: ignore[union-attr]
        (signal,) = event.signals
        first, *others = signal.intervals
        changed = (replace(first, value=first.value + 1e-9), *others)
        return replace(
            found, events=(replace(event, signals=(replace(signal, intervals=changed),)),)
        )

    assert verdict(PLAIN) == READ
    monkeypatch.setattr(oracle, "decode", wrong)
    with pytest.raises(Difference) as caught:
        verdict(PLAIN)
    assert caught.value.place == "DistributeEvent.events[#].signals[#].intervals[#].value"


def test_a_wrong_verdict_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(data: bytes, **more: object) -> object:
        raise RemoteProtocolError("no")

    monkeypatch.setattr(oracle, "decode", refusing)
    assert verdict(PLAIN[:-1]) == REFUSED
    with pytest.raises(Difference, match="decoder: verdict"):
        verdict(PLAIN)


def test_a_wrong_token_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    scan = xml.scan
    monkeypatch.setattr(oracle.xml, "scan", lambda data, **more: scan(data, **more)[:-1])
    with pytest.raises(Difference, match="number of tokens"):
        verdict(PLAIN)


def test_minimised_keeps_what_fails_and_little_else() -> None:
    def fails(data: bytes) -> bool:
        return b"PT10M" in data and b"<strm:intervals>" in data

    small = minimised(PLAIN, fails)
    assert fails(small)
    assert len(small) == len(b"PT10M<strm:intervals>")


LOOP = """
import os, signal, sys, time
from pathlib import Path
from fuzzing import loop

def judge(data):
    if b"PT20M" in data and b"xcal:uid" in data:
        {fault}
    return "read"

if __name__ == "__main__":
    loop.verdict = judge
    loop.fault_of.__defaults__ = (judge,)
    loop.CORPUS = Path(sys.argv[1])
    print("found", loop.run(400, 3, 2, 2))
"""


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "died-of-sigsegv"),
        ("raise KeyError", "keyerror-in-judge"),
    ],
)
def test_the_loop_finds_keeps_and_survives(fault: str, name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOP.format(fault=fault), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(TESTS), str(TESTS.parent)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "found" in done.stdout
    kept = list(tmp_path.iterdir())
    assert kept
    for path in kept:
        assert path.name.startswith(name)
        assert len(path.read_bytes()) < 100
