"""What the XMPP client refuses before it talks to anybody. No server is needed."""

import asyncio
import ssl

import pytest

from oadr2.errors import ConfigurationError, LocalProtocolError
from oadr2.xmpp import OpenADR2, XmppClient

VEN = "ven@example.org/gateway"
SECRET = "open sesame"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"jid": "no user"}, "jid: 'no user' is no JID"),
        ({"jid": "example.org"}, "jid: example.org has no user"),
        ({"jid": "a@"}, "is no JID"),
        ({"jid": None}, "jid: None is no JID"),
        ({"vtn_jid": ["vtn@example.org", "@"]}, "vtn_jid: '@' is no JID"),
        ({"discovery_jid": "@"}, "discovery_jid: '@' is no JID"),
        ({"port": 0}, "port: 0 is not between 1 and 65535"),
        ({"port": True}, "port: True is not between"),
        ({"port": "http"}, "port: 'http' is not between"),
        ({"reply_timeout": 0}, "reply_timeout: 0 is not a positive number"),
        ({"ping_interval": "soon"}, "ping_interval: 'soon' is not a number"),
        ({"plaintext": True}, "plaintext: example.org is not this machine"),
        ({"plaintext": True, "server": "10.0.0.1"}, "plaintext: 10.0.0.1 is not this machine"),
        ({"plaintext": True, "server": "127.0.0.1.example.org"}, "is not this machine"),
        ({"plaintext": True, "server": "::1", "password": None}, "password: missing"),
        (
            {"plaintext": True, "server": "::1", "ssl_context": ssl.create_default_context()},
            "given together with ssl_context",
        ),
    ],
)
def test_each_refusal_names_its_argument(handler, arguments, words):
    with pytest.raises(ConfigurationError) as caught:
        XmppClient(handler, **{"jid": VEN, "password": SECRET} | arguments)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "server", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]
)
def test_plain_text_to_this_machine(handler, server):
    XmppClient(handler, VEN, SECRET, server=server, plaintext=True)


@pytest.mark.parametrize(
    ("poll_config", "options", "words"),
    [
        ({}, {}, "poll_config: missing a required argument: 'event_config'"),
        ({"event_config": {}, "nonsense": 1}, {}, "poll_config: got an unexpected keyword"),
        ({"event_config": {"ven": 1}}, {}, "event_config: "),
        ({"event_config": {"ven_id": "v"}, "control_opts": {"x": 1}}, {}, "control_opts: "),
        ({"event_config": {"ven_id": "v"}}, {"vtn": "x"}, "vtn: unknown argument of OpenADR2"),
        ({"event_config": {"ven_id": "v"}}, {"handler": 1}, "handler: unknown argument"),
        (
            {"event_config": {"ven_id": "v"}, "vtn_ca_certs": "/no/such.pem"},
            {},
            "ca_certs: /no/such.pem",
        ),
        (
            {"event_config": {"ven_id": "v"}, "vtn_ca_certs": "x"},
            {"plaintext": True},
            "plaintext: given together with certificate files",
        ),
    ],
)
def test_the_arguments_of_the_thread(poll_config, options, words):
    with pytest.raises(ConfigurationError) as caught:
        OpenADR2(poll_config, VEN, SECRET, **options)
    assert words in str(caught.value)


def test_what_enernocs_package_was_given_is_taken(caplog):
    """Its poll_config held everything for poll.OpenADR2, HTTP or not."""
    poll_config = {
        "event_config": {"ven_id": "ven-1"},
        "vtn_base_uri": "",
        "vtn_poll_interval": 300,
        "start_thread": False,
        "username": None,
        "password": None,
    }
    ven = OpenADR2(
        poll_config, VEN, SECRET, "localhost", "5222", "ca.pem", vtn_jid="vtn@example.org"
    )
    with ven:
        assert ven.event_handler.ven_id == "ven-1"
        assert ven.event_controller.get_current_signal_level() == (0, None)
    assert "http_certs is not used" in caplog.text
    with pytest.raises(LocalProtocolError, match="stopped by exit"):
        ven.query_vtn()


def test_a_closed_client_says_so(handler):
    async def scenario():
        client = XmppClient(handler, VEN, SECRET, server="localhost", plaintext=True)
        await client.aclose()
        for call in (client.run, client.request_events):
            with pytest.raises(LocalProtocolError, match="closed"):
                await call()

    asyncio.run(scenario())
