"""Decoding gives back what it takes, on every way out: the process must not grow.

The core allocates with malloc, which tracemalloc does not see; so the resident size is measured.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import AREA, CASES, distribute, event, signal
from payload_trees import STYLES, write
from service_cases import SERVICE_BY_NAME, SERVICE_CASES
from test_decode_problems import NOT_WELL_FORMED, REFUSED

from oadr2 import decode
from oadr2._core import scan as xml
from oadr2.errors import RemoteProtocolError
from oadr2.policy import Limits, VtnPolicy

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads /proc/self/statm"
)
KIB = 1024
# Long enough that each leaked payload, string or array would show: 20,000 of them are over 1 MiB.
ROUNDS = 20_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4 * KIB


def assert_steady(work: Callable[[int], None], rounds: int = ROUNDS) -> None:
    """A leak grows with the rounds for ever; caches and arenas settle, so a late calm is enough."""
    for number in range(rounds // 10):
        work(number)
    growth = 0
    for _ in range(3):
        gc.collect()
        before = resident()
        for number in range(rounds // 2):
            work(number)
        gc.collect()
        growth = resident() - before
        if growth < 512 * KIB:
            return
    pytest.fail(f"{rounds // 2} rounds keep {growth // KIB} KiB")


PAYLOADS = [write(case.tree, STYLES[style]) for case in CASES for style in ("plain", "cdata")]
PAYLOADS += [write(case.tree, STYLES["cdata"]) for case in SERVICE_CASES]
PAYLOADS.append(
    write(distribute("2.0b", event("2.0b", targets=(("emix:serviceArea", AREA),) * 20)))
)
TOO_MUCH = VtnPolicy(limits=Limits(size=100_000, depth=20, attributes=40, events=2, items=12))
BAD: list[tuple[bytes, VtnPolicy | None]] = [
    *((write(make("2.0b"), STYLES["cdata"]), None) for _, make, _, _ in REFUSED),
    *((before + fault, None) for before, fault, _, _ in NOT_WELL_FORMED),
    *(
        (write(SERVICE_BY_NAME["usage"].tree, STYLES["cdata"])[:length], None)
        for length in range(0, 2600, 20)
    ),
    *((write(CASES[1].tree, STYLES["cdata"])[:length], None) for length in range(0, 2600, 20)),
    (write(distribute("2.0b", *[event("2.0b")] * 3)), TOO_MUCH),
    (write(distribute("2.0b", event("2.0b", signals=(signal(),) * 5))), TOO_MUCH),
    (write(distribute("2.0b", event("2.0b", targets=(("ei:venID", "v"),) * 13))), TOO_MUCH),
    (b"<a>" * 30, TOO_MUCH),
    (b"<a" + b"".join(b" a%d=''" % number for number in range(50)) + b"/>", TOO_MUCH),
    (b" " * 100_001, TOO_MUCH),
    ("<a>é".encode("utf-16"), None),
    ("<!DOCTYPE a><a/>".encode("utf-16"), None),
    ("<?xml version='1.0' encoding='latin-1'?><a>é".encode("latin-1"), None),
    (b"<?xml version='1.0' encoding='unheard-of'?><a/>", None),
]


def test_decoding_keeps_nothing() -> None:
    assert_steady(lambda number: repr(decode(PAYLOADS[number % len(PAYLOADS)])) and None)


def test_events_that_outlive_their_message_keep_nothing_else() -> None:
    data = write(distribute("2.0b", *[event("2.0b")] * 20))
    kept: list[object] = []

    def work(number: int) -> None:
        kept[:] = [decode(data).events[number % 20], *kept[:2]]  # type: ignore[union-attr]

    assert_steady(work)


def test_refusals_keep_nothing() -> None:
    def work(number: int) -> None:
        data, policy = BAD[number % len(BAD)]
        try:
            decode(data, policy=policy)
        except RemoteProtocolError:
            return
        raise AssertionError(data)

    assert_steady(work)


def test_problems_keep_nothing() -> None:
    spoiled = [
        write(
            distribute("2.0b", event("2.0b", status="x", length="", number="-")), STYLES["cdata"]
        ),
        write(distribute("2.0b", *[event("2.0b", status="bad" * 9, signals=())] * 20)),
    ]
    assert_steady(lambda number: repr(decode(spoiled[number % 2])) and None)


def test_the_scanner_keeps_nothing() -> None:
    def work(number: int) -> None:
        data = BAD[number % len(BAD)][0] if number % 2 else PAYLOADS[number % len(PAYLOADS)]
        try:
            xml.scan(data)
        except ValueError:
            return

    assert_steady(work)
