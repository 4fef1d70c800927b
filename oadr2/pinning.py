"""A TLS context that accepts one certificate only, known by its OpenADR fingerprint (facts.md H09).

The check is part of the handshake, so whatever library uses the context has sent nothing before it:
neither a password nor a payload.
"""

from __future__ import annotations

import ssl
from typing import Any

from oadr2.certificate import der_fingerprint, normal_fingerprint


def pin(context: ssl.SSLContext, fingerprint: str) -> None:
    """Have ``context`` take only peers whose certificate has this fingerprint, of either profile.

    Chain and host name are checked as before, and first.

    Raises:
        ConfigurationError: it is no fingerprint.
    """
    wanted = normal_fingerprint(fingerprint)

    class PinnedObject(ssl.SSLObject):
        """A connection of asyncio."""

        def do_handshake(self) -> None:
            super().do_handshake()
            _check(self.getpeercert(binary_form=True), wanted)

    class PinnedSocket(ssl.SSLSocket):
        """A connection of a blocking socket."""

        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            _check(self.getpeercert(binary_form=True), wanted)

    context.sslobject_class = PinnedObject
    context.sslsocket_class = PinnedSocket


def _check(der: bytes | None, wanted: str) -> None:
    if der is None:
        raise _mismatch(f"no certificate was shown, and {wanted} is pinned")
    of_a, of_b = (der_fingerprint(der, profile) for profile in ("2.0a", "2.0b"))
    if wanted not in (of_a, of_b):
        raise _mismatch(
            f"the certificate has the fingerprint {of_b} (2.0b) or {of_a} (2.0a), and {wanted} is pinned"
        )


def _mismatch(text: str) -> ssl.SSLError:
    error: Any = ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, text)
    # What OpenSSL would set.
    error.verify_code, error.verify_message = 0, text
    return error  # type: ignore[no-any-return]
