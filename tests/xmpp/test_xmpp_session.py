"""A VEN on a real Prosody: what it takes, what it answers, whom it obeys."""

import asyncio
import contextlib
import gc
import logging
import weakref
from xml.etree.ElementTree import tostring

import pytest
from xmpp_probe import PASSWORD, PATIENCE, USERS, Probe, child

from oadr2.certificate import read_certificate
from oadr2.errors import AuthenticationError, StoreError, TransportError
from oadr2.event import EventHandler
from oadr2.policy import VtnPolicy
from oadr2.security import client_context
from oadr2.sim import SimulatedVtn
from oadr2.sim.prosody import ProsodyServer
from oadr2.sim.xmpp import XmppVtn
from oadr2.xmpp import OpenADR2, XmppClient

VTN = "vtn@localhost/oadr"
VEN = "ven@localhost/gateway"
PROFILES = ("2.0a", "2.0b")
QUICK = {"back_off_base": 0.05, "back_off_max": 0.2}


def one_event(profile="2.0a", event_id="peak", vtn=None, **settings):
    """The payload of a list with one event."""
    vtn = vtn or SimulatedVtn("vtn-a")
    vtn.add_event(event_id, **{"start": "+1h", "levels": [(3600, 2.0)], **settings})
    return vtn.list_for("ven-1", profile)


def text(payload):
    return payload.decode().partition("?>")[2]


@contextlib.asynccontextmanager
async def running(handler, server, **options):
    """A client of the plain server that runs."""
    options = {"vtn_jid": VTN, "plaintext": True, **QUICK, **options}
    async with XmppClient(
        handler, VEN, PASSWORD, server="127.0.0.1", port=server.port, **options
    ) as client:
        task = asyncio.create_task(client.run())
        yield client
    await task


@pytest.fixture
def handler():
    handler = EventHandler("ven-1")
    yield handler
    handler.close()


@pytest.fixture(params=PROFILES)
def profile(request):
    return request.param


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


# --- what it refuses -------------------------------------------------------------------------------


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


# --- who and where ---------------------------------------------------------------------------------


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


def first_error(handler, prosody, **options):
    """The first error a client reports."""
    errors = []

    async def scenario():
        failed = asyncio.Event()

        def note(error):
            errors.append(error)
            failed.set()

        client = XmppClient(
            handler,
            VEN,
            server="127.0.0.1",
            port=prosody.port,
            vtn_jid=VTN,
            on_error=note,
            **QUICK | options,
        )
        async with client, asyncio.timeout(PATIENCE):
            task = asyncio.create_task(client.run())
            await failed.wait()
        await task

    asyncio.run(scenario())
    return errors[0]


def test_a_wrong_password_is_one_line_without_it(plain, handler, caplog):
    caplog.set_level(logging.DEBUG, "oadr2")
    wrong = "quite another secret"
    error = first_error(handler, plain, password=wrong, plaintext=True)
    assert isinstance(error, AuthenticationError)
    assert str(error) == (
        f"127.0.0.1:{plain.port} refused the password of ven@localhost (not-authorized)"
    )
    assert wrong not in caplog.text


def test_STARTTLS_is_insisted_upon(plain, handler, trusting):
    error = first_error(handler, plain, password=PASSWORD, ssl_context=trusting)
    assert type(error) is TransportError
    assert "offers no STARTTLS" in str(error)


def test_a_certificate_nobody_vouches_for_is_refused(secured, handler):
    error = first_error(handler, secured, password=PASSWORD)
    assert type(error) is TransportError
    assert "its certificate is not accepted for localhost: unable to get" in str(error)


def test_a_certificate_for_another_domain_is_refused(
    prosody_installed, authority, trusting, handler, tmp_path
):
    other = authority.issue_cert("elsewhere.invalid")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    other.cert_chain_pems[0].write_to_path(certificate)
    other.private_key_pem.write_to_path(key)
    with ProsodyServer({"ven": PASSWORD}, certificate=certificate, key=key) as server:
        error = first_error(handler, server, password=PASSWORD, ssl_context=trusting)
    assert type(error) is TransportError
    assert "localhost" in str(error)
    assert "mismatch" in str(error).lower()


def test_H09_a_pinned_server_certificate(secured, handler, certificates):
    own = read_certificate(certificates["server"])
    pinned = "00:11:22:33:44:55:66:77:88:99"
    context = client_context(certificates["ca"], fingerprint=pinned)
    error = first_error(handler, secured, password=PASSWORD, ssl_context=context)
    assert type(error) is TransportError
    assert str(error).endswith(
        f"the certificate has the fingerprint {own.fingerprint('2.0b')} (2.0b) or"
        f" {own.fingerprint('2.0a')} (2.0a), and {pinned} is pinned"
    )
    config = {
        "event_config": {"ven_id": "ven-1"},
        "vtn_ca_certs": certificates["ca"],
        "server_fingerprint": own.fingerprint("2.0a"),
    }
    vtn = SimulatedVtn("vtn-a")
    with (
        XmppVtn(
            vtn,
            VTN,
            PASSWORD,
            {},
            port=secured.port,
            ssl_context=client_context(certificates["ca"]),
        ),
        OpenADR2(config, VEN, PASSWORD, "127.0.0.1", secured.port, vtn_jid=VTN) as ven,
    ):
        wait_synchronised(ven)


