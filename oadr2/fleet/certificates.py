"""TLS contexts of a fleet: one for all VENs, or one for each VEN with a certificate of its own."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from typing import Any, Final

from oadr2.errors import ConfigurationError
from oadr2.fleet.scenario import Tls
from oadr2.security import client_context, unshared_client_context

MAX_CONTEXTS: Final = 4096


class ResumingContext(ssl.SSLContext):
    """A context whose connections resume the last TLS session that was kept.

    asyncio has no argument for a session; it makes each connection with ``wrap_bio``, so it is given there.
    """

    kept: ssl.SSLSession | None = None

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """As of ssl.SSLContext, with the kept session."""
        if self.kept is not None and kwargs.get("session") is None:
            kwargs["session"] = self.kept
        return super().wrap_bio(*args, **kwargs)

    def keep(self, connection: ssl.SSLObject | None) -> None:
        """Remember the session of a connection that has received something (TLS 1.3 tickets come late)."""
        if connection is not None and connection.session is not None:
            self.kept = connection.session


class ClientContexts:
    """The context for each VEN, made when it is first wanted.

    Args:
        limit: contexts kept; one in use lives on with its connections. One takes about 30 kB with a
            CA file of its own, and some MB with the CAs of the system.
    """

    def __init__(self, tls: Tls, limit: int = MAX_CONTEXTS) -> None:
        self._tls = tls
        self._limit = limit
        self._contexts: OrderedDict[tuple[str | None, str | None], ResumingContext] = OrderedDict()
        pattern = f"{tls.cert_file or ''}{tls.key_file or ''}"
        self.per_ven = "{n}" in pattern or "{ven_id}" in pattern

    def __len__(self) -> int:
        return len(self._contexts)

    def context(self, n: int, ven_id: str) -> ssl.SSLContext:
        """The context of a VEN.

        Raises:
            ConfigurationError: a file is missing or not fit, see :func:`oadr2.security.client_context`.
        """
        cert, key = (
            None if name is None else name.replace("{n}", str(n)).replace("{ven_id}", ven_id)
            for name in (self._tls.cert_file, self._tls.key_file)
        )
        if not self.per_ven and not self._tls.resumption:
            return client_context(
                self._tls.ca_file, cert, key, check_hostname=self._tls.check_hostname
            )
        context = self._contexts.get((cert, key))
        if context is None:
            context = unshared_client_context(
                ResumingContext, self._tls.ca_file, cert, key, self._tls.check_hostname
            )
            self._contexts[cert, key] = context
            if len(self._contexts) > self._limit:
                self._contexts.popitem(last=False)
        else:
            self._contexts.move_to_end((cert, key))
        return context

    def keep_session(
        self, context: ssl.SSLContext | None, connection: ssl.SSLObject | None
    ) -> None:
        """Keep a session for the next connection with this context, where that is wanted."""
        if self._tls.resumption and isinstance(context, ResumingContext):
            context.keep(connection)


def check_tls(tls: Tls, kind: str) -> None:
    """Raise ConfigurationError when the certificates do not fit the plan of connections."""
    if ClientContexts(tls).per_ven and kind == "pool":
        raise ConfigurationError(
            "tls.cert_file: a certificate for each VEN needs connections = per-ven or per-poll,"
            " for a pooled connection belongs to nobody"
        )
