"""Messages to bytes and back for a VEN of 2.0b: wrapped, signed, verified (facts.md 3.6)."""

from __future__ import annotations

from typing import Protocol

from oadr2._core.encode import encode
from oadr2._core.objects import decode
from oadr2.errors import ConfigurationError
from oadr2.model import Message
from oadr2.policy import VtnPolicy


class PayloadSigner(Protocol):
    """:class:`oadr2.signature.Signer`, or its like."""

    def sign(self, payload: bytes) -> bytes: ...


class PayloadVerifier(Protocol):
    """:class:`oadr2.signature.Verifier`, or its like."""

    def verify(self, payload: bytes) -> bytes: ...


class Seal:
    """How one VEN writes and reads.

    Args:
        policy: whether messages are wrapped, and what is read at all.
        signer, verifier: sign what is sent, and take only what is signed.

    Raises:
        ConfigurationError: what is signed has to be wrapped (S01).
    """

    def __init__(
        self, policy: VtnPolicy, signer: PayloadSigner | None, verifier: PayloadVerifier | None
    ) -> None:
        if signer is not None and not policy.wrap_20b:
            raise ConfigurationError(
                "signer: only wrapped messages are signed; policy.wrap_20b is off"
            )
        self.policy = policy
        self._signer = signer
        self._verifier = verifier

    def encoded(self, message: Message) -> bytes:
        """The message, not signed yet."""
        return encode(message, wrap=self.policy.wrap_20b)

    def signed(self, data: bytes) -> bytes:
        """Sign what goes out now; what waited long would carry a stale signature."""
        return data if self._signer is None else self._signer.sign(data)

    def opened(self, data: bytes) -> tuple[bytes, Message]:
        """The bytes that may be believed, and what they say.

        Raises:
            RemoteProtocolError: they cannot be read, or are not signed as they must be.
        """
        body = data if self._verifier is None else self._verifier.verify(data)
        return body, decode(body, policy=self.policy)
