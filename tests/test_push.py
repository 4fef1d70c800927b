"""The push application under any ASGI server, and its own server under uvicorn."""

import asyncio
import contextlib
import os
import socket

import httpx
import pytest
from payloads import distribute_event, document, event, response
from pushed_ven import SERVICE, XML, Certificates, PushedVen
from scripted_vtn import ScriptedVtn, reply

from oadr2 import decode, push_server
from oadr2.certificate import parse_certificate, read_certificate
from oadr2.errors import ConfigurationError, StoreError, TransportError
from oadr2.event import EventHandler
from oadr2.model import RequestEvent, Response
from oadr2.policy import Limits, VtnPolicy
from oadr2.poll import PollClient
from oadr2.push import PushApp, PushClient, PushingVtn
from oadr2.push_server import PushServer
from oadr2.sim import SimulatedVtn, VtnPusher, VtnServer

PATH = SERVICE["2.0a"]
NOW = 1_700_000_000.0


class OneLoop:
    """The loop that all requests of a test to one application share."""

    runner: asyncio.Runner


@pytest.fixture(autouse=True)
def one_loop():
    with asyncio.Runner() as OneLoop.runner:
        yield


class NoVtn:
    """Takes every answer."""

    def __init__(self):
        self.sent = []

    async def send(self, action):
        self.sent.append(decode(action.data))

    async def poll_once(self, outdated=None):
        raise AssertionError("nobody asked for events")


def new_handler(**options):
    return EventHandler("ven", clock=lambda: NOW, seed=1, **options)


def ask(app, body=b"", *, path=PATH, method="POST", headers=(), messages=None, **scope):
    """One request as an ASGI server makes it; the status and the body, or None without reply."""
    headers = dict(headers) or {
        b"content-type": b"application/xml",
        b"content-length": b"%d" % len(body),
    }
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": list(headers.items()),
        "client": ("127.0.0.1", 1),
        **scope,
    }
    incoming = list(messages or [{"type": "http.request", "body": body}])
    outgoing = []

    async def receive():
        if not incoming:
            await asyncio.Event().wait()
        return incoming.pop(0)

    async def send(message):
        outgoing.append(message)

    async def main():
        await app(scope, receive, send)
        for vtn in app.vtns:
            await vtn.answers.wait_idle()

    OneLoop.runner.run(main())
    if not outgoing:
        return None
    return outgoing[0]["status"], b"".join(m.get("body", b"") for m in outgoing[1:])


def new_app(handler=None, sender=None, *, plaintext=True, options=None, **of_vtn):
    vtn = PushingVtn(handler or new_handler(), sender or NoVtn(), plaintext=plaintext, **of_vtn)
    return PushApp(vtn, **(options or {}))


def outcome(body):
    message = decode(body)
    assert isinstance(message, Response)
    return message.response


# -- the application ------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_a_list_is_taken_acknowledged_and_answered(profile):
    handler, sender = new_handler(oadr_profile_level=profile), NoVtn()
    app = new_app(handler, sender)
    data = distribute_event(event(dtstart=NOW), profile=profile, request_id="r1")
    status, body = ask(app, data, path=SERVICE[profile])
    assert status == 200
    assert (outcome(body).response_code, outcome(body).request_id) == (200, "r1")
    assert [a.event_id for a in sender.sent[0].event_responses] == ["e1"]
    assert handler.get_event("e1") is not None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (document("oadrRequestEvent", ""), 400),
        (document("oadrX", "<a/>"), 453),
        (response(200), 453),
        (b"<page>hello</page>", 400),
    ],
    ids=["an empty request", "unknown", "a response", "no OpenADR"],
)
def test_what_is_xml_and_no_list_is_refused_by_an_oadrResponse(body, code):
    handler = new_handler()
    status, reply_body = ask(new_app(handler), body)
    assert status == 200
    refused = outcome(reply_body)
    assert 400 <= refused.response_code <= 499
    assert refused.response_description
    if code != 400:
        assert refused.response_code == code
    assert handler.get_active_events() == []


