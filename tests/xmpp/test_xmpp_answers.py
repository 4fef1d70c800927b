"""What a VEN on a real Prosody takes from its VTN, asks of it and answers."""

import asyncio
import logging
from xml.etree.ElementTree import tostring

import pytest
from xmpp_probe import PASSWORD, PATIENCE, Probe, child
from xmpp_rig import VEN, VTN, one_event, running, text

from oadr2.event import EventHandler
from oadr2.sim import SimulatedVtn


def test_X03_X04_a_push_is_answered_by_one_result_and_a_set_of_its_own(plain, profile):
    handler = EventHandler("ven-1", oadr_profile_level=profile)

    async def scenario():
        async with Probe(VTN, PASSWORD, plain.port) as vtn, running(handler, plain):
            await vtn.is_there(VEN)
            vtn.send_raw(f'<iq type="set" to="{VEN}" id="e7">{text(one_event(profile))}</iq>')
            answer = await vtn.wait_for(lambda s: s.name == "iq" and "oadrCreatedEvent" in str(s))
            assert answer["type"] == "set"
            await vtn.is_there(VEN)
            return vtn.iqs(id="e7"), vtn.iqs(type="set")

    (result,), sets = asyncio.run(scenario())
    assert result["type"] == "result"
    assert str(result["from"]) == VEN
    if profile == "2.0a":
        assert len(result.xml) == 0
    else:
        assert child(result) == "oadrPayload"
        assert "oadrResponse" in str(result)
        assert "<responseCode>200<" in str(result).replace("ei:", "")
        assert "list-1" in str(result)  # the list's requestID
    kinds = ["CreatedEvent" if "oadrCreatedEvent" in str(s) else "RequestEvent" for s in sets]
    assert kinds == ["RequestEvent", "CreatedEvent"]
    assert handler.get_event("peak").event_id == "peak"
    handler.close()


@pytest.mark.parametrize("form", ["oadrPayload", "oadrSignedObject", "oadrDistributeEvent"])
def test_X05_each_form_of_2_0b_is_taken(plain, handler, form):
    whole = text(one_event("2.0b"))
    declarations = whole.partition("<oadr:oadrPayload ")[2].partition(">")[0]
    start = whole.index(f"<oadr:{form}")
    end = whole.index(f"</oadr:{form}>") + len(f"</oadr:{form}>")
    payload = whole[start:end]
    if form != "oadrPayload":
        payload = payload.replace(f"<oadr:{form}", f"<oadr:{form} {declarations}", 1)

    async def scenario():
        async with Probe(VTN, PASSWORD, plain.port) as vtn, running(handler, plain):
            await vtn.is_there(VEN)
            vtn.send_raw(f'<iq type="set" to="{VEN}" id="f">{payload}</iq>')
            return await vtn.wait_for(lambda s: s.name == "iq" and s["id"] == "f")

    assert asyncio.run(scenario())["type"] == "result"
    assert handler.get_event("peak") is not None


def test_X02_it_asks_for_its_events_when_it_arrives(plain, handler, profile):
    events = one_event(profile)

    def reply(iq):
        return text(events) if "oadrRequestEvent" in str(iq) else ""

    async def scenario():
        async with (
            Probe(VTN, PASSWORD, plain.port, reply) as vtn,
            running(handler, plain) as client,
            asyncio.timeout(PATIENCE),
        ):
            await client.wait_synchronised()
            return vtn.iqs(type="set")

    request, answer = asyncio.run(scenario())
    assert (child(request), child(answer)) == ("oadrRequestEvent", "oadrCreatedEvent") or (
        profile == "2.0b" and child(answer) == "oadrPayload"
    )
    assert handler.get_event("peak") is not None


@pytest.mark.parametrize("echo", [True, False])
def test_field_note_23_an_echo_and_an_empty_result_are_no_errors(plain, handler, caplog, echo):
    """field-notes.md 23: EnerNOC's VTN sends the request back as its result."""
    caplog.set_level(logging.WARNING, "oadr2")

    def reply(iq):
        if not echo:
            return ""
        iq.xml[0].tail = None
        return tostring(iq.xml[0], encoding="unicode")

    async def scenario():
        async with (
            Probe(VTN, PASSWORD, plain.port, reply) as vtn,
            running(handler, plain) as client,
            asyncio.timeout(PATIENCE),
        ):
            await client.wait_synchronised()
            vtn.send_raw(f'<iq type="set" to="{VEN}" id="e">{text(one_event())}</iq>')
            await vtn.wait_for(lambda s: "oadrCreatedEvent" in str(s))
            await vtn.is_there(VEN)

    asyncio.run(scenario())
    assert handler.get_event("peak") is not None
    assert not [record for record in caplog.records if record.name == "oadr2.xmpp"]


def test_field_note_23_a_list_in_a_result_nobody_waits_for_is_taken(plain, handler):
    async def scenario():
        async with Probe(VTN, PASSWORD, plain.port) as vtn, running(handler, plain):
            await vtn.is_there(VEN)
            vtn.send_raw(f'<iq type="result" to="{VEN}" id="?">{text(one_event())}</iq>')
            await vtn.wait_for(lambda s: s.name == "iq" and "oadrCreatedEvent" in str(s))
            await vtn.is_there(VEN)
            return vtn.iqs(id="?")

    assert asyncio.run(scenario()) == []  # a result is never answered
    assert handler.get_event("peak") is not None


def test_a_list_that_comes_after_the_result_is_taken_after_it(plain, handler):
    """Both arrive in one piece; in the other order the first list would cancel the second's event."""
    vtn_events = SimulatedVtn("vtn-a")
    first = one_event(event_id="first", vtn=vtn_events)
    both = one_event(event_id="second", vtn=vtn_events)
    removed = []
    handler.subscribe(lambda changes: removed.extend(c for c in changes if c.kind != "new"))

    def reply(iq):
        if "oadrRequestEvent" not in str(iq):
            return ""
        push = f'<iq type="set" to="{VEN}" id="p">{text(both)}</iq>'
        return f'{text(first)}</iq>{push}<iq type="result" to="{VEN}" id="none">'

    async def scenario():
        async with Probe(VTN, PASSWORD, plain.port, reply) as vtn, running(handler, plain):
            await vtn.wait_for(lambda s: s.name == "iq" and s["id"] == "p")
            await vtn.is_there(VEN)

    asyncio.run(scenario())
    assert [event.event_id for event in handler.get_active_events()] == ["first", "second"]
    assert removed == []
