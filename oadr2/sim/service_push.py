"""The simulated VTN's 2.0b services as ones that push: events and whatever waits in a VEN's queue.

:class:`ServicePusher` goes to every VEN that has registered with an address, over HTTP or XMPP; a VEN
that polls gets the same at its polls.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx

from oadr2.errors import OadrError, RemoteProtocolError, TransportError
from oadr2.sim.services import RegisteredVen, VtnServices

_ROOT: Final = "/OpenADR2/Simple/2.0b/"
_AGAIN_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a push to a VEN's service; ``problem`` is "" when the VEN took it."""

    ven_id: str
    service: str
    message: str
    problem: str = ""


class ServicePusher:
    """Pushes what VENs are to get: ``with ServicePusher(services, HttpDelivery()) as pusher:``.

    It works on a thread of its own; without the ``with``, :meth:`push_due` is called by hand.

    Args:
        services: whose VENs and queues.
        deliver: ``deliver(ven, service, data)`` sends a message and returns the VEN's reply; raises
            OadrError when the VEN is not there.
        on_push: called with what became of each; on that thread.
    """

    def __init__(
        self,
        services: VtnServices,
        deliver: Callable[[RegisteredVen, str, bytes], bytes],
        on_push: Callable[[Pushed], object] = lambda _pushed: None,
    ) -> None:
        self._services = services
        self._deliver = deliver
        self._on_push = on_push
        self._again_at: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def push_due(self) -> None:
        """Send every VEN what waits for it, one message after the other; return when all were tried."""
        for ven_id in self._services.vens:
            while time.monotonic() >= self._again_at.get(ven_id, 0.0):
                if not self._push_one(ven_id):
                    break

    def _push_one(self, ven_id: str) -> bool:
        due = self._services.next_push(ven_id)
        if due is None:
            return False
        problem = ""
        try:
            reply = self._deliver(due.ven, due.service, due.data)
            self._services.pushed(due, reply)
        except TransportError as error:
            problem = str(error)
            self._again_at[ven_id] = time.monotonic() + _AGAIN_S
        except OadrError as error:  # it has answered, though nothing of use
            problem = str(error)
            self._services.pushed(due, b"")
        self._on_push(Pushed(ven_id, due.service, due.name, problem))
        return True

    def __enter__(self) -> Self:
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="oadr2-vtn-push", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._stop.is_set():
            self.push_due()
            self._stop.wait(0.1)


class HttpDelivery:
    """Posts to the address that a VEN has registered with.

    Args:
        ssl_context: with the VTN's certificate, for https addresses.
        timeout: seconds for a push and the reply to it.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None, timeout: float = 10.0) -> None:
        if ssl_context is None:
            ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; for http
        self._client = httpx.Client(verify=ssl_context, timeout=timeout, trust_env=False)

    def __call__(self, ven: RegisteredVen, service: str, data: bytes) -> bytes:
        """Send a message; the reply to it.

        Raises:
            TransportError: the VEN was not reached, or replied with another status than 200.
        """
        address = ven.transport_address or ""
        url = f"{address.rstrip('/')}{_ROOT}{service}"
        try:
            reply = self._client.post(
                url, content=data, headers={"Content-Type": "application/xml"}
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransportError(f"POST {url}: {error or type(error).__name__}") from error
        if reply.status_code == 400:
            raise RemoteProtocolError(f"POST {url}: HTTP 400: {reply.text[:200]}")
        if reply.status_code != 200:
            raise TransportError(
                f"POST {url}: HTTP {reply.status_code}: {reply.text[:200]}",
                status=reply.status_code,
            )
        return reply.content

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
