"""Statements about push (facts.md 4.3, 6.9): a VEN under uvicorn that a VTN posts to."""

from __future__ import annotations

import hashlib
import ssl

import httpx
import pytest
import trustme
from payloads import distribute_event, event, response
from pushed_ven import SERVICE, XML, Certificates, PushedVen, no_certificate
from scripted_vtn import ScriptedVtn, reply
from vens import BEFORE, Answer, Sent

from oadr2.certificate import fingerprint, parse_certificate
from oadr2.errors import TransportError
from oadr2.sim import SimulatedVtn, VtnPusher

GOOD = Answer("e1", 0, 200, "optIn")


@pytest.fixture
def vtn(profile):
    """What takes the VEN's answers."""
    with ScriptedVtn(reply(response(profile=profile))) as vtn:
        yield vtn


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path)


def pushed(ven, profile, *events, **of_list):
    """Push a list; the reply and the VEN's answer are told apart by the connection they take."""
    data = distribute_event(*events, profile=profile, **of_list)
    return httpx.post(ven.url + SERVICE[profile], content=data, headers=XML, trust_env=False)


# -- replies and answers --------------------------------------------------------------------------


def test_E55_H13_a_push_is_acknowledged_where_it_came_and_answered_on_its_own(
    handler, profile, vtn
):
    with PushedVen(handler, vtn.url) as ven:
        got = pushed(ven, profile, event(), request_id="r9")
        acknowledged = Sent(got.content)
        assert got.headers["content-type"] == "application/xml"
        assert (acknowledged.kind, acknowledged.profile) == ("oadrResponse", profile)
        assert acknowledged.response == (200, "r9")
        vtn.wait_for(1)
        ven.wait_idle()
    answered = Sent(vtn.requests[0].body)
    assert answered.kind == "oadrCreatedEvent"
    assert answered.answers == [GOOD._replace(request_id="r9")]
    assert f"POST {SERVICE[profile]} " in vtn.requests[0].line
    assert len(vtn.requests) == 1


def test_E55_nothing_is_sent_when_no_event_asks_for_an_answer(handler, profile, vtn):
    with PushedVen(handler, vtn.url) as ven:
        got = pushed(ven, profile, event(required="never"))
        assert Sent(got.content).response[0] == 200
        ven.wait_idle()
    assert handler.get_event("e1") is not None
    assert vtn.requests == []


def test_E55_an_answer_that_the_VTN_cannot_take_now_is_sent_later(handler, profile, vtn):
    vtn.script[:] = [reply(b"", "503 Busy"), reply(response(profile=profile))]
    with PushedVen(handler, vtn.url, back_off_base=0.01) as ven:
        assert Sent(pushed(ven, profile, event()).content).response[0] == 200
        vtn.wait_for(2)
        ven.wait_idle()
    assert vtn.requests[0].body == vtn.requests[1].body
    assert Sent(vtn.requests[1].body).answers == [GOOD]


def test_L07_where_the_VTN_pushes_it_is_asked_once_at_the_start_at_most(handler, profile, vtn):
    vtn.script[:] = [reply(distribute_event(profile=profile)), reply(response(profile=profile))]
    with PushedVen(handler, vtn.url, ask=True) as ven:
        ven.wait_idle()
        for number in range(3):
            pushed(ven, profile, event(number=number))
        ven.wait_idle()
    kinds = [Sent(request.body).kind for request in vtn.requests]
    assert kinds[0] == "oadrRequestEvent"
    assert set(kinds[1:]) == {"oadrCreatedEvent"}


# -- what is checked ------------------------------------------------------------------------------


@pytest.mark.parametrize("key_type", [trustme.KeyType.RSA, trustme.KeyType.ECDSA])
def test_H12_a_VTN_with_the_certificate_asked_for_is_let_in(
    handler, profile, vtn, certificates, key_type
):
    own = certificates.issue("vtn", common_name="VTN 1", key_type=key_type)
    tls = certificates.ven_server(key_type=key_type)
    simulated = SimulatedVtn("vtn", profile, clock=lambda: BEFORE)
    simulated.add_event("e1", duration="PT1H")
    context = certificates.vtn_client(own)
    with (
        PushedVen(handler, vtn.url, tls=tls, name="vtn 1") as ven,
        VtnPusher(simulated, ven.url, ssl_context=context) as pusher,
    ):
        assert pusher.push("ven", profile).response.response_code == 200
        ven.wait_idle()
    assert handler.get_event("e1") is not None
    assert len(vtn.requests) == 1


@pytest.mark.parametrize("who", ["another name", "another fingerprint"])
def test_H12_another_VTN_of_the_same_CA_is_not(handler, profile, vtn, certificates, who):
    own = certificates.issue("vtn", "vtn.example", common_name="VTN 1")
    other = certificates.issue("other", "vtn.example.org", common_name="VTN 11")
    pinned = (
        {"name": "VTN 1"}
        if who == "another name"
        else {"fingerprint": fingerprint(own.read_bytes(), profile)}
    )
    payload = distribute_event(event(), profile=profile)
    with PushedVen(handler, vtn.url, tls=certificates.ven_server(), **pinned) as ven:
        context = certificates.vtn_client(other)
        with VtnPusher(SimulatedVtn("vtn", profile), ven.url, ssl_context=context) as pusher:
            with pytest.raises(TransportError) as caught:
                pusher.post(payload, profile)
            assert caught.value.status == 403
        context = certificates.vtn_client(own)
        assert handler.get_active_events() == []
        with VtnPusher(SimulatedVtn("vtn", profile), ven.url, ssl_context=context) as pusher:
            assert pusher.post(payload, profile).response.ok
            ven.wait_idle()
    assert handler.get_event("e1") is not None


