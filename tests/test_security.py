"""TLS contexts: what they accept on the wire, and what they say about files that are wrong."""

import asyncio
import contextlib
import datetime
import logging
import os
import shutil
import socket
import ssl
import subprocess
import threading
import warnings

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from oadr2 import security
from oadr2.errors import ConfigurationError
from oadr2.poll import OpenADR2
from oadr2.security import client_context


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def files(ca, tmp_path_factory):
    """One folder with a CA, client certificates in several forms, and files that are wrong."""
    folder = tmp_path_factory.mktemp("tls")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other-ca.pem")
    for name, kind in [("rsa", trustme.KeyType.RSA), ("ecc", trustme.KeyType.ECDSA)]:
        cert = ca.issue_cert("ven.example", key_type=kind)
        cert.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        cert.private_key_pem.write_to_path(folder / f"{name}.key")
        cert.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}-both.pem")
        key = serialization.load_pem_private_key(cert.private_key_pem.bytes(), None)
        for form in ("PKCS8", "TraditionalOpenSSL"):
            (folder / f"{name}-{form}.key").write_bytes(
                key.private_bytes(
                    serialization.Encoding.PEM,
                    getattr(serialization.PrivateFormat, form),
                    serialization.BestAvailableEncryption(b"open sesame"),
                )
            )
    for key_file in folder.glob("*"):
        key_file.chmod(0o600)
    (folder / "der.crt").write_bytes(ssl.PEM_cert_to_DER_cert((folder / "ca.pem").read_text()))
    (folder / "damaged.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    (folder / "empty.pem").write_bytes(b"")
    return folder


class TlsServer:
    """Shakes hands with every client, one after the other, and sends one byte to each."""

    def __init__(self, context):
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)
        self.clients = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        # shutdown wakes the accept, close alone does not
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self):
        while True:
            try:
                raw, _ = self._socket.accept()
            except OSError:
                return  # the test is over
            with (
                raw,
                contextlib.suppress(OSError),  # a refused handshake is the client's to judge
                self._context.wrap_socket(raw, server_side=True) as connection,
            ):
                self.clients.append(connection.getpeercert())
                connection.sendall(b"x")
                connection.recv(1)  # until the client has closed

    def connect(self, context, name="127.0.0.1"):
        """Connect with a context; return the protocol and the suite."""
        address = self._socket.getsockname()
        with (
            socket.create_connection(address) as raw,
            context.wrap_socket(raw, server_hostname=name) as connection,
        ):
            if connection.recv(1) != b"x":  # TLS 1.3 refuses a client only after its handshake
                raise ssl.SSLError("refused")
            return connection.version(), connection.cipher()[0]


def server_context(ca, *, key_type=trustme.KeyType.ECDSA, name="127.0.0.1"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name, key_type=key_type).configure_cert(context)
    return context


