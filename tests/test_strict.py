"""``VtnPolicy.strict``: what is not valid by the schema is refused as a whole and changes nothing."""

from __future__ import annotations

import asyncio

import payloads
import pytest
from lxml import etree
from payloads import START, distribute_event, event
from scripted_vtn import ScriptedVtn, oadr_response, reply

from oadr2 import RemoteProtocolError
from oadr2.cli import main
from oadr2.event import EventHandler
from oadr2.policy import VtnPolicy
from oadr2.poll import PollClient
from oadr2.ven import Ven

STRICT = VtnPolicy(strict=True)


def swapped_list(profile: str = "2.0a") -> bytes:
    """Two events; in the second two elements stand the wrong way round, which does no harm."""
    text = distribute_event(event("e1", 1), event("e2"), profile=profile).decode()
    right = "<ei:eventID>e2</ei:eventID><ei:modificationNumber>0</ei:modificationNumber>"
    wrong = "<ei:modificationNumber>0</ei:modificationNumber><ei:eventID>e2</ei:eventID>"
    assert right in text
    return text.replace(right, wrong).encode()


def handler(**settings: object) -> EventHandler:
    settings.setdefault("policy", STRICT)
    return EventHandler("ven", clock=lambda: START - 3600, seed=1, **settings)


def held(handler: EventHandler) -> list[tuple[str, int]]:
    return [(each.event_id, each.modification_number) for each in handler.get_active_events()]


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
@pytest.mark.parametrize("stored", [True, False])
def test_an_invalid_list_is_refused_whole(profile, stored, tmp_path):
    asked, told = [], []
    db_path = tmp_path / "events.db" if stored else None
    ven = handler(opt_callback=lambda event: asked.append(event.event_id), db_path=db_path)
    ven.subscribe(told.extend)
    assert ven.handle_payload(distribute_event(event("e1"), profile=profile)) is not None
    asked.clear()
    told.clear()
    with pytest.raises(
        RemoteProtocolError, match=r"not valid by the schema: .*modificationNumber"
    ) as e:
        ven.handle_payload(swapped_list(profile))
    assert e.value.path.endswith("oadrEvent[2]/eiEvent/eventDescriptor/modificationNumber")
    assert e.value.response_code == 454
    assert held(ven) == [("e1", 0)]
    assert (asked, told) == ([], [])
    ven.close()
    if stored:
        again = handler(db_path=db_path)
        assert held(again) == [("e1", 0)]
        again.close()


def test_without_strict_the_same_list_is_taken():
    ven = handler(policy=VtnPolicy())
    assert ven.handle_payload(swapped_list()) is not None
    assert held(ven) == [("e1", 1), ("e2", 0)]


def test_a_valid_list_is_taken_and_once_taken_not_held_against_the_schema_again(monkeypatch):
    ven = handler()
    data = distribute_event(event("e1"))
    reply = ven.handle_payload(data)
    assert reply == handler(policy=VtnPolicy()).handle_payload(data)
    assert ven.handle_payload(data) == reply
    monkeypatch.setattr("oadr2.schema.require_valid", lambda data: pytest.fail("looked at again"))
    assert ven.handle_payload(data) == reply
    assert held(ven) == [("e1", 0)]


def test_what_is_wrong_beyond_the_schema_is_said_first():
    with pytest.raises(RemoteProtocolError) as caught:
        handler().handle_payload(b"<a/>")
    assert "schema" not in str(caught.value)
    with pytest.raises(RemoteProtocolError) as caught:
        handler().handle_payload(payloads.response(463, "who?"))
    assert caught.value.response_code == 463


def test_messages_of_other_services_are_refused_as_ever():
    data = payloads.document("oadrCancelReport", "", profile="2.0b")
    with pytest.raises(RemoteProtocolError):
        handler().handle_payload(data)


def test_an_element_is_held_against_the_schema_too():
    with pytest.raises(RemoteProtocolError, match="not valid by the schema"):
        handler().handle_payload(etree.fromstring(swapped_list()))


def test_an_acknowledgement_is_held_against_the_schema_too():
    loose = payloads.response(200, request_id=None)
    Ven(handler(policy=VtnPolicy())).receive_acknowledgement(loose)
    with pytest.raises(RemoteProtocolError, match=r"not valid by the schema: .*requestID"):
        Ven(handler()).receive_acknowledgement(loose)
    Ven(handler()).receive_acknowledgement(payloads.response(200))
    Ven(handler()).receive_acknowledgement(b"")


def test_a_strict_client_sends_no_answer_to_an_invalid_list():
    async def poll(url):
        async with PollClient(handler(), url) as client:
            await client.poll_once()

    with ScriptedVtn(reply(swapped_list())) as vtn:
        with pytest.raises(RemoteProtocolError, match="not valid by the schema"):
            asyncio.run(poll(vtn.url))
        assert len(vtn.requests) == 1


@pytest.mark.parametrize("strict", [True, False])
def test_oadr2_poll_strict(strict, capsys):
    options = ["--ven-id", "ven", "--once", *(["--strict"] if strict else [])]
    with ScriptedVtn(reply(swapped_list()), reply(oadr_response())) as vtn:
        code = main(["poll", "--vtn-url", vtn.url, *options])
    captured = capsys.readouterr()
    assert code == (1 if strict else 0)
    assert ("not valid by the schema" in captured.err) is strict
    assert ("e2" in captured.out) is not strict
