"""Polling and answering, the loop that outlives every error, and the VEN on a thread of its own."""

import asyncio
import contextlib
import logging
import ssl
import threading

import pytest
import trustme
from scripted_vtn import (
    ANSWER,
    EI,
    LIST,
    OPT_OUT,
    REQUEST,
    Close,
    FakeHandler,
    ScriptedVtn,
    Stall,
    oadr_response,
    poll,
    reply,
)

import oadr2.background
import oadr2.http
import oadr2.poll
from oadr2.errors import (
    ConfigurationError,
    LocalProtocolError,
    RemoteProtocolError,
    StoreError,
    TransportError,
)
from oadr2.poll import OpenADR2, PollClient

# Answers


def test_E13_the_answer_is_sent_before_the_next_poll():
    handler = FakeHandler(ANSWER)
    with ScriptedVtn(reply(LIST), reply(oadr_response()), reply(LIST), reply(b"")) as vtn:
        poll(vtn, handler, times=2)
    assert [request.body for request in vtn.requests] == [REQUEST, ANSWER, REQUEST, ANSWER]
    assert vtn.requests[1].line == "POST /OpenADR2/Simple/EiEvent HTTP/1.1"
    assert vtn.requests[1].headers["content-type"] == "application/xml"


@pytest.mark.parametrize("outdated", [True, False])
def test_an_outdated_reply_is_dropped_unread(outdated):
    handler = FakeHandler()

    async def main(vtn):
        async with PollClient(handler, vtn.url) as client:
            await client.poll_once(lambda: outdated)

    with ScriptedVtn(reply(LIST)) as vtn:
        asyncio.run(main(vtn))
    assert (handler.taken == []) == outdated


def test_E13_two_polls_at_once_take_turns():
    async def main(vtn):
        async with PollClient(FakeHandler(ANSWER), vtn.url) as client:
            await asyncio.gather(client.poll_once(), client.poll_once())

    with ScriptedVtn(reply(LIST), reply(b""), reply(LIST), reply(b"")) as vtn:
        asyncio.run(main(vtn))
    assert [request.body for request in vtn.requests] == [REQUEST, ANSWER, REQUEST, ANSWER]


@pytest.mark.parametrize(
    "step", [reply(b""), reply(b"", content_type=None), b"HTTP/1.1 204 No Content\r\n\r\n"]
)
def test_L05_an_empty_reply_to_an_answer_is_fine(step, caplog):
    with ScriptedVtn(reply(LIST), step) as vtn:
        poll(vtn, FakeHandler(ANSWER))
    assert len(vtn.requests) == 2
    assert [r for r in caplog.records if r.name == "oadr2.poll"] == []


@pytest.mark.parametrize(
    ("step", "error", "words"),
    [
        (reply(oadr_response("451", "too late")), RemoteProtocolError, "451: too late"),
        (reply(b"ok"), RemoteProtocolError, None),
        (reply(b"no", "400 Bad Request"), TransportError, "HTTP 400"),
        (Close(), TransportError, "disconnected"),
    ],
)
def test_a_refused_answer_is_reported_and_the_list_stays_taken(step, error, words):
    handler = FakeHandler(ANSWER)
    with ScriptedVtn(reply(LIST), step) as vtn, pytest.raises(error, match=words):
        poll(vtn, handler)
    assert handler.taken == [LIST]


def test_a_list_of_events_in_reply_to_an_answer_is_not_taken():
    step = reply(
        b'<oadrDistributeEvent xmlns="http://openadr.org/oadr-2.0a/2012/07">'
        + f'<requestID xmlns="{EI}/payloads"/><vtnID xmlns="{EI}">v</vtnID>'.encode()
        + b"</oadrDistributeEvent>"
    )
    handler = FakeHandler(ANSWER)
    with (
        ScriptedVtn(reply(LIST), step) as vtn,
        pytest.raises(RemoteProtocolError, match="expected"),
    ):
        poll(vtn, handler)
    assert handler.taken == [LIST]


def test_change_opt_tells_the_vtn_at_once():
    handler = FakeHandler()

    async def main(vtn):
        async with PollClient(handler, vtn.url) as client:
            await client.change_opt("e1", "optOut")
            with pytest.raises(LocalProtocolError, match="e2"):
                await client.change_opt("e2", "optOut")

    with ScriptedVtn(reply(oadr_response())) as vtn:
        asyncio.run(main(vtn))
    assert [request.body for request in vtn.requests] == [OPT_OUT]
    assert handler.opts == [("e1", "optOut", None)]


# The loop