@contextlib.contextmanager
def old_protocols():
    """Python warns about them; the tests are about them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


# On the wire


def test_H06_a_private_ca_is_trusted_from_a_file_and_no_other(ca, files):
    with TlsServer(server_context(ca)) as server:
        assert server.connect(client_context(files / "ca.pem"))[0] == "TLSv1.3"
        for untrusting in (client_context(files / "other-ca.pem"), client_context()):
            with pytest.raises(ssl.SSLCertVerificationError):
                server.connect(untrusting)


@pytest.mark.parametrize("hashed", [False, True])
def test_H06_a_private_ca_is_trusted_from_a_folder(ca, files, tmp_path, hashed):
    folder = tmp_path / "cas"
    folder.mkdir()
    (folder / "README").write_text("not a certificate")
    if hashed:
        shutil.copy(files / "ca.pem", folder / f"{subject_hash(files / 'ca.pem')}.0")
    else:
        shutil.copy(files / "ca.pem", folder / "ca.crt")
        shutil.copy(files / "other-ca.pem", folder / "other.pem")
    with TlsServer(server_context(ca)) as server:
        server.connect(client_context(folder))


def subject_hash(file):
    """What `openssl x509 -hash` prints: the start of the SHA-1 of the canonical subject."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl program, which names files in a hashed folder, is not installed")
    command = [openssl, "x509", "-hash", "-noout", "-in", str(file)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("kind", ["rsa", "ecc"])
@pytest.mark.parametrize("form", ["two files", "combined", "PKCS8", "TraditionalOpenSSL"])
def test_H06_a_client_certificate_is_shown(ca, files, kind, form):
    context = server_context(ca)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    cert, key, password = files / f"{kind}.pem", files / f"{kind}.key", None
    if form == "combined":
        cert, key = files / f"{kind}-both.pem", None
    elif form != "two files":
        key, password = files / f"{kind}-{form}.key", "open sesame"
    with TlsServer(context) as server:
        server.connect(client_context(files / "ca.pem", cert, key, password))
        assert server.clients[0]["subjectAltName"] == (("DNS", "ven.example"),)
        with pytest.raises((ssl.SSLError, OSError)):
            server.connect(client_context(files / "ca.pem"))


def test_the_host_name_is_checked_unless_switched_off(ca, files):
    with TlsServer(server_context(ca, name="device-0815.example")) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            server.connect(client_context(files / "ca.pem"))
        unchecked = client_context(files / "ca.pem", check_hostname=False)
        server.connect(unchecked)
    stranger = TlsServer(server_context(trustme.CA()))
    with stranger, pytest.raises(ssl.SSLCertVerificationError):
        stranger.connect(unchecked)


@pytest.mark.parametrize(
    ("suite", "key_type"),
    [
        ("AES128-SHA256", trustme.KeyType.RSA),
        ("ECDHE-ECDSA-AES128-SHA256", trustme.KeyType.ECDSA),
        ("AES128-SHA", trustme.KeyType.RSA),
        ("ECDHE-ECDSA-AES128-SHA", trustme.KeyType.ECDSA),
    ],
)
def test_H07_each_default_suite_of_the_profiles_is_offered(ca, files, suite, key_type):
    context = server_context(ca, key_type=key_type)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(suite)
    with TlsServer(context) as server:
        assert server.connect(client_context(files / "ca.pem")) == ("TLSv1.2", suite)


def test_H07_the_old_suites_come_last(ca, files):
    context = server_context(ca, key_type=trustme.KeyType.RSA)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    with TlsServer(context) as server:
        assert "GCM" in server.connect(client_context(files / "ca.pem"))[1]


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_H08_versions_below_tls_1_2_need_legacy(ca, files, version, caplog):
    with old_protocols():
        context = server_context(ca)
        context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
        context.set_ciphers("ALL:@SECLEVEL=0")
    modern = client_context(files / "ca.pem")
    with caplog.at_level(logging.WARNING, "oadr2.security"):
        legacy = client_context(files / "ca.pem", check_hostname=True, legacy=True)
    with TlsServer(context) as server:
        with pytest.raises((ssl.SSLError, OSError)):
            server.connect(modern)
        assert server.connect(legacy)[0] == version.replace("_", ".")
    with TlsServer(server_context(ca)) as server:
        assert server.connect(legacy)[0] == "TLSv1.3"


def test_H08_legacy_is_said_in_the_log(files, caplog):
    client_context(files / "rsa-both.pem", legacy=True)
    assert "legacy TLS" in caplog.text


def test_H08_without_options_everything_is_on():
    context = client_context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


# Files that are wrong


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ca_certs": "missing.pem"}, r"^ca_certs: .*/missing.pem: No such file"),
        ({"ca_certs": "der.crt"}, r"^ca_certs: .*/der.crt is not PEM"),
        ({"ca_certs": "damaged.pem"}, r"^ca_certs: .*/damaged.pem holds a damaged certificate"),
        ({"ca_certs": "empty.pem"}, r"^ca_certs: .*/empty.pem is not PEM"),
        ({"ca_certs": "folder"}, r"^ca_certs: .*/folder holds no"),
        ({"cert": "missing.pem"}, r"^cert: .*/missing.pem: No such file"),
        ({"cert": "folder"}, r"^cert: .*/folder: Is a directory"),
        ({"cert": "der.crt", "key": "rsa.key"}, r"^cert: .*/der.crt is not PEM"),
        ({"cert": "rsa.key", "key": "rsa.key"}, r"^cert: .*/rsa.key is not PEM"),
        ({"cert": "rsa.pem"}, r"^cert: .*/rsa.pem holds no PEM private key; pass"),
        ({"cert": "rsa.pem", "key": "missing.key"}, r"^key: .*/missing.key: No such file"),
        ({"cert": "rsa.pem", "key": "der.crt"}, r"^key: .*/der.crt holds no PEM private key$"),
        ({"cert": "rsa.pem", "key": "ecc.key"}, r"^key: .*/ecc.key is not the key of .*/rsa.pem$"),
        ({"cert": "ecc.pem", "key": "rsa-both.pem"}, r"^key: .*/rsa-both.pem is not the key of"),
        ({"cert": "damaged.pem", "key": "rsa.key"}, r"^cert: .*/damaged.pem .*damaged"),
        ({"key": "rsa.key"}, r"^key: .*/rsa.key is given without its certificate"),
        ({"cert": "rsa.pem", "key": "rsa-PKCS8.key"}, r"^password: .*/rsa-PKCS8.key is encrypted"),
        (
            {"cert": "ecc.pem", "key": "ecc-TraditionalOpenSSL.key"},
            r"^password: .*/ecc-TraditionalOpenSSL.key is encrypted",
        ),
        (
            {"cert": "rsa.pem", "key": "rsa-PKCS8.key", "password": "wrong-word"},
            r"^password: wrong for the key in .*/rsa-PKCS8.key",
        ),
        (
            {"cert": "rsa.pem", "key": "rsa-TraditionalOpenSSL.key", "password": "w" * 2000},
            r"^password: wrong for the key in .*/rsa-TraditionalOpenSSL.key",
        ),
    ],
)
def test_an_error_names_the_file_and_what_is_wrong(files, arguments, words):
    (files / "folder").mkdir(exist_ok=True)
    given = {
        name: value if name == "password" else files / value for name, value in arguments.items()
    }
    with pytest.raises(ConfigurationError, match=words) as caught:
        client_context(**given)
    assert "\n" not in str(caught.value)
    assert arguments.get("password", "no password") not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(files, tmp_path):
    shutil.copy(files / "ca.pem", tmp_path / "ca.pem")
    (tmp_path / "ca.pem").chmod(0)
    with pytest.raises(ConfigurationError, match=r"ca_certs: .*/ca.pem: Permission denied"):
        client_context(tmp_path / "ca.pem")


