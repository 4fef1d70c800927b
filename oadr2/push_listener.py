"""Where a VEN is pushed to, and by whom: :class:`Listener`."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urlsplit

from oadr2.errors import ConfigurationError
from oadr2.push_app import PushApp
from oadr2.push_server import PushServer


class Listener:
    """Where a VEN listens, and who may post there.

    Args:
        vtn_base_uri: of the VTN; its host is the name that is looked for in a certificate, when
            neither ``vtn_name`` nor ``vtn_fingerprint`` is given.
        host, port: where to listen; port 0 takes a free one, and ``url`` says which.
        prefix: a path before ``/OpenADR2``.
        server_tls: from :func:`oadr2.security.server_context`; needed unless ``plaintext``.
        vtn_name, vtn_fingerprint: how the pushing VTN is known by its certificate.
        plaintext: no TLS and no certificates; on this machine only, for trials.
        bind: take the port at once, so that ``url`` is known when the VEN is made; otherwise
            ``server.bind()`` does it.

    Raises:
        ConfigurationError: an argument is wrong; the message names it.
        TransportError: the port cannot be had.
    """

    def __init__(
        self,
        vtn_base_uri: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        prefix: str = "",
        server_tls: ssl.SSLContext | None = None,
        vtn_name: str | None = None,
        vtn_fingerprint: str | None = None,
        plaintext: bool = False,
        bind: bool = True,
    ) -> None:
        if plaintext and server_tls is not None:
            raise ConfigurationError("plaintext: given together with a certificate; pass one")
        if not plaintext and server_tls is None:
            raise ConfigurationError(
                "server_tls: missing; a VTN posts over HTTPS only (or plaintext, on this machine)"
            )
        if not plaintext and vtn_name is None and vtn_fingerprint is None:
            vtn_name = urlsplit(vtn_base_uri).hostname
        self.known_by: dict[str, Any] = {
            "name": vtn_name,
            "fingerprint": vtn_fingerprint,
            "plaintext": plaintext,
        }
        #: How the VTN is known, in words.
        self.known_as = vtn_fingerprint or vtn_name or "anybody on this machine"
        self.prefix = prefix.rstrip("/")
        #: To be set before the server starts.
        self.app: PushApp | None = None
        self.server = PushServer(self._serve, host, port, ssl_context=server_tls)
        if bind:
            self.server.bind()

    @property
    def url(self) -> str:
        """The base address for the VTN; ``/OpenADR2`` is not in it."""
        return self.server.url + self.prefix

    def close(self) -> None:
        """Give up the port, when nobody has listened there."""
        self.server.close()

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.app is not None  # noqa: S101 - the server starts after it is there
        await self.app(scope, receive, send)