def test_a_list_of_an_unknown_VTN_is_refused_by_the_answer():
    handler, sender = new_handler(vtn_ids="vtn"), NoVtn()
    assert ask(new_app(handler, sender), distribute_event(event(), vtn_id="x"))[0] == 200
    assert sender.sent[0].response.response_code == 452
    assert handler.get_active_events() == []


def test_a_list_that_reports_an_error_changes_nothing():
    handler = new_handler()
    app = new_app(handler)
    ask(app, distribute_event(event(dtstart=NOW)))
    _, body = ask(app, distribute_event(response_code=500, response_description="ill"))
    assert (outcome(body).response_code, outcome(body).ok) == (454, False)
    assert "ill" in outcome(body).response_description
    assert len(handler.get_active_events()) == 1


@pytest.mark.parametrize("implied_cancel", [True, False])
def test_single_events_cancel_the_others_or_not_as_the_policy_says(implied_cancel):
    handler = new_handler(policy=VtnPolicy(implied_cancel=implied_cancel))
    app = new_app(handler)
    for name in ("a", "b", "c"):
        assert ask(app, distribute_event(event(name, dtstart=NOW + 3600)))[0] == 200
    held = [held.event_id for held in handler.get_active_events()]
    assert held == (["c"] if implied_cancel else ["a", "b", "c"])


def test_what_on_heard_raises_keeps_no_answer_from_the_VTN():
    def broken():
        raise ZeroDivisionError

    sender = NoVtn()
    app = new_app(sender=sender, on_heard=broken)
    status, body = ask(app, distribute_event(event(dtstart=NOW + 60)), headers=())
    assert (status, outcome(body).response_code) == (200, 200)
    OneLoop.runner.run(app.vtns[0].answers.wait_idle())
    assert len(sender.sent) == 1


def test_what_cannot_be_stored_is_to_be_pushed_again(caplog):
    handler = new_handler()

    def fail(_data):
        raise StoreError("ven.db: disk full")

    handler.handle_payload = fail
    sender = NoVtn()
    status, body = ask(new_app(handler, sender), distribute_event(event()))
    assert status == 503
    assert b"disk" not in body
    assert "disk full" in caplog.text
    assert sender.sent == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({b"content-type": b"application/xml"}, 411),
        ({b"content-type": b"application/xml", b"content-length": b"x"}, 400),
        ({b"content-type": b"application/xml", b"content-length": b"9" * 30}, 413),
        ({b"content-type": b"application/xmlx", b"content-length": b"1"}, 415),
    ],
)
def test_headers(headers, status):
    assert ask(new_app(), b"x", headers=headers)[0] == status


def test_charset_and_case_of_the_type_do_not_matter():
    data = distribute_event(event(dtstart=NOW))
    headers = {
        b"content-type": b"Application/XML; charset=UTF-8",
        b"content-length": b"%d" % len(data),
    }
    assert ask(new_app(), data, headers=headers)[0] == 200


def test_a_server_that_lets_more_in_than_announced_is_not_believed():
    parts = [{"type": "http.request", "body": b"x" * 60, "more_body": True}] * 2
    app = new_app(options={"max_size": 100})
    headers = {b"content-type": b"application/xml", b"content-length": b"100"}
    assert ask(app, headers=headers, messages=parts)[0] == 413


def test_the_limit_is_that_of_the_policy():
    app = new_app(new_handler(policy=VtnPolicy(limits=Limits(size=500))))
    assert ask(app, b"<a>" + b" " * 494 + b"</a>")[0] == 413
    assert ask(app, b"<a>" + b" " * 493 + b"</a>")[0] == 200


def test_a_body_in_pieces_is_put_together():
    data = distribute_event(event(dtstart=NOW))
    parts = [{"type": "http.request", "body": bytes((b,)), "more_body": True} for b in data]
    handler = new_handler()
    headers = {b"content-type": b"application/xml", b"content-length": b"%d" % len(data)}
    assert ask(new_app(handler), headers=headers, messages=[*parts, {"type": "http.request"}])
    assert handler.get_event("e1") is not None


