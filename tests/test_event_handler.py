"""What goes into an EventHandler: kinds of payloads, settings, threads."""

from __future__ import annotations

import threading

import pytest
from clocked_handler import Ven
from payloads import distribute_event, event

from oadr2._core.objects import decode
from oadr2.errors import ConfigurationError
from oadr2.event import EventHandler
from oadr2.policy import VtnPolicy


@pytest.fixture
def ven() -> Ven:
    return Ven()


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_E53_the_request(profile):
    ven = Ven("v<1>", oadr_profile_level=profile, policy=VtnPolicy(reply_limit=99))
    message = decode(ven.build_request_payload())
    assert (message.ven_id, message.reply_limit, message.profile) == ("v<1>", 99, profile)


def test_lxml_elements_in_and_out(ven):
    etree = pytest.importorskip("lxml.etree")
    reply = ven.handle_payload(etree.fromstring(distribute_event(event())))
    assert etree.QName(reply).localname == "oadrCreatedEvent"
    assert ven.handle_payload(etree.fromstring(distribute_event())) is None
    assert etree.QName(ven.build_request_payload(as_element=True)).localname == "oadrRequestEvent"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_like_payloads(ven, kind):
    assert ven.handle_payload(kind(distribute_event(event()))) is not None


def test_other_encodings(ven):
    data = distribute_event(event("caf\u00e9")).decode().replace("UTF-8", "ISO-8859-1")
    assert ven.handle_payload(data.encode("latin-1")) is not None
    assert ven.get_event("caf\u00e9") is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"oadr_profile_level": "2.0c"},
        {"default_opt": "perhaps"},
        {"vtn_ids": [1]},
        {"group_id": [b"g"]},
    ],
)
def test_wrong_settings_are_named(settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        EventHandler("ven", **settings)


@pytest.mark.parametrize("ven_id", ["", None, "a\x00b"])
def test_a_ven_id_that_cannot_be(ven_id):
    with pytest.raises(ConfigurationError, match="ven_id"):
        EventHandler(ven_id)


def test_many_threads_one_handler(ven):
    lists = [distribute_event(*[event(f"e{k}", i) for k in range(5)]) for i in range(20)]
    errors = []

    def work():
        try:
            for data in lists:
                ven.handle_payload(data)
                ven.get_states()
                ven.current_level()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert {number for number, _, _ in ven.held().values()} == {19}
