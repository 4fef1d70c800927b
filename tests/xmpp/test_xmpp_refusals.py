"""What a VEN on a real Prosody refuses: whom it does not know, and what it cannot take."""

import asyncio
import gc
import logging
import weakref

import pytest
from xmpp_probe import PASSWORD, PATIENCE, Probe
from xmpp_rig import VEN, VTN, one_event, running, text

from oadr2.event import EventHandler
from oadr2.policy import VtnPolicy


def test_X07_a_stranger_is_refused(plain, handler, caplog):
    caplog.set_level(logging.WARNING, "oadr2")

    async def scenario():
        async with (
            Probe("stranger@localhost/oadr", PASSWORD, plain.port) as stranger,
            running(handler, plain),
        ):
            await stranger.is_there(VEN)
            payload = text(one_event())
            stranger.send_raw(f'<iq type="set" to="{VEN}" id="s">{payload}</iq>')
            stranger.send_raw(f'<iq type="get" to="{VEN}" id="g">{payload}</iq>')
            stranger.send_raw(f'<iq type="result" to="{VEN}" id="r">{payload}</iq>')
            await stranger.is_there(VEN)
            return stranger.iqs(id="s"), stranger.iqs(id="g"), stranger.iqs(id="r")

    (refused,), (got,), results = asyncio.run(scenario())
    assert (refused["type"], refused["error"]["condition"]) == ("error", "forbidden")
    assert (got["type"], got["error"]["condition"]) == ("error", "forbidden")
    assert results == []
    assert handler.get_active_events() == []
    assert "stranger@localhost/oadr sent OpenADR but is no JID of the VTN" in caplog.text


@pytest.mark.parametrize(
    ("configured", "obeyed"),
    [
        ("vtn@localhost", True),
        ("vtn@localhost/oadr", True),
        ("vtn@localhost/other", False),
        ("VTN@LocalHost/oadr", True),
        (["stranger@localhost", "vtn@localhost"], True),
        ("localhost", False),
        ("avtn@localhost", False),
    ],
)
def test_X07_bare_and_full_jids(plain, handler, configured, obeyed):
    async def scenario():
        async with (
            Probe(VTN, PASSWORD, plain.port) as vtn,
            running(handler, plain, vtn_jid=configured),
        ):
            await vtn.is_there(VEN)
            vtn.send_raw(f'<iq type="set" to="{VEN}" id="j">{text(one_event())}</iq>')
            return await vtn.wait_for(lambda s: s.name == "iq" and s["id"] == "j")

    assert asyncio.run(scenario())["type"] == ("result" if obeyed else "error")
    assert (handler.get_event("peak") is not None) is obeyed


NS_A = "http://openadr.org/oadr-2.0a/2012/07"


@pytest.mark.parametrize(
    ("stanza", "condition"),
    [
        (f'<oadrCreatedEvent xmlns="{NS_A}"/>', "bad-request"),
        (f'<oadrRequestEvent xmlns="{NS_A}"/>', "bad-request"),
        (f'<nonsense xmlns="{NS_A}"/>', "bad-request"),
        (f'<a xmlns="urn:x"/><oadrDistributeEvent xmlns="{NS_A}"/>', "bad-request"),
        ('<query xmlns="urn:not:openadr"/>', "feature-not-implemented"),
        ("<oadrDistributeEvent/>", "feature-not-implemented"),
    ],
)
def test_bad_payloads_get_one_error_and_change_nothing(plain, handler, stanza, condition):
    handler.handle_payload(one_event())
    before = handler.get_active_events()

    async def scenario():
        async with Probe(VTN, PASSWORD, plain.port) as vtn, running(handler, plain):
            await vtn.is_there(VEN)
            vtn.send_raw(f'<iq type="set" to="{VEN}" id="b">{stanza}</iq>')
            await vtn.is_there(VEN)
            return vtn.iqs(id="b")

    (answer,) = asyncio.run(scenario())
    assert (answer["type"], answer["error"]["condition"]) == ("error", condition)
    assert handler.get_active_events() == before


DEEP = "<a>" * 2000 + "</a>" * 2000


