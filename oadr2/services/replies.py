"""What a VTN's reply has to be: of the right kind, and with a code of 2xx."""

from __future__ import annotations

from typing import Final, TypeVar

from oadr2.errors import RemoteProtocolError
from oadr2.model import EiResponse, Message, Response

INVALID_ID: Final = 452
NOT_REGISTERED: Final = 463

_Reply = TypeVar("_Reply")


def expect(message: Message, kind: type[_Reply]) -> _Reply:
    """The message, if it is of this kind; what an oadrResponse in its place says, otherwise.

    Raises:
        RemoteProtocolError: it is another.
    """
    if isinstance(message, kind):
        return message
    if isinstance(message, Response) and not message.response.ok:
        accepted(message.response, "our request")
    name = getattr(message, "name", f"oadr{type(message).__name__}")
    raise RemoteProtocolError(f"expected an oadr{kind.__name__}, got {name}")


def accepted(response: EiResponse, what: str) -> None:
    """Raise RemoteProtocolError unless the VTN's code is 2xx (facts.md G12)."""
    if not response.ok:
        told = f": {response.response_description}" if response.response_description else ""
        raise RemoteProtocolError(
            f"the VTN refused {what} with code {response.response_code}{told}",
            response_code=response.response_code,
        )
