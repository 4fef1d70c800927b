"""Without ``server`` the DNS says where the server of the JID's domain is (RFC 6120, 3.2.1)."""

import asyncio
from types import SimpleNamespace

import pytest
import slixmpp.xmlstream.xmlstream
from xmpp_probe import PASSWORD, PATIENCE, USERS

from oadr2.errors import TransportError
from oadr2.event import EventHandler
from oadr2.sim.prosody import ProsodyServer
from oadr2.xmpp import XmppClient

DOMAIN = "ven.invalid"  # no name server knows it


class Resolver:
    """Knows one SRV record; addresses are asked of the system."""

    def __init__(self, name, host, port):
        self.asked = []
        self._name = name
        data = SimpleNamespace(target=f"{host}.", port=port, weight=0, priority=5)
        self._answer = SimpleNamespace(answer=[SimpleNamespace(data=data)])

    async def query_dns(self, name, kind):
        self.asked.append((name, kind))
        if name != self._name:
            raise LookupError(name)
        return self._answer


@pytest.fixture
def resolver(monkeypatch):
    """``resolver(service, host, port)`` makes that record the only one there is."""

    def make(service, host, port):
        found = Resolver(f"_{service}._tcp.{DOMAIN}", host, port)
        monkeypatch.setattr(slixmpp.xmlstream.xmlstream, "default_resolver", lambda loop: found)
        return found

    return make


def outcome(ssl_context):
    """What the client has to say first; None when the server let it in."""

    async def scenario():
        said = asyncio.get_running_loop().create_future()
        handler = EventHandler("ven-1")

        def note(error):
            if not said.done():
                # Once in, it misses the VTN.
                said.set_result(None if client.has_connected else error)

        client = XmppClient(
            handler,
            f"ven@{DOMAIN}/dns",
            PASSWORD,
            vtn_jid=f"vtn@{DOMAIN}/oadr",
            ssl_context=ssl_context,
            on_error=note,
            reply_timeout=5.0,
        )
        async with client, asyncio.timeout(PATIENCE):
            running = asyncio.create_task(client.run())
            found = await said
        await running
        handler.close()
        return found

    return asyncio.run(scenario())


@pytest.fixture
def elsewhere(prosody_installed, authority, tmp_path):
    """A server for the domain on localhost: the certificate is for the domain, not for the host."""
    issued = authority.issue_cert(DOMAIN)
    issued.cert_chain_pems[0].write_to_path(tmp_path / "server.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    with ProsodyServer(
        USERS, host=DOMAIN, certificate=tmp_path / "server.pem", key=tmp_path / "key.pem"
    ) as server:
        yield server


def test_an_SRV_record_names_another_host(elsewhere, resolver, trusting):
    found = resolver("xmpp-client", "localhost", elsewhere.port)
    assert outcome(trusting) is None
    assert set(found.asked) == {
        (f"_xmpp-client._tcp.{DOMAIN}", "SRV"),
        (f"_xmpps-client._tcp.{DOMAIN}", "SRV"),
    }


def test_whoever_the_DNS_names_needs_the_domains_certificate(
    prosody_installed, certificates, resolver, trusting
):
    """A forged record is of no use: the server at localhost has a certificate for localhost."""
    files = {"certificate": certificates["server"], "key": certificates["server_key"]}
    with ProsodyServer(USERS, host=DOMAIN, **files) as server:
        resolver("xmpp-client", "localhost", server.port)
        error = outcome(trusting)
    assert type(error) is TransportError
    assert f"its certificate is not accepted for {DOMAIN}" in str(error)


def test_without_a_record_the_domain_itself_is_tried(resolver, trusting):
    resolver("something-else", "localhost", 5222)
    error = outcome(trusting)
    assert type(error) is TransportError
    assert f"cannot reach the server of {DOMAIN}" in str(error)
    assert "\n" not in str(error)
