"""The connection itself: pings, being thrown out, and what happens without Prosody."""

import asyncio
import gc
import itertools
import os
import subprocess
import sys
import weakref
from types import SimpleNamespace

import pytest
from xmpp_probe import PASSWORD, PATIENCE, Probe

from oadr2.errors import TransportError
from oadr2.pacing import BackOff
from oadr2.xmpp import XmppClient
from oadr2.xmpp_stream import Stream

VTN = "vtn@localhost/oadr"
VEN = "ven@localhost/gateway"


def client(handler, server, **options):
    return XmppClient(
        handler,
        VEN,
        PASSWORD,
        vtn_jid=VTN,
        server="127.0.0.1",
        port=server.port,
        plaintext=True,
        **{"back_off_base": 0.05, "back_off_max": 0.2, **options},
    )


def test_X06_a_ping_without_an_answer_makes_a_new_connection(plain, handler, monkeypatch):
    ping = Stream.ping
    pings = []
    errors = []

    async def scenario():
        alive = asyncio.Event()

        async def third_is_lost(stream, timeout):
            pings.append(stream)
            if len(pings) == 3:
                raise TransportError("no answer to a ping")
            await ping(stream, timeout)
            if len(pings) > 5:
                alive.set()

        monkeypatch.setattr(Stream, "ping", third_is_lost)
        async with (
            Probe(VTN, PASSWORD, plain.port),
            client(handler, plain, ping_interval=0.01, on_error=errors.append) as ven,
            asyncio.timeout(PATIENCE),
        ):
            running = asyncio.create_task(ven.run())
            await alive.wait()
            await ven.wait_synchronised()
        await running

    asyncio.run(scenario())
    assert [str(error) for error in errors] == ["no answer to a ping"]
    assert pings[0] is pings[2]
    assert pings[3] is not pings[2]
    assert pings[3] is pings[5]


def test_the_next_connection_keeps_nothing_of_the_one_that_was_lost(plain, handler, monkeypatch):
    lost = []

    async def scenario():
        again = asyncio.Event()

        async def first_is_lost(stream, timeout):
            if not lost:
                lost.append(weakref.ref(stream))
                raise TransportError("no answer to a ping")
            again.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(Stream, "ping", first_is_lost)
        async with (
            Probe(VTN, PASSWORD, plain.port),
            client(handler, plain, ping_interval=0.01) as ven,
            asyncio.timeout(PATIENCE),
        ):
            running = asyncio.create_task(ven.run())
            await again.wait()
            gc.collect()
            assert lost[0]() is None
        await running

    asyncio.run(scenario())


