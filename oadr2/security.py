"""TLS for the VEN, as a client and as a server that takes pushes.

One context per set of arguments, and errors that name the file. facts.md 4.2 (H06, H07, H08, H12).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import re
import ssl
import stat
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias, TypeVar

from oadr2.certificate import normal_fingerprint, read_certificate
from oadr2.errors import ConfigurationError
from oadr2.pinning import pin
from oadr2.whole_file import read_whole

PathLike: TypeAlias = str | os.PathLike[str]

_log = logging.getLogger("oadr2.security")

# Modern suites first; then the four the profiles name as their default ones (H07), which a VTN that
# knows nothing else needs. TLS 1.3 suites are not governed by this list.
_CIPHERS = (
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256"
    ":AES128-GCM-SHA256:AES128-SHA256:ECDHE-ECDSA-AES128-SHA:AES128-SHA:!aNULL:!eNULL"
)
_LEGACY_CIPHERS = "ALL:!aNULL:!eNULL:@SECLEVEL=0"
_OP_LEGACY_SERVER_CONNECT = 0x4  # ssl.OP_LEGACY_SERVER_CONNECT, which Python names from 3.12 on

#: How long before its end a certificate is warned of.
EXPIRY_NOTICE: Final = timedelta(days=30)
_DAY = 86400.0

_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")  # what `openssl rehash` makes in a folder
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_TRUSTED_CERTIFICATE = b"-----BEGIN TRUSTED CERTIFICATE-----"
_KEY = re.compile(rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----")
_NOT_ITS_KEY = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")


def client_context(  # noqa: PLR0917 - the order of the certificate options everywhere
    ca_certs: PathLike | None = None,
    cert: PathLike | None = None,
    key: PathLike | None = None,
    password: str | None = None,
    check_hostname: bool = True,
    legacy: bool = False,
    fingerprint: str | None = None,
) -> ssl.SSLContext:
    """A TLS context for connections to a VTN: TLS 1.2 or later, the server always verified.

    The same arguments give the same context, until one of the files changes.

    Args:
        ca_certs: PEM file or folder of the CAs to trust, and then no others. None trusts the CAs of
            the system.
        cert: PEM file of the client certificate, with the intermediate certificates after it.
        key: PEM file of its private key; None when ``cert`` holds the key as well.
        password: of the key, when it is encrypted.
        check_hostname: False for a VTN whose certificate does not carry the name it is reached by.
            Any certificate of a trusted CA is then taken for the VTN's.
        legacy: for old VTNs only. Weakens the connection: TLS 1.0 and 1.1 are accepted, so are
            SHA-1 signatures, short keys and old ciphers (OpenSSL security level 0), and servers
            without secure renegotiation. Someone on the wire may be able to read or alter it.
        fingerprint: of the one certificate that is accepted, of either profile, in any spelling
            (H09); the chain and the name are checked all the same.

    Raises:
        ConfigurationError: a file is missing, unreadable or not PEM, the key does not belong to the
            certificate, the password is missing or wrong, or the fingerprint is none.
    """
    if cert is None and key is not None:
        raise ConfigurationError(
            f"key: {_name(key)} is given without its certificate; pass cert too"
        )
    paths = [None if path is None else os.fspath(path) for path in (ca_certs, cert, key)]
    stamps = (_stamp("ca_certs", paths[0]), _stamp("cert", paths[1]), _stamp("key", paths[2]))
    pinned = None if fingerprint is None else normal_fingerprint(fingerprint)
    return _client(*paths, password, check_hostname, legacy, pinned, stamps)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """The arguments of :func:`client_context`, as each ``OpenADR2`` is given them."""

    ca_certs: PathLike | None = None
    cert: PathLike | None = None
    key: PathLike | None = None
    password: str | None = None
    check_hostname: bool = True
    legacy: bool = False
    fingerprint: str | None = None

    @property
    def given(self) -> bool:
        """Whether any of them is not its default."""
        return self != ClientTls()

    def context(self) -> ssl.SSLContext:
        """Raises as :func:`client_context`."""
        return client_context(
            self.ca_certs,
            self.cert,
            self.key,
            self.password,
            self.check_hostname,
            self.legacy,
            self.fingerprint,
        )

    def for_pushes(self) -> ssl.SSLContext:
        """The context of a server that the VTN posts to: the same certificates, the other way round.

        Raises:
            ConfigurationError: there is no certificate of ours or no CA, or as :func:`server_context`.
        """
        if self.cert is None or self.ca_certs is None:
            raise ConfigurationError(
                "ven_client_cert_pem and vtn_ca_certs: needed, this VEN's certificate and who vouches"
                " for the VTN's (or plaintext=True, on this machine only)"
            )
        return server_context(
            self.cert,
            self.key,
            client_ca_certs=self.ca_certs,
            password=self.password,
            legacy=self.legacy,
        )

    def context_or(self, ready: ssl.SSLContext | None) -> ssl.SSLContext:
        """The context the caller has ready, else one of these arguments.

        Raises:
            ConfigurationError: both are given, or as :func:`client_context`.
        """
        if ready is None:
            return self.context()
        if self.given:
            raise ConfigurationError("ssl_context: given together with certificate files; pass one")
        return ready

    def context_for(self, url: str, ready: ssl.SSLContext | None) -> ssl.SSLContext | None:
        """The same for an address; a plain http one needs none and gets ``ready``.

        Raises:
            ConfigurationError: as :meth:`context_or`, or a fingerprint is given for plain HTTP.
        """
        if str(url).strip().lower().startswith("https:"):
            return self.context_or(ready)
        if self.fingerprint is not None:
            raise ConfigurationError("vtn_fingerprint: needs an https:// address to be checked at")
        if self.given:
            _log.warning("vtn_base_uri is not https: the certificates are not used")
        return ready


ContextT = TypeVar("ContextT", bound=ssl.SSLContext)


def unshared_client_context(
    kind: type[ContextT],
    ca_certs: PathLike | None = None,
    cert: PathLike | None = None,
    key: PathLike | None = None,
    check_hostname: bool = True,
) -> ContextT:
    """A new context of the class ``kind``, set up as :func:`client_context` does it.

    For programs with more client certificates than :func:`client_context` keeps contexts.
    """
    if cert is None and key is not None:
        raise ConfigurationError(
            f"key: {_name(key)} is given without its certificate; pass cert too"
        )
    paths = [None if path is None else os.fspath(path) for path in (ca_certs, cert, key)]
    context = kind(ssl.PROTOCOL_TLS_CLIENT)
    _set_up_client(context, paths[0], paths[1], paths[2], None, check_hostname, False)
    return context


def server_context(
    cert: PathLike,
    key: PathLike | None = None,
    *,
    client_ca_certs: PathLike,
    password: str | None = None,
    legacy: bool = False,
) -> ssl.SSLContext:
    """A TLS context for a server that VTNs push to: TLS 1.2 or later, client certificates required.

    The same arguments give the same context, until one of the files changes.

    Args:
        cert: PEM file of the server's certificate, with the intermediate certificates after it.
        key: PEM file of its private key; None when ``cert`` holds the key as well.
        client_ca_certs: PEM file or folder of the CAs that vouch for VTNs, and no others. The
            certificate of one VTN will do, when that has signed itself.
        password: of the key, when it is encrypted.
        legacy: for old VTNs only; weakens the connections as for :func:`client_context`.

    Raises:
        ConfigurationError: as for :func:`client_context`.
    """
    files = (os.fspath(client_ca_certs), os.fspath(cert), None if key is None else os.fspath(key))
    stamps = tuple(map(_stamp, ("client_ca_certs", "cert", "key"), files))
    return _server(*files, password, legacy, stamps)


def days_left(cert: PathLike, now: float | None = None) -> float:
    """Days until a certificate ends, negative when it has; ``now`` in seconds since 1970.

    Raises:
        ConfigurationError: the file holds no certificate that can be read.
    """
    moment = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    return (read_certificate(cert).not_after - moment) / timedelta(days=1)


def warn_of_expiry(cert: PathLike, now: float | None = None) -> bool:
    """Log a warning when a certificate has ended or will within :data:`EXPIRY_NOTICE`.

    True when it was logged. A file that cannot be read is logged too, and raises nothing: it may
    just be being replaced.
    """
    try:
        days = days_left(cert, now)
    except ConfigurationError as error:
        _log.warning("the end of a certificate is not known: %s", error)
        return True
    if days > EXPIRY_NOTICE / timedelta(days=1):
        return False
    if days <= 0:
        _log.error("%s: the certificate has ended; peers will refuse it, renew it", _name(cert))
    else:
        _log.warning("%s: the certificate ends in %.1f days; renew it", _name(cert), days)
    return True


async def watch_expiry(
    certs: Iterable[PathLike],
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Call :func:`warn_of_expiry` for each certificate once a day, until cancelled.

    The first call comes in a day: a context that is made warns at once.
    """
    files = tuple(certs)
    while files:
        await sleep(_DAY)
        for cert in files:
            warn_of_expiry(cert, clock())