class FakeTime:
    """A clock that moves when somebody sleeps, and stops the loop after so many sleeps."""

    def __init__(self, sleeps):
        self.now = 1000.0
        self.slept = []
        self.left = sleeps
        self.over = asyncio.Event()

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)
        if len(self.slept) >= self.left:
            self.over.set()
            await asyncio.Event().wait()
        self.now += seconds


def run_loop(vtn, handler, sleeps, **options):
    """Run the loop until it has slept so often; return the sleeps, in seconds."""

    async def main():
        time = FakeTime(sleeps)
        settings = {"poll_interval": 60.0, "random": lambda: 0.5, "jitter": 0.0} | options
        client = PollClient(handler, vtn.url, clock=time.clock, sleep=time.sleep, **settings)
        running = asyncio.create_task(client.run())
        await time.over.wait()
        await client.aclose()
        await running
        return time.slept

    return asyncio.run(main())


def test_L01_L02_the_first_poll_comes_at_once_and_the_others_at_the_rate():
    handler = FakeHandler()
    with ScriptedVtn(reply(LIST)) as vtn:
        assert run_loop(vtn, handler, 4) == [60.0] * 4
    assert len(handler.taken) == 4


def test_L08_every_kind_of_failure_costs_one_line_and_a_later_try(caplog):
    seen = []
    script = [
        reply(LIST, "500 No"),
        Close(),
        reply(b"<html/>"),
        reply(b""),
        reply(LIST),
    ]
    handler = FakeHandler()
    with ScriptedVtn(*script) as vtn, caplog.at_level(logging.INFO, "oadr2.poll"):
        slept = run_loop(vtn, handler, 6, on_error=seen.append)
    # three quick retries within 5, 10 and 20 s, then the grid of 60 s again
    assert slept == [2.5, 5.0, 10.0, 42.5, 60.0, 60.0]
    assert handler.taken == [LIST, LIST]
    lines = [r.getMessage() for r in caplog.records if r.name == "oadr2.poll"]
    assert len(lines) == 5
    assert all("\n" not in line for line in lines)
    assert lines[4] == "polling works again"
    assert [type(error) for error in seen] == [TransportError] * 2 + [RemoteProtocolError] * 2


def test_E54_an_error_code_in_reply_to_a_poll_backs_off():
    with ScriptedVtn(reply(oadr_response("463", "not registered")), reply(LIST)) as vtn:
        assert run_loop(vtn, FakeHandler(), 2) == [2.5, 57.5]


def test_L08_retry_after_holds_the_next_poll_back():
    with ScriptedVtn(reply(b"", "503 Busy", headers=["Retry-After: 400"]), reply(LIST)) as vtn:
        assert run_loop(vtn, FakeHandler(), 1) == [400.0]
    with ScriptedVtn(reply(b"", "503 Busy", headers=["Retry-After: 99999"])) as vtn:
        assert run_loop(vtn, FakeHandler(), 1, retry_after_max=500) == [500.0]


def test_E13_an_answer_that_cannot_be_sent_is_repeated_by_an_early_poll():
    handler = FakeHandler(ANSWER)
    script = [reply(LIST), Close(), reply(LIST), reply(oadr_response())]
    with ScriptedVtn(*script) as vtn:
        assert run_loop(vtn, handler, 2) == [2.5, 57.5]
    assert [request.body for request in vtn.requests] == [REQUEST, ANSWER, REQUEST, ANSWER]


def test_L08_an_answer_the_vtn_refuses_does_not_slow_the_polling(caplog):
    script = [reply(LIST), reply(oadr_response("451", "no")), reply(LIST), reply(b"")]
    with ScriptedVtn(*script) as vtn:
        assert run_loop(vtn, FakeHandler(ANSWER), 2) == [60.0, 60.0]
    assert [r.name for r in caplog.records].count("oadr2.poll") == 1


def test_L08_a_fault_in_the_handler_or_in_on_error_does_not_end_the_loop(caplog):
    handler = FakeHandler()
    faults = [ZeroDivisionError("fault"), StoreError("disk full")]
    take = handler.handle_payload

    def handle_payload(payload):
        if faults:
            raise faults.pop(0)
        return take(payload)

    def on_error(error):
        raise KeyError("on_error too")

    handler.handle_payload = handle_payload
    with ScriptedVtn(reply(LIST)) as vtn:
        run_loop(vtn, handler, 3, on_error=on_error)
    assert handler.taken == [LIST]
    assert "ZeroDivisionError: fault" in caplog.text
    assert "disk full" in caplog.text