def test_a_body_that_stops_is_given_up():
    headers = {b"content-type": b"application/xml", b"content-length": b"9"}
    parts = [{"type": "http.request", "body": b"<a>", "more_body": True}]
    app = new_app(options={"read_timeout": 0.01})
    assert ask(app, headers=headers, messages=parts)[0] == 408


def test_a_client_that_goes_away_changes_nothing():
    data = distribute_event(event(dtstart=NOW))
    handler = new_handler()
    parts = [
        {"type": "http.request", "body": data, "more_body": True},
        {"type": "http.disconnect"},
    ]
    headers = {b"content-type": b"application/xml", b"content-length": b"99999"}
    assert ask(new_app(handler), headers=headers, messages=parts) is None
    assert handler.get_active_events() == []


def test_each_path_has_one_handler_and_a_prefix_moves_it():
    app = new_app(new_handler(oadr_profile_level="2.0b"), options={"prefix": "/site/"})
    data = distribute_event(event(dtstart=NOW), profile="2.0b")
    assert ask(app, data, path="/site" + SERVICE["2.0b"])[0] == 200
    assert ask(app, data, path=SERVICE["2.0b"])[0] == 404
    assert ask(app, data, path="/site" + SERVICE["2.0a"])[0] == 404


def test_mounted_below_a_path_it_looks_at_the_rest():
    data = distribute_event(event(dtstart=NOW))
    assert ask(new_app(), data, path="/ven" + PATH, root_path="/ven")[0] == 200


def test_lifespan_and_other_protocols():
    app = new_app()
    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return incoming.pop(0)

    async def send(message):
        sent.append(message["type"])

    async def main():
        await app({"type": "lifespan"}, receive, send)
        with pytest.raises(RuntimeError, match="websocket"):
            await app({"type": "websocket"}, receive, send)

    asyncio.run(main())
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


# -- who pushes -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("push"))


def shown(file):
    pem = file.read_text()
    start = pem.index("-----BEGIN CERTIFICATE")
    return {"extensions": {"tls": {"client_cert_chain": [pem[start:]]}}}


def test_each_VTN_has_its_own_events_and_policy(certificates):
    one, two = new_handler(), new_handler(policy=VtnPolicy(implied_cancel=False))
    app = PushApp(
        [
            PushingVtn(one, NoVtn(), name="one"),
            PushingVtn(two, NoVtn(), name="two.example"),
        ]
    )
    first = shown(certificates.issue("one", common_name="One"))
    second = shown(certificates.issue("two", "TWO.example"))
    third = shown(certificates.issue("three", "three.example", common_name="one.two"))
    for name in ("a", "b"):
        data = distribute_event(event(name, dtstart=NOW + 3600))
        assert ask(app, data, **first)[0] == 200
        assert ask(app, data, **second)[0] == 200
        assert ask(app, data, **third)[0] == 403
    assert [held.event_id for held in one.get_active_events()] == ["b"]
    assert [held.event_id for held in two.get_active_events()] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "pinned", "status"),
    [
        ("both", "both", 200),
        ("both", "other", 403),
        ("other", "both", 403),
    ],
)
def test_name_and_fingerprint_are_both_asked_for(certificates, name, pinned, status):
    files = {who: certificates.issue(who, common_name=who) for who in ("both", "other")}
    fingerprint = read_certificate(files[pinned]).fingerprint("2.0b")
    app = new_app(plaintext=False, name=name, fingerprint=fingerprint)
    data = distribute_event(event(dtstart=NOW))
    assert ask(app, data, **shown(files["both"]))[0] == status


def test_without_certificate_nobody_is_known_unless_on_this_machine():
    data = distribute_event(event(dtstart=NOW))
    assert ask(new_app(plaintext=False), data)[0] == 403
    for client in (("192.0.2.1", 1), ("localhost", 1), None):
        assert ask(new_app(), data, client=client)[0] == 403
    assert ask(new_app(), data, client=("::1", 1))[0] == 200


