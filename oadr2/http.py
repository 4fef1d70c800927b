"""One POST to a service of the VTN and its reply, over httpx: the simple HTTP of facts.md 4.1.

Whatever httpx raises becomes a :class:`oadr2.errors.TransportError` here and nowhere else. The
messages are one line and never hold a password.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
import ssl
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import httpx

from oadr2.errors import ConfigurationError, TransportError, one_line
from oadr2.security import client_context

_log = logging.getLogger("oadr2.poll")

try:
    _VERSION = version("oadr2")
except PackageNotFoundError:  # run from a source tree that was never installed
    _VERSION = "0"

# What people paste as the base because they know the whole address.
_SERVICE_PATH = re.compile(
    r"/OpenADR2/Simple(/2\.0b)?(/(EiEvent|EiReport|EiRegisterParty|EiOpt|OadrPoll))?/*$"
)
_PROFILE_PATHS: Final = {"2.0a": "/OpenADR2/Simple/", "2.0b": "/OpenADR2/Simple/2.0b/"}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# They frame the message; a second opinion about them can only break it.
_FIXED_HEADERS = frozenset(
    ("host", "content-length", "content-type", "transfer-encoding", "expect", "connection")
)
_UNTRUSTED = "; if that is the VTN's CA, name it as the CA to trust"
_OTHER_NAME = "; if that is the VTN, switch check_hostname off"
# OpenSSL's codes: self-signed, issuer unknown; host name, address mismatch.
_VERIFY_HINTS = {18: _UNTRUSTED, 19: _UNTRUSTED, 20: _UNTRUSTED, 62: _OTHER_NAME, 64: _OTHER_NAME}
_PLAIN_HINT = "; does the VTN speak plain http:// there?"
# What OpenSSL makes of a server that answers its greeting in plain HTTP; the second since 3.2.
_PLAIN_ANSWER = frozenset(("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"))
_BODY_IN_MESSAGE = 200  # characters of an error page that are worth a place in the log
_ERROR_BODY = 4096  # bytes read to find them


def service_url(vtn_base_uri: str, profile: str, service: str) -> str:
    """The address of a service: the base, then the profile's path (facts.md H01).

    The base may have any prefix, a slash at its end, or already be the address of a service.

    Raises:
        ConfigurationError: it is no http or https address, or the profile is unknown.
    """
    return _split(vtn_base_uri, profile)[0] + service


def _split(vtn_base_uri: str, profile: str) -> tuple[str, str, str]:
    """The address up to the service's name, and the user name and password found in it."""
    shown = re.sub(r"//.*@", "//***@", one_line(str(vtn_base_uri)))
    wrong = ConfigurationError(
        f"vtn_base_uri: {shown!r} is not of the form http://host[:port][/prefix] or https://..."
    )
    if profile not in _PROFILE_PATHS:
        raise ConfigurationError(
            f"oadr_profile_level: {profile!r} is not one of {', '.join(_PROFILE_PATHS)}"
        )
    if not isinstance(vtn_base_uri, str):
        raise wrong
    try:
        url = httpx.URL(vtn_base_uri.strip())
    except httpx.InvalidURL:
        raise wrong from None  # its own text may quote the password
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise wrong
    prefix = _SERVICE_PATH.sub("", url.raw_path.decode("ascii")).rstrip("/")
    bare = url.copy_with(raw_path=(prefix + _PROFILE_PATHS[profile]).encode("ascii"), userinfo=b"")
    return str(bare), url.username, url.password


