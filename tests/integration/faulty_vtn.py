"""A VTN on a bare socket that goes wrong on demand, in ways no web server would."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

from oadr2.model import Profile
from oadr2.sim import SimulatedVtn

# Takes the connection, the good reply, and an event that is set when the test is over. False when
# the connection is of no more use.
Spoiler: TypeAlias = Callable[[socket.socket, bytes, threading.Event], bool]


def http(
    body: bytes, status: str = "200 OK", content_type: str = "application/xml", length: int = -1
) -> bytes:
    """A reply as bytes."""
    size = len(body) if length < 0 else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + body


def replying(reply: bytes) -> Spoiler:
    """Reply with these bytes, whatever was asked."""

    def spoil(connection: socket.socket, _good: bytes, _over: threading.Event) -> bool:
        connection.sendall(reply)
        return True

    return spoil


def stalling(connection: socket.socket, good: bytes, over: threading.Event) -> bool:
    """Send the head and half a body, then nothing, and keep the line open."""
    connection.sendall(http(good)[: -len(good) // 2])
    over.wait()
    return False


def silent(_connection: socket.socket, _good: bytes, over: threading.Event) -> bool:
    """Not a byte, and the line stays open."""
    over.wait()
    return False


def truncating(connection: socket.socket, good: bytes, _over: threading.Event) -> bool:
    """Half of the body, and goodbye."""
    connection.sendall(http(good)[: -len(good) // 2])
    return False


def resetting(connection: socket.socket, _good: bytes, _over: threading.Event) -> bool:
    """Break the connection instead of closing it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def flooding(size: int, *, announced: bool) -> Spoiler:
    """Send so many bytes of XML that never ends, with its length announced or in chunks."""

    def spoil(connection: socket.socket, _good: bytes, _over: threading.Event) -> bool:
        piece = b"<a>" + b"x" * 65533
        kind = f"Content-Length: {size}" if announced else "Transfer-Encoding: chunked"
        connection.sendall(
            f"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n{kind}\r\n\r\n".encode()
        )
        for _ in range(size // len(piece)):
            if announced:
                connection.sendall(piece)
            else:
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        return False

    return spoil


class FaultyVtn:
    """Serves a :class:`SimulatedVtn`; ``spoil`` decides what goes wrong with a poll.

    ``spoil(n)`` is asked with the number of the poll (from 0) and gives a spoiler or None. Only
    polls are spoiled, never the reply to an answer.
    """

    def __init__(self, vtn: SimulatedVtn) -> None:
        self.vtn = vtn
        self.spoil: Callable[[int], Spoiler | None] = lambda _poll: None
        self.polls = 0
        self.spoiled = 0
        self._over = threading.Event()
        self._changed = threading.Condition()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    while outer._serve(self.connection, self.rfile.readline, self.rfile.read):
                        pass
                except OSError:
                    pass  # the VEN went away: its right, and often the point of the test

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def wait_for(self, condition: Callable[[], object], timeout: float) -> bool:
        """Wait until ``condition()`` is true; it is asked after each request."""
        with self._changed:
            return bool(self._changed.wait_for(condition, timeout))

    def _serve(
        self,
        connection: socket.socket,
        readline: Callable[[], bytes],
        read: Callable[[int], bytes],
    ) -> bool:
        request = readline()
        if not request:
            return False
        length = 0
        while (line := readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = read(length)
        profile: Profile = "2.0b" if b"/2.0b/" in request else "2.0a"
        good = self.vtn.handle(body, profile)
        spoiler = None
        with self._changed:
            if b"oadrRequestEvent" in body:
                spoiler = self.spoil(self.polls)
                self.polls += 1
                self.spoiled += spoiler is not None
            self._changed.notify_all()
        if spoiler is not None:
            return spoiler(connection, good, self._over)
        connection.sendall(http(good))
        return True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