def test_a_strange_file_name_cannot_forge_a_log_line(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        client_context(tmp_path / "a\nERROR b\x1b[2J\x00")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 0), (0o644, 1)])
def test_a_key_readable_by_everyone_is_warned_about(files, tmp_path, caplog, mode, warned):
    key = tmp_path / "ven.key"
    shutil.copy(files / "rsa.key", key)
    key.chmod(mode)
    client_context(None, files / "rsa.pem", key)
    lines = [r.getMessage() for r in caplog.records if r.name == "oadr2.security"]
    assert len(lines) == warned
    assert all(str(key) in line for line in lines)


# The cache


def test_the_same_arguments_give_the_same_context(files):
    first = client_context(files / "ca.pem", files / "rsa.pem", files / "rsa.key")
    assert client_context(files / "ca.pem", files / "rsa.pem", files / "rsa.key") is first
    assert client_context(str(files / "ca.pem"), files / "rsa.pem", files / "rsa.key") is first
    assert client_context(files / "ca.pem", files / "ecc.pem", files / "ecc.key") is not first
    assert client_context(files / "ca.pem", check_hostname=False) is not client_context(
        files / "ca.pem"
    )


def test_a_renewed_file_gives_a_new_context(ca, files, tmp_path):
    path = tmp_path / "ca.pem"
    shutil.copy(files / "other-ca.pem", path)
    before = client_context(path)
    path.unlink()
    shutil.copy(files / "ca.pem", path)
    after = client_context(path)
    assert after is not before
    with TlsServer(server_context(ca)) as server:
        server.connect(after)


# As a server


@pytest.fixture(scope="module")
def own_context(ca, files):
    """``own_context(kind)``: of a VEN at 127.0.0.1 that lets in clients of the module's CA."""

    def make(kind, **options):
        name = f"server-{kind}.pem"
        if not (files / name).exists():
            key_type = trustme.KeyType.RSA if kind == "rsa" else trustme.KeyType.ECDSA
            cert = ca.issue_cert("127.0.0.1", key_type=key_type)
            cert.private_key_and_cert_chain_pem.write_to_path(files / name)
            (files / name).chmod(0o600)
        return security.server_context(files / name, client_ca_certs=files / "ca.pem", **options)

    return make


@pytest.mark.parametrize("server", ["rsa", "ecc"])
@pytest.mark.parametrize("client", ["rsa", "ecc"])
def test_H06_both_sides_show_rsa_or_ecc_certificates(files, own_context, server, client):
    with TlsServer(own_context(server)) as listener:
        context = client_context(files / "ca.pem", files / f"{client}-both.pem")
        assert listener.connect(context)[0] == "TLSv1.3"
    assert len(listener.clients) == 1


@pytest.mark.parametrize(
    "suite",
    ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "AES128-SHA256", "ECDHE-ECDSA-AES128-SHA256"],
)
def test_H07_a_server_takes_the_default_suites_of_both_profiles(files, own_context, suite):
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(files / "ca.pem")
    client.load_cert_chain(files / "ecc-both.pem")
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suite)
    with TlsServer(own_context("ecc" if "ECDSA" in suite else "rsa")) as listener:
        assert listener.connect(client) == ("TLSv1.2", suite)


def test_H12_a_server_asks_every_client_for_a_certificate(files, own_context):
    with TlsServer(own_context("ecc")) as listener, pytest.raises((ssl.SSLError, OSError)):
        listener.connect(client_context(files / "ca.pem"))
    assert listener.clients == []


