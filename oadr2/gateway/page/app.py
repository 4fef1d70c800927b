"""The status page as an ASGI application: :class:`PageApp`.

Everybody who reaches the port may look; the port is on loopback. Whoever changes something shows a
token, in a header that no other site can have a browser send. ``Host`` is held against the names
the page goes by, so that no foreign name can be pointed at it.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from oadr2.errors import LocalProtocolError, OadrError, one_line
from oadr2.exposition import CONTENT_TYPE as METRICS_TYPE
from oadr2.gateway.gateway import Gateway
from oadr2.gateway.page.data import PageData
from oadr2.gateway.page.health import metrics_text, stuck_reasons, unready_reasons
from oadr2.gateway.tables import read_seconds
from oadr2.points.rules import RELEASED, Setting
from oadr2.push_app import Receive, Scope, Send

_LARGEST_BODY: Final = 4096
_LONGEST_NAME: Final = 60
_MOST_LINES: Final = 200
_SMALL: Final = 1400  # bytes that fit a packet anyway
_LARGE: Final = 65536  # bytes whose packing would hold up the loop
_OWN_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SCRIPTS: Final = ("page", "words", "timeline", "table", "dialog")
_FILES: Final = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript; charset=utf-8") for name in _SCRIPTS},
}
_GUARDS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        b"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)

Headers = dict[str, str]


class _RefusedError(Exception):
    """An answer that is no."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _Answer:
    """A body and what it is."""

    def __init__(
        self, body: bytes, kind: str = "application/json", status: int = 200, etag: str = ""
    ) -> None:
        self.body = body
        self.kind = kind
        self.status = status
        self.etag = etag