def test_aclose_ends_run_in_the_middle_of_a_request():
    async def main(vtn):
        client = PollClient(FakeHandler(), vtn.url)
        running = asyncio.create_task(client.run())
        await asyncio.to_thread(vtn.wait_for, 1)
        await client.aclose()
        await running
        with pytest.raises(LocalProtocolError, match="closed"):
            await client.poll_once()
        with pytest.raises(LocalProtocolError, match="closed"):
            await client.run()

    with ScriptedVtn(Stall()) as vtn:
        asyncio.run(main(vtn))


def test_cancelling_run_stops_the_polling_and_leaves_the_client_usable():
    async def main(vtn):
        handler = FakeHandler()
        async with PollClient(handler, vtn.url) as client:
            running = asyncio.create_task(client.run())
            await asyncio.to_thread(vtn.wait_for, 1)
            with pytest.raises(LocalProtocolError, match="already"):
                await client.run()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await client.poll_once()
            assert handler.taken == [LIST]

    with ScriptedVtn(Stall(), reply(LIST)) as vtn:
        asyncio.run(main(vtn))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"poll_interval": "often"}, "poll_interval"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": float("nan")}, "poll_interval"),
        ({"poll_interval": True}, "poll_interval"),
        ({"poll_interval": None}, "poll_interval"),
        ({"poll_interval": 5, "min_poll_interval": 10}, "poll_interval"),
        ({"jitter": 0.6}, "jitter"),
        ({"connect_timeout": -1}, "connect_timeout"),
        ({"read_timeout": "x"}, "read_timeout"),
        ({"back_off_base": 0}, "back_off_base"),
        ({"back_off_max": float("inf")}, "back_off_max"),
        ({"max_response_size": 0}, "max_response_size"),
        ({"max_response_size": 1.5}, "max_response_size"),
        ({"password": "secret"}, "username"),
        ({"proxy": "gopher://u:secret@x"}, "proxy"),
    ],
)
def test_a_wrong_argument_is_named(options, name):
    with pytest.raises(ConfigurationError, match=f"^{name}: ") as caught:
        PollClient(FakeHandler(), "http://vtn", **options)
    assert "secret" not in str(caught.value)


def test_an_unknown_profile_is_named():
    with pytest.raises(ConfigurationError, match="oadr_profile_level"):
        PollClient(FakeHandler(profile="3.0"), "http://vtn")


# On a thread


class FakeController:
    def __init__(self, event_handler, signal_changed_callback=None):
        self.event_handler = event_handler
        self.signal_changed_callback = signal_changed_callback
        self.exited = False

    def exit(self):
        self.exited = True


class FakeEventHandler(FakeHandler):
    def __init__(self, ven_id, oadr_profile_level="2.0a", answer=None, on_list=None):
        super().__init__(answer, oadr_profile_level)
        self.ven_id = ven_id
        self.on_list = on_list

    def handle_payload(self, payload):
        reply_bytes = super().handle_payload(payload)
        if self.on_list is not None:
            self.on_list()
        return reply_bytes


@pytest.fixture
def fakes(monkeypatch):
    monkeypatch.setattr(oadr2.background, "EventHandler", FakeEventHandler)
    monkeypatch.setattr(oadr2.background, "EventController", FakeController)