class VtnConnection:
    """Posts payloads to one VTN. Arguments as for :class:`oadr2.poll.PollClient`."""

    def __init__(
        self,
        vtn_base_uri: str,
        profile: str,
        *,
        connect_timeout: float,
        read_timeout: float,
        max_response_size: int,
        username: str | None = None,
        password: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        keep_alive: float = 60.0,
    ) -> None:
        self._base, url_username, url_password = _split(vtn_base_uri, profile)
        if not username and url_username:
            username, password = url_username, url_password
        username = username or None  # "" in a configuration file means none
        if username is None and password:
            raise ConfigurationError("username: missing, but a password is given")
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._max_response_size = max_response_size
        self._secrets = _secrets(username, password)
        self._content_types_seen: set[str] = set()
        self._secure = secure = self._base.startswith("https:")
        self._answered = False  # whether anybody ever spoke HTTP with us there
        if username is not None and not secure:
            _log.warning("%s: user name and password go over plain HTTP", self._base)
        if ssl_context is None:
            # Over plain HTTP no certificate is ever looked at; an empty context trusts none.
            ssl_context = client_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        all_headers = _headers(headers)
        try:
            self._client = httpx.AsyncClient(
                verify=ssl_context,
                auth=None if username is None else httpx.BasicAuth(username, password or ""),
                headers=all_headers,
                timeout=httpx.Timeout(read_timeout, connect=connect_timeout),
                limits=httpx.Limits(max_connections=2, keepalive_expiry=keep_alive),
                proxy=proxy,
                follow_redirects=False,  # certificate and password are for the configured host
                trust_env=False,  # no proxy and no .netrc nobody asked for here
            )
        except (ValueError, httpx.InvalidURL):
            raise ConfigurationError(
                "proxy: not of the form http://[user:password@]host:port"
            ) from None

    async def post(self, service: str, data: bytes) -> bytes:
        """Send a payload to a service; return the body of the reply, which may be empty.

        Raises:
            TransportError: no complete 2xx reply of acceptable size in time (facts.md H05, H11).
        """
        url = self._base + service
        bound = self._connect_timeout + self._read_timeout
        try:
            # httpx bounds the wait for each piece; a reply that drips could last for ever.
            async with (
                asyncio.timeout(bound),
                self._client.stream("POST", url, content=data) as response,
            ):
                self._answered = True
                return await self._accepted(url, response)
        except TransportError:
            raise
        except httpx.ConnectTimeout as error:
            reason = f"no connection within {self._connect_timeout:g} s"
            raise self._failure(url, reason) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise self._failure(url, f"no complete reply within {bound:g} s") from error
        # Beside its own classes httpx lets errors of ssl, anyio and h11 through; to the caller they
        # all mean the same, and a poll loop must outlive every one of them.
        except Exception as error:
            reason = _reason(error)
            # Under TLS 1.3 the server refuses us after the handshake, and the alert may get lost.
            if isinstance(error, httpx.ReadError | httpx.WriteError) and self._secure:
                reason += "; does the VTN want a client certificate?"
            dropped = isinstance(error, httpx.ReadError | httpx.RemoteProtocolError)
            if dropped and not self._secure and not self._answered:
                reason = reason.rstrip(".") + "; does the VTN want https:// there?"
            raise self._failure(url, reason) from error
        finally:
            self._client.cookies.clear()  # nobody bounds what a VTN may hang on us

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _accepted(self, url: str, response: httpx.Response) -> bytes:
        # No error may be named here or below: with its own frame it would make a ring, which keeps
        # what was read until the next collection.
        if not response.is_success:
            raise await self._refusal(url, response)
        body = await self._body(url, response)
        self._check_content_type(url, response, body)
        return body

    async def _body(self, url: str, response: httpx.Response) -> bytes:
        size = self._max_response_size
        headers = response.headers
        # Of a compressed reply the length says little; what it inflates to is counted.
        announced = "" if "content-encoding" in headers else headers.get("content-length", "")
        fault = f"the reply is larger than max_response_size ({size} bytes)"
        if not announced.isdigit() or (len(announced) <= 18 and int(announced) <= size):
            body, complete = await _read(response, size + 1)
            if len(body) <= size:
                if complete:
                    return body
                fault = "the compressed reply is cut short"
        raise self._failure(url, fault, status=response.status_code)

    async def _refusal(self, url: str, response: httpx.Response) -> TransportError:
        status = response.status_code
        reason = f"HTTP {status} {response.reason_phrase}".rstrip()
        if response.has_redirect_location:
            target = re.sub(r"//.*@", "//***@", response.headers["location"])
            reason += f" to {one_line(target)}; redirects are not followed, change vtn_base_uri"
        elif status == 401:
            reason += "; check username and password"
        try:
            async with asyncio.timeout(min(1.0, self._read_timeout)):
                body, _ = await _read(response, _ERROR_BODY)
            text = one_line(self._redact(body.decode("utf-8", "replace")), _BODY_IN_MESSAGE)
        except (httpx.HTTPError, zlib.error, OSError):
            text = ""  # the status is the news; the page under it is only decoration
        return self._failure(
            url,
            f"{reason}: {text}" if text else reason,
            status=status,
            retry_after=retry_after_seconds(
                response.headers.get("retry-after", ""), response.headers.get("date", "")
            )
            if status in (429, 503)
            else None,
        )

    def _failure(
        self,
        url: str,
        reason: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> TransportError:
        text = one_line(f"POST {url}: {self._redact(reason)}", 700)
        return TransportError(text, status=status, retry_after=retry_after)

    def _redact(self, text: str) -> str:
        for secret in self._secrets:  # an error page may echo the request
            text = text.replace(secret, "***")
        return text

    def _check_content_type(self, url: str, response: httpx.Response, body: bytes) -> None:
        """Say once that the type is odd; the body is tried all the same (facts.md H04)."""
        if not body:
            return
        sent = response.headers.get("content-type", "")
        media_type = sent.partition(";")[0].strip().lower()
        if media_type in ("application/xml", "text/xml") or media_type.endswith("+xml"):
            return
        if media_type not in self._content_types_seen and len(self._content_types_seen) < 8:
            self._content_types_seen.add(media_type)
            what = f"Content-Type {one_line(sent)!r}" if sent else "no Content-Type"
            _log.warning("%s replied with %s instead of application/xml; reading it", url, what)


async def _read(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """At most ``limit`` decoded bytes, and whether a compressed body reached its end.

    Decoded here and not by httpx, which inflates each piece whole: 64 kB make 64 MB.
    """
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    body = bytearray()
    if encoding in ("", "identity"):
        async for piece in response.aiter_raw():
            body += piece[: limit - len(body)]
            if len(body) >= limit:
                break
        return bytes(body), True
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise httpx.DecodingError(f"Content-Encoding {encoding!r} was not asked for")
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, told by the first bytes
    started = False
    received = 0
    async for piece in response.aiter_raw():
        received += len(piece)
        if received > limit + 1024:  # members that hold nothing, without end
            raise httpx.DecodingError("the compressed reply is larger than max_response_size")
        rest = piece
        while rest and len(body) < limit:
            if inflater.eof:  # a gzip file may have several members
                inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
            started = True
            body += inflater.decompress(rest, limit - len(body))
            rest = inflater.unconsumed_tail or inflater.unused_data
        if len(body) >= limit:
            return bytes(body), True
    return bytes(body), inflater.eof or not started


def _headers(extra: Mapping[str, str] | None) -> httpx.Headers:
    headers = httpx.Headers(
        {
            "User-Agent": f"oadr2/{_VERSION}",
            "Accept": "application/xml, text/xml, */*;q=0.1",
            "Accept-Encoding": "gzip",
        }
    )
    for name, value in (extra or {}).items():
        if name.lower() in _FIXED_HEADERS:
            raise ConfigurationError(f"headers: {name} is set by the client and cannot be changed")
        if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ConfigurationError(f"headers: {one_line(name)!r} cannot be sent")
        headers[name] = value
    headers["Content-Type"] = "application/xml"
    return headers


def _secrets(username: str | None, password: str | None) -> tuple[str, ...]:
    if username is None or password is None or len(password) < 4:
        return ()  # so short a text is in every message
    token = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
    return (token, password)


def retry_after_seconds(value: str, date: str) -> float | None:
    """The header Retry-After in seconds; a date is read against the reply's own Date, if it has one."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    until = _http_date(value)
    if until is None:
        return None
    now = _http_date(date) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _reason(error: Exception) -> str:
    """What happened, in the words of the error nearest to the socket: httpx often says less."""
    told: BaseException = error
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            told = cause
        cause = cause.__cause__ or cause.__context__
    if isinstance(told, ssl.SSLError):
        text = re.sub(r"^\[.*?\] | \(_ssl\.c:[0-9]+\)$", "", str(told))
        code = told.verify_code if isinstance(told, ssl.SSLCertVerificationError) else 0
        reason = getattr(told, "reason", "")  # one that pinning has made has none
        plain = _PLAIN_HINT if reason in _PLAIN_ANSWER else ""
        return text.rstrip(".") + _VERIFY_HINTS.get(code, plain)
    if isinstance(told, OSError) and told.errno is not None and told.errno > 0:
        text = os.strerror(told.errno)
    elif isinstance(told, OSError):
        text = told.strerror or str(told)
    else:
        text = re.sub(r"bytearray\(b('.*?'|\".*?\")\)", r"\1", str(told))  # h11 shows its buffer
    return text or type(told).__name__