def test_a_function_of_ones_own_says_who_it_is(certificates):
    pem = certificates.issue("proxied", common_name="VTN").read_bytes()

    def identify(scope):
        named = dict(scope["headers"]).get(b"x-client")
        return parse_certificate(pem) if named == b"vtn" else None

    app = new_app(plaintext=False, name="vtn", options={"identify": identify})
    data = distribute_event(event(dtstart=NOW))
    headers = {b"content-type": b"application/xml", b"content-length": b"%d" % len(data)}
    assert ask(app, data, headers=headers)[0] == 403
    assert ask(app, data, headers={**headers, b"x-client": b"vtn"})[0] == 200


def test_a_certificate_that_cannot_be_read_is_nobodys():
    damaged = {"extensions": {"tls": {"client_cert_chain": ["-----BEGIN"]}}}
    assert ask(new_app(plaintext=False), b"<a/>", **damaged)[0] == 403


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"fingerprint": "AA:BB"}, "fingerprint"),
        ({"plaintext": True, "name": "vtn"}, "plaintext"),
    ],
)
def test_wrong_arguments_of_a_vtn(arguments, words):
    with pytest.raises(ConfigurationError, match=words):
        PushingVtn(new_handler(), NoVtn(), **arguments)


@pytest.mark.parametrize(
    ("options", "words"), [({"prefix": "ven"}, "prefix"), ({"max_size": 0}, "max_size")]
)
def test_wrong_arguments_of_the_application(options, words):
    with pytest.raises(ConfigurationError, match=words):
        new_app(options=options)
    with pytest.raises(ConfigurationError, match="vtns"):
        PushApp([])


# -- under uvicorn --------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["2.0a", "2.0b"])
def test_the_simulated_vtn_pushes_modifies_and_cancels_over_mutual_tls(certificates, profile):
    vtn_file = certificates.issue("vtn", "127.0.0.1", common_name="vtn")
    vtn = SimulatedVtn("vtn", profile)
    handler = EventHandler("ven", oadr_profile_level=profile)
    vtn.add_event("e1", duration="PT1H", response_required="always")
    with (
        VtnServer(vtn) as server,
        PushedVen(handler, server.url, tls=certificates.ven_server(), name="vtn") as ven,
        VtnPusher(vtn, ven.url, ssl_context=certificates.vtn_client(vtn_file)) as pusher,
    ):
        assert pusher.push("ven", profile).response.ok
        assert vtn.wait_for(lambda: vtn.last_answer("ven", "e1"), 60)
        vtn.modify_event("e1", duration="PT2H")
        assert pusher.push("ven", profile).response.ok
        assert vtn.wait_for(lambda: len(vtn.answers) == 2, 60)
        vtn.cancel_event("e1")
        assert pusher.push("ven", profile).response.ok
        assert vtn.wait_for(lambda: len(vtn.answers) == 3, 60)
        ven.wait_idle()
    assert [a.modification_number for a in vtn.answers] == [0, 1, 2]
    assert handler.get_active_events() == []


def test_a_change_of_mind_is_told():
    handler = new_handler()
    with ScriptedVtn(reply(response())) as vtn, PushedVen(handler, vtn.url) as ven:
        data = distribute_event(event(dtstart=NOW + 60))
        assert httpx.post(ven.url + PATH, content=data, headers=XML, trust_env=False).is_success
        vtn.wait_for(1)

        async def change():
            ven.vtn.change_opt("e1", "optOut")

        ven.run(change())
        vtn.wait_for(2)
    opts = [decode(request.body).event_responses[0].opt_type for request in vtn.requests]
    assert opts == ["optIn", "optOut"]