@pytest.mark.parametrize("kind", ["set", "result"])
def test_a_payload_nested_too_deep_is_one_line(plain, handler, caplog, kind):
    errors = []

    async def scenario():
        async with (
            Probe(VTN, PASSWORD, plain.port) as vtn,
            running(handler, plain, on_error=errors.append),
        ):
            await vtn.is_there(VEN)
            deep = f'<oadrDistributeEvent xmlns="{NS_A}">{DEEP}</oadrDistributeEvent>'
            vtn.send_raw(f'<iq type="{kind}" to="{VEN}" id="b">{deep}</iq>')
            await vtn.is_there(VEN)
            return vtn.iqs(id="b")

    answers = [(iq["type"], iq["error"]["condition"]) for iq in asyncio.run(scenario())]
    assert answers == ([("error", "bad-request")] if kind == "set" else [])
    assert errors == []
    assert all(not record.exc_info for record in caplog.records)


def test_no_stanza_of_a_stranger_ends_the_connection(plain, handler, caplog):
    """slixmpp fails to copy what is nested deep, for an answer, and to read some JIDs."""

    async def scenario():
        async with (
            Probe("stranger@localhost/oadr", PASSWORD, plain.port) as stranger,
            running(handler, plain) as client,
        ):
            await stranger.is_there(VEN)
            stream = client._stream
            stranger.send_raw(f'<iq type="get" to="{VEN}" id="s"><q xmlns="urn:x">{DEEP}</q></iq>')
            await stranger.is_there(VEN)
            # As other servers let them through; Prosody's own clients cannot have such names.
            for kind in ("set", "result", "get"):
                stream.data_received(
                    f'<iq xmlns="jabber:client" type="{kind}" id="s" to="{VEN}"'
                    f' from="a@b.example/\N{GRINNING FACE}"><x xmlns="{NS_A}"/></iq>'.encode()
                )
            await stranger.is_there(VEN)
            assert client._stream is stream

    asyncio.run(scenario())
    assert caplog.text.count("is left aside") == 4


def test_strangers_who_show_themselves_leave_nothing_behind(plain, handler):
    def records(stream):
        return {str(jid): len(stream.roster[jid]) for jid in stream.roster}

    async def scenario():
        async with (
            Probe(VTN, PASSWORD, plain.port) as vtn,
            running(handler, plain) as client,
        ):
            await vtn.is_there(VEN)
            before = records(client._stream)
            for kind in ("", 'type="subscribe"', 'type="unavailable"'):
                for number in range(20):
                    client._stream.data_received(
                        f'<presence xmlns="jabber:client" {kind} to="{VEN}"'
                        f' from="s{number}@b.example/{kind[6:8]}"/>'.encode()
                    )
            assert records(client._stream) == before

    asyncio.run(scenario())


def test_a_payload_above_the_limit_is_refused(plain):
    limits = VtnPolicy().limits
    small = type(limits)(size=1500)
    handler = EventHandler("ven-1", policy=VtnPolicy(limits=small))

    async def scenario():
        async with Probe(VTN, PASSWORD, plain.port) as vtn, running(handler, plain):
            await vtn.is_there(VEN)
            vtn.send_raw(f'<iq type="set" to="{VEN}" id="b">{text(one_event())}</iq>')
            return await vtn.wait_for(lambda s: s.name == "iq" and s["id"] == "b")

    answer = asyncio.run(scenario())
    assert (answer["type"], answer["error"]["condition"]) == ("error", "bad-request")
    assert handler.get_active_events() == []
    handler.close()


def test_a_list_that_is_refused_leaves_nothing_for_the_collector(plain, handler):
    """An error in a ring with its own frames would keep the stanza, as a tree of elements."""
    left = []

    async def scenario():
        enough = asyncio.Event()

        def note(error):
            left.append(weakref.ref(error))
            if len(left) == 3:
                enough.set()

        nonsense = f'<oadrDistributeEvent xmlns="{NS_A}"/>'
        async with (
            Probe(VTN, PASSWORD, plain.port, lambda _iq: nonsense),
            running(handler, plain, on_error=note),
            asyncio.timeout(PATIENCE),
        ):
            await enough.wait()
            return [error() for error in left[:2]]

    gc.disable()
    try:
        assert asyncio.run(scenario()) == [None, None]
    finally:
        gc.enable()