class PageApp:
    """Serves the page, its data, ``/metrics``, ``/healthz`` and ``/readyz``.

    Args:
        gateway: what is shown; on the same event loop.
        token: what must be shown to change something; None: nothing can be changed.
        hosts: names the page goes by, beside those of loopback.
        monotonic: the steady clock of the gateway.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        token: str | None = None,
        hosts: Collection[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._token = None if token is None else token.encode()
        self._hosts = _OWN_HOSTS.union(host.casefold() for host in hosts)
        self._monotonic = monotonic
        self._data = PageData(gateway, token is not None)
        folder = files(__package__)
        self._files: dict[str, _Answer] = {}
        for path, (name, kind) in _FILES.items():
            body = folder.joinpath(name).read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            self._files[path] = _Answer(body, kind, etag=tag)
        self._gets: dict[str, Callable[[dict[str, list[str]]], Awaitable[_Answer]]] = {
            "/api/state": self._state,
            "/api/audit": self._audit,
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        try:
            answer = await self._answer(scope, headers, receive)
        except _RefusedError as refused:
            answer = _problem(refused.status, refused.reason)
        except LocalProtocolError as error:
            answer = _problem(HTTPStatus.UNPROCESSABLE_ENTITY, one_line(str(error)))
        except OadrError as error:
            answer = _problem(HTTPStatus.SERVICE_UNAVAILABLE, one_line(str(error)))
        await _send(answer, scope["method"], headers, send)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive) -> _Answer:
        self._check_host(headers)
        path, method = scope["path"], scope["method"]
        if path in ("/api/override", "/api/override/end"):
            if method != "POST":
                raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "this is for POST only")
            self._check_writer(headers)
            return self._override(path, await _json_body(headers, receive))
        file, get = self._files.get(path), self._gets.get(path)
        if file is None and get is None:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")
        if method not in ("GET", "HEAD"):
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "this is for GET only")
        if file is not None:
            return file
        assert get is not None  # noqa: S101 - for the type checker
        return await get(parse_qs(scope["query_string"].decode("latin-1")))

    # -- who may ----------------------------------------------------------------------------------

    def _check_host(self, headers: Headers) -> None:
        """Refuse a name that is not ours: a site could have its own name lead here (DNS rebinding)."""
        try:
            host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
        except ValueError:
            host = ""
        if host.casefold() not in self._hosts:
            raise _RefusedError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this page does not go by that name: page_hosts in the gateway's file lists more",
            )

    def _check_writer(self, headers: Headers) -> None:
        if self._token is None:
            raise _RefusedError(
                HTTPStatus.FORBIDDEN,
                "overrides are not set from here: page_token_file in the gateway's file allows it",
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "this came from another site")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "this came from another site")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        shown = token.strip().encode("latin-1") if scheme.casefold() == "bearer" else b""
        if not hmac.compare_digest(shown, self._token):
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "the token is not the right one")

    # -- what is asked ----------------------------------------------------------------------------

    async def _state(self, query: dict[str, list[str]]) -> _Answer:
        generation = query.get("generation", [""])[0]
        return _Answer(await self._data.state(generation, _whole(query, "revision", 0)))

    async def _audit(self, query: dict[str, list[str]]) -> _Answer:
        name = query.get("point", [""])[0]
        if name not in self._gateway.points:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "there is no such point")
        limit = min(_whole(query, "limit", 50), _MOST_LINES)
        return _Answer(await self._data.story(name, limit))

    async def _metrics(self, _: dict[str, list[str]]) -> _Answer:
        return _Answer(metrics_text(self._gateway).encode(), METRICS_TYPE)

    async def _healthz(self, _: dict[str, list[str]]) -> _Answer:
        return _verdict("alive", stuck_reasons(self._gateway, self._monotonic()))

    async def _readyz(self, _: dict[str, list[str]]) -> _Answer:
        return _verdict("ready", unready_reasons(self._gateway))

    def _override(self, path: str, body: dict[str, Any]) -> _Answer:
        name = body.get("point")
        if not isinstance(name, str):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "point: it must be the name of a point")
        if path.endswith("/end"):
            return _json({"ended": self._gateway.end_override(name)})
        try:
            seconds = read_seconds(body.get("for"))
        except OadrError as error:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, f"for: {error}") from None
        by = body.get("by", "")
        if not isinstance(by, str) or len(by) > _LONGEST_NAME or not (by + "x").isprintable():
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "by: it must be a short name")
        value = _setting(body.get("value"))
        self._gateway.override(name, value, seconds, by.strip() or "the status page")
        return _json({"until": self._gateway.now + seconds})


def _setting(value: object) -> Setting:
    if value == "released":
        return RELEASED
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, 'value: it must be a number or "released"')
    return float(value)


def _whole(query: dict[str, list[str]], name: str, default: int) -> int:
    text = query.get(name, [str(default)])[0]
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"{name}: it must be a whole number")
    return int(text)


async def _json_body(headers: Headers, receive: Receive) -> dict[str, Any]:
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _LARGEST_BODY:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large")
        if not message.get("more_body", False):
            break
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "the body is no JSON") from None
    if not isinstance(data, dict):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    return data


def _json(data: object, status: int = 200) -> _Answer:
    return _Answer(json.dumps(data).encode(), status=status)


def _problem(status: HTTPStatus, reason: str) -> _Answer:
    return _json({"error": reason}, status)


def _verdict(word: str, reasons: list[str]) -> _Answer:
    return _json({word: not reasons, "reasons": reasons}, 503 if reasons else 200)


async def _send(answer: _Answer, method: str, headers: Headers, send: Send) -> None:
    body, status = answer.body, answer.status
    if answer.etag and headers.get("if-none-match") == answer.etag:
        status, body = HTTPStatus.NOT_MODIFIED, b""
    lines = [
        (b"content-type", answer.kind.encode()),
        (b"cache-control", b"no-cache" if answer.etag else b"no-store"),
        *_GUARDS,
    ]
    if answer.etag:
        lines.append((b"etag", answer.etag.encode()))
    if status == HTTPStatus.UNAUTHORIZED:
        lines.append((b"www-authenticate", b'Bearer realm="oadr2 gateway"'))
    lines.append((b"vary", b"accept-encoding"))
    if len(body) > _SMALL and "gzip" in headers.get("accept-encoding", ""):
        if len(body) > _LARGE:
            body = await asyncio.to_thread(gzip.compress, body, 4)
        else:
            body = gzip.compress(body, 4)
        lines.append((b"content-encoding", b"gzip"))
    lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": int(status), "headers": lines})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