def test_one_connection_takes_many_pushes():
    handler = new_handler()
    with (
        ScriptedVtn(reply(response())) as vtn,
        PushedVen(handler, vtn.url) as ven,
        httpx.Client(trust_env=False) as client,
    ):
        for number in range(20):
            data = distribute_event(event(number=number, dtstart=NOW + 60))
            got = client.post(ven.url + PATH, content=data, headers=XML)
            assert outcome(got.content).response_code == 200
        ven.wait_idle()
    last = decode(vtn.requests[-1].body).event_responses[0]
    assert last.modification_number == 19  # older ones may have been overtaken, never the last


def test_a_list_older_than_one_pushed_meanwhile_is_not_taken_by_a_question_of_ones_own():
    """Taken last it would cancel what only the newer one lists."""
    newer = distribute_event(event("old", dtstart=NOW + 60), event("new", dtstart=NOW + 60))
    older = distribute_event(event("old", dtstart=NOW + 60))
    handler = new_handler()

    async def main():
        async with PushClient(handler, "http://127.0.0.1:9", plaintext=True, ask=False) as client:
            asked = []

            async def post(action):
                message = decode(action.data)
                if not isinstance(message, RequestEvent):
                    return response()
                asked.append(message)
                if len(asked) > 1:
                    return newer
                client.app.vtns[0].take(newer)
                return older

            client._sender._post = post
            await client.request_events()
            assert len(asked) == 2

    asyncio.run(main())
    assert {event.event_id for event in handler.get_active_events()} == {"old", "new"}


def test_a_client_runs_again_after_its_run_was_cancelled():
    async def main():
        async with PushClient(
            new_handler(), "http://127.0.0.1:9", plaintext=True, ask=False
        ) as ven:
            for _ in range(3):
                running = asyncio.create_task(ven.run())
                async with httpx.AsyncClient(trust_env=False) as vtn:
                    got = await vtn.post(ven.url + PATH, content=response(), headers=XML)
                assert outcome(got.content).response_code == 453
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_pushes_of_all_kinds_leave_nothing_open():
    data = distribute_event(event(dtstart=NOW + 60))
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/xml\r\n"
    whole = f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
    answered = [whole, b"\x16\x03\x01\r\n\r\n", whole.replace(b"xml\r", b"json\r"), whole * 3]
    broken_off = [b"", whole[:20], whole[:-20], whole]

    def left():
        return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))

    async def main(port):
        before = left()
        for _ in range(30):
            for sent in answered + broken_off:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                if sent in answered:
                    assert (await reader.read(10)).startswith(b"HTTP/1.1 ")
                    writer.close()
                else:
                    await writer.drain()
                    writer.transport.abort()
        async with asyncio.timeout(60):
            while any(now > then for now, then in zip(left(), before, strict=True)):
                await asyncio.sleep(0.01)

    async def serve():
        async with PushClient(
            new_handler(), "http://127.0.0.1:9", plaintext=True, ask=False
        ) as ven:
            running = asyncio.create_task(ven.run())
            async with httpx.AsyncClient(trust_env=False) as vtn:
                await vtn.post(ven.url + PATH, content=data, headers=XML)
            await main(int(ven.url.rpartition(":")[2]))
        await running

    asyncio.run(serve())


def test_closing_twice_at_once_is_closing():
    async def main():
        client = PushClient(new_handler(), "http://127.0.0.1:9", plaintext=True, ask=False)
        async with client:
            running = asyncio.create_task(client.run())
            async with httpx.AsyncClient(trust_env=False) as vtn:
                await vtn.get(client.url)
            await asyncio.gather(client.aclose(), client.aclose())
            await running

    asyncio.run(main())


def test_bytes_that_are_no_http_are_refused():
    with PushedVen(new_handler(), "http://127.0.0.1:9") as ven:
        with socket.create_connection(("127.0.0.1", ven.port)) as raw:
            raw.sendall(b"\x16\x03\x01 hello\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 400")
        with socket.create_connection(("127.0.0.1", ven.port)) as raw:
            raw.sendall(b"POST / HTTP/1.1\r\nX: " + b"x" * 40000)
            assert raw.recv(100).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("begun", [b"", b"POST /", b"POST / HTTP/1.1\r\nHost: x\r\n"])
