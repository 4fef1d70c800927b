"""What the compiled core does with memory: nothing read behind the payload, nothing left behind.

A bytes object ends in a zero byte that may be read, and nothing behind it. In an ordinary build a read
behind that goes unseen; under ``make test-sanitize`` each object has a block of its own and the reader
is caught. There, or with ``OADR2_LONG_TESTS=1``, the tests run their full length.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import random
import subprocess
import sys
from collections.abc import Callable

import pytest
from message_examples import HOUR, plain_event
from payloads import START, distribute_event, event, response

import oadr2
from oadr2._core.table import EventTable
from oadr2.errors import LocalProtocolError, OadrError, RemoteProtocolError
from oadr2.event import EventHandler
from oadr2.policy import Limits, VtnPolicy
from oadr2.schedule import parse_duration, str_to_datetime

LONG = os.environ.get("OADR2_LONG_TESTS", "") not in ("", "0")
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "") or "clang_rt.asan" in os.environ.get(
    "LD_PRELOAD", ""
)

DOCUMENTS = {
    "2.0a list": distribute_event(
        event("a", 1, startafter="PT10M", priority=1, vtn_comment="a &amp; b &#x41;"),
        event("Größe-北京-🔌", status="active", ramp_up="-PT5M", targets={"ven_id": ["x", "ven"]}),
        response_code=200,
    ),
    "2.0b list": distribute_event(
        event("a", targets={"ven_id": "ven", "pnode": "p", "meter_asset": "m"}),
        profile="2.0b",
    ),
    "2.0a response": response(200, "fine"),
    "2.0b response": response(454, "no <![CDATA[& good]]>", profile="2.0b"),
    "created event": oadr2.encode(
        oadr2.model.CreatedEvent(
            "ven", (oadr2.model.EventResponse("e", 3, "optIn", 200, "fine", "r"),)
        )
    ),
    "request": oadr2.encode(oadr2.model.RequestEvent("ven", "r", 9)),
}


# -- reading ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_cut_is_refused_and_read_within_its_bounds(name):
    """Cut at each byte, and behind 0 to 15 more: each cut meets each step of a 16-byte load."""
    whole = DOCUMENTS[name]
    handler = EventHandler("ven", seed=1)
    shifts = range(16) if LONG else (0, 1, 15)
    for shift in shifts:
        # A comment moves the rest, and blanks before a declaration are an error.
        end = whole.index(b"?>") + 2
        data = whole[:end] + b" " * shift + whole[end:]
        assert oadr2.decode(data) == oadr2.decode(whole)
        for length in range(len(data)):
            cut = data[:length]
            with pytest.raises(RemoteProtocolError):
                oadr2.decode(cut)
            if length % 7 == shift % 7:
                with pytest.raises(RemoteProtocolError):
                    handler.handle_payload(cut)
    assert handler.get_active_events() == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_changed_bytes_are_read_within_their_bounds(name):
    """Wrong bytes anywhere: a message or a refusal, and what came of it can be looked at."""
    source = random.Random(name)
    whole = DOCUMENTS[name]
    refused = 0
    for _ in range(6000 if LONG else 300):
        data = bytearray(whole)
        for _ in range(source.choice((1, 1, 1, 2, 5))):
            at = source.randrange(len(data))
            how = source.randrange(4)
            if how == 0:
                data[at] = source.randrange(256)
            elif how == 1:
                data[at] = source.choice(b"<>&\"'/?!-[]=: \x00\x80\xc3\xe2\xf0")
            elif how == 2:
                del data[at : at + source.randrange(1, 20)]
            else:
                data[at:at] = whole[at : at + source.randrange(1, 40)]
        try:
            repr(oadr2.decode(bytes(data)))
        except RemoteProtocolError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_buffers_of_other_kinds_are_read_within_their_bounds(convert):
    whole = DOCUMENTS["2.0a list"]
    for length in range(len(whole) - 40, len(whole)):
        with pytest.raises(RemoteProtocolError):
            oadr2.decode(convert(whole[:length]))
    inside = memoryview(b"<" * 9 + whole + b"<" * 9)[9:-9]  # no zero byte follows
    assert oadr2.decode(inside) == oadr2.decode(whole)


@pytest.mark.parametrize("size", [*range(40), 63, 64, 65])
def test_texts_of_times_and_durations_of_any_length(size):
    refused = 0
    for text in ("2027-01-15T08:00:00.123456789Z" * 3, "P1Y2M3DT4H5M6S" * 5, "-" * 70, "é" * 70):
        for read in (str_to_datetime, parse_duration):
            try:
                read(text[:size])
            except OadrError:
                refused += 1
    assert refused >= 4


@pytest.mark.skipif(not SANITIZED, reason="only the sanitized build sees it: make test-sanitize")
@pytest.mark.parametrize(("more", "seen"), [(1, False), (2, True)])
def test_the_sanitizer_sees_a_read_behind_the_closing_zero(more, seen):
    """What the tests above rest on."""
    read = (
        "import ctypes, sys; data = bytes(1003); "
        f"ctypes.string_at(id(data) + sys.getsizeof(b'') - 1, len(data) + {more})"
    )
    done = subprocess.run([sys.executable, "-c", read], capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == seen
    assert ("heap-buffer-overflow" in done.stderr) == seen


# -- keeping ------------------------------------------------------------------------------------------


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def bytes_allocated() -> Callable[[], int] | None:
    """What malloc has handed out and not got back; None when nobody can tell."""
    library = ctypes.CDLL(None)
    if SANITIZED:
        count = library.__sanitizer_get_current_allocated_bytes
        count.restype = ctypes.c_size_t
        return count
    if not hasattr(library, "mallinfo2"):
        return None
    library.mallinfo2.restype = _Mallinfo2

    def in_use() -> int:
        info = library.mallinfo2()
        return info.uordblks + info.hblkhd

    return in_use


@pytest.fixture
def _no_log():
    """pytest keeps what is logged: that would count as growth."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def fails(error: type[Exception], function: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(error):
        function(*arguments)


