"""failures.jsonl: the first payloads of each class of error, capped, without secrets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """One exchange that failed.

    Attributes:
        at: seconds since the epoch.
        error_class: dns, connect, tls, timeout, http_4xx, http_5xx, xml, schema, oadr_463...
        message: what went wrong, in one line.
        ven_id: whose exchange it was.
        request, answer: the bodies, as far as there were any.
        status: the HTTP status, when there was an answer.
    """

    at: float
    error_class: str
    message: str
    ven_id: str
    request: bytes = b""
    answer: bytes = b""
    status: int | None = None
