"""``oadr2.push.OpenADR2``: a VEN that is pushed to, on a thread of its own."""

import asyncio
import gc
import http.client
import socket
import threading
import time
import weakref

import pytest
from payloads import distribute_event, event
from pushed_ven import Certificates
from scripted_vtn import ScriptedVtn, reply

from oadr2.certificate import read_certificate
from oadr2.errors import ConfigurationError, LocalProtocolError, RemoteProtocolError, TransportError
from oadr2.push import OpenADR2
from oadr2.sim import SimulatedVtn, VtnPusher, VtnServer


@pytest.fixture
def vtn():
    return SimulatedVtn("vtn-a")


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_the_life_of_an_event(vtn, tmp_path, profile):
    changed = threading.Semaphore(0)
    vtn.add_event("before", start="+1h", levels=[(60, 1.0)])
    config = {"ven_id": "ven-1", "oadr_profile_level": profile, "db_path": tmp_path / "ven.db"}
    control = {"signal_changed_callback": lambda *_: changed.release()}
    with (
        VtnServer(vtn) as server,
        OpenADR2(config, server.url, control, plaintext=True) as ven,
        VtnPusher(vtn, ven.client.url) as pusher,
    ):
        # It asks once for what it may have missed.
        assert vtn.wait_for(lambda: vtn.last_answer("ven-1", "before"), 60)
        vtn.add_event("peak", start="-1s", levels=[(3600, 2.0)])
        assert pusher.push("ven-1", profile).response.ok
        assert changed.acquire(timeout=60)
        assert ven.event_controller.get_current_signal_level() == (2, "peak")
        assert vtn.wait_for(lambda: vtn.last_answer("ven-1", "peak"), 60)
        ven.change_opt("peak", "optOut")
        assert vtn.wait_for(lambda: vtn.last_answer("ven-1", "peak").opt_type == "optOut", 60)
        vtn.cancel_event("peak")
        assert pusher.push("ven-1", profile).response.ok
        assert ven.event_handler.get_event("peak") is None
        polls = vtn.polls["ven-1"]
        ven.query_vtn()
        assert vtn.polls["ven-1"] == polls + 1
    with pytest.raises(LocalProtocolError, match="exit"):
        ven.query_vtn()


@pytest.mark.parametrize("fault", ["the list", "the answer"])
def test_a_question_that_fails_leaves_nothing_for_the_collector(fault):
    """An error in a ring with its own frames would keep what the VTN replied."""
    events = distribute_event(event(dtstart=time.time() + 600))
    script = [reply(b"<nonsense/>")] if fault == "the list" else [reply(events), reply(b"<no/>")]
    left = []
    with (
        ScriptedVtn(*script * 2) as vtn,
        OpenADR2({"ven_id": "ven"}, vtn.url, plaintext=True, ask=False) as ven,
    ):
        gc.disable()
        try:
            for _ in range(2):
                try:
                    ven.query_vtn()
                except RemoteProtocolError as error:
                    left.append(weakref.ref(error))
            # The thread lets go of what it last did when it does something else.
            ven._call(lambda: asyncio.sleep(0))
            assert [error() for error in left] == [None, None]
        finally:
            gc.enable()


def test_with_certificates_on_both_sides(vtn, tmp_path):
    certificates = Certificates(tmp_path)
    own = certificates.issue("vtn", "127.0.0.1")
    stranger = certificates.issue("stranger", "127.0.0.1")
    tls = {"ssl_certfile": own, "ssl_ca_certs": certificates.ca_file}
    with (
        VtnServer(vtn, **tls, client_certificates="required") as server,
        OpenADR2(
            {"ven_id": "ven-1"},
            server.url,
            ven_client_cert_pem=certificates.issue("ven", "127.0.0.1"),
            vtn_ca_certs=certificates.ca_file,
            vtn_fingerprint=read_certificate(own).fingerprint("2.0a"),
            ask=False,
        ) as ven,
    ):
        assert ven.client.url.startswith("https:")
        vtn.add_event("peak", start="+1h", levels=[(60, 2.0)])
        for file, lets_in in ((stranger, False), (own, True)):
            context = certificates.vtn_client(file)
            with VtnPusher(vtn, ven.client.url, ssl_context=context) as pusher:
                if lets_in:
                    assert pusher.push("ven-1", "2.0a").response.ok
                else:
                    with pytest.raises(TransportError, match="403"):
                        pusher.push("ven-1", "2.0a")
        assert vtn.wait_for(lambda: vtn.last_answer("ven-1", "peak"), 60)
    assert vtn.polls["ven-1"] == 0


def test_a_port_that_is_taken_leaves_nothing_behind():
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TransportError, match=f"cannot listen on port {port}"):
            OpenADR2({"ven_id": "v"}, "http://127.0.0.1:9", plaintext=True, port=port)
    assert threading.active_count() == before
    gc.collect()  # a socket left open would warn, which is an error here


def test_it_listens_when_it_is_started():
    with OpenADR2(
        {"ven_id": "v"}, "http://127.0.0.1:9", start_thread=False, plaintext=True, ask=False
    ) as ven:
        assert ven.client.url.endswith(":0")
        ven.start()
        ven.start()
        port = int(ven.client.url.rpartition(":")[2])
        # To its end, so that nothing of it is left when the server stops.
        asked = http.client.HTTPConnection("127.0.0.1", port)
        asked.request("GET", "/")
        assert asked.getresponse().read() is not None
        asked.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "ven_client_cert_pem and vtn_ca_certs: needed"),
        ({"plaintext": True, "prots": 1}, "prots: unknown argument"),
        ({"plaintext": True, "handler": None}, "handler: unknown argument"),
        ({"plaintext": True, "vtn_name": "x"}, "plaintext"),
        ({"plaintext": True, "prefix": "x"}, "prefix"),
        ({"plaintext": True, "host": "0.0.0.0"}, "plain HTTP is not served to others"),
        ({"server_tls": None}, "server_tls: missing"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        OpenADR2({"ven_id": "v"}, "http://127.0.0.1:9", **arguments)