def decode_refused() -> None:
    whole = DOCUMENTS["2.0b list"]
    for part in (1, 3, 5, 7):
        fails(RemoteProtocolError, oadr2.decode, whole[: len(whole) * part // 8])
    fails(RemoteProtocolError, oadr2.decode, whole.replace(b"</oadr:oadrEvent>", b"</oadr:oops>"))
    fails(RemoteProtocolError, oadr2.decode, whole + b"<more/>")


def decode_looked_at() -> None:
    message = oadr2.decode(DOCUMENTS["2.0a list"])
    assert [e.signals[0].intervals[0].value for e in message.events] == [1.0, 1.0]
    assert message.events[1].raw


def encode_refused() -> None:
    bad = plain_event(duration=None, vtn_comment="\x00")
    fails(LocalProtocolError, oadr2.encode, oadr2.model.DistributeEvent("vtn", "r", (bad,)))


def encode_good() -> None:
    assert oadr2.encode(oadr2.model.DistributeEvent("vtn", "r", (plain_event(duration=HOUR),)))


def life_of_a_handler() -> None:
    now = START - 9
    handler = EventHandler("ven", seed=1, clock=lambda: now)
    handler.handle_payload(
        distribute_event(*[event(f"e{i}", startafter="PT5M") for i in range(12)])
    )
    handler.handle_payload(
        distribute_event(event("e1", 1, startafter="PT5M"), event("bad", level=9))
    )
    handler.set_opt("e1", "optOut")
    handler.set_opt("e1", "optIn")
    now = START + 400
    handler.advance()
    handler.get_states()
    handler.handle_payload(distribute_event(event("e1", 2, status="cancelled"), event("e2")))
    handler.handle_payload(distribute_event(event("e2", 1, targets={"ven_id": "other"})))
    fails(RemoteProtocolError, handler.handle_payload, b"<oadr")
    handler.build_request_payload()
    handler.remove_events("e2")
    handler.close()


def plans_dropped_and_refused() -> None:
    table = EventTable("ven", VtnPolicy(limits=Limits(events=3)))
    plan = table.plan(distribute_event(event("a"), event("b", level=9)), START, 1)
    table.reply(plan)
    table.writes(plan)
    del plan
    table.commit(table.plan(distribute_event(event("a")), START, 1))
    table.plan(distribute_event(event("a", 1)), START, 1)
    many = distribute_event(*[event(f"e{i}") for i in range(4)])
    fails(RemoteProtocolError, table.plan, many, START, 1)
    fails(ValueError, table.plan, many, float("nan"), 1)


def rows_restored_and_refused() -> None:
    table = EventTable("ven", VtnPolicy())
    raw = oadr2.decode(DOCUMENTS["2.0a list"]).events[0].raw
    table.restore("vtn", "a", 1, "optIn", "r", raw, 5, None, "held", 1)
    fails(
        (OadrError, ValueError),
        table.restore,
        "vtn",
        "b",
        1,
        "optIn",
        "r",
        raw[:99],
        5,
        None,
        "held",
        2,
    )


def times_read_and_refused() -> None:
    str_to_datetime("2027-01-15T08:00:00Z")
    parse_duration("P1DT2H")
    fails(OadrError, parse_duration, "PX")
    fails(OadrError, str_to_datetime, "soon")


WORK = (
    decode_refused,
    decode_looked_at,
    encode_refused,
    encode_good,
    life_of_a_handler,
    plans_dropped_and_refused,
    rows_restored_and_refused,
    times_read_and_refused,
)


def grown(work: Callable[[], object], rounds: int, allocated: Callable[[], int]) -> tuple[int, int]:
    """How many bytes of malloc, and how many of Python's own blocks, there are more afterwards."""

    def counts() -> tuple[int, int]:
        gc.collect()
        return allocated(), sys.getallocatedblocks()

    before = counts()
    for _ in range(rounds):
        work()
    after = counts()
    return after[0] - before[0], after[1] - before[1]


@pytest.mark.usefixtures("_no_log")
@pytest.mark.parametrize("work", WORK, ids=lambda work: work.__name__)
def test_nothing_is_kept_round_after_round(work):
    allocated = bytes_allocated()
    if allocated is None:
        pytest.skip("this C library does not say what it has allocated (mallinfo2)")
    rounds = 3000 if LONG else 300
    for _ in range(50):
        work()
    # One block forgotten in each round is 16 bytes at least; noise is not proportional to rounds.
    attempts = []
    for _ in range(3):
        attempts.append(grown(work, rounds, allocated))
        if attempts[-1][0] < rounds * 8 and attempts[-1][1] < rounds // 4:
            return
    pytest.fail(f"grown by (bytes, blocks) in {rounds} rounds, three times over: {attempts}")


def test_a_block_kept_in_each_round_is_noticed():
    """What the test above rests on."""
    allocated = bytes_allocated()
    if allocated is None:
        pytest.skip("this C library does not say what it has allocated (mallinfo2)")
    kept = []
    malloc = ctypes.CDLL(None).malloc
    malloc.restype = ctypes.c_void_p
    blocks = []
    assert grown(lambda: kept.append(malloc(16)), 300, allocated)[0] > 300 * 8
    assert grown(lambda: blocks.append(bytes(30)), 300, allocated)[1] > 300 // 4 or SANITIZED
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    for block in kept:
        free(block)


def test_a_hundred_thousand_payloads_leave_nothing():
    allocated = bytes_allocated()
    if allocated is None:
        pytest.skip("this C library does not say what it has allocated (mallinfo2)")
    good, bad = DOCUMENTS["2.0a list"], DOCUMENTS["2.0a list"][:-30]
    table = EventTable("ven", VtnPolicy())

    def work() -> None:
        oadr2.decode(good)
        with contextlib.suppress(RemoteProtocolError):
            oadr2.decode(bad)
        with contextlib.suppress(RemoteProtocolError):
            table.handle(bad, START, 1)
        table.handle(good, START, 1)

    rounds = 25_000 if LONG else 1000
    for _ in range(100):
        work()
    attempts = [grown(work, rounds, allocated) for _ in range(1 if LONG else 2)]
    assert min(size for size, _ in attempts) < rounds * 2, attempts
    assert min(blocks for _, blocks in attempts) < rounds // 8, attempts
