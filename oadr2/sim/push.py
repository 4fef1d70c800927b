"""The simulated VTN as one that pushes: it posts its list of events to a VEN's address."""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Final, Self

import httpx

from oadr2 import decode
from oadr2.errors import RemoteProtocolError, TransportError
from oadr2.model import Profile, Response
from oadr2.sim.vtn import SimulatedVtn

_PATHS: Final[dict[Profile, str]] = {
    "2.0a": "/OpenADR2/Simple/EiEvent",
    "2.0b": "/OpenADR2/Simple/2.0b/EiEvent",
}


class VtnPusher:
    """Posts to one VEN: ``with VtnPusher(vtn, "https://ven.example:8443") as pusher:``.

    Args:
        vtn: whose events are pushed; the VEN's answers come to it by a
            :class:`oadr2.sim.VtnServer` or some other way.
        ven_url: base address of the VEN, with its prefix; ``/OpenADR2`` is added.
        ssl_context: with the VTN's certificate, for an https address.
        timeout: seconds for a push and the reply to it.
    """

    def __init__(
        self,
        vtn: SimulatedVtn,
        ven_url: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = 10.0,
    ) -> None:
        self.vtn = vtn
        self.ven_url = ven_url.rstrip("/")
        if ssl_context is None:
            ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; for http
        self._client = httpx.Client(verify=ssl_context, timeout=timeout, trust_env=False)

    def push(self, ven_id: str, profile: Profile) -> Response:
        """Push the list of events as it is now; the VEN's oadrResponse, whatever its code.

        Raises:
            TransportError: the VEN was not reached, or replied with another status than 200.
            RemoteProtocolError: its reply is no oadrResponse, or not signed as it must be.
        """
        return self.post(self.vtn.list_for(ven_id, profile), profile)

    def post(self, data: bytes, profile: Profile) -> Response:
        """Post any bytes to the service of a profile; see :meth:`push`."""
        url = self.ven_url + _PATHS[profile]
        try:
            reply = self._client.post(
                url, content=data, headers={"Content-Type": "application/xml"}
            )
        except httpx.HTTPError as error:
            raise TransportError(f"POST {url}: {error or type(error).__name__}") from error
        if reply.status_code != 200:
            raise TransportError(
                f"POST {url}: HTTP {reply.status_code}: {reply.text[:200]}",
                status=reply.status_code,
            )
        message = decode(self.vtn.opened(reply.content) if profile == "2.0b" else reply.content)
        if not isinstance(message, Response):
            raise RemoteProtocolError(
                f"the reply to a push is an oadr{type(message).__name__}, not an oadrResponse"
            )
        return message

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
