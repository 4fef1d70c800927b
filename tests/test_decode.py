"""Decoding: every case of the table, in every style, cut, continued, from every buffer."""

from __future__ import annotations

import array
import pickle

import pytest
from cases import (
    BY_NAME,
    EVENT,
    Case,
)
from decoded_events import every_case
from payload_trees import STYLES, write

from oadr2 import decode
from oadr2.errors import RemoteProtocolError
from oadr2.model import (
    DistributeEvent,
)

# --- the table -----------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("style", STYLES)
def test_G04_G10_every_case_in_every_style(case: Case, style: str) -> None:
    found = decode(write(case.tree, STYLES[style]))
    assert found == case.expected
    assert type(found) is type(case.expected)
    if isinstance(found, DistributeEvent):
        problems = [problem for each in found.events for problem in each.problems]
        assert tuple(problem.reason for problem in problems) == case.noted
        assert not any(problem.fatal for problem in problems)


@every_case
def test_cut_at_every_byte(case: Case) -> None:
    data = write(case.tree)
    for length in range(len(data)):
        with pytest.raises(RemoteProtocolError) as caught:
            decode(data[:length])
        assert caught.value.response_code == 454
        assert caught.value.offset is not None
        assert caught.value.offset <= length


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["every_option-2.0a", "baseline-2.0b-wrapped"])
def test_cut_at_every_byte_in_every_style(name: str, style: str) -> None:
    data = write(BY_NAME[name].tree, STYLES[style])
    wide = STYLES[style].encoding.startswith("utf-16")
    step = 17 if wide or not style.isalnum() else 3
    last = len(data) - (1 if wide else 0)
    for length in range(0, last, step):
        with pytest.raises(RemoteProtocolError):
            decode(data[:length])


@every_case
def test_bytes_after_the_root(case: Case) -> None:
    data = write(case.tree)
    for tail in (b" ", b"\n\r\n\t", b"<!-- end -->", b"<?end?>\n<!--x-->"):
        assert decode(data + tail) == case.expected
    for tail in (
        b"x",
        b"\x00",
        b"<",
        b"<a/>",
        b"&#32;",
        b"<!-- ",
        b"<![CDATA[]]>",
        b"</a>",
        b"\xff",
        b"\xc3\xa9",
        b"<!DOCTYPE a>",
        data,
    ):
        with pytest.raises(RemoteProtocolError) as caught:
            decode(data + tail)
        assert caught.value.offset is not None
        assert len(data) <= caught.value.offset <= len(data) + len(tail)


@every_case
def test_every_kind_of_buffer(case: Case) -> None:
    data = write(case.tree)
    changing = bytearray(data)
    found = decode(changing)
    changing[:] = bytes(len(changing))  # what was decoded does not live in the caller's buffer
    assert found == case.expected
    assert decode(memoryview(data)) == case.expected
    assert decode(memoryview(b"<" + data)[1:]) == case.expected
    assert decode(array.array("B", data)) == case.expected
    assert decode(memoryview(data[::-1])[::-1]) == case.expected


@pytest.mark.parametrize("data", ["<a/>", None, 3, ["<a/>"]])
def test_what_is_no_buffer_is_a_type_error(data: object) -> None:
    with pytest.raises(TypeError):
        decode(data)  # type: ignore[arg-type]


@every_case
def test_raw_of_every_event_decodes_to_it_alone(case: Case) -> None:
    for style in STYLES.values():
        found = decode(write(case.tree, style))
        if not isinstance(found, DistributeEvent):
            continue
        for found_event in found.events:
            alone = decode(found_event.raw)
            assert isinstance(alone, DistributeEvent)
            assert list(alone.events) == [found_event]
            assert (alone.vtn_id, alone.profile) in (("", found.profile), ("vtn-1", found.profile))


def test_events_are_a_sequence_made_on_demand() -> None:
    found = decode(write(BY_NAME["three_events-2.0b"].tree))
    assert isinstance(found, DistributeEvent)
    events = found.events
    assert len(events) == 3
    assert events[0] is events[-3] is next(iter(events))
    assert events[1:] == (events[1], events[2])
    assert [each.event_id for each in reversed(events)] == ["3", "007", "event-1"]
    assert events[1] in events
    assert events.index(events[2]) == 2
    assert events.count(events[1]) == 1
    assert EVENT in events
    assert hash(events) == hash(tuple(events))
    assert repr(events) == repr(tuple(events))
    assert events == tuple(events)
    assert events != ()
    for index in (3, -4):
        with pytest.raises(IndexError):
            events[index]
    copied = pickle.loads(pickle.dumps(found))
    assert copied == found
    with pytest.raises(AttributeError):
        found.vtn_id = "other"  # type: ignore[misc]