@functools.lru_cache(maxsize=32)
def _client(  # noqa: PLR0917 - lru_cache wants one spelling of the arguments
    ca_certs: str | None,
    cert: str | None,
    key: str | None,
    password: str | None,
    check_hostname: bool,
    legacy: bool,
    fingerprint: str | None,
    _stamps: object,  # a renewed file makes a new context
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _set_up_client(context, ca_certs, cert, key, password, check_hostname, legacy)
    if fingerprint is not None:
        pin(context, fingerprint)
    return context


def _set_up_client(  # noqa: PLR0917 - as _client
    context: ssl.SSLContext,  # made for a client, so it verifies certificate and host name
    ca_certs: str | None,
    cert: str | None,
    key: str | None,
    password: str | None,
    check_hostname: bool,
    legacy: bool,
) -> None:
    if legacy:
        _log.warning("legacy TLS is on: TLS 1.0, SHA-1 and weak ciphers are accepted from the VTN")
        # The lowest the library has; SSL 3 stays off by the context's own options.
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers(_LEGACY_CIPHERS)
        context.options |= _OP_LEGACY_SERVER_CONNECT
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
    context.check_hostname = check_hostname
    if ca_certs is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, "ca_certs", ca_certs)
    if cert is not None:
        _present(context, cert, key, password)