def test_a_connection_without_a_whole_head_is_closed(monkeypatch, begun):
    """A hundred of those would keep everybody else out until the next start."""
    monkeypatch.setattr(push_server, "_HEAD_PATIENCE", 0.05)
    with PushedVen(new_handler(), "http://127.0.0.1:9") as ven:
        with socket.create_connection(("127.0.0.1", ven.port), 60) as raw:
            raw.sendall(begun)
            assert raw.recv(100) == b""
        with socket.create_connection(("127.0.0.1", ven.port), 60) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 404")  # others are served


def test_a_head_that_drips_is_given_up_and_a_body_is_not(monkeypatch):
    monkeypatch.setattr(push_server, "_HEAD_PATIENCE", 0.05)
    data = distribute_event(event(dtstart=NOW + 60))
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(data)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with (
        ScriptedVtn(reply(response())) as vtn,
        PushedVen(new_handler(), vtn.url) as ven,
        socket.create_connection(("127.0.0.1", ven.port), 60) as raw,
        socket.create_connection(("127.0.0.1", ven.port), 0.005) as dripping,
    ):
        raw.sendall(head.encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 100")
        with pytest.raises(ConnectionError):  # noqa: PT012 - whichever of the two notices
            for _ in range(2000):
                dripping.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    if dripping.recv(1) == b"":
                        raise ConnectionResetError
        raw.sendall(data)  # and its time is up too
        assert raw.recv(100).startswith(b"HTTP/1.1 200")
        ven.wait_idle()


def test_a_server_ends_while_an_idle_connection_of_tls_says_good_bye(certificates, monkeypatch):
    """Most VTNs keep their connection: its traceback was the last thing Ctrl-C showed."""
    monkeypatch.setattr(push_server, "_GOOD_BYE", 0.5)
    vtn_file = certificates.issue("vtn", "127.0.0.1", common_name="vtn")
    context = certificates.vtn_client(vtn_file)

    def connect(port):
        raw = socket.create_connection(("127.0.0.1", port), 60)
        connection = context.wrap_socket(raw, server_hostname="127.0.0.1")
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 403")
        return connection  # and reads no more, so that TLS does not end by itself

    async def main():
        server = PushServer(new_app(), ssl_context=certificates.ven_server())
        server._config.timeout_keep_alive = 0
        await server.start()
        serving = server._serving
        connection = await asyncio.to_thread(connect, server.port)
        [protocol] = server._server.server_state.connections
        while not protocol.transport.is_closing():
            await asyncio.sleep(0)
        await server.aclose()
        assert serving.exception() is None
        connection.close()

    asyncio.run(main())


def test_plain_http_is_for_this_machine_only():
    with pytest.raises(ConfigurationError, match="plain HTTP"):
        PushServer(new_app(), "0.0.0.0").bind()
    with pytest.raises(ConfigurationError, match="65535"):
        PushServer(new_app(), port=70000)


def test_a_port_in_use_is_said():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TransportError, match=f"port {port}"):
            PushServer(new_app(), port=port).bind()


def test_the_answers_of_one_handler_go_to_its_own_path():
    async def main():
        handler = new_handler(oadr_profile_level="2.0b")
        async with PollClient(handler, vtn.url) as client:
            app = PushApp(PushingVtn(handler, client, plaintext=True))
            async with PushServer(app) as server, httpx.AsyncClient(trust_env=False) as http:
                data = distribute_event(event(dtstart=NOW + 60), profile="2.0b")
                await http.post(server.url + SERVICE["2.0b"], content=data, headers=XML)
                await app.vtns[0].answers.wait_idle()
            await app.aclose()

    with ScriptedVtn(reply(response(profile="2.0b"))) as vtn:
        asyncio.run(main())
    assert vtn.requests[0].line.startswith(f"POST {SERVICE['2.0b']} ")