@pytest.mark.parametrize("shown", ["none", "of another CA"])
def test_H12_who_shows_no_certificate_of_the_CA_gets_no_connection(
    handler, profile, vtn, certificates, shown
):
    context = no_certificate()
    if shown == "of another CA":
        stranger = certificates.issue("stranger", common_name="VTN 1", ca=trustme.CA())
        context.load_cert_chain(stranger)
    with (
        PushedVen(handler, vtn.url, tls=certificates.ven_server()) as ven,
        VtnPusher(SimulatedVtn("vtn", profile), ven.url, ssl_context=context) as pusher,
    ):
        with pytest.raises(TransportError) as caught:
            pusher.post(distribute_event(event(), profile=profile), profile)
        assert caught.value.status is None
    assert handler.get_active_events() == []


BAD_REQUESTS = {
    "another path": ({"path": "/OpenADR2/Simple/EiReport"}, 404),
    "another case of the path": ({"path": "/openadr2/simple/eievent"}, 404),
    "GET": ({"method": "GET"}, 405),
    "PUT": ({"method": "PUT"}, 405),
    "another type": ({"headers": {"Content-Type": "text/xml"}}, 415),
    "no type": ({"headers": {}}, 415),
    "compressed": ({"headers": {**XML, "Content-Encoding": "gzip"}}, 415),
    "of unknown length": ({"chunked": True}, 411),
    "too long": ({"body": b"<a>" + b"x" * 5000 + b"</a>"}, 413),
    "no XML": ({"body": b"events, please"}, 400),
    "cut short": ({"body": distribute_event(event())[:-20]}, 400),
    "empty": ({"body": b""}, 400),
    "a document type": ({"body": b"<!DOCTYPE a><a/>"}, 400),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_H12_path_method_type_and_size_are_checked(handler, profile, vtn, case):
    change, status = BAD_REQUESTS[case]
    body = change.get("body", distribute_event(event(), profile=profile))
    options = {"max_size": 4096}
    with PushedVen(handler, vtn.url, app_options=options) as ven:
        got = httpx.request(
            change.get("method", "POST"),
            ven.url + change.get("path", SERVICE[profile]),
            content=iter([body]) if change.get("chunked") else body,
            headers=change.get("headers", XML),
            trust_env=False,
        )
        assert got.status_code == status
        if status == 405:
            assert got.headers["allow"] == "POST"
        assert "\n" not in got.text
        assert handler.get_active_events() == []
        # and the next one is welcome
        assert Sent(pushed(ven, profile, event()).content).response[0] == 200
        ven.wait_idle()
    assert handler.get_event("e1") is not None


# -- fingerprints ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("of_profile", "digest"), [("2.0a", "sha1"), ("2.0b", "sha256")])
def test_H09_the_last_twenty_hex_digits_of_the_digest(of_profile, digest):
    pem = trustme.CA().issue_cert("vtn.example").cert_chain_pems[0].bytes()
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    expected = hashlib.new(digest, der).hexdigest()[-20:].upper()
    for data in (pem, der, b"text before\n" + pem + b"text after"):
        assert fingerprint(data, of_profile).replace(":", "") == expected
    assert len(fingerprint(der, of_profile).split(":")) == 10


@pytest.mark.parametrize("of_profile", ["2.0a", "2.0b"])
@pytest.mark.parametrize(
    "spell",
    [
        str,
        str.lower,
        lambda text: text.replace(":", ""),
        lambda text: text.replace(":", " ").lower(),
        lambda text: text.replace(":", "-"),
    ],
    ids=["colons", "lower", "bare", "blanks", "dashes"],
)
def test_H09_any_spelling_is_the_same(of_profile, spell):
    ca = trustme.CA()
    one, other = (
        parse_certificate(ca.issue_cert("vtn.example").cert_chain_pems[0].bytes()) for _ in range(2)
    )
    pinned = spell(one.fingerprint(of_profile))
    assert one.has_fingerprint(pinned)
    assert not other.has_fingerprint(pinned)


@pytest.mark.parametrize("of_profile", ["2.0a", "2.0b"])
def test_H09_a_pinned_fingerprint_lets_its_VTN_in(handler, profile, vtn, certificates, of_profile):
    own = certificates.issue("vtn", common_name="anything")
    pinned = fingerprint(own.read_bytes(), of_profile).lower().replace(":", "")
    context = certificates.vtn_client(own)
    with (
        PushedVen(handler, vtn.url, tls=certificates.ven_server(), fingerprint=pinned) as ven,
        VtnPusher(SimulatedVtn("vtn", profile), ven.url, ssl_context=context) as pusher,
    ):
        assert pusher.push("ven", profile).response.ok
