"""Every exception of the package, and the table of OpenADR response codes.

All exceptions derive from :class:`OadrError`. Whose fault it was decides the class:

* :class:`RemoteProtocolError`: the peer sent something that cannot be accepted;
* :class:`LocalProtocolError`: the caller asked for something that cannot be sent;
* :class:`ConfigurationError`: a setting is missing or wrong;
* :class:`TransportError`: bytes could not be moved;
* :class:`StoreError`: state could not be written or read back.
"""

from __future__ import annotations

from typing import Final

# facts.md 2.9. The number after the first digit is informational (H48).
RESPONSE_CODES: Final[dict[int, str]] = {
    200: "OK",
    400: "bad request",
    401: "unauthorized",
    403: "not accepted",
    404: "not found",
    405: "unknown market context",
    406: "modification number out of sequence",
    450: "out of sequence",
    451: "not allowed",
    452: "invalid ID",
    453: "not recognized",
    454: "invalid data",
    459: "compliance error",
    460: "signal not supported",
    461: "report not supported",
    462: "target mismatch",
    463: "not registered or not authorized",
    469: "deployment error",
}


class OadrError(Exception):
    """Base of every exception this package raises on purpose."""


class RemoteProtocolError(OadrError):
    """The peer sent something that cannot be accepted; nothing was changed by it.

    Attributes:
        reason: what is wrong, in one line.
        response_code: the OpenADR code that fits (three digits), or the code the peer itself sent.
        offset: byte offset into the payload, or None when no single place is at fault.
        line, column: the same place for people, both counted from 1, or None. A fault by the schema
            has a line and no column.
        path: the element path, e.g. ``oadrDistributeEvent/oadrEvent[1]/eiEvent``, or "".
    """

    def __init__(
        self,
        reason: str,
        *,
        response_code: int = 454,
        offset: int | None = None,
        line: int | None = None,
        column: int | None = None,
        path: str = "",
    ) -> None:
        self.reason = reason
        self.response_code = response_code
        self.offset = offset
        self.line = line
        self.column = column
        self.path = path
        where = []
        if line is not None:
            where.append(f"line {line}" if column is None else f"line {line}, column {column}")
        elif offset is not None:
            where.append(f"byte {offset}")
        if path:
            where.append(f"in {path}")
        super().__init__(f"{reason} ({', '.join(where)})" if where else reason)


class LocalProtocolError(OadrError, ValueError):
    """The caller asked for something the protocol does not allow; a ValueError as well."""


class ConfigurationError(LocalProtocolError):
    """A setting is missing, unknown or of the wrong kind; the message names it."""


class TransportError(OadrError):
    """Bytes could not be sent or received.

    Attributes:
        status: the HTTP status, if a reply arrived at all.
        retry_after: seconds the peer asked us to wait, if it did.
    """

    def __init__(
        self, reason: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        super().__init__(reason)


class AuthenticationError(TransportError):
    """The server refuses our credentials: trying again will hardly help, changing them may."""


class StoreError(OadrError):
    """The store cannot be opened, read or written; the message names the file."""


def one_line(text: str, limit: int = 300) -> str:
    """A peer's text as it may stand in a log: blanks folded, control characters escaped, cut."""
    folded = " ".join(text.split())
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in folded[: limit + 1])
    return shown if len(shown) <= limit else shown[:limit] + "..."
