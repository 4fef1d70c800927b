"""A fault inside the VEN still gives the VTN its answer, and a VTN that gives none is told in one line."""

import asyncio
import logging

from xmpp_probe import PASSWORD, PATIENCE, Probe, child
from xmpp_rig import VEN, VTN, one_event, running, text

from oadr2.errors import StoreError


def test_what_on_heard_raises_keeps_no_answer_from_the_vtn(plain, handler):
    def broken():
        raise ZeroDivisionError

    def reply(iq):
        return text(one_event()) if child(iq) == "oadrRequestEvent" else ""

    async def scenario():
        async with (
            Probe(VTN, PASSWORD, plain.port, reply) as vtn,
            running(handler, plain, on_heard=broken, ping_interval=0.01, on_alive=broken) as client,
        ):
            await vtn.wait_for(lambda s: s.name == "iq" and child(s) == "oadrCreatedEvent")
            await client.wait_synchronised()
            stream = client._stream
            await vtn.is_there(VEN)
            assert client._stream is stream

    asyncio.run(scenario())


def test_what_cannot_be_stored_is_not_acknowledged(plain, handler, monkeypatch):
    def full(_payload):
        raise StoreError("events.db: no space left")

    monkeypatch.setattr(handler, "handle_payload", full)

    async def scenario():
        async with Probe(VTN, PASSWORD, plain.port) as vtn, running(handler, plain):
            await vtn.is_there(VEN)
            vtn.send_raw(f'<iq type="set" to="{VEN}" id="b">{text(one_event())}</iq>')
            await vtn.is_there(VEN)
            return vtn.iqs(id="b"), [s for s in vtn.iqs() if "CreatedEvent" in str(s)]

    (answer,), answered = asyncio.run(scenario())
    assert (answer["type"], answer["error"]["type"]) == ("error", "wait")
    assert answered == []


def test_a_fault_inside_still_gives_the_sender_its_one_answer(plain, handler, monkeypatch, caplog):
    def broken(_payload):
        raise ZeroDivisionError

    monkeypatch.setattr(handler, "handle_payload", broken)

    async def scenario():
        async with Probe(VTN, PASSWORD, plain.port) as vtn, running(handler, plain):
            await vtn.is_there(VEN)
            vtn.send_raw(f'<iq type="set" to="{VEN}" id="b">{text(one_event())}</iq>')
            await vtn.is_there(VEN)
            return vtn.iqs(id="b")

    (answer,) = asyncio.run(scenario())
    assert (answer["type"], answer["error"]["condition"]) == ("error", "internal-server-error")


def test_a_vtn_that_never_answers_is_one_line_each_time(plain, handler, caplog):
    caplog.set_level(logging.WARNING, "oadr2")
    errors = []

    async def scenario():
        enough = asyncio.Event()

        def note(error):
            errors.append(error)
            if len(errors) == 2:
                enough.set()

        async with (
            Probe(VTN, PASSWORD, plain.port, lambda _iq: None),
            running(handler, plain, reply_timeout=0.1, on_error=note),
            asyncio.timeout(PATIENCE),
        ):
            await enough.wait()

    asyncio.run(scenario())
    assert {str(error) for error in errors} == {f"{VTN} did not answer within 0.1 s"}
    assert all("\n" not in record.getMessage() for record in caplog.records)
