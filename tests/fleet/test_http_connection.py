"""One connection, without a socket: bytes of answers in, what its owner is told out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from oadr2.fleet.http import CLOSED, HTTP_OTHER, TIMEOUT, Connection


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.ended = ""

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"


class Owner:
    """Notes what it is told; ``follow`` is sent when an answer comes."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.follow: list[bytes] = []
        self.asked_header = ""
        self.header = ""

    def answered(self, connection: Connection, status: int, body: bytes) -> None:
        self.told.append(("answered", status, body, connection.reusable))
        if self.asked_header:
            self.header = connection.header(self.asked_header)
        if self.follow and connection.reusable:
            connection.send(self.follow.pop())

    def failed(self, connection: Connection, error_class: str, message: str) -> None:
        assert "\n" not in message
        self.told.append(("failed", error_class))

    def closed(self, connection: Connection) -> None:
        self.told.append(("closed",))


def connected(**limits: int) -> tuple[Connection, Owner, Transport]:
    owner, transport = Owner(), Transport()
    connection = Connection(owner, row=7, **limits)
    connection.connection_made(transport)  # type: ignore[arg-type]
    connection.send(b"POST")
    return connection, owner, transport


def answer(
    body: bytes, *headers: bytes, status: bytes = b"200 OK", version: bytes = b"1.1"
) -> bytes:
    lines = [b"HTTP/" + version + b" " + status, *headers, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n\r\n<a>1</a>"

# what comes, what the owner is told
ANSWERS = {
    "content-length": (answer(b"<a/>"), ("answered", 200, b"<a/>", True)),
    "empty": (answer(b""), ("answered", 200, b"", True)),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", ("answered", 204, b"", True)),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", ("answered", 304, b"", True)),
    "chunked": (
        CHUNKED + b"3\r\n<a>\r\n1;x=y\r\n1\r\n4\r\n</a>\r\n0\r\nTrailer: 1\r\n\r\n",
        ("answered", 200, b"<a>1</a>", True),
    ),
    "close": (answer(b"<a/>", b"Connection: close"), ("answered", 200, b"<a/>", False)),
    "HTTP/1.0": (answer(b"<a/>", version=b"1.0"), ("answered", 200, b"<a/>", False)),
    "HTTP/1.0 keep-alive": (
        answer(b"<a/>", b"Connection: keep-alive", version=b"1.0"),
        ("answered", 200, b"<a/>", True),
    ),
    "continue before it": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + answer(b"<a/>"),
        ("answered", 200, b"<a/>", True),
    ),
    "server error": (
        answer(b"oops", status=b"500 Internal Server Error"),
        ("answered", 500, b"oops", True),
    ),
    "no reason phrase": (answer(b"", status=b"200 "), ("answered", 200, b"", True)),
    "garbage": (b"<html>not at all</html>\r\n\r\n", ("failed", HTTP_OTHER)),
    "bad length": (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", ("failed", HTTP_OTHER)),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ("failed", HTTP_OTHER),
    ),
    "length and chunks": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ("failed", HTTP_OTHER),
    ),
    "bad chunk": (CHUNKED + b"zz\r\n", ("failed", HTTP_OTHER)),
    "upgrade": (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        ("failed", HTTP_OTHER),
    ),
    "gzip of an error": (
        answer(b"\x1f\x8b\x08rest", status=b"503 Busy"),
        ("answered", 503, b"\x1f\x8b\x08rest", True),
    ),
    "gzip": (answer(b"\x1f\x8b\x08rest", b"Content-Encoding: gzip"), ("failed", HTTP_OTHER)),
}


@pytest.mark.parametrize("pieces", ["whole", "bytes"])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_whole_and_byte_by_byte(name: str, pieces: str) -> None:
    data, told = ANSWERS[name]
    connection, owner, transport = connected()
    for piece in [data] if pieces == "whole" else [data[i : i + 1] for i in range(len(data))]:
        if not connection.busy:
            break  # what the rest of garbage does is another test
        connection.data_received(piece)
    assert owner.told == [told]
    assert (transport.ended == "aborted") is (told[0] == "failed")
    assert not connection.busy


def test_every_cut_of_an_answer_is_a_failure() -> None:
    data = answer(b"<a/>", b"Connection: close")
    for length in range(len(data)):
        connection, owner, _ = connected()
        if length:
            connection.data_received(data[:length])
        connection.connection_lost(None)
        assert owner.told == [("failed", CLOSED), ("closed",)], length


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    connection, owner, _ = connected()
    connection.data_received(UNTIL_CLOSED[:30])
    connection.data_received(UNTIL_CLOSED[30:])
    assert owner.told == []
    connection.connection_lost(None)
    assert owner.told == [("answered", 200, b"<a>1</a>", False), ("closed",)]


