"""What an X.509 certificate says: its fingerprints, whose it is, how long it lasts.

Python's ssl tells that only of a peer's certificate on a connection of its own; a server hands on
bytes, and a file is nobody's peer. So the cryptography package reads them. Nothing is verified here:
that is OpenSSL's part, and done before.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from oadr2.errors import ConfigurationError
from oadr2.model import Profile
from oadr2.whole_file import read_whole

# facts.md 4.2, H09: of the digest the last ten bytes count.
_DIGESTS: Final[dict[str, str]] = {"2.0a": "sha1", "2.0b": "sha256"}
_FINGERPRINT_BYTES: Final = 10
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)

_ATTRIBUTES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """An X.509 certificate.

    Attributes:
        der: its bytes.
        subject: (attribute, value) pairs in the order they stand: ``("CN", "vtn.example")``.
        dns_names: of its subjectAltName.
        not_before, not_after: from when to when it is valid.
    """

    der: bytes
    subject: tuple[tuple[str, str], ...]
    dns_names: tuple[str, ...]
    not_before: datetime
    not_after: datetime

    @property
    def common_names(self) -> tuple[str, ...]:
        """The CNs of the subject; the Alliance's certificates carry one (facts.md 4.2)."""
        return tuple(value for name, value in self.subject if name == "CN")

    @property
    def subject_text(self) -> str:
        """The subject in one line, as it stands: ``O=Utility, CN=vtn.example``."""
        return ", ".join(f"{name}={value}" for name, value in self.subject)

    def fingerprint(self, profile: Profile) -> str:
        """The OpenADR fingerprint: ten pairs of upper-case hex digits with colons (H09)."""
        return der_fingerprint(self.der, profile)

    def has_name(self, name: str) -> bool:
        """Whether ``name`` is one of its common or DNS names; case does not count, ``*`` is text."""
        wanted = name.casefold()
        return any(wanted == own.casefold() for own in (*self.common_names, *self.dns_names))

    def has_fingerprint(self, pinned: str) -> bool:
        """Whether ``pinned`` is its fingerprint of either profile, in any spelling (H09)."""
        wanted = normal_fingerprint(pinned)
        return wanted in (self.fingerprint("2.0a"), self.fingerprint("2.0b"))


def fingerprint(certificate: bytes, profile: Profile) -> str:
    """The OpenADR fingerprint of a certificate, DER or the first one of a PEM text (facts.md H09).

    The last 20 hex digits of SHA-1 (2.0a) or SHA-256 (2.0b) over the DER, as ``AA:BB:...``.

    Raises:
        ConfigurationError: it is neither, or the profile is unknown.
    """
    return der_fingerprint(parse_certificate(certificate).der, profile)


def der_fingerprint(der: bytes, profile: str) -> str:
    """The same of DER that OpenSSL has read already: nothing in it is looked at."""
    if profile not in _DIGESTS:
        raise ConfigurationError(f"profile: {profile!r} is not one of {', '.join(_DIGESTS)}")
    digest = hashlib.new(_DIGESTS[profile], der, usedforsecurity=False)
    return digest.digest()[-_FINGERPRINT_BYTES:].hex(":").upper()


def normal_fingerprint(text: str) -> str:
    """A fingerprint in the one spelling that compares: ``aabb cc-DD...`` -> ``AA:BB:CC:DD:...``.

    The whole digest, as ``openssl x509 -fingerprint`` prints it, will do as well: its end counts.

    Raises:
        ConfigurationError: it is not 20, 40 or 64 hex digits.
    """
    digits = re.sub(r"[\s:.-]", "", text)
    if len(digits) not in (20, 40, 64) or not re.fullmatch(r"[0-9a-fA-F]*", digits):
        raise ConfigurationError(
            f"fingerprint: {text[:80]!r} is not 20 hex digits; oadr2 fingerprint CERT prints them"
        )
    return bytes.fromhex(digits[-2 * _FINGERPRINT_BYTES :]).hex(":").upper()


def read_certificate(path: str | os.PathLike[str]) -> Certificate:
    """The certificate in a file, PEM (the first one) or DER.

    Raises:
        ConfigurationError: the file cannot be read, or holds none.
    """
    try:
        data = read_whole(path)
    except OSError as error:
        raise ConfigurationError(f"{os.fspath(path)}: {error.strerror}") from None
    try:
        return parse_certificate(data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{os.fspath(path)}: {error}") from None


def _der(data: bytes) -> bytes:
    """The DER of what is given as DER or PEM."""
    if data[:1] == b"0":  # a SEQUENCE of DER
        return data
    found = _PEM.search(data)
    if found is None:
        raise ConfigurationError("it holds no certificate, neither PEM nor DER")
    try:
        return ssl.PEM_cert_to_DER_cert(found[0].decode("ascii"))
    except ValueError:  # no ASCII, no base64
        raise ConfigurationError("its PEM certificate is damaged") from None


def parse_certificate(data: bytes) -> Certificate:
    """Read a certificate given as DER, or the first one of a PEM text.

    Raises:
        ConfigurationError: it holds none, or a damaged one.
    """
    from cryptography import x509  # noqa: PLC0415 - slow to import, and wanted by few

    der = _der(data)
    try:
        made = x509.load_der_x509_certificate(der)
        return Certificate(
            der,
            tuple(
                (_ATTRIBUTES.get(name.oid.dotted_string, name.oid.dotted_string), _text(name.value))
                for name in made.subject
            ),
            tuple(
                name
                for extension in made.extensions
                if isinstance(extension.value, x509.SubjectAlternativeName)
                for name in extension.value.get_values_for_type(x509.DNSName)
            ),
            made.not_valid_before_utc,
            made.not_valid_after_utc,
        )
    except (
        ValueError,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ):
        raise ConfigurationError("its certificate is damaged") from None


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