@functools.lru_cache(maxsize=32)
def _server(
    client_ca_certs: str,
    cert: str,
    key: str | None,
    password: str | None,
    legacy: bool,
    _stamps: object,  # a renewed file makes a new context
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if legacy:
        _log.warning("legacy TLS is on: TLS 1.0, SHA-1 and weak ciphers are accepted from VTNs")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.set_ciphers(_LEGACY_CIPHERS)
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
    context.verify_mode = ssl.CERT_REQUIRED
    _trust(context, "client_ca_certs", client_ca_certs)
    _present(context, cert, key, password)
    return context


def _trust(context: ssl.SSLContext, argument: str, path: str) -> None:
    if os.path.isdir(path):
        _trust_folder(context, argument, path)
    else:
        _trust_file(context, argument, path)


def _trust_folder(context: ssl.SSLContext, argument: str, folder: str) -> None:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise ConfigurationError(f"{argument}: {_name(folder)}: {error.strerror}") from None
    if any(_HASHED_NAME.fullmatch(name) for name in names):
        context.load_verify_locations(capath=folder)
        return
    files = [
        os.path.join(folder, name) for name in names if name.endswith((".pem", ".crt", ".cer"))
    ]
    if not files:
        raise ConfigurationError(
            f"{argument}: {_name(folder)} holds no .pem, .crt or .cer file and no hashed names"
        )
    for file in files:
        _trust_file(context, argument, file)


def _trust_file(context: ssl.SSLContext, argument: str, file: str) -> None:
    text = _read(argument, file)
    if _CERTIFICATE not in text and _TRUSTED_CERTIFICATE not in text:
        raise ConfigurationError(f"{argument}: {_name(file)} is not PEM: it holds no certificate")
    try:
        context.load_verify_locations(cafile=file)
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(
            f"{argument}: {_name(file)} holds a damaged certificate ({_reason(error)})"
        ) from None


def _present(context: ssl.SSLContext, cert: str, key: str | None, password: str | None) -> None:
    if _CERTIFICATE not in _read("cert", cert):
        raise ConfigurationError(f"cert: {_name(cert)} is not PEM: it holds no certificate")
    argument, key_file = ("cert", cert) if key is None else ("key", key)
    text = _read(argument, key_file)
    encrypted = any(mark in text for mark in _ENCRYPTED)
    if not encrypted and not _KEY.search(text):
        hint = "; pass the file that does as key" if key is None else ""
        raise ConfigurationError(f"{argument}: {_name(key_file)} holds no PEM private key{hint}")
    if encrypted and not password:
        # Never left to OpenSSL, which would ask for it on the terminal.
        raise ConfigurationError(f"password: the key in {_name(key_file)} is encrypted; pass it")
    if os.stat(key_file).st_mode & stat.S_IROTH:
        _log.warning("%s: the private key is readable by every user; chmod 600", _name(key_file))
    try:
        context.load_cert_chain(cert, key, password or "")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = _reason(error)
        if reason in _NOT_ITS_KEY:
            problem = f"key: {_name(key_file)} is not the key of the certificate in {_name(cert)}"
        elif encrypted:
            problem = f"password: wrong for the key in {_name(key_file)}, or the key is damaged"
        else:
            problem = f"cert: {_name(cert)} with the key in {_name(key_file)}: damaged ({reason})"
        raise ConfigurationError(problem) from None
    warn_of_expiry(cert)


def _stamp(argument: str, path: str | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{argument}: {_name(path)}: {_reason(error)}") from None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(argument: str, file: str) -> bytes:
    try:
        return read_whole(file)
    except OSError as error:
        raise ConfigurationError(f"{argument}: {_name(file)}: {_reason(error)}") from None


def _name(path: PathLike) -> str:
    """The path as it may stand in a one-line message."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fspath(path))


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(reason or error)