@pytest.mark.parametrize("greeting", [b"", b"<stream:error", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_servers_that_are_none_leave_nothing_behind(handler, monkeypatch, greeting):
    """What is open, what runs and what is kept after thirty failures is what it was after a few."""
    streams = weakref.WeakSet()
    begin = Stream.__init__

    def noted(stream, *arguments, **options):
        streams.add(stream)
        begin(stream, *arguments, **options)

    monkeypatch.setattr(Stream, "__init__", noted)

    async def hang_up(reader, writer):
        await reader.read(1000)
        writer.write(greeting)
        writer.close()

    def left():
        gc.collect()
        return len(streams), len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))

    async def scenario():
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        (listening,) = server.sockets
        found = {}
        failures = itertools.count()

        def note(_error):
            failed = next(failures)
            if failed // 5 in (1, 5):
                found.setdefault(failed // 5, []).append(left())
            if failed == 30:
                enough.set()

        enough = asyncio.Event()
        place = SimpleNamespace(port=listening.getsockname()[1])
        async with (
            client(handler, place, on_error=note, back_off_max=0.05, random=lambda: 1.0) as ven,
            asyncio.timeout(PATIENCE),
        ):
            running = asyncio.create_task(ven.run())
            await enough.wait()
        await running
        server.close()
        await server.wait_closed()
        return found

    found = asyncio.run(scenario())

    def least(samples):  # the server may be about to be done with the last one
        return [min(numbers) for numbers in zip(*samples, strict=True)]

    assert least(found[5]) == least(found[1])


FEATURES = b"""<?xml version='1.0'?>
<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1'
  from='localhost' version='1.0'><stream:features>%s
<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1</mechanism></mechanisms>
</stream:features>"""
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
IS_IT_XMPP = "; is that an XMPP server, and its port for clients (mostly 5222)?"


@pytest.mark.parametrize("named", [True, False], ids=["server", "by the JID"])
@pytest.mark.parametrize(
    ("replies", "problem"),
    [
        pytest.param(
            [FEATURES % b""],
            "{} offers no STARTTLS: have TLS switched on there, or use plaintext, as it is on this"
            " machine",
            id="no STARTTLS",
        ),
        pytest.param(
            [FEATURES % STARTTLS, PROCEED, FEATURES % b""],
            "{} goes on in plain text where TLS should begin" + IS_IT_XMPP,
            id="plain text instead of TLS",
        ),
        pytest.param(
            [FEATURES % STARTTLS, PROCEED],
            "the connection to {} was lost",
            id="hangs up before TLS",
        ),
        pytest.param(
            [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"],
            "the connection to {} was lost" + IS_IT_XMPP,
            id="a web server",
        ),
    ],
)
def test_a_server_without_TLS_is_told_in_words(handler, monkeypatch, named, replies, problem):
    async def no_records(_stream, _domain):
        return []

    async def serve(reader, writer):
        for reply in replies:
            heard = await reader.read(4096)
            if heard[:1] == b"\x16" and reply is replies[0]:  # TLS at once, as on port 5223
                break
            writer.write(reply)
        writer.close()

    async def scenario():
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            failed = asyncio.get_running_loop().create_future()
            ven = XmppClient(
                handler,
                VEN,
                PASSWORD,
                vtn_jid=VTN,
                server="localhost" if named else None,
                port=port,
                back_off_base=60.0,
                on_error=failed.set_result,
            )
            async with ven, asyncio.timeout(PATIENCE):
                running = asyncio.create_task(ven.run())
                error = await failed
            await running
        return error, f"localhost:{port}" if named else "the server of localhost"

    monkeypatch.setattr(Stream, "get_dns_records", no_records)
    error, place = asyncio.run(scenario())
    assert type(error) is TransportError
    assert str(error) == problem.format(place)


def test_plain_text_ends_where_a_name_leads_elsewhere(plain, handler, monkeypatch):
    """The name said localhost; what was connected to is looked at before anything is sent."""
    monkeypatch.setattr("oadr2.xmpp_stream.is_loopback", lambda _: False)

    async def scenario():
        said = asyncio.get_running_loop().create_future()
        async with (
            client(handler, plain, on_error=lambda e: said.done() or said.set_result(e)) as ven,
            asyncio.timeout(PATIENCE),
        ):
            running = asyncio.create_task(ven.run())
            error = await said
        await running
        return error, ven.has_connected

    error, has_connected = asyncio.run(scenario())
    assert str(error) == f"127.0.0.1:{plain.port} is not on this machine; no plain text"
    assert not has_connected


def test_another_client_with_our_resource_is_told_by_name(plain, handler):
    """The server throws the older one out; the reason is in the line."""
    errors = []

    async def scenario():
        thrown_out = asyncio.Event()

        def note(error):
            errors.append(str(error))
            thrown_out.set()

        async with (
            Probe(VTN, PASSWORD, plain.port),
            client(handler, plain, on_error=note) as ven,
            asyncio.timeout(PATIENCE),
        ):
            running = asyncio.create_task(ven.run())
            await ven.wait_synchronised()
            async with Probe(VEN, PASSWORD, plain.port):
                await thrown_out.wait()
        await running

    asyncio.run(scenario())
    assert f"127.0.0.1:{plain.port} closed the stream (conflict" in errors[0]


def test_a_client_runs_once_at_a_time(plain, handler):
    async def scenario():
        async with client(handler, plain) as ven:
            running = asyncio.create_task(ven.run())
            await asyncio.sleep(0)
            with pytest.raises(Exception, match="runs already"):
                await ven.run()
        await running

    asyncio.run(scenario())


def test_what_is_asked_for_while_not_connected(plain, handler):
    async def scenario():
        client = XmppClient(
            handler, VEN, PASSWORD, server="127.0.0.1", port=1, plaintext=True, vtn_jid=VTN
        )
        async with client:
            with pytest.raises(TransportError, match="not connected to 127"):
                await client.request_events()

    asyncio.run(scenario())


def test_back_off_doubles_up_to_its_longest_and_begins_anew():
    back_off = BackOff(1.0, 10.0, lambda: 1.0)
    assert [back_off.failed() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    back_off.succeeded()
    assert back_off.failed() == 1
    assert BackOff(1.0, 10.0, lambda: 0.25).failed() == 0.25
    back_off.failures = 5000
    assert back_off.failed() == 10


@pytest.mark.parametrize(("required", "outcome"), [("1", "1 error"), ("", "1 skipped")])
def test_without_prosody_tests_are_skipped_or_fail(repository, tmp_path, required, outcome):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/xmpp/test_xmpp_connection.py::test_a_client_runs_once_at_a_time",
        ],
        cwd=repository,
        env=os.environ | {"PATH": str(tmp_path), "OADR2_REQUIRE_PROSODY": required},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout
    assert "apt install prosody" in done.stdout
