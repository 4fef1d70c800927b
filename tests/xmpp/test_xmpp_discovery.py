"""Who and where: how a VEN finds its VTN on a real Prosody, and what it shows of itself."""

import asyncio

import pytest
from xmpp_probe import PASSWORD, PATIENCE, USERS, Probe, child
from xmpp_rig import VEN, VTN, one_event, running, text

from oadr2.errors import TransportError
from oadr2.sim import SimulatedVtn
from oadr2.sim.prosody import ProsodyServer
from oadr2.sim.xmpp import XmppVtn


@pytest.mark.parametrize("show", ["", "chat", "away", "xa", "dnd"])
def test_a_vtn_that_shows_itself_is_asked_whatever_its_mood(plain, handler, show):
    """A presence is one of somebody who is there whatever is in its ``show`` (RFC 6121, 4.7.2.1)."""

    async def scenario():
        async with (
            Probe(VTN, PASSWORD, plain.port) as vtn,
            running(handler, plain, vtn_jid="vtn@localhost"),
        ):
            # To its bare JID, before it can know the VTN's resource, nothing comes through.
            await vtn.is_there(VEN)
            shown = f"<show>{show}</show>" if show else ""
            vtn.send_raw(f'<presence to="{VEN}">{shown}</presence>')
            return await vtn.wait_for(
                lambda s: s.name == "iq" and s["type"] == "set" and child(s) == "oadrRequestEvent"
            )

    assert asyncio.run(scenario())["from"] == VEN


def test_disco_ping_and_presence(plain, handler):
    async def scenario():
        async with Probe(VTN, PASSWORD, plain.port) as vtn, running(handler, plain):
            seen = await vtn.wait_for(lambda s: s.name == "presence" and str(s["from"]) == VEN)
            info = await vtn.plugin["xep_0030"].get_info(VEN, timeout=PATIENCE)
            rtt = await vtn.plugin["xep_0199"].ping(VEN, timeout=PATIENCE)
        return seen["type"], info["disco_info"], rtt

    presence, info, rtt = asyncio.run(scenario())
    assert presence == "available"
    assert ("system", "version", None, "OpenADR2 Python VEN") in info["identities"]
    assert "urn:xmpp:ping" in info["features"]
    assert rtt >= 0


@pytest.mark.parametrize("spelling", ["openadr2", "OpenADR2"])
def test_X01_the_vtn_is_found_by_asking_the_server(prosody_installed, handler, spelling):
    vtn = SimulatedVtn("vtn-a")
    vtn.add_event("peak", start="+1h", levels=[(3600, 2.0)])
    users = {"vtn": PASSWORD, "ven": PASSWORD}
    node = f"http://openadr.org/{spelling}#services"

    async def scenario():
        async with (
            running(handler, server, vtn_jid=None) as client,
            asyncio.timeout(PATIENCE),
        ):
            await client.wait_synchronised()

    with (
        ProsodyServer(users, services=VTN, services_node=node) as server,
        XmppVtn(vtn, VTN, PASSWORD, {"ven-1": VEN}, port=server.port),
    ):
        asyncio.run(scenario())
    assert vtn.last_answer("ven-1", "peak").opt_type == "optIn"


def test_X01_nobody_is_obeyed_when_the_server_names_nobody(plain, handler):
    errors = []

    async def scenario():
        failed = asyncio.Event()

        def note(error):
            errors.append(str(error))
            failed.set()

        async with (
            Probe(VTN, PASSWORD, plain.port) as vtn,
            running(handler, plain, vtn_jid=None, on_error=note),
            asyncio.timeout(PATIENCE),
        ):
            await failed.wait()
            vtn.send_raw(f'<iq type="set" to="{VEN}" id="n">{text(one_event())}</iq>')
            return await vtn.wait_for(lambda s: s.name == "iq" and s["id"] == "n")

    assert asyncio.run(scenario())["type"] == "error"
    assert "localhost names no EiEvent service; set vtn_jid" in errors[0]


def test_X01_a_service_named_by_what_is_no_jid_is_one_line(prosody_installed, handler, caplog):
    errors = []

    async def scenario(server):
        failed = asyncio.Event()

        def note(error):
            errors.append(error)
            failed.set()

        async with running(handler, server, vtn_jid=None, on_error=note):
            await asyncio.wait_for(failed.wait(), PATIENCE)

    with ProsodyServer(USERS, services="a vtn@localhost") as server:
        asyncio.run(scenario(server))
    assert isinstance(errors[0], TransportError)
    assert "localhost lists a service by what is no JID" in str(errors[0])
    assert all(not record.exc_info for record in caplog.records)
