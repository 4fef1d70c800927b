"""XML signatures: what we sign others can verify, and only what a trusted peer signed is taken (S02, S04)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import signxml
import trustme
from cryptography.hazmat.primitives import serialization
from lxml import etree
from openleadr import messaging

import oadr2
import oadr2.certificate
from oadr2.errors import ConfigurationError, LocalProtocolError, RemoteProtocolError
from oadr2.model import RequestEvent
from oadr2.signature import Signer, Verifier

NOW = 1_800_000_000.0
DS = "{http://www.w3.org/2000/09/xmldsig#}"
DSP = "http://openadr.org/oadr-2.0b/2012/07/xmldsig-properties"
OADR = "{http://openadr.org/oadr-2.0b/2012/07}"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Party:
    """A certificate with its key, and the CA that made it."""

    pem: Path
    ca: Path
    blob: trustme.LeafCert

    @property
    def fingerprint(self) -> str:
        return oadr2.certificate.fingerprint(self.pem.read_bytes(), "2.0b")


@pytest.fixture(scope="module")
def make_party(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Party]:
    def make(key: str = "ECDSA", **options: Any) -> Party:
        folder = tmp_path_factory.mktemp("party")
        authority = trustme.CA()
        leaf = authority.issue_cert("vtn.example", key_type=trustme.KeyType[key], **options)
        authority.cert_pem.write_to_path(folder / "ca.pem")
        leaf.private_key_and_cert_chain_pem.write_to_path(folder / "leaf.pem")
        return Party(folder / "leaf.pem", folder / "ca.pem", leaf)

    return make


@pytest.fixture(scope="module")
def vtn(make_party: Callable[..., Party]) -> Party:
    return make_party()


@pytest.fixture(scope="module")
def stranger(make_party: Callable[..., Party]) -> Party:
    return make_party()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def signer(vtn: Party, clock: Clock) -> Signer:
    return Signer(vtn.pem, clock=clock)


@pytest.fixture
def verifier(vtn: Party, clock: Clock) -> Verifier:
    return Verifier(ca_certs=vtn.ca, clock=clock)


def payload(request_id: str = "r1") -> bytes:
    return oadr2.encode(RequestEvent("ven_1", request_id, None, "2.0b"))


def child(parent: etree._Element, path: str) -> etree._Element:
    found = parent.find(path)
    assert found is not None
    return found


def refusal(verifier: Verifier, data: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        verifier.verify(data)
    return str(caught.value)


def replay_protect(moment: float = NOW, nonce: str | None = None) -> etree._Element:
    element = etree.Element(f"{{{DSP}}}ReplayProtect", {"Id": "p", "Target": "#t"}, {"dsp": DSP})
    stamp = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    etree.SubElement(element, f"{{{DSP}}}timestamp").text = stamp
    etree.SubElement(element, f"{{{DSP}}}nonce").text = nonce or secrets.token_hex(8)
    return element


def sign_as_peers_do(
    party: Party,
    *,
    c14n: str = INCLUSIVE,
    id_name: str = f"{OADR}Id",
    last: bool = False,
    properties: bool = True,
    method: str = "ecdsa-sha256",
    uri: str | None = None,
) -> bytes:
    """A detached signature in the variants that VTNs are known for (field-notes.md 14)."""
    root = etree.fromstring(payload())
    signed = child(root, f"{OADR}oadrSignedObject")
    signed.set(id_name, "signedObject")
    sign = signxml.XMLSigner(
        method=signxml.methods.detached, signature_algorithm=method, c14n_algorithm=c14n
    )
    sign.namespaces = {**root.nsmap, "ds": DS[1:-1]}
    pem = party.blob.cert_chain_pems[0].bytes().decode()
    signature = sign.sign(
        root,
        key=party.blob.private_key_pem.bytes(),
        cert=pem,
        reference_uri=uri or "#signedObject",
        signature_properties=replay_protect() if properties else None,
    )
    if last:
        root.append(signature)
    else:
        root.insert(0, signature)
    return etree.tostring(root)


def test_S02_the_signature_stands_before_the_signed_object(signer: Signer) -> None:
    root = etree.fromstring(signer.sign(payload()))
    assert [child.tag for child in root] == [f"{DS}Signature", f"{OADR}oadrSignedObject"]


@pytest.mark.parametrize("key", ["RSA", "ECDSA"])
def test_S05_what_is_signed_by_either_kind_of_key_is_taken(
    key: str, make_party: Callable[..., Party], clock: Clock
) -> None:
    party = make_party(key)
    signed = Signer(party.pem, clock=clock).sign(payload())
    data = Verifier(ca_certs=party.ca, clock=clock).verify(signed)
    assert oadr2.decode(data) == oadr2.decode(payload())
    assert b"Signature" not in data


def test_a_signed_message_decodes_like_an_unsigned_one(signer: Signer) -> None:
    assert oadr2.decode(signer.sign(payload())) == oadr2.decode(payload())


def test_S06_a_pinned_certificate_is_trusted_without_a_ca(
    vtn: Party, stranger: Party, clock: Clock
) -> None:
    verifier = Verifier(fingerprints=[vtn.fingerprint.lower()], clock=clock)
    assert verifier.verify(Signer(vtn.pem, clock=clock).sign(payload()))
    told = refusal(verifier, Signer(stranger.pem, clock=clock).sign(payload()))
    assert stranger.fingerprint in told
    assert "not trusted" in told


def test_S06_the_certificate_in_the_message_proves_nothing(
    verifier: Verifier, stranger: Party, clock: Clock
) -> None:
    told = refusal(verifier, Signer(stranger.pem, clock=clock).sign(payload()))
    assert "no trusted CA vouches for its certificate" in told


@pytest.mark.parametrize("trust", ["ca", "pin"])
def test_a_certificate_that_has_ended_signs_nothing(
    trust: str, make_party: Callable[..., Party], clock: Clock
) -> None:
    ended = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
    party = make_party(not_after=ended)
    verifier = (
        Verifier(ca_certs=party.ca, clock=clock)
        if trust == "ca"
        else Verifier(fingerprints=[party.fingerprint], clock=clock)
    )
    assert "certificate" in refusal(verifier, Signer(party.pem, clock=clock).sign(payload()))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda d: d.replace(b"ven_1", b"ven_2"), id="the message"),
        pytest.param(lambda d: re.sub(rb"(<dsp:nonce>)..", rb"\g<1>zz", d), id="the nonce"),
        pytest.param(
            lambda d: re.sub(rb"(<dsp:timestamp>)....", rb"\g<1>2028", d), id="the timestamp"
        ),
        pytest.param(
            lambda d: re.sub(rb"(<ds:SignatureValue>)....", rb"\g<1>AAAA", d), id="the signature"
        ),
        pytest.param(lambda d: d.replace(b"ecdsa-sha256", b"rsa-sha256"), id="the method"),
    ],
)
def test_S03_a_changed_message_is_refused(
    change: Callable[[bytes], bytes], signer: Signer, verifier: Verifier
) -> None:
    signed = signer.sign(payload())
    changed = change(signed)
    assert changed != signed
    refusal(verifier, changed)
    assert verifier.verify(signed)  # the refused one has left no trace


def test_S03_an_unsigned_message_is_refused(verifier: Verifier) -> None:
    assert "no signature" in refusal(verifier, payload())


def test_a_bare_or_malformed_message_is_refused(verifier: Verifier) -> None:
    refusal(verifier, oadr2.encode(RequestEvent("v", "r", None, "2.0b"), wrap=False))
    refusal(verifier, b"<oadr:oadrPayload")
    refusal(verifier, b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')


def test_S03_a_second_signed_object_is_refused(signer: Signer, verifier: Verifier) -> None:
    root = etree.fromstring(signer.sign(payload()))
    forged = child(etree.fromstring(payload("forged")), f"{OADR}oadrSignedObject")
    root.append(forged)
    refusal(verifier, etree.tostring(root))


def test_S03_only_what_is_covered_is_given_back(signer: Signer, verifier: Verifier) -> None:
    # The signed object is hidden in the signature, a forged one stands in its place.
    root = etree.fromstring(signer.sign(payload("signed")))
    signature, honest = root
    holder = etree.SubElement(signature, f"{DS}Object")
    holder.append(honest)
    forged = child(etree.fromstring(payload("forged")), f"{OADR}oadrSignedObject")
    root.append(forged)
    try:
        data = verifier.verify(etree.tostring(root))
    except RemoteProtocolError:
        return
    assert b"forged" not in data


def test_an_unsigned_property_does_not_count(verifier: Verifier, vtn: Party) -> None:
    root = etree.fromstring(sign_as_peers_do(vtn, properties=False))
    holder = etree.SubElement(root[0], f"{DS}Object")
    holder.append(replay_protect())
    assert "covers no ReplayProtect" in refusal(verifier, etree.tostring(root))


def test_S04_replay_protect_is_required(verifier: Verifier, vtn: Party) -> None:
    told = refusal(verifier, sign_as_peers_do(vtn, properties=False))
    assert "covers no ReplayProtect" in told


def test_S04_a_repeated_nonce_is_refused(signer: Signer, verifier: Verifier) -> None:
    signed = signer.sign(payload())
    assert verifier.verify(signed)
    assert "sent before" in refusal(verifier, signed)
    assert verifier.verify(signer.sign(payload()))


@pytest.mark.parametrize(("aside", "word"), [(61, "ago"), (-61, "in the future")])
def test_S04_a_stale_timestamp_is_refused(
    aside: float, word: str, signer: Signer, verifier: Verifier, clock: Clock
) -> None:
    signed = signer.sign(payload())
    clock.now += aside
    assert word in refusal(verifier, signed)
    clock.now = NOW + aside / 61 * 59
    assert verifier.verify(signed)


@pytest.mark.parametrize("aside", [-59, -5, 5, 59])
def test_field_note_04_clocks_may_differ_in_both_directions(
    aside: float, vtn: Party, clock: Clock
) -> None:
    signed = Signer(vtn.pem, clock=lambda: NOW + aside).sign(payload())
    assert Verifier(ca_certs=vtn.ca, clock=clock).verify(signed)


def test_a_nonce_is_known_for_as_long_as_its_timestamp_is_good(vtn: Party, clock: Clock) -> None:
    ahead = Signer(vtn.pem, clock=lambda: NOW + 59).sign(payload())
    verifier = Verifier(ca_certs=vtn.ca, clock=clock)
    assert verifier.verify(ahead)
    for late in (60, 118):
        clock.now = NOW + late
        assert "sent before" in refusal(verifier, ahead)


def test_the_memory_of_nonces_is_bounded(vtn: Party, signer: Signer, clock: Clock) -> None:
    verifier = Verifier(ca_certs=vtn.ca, nonces=2, clock=clock)
    for _ in range(2):
        assert verifier.verify(signer.sign(payload()))
    assert "more than 2" in refusal(verifier, signer.sign(payload()))
    clock.now += 121
    assert verifier.verify(signer.sign(payload()))


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({"c14n": EXCLUSIVE}, id="exclusive"),
        pytest.param({"id_name": "Id"}, id="unqualified Id"),
        pytest.param({"last": True}, id="after the object"),
    ],
)
def test_field_note_03_the_shapes_peers_send_are_taken(
    shape: dict[str, Any], verifier: Verifier, vtn: Party
) -> None:
    data = verifier.verify(sign_as_peers_do(vtn, **shape))
    assert oadr2.decode(data) == oadr2.decode(payload())


def test_field_note_03_an_enveloped_signature_over_the_whole_payload_is_taken(
    verifier: Verifier, vtn: Party
) -> None:
    # The ReplayProtect is covered by standing in the payload; the signature is taken out of it.
    root = etree.fromstring(payload())
    root.append(replay_protect())
    sign = signxml.XMLSigner(signature_algorithm="ecdsa-sha256", c14n_algorithm=INCLUSIVE)
    pem = vtn.blob.cert_chain_pems[0].bytes().decode()
    signed = sign.sign(root, key=vtn.blob.private_key_pem.bytes(), cert=pem, reference_uri=None)
    data = verifier.verify(etree.tostring(signed))
    assert oadr2.decode(data) == oadr2.decode(payload())


def test_S05_sha1_is_refused(verifier: Verifier, vtn: Party) -> None:
    signed = sign_as_peers_do(vtn)
    weak = signed.replace(b"xmldsig-more#ecdsa-sha256", b"xmldsig-more#ecdsa-sha1")
    assert weak != signed
    assert "does not hold" in refusal(verifier, weak)


def test_many_references_are_refused_unread(verifier: Verifier, vtn: Party) -> None:
    root = etree.fromstring(sign_as_peers_do(vtn))
    info = child(root, f"{DS}Signature/{DS}SignedInfo")
    reference = child(info, f"{DS}Reference")
    for _ in range(50):
        info.append(etree.fromstring(etree.tostring(reference)))
    assert "52 references" in refusal(verifier, etree.tostring(root))


def test_S01_only_wrapped_messages_are_signed(signer: Signer) -> None:
    bare = oadr2.encode(RequestEvent("v", "r", None, "2.0b"), wrap=False)
    with pytest.raises(LocalProtocolError, match="wrap_20b"):
        signer.sign(bare)
    with pytest.raises(LocalProtocolError, match="signed already"):
        signer.sign(signer.sign(payload()))


def test_S06_somebody_must_be_trusted() -> None:
    with pytest.raises(ConfigurationError, match="trusts nobody"):
        Verifier()


def test_what_is_wrong_with_the_files_is_said(tmp_path: Path, vtn: Party, stranger: Party) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(ConfigurationError, match=r"absent\.pem: No such file"):
        Signer(tmp_path / "absent.pem")
    with pytest.raises(ConfigurationError, match=r"empty\.pem holds no PEM certificate"):
        Signer(empty)
    with pytest.raises(ConfigurationError, match=r"key: .*empty\.pem holds no PEM private key"):
        Signer(vtn.pem, empty)
    with pytest.raises(ConfigurationError, match="is not the key of the certificate"):
        Signer(vtn.pem, stranger.pem)
    with pytest.raises(ConfigurationError, match=r"password: the key in .* is not encrypted"):
        Signer(vtn.pem, password="secret")


def test_an_encrypted_key_wants_its_password(tmp_path: Path, vtn: Party, clock: Clock) -> None:
    key = serialization.load_pem_private_key(vtn.blob.private_key_pem.bytes(), None)
    path = tmp_path / "key.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"right"),
        )
    )
    assert Signer(vtn.pem, path, password="right", clock=clock).sign(payload())
    for wrong in (None, "wrong"):
        with pytest.raises(ConfigurationError) as caught:
            Signer(vtn.pem, path, password=wrong)
        assert "wrong" not in str(caught.value).replace("password is wrong", "")


def test_openleadr_takes_our_signature_and_we_take_its(make_party: Callable[..., Party]) -> None:
    party = make_party("RSA")
    tree = messaging.validate_xml_schema(Signer(party.pem).sign(payload()))
    messaging.validate_xml_signature(tree)
    theirs = messaging.create_message(
        "oadrPoll",
        cert=party.blob.cert_chain_pems[0].bytes().decode(),
        key=party.blob.private_key_pem.bytes(),
        ven_id="ven_1",
    )
    data = Verifier(fingerprints=[party.fingerprint]).verify(theirs.encode())
    assert b"oadrPoll" in data
    assert b"ven_1" in data