@pytest.mark.parametrize("legacy", [False, True])
def test_a_server_takes_old_protocols_only_when_told(files, own_context, legacy):
    with old_protocols():
        context = own_context("rsa", legacy=legacy)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(files / "ca.pem")
        client.load_cert_chain(files / "rsa-both.pem")
        client.minimum_version = ssl.TLSVersion.TLSv1
        client.maximum_version = ssl.TLSVersion.TLSv1_1
        client.set_ciphers("ALL:@SECLEVEL=0")
        with TlsServer(context) as listener:
            if legacy:
                assert listener.connect(client)[0] == "TLSv1.1"
            else:
                with pytest.raises((ssl.SSLError, OSError)):
                    listener.connect(client)


def test_a_legacy_server_says_so(files, own_context, caplog):
    security._server.cache_clear()
    with old_protocols():
        own_context("rsa", legacy=True)
    assert "legacy TLS is on" in caplog.text


def test_a_server_context_is_made_once_until_a_file_changes(files, own_context):
    one = own_context("rsa")
    assert own_context("rsa") is one
    assert own_context("ecc") is not one
    os.utime(files / "server-rsa.pem", (1, 1))
    assert own_context("rsa") is not one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rsa.pem", "ecc.key", "ca.pem"), "is not the key of the certificate"),
        (("rsa.pem", "rsa.key", "empty.pem"), "client_ca_certs: .*empty.pem is not PEM"),
        (("rsa.pem", "rsa.key", "absent"), "client_ca_certs: .*No such file"),
        (("absent", None, "ca.pem"), "cert: .*No such file"),
    ],
)
def test_files_of_a_server_that_are_wrong(files, arguments, message):
    cert, key, cas = arguments
    with pytest.raises(ConfigurationError, match=message):
        security.server_context(files / cert, key and files / key, client_ca_certs=files / cas)


# The end of certificates


DAY = 86400.0


@pytest.fixture
def short_lived(ca, tmp_path):
    """A certificate that ends at :data:`END`."""
    path = tmp_path / "short.pem"
    issued = ca.issue_cert("ven.example", not_after=END)
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    path.chmod(0o600)
    return path


END = datetime.datetime(2035, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (31, None, ""),
        (29.5, logging.WARNING, "ends in 29.5 days"),
        (0.1, logging.WARNING, "ends in 0.1 days"),
        (-1, logging.ERROR, "has ended"),
    ],
)
def test_the_end_of_a_certificate_is_told_in_good_time(short_lived, caplog, days, level, words):
    now = END.timestamp() - days * DAY
    assert security.days_left(short_lived, now) == pytest.approx(days)
    assert security.warn_of_expiry(short_lived, now) == (level is not None)
    assert [record.levelno for record in caplog.records] == ([] if level is None else [level])
    assert words in caplog.text


def test_a_file_that_is_just_being_replaced_ends_nothing(tmp_path, caplog):
    assert security.warn_of_expiry(tmp_path / "absent")
    assert "not known" in caplog.text


def test_a_context_with_an_ended_certificate_warns_when_it_is_made(ca, files, tmp_path, caplog):
    path = tmp_path / "ended.pem"
    issued = ca.issue_cert(
        "ven.example", not_after=datetime.datetime(2001, 1, 1, tzinfo=END.tzinfo)
    )
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    path.chmod(0o600)
    client_context(files / "ca.pem", path)
    assert "has ended" in caplog.text


def test_certificates_are_looked_at_once_a_day(short_lived, caplog):
    now = [END.timestamp() - 32.5 * DAY]
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds
        if len(slept) > 4:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(security.watch_expiry([short_lived], clock=lambda: now[0], sleep=sleep))
    assert slept == [DAY] * 5
    assert [record.getMessage().split("ends in ")[1][:4] for record in caplog.records] == [
        "29.5",
        "28.5",
    ]


def test_a_polling_ven_on_a_thread_looks_at_its_certificate_daily(
    ca, files, tmp_path, monkeypatch, caplog
):
    path = tmp_path / "ended.pem"
    issued = ca.issue_cert(
        "ven.example", not_after=datetime.datetime(2001, 1, 1, tzinfo=END.tzinfo)
    )
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    path.chmod(0o600)
    looked = threading.Semaphore(0)
    monkeypatch.setattr(security, "_DAY", 0.001)
    monkeypatch.setattr(security, "warn_of_expiry", lambda *_: looked.release())
    ven = OpenADR2(
        {"ven_id": "ven"},
        "https://127.0.0.1:9",
        vtn_ca_certs=files / "ca.pem",
        ven_client_cert_pem=path,
    )
    with ven:
        for _ in range(4):  # once when the context is made, the others day by day
            assert looked.acquire(timeout=60)
