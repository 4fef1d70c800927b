"""What an X.509 certificate says: its fingerprints, whose it is, how long it lasts.

Python's ssl tells that only of a peer's certificate on a connection of its own; a server hands on
bytes, and a file is nobody's peer. So the few fields needed here are read from the DER, and nothing
is verified: that is OpenSSL's part, and done before.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

from oadr2.errors import ConfigurationError
from oadr2.model import Profile

# facts.md 4.2, H09: of the digest the last ten bytes count.
_DIGESTS: Final[dict[str, str]] = {"2.0a": "sha1", "2.0b": "sha256"}
_FINGERPRINT_BYTES: Final = 10
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\s.*?-----END CERTIFICATE-----", re.DOTALL)

_SEQUENCE, _SET, _OID, _OCTETS = 0x30, 0x31, 0x06, 0x04
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3  # tagged fields of a TBSCertificate
_DNS_NAME = 0x82
_SUBJECT_ALT_NAME: Final = bytes((0x55, 0x1D, 0x11))
_COMMON_NAME: Final = bytes((0x55, 0x04, 0x03))
_ATTRIBUTES: Final = {
    _COMMON_NAME: "CN",
    bytes((0x55, 0x04, 0x05)): "serialNumber",
    bytes((0x55, 0x04, 0x06)): "C",
    bytes((0x55, 0x04, 0x07)): "L",
    bytes((0x55, 0x04, 0x08)): "ST",
    bytes((0x55, 0x04, 0x0A)): "O",
    bytes((0x55, 0x04, 0x0B)): "OU",
}
_BMP_STRING, _LATIN_STRING = 0x1E, 0x14

_Item: TypeAlias = tuple[int, bytes]  # tag and contents


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
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{os.fspath(path)}: {error.strerror}") from None
    try:
        return parse_certificate(data)
    except ConfigurationError as error:
        raise ConfigurationError(f"{os.fspath(path)}: {error}") from None


def _der(data: bytes) -> bytes:
    """The DER of what is given as DER or PEM."""
    if data[:1] == bytes((_SEQUENCE,)):
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
    der = _der(data)
    try:
        return _parse(der)
    except (ValueError, IndexError, StopIteration, OverflowError):
        raise ConfigurationError("its certificate is damaged") from None


def _parse(der: bytes) -> Certificate:
    whole, rest = _item(der)
    if rest:
        raise ValueError("bytes after the certificate")
    fields = list(_items(next(_items(_contents(whole, _SEQUENCE)))[1]))
    if fields[0][0] == _VERSION:
        del fields[0]
    _serial, _algorithm, _issuer, validity, subject, _key, *more = fields
    not_before, not_after = (_moment(item) for item in _items(_contents(validity, _SEQUENCE)))
    return Certificate(
        der,
        tuple(_subject(_contents(subject, _SEQUENCE))),
        tuple(_dns_names(more)),
        not_before,
        not_after,
    )


def _subject(names: bytes) -> Iterator[tuple[str, str]]:
    for group in _items(names):
        for pair in _items(_contents(group, _SET)):
            kind, value = _items(_contents(pair, _SEQUENCE))
            oid = _contents(kind, _OID)
            yield _ATTRIBUTES.get(oid) or _dotted(oid), _text(value)


def _dns_names(fields: list[_Item]) -> Iterator[str]:
    for tag, wrapped in fields:
        if tag != _EXTENSIONS:
            continue
        for extension in _items(_contents(_item(wrapped)[0], _SEQUENCE)):
            oid, *_, value = _items(_contents(extension, _SEQUENCE))
            if _contents(oid, _OID) == _SUBJECT_ALT_NAME:
                names = _contents(_item(_contents(value, _OCTETS))[0], _SEQUENCE)
                yield from (
                    name.decode("ascii") for kind, name in _items(names) if kind == _DNS_NAME
                )


def _moment(item: _Item) -> datetime:
    tag, contents = item
    text = contents.decode("ascii")
    if tag == _UTC_TIME:  # two digits of a year from 1950 to 2049 (RFC 5280, 4.1.2.5.1)
        text = ("20" if text[:2] < "50" else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _text(item: _Item) -> str:
    tag, contents = item
    if tag == _BMP_STRING:
        return contents.decode("utf-16-be")
    return contents.decode("latin-1" if tag == _LATIN_STRING else "utf-8")


def _dotted(oid: bytes) -> str:
    numbers = [0]
    for byte in oid:
        numbers[-1] = numbers[-1] << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(0)
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:-1])))


def _contents(item: _Item, tag: int) -> bytes:
    if item[0] != tag:
        raise ValueError("another kind of element was due")
    return item[1]


def _items(data: bytes) -> Iterator[_Item]:
    while data:
        item, data = _item(data)
        yield item


def _item(data: bytes) -> tuple[_Item, bytes]:
    """The first element of DER and what comes after it."""
    tag, length, start = data[0], data[1], 2
    if length >= 0x80:
        count = length & 0x7F
        start += count
        length = int.from_bytes(data[2:start], "big")
        if not 1 <= count <= 4:
            raise ValueError("no definite length")
    if start + length > len(data):
        raise ValueError("cut short")
    return (tag, data[start : start + length]), data[start + length :]
