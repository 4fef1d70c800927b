"""failures.jsonl: the first payloads of each class of error, capped, without secrets."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from oadr2.errors import one_line
from oadr2.fleet.scenario import FailureLimits

_REMOVED: Final = "[removed]"
_SECRETS: Final = (
    # a header, as a proxy's error page may echo it
    re.compile(r"((?:proxy-)?authorization\s*[:=]\s*)[^\r\n<\"]+", re.IGNORECASE),
    re.compile(r"((?:set-)?cookie\s*[:=]\s*)[^\r\n<\"]+", re.IGNORECASE),
    # an element, an attribute, a JSON member or a form's field
    re.compile(
        r"((?:password|passwd|passphrase|secret|api[_-]?key|token)[\"']?\s*[=:>]\s*[\"']?)[^<\"'\s&;]+",
        re.IGNORECASE,
    ),
    # https://user:password@host
    re.compile(r"(://)[^/\s@<>\"]+(?=@)"),
)


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


def without_secrets(text: str) -> str:
    """``text`` with what looks like a password, a credential or a cookie removed."""
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<1>{_REMOVED}", text)
    return text


class FailureGate:
    """Lets the first failures of each class through, cut to size."""

    def __init__(self, limits: FailureLimits) -> None:
        self.limits = limits
        self._passed: Counter[str] = Counter()

    def take(self, failure: Failure) -> Failure | None:
        """The failure as it may be kept; None when its class has enough."""
        if self._passed[failure.error_class] >= self.limits.per_class:
            return None
        self._passed[failure.error_class] += 1
        most = self.limits.payload_bytes
        if len(failure.request) <= most and len(failure.answer) <= most:
            return failure
        return replace(failure, request=failure.request[:most], answer=failure.answer[:most])


class FailureFile:
    """Writes failures as lines of JSON. The file is made, anew, with the first one.

    Attributes:
        kept: how many of each class are in it.
        trouble: why no more can be written, such as a full disk; "" while all is well. A run is worth more
            than its failures, so nothing is raised.
    """

    def __init__(self, path: Path, limits: FailureLimits) -> None:
        self.path = path
        self.kept: Counter[str] = Counter()
        self.trouble = ""
        self._gate = FailureGate(limits)
        self._stream: IO[bytes] | None = None

    def add(self, failure: Failure) -> None:
        """Write the failure, unless its class has enough."""
        taken = None if self.trouble else self._gate.take(failure)
        if taken is None:
            return
        at = datetime.fromtimestamp(taken.at, UTC).isoformat(timespec="milliseconds")
        line = {
            "at": at.replace("+00:00", "Z"),
            "class": taken.error_class,
            "ven_id": taken.ven_id,
            "message": without_secrets(one_line(taken.message)),
            "status": taken.status,
            "request": without_secrets(taken.request.decode("utf-8", "replace")),
            "answer": without_secrets(taken.answer.decode("utf-8", "replace")),
        }
        try:
            if self._stream is None:
                # Unbuffered: what could not be written does not come up again when it is closed.
                self._stream = self.path.open("wb", buffering=0)
            self._stream.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            self.trouble = error.strerror or str(error)
        else:
            self.kept[taken.error_class] += 1

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None
