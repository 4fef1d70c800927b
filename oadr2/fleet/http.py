"""One HTTP/1.1 connection to a VTN: bytes of a request out, status and body of its answer in.

An asyncio.Protocol over httptools. One request at a time; the next may follow on the same connection
when the answer has ended and the VTN keeps it open. There is no timer here: whoever owns the
connection watches ``deadline`` (:mod:`oadr2.fleet.deadlines`).
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

from oadr2.errors import ConfigurationError

try:
    import httptools
except ModuleNotFoundError as missing:
    raise ConfigurationError(
        f"a fleet needs {missing.name}, which is not installed: pip install 'oadr2[fleet]'"
    ) from None

CLOSED: Final = "closed"
HTTP_OTHER: Final = "http_other"
TIMEOUT: Final = "timeout"

MAX_HEAD: Final = 64 * 1024
MAX_BODY: Final = 4 * 1024 * 1024
_GZIP = b"\x1f\x8b"


class Owner(Protocol):
    """Who a :class:`Connection` tells what became of its request: one call for each ``send``."""

    def answered(self, connection: Connection, status: int, body: bytes) -> None:
        """The answer is complete; ``connection.reusable`` says whether another request can follow."""

    def failed(self, connection: Connection, error_class: str, message: str) -> None:
        """There will be no answer; the connection is closed."""

    def closed(self, connection: Connection) -> None:
        """A connection that was made is gone, by either side; called once, and last."""


class _TooLargeError(Exception):
    """Raised through httptools to stop it in the middle of a body."""


class Connection(asyncio.Protocol):
    """A connection and the exchange on it.

    Args:
        max_head: bytes of status line and headers (and of chunk sizes) that an answer may have.
        max_body: bytes of its body.

    Attributes:
        row: the VEN whose exchange this is; the owner's.
        request: what was sent last, body only; the owner's.
        expired: its deadline has passed.
        deadline: when the exchange is given up, in the owner's time; the owner's.
        slot: where in :class:`oadr2.fleet.deadlines.Deadlines` it stands.
        busy: a request is under way.
        reusable: after an answer: another request can be sent.
        answers: how many were received on this connection.
        received: bytes of the present answer.
    """

    __slots__ = (
        "_body",
        "_complete",
        "_extra",
        "_feed",
        "_head",
        "_max_body",
        "_max_head",
        "_owner",
        "_parser",
        "_pieces",
        "_size",
        "_status",
        "answers",
        "busy",
        "deadline",
        "expired",
        "received",
        "request",
        "reusable",
        "row",
        "slot",
        "transport",
    )

    def __init__(
        self, owner: Owner, row: int = -1, *, max_head: int = MAX_HEAD, max_body: int = MAX_BODY
    ) -> None:
        self._owner = owner
        self._max_head = max_head
        self._max_body = max_body
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data
        self._body = b""
        self._pieces: list[bytes] | None = None
        self._size = 0
        self._head = b""
        self._status = 0
        self._complete = False
        self._extra = False
        self.row = row
        self.request = b""
        self.deadline = 0.0
        self.slot = -1
        self.expired = False
        self.busy = False
        self.reusable = False
        self.answers = 0
        self.received = 0
        self.transport: asyncio.Transport | None = None

    def send(self, data: bytes) -> None:
        """Send a whole request, head and body; the owner is called when its fate is known."""
        if self.transport is None:
            raise RuntimeError("the connection is not open")
        self._status = self._size = self.received = 0
        self._complete = self.reusable = False
        self.busy = True
        self.transport.write(data)

    def header(self, name: str) -> str:
        """A header of the present answer, or "". Only while the owner is told of it.

        The headers are read again for this: hardly any answer is asked, and a call for each header of
        each answer costs more than the rest.
        """
        return _Head(self._head).headers.get(name, "")

    def close(self) -> None:
        """Close in order, after an answer."""
        self.reusable = False
        if self.transport is not None:
            self.transport.close()

    def give_up(self, error_class: str, message: str) -> None:
        """End the exchange under way and the connection with it; the owner is told."""
        self.busy = self.reusable = False
        if self.transport is not None:
            self.transport.abort()
        self._owner.failed(self, error_class, message)
        self._forget()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self.busy = False
        self.reusable = True

    def data_received(self, data: bytes) -> None:
        if not self.busy:
            self._unasked()
            return
        if not self.received:
            self._head = data
        elif not self._size and len(self._head) <= self._max_head:
            self._head += data
        self.received += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade:
            self.give_up(HTTP_OTHER, "the VTN wants to change to another protocol")
            return
        except httptools.HttpParserError as error:
            self._refuse(error)
            return
        if self._complete:
            self._finish()
        # A chunk's size line takes up to a dozen bytes of the allowance a short chunk brings.
        elif self.received > self._max_head + 16 * self._size:
            self.give_up(HTTP_OTHER, f"the answer's headers are larger than {self._max_head} bytes")

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        self.transport = None
        if self.busy:
            self._end_early(error)
        self._owner.closed(self)

    # httptools

    def on_message_begin(self) -> None:
        """A message begins; more than one answer is one too many."""
        if self._complete:
            self._extra = True

    def on_body(self, piece: bytes) -> None:
        """A piece of the body, its chunks taken apart."""
        if self._complete:
            return
        size = self._size + len(piece)
        if size > self._max_body:
            raise _TooLargeError
        if not self._size:
            self._body = piece
        elif self._pieces is None:
            self._pieces = [self._body, piece]
        else:
            self._pieces.append(piece)
        self._size = size

    def on_message_complete(self) -> None:
        """The answer has ended, or one that only says that another will come (1xx)."""
        status = self._parser.get_status_code()
        if status >= 200 and not self._complete:
            self._status = status
            self._complete = True
            # Later the parser has forgotten it.
            self.reusable = self._parser.should_keep_alive()

    # the end of an exchange

    def _finish(self) -> None:
        self.busy = False
        if self._extra or self.transport is None:
            self.reusable = False
        body = self._body if self._size else b""
        if self._pieces is not None:
            body = b"".join(self._pieces)
            self._pieces = None
        if self._status < 300 and body.startswith(_GZIP):  # what comes with an error is not read
            self.give_up(HTTP_OTHER, "the answer is compressed, which was not asked for")
            return
        self.answers += 1
        self._owner.answered(self, self._status, body)
        if not self.busy:
            self._forget()

    def _refuse(self, error: httptools.HttpParserError) -> None:
        if isinstance(error.__context__, _TooLargeError):
            self.give_up(HTTP_OTHER, f"the answer is larger than {self._max_body} bytes")
        elif isinstance(error, httptools.HttpParserCallbackError):
            raise error  # a fault of this module
        elif self._complete:  # a whole answer, and rubbish behind it
            self._extra = True
            self._finish()
        else:
            self.give_up(HTTP_OTHER, f"the answer is not HTTP/1.1: {error}")

    def _end_early(self, error: Exception | None) -> None:
        if error is None and self.received and _Head(self._head).ends_with_connection:
            self._status = self._parser.get_status_code()
            self._finish()
        elif self.received:
            self.give_up(CLOSED, f"the VTN hung up after {self.received} bytes of its answer")
        else:
            reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
            self.give_up(CLOSED, f"the VTN hung up before it answered{reason}")

    def _unasked(self) -> None:
        """Data without a request: a 408 before hanging up, or something that would pass for an answer."""
        self.reusable = False
        if self.transport is not None:
            self.transport.abort()

    def _forget(self) -> None:
        """Keep no payload: thousands of connections wait at a time."""
        self._head = self._body = self.request = b""
        self._pieces = None
        self._size = 0


class _Head:
    """The headers of the last answer that begins in ``data``, names in lower case."""

    def __init__(self, data: bytes) -> None:
        self.headers: dict[str, str] = {}
        self._complete = False
        self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Its beginning was read before; what follows the headers has no meaning here.
            return

    @property
    def ends_with_connection(self) -> bool:
        """The body has no length of its own: it is complete when the connection is closed."""
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        return self._complete and not framed and self._parser.get_status_code() >= 200

    def on_message_begin(self) -> None:
        self.headers.clear()
        self._complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        self._complete = True