def test_a_body_without_a_length_is_not_complete_after_a_reset() -> None:
    connection, owner, _ = connected()
    connection.data_received(UNTIL_CLOSED)
    connection.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
    assert owner.told == [("failed", CLOSED), ("closed",)]


def test_a_hundred_continue_alone_is_no_answer() -> None:
    connection, owner, _ = connected()
    connection.data_received(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.connection_lost(None)
    assert owner.told == [("failed", CLOSED), ("closed",)]


def test_the_next_request_goes_out_on_the_same_connection() -> None:
    connection, owner, transport = connected()
    owner.follow = [b"second"]
    connection.data_received(answer(b"one"))
    assert transport.written == [b"POST", b"second"]
    assert connection.busy
    connection.data_received(answer(b"two"))
    assert [told[2] for told in owner.told] == [b"one", b"two"]
    assert connection.answers == 2


@pytest.mark.parametrize(
    "extra",
    [answer(b"for somebody else"), b"HTTP/1.1 2", b"rubbish"],
    ids=["whole", "part", "rubbish"],
)
def test_what_follows_an_answer_is_never_taken_for_the_next(extra: bytes) -> None:
    connection, owner, transport = connected()
    owner.follow = [b"second"]
    connection.data_received(answer(b"one") + extra)
    assert owner.told == [("answered", 200, b"one", False)]
    assert transport.written == [b"POST"]


def test_data_without_a_request_ends_the_connection() -> None:
    connection, owner, transport = connected()
    connection.data_received(answer(b"one"))
    connection.data_received(answer(b"", status=b"408 Request Timeout"))
    assert transport.ended == "aborted"
    assert not connection.reusable
    connection.connection_lost(None)
    assert [told[0] for told in owner.told] == ["answered", "closed"]


@pytest.mark.parametrize(
    "data",
    [
        answer(b"x" * 101),
        CHUNKED + b"60\r\n" + b"x" * 96 + b"\r\n5\r\nxxxxx\r\n0\r\n\r\n",
        UNTIL_CLOSED + b"x" * 100,
    ],
    ids=["length", "chunks", "until closed"],
)
def test_a_body_beyond_the_limit_is_refused_as_it_comes(data: bytes) -> None:
    connection, owner, transport = connected(max_body=100)
    connection.data_received(data)
    assert owner.told == [("failed", HTTP_OTHER)]
    assert transport.ended == "aborted"


def test_a_body_of_the_limit_is_taken() -> None:
    connection, owner, _ = connected(max_body=100)
    connection.data_received(answer(b"x" * 100))
    assert owner.told == [("answered", 200, b"x" * 100, True)]


@pytest.mark.parametrize(
    "piece",
    [b"X: " + b"y" * 97 + b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
    ids=["headers", "interim answers"],
)
def test_headers_without_end_are_refused(piece: bytes) -> None:
    connection, owner, _ = connected(max_head=1000)
    connection.data_received(b"HTTP/1.1 200 OK\r\n" if piece[:1] == b"X" else piece)
    for _ in range(100):
        if owner.told:
            break
        connection.data_received(piece)
    assert owner.told == [("failed", HTTP_OTHER)]
    assert connection.received <= 1000 + len(piece)


def test_many_small_chunks_are_no_headers() -> None:
    connection, owner, _ = connected(max_head=1000)
    connection.data_received(CHUNKED)
    for _ in range(1000):
        connection.data_received(b"1\r\nx\r\n")
    connection.data_received(b"0\r\n\r\n")
    assert owner.told == [("answered", 200, b"x" * 1000, True)]


def test_headers_are_read_when_they_are_asked_for() -> None:
    connection, owner, _ = connected()
    owner.asked_header = "retry-after"
    early = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\n"
    data = early + answer(b"later", b"RETRY-AFTER:  30 ", status=b"503 Service Unavailable")
    for place in range(len(data)):
        connection.data_received(data[place : place + 1])
    assert owner.told == [("answered", 503, b"later", True)]
    assert owner.header == "30"


def test_giving_up_tells_once() -> None:
    connection, owner, transport = connected()
    connection.give_up(TIMEOUT, "no answer")
    connection.connection_lost(None)
    assert owner.told == [("failed", TIMEOUT), ("closed",)]
    assert transport.ended == "aborted"


def test_no_payload_is_kept_between_exchanges() -> None:
    connection, _, _ = connected()
    connection.request = b"request"
    connection.data_received(answer(b"x" * 5000))
    kept = [getattr(connection, name) for name in ("_head", "_body", "_pieces", "request")]
    assert kept == [b"", b"", None, b""]


def test_sending_without_a_connection_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        Connection(Owner()).send(b"POST")


def test_it_is_a_protocol_of_asyncio() -> None:
    assert isinstance(Connection(Owner()), asyncio.Protocol)
