"""A real Prosody for every test that asks for one, on a port of its own, and a handler of events."""

from __future__ import annotations

import pytest
import trustme
from xmpp_probe import USERS

from oadr2.event import EventHandler
from oadr2.security import client_context
from oadr2.sim.prosody import ProsodyServer


@pytest.fixture(scope="module")
def plain(prosody_installed):
    """Without TLS. Its users are there for one test at a time."""
    with ProsodyServer(USERS) as server:
        yield server


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def certificates(authority, tmp_path_factory):
    """PEM files: the CA, the server's certificate and key, a client's for the user ven."""
    folder = tmp_path_factory.mktemp("certificates")
    files = {name: folder / f"{name}.pem" for name in ("ca", "server", "server_key", "ven")}
    authority.cert_pem.write_to_path(files["ca"])
    server = authority.issue_cert("localhost")
    server.cert_chain_pems[0].write_to_path(files["server"])
    server.private_key_pem.write_to_path(files["server_key"])
    authority.issue_cert(common_name="ven").private_key_and_cert_chain_pem.write_to_path(
        files["ven"]
    )
    files["ven"].chmod(0o600)
    return files


@pytest.fixture(scope="module")
def secured(prosody_installed, certificates):
    """STARTTLS required, passwords."""
    with ProsodyServer(
        USERS, certificate=certificates["server"], key=certificates["server_key"]
    ) as server:
        yield server


@pytest.fixture(scope="module")
def external(prosody_installed, certificates):
    """STARTTLS required, client certificates instead of passwords."""
    with ProsodyServer(
        {},
        certificate=certificates["server"],
        key=certificates["server_key"],
        client_ca=certificates["ca"],
    ) as server:
        yield server


@pytest.fixture(scope="session")
def trusting(certificates):
    """A TLS context that trusts the CA of the test servers."""
    return client_context(certificates["ca"])


@pytest.fixture
def handler():
    handler = EventHandler("ven-1")
    yield handler
    handler.close()


@pytest.fixture(params=("2.0a", "2.0b"))
def profile(request):
    return request.param