def test_a_server_that_is_not_there_is_one_line(plain, handler):
    with ProsodyServer({}) as server:
        pass
    error = first_error(handler, server, password=PASSWORD, plaintext=True)
    assert str(error).startswith(f"cannot reach 127.0.0.1:{server.port}: ")


# --- on a thread, with the simulated VTN --------------------------------------------------------------


def wait_synchronised(ven):
    ven._call(lambda: asyncio.wait_for(ven.client.wait_synchronised(), PATIENCE))


def test_the_life_of_an_event_over_STARTTLS(secured, certificates, trusting, profile):
    changes = []
    vtn = SimulatedVtn("vtn-a")
    with (
        XmppVtn(
            vtn,
            VTN,
            PASSWORD,
            {"ven-1": "ven@localhost"},
            port=secured.port,
            profile=profile,
            ssl_context=trusting,
        ) as side,
        OpenADR2(
            {
                "event_config": {"ven_id": "ven-1", "oadr_profile_level": profile},
                "control_opts": {"signal_changed_callback": lambda *c: changes.append(c)},
                "vtn_ca_certs": certificates["ca"],
            },
            "ven@localhost",
            PASSWORD,
            "127.0.0.1",
            secured.port,
            vtn_jid="vtn@localhost",
        ) as ven,
    ):
        wait_synchronised(ven)
        vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
        assert side.push() == {"ven-1": ""}
        assert vtn.wait_for(lambda: vtn.last_answer("ven-1", "peak"), PATIENCE)
        assert ven.event_controller.get_current_signal_level() == (2, "peak")
        vtn.modify_event("peak", levels=[(3600, 3.0)])
        assert side.push() == {"ven-1": ""}
        assert ven.event_controller.get_current_signal_level() == (3, "peak")
        ven.change_opt("peak", "optOut")
        assert vtn.last_answer("ven-1", "peak").opt_type == "optOut"
        vtn.cancel_event("peak")
        assert side.push() == {"ven-1": ""}
        assert ven.event_handler.get_event("peak") is None
        polls = vtn.polls["ven-1"]
        ven.query_vtn()
        assert vtn.polls["ven-1"] == polls + 1
    assert changes[:2] in ([(0, 2), (2, 3)], [(0, 2), (2, 0)], [(0, 3), (3, 0)])


def test_the_client_certificate_instead_of_a_password(external, certificates, caplog):
    caplog.set_level(logging.INFO, "oadr2.xmpp")
    with OpenADR2(
        {
            "event_config": {"ven_id": "ven-1"},
            "vtn_ca_certs": certificates["ca"],
            "ven_client_cert_pem": certificates["ven"],
        },
        "ven@localhost/gateway",
        None,
        "127.0.0.1",
        external.port,
        vtn_jid="ven@localhost",  # there is nobody else here
    ) as ven:
        wait_synchronised_or_error(ven)
    assert "as ven@localhost/gateway" in caplog.text


def wait_synchronised_or_error(ven):
    async def connected():
        async with asyncio.timeout(PATIENCE):
            while ven.client._stream is None:
                await asyncio.sleep(0.02)

    ven._call(connected)


def test_a_server_without_EXTERNAL_says_so(secured, certificates, handler):
    context = client_context(certificates["ca"], certificates["ven"])
    error = first_error(handler, secured, ssl_context=context)
    assert isinstance(error, AuthenticationError)
    assert "offers no EXTERNAL" in str(error)


def test_events_survive_a_restart(plain, tmp_path):
    vtn = SimulatedVtn("vtn-a")
    vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
    config = {"event_config": {"ven_id": "ven-1", "db_path": tmp_path / "events.db"}}
    address = ("ven@localhost", PASSWORD, "127.0.0.1", plain.port)
    with (
        XmppVtn(vtn, VTN, PASSWORD, {"ven-1": "ven@localhost"}, port=plain.port),
        OpenADR2(config, *address, vtn_jid=VTN, plaintext=True) as ven,
    ):
        assert vtn.wait_for(lambda: vtn.last_answer("ven-1", "peak"), PATIENCE)
        ven.change_opt("peak", "optOut")
    with OpenADR2(config, *address, vtn_jid=VTN, plaintext=True) as ven:
        (state,) = ven.event_handler.get_states()
    assert (state.event.event_id, state.opt_type) == ("peak", "optOut")


def test_what_is_asked_for_while_not_connected(plain, handler):
    async def scenario():
        client = XmppClient(
            handler, VEN, PASSWORD, server="127.0.0.1", port=1, plaintext=True, vtn_jid=VTN
        )
        async with client:
            with pytest.raises(TransportError, match="not connected to 127"):
                await client.request_events()

    asyncio.run(scenario())
