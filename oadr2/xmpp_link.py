"""What the XMPP clients of both kinds share: :class:`XmppLink`, one connection after the other.

Whatever happens to the server or the VTN, it comes back; each failure is one line in the log
(``oadr2.xmpp``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from slixmpp import JID

from oadr2.arguments import seconds
from oadr2.client import Client
from oadr2.errors import TransportError
from oadr2.pacing import BackOff
from oadr2.ven import Action
from oadr2.xmpp_server import parse_jid, parse_jids, server_of
from oadr2.xmpp_stream import StanzaError, Stream

_log = logging.getLogger("oadr2.xmpp")
_Taken = TypeVar("_Taken")

# Sessions that end sooner than this count as failures, or a server that throws everybody out at
# once would be asked again and again.
_LASTING: Final = 60.0
_GRACE: Final = 1.0  # seconds for the VTN's presence to answer ours
_NOBODY: Final = (
    "the VTN is not known: vtn_jid is not set, and {} names no EiEvent service; set vtn_jid"
)


class XmppLink(Client):
    """Is on an XMPP server for one VTN, and always comes back (facts.md 4.4, X01-X07).

    What is said there is up to :meth:`_converse`, :meth:`_take_push` and :meth:`_take_late`.
    Args:
        jid: who we are on the server, with or without a resource.
        password: for SASL SCRAM. None logs in by the client certificate of ``ssl_context`` (SASL
            EXTERNAL).
        vtn_jid: the JIDs that are obeyed; a bare one stands for all its resources. The first is
            where requests go. None asks the server for its EiEvent service and obeys that. Stanzas
            from anybody else are answered with an error.
        server, port: where the server is; ``server=None`` asks the DNS, by the domain of ``jid``.
        ssl_context: from :func:`oadr2.security.client_context`; None verifies against the system's
            CAs. The certificate must be for the domain of ``jid``.
        plaintext: no TLS; refused unless ``server`` is a loopback address.
        discovery_jid: whom to ask for the EiEvent service; None: the domain of ``jid``.
        connect_timeout: seconds until we are logged in.
        reply_timeout: seconds for the VTN to answer an IQ.
        ping_interval, ping_timeout: seconds between two pings to the server (XEP-0199), and for its
            answer; without one the connection counts as lost.
        resync_interval: seconds after which the events are asked for again although nothing was
            lost, for pushes that nobody knows to be missing; None: they are not.
        back_off_base: seconds; the first retry comes within this, each further one within twice the
            time before.
        back_off_max: seconds; no retry waits longer.
        on_error: called with each error that :meth:`run` logs and survives.
        on_heard: called when the VTN has said something by which its events come.
        on_alive: called when the server has answered a ping, unless the VTN was seen to leave.
        random: replaced in tests.

    Attributes:
        has_connected: whether the server has ever let us in.

    Raises:
        ConfigurationError: an argument is wrong; the message names it.
    """

    def __init__(
        self,
        jid: str,
        password: str | None = None,
        *,
        vtn_jid: str | Iterable[str] | None = None,
        server: str | None = None,
        port: int = 5222,
        ssl_context: ssl.SSLContext | None = None,
        plaintext: bool = False,
        discovery_jid: str | None = None,
        connect_timeout: float = 30.0,
        reply_timeout: float = 30.0,
        ping_interval: float = 240.0,
        ping_timeout: float = 30.0,
        resync_interval: float | None = 3600.0,
        back_off_base: float = 5.0,
        back_off_max: float = 300.0,
        on_error: Callable[[Exception], object] | None = None,
        on_heard: Callable[[], object] | None = None,
        on_alive: Callable[[], object] = lambda: None,
        random: Callable[[], float] = random.random,
    ) -> None:
        super().__init__("xmpp", on_error, on_heard)
        self.has_connected = False
        self._server = server_of(jid, password, server, port, ssl_context, plaintext)
        self._vtns = parse_jids("vtn_jid", vtn_jid)
        self._discovers = not self._vtns
        self._services: dict[str, JID] = {}  # as the server names them
        self._discovery = parse_jid("discovery_jid", discovery_jid or self._server.jid.domain)
        self._connect_timeout = seconds("connect_timeout", connect_timeout)
        self._reply_timeout = seconds("reply_timeout", reply_timeout)
        self._ping_interval = seconds("ping_interval", ping_interval)
        self._ping_timeout = seconds("ping_timeout", ping_timeout)
        self._resync_interval = (
            None if resync_interval is None else seconds("resync_interval", resync_interval)
        )
        self._on_alive = on_alive
        self._gone: set[str] = set()  # VTNs that were seen to leave, by their bare JIDs
        base = seconds("back_off_base", back_off_base)
        longest = seconds("back_off_max", back_off_max)
        self._connecting = BackOff(base, longest, random)
        self._asking = BackOff(base, longest, random)
        self._random = random
        self._stream: Stream | None = None
        self._seen: dict[str, JID] = {}  # the resource a VTN speaks from, by its bare JID
        self._wanted = asyncio.Event()  # the events are to be asked for
        self._synchronised = asyncio.Event()

    async def wait_synchronised(self) -> None:
        """Wait until the VTN's list of events has been taken since the last connect."""
        await self._synchronised.wait()

    async def _converse(self, stream: Stream) -> None:
        """Talk to the VTN until the connection is gone."""
        raise NotImplementedError

    def _take_push(self, sender: JID, payload: bytes) -> bytes:
        """Take the payload of an IQ set; that of its result. Raises Refused."""
        raise NotImplementedError

    def _take_late(self, sender: JID, payload: bytes) -> None:
        """Take a result nobody waits for."""
        raise NotImplementedError

    def _hang_up(self) -> None:
        """The connection goes: nothing more is to be sent over it."""

    async def _close(self) -> None:
        for _ in range(3):  # asyncio closes sockets in its next rounds
            await asyncio.sleep(0)

    # -- connections, one after the other ---------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed:
            began = loop.time()
            try:
                problem: Exception = await self._session()
            # TransportError is expected; anything else is a fault in here, which must not leave the
            # loads without their events.
            except Exception as error:
                problem = error
            if self._synchronised.is_set() or loop.time() - began > _LASTING:
                self._connecting.succeeded()
            self._synchronised.clear()
            delay = self._connecting.failed()
            self._report(problem, f"next connection in {delay:.1f} s", delay)
            del (
                problem
            )  # it knows the frames of the old connection, which the next may outlive by days
            await asyncio.sleep(delay)

    async def _session(self) -> TransportError:
        """One connection from its beginning to its end; why it ended."""
        self._seen.clear()
        self._gone.clear()
        stream = Stream(
            self._server,
            is_vtn=self._is_vtn,
            on_set=self._take_push,
            on_late=self._take_late,
            on_presence=self._note_presence,
        )
        jobs: list[asyncio.Task[None]] = []
        try:
            await stream.open(self._connect_timeout)
            self._stream = stream
            self.has_connected = True
            _log.info("connected to %s as %s", self._server.place, stream.boundjid)
            self._wanted.clear()
            stream.announce(JID(vtn.bare) for vtn in self._vtns)
            jobs += (
                asyncio.create_task(self._converse(stream)),
                asyncio.create_task(self._keep_alive(stream)),
            )
            lost = asyncio.create_task(stream.wait_closed())
            await asyncio.wait((lost, *jobs), return_when=asyncio.FIRST_COMPLETED)
            for job in jobs:
                if job.done():
                    job.result()  # they end only by an error
            return await lost
        finally:
            self._stream = None
            self._hang_up()
            for job in jobs:
                job.cancel()
            with contextlib.suppress(OSError):  # the connection may be gone in the middle of it
                await stream.aclose()

    async def _keep_alive(self, stream: Stream) -> None:
        while True:
            await asyncio.sleep(self._ping_interval)
            await stream.ping(self._ping_timeout)
            if not any(vtn.bare in self._gone for vtn in self._vtns):
                try:
                    self._on_alive()
                except Exception:  # the caller's code; its fault must not end the connection
                    _log.exception("on_alive raised")

    # -- where the VTN is --------------------------------------------------------------------------

    async def _wait_for_presence(self) -> None:
        """Give a VTN that is named without its resource a moment to show itself.

        A user is reached by its resource only, which its presence tells if it is there.
        """
        vtn = self._vtns[0] if self._vtns else None
        if vtn is not None and vtn.user and not vtn.resource:
            await self._wanted_within(_GRACE)

    async def _wanted_or_time(self) -> None:
        """Wait until the events are to be asked for: something has happened, or time has passed."""
        interval = self._resync_interval
        if interval is None:
            await self._wanted.wait()
        else:
            await self._wanted_within(interval * (1 + 0.1 * self._random()))
        self._wanted.clear()

    async def _wanted_within(self, timeout: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wanted.wait()

    async def _discover(self, stream: Stream) -> None:
        try:
            # Three questions; slixmpp would wait for ever when the connection goes.
            async with asyncio.timeout(3 * self._reply_timeout):
                found = await stream.discover(self._discovery, self._reply_timeout)
        except TimeoutError:
            raise TransportError(f"{self._discovery} does not say where EiEvent is") from None
        if "EiEvent" in found:
            vtns = tuple(dict.fromkeys((found["EiEvent"], *found.values())))
            if vtns != self._vtns:
                _log.info("%s names %s as its EiEvent service", self._discovery, vtns[0])
            self._vtns, self._services = vtns, found
        elif not self._vtns:
            raise TransportError(_NOBODY.format(self._discovery))

    def _service(self, name: str = "EiEvent") -> JID:
        """Where requests go: the VTN as named, or the resource of it that was seen last."""
        if not self._vtns:
            raise TransportError(_NOBODY.format(self._discovery))
        vtn = self._services.get(name, self._vtns[0])
        return vtn if vtn.resource else self._seen.get(vtn.bare, vtn)

    async def _ask(
        self, stream: Stream, to: JID, action: Action, take: Callable[[bytes], _Taken]
    ) -> _Taken:
        try:
            async with asyncio.timeout(self._reply_timeout):
                return await stream.request(to, action.data, take)
        except StanzaError as error:
            if error.condition == "service-unavailable" and not to.resource and to.user:
                raise TransportError(
                    f"{to} is not there; waiting for it. A server answers for a user's bare JID"
                    " itself: name the VTN's resource as well if it has a fixed one"
                ) from None
            raise
        except TimeoutError:
            raise TransportError(f"{to} did not answer within {self._reply_timeout:g} s") from None

    def _note_presence(self, sender: JID, available: bool) -> None:
        if not available:
            self._gone.add(sender.bare)
            if self._seen.get(sender.bare) == sender:
                del self._seen[sender.bare]
        elif self._see(sender):
            self._wanted.set()  # it has just arrived: who knows what it told us in vain

    def _see(self, sender: JID) -> bool:
        """Remember where the VTN speaks from; whether that is news."""
        self._gone.discard(sender.bare)
        if self._seen.get(sender.bare) == sender:
            return False
        self._seen[sender.bare] = sender
        if self._stream is not None:
            self._stream.greet(sender)
        return True

    def _is_vtn(self, sender: JID) -> bool:
        return any(
            sender == vtn or (not vtn.resource and sender.bare == vtn.bare) for vtn in self._vtns
        )

    def _connected(self) -> Stream:
        if self._stream is None or not self._stream.is_open:
            raise TransportError(f"not connected to {self._server.place}")
        return self._stream
