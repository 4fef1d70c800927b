"""A VTN that plays a script, every byte of it chosen by the test, and a handler that takes it."""

import asyncio
import dataclasses
import threading

import pytest

from oadr2.errors import LocalProtocolError, RemoteProtocolError, TransportError
from oadr2.policy import VtnPolicy
from oadr2.poll import PollClient

EI = "http://docs.oasis-open.org/ns/energyinterop/201110"
LIST = b"<oadrDistributeEvent>a list</oadrDistributeEvent>"
REQUEST = b"<oadrRequestEvent>what is there?</oadrRequestEvent>"
ANSWER = b"<oadrCreatedEvent>optIn</oadrCreatedEvent>"
OPT_OUT = b"<oadrCreatedEvent>optOut e1</oadrCreatedEvent>"


def oadr_response(code="200", description="OK"):
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<oadrResponse xmlns="http://openadr.org/oadr-2.0a/2012/07">'
        f'<ei:eiResponse xmlns:ei="{EI}"><ei:responseCode>{code}</ei:responseCode>'
        f"<ei:responseDescription>{description}</ei:responseDescription>"
        f'<requestID xmlns="{EI}/payloads"/></ei:eiResponse></oadrResponse>'
    ).encode()


class FakeHandler:
    """Takes LIST and nothing else; keeps what it was given."""

    def __init__(self, answer=None, profile="2.0a"):
        self.oadr_profile_level = profile
        self.policy = VtnPolicy()
        self.answer = answer
        self.taken = []
        self.opts = []
        self.closed = False

    def build_request_payload(self):
        return REQUEST

    def handle_payload(self, payload):
        if payload == oadr_response("463", "not registered"):
            raise RemoteProtocolError("not registered", response_code=463)
        if payload != LIST:
            raise RemoteProtocolError("not a list of events")
        self.taken.append(payload)
        return self.answer

    def set_opt(self, event_id, opt_type, vtn_id=None):
        if event_id != "e1":
            raise LocalProtocolError(f"no event {event_id!r} is held")
        self.opts.append((event_id, opt_type, vtn_id))
        return OPT_OUT

    def close(self):
        self.closed = True


@dataclasses.dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes
    head: bytes


def reply(body=b"", status="200 OK", content_type="application/xml", headers=(), length=None):
    lines = [f"HTTP/1.1 {status}", *headers]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Close:
    """Send these bytes and close the connection."""

    def __init__(self, data=b""):
        self.data = data


class Stall:
    """Send these bytes and then nothing, with the connection open."""

    def __init__(self, data=b""):
        self.data = data


class Drip:
    """Send these bytes one by one, for ever."""

    def __init__(self, head):
        self.head = head


class Reset:
    """Break the connection in the middle of things."""


class ScriptedVtn:
    """Plays one step of the script per request, the last one again and again."""

    def __init__(self, *script, tls=None):
        self.script = list(script)
        self.requests = []
        self.connections = 0
        self.got = threading.Condition()
        self._tls = tls
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def url(self):
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def wait_for(self, count):
        with self.got:
            assert self.got.wait_for(lambda: len(self.requests) >= count, timeout=60)

    async def _main(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._play(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _play(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        line, *rest = head.decode("latin-1").strip().split("\r\n")
        headers = {k.lower(): v for k, v in (item.split(": ", 1) for item in rest)}
        body = await reader.readexactly(int(headers["content-length"]))
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        with self.got:
            self.requests.append(Request(line, headers, body, head))
            self.got.notify_all()
        if isinstance(step, Drip):
            writer.write(step.head)
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.01)
        if not isinstance(step, Reset):
            writer.write(step if isinstance(step, bytes) else step.data)
            await writer.drain()
        if isinstance(step, Stall):
            await self._stop.wait()
        if isinstance(step, Close):
            writer.close()
            await writer.wait_closed()
        return isinstance(step, bytes)


def poll(vtn, handler=None, times=1, **options):
    """Poll once (or more often) and return the handler."""
    handler = handler or FakeHandler()

    async def main():
        async with PollClient(handler, options.pop("base", vtn.url), **options) as client:
            for _ in range(times):
                await client.poll_once()

    asyncio.run(main())
    return handler


def failure(script, handler=None, error=TransportError, **options):
    """The error of one poll; the handler must have taken nothing."""
    handler = handler or FakeHandler()
    with ScriptedVtn(script) as vtn, pytest.raises(error) as caught:
        poll(vtn, handler, **options)
    assert handler.taken == []
    assert "\n" not in str(caught.value)
    return caught.value
