"""The simulated VTN signs, and takes only what is signed: a VEN's signatures can be tried against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

import oadr2
from oadr2.cli import main
from oadr2.errors import LocalProtocolError, RemoteProtocolError
from oadr2.event import EventHandler
from oadr2.services.registration import RegistrationSettings
from oadr2.sim import SimulatedVtn, VtnServices
from oadr2.sim.vtn import Exchange
from oadr2.ven_20b import Ven20b

pytest.importorskip("signxml")
from oadr2.signature import Signer, Verifier  # after the check: it needs an extra

NOW = 1_800_000_000.0


def clock() -> float:
    return NOW


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vtn.pem and ven.pem of one CA, ca.pem, and a stranger.pem."""
    made = tmp_path_factory.mktemp("signatures")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(made / "ca.pem")
    for name, issuer in (("vtn", authority), ("ven", authority), ("stranger", other)):
        leaf = issuer.issue_cert(f"{name}.example")
        leaf.private_key_and_cert_chain_pem.write_to_path(made / f"{name}.pem")
    return made


class Pair:
    """A VTN that signs and verifies, and a VEN that signs with a certificate, or does not."""

    def __init__(self, folder: Path, signs_with: str | None, *, polls: bool = True) -> None:
        self.exchanges: list[Exchange] = []
        self.vtn = SimulatedVtn(
            "vtn",
            "2.0b",
            clock=clock,
            signer=Signer(folder / "vtn.pem", clock=clock),
            verifier=Verifier(ca_certs=folder / "ca.pem", clock=clock),
        )
        self.vtn.on_message = self.exchanges.append
        self.vtn.add_event("peak", start="+1h", levels=[(3600, 1.0)])
        self.services = VtnServices(self.vtn)
        self.handler = EventHandler("house", oadr_profile_level="2.0b", clock=clock)
        address = None if polls else "http://house"
        self.ven = Ven20b(
            self.handler,
            registration=RegistrationSettings(
                ven_name="house",
                xml_signature=True,
                http_pull_model=polls,
                transport_address=address,
            ),
            signer=None if signs_with is None else Signer(folder / signs_with, clock=clock),
            verifier=Verifier(ca_certs=folder / "ca.pem", clock=clock),
        )

    def settle(self) -> None:
        while (action := self.ven.next_action(NOW)) is not None:
            reply = self.services.handle(action.service, action.data)
            self.ven.receive(action, reply, NOW)


@pytest.fixture
def pair(folder: Path) -> Iterator[Pair]:
    return Pair(folder, "ven.pem")


def test_all_of_a_conversation_is_signed_both_ways(pair: Pair) -> None:
    pair.settle()
    event = pair.handler.get_event("peak")
    assert event is not None
    pair.ven.create_opt(event, "optOut", NOW)
    pair.settle()
    (house,) = pair.services.vens.values()
    assert len(house.opts) == 1
    assert [answer.opt_type for answer in pair.vtn.answers] == ["optIn"]


@pytest.mark.parametrize("signs_with", [None, "stranger.pem"])
def test_who_does_not_sign_as_it_must_gets_nothing(folder: Path, signs_with: str | None) -> None:
    pair = Pair(folder, signs_with)
    with pytest.raises(RemoteProtocolError, match="463"):
        pair.settle()
    assert pair.services.vens == {}
    (told,) = pair.exchanges
    assert told.response_code == 463
    request = pair.handler.build_request_payload()
    signed: Any = request if signs_with is None else Signer(folder / signs_with).sign(request)
    reply = oadr2.decode(pair.services.handle("EiEvent", signed))
    assert type(reply).__name__ == "Response"
    assert pair.vtn.polls == {}


def test_a_refused_request_for_events_does_not_count_as_seen(folder: Path, pair: Pair) -> None:
    pair.settle()
    pair.vtn.add_event("second", start="+2h", levels=[(3600, 1.0)])
    (house,) = pair.services.vens.values()
    before = house.list_seen
    pair.services.handle("EiEvent", pair.handler.build_request_payload())  # not signed
    assert house.list_seen == before


def test_pushes_and_the_replies_to_them_are_signed(folder: Path) -> None:
    pair = Pair(folder, "ven.pem", polls=False)
    pair.settle()
    pair.vtn.add_event("second", start="+2h", levels=[(3600, 1.0)])
    due = pair.services.next_push("ven_1")
    assert due is not None
    reply = pair.ven.receive_push(due.data, due.service, NOW).reply
    with pytest.raises(RemoteProtocolError, match="sent before"):
        pair.ven.receive_push(
            due.data, due.service, NOW
        )  # somebody has listened, and sends it again
    pair.services.pushed(due, reply)
    assert pair.services.next_push("ven_1") is None
    pair.settle()
    assert {answer.event_id for answer in pair.vtn.answers} == {"peak", "second"}


def test_a_body_that_is_no_XML_is_an_error_of_the_transport_all_the_same(pair: Pair) -> None:
    for service in ("EiEvent", "EiOpt"):
        with pytest.raises(RemoteProtocolError):
            pair.services.handle(service, b"<a>")


def test_what_is_signed_has_to_be_wrapped(folder: Path) -> None:
    with pytest.raises(LocalProtocolError, match="wrap_20b is off"):
        SimulatedVtn("vtn", "2.0b", wrap_20b=False, signer=Signer(folder / "vtn.pem"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sign-cert", "vtn.pem", "--profile", "2.0a"), "only messages of 2.0b are signed"),
        (("--verify-ca", "ca.pem", "--xmpp"), "are for HTTP"),
        (("--sign-key", "vtn.pem"), "--sign-key is of no use without --sign-cert"),
        (("--sign-cert", "nothing.pem"), "nothing.pem"),
    ],
)
def test_options_that_do_not_go_together(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vtn", "--port", "0", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
