"""What the simulated VTN makes of answers and of odd messages, and what can be seen of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from lxml import etree
from vtn_asking import PROFILES, START, Clock, answer, ask

from oadr2 import decode, encode
from oadr2.errors import RemoteProtocolError
from oadr2.model import (
    CreatedEvent,
    EiResponse,
    EventResponse,
    Profile,
    RequestEvent,
    Response,
    Targets,
)
from oadr2.sim import Exchange, SimulatedVtn


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vtn(clock: Clock) -> SimulatedVtn:
    return SimulatedVtn(clock=clock)


# Answers


@pytest.mark.parametrize("profile", PROFILES)
def test_answers_are_recorded_and_acknowledged(vtn: SimulatedVtn, profile: Profile) -> None:
    vtn.add_event("e", duration=60)
    vtn.add_event("f", duration=60)
    reply = answer(
        vtn,
        EventResponse("e", 0, "optIn", 200, "OK", "list-1"),
        EventResponse("f", 0, "optOut", 462, "not mine", "list-1"),
        profile=profile,
    )
    assert reply.response.response_code == 200
    assert reply.ven_id == ("ven-1" if profile == "2.0b" else None)
    first, second = vtn.answers
    assert (first.ven_id, first.event_id, first.opt_type) == ("ven-1", "e", "optIn")
    assert (first.request_id, first.at, first.problem) == ("list-1", START, "")
    assert (second.response_code, second.response_description) == (462, "not mine")
    assert vtn.last_answer("ven-1", "f") == second
    assert vtn.last_answer("ven-2", "f") is None


@pytest.mark.parametrize(
    ("profile", "event_id", "number", "code"),
    [
        ("2.0a", "x", 0, 404),
        ("2.0b", "x", 0, 452),
        ("2.0a", "e", 2, 406),
        ("2.0b", "e", 2, 450),
        ("2.0b", "not-yours", 0, 452),
        ("2.0b", "e", 0, 200),  # crossed the modification
        ("2.0b", "e", 1, 200),
    ],
)
def test_answer_to_what_was_never_sent_is_an_error(
    vtn: SimulatedVtn, profile: Profile, event_id: str, number: int, code: int
) -> None:
    vtn.add_event("e", duration=60)
    vtn.add_event("not-yours", duration=60, targets=Targets(ven_ids=("ven-2",)))
    vtn.modify_event("e", priority=1)
    reply = answer(
        vtn,
        EventResponse(event_id, number, "optIn"),
        EventResponse("e", 1, "optIn"),
        profile=profile,
    )
    assert reply.response.response_code == code
    bad, good = vtn.answers
    assert bool(bad.problem) is (code != 200)
    assert good.problem == ""


def test_answer_without_event_responses(vtn: SimulatedVtn) -> None:
    refusal = EiResponse(452, "unknown vtnID", "list-1")
    assert answer(vtn, response=refusal).response.response_code == 200
    assert [(r.ven_id, r.response) for r in vtn.refusals] == [("ven-1", refusal)]


def test_missing_event_responses_are_an_error(vtn: SimulatedVtn) -> None:
    """The encoder does not write such a message, so it is written here (facts.md H35)."""
    good = encode(CreatedEvent("ven-1", (EventResponse("e", 0, "optIn"),)))
    start, end = good.index(b"<ei:eventResponses>"), good.index(b"</ei:eventResponses>")
    bare = good[:start] + good[end + len(b"</ei:eventResponses>") :]
    reply = decode(vtn.handle(bare, "2.0a"))
    assert isinstance(reply, Response)
    assert reply.response.response_code == 400
    assert vtn.answers == []


def test_reply_to_created_can_be_empty(clock: Clock) -> None:
    vtn = SimulatedVtn(clock=clock, reply_to_created="empty")
    vtn.add_event("e", duration=60)
    message = CreatedEvent("ven-1", (EventResponse("e", 0, "optIn"),))
    assert vtn.handle(encode(message), "2.0a") == b""
    assert len(vtn.answers) == 1


def test_only_so_many_answers_are_kept(clock: Clock) -> None:
    vtn = SimulatedVtn(clock=clock, keep_answers=1)
    vtn.add_event("e", duration=60)
    for ven_id in ("a", "b"):
        answer(vtn, EventResponse("e", 0, "optIn"), ven_id=ven_id)
    assert [item.ven_id for item in vtn.answers] == ["b"]


# Messages that are not for it


@pytest.mark.parametrize(("profile", "code"), [("2.0a", 400), ("2.0b", 453)])
def test_message_of_the_other_profile_is_refused(
    vtn: SimulatedVtn, profile: Profile, code: int
) -> None:
    other: Profile = "2.0b" if profile == "2.0a" else "2.0a"
    reply = decode(vtn.handle(encode(RequestEvent("ven-1", "q", profile=other)), profile))
    assert isinstance(reply, Response)
    assert (reply.profile, reply.response.response_code) == (profile, code)
    assert reply.response.request_id == "q"
    assert not vtn.polls


def test_message_for_another_service_is_refused(vtn: SimulatedVtn) -> None:
    poll = b'<oadrPoll xmlns="http://openadr.org/oadr-2.0b/2012/07"/>'
    wrapped = b'<oadrPayload xmlns="http://openadr.org/oadr-2.0b/2012/07"><oadrSignedObject>%s</oadrSignedObject></oadrPayload>'
    for body in (wrapped % poll, encode(Response(profile="2.0b"))):
        reply = decode(vtn.handle(body, "2.0b"))
        assert isinstance(reply, Response)
        assert 400 <= reply.response.response_code <= 499


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "body", [b"<a/>", b'<oadrRequestEvent xmlns="http://openadr.org/oadr-2.0a/2012/07"/>']
)
def test_well_formed_nonsense_is_an_application_error(
    vtn: SimulatedVtn, profile: Profile, body: bytes
) -> None:
    reply = decode(vtn.handle(body, profile))
    assert isinstance(reply, Response)
    assert reply.profile == profile
    assert 400 <= reply.response.response_code <= 499


@pytest.mark.parametrize(
    "body", [b"", b"<a", b"hello", b"<!DOCTYPE a><a/>", b"<a/><b/>", b"\xff\xfe\x00"]
)
def test_what_is_no_xml_is_an_error_of_the_transport(vtn: SimulatedVtn, body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        vtn.handle(body, "2.0a")


# Watching it


def test_polls_are_counted_and_exchanges_told(vtn: SimulatedVtn) -> None:
    told: list[Exchange] = []
    vtn.on_message = told.append
    vtn.add_event("e", duration=60)
    ask(vtn)
    ask(vtn)
    answer(vtn, EventResponse("e", 0, "optIn"))
    with pytest.raises(RemoteProtocolError):
        vtn.handle(b"<a", "2.0b")
    assert vtn.polls == {"ven-1": 2}
    assert [(x.ven_id, x.response_code) for x in told] == [("ven-1", 200)] * 3 + [("", 400)]
    assert [(e.event_id, e.status) for e in told[0].events] == [("e", "active")]
    assert [a.event_id for a in told[2].answers] == ["e"]
    assert told[3].problem


def test_hook_that_fails_does_not_break_the_service(
    vtn: SimulatedVtn, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Exchange) -> None:
        raise ValueError("the hook's own fault")

    vtn.on_message = fail
    ask(vtn)
    assert "on_message failed" in caplog.text


def test_wait_for_wakes_at_a_message(vtn: SimulatedVtn) -> None:
    thread = threading.Thread(target=ask, args=(vtn,))
    thread.start()
    assert vtn.wait_for(lambda: vtn.polls["ven-1"] == 1, timeout=30)
    thread.join()
    assert not vtn.wait_for(lambda: vtn.polls["ven-1"] == 2, timeout=0)


def test_changes_from_many_threads_are_never_lost(vtn: SimulatedVtn) -> None:
    vtn.add_event("e", duration=60)
    seen: list[list[int]] = [[] for _ in range(2)]

    def change() -> None:
        for number in range(100):
            vtn.modify_event("e", priority=number)

    def poll(numbers: list[int]) -> None:
        for _ in range(100):
            numbers.append(ask(vtn).events[0].modification_number)

    threads = [threading.Thread(target=change) for _ in range(2)]
    threads += [threading.Thread(target=poll, args=(numbers,)) for numbers in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ask(vtn).events[0].modification_number == 200
    for numbers in seen:
        assert len(numbers) == 100
        assert numbers == sorted(numbers)


# What it sends against the schemas of the profile


def _schema(profile: Profile) -> Path:
    root = os.environ.get("OADR2_SHARED")
    shared = Path(root) if root else Path(__file__).parents[1].parent / "shared"
    path = shared / "openadr" / "schemas" / profile / f"oadr_{profile.replace('.', '')}.xsd"
    if not path.exists():
        pytest.skip(f"the profile's schemas are not here: {path}")
    return path


@pytest.mark.parametrize("profile", PROFILES)
def test_replies_are_valid(vtn: SimulatedVtn, profile: Profile) -> None:
    schema = etree.XMLSchema(etree.parse(_schema(profile)))
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
        modification_reason="reason",
    )
    vtn.modify_event("full", priority=2)
    vtn.add_event("cancelled", duration=0)
    vtn.cancel_event("cancelled")
    vtn.add_ven("ven-1", Targets())
    messages: Sequence[bytes] = (
        encode(RequestEvent("ven-1", "q", 5, profile)),
        encode(CreatedEvent("ven-1", (EventResponse("plain", 0, "optIn"),), profile=profile)),
        encode(CreatedEvent("ven-1", (EventResponse("x", 0, "optIn"),), profile=profile)),
        b"<a/>",
    )
    for message in messages:
        schema.assertValid(etree.fromstring(vtn.handle(message, profile)))


def test_a_vtn_for_load_tests_keeps_nothing_for_each_ven():
    vtn = SimulatedVtn(keep_answers=5, remember_vens=False)
    vtn.add_event("e", duration=3600)
    for number in range(20):
        ven_id = f"ven-{number}"
        request = encode(RequestEvent(ven_id, "r"))
        listed = decode(vtn.handle(request, "2.0a"))
        assert [event.event_id for event in listed.events] == ["e"]
        answer = EventResponse("e", 0, "optIn", request_id="r")
        vtn.handle(encode(CreatedEvent(ven_id, (answer,))), "2.0a")
    assert len(vtn.answers) == 5
    assert not vtn.polls
    assert vtn.last_answer("ven-19", "e") is None
    assert not vtn._list._by_ven
