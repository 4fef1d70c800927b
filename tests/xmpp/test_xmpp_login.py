"""The way in to a real Prosody: STARTTLS, certificates and passwords, and what keeps a VEN out."""

import asyncio
import logging

from xmpp_probe import PASSWORD, PATIENCE
from xmpp_rig import QUICK, VEN, VTN, wait_synchronised

from oadr2.certificate import read_certificate
from oadr2.errors import AuthenticationError, TransportError
from oadr2.security import client_context
from oadr2.sim import SimulatedVtn
from oadr2.sim.prosody import ProsodyServer
from oadr2.sim.xmpp import XmppVtn
from oadr2.xmpp import OpenADR2, XmppClient


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