@pytest.mark.usefixtures("fakes")
class TestOpenADR2:
    def test_it_polls_at_once_and_at_the_interval(self):
        config = {"ven_id": "ven", "answer": ANSWER}
        with ScriptedVtn(reply(LIST), reply(b""), reply(LIST), reply(b"")) as vtn:
            ven = OpenADR2(
                config, vtn.url, {"signal_changed_callback": print}, vtn_poll_interval=0.05
            )
            vtn.wait_for(4)
            ven.exit()
            ven.exit()
        assert [request.body for request in vtn.requests[:4]] == [REQUEST, ANSWER] * 2
        assert ven.event_handler.ven_id == "ven"
        assert ven.event_controller.event_handler is ven.event_handler
        assert ven.event_controller.signal_changed_callback is print
        assert ven.event_controller.exited
        assert ven.event_handler.closed
        assert not ven._thread.is_alive()

    def test_enernocs_order_of_arguments(self):
        with ScriptedVtn(reply(LIST)) as vtn:
            ven = OpenADR2(
                {"ven_id": "ven"}, vtn.url, {}, "me", "pass", None, None, None, "300", False
            )
            with ven:
                ven.query_vtn()
        assert vtn.requests[0].headers["authorization"].startswith("Basic ")

    def test_without_start_thread_only_query_vtn_polls(self):
        with ScriptedVtn(reply(LIST)) as vtn:
            with OpenADR2({"ven_id": "ven"}, vtn.url, start_thread=False) as ven:
                assert threading.current_thread() is not ven._thread
                ven.query_vtn()
                assert ven.event_handler.taken == [LIST]
                ven.query_vtn()
            assert len(vtn.requests) == 2

    def test_query_vtn_raises_and_the_background_goes_on(self):
        with (
            ScriptedVtn(reply(b"", "500 No"), reply(LIST)) as vtn,
            OpenADR2({"ven_id": "ven"}, vtn.url, start_thread=False) as ven,
        ):
            with pytest.raises(TransportError, match="HTTP 500"):
                ven.query_vtn()
            ven.start()
            vtn.wait_for(2)
            ven.query_vtn()
            assert len(ven.event_handler.taken) >= 1

    def test_change_opt(self):
        with (
            ScriptedVtn(reply(b"")) as vtn,
            OpenADR2({"ven_id": "ven"}, vtn.url, start_thread=False) as ven,
        ):
            ven.change_opt("e1", "optOut", "v")
            assert ven.event_handler.opts == [("e1", "optOut", "v")]
        assert [request.body for request in vtn.requests] == [OPT_OUT]

    def test_exit_in_the_middle_of_a_request_ends_a_waiting_query_vtn(self):
        raised = []
        with ScriptedVtn(Stall()) as vtn:
            ven = OpenADR2({"ven_id": "ven"}, vtn.url, start_thread=False, read_timeout=3600)

            def query():
                try:
                    ven.query_vtn()
                except TransportError as error:
                    raised.append(error)

            waiting = threading.Thread(target=query)
            waiting.start()
            vtn.wait_for(1)
            ven.exit()
            waiting.join()
        assert "exit" in str(raised[0])
        with pytest.raises(LocalProtocolError, match="exit"):
            ven.query_vtn()
        with pytest.raises(LocalProtocolError, match="exit"):
            ven.start()

    def test_from_a_callback_exit_returns_and_query_vtn_says_why_not(self):
        raised = []
        called = threading.Event()

        def on_list():
            try:
                ven.query_vtn()
            except LocalProtocolError as error:
                raised.append(error)
            ven.exit()
            called.set()

        with ScriptedVtn(reply(LIST)) as vtn:
            ven = OpenADR2({"ven_id": "ven", "on_list": on_list}, vtn.url, start_thread=False)
            ven.start()
            called.wait()
            ven._thread.join()
        assert "poll thread" in str(raised[0])
        assert ven.event_handler.closed
        assert ven.event_controller.exited

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ({"vtn_poll_interval": "often"}, "vtn_poll_interval"),
            ({"vtn_base_uri": "vtn.example"}, "vtn_base_uri"),
            ({"event_config": {"ven_id": "v", "vtnids": "x"}}, "event_config.*vtnids"),
            ({"event_config": {}}, "event_config.*ven_id"),
            ({"event_config": "ven"}, "event_config"),
            ({"control_opts": {"loop": 1}}, "control_opts.*loop"),
            ({"poll_intervall": 1}, "poll_intervall"),
            ({"poll_interval": 1}, "poll_interval"),
            ({"vtn_base_uri": "https://vtn", "vtn_ca_certs": "/no/such.pem"}, "ca_certs"),
        ],
    )
    def test_a_wrong_argument_is_named_and_nothing_is_left_running(
        self, arguments, name, monkeypatch
    ):
        made = []

        class Watched(FakeEventHandler):
            def __init__(self, ven_id):
                super().__init__(ven_id)
                made.append(self)

        monkeypatch.setattr(oadr2.background, "EventHandler", Watched)
        before = threading.active_count()
        good = {"event_config": {"ven_id": "ven"}, "vtn_base_uri": "http://127.0.0.1:9"}
        with pytest.raises(ConfigurationError, match=name):
            OpenADR2(**(good | arguments))
        assert all(handler.closed for handler in made)
        assert threading.active_count() == before


def test_polls_over_tls_with_the_files_named_as_enernoc_did(tmp_path, fakes):
    ca = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    ca.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    ven_cert = ca.issue_cert("ven")
    ven_cert.private_key_pem.write_to_path(tmp_path / "key.pem")
    ven_cert.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    with ScriptedVtn(reply(LIST), tls=tls) as vtn, contextlib.ExitStack() as stack:
        ven = OpenADR2(
            {"ven_id": "ven"},
            vtn.url,
            ven_client_cert_key=tmp_path / "key.pem",
            ven_client_cert_pem=tmp_path / "cert.pem",
            vtn_ca_certs=tmp_path / "ca.pem",
            start_thread=False,
        )
        stack.enter_context(ven)
        ven.query_vtn()
        assert ven.event_handler.taken == [LIST]
