"""XML signatures of 2.0b: :class:`Signer` for what we send, :class:`Verifier` for what we get (facts.md 3.6).

A signature stands beside the oadrSignedObject and covers two things: that object, and a ReplayProtect
with a time and a nonce. The work is signxml's; what is decided here is what must be covered, whose
certificate counts, and that no message counts twice. Needs the extra: ``pip install 'oadr2[signature]'``.
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from lxml import etree

from oadr2._core.objects import decode
from oadr2.certificate import der_fingerprint, normal_fingerprint
from oadr2.errors import ConfigurationError, LocalProtocolError, RemoteProtocolError, one_line
from oadr2.policy import VtnPolicy
from oadr2.schedule import dttm_to_str, str_to_datetime
from oadr2.whole_file import read_whole

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509 import verification
    from signxml.algorithms import (
        CanonicalizationMethod,
        DigestAlgorithm,
        SignatureConstructionMethod,
        SignatureMethod,
    )
    from signxml.signer import XMLSigner
    from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier
except ModuleNotFoundError as missing:
    raise ConfigurationError(
        f"XML signatures need {missing.name}: pip install 'oadr2[signature]'"
    ) from None

PathLike: TypeAlias = str | os.PathLike[str]

_OADR: Final = "http://openadr.org/oadr-2.0b/2012/07"
_DSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
_DSP: Final = "http://openadr.org/oadr-2.0b/2012/07/xmldsig-properties"
_PAYLOAD: Final = f"{{{_OADR}}}oadrPayload"
_SIGNED_OBJECT: Final = f"{{{_OADR}}}oadrSignedObject"
_SIGNATURE: Final = f"{{{_DSIG}}}Signature"
_REPLAY_PROTECT: Final = f"{{{_DSP}}}ReplayProtect"
_ID: Final = "oadrSignedObject"

# What a verifier takes: SHA-1 is in old samples and is refused (facts.md 3.6).
_METHODS: Final = frozenset(
    SignatureMethod[name]
    for name in (
        "RSA_SHA256",
        "RSA_SHA384",
        "RSA_SHA512",
        "ECDSA_SHA256",
        "ECDSA_SHA384",
        "ECDSA_SHA512",
    )
)
_DIGESTS: Final = frozenset(DigestAlgorithm[name] for name in ("SHA256", "SHA384", "SHA512"))
_REFERENCES: Final = 8  # more than any peer signs; each costs a copy of the message
_NOT_AUTHORIZED: Final = 463


class Signer:
    """Signs what a VEN sends. Thread-safe; the key is read once.

    Args:
        cert: PEM file of our certificate, with the intermediate certificates after it.
        key: PEM file of its private key, RSA or elliptic curve; None when ``cert`` holds it too.
        password: of the key, when it is encrypted.
        clock: gives the seconds since 1970 that stand in the ReplayProtect.

    Raises:
        ConfigurationError: a file cannot be read, holds no certificate or no key, or they do not
            belong together.
    """

    def __init__(
        self,
        cert: PathLike,
        key: PathLike | None = None,
        *,
        password: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._chain = _certificates("cert", cert)
        self._key = _private_key("cert" if key is None else "key", key or cert, password)
        if self._key.public_key() != self._chain[0].public_key():
            raise ConfigurationError(
                f"key: {os.fspath(key or cert)} is not the key of the certificate in {os.fspath(cert)}"
            )
        self._algorithm = (
            SignatureMethod.RSA_SHA256
            if isinstance(self._key, rsa.RSAPrivateKey)
            else SignatureMethod.ECDSA_SHA256
        )
        self._clock = clock

    def sign(self, payload: bytes) -> bytes:
        """The same 2.0b message with a ds:Signature before its oadrSignedObject (facts.md S02).

        Raises:
            LocalProtocolError: the payload is no oadrPayload, or is signed already.
        """
        root = _tree(payload)
        signed = None if root is None else root.find(_SIGNED_OBJECT)
        if root is None or root.tag != _PAYLOAD or signed is None:
            raise LocalProtocolError(
                "only an oadrPayload can be signed: policy.wrap_20b must be on, and the profile 2.0b"
            )
        if root.find(_SIGNATURE) is not None:
            raise LocalProtocolError("the payload is signed already")
        signed.set(f"{{{_OADR}}}Id", _ID)
        signer = XMLSigner(
            method=SignatureConstructionMethod.detached,
            signature_algorithm=self._algorithm,
            c14n_algorithm=CanonicalizationMethod.CANONICAL_XML_1_0,
        )
        # Inclusive canonical form writes out each namespace in scope; so the signature is made with
        # those of the place where it will stand.
        signer.namespaces = {**{p: uri for p, uri in root.nsmap.items() if p}, "ds": _DSIG}
        signature = signer.sign(
            root,
            key=self._key,
            cert=self._chain,
            reference_uri=f"#{_ID}",
            signature_properties=self._replay_protect(root),
        )
        root.insert(0, signature)
        return etree.tostring(root, xml_declaration=True, encoding="UTF-8")

    def _replay_protect(self, root: etree._Element) -> etree._Element:
        names = {**{p: uri for p, uri in root.nsmap.items() if p}, "dsp": _DSP}
        # signxml moves the two attributes to the SignatureProperty around it.
        element = etree.Element(_REPLAY_PROTECT, {"Id": "replay", "Target": f"#{_ID}"}, names)
        moment = datetime.fromtimestamp(self._clock(), UTC)
        etree.SubElement(element, f"{{{_DSP}}}timestamp").text = dttm_to_str(moment)
        etree.SubElement(element, f"{{{_DSP}}}nonce").text = secrets.token_hex(16)
        return element


class Verifier:
    """Checks the signatures of what a VTN sends. Thread-safe.

    At least one of ``fingerprints`` and ``ca_certs`` must be given: a certificate that merely stands
    in the message proves nothing.

    Args:
        fingerprints: 2.0b fingerprints of the certificates that may sign (``oadr2 fingerprint``).
        ca_certs: PEM file of the CAs whose certificates may sign.
        max_age: seconds that a signature may be old, and as far as the VTN's clock may be ahead.
        nonces: how many messages of twice that time are remembered; beyond that none is taken.
        policy: limits for what is read at all.
        clock: gives seconds since 1970.

    Raises:
        ConfigurationError: nobody is trusted, or a file or a fingerprint cannot be read.
    """

    def __init__(
        self,
        *,
        fingerprints: Iterable[str] = (),
        ca_certs: PathLike | None = None,
        max_age: float = 60.0,
        nonces: int = 100_000,
        policy: VtnPolicy | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fingerprints = frozenset(map(normal_fingerprint, fingerprints))
        self._authorities = () if ca_certs is None else _certificates("ca_certs", ca_certs)
        if not self._fingerprints and not self._authorities:
            raise ConfigurationError(
                "a verifier of signatures trusts nobody: name fingerprints or ca_certs"
            )
        self._max_age = max_age
        self._nonces = nonces
        self._policy = policy or VtnPolicy()
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[tuple[float, str], float] = {}  # when each came, in that order

    def verify(self, payload: bytes) -> bytes:
        """The oadrSignedObject that the signature covers, as a document of its own.

        Nothing else of the payload may be used: what is not covered, anybody can have written.

        Raises:
            RemoteProtocolError: the payload is not acceptable, is not signed, is signed by somebody
                else or covers something else, is too old or was seen before (facts.md S04). It then
                leaves no trace.
        """
        decode(payload, policy=self._policy)  # whoever gets past this is bounded and has no DTD
        root = _tree(payload)
        signatures = [] if root is None or root.tag != _PAYLOAD else root.findall(_SIGNATURE)
        if len(signatures) != 1:
            raise _refused("it has no signature, or more than one")
        signature = signatures[0]
        count = len(signature.findall(f"{{{_DSIG}}}SignedInfo/{{{_DSIG}}}Reference"))
        if not 1 <= count <= _REFERENCES:
            raise _refused(f"its signature has {count} references")
        certificate = self._trusted(_chain_of(signature))
        config = SignatureConfiguration(
            location="./",
            expect_references=True,
            signature_methods=_METHODS,
            digest_algorithms=_DIGESTS,
        )
        # signxml lets errors of lxml, cryptography, binascii and its own lookups through; to a
        # receiver each of them means that the signature does not hold.
        try:
            covered = XMLVerifier().verify(root, x509_cert=certificate, expect_config=config)
        except Exception as error:
            raise _refused(f"its signature does not hold ({one_line(str(error), 120)})") from error
        results = [covered] if isinstance(covered, VerifyResult) else covered
        parts = [part.signed_xml for part in results if part.signed_xml is not None]
        self._once(parts)
        return _signed_object(parts)

    def _trusted(self, chain: Sequence[x509.Certificate]) -> x509.Certificate:
        """The certificate that must have signed, if we trust it."""
        if not chain:
            raise _refused("its signature carries no certificate")
        now = datetime.fromtimestamp(self._clock(), UTC)
        for certificate in chain:
            if _fingerprint(certificate) in self._fingerprints:
                if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
                    raise _refused("the certificate that signed it has ended, or is not valid yet")
                return certificate
        if not self._authorities:
            raise _refused(f"certificate {_fingerprint(chain[0])} signed it, which is not trusted")
        permit = verification.ExtensionPolicy.permit_all()
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store(self._authorities))
            .time(now)
            .extension_policies(
                ee_policy=permit, ca_policy=verification.ExtensionPolicy.webpki_defaults_ca()
            )
            .build_client_verifier()
        )
        try:
            verifier.verify(chain[0], list(chain[1:]))
        except verification.VerificationError as error:
            reason = one_line(str(error), 120)
            raise _refused(f"no trusted CA vouches for its certificate ({reason})") from None
        return chain[0]

    def _once(self, parts: Sequence[etree._Element]) -> None:
        """Refuse what is too old, from the future, or seen before; remember it otherwise."""
        found = [e for part in parts for e in part.iter(_REPLAY_PROTECT)]
        if len(found) != 1:
            raise _refused("its signature covers no ReplayProtect, or several")
        stamp = (found[0].findtext(f"{{{_DSP}}}timestamp") or "").strip()
        nonce = (found[0].findtext(f"{{{_DSP}}}nonce") or "").strip()
        try:
            moment = str_to_datetime(stamp).timestamp()
        except ValueError:
            raise _refused(f"the timestamp of its ReplayProtect is {stamp[:40]!r}") from None
        if not nonce or len(nonce) > 256:
            raise _refused("the nonce of its ReplayProtect is empty or too long")
        now = self._clock()
        if abs(now - moment) > self._max_age:
            aside = "ago" if moment < now else "in the future"
            raise _refused(
                f"it was signed {abs(now - moment):.0f} s {aside}, {self._max_age:g} s are allowed; "
                "are both clocks right?"
            )
        with self._lock:
            # A timestamp is at most max_age ahead of its arrival, and is good for max_age after that.
            while (
                self._seen
                and now - self._seen[oldest := next(iter(self._seen))] > 2 * self._max_age
            ):
                del self._seen[oldest]
            if (moment, nonce) in self._seen:
                raise _refused("it was sent before: its nonce is known")
            if len(self._seen) >= self._nonces:
                raise _refused(
                    f"more than {self._nonces} signed messages in {2 * self._max_age:g} s"
                )
            self._seen[moment, nonce] = now


def _refused(why: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"the message is refused: {why}", response_code=_NOT_AUTHORIZED)


def _tree(payload: bytes) -> etree._Element | None:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return etree.fromstring(payload, parser)
    except etree.XMLSyntaxError:
        return None


def _signed_object(parts: Sequence[etree._Element]) -> bytes:
    """The one oadrSignedObject among what was covered, itself or inside a covered oadrPayload."""
    found = [part for part in parts if part.tag == _SIGNED_OBJECT]
    for part in parts:
        if part.tag == _PAYLOAD:
            found += part.findall(_SIGNED_OBJECT)
    if len(found) != 1:
        raise _refused("its signature does not cover the oadrSignedObject")
    return etree.tostring(found[0], encoding="UTF-8", xml_declaration=True)


def _chain_of(signature: etree._Element) -> list[x509.Certificate]:
    path = f"{{{_DSIG}}}KeyInfo/{{{_DSIG}}}X509Data/{{{_DSIG}}}X509Certificate"
    try:
        return [
            x509.load_der_x509_certificate(base64.b64decode(element.text or ""))
            for element in signature.iterfind(path)
        ]
    except (ValueError, binascii.Error):
        raise _refused("the certificate in its signature is damaged") from None


def _fingerprint(certificate: x509.Certificate) -> str:
    return der_fingerprint(certificate.public_bytes(serialization.Encoding.DER), "2.0b")


def _certificates(argument: str, path: PathLike) -> list[x509.Certificate]:
    pem = _read(argument, path)
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigurationError(
            f"{argument}: {os.fspath(path)} holds no PEM certificate, or a damaged one"
        ) from None


def _private_key(
    argument: str, path: PathLike, password: str | None
) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    pem = _read(argument, path)
    try:
        key = serialization.load_pem_private_key(
            pem, None if password is None else password.encode()
        )
    except TypeError:
        given = "is encrypted; pass it" if password is None else "is not encrypted; leave it out"
        raise ConfigurationError(f"password: the key in {os.fspath(path)} {given}") from None
    except (ValueError, UnsupportedAlgorithm):
        trouble = "holds no PEM private key" + (", or the password is wrong" if password else "")
        raise ConfigurationError(f"{argument}: {os.fspath(path)} {trouble}") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigurationError(
            f"{argument}: {os.fspath(path)} holds a key that is neither RSA nor elliptic curve"
        )
    return key


def _read(argument: str, path: PathLike) -> bytes:
    try:
        return read_whole(path)
    except OSError as error:
        raise ConfigurationError(f"{argument}: {os.fspath(path)}: {error.strerror}") from None
