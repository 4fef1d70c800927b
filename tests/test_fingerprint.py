"""Reading certificates, and ``oadr2 fingerprint``."""

import datetime
import hashlib
import ipaddress
import json
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from oadr2.certificate import (
    der_fingerprint,
    fingerprint,
    normal_fingerprint,
    parse_certificate,
    read_certificate,
)
from oadr2.cli import main
from oadr2.errors import ConfigurationError

UTC = datetime.UTC


def certificate(names=(), dns=(), begins=None, ends=None):
    """A certificate that has signed itself, as an object of the cryptography package."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in names])
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(begins or datetime.datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(ends or datetime.datetime(2040, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(False, None), critical=True)
    )
    if dns:
        builder = builder.add_extension(x509.SubjectAlternativeName(dns), critical=False)
    return builder.sign(key, hashes.SHA256())


def der(made):
    return made.public_bytes(serialization.Encoding.DER)


def pem(made):
    return made.public_bytes(serialization.Encoding.PEM)


NAME = x509.oid.NameOID


def test_a_certificate_is_read_as_the_cryptography_package_reads_it():
    made = certificate(
        [
            (NAME.COUNTRY_NAME, "DE"),
            (NAME.ORGANIZATION_NAME, "Stadtwerke Köln"),
            (NAME.COMMON_NAME, "VTN 1"),
            (NAME.EMAIL_ADDRESS, "a@b.example"),
        ],
        [
            x509.DNSName("vtn.example"),
            x509.IPAddress(ipaddress.ip_address("::1")),
            x509.DNSName("*.vtn.example"),
        ],
        datetime.datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime.datetime(2050, 2, 3, 4, 5, 6, tzinfo=UTC),
    )
    for data in (der(made), pem(made)):
        read = parse_certificate(data)
        assert read.der == der(made)
        assert read.subject == (
            ("C", "DE"),
            ("O", "Stadtwerke Köln"),
            ("CN", "VTN 1"),
            ("1.2.840.113549.1.9.1", "a@b.example"),
        )
        assert read.dns_names == ("vtn.example", "*.vtn.example")
        assert (read.not_before, read.not_after) == (
            made.not_valid_before_utc,
            made.not_valid_after_utc,
        )


def test_names_compare_whole_and_without_case():
    read = parse_certificate(
        der(certificate([(NAME.COMMON_NAME, "VTN 1")], [x509.DNSName("*.vtn.example")]))
    )
    assert read.has_name("vtn 1")
    assert read.has_name("*.VTN.example")
    for other in ("VTN", "VTN 11", "a.vtn.example", ""):
        assert not read.has_name(other)


def test_a_certificate_without_any_name():
    read = parse_certificate(der(certificate()))
    assert (read.subject, read.subject_text, read.common_names) == ((), "", ())
    assert not read.has_name("")


def test_damaged_certificates_are_told():
    whole = der(certificate([(NAME.COMMON_NAME, "VTN 1")], [x509.DNSName("vtn.example")]))
    for cut in range(len(whole)):
        with pytest.raises(ConfigurationError):
            parse_certificate(whole[:cut])
    with pytest.raises(ConfigurationError, match="damaged"):
        parse_certificate(whole + b"\0")


# A serial number of 0 is read, with a warning.
@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_any_changed_byte_is_read_or_refused():
    whole = der(certificate([(NAME.COMMON_NAME, "VTN 1")], [x509.DNSName("vtn.example")]))
    refused = 0
    for place in range(len(whole)):
        for value in (0x00, 0x30, 0x80, 0x84, 0xFF):
            changed = whole[:place] + bytes((value,)) + whole[place + 1 :]
            try:
                assert parse_certificate(changed).der == changed
            except ConfigurationError:
                refused += 1
    assert refused


@pytest.mark.parametrize(
    "text", ["", "AA:BB", "G" * 20, "0" * 19, "0" * 21, "AA" * 10 + ":zz", "\u0660" * 20]
)
def test_what_is_no_fingerprint(text):
    with pytest.raises(ConfigurationError, match="20 hex digits"):
        normal_fingerprint(text)


def test_a_whole_digest_is_taken_by_its_end():
    data = der(certificate())
    read = parse_certificate(data)
    assert read.has_fingerprint(hashlib.sha256(data).hexdigest())
    assert read.has_fingerprint(hashlib.sha1(data).hexdigest())
    assert not read.has_fingerprint(hashlib.sha256(data + b"x").hexdigest())


@pytest.mark.parametrize("data", [b"", b"hello", b"0hello", b"-----BEGIN CERTIFICATE-----\n"])
def test_fingerprint_of_no_certificate(data):
    with pytest.raises(ConfigurationError):
        fingerprint(data, "2.0b")


def test_a_fingerprint_does_not_depend_on_what_the_certificate_says():
    data = der(certificate([(NAME.COMMON_NAME, "VTN 1")]))
    odd = data.replace(b"VTN 1", b"VTN \xff")  # no UTF-8, though OpenSSL would not mind
    with pytest.raises(ConfigurationError, match="damaged"):
        parse_certificate(odd)
    assert der_fingerprint(odd, "2.0b") == hashlib.sha256(odd).digest()[-10:].hex(":").upper()


def test_fingerprint_of_another_profile():
    with pytest.raises(ConfigurationError, match="profile"):
        fingerprint(der(certificate()), "2.1")


# -- the verb -------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vtn.pem"
    made = certificate([(NAME.COMMON_NAME, "VTN 1")], [x509.DNSName("vtn.example")])
    path.write_bytes(pem(made))
    return path


def test_the_verb_shows_both_profiles_in_both_spellings(file, capsys):
    assert main(["fingerprint", str(file)]) == 0
    output = capsys.readouterr().out
    read = read_certificate(file)
    for profile in ("2.0a", "2.0b"):
        value = read.fingerprint(profile)
        (line,) = [line for line in output.splitlines() if line.startswith(profile)]
        assert line.split() == [profile, value, value.replace(":", "").lower()]
    assert "CN=VTN 1" in output
    assert "vtn.example" in output
    assert "2020-01-01 to 2040-01-01 00:00 UTC (" in output


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [
        (2000, 2001, "it has ended"),
        (2090, 2091, "not yet"),
        (2000, 2091, "days left"),
    ],
)
def test_the_verb_says_whether_it_is_valid_now(tmp_path, capsys, begins, ends, words):
    path = tmp_path / "vtn.der"
    begins, ends = (datetime.datetime(year, 1, 1, tzinfo=UTC) for year in (begins, ends))
    path.write_bytes(der(certificate(begins=begins, ends=ends)))
    assert main(["fingerprint", str(path)]) == 0
    assert words in capsys.readouterr().out


def test_the_verb_for_programs(file, capsys):
    assert main(["fingerprint", "--json", str(file)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["fingerprint_20b"] == read_certificate(file).fingerprint("2.0b")
    assert data["subject"] == "CN=VTN 1"
    assert data["dns_names"] == ["vtn.example"]
    assert data["not_after"].startswith("2040-01-01T00:00:00")


def test_the_verb_and_a_file_that_is_none(tmp_path, capsys):
    for path, words in ((tmp_path / "absent", "No such file"), (tmp_path / "text", "neither PEM")):
        if words != "No such file":
            path.write_text("hello")
        assert main(["fingerprint", str(path)]) == 2
        assert words in capsys.readouterr().err


def test_a_certificate_of_trustme_is_that_of_openssl():
    issued = trustme.CA().issue_cert("vtn.example", common_name="VTN")
    text = issued.cert_chain_pems[0].bytes()
    assert parse_certificate(text).der == ssl.PEM_cert_to_DER_cert(text.decode())
