"""HTTP polling: :class:`PollClient` for asyncio, :class:`OpenADR2` on a thread of its own.

The VEN asks for its events at a steady rate, hands each reply to its event handler, sends the
answer, and goes on whatever the VTN does: one line in the log (``oadr2.poll``) and a later try.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from oadr2.arguments import check_names, number, seconds
from oadr2.background import BackgroundVen
from oadr2.client import Client
from oadr2.errors import (
    ConfigurationError,
    OadrError,
    TransportError,
)
from oadr2.http import VtnConnection
from oadr2.model import OptType
from oadr2.pacing import PollPacing
from oadr2.security import ClientTls
from oadr2.ven import Action, Events, Ven

_log = logging.getLogger("oadr2.poll")


class PollClient(Client):
    """Polls one VTN over HTTP (facts.md 4.1, L01).

    The event handler and its callbacks run on the event loop; a callback that takes long holds it
    up.

    Args:
        handler: the VEN's events, an :class:`oadr2.event.EventHandler`.
        vtn_base_uri: ``http://`` or ``https://`` address of the VTN, with its prefix if it has one;
            ``OpenADR2/Simple/...`` is added.
        poll_interval: seconds from one poll to the next; the rate is never faster on average.
        jitter: each poll is late by a random part of the interval up to this (0 to 0.5), so that
            many VENs do not poll in step.
        connect_timeout: seconds to reach the VTN, TLS included.
        read_timeout: seconds for the request and the whole reply after that.
        username, password: for HTTP Basic. They may also stand in ``vtn_base_uri``.
        ssl_context: from :func:`oadr2.security.client_context`; None verifies against the system's
            CAs.
        max_response_size: bytes of a reply, after decompression; None takes the handler's policy.
        back_off_base: seconds; the first retry after a failed poll comes within this, each further
            one within twice the time before. None means 5 s, or the interval when that is shorter.
        back_off_max: seconds; no retry waits longer. None means the interval: a VTN that comes back
            is polled again as soon as it would have been without the failures.
        retry_after_max: seconds; the longest Retry-After a VTN can ask for with 429 or 503.
        min_poll_interval: seconds that lie between two polls in any case, retries too. None means
            1 s, or the interval when that is shorter.
        headers: further HTTP headers for every request.
        proxy: address of an HTTP proxy. The environment is not looked at.
        on_error: called with each error the loop of :meth:`run` logs and survives.
        on_heard: called when a list of the VTN has been taken.
        clock, sleep, random: replaced in tests. ``clock`` gives monotonic seconds.

    Raises:
        ConfigurationError: an argument is of the wrong kind; the message names it.
    """

    def __init__(
        self,
        handler: Events,
        vtn_base_uri: str,
        *,
        poll_interval: float = 300.0,
        jitter: float = 0.1,
        connect_timeout: float = 5.0,
        read_timeout: float = 10.0,
        username: str | None = None,
        password: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        max_response_size: int | None = None,
        back_off_base: float | None = None,
        back_off_max: float | None = None,
        retry_after_max: float = 3600.0,
        min_poll_interval: float | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        on_error: Callable[[Exception], object] | None = None,
        on_heard: Callable[[], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        interval = seconds("poll_interval", poll_interval)
        if min_poll_interval is None:
            min_poll_interval = min(1.0, interval)
        min_interval = seconds("min_poll_interval", min_poll_interval)
        if interval < min_interval:
            raise ConfigurationError(
                f"poll_interval: {interval:g} s is below min_poll_interval ({min_interval:g} s)"
            )
        if not 0 <= number("jitter", jitter) <= 0.5:
            raise ConfigurationError(f"jitter: {jitter!r} is not between 0 and 0.5")
        if max_response_size is None:
            max_response_size = handler.policy.limits.size
        if isinstance(max_response_size, bool) or not isinstance(max_response_size, int):
            raise ConfigurationError(f"max_response_size: {max_response_size!r} is no whole number")
        if max_response_size < 1:
            raise ConfigurationError(f"max_response_size: {max_response_size} is not positive")
        if back_off_base is None:
            back_off_base = min(5.0, interval)
        if back_off_max is None:
            back_off_max = interval
        super().__init__("poll", on_error, on_heard)
        self.ven = Ven(handler)
        self.poll_interval = interval
        self._pacing = PollPacing(
            interval,
            jitter=float(jitter),
            back_off_base=seconds("back_off_base", back_off_base),
            back_off_max=seconds("back_off_max", back_off_max),
            min_interval=min_interval,
            retry_after_max=seconds("retry_after_max", retry_after_max),
            random=random,
        )
        self._connection = VtnConnection(
            vtn_base_uri,
            handler.oadr_profile_level,
            connect_timeout=seconds("connect_timeout", connect_timeout),
            read_timeout=seconds("read_timeout", read_timeout),
            max_response_size=max_response_size,
            username=username,
            password=password,
            ssl_context=ssl_context,
            headers=headers,
            proxy=proxy,
            keep_alive=min(60.0, 2 * interval),
        )
        self._clock = clock
        self._sleep = sleep
        self._turn = asyncio.Lock()  # one conversation with the VTN at a time (E13)

    async def poll_once(self, outdated: Callable[[], bool] | None = None) -> None:
        """Poll, and send what there is to answer before anything else is sent (facts.md E13).

        Args:
            outdated: asked when the reply is here; True drops it unread, since a newer list was pushed.

        Raises:
            TransportError: the VTN was not reached, or replied with something other than 2xx.
            RemoteProtocolError: its reply cannot be accepted, or it refused our answer.
            StoreError: the events could not be written; nothing was answered.
            LocalProtocolError: this client is closed.
        """
        problem = await self._poll(outdated)
        if problem is not None:
            try:
                raise problem
            finally:
                # As in _poll_and_pace: no ring of the error and this frame.
                del problem

    async def change_opt(self, event_id: str, opt_type: OptType, vtn_id: str | None = None) -> None:
        """Change our opt of a held event and tell the VTN now (facts.md E06).

        The change holds even if the VTN cannot be told: the answer to its next list repeats it.

        Raises:
            LocalProtocolError: no such event is held, or this client is closed.
            TransportError, RemoteProtocolError: as for :meth:`poll_once`.
        """
        self._check_open()
        await self.send(self.ven.change_opt(event_id, opt_type, vtn_id))

    async def send(self, action: Action) -> None:
        """Send an answer, after any poll under way, and check the VTN's acknowledgement.

        Raises:
            TransportError, RemoteProtocolError, LocalProtocolError: as for :meth:`poll_once`.
        """
        async with self._turn:
            await self._deliver(action)

    async def _run(self) -> None:
        while not self._closed:
            started = self._clock()
            next_poll = await self._poll_and_pace(started)
            await self._sleep(max(0.0, next_poll - self._clock()))

    async def _close(self) -> None:
        await self._connection.aclose()

    async def _poll_and_pace(self, started: float) -> float:
        """One poll of the loop: every error ends here. Returns the time of the next poll."""
        had_failed = self._pacing.failures
        problem: Exception | None
        try:
            problem = await self._poll()
            polled = True
        # OadrError is expected; anything else is a fault in a handler or in here, which must not
        # leave the loads without their events.
        except Exception as error:
            problem = error
            polled = False
        now = self._clock()
        retry_after = problem.retry_after if isinstance(problem, TransportError) else None
        if not polled:
            next_poll = self._pacing.failed(started, now, retry_after)
        elif isinstance(problem, TransportError):
            # The answer is not kept. The VTN still lists what it has no answer to, so the next poll
            # brings the events again, and with them the same answer in its newest form.
            next_poll = self._pacing.unanswered(started, now, retry_after)
        else:
            next_poll = self._pacing.succeeded(started, now)
        if problem is not None:
            delay = next_poll - now
            self._report(problem, f"next poll in {delay:.1f} s", delay)
            # An error knows this frame: in a ring they would keep the reply until the next collection.
            del problem
        elif had_failed:
            _log.info("polling works again")
        return next_poll

    async def _poll(self, outdated: Callable[[], bool] | None = None) -> OadrError | None:
        """Poll and answer. Returns what went wrong after the list was taken, raises what before."""
        async with self._turn:
            request = self.ven.poll_request()
            reply = await self._post(request)
            if outdated is not None and outdated():
                return None
            actions = self.ven.receive(reply)
            self._hear()
            try:
                for action in actions:
                    await self._deliver(action)
            except OadrError as problem:
                return problem
            return None

    async def _deliver(self, action: Action) -> None:
        self.ven.receive_acknowledgement(await self._post(action))

    async def _post(self, action: Action) -> bytes:
        self._check_open()
        return await self._connection.post(action.service, action.data)


class OpenADR2(BackgroundVen[PollClient]):
    """A polling VEN on a thread of its own, with the name and arguments of EnerNOC's package.

    Args:
        event_config: arguments of :class:`oadr2.event.EventHandler`.
        vtn_base_uri, username, password: as for :class:`PollClient`.
        control_opts: arguments of :class:`oadr2.control.EventController`.
        ven_client_cert_key: PEM file of the client's private key.
        ven_client_cert_pem: PEM file of the client's certificate.
        ven_client_key_password: of the private key, when it is encrypted.
        vtn_ca_certs: PEM file or folder of the CAs to trust; None trusts the system's.
        check_hostname, legacy_tls: see :func:`oadr2.security.client_context`.
        vtn_fingerprint: of the one VTN certificate that is accepted, of either profile.
        vtn_poll_interval: seconds from one poll to the next.
        start_thread: begin to poll now; otherwise at :meth:`start`.
        poll_options: any further argument of :class:`PollClient`.

    Attributes:
        event_handler, event_controller: the events this VEN holds, and the level that follows.
        client: the :class:`PollClient`.

    Raises:
        ConfigurationError: an argument is unknown or of the wrong kind; the message names it.
    """

    def __init__(  # noqa: PLR0917 - EnerNOC's order of arguments
        self,
        event_config: Mapping[str, Any],
        vtn_base_uri: str,
        control_opts: Mapping[str, Any] | None = None,
        username: str | None = None,
        password: str | None = None,
        ven_client_cert_key: str | os.PathLike[str] | None = None,
        ven_client_cert_pem: str | os.PathLike[str] | None = None,
        vtn_ca_certs: str | os.PathLike[str] | None = None,
        vtn_poll_interval: float = 300.0,
        start_thread: bool = True,
        *,
        ven_client_key_password: str | None = None,
        check_hostname: bool = True,
        legacy_tls: bool = False,
        vtn_fingerprint: str | None = None,
        **poll_options: Any,
    ) -> None:
        check_names(PollClient, poll_options, "handler", "poll_interval")
        tls = ClientTls(
            vtn_ca_certs,
            ven_client_cert_pem,
            ven_client_cert_key,
            ven_client_key_password,
            check_hostname,
            legacy_tls,
            vtn_fingerprint,
        )
        context = tls.context_for(vtn_base_uri, poll_options.pop("ssl_context", None))
        interval = seconds("vtn_poll_interval", vtn_poll_interval)
        super().__init__(
            event_config,
            control_opts,
            lambda handler: PollClient(
                handler,
                vtn_base_uri,
                poll_interval=interval,
                username=username,
                password=password,
                ssl_context=context,
                **poll_options,
            ),
            name="poll",
            cert=None if context is None else tls.cert,
            start_thread=start_thread,
        )

    def query_vtn(self) -> None:
        """Poll once, now, and return when the answer is sent as well.

        Raises:
            OadrError: as :meth:`PollClient.poll_once`; the polling in the background goes on.
            LocalProtocolError: after :meth:`exit`, or when called from a callback on the VEN's own
                thread.
        """
        self._call(self.client.poll_once)
